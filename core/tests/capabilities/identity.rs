//! Who a connection is for the program: its roles, and what the program keeps for it.

use std::future::{IntoFuture, poll_fn};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use lapwing::client::{CallError, ClientEnd, PublishError, State};
use lapwing::hub::{
    Action, Admission, Ask, Caller, Gone, HubBuilder, RemoteCallError, Rule, Shutdown,
};
use lapwing::runtime::BoxFuture;
use lapwing::wire::{CloseReason, Denied, FailureCode};
use lapwing::{CallFailure, Client, ConnectionId, Hub};

use crate::ground::{Ground, online};
use crate::reading::trouble;
use crate::world::World;

everywhere![
    roles_decide_what_a_connection_may_do,
    the_program_is_asked_about_everything_if_it_wants_to_be,
    a_state_is_that_of_one_connection_until_it_is_gone,
    a_state_may_do_something_at_its_end,
    all_connections_of_a_user_are_ended_together,
];

/// How often a connection has called.
#[derive(Default)]
struct Calls(AtomicU32);

impl Calls {
    fn one_more(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

fn id(client: &Client) -> ConnectionId {
    client.connection().expect("online")
}

/// Lets everybody in as the user that its token names, and `root` as an editor.
fn editors(hub: HubBuilder) -> HubBuilder {
    hub.on_connect(async |ask: Ask| {
        let token = ask.token.expect("everybody has one");
        let admission = Admission::user(String::from_utf8_lossy(&token).as_ref());
        Ok(match &token[..] {
            b"root" => admission.role("reader").role("editor"),
            _ => admission.role("reader"),
        })
    })
}

fn counting(hub: HubBuilder) -> HubBuilder {
    hub.on_call("count", async |caller: Caller, (): ()| {
        let calls = caller.state::<Calls>().ok_or("no state")?;
        Ok(calls.one_more().to_string())
    })
}

/// Calls, and says how often that has been.
async fn count(client: &Client) -> String {
    client.call("count", ()).await.expect("it is answered")
}

async fn roles_decide_what_a_connection_may_do(ground: Ground) {
    let may = |role: &'static str| {
        Rule::closed()
            .subscribe_if(move |peer, _| peer.has_role(role))
            .publish_if(move |peer, _| peer.has_role(role))
    };
    let hub = editors(ground.hub())
        .topic("drafts", may("editor"))
        .topic("news", may("reader"))
        .on_call("purge", async |caller: Caller, (): ()| {
            match caller.has_role("editor") {
                true => Ok(()),
                false => Err("editors only".into()),
            }
        });
    let (hub, url) = ground.served(hub).await;
    let root = online(ground.client(&url).token("root")).await;
    let ann = online(ground.client(&url).token("ann")).await;
    for (client, edits) in [(&root, true), (&ann, false)] {
        assert!(client.subscribe("news").await.is_ok());
        assert_eq!(client.subscribe("drafts").await.is_ok(), edits);
        assert_eq!(client.publish_acked("drafts", "x").await.is_ok(), edits);
        assert_eq!(client.call::<()>("purge", ()).await.is_ok(), edits);
        let remote = hub.connection(id(client));
        assert!(remote.has_role("reader") && !remote.has_role("Reader"));
        assert_eq!(remote.has_role("editor"), edits);
    }
}

async fn the_program_is_asked_about_everything_if_it_wants_to_be(ground: Ground) {
    let hub = editors(ground.hub())
        .topic("**", Rule::open())
        .on_call("purge", async |_: Caller, (): ()| Ok(()))
        .on_call("look", async |_: Caller, (): ()| Ok(()))
        .authorize(|peer, action| match action {
            Action::Publish("drafts") | Action::Subscribe("drafts") | Action::Call("purge") => {
                peer.has_role("editor")
            }
            Action::Call("look") => peer.user.is_some(),
            Action::Call("hidden") => false,
            Action::Publish("fault") => panic!("a fault of the application"),
            _ => true,
        });
    let (_hub, url) = ground.served(hub).await;
    let root = online(ground.client(&url).token("root")).await;
    let ann = online(ground.client(&url).token("ann")).await;
    let forbidden = Some(PublishError::Denied(Denied::Forbidden));
    for (client, edits) in [(&root, true), (&ann, false)] {
        // Asked each time: what was allowed a moment ago is no answer.
        for (topic, allowed) in [
            ("news", true),
            ("drafts", edits),
            ("drafts", edits),
            ("fault", false),
        ] {
            let denied = client.publish_acked(topic, "x").await.err();
            assert_eq!(denied, forbidden.clone().filter(|_| !allowed), "{topic}");
            let subscribed = client.subscribe(topic).await.is_ok();
            assert_eq!(subscribed, allowed || topic == "fault", "{topic}");
        }
        assert!(client.call::<()>("look", ()).await.is_ok());
        for (method, code) in [
            ("hidden", FailureCode::Forbidden),
            ("nothing", FailureCode::UnknownMethod),
        ] {
            let failure = CallFailure::new(code, method);
            let failed = Err(CallError::Failed(failure));
            assert_eq!(client.call::<()>(method, ()).await, failed);
        }
        match client.call::<()>("purge", ()).await {
            Ok(()) => assert!(edits),
            Err(CallError::Failed(failure)) => {
                assert!(!edits);
                assert_eq!(failure.code, FailureCode::Forbidden);
                assert_eq!(failure.message, "purge");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

async fn a_state_is_that_of_one_connection_until_it_is_gone(ground: Ground) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let hub = counting(ground.hub())
        .on_connect(async |_| Ok(Admission::anonymous().state(Calls::default())))
        .on_disconnect(move |gone: Gone| {
            let calls = gone.state::<Calls>().expect("it has its state still");
            // The test may be over.
            let _ = tell.lock().expect("no panic").send(calls);
        });
    let (hub, url) = ground.served(hub).await;
    let (ann, ben) = (ground.online(&url).await, ground.online(&url).await);
    for expected in ["1", "2", "3"] {
        assert_eq!(count(&ann).await, expected);
    }
    assert_eq!(count(&ben).await, "1");
    let remote = hub.connection(id(&ann));
    let calls = remote.state::<Calls>().expect("it is there");
    assert_eq!(calls.one_more(), 4);
    assert!(remote.state::<String>().is_none(), "it is of another type");
    ann.close().await;
    ground.until(|| !remote.is_connected()).await;
    assert!(remote.state::<Calls>().is_none());
    let of_ann = told.recv().expect("it is told");
    assert!(Arc::ptr_eq(&of_ann, &calls));
}

/// Says something at its end.
struct LastWords {
    hub: Hub,
    faulty: bool,
    /// A call of its own connection, which nobody answers.
    call: Mutex<Option<BoxFuture<'static, Result<(), RemoteCallError>>>>,
}

impl Drop for LastWords {
    fn drop(&mut self) {
        let said = self.hub.group("room").send("left", "she has left");
        assert!(said.is_ok());
        // Which tells the connection that nobody waits for its answer any more.
        assert!(self.call.lock().expect("no panic").take().is_some());
        assert!(!self.faulty, "a fault of the application");
    }
}

async fn a_state_may_do_something_at_its_end(ground: Ground) {
    for (faulty, hooked) in [(false, true), (true, true), (true, false)] {
        let inside: Arc<Mutex<Option<Hub>>> = Arc::default();
        let within = inside.clone();
        let (tell, told) = channel();
        let tell = Mutex::new(tell);
        let hub = ground.hub().on_connect(move |ask: Ask| {
            let hub = within
                .lock()
                .expect("no panic")
                .clone()
                .expect("it is built");
            async move {
                let admission = Admission::anonymous().join("room");
                Ok(match ask.token {
                    Some(_) => admission.state(LastWords {
                        hub,
                        faulty,
                        call: Mutex::default(),
                    }),
                    None => admission,
                })
            }
        });
        let hub = hub.on_call("ask back", async |caller: Caller, (): ()| {
            let mut call = caller.remote().call::<()>("never", ()).into_future();
            poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_ready())).await;
            let state = caller.state::<LastWords>().ok_or("no state")?;
            *state.call.lock().expect("no panic") = Some(call);
            Ok(())
        });
        let hub = match hooked {
            true => hub.on_disconnect(move |gone: Gone| {
                // The test may be over.
                let _ = tell.lock().expect("no panic").send(gone.connection);
            }),
            false => hub,
        };
        let (hub, url) = ground.served(hub).await;
        *inside.lock().expect("no panic") = Some(hub.clone());
        let ben = ground.online(&url).await;
        let heard = Arc::new(AtomicU32::new(0));
        let hears = heard.clone();
        let on = ben.on("left", move |_| {
            hears.fetch_add(1, Ordering::Relaxed);
        });
        on.expect("a filter");
        let ann = ground.client(&url).token("ann");
        let ann = online(ann.on_call("never", |_, (): ()| {
            core::future::pending::<Result<(), CallFailure>>()
        }))
        .await;
        let of_ann = id(&ann);
        ann.call::<()>("ask back", ())
            .await
            .expect("it has a state");
        ann.close().await;
        ground.until(|| heard.load(Ordering::Relaxed) == 1).await;
        assert_eq!(told.try_recv().ok(), hooked.then_some(of_ann));
        let report = hub.shutdown(Shutdown::default()).await;
        assert_eq!(hub.counters().connections, 0, "{report:?}");
        *inside.lock().expect("no panic") = None;
    }
}

async fn all_connections_of_a_user_are_ended_together(ground: Ground) {
    let (hub, url) = ground.served(editors(ground.hub())).await;
    let mut anns = Vec::new();
    for _ in 0..2 {
        anns.push(online(ground.client(&url).token("ann")).await);
    }
    let ben = online(ground.client(&url).token("ben")).await;
    assert_eq!(hub.user("nobody").close(), 0);
    assert_eq!(hub.user("ann").close(), 2);
    for ann in &anns {
        let kicked = ClientEnd::ClosedByHub(CloseReason::Kicked);
        assert_eq!(trouble(&mut ann.states()).await, State::Ended(kicked));
    }
    ground.until(|| hub.connections_of("ann").is_empty()).await;
    assert!(hub.connection(id(&ben)).is_connected());
    assert_eq!(hub.all().except([id(&ben)]).close(), 0);
}

#[test]
fn who_returns_has_its_state_and_the_roles_of_now() {
    World::check(async |world| {
        let visits = AtomicU32::new(0);
        let hub = counting(world.hub()).on_connect(move |ask: Ask| {
            let visit = visits.fetch_add(1, Ordering::Relaxed);
            assert_eq!(ask.resumes.is_some(), visit > 0);
            async move {
                let admission = Admission::user("ann").state(Calls::default());
                Ok(admission.role(format!("visitor {visit}")))
            }
        });
        let hub = world.serve(hub);
        let client = world.online("phone").await;
        let remote = hub.connection(id(&client));
        assert_eq!(count(&client).await, "1");
        assert!(remote.has_role("visitor 0"));
        world.network.cut("phone");
        assert_eq!(count(&client).await, "2");
        assert!(remote.is_connected(), "the same connection");
        assert!(remote.has_role("visitor 1") && !remote.has_role("visitor 0"));
    });
}
