//! WebSocket keeps the rules of every transport, on smol and on tokio.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use lapwing::runtime::{Runtime, Smol, Tokio};
use lapwing::transport::Listener as _;
use lapwing_conformance::Suite;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\
    Host: localhost\r\n\
    Connection: Upgrade\r\n\
    Upgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    \r\n";

/// Asks for a WebSocket, writes `bytes` and closes; what blocks here is loopback with room for all of them.
fn write(addr: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    stream.write_all(REQUEST)?;
    stream.write_all(bytes)
}

#[test]
fn on_smol() {
    let smol = Smol::new();
    let runtime: Arc<dyn Runtime> = Arc::new(smol.clone());
    let report = smol.block_on(async {
        let listener = lapwing_websocket::smol::listen("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let (addr, connector) = (
            listener.local_addr(),
            lapwing_websocket::smol::connect(listener.url()),
        );
        let suite = Suite::new(&runtime, listener, connector);
        suite
            .raw(move |bytes| async move { write(addr, &bytes) })
            .check()
            .await
    });
    assert_eq!(report.skipped, [""; 0]);
}

#[test]
fn on_tokio() {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("tokio starts");
    let handle = Tokio::new(tokio.handle().clone());
    let runtime: Arc<dyn Runtime> = Arc::new(handle.clone());
    let report = tokio.block_on(async {
        let listener = lapwing_websocket::tokio::listen(&handle, "127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let (addr, connector) = (
            listener.local_addr(),
            lapwing_websocket::tokio::connect(&handle, listener.url()),
        );
        let suite = Suite::new(&runtime, listener, connector);
        suite
            .raw(move |bytes| async move { write(addr, &bytes) })
            .check()
            .await
    });
    assert_eq!(report.skipped, [""; 0]);
}
