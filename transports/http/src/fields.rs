//! Questions about the headers of a request.

use http::header::{AsHeaderName, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use lapwing_websocket::origin;

use crate::options::Options;
use crate::refusal::Refusal;

/// The value of a header that may be there once.
///
/// # Errors
///
/// It is there twice: two readers could each follow another one of them.
pub(crate) fn single(
    headers: &HeaderMap,
    name: impl AsHeaderName,
) -> Result<Option<&HeaderValue>, Refusal> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (first, None) => Ok(first),
        _ => Err(Refusal::bad("a header is there twice")),
    }
}

/// The elements of a list, which may be spread over several headers: RFC 9110, section 5.6.1.
pub(crate) fn list(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    let elements = values.flat_map(|value| value.to_str().unwrap_or_default().split(','));
    elements.map(|one| one.trim_matches([' ', '\t']))
}

/// Whether a list has this element, in any case of its letters.
pub(crate) fn lists(headers: &HeaderMap, name: impl AsHeaderName, element: &str) -> bool {
    list(headers, name).any(|one| one.eq_ignore_ascii_case(element))
}

/// Whose host the request is about: that of its target, which HTTP/2 always has, or its Host.
pub(crate) fn authority(parts: &Parts) -> Result<&str, Refusal> {
    const BAD: Refusal = Refusal::bad("there must be one Host, with a name or an address");
    let host = single(&parts.headers, HOST)?;
    let host = host
        .map(|host| host.to_str().map_err(|_| BAD))
        .transpose()?;
    let target = parts.uri.authority().map(|authority| authority.as_str());
    let authority = target.or(host).ok_or(BAD)?;
    match host.is_none_or(origin::is_authority) && origin::is_authority(authority) {
        true => Ok(authority),
        false => Err(BAD),
    }
}

/// Whether the page that makes the request may: one of our own host, or a listed one; or no page at all.
pub(crate) fn check_page(parts: &Parts, authority: &str, options: &Options) -> Result<(), Refusal> {
    let page = single(&parts.headers, ORIGIN)?;
    let is_allowed = |page: &HeaderValue| {
        is_listed(page, &options.origins) || is_own(text(page), authority, options.same_port)
    };
    match page.is_none_or(is_allowed) {
        true => Ok(()),
        false => Err(Refusal::forbidden("pages of this Origin may not come here")),
    }
}

/// The page that makes the request, if it may read our answers although it is of another origin: our own needs no leave.
pub(crate) fn listed_page<'a>(parts: &'a Parts, listed: &[String]) -> Option<&'a HeaderValue> {
    let page = single(&parts.headers, ORIGIN).ok()?;
    page.filter(|page| is_listed(page, listed))
}

fn is_listed(page: &HeaderValue, listed: &[String]) -> bool {
    origin::is_allowed(text(page), "", listed)
}

fn is_own(page: &str, authority: &str, same_port: bool) -> bool {
    origin::is_allowed(page, authority, &[])
        && (!same_port || origin::is_same_port(page, authority))
}

fn text(value: &HeaderValue) -> &str {
    value.to_str().unwrap_or_default()
}

/// The parameters of the query, decoded, in order.
pub(crate) fn query(parts: &Parts) -> Vec<(String, String)> {
    let query = parts.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}
