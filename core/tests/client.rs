//! What a program can rely on from its client, against a hub in the same process and in virtual time.

use std::sync::Arc;
use std::time::Duration;

use lapwing::client::{Backoff, ClientEnd, State};
use lapwing::hub::{Hub, Rule};
use lapwing::{Client, Delivery};
use lapwing_memory::{Network, Virtual};

fn hub(sim: &Virtual, network: &Network) -> Hub {
    let hub = Hub::builder(sim.runtime())
        .topic("**", Rule::open())
        .build()
        .expect("good filters");
    let listener = network.listen("hub").expect("the name is free");
    sim.spawn_named("hub", hub.serve(listener));
    hub
}

fn client(sim: &Virtual, network: &Network, name: &str) -> Client {
    Client::builder(sim.runtime(), network.connector("hub").named(name)).spawned()
}

fn text(delivery: Option<Delivery>) -> String {
    match delivery {
        Some(Delivery::Event(envelope)) => envelope.text().expect("a text").into(),
        other => panic!("not an event: {other:?}"),
    }
}

#[test]
fn what_one_client_publishes_another_hears() {
    Virtual::check(0..20, async |sim| {
        let network = Network::new(&sim.runtime());
        let _hub = hub(&sim, &network);
        let (ann, ben) = (client(&sim, &network, "ann"), client(&sim, &network, "ben"));
        let mut news = ann.subscribe("news/*").await.expect("allowed");
        ben.online().await.expect("online");
        for text in ["one", "two", "three"] {
            ben.publish("news/today", text).expect("room");
        }
        for expected in ["one", "two", "three"] {
            assert_eq!(text(news.next().await), expected);
        }
        assert_eq!(news.accounted(), 3);
        news.close().await;
        assert_eq!(ben.close().await, ClientEnd::Closed { unsent: 0 });
    });
}
