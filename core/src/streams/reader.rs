//! Reading streams that a peer sends: [`Upload`].

use alloc::string::ToString;
use alloc::sync::Arc;
use core::fmt;
use core::future::poll_fn;
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};

use futures_core::Stream;

use super::{Item, StreamEnd};
use crate::answers::CallFailure;
use crate::payload::Decode;
use crate::wire::{FailureCode, Payload};

/// Where the items of a stream are.
pub(crate) trait Source: Send + Sync {
    /// The next item, or the end, once.
    fn poll_item(&self, id: u32, cx: &mut Context<'_>) -> Poll<Option<Result<Item, StreamEnd>>>;

    /// Nobody reads the stream any more.
    fn stop(&self, id: u32);
}

/// Reads one stream; dropped, it stops it.
pub struct Reader {
    id: u32,
    source: Arc<dyn Source>,
    ended: bool,
}

impl Reader {
    pub(crate) fn new(id: u32, source: Arc<dyn Source>) -> Self {
        Self {
            id,
            source,
            ended: false,
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, StreamEnd>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let item = self.source.poll_item(self.id, cx);
        self.ended = matches!(item, Poll::Ready(None | Some(Err(_))));
        item
    }

    /// Stops the stream.
    pub(crate) fn stop(&mut self) {
        if !core::mem::replace(&mut self.ended, true) {
            self.source.stop(self.id);
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A stream that the caller of a method sends along: its handler reads it, item by item, as they come.
///
/// It ends with `None` when the caller has said all, with an `Err` when the caller says why it failed, when an item is of another type ([`FailureCode::Arguments`]), or when the call is over or the connection lost
/// ([`FailureCode::Cancelled`]).
///
/// # Cancel safety
///
/// Waiting for an item can be given up at any time: nothing is lost. Dropped, the caller is told to stop, as it is when the handler has answered.
///
/// # When full
///
/// The caller waits when [`Limits::stream_items_max`](crate::Limits::stream_items_max) items are not read, and is not read at all while [`Limits::stream_bytes_max`](crate::Limits::stream_bytes_max) wait in all its streams together: a
/// handler that takes several streams reads them side by side, or drops what it does not read.
pub struct Upload<T> {
    reader: Reader,
    item: PhantomData<fn() -> T>,
}

impl<T: Decode> Upload<T> {
    /// The next item.
    pub async fn next(&mut self) -> Option<Result<T, CallFailure>> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, CallFailure>>> {
        self.reader.poll(cx).map(|item| {
            let item = item?
                .map_err(CallFailure::from)
                .and_then(|(encoding, bytes)| {
                    let payload = Payload {
                        encoding,
                        bytes: &bytes,
                    };
                    T::decode(payload).map_err(|error| {
                        CallFailure::new(FailureCode::Arguments, error.to_string())
                    })
                });
            if item.is_err() {
                self.reader.stop();
            }
            Some(item)
        })
    }
}

impl From<StreamEnd> for CallFailure {
    fn from(end: StreamEnd) -> Self {
        match end {
            StreamEnd::Failed(failure) => failure,
            StreamEnd::Lost => Self::new(FailureCode::Cancelled, "the connection is lost"),
            StreamEnd::Over => Self::new(FailureCode::Cancelled, "the call is over"),
        }
    }
}

impl<T: Decode> Stream for Upload<T> {
    type Item = Result<T, CallFailure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }
}

impl<T> fmt::Debug for Upload<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("id", &self.reader.id)
            .field("ended", &self.reader.ended)
            .finish_non_exhaustive()
    }
}

/// The streams that a method takes beside its arguments: one [`Upload`], or a tuple of two to four.
pub trait Uploads: Sized + Send + 'static {
    #[doc(hidden)]
    const COUNT: u32;

    #[doc(hidden)]
    fn take(readers: &mut dyn Iterator<Item = Reader>) -> Option<Self>;
}

impl Uploads for () {
    const COUNT: u32 = 0;

    fn take(_: &mut dyn Iterator<Item = Reader>) -> Option<Self> {
        Some(())
    }
}

impl<T: 'static> Uploads for Upload<T> {
    const COUNT: u32 = 1;

    fn take(readers: &mut dyn Iterator<Item = Reader>) -> Option<Self> {
        Some(Self {
            reader: readers.next()?,
            item: PhantomData,
        })
    }
}

macro_rules! uploads {
    ($($count:literal: $($item:ident)*;)*) => {
        $(impl<$($item: 'static),*> Uploads for ($(Upload<$item>,)*) {
            const COUNT: u32 = $count;

            fn take(readers: &mut dyn Iterator<Item = Reader>) -> Option<Self> {
                Some(($(Upload::<$item>::take(readers)?,)*))
            }
        })*
    };
}

uploads! {
    2: A B;
    3: A B C;
    4: A B C D;
}
