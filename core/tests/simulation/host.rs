//! The hub of a world: a process that starts, serves, crashes and starts again.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use lapwing::hub::{Admission, Caller, Gone, HubBuilder, Refuse, Rule, Shutdown};
use lapwing::payload::{Decode, PayloadError};
use lapwing::session::Ending;
use lapwing::wire::{CloseReason, Payload};
use lapwing::{CallFailure, Hub};
use lapwing_memory::Process;

use crate::book::{Id, Loss, Present};
use crate::carrier::{self, Carrier};
use crate::flows::{self, Order};
use crate::hub_side::HubSide;
use crate::life::Life;
use crate::quiet;
use crate::report::add;
use crate::tap::{Listens, Tapped};
use crate::thief::THIEF;
use crate::topics;
use crate::world::{Phase, World, lock};

/// The user of a client, and what the client shows to be let in.
pub(crate) fn token(client: usize, life: u64) -> (usize, String) {
    let user = client % USERS;
    (user, format!("{client} {life} {user}"))
}

/// Fewer than clients, so that some have several connections.
pub(crate) const USERS: usize = 12;

thread_local! {
    /// The world whose hub may decode an event at the moment.
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

/// An event of a peer, entered into the book at the moment when the hub takes it: before anything else can happen.
struct Noted;

impl Decode for Noted {
    fn decode(payload: Payload<'_>) -> Result<Self, PayloadError> {
        WORLD.with_borrow(|world| {
            let world = world.as_ref().expect("a world runs");
            match Id::read(payload.bytes) {
                Some(id) => world.book().offer(id, world.now()),
                None => world.find("stranger", "a payload that nobody has published"),
            }
        });
        Ok(Self)
    }
}

/// Starts the hub, under its name on every carrier.
pub(crate) fn start(world: &Arc<World>) {
    WORLD.set(Some(world.clone()));
    let process = process(world);
    let hub = builder(world, &process).build().expect("good filters");
    *lock(&world.hub) = Some(hub);
    serve(world);
}

/// Lets the hub accept on every carrier where it does not; whether there was one.
pub(crate) fn serve(world: &Arc<World>) -> bool {
    let Some(hub) = world.hub() else { return false };
    let mut any = false;
    for name in Carrier::HUBS {
        let Ok(inner) = carrier::listen(&world.network, name) else {
            continue;
        };
        let sides = world.clone();
        let tapped = Tapped {
            inner,
            listens: move || Arc::new(HubSide::new(&sides)) as Arc<dyn Listens>,
        };
        process(world).spawn_named(name, hub.serve(tapped));
        any = true;
    }
    any
}

pub(crate) fn process(world: &World) -> Process {
    world.sim.process("hub")
}

/// Lets go of the world, which holds tasks that hold it.
pub(crate) fn end() {
    WORLD.set(None);
}

/// Ends the hub without a word, and starts it again.
pub(crate) fn restart(world: &Arc<World>) {
    add(&world.sums.restarts, 1);
    world.note(|| "the hub crashes".into());
    world.book().excuse_everybody();
    process(world).kill();
    drop(lock(&world.hub).take());
    let mut book = world.book();
    book.present.clear();
    drop(book);
    start(world);
}

/// Ends the hub politely: in time, everybody who is there is told, and nothing is left.
pub(crate) async fn shut_down(world: &Arc<World>, hub: &Hub) {
    let how = Shutdown {
        within: Duration::from_secs(2),
        return_over: Duration::from_millis(200)..Duration::from_secs(2),
    };
    let due = world.now() + how.within + Duration::from_millis(100);
    let mut here = quiet::lives(world);
    here.retain(|life| life.is_online() && world.phase() != Phase::Storm);
    for life in &here {
        lock(&life.farewell).take();
    }
    world.book().excuse_everybody();
    let report = hub.shutdown(how).await;
    world.note(|| format!("{report:?}"));
    if world.is_late(due) {
        world.find("deadline", "the shutdown takes too long");
    }
    world.sim.settle().await;
    quiet::nothing_is_left(world, hub);
    told_to_return(world, &here);
}

/// Everybody was told, and when to come back; who was called late may come back at once.
fn told_to_return(world: &World, here: &[Arc<Life>]) {
    let mut at_once = 0;
    for life in here {
        match *lock(&life.farewell) {
            None => world.find("farewell", format!("c{} was not told", life.number)),
            Some(after) => at_once += usize::from(after < Duration::from_millis(100)),
        }
    }
    if at_once > here.len() / 2 {
        let all = here.len();
        world.find(
            "farewell",
            format!("{at_once} of {all} may come back at once"),
        );
    }
}

/// Ends the hub politely, and starts another one.
pub(crate) async fn renew(world: &Arc<World>) {
    let Some(hub) = world.hub() else { return };
    add(&world.sums.shutdowns, 1);
    shut_down(world, &hub).await;
    lock(&world.hub).take();
    process(world).kill();
    world.book().present.clear();
    start(world);
}

fn builder(world: &Arc<World>, process: &Process) -> HubBuilder {
    let mut builder = Hub::builder(process.clone()).limits(world.limits);
    for (filter, rule) in topics::rules() {
        builder = builder.topic(filter, rule);
    }
    let (gates, comes, goes) = (world.clone(), world.clone(), world.clone());
    let gate = Rule::open().subscribe_if(move |peer, filter| {
        let user = peer.user.and_then(|user| user.as_str().parse().ok());
        let topics = topics::selected(filter);
        let mut book = gates.book();
        let may = user.is_some_and(|user| topics::may(user, filter, book.gates(user)));
        if may {
            book.grant(peer.connection, topics);
        }
        may
    });
    let mine = Rule::closed().subscribe_if(move |peer, filter| {
        let user = peer.user.and_then(|user| user.as_str().parse().ok());
        user.is_some_and(|user| topics::may(user, filter, 0))
    });
    builder
        .topic("gate/**", gate)
        .topic("mine/**", mine)
        .on_connect(move |ask| {
            let admitted = admit(&comes, &ask);
            async move { admitted }
        })
        .on_disconnect(move |gone| leave(&goes, &gone))
        .on_event("**", |_, _, _: Noted| async {})
        .on_call("echo", |_, text: String| async move { Ok(text) })
        .on_call("slow", {
            let world = world.clone();
            move |caller: Caller, text: String| slow(world.clone(), caller, text)
        })
        .on_stream("count", {
            let world = world.clone();
            move |_: Caller, order: String| Order::read(&order).items(&world)
        })
        .on_upload("read", {
            let world = world.clone();
            move |caller: Caller, about: String, items| {
                flows::taken(world.clone(), caller.id(), about, items)
            }
        })
}

fn admit(world: &World, ask: &lapwing::hub::Ask) -> Result<Admission, Refuse> {
    let shown = ask
        .token
        .as_deref()
        .and_then(|token| std::str::from_utf8(token).ok());
    let mut parts = shown
        .unwrap_or_default()
        .split(' ')
        .map_while(|part| part.parse().ok());
    let (Some(client), Some(life), Some(user)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Refuse::unauthorized("nobody"));
    };
    let client = client as usize;
    let user = user as usize;
    world.note(|| format!("c{client} is let in as {}", ask.connection));
    let mut book = world.book();
    let group = format!("team/{}", user % 3);
    let mut present = Present {
        client,
        life,
        user,
        entered: false,
        excused: false,
        kicked: None,
        groups: [group.clone()].into(),
    };
    match ask.peer.as_deref() == Some(THIEF) {
        // It shows what another one has shown.
        true => present.client = usize::MAX,
        false => book.let_in(client, life),
    }
    book.present.entry(ask.connection).or_insert(present);
    Ok(Admission::user(user.to_string()).join(group))
}

