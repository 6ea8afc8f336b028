//! Who comes in without a hello, how it is known to be alive, and what a bare page may do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use lapwing::hub::{Admission, HubBuilder, Refuse};
use lapwing::transport::Message;

use crate::world::{World, check, check_with};

const PROMISE: Duration = Duration::from_secs(25);
const GRACE: Duration = Duration::from_secs(20);

#[test]
fn a_page_is_welcome_at_once_and_may_subscribe_the_same_twice() {
    check(async |world| {
        let mut page = world.upgrade(&[]);
        page.hears_welcome_of(world).await;
        for ack in [r#"{"ack":0,"subscribed":1}"#, r#"{"ack":0,"subscribed":2}"#] {
            page.say(r#"{"subscribe":"news/**"}"#).await;
            page.hears(ack).await;
        }
        assert_eq!(world.hub.counters().subscriptions, 2);
        page.say(r#"{"event":"news/today","data":"rain"}"#).await;
        page.hears(r#"{"event":"news/today","data":"rain"}"#).await;
        page.say(r#"{"unsubscribe":1}"#).await;
        page.hears(r#"{"ack":0,"unsubscribed":true}"#).await;
        world.hub.publish("news/today", "sun").expect("a topic");
        page.hears(r#"{"event":"news/today","data":"sun"}"#).await;
        assert!(page.is_quiet().await, "each event once");
    });
}

impl crate::page::Page {
    async fn hears_welcome_of(&mut self, world: &World) {
        let began = world.sim.elapsed();
        self.welcome().await;
        assert_eq!(world.sim.elapsed(), began, "nobody waited for a hello");
    }
}

#[test]
fn what_is_denied_is_told_without_a_receipt_too() {
    check(async |world| {
        let mut page = world.page().await;
        page.say(r#"{"subscribe":["news","secret/plan"]}"#).await;
        page.hears(r#"{"ack":0,"error":"forbidden"}"#).await;
        page.say(r#"{"subscribe":"a/**/b","receipt":5}"#).await;
        page.hears(r#"{"ack":5,"error":"topic"}"#).await;
        page.say(r#"{"event":"secret/plan","data":1,"receipt":6}"#)
            .await;
        page.hears(r#"{"ack":6,"error":"forbidden"}"#).await;
        page.say(r#"{"event":"secret/plan","data":1}"#).await;
        world.sim.settle().await;
        assert!(page.is_quiet().await, "nobody wanted to know");
    });
}

#[test]
fn a_page_that_answers_pings_below_is_alive() {
    check(async |world| {
        let mut page = world.page().await;
        for round in 1..100 {
            world.pass(PROMISE).await;
            assert_eq!(page.below.pings(), round, "one in each promise");
        }
        assert!(page.is_quiet().await, "it need not know of any of this");
        assert_eq!(world.hub.counters().connections, 1);
    });
}

#[test]
fn a_page_that_answers_no_ping_is_dead_after_promise_and_grace() {
    check(async |world| {
        let mut page = world.page().await;
        world.pass(PROMISE).await;
        page.below.freeze();
        world.pass(PROMISE + GRACE - Duration::from_millis(1)).await;
        assert_eq!(world.hub.counters().connections, 1);
        world.pass(Duration::from_millis(1)).await;
        page.ends(r#"{"close":{"reason":"silent","return":"now"}}"#)
            .await;
        world.sim.settle().await;
        assert_eq!(world.hub.counters().connections, 0);
    });
}

#[test]
fn where_nothing_is_below_the_hub_pings_in_json() {
    check(async |world| {
        let mut page = world.plain();
        page.say(r#"{"hello":{}}"#).await;
        page.welcome().await;
        for ping in 1..5 {
            page.hears(&format!(r#"{{"ping":{ping}}}"#)).await;
            page.say(&format!(r#"{{"pong":{ping}}}"#)).await;
        }
        assert_eq!(world.sim.elapsed(), 4 * PROMISE);
        page.hears(r#"{"ping":5}"#).await;
        page.ends(r#"{"close":{"reason":"silent","return":"now"}}"#)
            .await;
    });
}

#[test]
fn who_promises_is_not_pinged() {
    check(async |world| {
        let mut page = world.upgrade(&[("hello", "")]);
        page.say(r#"{"hello":{"promise_ms":60000}}"#).await;
        page.welcome().await;
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(page.below.pings(), 0);
        page.hears(r#"{"ping":1}"#).await;
        page.hears(r#"{"ping":2}"#).await;
        world.pass(GRACE).await;
        page.hears(r#"{"ping":3}"#).await;
        page.ends(r#"{"close":{"reason":"silent","return":"now"}}"#)
            .await;
    });
}

/// Lets those in who show the key, and keeps what was shown.
fn guarded(shown: &Arc<Mutex<Vec<String>>>) -> impl Fn(HubBuilder) -> HubBuilder + use<> {
    let shown = shown.clone();
    move |builder| {
        let shown = shown.clone();
        builder.on_connect(move |ask| {
            let token = ask.token.unwrap_or_default();
            let token = String::from_utf8_lossy(&token).into_owned();
            let allowed = token == "key";
            shown.lock().expect("no panic").push(token);
            async move {
                match allowed {
                    true => Ok(Admission::user("ann")),
                    false => Err(Refuse::unauthorized("show the key")),
                }
            }
        })
    }
}

#[test]
fn a_token_is_shown_in_the_query_or_in_a_hello_of_its_own() {
    let shown = Arc::default();
    check_with(guarded(&shown), async |world| {
        shown.lock().expect("no panic").clear();
        let mut page = world.upgrade(&[("access_token", "key")]);
        page.welcome().await;

        let mut stranger = world.upgrade(&[]);
        let refused = r#"{"refused":{"reason":"unauthorized","message":"show the key"}}"#;
        stranger.ends(refused).await;

        let mut polite = world.upgrade(&[("hello", "")]);
        world.sim.settle().await;
        assert!(
            polite.is_quiet().await,
            "it is not asked before it has spoken"
        );
        polite.say(r#"{"hello":{"token":"key"}}"#).await;
        polite.welcome().await;
        assert_eq!(*shown.lock().expect("no panic"), ["key", "", "key"]);
    });
}

#[test]
fn without_an_upgrade_somebody_has_to_say_hello() {
    check(async |world| {
        let mut plain = world.plain();
        plain.say(r#"{"subscribe":"news"}"#).await;
        plain.ends(r#"{"refused":{"reason":"malformed"}}"#).await;
        let mut late = world.plain();
        world.pass(Duration::from_secs(10)).await;
        assert!(
            late.next()
                .await
                .is_some_and(|refused| !refused.starts_with('{')),
            "nobody knows its protocol yet"
        );
    });
}

#[test]
fn a_second_hello_is_out_of_order() {
    check(async |world| {
        let mut page = world.page().await;
        page.say(r#"{"hello":{}}"#).await;
        page.ends(r#"{"close":{"reason":"unexpected","return":"now"}}"#)
            .await;
    });
}

#[test]
fn a_binary_message_is_no_text() {
    check(async |world| {
        let mut page = world.page().await;
        page.send(Message::binary(&b"{\"ping\":1}"[..])).await;
        page.ends(r#"{"close":{"reason":"malformed","return":"now"}}"#)
            .await;
    });
}
