//! A conversation that is cut off at every byte, in both directions, on every wire and in every protocol: nothing of it is
//! lost without a word, nothing comes twice, and no loss is of unknown size as long as the hub lives.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_lite::future::poll_once;
use lapwing::client::{Backoff, CallError, PublishError, SubscribeOptions};
use lapwing::hub::Rule;
use lapwing::protocol::{Json, Postcard};
use lapwing::transport::{Connector, Listener, Transport};
use lapwing::{Client, Delivery, Hub, Policy, Subscription};
use lapwing_memory::{ByteListener, Network, Path, Traffic, Virtual};
use lapwing_sockets::smol::FuturesIo;
use lapwing_websocket::over::{self as websocket, Options};

/// Events in each direction.
const EVENTS: usize = 6;

/// The client comes back at once.
const SOON: Backoff = Backoff {
    first: Duration::from_millis(5),
    max: Duration::from_millis(20),
};

const TICK: Duration = Duration::from_millis(10);

/// Time for everything that is still to come.
const LONG: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    Memory,
    Tcp,
    WebSocket,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoken {
    Postcard,
    Json,
}

/// Where a conversation is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Never,
    ToHub(u64),
    ToClient(u64),
}

/// A wire of bytes, at either end.
struct Bytes<E>(Wire, E);

#[async_trait]
impl Listener for Bytes<ByteListener> {
    async fn accept(&mut self) -> io::Result<Box<dyn Transport>> {
        let (stream, _) = self.1.accept().await;
        let socket = FuturesIo::new(stream);
        Ok(match self.0 {
            Wire::WebSocket => Box::new(websocket::accept(socket, &Options::default())),
            _ => Box::new(lapwing_tcp::over(socket)),
        })
    }

    fn url(&self) -> String {
        "bytes://hub".into()
    }
}

#[async_trait]
impl Connector for Bytes<(lapwing_memory::Connector, &'static str)> {
    fn offer(&mut self, protocol: &'static str) {
        self.1.1 = protocol;
    }

    async fn connect(&mut self) -> io::Result<Box<dyn Transport>> {
        let (connector, protocol) = &self.1;
        let socket = FuturesIo::new(connector.connect_bytes().await?);
        Ok(match self.0 {
            Wire::WebSocket => {
                Box::new(websocket::connect(socket, "ws://hub", Some(protocol)).await?)
            }
            _ => Box::new(lapwing_tcp::over(socket)),
        })
    }

    fn url(&self) -> String {
        "bytes://hub".into()
    }
}

/// What the hub's program hears.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

fn hub(sim: &Virtual, heard: &Heard) -> Hub {
    let heard = heard.clone();
    let hub = Hub::builder(sim.runtime())
        .topic("**", Rule::open())
        .on_call("echo", async |_, text: String| Ok(text))
        .on_event("up", move |_, _, text: String| {
            heard.0.lock().expect("no panic").push(text);
            async {}
        });
    hub.build().expect("good filters")
}

fn client(sim: &Virtual, network: &Network, wire: Wire, spoken: Spoken) -> Client {
    let connector = network.connector("hub").named("phone");
    let builder = match wire {
        Wire::Memory => Client::builder(sim.runtime(), connector),
        _ => Client::builder(sim.runtime(), Bytes(wire, (connector, ""))),
    };
    let builder = builder.backoff(SOON);
    match spoken {
        Spoken::Postcard => builder.protocol(Postcard),
        Spoken::Json => builder.protocol(Json),
    }
    .spawned()
}

/// Talks; says how much was sent each way, and how often the client has returned to its session.
fn conversation(wire: Wire, spoken: Spoken, cut: Cut) -> (Traffic, Traffic, u64) {
    let sim = Virtual::new(7);
    let network = Network::new(&sim.runtime());
    let heard = Heard::default();
    let hub = hub(&sim, &heard);
    match wire {
        Wire::Memory => {
            let listener = network.listen("hub").expect("a free name");
            sim.spawn_named("hub", hub.serve(listener));
        }
        _ => {
            let listener = network.listen_bytes("hub").expect("a free name");
            sim.spawn_named("hub", hub.serve(Bytes(wire, listener)));
        }
    }
    match cut {
        Cut::Never => {}
        Cut::ToHub(units) => network.cut_after(Path::to_hub("phone"), units),
        Cut::ToClient(units) => network.cut_after(Path::to_client("phone"), units),
    }
    let talk = async {
        let client = client(&sim, &network, wire, spoken);
        talk(&sim, &hub, &client, &heard).await;
    };
    if let Err(stuck) = sim.run(talk) {
        panic!("{wire:?} {spoken:?} {cut:?}: {stuck}");
    }
    let traffic = |path| network.traffic(path);
    let (up, down) = (Path::to_hub("phone"), Path::to_client("phone"));
    (traffic(up), traffic(down), hub.counters().resumed)
}

