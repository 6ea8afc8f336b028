//! What comes out of the frames of a peer, however they are cut.

use async_tungstenite::tungstenite::Message as Theirs;
use lapwing::transport::TransportError;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::fault::Fault;

/// A mask that is no other when it is rotated.
const MASK: [u8; 4] = [0x11, 0x22, 0x44, 0x88];

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const FINAL: u8 = 0x80;

/// A frame with this first byte, by hand.
fn frame(first: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(short as u8),
        middle @ 126..=65_535 => {
            frame.push(126);
            frame.extend((middle as u16).to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    let Some(mask) = mask else {
        frame.extend(payload);
        return frame;
    };
    frame[1] |= 0x80;
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(first, payload, Some(MASK))
}

/// The head of a client's frame that announces so many bytes.
fn head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first, 0xff];
    head.extend(length.to_be_bytes());
    head.extend(MASK);
    head
}

fn limits() -> Limits {
    Limits {
        message_bytes_max: 100_000,
        fragments_max: 4,
        ..Limits::default()
    }
}

fn server() -> Codec {
    Codec::new(Role::Server, &limits(), Bytes::new())
}

/// Everything that `read` brings.
fn read(codec: &mut Codec, read: &[u8]) -> Result<Vec<Arrival>, Fault> {
    let mut found: Vec<Arrival> = codec.feed(read)?.into_iter().collect();
    while let Some(arrival) = codec.next_arrival()? {
        found.push(arrival);
    }
    Ok(found)
}

/// What `reads` bring, up to a fault.
fn read_all<'a>(
    codec: &mut Codec,
    reads: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Incoming>, Option<Fault>) {
    let mut heard = Vec::new();
    for bytes in reads {
        let mut next = codec.feed(bytes);
        loop {
            match next {
                Ok(Some(arrival)) => heard.push(arrival.incoming),
                Ok(None) => break,
                Err(fault) => return (heard, Some(fault)),
            }
            next = codec.next_arrival();
        }
    }
    (heard, None)
}

fn fault(stream: &[u8]) -> Fault {
    let (_, fault) = read_all(&mut server(), [stream]);
    fault.unwrap_or_else(|| panic!("{stream:02x?} is fine"))
}

fn message(kind: Kind, bytes: &[u8]) -> Incoming {
    let bytes = Bytes::copy_from_slice(bytes);
    Incoming::Message(Message { bytes, kind })
}

#[test]
fn a_stream_may_be_cut_anywhere_and_ends_idle() {
    let stream = [
        masked(FINAL | TEXT, "Grüße".as_bytes()),
        masked(BINARY, b"one "),
        masked(FINAL | 9, b"ping"),
        masked(FINAL, b"message"),
        masked(FINAL | BINARY, &[7; 300]),
    ]
    .concat();
    let expected = [
        message(Kind::Text, "Grüße".as_bytes()),
        Incoming::Alive,
        message(Kind::Binary, b"one message"),
        message(Kind::Binary, &[7; 300]),
    ];
    for cut in 0..=stream.len() {
        let mut codec = server();
        let (mut heard, none) = read_all(&mut codec, [&stream[..cut]]);
        assert!(none.is_none(), "cut at {cut}");
        let between = [0, 13, stream.len() - 308, stream.len()].contains(&cut);
        assert_eq!(codec.is_inside(), !between, "cut at {cut}");
        assert!(codec.context.is_none() || !between, "cut at {cut}");
        heard.extend(read_all(&mut codec, [&stream[cut..]]).0);
        assert_eq!(heard, expected, "cut at {cut}");
        assert!(codec.context.is_none() && codec.arrived.is_empty());
    }
}

#[test]
fn what_is_wrong_fails_with_its_code_at_once() {
    // Of each frame only what must be enough to know.
    let wrong: [(&str, &[u8], u16); 10] = [
        ("a reserved bit", &masked(0xc2, b"abc")[..6], 1002),
        ("an unknown kind", &masked(0x83, b"abc")[..6], 1002),
        ("an unknown control frame", &masked(0x8b, b"abc")[..6], 1002),
        ("no mask", &frame(0x82, b"abc", None)[..2], 1002),
        ("a fragment of nothing", &masked(0x80, b"abc")[..6], 1002),
        ("a fragmented ping", &masked(0x09, b"abc")[..6], 1002),
        ("a long ping", &masked(0x89, &[0; 126])[..8], 1002),
        ("a long way to say 5", &[0x82, 0xfe, 0, 5, 0, 0, 0, 0], 1002),
        (
            "a message in a message",
            &[masked(2, b"a"), masked(2, b"b")].concat()[..13],
            1002,
        ),
        ("invalid text", &masked(0x81, b"ab\xffdef")[..9], 1007),
    ];
    for (what, stream, code) in wrong {
        let fault = fault(stream);
        assert_eq!(fault.code, code, "{what}: {fault:?}");
        assert!(
            matches!(fault.error, TransportError::Malformed(_)),
            "{what}"
        );
    }
}

