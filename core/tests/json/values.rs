//! Texts, bytes, JSON and typed values between clients of two protocols, on topics that carry a type and on others.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use lapwing::client::{CallError, ClientContext, PublishError};
use lapwing::hub::{Caller, PublishError as HubPublishError, RemoteCallError, Rule};
use lapwing::wire::{Denied, Encoding, FailureCode, Payload};
use lapwing::{CallFailure, Client, Delivery, Envelope, Subscription, Topic, Typed};
use serde::{Deserialize, Serialize};

use crate::world::{check, check_with, online};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Reading {
    room: String,
    degrees: f64,
}

fn reading() -> Reading {
    Reading {
        room: "kitchen".into(),
        degrees: 21.5,
    }
}

const READING: &str = r#"{"room":"kitchen","degrees":21.5}"#;

async fn event(subscription: &mut Subscription) -> Envelope {
    match subscription.next().await {
        Some(Delivery::Event(event)) => event,
        other => panic!("{other:?}"),
    }
}

async fn hearing(client: &Client, filter: &str) -> Subscription {
    client.subscribe(filter).await.expect("allowed")
}

/// As a payload in postcard's form.
fn postcard() -> Bytes {
    let mut bytes = Vec::new();
    let encoding =
        lapwing::payload::Encode::encode(&Typed(reading()), Encoding::Postcard, &mut bytes);
    assert_eq!(encoding, Ok(Encoding::Postcard));
    bytes.into()
}

#[test]
fn texts_and_bytes_are_the_same_in_both() {
    check(async |world| {
        let (json, native) = (world.json().await, world.postcard().await);
        let (mut at_json, mut at_native) =
            (hearing(&json, "news").await, hearing(&native, "news").await);
        for from in [&json, &native] {
            from.publish("news", "rain \"\n\u{1F327}").expect("online");
            from.publish("news", [0, 0xff, b'"']).expect("online");
            from.publish("news", "").expect("online");
            from.publish("news", ()).expect("online");
            for at in [&mut at_json, &mut at_native] {
                assert_eq!(
                    event(at).await.payload(),
                    Payload::text("rain \"\n\u{1F327}")
                );
                assert_eq!(event(at).await.payload(), Payload::bytes(&[0, 0xff, b'"']));
                assert_eq!(event(at).await.payload(), Payload::text(""));
                assert_eq!(event(at).await.payload(), Payload::bytes(&[]));
            }
        }
    });
}

#[test]
fn json_stays_json_and_postcard_is_bytes_where_no_type_is_known() {
    check(async |world| {
        let (json, native) = (world.json().await, world.postcard().await);
        let (mut at_json, mut at_native) =
            (hearing(&json, "news").await, hearing(&native, "news").await);
        json.publish("news", Typed(reading())).expect("online");
        native
            .publish("news", Payload::json(READING))
            .expect("online");
        for _ in 0..2 {
            for at in [&mut at_json, &mut at_native] {
                let event = event(at).await;
                assert_eq!(event.payload(), Payload::json(READING));
                assert_eq!(event.decode(), Ok(Typed(reading())));
                let Typed(value): Typed<serde_json::Value> = event.decode().expect("any value");
                assert_eq!(value["degrees"], 21.5);
            }
        }
        native.publish("news", Typed(reading())).expect("online");
        let at_native = event(&mut at_native).await;
        assert_eq!(
            (at_native.encoding(), at_native.bytes()),
            (Encoding::Postcard, &postcard())
        );
        let at_json = event(&mut at_json).await;
        assert_eq!(
            (at_json.encoding(), at_json.bytes()),
            (Encoding::Bytes, &postcard())
        );
    });
}

