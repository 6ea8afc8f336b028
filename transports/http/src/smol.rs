//! HTTP with the sockets of async-io, which work on any executor.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use lapwing::runtime::{BoxFuture, Runtime};
use lapwing_sockets::smol as sockets;

use crate::connection;
use crate::server::{Routes, Server, Sockets};

/// Listens on `addr`, an IP address or a name and a port: `"127.0.0.1:8080"`, `"localhost:0"`. Tasks and time are those of `runtime`.
///
/// # Errors
///
/// When the name is not found or nothing can listen there.
///
/// # Cancel safety
///
/// Dropping the future listens on nothing.
pub async fn listen(runtime: &(impl Runtime + Clone), addr: &str) -> io::Result<Server> {
    let listener = sockets::listen(addr).await?;
    let addr = listener.local_addr();
    let sockets = Box::new(Accepting(listener));
    Ok(Server::new(Arc::new(runtime.clone()), sockets, addr))
}

struct Accepting(sockets::Listener);

#[async_trait]
impl Sockets for Accepting {
    async fn accept(
        &mut self,
        routes: Arc<Routes>,
        runtime: Arc<dyn Runtime>,
    ) -> io::Result<BoxFuture<'static, ()>> {
        let socket = self.0.accept().await?;
        Ok(Box::pin(connection::serve(socket, routes, runtime)))
    }
}
