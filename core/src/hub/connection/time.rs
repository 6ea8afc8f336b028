//! What becomes of a connection whose time has come: most have a ping to say, for which nobody needs to be woken.

use alloc::sync::Arc;

use super::Connection;
use crate::hub::shard::Shard;
use crate::time::Instant;

impl Connection {
    /// Its time, `at`, has come, or comes soon and that of others has come: as its shard tells, which has no time for it any more.
    pub(crate) fn due(self: &Arc<Self>, shard: &Shard, at: Instant, now: Instant) {
        let early = at > now;
        match self.keep_promise(now, early) {
            Some((speaks, next)) => {
                shard.schedule(self, next);
                if speaks {
                    self.mark_dirty();
                }
            }
            None if early => shard.schedule(self, at),
            None => self.wake_task(),
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
