//! Frames that RFC 6455 or the table of limits does not allow: each ends its connection at once with the right code.

use std::time::Duration;

use lapwing::limits::Rate;
use lapwing::session::Ending;
use lapwing::wire::CloseReason;
use lapwing::{Limits, Policy};

use crate::carrier::Carrier;
use crate::peer::{bytes, call, ping, publish};
use crate::raw::{BINARY, CLOSE, PING, PONG, TEXT, close, frame, head};
use crate::world::check_over;

const OVER: &[Carrier] = &[Carrier::WebSocket];

/// The first byte of a fragment that is not the last.
const MORE: u8 = 0x7f;

/// A fragment behind the first.
const NEXT: u8 = 0x00;

const LARGEST: u64 = 1024 * 1024;

fn too_large(size: u64) -> CloseReason {
    let max = LARGEST;
    CloseReason::MessageTooLarge { size, max }
}

/// What ends a WebSocket, why the hub says it does, and with which code.
fn faults() -> Vec<(&'static str, Vec<u8>, CloseReason, u16)> {
    use CloseReason::{Flood, Malformed};
    let mut faults = vec![
        ("not masked", vec![0x82, 1, 7], Malformed, 1002),
        (
            "a length that is too long for itself",
            vec![0x82, 0x80 | 126, 0, 5, 0, 0, 0, 0],
            Malformed,
            1002,
        ),
        (
            "a fragment of nothing",
            frame(NEXT | 0x80, b"x"),
            Malformed,
            1002,
        ),
        (
            "a message in a message",
            [frame(BINARY & MORE, b"x"), frame(BINARY, b"x")].concat(),
            Malformed,
            1002,
        ),
        (
            "a message in a long message",
            [frame(BINARY & MORE, &[0; 32 * 1024]), frame(BINARY, b"x")].concat(),
            Malformed,
            1002,
        ),
        (
            "no text behind a lot of it",
            frame(TEXT, &[&[b'a'; 40_000][..], b"\xc3a"].concat()),
            Malformed,
            1007,
        ),
        ("half a ping", frame(PING & MORE, b"x"), Malformed, 1002),
        ("a long ping", head(PING, 126), Malformed, 1002),
        ("half a code", frame(CLOSE, &[3]), Malformed, 1002),
        (
            "a goodbye that is no text",
            frame(CLOSE, &[3, 0xe8, 0xff]),
            Malformed,
            1007,
        ),
        (
            "no text in the middle of a frame",
            [head(TEXT, 1_000), vec![0x11 ^ 0xc3, 0x22 ^ 0x28]].concat(),
            Malformed,
            1007,
        ),
        (
            "no text in a fragment",
            frame(TEXT & MORE, &[b'a', 0xff]),
            Malformed,
            1007,
        ),
        (
            "text instead of binary",
            frame(TEXT, b"{}"),
            Malformed,
            1003,
        ),
        (
            "a byte too large",
            head(BINARY, LARGEST + 1),
            too_large(LARGEST + 1),
            1009,
        ),
        (
            "a byte too large, in fragments",
            [frame(BINARY & MORE, &[0; 10]), head(NEXT, LARGEST - 9)].concat(),
            too_large(LARGEST + 1),
            1009,
        ),
        (
            "larger than any memory",
            head(BINARY, 1 << 63),
            too_large(1 << 63),
            1009,
        ),
        (
            "fragments without end",
            fragments(&frame(NEXT, b"x")),
            Flood,
            1008,
        ),
        (
            "fragments of nothing without end",
            fragments(&frame(NEXT, b"")),
            Flood,
            1008,
        ),
    ];
    for reserved in [0x40, 0x20, 0x10] {
        let bit = frame(BINARY | reserved, b"x");
        faults.push(("a reserved bit", bit, Malformed, 1002));
    }
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        let kind = frame(0x80 | opcode, b"");
        faults.push(("a reserved kind", kind, Malformed, 1002));
    }
    for says_nothing in [frame(PING, b"x"), frame(PONG, b""), frame(BINARY, b"")] {
        faults.push(("a flood", says_nothing.repeat(401), Flood, 1008));
    }
    faults
}

/// The beginning of a message, and so many of these that the last is one too many.
fn fragments(next: &[u8]) -> Vec<u8> {
    let mut bytes = frame(BINARY & MORE, b"");
    bytes.extend(next.repeat(1_024));
    bytes
}

