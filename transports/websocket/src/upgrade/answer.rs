//! What a listener answers to a request: [`answer`].

use async_tungstenite::tungstenite::handshake::derive_accept_key;
use bytes::Bytes;
use httparse::{EMPTY_HEADER, Error, Status};
use lapwing::transport::Upgrade;

use super::fields::Fields;
use super::head::HEAD_BYTES_MAX;
use super::origin;
use super::refusal::{Refusal, too_long};

/// More than any browser sends, and few enough to be looked through for each question.
const HEADERS_MAX: usize = 100;

/// What a listener asks of those who come.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// Whose pages may come besides our own: whole origins, or `*` for all.
    pub(crate) origins: Vec<String>,
    /// The sub-protocols that are spoken.
    pub(crate) protocols: Vec<String>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            protocols: ["lapwing.postcard", "lapwing.json"]
                .map(String::from)
                .into(),
        }
    }
}

/// What is sent back, and what it means.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The response, whole.
    pub(crate) response: Vec<u8>,
    /// What the peer asked for when it has a WebSocket now, else what was wrong.
    pub(crate) result: Result<Upgrade, &'static str>,
}

/// Answers a request: [RFC 6455, section 4.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2). Linear in the length of `head`.
pub(crate) fn answer(head: &[u8], terms: &Terms) -> Answer {
    if head.len() > HEAD_BYTES_MAX {
        return too_long();
    }
    accept(head, terms).unwrap_or_else(Answer::from)
}

fn accept(head: &[u8], terms: &Terms) -> Result<Answer, Refusal> {
    // One copy, and nothing for each header.
    let head = Bytes::copy_from_slice(head);
    let mut room = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut room);
    parse(&mut request, &head)?;
    let fields = Fields(request.headers);
    check_upgrade(&request, fields)?;
    let target = Target::parse(request.path.unwrap_or_default())?;
    let host = check_host(fields)?;
    check_body(fields)?;
    check_version(fields)?;
    let accept = check_key(fields)?;
    check_origin(fields, target.authority.unwrap_or(host), terms)?;
    let protocol = agree(fields, terms);
    Ok(Answer {
        response: switch(&accept, protocol),
        result: Ok(Upgrade {
            protocol: protocol.map(String::from),
            path: target.path.into(),
            query: query(target.query),
            headers: fields.parts_of(&head),
            batch_bytes: 0,
            connection: None,
            ticket: None,
        }),
    })
}

fn parse<'a>(request: &mut httparse::Request<'_, 'a>, head: &'a [u8]) -> Result<(), Refusal> {
    match request.parse(head) {
        Ok(Status::Complete(length)) if length == head.len() => {}
        Err(Error::TooManyHeaders) => {
            return Err(Refusal::too_large("the request has more than 100 headers"));
        }
        Err(Error::Version) if names_http(head) => {
            return Err(Refusal::version("only HTTP/1.1 is spoken here"));
        }
        _ => return Err(Refusal::bad("this is not an HTTP request")),
    }
    // Readers that differ about where a line ends differ about what a request says.
    let is_bare = |at: usize| head[at] == b'\n' && (at == 0 || head[at - 1] != b'\r');
    if (0..head.len()).any(is_bare) {
        return Err(Refusal::bad(
            "a line must end with a carriage return and a line feed",
        ));
    }
    Ok(())
}

/// Whether the first line is one of HTTP, of whatever version: a method, a target, a version.
fn names_http(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next();
    let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
    let version = words.nth(2).unwrap_or_default();
    version.starts_with(b"HTTP/") && words.next().is_none()
}

/// Whether it is about a WebSocket at all.
fn check_upgrade(request: &httparse::Request<'_, '_>, fields: Fields<'_>) -> Result<(), Refusal> {
    let asks = fields.lists("Connection", "upgrade") && fields.lists("Upgrade", "websocket");
    // RFC 9110, section 7.8: from HTTP/1.0 an Upgrade is as good as none.
    if !asks || request.version != Some(1) {
        return Err(Refusal::bad(
            "there is nothing here but a WebSocket, by an upgrade of HTTP/1.1",
        ));
    }
    if request.method != Some("GET") {
        return Err(Refusal::method("a WebSocket begins with GET"));
    }
    Ok(())
}

