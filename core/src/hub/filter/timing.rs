//! How long calls take: [`Timing`].

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use async_trait::async_trait;

use super::{CallResult, Filter, Invocation, NextCall};
use crate::answers::CallFailure;
use crate::hub::Caller;
use crate::time::Instant;
use crate::wire::FailureCode;

/// A filter that tells how long each call took from when its turn came, and how it ended.
///
/// Calls that are given up half-way are told too: those that panic end with [`FailureCode::Panicked`], all others with [`FailureCode::Cancelled`], be it that the
/// caller has cancelled or is gone, that the deadline has passed, or that the hub shuts down. Filters that were added after it are part of the time.
///
/// What never came to a handler is no call here: one that was [not allowed](super::super::HubBuilder::authorize), of a method that does not exist, refused as too
/// many wait, or given up while it waited.
///
/// # Examples
///
/// ```
/// use lapwing::Hub;
/// use lapwing::hub::filter::{Timing, Took};
/// use lapwing_memory::Virtual;
///
/// let timing = Timing::new(|took: Took<'_>| println!("{}: {:?}", took.method, took.duration));
/// let hub = Hub::builder(Virtual::new(1)).filter(timing).build()?;
/// # drop(hub);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Timing {
    tell: Arc<dyn Fn(Took<'_>) + Send + Sync>,
}

/// How a call went; see [`Timing`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Took<'a> {
    /// Who called.
    pub caller: &'a Caller,
    /// What it called.
    pub method: &'a str,
    /// How long it took, by the clock of the hub's runtime.
    pub duration: Duration,
    /// Why it has no result, if it has none.
    pub failure: Option<FailureCode>,
}

impl Timing {
    /// Tells `tell` of each call; it must not block. A panic of it is passed over.
    pub fn new(tell: impl Fn(Took<'_>) + Send + Sync + 'static) -> Self {
        let tell = Arc::new(tell);
        Self { tell }
    }
}

#[async_trait]
impl Filter for Timing {
    async fn call(&self, call: &mut Invocation, next: NextCall) -> Result<CallResult, CallFailure> {
        let mut watch = Watch {
            tell: self.tell.clone(),
            caller: call.caller().clone(),
            method: call.method().into(),
            since: call.caller().hub().shared.runtime.now(),
            ending: None,
        };
        let result = next.run(call).await;
        watch.ending = Some(result.as_ref().err().map(|failure| failure.code));
        result
    }
}

/// A call that is timed; tells when it is dropped.
struct Watch {
    tell: Arc<dyn Fn(Took<'_>) + Send + Sync>,
    caller: Caller,
    method: Box<str>,
    since: Instant,
    /// How it has ended, if it has.
    ending: Option<Option<FailureCode>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let now = self.caller.hub().shared.runtime.now();
        let given_up = match std::thread::panicking() {
            true => FailureCode::Panicked,
            false => FailureCode::Cancelled,
        };
        let took = Took {
            caller: &self.caller,
            method: &self.method,
            duration: now.since(self.since),
            failure: self.ending.unwrap_or(Some(given_up)),
        };
        // Where it is dropped nobody else may take care of that, and a panic may be under way already.
        let _ = catch_unwind(AssertUnwindSafe(|| (self.tell)(took)));
    }
}
