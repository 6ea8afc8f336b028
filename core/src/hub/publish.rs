//! Publishing at the pace of those who hear it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::task::{Poll, Waker};
use core::time::Duration;

use super::audience::{Audience, Listener};
use super::class::Class;
use super::connection::Connection;
use super::lane::Prospect;
use super::waitlist::Ticket;
use super::{Hub, PublishError, Shared};
use crate::payload::{Encode, encoded};
use crate::published::Published;
use crate::runtime::Timer;
use crate::topic::Topic;
use crate::wire::{Event, Frame, Payload};

/// In the place of an offset that is not known yet: the longest there is.
const ANY_OFFSET: Option<[u8; 8]> = Some([u8::MAX; 8]);

impl Hub {
    /// As [`publish`](Self::publish), but waits while somebody would lose something by it, for `deadline` at most.
    ///
    /// It waits while a subscriber has no room: one that would miss this event or an older one, whatever its policy is, or
    /// would be ended. Then, and when the time is over, it publishes: whoever still has no room is treated by its [`Policy`](crate::Policy)
    /// and counted in [`Published::dropped`]. So a slow reader sets the pace of this publisher, and one that stands still delays each of its
    /// events by `deadline`; other publishers, and what is published beside it, wait for nobody.
    ///
    /// Nobody waits for a connection that is away and may come back, nor for one that does not take so large a message at all.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use lapwing::hub::{Hub, Rule};
    /// use lapwing_memory::Virtual;
    ///
    /// let sim = Virtual::new(1);
    /// sim.run(async {
    ///     let hub = Hub::builder(sim.runtime()).topic("rows/**", Rule::open()).build()?;
    ///     for row in ["a", "b", "c"] {
    ///         let published = hub.publish_within(Duration::from_secs(1), "rows/all", row).await?;
    ///         assert!(published.is_nobody(), "nobody to wait for");
    ///     }
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// })
    /// .expect("nobody waits for ever")
    /// # .unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish), at once.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was published.
    ///
    /// # When full
    ///
    /// Waits. Several that wait are served in no certain order, and may take each other's room: then somebody loses something
    /// after all, and [`Published::dropped`] tells.
    pub async fn publish_within(
        &self,
        deadline: Duration,
        topic: &str,
        payload: impl Encode,
    ) -> Result<Published, PublishError> {
        let heard = Topic::new(topic)?;
        let pace = Pace::new(&self.shared, heard, false);
        pace.wait(deadline, &payload, || self.shared.audience(heard))
            .await?;
        self.publish(topic, payload)
    }

    /// Sends straight to `connections`, when all of them have room or the time is over.
    pub(super) async fn send_direct_within(
        &self,
        deadline: Duration,
        topic: &str,
        payload: impl Encode,
        connections: impl Fn() -> Vec<Arc<Connection>>,
    ) -> Result<Published, PublishError> {
        let heard = Topic::new(topic)?;
        let pace = Pace::new(&self.shared, heard, true);
        pace.wait(deadline, &payload, || {
            Arc::new(self.addressed(heard, connections()))
        })
        .await?;
        self.send_direct(topic, &payload, connections())
    }
}

/// What one event has to wait for.
struct Pace<'a> {
    hub: &'a Shared,
    topic: Topic<'a>,
    direct: bool,
    /// What it has, framed, for each class that was asked about.
    sizes: Vec<(u8, usize)>,
    /// What its payload has for the program itself.
    local_bytes: Option<usize>,
    /// The place in the audience of who had no room last: most likely it has none yet.
    slowest: usize,
}

impl<'a> Pace<'a> {
    fn new(hub: &'a Shared, topic: Topic<'a>, direct: bool) -> Self {
        Self {
            hub,
            topic,
            direct,
            sizes: Vec::new(),
            local_bytes: None,
            slowest: 0,
        }
    }

