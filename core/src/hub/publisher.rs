//! Publishing on one topic again and again.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::fmt;
use core::time::Duration;
use std::sync::Mutex;

use super::audience::Audience;
use super::{Hub, PublishError};
use crate::payload::Encode;
use crate::published::Published;
use crate::sync::lock;
use crate::topic::{Topic, TopicError};

/// Publishes on one topic of a hub; made by [`Hub::publisher`].
///
/// The same as [`Hub::publish`] with the topic's name, but the name is looked at once, and who hears it is looked up only when that has
/// changed.
///
/// # Examples
///
/// ```
/// use lapwing::hub::Hub;
/// use lapwing_memory::Virtual;
///
/// let hub = Hub::builder(Virtual::new(1)).build()?;
/// let ticks = hub.publisher("ticks")?;
/// let _heard = hub.subscribe("*")?;
/// for _ in 0..3 {
///     assert_eq!(ticks.publish("tick")?.queued, 1);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Publisher {
    hub: Hub,
    topic: String,
    /// Who heard the topic last, as of an epoch. Weak: one who publishes seldom keeps nobody who has gone.
    known: Mutex<(u64, Weak<Audience>)>,
}

impl Publisher {
    /// Offers an event to every subscriber of the topic; see [`Hub::publish`].
    ///
    /// # Errors
    ///
    /// [`PublishError`] when the payload cannot be written or is too large.
    ///
    /// # When full
    ///
    /// Never waits. A subscriber without room is treated by its [`Policy`](crate::Policy), and counted in [`Published::dropped`].
    pub fn publish(&self, payload: impl Encode) -> Result<Published, PublishError> {
        let shared = &self.hub.shared;
        let topic = Topic::checked(&self.topic);
        let epoch = shared.epoch();
        let audience = self.known(epoch).unwrap_or_else(|| {
            let found = shared.audience(topic);
            *lock(&self.known) = (epoch, Arc::downgrade(&found));
            found
        });
        shared.publish_to(topic, (epoch, audience), &payload)
    }

    /// The same, but waits while somebody would lose something by it, for `deadline` at most; see [`Hub::publish_within`].
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
    /// Waits.
    pub async fn publish_within(
        &self,
        deadline: Duration,
        payload: impl Encode,
    ) -> Result<Published, PublishError> {
        let published = self.hub.publish_within(deadline, &self.topic, payload);
        published.await
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    fn known(&self, epoch: u64) -> Option<Arc<Audience>> {
        let known = lock(&self.known);
        (known.0 == epoch).then(|| known.1.upgrade())?
    }
}

impl Clone for Publisher {
    fn clone(&self) -> Self {
        Self {
            hub: self.hub.clone(),
            topic: self.topic.clone(),
            known: Mutex::default(),
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// For publishing on one topic again and again.
    ///
    /// # Errors
    ///
    /// [`TopicError`] when `topic` is none.
    pub fn publisher(&self, topic: impl Into<String>) -> Result<Publisher, TopicError> {
        let topic = topic.into();
        Topic::new(&topic)?;
        Ok(Publisher {
            hub: self.clone(),
            topic,
            known: Mutex::default(),
        })
    }
}
