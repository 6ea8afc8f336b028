//! Server-Sent Events: one response that does not end
//! ([HTML, section 9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html)).

use core::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};

use crate::body::Body;
use crate::hearing::Hearing;
use crate::pipe::Heard;

/// What leaves before the first event: some browsers tell their page of a response when the first bytes of its body are there.
const BEGINNING: &[u8] = b":\r\n\r\n";

/// The body of a response that does not end before the connection does.
pub(crate) struct Events {
    hearing: Hearing,
    begun: bool,
}

impl Events {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if !core::mem::replace(&mut self.begun, true) {
            return Poll::Ready(Some(Bytes::from_static(BEGINNING)));
        }
        Poll::Ready(match ready!(self.hearing.poll(cx)) {
            Heard::Bytes(bytes) => Some(event(&bytes)),
            Heard::Replaced | Heard::Over => None,
        })
    }
}

/// An event without a name: a line for each of the payload's.
fn event(payload: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(payload.len() + 10);
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    // Where two of them follow each other there is one line more, which is empty: only blanks of JSON are there.
    for line in payload.split(is_end) {
        event.put_slice(b"data: ");
        event.put_slice(line);
        event.put_slice(b"\r\n");
    }
    event.put_slice(b"\r\n");
    event.freeze()
}

pub(crate) fn answer(hearing: Hearing) -> Response<Body> {
    let begun = false;
    let mut response = Response::new(Body::events(Events { hearing, begun }));
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache, no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_one_of_the_event() {
        assert_eq!(event(b"{}\x1e"), &b"data: {}\x1e\r\n\r\n"[..]);
        assert_eq!(event(b"{\n}\x1e"), &b"data: {\r\ndata: }\x1e\r\n\r\n"[..]);
        assert_eq!(event(b"{\r}"), &b"data: {\r\ndata: }\r\n\r\n"[..]);
    }
}
