//! What stands around calls, and around coming and going.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use lapwing::client::{CallError, ClientEnd};
use lapwing::hub::filter::{
    CallResult, Filter, Invocation, NextCall, NextConnect, NextDisconnect, Timing, Took,
};
use lapwing::hub::{Admission, Ask, Caller, Gone, HubBuilder, Refuse};
use lapwing::wire::{FailureCode, Refusal};
use lapwing::{CallFailure, Client};

use crate::ground::{Ground, online};
use crate::world::World;

everywhere![
    filters_stand_around_calls_in_the_order_in_which_they_were_added,
    a_filter_may_refuse_or_answer_by_itself,
    a_filter_that_panics_ends_the_call_alone,
    filters_stand_around_coming_and_going,
];

/// What was seen, in order.
#[derive(Clone, Default)]
struct Trace(Arc<Mutex<Vec<String>>>);

impl Trace {
    fn note(&self, text: impl Into<String>) {
        self.0.lock().expect("no panic").push(text.into());
    }

    fn seen(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

/// Notes everything, and puts its name around arguments, results and tokens.
struct Around {
    name: &'static str,
    trace: Trace,
}

#[async_trait]
impl Filter for Around {
    async fn call(&self, call: &mut Invocation, next: NextCall) -> Result<CallResult, CallFailure> {
        let Self { name, trace } = self;
        trace.note(format!("{name} begins {}", call.method()));
        let arguments: String = call.arguments()?;
        call.set_arguments(format!("{arguments} {name}"))?;
        let result: String = next.run(call).await?.value()?;
        trace.note(format!("{name} ends"));
        call.result(format!("{result} {name}"))
    }

    async fn connect(&self, mut ask: Ask, next: NextConnect) -> Result<Admission, Refuse> {
        self.trace.note(format!("{} asks", self.name));
        let mut token = ask.token.map(Vec::from).unwrap_or_default();
        token.extend(self.name.as_bytes());
        ask.token = Some(token.into());
        let admission = next.run(ask).await?;
        self.trace.note(format!("{} lets in", self.name));
        Ok(admission.join(self.name))
    }

    fn disconnect(&self, gone: Gone, next: NextDisconnect<'_>) {
        self.trace.note(format!("{} hears of the end", self.name));
        next.run(gone);
        self.trace.note(format!("{} has heard", self.name));
    }
}

/// A hub with two such filters and a method that notes what it was called with.
fn filtered(hub: HubBuilder) -> (HubBuilder, Trace) {
    let trace = Trace::default();
    let around = |name| Around {
        name,
        trace: trace.clone(),
    };
    let within = trace.clone();
    let hub = hub.filter(around("outer")).filter(around("inner")).on_call(
        "say",
        move |_: Caller, text: String| {
            within.note(format!("says {text}"));
            async { Ok(String::from("said")) }
        },
    );
    (hub, trace)
}

/// Does with calls what the caller asks for.
struct Obedient;

#[async_trait]
impl Filter for Obedient {
    async fn call(&self, call: &mut Invocation, next: NextCall) -> Result<CallResult, CallFailure> {
        let wish: String = call.arguments()?;
        match wish.as_str() {
            "refuse" => Err(CallFailure::new(FailureCode::Forbidden, "not today")),
            "answer" => call.result("by the filter"),
            "panic" => panic!("a fault of the application"),
            "panic later" => {
                next.run(call).await?;
                panic!("a fault of the application")
            }
            _ => next.run(call).await,
        }
    }
}

async fn say(client: &Client, text: &str) -> Result<String, CallError> {
    client.call("say", text).await
}

fn failed(code: FailureCode, message: &str) -> Result<String, CallError> {
    Err(CallError::Failed(CallFailure::new(code, message)))
}

async fn filters_stand_around_calls_in_the_order_in_which_they_were_added(ground: Ground) {
    let (hub, trace) = filtered(ground.hub());
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let before = trace.seen().len();
    assert_eq!(say(&client, "hello").await, Ok("said inner outer".into()));
    assert_eq!(
        trace.seen()[before..],
        [
            "outer begins say",
            "inner begins say",
            "says hello outer inner",
            "inner ends",
            "outer ends",
        ]
    );
    // Nobody is asked about a method that does not exist.
    let unknown = client.call::<String>("shout", "hello").await;
    assert_eq!(unknown, failed(FailureCode::UnknownMethod, "shout"));
    assert_eq!(trace.seen().len(), before + 5);
}

async fn a_filter_may_refuse_or_answer_by_itself(ground: Ground) {
    let said = Trace::default();
    let within = said.clone();
    let hub = ground
        .hub()
        .filter(Obedient)
        .on_call("say", move |_: Caller, text: String| {
            within.note(text);
            async { Ok(String::from("by the method")) }
        });
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    let forbidden = failed(FailureCode::Forbidden, "not today");
    assert_eq!(say(&client, "refuse").await, forbidden);
    assert_eq!(say(&client, "answer").await, Ok("by the filter".into()));
    assert_eq!(say(&client, "go on").await, Ok("by the method".into()));
    assert_eq!(said.seen(), ["go on"]);
}

async fn a_filter_that_panics_ends_the_call_alone(ground: Ground) {
    let hub = ground
        .hub()
        .filter(Obedient)
        .on_call("say", async |_: Caller, text: String| Ok(text));
    let (_hub, url) = ground.served(hub).await;
    let client = ground.online(&url).await;
    for wish in ["panic", "panic later"] {
        assert_eq!(say(&client, wish).await, failed(FailureCode::Panicked, ""));
    }
    assert_eq!(say(&client, "go on").await, Ok("go on".into()));
}

async fn filters_stand_around_coming_and_going(ground: Ground) {
    let (hub, trace) = filtered(ground.hub());
    let (at_door, at_end) = (trace.clone(), trace.clone());
    let hub = hub
        .on_connect(move |ask: Ask| {
            let token = String::from_utf8_lossy(&ask.token.expect("it has one")).into_owned();
            at_door.note(format!("sees {token}"));
            async move {
                match token.starts_with("bad") {
                    true => Err(Refuse::unauthorized("bad")),
                    false => Ok(Admission::user("ann")),
                }
            }
        })
        .on_disconnect(move |gone| at_end.note(format!("{} is gone", gone.user.expect("ann"))));
    let (hub, url) = ground.served(hub).await;
    let ann = online(ground.client(&url).token("good ")).await;
    let mut groups = hub.connection(ann.connection().expect("online")).groups();
    groups.sort();
    assert_eq!(groups, ["inner".into(), "outer".into()]);
    ann.close().await;
    ground.until(|| trace.seen().len() == 10).await;
    assert_eq!(
        trace.seen(),
        [
            "outer asks",
            "inner asks",
            "sees good outerinner",
            "inner lets in",
            "outer lets in",
            "outer hears of the end",
            "inner hears of the end",
            "ann is gone",
            "inner has heard",
            "outer has heard",
        ]
    );
    let bad = ground.client(&url).token("bad").spawned().online().await;
    let refused = ClientEnd::Refused {
        reason: Refusal::Unauthorized,
        message: "bad".into(),
    };
    assert_eq!(bad, Err(refused));
    assert_eq!(
        trace.seen()[10..],
        ["outer asks", "inner asks", "sees badouterinner"]
    );
}

#[test]
fn timing_tells_how_long_calls_took_and_how_they_ended() {
    const SECOND: Duration = Duration::from_secs(1);
    World::check(async |world| {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        let timing = Timing::new(move |took: Took<'_>| {
            let seen = (took.method.to_owned(), took.duration, took.failure);
            tell.lock().expect("no panic").push(seen);
            panic!("nobody is to notice");
        });
        let sim = world.sim.clone();
        let hub = world
            .hub()
            .filter(timing)
            .on_call("nap", move |_: Caller, then: String| {
                let nap = sim.sleep(SECOND);
                async move {
                    nap.await;
                    match then.as_str() {
                        "fail" => Err("tired".into()),
                        "panic" => panic!("a fault of the application"),
                        "never" => core::future::pending().await,
                        _ => Ok(()),
                    }
                }
            });
        let _hub = world.serve(hub);
        let client = world.online("phone").await;
        for then in ["wake", "fail", "panic"] {
            let _ = client.call::<()>("nap", then).await;
        }
        let late = client.call::<()>("nap", "never").within(3 * SECOND).await;
        assert_eq!(late, Err(CallError::TimedOut));
        world.sim.settle().await;
        let ends = [
            (1, None),
            (1, Some(FailureCode::Failed)),
            (1, Some(FailureCode::Panicked)),
            (3, Some(FailureCode::Cancelled)),
        ];
        let mut told = told.lock().expect("no panic");
        assert_eq!(told.len(), ends.len());
        for ((method, duration, failure), (seconds, expected)) in told.drain(..).zip(ends) {
            assert_eq!((method.as_str(), failure), ("nap", expected));
            // The network takes its time, and so does the news that nobody waits any more.
            assert!(duration >= seconds * SECOND - SECOND / 2, "{duration:?}");
            assert!(duration < (seconds + 1) * SECOND, "{duration:?}");
        }
    });
}

#[cfg(feature = "tracing")]
mod logged {
    use lapwing::hub::filter::Logging;
    use lapwing_memory::Virtual;
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Keeps the fields of all events of calls.
    struct Log(Trace);

