//! Events under way to the hub: published, and not confirmed yet.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use lapwing::Topic;
use lapwing::client::{Client, PublishError, Published};
use smol::Timer;
use smol::future;

use crate::connect;
use crate::failure::{Failure, chain};
use crate::payload::Raw;

/// Events under way: hides the way to the hub and back, and bounds what has to be published again.
const EVENTS_MAX: usize = 256;

/// How soon to try again when the client has no room though nothing of ours is under way.
const PAUSE: Duration = Duration::from_millis(1);

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Published, PublishError>> + 'a>>;

struct UnderWay<'a> {
    payload: Raw,
    /// `None` until it has been sent on the present connection.
    answer: Option<Answer<'a>>,
}

/// Publishes in order and knows what the hub has confirmed. When the connection breaks, what was not confirmed is published
/// again: nothing is lost, some events may come twice.
pub(crate) struct Window<'a> {
    client: &'a Client,
    topic: Topic<'a>,
    /// The oldest first. Those that were sent stand in front of those that were not.
    events: VecDeque<UnderWay<'a>>,
    confirmed: u64,
    outcome: Outcome,
}

/// What became of all events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Events for which nobody was there.
    pub(crate) nobody: u64,
    /// Events that subscribers miss.
    pub(crate) dropped: u64,
}

impl Outcome {
    fn add(&mut self, published: Published) {
        self.nobody += u64::from(published.is_nobody());
        self.dropped += u64::from(published.dropped);
    }
}

impl<'a> Window<'a> {
    pub(crate) fn new(client: &'a Client, topic: Topic<'a>) -> Self {
        Self {
            client,
            topic,
            events: VecDeque::new(),
            confirmed: 0,
            outcome: Outcome::default(),
        }
    }

    /// Publishes `payload` after everything else; waits for the hub while the window is full.
    pub(crate) async fn publish(&mut self, payload: Raw) -> Result<(), Failure> {
        while self.events.len() >= EVENTS_MAX {
            self.confirm_oldest().await?;
        }
        self.events.push_back(UnderWay {
            payload,
            answer: None,
        });
        self.send().await
    }

    /// Waits for `other`, and takes care of what is under way meanwhile.
    pub(crate) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> Result<T, Failure> {
        let care = async {
            while !self.events.is_empty() {
                self.confirm_oldest().await?;
            }
            future::pending().await
        };
        future::or(care, async { Ok(other.await) }).await
    }

    /// Ready when the hub has confirmed everything; says what became of it.
    pub(crate) async fn finish(mut self) -> Result<Outcome, Failure> {
        while !self.events.is_empty() {
            self.confirm_oldest().await?;
        }
        Ok(self.outcome)
    }

    /// Ready when the hub has confirmed one more event. Dropping it loses nothing.
    async fn confirm_oldest(&mut self) -> Result<(), Failure> {
        loop {
            let oldest = self
                .events
                .front_mut()
                .and_then(|event| event.answer.as_mut());
            let Some(answer) = oldest else {
                // All are to be sent again, and first of all the oldest.
                self.send().await?;
                continue;
            };
            match answer.await {
                Ok(published) => {
                    self.outcome.add(published);
                    self.events.pop_front();
                    self.confirmed += 1;
                    return Ok(());
                }
                // Answers come in order: the others are lost as well.
                Err(PublishError::Lost) => {
                    self.events.iter_mut().for_each(|event| event.answer = None)
                }
                Err(error) => return Err(self.refused(&error, 0)),
            }
        }
    }

    /// Sends what was not sent yet, in order. Ready when all are under way, or as many as there is room for.
    async fn send(&mut self) -> Result<(), Failure> {
        while let Some(index) = self.events.iter().position(|event| event.answer.is_none()) {
            let payload = self.events[index].payload.clone();
            let mut answer: Answer<'a> = Box::pin(self.client.publish_acked(self.topic, payload));
            match future::poll_once(&mut answer).await {
                None => self.events[index].answer = Some(answer),
                Some(Err(PublishError::Full(_) | PublishError::Offline(_))) if index > 0 => {
                    // The answer to the oldest brings room, or the news that the connection is lost.
                    return Ok(());
                }
                Some(Err(PublishError::Full(_))) => drop(Timer::after(PAUSE).await),
                Some(Err(PublishError::Offline(_))) => self.online().await?,
                Some(Err(error)) => return Err(self.refused(&error, index)),
                Some(Ok(_)) => self.events[index].answer = Some(answer),
            }
        }
        Ok(())
    }

    async fn online(&self) -> Result<(), Failure> {
        let online = self.client.online().await;
        online.map_err(|end| Failure::failed(connect::describe_end(&end)))
    }

    /// Which event it was that cannot be published, and why.
    fn refused(&self, error: &PublishError, index: usize) -> Failure {
        Failure::failed(format_args!(
            "event {}: {}",
            self.confirmed + index as u64 + 1,
            chain(error)
        ))
    }
}
