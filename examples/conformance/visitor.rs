//! Who comes: tokens, what is remembered of each connection, and what is said of coming and going.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use lapwing::CallFailure;
use lapwing::hub::{Action, Admission, Ask, Caller, Gone, HubBuilder, Refuse, Remote};
use lapwing::payload::Value;
use lapwing::transport::Upgrade;

/// What is remembered of a connection.
#[derive(Default)]
pub(crate) struct Visitor {
    /// The request that its transport began with.
    pub(crate) request: Upgrade,
    pub(crate) transport: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) records: Mutex<Vec<Value>>,
    /// How many sequences are being pushed to it.
    pub(crate) pushing: AtomicU32,
}

impl Visitor {
    fn new(ask: Ask) -> Self {
        Self {
            request: ask.upgrade.map(|request| *request).unwrap_or_default(),
            transport: match ask.transport {
                "sse" => "ServerSentEvents",
                "poll" => "LongPolling",
                _ => "WebSockets",
            },
            protocol: match ask.protocol {
                "signalr.messagepack" => "messagepack",
                _ => "json",
            },
            ..Self::default()
        }
    }

    pub(crate) fn of(caller: &Caller) -> Result<Arc<Self>, CallFailure> {
        let visitor = caller.state();
        visitor.ok_or_else(|| CallFailure::private("everybody is let in with a state"))
    }

    fn asks_for(&self, parameter: &str) -> bool {
        self.request.parameter(parameter) == Some("1")
    }
}

/// Whom a token belongs to.
pub(crate) fn known(token: Option<&[u8]>) -> Option<Admission> {
    match token? {
        b"token-alice" => Some(Admission::user("alice")),
        b"token-bob" => Some(Admission::user("bob")),
        b"token-admin" => Some(Admission::user("root").role("admin")),
        _ => None,
    }
}

/// What happens at the doors of the hub.
pub(crate) fn doors(hub: HubBuilder) -> HubBuilder {
    hub.on_connect(async |ask| admit(ask))
        .on_connected(|remote| greet(&remote))
        .on_disconnect(|gone| tell(&gone))
        .authorize(|peer, action| match action {
            Action::Call("AdminOnly") => peer.has_role("admin"),
            _ => true,
        })
}

fn admit(ask: Ask) -> Result<Admission, Refuse> {
    let admission = known(ask.token.as_deref()).unwrap_or_default();
    let visitor = Visitor::new(ask);
    match visitor.asks_for("reject") {
        true => Err(Refuse::unauthorized("this is private")),
        false => Ok(admission.state(visitor)),
    }
}

fn greet(remote: &Remote) {
    let visitor = remote.state::<Visitor>();
    if visitor.is_some_and(|visitor| visitor.asks_for("greet")) {
        let sent = remote.send("Welcome", remote.id().to_string());
        sent.expect("a good topic, and a short text");
    }
}

fn tell(gone: &Gone) {
    let watchers = gone.hub().group("watchers");
    let sent = watchers.send("Left", gone.connection.to_string());
    sent.expect("a good topic, and a short text");
}
