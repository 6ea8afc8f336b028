//! One connection of HTTP: requests one after the other, until one of them becomes something else.

use core::convert::Infallible;
use core::time::Duration;
use std::sync::Arc;

use http::header::CONNECTION;
use http::{HeaderValue, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use lapwing::runtime::Runtime;
use lapwing_sockets::Socket;

use crate::io::Io;
use crate::server::Routes;
use crate::timer::Clock;

/// The head of a request: as much as a browser sends with many cookies.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// How long the head of a request may take, and a connection may be without one.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// Answers requests until the client has no more, or takes too long.
pub(crate) async fn serve<S>(socket: S, routes: Arc<Routes>, runtime: Arc<dyn Runtime>)
where
    S: Socket + Unpin + 'static,
{
    let answer = service_fn(|request| {
        let (routes, runtime) = (routes.clone(), runtime.clone());
        async move {
            let mut response = routes.answer(request, &*runtime).await;
            // Others wait for the place; what has become a WebSocket has none.
            if routes.is_crowded() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(Clock(runtime.clone()))
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(Io::new(socket, runtime.clone()), answer)
        .with_upgrades();
    // What is wrong with it, its client was told; and nobody else is concerned.
    let _ = connection.await;
}