#[test]
fn values_cross_on_topics_that_carry_their_type() {
    let build = |builder: lapwing::hub::HubBuilder| {
        builder.topic("readings/*", Rule::open().carries::<Reading>())
    };
    check_with(build, async |world| {
        let (json, native) = (world.json().await, world.postcard().await);
        let (mut at_json, mut at_native) = (
            hearing(&json, "readings/*").await,
            hearing(&native, "readings/*").await,
        );
        for from in [&json, &native] {
            from.publish("readings/1", Typed(reading()))
                .expect("online");
            from.publish("readings/2", Payload::json(READING))
                .expect("online");
        }
        world
            .hub
            .publish("readings/3", Typed(reading()))
            .expect("a topic");
        world
            .hub
            .publish("readings/3", Payload::json(READING))
            .expect("a topic");
        for _ in 0..6 {
            let event = event(&mut at_json).await;
            assert_eq!(event.payload(), Payload::json(READING));
        }
        for _ in 0..6 {
            let event = event(&mut at_native).await;
            assert_eq!(
                (event.encoding(), event.bytes()),
                (Encoding::Postcard, &postcard())
            );
        }
    });
}

#[test]
fn what_is_not_of_the_topics_type_is_denied() {
    let build = |builder: lapwing::hub::HubBuilder| {
        builder.topic("readings", Rule::open().carries::<Reading>())
    };
    check_with(build, async |world| {
        let (json, native) = (world.json().await, world.postcard().await);
        for client in [&json, &native] {
            for wrong in [
                Payload::json("[1]"),
                Payload::json(r#"{"room":"kitchen"}"#),
                Payload {
                    encoding: Encoding::Postcard,
                    bytes: &[9],
                },
            ] {
                // In JSON it is bytes by the time it arrives, and those pass.
                if client.publish_acked("elsewhere", wrong).await.is_err()
                    || wrong.encoding == Encoding::Postcard && std::ptr::eq(client, &json)
                {
                    continue;
                }
                let denied = client.publish_acked("readings", wrong).await;
                assert_eq!(
                    denied,
                    Err(PublishError::Denied(Denied::Payload)),
                    "{wrong:?}"
                );
            }
            for fine in [Payload::text("out of order"), Payload::bytes(&[9])] {
                assert!(
                    client.publish_acked("readings", fine).await.is_ok(),
                    "{fine:?}"
                );
            }
            assert!(
                client
                    .publish_acked("readings", Typed(reading()))
                    .await
                    .is_ok()
            );
        }
    });
}

#[test]
fn json_that_is_none_is_denied_and_never_leaves_the_program() {
    check(async |world| {
        let (json, native) = (world.json().await, world.postcard().await);
        let deep = "[".repeat(33) + &"]".repeat(33);
        for wrong in [
            Payload::json("{"),
            Payload::json("1 2"),
            Payload::json(""),
            Payload::json(&deep),
            Payload {
                encoding: Encoding::Text,
                bytes: &[0xff],
            },
        ] {
            for client in [&json, &native] {
                let refused = client.publish("news", wrong);
                assert!(matches!(refused, Err(PublishError::Encode(_))), "{wrong:?}");
            }
            let _listener = hearing(&native, "news").await;
            let refused = world.hub.publish("news", wrong);
            assert!(
                matches!(refused, Err(HubPublishError::Payload(_))),
                "{wrong:?}"
            );
            let envelope = Envelope::new(
                Topic::new("news").expect("a topic"),
                wrong.encoding,
                Bytes::copy_from_slice(wrong.bytes),
            );
            let refused = world.hub.publish("news", envelope);
            assert!(
                matches!(refused, Err(HubPublishError::Payload(_))),
                "{wrong:?}"
            );
        }
    });
}

static READ: AtomicUsize = AtomicUsize::new(0);

/// A number that counts how often it is read.
#[derive(Serialize)]
struct Counted(u32);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        READ.fetch_add(1, Ordering::Relaxed);
        let number = u32::deserialize(deserializer)?;
        assert_ne!(number, 13, "a fault of the application");
        Ok(Self(number))
    }
}

