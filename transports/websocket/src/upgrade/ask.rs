//! A client's half of the upgrade: [`ask`].

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use async_tungstenite::client_async_with_config;
use async_tungstenite::tungstenite::error::{Error, ProtocolError};
use async_tungstenite::tungstenite::handshake::client::Response;
use async_tungstenite::tungstenite::http::StatusCode;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use bytes::{Bytes, BytesMut};
use futures_io::{AsyncRead, AsyncWrite};
use lapwing_sockets::{Socket, Stream};

use super::head::{Head, TooLong};
use super::request::Request;

/// How much of what a server says about its refusal is waited for and shown.
const SHOWN_BYTES_MAX: usize = 200;

/// Asks for a WebSocket, and gives the stream back with the sub-protocol that the server has agreed to, and the first
/// bytes behind its response.
///
/// # Errors
///
/// Those of the socket; `UnexpectedEof` when the server leaves; `ConnectionRefused` or `PermissionDenied` when it answers
/// with another status; `InvalidData` when it speaks no WebSocket, or not the sub-protocol.
///
/// # Cancel safety
///
/// Dropping the future ends the attempt, and closes the socket.
pub(crate) async fn ask<S: Socket>(
    stream: Stream<S>,
    request: &Request,
) -> io::Result<(Stream<S>, Option<String>, Bytes)> {
    let mut asking = Asking::new(stream);
    let answered = client_async_with_config(request.to_http()?, &mut asking, Some(small())).await;
    // What it makes beside the handshake is dropped at once: frames are read elsewhere.
    let response = match answered.map(|(_, response)| response) {
        Ok(response) => response,
        Err(Error::Http(response)) => return Err(asking.refused(&response).await),
        Err(error) => return Err(explain(error, request)),
    };
    if response.headers().contains_key("Sec-WebSocket-Extensions") {
        return Err(invalid(
            "the server uses an extension that nobody asked for",
        ));
    }
    let agreed = request.protocol.map(String::from);
    Ok((asking.stream, agreed, asking.behind.freeze()))
}

/// Buffers for the frames that tungstenite never reads here.
fn small() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(1)
        .write_buffer_size(0)
}

/// A stream during the handshake. It lends tungstenite the response whole and no byte more: tungstenite takes many small
/// reads for an attack, and would keep the frames that come right behind.
struct Asking<S> {
    stream: Stream<S>,
    head: Head,
    /// How much of the head has been lent.
    lent: usize,
    /// What came behind the head.
    behind: BytesMut,
}

// The socket is never pinned.
impl<S> Unpin for Asking<S> {}

impl<S: Socket> Asking<S> {
    fn new(stream: Stream<S>) -> Self {
        Self {
            stream,
            head: Head::new(),
            lent: 0,
            behind: BytesMut::new(),
        }
    }

    /// Reads until the head is whole.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { head, behind, .. } = self;
        while !head.is_whole() {
            let (read, fed) = ready!(self.stream.poll_read_with(cx, |bytes| {
                let length = head.feed(bytes)?;
                behind.extend_from_slice(&bytes[length.unwrap_or(bytes.len())..]);
                Ok(())
            }))?;
            fed.map_err(|TooLong| invalid("the server's response has no end"))?;
            if read == 0 {
                return Poll::Ready(Err(gone()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// What the server says instead of a WebSocket, with the beginning of its reasons.
    async fn refused(&mut self, response: &Response) -> io::Error {
        let length = response.headers().get("Content-Length");
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let wanted = SHOWN_BYTES_MAX.min(length.unwrap_or(0));
        // The status is known, whatever becomes of the rest.
        let _ = poll_fn(|cx| self.poll_behind(cx, wanted)).await;
        let kind = match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => io::ErrorKind::PermissionDenied,
            _ => io::ErrorKind::ConnectionRefused,
        };
        let status = response.status();
        io::Error::new(
            kind,
            format!("the server answers {status}{}", shown(&self.behind)),
        )
    }

    /// Reads until `wanted` bytes are here behind the head, or the server has finished.
    fn poll_behind(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<io::Result<()>> {
        let behind = &mut self.behind;
        while behind.len() < wanted {
            let take = |bytes: &[u8]| behind.extend_from_slice(bytes);
            if ready!(self.stream.poll_read_with(cx, take))?.0 == 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The beginning of a body, on one line and without anything that a terminal would obey.
fn shown(body: &[u8]) -> String {
    let body = &body[..body.len().min(SHOWN_BYTES_MAX)];
    let text = String::from_utf8_lossy(body);
    match text.trim() {
        "" => String::new(),
        text => format!(": {}", text.escape_debug()),
    }
}

impl<S: Socket> AsyncRead for Asking<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_head(cx))?;
        let rest = &self.head.bytes()[self.lent..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.lent += length;
        Poll::Ready(Ok(length))
    }
}

impl<S: Socket> AsyncWrite for Asking<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream.outbox().push_copy(&[bytes]);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_drain(cx, 0)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

fn gone() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the server left without a response",
    )
}

/// An error of the handshake, for those who connect.
fn explain(error: Error, request: &Request) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            let protocol = request.protocol.unwrap_or("no sub-protocol");
            invalid(format!("the server does not agree to speak {protocol}"))
        }
        error => invalid(format!("the server's response opens no WebSocket: {error}")),
    }
}

#[cfg(test)]
mod tests;
