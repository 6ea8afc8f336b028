//! A hub and a client in one process: subscribe, publish, print what arrives.

use lapwing::{Client, Delivery, Hub, hub::Rule, runtime::Smol};
use lapwing_memory::Network;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let smol = Smol::new();
    let network = Network::new(&smol);
    let hub = Hub::builder(smol.clone())
        .topic("news/**", Rule::open())
        .build()?;
    smol.spawn(hub.serve(network.listen("hub")?));

    smol.block_on(async {
        let client = Client::builder(smol.clone(), network.connector("hub")).spawned();
        let mut news = client.subscribe("news/*").await?;
        hub.publish("news/weather", "rain")?;
        if let Some(Delivery::Event(event)) = news.next().await {
            println!("{}: {}", event.topic(), event.decode::<String>()?);
        }
        Ok(())
    })
}
