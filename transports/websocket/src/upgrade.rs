//! How a WebSocket begins: one HTTP request and its answer, [RFC 6455, section 4](https://www.rfc-editor.org/rfc/rfc6455#section-4).
//!
//! ```text
//!  hub:     bytes ─► Head ─► answer(head, terms) ─► bytes of the response; an Upgrade, or what was wrong
//!  client:  Request ─► ask(stream) ─► the stream, the sub-protocol, what came behind the response
//! ```
//!
//! The hub's half has no I/O: tungstenite would close without an answer where 400, 426 or 431 is due.

mod answer;
mod ask;
mod fields;
mod head;
#[cfg(test)]
mod oracle;
pub mod origin;
mod refusal;
mod request;
#[cfg(test)]
mod tests;

pub use self::answer::accept_key;
pub(crate) use self::answer::{Answer, Terms, answer};
pub(crate) use self::ask::ask;
pub(crate) use self::head::Head;
pub(crate) use self::refusal::{refuse, too_long};
pub(crate) use self::request::Request;
