//! Streams of the program, item by item as they leave.

use alloc::boxed::Box;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::Stream;

use super::CallFailure;
use super::handler::Value;
use crate::payload::{Encode, EncodeError, encoded};
use crate::wire::Encoding;

/// A stream of values; one that cannot be written is a fault of the program.
pub(crate) type Items =
    Pin<Box<dyn Stream<Item = Result<Result<Value, EncodeError>, CallFailure>> + Send>>;

/// Writes what a stream brings.
pub(crate) fn written<T: Encode + 'static>(
    items: impl Stream<Item = Result<T, CallFailure>> + Send + 'static,
    wanted: Encoding,
) -> Items {
    Box::pin(Written {
        items: Box::pin(items),
        wanted,
    })
}

struct Written<T> {
    items: Pin<Box<dyn Stream<Item = Result<T, CallFailure>> + Send>>,
    wanted: Encoding,
}

impl<T: Encode> Stream for Written<T> {
    type Item = Result<Result<Value, EncodeError>, CallFailure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let wanted = self.wanted;
        let item = self.items.as_mut().poll_next(cx);
        item.map(|item| Some(item?.map(|item| encoded(&item, wanted))))
    }
}
