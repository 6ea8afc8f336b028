//! The print shop as a service over TCP, on smol.

use std::error::Error;

use lapwing::hub::Shutdown;
use lapwing::runtime::Smol;
use lapwing::transport::Listener;
use lapwing_tcp::smol::{connect, listen};

fn main() -> Result<(), Box<dyn Error>> {
    let smol = Smol::new();
    smol.block_on(serve(&smol))
}

async fn serve(smol: &Smol) -> Result<(), Box<dyn Error>> {
    let hub = print_shop::hub(smol.clone())?;
    let listener = listen("127.0.0.1:0").await?;
    let url = listener.url();
    smol.spawn(hub.serve(listener));
    println!("listening on {url}");

    let clients = print_shop::day(smol.clone(), || connect(&*url)).await?;

    let report = hub.shutdown(Shutdown::default()).await;
    println!("{} said goodbye, {} were cut", report.closed, report.cut);
    assert_eq!(report.closed, clients.len() as u64);
    assert_eq!((report.cut, report.undelivered_frames), (0, 0));
    Ok(())
}
