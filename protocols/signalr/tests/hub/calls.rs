//! Invocations in both directions.

use crate::world::check;

#[test]
fn arguments_and_results_are_values() {
    check(async |world| {
        let mut page = world.page().await;
        page.invokes(
            "0",
            r#""target":"Add","arguments":[20,22]"#,
            r#","result":42"#,
        )
        .await;
        page.invokes(
            "1",
            r#""arguments":["\u00e9\n"],"target":"echo""#,
            r#","result":"é\n""#,
        )
        .await;
        page.invokes(
            "2",
            r#""target":"EchoValue","arguments":[{"a":[1,null,9007199254740993]}]"#,
            r#","result":{"a":[1,null,9007199254740993]}"#,
        )
        .await;
        page.invokes(
            "3",
            r#""target":"EchoBytes","arguments":["hi"]"#,
            r#","result":"aGk=""#,
        )
        .await;
        page.invokes("4", r#""target":"VoidCall","arguments":[]"#, "")
            .await;
        page.invokes(
            "5",
            r#""target":"NullCall","arguments":[]"#,
            r#","result":null"#,
        )
        .await;
    });
}

#[test]
fn whoever_wants_no_answer_gets_none() {
    check(async |world| {
        let mut page = world.page().await;
        for call in [
            r#""target":"Echo","arguments":["hi"]"#,
            r#""target":"Nothing","arguments":[]"#,
            r#""target":"Subscribe","arguments":[]"#,
            r#""target":"Publish","arguments":["secret/a",1]"#,
        ] {
            page.say(&format!(r#"{{"type":1,{call}}}"#)).await;
        }
        page.invokes(
            "0",
            r#""target":"Echo","arguments":["end"]"#,
            r#","result":"end""#,
        )
        .await;
    });
}

#[test]
fn failures_have_the_words_that_clients_know() {
    check(async |world| {
        let mut page = world.page().await;
        for (call, error) in [
            (
                r#""target":"Nothing","arguments":[]"#,
                "Unknown hub method 'Nothing'",
            ),
            (
                r#""target":"Add","arguments":[1]"#,
                "Failed to invoke 'Add' due to an error on the server.",
            ),
            (
                r#""target":"add","arguments":[1,"2"]"#,
                "Failed to invoke 'add' due to an error on the server.",
            ),
            (
                r#""target":"Echo","arguments":["a","b"]"#,
                "Failed to invoke 'Echo' due to an error on the server.",
            ),
            (
                r#""target":"Add","arguments":[9223372036854775807,1]"#,
                "An unexpected error occurred invoking 'Add' on the server. HubException: overflow",
            ),
            (
                r#""target":"ThrowPrivate","arguments":["secret"]"#,
                "An unexpected error occurred invoking 'ThrowPrivate' on the server.",
            ),
            (
                r#""target":"Panic","arguments":["secret"]"#,
                "An unexpected error occurred invoking 'Panic' on the server.",
            ),
            (
                r#""target":"adminonly","arguments":[]"#,
                "Failed to invoke 'adminonly' because user is unauthorized",
            ),
        ] {
            page.invokes("x", call, &format!(r#","error":"{error}""#))
                .await;
        }
    });
}

#[test]
fn the_hub_asks_a_client_and_waits() {
    check(async |world| {
        let mut page = world.page().await;
        for (id, answer, completion) in [
            ("0", r#""result":{"a":1}"#, r#","result":{"a":1}"#),
            ("1", r#""result":"text""#, r#","result":"text""#),
            (
                "2",
                r#""error":"Error: boom""#,
                r#","error":"An unexpected error occurred invoking 'Ask' on the server. HubException: Error: boom""#,
            ),
        ] {
            page.say(&format!(
                r#"{{"type":1,"invocationId":"{id}","target":"Ask","arguments":["why?"]}}"#
            ))
            .await;
            let question = page.next().await.expect("a question");
            let (_, rest) = question.split_once(r#""invocationId":""#).expect("an id");
            let (ours, rest) = rest.split_once('"').expect("its end");
            assert_eq!(rest, r#","target":"Answer","arguments":["why?"]}"#);
            assert!(
                ours.parse::<u32>().is_err(),
                "clients name streams by numbers"
            );
            page.say(&format!(r#"{{"type":3,"invocationId":"{ours}",{answer}}}"#))
                .await;
            page.hears(&format!(
                r#"{{"type":3,"invocationId":"{id}"{completion}}}"#
            ))
            .await;
        }
    });
}
