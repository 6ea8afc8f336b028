//! A stream that somebody else's HTTP server has upgraded becomes a connection of the hub, on smol and on tokio.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, TcpListener};

use async_io::Async;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use bytes::Bytes;
use futures_lite::future::or;
use lapwing::client::{Client, Delivery};
use lapwing::hub::{Hub, Rule};
use lapwing::runtime::{Runtime, Smol, Tokio};
use lapwing::transport::{Connector, Transport, Upgrade};

/// What another server makes of a request: its response, and what a hub wants to know.
fn answer(head: &str) -> (String, Upgrade) {
    let key = "sec-websocket-key: ";
    let line = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with(key));
    let accept = derive_accept_key(&line.expect("a key").as_bytes()[key.len()..]);
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: lapwing.postcard\r\n\r\n"
    );
    let upgrade = Upgrade {
        protocol: Some("lapwing.postcard".into()),
        path: "/events".into(),
        ..Upgrade::default()
    };
    (response, upgrade)
}

/// The head of the request in `read`, and what is behind it, once it is whole.
fn split(read: &[u8]) -> Option<(String, Bytes)> {
    let text = String::from_utf8_lossy(read);
    let end = text.find("\r\n\r\n")? + 4;
    Some((text[..end].into(), Bytes::copy_from_slice(&read[end..])))
}

/// A client over `connector` hears what the hub behind `transport` publishes.
async fn hears(
    runtime: impl Runtime + Clone,
    connector: impl Connector + 'static,
    transport: impl Future<Output = io::Result<Box<dyn Transport>>>,
) {
    let hub = Hub::builder(runtime.clone())
        .topic("news", Rule::open())
        .build()
        .expect("a good filter");
    let client = Client::builder(runtime, connector).spawned();
    let conversation = async {
        let mut news = client.subscribe("news").await.expect("it is open");
        let published = hub.publish("news", "rain").expect("a good topic");
        assert_eq!(published.queued, 1);
        match news.next().await {
            Some(Delivery::Event(event)) => assert_eq!(event.text(), Some("rain")),
            other => panic!("{other:?}"),
        }
        client.close().await;
    };
    let connection = async {
        let transport = transport.await.expect("a client that connects");
        let ending = hub.attach(transport).await;
        panic!("ended before the client was done: {ending:?}");
    };
    or(conversation, connection).await;
}

#[test]
fn on_smol() {
    let smol = Smol::new();
    let listener = Async::<TcpListener>::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let addr = listener.get_ref().local_addr().expect("it is bound");
    let connector = lapwing_websocket::smol::connect(format!("ws://{addr}/events"));
    let transport = async {
        let (mut stream, _) = listener.accept().await?;
        let (mut read, mut buffer) = (Vec::new(), [0; 512]);
        let (head, rest) = loop {
            if let Some(split) = split(&read) {
                break split;
            }
            let length = futures_lite::AsyncReadExt::read(&mut stream, &mut buffer).await?;
            read.extend_from_slice(&buffer[..length]);
        };
        let (response, upgrade) = answer(&head);
        futures_lite::AsyncWriteExt::write_all(&mut stream, response.as_bytes()).await?;
        let transport = lapwing_websocket::smol::upgraded(stream, rest, upgrade);
        Ok(Box::new(transport) as Box<dyn Transport>)
    };
    smol.block_on(hears(smol.clone(), connector, transport));
}

#[test]
fn on_tokio() {
    let tokio = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("tokio starts");
    let handle = Tokio::new(tokio.handle().clone());
    tokio.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let connector = lapwing_websocket::tokio::connect(&handle, format!("ws://{addr}/events"));
        let transport = async {
            let (mut stream, _) = listener.accept().await?;
            let (mut read, mut buffer) = (Vec::new(), [0; 512]);
            let (head, rest) = loop {
                if let Some(split) = split(&read) {
                    break split;
                }
                let length = tokio::io::AsyncReadExt::read(&mut stream, &mut buffer).await?;
                read.extend_from_slice(&buffer[..length]);
            };
            let (response, upgrade) = answer(&head);
            tokio::io::AsyncWriteExt::write_all(&mut stream, response.as_bytes()).await?;
            let transport = lapwing_websocket::tokio::upgraded(stream, rest, upgrade);
            Ok(Box::new(transport) as Box<dyn Transport>)
        };
        hears(handle.clone(), connector, transport).await;
    });
}
