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
        /// The client wants a stream, or sends some.
        streams: bool,
    },
    Completion {
        id: Cow<'a, str>,
        /// No value at all is a result too.
        result: Result<Option<Value<'a>>, Cow<'a, str>>,
    },
    Close,
    /// It asks for nothing.
    Other,
}

/// A value that a client says: a text is one in every protocol.
pub(crate) enum Value<'a> {
    Text(Cow<'a, str>),
    Other(Payload<'a>),
}
