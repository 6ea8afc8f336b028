//! A lane as a session needs it: with calls and streams beside it.

use alloc::vec::Vec;

use super::HubLane;
use crate::session::{CallSlot, Store};
use crate::streams::Table;
use crate::wire::Frame;

/// A lane, and the calls to the peer that wait for an answer.
pub(crate) struct HubStore {
    pub(crate) lane: HubLane,
    pub(crate) slots: Vec<CallSlot>,
    /// None while there was no stream.
    pub(crate) streams: Option<Table>,
}

impl Store for HubStore {
    type Lane = HubLane;

    fn parts(&mut self) -> (&mut HubLane, &mut [CallSlot]) {
        (&mut self.lane, &mut self.slots)
    }

    fn control(&mut self, idle: bool) -> Option<Frame<'static>> {
        self.streams.as_ref()?.lock().control(idle)
    }
}
