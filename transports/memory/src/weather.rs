//! Bad weather: faults that a seed draws, over a stretch of virtual time.

use core::future::poll_fn;
use core::time::Duration;
use std::sync::Arc;

use lapwing::Instant;
use lapwing::runtime::Runtime;

use self::dice::Dice;
use crate::network::Network;
use crate::path::Path;

mod dice;
mod report;

pub use self::report::{Trouble, WeatherReport};

/// A source of faults on the paths of some clients: what kind of them, how often, for how long.
///
/// What it does, it draws from the runtime that it is given: with a [`Virtual`](crate::Virtual) one a seed repeats it. Give it
/// a [process](crate::Virtual::process) of its own, and a change of your program leaves the weather as it was. Change
/// single fields of [`breeze`](Self::breeze) or [`storm`](Self::storm).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use lapwing_memory::{Network, Trouble, Virtual, Weather};
///
/// Virtual::check(0..20, async |sim| {
///     let network = Network::new(&sim);
///     let (mut weather, minute) = (Weather::storm(), Duration::from_secs(60));
///     weather.pause = Duration::from_secs(2);
///     let report = weather.blow(&sim.process("weather"), &network, ["ann", "ben"], minute).await;
///     assert!(report.total() > 10 && report.count(Trouble::Cut) < 60);
///     assert_eq!(sim.elapsed(), minute);
/// });
/// ```
#[derive(Clone, Debug)]
pub struct Weather {
    /// How long a client has peace between two troubles, on average; at most twice as long.
    pub pause: Duration,
    /// How long a trouble that lasts does so, on average; at most twice as long.
    pub lasts: Duration,
    /// The median of the delays in each direction. They are log-normal: two thirds of them within half and twice the median, none
    /// beyond 64 times. Drawn anew whenever a trouble begins or ends; zero leaves delays as they are.
    pub delay: Duration,
    /// The troubles to draw from, all as likely as each other; name one several times to have more of it.
    pub troubles: Vec<Trouble>,
}

impl Weather {
    /// A network that people put up with: some delay, and now and then a moment without it.
    pub fn breeze() -> Self {
        Self {
            pause: Duration::from_secs(20),
            lasts: Duration::from_secs(1),
            delay: Duration::from_millis(20),
            troubles: vec![
                Trouble::Delay,
                Trouble::Delay,
                Trouble::Trickle,
                Trouble::Stall,
                Trouble::Cut,
            ],
        }
    }

    /// Everything that a network can do to a program, all the time.
    pub fn storm() -> Self {
        Self {
            pause: Duration::from_secs(5),
            lasts: Duration::from_secs(5),
            delay: Duration::from_millis(80),
            troubles: Trouble::ALL.to_vec(),
        }
    }

    /// Lets this weather pass over the paths of `clients`, which takes so long; then [calms](Network::calm) them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future calms the paths at once.
    pub async fn blow(
        &self,
        runtime: &(impl Runtime + Clone),
        network: &Network,
        clients: impl IntoIterator<Item: Into<String>>,
        lasting: Duration,
    ) -> WeatherReport {
        let runtime: Arc<dyn Runtime> = Arc::new(runtime.clone());
        let clients = clients.into_iter().map(Into::into);
        let mut front = Front::new(self, &runtime, network, clients);
        let end = runtime.now() + lasting;
        let mut timer = runtime.timer();
        while let Some(at) = front.next().filter(|at| *at < end) {
            timer.arm(at);
            poll_fn(|cx| timer.poll_fired(cx)).await;
            front.pass(runtime.now());
        }
        timer.arm(end);
        poll_fn(|cx| timer.poll_fired(cx)).await;
        front.report
    }
}

/// Weather over some clients; dropped, it leaves calm.
struct Front<'a> {
    weather: &'a Weather,
    network: &'a Network,
    dice: Dice,
    skies: Vec<Sky>,
    report: WeatherReport,
}

/// What one client has above it.
struct Sky {
    client: String,
    /// When it changes.
    next: Instant,
    /// What lasts until then.
    trouble: Option<Trouble>,
}

impl<'a> Front<'a> {
    fn new(
        weather: &'a Weather,
        runtime: &Arc<dyn Runtime>,
        network: &'a Network,
        clients: impl Iterator<Item = String>,
    ) -> Self {
        let mut dice = Dice::new(&**runtime);
        let now = runtime.now();
        let mut sky = |client| Sky {
            client,
            next: now + dice.around(weather.pause),
            trouble: None,
        };
        let skies: Vec<_> = clients.map(&mut sky).collect();
        let mut front = Self {
            weather,
            network,
            dice,
            skies,
            report: WeatherReport::default(),
        };
        (0..front.skies.len()).for_each(|index| front.delay(index));
        front
    }

    /// When something changes next.
    fn next(&self) -> Option<Instant> {
        if self.weather.troubles.is_empty() {
            return None;
        }
        self.skies.iter().map(|sky| sky.next).min()
    }

    /// Lets happen what is due.
    fn pass(&mut self, now: Instant) {
        for index in 0..self.skies.len() {
            if self.skies[index].next <= now {
                self.change(index, now);
            }
        }
    }

    /// Ends what lasts, or else lets something begin.
    fn change(&mut self, index: usize, now: Instant) {
        self.delay(index);
        let trouble = match self.skies[index].trouble {
            Some(trouble) => {
                self.relieve(index, trouble);
                None
            }
            None => self.strike(index),
        };
        let next = match trouble {
            Some(_) => self.dice.around(self.weather.lasts),
            None => self.dice.around(self.weather.pause),
        };
        let sky = &mut self.skies[index];
        (sky.trouble, sky.next) = (trouble, now + next);
    }

    /// Draws the delays of both directions.
    fn delay(&mut self, index: usize) {
        if self.weather.delay.is_zero() {
            return;
        }
        let client = &self.skies[index].client;
        for path in [Path::to_hub(client), Path::to_client(client)] {
            let delay = self.dice.log_normal(self.weather.delay);
            self.network.delay(path, delay);
        }
    }

    fn relieve(&self, index: usize, trouble: Trouble) {
        let client = &self.skies[index].client;
        match trouble {
            Trouble::Partition => self.network.heal(client),
            _ => self.network.resume(client.as_str()),
        }
    }

    /// Draws a trouble and lets it begin; says which, if it lasts.
    fn strike(&mut self, index: usize) -> Option<Trouble> {
        let trouble = *self.dice.one_of(&self.weather.troubles)?;
        self.report.add(trouble);
        let client = self.skies[index].client.as_str();
        let path = self.dice.path(client);
        match trouble {
            Trouble::Delay => {}
            Trouble::Cut => self.network.cut(client),
            Trouble::CutWithin => self.network.cut_after(path, self.dice.units()),
            Trouble::HalfOpen => self.network.half_open(client),
            Trouble::Stall => self.network.stall(path),
            Trouble::StallWithin => self.network.stall_within_message(path),
            Trouble::Partition => self.network.partition(client),
            Trouble::Trickle => {
                let (bytes, pause) = self.dice.trickle();
                self.network.trickle(path, bytes, pause);
            }
        }
        trouble.lasts().then_some(trouble)
    }
}

impl Drop for Front<'_> {
    fn drop(&mut self) {
        for sky in &self.skies {
            self.network.calm(&sky.client);
        }
    }
}
