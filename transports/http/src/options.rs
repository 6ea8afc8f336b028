//! What an endpoint asks of those who come: [`Options`].

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use lapwing::runtime::BoxFuture;
use lapwing::transport::Upgrade;

use crate::negotiate::Negotiation;

/// What the program decides about a request.
type Ask<T> = Arc<dyn Fn(Upgrade) -> BoxFuture<'static, T> + Send + Sync>;

/// What an endpoint asks of those who come, and offers to them.
#[derive(Clone)]
pub struct Options {
    pub(crate) authenticate: Option<Ask<bool>>,
    pub(crate) negotiate: Option<Ask<Negotiation>>,
    pub(crate) protocols: Vec<String>,
    pub(crate) otherwise: Option<String>,
    pub(crate) transports: Transports,
    pub(crate) origins: Vec<String>,
    pub(crate) same_port: bool,
    pub(crate) cookies: Vec<String>,
    pub(crate) unattached_max: usize,
    pub(crate) attach_within: Duration,
    pub(crate) body_bytes_max: usize,
    pub(crate) poll_within: Duration,
    pub(crate) silent_for: Duration,
    pub(crate) stateful_reconnect: bool,
}

/// Ways to be connected, of which clients try the first that both sides know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transports(u8);

impl Transports {
    /// [RFC 6455](https://www.rfc-editor.org/rfc/rfc6455).
    pub const WEBSOCKETS: Self = Self(1);
    /// [Server-Sent Events](https://html.spec.whatwg.org/multipage/server-sent-events.html), for text.
    pub const SERVER_SENT_EVENTS: Self = Self(2);
    /// Requests that wait for something to be said.
    pub const LONG_POLLING: Self = Self(4);
    /// All of them.
    pub const ALL: Self = Self(7);

    /// These and others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether all of `others` are among these.
    pub const fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

impl Options {
    /// For clients of SignalR, with a hub behind it that speaks [`lapwing_signalr::Json`](https://docs.rs/lapwing-signalr), and `MessagePack` where they ask for it; and for those of lapwing, which ask for a sub-protocol of
    /// its own on a WebSocket.
    ///
    /// Pages of the server's own host may connect, and programs that are no browser.
    pub fn signalr() -> Self {
        Self {
            otherwise: Some("signalr.json".into()),
            transports: Transports::ALL,
            ..Self::native()
        }
    }

    /// For clients of lapwing and bare WebSockets of pages, over WebSocket.
    ///
    /// Pages of the server's own host may connect, and programs that are no browser.
    pub fn native() -> Self {
        Self {
            authenticate: None,
            negotiate: None,
            protocols: ["lapwing.postcard", "lapwing.json"]
                .map(String::from)
                .into(),
            otherwise: None,
            transports: Transports::WEBSOCKETS,
            origins: Vec::new(),
            same_port: false,
            cookies: Vec::new(),
            unattached_max: 1_024,
            attach_within: Duration::from_secs(15),
            body_bytes_max: 1 << 20,
            poll_within: Duration::from_secs(90),
            silent_for: Duration::from_secs(15),
            stateful_reconnect: false,
        }
    }

    /// Speaks these sub-protocols instead of lapwing's own with those who ask for one on a WebSocket: the [names](lapwing::protocol::Protocol::name) of the hub's
    /// protocols.
    #[must_use]
    pub fn protocols(mut self, protocols: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Offers these transports and no others.
    #[must_use]
    pub fn transports(mut self, transports: Transports) -> Self {
        self.transports = transports;
        self
    }

    /// Lets pages of these origins connect as well, as in `https://example.org`; `*` is all, whatever they are.
    #[must_use]
    pub fn origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.origins = origins.into_iter().map(Into::into).collect();
        self
    }

    /// Lets pages of the server's own host connect only when they come from the port that they ask, as their `Host` names it; otherwise from every port of the host.
    #[must_use]
    pub fn same_port(mut self) -> Self {
        self.same_port = true;
        self
    }

