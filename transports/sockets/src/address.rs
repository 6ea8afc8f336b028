//! Where to listen.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// How many peers may wait to be accepted: room for everybody who returns after a restart.
///
/// The system has a bound of its own, on Linux `net.core.somaxconn`, 4,096 by default.
const BACKLOG: i32 = 4_096;

/// Listens on the first of `addrs` that can be listened on.
///
/// As std does it, but for the backlog: std's 128 drop peers when a hub restarts.
pub(crate) fn listen(addrs: impl IntoIterator<Item = SocketAddr>) -> io::Result<TcpListener> {
    let mut failed = no_address();
    for addr in addrs {
        match listen_on(addr) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn listen_on(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Without it a hub could not listen again for a minute after it ended. On Windows it means
    // something else: to take the port from whoever has it.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    // Those that are accepted have it from here, where the system does that.
    socket.set_tcp_nodelay(true)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Whether an accepted socket has `TCP_NODELAY` from its listener: one call saved for each.
pub(crate) const NODELAY_IS_INHERITED: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// What went wrong when a name has no address.
pub(crate) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the name has no address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_that_works_is_taken() {
        let nobodys = SocketAddr::from(([192, 0, 2, 1], 0));
        let ours = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = listen([nobodys, ours]).expect("loopback is there");
        let addr = listener.local_addr().expect("it is bound");
        assert_eq!(addr.ip(), ours.ip());
        assert_ne!(addr.port(), 0);

        assert!(listen([nobodys]).is_err());
        assert!(listen([]).is_err());
    }
}
