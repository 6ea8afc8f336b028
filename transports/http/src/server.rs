//! A server of its own, with endpoints on some of its paths: [`Server`].

use core::cmp::Reverse;
use core::fmt;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response};
use lapwing::runtime::{BoxFuture, Runtime};

use crate::body::Body;
use crate::endpoint::Endpoint;
use crate::files::Files;
use crate::listener::Listener;
use crate::options::Options;
use crate::refusal::Refusal;
use crate::route::Route;

/// Connections that are HTTP and nothing else: those that hear events or poll are among them.
const CONNECTIONS_MAX: usize = 16_384;

/// How long to wait when the machine is out of something that a new connection needs.
const ACCEPT_PAUSE: core::time::Duration = core::time::Duration::from_millis(100);

/// Accepts sockets of one runtime.
#[async_trait]
pub(crate) trait Sockets: Send {
    /// The work of the next connection.
    async fn accept(
        &mut self,
        routes: Arc<Routes>,
        runtime: Arc<dyn Runtime>,
    ) -> io::Result<BoxFuture<'static, ()>>;
}

/// A server of its own, with endpoints on some of its paths; made by `lapwing_http::smol::listen` or `lapwing_http::tokio::listen`.
#[must_use = "nobody is answered unless the server runs"]
pub struct Server {
    runtime: Arc<dyn Runtime>,
    sockets: Box<dyn Sockets>,
    url: String,
    routes: Routes,
}

/// What is on which path.
#[derive(Default)]
pub(crate) struct Routes {
    endpoints: Vec<(String, Endpoint)>,
    own: HashMap<String, Route>,
    health: Option<String>,
    /// The longest path first.
    files: Vec<(String, Files)>,
    /// Connections that are there.
    open: AtomicUsize,
}

impl Server {
    pub(crate) fn new(
        runtime: Arc<dyn Runtime>,
        sockets: Box<dyn Sockets>,
        addr: std::net::SocketAddr,
    ) -> Self {
        Self {
            runtime,
            sockets,
            url: format!("http://{addr}"),
            routes: Routes::default(),
        }
    }

    /// Where it listens, with the port that was taken: `http://127.0.0.1:8080`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Puts an endpoint at `path`, which begins with a slash; one that was there is gone. The hub behind it serves what is returned.
    pub fn endpoint(&mut self, path: impl Into<String>, options: Options) -> Listener {
        let path = path.into();
        let url = format!("{}{path}", self.url);
        let (endpoint, listener) = Endpoint::at(url, self.runtime.clone(), options);
        self.routes.endpoints.retain(|(known, _)| *known != path);
        self.routes.endpoints.push((path, endpoint));
        listener
    }

