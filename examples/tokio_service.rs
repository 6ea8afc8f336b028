//! The print shop as a service over TCP, on tokio.

use std::error::Error;

use lapwing::hub::Shutdown;
use lapwing::runtime::Tokio;
use lapwing::transport::Listener;
use lapwing_tcp::tokio::{connect, listen};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tokio = Tokio::current().ok_or("not inside of tokio")?;
    let hub = print_shop::hub(tokio.clone())?;
    let listener = listen(&tokio, "127.0.0.1:0").await?;
    let url = listener.url();
    let serving = tokio::spawn(hub.serve(listener));
    println!("listening on {url}");

    let clients = print_shop::day(tokio.clone(), || connect(&tokio, &*url)).await?;

    let report = hub.shutdown(Shutdown::default()).await;
    println!("{} said goodbye, {} were cut", report.closed, report.cut);
    assert_eq!(report.closed, clients.len() as u64);
    assert_eq!((report.cut, report.undelivered_frames), (0, 0));
    // A hub that was shut down serves no longer.
    Ok(serving.await?)
}
