//! Streams in both directions.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_lite::future::zip;
use futures_lite::stream::{self, StreamExt};
use lapwing::hub::{Caller, HubBuilder};
use lapwing::{CallFailure, Limits, Typed, Upload};
use serde_json::Value;

use crate::page::Page;
use crate::world::check_with;

type Any = Typed<Value>;

async fn joined(mut texts: Upload<String>, by: &str) -> Result<String, CallFailure> {
    let mut all = Vec::new();
    while let Some(text) = texts.next().await {
        all.push(text?);
    }
    Ok(all.join(by))
}

fn methods(hub: HubBuilder) -> HubBuilder {
    let numbers = |to: i64| stream::iter(0..to).map(|n| Ok(Typed(n)));
    hub.on_stream("CountTo", move |_: Caller, (to,): (i64,)| numbers(to))
        .on_stream(
            "ThenFail",
            move |_: Caller, (to, message): (i64, String)| {
                numbers(to).chain(stream::once(Err(message.into())))
            },
        )
        .on_stream("ThenPanic", move |_: Caller, (to,): (i64,)| {
            numbers(to).chain(stream::iter([()]).map(|()| panic!("a secret")))
        })
        .on_stream("Never", |caller: Caller, (): ()| {
            let parting = Parting(caller);
            stream::pending::<Result<(), CallFailure>>().map(move |never| {
                let _ = &parting;
                never
            })
        })
        .on_upload(
            "Concat",
            async |_: Caller, (): (), texts: Upload<String>| joined(texts, "").await,
        )
        .on_upload(
            "Two",
            async |_: Caller, (by,): (String,), (a, b): (Upload<String>, Upload<String>)| {
                let (a, b) = zip(joined(a, &by), joined(b, &by)).await;
                Ok(Typed((a?, b?)))
            },
        )
        .on_upload(
            "First",
            async |_: Caller, (): (), mut texts: Upload<String>| {
                texts.next().await.unwrap_or(Err("none".into()))
            },
        )
        .on_duplex("EchoStream", |_: Caller, (): (), items: Upload<Any>| items)
}

/// Says goodbye when it is dropped.
struct Parting(Caller);

impl Drop for Parting {
    fn drop(&mut self) {
        let _ = self.0.remote().send("StreamCanceled", ((),));
    }
}

fn check(test: impl AsyncFn(&crate::world::World)) {
    check_with(methods, test);
}

async fn item(page: &mut Page, id: &str, item: &str) {
    page.say(&format!(
        r#"{{"type":2,"invocationId":"{id}","item":{item}}}"#
    ))
    .await;
}

