//! What a transport is told to say at the end of a session: the codes of
//! [RFC 6455, section 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1) and its registry.

use alloc::string::{String, ToString};

use crate::session::Ending;
use crate::transport::Goodbye;
use crate::wire::{Close, CloseReason, Refusal};

const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const PROTOCOL: u16 = 1002;
const UNSUPPORTED: u16 = 1003;
const INVALID: u16 = 1007;
const POLICY: u16 = 1008;
const TOO_BIG: u16 = 1009;
const TRY_AGAIN: u16 = 1013;

/// To a peer that sent text where the protocol has binary messages, or the other way round.
pub(super) fn wrong_kind() -> Goodbye {
    Goodbye {
        code: UNSUPPORTED,
        reason: "text or binary messages only, as the protocol says".into(),
    }
}

/// To a peer that knows why already.
pub(super) fn normal() -> Goodbye {
    Goodbye {
        code: NORMAL,
        reason: String::new(),
    }
}

/// The last words of a transport whose session ended like this, and of the program, if it has ended it.
pub(super) fn goodbye(ending: Option<Ending>, words: Option<&str>) -> Goodbye {
    let (code, reason) = match ending {
        Some(Ending::ByUs(Close {
            reason: reason @ CloseReason::Kicked,
            ..
        })) => (
            of_close(reason),
            words.map_or_else(|| reason.to_string(), String::from),
        ),
        Some(Ending::ByUs(Close { reason, .. })) => (of_close(reason), reason.to_string()),
        Some(Ending::Refused(refusal)) => (of_refusal(refusal), describe(refusal).into()),
        Some(Ending::ByPeer(_) | Ending::Lost | Ending::Resumed) | None => (NORMAL, String::new()),
    };
    Goodbye { code, reason }
}

fn of_close(reason: CloseReason) -> u16 {
    use CloseReason as R;
    match reason {
        R::Done => NORMAL,
        R::Shutdown => GOING_AWAY,
        R::Kicked | R::Silent | R::Flood => POLICY,
        R::MessageTooLarge { .. } => TOO_BIG,
        R::TooSlow | R::Stalled => TRY_AGAIN,
        R::Malformed => INVALID,
        R::Unexpected | R::Count => PROTOCOL,
    }
}

fn of_refusal(refusal: Refusal) -> u16 {
    use Refusal as R;
    match refusal {
        R::Full => TRY_AGAIN,
        R::Shutdown => GOING_AWAY,
        R::Unauthorized | R::Late | R::Promise { .. } => POLICY,
        R::MessageTooLarge { .. } => TOO_BIG,
        R::Malformed => INVALID,
        R::Version { .. } | R::Count => PROTOCOL,
    }
}

fn describe(refusal: Refusal) -> &'static str {
    use Refusal as R;
    match refusal {
        R::Full => "full: try again later",
        R::Shutdown => "the hub shuts down",
        R::Unauthorized => "not allowed",
        R::Late => "the handshake took too long",
        R::Promise { .. } => "the promise is too long",
        R::MessageTooLarge { .. } => "the first message is too large",
        R::Malformed => "the first message is no hello",
        R::Version { .. } => "another version of the protocol",
        R::Count => "the session to resume counts otherwise",
    }
}
