//! One path with a hub behind it: [`Endpoint`].

use core::convert::Infallible;
use core::fmt;
use core::future::Ready;
use core::task::{Context, Poll};
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};
use lapwing::runtime::Runtime;
use tower_service::Service;

use crate::body::Body;
use crate::listener::{self, Listener, Way};
use crate::options::Options;
use crate::refusal::Refusal;
use crate::waiting::Waiting;
use crate::{cors, fields, negotiate, upgrade};

/// One path with a hub behind it, as a service of [`tower`](tower_service): a clone is the same endpoint.
///
/// It answers to the path that it stands at and to `negotiate` below it, whatever comes before.
#[derive(Clone)]
pub struct Endpoint(Arc<Inner>);

struct Inner {
    options: Options,
    runtime: Arc<dyn Runtime>,
    waiting: Waiting,
    way: Way,
}

impl Endpoint {
    /// An endpoint, and the listener with the transports that come of its requests.
    pub fn new(runtime: impl Runtime, options: Options) -> (Self, Listener) {
        Self::at("http:".into(), Arc::new(runtime), options)
    }

    pub(crate) fn at(url: String, runtime: Arc<dyn Runtime>, options: Options) -> (Self, Listener) {
        let (way, listener) = listener::way(url);
        let waiting = Waiting::new(options.unattached_max, options.attach_within);
        let endpoint = Self(Arc::new(Inner {
            options,
            runtime,
            waiting,
            way,
        }));
        (endpoint, listener)
    }

    /// The answer to a request. What it has to do beside that runs in a task of its own.
    pub fn answer<B>(&self, request: Request<B>) -> Response<Body> {
        let (mut parts, _) = request.into_parts();
        let page = self.page(&parts);
        let answer = self.route(&mut parts, &page);
        let mut response = answer.unwrap_or_else(Response::from);
        cors::allow(page.ok().flatten(), response.headers_mut());
        response
    }

    /// The origin of the page that makes the request, if one does and may.
    fn page(&self, parts: &Parts) -> Result<Option<HeaderValue>, Refusal> {
        let authority = fields::authority(parts)?;
        let page = fields::page(parts, authority, &self.0.options.origins)?;
        Ok(page.cloned())
    }

    fn route(
        &self,
        parts: &mut Parts,
        page: &Result<Option<HeaderValue>, Refusal>,
    ) -> Result<Response<Body>, Refusal> {
        fields::authority(parts)?;
        let negotiates = parts.uri.path().ends_with("/negotiate");
        match parts.method {
            _ if cors::is_preflight(parts) => Ok(cors::preflight()),
            // A page of somebody else cannot read the answer: its browser sees to that.
            Method::POST if negotiates => self.negotiate(parts),
            _ if negotiates => Err(Refusal::method("POST")),
            // Of a WebSocket it could.
            Method::GET => {
                page.as_ref().map_err(|refusal| *refusal)?;
                self.attach(parts)
            }
            _ => Err(Refusal::method("GET")),
        }
    }

    fn negotiate(&self, parts: &Parts) -> Result<Response<Body>, Refusal> {
        let query = fields::query(parts);
        let is_it = |(name, _): &&(String, String)| name.eq_ignore_ascii_case("negotiateVersion");
        let version = query.iter().find(is_it);
        let inner = &*self.0;
        negotiate::answer(
            version.map(|(_, version)| &**version),
            &inner.options,
            &inner.waiting,
            &*inner.runtime,
        )
    }

    /// Lets a transport begin, for a connection that was negotiated or for a new one.
    fn attach(&self, parts: &mut Parts) -> Result<Response<Body>, Refusal> {
        let inner = &*self.0;
        let accept = upgrade::check(parts)?;
        let query = fields::query(parts);
        let id = query.iter().find(|(name, _)| name == "id");
        let connection = match id {
            None => None,
            Some((_, token)) => {
                let taken = inner.waiting.take(token, inner.runtime.now());
                Some(taken.ok_or(Refusal::not_found("No Connection with that ID"))?)
            }
        };
        if inner.way.is_closed() {
            return Err(Refusal::too_many("there is no hub here"));
        }
        let asked = upgrade::asked(parts, query, connection, &inner.options);
        inner
            .runtime
            .spawn(upgrade::attach(parts, asked, inner.way.clone()));
        Ok(upgrade::response(&accept))
    }
}

impl<B> Service<Request<B>> for Endpoint {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        core::future::ready(Ok(self.answer(request)))
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
