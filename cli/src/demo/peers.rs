//! The clients of the demo: sensors, a prompt reader and a slow one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lapwing::Policy;
use lapwing::client::{Client, Delivery, PublishError, SubscribeOptions, Subscription};
use lapwing::runtime::Smol;
use smol::Timer;
use smol::stream::StreamExt;

use super::reading::{self, Reading};
use super::tally::Tally;
use crate::connect::Connect;
use crate::failure::{Failure, chain};
use crate::url::Url;

/// The slow reader takes one event in this time.
const SLOW_PACE: Duration = Duration::from_millis(4);

/// Where the demo's hub is.
#[derive(Clone)]
pub(super) struct Urls {
    pub(super) tcp: Url,
    pub(super) web_socket: Url,
}

impl Urls {
    /// Where sensor `number` publishes: they take turns.
    pub(super) fn of_sensor(&self, number: u32) -> &Url {
        match number.is_multiple_of(2) {
            true => &self.web_socket,
            false => &self.tcp,
        }
    }
}

/// Where all peers of the demo are, and what they write down.
#[derive(Clone)]
pub(super) struct Peers {
    pub(super) smol: Smol,
    pub(super) urls: Urls,
    pub(super) start: Instant,
    pub(super) tally: Arc<Mutex<Tally>>,
}

impl Peers {
    /// What was seen since this was called last.
    pub(super) fn take_tally(&self) -> Tally {
        std::mem::take(&mut *self.tally())
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        // Numbers for people: half a count does no harm.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn client(&self, url: &Url) -> Result<Client, Failure> {
        Connect::to(url.clone()).client(&self.smol).await
    }

    async fn subscribe(
        &self,
        url: &Url,
        options: SubscribeOptions,
    ) -> Result<Subscription, Failure> {
        let options = SubscribeOptions {
            policy: Some(Policy::DropOldest),
            ..options
        };
        let subscription = self
            .client(url)
            .await?
            .subscribe_with("sensor/**", options)
            .await;
        subscription.map_err(|error| Failure::failed(chain(&error)))
    }

    /// Begins to publish as sensor `number`, once in `period`.
    pub(super) async fn sensor(&self, number: u32, period: Duration) -> Result<(), Failure> {
        let client = self.client(self.urls.of_sensor(number)).await?;
        let start = self.start;
        self.smol.spawn(async move {
            let (topic, trace) = (format!("sensor/{number:03}"), reading::trace());
            let mut ticks = Timer::interval(period);
            while ticks.next().await.is_some() {
                let text = Reading::now(number, start).to_text(&trace);
                match client.publish(&*topic, text) {
                    // A sensor that cannot say it now says something newer next time.
                    Ok(()) | Err(PublishError::Full(_) | PublishError::Offline(_)) => {}
                    Err(_) => return,
                }
            }
        });
        Ok(())
    }

    /// Begins to read everything as it comes, over TCP.
    pub(super) async fn prompt_reader(&self) -> Result<(), Failure> {
        let mut subscription = self
            .subscribe(&self.urls.tcp, SubscribeOptions::default())
            .await?;
        let peers = self.clone();
        self.smol.spawn(async move {
            while let Some(delivery) = subscription.next().await {
                peers.see(&delivery);
            }
        });
        Ok(())
    }

    fn see(&self, delivery: &Delivery) {
        match delivery {
            Delivery::Event(event) => {
                if let Some(reading) = event.text().and_then(Reading::from_text) {
                    let now = self.start.elapsed().as_micros() as u64;
                    self.tally().see(event.topic(), reading, now);
                }
            }
            Delivery::Lagged(missed) => self.tally().missed += missed,
            _ => {}
        }
    }

    /// Begins to read everything over WebSocket, but far too slowly.
    pub(super) async fn slow_reader(&self) -> Result<(), Failure> {
        let few = SubscribeOptions {
            capacity: 16,
            ..SubscribeOptions::default()
        };
        let mut subscription = self.subscribe(&self.urls.web_socket, few).await?;
        let peers = self.clone();
        self.smol.spawn(async move {
            while let Some(delivery) = subscription.next().await {
                match delivery {
                    Delivery::Event(_) => peers.tally().slow_events += 1,
                    Delivery::Lagged(missed) => peers.tally().slow_missed += missed,
                    _ => {}
                }
                Timer::after(SLOW_PACE).await;
            }
        });
        Ok(())
    }
}
