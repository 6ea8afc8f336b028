//! Ctrl-C and its like: how the user asks a program to end.

use async_signal::{Signal, Signals};
use smol::future;
use smol::stream::StreamExt;

use crate::failure::Failure;

#[cfg(unix)]
const STOPS: &[Signal] = &[Signal::Int, Signal::Term];
#[cfg(not(unix))]
const STOPS: &[Signal] = &[Signal::Int];

/// Signals that ask the program to end; from now on they do nothing else.
pub(crate) struct Stops(Signals);

impl Stops {
    pub(crate) fn new() -> Result<Self, Failure> {
        let signals = Signals::new(STOPS);
        let signals = signals.map_err(|error| Failure::failed(format_args!("signals: {error}")))?;
        Ok(Self(signals))
    }

    /// What comes of `work`, or `stopped` when the user asks before.
    pub(crate) async fn or<T>(&mut self, work: impl Future<Output = T>, stopped: T) -> T {
        let asked = async {
            self.asked().await;
            stopped
        };
        future::or(work, asked).await
    }

    /// Ready when the user asks; nothing is lost when it is dropped before.
    pub(crate) async fn asked(&mut self) {
        match self.0.next().await {
            Some(_) => {}
            // Without signals the program runs until it is killed.
            None => future::pending().await,
        }
    }
}
