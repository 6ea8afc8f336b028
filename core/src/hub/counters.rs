//! What a hub has done so far, as numbers.

use alloc::collections::BTreeMap;
use alloc::string::String;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;

use crate::link::Traffic;
use crate::policy::Policy;
use crate::session::Ending;
use crate::sync::lock;
use crate::wire::{CloseReason, Refusal};

/// What a hub has done and holds; see [`Hub::counters`](super::Hub::counters).
///
/// Sums since the hub was built, but for those that say *now*. Frames and bytes are those of the protocol, without what a
/// transport adds to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Connections whose handshake is done, now.
    pub connections: u64,
    /// Those of them whose client is away and may return, now.
    pub detached: u64,
    /// Connections whose handshake is not done, now.
    pub handshakes: u64,
    /// Users with a connection, now.
    pub users: u64,
    /// Groups with a member, now.
    pub groups: u64,
    /// Subscriptions, now.
    pub subscriptions: u64,
    /// Subscriptions of the program itself, now.
    pub local_subscriptions: u64,
    /// Topics that keep events, now.
    pub history_topics: u64,
    /// Events that they keep, now.
    pub history_events: u64,
    /// Bytes of these, now; beside what lanes hold.
    pub history_bytes: u64,
    /// Connections that were let in.
    pub connected: u64,
    /// Times that a client has returned to its connection.
    pub resumed: u64,
    /// Connections that were let in and are gone, by reason.
    pub disconnected: BTreeMap<String, u64>,
    /// Connections that were not let in, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Frames that arrived.
    pub frames_in: u64,
    /// Bytes that arrived.
    pub bytes_in: u64,
    /// Frames handed to transports.
    pub frames_out: u64,
    /// Bytes handed to transports.
    pub bytes_out: u64,
    /// Events put into lanes: one for each subscriber.
    pub queued: u64,
    /// Events missed by subscribers, by the policy that decided so.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Frames that wait in lanes, now.
    pub waiting_frames: u64,
    /// Bytes that wait in lanes, now; what several lanes share is counted in each.
    pub waiting_bytes: u64,
    /// Bytes of events that are kept for lanes, now: what all queues together cost.
    pub held_bytes: u64,
}

/// The sums behind [`Counters`].
#[derive(Default)]
pub(crate) struct Sums {
    connected: AtomicU64,
    resumed: AtomicU64,
    queued: AtomicU64,
    dropped: [AtomicU64; 4],
    ended: Mutex<Ended>,
}

#[derive(Default)]
struct Ended {
    disconnected: BTreeMap<String, u64>,
    refused: BTreeMap<String, u64>,
    traffic: Traffic,
}

impl Sums {
    pub(crate) fn connected(&self) {
        self.connected.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn resumed(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn delivered(&self, events: u32) {
        self.queued.fetch_add(events.into(), Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, policy: Policy, events: u32) {
        if events > 0 {
            self.dropped[policy as usize].fetch_add(events.into(), Ordering::Relaxed);
        }
    }

    /// A connection that was let in is gone.
    pub(crate) fn disconnected(&self, ending: Ending) {
        *lock(&self.ended)
            .disconnected
            .entry(ending_name(ending).into())
            .or_default() += 1;
    }

    /// A connection was not let in.
    pub(crate) fn refused(&self, ending: Ending) {
        *lock(&self.ended)
            .refused
            .entry(ending_name(ending).into())
            .or_default() += 1;
    }

    pub(crate) fn traffic(&self, traffic: Traffic) {
        add(&mut lock(&self.ended).traffic, traffic);
    }

    /// The sums; traffic of connections that are still there has to be added.
    pub(crate) fn snapshot(&self, live: Traffic) -> Counters {
        let ended = lock(&self.ended);
        let mut traffic = ended.traffic;
        add(&mut traffic, live);
        let dropped = POLICIES
            .map(|(policy, name)| (name, self.dropped[policy as usize].load(Ordering::Relaxed)));
        Counters {
            connected: self.connected.load(Ordering::Relaxed),
            resumed: self.resumed.load(Ordering::Relaxed),
            disconnected: ended.disconnected.clone(),
            refused: ended.refused.clone(),
            frames_in: traffic.frames_in,
            bytes_in: traffic.bytes_in,
            frames_out: traffic.frames_out,
            bytes_out: traffic.bytes_out,
            queued: self.queued.load(Ordering::Relaxed),
            dropped: dropped.into(),
            ..Counters::default()
        }
    }
}

const POLICIES: [(Policy, &str); 4] = [
    (Policy::Disconnect, "disconnect"),
    (Policy::DropOldest, "drop-oldest"),
    (Policy::DropNewest, "drop-newest"),
    (Policy::KeepLatest, "keep-latest"),
];

pub(crate) fn add(sum: &mut Traffic, more: Traffic) {
    sum.frames_in += more.frames_in;
    sum.bytes_in += more.bytes_in;
    sum.frames_out += more.frames_out;
    sum.bytes_out += more.bytes_out;
}

/// A short name for how a connection ended, for counters and logs.
pub(crate) fn ending_name(ending: Ending) -> &'static str {
    match ending {
        Ending::Lost => "lost",
        Ending::Resumed => "resumed",
        Ending::ByPeer(_) => "peer-closed",
        Ending::Refused(refusal) => refusal_name(refusal),
        Ending::ByUs(close) => match close.reason {
            CloseReason::Done => "done",
            CloseReason::Shutdown => "shutdown",
            CloseReason::Kicked => "kicked",
            CloseReason::MessageTooLarge { .. } => "message-too-large",
            CloseReason::TooSlow => "too-slow",
            CloseReason::Stalled => "stalled",
            CloseReason::Silent => "silent",
            CloseReason::Flood => "flood",
            CloseReason::Malformed => "malformed",
            CloseReason::Unexpected => "unexpected-frame",
            CloseReason::Count => "wrong-count",
        },
    }
}

fn refusal_name(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Version { .. } => "version",
        Refusal::Unauthorized => "unauthorized",
        Refusal::Full => "full",
        Refusal::Shutdown => "shutdown",
        Refusal::Malformed => "malformed",
        Refusal::Late => "late",
        Refusal::Promise { .. } => "promise",
        Refusal::MessageTooLarge { .. } => "message-too-large",
        Refusal::Count => "wrong-count",
    }
}