async fn finish(page: &mut Page, id: &str) {
    page.say(&format!(r#"{{"type":3,"invocationId":"{id}"}}"#))
        .await;
}

#[test]
fn a_stream_is_items_and_a_completion() {
    check(async |world| {
        let mut page = world.page().await;
        page.say(r#"{"type":4,"invocationId":"5","target":"countto","arguments":[40]}"#)
            .await;
        for number in 0..40 {
            page.hears(&format!(
                r#"{{"type":2,"invocationId":"5","item":{number}}}"#
            ))
            .await;
        }
        page.hears(r#"{"type":3,"invocationId":"5"}"#).await;
        page.say(r#"{"type":4,"invocationId":"5","target":"CountTo","arguments":[0]}"#)
            .await;
        page.hears(r#"{"type":3,"invocationId":"5"}"#).await;
    });
}

#[test]
fn what_goes_wrong_has_the_words_that_clients_know() {
    check(async |world| {
        let mut page = world.page().await;
        for (call, items, error) in [
            (
                r#""target":"ThenFail","arguments":[1,"cold"]"#,
                1,
                "An error occurred on the server while streaming results. HubException: cold",
            ),
            (
                r#""target":"ThenFail","arguments":[0,"cold"]"#,
                0,
                "An unexpected error occurred invoking 'ThenFail' on the server. HubException: cold",
            ),
            (
                r#""target":"ThenPanic","arguments":[1]"#,
                1,
                "An error occurred on the server while streaming results.",
            ),
            (
                r#""target":"Echo","arguments":["hi"]"#,
                0,
                "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation.",
            ),
            (
                r#""target":"CountTo","arguments":["hi"]"#,
                0,
                "Failed to invoke 'CountTo' due to an error on the server.",
            ),
            (
                r#""target":"Nothing","arguments":[]"#,
                0,
                "Unknown hub method 'Nothing'",
            ),
            (
                r#""target":"EchoStream","arguments":[],"streamIds":["8","9"]"#,
                0,
                "An unexpected error occurred invoking 'EchoStream' on the server. HubException: Client sent 2 stream(s), Hub method expects 1.",
            ),
        ] {
            page.say(&format!(r#"{{"type":4,"invocationId":"0",{call}}}"#))
                .await;
            for number in 0..items {
                page.hears(&format!(
                    r#"{{"type":2,"invocationId":"0","item":{number}}}"#
                ))
                .await;
            }
            page.hears(&format!(
                r#"{{"type":3,"invocationId":"0","error":"{error}"}}"#
            ))
            .await;
        }
        page.invokes(
            "1",
            r#""target":"CountTo","arguments":[1]"#,
            r#","error":"The client attempted to invoke the streaming 'CountTo' method with a non-streaming invocation.""#,
        )
        .await;
        page.invokes(
            "1",
            r#""target":"Concat","arguments":[]"#,
            r#","error":"An unexpected error occurred invoking 'Concat' on the server. HubException: Client sent 0 stream(s), Hub method expects 1.""#,
        )
        .await;
    });
}

#[test]
fn a_stream_that_is_cancelled_completes_without_an_error() {
    check(async |world| {
        let mut page = world.page().await;
        page.say(r#"{"type":4,"invocationId":"0","target":"Never","arguments":[]}"#)
            .await;
        // Others go on meanwhile.
        page.invokes("1", r#""target":"Add","arguments":[1,2]"#, r#","result":3"#)
            .await;
        for unknown in ["1", "7"] {
            page.say(&format!(r#"{{"type":5,"invocationId":"{unknown}"}}"#))
                .await;
        }
        page.say(r#"{"type":5,"invocationId":"0"}"#).await;
        page.hears(r#"{"type":1,"target":"StreamCanceled","arguments":[null]}"#)
            .await;
        page.hears(r#"{"type":3,"invocationId":"0"}"#).await;
        page.say(r#"{"type":5,"invocationId":"0"}"#).await;
        page.invokes("2", r#""target":"Add","arguments":[1,2]"#, r#","result":3"#)
            .await;
    });
}

#[test]
fn uploads_are_read_in_any_interleaving() {
    check(async |world| {
        let mut page = world.page().await;
        page.say(r#"{"type":1,"invocationId":"0","target":"Two","arguments":["-"],"streamIds":["a","b"]}"#)
            .await;
        for (id, text) in [("b", "x"), ("a", "1"), ("b", "y"), ("a", "2")] {
            item(&mut page, id, &format!(r#""{text}""#)).await;
        }
        finish(&mut page, "a").await;
        item(&mut page, "b", r#""z""#).await;
        finish(&mut page, "b").await;
        page.hears(r#"{"type":3,"invocationId":"0","result":["1-2","x-y-z"]}"#)
            .await;
        // What comes late is passed over, however much it is.
        for _ in 0..1_000 {
            item(&mut page, "a", "3").await;
        }
        finish(&mut page, "a").await;
        page.invokes("1", r#""target":"Add","arguments":[1,2]"#, r#","result":3"#)
            .await;
    });
}

#[test]
fn items_may_come_with_the_call_and_names_are_free_again() {
    check(async |world| {
        let mut page = world.page().await;
        for _ in 0..200 {
            let call = r#"{"type":1,"invocationId":"0","target":"Concat","arguments":[],"streamIds":["1"]}"#;
            let item = r#"{"type":2,"invocationId":"1","item":"é"}"#;
            let end = r#"{"type":3,"invocationId":"1"}"#;
            page.send(format!("{call}\u{1e}{item}\u{1e}{item}\u{1e}{end}\u{1e}"))
                .await;
            page.hears(r#"{"type":3,"invocationId":"0","result":"éé"}"#)
                .await;
        }
    });
}

#[test]
fn an_upload_that_fails_makes_its_method_fail() {
    check(async |world| {
        let mut page = world.page().await;
        page.say(
            r#"{"type":1,"invocationId":"0","target":"Concat","arguments":[],"streamIds":["1"]}"#,
        )
        .await;
        item(&mut page, "1", r#""a""#).await;
        page.say(r#"{"type":3,"invocationId":"1","error":"it \u0062roke"}"#)
            .await;
        page.hears(r#"{"type":3,"invocationId":"0","error":"An unexpected error occurred invoking 'Concat' on the server. HubException: it broke"}"#)
            .await;
        page.say(
            r#"{"type":1,"invocationId":"0","target":"Concat","arguments":[],"streamIds":["1"]}"#,
        )
        .await;
        item(&mut page, "1", "1").await;
        page.hears(r#"{"type":3,"invocationId":"0","error":"Failed to invoke 'Concat' due to an error on the server."}"#)
            .await;
    });
}

#[test]
fn a_stream_may_answer_a_stream() {
    check(async |world| {
        let mut page = world.page().await;
        page.say(r#"{"type":4,"invocationId":"0","target":"EchoStream","arguments":[],"streamIds":["1"]}"#)
            .await;
        for value in [r#""a""#, "null", r#"{"a":[1]}"#, "9007199254740993"] {
            item(&mut page, "1", value).await;
            page.hears(&format!(
                r#"{{"type":2,"invocationId":"0","item":{value}}}"#
            ))
            .await;
        }
        finish(&mut page, "1").await;
        page.hears(r#"{"type":3,"invocationId":"0"}"#).await;
    });
}

#[test]
fn a_name_that_means_something_already_is_refused() {
    check(async |world| {
        let mut page = world.page().await;
        page.say(r#"{"type":4,"invocationId":"0","target":"EchoStream","arguments":[],"streamIds":["1"]}"#)
            .await;
        for (call, taken) in [
            (
                r#""type":1,"invocationId":"5","target":"Concat","arguments":[],"streamIds":["1"]"#,
                "1",
            ),
            (
                r#""type":1,"invocationId":"5","target":"Two","arguments":[""],"streamIds":["2","2"]"#,
                "2",
            ),
        ] {
            page.say(&format!("{{{call}}}")).await;
            page.hears(&format!(
                r#"{{"type":3,"invocationId":"5","error":"Invocation ID '{taken}' is already in use."}}"#
            ))
            .await;
        }
        item(&mut page, "1", "7").await;
        page.hears(r#"{"type":2,"invocationId":"0","item":7}"#)
            .await;
    });
}

#[test]
fn so_many_streams_are_too_many() {
    let limits = Limits {
        streams_max: 3,
        ..Limits::default()
    };
    check_with(
        move |hub| methods(hub).limits(limits),
        async |world| {
            let mut page = world.page().await;
            for id in 0..3 {
                page.say(&format!(
                    r#"{{"type":4,"invocationId":"{id}","target":"Never","arguments":[]}}"#
                ))
                .await;
            }
            page.say(r#"{"type":4,"invocationId":"3","target":"CountTo","arguments":[1]}"#)
                .await;
            let many = r#""error":"An unexpected error occurred invoking 'CountTo' on the server. HubException: too many calls are waiting""#;
            page.hears(&format!(r#"{{"type":3,"invocationId":"3",{many}}}"#))
                .await;
            page.say(r#"{"type":5,"invocationId":"1"}"#).await;
            page.next().await;
            page.hears(r#"{"type":3,"invocationId":"1"}"#).await;
            page.say(r#"{"type":4,"invocationId":"3","target":"CountTo","arguments":[0]}"#)
                .await;
            page.hears(r#"{"type":3,"invocationId":"3"}"#).await;
        },
    );
}

#[test]
fn who_sends_more_than_is_read_is_not_read_for_a_while() {
    let limits = Limits {
        stream_bytes_max: 2_000,
        ..Limits::default()
    };
    let gate = Arc::new(Gate::default());
    let build = |hub: HubBuilder| {
        let gate = gate.clone();
        gate.set(false);
        let slow = move |_: Caller, (): (), mut texts: Upload<String>| {
            let gate = gate.clone();
            async move {
                gate.opens().await;
                let mut read = 0;
                while let Some(text) = texts.next().await {
                    text?;
                    read += 1;
                }
                Ok(Typed(read))
            }
        };
        hub.limits(limits).on_upload("Slow", slow)
    };
    check_with(build, async |world| {
        let mut page = world.page().await;
        page.say(
            r#"{"type":1,"invocationId":"0","target":"Slow","arguments":[],"streamIds":["1"]}"#,
        )
        .await;
        for _ in 0..100 {
            item(&mut page, "1", r#""0123456789""#).await;
        }
        finish(&mut page, "1").await;
        page.say(r#"{"type":1,"invocationId":"1","target":"Add","arguments":[1,2]}"#)
            .await;
        // Its own silence is not held against it.
        world.pass(Duration::from_secs(600)).await;
        assert_eq!(world.hub.connections().len(), 1);
        gate.set(true);
        let mut heard = Vec::new();
        while heard.len() < 2 {
            let record = page.next().await.expect("it goes on");
            if record != r#"{"type":6}"# {
                heard.push(record);
            }
        }
        heard.sort();
        assert_eq!(
            heard,
            [
                r#"{"type":3,"invocationId":"0","result":100}"#,
                r#"{"type":3,"invocationId":"1","result":3}"#
            ]
        );
    });
}

/// Somebody waits until it opens.
#[derive(Default)]
struct Gate(Mutex<(bool, Option<Waker>)>);

impl Gate {
    fn set(&self, open: bool) {
        let mut gate = self.0.lock().expect("no panic");
        gate.0 = open;
        gate.1.take().into_iter().for_each(Waker::wake);
    }

    async fn opens(&self) {
        poll_fn(|cx| {
            let mut gate = self.0.lock().expect("no panic");
            gate.1 = Some(cx.waker().clone());
            match gate.0 {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }
}
