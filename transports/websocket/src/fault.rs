//! What a peer did that ends a connection, and with which close code it is told.

use async_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use lapwing::transport::TransportError;

/// The peer broke the rules of WebSocket.
const PROTOCOL: u16 = 1002;
/// What it called text is none.
const INVALID: u16 = 1007;
/// It broke a rule of ours.
const POLICY: u16 = 1008;
/// Its message is too large.
const TOO_LARGE: u16 = 1009;

/// Why nothing of the peer can be read any more.
///
/// The codes are those of [RFC 6455, section 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1).
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) error: TransportError,
    /// What the peer is told.
    pub(crate) code: u16,
}

impl Fault {
    pub(crate) fn protocol(what: &'static str) -> Self {
        Self {
            error: TransportError::Malformed(what),
            code: PROTOCOL,
        }
    }

    pub(crate) fn too_large(size: u64, max: u32) -> Self {
        let max = max.into();
        Self {
            error: TransportError::MessageTooLarge { size, max },
            code: TOO_LARGE,
        }
    }

    pub(crate) fn too_many_fragments(max: u32) -> Self {
        Self {
            error: TransportError::TooManyFragments { max },
            code: POLICY,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::Utf8(_) => Self {
                error: TransportError::Malformed("text that is not UTF-8"),
                code: INVALID,
            },
            Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => Self {
                error: TransportError::MessageTooLarge {
                    size: size as u64,
                    max: max_size as u64,
                },
                code: TOO_LARGE,
            },
            Error::Protocol(error) => Self::protocol(broken_rule(&error)),
            _ => Self::protocol("frames that make no sense"),
        }
    }
}

/// The rule of RFC 6455 that a peer broke.
fn broken_rule(error: &ProtocolError) -> &'static str {
    match error {
        ProtocolError::NonZeroReservedBits => "a reserved bit is set",
        ProtocolError::UnmaskedFrameFromClient => "a client's frame is not masked",
        ProtocolError::MaskedFrameFromServer => "a server's frame is masked",
        ProtocolError::InvalidOpcode(_)
        | ProtocolError::UnknownControlFrameType(_)
        | ProtocolError::UnknownDataFrameType(_) => "a frame of an unknown kind",
        ProtocolError::UnexpectedContinueFrame => "a fragment of no message",
        ProtocolError::ExpectedFragment(_) => "a message inside another one",
        ProtocolError::InvalidCloseSequence => "a close frame with half a code",
        _ => "frames that make no sense",
    }
}
