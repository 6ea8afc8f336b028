//! The same in MessagePack, and between the two forms.

use serde_json::{Value, json};

use crate::page::Page;
use crate::world::{World, check};

/// A value as MessagePack; a text that begins with `bin:` as bytes.
fn packed(value: &Value) -> Vec<u8> {
    match value {
        Value::Array(values) => {
            let mut bytes = Vec::new();
            rmp::encode::write_array_len(&mut bytes, values.len() as u32).expect("a vector");
            bytes.extend(values.iter().flat_map(packed));
            bytes
        }
        Value::String(text) if text.starts_with("bin:") => {
            let mut bytes = Vec::new();
            rmp::encode::write_bin(&mut bytes, &text.as_bytes()[4..]).expect("a vector");
            bytes
        }
        other => rmp_serde::to_vec_named(other).expect("JSON is MessagePack too"),
    }
}

async fn say(page: &mut Page, message: Value) {
    let record = packed(&message);
    let length = u8::try_from(record.len()).expect("a short record");
    assert!(length < 0x80, "a short record");
    page.send_bytes([&[length], &record[..]].concat()).await;
}

/// The next record, as it came.
async fn hear(page: &mut Page) -> Vec<u8> {
    page.next_bytes().await.expect("a record")
}

async fn hears(page: &mut Page, message: Value) {
    let heard = hear(page).await;
    assert_eq!(heard, packed(&message), "{message} is not {heard:x?}");
}

async fn page(world: &World) -> Page {
    let mut page = world.stranger();
    page.say(r#"{"protocol":"messagepack","version":1}"#).await;
    page.hears("{}").await;
    page
}

#[test]
fn arguments_and_results_are_values() {
    check(async |world| {
        let mut page = page(world).await;
        for (call, completion) in [
            (json!(["Add", [20, 22], []]), json!([3, 42])),
            (json!(["echo", ["h\u{e9}"]]), json!([3, "h\u{e9}"])),
            (
                json!(["EchoValue", [{"a": [1, null, true]}]]),
                json!([3, {"a": [1, null, true]}]),
            ),
            (json!(["EchoBytes", ["hi"]]), json!([3, "bin:hi"])),
            (json!(["VoidCall", []]), json!([2])),
            (json!(["NullCall", []]), json!([3, null])),
            (
                json!(["Nothing", []]),
                json!([1, "Unknown hub method 'Nothing'"]),
            ),
            (
                json!(["Add", [1]]),
                json!([1, "Failed to invoke 'Add' due to an error on the server."]),
            ),
            (
                json!(["Add", [1, 2, 3]]),
                json!([1, "Failed to invoke 'Add' due to an error on the server."]),
            ),
            (
                json!(["Echo", [["a"]]]),
                json!([1, "Failed to invoke 'Echo' due to an error on the server."]),
            ),
        ] {
            let with = |head: [Value; 3], rest: &Value| {
                let rest = rest.as_array().expect("an array").iter().cloned();
                Value::Array(head.into_iter().chain(rest).collect())
            };
            say(&mut page, with([json!(1), json!({}), json!("x")], &call)).await;
            hears(
                &mut page,
                with([json!(3), json!({}), json!("x")], &completion),
            )
            .await;
        }
    });
}

#[test]
fn each_hears_in_its_own_form() {
    check(async |world| {
        let (mut ann, mut ben) = (page(world).await, world.page().await);
        let subscribe = json!([1, {}, "0", "Subscribe", ["news/*"], []]);
        say(&mut ann, subscribe).await;
        hears(&mut ann, json!([3, {}, "0", 2])).await;
        ben.invokes("0", r#""target":"Subscribe","arguments":["news/*"]"#, "")
            .await;

        ben.say(r#"{"type":1,"target":"Publish","arguments":["news/a",{"rain":1.5}]}"#)
            .await;
        ben.hears(r#"{"type":1,"target":"news/a","arguments":[{"rain":1.5}]}"#)
            .await;
        hears(
            &mut ann,
            json!([1, {}, null, "news/a", [{"rain": 1.5}], []]),
        )
        .await;

        for (value, as_json) in [
            (json!({"sun": 7}), r#"{"sun":7}"#),
            (json!("text"), r#""text""#),
            (json!("bin:hi"), r#""aGk=""#),
        ] {
            say(&mut ann, json!([1, {}, null, "Publish", ["news/b", value]])).await;
            hears(&mut ann, json!([1, {}, null, "news/b", [value], []])).await;
            ben.hears(&format!(
                r#"{{"type":1,"target":"news/b","arguments":[{as_json}]}}"#
            ))
            .await;
        }

        say(&mut ann, json!([1, {}, null, "Say", ["ann", "hi"], []])).await;
        hears(
            &mut ann,
            json!([1, {}, null, "ReceiveMessage", ["ann", "hi"], []]),
        )
        .await;
        ben.hears(r#"{"type":1,"target":"ReceiveMessage","arguments":["ann","hi"]}"#)
            .await;
    });
}

#[test]
fn the_hub_asks_and_pings() {
    check(async |world| {
        let mut page = page(world).await;
        say(&mut page, json!([1, {}, "0", "Ask", ["why?"], []])).await;
        hears(&mut page, json!([1, {}, "s2", "Answer", ["why?"], []])).await;
        say(&mut page, json!([3, {}, "s2", 3, [1, 2]])).await;
        hears(&mut page, json!([3, {}, "0", 3, [1, 2]])).await;
        hears(&mut page, json!([6])).await;
        say(&mut page, json!([6])).await;
        say(&mut page, json!([7])).await;
        hears(&mut page, json!([7, null, false])).await;
    });
}

#[test]
fn the_program_ends_a_connection_in_its_own_words() {
    check(async |world| {
        let mut page = page(world).await;
        let call = json!([1, {}, null, "CloseWith", ["later", true], []]);
        say(&mut page, call).await;
        hears(&mut page, json!([7, "later", true])).await;
    });
}

#[test]
fn a_message_that_is_none_ends_its_connection_alone() {
    check(async |world| {
        let fault = packed(&json!([7, "Connection closed with an error.", true]));
        for record in [
            &b"\x01\xc1"[..],
            b"\x01\x01",
            b"\x01\x90",
            b"\x02\x91\xc0",
            b"\x02\x91\x01",
            b"\x05\x94\x01\x80\xc0\xc0",
            b"\x05\x95\x01\x80\xc0\x01",
            b"\x08\x95\x01\x80\xc0\xa1x\x80\x90",
            b"\x06\x94\x03\x80\xa1x\x09",
            b"\x06\x94\x03\x80\xa1x\x03",
            b"\x03\x91\x06\x06\x01",
            b"\xff\xff\xff\xff\xff",
            b"\xff\xff\xff\xff\x07",
        ] {
            let mut page = page(world).await;
            page.send_bytes(record.to_vec()).await;
            match record {
                // What is behind the array is nobody's, and skipped; what follows is no record.
                b"\x03\x91\x06\x06\x01" => assert!(page.is_quiet().await),
                _ => assert_eq!(hear(&mut page).await, fault, "{record:x?}"),
            }
        }
        let mut other = page(world).await;
        say(&mut other, json!([1, {}, "0", "Echo", ["hi"], []])).await;
        hears(&mut other, json!([3, {}, "0", 3, "hi"])).await;
    });
}
