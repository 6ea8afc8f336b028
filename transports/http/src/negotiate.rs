//! Negotiation: a client learns its id, the secret that opens its connection, and the transports that there are
//! ([Transport Protocols](https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/TransportProtocols.md#post-endpoint-basenegotiate-request)).

use http::header::{CONTENT_TYPE, SET_COOKIE};
use http::{HeaderValue, Response};
use lapwing::ConnectionId;
use lapwing::runtime::Runtime;
use serde::Serialize;

use crate::body::Body;
use crate::connections::Connections;
use crate::options::{Options, Transports};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    negotiate_version: u8,
    connection_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_token: Option<&'a str>,
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
struct Failure {
    error: &'static str,
}

/// Answers a client that asks for this version of negotiation.
pub(crate) fn answer(
    version: Option<&str>,
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
    connections.insert(opens, connection, runtime.now());
    let offered = |transport: &&Transport| options.transports.contains(transport.is);
    let answer = Answer {
        negotiate_version: u8::from(token.is_some()),
        connection_id: &id,
        connection_token: token.as_deref(),
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
