//! The program `lapwing hub` as a process of its own: what it holds, what it has spent, how it ends.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use lapwing::wire::{Call, Encoding, Frame, Payload};
use rustix::process::{Pid, Resource, Signal, getrlimit, kill_process, setrlimit};
use serde_json::Value;

use crate::framing::Transport;
use crate::peer::Peer;

/// How long the hub may take to become what is waited for.
const SOON: Duration = Duration::from_secs(30);

/// A hub that runs until this is dropped.
pub struct HubProcess {
    child: Child,
    tcp: SocketAddr,
    web_socket: SocketAddr,
}

/// What a hub holds at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its memory that is resident, in bytes.
    pub resident_bytes: u64,
    /// Its open files.
    pub files: usize,
    /// Its threads.
    pub threads: usize,
}

impl HubProcess {
    /// Starts the program with these options more.
    ///
    /// # Errors
    ///
    /// When it does not start, or says something unexpected.
    pub fn start(program: &Path, options: &[&str]) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(["hub", "--tcp", "127.0.0.1:0", "--ws", "127.0.0.1:0"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::other(format!("{}: {error}", program.display())))?;
        let out = child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(out).lines();
        let mut address = |scheme: &str| {
            let line = lines.next().transpose()?.unwrap_or_default();
            let address = line.strip_prefix(&format!("listening on {scheme}://"));
            let address = address.and_then(|address| address.parse().ok());
            address.ok_or_else(|| io::Error::other(format!("the hub says {line:?}")))
        };
        let (tcp, web_socket) = (address("tcp")?, address("ws")?);
        Ok(Self {
            child,
            tcp,
            web_socket,
        })
    }

    /// Where it listens.
    pub fn address(&self, transport: Transport) -> SocketAddr {
        match transport {
            Transport::Tcp => self.tcp,
            Transport::WebSocket => self.web_socket,
        }
    }

    /// What it holds now.
    ///
    /// # Errors
    ///
    /// Where there is no `/proc`.
    pub fn held(&self) -> io::Result<Held> {
        held_by(self.child.id())
    }

    /// What it has spent of its processors so far.
    ///
    /// # Errors
    ///
    /// Where there is no `/proc`.
    pub fn spent(&self) -> io::Result<Duration> {
        spent_by(self.child.id())
    }

    /// Asks it to end; how long that took.
    ///
    /// # Errors
    ///
    /// When it is gone already, or fails.
    pub fn terminate(mut self) -> io::Result<Duration> {
        let begin = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return match status.success() {
                    true => Ok(begin.elapsed()),
                    false => Err(io::Error::other(format!("the hub ended with {status}"))),
                };
            }
            if begin.elapsed() > SOON {
                return Err(io::Error::other("the hub does not end"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for HubProcess {
    fn drop(&mut self) {
        // Both fail when it has ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process holds now.
///
/// # Errors
///
/// Where there is no `/proc`.
pub fn held_by(process: u32) -> io::Result<Held> {
    let folder = format!("/proc/{process}");
    let status = fs::read_to_string(format!("{folder}/status"))?;
    let field = |name: &str| -> io::Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| io::Error::other(format!("no {name} in {folder}/status")))
    };
    Ok(Held {
        resident_bytes: field("VmRSS:")? * 1024,
        files: fs::read_dir(format!("{folder}/fd"))?.count(),
        threads: field("Threads:")? as usize,
    })
}

/// What a process has spent of its processors so far.
///
/// # Errors
///
/// Where there is no `/proc`.
pub fn spent_by(process: u32) -> io::Result<Duration> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{}/task", process))? {
        let spent = fs::read_to_string(thread?.path().join("schedstat"))?;
        let first = spent.split(' ').next().and_then(|first| first.parse().ok());
        nanos += first.unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanos))
}

/// A connection is an open file, for the hub and for those who connect; children inherit how many there may be.
pub fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Without it, opening the next one fails and says so.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Asks a hub for its counters.
///
/// # Errors
///
/// Those of the connection, and when the answer is no JSON.
pub async fn counters(peer: &mut Peer) -> io::Result<Value> {
    let arguments = Payload {
        encoding: Encoding::Text,
        bytes: b"",
    };
    let call = Frame::Call(Call {
        id: 1,
        method: "counters",
        deadline_ms: None,
        arguments,
    });
    peer.say(&call).await?;
    let answer = peer.until(|frame| match frame {
        Frame::Reply(reply) => Some(reply.result.map(|payload| payload.bytes.to_vec()).ok()),
        _ => None,
    });
    let answer = answer.await?.unwrap_or_default();
    serde_json::from_slice(&answer).map_err(io::Error::other)
}

/// Waits until the counters are like that; what they are then.
///
/// # Errors
///
/// Those of [`counters`], and when it takes too long.
pub async fn counters_like(
    peer: &mut Peer,
    are_wanted: impl Fn(&Value) -> bool,
) -> io::Result<Value> {
    let begin = Instant::now();
    loop {
        let counters = counters(peer).await?;
        if are_wanted(&counters) {
            return Ok(counters);
        }
        if begin.elapsed() > SOON {
            return Err(io::Error::other(format!("still {counters}")));
        }
        smol::Timer::after(Duration::from_millis(20)).await;
    }
}
