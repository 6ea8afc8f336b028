//! One path with a hub behind it: [`Endpoint`].

use core::convert::Infallible;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;

use http::header::{ACCEPT, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use lapwing::runtime::Runtime;
use tower_service::Service;

use crate::body::Body;
use crate::connections::{Connections, Found};
use crate::hearing::Hearing;
use crate::listener::{self, Door, Listener};
use crate::options::{Options, Transports};
use crate::pipe::Pipe;
use crate::piped::{Piped, Way};
use crate::post::Saying;
use crate::refusal::Refusal;
use crate::{cors, events, fields, negotiate, poll, post, upgrade};

/// One path with a hub behind it, as a service of [`tower`](tower_service): a clone is the same endpoint.
///
/// It answers to the path that it stands at and to `negotiate` below it, whatever comes before.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    options: Options,
    runtime: Arc<dyn Runtime>,
    connections: Arc<Connections>,
    door: Arc<Door>,
}

const CROWD: Refusal = Refusal::too_many("this connection says too much at once");

const FULL: Refusal = Refusal::too_many("there is no hub here, or too many come at once");

impl Endpoint {
    /// An endpoint, and the listener with the transports that come of its requests.
    pub fn new(runtime: impl Runtime, options: Options) -> (Self, Listener) {
        Self::at("http:".into(), Arc::new(runtime), options)
    }

    pub(crate) fn at(url: String, runtime: Arc<dyn Runtime>, options: Options) -> (Self, Listener) {
        let (door, listener) = listener::door(url);
        let connections = Connections::new(options.unattached_max, options.attach_within);
        let endpoint = Self(Arc::new(Inner {
            options,
            runtime,
            connections: Arc::new(connections),
            door,
        }));
        (endpoint, listener)
    }

    /// The answer to a request.
    ///
    /// # Cancel safety
    ///
    /// Dropped, a client has not heard what waits for it, and nothing is lost; or what it said may have been taken, or not.
    pub async fn answer<B: http_body::Body>(&self, request: Request<B>) -> Response<Body> {
        let (mut parts, body) = request.into_parts();
        let origins = &self.0.options.origins;
        let page = fields::listed_page(&parts, origins).cloned();
        let answer = self.route(&mut parts, body).await;
        let mut response = answer.unwrap_or_else(Response::from);
        cors::allow(page, response.headers_mut());
        response
    }

    async fn route<B: http_body::Body>(
        &self,
        parts: &mut Parts,
        body: B,
    ) -> Result<Response<Body>, Refusal> {
        let authority = fields::authority(parts)?;
        let page = fields::check_page(parts, authority, &self.0.options);
        let negotiates = parts.uri.path().ends_with("/negotiate");
        let query = fields::query(parts);
        if cors::is_preflight(parts) {
            return Ok(cors::preflight());
        }
        if let Some(check) = &self.0.options.authenticate {
            let asked = upgrade::asked(parts, query.clone(), &self.0.options);
            if !check(asked).await {
                return Err(Refusal::unauthorized());
            }
        }
        match parts.method {
            // A page of somebody else cannot read the answer: its browser sees to that.
            Method::POST if negotiates => self.negotiate(parts, query).await,
            _ if negotiates => Err(Refusal::method("POST")),
            // What it says, it could say all the same, and a WebSocket it could read.
            _ if let Err(refusal) = page => Err(refusal),
            Method::GET if fields::lists(&parts.headers, UPGRADE, "websocket") => {
                self.attach(parts, query)
            }
            Method::GET => self.hear(parts, query).await,
            Method::POST => self.say(&query, body).await,
            Method::DELETE => self.part(&query),
            _ => Err(Refusal::method("GET, POST, DELETE")),
        }
    }

