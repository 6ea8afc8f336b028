//! What an endpoint asks of those who come: [`Options`].

use core::time::Duration;

/// What an endpoint asks of those who come, and offers to them.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) protocol: Option<String>,
    pub(crate) origins: Vec<String>,
    pub(crate) cookies: Vec<String>,
    pub(crate) unattached_max: usize,
    pub(crate) attach_within: Duration,
}

impl Options {
    /// For clients of SignalR: a hub behind it speaks [`lapwing_signalr::Json`](https://docs.rs/lapwing-signalr).
    ///
    /// Pages of the server's own host may connect, and programs that are no browser.
    pub fn signalr() -> Self {
        Self {
            protocol: Some("signalr.json".into()),
            origins: Vec::new(),
            cookies: Vec::new(),
            unattached_max: 1_024,
            attach_within: Duration::from_secs(15),
        }
    }

    /// Lets pages of these origins connect as well, as in `https://example.org`; `*` is all, whatever they are.
    #[must_use]
    pub fn origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Gives this cookie to everybody who negotiates, as the value of a `Set-Cookie`: `name=value; Path=/`. For load balancers that send a client to the server it began with.
    ///
    /// One that no header can hold is left out.
    #[must_use]
    pub fn cookie(mut self, cookie: impl Into<String>) -> Self {
        self.cookies.push(cookie.into());
        self
    }

    /// How many may have negotiated and not connected yet, 1,024 otherwise; more are told to try later (503).
    #[must_use]
    pub fn unattached_max(mut self, max: usize) -> Self {
        self.unattached_max = max;
        self
    }

    /// How long what was negotiated is remembered before a transport comes for it, 15 s otherwise.
    #[must_use]
    pub fn attach_within(mut self, within: Duration) -> Self {
        self.attach_within = within;
        self
    }
}
