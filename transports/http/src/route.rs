//! Requests that a program answers itself: [`Route`].

use bytes::Bytes;
use http::{Request, Response};
use lapwing::runtime::{BoxFuture, Runtime};

use crate::body::Body;
use crate::refusal::Refusal;
use crate::{fields, post};

/// What the body of a request may have for a program, in bytes: what a message of a client may have, if nothing else is said.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A function of the program's own.
pub(crate) struct Route(Box<Answer>);

type Answer = dyn Fn(Request<Bytes>) -> BoxFuture<'static, Response<Bytes>> + Send + Sync;

impl Route {
    pub(crate) fn new<F, Fut>(answer: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Bytes>> + Send + 'static,
    {
        Self(Box::new(move |request| Box::pin(answer(request))))
    }

    pub(crate) async fn answer<B: http_body::Body>(
        &self,
        request: Request<B>,
        runtime: &dyn Runtime,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        fields::authority(&parts)?;
        let body = post::body(body, BODY_BYTES_MAX, runtime).await?;
        let response = (self.0)(Request::from_parts(parts, body)).await;
        Ok(response.map(Body::from))
    }
}
