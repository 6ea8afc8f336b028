//! From a URL to a client that is online.

use std::time::Duration;

use lapwing::Limits;
use lapwing::client::{Client, ClientBuilder, ClientEnd, Outage, State};
use lapwing::protocol::Json;
use lapwing::runtime::Smol;
use lapwing::wire::Refusal;

use crate::failure::{Failure, chain};
use crate::url::{Scheme, Url};

/// How often a client of this program speaks at least: its hub finds out soon when it was stopped or cut off.
pub(crate) const PROMISE: Duration = Duration::from_secs(2);

/// What is spoken with the hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    #[default]
    Postcard,
    Json,
}

/// How to connect.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    pub(crate) url: Url,
    pub(crate) promise: Duration,
    pub(crate) language: Language,
}

impl Connect {
    pub(crate) fn to(url: Url) -> Self {
        Self {
            url,
            promise: PROMISE,
            language: Language::default(),
        }
    }

    /// A client that is online. It connects again by itself later on, but not before it was online once: a wrong URL is
    /// better told than tried for ever.
    pub(crate) async fn client(self, smol: &Smol) -> Result<Client, Failure> {
        self.online(self.builder(smol)).await
    }

    /// The same for a client that is described already.
    pub(crate) async fn online(&self, builder: ClientBuilder) -> Result<Client, Failure> {
        let client = builder.spawned();
        let mut states = client.states();
        loop {
            let why = match states.next().await {
                Some(State::Online { .. }) => return Ok(client),
                Some(State::Waiting { outage, .. }) => describe(&outage),
                Some(State::Ended(end)) => describe_end(&end),
                Some(_) => continue,
                None => "the client has ended".into(),
            };
            return Err(Failure::failed(format_args!(
                "no connection to {}: {why}",
                self.url
            )));
        }
    }

    /// Describes a client.
    pub(crate) fn builder(&self, smol: &Smol) -> ClientBuilder {
        let limits = Limits {
            promise: self.promise,
            // Nobody waits long for a program to end.
            closing: Duration::from_secs(2),
            ..Limits::default()
        };
        let builder = match self.url.scheme() {
            Scheme::Tcp => {
                let connector = lapwing_tcp::smol::connect(self.url.host_and_port());
                Client::builder(smol.clone(), connector)
            }
            Scheme::WebSocket => {
                let connector = lapwing_websocket::smol::connect(self.url.to_string());
                Client::builder(smol.clone(), connector)
            }
        };
        match self.language {
            Language::Postcard => builder.limits(limits),
            Language::Json => builder.limits(limits).protocol(Json),
        }
    }
}

/// Why there is no connection for now.
pub(crate) fn describe(outage: &Outage) -> String {
    match outage {
        Outage::Unreachable { message, .. } => message.clone(),
        Outage::Late => "no answer in time".into(),
        Outage::Refused(refusal) => format!("the hub refuses: {}", describe_refusal(*refusal)),
        Outage::Closed(reason) => format!("ended by the hub: {reason}"),
        Outage::Failed(reason) => format!("given up: {reason}"),
        Outage::Broken => "the connection broke".into(),
        _ => "no connection".into(),
    }
}

/// Why there never will be one again.
pub(crate) fn describe_end(end: &ClientEnd) -> String {
    match end {
        ClientEnd::Refused { reason, message } if message.is_empty() => {
            format!("the hub refuses: {}", describe_refusal(*reason))
        }
        ClientEnd::Refused { message, .. } => format!("the hub refuses: {message}"),
        end => chain(end),
    }
}

fn describe_refusal(refusal: Refusal) -> String {
    match refusal {
        Refusal::Version { .. } => "it speaks another version of the protocol".into(),
        Refusal::Unauthorized => "not allowed".into(),
        Refusal::Full => "it is full".into(),
        Refusal::Shutdown => "it is about to end".into(),
        Refusal::Malformed => "it did not understand".into(),
        Refusal::Late => "the handshake took too long".into(),
        Refusal::Promise { max_ms } => {
            format!("a client must speak every {max_ms} ms, see --promise")
        }
        Refusal::MessageTooLarge { size, max } => {
            format!("first message of {size} bytes, it takes at most {max}")
        }
        Refusal::Count => "both sides count differently".into(),
        _ => "for a reason that this program does not know".into(),
    }
}