#[test]
fn half_a_character_is_no_fault_until_it_is_the_last() {
    let grin = "😀".as_bytes();
    let mut codec = server();
    assert!(read(&mut codec, &masked(TEXT, &grin[..3])).is_ok());
    let whole = read(&mut codec, &masked(FINAL, &grin[3..])).expect("it is UTF-8");
    assert_eq!(whole[0].incoming, message(Kind::Text, grin));
    assert_eq!(fault(&masked(FINAL | TEXT, &grin[..3])).code, 1007);
}

#[test]
fn a_message_that_is_too_large_fails_with_its_length() {
    for length in [100_001, u32::MAX.into(), 1 << 63, u64::MAX] {
        let Fault { error, code } = fault(&head(FINAL | BINARY, length));
        assert!(
            matches!(error, TransportError::MessageTooLarge { size, max: 100_000 } if size == length)
        );
        assert_eq!(code, 1009);
    }
    let mut codec = server();
    let (_, none) = read_all(&mut codec, [&masked(BINARY, &[0; 99_999])[..]]);
    assert!(none.is_none(), "as large as allowed");
    let (_, fault) = read_all(&mut codec, [&masked(FINAL, &[0; 2])[..2]]);
    assert!(fault.is_none(), "the mask belongs to the head");
    let (_, fault) = read_all(&mut codec, [&MASK[..]]);
    let size = fault.map(|fault| fault.error);
    assert!(matches!(
        size,
        Some(TransportError::MessageTooLarge { size: 100_001, .. })
    ));
}

#[test]
fn a_message_may_have_so_many_fragments() {
    let fragments = |count: usize| {
        let mut stream = masked(BINARY, b"");
        for _ in 1..count - 1 {
            stream.extend(masked(0, b"a"));
            stream.extend(masked(FINAL | 9, b""));
        }
        stream.extend(masked(FINAL, b"a"));
        stream
    };
    let twice = [fragments(4), fragments(4)].concat();
    let (heard, none) = read_all(&mut server(), [&twice[..]]);
    assert!(none.is_none() && heard.contains(&message(Kind::Binary, b"aaa")));
    let Fault { error, code } = fault(&fragments(5));
    assert!(matches!(error, TransportError::TooManyFragments { max: 4 }));
    assert_eq!(code, 1008);
}

#[test]
fn a_long_frame_is_one_fragment() {
    let mut codec = server();
    let stream = masked(FINAL | TEXT, &[b'a'; 90_000]);
    let (heard, none) = read_all(&mut codec, stream.chunks(1_000));
    assert!(none.is_none());
    assert_eq!(heard, [message(Kind::Text, &[b'a'; 90_000])]);
}

#[test]
fn an_announced_length_reserves_little() {
    let mut codec = server();
    let announced = [&head(FINAL | BINARY, 100_000)[..], b"ten bytes."].concat();
    let count = allocation_counter::measure(|| {
        assert!(read(&mut codec, &announced).is_ok());
    });
    assert!(count.bytes_max < 4_096, "{count:?}");
    let count = allocation_counter::measure(|| {
        assert!(read(&mut codec, &[0; 20_000]).is_ok());
    });
    assert!(count.bytes_max < 64 * 1_024, "{count:?}");
}

#[test]
fn an_idle_codec_keeps_nothing() {
    let mut codec = server();
    let stream = [masked(FINAL | BINARY, b"one"), masked(FINAL | 9, b"ping")].concat();
    let count = allocation_counter::measure(|| {
        assert_eq!(read(&mut codec, &stream).map(|all| all.len()).ok(), Some(2));
    });
    assert_eq!(count.bytes_current, 0, "{count:?}");
}

#[test]
fn a_ping_is_answered_with_its_payload() {
    let found = read(&mut server(), &masked(FINAL | 9, b"ping")).expect("it is a ping");
    assert_eq!(found[0].incoming, Incoming::Alive);
    assert_eq!(found[0].answer, b"\x8a\x04ping"[..]);
    let found = read(&mut server(), &masked(FINAL | 10, b"pong")).expect("it is a pong");
    assert_eq!(
        (&found[0].incoming, found[0].answer.len()),
        (&Incoming::Alive, 0)
    );
}

