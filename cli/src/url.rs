//! Where a hub is, as the user writes it.

use std::fmt::{self, Display};

use crate::failure::Failure;

/// How messages travel to a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Tcp,
    WebSocket,
}

impl Scheme {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "tcp" => Some(Self::Tcp),
            "ws" => Some(Self::WebSocket),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::WebSocket => "ws",
        }
    }

    /// The port of a hub when none is named.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::Tcp => 7000,
            Self::WebSocket => 7001,
        }
    }
}

/// A hub's address: how messages travel, where to, and for WebSocket what is asked for there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    scheme: Scheme,
    host_and_port: String,
    /// With a slash in front, or nothing; with the query.
    path: String,
}

impl Url {
    /// Reads `tcp://HOST[:PORT]` or `ws://HOST[:PORT][/PATH]`; `tcp://` may be left out, an IPv6 address stands in brackets.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        match text.split_once("://") {
            None => Self::new(Scheme::Tcp, text, text),
            Some(("wss", _)) => Err(refused(
                text,
                "this program speaks no TLS; connect to a proxy that does by ws://",
            )),
            Some((scheme, rest)) => match Scheme::parse(scheme) {
                Some(scheme) => Self::new(scheme, rest, text),
                None => Err(refused(text, "only tcp:// and ws:// are known")),
            },
        }
    }

    /// Reads where to listen: `HOST[:PORT]`, or a URL of this scheme without a path.
    pub(crate) fn listening(scheme: Scheme, text: &str) -> Result<Self, Failure> {
        let url = match text.contains("://") {
            true => Self::parse(text)?,
            false => Self::new(scheme, text, text)?,
        };
        match url.scheme == scheme && url.path.is_empty() {
            true => Ok(url),
            false => Err(Failure::usage(format_args!(
                "{text:?} is no address to listen on with --{}",
                scheme.name()
            ))),
        }
    }

    fn new(scheme: Scheme, rest: &str, text: &str) -> Result<Self, Failure> {
        let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path == "/" { "" } else { path };
        if place.contains(['@', '?', '#']) || rest.contains(|c: char| c <= ' ' || c == '#') {
            return Err(refused(text, "there is more in it than host and port"));
        }
        if !path.is_empty() && scheme == Scheme::Tcp {
            return Err(refused(text, "there is no path over TCP"));
        }
        let (host, port) = split_port(place);
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || (host.contains([':', '[', ']']) && !bracketed) {
            return Err(refused(
                text,
                "it has no host, or an IPv6 address without brackets",
            ));
        }
        let port = port.map_or(Ok(scheme.port()), str::parse);
        let port = port.map_err(|_| refused(text, "the port is a number up to 65535"))?;
        Ok(Self {
            scheme,
            host_and_port: format!("{host}:{port}"),
            path: path.into(),
        })
    }

    pub(crate) fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(crate) fn host_and_port(&self) -> &str {
        &self.host_and_port
    }
}

impl Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}{}",
            self.scheme.name(),
            self.host_and_port,
            self.path
        )
    }
}

fn refused(text: &str, why: &str) -> Failure {
    Failure::usage(format_args!("{text:?} is not a hub's URL: {why}"))
}

/// The host, and the port behind the last colon that is not part of an address in brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_port_may_be_left_out() {
        for (text, expected) in [
            ("tcp://127.0.0.1:7001", "tcp://127.0.0.1:7001"),
            ("localhost:7001", "tcp://localhost:7001"),
            ("tcp://hub.example/", "tcp://hub.example:7000"),
            ("tcp://[::1]:7001", "tcp://[::1]:7001"),
            ("[::1]", "tcp://[::1]:7000"),
            ("ws://127.0.0.1", "ws://127.0.0.1:7001"),
            ("ws://[::1]:80/", "ws://[::1]:80"),
            (
                "ws://hub.example/live?a=b:c",
                "ws://hub.example:7001/live?a=b:c",
            ),
        ] {
            assert_eq!(Url::parse(text).expect(text).to_string(), expected);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "tcp://",
            "ws://",
            ":7000",
            "http://host:1",
            "wss://host:1",
            "host:port",
            "host:65536",
            "host:",
            "::1",
            "tcp://::1",
            "tcp://host:1/path",
            "tcp://user@host:1",
            "ws://user@host:1",
            "ws://host:1?query",
            "ws://host:1/a b",
            "ws://host:1/a#b",
            "ws://host:1/a\r\nx",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_to_listen_on_is_of_its_option() {
        let listening = |text| Url::listening(Scheme::WebSocket, text);
        for text in ["localhost", "ws://localhost:7001/"] {
            let url = listening(text).expect(text);
            assert_eq!(url.to_string(), "ws://localhost:7001");
        }
        for text in ["tcp://localhost", "ws://localhost/path", "localhost/path"] {
            assert!(listening(text).is_err(), "{text}");
        }
    }
}
