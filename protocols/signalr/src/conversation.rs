//! What the hub's end of one connection remembers: [`Talk`].

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::{BufMut, BytesMut};
use lapwing::protocol::{Conditions, Conversation};
use lapwing::transport::Message;
use lapwing::wire::{
    self, Ack, Call, Close, CloseReason, DecodeError, Denied, End, Failure, FailureCode, Frame,
    List, Name, Outcome, Payload, Publish, Refusal, Refused, Reply, Return, Start, Subscribe,
    Unsubscribe, Welcome,
};

use crate::form::Form;
use crate::handshake::Offer;
use crate::incoming::{Incoming, Value};
use crate::json::append_json;
use crate::records::{MARK, Records};
use crate::sequence::Sequence;
use crate::streams::{NOBODYS, Names};
use crate::{failure, handshake};

/// In front of the numbers of our own calls: clients name theirs by numbers alone.
const OURS: &str = "s";

/// One connection's part of the protocol.
pub(crate) struct Talk {
    records: Records,
    offer: Offer,
    stage: Stage,
    /// What the client asked and was not answered, by our numbers.
    pub(crate) asked: HashMap<u32, Asked>,
    /// The newest of them: they are odd, as those of all clients.
    last: u32,
    /// Streams that the client sends.
    pub(crate) uploads: Names,
    /// The subscriptions that the client has, or has asked for.
    subscriptions: HashMap<String, u32>,
    last_subscription: u32,
    /// What the program says when it ends the connection.
    words: Option<String>,
    sequence: Sequence,
}

enum Stage {
    /// Waits for the handshake, or has refused it with a text.
    Handshake(Option<String>),
    /// Messages have this form.
    Agreed(Form),
}

/// A question of the client.
pub(crate) struct Asked {
    /// Its own name for it; `None`: it wants no answer.
    pub(crate) id: Option<String>,
    /// The method, as it wrote it.
    pub(crate) target: String,
    /// What else is to be known when the answer comes.
    pub(crate) about: About,
    /// Its names for the streams that it sends along, and our numbers.
    pub(crate) uploads: Vec<(String, u32)>,
}

pub(crate) enum About {
    Call,
    /// The answer is a stream, which may have begun.
    Stream {
        began: bool,
    },
    Subscribe(String),
    /// Nothing is asked of the hub but its place in the order of answers: the question was wrong, and this is the answer.
    Refused(String),
    Other,
}

impl Talk {
    pub(crate) fn new(conditions: Conditions<'_>) -> Self {
        Self {
            offer: Offer {
                messagepack: conditions.speaks(crate::messagepack::NAME),
                text_only: conditions.text_only,
            },
            records: Records::new(conditions.record_bytes_max),
            stage: Stage::Handshake(None),
            asked: HashMap::new(),
            last: u32::MAX,
            uploads: Names::default(),
            subscriptions: HashMap::new(),
            last_subscription: 0,
            words: None,
            sequence: Sequence::default(),
        }
    }

    /// How messages are written; before the handshake there are none.
    pub(crate) fn form(&self) -> Form {
        match self.stage {
            Stage::Handshake(_) => Form::Json,
            Stage::Agreed(form) => form,
        }
    }

