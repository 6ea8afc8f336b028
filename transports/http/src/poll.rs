//! Long polling: a request waits for what the hub says, and the next one follows
//! ([Transport Protocols](https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md#long-polling-server-to-client-only)).

use core::future::poll_fn;
use core::task::Poll;
use core::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, EXPIRES, PRAGMA};
use http::{HeaderValue, Response, StatusCode};
use lapwing::runtime::Runtime;

use crate::body::Body;
use crate::hearing::Hearing;
use crate::pipe::Heard;

/// Waits for what the hub says, at most so long.
///
/// # Cancel safety
///
/// Dropped, nothing is lost: what was said waits for the next poll.
pub(crate) async fn answer(
    hearing: Hearing,
    runtime: &dyn Runtime,
    within: Duration,
) -> Response<Body> {
    let mut timer = runtime.timer();
    timer.arm(runtime.now() + within);
    let heard = poll_fn(|cx| match hearing.poll(cx) {
        Poll::Ready(heard) => Poll::Ready(Some(heard)),
        Poll::Pending => timer.poll_fired(cx).map(|()| None),
    });
    match heard.await {
        Some(Heard::Bytes(bytes)) => with(Body::heard(bytes, hearing)),
        Some(Heard::Replaced | Heard::Over) => over(),
        None => empty(),
    }
}

/// Nothing was said; the client asks again.
pub(crate) fn empty() -> Response<Body> {
    with(Body::default())
}

/// Nothing will be said; the client does not ask again.
pub(crate) fn over() -> Response<Body> {
    let mut response = empty();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

fn with(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "application/octet-stream"),
        (CACHE_CONTROL, "no-cache, no-store"),
        (PRAGMA, "no-cache"),
        (EXPIRES, "Thu, 01 Jan 1970 00:00:00 GMT"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
