//! Streams between clients and the hub, in all directions: every item in its place, to the end or to a word on why not.

use std::fmt::Debug;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use futures_lite::stream::{self, Stream};
use lapwing::client::CallError;
use lapwing::hub::RemoteCallError;
use lapwing::wire::FailureCode;
use lapwing::{CallFailure, Client, ConnectionId, Upload};

use crate::quiet;
use crate::report::add;
use crate::world::{Phase, World, lock};

/// The longest pause of whoever makes items, or reads them.
const PAUSE_MS: u64 = 120;

/// Within this every stream goes on when nothing is wrong: some pauses, and the longest way.
const GOES_ON: Duration = Duration::from_millis(1_500);

/// What a stream is about: its name, how many items it has, and the pause between two.
#[derive(Clone)]
pub(crate) struct Order {
    name: String,
    items: u64,
    pause: Duration,
}

impl Order {
    pub(crate) fn draw(name: String, dice: &mut Rng) -> Self {
        Self {
            name,
            items: dice.u64(0..60),
            pause: Duration::from_millis(dice.u64(0..PAUSE_MS)),
        }
    }

    /// As it is said to whoever makes the items.
    pub(crate) fn text(&self) -> String {
        format!("{} {} {}", self.name, self.items, self.pause.as_millis())
    }

    pub(crate) fn read(text: &str) -> Self {
        let mut parts = text.rsplitn(3, ' ');
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        let pause = Duration::from_millis(number().unwrap_or_default());
        let items = number().unwrap_or_default();
        let name = parts.next().unwrap_or_default().into();
        Self { name, items, pause }
    }

    fn item(&self, index: u64) -> String {
        format!("{}#{index}", self.name)
    }

    /// Its items, each after a pause.
    pub(crate) fn items(
        self,
        world: &Arc<World>,
    ) -> impl Stream<Item = Result<String, CallFailure>> + Send + use<> {
        let world = world.clone();
        stream::unfold((self, 0), move |(order, index)| {
            let pause = world.sim.sleep(order.pause);
            async move {
                pause.await;
                let item = (index < order.items).then(|| order.item(index))?;
                Some((Ok(item), (order, index + 1)))
            }
        })
    }
}

/// A stream on its way, as its reader sees it.
pub(crate) struct Flow {
    order: Order,
    /// Whoever sends it, if that is a client: it may be away for good.
    from: Option<ConnectionId>,
    read: AtomicU64,
    over: AtomicBool,
}