#[test]
fn a_fault_is_answered_at_once_and_nobody_notices() {
    for (what, bytes, reason, code) in faults() {
        check_over(OVER, Limits::default(), async |world| {
            let mut control = world.peer("control").await;
            let mut raw = world.bare("raw").await;
            raw.say(&bytes).await;
            world.round_trip(&mut control).await;
            // What follows is read and thrown away.
            raw.try_say(&frame(BINARY, &[7; 100_000])).await;
            world.round_trip(&mut control).await;
            assert_eq!(raw.ended().await, (Some(reason), Some(code)), "{what}");
            assert_eq!(world.sim.elapsed(), Duration::ZERO, "{what}");
            world.sim.settle().await;
            assert_eq!(world.reason(), reason, "{what}");
            assert_eq!(world.sim.tasks(), 2, "{what}");
            world.round_trip(&mut control).await;
        });
    }
}

#[test]
fn a_fault_before_the_hello_is_answered_too() {
    for (what, bytes, _, code) in faults() {
        check_over(OVER, Limits::default(), async |world| {
            let mut raw = world.upgraded("raw").await;
            raw.say(&bytes).await;
            // The protocol has one word for all of these, so has its code; the transport's own faults keep theirs.
            let (_, heard) = raw.ended().await;
            assert_eq!(heard, Some(code), "{what}");
            assert_eq!(world.sim.elapsed(), Duration::ZERO, "{what}");
        });
    }
}

#[test]
fn as_much_as_is_allowed_is_allowed() {
    check_over(OVER, Limits::default(), async |world| {
        let mut raw = world.bare("raw").await;
        let mut message = bytes(&publish("news", "x"));
        message.resize(LARGEST as usize, 0);
        raw.say(&frame(BINARY, &message)).await;
        // In as many fragments, with pings between.
        let mut pieces = message.chunks(1_024).map(|piece| frame(NEXT, piece));
        let mut first = pieces.next().expect("there are some");
        first[0] = BINARY & MORE;
        raw.say(&first).await;
        for piece in pieces.by_ref().take(1_022) {
            raw.say(&piece).await;
        }
        raw.say(&frame(PING, b"between")).await;
        let mut last = pieces.next().expect("one is left");
        last[0] = NEXT | 0x80;
        raw.say(&last).await;
        assert_eq!(raw.frame().await, Some((PONG, b"between".to_vec())));
        raw.say(&frame(BINARY, &bytes(&call(1, "echo")))).await;
        assert_eq!(raw.frame().await.map(|(first, _)| first), Some(BINARY));
        assert_eq!(world.hub.counters().connections, 1);
    });
}

#[test]
fn pings_as_fast_as_allowed_are_answered_for_ever() {
    let pings = Rate {
        per_second: 10,
        burst: 20,
    };
    let limits = Limits {
        pings,
        ..Limits::default()
    };
    check_over(OVER, limits, async |world| {
        let mut raw = world.bare("raw").await;
        for round in 0..100_u32 {
            let nonce = round.to_be_bytes().to_vec();
            raw.say(&frame(PING, &nonce)).await;
            assert_eq!(raw.frame().await, Some((PONG, nonce)));
            world.pass(Duration::from_millis(100)).await;
        }
    });
}

#[test]
fn a_goodbye_is_answered_and_what_follows_is_not_read() {
    check_over(OVER, Limits::default(), async |world| {
        let goodbyes = [
            (close(1000), Some(1000)),
            (close(1001), Some(1001)),
            (close(3000), Some(3000)),
            (close(4999), Some(4999)),
            (frame(CLOSE, b""), None),
        ];
        let must_not_travel = [
            0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2_999, 5_000, 65_535,
        ];
        let wrong = must_not_travel.map(|code| (close(code), Some(1002)));
        for (said, answered) in goodbyes.into_iter().chain(wrong) {
            for between in [false, true] {
                let mut reader = world.peer("reader").await;
                reader.subscribe(1, Policy::Disconnect, &["news"]).await;
                let mut raw = world.bare("raw").await;
                if between {
                    raw.say(&frame(BINARY & MORE, b"half a mess")).await;
                }
                raw.say(&said).await;
                let news = bytes(&publish("news", "late"));
                raw.try_say(&frame(BINARY, &news)).await;
                raw.try_say(&[0xff; 1_000]).await;
                assert_eq!(raw.ended().await, (None, answered));
                world.sim.settle().await;
                assert!(reader.is_quiet().await, "nothing follows a goodbye");
            }
        }
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
    });
}