#[test]
fn a_goodbye_is_answered_with_its_code() {
    let close = |payload: &[u8]| {
        let found = read(&mut server(), &masked(FINAL | 8, payload));
        found.map(|mut all| all.remove(0))
    };
    let goodbye = |code, reason: &str| {
        let reason = reason.into();
        Incoming::Goodbye(Goodbye { code, reason })
    };
    let said = close(b"\x03\xe8bye").expect("it is allowed");
    assert_eq!(
        (said.incoming, &said.answer[..]),
        (goodbye(1000, "bye"), &b"\x88\x05\x03\xe8bye"[..])
    );
    let empty = close(b"").expect("it is allowed");
    assert_eq!(
        (empty.incoming, &empty.answer[..]),
        (goodbye(1005, ""), &b"\x88\0"[..])
    );
    // Codes that must not travel are answered with 1002.
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
        let said = close(&code.to_be_bytes()).expect("it is answered");
        assert_eq!(said.answer[2..4], 1002_u16.to_be_bytes(), "{code}");
    }
    assert_eq!(close(b"\x03").map_err(|fault| fault.code).err(), Some(1002));
    assert_eq!(
        close(b"\x03\xe8\xff").map_err(|fault| fault.code).err(),
        Some(1007)
    );
}

#[test]
fn after_our_goodbye_nothing_is_answered() {
    let mut codec = server();
    let said = codec.close(Goodbye {
        code: 1001,
        reason: "é".repeat(100),
    });
    assert_eq!(
        said[..4],
        [0x88, 124, 3, 0xe9],
        "122 bytes of the reason are whole characters"
    );
    let stream = [
        masked(FINAL | 9, b"ping"),
        masked(FINAL | BINARY, b"late"),
        masked(FINAL | 8, b""),
    ];
    let found = read(&mut codec, &stream.concat()).expect("they are allowed");
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|arrival| arrival.answer.is_empty()));

    for code in [0, 1005, 1006, 5000] {
        let reason = String::new();
        let said = server().close(Goodbye { code, reason });
        assert_eq!(said, b"\x88\0"[..], "{code} must not travel");
    }
}

#[test]
fn two_ends_understand_each_other() {
    let mut client = Codec::new(Role::Client, &limits(), Bytes::new());
    let mut server = server();
    for (size, kind) in [
        (0, Kind::Text),
        (125, Kind::Binary),
        (126, Kind::Text),
        (70_000, Kind::Binary),
    ] {
        let sent = Message {
            bytes: vec![b'x'; size].into(),
            kind,
        };
        let there = client.mask(sent.clone());
        assert!(size < 125 || !there.ends_with(&[b'x'; 8]), "it is masked");
        let heard = read(&mut server, &there).expect("it is masked");
        assert_eq!(heard[0].incoming, Incoming::Message(sent.clone()));

        let (head, bytes) = server_head(&sent);
        let back = [&head[..bytes], &sent.bytes].concat();
        let heard = read(&mut client, &back).expect("it is not");
        assert_eq!(heard[0].incoming, Incoming::Message(sent));
        assert!(client.context.is_none() && server.context.is_none());
    }
    let ping = client.ping();
    let heard = read(&mut server, &ping).expect("it is masked");
    assert_eq!(heard[0].answer, b"\x8a\0"[..]);
    assert_eq!(
        read(&mut client, &masked(0x82, b"a"))
            .map_err(|fault| fault.code)
            .err(),
        Some(1002)
    );
}

/// A message, and in how many frames it is sent.
fn messages() -> impl Strategy<Value = Vec<(Vec<u8>, bool, usize)>> {
    let size = prop_oneof![0..20_usize, 100..300_usize, 4_000..9_000_usize];
    let message = (size, any::<u8>(), any::<bool>(), 1..=4_usize);
    let message = message.prop_map(|(size, seed, text, frames)| {
        let bytes = match text {
            true => "aé"
                .chars()
                .cycle()
                .take(size)
                .collect::<String>()
                .into_bytes(),
            false => (0..size)
                .map(|at| (at as u8).wrapping_mul(31) ^ seed)
                .collect(),
        };
        (bytes, text, frames)
    });
    vec(message, 0..8)
}

/// A message as a client may send it, with a ping behind each fragment.
fn fragmented((bytes, text, frames): &(Vec<u8>, bool, usize)) -> Vec<u8> {
    let opcode = if *text { TEXT } else { BINARY };
    let size = bytes.len().div_ceil(*frames).max(1);
    let mut pieces: Vec<&[u8]> = bytes.chunks(size).collect();
    pieces.resize(*frames, b"");
    let mut stream = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let last = at + 1 == *frames;
        let first = if at == 0 { opcode } else { 0 } | if last { FINAL } else { 0 };
        stream.extend(masked(first, piece));
        stream.extend(masked(FINAL | 9, b"ping"));
    }
    stream
}

