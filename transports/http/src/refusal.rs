//! Why a request is refused: a status, and a text for people to read.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};

use crate::body::Body;

/// A refused request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    text: &'static str,
    header: Option<(&'static str, &'static str)>,
}

impl Refusal {
    const fn new(status: StatusCode, text: &'static str) -> Self {
        Self {
            status,
            text,
            header: None,
        }
    }

    pub(crate) const fn bad(text: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// Who asks has to show something: RFC 6750, section 3.
    pub(crate) const fn unauthorized() -> Self {
        Self {
            header: Some(("www-authenticate", "Bearer")),
            ..Self::new(StatusCode::UNAUTHORIZED, "this needs a valid token")
        }
    }

    pub(crate) const fn forbidden(text: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }

    pub(crate) const fn not_found(text: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, text)
    }

    /// Nothing is opened by what a client shows.
    pub(crate) const fn unknown() -> Self {
        Self::not_found("No Connection with that ID")
    }

    pub(crate) const fn conflict(text: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, text)
    }

    pub(crate) const fn body_too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
    }

    pub(crate) const fn late() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the body takes too long")
    }

    pub(crate) const fn too_many(text: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    /// Another method would do.
    pub(crate) const fn method(allowed: &'static str) -> Self {
        Self {
            header: Some(("allow", allowed)),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "there is nothing here by this method",
            )
        }
    }

    /// Another version of WebSocket would do: RFC 6455, section 4.4.
    pub(crate) const fn version() -> Self {
        Self {
            header: Some(("sec-websocket-version", "13")),
            ..Self::new(
                StatusCode::UPGRADE_REQUIRED,
                "only version 13 of WebSocket is spoken here",
            )
        }
    }
}

impl From<Refusal> for Response<Body> {
    fn from(refusal: Refusal) -> Self {
        let Refusal {
            status,
            text,
            header,
        } = refusal;
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if let Some((name, value)) = header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