fn leave(world: &World, gone: &Gone) {
    world.note(|| format!("{} is gone: {:?}", gone.connection, gone.ending));
    if !is_fair(gone.ending) {
        world.find(
            "ending",
            format!("an honest client was ended: {:?}", gone.ending),
        );
    }
    let mut book = world.book();
    // One that writes for others takes them along, once their own tasks have had a turn.
    let dropping = book.dropped_at == Some(world.now());
    let loss = book.losses.remove(&gone.connection);
    let Some(present) = book.present.remove(&gone.connection) else {
        return;
    };
    drop(book);
    if !dropping && !present.excused && present.entered && is_loss(gone.ending) {
        is_kept(world, gone, loss);
    }
    let groups: Vec<_> = gone
        .groups
        .iter()
        .map(|group| group.as_str().to_owned())
        .collect();
    if present.groups.iter().ne(&groups) {
        let what = format!("was in {:?}, and left {groups:?}", present.groups);
        world.find("members", what);
    }
}

/// Who was lost may return for some time, if it had said anything.
fn is_kept(world: &World, gone: &Gone, loss: Option<Loss>) {
    // From the end of the session, which may be that much before the transport's.
    let resume = world.limits.resume.unwrap_or_default() - world.limits.closing;
    // A leap of the clock makes a goodbye longer.
    let Some(loss) = loss.filter(|_| !world.has_leapt()) else {
        return;
    };
    let kept = world.now().since(loss.at);
    if kept < resume {
        let what = format!(
            "{} was given up after {kept:?} of {resume:?}",
            gone.connection
        );
        world.find("kept", what);
    }
}

fn is_loss(ending: Ending) -> bool {
    match ending {
        Ending::Lost => true,
        Ending::ByUs(close) => {
            matches!(
                close.reason,
                CloseReason::TooSlow | CloseReason::Stalled | CloseReason::Silent
            )
        }
        _ => false,
    }
}

/// Whether a client that keeps to the protocol may be ended so.
fn is_fair(ending: Ending) -> bool {
    match ending {
        Ending::Lost | Ending::Refused(_) => true,
        Ending::ByPeer(close) | Ending::ByUs(close) => is_fair_reason(close.reason),
        _ => false,
    }
}

pub(crate) fn is_fair_reason(reason: CloseReason) -> bool {
    use CloseReason as R;
    matches!(
        reason,
        R::Done | R::Shutdown | R::Kicked | R::TooSlow | R::Stalled | R::Silent
    )
}

async fn slow(world: Arc<World>, caller: Caller, text: String) -> Result<String, CallFailure> {
    let time = Duration::from_millis(u64::from(caller.id().as_bytes()[0]) * 20);
    world.sim.sleep(time).await;
    Ok(text)
}