    impl Subscriber for Log {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "lapwing::hub::call"
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut line = Line::default();
            event.record(&mut line);
            self.0.note(line.0);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[derive(Default)]
    struct Line(String);

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0 += &format!("{}={value:?} ", field.name());
        }
    }

    #[test]
    fn each_call_is_one_line_without_its_arguments() {
        let trace = Trace::default();
        tracing::subscriber::with_default(Log(trace.clone()), || {
            let sim = Virtual::new(1);
            let run = sim.run(async {
                let world = World {
                    network: lapwing_memory::Network::new(&sim.runtime()),
                    sim: sim.clone(),
                };
                let hub = world.hub().filter(Logging::default()).on_call(
                    "say",
                    async |_: Caller, text: String| match text.as_str() {
                        "secret" => Ok(text),
                        _ => Err("private".into()),
                    },
                );
                let hub = world.serve(hub);
                let client = world.online("phone").await;
                let id = hub.connections()[0];
                let _ = (say(&client, "secret").await, say(&client, "other").await);
                id
            });
            let id = run.expect("nothing hangs");
            let line =
                |rest| format!("message=called connection={id} method=\"say\" micros=0 {rest}");
            assert_eq!(trace.seen(), [line(""), line("failure=Failed ")]);
        });
    }
}
