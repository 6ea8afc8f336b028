//! Where a hub is, as the user writes it.

use crate::failure::Failure;

/// The port of a hub when none is named.
const PORT: u16 = 7000;

/// A hub's address: host and port, as `lapwing-tcp` takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    host_and_port: String,
}

impl Url {
    /// Reads `tcp://HOST[:PORT]`; the scheme may be left out, an IPv6 address stands in brackets.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let refused =
            |why: &str| Failure::usage(format_args!("{text:?} is not a hub's URL: {why}"));
        let rest = match text.split_once("://") {
            Some(("tcp", rest)) => rest,
            Some(_) => return Err(refused("only tcp:// is known")),
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '@', '?', '#', ' ']) {
            return Err(refused("there is more in it than host and port"));
        }
        let (host, port) = split_port(rest);
        let bracketed = host.starts_with('[') && host.ends_with(']');
        if host.is_empty() || (host.contains([':', '[', ']']) && !bracketed) {
            return Err(refused(
                "it has no host, or an IPv6 address without brackets",
            ));
        }
        match port.map_or(Ok(PORT), str::parse) {
            Ok(port) => Ok(Self {
                host_and_port: format!("{host}:{port}"),
            }),
            Err(_) => Err(refused("the port is a number up to 65535")),
        }
    }

    pub(crate) fn host_and_port(&self) -> &str {
        &self.host_and_port
    }
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
            ("tcp://127.0.0.1:7001", "127.0.0.1:7001"),
            ("localhost:7001", "localhost:7001"),
            ("tcp://hub.example/", "hub.example:7000"),
            ("tcp://[::1]:7001", "[::1]:7001"),
            ("[::1]", "[::1]:7000"),
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!(url.host_and_port(), expected);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "tcp://",
            ":7000",
            "ws://host:1",
            "host:port",
            "host:65536",
            "host:",
            "::1",
            "tcp://::1",
            "tcp://host:1/path",
            "tcp://user@host:1",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }
}