#[test]
fn a_value_is_converted_once_for_all_who_need_it() {
    let build = |builder: lapwing::hub::HubBuilder| {
        builder.topic("numbers", Rule::open().carries::<Counted>())
    };
    check_with(build, async |world| {
        let native = world.postcard().await;
        let mut at_native = hearing(&native, "numbers").await;
        let mut pages = Vec::new();
        for _ in 0..5 {
            let mut page = world.page().await;
            page.say(r#"{"subscribe":"numbers"}"#).await;
            page.hears(r#"{"ack":0,"subscribed":1}"#).await;
            pages.push(page);
        }
        READ.store(0, Ordering::Relaxed);
        native
            .publish_acked("numbers", Typed(Counted(7)))
            .await
            .expect("a number");
        assert_eq!(
            READ.load(Ordering::Relaxed),
            2,
            "looked at when it came, and converted once"
        );
        for page in &mut pages {
            page.hears(r#"{"event":"numbers","data":7}"#).await;
        }
        assert_eq!(
            event(&mut at_native).await.payload(),
            Payload {
                encoding: Encoding::Postcard,
                bytes: &[7]
            }
        );
        let denied = native.publish_acked("numbers", Typed(13_u32)).await;
        assert_eq!(
            denied,
            Err(PublishError::Denied(Denied::Payload)),
            "what panics is no value"
        );
    });
}

#[test]
fn what_the_hub_sends_is_typed_for_each() {
    check(async |world| {
        let (json, native) = (world.json().await, world.postcard().await);
        let heard = Arc::new(Mutex::new(Vec::new()));
        for client in [&json, &native] {
            let heard = heard.clone();
            let hear = move |delivery| match delivery {
                Delivery::Event(event) => heard
                    .lock()
                    .expect("no panic")
                    .push((event.encoding(), event.decode())),
                other => panic!("{other:?}"),
            };
            client.on("direct", hear).expect("a filter");
        }
        for client in [&json, &native] {
            let id = client.connection().expect("online");
            world
                .hub
                .connection(id)
                .send("direct", Typed(reading()))
                .expect("a topic");
            world.sim.settle().await;
        }
        let heard = heard.lock().expect("no panic");
        assert_eq!(
            *heard,
            [
                (Encoding::Json, Ok(Typed(reading()))),
                (Encoding::Postcard, Ok(Typed(reading())))
            ]
        );
    });
}

#[test]
fn calls_go_both_ways_in_json() {
    let build = |builder: lapwing::hub::HubBuilder| {
        builder
            .on_call(
                "warmer",
                async |_: Caller, Typed(mut reading): Typed<Reading>| {
                    reading.degrees += 1.0;
                    Ok(Typed(reading))
                },
            )
            .on_call("nothing", async |_: Caller, ()| Ok(()))
    };
    check_with(build, async |world| {
        let builder = world
            .json_client()
            .on_call("where", async |_: ClientContext, Typed(n): Typed<u8>| {
                Ok(Typed((n, "here")))
            });
        let json = online(builder).await;
        let warmer: Typed<Reading> = json
            .call("warmer", Typed(reading()))
            .await
            .expect("a reading");
        assert_eq!(warmer.0.degrees, 22.5);
        assert_eq!(json.call("nothing", ()).await, Ok(()));
        assert_eq!(json.call("add", Typed((20, 22))).await, Ok(Typed(42_i64)));
        let remote = world.hub.connection(json.connection().expect("online"));
        let Typed(place): Typed<(u8, String)> =
            remote.call("where", Typed(7_u8)).await.expect("an answer");
        assert_eq!(place, (7, "here".into()));

        let mut page = world.page().await;
        page.say(&format!(r#"{{"call":"warmer","id":1,"data":{READING}}}"#))
            .await;
        page.hears(r#"{"reply":1,"data":{"room":"kitchen","degrees":22.5}}"#)
            .await;
        page.say(r#"{"call":"nothing","id":2}"#).await;
        page.hears(r#"{"reply":2}"#).await;
        page.say(r#"{"call":"warmer","id":3,"data":"cold"}"#).await;
        let failed = page.next().await.expect("an answer");
        assert!(
            failed.starts_with(r#"{"reply":3,"error":{"code":"arguments","message":""#),
            "{failed}"
        );
    });
}

#[test]
fn what_grows_too_large_in_json_is_not_sent() {
    let limits = lapwing::Limits {
        message_bytes_max: 10_000,
        ..lapwing::Limits::default()
    };
    let build = |builder: lapwing::hub::HubBuilder| {
        builder
            .on_call("quotes", async |_: Caller, ()| Ok("\"".repeat(6_000)))
            .on_call("fail", async |_: Caller, ()| -> Result<(), _> {
                Err("\u{1}".repeat(4_000).into())
            })
    };
    check_with(build, async |world| {
        let builder = world.json_client().limits(limits);
        let json =
            online(builder.on_call("take", async |_: ClientContext, text: String| Ok(text))).await;
        let result: Result<String, _> = json.call("quotes", ()).await;
        let Err(CallError::Failed(failure)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(
            failure.message,
            "the result is larger than the caller takes"
        );
        let result: Result<(), _> = json.call("fail", ()).await;
        assert_eq!(
            result,
            Err(CallError::Failed(CallFailure::new(FailureCode::Failed, "")))
        );

        let remote = world.hub.connection(json.connection().expect("online"));
        let refused: Result<String, _> = remote.call("take", "\"".repeat(6_000)).await;
        assert!(
            matches!(refused, Err(RemoteCallError::TooLarge { max: 10_000, .. })),
            "{refused:?}"
        );
        assert!(remote.is_connected(), "it was not harmed");
    });
}

#[test]
fn a_page_is_called_with_json_and_answers_with_it() {
    let build = |builder: lapwing::hub::HubBuilder| {
        builder.on_call("ask me", async |caller: Caller, ()| {
            let Typed(answer): Typed<Reading> = caller.call("read", Typed(("kitchen", 1))).await?;
            Ok(Typed(answer.degrees))
        })
    };
    check_with(build, async |world| {
        let mut page = world.page().await;
        for (answer, result) in [
            (format!(r#""data":{READING}"#), r#"{"reply":9,"data":21.5}"#),
            (
                r#""error":{"code":"failed","message":"no"}"#.into(),
                r#"{"reply":9,"error":{"code":"failed","message":"the call failed: no"}}"#,
            ),
        ] {
            page.say(r#"{"call":"ask me","id":9}"#).await;
            let call = page.next().await.expect("a call");
            let call: serde_json::Value = serde_json::from_str(&call).expect("JSON");
            assert_eq!(call["call"], "read");
            assert_eq!(call["data"], serde_json::json!(["kitchen", 1]));
            assert_eq!(call["deadline_ms"], 30_000);
            page.say(&format!(r#"{{"reply":{},{answer}}}"#, call["id"]))
                .await;
            page.hears(result).await;
        }
    });
}

#[test]
fn texts_are_read_as_values_that_are_texts_in_json() {
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Switch {
        On,
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Name(String);

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
        let Typed(value) = lapwing::payload::Decode::decode(Payload::text(text)).expect("a text");
        value
    }
    assert_eq!(read::<Switch>("on"), Switch::On);
    assert_eq!(read::<Name>("ann"), Name("ann".into()));
    assert_eq!(read::<Option<String>>("ann"), Some("ann".into()));
    assert_eq!(read::<char>("a"), 'a');
    assert_eq!(read::<String>("ann"), "ann");
    assert_eq!(read::<serde_json::Value>("ann"), "ann");
}

#[test]
fn a_part_of_a_value_may_be_left_unread() {
    use serde_json::value::RawValue;

    #[derive(Deserialize)]
    struct Outer {
        kept: Box<RawValue>,
    }
    let payload = Payload::json(r#"{"kept":[1, {"a":2}],"ignored":[[[]]]}"#);
    let Typed(outer): Typed<Outer> = lapwing::payload::Decode::decode(payload).expect("a value");
    assert_eq!(outer.kept.get(), r#"[1, {"a":2}]"#);
    let deep = format!(
        r#"{{"kept":1,"ignored":{}{}}}"#,
        "[".repeat(32),
        "]".repeat(32)
    );
    let refused: Result<Typed<Outer>, _> = lapwing::payload::Decode::decode(Payload::json(&deep));
    assert!(refused.is_err(), "also where nobody looks");
    let trailing: Result<Typed<u8>, _> = lapwing::payload::Decode::decode(Payload::json("1 2"));
    assert!(trailing.is_err());
}
