//! From a request to a WebSocket: [RFC 6455, section 4.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2).

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use lapwing::runtime::BoxFuture;
use lapwing::transport::Upgrade;
use lapwing_websocket::{accept_key, over};

use crate::body::Body;
use crate::fields::{list, lists, single};
use crate::listener::Seat;
use crate::options::Options;
use crate::refusal::Refusal;
use crate::socket;

/// How much more than one message of a client may come at once, when it sends several as one.
const BATCH_BYTES: u32 = 64 * 1024;

/// What the answer to a request for a WebSocket says to prove that it was read.
pub(crate) fn check(parts: &Parts) -> Result<String, Refusal> {
    const KEY: Refusal = Refusal::bad("there must be one Sec-WebSocket-Key, 16 bytes in base64");
    const VERSION: Refusal = Refusal::bad("there must be one Sec-WebSocket-Version");
    let headers = &parts.headers;
    let asks = lists(headers, CONNECTION, "upgrade") && lists(headers, UPGRADE, "websocket");
    // RFC 9110, section 7.8: from HTTP/1.0 an Upgrade is as good as none.
    if !asks || parts.version != Version::HTTP_11 {
        return Err(Refusal::bad("Connection ID required"));
    }
    // A body would be read as frames, or the other way round.
    let length = single(headers, CONTENT_LENGTH)?.map_or(&b"0"[..], HeaderValue::as_bytes);
    if length.iter().any(|digit| *digit != b'0') || headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::bad("a request for a WebSocket has no body"));
    }
    match single(headers, SEC_WEBSOCKET_VERSION)?
        .ok_or(VERSION)?
        .as_bytes()
    {
        b"13" => {}
        _ => return Err(Refusal::version()),
    }
    let key = single(headers, SEC_WEBSOCKET_KEY)?.ok_or(KEY)?;
    accept_key(key.as_bytes()).ok_or(KEY)
}

/// The request as hubs see it.
pub(crate) fn asked(parts: &Parts, query: Vec<(String, String)>, options: &Options) -> Upgrade {
    let header = |(name, value): (&http::HeaderName, &HeaderValue)| {
        let name = Bytes::copy_from_slice(name.as_str().as_bytes());
        (name, Bytes::copy_from_slice(value.as_bytes()))
    };
    let mut upgrade = Upgrade::default();
    upgrade.protocol.clone_from(&options.otherwise);
    upgrade.path = parts.uri.path().into();
    upgrade.query = query;
    upgrade.headers = parts.headers.iter().map(header).collect();
    upgrade.batch_bytes = BATCH_BYTES;
    upgrade
}

/// Waits until the answer has left, and lets the hub have the WebSocket.
pub(crate) fn attach(parts: &mut Parts, asked: Upgrade, seat: Seat) -> BoxFuture<'static, ()> {
    let upgraded = parts.extensions.remove::<OnUpgrade>();
    Box::pin(async move {
        let Some(upgraded) = upgraded else {
            return;
        };
        // The client may be gone; then nobody is there to be told.
        if let Ok(upgraded) = upgraded.await {
            let (socket, arrived) = socket::of(upgraded);
            seat.fill(Box::new(over::upgraded(socket, arrived, asked)));
        }
    })
}

/// The first sub-protocol of the client's that is spoken here.
pub(crate) fn agree(parts: &Parts, options: &Options) -> Option<String> {
    let mut asked = list(&parts.headers, SEC_WEBSOCKET_PROTOCOL);
    let is_spoken = |name: &&str| options.protocols.iter().any(|known| known == name);
    asked.find(is_spoken).map(String::from)
}

pub(crate) fn response(accept: &str, protocol: Option<&str>) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if let Some(Ok(protocol)) = protocol.map(HeaderValue::from_str) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    response
}
