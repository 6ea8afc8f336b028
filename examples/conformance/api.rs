//! Requests from outside of any hub that reach its clients.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use lapwing::hub::{PublishError, Published, RemoteCallError};
use lapwing::payload::{Arguments, Decode, Encode, Value};
use lapwing::wire::{Encoding, Payload};
use lapwing::{Hub, Typed};
use lapwing_http::Server;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::asking::ask;

#[derive(Deserialize)]
struct Broadcast {
    to: To,
    id: Option<String>,
    method: String,
    args: Arguments,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum To {
    All,
    Group,
    User,
    Connection,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    connection_id: String,
    method: String,
    args: Arguments,
}

#[derive(Serialize)]
struct Answered {
    result: Value,
}

#[derive(Serialize)]
struct Failed {
    error: String,
}

type Answer = Response<Bytes>;

pub(crate) fn routes(server: &mut Server, hub: &Hub) {
    let hub_of_broadcasts = hub.clone();
    server.route("/api/broadcast", move |request| {
        let answer = posted(&request).and_then(|()| broadcast(&hub_of_broadcasts, &request));
        async { answer.unwrap_or_else(empty) }
    });
    let hub = hub.clone();
    server.route("/api/ask", move |request| {
        let hub = hub.clone();
        async move { question(&hub, &request).await.unwrap_or_else(empty) }
    });
}

fn broadcast(hub: &Hub, request: &Request<Bytes>) -> Result<Answer, StatusCode> {
    let Broadcast {
        to,
        id,
        method,
        args,
    } = read(request)?;
    let id = || id.ok_or(StatusCode::BAD_REQUEST);
    let sent = match to {
        To::All => hub.all().send(&method, args),
        To::Group => hub.group(id()?).send(&method, args),
        To::User => hub.user(id()?).send(&method, args),
        To::Connection => match id()?.parse() {
            Ok(id) => hub.connection(id).send(&method, args),
            Err(_) => Ok(Published::default()),
        },
    };
    sent.map_err(|_: PublishError| StatusCode::BAD_REQUEST)?;
    Ok(empty(StatusCode::ACCEPTED))
}

async fn question(hub: &Hub, request: &Request<Bytes>) -> Result<Answer, StatusCode> {
    posted(request)?;
    let Question {
        connection_id,
        method,
        args,
    } = read(request)?;
    let failed = |error| Ok(json(StatusCode::BAD_GATEWAY, Failed { error }));
    match ask(hub, connection_id.parse().ok(), method, args).await {
        Ok(result) => Ok(json(StatusCode::OK, Answered { result })),
        Err(RemoteCallError::Failed(failure)) => failed(failure.message),
        Err(RemoteCallError::TimedOut) => Err(StatusCode::GATEWAY_TIMEOUT),
        Err(RemoteCallError::Gone) => Err(StatusCode::NOT_FOUND),
        Err(RemoteCallError::Full) => Err(StatusCode::SERVICE_UNAVAILABLE),
        Err(RemoteCallError::Arguments(_)) => Err(StatusCode::BAD_REQUEST),
        Err(other) => failed(other.to_string()),
    }
}

fn posted(request: &Request<Bytes>) -> Result<(), StatusCode> {
    match *request.method() {
        Method::POST => Ok(()),
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// The body, which is JSON.
fn read<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, StatusCode> {
    let payload = Payload {
        encoding: Encoding::Json,
        bytes: request.body(),
    };
    let Typed(body) = Decode::decode(payload).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(body)
}

fn json(status: StatusCode, value: impl Serialize) -> Answer {
    let mut bytes = Vec::new();
    if Typed(value).encode(Encoding::Json, &mut bytes).is_err() {
        return empty(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let mut response = Response::new(bytes.into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

fn empty(status: StatusCode) -> Answer {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}
