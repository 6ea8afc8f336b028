//! Negotiation: a client learns its id, the secret that opens its connection, and the transports that there are
//! ([Transport Protocols](https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md#post-endpoint-basenegotiate-request)).

use core::fmt;

use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::{HeaderValue, Response};
use lapwing::ConnectionId;
use lapwing::runtime::Runtime;
use serde::Serialize;

use crate::body::Body;
use crate::connections::Connections;
use crate::options::{Options, Transports};

/// What becomes of a client that negotiates; see [`Options::negotiate`].
///
/// Its `Debug` form does not show the token: it is a secret.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Negotiation {
    /// It connects here.
    Accept,
    /// It negotiates again somewhere else, and connects where it is let in then.
    Redirect {
        /// Where: `https://other.example/chat`. Clients keep its query. With an empty one they are refused.
        url: String,
        /// What it shows there, as its bearer token, instead of what it has shown here. In ASCII, without spaces: clients put it into a header
        /// ([RFC 6750, section 2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)).
        access_token: Option<String>,
    },
    /// It does not connect: its program sees this text, or "refused" instead of an empty one.
    Refuse(String),
}

impl fmt::Debug for Negotiation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("Accept"),
            Self::Redirect { url, .. } => {
                let mut shown = f.debug_struct("Redirect");
                shown.field("url", url).finish_non_exhaustive()
            }
            Self::Refuse(text) => f.debug_tuple("Refuse").field(text).finish(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    negotiate_version: u8,
    connection_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_token: Option<&'a str>,
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    use_stateful_reconnect: bool,
    available_transports: Vec<&'static Transport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Transport {
    #[serde(skip)]
    is: Transports,
    transport: &'static str,
    transfer_formats: &'static [&'static str],
}

/// In the order in which clients try them.
static TRANSPORTS: [Transport; 3] = [
    Transport {
        is: Transports::WEBSOCKETS,
        transport: "WebSockets",
        transfer_formats: &["Text", "Binary"],
    },
    Transport {
        is: Transports::SERVER_SENT_EVENTS,
        transport: "ServerSentEvents",
        transfer_formats: &["Text"],
    },
    Transport {
        is: Transports::LONG_POLLING,
        transport: "LongPolling",
        transfer_formats: &["Text", "Binary"],
    },
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Elsewhere<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<&'a str>,
}

#[derive(Serialize)]
struct Failure<'a> {
    error: &'a str,
}

/// The answer to a client that does not connect here; `None` when it does.
pub(crate) fn divert(decision: &Negotiation, options: &Options) -> Option<Response<Body>> {
    match decision {
        Negotiation::Accept => None,
        // Clients see no redirect in an empty URL, and no refusal in an empty text.
        Negotiation::Redirect { url, .. } if url.is_empty() => Some(refuse("", options)),
        Negotiation::Redirect { url, access_token } => {
            let access_token = access_token.as_deref();
            Some(json(&Elsewhere { url, access_token }, options))
        }
        Negotiation::Refuse(text) => Some(refuse(text, options)),
    }
}

fn refuse(text: &str, options: &Options) -> Response<Body> {
    let error = match text {
        "" => "refused",
        text => text,
    };
    json(&Failure { error }, options)
}

/// Answers a client that asks for this version of negotiation, and perhaps to return to its connection when that is lost.
pub(crate) fn answer(
    version: Option<&str>,
    wants_to_return: bool,
    options: &Options,
    connections: &Connections,
    runtime: &dyn Runtime,
) -> Response<Body> {
    let Ok(version) = version.unwrap_or("0").parse::<i64>() else {
        let error = "The client requested a non-integer protocol version.";
        return json(&Failure { error }, options);
    };
    let connection = ConnectionId::from_bytes(random(runtime));
    let id = connection.to_string();
    // The older version knows no secret but the id.
    let token = match version {
        ..=0 => None,
        1.. => Some(ConnectionId::from_bytes(random(runtime)).to_string()),
    };
    let opens = token.as_ref().unwrap_or(&id).clone();
    // What others may know lets nobody return.
    let returns = wants_to_return && token.is_some() && options.lets_return();
    connections.insert(opens, connection, returns, runtime.now());
    let offered = |transport: &&Transport| options.transports.contains(transport.is);
    let answer = Answer {
        negotiate_version: u8::from(token.is_some()),
        connection_id: &id,
        connection_token: token.as_deref(),
        use_stateful_reconnect: returns,
        available_transports: TRANSPORTS.iter().filter(offered).collect(),
    };
    json(&answer, options)
}

fn random(runtime: &dyn Runtime) -> [u8; 16] {
    let mut bytes = [0; 16];
    runtime.random(&mut bytes);
    bytes
}

fn json(value: &impl Serialize, options: &Options) -> Response<Body> {
    let text = serde_json::to_string(value).expect("texts and numbers are JSON");
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for cookie in &options.cookies {
        if let Ok(cookie) = HeaderValue::from_str(cookie) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown() {
        let redirect = Negotiation::Redirect {
            url: "https://other.example/chat".into(),
            access_token: Some("secret".into()),
        };
        let shown = format!("{redirect:?}");
        assert!(
            shown.contains("other.example") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
