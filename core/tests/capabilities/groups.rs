//! Who is let in as whom, who belongs to whom, and what is sent straight to them.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lapwing::client::{ClientEnd, HandlerId, Outage, State};
use lapwing::hub::{Admission, Ask, Caller, Gone, HubBuilder, MembershipError, Published, Refuse};
use lapwing::session::Ending;
use lapwing::wire::{CloseReason, Refusal};
use lapwing::{Client, ConnectionId, Delivery, Hub, Limits};

use crate::ground::{Ground, online};
use crate::reading::trouble;
use crate::world::World;

everywhere![
    who_has_joined_is_reached_and_who_has_left_is_not,
    events_reach_a_connection_a_user_a_group_or_everybody,
    some_may_be_left_out,
    an_admission_names_the_user_and_the_first_groups,
    who_asks_to_come_in_is_seen_with_its_token,
    a_refusal_reaches_the_client_with_its_reason,
    a_hook_that_panics_lets_nobody_in,
    a_connection_that_is_gone_belongs_to_nobody,
    on_disconnect_tells_once_who_has_gone_and_why,
    handlers_of_a_client_hear_what_their_filter_selects_until_they_are_off,
    a_connection_is_in_so_many_groups_at_most,
];

/// What was sent straight to a client.
#[derive(Clone, Default)]
struct Inbox(Arc<Mutex<Vec<String>>>);

impl Inbox {
    /// Hears everything on topics that `filter` selects.
    fn of(client: &Client, filter: &str) -> (Self, HandlerId) {
        let inbox = Self::default();
        let heard = inbox.clone();
        let handler = client.on(filter, move |delivery| {
            let Delivery::Event(envelope) = delivery else {
                panic!("not an event: {delivery:?}");
            };
            let text = envelope.text().expect("a text").into();
            heard.0.lock().expect("no panic").push(text);
        });
        (inbox, handler.expect("a filter"))
    }

