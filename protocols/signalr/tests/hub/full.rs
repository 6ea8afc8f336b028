//! A client that returns confirms by speaking: it is heard whatever waits for it, and its end is bounded all the same.

use std::time::Duration;

use futures_lite::stream::{self, StreamExt};
use lapwing::hub::{Caller, HubBuilder};
use lapwing::{Limits, Typed, Upload};
use serde_json::Value;

use crate::page::Page;
use crate::ticket::{Guest, ack};
use crate::world::{World, check_with};

const FAULT: &str =
    r#"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"#;

fn build(builder: HubBuilder) -> HubBuilder {
    let numbers = |to: i64| stream::iter(0..to).map(|n| Ok(Typed(n)));
    builder
        .limits(Limits {
            resume_bytes_max: 1_000,
            stream_bytes_max: 4_000,
            ..Limits::default()
        })
        .on_stream("CountTo", move |_: Caller, (to,): (i64,)| numbers(to))
        .on_duplex(
            "EchoStream",
            |_: Caller, (): (), items: Upload<Typed<Value>>| items,
        )
}

fn item(id: &str, item: u64) -> String {
    format!(r#"{{"type":2,"invocationId":"{id}","item":{item}}}"#)
}

/// Hears so much of a stream, and confirms what it has heard when it hears nothing more.
async fn hears_items(world: &World, page: &mut Page, count: u64) {
    let mut heard = 0;
    while heard < count {
        let Some(record) = page.said().await else {
            page.say(&ack(heard)).await;
            world.sim.settle().await;
            continue;
        };
        if !is_control(&record) {
            assert_eq!(record, item("5", heard));
            heard += 1;
        }
    }
}

fn is_control(record: &str) -> bool {
    [r#"{"type":6"#, r#"{"type":8"#]
        .iter()
        .any(|kind| record.starts_with(kind))
}

#[test]
fn a_stream_goes_on_as_it_is_confirmed() {
    check_with(build, async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        page.say(r#"{"type":4,"invocationId":"5","target":"CountTo","arguments":[1000]}"#)
            .await;
        world.sim.settle().await;
        hears_items(world, &mut page, 1_000).await;
        page.say(&ack(1_000)).await;
        page.hears(r#"{"type":3,"invocationId":"5"}"#).await;
    });
}

#[test]
fn a_stream_that_comes_back_waits_in_both_directions() {
    check_with(build, async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        page.say(
            r#"{"type":4,"invocationId":"5","target":"EchoStream","arguments":[],"streamIds":["6"]}"#,
        )
        .await;
        // Nobody confirms what comes back: what it says is heard, and not confirmed when it is too much.
        for number in 0..150 {
            page.say(&item("6", number)).await;
            world.sim.settle().await;
        }
        world.pass(Duration::from_secs(5)).await;
        hears_items(world, &mut page, 150).await;
        page.say(&ack(150)).await;
        world.pass(Duration::from_secs(1)).await;
        while let Some(record) = page.said().await {
            assert!(is_control(&record), "{record}");
        }
        page.say(r#"{"type":3,"invocationId":"6"}"#).await;
        page.hears(r#"{"type":3,"invocationId":"5"}"#).await;
        world.pass(Duration::from_secs(1)).await;
        page.hears(&ack(152)).await;
    });
}

#[test]
fn who_says_more_and_more_and_confirms_nothing_is_ended() {
    check_with(build, async |world| {
        let open = r#"{"type":4,"invocationId":"5","target":"EchoStream","arguments":[],"streamIds":["6"]}"#;
        let call = r#"{"type":1,"invocationId":"0","target":"Echo","arguments":["hi"]}"#;
        let large = "x".repeat(1_000);
        let item = format!(r#"{{"type":2,"invocationId":"6","item":"{large}"}}"#);
        for (before, record) in [(open, item), ("", call.into())] {
            let guest = Guest::new("phone");
            let mut page = guest.come(world).await;
            page.say(before).await;
            for _ in 0..2_000 {
                if guest.ticket.is_void() {
                    break;
                }
                page.say(&record).await;
                world.sim.settle().await;
            }
            assert!(guest.ticket.is_void());
            let mut last = String::new();
            while let Some(record) = page.next().await {
                last = record;
                if last == FAULT {
                    break;
                }
            }
            assert_eq!(last, FAULT);
            drop(page);
            world.sim.settle().await;
            assert_eq!(world.hub.connections(), []);
        }
    });
}

#[test]
fn what_is_on_its_way_may_come_however_little_may_wait() {
    check_with(build, async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        page.say(
            r#"{"type":4,"invocationId":"5","target":"EchoStream","arguments":[],"streamIds":["6"]}"#,
        )
        .await;
        // As much as a client of SignalR says before it waits to hear what has arrived.
        for number in 0..2_500 {
            page.say(&item("6", number)).await;
        }
        world.sim.settle().await;
        assert!(guest.ticket.is_good());
        hears_items(world, &mut page, 2_500).await;
        assert!(guest.ticket.is_good());
    });
}

#[test]
fn streams_go_on_where_they_were() {
    check_with(build, async |world| {
        let guest = Guest::new("phone");
        let mut page = guest.come(world).await;
        let open = r#"{"type":4,"invocationId":"5","target":"EchoStream","arguments":[],"streamIds":["6"]}"#;
        page.say(open).await;
        page.say(&item("6", 0)).await;
        page.hears(&item("5", 0)).await;
        page.say(&ack(1)).await;
        for number in 1..4 {
            page.say(&item("6", number)).await;
        }
        page.hears(&item("5", 1)).await;
        world.sim.settle().await;
        guest.lose(world).await;
        // It confirmed the first of what came back, and nothing of its own was confirmed.
        let mut page = guest.come_back(world, 1, 2).await;
        page.say(open).await;
        for number in 0..6 {
            page.say(&item("6", number)).await;
        }
        for number in 1..6 {
            page.hears(&item("5", number)).await;
        }
        page.say(r#"{"type":5,"invocationId":"5"}"#).await;
        page.hears(r#"{"type":3,"invocationId":"5"}"#).await;
        world.pass(Duration::from_secs(1)).await;
        page.hears(&ack(8)).await;
        // What stops a stream has a number and nothing else to wait for.
        page.say(r#"{"type":5,"invocationId":"5"}"#).await;
        world.pass(Duration::from_secs(1)).await;
        page.hears(&ack(9)).await;
    });
}
