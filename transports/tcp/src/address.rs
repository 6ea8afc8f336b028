//! Where to listen and where to connect to, as a URL and without its scheme.

use std::fmt::Display;

const SCHEME: &str = "tcp://";

/// A host or an IP address, and a port, as text; the scheme of a URL in front is left out.
pub(crate) fn host_and_port(addr: impl Into<String>) -> String {
    let addr = addr.into();
    match addr.strip_prefix(SCHEME) {
        Some(rest) => rest.to_owned(),
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
        assert_eq!(host_and_port("localhost:7000"), "localhost:7000");
        assert_eq!(host_and_port(url("localhost:7000")), "localhost:7000");
    }
}
