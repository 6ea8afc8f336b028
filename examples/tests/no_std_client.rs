//! The program in `examples/embedded`, which has neither std nor an allocator, meets a hub over two pipes.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use lapwing::session::{
    CallSlot, Config, Ending, FixedLane, Input, Output, Role, Session, SessionEvent, Store,
};
use lapwing::wire::{
    self, Ack, Close, CloseReason, Encoding, Encodings, Event, Frame, Name, Outcome, Refusal,
    Refused, Return, Terms,
};
use lapwing::{ConnectionId, Instant, Limits};

#[test]
fn it_answers_pings_hears_itself_and_goes_politely() {
    let mut client = start();
    let ending = Hub::facing(&mut client).serve();
    let done = Close {
        reason: CloseReason::Done,
        verdict: Return::Now,
    };
    assert_eq!(ending, Ending::ByPeer(done));
    assert_eq!(exit_code(client), 0);
}

#[test]
fn each_surprise_has_an_exit_code() {
    let refused = |reason| {
        message(&Frame::Refused(Refused {
            reason,
            retry_after_ms: None,
            message: "",
        }))
    };
    let surprises = [
        (vec![0xff; 4], 3, "a message that is too large"),
        (refused(Refusal::Full), 5, "a hub that is full"),
        (
            refused(Refusal::Unauthorized),
            6,
            "a hub that wants a token",
        ),
        (vec![], 9, "nothing at all"),
        (vec![0, 0, 0, 1, 0x7f], 9, "no frame"),
    ];
    for (bytes, code, surprise) in surprises {
        let mut client = start();
        let mut pipe = client.stdin.take().expect("a pipe");
        pipe.write_all(&bytes).expect("the program reads");
        drop(pipe);
        assert_eq!(exit_code(client), code, "{surprise}");
    }
}

/// Builds the program, once, as its own workspace: here lapwing would have its std.
fn start() -> Child {
    static BUILT: OnceLock<()> = OnceLock::new();
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedded");
    BUILT.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/embedded/Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .status();
        assert!(built.expect("cargo runs").success(), "it does not build");
    });
    Command::new(target.join("debug/lapwing-embedded"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Reads what the program still says, so that it never waits for us.
fn exit_code(mut client: Child) -> i32 {
    if let Some(mut rest) = client.stdout.take() {
        let _ = rest.read_to_end(&mut Vec::new());
    }
    let status = client.wait().expect("the program ends");
    status.code().expect("no signal ended it")
}

/// The hub's side of the pipes, turned by hand.
struct Hub {
    session: Session,
    queues: Queues,
    start: std::time::Instant,
    to_client: ChildStdin,
    from_client: Receiver<Vec<u8>>,
    /// The event, as soon as it is published; it waits for a pong.
    published: Option<Vec<u8>>,
}

struct Queues {
    lane: FixedLane<1_024, 8>,
}

impl Store for Queues {
    type Lane = FixedLane<1_024, 8>;

    fn parts(&mut self) -> (&mut Self::Lane, &mut [CallSlot]) {
        (&mut self.lane, &mut [])
    }
}

impl Hub {
    fn facing(client: &mut Child) -> Self {
        let (to_hub, from_client) = channel();
        let mut pipe = client.stdout.take().expect("a pipe");
        thread::spawn(
            move || while read(&mut pipe).is_some_and(|message| to_hub.send(message).is_ok()) {},
        );
        Self {
            session: Session::new(config(), Instant::default()),
            queues: Queues {
                lane: FixedLane::new(),
            },
            start: std::time::Instant::now(),
            to_client: client.stdin.take().expect("a pipe"),
            from_client,
            published: None,
        }
    }

    fn serve(mut self) -> Ending {
        loop {
            self.write();
            let event = self.session.poll_event(&mut self.queues);
            if let Some(SessionEvent::Ended(ending)) = event {
                return ending;
            }
            let now = self.now();
            let wait = self.session.poll_timeout().expect("not ended").since(now);
            match self.from_client.recv_timeout(wait) {
                Ok(message) => self.hear(&message),
                Err(RecvTimeoutError::Timeout) => {
                    let now = self.now();
                    self.session.handle_timeout(&mut self.queues, now);
                }
                Err(RecvTimeoutError::Disconnected) => self.session.handle_end(),
            }
        }
    }

    fn hear(&mut self, message: &[u8]) {
        let now = self.now();
        let frame = wire::decode(message)
            .expect("a frame")
            .expect("a known one");
        match self.session.handle_frame(frame, &mut self.queues, now) {
            Input::Hello(_) => {
                let id = ConnectionId::from_bytes([1; 16]);
                let welcome = self.session.welcome(id, now).expect("in time");
                self.send(&Frame::Welcome(welcome));
            }
            Input::Subscribe(subscribe) => {
                assert!(subscribe.filters.iter().eq(["demo/**"]));
                self.push(&Frame::Ack(Ack {
                    receipt: subscribe.receipt,
                    outcome: Outcome::Subscribed,
                }));
            }
            Input::Publish(publish) => {
                assert_eq!(publish.name, Name::Topic("demo/hello"));
                assert_eq!(publish.payload.encoding, Encoding::Text);
                self.published = Some(publish.payload.bytes.to_vec());
            }
            Input::Pong(_) => self.deliver(),
            Input::Close(_) => {}
            other => panic!("nobody asked for {other:?}"),
        }
    }

    fn deliver(&mut self) {
        if let Some(text) = self.published.take() {
            self.push(&Frame::Event(Event {
                topic: "demo/hello",
                direct: false,
                offset: None,
                payload: wire::Payload {
                    encoding: Encoding::Text,
                    bytes: &text,
                },
            }));
        }
    }

    fn push(&mut self, frame: &Frame<'_>) {
        self.queues.lane.push(frame).expect("room in the lane");
    }

    fn write(&mut self) {
        let now = self.now();
        while let Some(output) = self.session.poll_frame(&mut self.queues, now) {
            let message = match output {
                Output::Control(frame) => message(&frame),
                Output::Data(chunk) => framed(chunk),
            };
            // Whoever has said its last words may be gone.
            let _ = self.to_client.write_all(&message);
        }
    }

    fn send(&mut self, frame: &Frame<'_>) {
        self.to_client
            .write_all(&message(frame))
            .expect("the program reads");
    }

    fn now(&self) -> Instant {
        Instant::default() + self.start.elapsed()
    }
}

fn read(pipe: &mut ChildStdout) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    pipe.read_exact(&mut length).ok()?;
    let mut message = vec![0; u32::from_be_bytes(length) as usize];
    pipe.read_exact(&mut message).ok()?;
    Some(message)
}

fn message(frame: &Frame<'_>) -> Vec<u8> {
    let mut buffer = [0; 256];
    let length = wire::encode(frame, &mut buffer).expect("room for a small frame");
    framed(&buffer[..length])
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u32).to_be_bytes();
    [&length, message].concat()
}

fn config() -> Config {
    let limits = Limits::default();
    Config {
        role: Role::Hub,
        terms: Terms {
            encodings: Encodings::NONE.with(Encoding::Text),
            // So short that it pings at once.
            promise_ms: 20,
            message_bytes_max: limits.message_bytes_max,
            subscriptions_max: limits.subscriptions_max,
        },
        grace: limits.grace,
        promise_max: limits.promise_max,
        handshake: Duration::from_secs(60),
        closing: limits.closing,
        pings: limits.pings,
        requests: limits.requests,
    }
}
