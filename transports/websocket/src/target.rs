//! Where a connector connects to, and what it asks for there.

use core::fmt;
use std::io;

use crate::address;
use crate::upgrade::Request;

/// A URL and what goes with the request.
///
/// Its `Debug` form shows neither the query nor the values of headers: they may be secrets.
#[derive(Clone)]
pub(crate) struct Target {
    url: String,
    headers: Vec<(String, String)>,
    protocol: Option<&'static str>,
}

impl Target {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            protocol: None,
        }
    }

    pub(crate) fn header(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.headers.push((name.into(), value.into()));
    }

    pub(crate) fn offer(&mut self, protocol: &'static str) {
        self.protocol = Some(protocol);
    }

    /// The request.
    ///
    /// # Errors
    ///
    /// `InvalidInput` or `Unsupported` when the URL is none.
    pub(crate) fn request(&self) -> io::Result<Request> {
        let mut request = Request::parse(&self.url)?;
        request.headers.clone_from(&self.headers);
        request.protocol = self.protocol;
        Ok(request)
    }

    /// The URL for logs, without its query.
    pub(crate) fn url(&self) -> String {
        let (url, _) = self.url.split_once('?').unwrap_or((&self.url, ""));
        match url.contains("://") {
            true => url.into(),
            false => address::url(url),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("url", &self.url())
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_see_no_secrets() {
        let mut target = Target::new("localhost:7001/events?access_token=abc");
        target.header("authorization", "Bearer xyz");
        assert_eq!(target.url(), "ws://localhost:7001/events");
        let shown = format!("{target:?}");
        assert!(!shown.contains("abc") && !shown.contains("xyz"), "{shown}");
    }

    #[test]
    fn a_request_has_what_was_asked_for() {
        let mut target = Target::new("ws://localhost:7001/events?a=1");
        target.header("authorization", "Bearer xyz");
        target.offer("lapwing.postcard");
        let request = target.request().expect("it is a URL");
        assert_eq!(request.host_and_port(), "localhost:7001");
        assert_eq!(request.path_and_query, "/events?a=1");
        assert_eq!(request.protocol, Some("lapwing.postcard"));
        assert_eq!(request.headers.len(), 1);
        assert!(Target::new("http://localhost").request().is_err());
    }
}
