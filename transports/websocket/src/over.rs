//! WebSocket over sockets of any other kind: [`accept`], [`upgraded`], [`connect`].

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use lapwing::transport::{Transport, Upgrade};
use lapwing_sockets::{Socket, Stream};

use crate::transport::WebSocket;
use crate::upgrade::{Request, Terms, ask};

/// What a server asks of those who come over sockets of any kind.
///
/// By default pages of the server's own host may connect, and programs that are no browser; lapwing's own
/// sub-protocols are spoken.
#[derive(Clone, Debug, Default)]
pub struct Options {
    terms: Arc<Terms>,
}

impl Options {
    /// Lets pages of these origins connect as well, as in `https://example.org`; `*` is all.
    #[must_use]
    pub fn origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let terms = Arc::make_mut(&mut self.terms);
        terms.origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Speaks these sub-protocols instead of lapwing's own: the [names](lapwing::protocol::Protocol::name) of the hub's
    /// protocols.
    #[must_use]
    pub fn protocols(mut self, protocols: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let terms = Arc::make_mut(&mut self.terms);
        terms.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }
}

/// The side of a server on `socket`, as a Unix socket or a TLS stream is: the request is still to come.
///
/// The handshake happens in [`poll_open`](Transport::poll_open).
///
/// # Examples
///
/// ```
/// use core::future::poll_fn;
/// use futures_lite::io::Cursor;
/// use lapwing::transport::Transport;
/// use lapwing_sockets::smol::FuturesIo;
/// use lapwing_websocket::over::{Options, accept};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # futures_lite::future::block_on(async {
/// let request = "GET /events HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
///     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// let socket = FuturesIo::new(Cursor::new(request.as_bytes().to_vec()));
/// let mut transport = accept(socket, &Options::default());
/// let upgrade = poll_fn(|cx| transport.poll_open(cx)).await?;
/// assert_eq!(upgrade.map(|upgrade| upgrade.path), Some("/events".into()));
/// # Ok(())
/// # })
/// # }
/// ```
pub fn accept<S: Socket + 'static>(
    socket: S,
    options: &Options,
) -> impl Transport + 'static + use<S> {
    WebSocket::accepted(socket, options.terms.clone())
}

/// The side of a server on `socket`, on which somebody else has answered the request; `arrived` is what was read behind it.
pub fn upgraded(
    socket: impl Socket + 'static,
    arrived: Bytes,
    upgrade: Upgrade,
) -> impl Transport + 'static {
    WebSocket::upgraded(socket, arrived, upgrade)
}

/// The side of a client on `socket`, which leads to the host of `url`: asks for a WebSocket, and for `protocol` to be spoken
/// on it.
///
/// # Errors
///
/// `InvalidInput` when the URL is none, those of the socket, and what a server answers instead: `ConnectionRefused`,
/// `PermissionDenied`, `InvalidData`.
///
/// # Cancel safety
///
/// Dropping the future closes the socket.
pub async fn connect<S: Socket + 'static>(
    socket: S,
    url: &str,
    protocol: Option<&'static str>,
) -> io::Result<impl Transport + 'static + use<S>> {
    let mut request = Request::parse(url)?;
    request.protocol = protocol;
    let (stream, _, arrived) = ask(Stream::new(socket), &request).await?;
    Ok(WebSocket::connected(stream, arrived))
}
