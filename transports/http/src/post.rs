//! What a client says by a request of its own.

use core::future::poll_fn;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use core::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http_body::Body;
use lapwing::runtime::{Runtime, Timer};

use crate::pipe::Pipe;
use crate::refusal::Refusal;

/// How long a client may take for the next part of what it says, and for all of it.
const STALL: Duration = Duration::from_secs(10);
const WITHIN: Duration = Duration::from_secs(60);

/// The whole body of a request, if `takes` agrees to its bytes each time that there are more.
///
/// # Errors
///
/// As `takes` says; it breaks, or makes no progress.
pub(crate) async fn body<B: Body>(
    body: B,
    mut takes: impl FnMut(usize) -> Result<(), Refusal>,
    runtime: &dyn Runtime,
) -> Result<Bytes, Refusal> {
    let (mut body, mut timer) = (pin!(body), runtime.timer());
    let mut whole = BytesMut::new();
    let until = runtime.now() + WITHIN;
    loop {
        timer.arm(until.min(runtime.now() + STALL));
        let next = poll_fn(|cx| poll_next(body.as_mut(), &mut *timer, cx));
        match next.await? {
            None => return Ok(whole.freeze()),
            Some(data) => {
                takes(whole.len() + data.remaining())?;
                whole.put(data);
            }
        }
    }
}

/// Takes a body of so many bytes at most.
pub(crate) fn up_to(bytes_max: usize) -> impl FnMut(usize) -> Result<(), Refusal> {
    move |bytes| match bytes > bytes_max {
        true => Err(Refusal::body_too_large()),
        false => Ok(()),
    }
}

fn poll_next<B: Body>(
    mut body: Pin<&mut B>,
    timer: &mut dyn Timer,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<B::Data>, Refusal>> {
    loop {
        let Poll::Ready(frame) = body.as_mut().poll_frame(cx) else {
            ready!(timer.poll_fired(cx));
            return Poll::Ready(Err(Refusal::late()));
        };
        return Poll::Ready(match frame {
            None => Ok(None),
            Some(Err(_)) => Err(Refusal::bad("the body broke off")),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => Ok(Some(data)),
                // Trailers say nothing.
                Err(_) => continue,
            },
        });
    }
}

/// A request by which a client says something, for as long as it lasts.
pub(crate) struct Saying<'a> {
    pipe: &'a Pipe,
    place: usize,
}

impl<'a> Saying<'a> {
    /// Takes a place; `None` when others of the same client have them all.
    pub(crate) fn begin(pipe: &'a Pipe) -> Option<Self> {
        let place = pipe.begin_to_say()?;
        Some(Self { pipe, place })
    }

    /// Hands over what it says; false when nobody takes it any more.
    ///
    /// # When full
    ///
    /// Waits while some 64 KiB wait for the hub.
    pub(crate) async fn say(self, mut bytes: Bytes) -> bool {
        poll_fn(|cx| self.pipe.poll_say(self.place, &mut bytes, cx)).await
    }
}

impl Drop for Saying<'_> {
    fn drop(&mut self) {
        self.pipe.end_to_say(self.place);
    }
}