    async fn negotiate(
        &self,
        parts: &Parts,
        query: Vec<(String, String)>,
    ) -> Result<Response<Body>, Refusal> {
        let inner = &*self.0;
        if let Some(decide) = &inner.options.negotiate {
            let asked = upgrade::asked(parts, query.clone(), &inner.options);
            let decision = decide(asked).await;
            if let Some(diverted) = negotiate::divert(&decision, &inner.options) {
                return Ok(diverted);
            }
        }
        let asks = |wanted: &str| {
            let is_it = |(name, _): &&(String, String)| name.eq_ignore_ascii_case(wanted);
            query.iter().find(is_it).map(|(_, value)| &**value)
        };
        if !inner.door.is_open() {
            return Err(FULL);
        }
        Ok(negotiate::answer(
            asks("negotiateVersion"),
            asks("useStatefulReconnect").is_some_and(|wish| wish.eq_ignore_ascii_case("true")),
            &inner.options,
            &inner.connections,
            &*inner.runtime,
        ))
    }

    fn offers(&self, transport: Transports) -> Result<(), Refusal> {
        match self.0.options.transports.contains(transport) {
            true => Ok(()),
            false => Err(Refusal::not_found("this transport is not offered here")),
        }
    }

    /// Lets a WebSocket begin, for a connection that was negotiated or for a new one.
    fn attach(
        &self,
        parts: &mut Parts,
        query: Vec<(String, String)>,
    ) -> Result<Response<Body>, Refusal> {
        let inner = &*self.0;
        self.offers(Transports::WEBSOCKETS)?;
        let accept = upgrade::check(parts)?;
        let seat = inner.door.seat().ok_or(FULL)?;
        let known = match id(&query) {
            Ok(token) => Some(inner.connections.attach(token, inner.runtime.now())?),
            Err(_) => None,
        };
        let (connection, ticket) = known.unzip();
        let mut asked = upgrade::asked(parts, query, &inner.options);
        (asked.connection, asked.ticket) = (connection, ticket.flatten());
        let protocol = upgrade::agree(parts, &inner.options);
        if protocol.is_some() {
            asked.protocol.clone_from(&protocol);
            // One message each.
            asked.batch_bytes = 0;
        }
        inner.runtime.spawn(upgrade::attach(parts, asked, seat));
        Ok(upgrade::response(&accept, protocol.as_deref()))
    }

    /// Lets a client hear, by events or by a poll.
    async fn hear(
        &self,
        parts: &Parts,
        query: Vec<(String, String)>,
    ) -> Result<Response<Body>, Refusal> {
        let inner = &*self.0;
        let way = match fields::lists(&parts.headers, ACCEPT, "text/event-stream") {
            true => Way::Events,
            false => Way::Polls,
        };
        self.offers(way.transport())?;
        let token = id(&query)?.to_owned();
        let now = inner.runtime.now();
        match inner.connections.open(&token, way, now) {
            Found::New(connection, pipe) => {
                let Some(seat) = inner.door.seat() else {
                    inner.connections.forget(&token, false);
                    return Err(FULL);
                };
                let mut asked = upgrade::asked(parts, query, &inner.options);
                asked.connection = Some(connection);
                // It hears before the hub has it: nobody is silent.
                let hearing = self.hearing(&pipe);
                let time = (&*inner.runtime, inner.options.silent_for);
                let connections = &inner.connections;
                let piped = Piped::new(pipe, way, token, connections, asked, time);
                seat.fill(Box::new(piped));
                Ok(match way {
                    Way::Events => events::answer(hearing),
                    // A client that has negotiated says nothing before the first poll is answered.
                    Way::Polls => poll::empty(),
                })
            }
            Found::Open(_, before) if before != way => {
                Err(Refusal::bad("Cannot change transports mid-connection"))
            }
            Found::Open(_, Way::Events) => Err(Refusal::conflict("its events are heard already")),
            Found::Open(pipe, Way::Polls) => {
                let within = inner.options.poll_within;
                Ok(poll::answer(self.hearing(&pipe), &*inner.runtime, within).await)
            }
            Found::Ended => Ok(poll::over()),
            Found::Nothing => Err(Refusal::unknown()),
        }
    }

