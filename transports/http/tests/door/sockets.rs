//! Clients with a WebSocket.

use super::*;

#[test]
fn a_first_message_over_the_limit_cancels_the_handshake() {
    check(|addr| {
        let heard = block_on(async {
            let mut connector = lapwing_websocket::smol::connect(format!("ws://{addr}/hub"));
            let mut socket = connector.connect().await.expect("it is let in");
            let long = Outgoing::Message(Message::text("x".repeat(2 << 20)));
            poll_fn(|cx| socket.poll_ready(cx)).await.expect("whole");
            socket.start_send(long).expect("whole");
            poll_fn(|cx| {
                let _ = socket.poll_flush(cx);
                socket.poll_recv(cx)
            })
            .await
        });
        let Ok(Incoming::Message(message)) = heard else {
            panic!("{heard:?}");
        };
        assert_eq!(
            message.bytes,
            "{\"error\":\"Handshake was canceled.\"}\u{1e}"
        );
    });
}

#[test]
fn a_connection_that_is_told_why_it_ends_ends_normally() {
    check(|addr| {
        let heard = block_on(async {
            let mut connector = lapwing_websocket::smol::connect(format!("ws://{addr}/hub"));
            let mut socket = connector.connect().await.expect("it is let in");
            let abort = "{\"type\":1,\"target\":\"AbortMe\",\"arguments\":[]}\u{1e}";
            poll_fn(|cx| socket.poll_ready(cx)).await.expect("whole");
            let said = Message::text(format!("{HANDSHAKE}{abort}"));
            socket.start_send(Outgoing::Message(said)).expect("whole");
            poll_fn(|cx| socket.poll_flush(cx)).await.expect("whole");
            let mut heard = String::new();
            loop {
                match poll_fn(|cx| socket.poll_recv(cx)).await {
                    Ok(Incoming::Message(message)) => {
                        heard += str::from_utf8(&message.bytes).expect("a text");
                    }
                    Ok(Incoming::Goodbye(goodbye)) => {
                        return (heard, goodbye.code);
                    }
                    other => panic!("{other:?} after {heard}"),
                }
            }
        });
        let words = "{}\u{1e}{\"type\":7,\"error\":\"go\"}\u{1e}";
        assert_eq!(heard, (words.into(), 1000));
    });
}

#[test]
fn clients_of_lapwing_come_through_the_same_door() {
    check(|addr| {
        let smol = Smol::new();
        let connector = lapwing_websocket::smol::connect(format!("ws://{addr}/hub?q=1"))
            .header("x-greeting", "hi")
            .header("cookie", "c=2");
        let client = lapwing::Client::builder(smol.clone(), connector).spawned();
        let greeting = smol.block_on(async {
            client.online().await.expect("it is let in");
            client.call::<String>("Greeting", ()).await
        });
        assert_eq!(greeting, Ok("hi 1 2".into()));
    });
}
