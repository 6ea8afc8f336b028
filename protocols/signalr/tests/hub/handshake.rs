//! The first words of both sides, and those that end a connection.

use std::time::Duration;

use lapwing::hub::{Refuse, Shutdown};
use lapwing::wire::Return;

use crate::world::{check, check_with};

const FAULT: &str = r#"{"type":7,"error":"Connection closed with an error."#;

#[test]
fn a_client_shakes_hands_and_calls_in_one_message() {
    check(async |world| {
        let mut page = world.stranger();
        page.send(concat!(
            r#"{"protocol":"json","version":2}"#,
            "\u{1e}",
            r#"{"type":1,"invocationId":"a b","target":"Echo","arguments":["hi"]}"#,
            "\u{1e}"
        ))
        .await;
        page.hears("{}").await;
        page.hears(r#"{"type":3,"invocationId":"a b","result":"hi"}"#)
            .await;
    });
}

#[test]
fn words_may_come_in_pieces() {
    check(async |world| {
        let mut page = world.stranger();
        // The first one has to end, so that the protocol is known.
        page.say(r#"{"protocol":"json","version":1}"#).await;
        page.hears("{}").await;
        let call =
            "{\"type\":1,\"invocationId\":\"0\",\"target\":\"Echo\",\"arguments\":[\"hi\"]}\u{1e}";
        for piece in call.as_bytes().chunks(7) {
            page.send(String::from_utf8(piece.to_vec()).expect("a text"))
                .await;
        }
        page.hears(r#"{"type":3,"invocationId":"0","result":"hi"}"#)
            .await;
    });
}

#[test]
fn what_is_not_spoken_is_refused_in_words() {
    check(async |world| {
        for (request, error) in [
            (
                r#"{"protocol":"xml","version":1}"#,
                "The protocol 'xml' is not supported.",
            ),
            (
                r#"{"protocol":"json","version":9}"#,
                "The server does not support version 9 of the 'json' protocol.",
            ),
            (
                r#"{"type":6}"#,
                "An unexpected error occurred during connection handshake.",
            ),
        ] {
            let mut page = world.stranger();
            page.say(request).await;
            page.ends(&format!(r#"{{"error":"{error}"}}"#)).await;
        }
    });
}

#[test]
fn whoever_is_not_let_in_hears_it_after_the_handshake() {
    let refusing = |builder: lapwing::hub::HubBuilder| {
        builder.on_connect(async |_| Err(Refuse::unauthorized("a secret")))
    };
    check_with(refusing, async |world| {
        let mut page = world.stranger();
        page.say(r#"{"protocol":"json","version":1}"#).await;
        page.hears("{}").await;
        page.ends(&format!("{FAULT}\"}}")).await;
    });
}

#[test]
fn a_client_that_parts_hears_goodbye() {
    check(async |world| {
        let mut page = world.page().await;
        page.say(r#"{"type":7}"#).await;
        page.ends(r#"{"type":7}"#).await;
    });
}

#[test]
fn the_program_ends_a_connection_for_good() {
    check(async |world| {
        let mut page = world.page().await;
        page.say(r#"{"type":1,"target":"AbortMe","arguments":[]}"#)
            .await;
        page.ends(r#"{"type":7}"#).await;
    });
}

#[test]
fn the_program_ends_a_connection_in_its_own_words() {
    check(async |world| {
        for (arguments, last_words) in [
            ("null,false", r#"{"type":7}"#),
            ("null,true", r#"{"type":7,"allowReconnect":true}"#),
            (r#""a \"b\"",false"#, r#"{"type":7,"error":"a \"b\""}"#),
            (
                r#""later",true"#,
                r#"{"type":7,"error":"later","allowReconnect":true}"#,
            ),
        ] {
            let mut page = world.page().await;
            page.say(&format!(
                r#"{{"type":1,"target":"CloseWith","arguments":[{arguments}]}}"#
            ))
            .await;
            page.ends(last_words).await;
        }
    });
}

#[test]
fn the_program_ends_all_connections_in_the_same_words() {
    check(async |world| {
        let (mut one, mut other) = (world.page().await, world.page().await);
        let everybody = world.hub.all();
        assert_eq!(everybody.close_with(Return::Now, Some("a new room")), 2);
        for page in [&mut one, &mut other] {
            page.ends(r#"{"type":7,"error":"a new room","allowReconnect":true}"#)
                .await;
        }
    });
}

#[test]
fn the_words_of_the_program_are_for_no_other_end() {
    check(async |world| {
        let mut page = world.page().await;
        let remote = world.hub.connection(world.hub.connections()[0]);
        remote.close_with(Return::Never, Some("x"));
        // Before that has left, the program has another reason to end it.
        remote.close_with(Return::Now, None);
        page.ends(r#"{"type":7,"allowReconnect":true}"#).await;
    });
}

#[test]
fn the_reasons_of_others_come_too_late_to_change_the_words_of_the_program() {
    check(async |world| {
        let mut pages = [world.page().await, world.page().await];
        // What makes no sense is here before the goodbye has left, and the hub shuts down.
        pages[0].say("{").await;
        world.hub.all().close_with(Return::Never, Some("x"));
        let hub = world.hub.clone();
        world.sim.spawn_named("shutdown", async move {
            hub.shutdown(Shutdown::default()).await;
        });
        for page in &mut pages {
            page.ends(r#"{"type":7,"error":"x"}"#).await;
        }
    });
}

#[test]
fn whoever_is_refused_for_now_may_return() {
    let refusing = |builder: lapwing::hub::HubBuilder| {
        builder.on_connect(async |_| Err(Refuse::busy(Duration::from_secs(1), "a secret")))
    };
    check_with(refusing, async |world| {
        let mut page = world.stranger();
        let call = r#"{"type":1,"invocationId":"0","target":"VoidCall","arguments":[]}"#;
        let both = format!("{{\"protocol\":\"json\",\"version\":1}}\u{1e}{call}\u{1e}");
        page.send(both).await;
        page.hears("{}").await;
        page.ends(&format!("{FAULT}\",\"allowReconnect\":true}}"))
            .await;
    });
}

#[test]
fn a_hub_that_shuts_down_lets_its_clients_return() {
    check(async |world| {
        let mut page = world.page().await;
        let hub = world.hub.clone();
        world.sim.spawn_named("shutdown", async move {
            hub.shutdown(Shutdown::default()).await;
        });
        page.ends(r#"{"type":7,"allowReconnect":true}"#).await;
    });
}

#[test]
fn the_hub_pings_and_a_silent_client_is_gone() {
    check(async |world| {
        let mut page = world.page().await;
        for _ in 0..4 {
            page.hears(r#"{"type":6}"#).await;
            page.say(r#"{"type":6}"#).await;
        }
        page.hears(r#"{"type":6}"#).await;
        world.pass(Duration::from_secs(60)).await;
        assert_eq!(world.hub.connections(), []);
    });
}
