//! What becomes of a connection whose time has come: most have a ping to say, for which nobody needs to be woken.

use alloc::sync::Arc;

use super::Connection;
use crate::hub::shard::Shard;
use crate::time::Instant;

impl Connection {
    /// Its time has come: as its shard tells.
    pub(crate) fn due(self: &Arc<Self>, shard: &Shard, now: Instant) {
        match self.keep_promise(now, false) {
            Some((speaks, next)) => {
                shard.schedule(self, next);
                self.mark_dirty_if(speaks);
            }
            None => self.wake_task(),
        }
    }

    /// Its time comes at `at`, and that of others has come: what it has to say then it says now.
    pub(crate) fn due_early(self: &Arc<Self>, shard: &Shard, at: Instant, now: Instant) {
        match self.keep_promise(now, true) {
            Some((speaks, next)) => {
                shard.schedule(self, next);
                self.mark_dirty_if(speaks);
            }
            None => shard.schedule(self, at),
        }
    }

    fn mark_dirty_if(self: &Arc<Self>, speaks: bool) {
        if speaks {
            self.mark_dirty();
        }
    }

    /// Sees to it that a ping leaves which is due, without a turn of the task; `None` when the task has to look.
    fn keep_promise(&self, now: Instant, early: bool) -> Option<(bool, Instant)> {
        let mut guard = self.live();
        // Either this sees what the task waits for, or the task sees that it has no entry.
        let live = guard.as_mut().filter(|live| live.rests)?;
        let next = live.link.session.keep_promise(now, early)?;
        live.store.lane.rest();
        Some(next)
    }
}
