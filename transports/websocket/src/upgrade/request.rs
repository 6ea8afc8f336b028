//! What a client asks for: [`Request`].

use std::io;

use async_tungstenite::tungstenite::handshake::client::generate_key;
use async_tungstenite::tungstenite::http;

use super::origin;

/// The port of `ws://` URLs that name none: RFC 6455, section 3.
const PORT: u16 = 80;

/// The headers of a request that are nobody's to choose.
const OURS: [&str; 5] = [
    "host",
    "connection",
    "upgrade",
    "content-length",
    "transfer-encoding",
];

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
        let request = Self {
            host: host.into(),
            port,
            path_and_query: path_and_query(target)?,
            headers: Vec::new(),
            protocol: None,
        };
        // What cannot be asked for is told now, not at every attempt.
        request.to_http().map(|_| request)
    }

    /// Where to connect to.
    #[cfg(feature = "_sockets")]
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

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    fn text(request: &Request) -> String {
        let http = request.to_http().expect("good");
        let target = http.uri().path_and_query().expect("a path");
        let mut text = format!("{target}\n");
        for (name, value) in http.headers() {
            if name != "sec-websocket-key" {
                text += &format!("{name}: {}\n", value.to_str().expect("ASCII"));
            }
        }
        text
    }

    #[test]
    fn urls_are_taken_apart() {
        for (url, place, target) in [
            ("ws://hub.example", "hub.example:80", "/"),
            ("WS://hub.example:7000/", "hub.example:7000", "/"),
            (
                "ws://127.0.0.1:7000/chat?a=1&b",
                "127.0.0.1:7000",
                "/chat?a=1&b",
            ),
            ("ws://[::1]:7000", "[::1]:7000", "/"),
            ("ws://[::1]?a", "[::1]:80", "/?a"),
            ("localhost:7000", "localhost:7000", "/"),
            ("localhost/chat", "localhost:80", "/chat"),
            (
                "ws://hub/?next=http://other/",
                "hub:80",
                "/?next=http://other/",
            ),
            ("hub/?next=http://other/", "hub:80", "/?next=http://other/"),
        ] {
            let request = Request::parse(url).expect(url);
            assert_eq!(request.host_and_port(), place, "{url}");
            assert_eq!(request.path_and_query, target, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_websocket_is_refused() {
        for url in [
            "",
            "ws://",
            "ws:///chat",
            "http://hub",
            "tcp://hub:7000",
            "ws://user:secret@hub",
            "ws://hub:port",
            "ws://hub:",
            "ws://hub:65536",
            "ws://[::1",
            "ws://::1",
            "ws://hub/#part",
            "ws://hub/a b",
            "ws://h\u{fc}b/",
            "ws://hub/\u{fc}",
            "ws://hub/\r\nX: 1",
            "ws://hub/\0",
            "ws://hub/<>",
        ] {
            let error = Request::parse(url).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let error = Request::parse("WSS://hub").expect_err("no TLS");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert_eq!(error.to_string(), "wss:// needs TLS, which is not built in");
    }

    #[test]
    fn a_request_has_what_the_rfc_asks_for() {
        let mut request = Request::parse("ws://hub.example:7000/chat").expect("a URL");
        request.protocol = Some("lapwing.postcard");
        request.headers = vec![("Cookie".into(), "a=1".into())];
        let expected = "/chat\nhost: hub.example:7000\nconnection: Upgrade\nupgrade: websocket\n\
            sec-websocket-version: 13\nsec-websocket-protocol: lapwing.postcard\ncookie: a=1\n";
        assert_eq!(text(&request), expected);
        assert!(text(&Request::parse("ws://[::1]:80").expect("a URL")).contains("host: [::1]\n"));
    }

    #[test]
    fn every_request_has_a_key_of_its_own() {
        let request = Request::parse("ws://hub").expect("a URL");
        let key = || request.to_http().expect("good").headers()["sec-websocket-key"].clone();
        assert_ne!(key(), key());
    }

    #[test]
    fn json_says_that_a_hello_follows() {
        for (url, target) in [
            ("ws://hub", "/?hello\n"),
            ("ws://hub/chat?a=1", "/chat?a=1&hello\n"),
        ] {
            let mut request = Request::parse(url).expect(url);
            request.protocol = Some("lapwing.json");
            assert!(text(&request).starts_with(target), "{url}");
            request.protocol = Some("lapwing.postcard");
            assert!(!text(&request).contains("hello"), "{url}");
        }
    }

    #[test]
    fn headers_that_break_the_upgrade_are_refused() {
        for (name, value) in [
            ("Host", "other"),
            ("Connection", "close"),
            ("Sec-WebSocket-Key", "x"),
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
            ("Transfer-Encoding", "chunked"),
            ("X", "secret\r\nY: 1"),
            ("X\r\nY", "secret"),
            ("", "secret"),
        ] {
            let mut request = Request::parse("ws://hub").expect("a URL");
            request.headers.push((name.into(), value.into()));
            let error = request.to_http().expect_err(name);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut request = Request::parse("ws://hub/chat?access_token=secret").expect("a URL");
        request
            .headers
            .push(("authorization".into(), "secret".into()));
        let shown = format!("{request:?}");
        assert!(
            shown.contains("/chat") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
