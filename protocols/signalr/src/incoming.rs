//! What a client says, in either form.

use std::borrow::Cow;

use lapwing::wire::Payload;

use serde::Deserialize;

/// A text, borrowed where it has no escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Str<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// One message.
pub(crate) enum Incoming<'a> {
    Invocation {
        id: Option<Cow<'a, str>>,
        target: Cow<'a, str>,
        /// An array, as it came.
        arguments: &'a [u8],
        /// The client wants a stream.
        streamed: bool,
        /// Its names for those that it sends along.
        uploads: Vec<Cow<'a, str>>,
    },
    /// Of a stream that the client sends.
    Item {
        id: Cow<'a, str>,
        item: Value<'a>,
    },
    Completion {
        id: Cow<'a, str>,
        /// No value at all is a result too.
        result: Result<Option<Value<'a>>, Cow<'a, str>>,
    },
    /// Nobody wants the answer of a call any more.
    Cancel(Cow<'a, str>),
    Close,
    /// What the client has, by its number.
    Ack(u64),
    /// The number of what the client says next.
    Sequence(u64),
    /// It asks for nothing.
    Other,
}

impl Incoming<'_> {
    /// Whether it has a number, for clients that may return: types 1 to 5 have.
    pub(crate) fn is_counted(&self) -> bool {
        !matches!(
            self,
            Self::Close | Self::Ack(_) | Self::Sequence(_) | Self::Other
        )
    }
}

/// A value that a client says: a text is one in every protocol.
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Other(Payload<'a>),
}
