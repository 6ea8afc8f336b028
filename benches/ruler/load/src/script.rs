//! Scripts: what a protocol says, step by step, and how one is read from a file.

use crate::bytes::{find, from_hexadecimal};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Send(Vec<u8>),
    Expect(Vec<u8>),
    ExpectLength(usize),
}

impl Step {
    /// How long the answer is, when all of it has been received.
    pub(crate) fn answer(&self, received: &[u8]) -> Option<usize> {
        match self {
            Step::Send(_) => Some(0),
            Step::Expect(pattern) => find(received, pattern).map(|i| i + pattern.len()),
            Step::ExpectLength(length) => (received.len() >= *length).then_some(*length),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) subscriber: Vec<Step>,
    pub(crate) publisher: Vec<Step>,
    pub(crate) both: Vec<Step>,
    pub(crate) frame: Vec<u8>,
    /// Where the payload stands in a frame.
    pub(crate) offset: usize,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) deliver: usize,
    /// Where four digits in a frame name its topic.
    pub(crate) topic: Option<usize>,
    pub(crate) pong: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) client_ping: Option<Vec<u8>>,
}

impl Script {
    fn read_line(&mut self, words: &[&str]) {
        match words[0] {
            "sub" => self.subscriber.push(step(words)),
            "pub" => self.publisher.push(step(words)),
            "both" => self.both.push(step(words)),
            "frame" => {
                self.offset = words[1].parse().unwrap();
                self.frame = from_hexadecimal(words[2]);
            }
            "mask" => {
                let mask = from_hexadecimal(words[1]);
                self.mask = Some([mask[0], mask[1], mask[2], mask[3]]);
            }
            "topic" => self.topic = Some(words[1].parse().unwrap()),
            "deliver" => self.deliver = words[1].parse().unwrap(),
            "pong" => self
                .pong
                .push((from_hexadecimal(words[1]), from_hexadecimal(words[2]))),
            "clientping" => self.client_ping = Some(from_hexadecimal(words[1])),
            x => panic!("unknown line {x}"),
        }
    }
}

fn step(words: &[&str]) -> Step {
    match words[1] {
        "send" => Step::Send(from_hexadecimal(words[2])),
        "expect" => Step::Expect(from_hexadecimal(words[2])),
        "expectlen" => Step::ExpectLength(words[2].parse().unwrap()),
        x => panic!("unknown step {x}"),
    }
}

pub(crate) fn read_script(text: &str) -> Script {
    let mut script = Script::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.is_empty() || words[0].starts_with('#') {
            continue;
        }
        script.read_line(&words);
    }
    script
}
