//! The past, for pages.

use lapwing::Typed;
use lapwing::hub::{History, HubBuilder, Rule};

use crate::world::{World, check_with};

type Reading = (u32, String);

/// Topics that keep a history, with and without a type, and values.
fn keeping(builder: HubBuilder) -> HubBuilder {
    let history = History::default();
    builder
        .topic(
            "typed/*",
            Rule::open().history(history).carries::<Reading>(),
        )
        .topic("news/*", Rule::open().history(history))
        .topic("state/*", Rule::open().retain())
}

fn reading(number: u32) -> Typed<Reading> {
    Typed((number, "C".into()))
}

async fn hears(world: &World, subscribe: &str, frames: &[&str]) {
    let mut page = world.page().await;
    page.say(subscribe).await;
    let ack = page.next().await.expect("an answer");
    assert!(ack.starts_with(r#"{"ack":1,"#), "{ack}");
    for frame in frames {
        assert_eq!(page.next().await.as_deref(), Some(*frame));
    }
}

#[test]
fn a_page_hears_the_past_in_json_whoever_published_it() {
    check_with(keeping, async |world| {
        world
            .hub
            .publish("typed/a", reading(1))
            .expect("it is written");
        let device = world.postcard().await;
        let published = device.publish("typed/a", reading(2));
        published.expect("there is room");
        world.sim.settle().await;
        let mut page = world.page().await;
        page.say(r#"{"event":"typed/a","data":[3,"C"],"receipt":9}"#)
            .await;
        page.next().await.expect("an answer");
        world.sim.settle().await;
        hears(
            world,
            r#"{"subscribe":"typed/a","id":1,"receipt":1,"from":"beginning"}"#,
            &[
                r#"{"replay":"typed/a","id":1,"data":[1,"C"],"offset":1}"#,
                r#"{"replay":"typed/a","id":1,"data":[2,"C"],"offset":2}"#,
                r#"{"replay":"typed/a","id":1,"data":[3,"C"],"offset":3}"#,
                r#"{"live":1,"offset":3}"#,
            ],
        )
        .await;
    });
}

/// A value of the program is kept in every encoding that somebody may want it in.
#[test]
fn a_typed_value_needs_no_type_in_the_rule() {
    check_with(keeping, async |world| {
        world
            .hub
            .publish("news/a", reading(1))
            .expect("it is written");
        world.hub.publish("news/a", "hot").expect("it is written");
        world
            .hub
            .publish("news/a", vec![0_u8, 1])
            .expect("it is written");
        hears(
            world,
            r#"{"subscribe":"news/*","id":1,"receipt":1,"from":"beginning"}"#,
            &[
                r#"{"replay":"news/a","id":1,"data":[1,"C"],"offset":1}"#,
                r#"{"replay":"news/a","id":1,"data":"hot","offset":2}"#,
                r#"{"replay":"news/a","id":1,"data":{"base64":"AAE="},"offset":3}"#,
                r#"{"live":1,"offset":3}"#,
            ],
        )
        .await;
    });
}

#[test]
fn what_a_page_has_published_is_replayed_to_postcard_as_a_value() {
    check_with(keeping, async |world| {
        let mut page = world.page().await;
        page.say(r#"{"event":"typed/a","data":[7,"C"],"receipt":9}"#)
            .await;
        page.next().await.expect("an answer");
        let device = world.postcard().await;
        let options = lapwing::client::SubscribeOptions {
            start: lapwing::client::Start::Beginning,
            ..Default::default()
        };
        let mut readings = device
            .subscribe_with("typed/*", options)
            .await
            .expect("it may");
        loop {
            match readings.next().await.expect("it goes on") {
                lapwing::Delivery::Event(event) => {
                    let Typed(value) = event.decode::<Typed<Reading>>().expect("a reading");
                    break assert_eq!(value, (7, "C".into()));
                }
                lapwing::Delivery::Live => panic!("nothing was kept"),
                _ => {}
            }
        }
    });
}

#[test]
fn a_page_hears_the_values_that_are_retained() {
    check_with(keeping, async |world| {
        for (topic, state) in [
            ("state/a", "shut"),
            ("state/b", "open"),
            ("state/a", "open"),
        ] {
            world.hub.publish(topic, state).expect("it is written");
        }
        hears(
            world,
            r#"{"subscribe":"state/*","id":1,"receipt":1,"from":"retained"}"#,
            &[
                r#"{"replay":"state/a","id":1,"data":"open","offset":3}"#,
                r#"{"replay":"state/b","id":1,"data":"open","offset":2}"#,
                r#"{"live":1,"offset":3}"#,
            ],
        )
        .await;
    });
}
