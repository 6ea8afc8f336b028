//! A process of the program under test, which ends with the test.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Nothing that is waited for here takes long, but the machine may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) struct Program {
    child: Child,
    input: Option<ChildStdin>,
    pub(crate) out: Lines,
    pub(crate) err: Lines,
}

/// What a process says, line by line.
pub(crate) struct Lines {
    receiver: Receiver<String>,
    /// The last few, for the message of a test that fails.
    seen: VecDeque<String>,
}

/// What was left when a process had ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<String>,
    pub(crate) err: Vec<String>,
}

impl Ended {
    /// How many events subscribers have missed, as a publisher says that has nothing else to say.
    pub(crate) fn dropped(&self) -> u64 {
        let numbers = self.err.iter().map(|line| match line.split_once(' ') {
            Some(("dropped", number)) => number.parse().expect("a number"),
            Some(("nobody", _)) => 0,
            _ => panic!("{self:?}"),
        });
        numbers.sum()
    }
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lapwing"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let input = child.stdin.take();
        let out = Lines::of(child.stdout.take().expect("it is piped"));
        let err = Lines::of(child.stderr.take().expect("it is piped"));
        Self {
            child,
            input,
            out,
            err,
        }
    }

    /// Starts a subscriber; ready when the hub has confirmed it.
    pub(crate) fn subscriber(arguments: &[&str]) -> Self {
        let mut sub = Self::start(&[&["sub"], arguments].concat());
        sub.err.find(|line| line.starts_with("subscribed "));
        sub
    }

    /// Runs to the end with this on standard input.
    pub(crate) fn run(arguments: &[&str], input: &[u8]) -> Ended {
        let mut program = Self::start(arguments);
        program.feed(input);
        program.ended()
    }

    /// Starts with these lines on standard input, written while the test goes on.
    pub(crate) fn start_with(
        arguments: &[&str],
        lines: impl Iterator<Item = String> + Send + 'static,
    ) -> Self {
        let mut program = Self::start(arguments);
        let mut input = program.input.take().expect("it is piped");
        thread::spawn(move || {
            for line in lines {
                // A program that has ended reads no more.
                if input.write_all(format!("{line}\n").as_bytes()).is_err() {
                    return;
                }
            }
        });
        program
    }

    /// Writes to standard input; nothing when the program has ended already.
    pub(crate) fn feed(&mut self, input: &[u8]) {
        let _ = self.input.as_mut().expect("it is piped").write_all(input);
    }

    pub(crate) fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).expect("it is ours and runs");
    }

    /// Reads nothing more of what it prints.
    pub(crate) fn close_out(&mut self) {
        let (_, receiver) = mpsc::channel();
        self.out = Lines {
            receiver,
            seen: VecDeque::new(),
        };
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        let status = self.child.try_wait().expect("it is a child of ours");
        status.is_some()
    }

    /// Closes standard input and waits for the end.
    pub(crate) fn ended(mut self) -> Ended {
        self.input = None;
        eventually("the program ends", || self.has_ended());
        let status = self.child.wait().expect("it is a child of ours");
        Ended {
            code: status.code(),
            out: self.out.rest(),
            err: self.err.rest(),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail when it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                // Nobody waits for it any more, and the program sees a broken pipe.
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            receiver,
            seen: VecDeque::new(),
        }
    }

    /// The next line; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<String> {
        match self.receiver.recv_timeout(SOON) {
            Ok(line) => {
                self.seen.truncate(19);
                self.seen.push_front(line.clone());
                Some(line)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing more after {:#?}", self.seen),
        }
    }

    /// The next line like that.
    pub(crate) fn find(&mut self, is_wanted: impl Fn(&str) -> bool) -> String {
        loop {
            match self.next() {
                Some(line) if is_wanted(&line) => return line,
                Some(_) => {}
                None => panic!("it ended after {:#?}", self.seen),
            }
        }
    }

    pub(crate) fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// A hub on ports of its own, one for each transport.
pub(crate) struct Hub {
    pub(crate) program: Program,
    pub(crate) tcp: String,
    pub(crate) ws: String,
}

/// A way to the hub, so that a test can be told which to take.
pub(crate) type Over = fn(&Hub) -> &str;

/// Every way there is.
pub(crate) const EVERY_WAY: [Over; 2] = [|hub| &hub.tcp, |hub| &hub.ws];

impl Hub {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", "127.0.0.1:0", options)
    }

    pub(crate) fn start_on(tcp: &str, ws: &str, options: &[&str]) -> Self {
        let mut program = Program::start(&[&["hub", "--tcp", tcp, "--ws", ws], options].concat());
        let [tcp, ws] = ["tcp", "ws"].map(|scheme| {
            let ready = program.out.next().expect("it says where it listens");
            let url = ready.strip_prefix("listening on ").expect(&ready);
            assert!(url.starts_with(&format!("{scheme}://")), "{url}");
            url.to_owned()
        });
        Self { program, tcp, ws }
    }

    /// The first counters from now on that are like that; the hub was started with `--stats`.
    pub(crate) fn counters(&mut self, are_wanted: impl Fn(&Value) -> bool) -> Value {
        self.counters_within(SOON, are_wanted)
    }

    /// The same for what may take longer.
    pub(crate) fn counters_within(
        &mut self,
        patience: Duration,
        are_wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let begin = Instant::now();
        loop {
            let line = self.program.out.next().expect("the hub runs");
            let counters = serde_json::from_str(&line).expect("a line of JSON");
            if are_wanted(&counters) {
                return counters;
            }
            assert!(begin.elapsed() < patience, "still {counters}");
        }
    }
}

/// Waits until it is so.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < SOON, "it should come to this: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Publishes one event, which has to work; who hears it is another matter.
pub(crate) fn publish(url: &str, topic: &str, payload: &str, options: &[&str]) {
    let ended = Program::run(&[&["pub", url, topic, payload], options].concat(), b"");
    assert_eq!((ended.code, ended.out.len()), (Some(0), 0), "{ended:?}");
    ended.dropped();
}
