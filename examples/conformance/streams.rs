//! Streams to the client, and how many of them there are.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

use futures_lite::stream::{self, Stream, StreamExt};
use lapwing::hub::{Caller, HubBuilder};
use lapwing::{CallFailure, Typed};
use smol::Timer;

use crate::plain::milliseconds;

/// The longest text of `StreamText`, in letters.
const LETTERS_MAX: usize = 4_000_000;

type Items<T> = Pin<Box<dyn Stream<Item = Result<T, CallFailure>> + Send>>;

/// The server streams of one hub.
#[derive(Default)]
pub(crate) struct Streams {
    active: AtomicI64,
    canceled: AtomicI64,
}

impl Streams {
    pub(crate) fn active(&self) -> i64 {
        self.active.load(Ordering::Relaxed)
    }

    pub(crate) fn canceled(&self) -> i64 {
        self.canceled.load(Ordering::Relaxed)
    }
}

/// A stream that is counted, and knows how it ends.
pub(crate) struct Counted<T> {
    items: Items<T>,
    ended: bool,
    caller: Caller,
    streams: Arc<Streams>,
    /// The caller is told when it has cancelled it.
    tells: bool,
}

impl<T> Counted<T> {
    pub(crate) fn new(
        streams: &Arc<Streams>,
        caller: Caller,
        items: impl Stream<Item = Result<T, CallFailure>> + Send + 'static,
    ) -> Self {
        streams.active.fetch_add(1, Ordering::Relaxed);
        Self {
            items: Box::pin(items),
            ended: false,
            caller,
            streams: streams.clone(),
            tells: false,
        }
    }

    fn telling(mut self) -> Self {
        self.tells = true;
        self
    }
}

impl<T> Stream for Counted<T> {
    type Item = Result<T, CallFailure>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = self.items.as_mut().poll_next(cx);
        self.ended = matches!(item, Poll::Ready(None | Some(Err(_))));
        item
    }
}

impl<T> Drop for Counted<T> {
    /// Whoever is still there has cancelled it.
    fn drop(&mut self) {
        self.streams.active.fetch_sub(1, Ordering::Relaxed);
        if self.ended || !self.caller.remote().is_connected() {
            return;
        }
        self.streams.canceled.fetch_add(1, Ordering::Relaxed);
        if self.tells {
            let sent = self.caller.remote().send("StreamCanceled", ());
            sent.expect("a good topic, and nothing to write");
        }
    }
}

pub(crate) fn methods(hub: HubBuilder, streams: &Arc<Streams>) -> HubBuilder {
    failing(counting(hub, streams), streams)
}

fn counting(hub: HubBuilder, streams: &Arc<Streams>) -> HubBuilder {
    let [finite, empty, infinite, texts] = [(); 4].map(|()| streams.clone());
    hub.on_stream(
        "CountTo",
        move |caller: Caller, (count, delay_ms): (i64, i64)| {
            Counted::new(&finite, caller, numbers(count, delay_ms))
        },
    )
    .on_stream(
        "EmptyStream",
        move |caller: Caller, Typed(()): Typed<()>| Counted::new(&empty, caller, numbers(0, 0)),
    )
    .on_stream(
        "InfiniteStream",
        move |caller: Caller, Typed(delay_ms): Typed<i64>| {
            Counted::new(&infinite, caller, numbers(i64::MAX, delay_ms)).telling()
        },
    )
    .on_stream(
        "StreamText",
        move |caller: Caller, (count, size): (i64, i64)| {
            Counted::new(&texts, caller, repeated(count, size))
        },
    )
}

fn failing(hub: HubBuilder, streams: &Arc<Streams>) -> HubBuilder {
    let [late, at_once] = [(); 2].map(|()| streams.clone());
    hub.on_stream(
        "StreamThenFail",
        move |caller: Caller, (count, message): (i64, String)| {
            let fails = stream::once(Err(message.into()));
            let items = numbers(count, 0).chain(fails);
            Counted::new(&late, caller, items)
        },
    )
    .on_stream(
        "StreamFailAtOnce",
        move |caller: Caller, message: String| {
            let fails = stream::once(Err::<(), _>(message.into()));
            Counted::new(&at_once, caller, fails)
        },
    )
}

/// The numbers below `count`, with a pause between two.
fn numbers(
    count: i64,
    delay_ms: i64,
) -> impl Stream<Item = Result<Typed<i64>, CallFailure>> + Send + 'static {
    stream::try_unfold(0, move |number| async move {
        if number >= count {
            return Ok(None);
        }
        if number > 0 && delay_ms > 0 {
            Timer::after(milliseconds(delay_ms)).await;
        }
        Ok(Some((Typed(number), number + 1)))
    })
}

fn repeated(
    count: i64,
    size: i64,
) -> impl Stream<Item = Result<String, CallFailure>> + Send + 'static {
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size <= LETTERS_MAX);
    let text = size.map(|size| "y".repeat(size));
    stream::iter(0..count).map(move |_| text.clone().ok_or("0 to 4000000 letters".into()))
}
