//! Filters: code of the program around every call, and around coming and going.
//!
//! Each [`Filter`] stands around those that were added after it, and they around the handler or hook that all of them are about: the
//! one that was added first begins first and ends last.
//!
//! [`Timing`] and, with the feature `tracing`, `Logging` come ready.

mod invocation;
#[cfg(feature = "tracing")]
mod logging;
mod timing;

use alloc::boxed::Box;
use alloc::sync::Arc;

use async_trait::async_trait;

pub use self::invocation::{CallResult, Invocation};
#[cfg(feature = "tracing")]
pub use self::logging::Logging;
pub use self::timing::{Timing, Took};
use super::Caller;
use super::admission::{Admission, Ask, Gone, Refuse};
use super::builder::{OnConnect, OnDisconnect};
use crate::answers::{Answer, CallFailure, Handler};
use crate::runtime::BoxFuture;

/// Code of the program around every call of a hub's clients, and around their coming and going; see [`HubBuilder::filter`](super::HubBuilder::filter).
///
/// What a filter does not define goes on as if it were not there.
///
/// # Examples
///
/// ```
/// use async_trait::async_trait;
/// use lapwing::CallFailure;
/// use lapwing::hub::filter::{CallResult, Filter, Invocation, NextCall};
/// use lapwing::wire::FailureCode;
///
/// /// Lets only those call who are somebody.
/// struct Members;
///
/// #[async_trait]
/// impl Filter for Members {
///     async fn call(&self, call: &mut Invocation, next: NextCall) -> Result<CallResult, CallFailure> {
///         match call.caller().user() {
///             Some(_) => next.run(call).await,
///             None => Err(CallFailure::new(FailureCode::Forbidden, "members only")),
///         }
///     }
/// }
/// # let _ = lapwing::Hub::builder(lapwing_memory::Virtual::new(1)).filter(Members);
/// ```
#[async_trait]
pub trait Filter: Send + Sync + 'static {
    /// Around a call whose turn has come, which is allowed and has a handler: it may change the arguments before and the result after, refuse, or answer by itself.
    ///
    /// Of a method that answers with a stream it stands around its beginning: the result [is a stream](CallResult::is_stream), and its items come later. Streams that the caller sends go to the handler.
    ///
    /// # Errors
    ///
    /// [`CallFailure`], which the caller hears instead of a result.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped wherever it waits when the caller cancels, the deadline passes, the connection is gone or its client has returned to it without
    /// all that it had, or a shutdown waits no longer. A panic ends the call.
    async fn call(&self, call: &mut Invocation, next: NextCall) -> Result<CallResult, CallFailure> {
        next.run(call).await
    }

    /// Around the decision about a client at the door, before [`on_connect`](super::HubBuilder::on_connect): it may change what is asked and what is
    /// answered, refuse, or let in by itself.
    ///
    /// # Errors
    ///
    /// [`Refuse`], which the client hears.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped wherever it waits when the time for the handshake is over. A panic refuses.
    async fn connect(&self, ask: Ask, next: NextConnect) -> Result<Admission, Refuse> {
        next.run(ask).await
    }

    /// Around what is told of a connection that is gone, before [`on_disconnect`](super::HubBuilder::on_disconnect). Must not block; a panic ends what is told of it.
    fn disconnect(&self, gone: Gone, next: NextDisconnect<'_>) {
        next.run(gone);
    }
}

/// All filters of a hub, in the order in which they were added.
pub(crate) type Filters = Arc<[Arc<dyn Filter>]>;

/// What a filter stands around, of a call.
pub struct NextCall {
    filters: Filters,
    passed: usize,
    handler: Handler<Caller>,
}

impl NextCall {
    /// Lets the other filters and then the method's handler have the call.
    ///
    /// # Errors
    ///
    /// [`CallFailure`] of any of them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler's.
    pub async fn run(mut self, call: &mut Invocation) -> Result<CallResult, CallFailure> {
        if let Some(filter) = self.filters.get(self.passed).cloned() {
            self.passed += 1;
            return filter.call(call, self).await;
        }
        let caller = call.caller().clone();
        (self.handler)(caller, call.take()).await.map(CallResult)
    }
}

/// What a filter stands around, of the decision about a client.
pub struct NextConnect {
    filters: Filters,
    passed: usize,
    hook: Arc<Option<OnConnect>>,
}

impl NextConnect {
    /// Lets the other filters and then the hub's hook decide.
    ///
    /// # Errors
    ///
    /// [`Refuse`] of any of them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the hook's.
    pub async fn run(mut self, ask: Ask) -> Result<Admission, Refuse> {
        if let Some(filter) = self.filters.get(self.passed).cloned() {
            self.passed += 1;
            return filter.connect(ask, self).await;
        }
        match &*self.hook {
            Some(hook) => hook(ask).await,
            None => Ok(Admission::anonymous()),
        }
    }
}

/// What a filter stands around, of the end of a connection.
pub struct NextDisconnect<'a> {
    filters: &'a [Arc<dyn Filter>],
    hook: Option<&'a OnDisconnect>,
}

impl NextDisconnect<'_> {
    /// Lets the other filters and then the hub's hook know.
    pub fn run(self, gone: Gone) {
        let Self { filters, hook } = self;
        match (filters.split_first(), hook) {
            (Some((filter, filters)), _) => {
                filter.disconnect(gone, NextDisconnect { filters, hook })
            }
            (None, Some(hook)) => hook(gone),
            (None, None) => {}
        }
    }
}

/// A call through all filters.
pub(crate) fn call(
    filters: &Filters,
    handler: Handler<Caller>,
    mut call: Invocation,
) -> BoxFuture<'static, Answer> {
    let next = NextCall {
        filters: filters.clone(),
        passed: 0,
        handler,
    };
    Box::pin(async move {
        let CallResult(product) = next.run(&mut call).await?;
        Ok(product)
    })
}

/// The hook that decides about clients, behind all filters; without any it is what it was.
pub(crate) fn on_connect(filters: &Filters, hook: Option<OnConnect>) -> Option<OnConnect> {
    if filters.is_empty() {
        return hook;
    }
    let (filters, hook) = (filters.clone(), Arc::new(hook));
    Some(Box::new(move |ask| {
        let next = NextConnect {
            filters: filters.clone(),
            passed: 0,
            hook: hook.clone(),
        };
        Box::pin(next.run(ask))
    }))
}

/// The hook that is told of connections that are gone, behind all filters; without any it is what it was.
pub(crate) fn on_disconnect(filters: &Filters, hook: Option<OnDisconnect>) -> Option<OnDisconnect> {
    if filters.is_empty() {
        return hook;
    }
    let filters = filters.clone();
    Some(Box::new(move |gone| {
        let (filters, hook) = (&filters[..], hook.as_ref());
        NextDisconnect { filters, hook }.run(gone);
    }))
}
