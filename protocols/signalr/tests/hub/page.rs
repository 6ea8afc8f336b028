//! A client of the hub protocol, played by hand.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use lapwing::transport::{Incoming, Message, Outgoing, Transport};
const MARK: char = '\u{1e}';

pub(crate) struct Page {
    transport: Box<dyn Transport>,
    heard: VecDeque<String>,
}

impl Page {
    pub(crate) fn new(transport: impl Transport + 'static) -> Self {
        Self {
            transport: Box::new(transport),
            heard: VecDeque::new(),
        }
    }

    /// Sends a message as it is.
    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.send_message(Message::text(text)).await;
    }

    /// Sends a binary message as it is.
    pub(crate) async fn send_bytes(&mut self, bytes: Vec<u8>) {
        self.send_message(Message::binary(bytes)).await;
    }

    async fn send_message(&mut self, message: Message) {
        poll_fn(|cx| self.transport.poll_ready(cx))
            .await
            .expect("a whole connection");
        self.transport
            .start_send(Outgoing::Message(message))
            .expect("a whole connection");
        poll_fn(|cx| self.transport.poll_flush(cx))
            .await
            .expect("a whole connection");
    }

    /// Says one record.
    pub(crate) async fn say(&mut self, record: &str) {
        self.send(format!("{record}{MARK}")).await;
    }

    /// The hub's next record; `None` when it has finished.
    pub(crate) async fn next(&mut self) -> Option<String> {
        while self.heard.is_empty() {
            let Ok(Incoming::Message(message)) = poll_fn(|cx| self.transport.poll_recv(cx)).await
            else {
                return None;
            };
            self.take_in(&message);
        }
        self.heard.pop_front()
    }

    /// The hub's next record, if it has said one.
    pub(crate) async fn said(&mut self) -> Option<String> {
        if self.heard.is_empty() && self.is_waiting().await {
            return None;
        }
        self.heard.pop_front()
    }

    /// Whether nothing more is here; what is is taken in.
    async fn is_waiting(&mut self) -> bool {
        poll_fn(|cx| match self.transport.poll_recv(cx) {
            Poll::Ready(Ok(Incoming::Message(message))) => {
                self.take_in(&message);
                Poll::Ready(false)
            }
            _ => Poll::Ready(true),
        })
        .await
    }

    fn take_in(&mut self, message: &Message) {
        let text = String::from_utf8(message.bytes.to_vec()).expect("a text");
        let records = text.strip_suffix(MARK).expect("whole records");
        self.heard.extend(records.split(MARK).map(String::from));
    }

    /// The hub's next binary record, without its length; `None` when it has finished.
    pub(crate) async fn next_bytes(&mut self) -> Option<Vec<u8>> {
        let Ok(Incoming::Message(message)) = poll_fn(|cx| self.transport.poll_recv(cx)).await
        else {
            return None;
        };
        let (length, record) = message.bytes.split_first().expect("a length");
        assert_eq!(usize::from(*length), record.len(), "one short record");
        Some(record.to_vec())
    }

    /// The hub says just this next.
    pub(crate) async fn hears(&mut self, record: &str) {
        assert_eq!(self.next().await.as_deref(), Some(record));
    }

    pub(crate) async fn shake_hands(&mut self) {
        self.say(r#"{"protocol":"json","version":1}"#).await;
        self.hears("{}").await;
    }

    /// Calls a method and hears what comes of it.
    pub(crate) async fn invokes(&mut self, id: &str, call: &str, completion: &str) {
        self.say(&format!(r#"{{"type":1,"invocationId":"{id}",{call}}}"#))
            .await;
        self.hears(&format!(
            r#"{{"type":3,"invocationId":"{id}"{completion}}}"#
        ))
        .await;
    }

    pub(crate) async fn is_quiet(&mut self) -> bool {
        self.heard.is_empty()
            && poll_fn(|cx| Poll::Ready(self.transport.poll_recv(cx).is_pending())).await
    }

    /// The hub says this at last, and then nothing more.
    pub(crate) async fn ends(&mut self, last_words: &str) {
        self.hears(last_words).await;
        let _ = poll_fn(|cx| self.transport.poll_close(cx)).await;
        assert_eq!(self.next().await, None);
    }
}
