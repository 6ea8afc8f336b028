//! Futures that are polled when they asked for it, and at no other time.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

use futures_lite::future::try_zip;

use crate::report::Broken;

/// A waker that remembers that it was woken.
#[derive(Default)]
pub(crate) struct Alarm {
    rung: AtomicBool,
    listener: Mutex<Option<Waker>>,
}

impl Alarm {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let alarm = Arc::<Self>::default();
        (alarm.clone(), Waker::from(alarm))
    }

    /// Whether it was woken since this was asked last.
    pub(crate) fn take_rung(&self) -> bool {
        self.rung.swap(false, Ordering::AcqRel)
    }

    /// Ready when it was woken since it was last asked.
    pub(crate) async fn rung(&self) -> Result<(), Broken> {
        poll_fn(|cx| self.poll_rung(cx)).await;
        Ok(())
    }

    fn poll_rung(&self, cx: &Context<'_>) -> Poll<()> {
        // First the listener: a wake between the two lines is seen by the second.
        let older = self.lock().replace(cx.waker().clone());
        drop(older);
        match self.take_rung() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Waker>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        let listener = self.lock().take();
        if let Some(listener) = listener {
            listener.wake();
        }
    }
}

/// Runs `future`, and polls it only when its own waker was woken.
///
/// Polled together with others it would be polled whenever one of them is woken, which hides that its own
/// wake-up was lost.
pub(crate) async fn woken<F: Future>(future: F) -> F::Output {
    match cut_short(future, usize::MAX).await {
        Some(output) => output,
        None => unreachable!("nothing is polled that often"),
    }
}

/// Runs both futures at the same time, each as [`woken`] does, until one fails or both are done.
pub(crate) async fn both<A, B, E, F>(
    a: impl Future<Output = Result<A, E>>,
    b: impl Future<Output = Result<B, F>>,
) -> Result<(A, B), Broken>
where
    E: Into<Broken>,
    F: Into<Broken>,
{
    let a = async { woken(a).await.map_err(E::into) };
    let b = async { woken(b).await.map_err(F::into) };
    try_zip(a, b).await
}

/// Runs `future` as [`woken`] does, but drops it when it has asked to be polled more than `polls` times.
///
/// So it is dropped when it has something to do: the moment in which most could be lost.
pub(crate) async fn cut_short<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let (alarm, waker) = Alarm::new();
    waker.wake_by_ref();
    let mut left = polls;
    poll_fn(|cx| {
        if alarm.poll_rung(cx).is_pending() {
            return Poll::Pending;
        }
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        // A wake from within this poll reaches `cx`, because the alarm knows it already.
        future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .map(Some)
    })
    .await
}

#[cfg(test)]
mod tests {
    use core::future::{pending, ready};

    use futures_lite::future::{block_on, or, poll_once, yield_now};

    use super::*;

    #[test]
    fn a_future_is_polled_when_it_was_woken_only() {
        let mut polls = 0;
        let counted = poll_fn(|_| {
            polls += 1;
            Poll::<()>::Pending
        });
        block_on(or(woken(counted), async {
            for _ in 0..5 {
                yield_now().await;
            }
        }));
        assert_eq!(polls, 1);
    }

    #[test]
    fn a_future_that_wakes_itself_goes_on() {
        block_on(woken(async {
            for _ in 0..5 {
                yield_now().await;
            }
        }));
    }

    #[test]
    fn a_future_is_dropped_at_the_wake_after_its_last_poll() {
        assert_eq!(block_on(cut_short(ready(()), 0)), None);
        assert_eq!(block_on(cut_short(ready(()), 1)), Some(()));
        assert_eq!(block_on(cut_short(yield_now(), 1)), None);
        assert_eq!(block_on(poll_once(cut_short(pending::<()>(), 1))), None);
    }
}
