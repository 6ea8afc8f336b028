//! The handshake: which hub protocol, in which version. Always JSON, whatever is spoken then.

use lapwing::wire::{Encoding, Encodings, Hello, List, Terms, VERSION};
use serde::Deserialize;

use crate::form::Form;
use crate::incoming::Str;

/// The versions of the hub protocol that are spoken; the second adds what stateful reconnect needs.
const VERSIONS: core::ops::RangeInclusive<i64> = 1..=2;

/// From which of them on a client can return.
const RETURNS: i64 = 2;

/// What a hub offers beside JSON, over a transport.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) messagepack: bool,
    /// The transport carries text and nothing else.
    pub(crate) text_only: bool,
}

/// What a client asks for.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    protocol: Str<'a>,
    version: i64,
}

/// The form of messages that a client asks for, and whether it would return when it is lost: since the second version it can.
///
/// # Errors
///
/// What the client is told.
pub(crate) fn agree(request: &[u8], offer: Offer) -> Result<(Form, bool), String> {
    let Ok(Request { protocol, version }) = serde_json::from_slice(request) else {
        return Err("An unexpected error occurred during connection handshake.".into());
    };
    let Str(protocol) = protocol;
    let form = match &*protocol {
        "json" => Form::Json,
        "messagepack" if offer.messagepack && offer.text_only => {
            return Err(
                "Cannot use the 'messagepack' protocol on the current transport. The transport does not support 'Binary' transfer format."
                    .into(),
            );
        }
        "messagepack" if offer.messagepack => Form::MessagePack,
        _ => return Err(format!("The protocol '{protocol}' is not supported.")),
    };
    match VERSIONS.contains(&version) {
        true => Ok((form, version >= RETURNS)),
        false => Err(format!(
            "The server does not support version {version} of the '{protocol}' protocol."
        )),
    }
}

/// What the handshake says to the hub: a client that promises nothing and takes everything.
pub(crate) fn hello(resumable: bool) -> Hello<'static> {
    Hello {
        oldest: VERSION,
        newest: VERSION,
        terms: Terms {
            encodings: Encodings::NONE
                .with(Encoding::JsonArguments)
                .with(Encoding::MessagePackArguments),
            promise_ms: Terms::NO_PROMISE,
            message_bytes_max: u32::MAX,
            subscriptions_max: u32::MAX,
        },
        resumable,
        token: None,
        resume: None,
        positions: List::new(&[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(messagepack: bool, text_only: bool) -> Offer {
        Offer {
            messagepack,
            text_only,
        }
    }

    #[test]
    fn what_is_not_spoken_is_said_by_name() {
        let error = |request: &str| {
            agree(request.as_bytes(), offer(true, true)).expect_err("it is refused")
        };
        let unreadable = "An unexpected error occurred during connection handshake.";
        assert_eq!(
            agree(
                br#"{"version":1,"more":{},"protocol":"json"}"#,
                offer(false, true)
            ),
            Ok((Form::Json, false))
        );
        assert_eq!(
            error(r#"{"protocol":"xml","version":1}"#),
            "The protocol 'xml' is not supported."
        );
        assert_eq!(
            error(r#"{"protocol":"json","version":3}"#),
            "The server does not support version 3 of the 'json' protocol."
        );
        let messagepack = br#"{"protocol":"messagepack","version":2}"#;
        assert_eq!(
            agree(messagepack, offer(true, false)),
            Ok((Form::MessagePack, true))
        );
        assert_eq!(
            agree(messagepack, offer(true, true)),
            Err("Cannot use the 'messagepack' protocol on the current transport. The transport does not support 'Binary' transfer format.".into())
        );
        assert_eq!(
            agree(messagepack, offer(false, false)),
            Err("The protocol 'messagepack' is not supported.".into())
        );
        for request in [
            "",
            "{}",
            "[]",
            "{\"protocol\":1}",
            "{\"protocol\":\"json\"}",
            "\u{1}",
        ] {
            assert_eq!(error(request), unreadable, "{request}");
        }
    }
}
