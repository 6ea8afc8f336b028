//! What a session of a hub needs beside it: its lane, calls and streams.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::calls::{Waiter, Waiters};
use crate::hub::lane::HubLane;
use crate::session::{CallSlot, Store};
use crate::streams::Table;
use crate::wire::Frame;

/// A lane, and the calls to the peer that wait for an answer.
pub(crate) struct HubStore {
    pub(crate) lane: HubLane,
    /// None while there was no call.
    calls: Option<Box<Calls>>,
    /// None while there was no stream.
    pub(crate) streams: Option<Table>,
}

/// Calls to the peer, and who waits for their answers.
#[derive(Default)]
struct Calls {
    slots: Vec<CallSlot>,
    waiters: Waiters,
}

impl HubStore {
    pub(crate) fn new(lane: HubLane) -> Self {
        Self {
            lane,
            calls: None,
            streams: None,
        }
    }

    /// Sees to it that one more call may begin, if there may be so many.
    pub(crate) fn make_room(&mut self, calls_max: usize) {
        if calls_max == 0 {
            return;
        }
        let slots = &mut self.calls.get_or_insert_default().slots;
        if !slots.iter().any(CallSlot::is_free) && slots.len() < calls_max {
            slots.push(CallSlot::FREE);
        }
    }

    /// Takes in who waits for the answer to a call.
    pub(crate) fn wait(&mut self, id: u32, waiter: Waiter) {
        let calls = self.calls.get_or_insert_default();
        calls.waiters.push((id, waiter));
    }

    /// Whoever waits for this answer.
    pub(crate) fn waiter(&mut self, id: u32) -> Option<Waiter> {
        let waiters = &mut self.calls.as_mut()?.waiters;
        let index = waiters.iter().position(|(waiting, _)| *waiting == id)?;
        Some(waiters.swap_remove(index).1)
    }

    /// Everybody who waits for an answer.
    pub(crate) fn take_waiters(&mut self) -> Waiters {
        let calls = self.calls.as_mut();
        calls.map_or_else(Vec::new, |calls| core::mem::take(&mut calls.waiters))
    }
}

impl Store for HubStore {
    type Lane = HubLane;

    fn parts(&mut self) -> (&mut HubLane, &mut [CallSlot]) {
        let calls = self.calls.as_mut();
        (
            &mut self.lane,
            calls.map_or(&mut [], |calls| &mut calls.slots),
        )
    }

    fn control(&mut self, idle: bool) -> Option<Frame<'static>> {
        self.streams.as_ref()?.lock().control(idle)
    }
}