    fn shake_hands(&mut self, request: &[u8]) -> Result<Frame<'static>, DecodeError> {
        match handshake::agree(request, self.offer) {
            Ok((form, returns)) => {
                self.stage = Stage::Agreed(form);
                if form == Form::MessagePack {
                    self.records.become_binary();
                }
                Ok(Frame::Hello(handshake::hello(returns)))
            }
            Err(error) => {
                self.stage = Stage::Handshake(Some(error));
                Err(DecodeError::NoFrame)
            }
        }
    }

    /// Remembers a question; its number.
    pub(crate) fn ask(&mut self, id: Option<Cow<'_, str>>, target: &str, about: About) -> u32 {
        let asked = Asked {
            id: id.map(Cow::into_owned),
            target: target.into(),
            about,
            uploads: Vec::new(),
        };
        let number = self.next_number();
        self.asked.insert(number, asked);
        number
    }

    pub(crate) fn next_number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(2);
        self.last
    }

    /// Forgets a question that is answered, and the streams that came along.
    pub(crate) fn forget(&mut self, number: u32) -> Option<Asked> {
        let asked = self.asked.remove(&number)?;
        for (name, number) in &asked.uploads {
            self.uploads.forget(name, *number);
        }
        Some(asked)
    }

    fn invoke<'a>(
        &mut self,
        id: Option<Cow<'a, str>>,
        target: Cow<'a, str>,
        arguments: &'a [u8],
        scratch: &'a mut BytesMut,
    ) -> Frame<'a> {
        let is = |name: &str| target.eq_ignore_ascii_case(name);
        if is("Subscribe") {
            self.subscribe(id, &target, arguments, scratch)
        } else if is("Unsubscribe") {
            self.unsubscribe(id, &target, arguments)
        } else if is("Publish") {
            self.publish(id, &target, arguments, scratch)
        } else {
            Frame::Call(Call {
                id: self.ask(id, &target, About::Call),
                method: kept(&target, scratch),
                deadline_ms: None,
                arguments: self.form().arguments(arguments),
            })
        }
    }

    /// Answers a wrong question when its turn comes.
    pub(crate) fn deny<'a>(
        &mut self,
        id: Option<Cow<'_, str>>,
        target: &str,
        about: About,
    ) -> Frame<'a> {
        Frame::Unsubscribe(Unsubscribe {
            receipt: self.ask(id, target, about),
            first: 0,
            count: 0,
        })
    }

    fn wrong_arguments<'a>(&mut self, id: Option<Cow<'_, str>>, target: &str) -> Frame<'a> {
        let (code, message) = (FailureCode::Arguments, "");
        let text = failure::text(target, Failure { code, message });
        self.deny(id, target, About::Refused(text))
    }

    fn subscribe<'a>(
        &mut self,
        id: Option<Cow<'a, str>>,
        target: &str,
        arguments: &'a [u8],
        scratch: &'a mut BytesMut,
    ) -> Frame<'a> {
        let Some(filter) = self.form().text(arguments) else {
            return self.wrong_arguments(id, target);
        };
        let known = self.subscriptions.get(&filter).copied();
        let first = known.unwrap_or_else(|| {
            self.last_subscription = self.last_subscription.wrapping_add(1).max(1);
            self.subscriptions
                .insert(filter.clone(), self.last_subscription);
            self.last_subscription
        });
        let about = About::Subscribe(filter.clone());
        let (mut native, filters) = (Vec::new(), [&*filter]);
        let subscribe = Frame::Subscribe(Subscribe {
            receipt: self.ask(id, target, about),
            first,
            policy: None,
            start: Start::Now,
            filters: List::new(&filters),
        });
        wire::append(&subscribe, &mut native);
        scratch.put_slice(&native);
        let frame = wire::decode(scratch).ok().flatten();
        frame.expect("what was just written can be read")
    }

    fn unsubscribe<'a>(
        &mut self,
        id: Option<Cow<'a, str>>,
        target: &str,
        arguments: &'a [u8],
    ) -> Frame<'a> {
        let Some(filter) = self.form().text(arguments) else {
            return self.wrong_arguments(id, target);
        };
        let number = self.subscriptions.remove(&filter);
        Frame::Unsubscribe(Unsubscribe {
            receipt: self.ask(id, target, About::Other),
            first: number.unwrap_or(0),
            count: number.map_or(0, |_| 1),
        })
    }

    fn publish<'a>(
        &mut self,
        id: Option<Cow<'a, str>>,
        target: &str,
        arguments: &'a [u8],
        scratch: &'a mut BytesMut,
    ) -> Frame<'a> {
        let Some((topic, value)) = self.form().publication(arguments) else {
            return self.wrong_arguments(id, target);
        };
        let receipt = match id {
            Some(_) => self.ask(id, target, About::Other),
            None => 0,
        };
        let (topic, payload) = match value {
            Value::Text(text) => {
                let (topic, text) = both_kept(&topic, &text, scratch);
                (topic, Payload::text(text))
            }
            Value::Other(payload) => (kept(&topic, scratch), payload),
        };
        let name = Name::Topic(topic);
        Frame::Publish(Publish {
            receipt,
            name,
            payload,
        })
    }

    /// The client's answer to a call of ours.
    fn answered<'a>(
        id: &str,
        result: Result<Option<Value<'a>>, Cow<'a, str>>,
        scratch: &'a mut BytesMut,
    ) -> Option<Frame<'a>> {
        let id = id.strip_prefix(OURS)?.parse().ok()?;
        let result = match result {
            Ok(None) => Ok(Payload::bytes(&[])),
            Ok(Some(Value::Text(text))) => Ok(Payload::text(kept(&text, scratch))),
            Ok(Some(Value::Other(payload))) => Ok(payload),
            Err(error) => Err(Failure {
                code: FailureCode::Failed,
                message: kept(&error, scratch),
            }),
        };
        Some(Frame::Reply(Reply { id, result }))
    }

    fn append_reply(&mut self, reply: &Reply<'_>, into: &mut BytesMut) {
        if let Some(asked) = self.forget(reply.id)
            && let Some(id) = asked.id
        {
            let error = |failure| failure::text(&asked.target, failure);
            let result = reply.result.map_err(error);
            let result = match &result {
                Ok(payload) => Ok(*payload),
                Err(error) => Err(&**error),
            };
            self.form().append_completion(&id, result, into);
        }
    }

    fn append_ack(&mut self, ack: &Ack, into: &mut BytesMut) {
        let Some(asked) = self.asked.remove(&ack.receipt) else {
            return;
        };
        let target = asked.target;
        let denied = match (asked.about, ack.outcome) {
            (About::Refused(text), _) => return self.complete(asked.id, Some(&text), into),
            // It has this one already.
            (About::Subscribe(_), Outcome::Denied(Denied::NumberTaken)) => None,
            (About::Subscribe(filter), Outcome::Denied(denied)) => {
                self.subscriptions.remove(&filter);
                Some(reason(denied))
            }
            (_, Outcome::Denied(denied)) => Some(reason(denied)),
            _ => None,
        };
        let error = denied.map(|(code, message)| {
            let message = &message;
            failure::text(&target, Failure { code, message })
        });
        self.complete(asked.id, error.as_deref(), into);
    }

    /// Answers a question without a value, if it wants an answer.
    pub(crate) fn complete(&self, id: Option<String>, error: Option<&str>, into: &mut BytesMut) {
        if let Some(id) = id {
            let result = error.map_or(Ok(Payload::bytes(&[])), Err);
            self.form().append_completion(&id, result, into);
        }
    }

    /// The handshake's answer; or the first words to a client that has returned.
    fn append_welcome(&mut self, welcome: &Welcome<'_>, into: &mut BytesMut) {
        if welcome.continued.is_some() {
            return self.form().append_sequence(self.sequence.next(), into);
        }
        self.sequence.begin(welcome.resume_token.is_some());
        into.put_slice(&[b'{', b'}', MARK]);
    }

    /// The handshake's answer, and what follows when nobody is let in.
    fn append_refused(&mut self, refused: &Refused<'_>, into: &mut BytesMut) {
        match &mut self.stage {
            Stage::Handshake(error) => {
                let error = error.take();
                into.put_slice(br#"{"error":"#);
                append_json(error.as_deref().unwrap_or("Handshake was canceled."), into);
                into.put_slice(&[b'}', MARK]);
            }
            Stage::Agreed(form) => {
                into.put_slice(&[b'{', b'}', MARK]);
                let returns = matches!(refused.reason, Refusal::Full | Refusal::Shutdown);
                form.append_close(Some(FAULT), returns, into);
            }
        }
    }

    /// The hub's last words.
    fn append_close(&self, close: Close, into: &mut BytesMut) {
        use CloseReason as R;
        let returns = close.verdict != Return::Never;
        let (error, returns) = match close.reason {
            R::Done => (None, false),
            R::Shutdown => (None, returns),
            R::Kicked => (self.words.as_deref(), returns),
            _ => (Some(FAULT), returns),
        };
        self.form().append_close(error, returns, into);
    }
}