impl Flow {
    fn begin(world: &World, order: Order, from: Option<ConnectionId>) -> Arc<Self> {
        let flow = Arc::new(Self {
            order,
            from,
            read: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        lock(&world.flows).push(flow.clone());
        flow
    }

    /// The next item has to be the next.
    fn check(&self, world: &World, item: &str) {
        let index = self.read.fetch_add(1, Ordering::Relaxed);
        add(&world.sums.items, 1);
        if item != self.order.item(index) {
            let what = format!("{}: {item} in the place of {index}", self.order.name);
            world.find("flow", what);
        }
    }

    /// A stream that ends without an error is whole.
    fn end(&self, world: &World, result: Result<(), String>) {
        let read = self.read.load(Ordering::Relaxed);
        match result {
            Ok(()) if read == self.order.items => add(&world.sums.flows, 1),
            Ok(()) => {
                let what = format!("{}: ends after {read} items", self.order.text());
                world.find("flow", what);
            }
            Err(what) if what.is_empty() => add(&world.sums.flows_failed, 1),
            Err(what) => world.find("flow", format!("{}: {what}", self.order.text())),
        }
    }
}

/// Whoever reads a stream; when it is dropped nobody waits for the rest.
struct Reader(Arc<Flow>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

/// Reads a stream with pauses.
async fn read<E>(
    world: &Arc<World>,
    (order, from): (Order, Option<ConnectionId>),
    pause: Duration,
    items: impl Stream<Item = Result<String, E>>,
    fair: impl Fn(&E) -> bool,
) where
    E: Debug,
{
    let (reader, mut items) = (Reader(Flow::begin(world, order, from)), pin!(items));
    let flow = &reader.0;
    let result = loop {
        match poll_fn(|cx| items.as_mut().poll_next(cx)).await {
            None => break Ok(()),
            Some(Ok(item)) => flow.check(world, &item),
            Some(Err(error)) if fair(&error) => break Err(String::new()),
            Some(Err(error)) => break Err(format!("{error:?}")),
        }
        // What is not read of it may keep all else from being read.
        if world.phase() == Phase::Storm {
            world.sim.sleep(pause).await;
        }
    };
    flow.end(world, result);
}

/// A client reads a stream of the hub; now and then it has had enough before the end.
pub(crate) async fn of_hub(world: Arc<World>, client: Client, order: Order, mut dice: Rng) {
    let pause = Duration::from_millis(dice.u64(0..PAUSE_MS));
    let items = client.stream::<String>("count", order.text());
    if dice.u8(..4) == 0 {
        return some(items, dice.usize(..8)).await;
    }
    read(&world, (order, None), pause, items, is_fair).await;
}

/// Reads some items, and gives up the rest.
async fn some<T>(items: impl Stream<Item = T>, count: usize) {
    let mut items = pin!(items);
    for _ in 0..count {
        if poll_fn(|cx| items.as_mut().poll_next(cx)).await.is_none() {
            return;
        }
    }
}

/// The hub reads a stream of a client.
pub(crate) async fn of_client(
    world: Arc<World>,
    remote: lapwing::hub::Remote,
    order: Order,
    pause: Duration,
) {
    let (items, from) = (remote.stream::<String>("count", order.text()), remote.id());
    let fair = |error: &RemoteCallError| match error {
        RemoteCallError::Failed(failure) => is_fair_failure(failure),
        RemoteCallError::Gone | RemoteCallError::Full => true,
        _ => false,
    };
    read(&world, (order, Some(from)), pause, items, fair).await;
}

/// A client sends a stream to the hub, which says how many items it was.
pub(crate) async fn to_hub(world: Arc<World>, client: Client, order: Order, pause: Duration) {
    let about = format!("{} {}", pause.as_millis(), order.text());
    let items: Pin<Box<dyn Stream<Item = _> + Send>> = Box::pin(order.clone().items(&world));
    let told = client.call::<String>("read", about).upload(items).await;
    match told {
        Ok(read) if read == order.items.to_string() => {}
        Err(error) if is_fair(&error) => {}
        other => world.find("flow", format!("{}: {other:?}", order.text())),
    }
}

/// The hub's end of that.
pub(crate) async fn taken(
    world: Arc<World>,
    from: ConnectionId,
    about: String,
    items: Upload<String>,
) -> Result<String, CallFailure> {
    let (pause, order) = about.split_once(' ').unwrap_or_default();
    let pause = Duration::from_millis(pause.parse().unwrap_or_default());
    let order = Order::read(order);
    let count = order.items.to_string();
    let fair = |_: &CallFailure| false;
    read(&world, (order, Some(from)), pause, items, fair).await;
    Ok(count)
}

/// Whether a stream may end so in bad weather.
fn is_fair(error: &CallError) -> bool {
    match error {
        CallError::Failed(failure) => is_fair_failure(failure),
        CallError::Offline
        | CallError::Full
        | CallError::TooMany
        | CallError::Lost
        | CallError::Ended(_) => true,
        _ => false,
    }
}

fn is_fair_failure(failure: &CallFailure) -> bool {
    matches!(
        failure.code,
        FailureCode::Busy | FailureCode::Shutdown | FailureCode::Cancelled
    )
}

/// In good weather every stream goes on.
pub(crate) async fn go_on(world: &Arc<World>) {
    let before: Vec<_> = {
        let mut flows = lock(&world.flows);
        flows.retain(|flow| !flow.over.load(Ordering::Relaxed));
        let read = |flow: &Arc<Flow>| (flow.clone(), flow.read.load(Ordering::Relaxed));
        flows.iter().map(read).collect()
    };
    world.sim.sleep(GOES_ON).await;
    let lives = quiet::lives(world);
    let has = |id| {
        lives
            .iter()
            .any(|life| life.client.connection() == Some(id))
    };
    let is_here = |flow: &Flow| flow.from.is_none_or(has);
    for (flow, read) in before.into_iter().filter(|(flow, _)| is_here(flow)) {
        let stands = flow.read.load(Ordering::Relaxed) == read;
        if stands && !flow.over.load(Ordering::Relaxed) && world.phase() == Phase::Calm {
            let what = format!("{}: stands still at {read}", flow.order.text());
            world.find("flow", what);
        }
    }
}
