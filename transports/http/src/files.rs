//! The files of a page: [`Files`].

mod kind;
mod opened;
mod wanted;

use core::convert::Infallible;
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::path::Path;
use std::sync::Arc;

use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use tower_service::Service;

pub(crate) use self::opened::Reading;
use self::opened::{Found, Opened};
use self::wanted::Wanted;
use crate::body::Body;
use crate::fields;
use crate::refusal::Refusal;

/// The files of a folder and those below it, as a service of [`tower`](tower_service): for the pages that connect to a hub. A clone is the same folder.
///
/// The path of a request is that of a file, and one that ends with a slash that of an `index.html`. `GET` and `HEAD` are answered, with an `ETag` and 304 for who has the file as it is; ranges are
/// not: their requests get the whole file. Files are read as they are asked for, so that they can change; a changed one is heard of at once (`Cache-Control: no-cache`).
/// When one becomes shorter while it is sent, the answer is broken off, so that its client knows that it is not whole.
///
/// What is outside of the folder is not found, nor what is hidden (a name in its path begins with a full stop), nor by a link where it would not be otherwise. Whoever may change the folder
/// while files are asked for decides what is served.
///
/// # When full
///
/// An answer under way holds one open file and 16 KiB of it. A file that cannot be opened because too many are is answered 503.
///
/// # Examples
///
/// ```no_run
/// use lapwing_http::Files;
///
/// let files = Files::new("page")?;
/// let app = axum::Router::<()>::new().fallback_service(files);
/// # drop(app);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Files(Arc<Path>);

const NOTHING: Refusal = Refusal::not_found("there is nothing here");

impl Files {
    /// The files of `folder`. Looks it up at once, and blocks while it does.
    ///
    /// # Errors
    ///
    /// When there is no such folder.
    pub fn new(folder: impl AsRef<Path>) -> io::Result<Self> {
        let folder = folder.as_ref().canonicalize()?;
        match folder.is_dir() {
            true => Ok(Self(folder.into())),
            false => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// The answer to a request.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body> {
        let (parts, _) = request.into_parts();
        self.answer_below("", &parts).await
    }

    /// The same for a folder whose path on the server begins with `base`, without the slash that follows.
    pub(crate) async fn answer_below(&self, base: &str, parts: &Parts) -> Response<Body> {
        let answer = self.find(base, parts).await;
        answer.unwrap_or_else(Response::from)
    }

    async fn find(&self, base: &str, parts: &Parts) -> Result<Response<Body>, Refusal> {
        fields::authority(parts)?;
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            return Err(Refusal::method("GET, HEAD"));
        }
        let path = parts.uri.path();
        let below = path.strip_prefix(base).unwrap_or(path);
        let wanted = Wanted::new(below).ok_or(NOTHING)?;
        let folder = self.0.clone();
        let found = blocking::unblock(move || opened::open(&folder, &wanted)).await;
        match found.map_err(|error| refusal(&error))? {
            Found::File(opened) => Ok(respond(opened, parts)),
            Found::Folder => Ok(redirect(&parts.uri)),
        }
    }
}

fn refusal(error: &io::Error) -> Refusal {
    use io::ErrorKind as E;
    match error.kind() {
        E::NotFound
        | E::NotADirectory
        | E::PermissionDenied
        | E::InvalidInput
        | E::InvalidFilename => NOTHING,
        _ => Refusal::too_many("this cannot be read now"),
    }
}

/// An answer with a file, or with the news that there is none.
fn respond(opened: Opened, parts: &Parts) -> Response<Body> {
    let tag = opened.tag();
    let has_it = tag.as_ref().is_some_and(|tag| is_known(tag, parts));
    let (length, kind) = (opened.length(), opened.kind());
    let mut response = match (has_it, &parts.method) {
        (true, _) | (_, &Method::HEAD) => Response::new(Body::default()),
        _ => Response::new(Body::file(opened.into_reading())),
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
    if has_it {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CONTENT_LENGTH, length.into());
    }
    response
}

/// Whether the client has the file with this tag: [RFC 9110, section 13.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2). Ours have no comma.
fn is_known(tag: &HeaderValue, parts: &Parts) -> bool {
    let mut known = fields::list(&parts.headers, IF_NONE_MATCH);
    known.any(|one| one == "*" || one.trim_start_matches("W/").as_bytes() == tag.as_bytes())
}

/// To the folder itself, so that what its page names is looked for in it.
fn redirect(uri: &Uri) -> Response<Body> {
    let last = uri.path().rsplit('/').next().unwrap_or_default();
    let query = uri.query().map(|query| format!("?{query}"));
    let query = query.unwrap_or_default();
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    let headers = response.headers_mut();
    // There may be a file of this name later.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Relative: it leads to no other host, and whatever stands in front of this server stays there.
    if let Ok(location) = HeaderValue::try_from(format!("./{last}/{query}")) {
        headers.insert(LOCATION, location);
    }
    response
}

impl<B: Send + 'static> Service<Request<B>> for Files {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let files = self.clone();
        Box::pin(async move { Ok(files.answer(request).await) })
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Files").field(&self.0).finish()
    }
}
