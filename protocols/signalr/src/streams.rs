//! Streams: those that the client sends along with a call, and those that answer one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use bytes::BytesMut;
use lapwing::wire::{Cancel, End, Failure, FailureCode, Frame, Item, Open, Payload};

use crate::conversation::{About, Asked, Talk, kept};
use crate::failure;
use crate::incoming::Value;

/// Streams of calls that nobody has made: what comes for them is passed over.
pub(crate) const NOBODYS: u32 = 0;

/// The names that the client has given to streams that it sends, and our numbers for them.
#[derive(Default)]
pub(crate) struct Names(HashMap<String, u32>);

impl Names {
    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn insert(&mut self, name: String, number: u32) {
        self.0.insert(name, number);
    }

    pub(crate) fn get(&self, name: &str) -> Option<u32> {
        self.0.get(name).copied()
    }

    fn remove(&mut self, name: &str) -> Option<u32> {
        self.0.remove(name)
    }

    /// Forgets a name, if it means this stream.
    pub(crate) fn forget(&mut self, name: &str, number: u32) {
        if self.get(name) == Some(number) {
            self.remove(name);
        }
    }
}

impl Talk {
    /// A call that wants a stream, or sends some along.
    pub(crate) fn open<'a>(
        &mut self,
        id: Option<Cow<'a, str>>,
        target: &str,
        arguments: &'a [u8],
        (streamed, uploads): (bool, Vec<Cow<'a, str>>),
        scratch: &'a mut BytesMut,
    ) -> Frame<'a> {
        if let Some(taken) = self.taken(id.as_deref().filter(|_| streamed), &uploads) {
            let text = format!("Invocation ID '{taken}' is already in use.");
            return self.deny(id, target, About::Refused(text));
        }
        let names: Vec<String> = uploads.into_iter().map(Cow::into_owned).collect();
        let streams = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let about = match streamed {
            true => About::Stream { began: false },
            false => About::Call,
        };
        let number = self.ask(id, target, about);
        let uploads = names.into_iter().map(|name| (name, self.next_number()));
        let uploads: Vec<_> = uploads.collect();
        for (name, number) in &uploads {
            self.uploads.insert(name.clone(), *number);
        }
        if let Some(asked) = self.asked.get_mut(&number) {
            asked.uploads = uploads;
        }
        Frame::Open(Open {
            id: number,
            method: kept(target, scratch),
            deadline_ms: None,
            arguments: self.form().arguments(arguments),
            // It takes whatever comes.
            items: streamed.then_some(u64::MAX),
            streams,
        })
    }

    /// A name that means something already.
    fn taken<'n>(&self, id: Option<&'n str>, uploads: &'n [Cow<'_, str>]) -> Option<&'n str> {
        let asked = |id: &&str| self.streaming(id).is_some();
        if let Some(id) = id.filter(asked) {
            return Some(id);
        }
        let mut seen = HashSet::new();
        let mut names = uploads.iter();
        let taken = names.find(|name| self.uploads.has(name) || !seen.insert(&***name))?;
        Some(taken)
    }

    /// The number of a call of this name that is answered by a stream.
    fn streaming(&self, id: &str) -> Option<u32> {
        let is_it = |asked: &Asked| {
            asked.id.as_deref() == Some(id) && matches!(asked.about, About::Stream { .. })
        };
        let mut asked = self.asked.iter();
        asked
            .find(|(_, asked)| is_it(asked))
            .map(|(number, _)| *number)
    }

    /// An item of a stream that the client sends.
    pub(crate) fn item<'a>(
        &self,
        id: &str,
        item: Value<'a>,
        scratch: &'a mut BytesMut,
    ) -> Frame<'a> {
        Frame::Item(Item {
            id: self.uploads.get(id).unwrap_or(NOBODYS),
            payload: match item {
                Value::Text(text) => Payload::text(kept(&text, scratch)),
                Value::Other(payload) => payload,
            },
        })
    }

    /// The end of a stream that the client sends, if it is one of these.
    pub(crate) fn end_upload<'a>(
        &mut self,
        id: &str,
        error: Option<&str>,
        scratch: &'a mut BytesMut,
    ) -> Option<Frame<'a>> {
        let id = self.uploads.remove(id)?;
        let result = match error {
            None => Ok(()),
            Some(error) => Err(Failure {
                code: FailureCode::Failed,
                message: kept(error, scratch),
            }),
        };
        Some(Frame::End(End { id, result }))
    }

    /// The client wants no more of a stream. Of any other call it is a hint, and an answer is still due.
    pub(crate) fn cancel<'a>(&self, id: &str) -> Frame<'a> {
        let id = self.streaming(id).unwrap_or(NOBODYS);
        Frame::Cancel(Cancel { id })
    }

    pub(crate) fn append_item(&mut self, item: &Item<'_>, into: &mut BytesMut) {
        let form = self.form();
        if let Some(Asked {
            id: Some(id),
            about: About::Stream { began },
            ..
        }) = self.asked.get_mut(&item.id)
        {
            *began = true;
            form.append_item(id, item.payload, into);
        }
    }

    pub(crate) fn append_end(&mut self, end: &End<'_>, into: &mut BytesMut) {
        let Some(asked) = self.forget(end.id) else {
            return;
        };
        let began = matches!(asked.about, About::Stream { began: true });
        let error = end.result.err().map(|failure| match began {
            true => failure::streaming(failure),
            false => failure::text(&asked.target, failure),
        });
        self.complete(asked.id, error.as_deref(), into);
    }
}
