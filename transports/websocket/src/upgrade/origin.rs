//! Whose page a request comes from: the defence against
//! [cross-site WebSocket hijacking](https://www.rfc-editor.org/rfc/rfc6455#section-10.2), also for servers that answer requests by themselves.

/// Whether a page of `origin` may ask for what `authority` has: its own host on any port, or one of `listed`.
///
/// `*` in the list stands for all.
pub fn is_allowed(origin: &str, authority: &str, listed: &[String]) -> bool {
    let is_listed = |known: &String| known == "*" || known.eq_ignore_ascii_case(origin);
    let is_own = || {
        let host = page_host(origin)?;
        Some(host.eq_ignore_ascii_case(host_of(authority)?))
    };
    listed.iter().any(is_listed) || is_own().unwrap_or(false)
}

/// Whether a page of `origin` comes from the port of `authority`; where none is named it is that of the page's scheme.
pub fn is_same_port(origin: &str, authority: &str) -> bool {
    let Some((scheme, page)) = origin.split_once("://") else {
        return false;
    };
    let usual = match scheme.eq_ignore_ascii_case("https") {
        true => "443",
        false => "80",
    };
    let port = |authority| {
        let (_, port) = split(authority)?;
        Some(port.filter(|port| !port.is_empty()).unwrap_or(usual))
    };
    let own = port(authority);
    own.is_some() && port(page) == own
}

/// Whether it is a host, with or without a port: what a `Host` has to be.
pub fn is_authority(authority: &str) -> bool {
    split(authority).is_some()
}

/// The host of a page that a web server has sent.
fn page_host(origin: &str) -> Option<&str> {
    let (scheme, authority) = origin.split_once("://")?;
    let is_web = ["http", "https"]
        .iter()
        .any(|web| scheme.eq_ignore_ascii_case(web));
    host_of(authority).filter(|_| is_web)
}

/// The host of `host[:port]`, where an IPv6 address has brackets; `None` when it is none.
pub(crate) fn host_of(authority: &str) -> Option<&str> {
    split(authority).map(|(host, _)| host)
}

/// A host and what follows the colon behind it.
pub(crate) fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    let address_end = authority.starts_with('[').then(|| authority.find(']'));
    let host_end = match address_end {
        Some(end) => end? + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(host_end);
    let port = match rest {
        "" => None,
        rest => Some(rest.strip_prefix(':')?),
    };
    let is_number = port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    (is_host(host) && is_number).then_some((host, port))
}

/// The characters of RFC 3986, section 3.2.2, in brackets those of an address.
fn is_host(host: &str) -> bool {
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
    match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_our_own_host_may_come_whatever_the_port_and_case() {
        for (origin, authority) in [
            ("http://hub.example", "hub.example"),
            ("https://HUB.example:8443", "hub.Example:7000"),
            ("HTTP://hub.example:", "hub.example:80"),
            ("http://127.0.0.1:3000", "127.0.0.1:7000"),
            ("http://[::1]:3000", "[::1]:7000"),
            ("http://[FE80::1]", "[fe80::1]"),
        ] {
            assert!(is_allowed(origin, authority, &[]), "{origin} {authority}");
        }
    }

    #[test]
    fn a_port_that_is_not_named_is_that_of_the_scheme() {
        for (origin, authority, same) in [
            ("http://hub.example", "hub.example", true),
            ("https://hub.example", "hub.example:443", true),
            ("http://hub.example:", "hub.example:80", true),
            ("http://[::1]:7000", "[::1]:7000", true),
            ("http://hub.example:3000", "hub.example:7000", false),
            ("https://hub.example", "hub.example:80", false),
            ("http://hub.example:port", "hub.example:port", false),
            ("null", "hub.example", false),
        ] {
            assert_eq!(is_same_port(origin, authority), same, "{origin}");
        }
    }

    #[test]
    fn other_pages_may_not() {
        for (origin, authority) in [
            ("null", "null"),
            ("", "hub.example"),
            ("hub.example", "hub.example"),
            ("//hub.example", "hub.example"),
            ("http://", ""),
            ("file://hub.example", "hub.example"),
            ("chrome-extension://hub.example", "hub.example"),
            ("http://hub.example.evil", "hub.example"),
            ("http://evil-hub.example", "hub.example"),
            ("http://sub.hub.example", "hub.example"),
            ("http://hub.example@evil", "hub.example"),
            ("http://evil/hub.example", "hub.example"),
            ("http://evil?://hub.example", "hub.example"),
            ("http://hub.example/", "hub.example"),
            ("http://hub.example http://evil", "hub.example"),
            ("http://hub.example:80:90", "hub.example"),
            ("http://hub.example:port", "hub.example"),
            ("http://[::1", "[::1]"),
            ("http://[::1]x", "[::1]"),
            ("http://[hub.example]", "[hub.example]"),
            ("http://::1", "::1"),
        ] {
            assert!(!is_allowed(origin, authority, &[]), "{origin} {authority}");
        }
    }

    #[test]
    fn listed_origins_may_come_as_they_are() {
        let listed = ["https://app.example".into(), "http://localhost:3000".into()];
        for (origin, allowed) in [
            ("https://app.example", true),
            ("HTTPS://App.example", true),
            ("http://app.example", false),
            ("https://app.example:8443", false),
            ("http://localhost:3000", true),
            ("http://localhost", false),
        ] {
            assert_eq!(is_allowed(origin, "hub", &listed), allowed, "{origin}");
        }
        for origin in ["null", "file://", "http://anybody"] {
            assert!(is_allowed(origin, "hub", &["*".into()]), "{origin}");
        }
    }
}
