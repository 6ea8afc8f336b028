//! What a page may not say: each ends as the table says, and another connection does not notice.

use lapwing::transport::Message;

use crate::page::Page;
use crate::world::{World, check};

const MALFORMED: &str = r#"{"close":{"reason":"malformed","return":"now"}}"#;
const UNEXPECTED: &str = r#"{"close":{"reason":"unexpected","return":"now"}}"#;

fn malformed() -> Vec<Message> {
    let deep = |levels| "[".repeat(levels);
    let mut texts: Vec<_> = [
        "{",
        "[]",
        "null",
        "{}",
        r#"{"shout":1}"#,
        r#"{"ping":1,"pong":1}"#,
        r#"{"ping":1}{"ping":2}"#,
        r#"{"ping":1}"#.repeat(2).as_str(),
        r#"{"event":"news","event":"olds"}"#,
        r#"{"event":"news","data":1,"data":2}"#,
        r#"{"event":7}"#,
        r#"{"ping":-1}"#,
        r#"{"ping":4294967296}"#,
        r#"{"ping":1e999}"#,
        r#"{"ping":1.5}"#,
        r#"{"event":"news","data":NaN}"#,
        r#"{"event":"news","data":"\x"}"#,
        r#"{"subscribe":{"a":"b"}}"#,
        r#"{"event":"\ud800"}"#,
    ]
    .map(Message::text)
    .into();
    texts.push(Message::text(format!(
        r#"{{"event":"news","data":{}"#,
        deep(100_000)
    )));
    texts.push(Message::text(format!(
        r#"{{"event":"news","data":{}{}}}"#,
        deep(33),
        "]".repeat(33)
    )));
    texts.push(Message::text(format!(
        r#"{{"ping":1,"more":{}{}}}"#,
        deep(33),
        "]".repeat(33)
    )));
    // A transport that tells text from binary has looked; one that does not might bring this.
    let kind = lapwing::transport::Kind::Text;
    let bytes = (&b"{\"event\":\"\xff\"}"[..]).into();
    texts.push(Message { bytes, kind });
    texts
}

async fn round_trip(world: &World, control: &mut Page) {
    let before = world.sim.elapsed();
    control.say(r#"{"call":"echo","id":7,"data":"x"}"#).await;
    control.hears(r#"{"reply":7,"data":"x"}"#).await;
    assert_eq!(world.sim.elapsed(), before, "somebody else was in the way");
}

#[test]
fn what_is_no_frame_ends_the_connection_and_no_other() {
    check(async |world| {
        let mut control = world.page().await;
        control.say(r#"{"subscribe":"**"}"#).await;
        control.hears(r#"{"ack":0,"error":"forbidden"}"#).await;
        control.say(r#"{"subscribe":"news"}"#).await;
        control.hears(r#"{"ack":0,"subscribed":1}"#).await;
        for message in malformed() {
            let mut page = world.page().await;
            page.send(message).await;
            page.ends(MALFORMED).await;
            round_trip(world, &mut control).await;
        }
        world.sim.settle().await;
        assert_eq!(world.hub.counters().connections, 1);
    });
}

#[test]
fn what_only_a_hub_may_say_is_out_of_order() {
    check(async |world| {
        let mut control = world.page().await;
        for text in [
            r#"{"welcome":{"connection":"30313233343536373839616263646566"}}"#,
            r#"{"refused":{"reason":"full"}}"#,
            r#"{"ack":1,"subscribed":true}"#,
            r#"{"lagged":1,"missed":1}"#,
        ] {
            let mut page = world.page().await;
            page.say(text).await;
            page.ends(UNEXPECTED).await;
            round_trip(world, &mut control).await;
        }
    });
}

#[test]
fn a_huge_message_is_told_its_limit() {
    check(async |world| {
        let mut control = world.page().await;
        let mut page = world.page().await;
        page.say(&format!(
            r#"{{"event":"news","data":"{}"}}"#,
            "x".repeat(1024 * 1024 - 26)
        ))
        .await;
        round_trip(world, &mut page).await;
        let huge = format!(r#"{{"event":"news","data":"{}"}}"#, "x".repeat(2_000_000));
        let size = huge.len();
        page.say(&huge).await;
        page.ends(&format!(r#"{{"close":{{"reason":{{"message-too-large":{{"size":{size},"max":1048576}}}},"return":"now"}}}}"#)).await;
        round_trip(world, &mut control).await;
    });
}

#[test]
fn many_filters_are_too_many_and_nothing_worse() {
    check(async |world| {
        let mut page = world.page().await;
        let filters = vec![r#""a""#; 200_000].join(",");
        page.say(&format!(r#"{{"subscribe":[{filters}],"receipt":1}}"#))
            .await;
        page.hears(r#"{"ack":1,"error":{"too-many":{"max":1024}}}"#)
            .await;
        page.say(r#"{"subscribe":[],"receipt":2}"#).await;
        page.hears(r#"{"ack":2,"subscribed":1}"#).await;
        assert_eq!(world.hub.counters().subscriptions, 0);
    });
}

#[test]
fn empty_messages_are_passed_over() {
    check(async |world| {
        let mut page = world.page().await;
        page.say("").await;
        page.say(" \r\n").await;
        round_trip(world, &mut page).await;
    });
}

#[test]
fn a_value_that_looks_like_bytes_harms_nobody() {
    check(async |world| {
        let (mut page, json) = (world.page().await, world.json().await);
        let mut news = json.subscribe("news").await.expect("allowed");
        for value in [r#"{"base64":"not of it"}"#, r#""\ud800""#, "1e999"] {
            page.say(&format!(r#"{{"event":"news","data":{value}}}"#))
                .await;
            let Some(lapwing::Delivery::Event(event)) = news.next().await else {
                panic!("an event");
            };
            assert_eq!(event.payload(), lapwing::wire::Payload::json(value));
        }
    });
}
