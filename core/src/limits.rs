//! Every bound of the library, its default and its reason.

use core::time::Duration;

/// The longest topic or filter, in bytes: room for a path of names, small enough for a chip's stack.
pub const TOPIC_BYTES_MAX: usize = 256;

/// The deepest topic or filter, in segments: bounds the work of one match.
pub const TOPIC_SEGMENTS_MAX: usize = 16;

/// How deep a payload may nest before decoding it fails: bounds the stack that a peer can make us use.
///
/// The same for everybody, as [`TOPIC_BYTES_MAX`] is: whoever decodes a payload has no hub or client at hand.
pub const NESTING_MAX: usize = 32;

/// A budget that refills steadily: `per_second` on average, `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many are allowed in a second, on average.
    pub per_second: u32,
    /// How many are allowed at once after a quiet time.
    pub burst: u32,
}

/// The bounds of one hub or client: everything that a peer could make grow or wait has one here.
///
/// Each field says what happens when it is reached. Start from [`Limits::default`] on a server, from
/// [`Limits::small`] on a device, and change single fields. Times count in whole milliseconds, up to 49 days.
///
/// # Examples
///
/// ```
/// use lapwing::Limits;
///
/// let limits = Limits { message_bytes_max: 64 * 1024, ..Limits::default() };
/// assert_eq!(limits.subscriptions_max, 1_024);
/// assert!(Limits::small().lane_bytes_max < limits.lane_bytes_max);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From accept to a finished handshake. Reached: refused, the connection ends.
    ///
    /// 10 s: a slow radio link gets through, a silent peer does not hold a slot for long.
    pub handshake: Duration,
    /// Connections of a hub. Reached: refused with a reason and a time to try again.
    ///
    /// 10,000: what one process holds with the usual limit of file descriptors raised once.
    pub connections_max: u32,
    /// Connections of a hub whose handshake is not finished. Reached: refused as above; and when as many again are on their
    /// way out, dropped without a word.
    ///
    /// 1,024: a storm of reconnects passes, a flood of half-open ones stays small.
    pub handshakes_max: u32,
    /// Largest inbound message, in bytes. Reached: the connection ends, the reason names limit and size.
    ///
    /// 1 MiB: an event is a fact, not a file.
    pub message_bytes_max: u32,
    /// Pieces in which one inbound message may come, on transports that have such. Reached: the connection ends.
    ///
    /// 1,024: more than any sender needs for the largest message, and a bound on what tiny ones cost.
    pub fragments_max: u32,
    /// Memory reserved ahead of the bytes received, in bytes.
    ///
    /// 64 KiB: one read. A length announced by a peer reserves nothing beyond it.
    pub reserve_bytes_max: u32,
    /// Bytes in the data lane of one connection. Reached: the subscription's policy decides.
    ///
    /// 1 MiB: about a second of a slow mobile link.
    pub lane_bytes_max: u32,
    /// Frames in the data lane of one connection. Reached: the subscription's policy decides.
    ///
    /// 1,024: bounds what small frames cost beyond their bytes.
    pub lane_frames_max: u32,
    /// Frames read from one peer before every waiting connection had one try to write. Reached: reading pauses for a turn.
    ///
    /// 256: some hundred microseconds of work, which is how long a burst of one peer may delay another.
    pub turn_frames_max: u32,
    /// Bytes read from one peer before every waiting connection had one try to write. Reached: reading pauses for a turn.
    ///
    /// 64 KiB: one read of a transport, and one write to each subscriber.
    pub turn_bytes_max: u32,
    /// A write, or a message half received, without progress; and a full buffer of which a client that returns by a
    /// [`Ticket`](crate::transport::Ticket) confirms nothing. Reached: the connection ends, slow peer; after a write to a client that may return by a ticket, it is away.
    ///
    /// 10 s: longer than a hand-over between radio cells.
    pub stall: Duration,
    /// How often this side speaks at least: our promise. A `Ping` goes out when nothing else did, up to a 64th
    /// of it earlier when others are due.
    ///
    /// 25 s: below the idle time-outs of common middleboxes.
    pub promise: Duration,
    /// How long a peer may promise to be silent. Reached: refused, the reason names it.
    ///
    /// 1 h: a sleeping sensor's, and a bound on how long a dead one holds a slot.
    pub promise_max: Duration,
    /// How long a peer may be late with its promise. Reached: the connection ends, dead peer.
    ///
    /// 20 s: a lost packet is sent again several times within it.
    pub grace: Duration,
    /// Pings, pongs and empty messages of one peer, but empty ones for which it waited for a message of ours in between. Reached: the
    /// connection ends, flood.
    ///
    /// 100/s, 400 at once: far beyond any promise, also for what a stalled path delivers in one piece.
    pub pings: Rate,
    /// Subscribes and other cheap requests of one peer. Reached: reading pauses until the budget has refilled.
    ///
    /// 100/s, 400 at once: a client that comes back asks for everything in a few messages; each makes the hub look up again who hears what.
    pub requests: Rate,
    /// From our `Close` to the peer's, and to the end of its bytes. Reached: the connection is dropped.
    ///
    /// 5 s: some round trips of a slow link, and still short for whoever waits for a shutdown.
    pub closing: Duration,
    /// Subscriptions of one connection. Reached: the request is refused.
    ///
    /// 1,024: more than a program reads with care; a filter with wildcards stands for any number of topics.
    pub subscriptions_max: u32,
    /// Groups of one connection. Reached: `join` is refused.
    ///
    /// 1,024: bounds the work of leaving all of them at the end.
    pub groups_max: u32,
    /// Longest topic or filter that a peer may use, in bytes; never more than [`TOPIC_BYTES_MAX`]. Reached: the request is refused.
    ///
    /// 256: a path of names; smaller where memory for names is scarce.
    pub topic_bytes_max: u16,
    /// Deepest topic or filter that a peer may use, in segments; never more than [`TOPIC_SEGMENTS_MAX`]. Reached: the request is refused.
    ///
    /// 16: bounds the work of one match.
    pub topic_segments_max: u16,
    /// Names that a peer may give a number to. Reached: the publish is refused.
    ///
    /// 64: a device with more topics than that has memory for their names.
    pub aliases_max: u16,
    /// Calls of one connection that wait for their turn, and calls that wait for an answer of the peer. Reached: error reply, or an error to the caller.
    ///
    /// 64: who waits behind more than that is better told at once that it is too much.
    pub calls_waiting_max: u32,
    /// Bytes of arguments of one connection's calls, and of the events that the program handles, that wait for their turn. Reached: error
    /// reply; events are not read.
    ///
    /// 1 MiB: one large call may wait, or many small ones.
    pub calls_waiting_bytes_max: u32,
    /// Handlers of one connection that run at the same time. Reached: the next call waits.
    ///
    /// 1: calls of one peer happen in the order in which it made them.
    pub calls_running_max: u32,
    /// Streams that one peer may have at the same time: those that it asked for, and as many that it sends. Reached: error reply.
    ///
    /// 64: as many as calls; each may hold `stream_items_max` items.
    pub streams_max: u32,
    /// Items of one stream that may wait to be read: its credit. Reached: who sends them waits.
    ///
    /// 16: enough to be read while more are asked for.
    pub stream_items_max: u32,
    /// Bytes of items of one peer's streams that nobody has read. Reached: the peer is not read; its silence says nothing then.
    ///
    /// 1 MiB: a credit is for items, whatever their size, and a client of another protocol may know no credit at all.
    pub stream_bytes_max: u32,
    /// Answers (`Ack`, `Reply`, items of streams) that wait in the lane of one connection. Reached: the peer is not read, and streams wait.
    ///
    /// 64: they are never dropped, so whoever makes us write them has to take them before it asks for more.
    pub answers_waiting_max: u32,
    /// Bytes that were sent to a client that may resume, and that it has not confirmed. Reached: the oldest are forgotten, and a
    /// return is told of a gap, or of what history replays. As much may come to wait while the client is away. Of a client that returns by a
    /// [`Ticket`](crate::transport::Ticket) nothing is forgotten: what follows waits until it has confirmed some.
    ///
    /// 100 KiB: some seconds of a mobile link.
    pub resume_bytes_max: u32,
    /// How long a connection may be away before it is gone; `None`: it is gone at once. Also how long a client hopes to resume.
    ///
    /// 60 s: a tunnel, or a reboot of a router.
    pub resume: Option<Duration>,
    /// Topics of a hub that keep a history or a value. Reached: events on others are refused.
    ///
    /// 100,000: peers choose the names.
    pub history_topics_max: u32,
    /// All histories of a hub together, in bytes. Reached: the oldest events go, of whatever topic.
    ///
    /// 64 MiB: a quarter of what the hub may have for its queues.
    pub history_bytes_max: u64,
    /// All queues of a hub together, live segments included, in bytes. From seven eighths of it on, new connections are
    /// refused. Reached: policies act as soon as a lane is not empty.
    ///
    /// 256 MiB: a full lane for 256 slow connections, in a process that has other things to do.
    pub hub_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            connections_max: 10_000,
            handshakes_max: 1_024,
            message_bytes_max: 1024 * 1024,
            fragments_max: 1_024,
            reserve_bytes_max: 64 * 1024,
            lane_bytes_max: 1024 * 1024,
            lane_frames_max: 1_024,
            turn_frames_max: 256,
            turn_bytes_max: 64 * 1024,
            stall: Duration::from_secs(10),
            promise: Duration::from_secs(25),
            promise_max: Duration::from_secs(3_600),
            grace: Duration::from_secs(20),
            pings: Rate {
                per_second: 100,
                burst: 400,
            },
            requests: Rate {
                per_second: 100,
                burst: 400,
            },
            closing: Duration::from_secs(5),
            subscriptions_max: 1_024,
            groups_max: 1_024,
            topic_bytes_max: TOPIC_BYTES_MAX as u16,
            topic_segments_max: TOPIC_SEGMENTS_MAX as u16,
            aliases_max: 64,
            calls_waiting_max: 64,
            calls_waiting_bytes_max: 1024 * 1024,
            calls_running_max: 1,
            streams_max: 64,
            stream_items_max: 16,
            stream_bytes_max: 1024 * 1024,
            answers_waiting_max: 64,
            resume_bytes_max: 100 * 1024,
            resume: Some(Duration::from_secs(60)),
            history_topics_max: 100_000,
            history_bytes_max: 64 * 1024 * 1024,
            hub_bytes_max: 256 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// Bounds for a device with some 64 MB of memory: 64 connections, 64 KiB a message and a lane.
    pub fn small() -> Self {
        Self {
            connections_max: 64,
            handshakes_max: 16,
            message_bytes_max: 64 * 1024,
            reserve_bytes_max: 4 * 1024,
            lane_bytes_max: 64 * 1024,
            lane_frames_max: 256,
            subscriptions_max: 64,
            groups_max: 16,
            calls_waiting_max: 8,
            calls_waiting_bytes_max: 64 * 1024,
            streams_max: 8,
            stream_bytes_max: 64 * 1024,
            resume_bytes_max: 8 * 1024,
            history_topics_max: 1_000,
            history_bytes_max: 1024 * 1024,
            hub_bytes_max: 4 * 1024 * 1024,
            ..Self::default()
        }
    }
}
