//! One life of a client: from the program that makes it to its end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lapwing::client::{Backoff, ClientContext, ClientEnd, Outage, State};
use lapwing::wire::{CloseReason, Refusal};
use lapwing::{CallFailure, Client, Delivery};

use crate::book::Id;
use crate::carrier::Carrier;
use crate::client_side::ClientSide;
use crate::direct::Direct;
use crate::flows;
use crate::host::{is_fair_reason, token};
use crate::report::add;
use crate::stream::{Standing, Stream, Taste};
use crate::tap::{Listens, Tapped};
use crate::topics::selected;
use crate::walk::Order;
use crate::words::of_delivery;
use crate::world::{World, lock};

pub(crate) struct Life {
    pub(crate) number: usize,
    pub(crate) user: usize,
    pub(crate) carrier: Carrier,
    pub(crate) client: Client,
    pub(crate) side: ClientSide,
    pub(crate) streams: Mutex<Vec<Arc<Stream>>>,
    pub(crate) direct: Arc<Mutex<Direct>>,
    /// Events that the client has taken, each with the session it was in.
    pub(crate) sent: Mutex<HashMap<Id, u64>>,
    online: AtomicBool,
    /// The hub has said that it shuts down, and when to come back.
    pub(crate) farewell: Mutex<Option<Duration>>,
    over: AtomicBool,
}

impl Life {
    pub(crate) fn begin(
        world: &Arc<World>,
        number: usize,
        life: u64,
        carrier: Carrier,
    ) -> Arc<Self> {
        let name = format!("c{number}");
        let (user, token) = token(number, life);
        let side = ClientSide::new(world, number, life);
        let listens = side.clone();
        let connector = Tapped {
            inner: carrier.connector(&world.network, &name),
            listens: move || Arc::new(listens.clone()) as Arc<dyn Listens>,
        };
        let builder = Client::builder(world.sim.process(&name), connector);
        let client = carrier
            .speaking(builder)
            .token(token)
            .limits(world.limits)
            .backoff(Backoff {
                first: Duration::from_millis(50),
                max: Duration::from_secs(1),
            })
            .on_call("ask", |_: ClientContext, text: String| async move {
                Ok::<_, CallFailure>(text)
            })
            .on_stream("count", {
                let world = world.clone();
                move |_: ClientContext, order: String| flows::Order::read(&order).items(&world)
            })
            .spawned();
        let life = Arc::new(Self {
            number,
            user,
            carrier,
            client,
            side,
            streams: Mutex::default(),
            direct: Arc::default(),
            sent: Mutex::default(),
            online: AtomicBool::new(false),
            farewell: Mutex::default(),
            over: AtomicBool::new(false),
        });
        life.hear_direct(world);
        let watched = watch(world.clone(), life.clone(), name.clone());
        world.sim.spawn_named(format!("{name} watches"), watched);
        life
    }

    fn hear_direct(&self, world: &Arc<World>) {
        let (world, side, direct) = (world.clone(), self.side.clone(), self.direct.clone());
        let hear = move |delivery: Delivery| {
            world.note(|| format!("{} directly: {}", side.name(), of_delivery(&delivery)));
            let mut direct = lock(&direct);
            let heard = match delivery {
                Delivery::Event(event) => {
                    add(&world.sums.delivered, 1);
                    match Id::read(event.bytes()) {
                        Some(id) => direct.hear(id, side.connection()),
                        None => Err("an event that nobody has sent".into()),
                    }
                }
                Delivery::Lagged(missed) => {
                    direct.miss(Some(missed));
                    Ok(())
                }
                Delivery::Gap(missed) => {
                    direct.miss(missed);
                    Ok(())
                }
                _ => Ok(()),
            };
            if let Err(what) = heard {
                world.find("direct", format!("{}: {what}", side.name()));
            }
        };
        let on = self.client.on("direct/**", hear);
        on.expect("a good filter");
    }

    /// Asks for one subscription more.
    pub(crate) fn subscribe(&self, world: &Arc<World>, taste: Taste) {
        let topics = selected(taste.filter);
        let mut streams = lock(&self.streams);
        let client = self.client.clone();
        let stream = Stream::begin(world, &self.side, self.user, client, taste);
        world.note(|| format!("c{} begins {taste:?}", self.number));
        let sharing = |other: &&Arc<Stream>| selected(other.taste.filter) & topics != 0;
        for other in streams.iter().filter(sharing) {
            let latest = taste.keeps_latest() || other.taste.keeps_latest();
            let order = if latest {
                Order::ByTopic
            } else {
                Order::Shared
            };
            other.relax(order);
            stream.relax(order);
        }
        streams.push(stream);
    }

    /// The subscriptions that are not over.
    pub(crate) fn streams(&self) -> Vec<Arc<Stream>> {
        let mut streams = lock(&self.streams);
        streams.retain(|stream| stream.standing() != Standing::Over);
        streams.clone()
    }

    pub(crate) fn is_online(&self) -> bool {
        self.online.load(Ordering::Relaxed)
    }

    /// Whether its client has ended, or is about to.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// The client has taken an event: while its session lasts, the hub gets it.
    pub(crate) fn has_sent(&self, id: Id) {
        lock(&self.sent).insert(id, self.side.sessions());
    }
}

/// Looks at every state of a client: none may say that one of the two does not keep to the protocol.
async fn watch(world: Arc<World>, life: Arc<Life>, name: String) {
    let mut states = life.client.states();
    while let Some(state) = states.next().await {
        world.note(|| format!("{name} is {state:?}"));
        let online = matches!(state, State::Online { .. });
        life.online.store(online, Ordering::Relaxed);
        let fair = match &state {
            State::Waiting { outage, .. } => is_fair(outage),
            State::Ended(ClientEnd::ClosedByHub(reason)) => is_fair_reason(*reason),
            State::Ended(ClientEnd::Refused { .. } | ClientEnd::Incompatible) => false,
            _ => true,
        };
        if let State::Waiting {
            until,
            outage: Outage::Closed(CloseReason::Shutdown),
        } = state
        {
            *lock(&life.farewell) = Some(until.since(world.now()));
        }
        if !fair {
            world.find("ending", format!("{name} is {state:?}"));
        }
        if let State::Ended(_) = state {
            life.end();
        }
    }
    lock(&world.lives).remove(&(life.number, life.side.life()));
}

fn is_fair(outage: &Outage) -> bool {
    match outage {
        Outage::Refused(reason) => {
            matches!(reason, Refusal::Shutdown | Refusal::Late | Refusal::Full)
        }
        Outage::Closed(reason) | Outage::Failed(reason) => is_fair_reason(*reason),
        _ => true,
    }
}
