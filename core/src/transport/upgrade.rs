//! What a peer asked for when its transport began as an HTTP request: [`Upgrade`].

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::Ticket;
use crate::id::ConnectionId;
use crate::session::Wish;
use crate::wire::{List, Position};

/// The request that a transport began with, as WebSocket and other transports over HTTP do.
///
/// Its `Debug` form shows neither the values of headers nor those of the query: they may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// The sub-protocol that both sides agreed on: the name of a [`Protocol`](crate::protocol::Protocol).
    pub protocol: Option<String>,
    /// The path, as it was sent, without the query.
    pub path: String,
    /// The query, decoded, in order.
    pub query: Vec<(String, String)>,
    /// The headers, as they were sent: names and values, best as parts of one request.
    pub headers: Vec<(Bytes, Bytes)>,
    /// How many bytes a message of the transport may have more than [`Limits::message_bytes_max`](crate::Limits::message_bytes_max), for protocols of which one may hold
    /// several messages and that bound each of them.
    pub batch_bytes: u32,
    /// The name that the peer has been given already, as a negotiation does. Whoever gives it answers for nobody being able to choose or guess it.
    pub connection: Option<ConnectionId>,
    /// By which the peer returns to this connection when the transport is lost, or has returned now; the hub keeps it to itself.
    pub ticket: Option<Ticket>,
}

impl Upgrade {
    /// The first header of this name, in any case of its letters, when it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let is_it = |known: &Bytes| known.eq_ignore_ascii_case(name.as_bytes());
        let (_, value) = self.headers.iter().find(|(known, _)| is_it(known))?;
        core::str::from_utf8(value).ok()
    }

    /// The first parameter of this name in the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self.query.iter().find(|(known, _)| known == name)?;
        Some(value)
    }

    /// The value of the first cookie of this name ([RFC 6265, section 4.2](https://www.rfc-editor.org/rfc/rfc6265#section-4.2)), as it was sent, when it is text.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let is_it = |(known, _): &&(Bytes, Bytes)| known.eq_ignore_ascii_case(b"cookie");
        let headers = self.headers.iter().filter(is_it);
        let cookies = headers.flat_map(|(_, value)| value.split(|byte| *byte == b';'));
        let mut named = cookies.filter_map(|cookie| {
            let end = cookie.iter().position(|byte| *byte == b'=')?;
            (unpadded(&cookie[..end]) == name.as_bytes()).then_some(&cookie[end + 1..])
        });
        core::str::from_utf8(unpadded(named.next()?)).ok()
    }

    /// What the peer shows to be let in: the bearer token of its `authorization` header
    /// ([RFC 6750](https://www.rfc-editor.org/rfc/rfc6750#section-2.1)), or `access_token` in the query, as browsers cannot set headers.
    pub fn token(&self) -> Option<Bytes> {
        let bearer = |value: &str| {
            let (scheme, token) = value.split_once(' ')?;
            let token = token.trim();
            scheme
                .eq_ignore_ascii_case("bearer")
                .then(|| Bytes::copy_from_slice(token.as_bytes()))
        };
        let header = self.header("authorization").and_then(bearer);
        header.or_else(|| {
            let token = self.parameter("access_token")?;
            Some(Bytes::copy_from_slice(token.as_bytes()))
        })
    }

    /// What the peer says of resuming where the upgrade is its hello: `resumable` in the query, or `resume` with the token of its
    /// last welcome in hexadecimal digits; then `received`, the data frames that it has, and `positions`, the events that it has of
    /// each subscription: `0:5,1:7`. What is written otherwise counts as not said.
    pub(crate) fn resumption(&self) -> Resumption {
        let number = |text: &str| text.parse().ok();
        let token = self.parameter("resume").and_then(|text| {
            let token: ConnectionId = text.parse().ok()?;
            Some(*token.as_bytes())
        });
        let received = self.parameter("received").and_then(number).unwrap_or(0);
        let positions = self.parameter("positions").unwrap_or("").split(',');
        Resumption {
            resumable: token.is_some() || self.parameter("resumable").is_some(),
            resume: token.map(|token| (token, received)),
            positions: positions.filter_map(position).collect(),
        }
    }

    /// Whether the peer will say hello by itself: `hello` in the query. Otherwise the upgrade says it, in protocols that
    /// [allow that](crate::protocol::Protocol::implies_hello).
    pub fn says_hello(&self) -> bool {
        self.parameter("hello").is_some()
    }
}

