//! The page of the docs, played against a hub: what it says is so.

use bytes::BytesMut;
use lapwing::protocol::{Json, Protocol};
use lapwing::session::Role;
use lapwing::transport::Message;

use crate::world::check;

const PAGE: &str = include_str!("../../../docs/json.md");

/// What a page cannot know before.
fn without_ids(text: &str) -> String {
    let Some((before, rest)) = text.split_once(r#""connection":""#) else {
        return text.into();
    };
    let (_, after) = rest.split_once('"').expect("the end of an id");
    format!(r#"{before}"connection":"…"{after}"#)
}

#[test]
fn the_conversation_goes_as_written() {
    let lines: Vec<_> = PAGE
        .lines()
        .map(|line| (line.strip_prefix("page  "), line.strip_prefix("hub   ")))
        .filter(|(said, heard)| said.is_some() || heard.is_some())
        .collect();
    assert!(lines.len() > 15, "the page has a conversation");
    check(async |world| {
        let mut page = world.upgrade(&[]);
        for line in &lines {
            match line {
                (Some(said), _) => page.say(said).await,
                (None, heard) => {
                    let text = page.next().await.expect("an answer");
                    assert_eq!(Some(&*without_ids(&text)), *heard);
                }
            }
        }
        assert_eq!(page.next().await, None);
    });
}

#[test]
fn every_shape_of_the_tables_is_a_frame() {
    let (frames, _) = PAGE.split_once("## Data").expect("what frames carry");
    let shapes = frames
        .lines()
        .filter(|line| line.starts_with("| `{"))
        .flat_map(|line| line.split('`').filter(|code| code.starts_with(r#"{""#)));
    let mut count = 0;
    for shape in shapes {
        let shape = shape.replace('…', "30313233343536373839616263646566");
        let message = Message::text(shape.clone());
        for from in [Role::Client, Role::Hub] {
            let mut scratch = BytesMut::new();
            let frame = Json.decode(&message, from, &mut scratch);
            assert!(matches!(frame, Ok(Some(_))), "{shape}: {frame:?}");
        }
        count += 1;
    }
    assert!(count > 20, "{count}");
}