    /// Lets a function of the program answer what is asked at exactly this path, by whatever method, with a body of up to 1 MiB; one that was there is gone. It stands before an endpoint
    /// and the health of the same path.
    ///
    /// The time that it takes is the client's; it is dropped when the client goes. One that panics answers nothing. A page of any origin may ask:
    /// look at the header `Origin` where that matters.
    ///
    /// # When full
    ///
    /// Beyond 64 MiB of bodies at the same path, a request that brings more is refused (503), whoever brings it: clients that take their time hold their part for up to 60 s.
    ///
    /// # Examples
    ///
    /// ```
    /// use http::{Method, Response, StatusCode};
    /// # fn with(mut server: lapwing_http::Server, hub: lapwing::Hub) {
    /// server.route("/news", move |request| {
    ///     let hub = hub.clone();
    ///     async move {
    ///         let published = hub.publish("news", request.body().to_vec());
    ///         let status = match request.method() {
    ///             &Method::POST if published.is_ok() => StatusCode::ACCEPTED,
    ///             _ => StatusCode::METHOD_NOT_ALLOWED,
    ///         };
    ///         let mut response = Response::new("".into());
    ///         *response.status_mut() = status;
    ///         response
    ///     }
    /// });
    /// # }
    /// ```
    pub fn route<F, Fut>(&mut self, path: impl Into<String>, answer: F)
    where
        F: Fn(Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Bytes>> + Send + 'static,
    {
        self.routes.own.insert(path.into(), Route::new(answer));
    }

    /// Answers `ok` to everybody who asks at `path` whether the server is there.
    pub fn health(&mut self, path: impl Into<String>) {
        self.routes.health = Some(path.into());
    }

    /// Serves the files of `folder` at `path` and below it, where there is nothing else: `"/"` is everywhere. What was there is gone.
    ///
    /// # Errors
    ///
    /// When there is no such folder.
    pub fn files(&mut self, path: &str, folder: impl AsRef<Path>) -> io::Result<()> {
        let (base, files) = (path.trim_end_matches('/').to_owned(), Files::new(folder)?);
        let known = &mut self.routes.files;
        known.retain(|(known, _)| *known != base);
        known.push((base, files));
        known.sort_by_key(|(base, _)| Reverse(base.len()));
        Ok(())
    }

    /// Answers requests, for ever. Dropping the future stops accepting; connections that are there go on.
    ///
    /// # When full
    ///
    /// Connections beyond 16,384 that have not become WebSockets wait until there are fewer; from three quarters of that on each ends with the answer to its request.
    pub async fn run(mut self) {
        let routes = Arc::new(self.routes);
        loop {
            let accepted = match routes.open.load(Ordering::Relaxed) < CONNECTIONS_MAX {
                true => {
                    let next = self.sockets.accept(routes.clone(), self.runtime.clone());
                    next.await.ok()
                }
                false => None,
            };
            let Some(connection) = accepted else {
                pause(&*self.runtime).await;
                continue;
            };
            let place = Place::take(&routes);
            self.runtime.spawn(Box::pin(async move {
                let _place = place;
                connection.await;
            }));
        }
    }
}

async fn pause(runtime: &dyn Runtime) {
    let mut timer = runtime.timer();
    timer.arm(runtime.now() + ACCEPT_PAUSE);
    core::future::poll_fn(|cx| timer.poll_fired(cx)).await;
}

/// One of the connections that are there.
struct Place(Arc<Routes>);

impl Place {
    fn take(routes: &Arc<Routes>) -> Self {
        routes.open.fetch_add(1, Ordering::Relaxed);
        Self(routes.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Routes {
    /// Whether places become scarce.
    pub(crate) fn is_crowded(&self) -> bool {
        self.open.load(Ordering::Relaxed) > CONNECTIONS_MAX / 4 * 3
    }

    pub(crate) async fn answer<B: http_body::Body>(
        &self,
        request: Request<B>,
        runtime: &dyn Runtime,
    ) -> Response<Body> {
        let path = request.uri().path();
        if let Some(route) = self.own.get(path) {
            let answer = route.answer(request, runtime).await;
            return answer.unwrap_or_else(Response::from);
        }
        if self.health.as_deref() == Some(path) {
            return match *request.method() {
                Method::GET | Method::HEAD => healthy(),
                _ => Refusal::method("GET").into(),
            };
        }
        // A slash at the end makes no difference.
        let base = path.strip_suffix("/negotiate").unwrap_or(path);
        let base = base.trim_end_matches('/');
        let found = |(known, _): &&(String, Endpoint)| known.trim_end_matches('/') == base;
        match self.endpoints.iter().find(found) {
            Some((_, endpoint)) => endpoint.answer(request).await,
            None => self.answer_with_file(request).await,
        }
    }

    async fn answer_with_file<B>(&self, request: Request<B>) -> Response<Body> {
        let (parts, _) = request.into_parts();
        let path = parts.uri.path();
        let holds = |(base, _): &&(String, Files)| {
            let rest = path.strip_prefix(&**base);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match self.files.iter().find(holds) {
            Some((base, files)) => files.answer_below(base, &parts).await,
            None => Refusal::not_found("there is nothing here").into(),
        }
    }
}

fn healthy() -> Response<Body> {
    let mut response = Response::new(Body::from("ok"));
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.routes.endpoints.iter().map(|(path, _)| path);
        f.debug_struct("Server")
            .field("url", &self.url)
            .field("endpoints", &paths.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