async fn talk(sim: &Virtual, hub: &Hub, client: &Client, heard: &Heard) {
    let mut news = client.subscribe("news").await.expect("allowed");
    let mut late = None;
    let mut said = Vec::new();
    let mut asked = None;
    for number in 0..EVENTS {
        hub.publish("news", number.to_string()).expect("a topic");
        hub.publish("late", number.to_string()).expect("a topic");
        let text = number.to_string();
        client
            .publish_within(LONG, "up", &*text)
            .await
            .expect("room within that time");
        said.push(text);
        if number == 2 {
            let echo = begun(client.call::<String>("echo", "hi").into_future()).await;
            asked = Some((echo, begun(client.publish_acked("elsewhere", "x")).await));
        }
        if number == 4 {
            let options = SubscribeOptions {
                policy: Some(Policy::DropOldest),
                ..SubscribeOptions::default()
            };
            let subscribed = client.subscribe_with("late", options).await;
            late = Some((subscribed.expect("allowed"), number + 1));
        }
        sim.sleep(TICK).await;
    }
    let (echo, confirmed) = asked.expect("asked");
    // It is not asked without a connection; once asked it is answered.
    match echo.await {
        Ok(echo) => assert_eq!(echo, "hi"),
        Err(error) => assert_eq!(error, CallError::Offline),
    }
    match confirmed.await {
        Ok(published) => assert!(published.is_nobody()),
        Err(error) => assert!(matches!(error, PublishError::Offline(_)), "{error}"),
    }
    sim.sleep(LONG).await;
    client.online().await.expect("it is back");
    let remote = hub.connection(client.connection().expect("online"));
    let (mut late, from) = late.expect("subscribed");
    let accounts = [(0, 0), (1, news.accounted()), (2, late.accounted())];
    assert_eq!(remote.offered(), accounts);
    assert_all(&mut news, 0).await;
    assert_all(&mut late, from).await;
    assert_eq!(
        *heard.0.lock().expect("no panic"),
        said,
        "once, and in order"
    );
}

/// The future, after it was polled once.
async fn begun<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let mut future = Box::pin(future);
    let early = poll_once(&mut future).await;
    async move {
        match early {
            Some(done) => done,
            None => future.await,
        }
    }
}

/// Every event from that number on was heard once and in order, or told to be missing.
async fn assert_all(subscription: &mut Subscription, from: usize) {
    let (mut next, mut verdicts) = (from, 0);
    while let Some(Some(delivery)) = poll_once(subscription.next()).await {
        match delivery {
            Delivery::Event(event) => {
                assert_eq!(event.text(), Some(&*next.to_string()));
                next += 1;
            }
            Delivery::Lagged(missed) | Delivery::Gap(Some(missed)) => next += missed as usize,
            Delivery::Resumed => verdicts += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(next, EVENTS, "the rest is lost without a word");
    assert!(verdicts <= 1, "there was one cut");
}

fn every_cut(wire: Wire, spoken: Spoken) {
    let (up, down, _) = conversation(wire, spoken, Cut::Never);
    let units = |traffic: Traffic| match wire {
        Wire::Memory => traffic.messages,
        _ => traffic.bytes,
    };
    let (up, down) = (units(up), units(down));
    assert!(up > 10 && down > 10, "it says something: {up} {down}");
    let cuts = (0..up).map(Cut::ToHub).chain((0..down).map(Cut::ToClient));
    let resumed: u64 = cuts.map(|cut| conversation(wire, spoken, cut).2).sum();
    // Before its first words, and in the upgrade of a WebSocket, there is no session: then it begins anew.
    assert!(resumed * 3 > up + down, "{resumed} of {}", up + down);
}

#[test]
fn on_memory_in_postcard() {
    every_cut(Wire::Memory, Spoken::Postcard);
}

#[test]
fn on_memory_in_json() {
    every_cut(Wire::Memory, Spoken::Json);
}

#[test]
fn on_tcp_in_postcard() {
    every_cut(Wire::Tcp, Spoken::Postcard);
}

#[test]
fn on_tcp_in_json() {
    every_cut(Wire::Tcp, Spoken::Json);
}

#[test]
fn on_websocket_in_postcard() {
    every_cut(Wire::WebSocket, Spoken::Postcard);
}

#[test]
fn on_websocket_in_json() {
    every_cut(Wire::WebSocket, Spoken::Json);
}
