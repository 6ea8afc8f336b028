//! What a client asks for: [`Request`].

use std::io;

use async_tungstenite::tungstenite::handshake::client::generate_key;
use async_tungstenite::tungstenite::http;

use super::origin;

/// The port of `ws://` URLs that name none: RFC 6455, section 3.
const PORT: u16 = 80;

/// The headers of a request that are nobody's to choose.
const OURS: [&str; 4] = ["host", "connection", "upgrade", "content-length"];

/// What a client asks a hub for.
///
/// Its `Debug` form shows neither the query nor the values of headers: they may be secrets.
#[derive(Clone)]
pub(crate) struct Request {
    /// A name or an address; an IPv6 address has its brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Begins with `/`.
    pub(crate) path_and_query: String,
    /// Headers beside those of the upgrade, as `authorization` is.
    pub(crate) headers: Vec<(String, String)>,
    /// The sub-protocol that will be spoken.
    pub(crate) protocol: Option<&'static str>,
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}

impl Request {
    /// Takes `ws://host[:port][/path][?query]`, or the same without its scheme. Without a port it is 80.
    ///
    /// # Errors
    ///
    /// `InvalidInput`, with the part that is wrong; `Unsupported` for `wss://`, as TLS is not built in.
    pub(crate) fn parse(url: &str) -> io::Result<Self> {
        let rest = without_scheme(url)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (host, port) = host_and_port(authority)?;
        Ok(Self {
            host: host.into(),
            port,
            path_and_query: path_and_query(target)?,
            headers: Vec::new(),
            protocol: None,
        })
    }

    /// Where to connect to.
    pub(crate) fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The request as HTTP, with a key of its own.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when a header is none, or not one to be chosen.
    pub(crate) fn to_http(&self) -> io::Result<http::Request<()>> {
        let host = match self.port {
            PORT => self.host.clone(),
            port => format!("{}:{port}", self.host),
        };
        let mut request = http::Request::builder()
            .uri(format!("ws://{host}{}", self.target()))
            .header("Host", host)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key());
        if let Some(protocol) = self.protocol {
            request = request.header("Sec-WebSocket-Protocol", protocol);
        }
        let mut request = request
            .body(())
            .map_err(|error| invalid(error.to_string()))?;
        for (name, value) in &self.headers {
            let (name, value) = header(name, value)?;
            request.headers_mut().append(name, value);
        }
        Ok(request)
    }

    /// The path and the query, which says to a hub that speaks JSON that a hello follows.
    fn target(&self) -> String {
        let target = &self.path_and_query;
        let mark = if target.contains('?') { '&' } else { '?' };
        match self.protocol {
            Some("lapwing.json") => format!("{target}{mark}hello"),
            _ => target.clone(),
        }
    }
}

impl core::fmt::Debug for Request {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let path = self.path_and_query.split('?').next();
        f.debug_struct("Request")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("path", &path.unwrap_or_default())
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

fn without_scheme(url: &str) -> io::Result<&str> {
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("ws") => Ok(rest),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("wss") => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "wss:// needs TLS, which is not built in",
        )),
        // A query may have a URL in it.
        Some((scheme, _)) if !scheme.contains(['/', '?']) => {
            Err(invalid("the scheme of a WebSocket is ws://"))
        }
        _ => Ok(url),
    }
}

fn host_and_port(authority: &str) -> io::Result<(&str, u16)> {
    let wrong = || invalid("a URL needs a host, and may have a port: ws://host:port");
    let (host, port) = origin::split(authority).ok_or_else(wrong)?;
    let port = port.map_or(Ok(PORT), str::parse);
    Ok((host, port.map_err(|_| wrong())?))
}

fn path_and_query(target: &str) -> io::Result<String> {
    if target.contains('#') {
        return Err(invalid("the URL of a WebSocket has no fragment (#)"));
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid(
            "all but visible ASCII in a URL must be percent-encoded",
        ));
    }
    match target.starts_with('/') {
        true => Ok(target.into()),
        false => Ok(format!("/{target}")),
    }
}

fn header(name: &str, value: &str) -> io::Result<(http::HeaderName, http::HeaderValue)> {
    let wrong = || invalid(format!("the header {name:?} cannot be sent"));
    let parsed: http::HeaderName = name.parse().map_err(|_| wrong())?;
    let value = value.parse().map_err(|_| wrong())?;
    let is_ours = parsed.as_str().starts_with("sec-websocket-") || OURS.contains(&parsed.as_str());
    if is_ours {
        return Err(wrong());
    }
    Ok((parsed, value))
}