    fn hearing(&self, pipe: &Arc<Pipe>) -> Hearing {
        Hearing::begin(pipe.clone(), self.0.runtime.clone())
    }

    /// Takes what a client says.
    async fn say<B: http_body::Body>(
        &self,
        query: &[(String, String)],
        body: B,
    ) -> Result<Response<Body>, Refusal> {
        let inner = &*self.0;
        let found = inner.connections.find(id(query)?);
        let (pipe, _) = found.ok_or(Refusal::unknown())?;
        let saying = Saying::begin(&pipe).ok_or(CROWD)?;
        let takes = post::up_to(inner.options.body_bytes_max);
        let body = post::body(body, takes, &*inner.runtime).await?;
        match saying.say(body).await {
            true => Ok(Response::new(Body::default())),
            false => Err(Refusal::unknown()),
        }
    }

    /// Ends a connection that is polled; the others end with the request by which they hear.
    fn part(&self, query: &[(String, String)]) -> Result<Response<Body>, Refusal> {
        let found = self.0.connections.find(id(query)?);
        let (pipe, Way::Polls) = found.ok_or(Refusal::unknown())? else {
            return Err(Refusal::bad(
                "Cannot terminate this connection using the DELETE endpoint.",
            ));
        };
        pipe.part();
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::ACCEPTED;
        Ok(response)
    }
}

/// The secret that opens a connection.
fn id(query: &[(String, String)]) -> Result<&str, Refusal> {
    let id = query
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("id"));
    let (_, id) = id.ok_or(Refusal::bad("Connection ID required"))?;
    Ok(id)
}

impl<B> Service<Request<B>> for Endpoint
where
    B: http_body::Body<Data: Send> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let endpoint = self.clone();
        Box::pin(async move { Ok(endpoint.answer(request).await) })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::future::poll_fn;

    use futures_lite::future::block_on;
    use http_body::Body as _;
    use lapwing_memory::Virtual;

    use super::*;
    use crate::pipe::Heard;

    #[test]
    fn a_connection_for_which_there_is_no_seat_is_forgotten() {
        let (endpoint, listener) = Endpoint::new(Virtual::new(1), Options::signalr());
        let inner = &endpoint.0;
        let id = lapwing::ConnectionId::from_bytes([1; 16]);
        inner
            .connections
            .insert("token".into(), id, false, inner.runtime.now());
        let seats: Vec<_> = core::iter::from_fn(|| inner.door.seat()).collect();
        let request = Request::get("/hub?id=token").header("host", "hub");
        let request = request.body(Body::default()).expect("a request");
        let response = block_on(endpoint.answer(request));
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(inner.connections.find("token").is_none());
        drop((seats, listener));
    }

    #[test]
    fn a_poll_lasts_until_all_of_its_answer_is_taken() {
        let (endpoint, _listener) = Endpoint::new(Virtual::new(1), Options::signalr());
        let pipe = Arc::new(Pipe::default());
        pipe.send(vec![b'x'; 40_000].into());
        let hearing = endpoint.hearing(&pipe);
        let heard = block_on(poll_fn(|cx| hearing.poll(cx)));
        let Heard::Bytes(bytes) = heard else {
            panic!("{heard:?}");
        };
        let mut body = Body::heard(bytes, hearing);
        assert_eq!(body.size_hint().exact(), Some(40_000));
        let mut sizes = Vec::new();
        while let Some(Ok(frame)) = block_on(poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))) {
            sizes.push(frame.data_ref().map_or(0, |data| data.len()));
            assert_eq!(pipe.silent_since(), None);
        }
        assert_eq!(sizes, [16_384, 16_384, 7_232]);
        drop(body);
        assert!(pipe.silent_since().is_some());
    }
}