/// What a client hears of an end that is somebody's fault.
const FAULT: &str = "Connection closed with an error.";

/// Why one of the methods that are always there refuses.
fn reason(denied: Denied) -> (FailureCode, String) {
    match denied {
        Denied::Forbidden => (FailureCode::Forbidden, String::new()),
        denied => (FailureCode::Failed, denied.to_string()),
    }
}

/// A text in scratch memory.
pub(crate) fn kept<'a>(text: &str, scratch: &'a mut BytesMut) -> &'a str {
    both_kept(text, "", scratch).0
}

fn both_kept<'a>(first: &str, second: &str, scratch: &'a mut BytesMut) -> (&'a str, &'a str) {
    scratch.clear();
    scratch.put_slice(first.as_bytes());
    scratch.put_slice(second.as_bytes());
    let both = core::str::from_utf8(scratch).expect("two texts are a text");
    both.split_at(first.len())
}

impl Conversation for Talk {
    fn receive(&mut self, message: Message) {
        self.records.receive(message.bytes);
    }

    fn next_record(&mut self) -> Result<Option<Message>, CloseReason> {
        let record = self.records.next_record()?;
        Ok(record.map(Message::binary))
    }

    fn decode<'a>(
        &mut self,
        record: &'a Message,
        scratch: &'a mut BytesMut,
    ) -> Result<Option<Frame<'a>>, DecodeError> {
        if matches!(self.stage, Stage::Handshake(_)) {
            return self.shake_hands(&record.bytes).map(Some);
        }
        let incoming = self
            .form()
            .parse(&record.bytes)
            .ok_or(DecodeError::NoFrame)?;
        if !self.sequence.is_new(&incoming) {
            return Ok(None);
        }
        Ok(match incoming {
            Incoming::Invocation {
                id,
                target,
                arguments,
                streamed,
                uploads,
            } => Some(match streamed || !uploads.is_empty() {
                true => self.open(id, &target, arguments, (streamed, uploads), scratch),
                false => self.invoke(id, target, arguments, scratch),
            }),
            Incoming::Item { id, item } => Some(self.item(&id, item, scratch)),
            Incoming::Completion { id, result } if self.uploads.get(&id).is_some() => {
                self.end_upload(&id, result.err().as_deref(), scratch)
            }
            // Of what nobody has asked, or waits for no more: it is no flood when an answer was quicker than a stream.
            Incoming::Completion { id, result } => Some(
                Self::answered(&id, result, scratch).unwrap_or(Frame::End(End {
                    id: NOBODYS,
                    result: Ok(()),
                })),
            ),
            Incoming::Cancel(id) => Some(self.cancel(&id)),
            Incoming::Close => Some(Frame::Close(Close {
                reason: CloseReason::Done,
                verdict: Return::Now,
            })),
            Incoming::Ack(count) => self.sequence.acknowledged(count),
            Incoming::Sequence(number) => {
                self.sequence.start_at(number)?;
                None
            }
            Incoming::Other => None,
        })
    }

    fn counts(&self) -> bool {
        self.sequence.counted()
    }

    fn go_on(&mut self, next: u64) {
        self.records.forget();
        self.sequence.go_on(next);
    }

    fn protocol(&self) -> Option<&str> {
        match self.stage {
            Stage::Handshake(_) => None,
            Stage::Agreed(form) => Some(form.name()),
        }
    }

    fn encode(&mut self, frame: &Frame<'_>, into: &mut BytesMut) {
        match frame {
            Frame::Welcome(welcome) => self.append_welcome(welcome, into),
            Frame::Received(_) => {
                if let Some(number) = self.sequence.received() {
                    self.form().append_ack(number, into);
                }
            }
            Frame::Refused(refused) => self.append_refused(refused, into),
            Frame::Ping(_) => self.form().append_ping(into),
            Frame::Close(close) => self.append_close(*close, into),
            Frame::Reply(reply) => self.append_reply(reply, into),
            Frame::Ack(ack) => self.append_ack(ack, into),
            Frame::Item(item) => self.append_item(item, into),
            Frame::End(end) => self.append_end(end, into),
            Frame::Call(call) => {
                let id = format!("{OURS}{}", call.id);
                let form = self.form();
                form.append_question(&id, call.method, call.arguments, into);
            }
            frame => self.form().append_shared(frame, into),
        }
    }

    fn part(&mut self, words: Option<&str>) {
        self.words = words.map(String::from);
    }
}
