//! Methods that the hub may call.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Weak;
use core::time::Duration;

use super::call::ClientContext;
use super::{Client, Handle};
use crate::answers::{Answers, CallFailure, Handler, Place};
use crate::time::Instant;
use crate::wire::{Call, Encoding, FailureCode};

/// The handlers of calls, by method.
pub(super) struct Methods {
    /// They may not keep the client alive while nobody calls.
    pub(super) handle: Weak<Handle>,
    pub(super) by_name: BTreeMap<String, Handler<ClientContext>>,
}

impl Methods {
    /// Lets the handler of a call run when its turn comes.
    pub(super) fn begin(
        &self,
        call: Call<'_>,
        wanted: Encoding,
        answers: &mut Answers,
        now: Instant,
    ) -> Result<(), CallFailure> {
        let failure = |code| CallFailure::about(code, call.method);
        let handler = self.by_name.get(call.method);
        let handler = handler.ok_or_else(|| failure(FailureCode::UnknownMethod))?;
        if answers.is_full() {
            return Err(failure(FailureCode::Busy));
        }
        let handle = self.handle.upgrade();
        let client = Client(handle.ok_or_else(|| failure(FailureCode::Cancelled))?);
        let place = Place::default();
        let context = ClientContext::new(client, place.clone());
        let deadline = call
            .deadline_ms
            .map(|ms| now + Duration::from_millis(ms.into()));
        let future = handler(context, call.arguments, wanted);
        let bytes = call.arguments.bytes.len();
        match answers.push(Some(call.id), deadline, place, bytes, future) {
            true => Ok(()),
            false => Err(failure(FailureCode::Busy)),
        }
    }
}