#[test]
fn who_stops_half_way_is_told_when_its_time_is_over() {
    let news = frame(BINARY, &bytes(&ping(1)));
    let halves = [
        ("in the first byte", vec![BINARY]),
        ("in the length", head(BINARY, 70_000)[..5].to_vec()),
        ("in the mask", head(BINARY, 7)[..4].to_vec()),
        ("behind the head", head(BINARY, 7)),
        ("in the payload", news[..news.len() - 1].to_vec()),
        ("in a ping", frame(PING, b"half")[..8].to_vec()),
        ("between fragments", frame(BINARY & MORE, b"half")),
        (
            "between fragments, behind a ping",
            [frame(BINARY & MORE, b"half"), frame(PING, b"")].concat(),
        ),
    ];
    for (where_, half) in halves {
        for stall in [Limits::default().stall, Duration::from_secs(2)] {
            let limits = Limits {
                stall,
                ..Limits::default()
            };
            check_over(OVER, limits, async |world| {
                let mut control = world.peer("control").await;
                let mut raw = world.bare("raw").await;
                world.pass(Duration::from_secs(1)).await;
                raw.say(&half).await;
                let began = world.sim.elapsed();
                world.pass(stall - Duration::from_micros(1)).await;
                assert_eq!(world.endings(), [], "{where_}");
                world.round_trip(&mut control).await;
                let told = (Some(CloseReason::Stalled), Some(1013));
                assert_eq!(raw.ended().await, told, "{where_}");
                assert_eq!(world.since(began), stall, "{where_}");
            });
        }
    }
}

/// As when a path breaks or a proxy gives up: nobody has said anything wrong, and a client may return.
#[test]
fn a_stream_that_ends_half_way_is_lost() {
    check_over(OVER, Limits::default(), async |world| {
        let whole = frame(BINARY, &bytes(&call(1, "echo")));
        for length in 1..whole.len() {
            let mut raw = world.bare("raw").await;
            raw.say(&whole[..length]).await;
            raw.finish().await;
            world.sim.settle().await;
            assert_eq!(world.endings().last(), Some(&Ending::Lost), "{length}");
        }
    });
}

#[test]
fn a_byte_now_and_then_is_no_stall() {
    check_over(OVER, Limits::default(), async |world| {
        let mut raw = world.bare("raw").await;
        for byte in frame(BINARY, &bytes(&call(1, "echo"))) {
            raw.say(&[byte]).await;
            world.pass(Duration::from_secs(9)).await;
        }
        let (first, _) = raw.frame().await.expect("an answer, or a ping");
        assert_eq!(first, BINARY);
        assert_eq!(world.endings(), []);
    });
}

#[test]
fn who_asks_and_never_reads_is_ended() {
    check_over(OVER, Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        let mut raw = world.bare("raw").await;
        let began = world.sim.elapsed();
        let said = bytes(&call(1, "echo"));
        let asking = frame(BINARY, &said).repeat(100);
        world
            .sim
            .spawn_named("asking", async move { while raw.try_say(&asking).await {} });
        world.sim.settle().await;
        world.round_trip(&mut control).await;
        assert!(world.hub.counters().waiting_bytes < 10_000);
        world
            .pass(Limits::default().stall - Duration::from_micros(1))
            .await;
        assert_eq!(world.endings(), []);
        world.pass(Duration::from_micros(1)).await;
        assert_eq!(world.reason(), CloseReason::Stalled);
        assert_eq!(world.since(began), Limits::default().stall);
        world.round_trip(&mut control).await;
    });
}

#[test]
fn a_reset_anywhere_leaves_nothing() {
    check_over(OVER, Limits::default(), async |world| {
        let mut control = world.peer("control").await;
        let whole = [
            frame(BINARY & MORE, b"half a mess"),
            frame(PING, b"?"),
            frame(NEXT, b"age"),
            head(NEXT | 0x80, 100_000),
        ]
        .concat();
        for cut in 0..=whole.len() {
            let mut raw = world.bare("raw").await;
            raw.say(&whole[..cut]).await;
            world.sim.settle().await;
            world.network.cut("raw");
            world.round_trip(&mut control).await;
            world.sim.settle().await;
            assert_eq!(world.sim.tasks(), 2, "{cut}");
        }
        assert_eq!(world.sim.elapsed(), Duration::ZERO);
    });
}
