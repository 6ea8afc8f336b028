//! Where to listen, as a URL and without its scheme.

use std::fmt::Display;

const SCHEME: &str = "ws://";

/// A host or an IP address, and a port, as text; the scheme and the path of a URL are left out.
pub(crate) fn host_and_port(addr: impl Into<String>) -> String {
    let addr = addr.into();
    match addr.strip_prefix(SCHEME) {
        Some(rest) => rest.split('/').next().unwrap_or_default().to_owned(),
        None => addr,
    }
}

/// The URL of `addr`.
pub(crate) fn url(addr: impl Display) -> String {
    format!("{SCHEME}{addr}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_optional() {
        assert_eq!(host_and_port("localhost:7001"), "localhost:7001");
        assert_eq!(host_and_port(url("localhost:7001")), "localhost:7001");
        assert_eq!(host_and_port("ws://localhost:7001/"), "localhost:7001");
    }
}
