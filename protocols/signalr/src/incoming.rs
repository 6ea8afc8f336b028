//! What a client says: one JSON object of the [hub protocol](https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md).

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A text, borrowed where it has no escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Str<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// All that a message may have. Unknown members are skipped, whatever they are, without recursion.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    r#type: i64,
    #[serde(borrow)]
    invocation_id: Option<Str<'a>>,
    #[serde(borrow)]
    target: Option<Str<'a>>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    stream_ids: Option<Vec<Str<'a>>>,
    #[serde(borrow, default, deserialize_with = "value")]
    item: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "value")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<Str<'a>>,
}

/// A value that is there is there, also when it is null.
fn value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// One message.
pub(crate) enum Incoming<'a> {
    Invocation {
        id: Option<Cow<'a, str>>,
        target: Cow<'a, str>,
        /// A JSON array.
        arguments: &'a RawValue,
        /// The client wants a stream, or sends some.
        streams: bool,
    },
    Completion {
        id: Cow<'a, str>,
        /// No value at all is a result too.
        result: Result<Option<&'a RawValue>, Cow<'a, str>>,
    },
    Close,
    /// It asks for nothing.
    Other,
}

/// What `record` says; `None` when it is no message, or lacks what it has to have.
pub(crate) fn parse(record: &[u8]) -> Option<Incoming<'_>> {
    let object: Object<'_> = serde_json::from_slice(record).ok()?;
    let id = object.invocation_id.map(|Str(id)| id);
    Some(match object.r#type {
        1 | 4 => {
            let streamed = object.r#type == 4;
            let uploads = object.stream_ids.is_some_and(|ids| !ids.is_empty());
            let Str(target) = object.target?;
            let arguments = object.arguments?;
            if !arguments.get().starts_with('[') || streamed && id.is_none() {
                return None;
            }
            Incoming::Invocation {
                id,
                target,
                arguments,
                streams: streamed || uploads,
            }
        }
        2 => {
            id?;
            object.item?;
            Incoming::Other
        }
        3 => Incoming::Completion {
            id: id?,
            result: match (object.result, object.error) {
                (result, None) => Ok(result),
                (None, Some(Str(error))) => Err(error),
                (Some(_), Some(_)) => return None,
            },
        },
        5 => {
            id?;
            Incoming::Other
        }
        7 => Incoming::Close,
        _ => Incoming::Other,
    })
}
