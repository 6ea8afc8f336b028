//! A page that was lost returns and hears what it missed: by a hello, or by the query of its request alone.

use crate::page::Page;
use crate::world::{World, check};

/// A page that has heard one of three events of its one subscription; and its token.
async fn lost(world: &World, mut page: Page) -> String {
    let (token, _) = page.token().await;
    page.say(r#"{"subscribe":"a"}"#).await;
    page.hears(r#"{"ack":0,"subscribed":1}"#).await;
    for number in ["1", "2", "3"] {
        world.hub.publish("a", number).expect("a good topic");
    }
    page.hears(r#"{"event":"a","data":"1"}"#).await;
    drop(page);
    world.sim.settle().await;
    token
}

async fn hears_the_rest(world: &World, page: &mut Page) {
    world.hub.publish("a", "4").expect("a good topic");
    for number in 2..=4 {
        let event = format!(r#"{{"event":"a","data":"{number}"}}"#);
        page.hears(&event).await;
    }
}

#[test]
fn a_page_returns_by_a_hello() {
    check(async |world| {
        let mut page = world.plain();
        page.say(r#"{"hello":{"resumable":true}}"#).await;
        let token = lost(world, page).await;
        let mut back = world.plain();
        let hello = format!(
            r#"{{"hello":{{"resumable":true,"resume":["{token}",2],"positions":[[0,0],[1,1]]}}}}"#
        );
        back.say(&hello).await;
        let (new, rest) = back.token().await;
        assert_ne!(new, token);
        let continued =
            r#","continued":{"whole":true,"received":1},"verdicts":["resumed","resumed"]}}"#;
        assert_eq!(rest, continued);
        hears_the_rest(world, &mut back).await;
    });
}

#[test]
fn a_page_returns_by_the_query_of_its_request() {
    check(async |world| {
        let page = world.upgrade(&[("resumable", "")]);
        let token = lost(world, page).await;
        let query = [
            ("resume", &token[..]),
            ("received", "2"),
            ("positions", "0:0,1:1"),
        ];
        let mut back = world.upgrade(&query);
        let (_, rest) = back.token().await;
        assert!(
            rest.contains(r#""verdicts":["resumed","resumed"]"#),
            "{rest}"
        );
        hears_the_rest(world, &mut back).await;
    });
}

#[test]
fn a_page_hears_how_much_it_missed() {
    check(async |world| {
        let page = world.upgrade(&[("resumable", "")]);
        let token = lost(world, page).await;
        // Much more than is kept for it.
        for _ in 0..2_000 {
            world
                .hub
                .publish("a", "x".repeat(100))
                .expect("a good topic");
        }
        let query = [
            ("resume", &token[..]),
            ("received", "2"),
            ("positions", "1:1"),
        ];
        let mut back = world.upgrade(&query);
        let (_, rest) = back.token().await;
        assert!(rest.contains(r#""whole":false"#), "{rest}");
        assert!(rest.contains(r#"[{"gap":{"missed":2002}}]"#), "{rest}");
        world.hub.publish("a", "now").expect("a good topic");
        back.hears(r#"{"event":"a","data":"now"}"#).await;
    });
}

#[test]
fn a_query_that_makes_no_sense_begins_a_new_session() {
    check(async |world| {
        for (resume, positions) in [("zz", "1:1"), ("", ""), ("0011", "1,1"), ("00", "x:y")] {
            let query = [
                ("resume", resume),
                ("received", "-1"),
                ("positions", positions),
            ];
            world.upgrade(&query).welcome().await;
        }
    });
}