    fn heard(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

fn id(client: &Client) -> ConnectionId {
    client.connection().expect("online")
}

fn queued(queued: u32) -> Published {
    let dropped = 0;
    Published { queued, dropped }
}

/// Lets everybody in as the user that its token names.
fn users(hub: HubBuilder) -> HubBuilder {
    hub.on_connect(async |ask: Ask| {
        let token = ask.token.expect("everybody has one");
        let user = String::from_utf8(token.into()).expect("a name");
        Ok(Admission::user(user))
    })
}

/// A hub whose connections tell of their end.
fn telling(hub: HubBuilder) -> (HubBuilder, Receiver<Gone>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let hub = hub.on_disconnect(move |gone| {
        let tell = tell.lock().expect("no panic");
        // The test may be over.
        let _ = tell.send(gone);
    });
    (hub, told)
}

async fn who_has_joined_is_reached_and_who_has_left_is_not(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = ground.online(&url).await;
    let (inbox, _) = Inbox::of(&client, "**");
    let remote = hub.connection(id(&client));
    let send = |text: &str| hub.group("room").send("said", text).expect("a topic");
    for _ in 0..20 {
        assert_eq!(send("before"), queued(0));
        assert_eq!(remote.join("room"), Ok(true));
        assert_eq!(remote.join("room"), Ok(false), "it is in it");
        assert_eq!(send("within"), queued(1));
        assert!(remote.leave("room"));
        assert!(!remote.leave("room"), "it is not in it");
        assert_eq!(send("after"), queued(0));
    }
    ground.until(|| inbox.heard().len() == 20).await;
    assert!(inbox.heard().iter().all(|text| text == "within"));
    assert_eq!(client.accounted(), 20);
}

async fn events_reach_a_connection_a_user_a_group_or_everybody(ground: Ground) {
    let (hub, url) = ground.served(users(ground.hub())).await;
    let mut clients = Vec::new();
    for user in ["ann", "ann", "ben", "cleo"] {
        clients.push(online(ground.client(&url).token(user)).await);
    }
    let inboxes: Vec<_> = clients
        .iter()
        .map(|client| Inbox::of(client, "**").0)
        .collect();
    for member in [1, 2] {
        let joined = hub.connection(id(&clients[member])).join("staff");
        assert_eq!(joined, Ok(true));
    }
    // Nobody subscribes to any of these.
    let sent = [
        hub.connection(id(&clients[3])).send("to", "cleo's"),
        hub.user("ann").send("to", "ann's"),
        hub.group("staff").send("to", "staff's"),
        hub.all().send("to", "everybody's"),
        hub.user("nobody").send("to", "nobody's"),
        hub.group("nobody").send("to", "nobody's"),
    ];
    let sent = sent.map(|published| published.expect("a topic").queued);
    assert_eq!(sent, [1, 2, 2, 4, 0, 0]);
    let expected: [&[&str]; 4] = [
        &["ann's", "everybody's"],
        &["ann's", "staff's", "everybody's"],
        &["staff's", "everybody's"],
        &["cleo's", "everybody's"],
    ];
    for (inbox, expected) in inboxes.iter().zip(expected) {
        ground.until(|| inbox.heard().len() == expected.len()).await;
        assert_eq!(inbox.heard(), expected);
    }
}

async fn some_may_be_left_out(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let (ann, ben) = (ground.online(&url).await, ground.online(&url).await);
    let (of_ann, of_ben) = (Inbox::of(&ann, "**").0, Inbox::of(&ben, "**").0);
    let others = hub.all().except([id(&ann)]);
    assert_eq!(others.send("a", "not for ann").expect("a topic"), queued(1));
    let nobody = hub.all().except([id(&ann)]).except([id(&ben)]);
    assert_eq!(nobody.send("a", "for nobody").expect("a topic"), queued(0));
    hub.all().send("a", "for all").expect("a topic");
    ground.until(|| of_ann.heard().len() == 1).await;
    ground.until(|| of_ben.heard().len() == 2).await;
    assert_eq!(of_ann.heard(), ["for all"]);
    assert_eq!(of_ben.heard(), ["not for ann", "for all"]);
}

async fn an_admission_names_the_user_and_the_first_groups(ground: Ground) {
    let hub = ground
        .hub()
        .on_connect(async |_| Ok(Admission::user("ann").join("staff").join("room/7")));
    let (hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let remote = hub.connection(id(&client));
    assert!(remote.is_connected());
    assert_eq!(remote.user(), Some("ann".into()));
    let mut groups = remote.groups();
    groups.sort();
    assert_eq!(groups, ["room/7".into(), "staff".into()]);
    assert_eq!(hub.connections(), [id(&client)]);
    assert_eq!(hub.connections_of("ann"), [id(&client)]);
    assert_eq!(hub.members("staff"), [id(&client)]);
    assert_eq!(hub.members("ann"), []);
    let counters = hub.counters();
    assert_eq!(
        (counters.connections, counters.users, counters.groups),
        (1, 1, 2)
    );
}

async fn who_asks_to_come_in_is_seen_with_its_token(ground: Ground) {
    let (asks, asked) = channel();
    let hub = ground.hub().on_connect(move |ask: Ask| {
        asks.send(ask).expect("a test");
        async { Ok(Admission::anonymous()) }
    });
    let (hub, url) = ground.served(hub).await;
    let client = online(ground.client(&url).token("open sesame")).await;
    let ask = asked.recv().expect("somebody has asked");
    assert_eq!(ask.connection, id(&client));
    assert_eq!(ask.token.as_deref(), Some(&b"open sesame"[..]));
    assert_eq!(Some(ask.transport), url.split(':').next());
    assert!(ask.peer.is_some());
    assert_eq!(hub.connection(ask.connection).user(), None);
}

async fn a_refusal_reaches_the_client_with_its_reason(ground: Ground) {
    let (hub, told) = telling(ground.hub());
    let hub = hub.on_connect(async |_| Err(Refuse::unauthorized("the token is of yesterday")));
    let (hub, url) = ground.served(hub).await;
    let client = ground.client(&url).spawned();
    let end = ClientEnd::Refused {
        reason: Refusal::Unauthorized,
        message: "the token is of yesterday".into(),
    };
    assert_eq!(client.online().await, Err(end));
    let refused = || hub.counters().refused.get("unauthorized") == Some(&1);
    ground.until(refused).await;
    assert_eq!(hub.counters().connected, 0);
    assert!(told.try_recv().is_err(), "nobody who was let in has gone");
}

async fn a_hook_that_panics_lets_nobody_in(ground: Ground) {
    let hub = ground.hub().on_connect(async |ask: Ask| match ask.token {
        Some(_) => Ok(Admission::anonymous()),
        None => panic!("a fault of the application"),
    });
    let (_hub, url) = ground.served(hub).await;
    let refused = ground.client(&url).spawned().online().await;
    assert!(matches!(refused, Err(ClientEnd::Refused { .. })));
    online(ground.client(&url).token("x")).await;
}

async fn a_connection_that_is_gone_belongs_to_nobody(ground: Ground) {
    let (hub, url) = ground.served(users(ground.hub())).await;
    let client = online(ground.client(&url).token("ann")).await;
    let remote = hub.connection(id(&client));
    remote.join("room").expect("it is there");
    client.close().await;
    ground.until(|| !remote.is_connected()).await;
    assert_eq!(hub.members("room"), []);
    assert_eq!(hub.connections_of("ann"), []);
    assert_eq!((remote.user(), remote.groups()), (None, Vec::new()));
    assert_eq!(remote.join("room"), Err(MembershipError::Gone));
    assert!(!remote.leave("room"));
    assert_eq!(remote.send("a", "x").expect("a topic"), queued(0));
    let counters = hub.counters();
    assert_eq!(
        (counters.connections, counters.users, counters.groups),
        (0, 0, 0)
    );
}

async fn on_disconnect_tells_once_who_has_gone_and_why(ground: Ground) {
    let (hub, told) = telling(users(ground.hub()));
    let (hub, url) = ground.served(hub).await;
    let ann = online(ground.client(&url).token("ann")).await;
    let ben = online(ground.client(&url).token("ben")).await;
    let (of_ann, of_ben) = (id(&ann), id(&ben));
    hub.connection(of_ann).join("room").expect("it is there");
    assert!(ann.close().await.is_wanted());
    hub.connection(of_ben).close();
    let kicked = ClientEnd::ClosedByHub(CloseReason::Kicked);
    assert_eq!(trouble(&mut ben.states()).await, State::Ended(kicked));

    let mut gone = Vec::new();
    let all_gone = || {
        gone.extend(told.try_iter());
        gone.len() == 2
    };
    ground.until(all_gone).await;
    gone.sort_by_key(|gone| gone.user.clone());
    let [of_ann_told, of_ben_told] = &gone[..] else {
        panic!("{gone:?}");
    };
    assert_eq!(of_ann_told.connection, of_ann);
    assert_eq!(of_ann_told.user, Some("ann".into()));
    assert_eq!(of_ann_told.groups, ["room".into()]);
    assert!(
        matches!(of_ann_told.ending, Ending::ByPeer(close) if close.reason == CloseReason::Done)
    );
    assert_eq!(of_ben_told.connection, of_ben);
    assert!(
        matches!(of_ben_told.ending, Ending::ByUs(close) if close.reason == CloseReason::Kicked)
    );
    let counters = hub.counters();
    assert_eq!(
        counters.disconnected.into_iter().collect::<Vec<_>>(),
        [("kicked".into(), 1), ("peer-closed".into(), 1)]
    );
    assert!(told.try_recv().is_err(), "each is told once");
}

async fn handlers_of_a_client_hear_what_their_filter_selects_until_they_are_off(ground: Ground) {
    let (hub, url) = ground.open_hub().await;
    let client = ground.online(&url).await;
    let (some, handler) = Inbox::of(&client, "a/*");
    let (all, _) = Inbox::of(&client, "**");
    let send = |topic, text: &str| {
        let sent = hub.connection(id(&client)).send(topic, text);
        assert_eq!(sent.expect("a topic"), queued(1));
    };
    send("a/b", "one");
    send("b", "two");
    ground.until(|| all.heard().len() == 2).await;
    assert!(client.off(handler));
    assert!(!client.off(handler), "it is off");
    send("a/b", "three");
    ground.until(|| all.heard().len() == 3).await;
    assert_eq!(some.heard(), ["one"]);
}

async fn a_connection_is_in_so_many_groups_at_most(ground: Ground) {
    let hub = ground.hub().limits(Limits {
        groups_max: 2,
        ..Limits::default()
    });
    let (hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let remote = hub.connection(id(&client));
    let too_many = MembershipError::TooMany { max: 2 };
    for (group, expected) in [
        ("a", Ok(true)),
        ("b", Ok(true)),
        ("c", Err(too_many)),
        ("a", Ok(false)),
    ] {
        assert_eq!(remote.join(group), expected, "{group}");
    }
}

#[test]
fn who_is_to_come_later_comes_later() {
    World::check(async |world| {
        let later = Duration::from_secs(60);
        let open = Arc::new(Mutex::new(false));
        let door = open.clone();
        world.serve(world.hub().on_connect(move |_| {
            let open = *door.lock().expect("no panic");
            async move {
                match open {
                    true => Ok(Admission::anonymous()),
                    false => Err(Refuse::busy(later, "we are full")),
                }
            }
        }));
        let client = world.client("phone").spawned();
        let State::Waiting { until, outage } = trouble(&mut client.states()).await else {
            panic!("not waiting");
        };
        assert_eq!(outage, Outage::Refused(Refusal::Full));
        assert!(until.since(world.sim.now()) >= later);
        *open.lock().expect("no panic") = true;
        let (waited, online) = world.timed(client.online()).await;
        assert_eq!(online, Ok(()));
        assert!(waited >= later && waited <= later + Duration::from_secs(1));
    });
}

#[test]
fn a_connection_that_breaks_is_lost_and_its_memberships_end_with_it() {
    World::check(async |world| {
        let (hub, told) = telling(world.hub());
        let hub: Hub = world.serve(hub);
        let client = world.forgetful("phone").await;
        let connection = id(&client);
        hub.connection(connection)
            .join("room")
            .expect("it is there");
        world.network.cut("phone");
        world.sim.settle().await;
        let gone = told.try_recv().expect("it has gone");
        assert_eq!((gone.connection, gone.ending), (connection, Ending::Lost));
        assert_eq!(gone.groups, ["room".into()]);
        client.online().await.expect("it comes back");
        assert_ne!(id(&client), connection);
        assert_eq!(hub.members("room"), [], "as somebody new");
        assert!(told.try_recv().is_err(), "each is told once");
    });
}

#[test]
fn who_comes_is_greeted_before_it_is_answered_and_who_goes_is_told_of() {
    World::check(async |world| {
        let hub = world
            .hub()
            .on_connected(|connection| {
                connection.join("all").expect("its first group");
                let name = connection.id().to_string();
                connection.send("welcome", name).expect("a topic");
            })
            .on_disconnect(|gone: Gone| {
                let others = gone.hub().group("all");
                let told = others.send("left", gone.connection.to_string());
                assert_eq!(told.expect("a topic"), queued(1));
            })
            .on_call("say", async |caller: Caller, text: String| {
                caller.remote().send("said", text)?;
                Ok(())
            });
        let hub = world.serve(hub);
        let come = async |name: &str| {
            // Nothing is heard before somebody waits for it.
            let client = world.client(name).spawned();
            let (inbox, _) = Inbox::of(&client, "*");
            client.online().await.expect("the hub lets it in");
            client.call::<()>("say", "hello").await.expect("an answer");
            assert_eq!(inbox.heard(), [id(&client).to_string(), "hello".into()]);
            (client, inbox)
        };
        let (_stays, heard) = come("stays").await;
        let (goes, _) = come("goes").await;
        // It was let in once, and does not go.
        world.network.cut("goes");
        world.sim.settle().await;
        goes.online().await.expect("it returns");
        let gone = id(&goes).to_string();
        goes.close().await;
        world.sim.settle().await;
        assert_eq!(heard.heard().last(), Some(&gone));
        assert_eq!(hub.members("all").len(), 1);
    });
}
