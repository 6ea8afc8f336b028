//! Events: sent straight to clients, and published.

use lapwing::Typed;
use lapwing::wire::Payload;

use crate::world::check;

#[test]
fn everybody_hears_a_message_each_in_its_form() {
    check(async |world| {
        let (mut ann, mut ben) = (world.page().await, world.page().await);
        let native = world.native().await;
        let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let hears = heard.clone();
        native
            .on("ReceiveMessage", move |delivery| {
                if let lapwing::client::Delivery::Event(event) = delivery {
                    let (user, text): (String, String) = event.decode().expect("two texts");
                    hears
                        .lock()
                        .expect("no panic")
                        .push(format!("{user}: {text}"));
                }
            })
            .expect("a topic");
        ann.say(r#"{"type":1,"target":"Say","arguments":["ann","hi"]}"#)
            .await;
        for page in [&mut ann, &mut ben] {
            page.hears(r#"{"type":1,"target":"ReceiveMessage","arguments":["ann","hi"]}"#)
                .await;
        }
        world.sim.settle().await;
        assert_eq!(*heard.lock().expect("no panic"), ["ann: hi"]);
    });
}

#[test]
fn a_client_subscribes_and_publishes() {
    check(async |world| {
        let (mut ann, mut ben) = (world.page().await, world.page().await);
        let native = world.native().await;
        let mut news = native.subscribe("news/**").await.expect("allowed");
        ann.invokes("0", r#""target":"Subscribe","arguments":["news/*"]"#, "")
            .await;
        // Once more is as good as once.
        ann.invokes("1", r#""target":"subscribe","arguments":["news/*"]"#, "")
            .await;
        ben.invokes(
            "0",
            r#""target":"Publish","arguments":["news/today",{"rain":true}]"#,
            "",
        )
        .await;
        ann.hears(r#"{"type":1,"target":"news/today","arguments":[{"rain":true}]}"#)
            .await;
        let lapwing::client::Delivery::Event(event) = news.next().await.expect("an event") else {
            panic!("nothing is missing");
        };
        assert_eq!(event.payload(), Payload::json(r#"{"rain":true}"#));

        native
            .publish("news/now", Typed((1, "sun")))
            .expect("allowed");
        ann.hears(r#"{"type":1,"target":"news/now","arguments":["AgNzdW4="]}"#)
            .await;
        world.hub.publish("news/now", ("sun", 2)).expect("a topic");
        world.hub.publish("news/now", "text").expect("a topic");
        ann.hears(r#"{"type":1,"target":"news/now","arguments":["sun",2]}"#)
            .await;
        ann.hears(r#"{"type":1,"target":"news/now","arguments":["text"]}"#)
            .await;

        ann.invokes("2", r#""target":"Unsubscribe","arguments":["news/*"]"#, "")
            .await;
        world.hub.publish("news/now", "later").expect("a topic");
        ann.invokes(
            "3",
            r#""target":"Unsubscribe","arguments":["never/had"]"#,
            "",
        )
        .await;
        assert!(ann.is_quiet().await);
    });
}

#[test]
fn what_rules_forbid_is_refused() {
    check(async |world| {
        let mut page = world.page().await;
        let unauthorized = |method: &str| {
            format!(r#","error":"Failed to invoke '{method}' because user is unauthorized""#)
        };
        let failed = |method: &str, why: &str| {
            format!(
                r#","error":"An unexpected error occurred invoking '{method}' on the server. HubException: {why}""#
            )
        };
        page.invokes(
            "0",
            r#""target":"Subscribe","arguments":["secret/*"]"#,
            &unauthorized("Subscribe"),
        )
        .await;
        // It was not had, so it may be asked for again.
        page.invokes(
            "1",
            r#""target":"Subscribe","arguments":["secret/*"]"#,
            &unauthorized("Subscribe"),
        )
        .await;
        page.invokes(
            "2",
            r#""target":"Publish","arguments":["secret/a",1]"#,
            &unauthorized("Publish"),
        )
        .await;
        let malformed = lapwing::wire::Denied::Topic.to_string();
        page.invokes(
            "3",
            r#""target":"Publish","arguments":["a//b",1]"#,
            &failed("Publish", &malformed),
        )
        .await;
        for call in [
            r#""target":"Subscribe","arguments":[]"#,
            r#""target":"Subscribe","arguments":[1]"#,
            r#""target":"Subscribe","arguments":["a","b"]"#,
            r#""target":"Unsubscribe","arguments":[null]"#,
            r#""target":"Publish","arguments":["a"]"#,
        ] {
            let (_, method) = call.split_once(":\"").expect("a target");
            let (method, _) = method.split_once('"').expect("its end");
            let error = format!("Failed to invoke '{method}' due to an error on the server.");
            page.invokes("4", call, &format!(r#","error":"{error}""#))
                .await;
        }
    });
}