/// Without the blanks and tabs around it, and nothing else: what a browser takes for part of a name is part of it.
fn unpadded(text: &[u8]) -> &[u8] {
    let is_word = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = text.iter().position(is_word).unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(is_word)
        .map_or(start, |last| last + 1);
    &text[start..end]
}

/// What an upgrade says of resuming.
pub(crate) struct Resumption {
    resumable: bool,
    resume: Option<([u8; 16], u64)>,
    positions: Vec<Position>,
}

impl Resumption {
    pub(crate) fn wish(&self) -> Wish<'_> {
        Wish {
            resumable: self.resumable,
            resume: self.resume,
            positions: List::new(&self.positions),
        }
    }
}

fn position(text: &str) -> Option<Position> {
    let (subscription, accounted) = text.split_once(':')?;
    Some(Position {
        subscription: subscription.parse().ok()?,
        accounted: accounted.parse().ok()?,
    })
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let query = self.query.iter().map(|(name, _)| name);
        let headers = self.headers.iter().map(|(name, _)| name);
        f.debug_struct("Upgrade")
            .field("protocol", &self.protocol)
            .field("path", &self.path)
            .field("query", &query.collect::<Vec<_>>())
            .field("headers", &headers.collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{format, vec};

    use super::*;

    fn upgrade(header: Option<&str>, query: &[(&str, &str)]) -> Upgrade {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let header = header.map(|value| (bytes("Authorization"), bytes(value)));
        let query = query
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Upgrade {
            headers: header.into_iter().collect(),
            query: query.collect(),
            ..Upgrade::default()
        }
    }

    #[test]
    fn a_token_is_in_the_header_or_in_the_query() {
        let query = [("access_token", "of the query")];
        let token = |header, query| upgrade(header, query).token();
        assert_eq!(
            token(Some("Bearer abc"), &query).as_deref(),
            Some(&b"abc"[..])
        );
        assert_eq!(token(Some("bearer abc"), &[]).as_deref(), Some(&b"abc"[..]));
        assert_eq!(token(None, &query).as_deref(), Some(&b"of the query"[..]));
        assert_eq!(
            token(Some("Basic abc"), &query).as_deref(),
            Some(&b"of the query"[..])
        );
        assert_eq!(token(Some("Bearer"), &[]), None);
    }

    #[test]
    fn cookies_are_found_by_name_wherever_they_stand() {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let headers = [
            ("Cookie", "a=1; b=x=y ;c="),
            ("accept", "d=1"),
            (
                "cookie",
                "a=2;e=\"q\"; f; \u{2000}g=1;\tg\u{a0}=2; =3;\th=4\t ",
            ),
        ];
        let upgrade = Upgrade {
            headers: headers
                .map(|(name, value)| (bytes(name), bytes(value)))
                .into(),
            ..Upgrade::default()
        };
        for (name, value) in [
            ("a", Some("1")),
            ("b", Some("x=y")),
            ("c", Some("")),
            ("d", None),
            ("e", Some("\"q\"")),
            ("f", None),
            ("A", None),
            ("g", None),
            ("\u{2000}g", Some("1")),
            ("", Some("3")),
            ("h", Some("4")),
        ] {
            assert_eq!(upgrade.cookie(name), value, "{name}");
        }
    }

    #[test]
    fn a_cookie_that_is_no_text_hides_no_other() {
        let cookies = Bytes::from_static(b"theme=\xe9; session=abc");
        let upgrade = Upgrade {
            headers: vec![(Bytes::from_static(b"cookie"), cookies)],
            ..Upgrade::default()
        };
        assert_eq!(upgrade.cookie("session"), Some("abc"));
        assert_eq!(upgrade.cookie("theme"), None);
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!(
            "{:?}",
            upgrade(Some("Bearer abc"), &[("access_token", "xyz")])
        );
        assert!(shown.contains("access_token") && shown.contains("Authorization"));
        assert!(!shown.contains("abc") && !shown.contains("xyz"), "{shown}");
    }
}
