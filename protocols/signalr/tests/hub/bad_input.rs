//! What ends a connection, and no other.

use std::time::Duration;

use lapwing::Limits;

use crate::world::{check, check_with};

const FAULT: &str =
    r#"{"type":7,"error":"Connection closed with an error.","allowReconnect":true}"#;

#[test]
fn a_message_that_is_none_ends_its_connection_alone() {
    check(async |world| {
        let mut other = world.page().await;
        for message in [
            "",
            "{",
            "[]",
            "7",
            "\"\u{7f}\"",
            r#"{"type":"1","target":"Echo","arguments":[]}"#,
            r#"{"target":"Echo","arguments":[]}"#,
            r#"{"type":1,"target":"Echo"}"#,
            r#"{"type":1,"arguments":[]}"#,
            r#"{"type":1,"target":5,"arguments":[]}"#,
            r#"{"type":1,"target":"Echo","arguments":{}}"#,
            r#"{"type":2,"invocationId":"1"}"#,
            r#"{"type":2,"item":1}"#,
            r#"{"type":3}"#,
            r#"{"type":3,"invocationId":"s1","result":1,"error":"both"}"#,
            r#"{"type":4,"target":"Echo","arguments":[]}"#,
            r#"{"type":5}"#,
        ] {
            let mut page = world.page().await;
            page.say(message).await;
            page.ends(FAULT).await;
        }
        other
            .invokes(
                "0",
                r#""target":"Echo","arguments":["hi"]"#,
                r#","result":"hi""#,
            )
            .await;
    });
}

#[test]
fn what_nobody_knows_is_skipped() {
    check(async |world| {
        let mut page = world.page().await;
        for message in [
            r#"{"type":99,"target":"x"}"#,
            r#"{"type":3,"invocationId":"17","result":1}"#,
            r#"{"type":3,"invocationId":"s17","result":1}"#,
            r#"{"type":3,"invocationId":"s","result":1}"#,
            r#"{"type":2,"invocationId":"17","item":null}"#,
            r#"{"type":5,"invocationId":"17"}"#,
            r#"{"type":8,"sequenceId":3}"#,
            r#"{"type":6,"more":[[[[]]]]}"#,
        ] {
            page.say(message).await;
        }
        page.invokes(
            "0",
            r#""target":"Echo","arguments":["hi"],"headers":{"a":"b"}"#,
            r#","result":"hi""#,
        )
        .await;
    });
}

#[test]
fn a_value_that_nests_too_deep_fails_its_call() {
    check(async |world| {
        let mut page = world.page().await;
        let nest = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let call = |levels| format!(r#""target":"EchoValue","arguments":[{}]"#, nest(levels));
        page.invokes("0", &call(32), &format!(r#","result":{}"#, nest(32)))
            .await;
        let error = r#","error":"Failed to invoke 'EchoValue' due to an error on the server.""#;
        page.invokes("1", &call(33), error).await;
        page.invokes("2", &call(10_000), error).await;
        let publish = format!(r#""target":"Publish","arguments":["a",{}]"#, nest(10_000));
        let denied = lapwing::wire::Denied::Payload.to_string();
        page.invokes("3", &publish, &format!(r#","error":"An unexpected error occurred invoking 'Publish' on the server. HubException: {denied}""#))
            .await;
    });
}

#[test]
fn a_message_over_the_limit_ends_the_connection() {
    let small = |builder: lapwing::hub::HubBuilder| {
        builder.limits(Limits {
            message_bytes_max: 200,
            ..Limits::default()
        })
    };
    check_with(small, async |world| {
        let mut page = world.page().await;
        let text = "x".repeat(100);
        page.invokes(
            "0",
            &format!(r#""target":"Echo","arguments":["{text}"]"#),
            &format!(r#","result":"{text}""#),
        )
        .await;
        // In pieces that are small enough each.
        page.send("x".repeat(150)).await;
        page.send("x".repeat(51)).await;
        // Nothing of it can be read any more, so its answer is not waited for.
        page.hears(FAULT).await;
        assert_eq!(page.next().await, None);
        assert_eq!(world.sim.elapsed(), Duration::ZERO);

        let mut page = world.stranger();
        page.send(format!("{{\u{1e}{}", "x".repeat(150))).await;
        page.ends(r#"{"error":"An unexpected error occurred during connection handshake."}"#)
            .await;
    });
}