    /// Waits while somebody of the audience would lose something, for `deadline` at most.
    async fn wait(
        mut self,
        deadline: Duration,
        payload: &impl Encode,
        audience: impl Fn() -> Arc<Audience>,
    ) -> Result<(), PublishError> {
        // Held over the waits: what is left of a connection that goes meanwhile stays until the next look.
        let mut known = (self.hub.epoch(), audience());
        if !self.is_too_fast(payload, &known.1)? {
            return Ok(());
        }
        let ticket = Ticket::new(&self.hub.room);
        let mut timer = self.hub.runtime.timer();
        timer.arm(self.hub.runtime.now() + deadline);
        loop {
            // Before the look: room that comes after it is announced.
            ticket.enlist(&waker().await);
            let epoch = self.hub.epoch();
            if known.0 != epoch {
                known = (epoch, audience());
            }
            if !self.is_too_fast(payload, &known.1)? || woken_or_late(&mut timer).await {
                return Ok(());
            }
        }
    }

    /// Whether somebody would lose something now.
    fn is_too_fast(
        &mut self,
        payload: &dyn Encode,
        audience: &Audience,
    ) -> Result<bool, PublishError> {
        let tight = self.hub.budget.is_over();
        if self.is_too_fast_locally(audience, payload, tight)? {
            return Ok(true);
        }
        let first = self.slowest.min(audience.listeners.len());
        for place in (first..audience.listeners.len()).chain(0..first) {
            let listener = &audience.listeners[place];
            let prospect = Prospect {
                bytes: self.size(listener.connection.class(), payload)?,
                topic: audience.hash,
                tight,
            };
            if loses(listener, prospect) {
                self.slowest = place;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether somebody inside the program would.
    fn is_too_fast_locally(
        &mut self,
        audience: &Audience,
        payload: &dyn Encode,
        tight: bool,
    ) -> Result<bool, PublishError> {
        let Some(hearers) = &audience.hearers else {
            return Ok(false);
        };
        let bytes = match self.local_bytes {
            Some(bytes) => bytes,
            None => self
                .hub
                .written(payload, self.hub.local_encoding())?
                .1
                .len(),
        };
        self.local_bytes = Some(bytes);
        Ok(hearers.are_full_for(bytes, tight))
    }

    fn size(&mut self, class: u8, payload: &dyn Encode) -> Result<usize, PublishError> {
        if let Some((_, size)) = self.sizes.iter().find(|(known, _)| *known == class) {
            return Ok(*size);
        }
        let size = self.framed_bytes(self.hub.classes.get(class), payload)?;
        self.sizes.push((class, size));
        Ok(size)
    }

    fn framed_bytes(&self, class: &Class, payload: &dyn Encode) -> Result<usize, PublishError> {
        let wanted = class.protocol.arguments();
        let (encoding, bytes) = encoded(payload, wanted)?;
        let (size, max) = (bytes.len() as u64, self.hub.event_bytes_max());
        if size > max {
            return Err(PublishError::TooLarge { size, max });
        }
        let bytes = &bytes;
        let payload = Payload { encoding, bytes };
        let framed = match self.hub.converted(self.topic, payload, wanted) {
            None => class.framed(&self.event(payload)),
            Some((encoding, bytes)) => {
                let bytes = &bytes;
                class.framed(&self.event(Payload { encoding, bytes }))
            }
        };
        Ok(framed.len())
    }

    fn event<'b>(&'b self, payload: Payload<'b>) -> Frame<'b> {
        Frame::Event(Event {
            topic: self.topic.as_str(),
            direct: self.direct,
            offset: ANY_OFFSET,
            payload,
        })
    }
}

/// Whether one of the audience would lose something, and would not after a while.
fn loses(listener: &Listener, prospect: Prospect) -> bool {
    let guard = listener.connection.live();
    let here = guard
        .as_ref()
        .filter(|live| !live.left && live.link.session.is_ready());
    here.is_some_and(|live| {
        let lane = &live.store.lane;
        lane.is_worth_waiting_for(prospect, listener.subscription, listener.policy)
    })
}

/// Wakes the task that awaits this.
fn waker() -> impl Future<Output = Waker> {
    poll_fn(|cx| Poll::Ready(cx.waker().clone()))
}

/// Ready when the task was woken; says whether that is because its time is over.
async fn woken_or_late(timer: &mut Box<dyn Timer>) -> bool {
    let mut woken = false;
    poll_fn(|cx| match timer.poll_fired(cx) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending if core::mem::replace(&mut woken, true) => Poll::Ready(false),
        Poll::Pending => Poll::Pending,
    })
    .await
}

impl Shared {
    /// Lanes have been written from, or connections are gone: whoever waits for room looks again.
    pub(crate) fn room_freed(&self) {
        self.room.wake();
    }
}