/// `stream` in reads of these lengths, again and again.
fn cut<'a>(mut stream: &'a [u8], reads: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for read in reads.iter().cycle() {
        if stream.is_empty() {
            break;
        }
        let (now, later) = stream.split_at(stream.len().min(*read));
        pieces.push(now);
        stream = later;
    }
    pieces
}

/// How a stream ends, by kind.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Waits,
    Closed,
    Broken,
    NotText,
}

/// What tungstenite alone makes of `stream`.
fn plain(role: Role, stream: &[u8]) -> (Vec<Incoming>, Verdict) {
    let mut context = WebSocketContext::new(role, None);
    let mut turn = Turn::new(Piece::headless(stream));
    let mut heard = Vec::new();
    loop {
        let verdict = match context.read(&mut turn) {
            Ok(Theirs::Text(text)) => {
                heard.push(message(Kind::Text, text.as_bytes()));
                continue;
            }
            Ok(Theirs::Binary(bytes)) => {
                heard.push(message(Kind::Binary, &bytes));
                continue;
            }
            Ok(Theirs::Close(_)) => Verdict::Closed,
            Ok(_) => {
                heard.push(Incoming::Alive);
                continue;
            }
            Err(Error::Io(_)) => Verdict::Waits,
            Err(Error::Utf8(_)) => Verdict::NotText,
            Err(_) => Verdict::Broken,
        };
        return (heard, verdict);
    }
}

/// What comes through the sieve.
fn sieved(role: Role, reads: Vec<&[u8]>) -> (Vec<Incoming>, Verdict) {
    let limits = Limits {
        fragments_max: u32::MAX,
        ..Limits::default()
    };
    let mut codec = Codec::new(role, &limits, Bytes::new());
    let (mut heard, fault) = read_all(&mut codec, reads);
    if let Some(at) = heard
        .iter()
        .position(|one| matches!(one, Incoming::Goodbye(_)))
    {
        heard.truncate(at);
        return (heard, Verdict::Closed);
    }
    let verdict = match fault.map(|fault| fault.code) {
        None => Verdict::Waits,
        Some(1007) => Verdict::NotText,
        Some(_) => Verdict::Broken,
    };
    (heard, verdict)
}

/// The first byte of a frame: most of them are fine.
fn first() -> impl Strategy<Value = u8> {
    let fine = [0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x89, 0x8a, 0x88];
    prop_oneof![9 => prop::sample::select(fine.to_vec()), 1 => any::<u8>()]
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => vec(b'a'..=b'z', 0..20),
        2 => "[aé😀]{0,20}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..130),
        1 => vec(b'a'..=b'z', 4_000..9_000),
    ]
}

proptest! {
    #[test]
    fn messages_come_out_as_they_went_in(
        messages in messages(),
        reads in vec(1..2_000_usize, 1..20),
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(fragmented).collect();
        let mut codec = server();
        let (mut heard, fault) = read_all(&mut codec, cut(&stream, &reads));
        prop_assert!(fault.is_none(), "{:?}", fault);
        prop_assert!(codec.context.is_none() && !codec.is_inside());
        heard.retain(|incoming| *incoming != Incoming::Alive);
        let expected: Vec<Incoming> = messages
            .iter()
            .map(|(bytes, text, _)| message(if *text { Kind::Text } else { Kind::Binary }, bytes))
            .collect();
        prop_assert_eq!(heard, expected);
    }

    #[test]
    fn the_sieve_changes_no_verdict(
        frames in vec((first(), payload(), prop::bool::weighted(0.95)), 0..12),
        server in any::<bool>(),
        reads in vec(1..3_000_usize, 1..10),
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let stream: Vec<u8> = frames
            .iter()
            .flat_map(|(first, payload, right)| frame(*first, payload, (server == *right).then_some(MASK)))
            .collect();
        prop_assert_eq!(sieved(role, cut(&stream, &reads)), plain(role, &stream));
    }

    #[test]
    fn no_bytes_panic(
        server in any::<bool>(),
        reads in vec(vec(any::<u8>(), 0..50), 0..20),
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let mut codec = Codec::new(role, &limits(), Bytes::new());
        let _ = read_all(&mut codec, reads.iter().map(Vec::as_slice));
    }
}
