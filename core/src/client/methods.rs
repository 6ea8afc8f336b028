//! Methods that the hub may call.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Weak;
use alloc::vec::Vec;
use core::time::Duration;

use super::call::ClientContext;
use super::{Client, Handle};
use crate::answers::{Answer, Answers, Arguments, CallFailure, Method, Opened, Place};
use crate::runtime::BoxFuture;
use crate::time::Instant;
use crate::wire::{Call, Encoding, FailureCode, Open, Payload};

/// The handlers of calls, by method.
pub(super) struct Methods {
    /// They may not keep the client alive while nobody calls.
    pub(super) handle: Weak<Handle>,
    pub(super) by_name: BTreeMap<String, Method<ClientContext>>,
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
        let opened = Opened {
            id: call.id,
            streams: false,
            uploads: 0,
        };
        let method = self.find(call.method, opened)?;
        if answers.is_full() {
            return Err(CallFailure::about(FailureCode::Busy, call.method));
        }
        let place = Place::default();
        let future = self.handled(method, call.arguments, wanted, place.clone())?;
        let (due, bytes) = (deadline(call.deadline_ms, now), call.arguments.bytes.len());
        match answers.push(Some(call.id), due, place, bytes, future) {
            true => Ok(()),
            false => Err(CallFailure::about(FailureCode::Busy, call.method)),
        }
    }

    /// The same for one that has streams, which runs beside others.
    pub(super) fn open(
        &self,
        open: Open<'_>,
        wanted: Encoding,
        answers: &mut Answers,
        now: Instant,
    ) -> Result<(), CallFailure> {
        let opened = Opened::of(&open);
        let method = self.find(open.method, opened)?;
        let future = self.handled(method, open.arguments, wanted, Place::default())?;
        answers.flows.open(opened);
        answers.push_beside(open.id, deadline(open.deadline_ms, now), future);
        Ok(())
    }

    fn find(&self, name: &str, opened: Opened) -> Result<&Method<ClientContext>, CallFailure> {
        let method = self.by_name.get(name);
        let method = method.ok_or_else(|| CallFailure::about(FailureCode::UnknownMethod, name))?;
        method.check(opened)?;
        Ok(method)
    }

    /// The future of a handler.
    fn handled(
        &self,
        method: &Method<ClientContext>,
        payload: Payload<'_>,
        wanted: Encoding,
        place: Place,
    ) -> Result<BoxFuture<'static, Answer>, CallFailure> {
        let handle = self.handle.upgrade();
        let client = handle.ok_or_else(|| CallFailure::new(FailureCode::Cancelled, ""))?;
        let context = ClientContext::new(Client(client), place);
        let arguments = Arguments {
            payload,
            uploads: Vec::new(),
            wanted,
        };
        Ok((method.handler)(context, arguments))
    }
}

fn deadline(ms: Option<u32>, now: Instant) -> Option<Instant> {
    ms.map(|ms| now + Duration::from_millis(ms.into()))
}