    /// Answers 401 to every request for which `check` says no, before anything else is done: negotiations, WebSockets, polls and what clients say.
    ///
    /// Who a client is and what it may do decides the hub behind it, once for each connection: [`HubBuilder::on_connect`](lapwing::hub::HubBuilder::on_connect). The time that this takes is the client's. A
    /// future that panics answers nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing_http::Options;
    ///
    /// let options = Options::signalr().authenticate(async |request| {
    ///     request.token().as_deref() == Some(b"open sesame")
    /// });
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn authenticate<F, Fut>(mut self, check: F) -> Self
    where
        F: Fn(Upgrade) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        self.authenticate = Some(Arc::new(move |request| Box::pin(check(request))));
        self
    }

    /// Lets `decide` say what becomes of each client that negotiates: it connects here, as it does otherwise, or is sent elsewhere, or refused with a text for its program.
    ///
    /// It is asked after [`authenticate`](Self::authenticate), and also when no hub serves what comes here: an endpoint may do nothing but send clients elsewhere. Who opens a WebSocket without negotiating is
    /// not asked: what nobody may is for [`HubBuilder::on_connect`](lapwing::hub::HubBuilder::on_connect) to refuse. The time that this takes is the client's. A future that panics answers nothing. Both answers have the status 200:
    /// [Transport Protocols](https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md#post-endpoint-basenegotiate-request).
    ///
    /// # Examples
    ///
    /// ```
    /// use lapwing_http::{Negotiation, Options};
    ///
    /// let options = Options::signalr().negotiate(async |request| match request.parameter("room") {
    ///     Some("attic") => Negotiation::Refuse("the attic is closed".into()),
    ///     Some("cellar") => Negotiation::Redirect {
    ///         url: "https://cellar.example/chat".into(),
    ///         access_token: None,
    ///     },
    ///     _ => Negotiation::Accept,
    /// });
    /// # drop(options);
    /// ```
    #[must_use]
    pub fn negotiate<F, Fut>(mut self, decide: F) -> Self
    where
        F: Fn(Upgrade) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Negotiation> + Send + 'static,
    {
        self.negotiate = Some(Arc::new(move |request| Box::pin(decide(request))));
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

    /// Lets clients of SignalR that ask for it return to their connection when their WebSocket is lost, to go on as if nothing had happened; SignalR calls that
    /// [stateful reconnect](https://learn.microsoft.com/aspnet/core/signalr/configuration#configure-stateful-reconnect). Off otherwise.
    ///
    /// The hub behind it keeps what such a client has not confirmed, up to [`Limits::resume_bytes_max`](lapwing::Limits::resume_bytes_max) before it sends no more, and
    /// waits for it for [`Limits::resume`](lapwing::Limits::resume). Its [`on_connect`](lapwing::hub::HubBuilder::on_connect) is asked again about each return.
    #[must_use]
    pub fn stateful_reconnect(mut self) -> Self {
        self.stateful_reconnect = true;
        self
    }

    /// Whether somebody may return: only to a WebSocket.
    pub(crate) fn lets_return(&self) -> bool {
        self.stateful_reconnect && self.transports.contains(Transports::WEBSOCKETS)
    }

    /// How many may have negotiated and not connected yet, 1,024 otherwise; more take the places of those that have waited longest.
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

    /// How many bytes the body of a request may have, 1 MiB otherwise; a larger one is refused (413). It may hold many messages: each has the bound of
    /// [`Limits::message_bytes_max`](lapwing::Limits::message_bytes_max).
    #[must_use]
    pub fn body_bytes_max(mut self, max: usize) -> Self {
        self.body_bytes_max = max;
        self
    }

    /// How long a poll waits for something to be said, 90 s otherwise; with none at all clients ask again and again.
    #[must_use]
    pub fn poll_within(mut self, within: Duration) -> Self {
        self.poll_within = within;
        self
    }

    /// How long a client that polls may be between two polls, 15 s otherwise; then it is gone.
    #[must_use]
    pub fn silent_for(mut self, silent_for: Duration) -> Self {
        self.silent_for = silent_for;
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("transports", &self.transports)
            .field("protocols", &self.protocols)
            .field("otherwise", &self.otherwise)
            .field("origins", &self.origins)
            .finish_non_exhaustive()
    }
}
