//! Requests that a program answers itself: [`Route`].

use core::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use lapwing::runtime::{BoxFuture, Runtime};

use crate::body::Body;
use crate::refusal::Refusal;
use crate::{fields, post};

/// What the body of a request may have for a program, in bytes: what a message of a client may have, if nothing else is said.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What the bodies of all requests that are being answered by one function may have, in bytes.
const BODIES_BYTES_MAX: usize = 64 << 20;

/// A function of the program's own.
pub(crate) struct Route {
    answer: Box<Answer>,
    /// Bytes of bodies that are here.
    bodies: AtomicUsize,
}

type Answer = dyn Fn(Request<Bytes>) -> BoxFuture<'static, Response<Bytes>> + Send + Sync;

impl Route {
    pub(crate) fn new<F, Fut>(answer: F) -> Self
    where
        F: Fn(Request<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Response<Bytes>> + Send + 'static,
    {
        Self {
            answer: Box::new(move |request| Box::pin(answer(request))),
            bodies: AtomicUsize::new(0),
        }
    }

    pub(crate) async fn answer<B: http_body::Body>(
        &self,
        request: Request<B>,
        runtime: &dyn Runtime,
    ) -> Result<Response<Body>, Refusal> {
        let (parts, body) = request.into_parts();
        fields::authority(&parts)?;
        let mut held = Held {
            bodies: &self.bodies,
            bytes: 0,
        };
        let mut one = post::up_to(BODY_BYTES_MAX);
        let takes = |bytes| one(bytes).and_then(|()| held.grow(bytes));
        let body = post::body(body, takes, runtime).await?;
        let response = (self.answer)(Request::from_parts(parts, body)).await;
        Ok(response.map(Body::from))
    }
}

/// The part of one request in the bytes that are here.
struct Held<'a> {
    bodies: &'a AtomicUsize,
    bytes: usize,
}

impl Held<'_> {
    /// Has so many bytes from now on, if there is room.
    fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let more = bytes - self.bytes;
        let before = self.bodies.fetch_add(more, Ordering::Relaxed);
        self.bytes = bytes;
        match before + more > BODIES_BYTES_MAX {
            true => Err(Refusal::too_many("too much is asked at once")),
            false => Ok(()),
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.bodies.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
