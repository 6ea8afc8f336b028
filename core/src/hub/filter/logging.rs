//! Calls in the log: [`Logging`].

use alloc::boxed::Box;

use async_trait::async_trait;

use super::{CallResult, Filter, Invocation, NextCall, Timing, Took};
use crate::answers::CallFailure;

/// A filter that writes one event of `tracing` for each call: its connection, its method, how long it took and how it ended; no arguments, no results.
///
/// What a call is, [`Timing`] says.
///
/// Its level is `debug`, its target `lapwing::hub::call`. That connections come and go the hub tells by itself.
pub struct Logging(Timing);

impl Default for Logging {
    fn default() -> Self {
        Self(Timing::new(log))
    }
}

#[async_trait]
impl Filter for Logging {
    async fn call(&self, call: &mut Invocation, next: NextCall) -> Result<CallResult, CallFailure> {
        self.0.call(call, next).await
    }
}

fn log(took: Took<'_>) {
    let micros = u64::try_from(took.duration.as_micros()).unwrap_or(u64::MAX);
    let failure = took.failure.map(tracing::field::debug);
    tracing::debug!(target: "lapwing::hub::call", connection = %took.caller.id(), method = took.method, micros, failure, "called");
}