/// What a request is about: RFC 9112, section 3.2.
struct Target<'a> {
    /// Whose it is, when the request says so here and not in its Host.
    authority: Option<&'a str>,
    path: &'a str,
    query: &'a str,
}

impl<'a> Target<'a> {
    fn parse(target: &'a str) -> Result<Self, Refusal> {
        let bad = Refusal::bad("the target of the request must be a path, or a URL");
        let (authority, rest) = match target.split_once("://") {
            _ if target.starts_with('/') => (None, target),
            Some((_, rest)) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (authority, rest) = rest.split_at(end);
                origin::split(authority).ok_or(bad)?;
                (Some(authority), rest)
            }
            None => return Err(bad),
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self {
            authority,
            path,
            query,
        })
    }
}

fn check_host(fields: Fields<'_>) -> Result<&str, Refusal> {
    let bad = Refusal::bad("there must be one Host, with a name or an address");
    let host = fields.single("Host", bad)?.ok_or(bad)?;
    let host = str::from_utf8(host).map_err(|_| bad)?;
    origin::is_authority(host).then_some(host).ok_or(bad)
}

/// A body would be read as frames, or the other way round.
fn check_body(fields: Fields<'_>) -> Result<(), Refusal> {
    let bad = Refusal::bad("a request for a WebSocket has no body");
    let length = fields.single("Content-Length", bad)?.unwrap_or(b"0");
    let is_zero = !length.is_empty() && length.iter().all(|digit| *digit == b'0');
    if !is_zero || fields.has("Transfer-Encoding") {
        return Err(bad);
    }
    Ok(())
}

fn check_version(fields: Fields<'_>) -> Result<(), Refusal> {
    let bad = Refusal::bad("there must be one Sec-WebSocket-Version");
    match fields.single("Sec-WebSocket-Version", bad)?.ok_or(bad)? {
        b"13" => Ok(()),
        _ => Err(Refusal::upgrade(
            "only version 13 of WebSocket is spoken here",
        )),
    }
}

/// The answer to the key.
fn check_key(fields: Fields<'_>) -> Result<String, Refusal> {
    let bad = Refusal::bad("there must be one Sec-WebSocket-Key, 16 bytes in base64");
    let key = fields.single("Sec-WebSocket-Key", bad)?.ok_or(bad)?;
    accept_key(key).ok_or(bad)
}

/// What an answer to a request with this `Sec-WebSocket-Key` has as `Sec-WebSocket-Accept`
/// ([RFC 6455, section 4.2.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2)), for servers that answer by themselves; `None` when it is no key.
pub fn accept_key(key: &[u8]) -> Option<String> {
    is_key(key).then(|| derive_accept_key(key))
}

/// Whether it is 16 bytes in base64: 22 characters and two that fill up.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    let digits = key.strip_suffix(b"==").unwrap_or_default();
    digits.len() == 22 && digits.iter().all(is_digit)
}

fn check_origin(fields: Fields<'_>, authority: &str, terms: &Terms) -> Result<(), Refusal> {
    let doubled = Refusal::bad("there may be one Origin only");
    let Some(origin) = fields.single("Origin", doubled)? else {
        return Ok(());
    };
    let origin = String::from_utf8_lossy(origin);
    match origin::is_allowed(&origin, authority, &terms.origins) {
        true => Ok(()),
        false => Err(Refusal::forbidden("pages of this Origin may not come here")),
    }
}

/// The first sub-protocol of the peer's that is spoken here.
fn agree<'a>(fields: Fields<'a>, terms: &Terms) -> Option<&'a str> {
    let is_spoken = |name: &&str| terms.protocols.iter().any(|known| known == name);
    fields.list("Sec-WebSocket-Protocol").find(is_spoken)
}

fn switch(accept: &str, protocol: Option<&str>) -> Vec<u8> {
    let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    let protocol = protocol.unwrap_or_default();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
    )
    .into_bytes()
}

fn query(text: &str) -> Vec<(String, String)> {
    let pairs = form_urlencoded::parse(text.as_bytes());
    pairs.into_owned().collect()
}
