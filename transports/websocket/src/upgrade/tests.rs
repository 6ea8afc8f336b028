//! What a listener answers, one rule each.

use bytes::Bytes;
use httparse::{EMPTY_HEADER, Response};
use proptest::collection::vec;
use proptest::prelude::*;

use super::answer::{Answer, Terms, answer};
use super::head::HEAD_BYTES_MAX;
use super::oracle;

/// The request of RFC 6455, section 1.2, with nothing that is optional.
const GOOD: [&str; 5] = [
    "Host: hub.example:7000",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

fn head<'a>(first: &str, headers: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let lines: String = headers
        .into_iter()
        .map(|line| format!("{line}\r\n"))
        .collect();
    format!("{first}\r\n{lines}\r\n").into_bytes()
}

/// A good request, and more headers.
fn with(more: &[&str]) -> Vec<u8> {
    head("GET / HTTP/1.1", GOOD.iter().chain(more).copied())
}

/// A good request with `instead` for all headers of the name `header`.
fn but(header: &str, instead: &[&str]) -> Vec<u8> {
    let others = GOOD
        .iter()
        .filter(|line| !line.starts_with(&format!("{header}:")));
    head("GET / HTTP/1.1", others.chain(instead).copied())
}

fn good(first: &str) -> Vec<u8> {
    head(first, GOOD)
}

fn answered(head: &[u8]) -> Answer {
    answer(head, &Terms::default())
}

fn status(head: &[u8]) -> u16 {
    let mut room = [EMPTY_HEADER; 8];
    let mut response = Response::new(&mut room);
    let answer = answered(head);
    response.parse(&answer.response).expect("HTTP");
    response.code.expect("a status")
}

fn text(head: &[u8]) -> String {
    String::from_utf8(answered(head).response).expect("ASCII")
}

#[track_caller]
fn assert_status(expected: u16, heads: &[Vec<u8>]) {
    for head in heads {
        assert_eq!(status(head), expected, "{}", String::from_utf8_lossy(head));
    }
}

#[test]
fn a_good_request_is_answered_as_the_rfc_has_it() {
    let expected = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_eq!(text(&with(&[])), expected);
}

#[test]
fn every_header_of_the_upgrade_is_needed() {
    for line in GOOD {
        let (name, _) = line.split_once(':').expect("a header");
        assert_status(400, &[but(name, &[])]);
    }
}

#[test]
fn plain_http_gets_400() {
    let host = ["Host: hub.example"];
    assert_status(
        400,
        &[
            head("GET / HTTP/1.1", host),
            head("GET /index.html HTTP/1.0", []),
            head("HEAD / HTTP/1.1", host),
            head("POST /chat HTTP/1.1", ["Host: a", "Content-Length: 3"]),
            // RFC 9110, section 7.8: an Upgrade in HTTP/1.0 is ignored.
            good("GET / HTTP/1.0"),
        ],
    );
}

#[test]
fn other_methods_and_versions_are_told_which_are_spoken() {
    assert_status(405, &[good("POST / HTTP/1.1"), good("get / HTTP/1.1")]);
    assert!(text(&good("PUT / HTTP/1.1")).contains("\r\nAllow: GET\r\n"));
    let preface = b"PRI * HTTP/2.0\r\n\r\n".to_vec();
    assert_status(505, &[preface, good("GET / HTTP/3.0")]);
}

#[test]
fn another_version_of_websocket_gets_426_and_the_right_one() {
    for version in ["12", "14", "8", "013", "13, 8", "x", ""] {
        let head = but(
            "Sec-WebSocket-Version",
            &[&format!("Sec-WebSocket-Version: {version}")],
        );
        assert_status(426, std::slice::from_ref(&head));
        let text = text(&head);
        assert!(text.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{text}");
        assert!(text.contains("\r\nUpgrade: websocket\r\n"), "{text}");
        assert!(
            text.contains("\r\nConnection: close, Upgrade\r\n"),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_request_gets_400() {
    let mut malformed: Vec<Vec<u8>> = [
        &b""[..],
        b"\r\n\r\n",
        b"hello\r\n\r\n",
        b"hello you there\r\n\r\n",
        b"GET / HTTP/1.1\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\n\n",
    ]
    .map(<[u8]>::to_vec)
    .into();
    malformed.extend([
        good("GET / HTTP/1.1 "),
        good("GET /\0 HTTP/1.1"),
        good("GET /a b HTTP/1.1"),
        with(&["X: 1", " folded: 2"]),
        with(&["X: 1", "\tfolded"]),
        with(&["X : space before the colon"]),
        with(&["no colon"]),
        with(&[": no name"]),
        with(&["X\u{e9}: name"]),
        with(&["X: NUL \0"]),
        with(&["X: return \r in it"]),
        with(&["X: delete \x7f"]),
        [with(&[]), b"more".to_vec()].concat(),
    ]);
    assert_status(400, &malformed);
}

#[test]
fn a_bare_line_feed_ends_no_line() {
    let whole = String::from_utf8(with(&[])).expect("ASCII");
    assert_status(400, &[whole.replace("\r\n", "\n").into_bytes()]);
    for (at, _) in whole.match_indices("\r\n") {
        let mut one = whole.clone();
        one.remove(at);
        assert_status(400, &[one.into_bytes()]);
    }
}

#[test]
fn a_request_cut_anywhere_gets_400() {
    let whole = with(&[]);
    for cut in 0..whole.len() {
        assert_status(400, &[whole[..cut].to_vec()]);
    }
}

#[test]
fn too_many_headers_get_431() {
    for (count, expected) in [(100, 101), (101, 431), (124, 431), (125, 431), (1_000, 431)] {
        let more = vec!["X: 1"; count - GOOD.len()];
        assert_status(expected, &[with(&more)]);
    }
}

#[test]
fn too_long_headers_get_431() {
    let rest = with(&["X: "]).len();
    for (length, expected) in [
        (HEAD_BYTES_MAX, 101),
        (HEAD_BYTES_MAX + 1, 431),
        (1 << 20, 431),
    ] {
        let long = with(&[&format!("X: {}", "x".repeat(length - rest))]);
        assert_eq!(long.len(), length);
        assert_status(expected, &[long]);
    }
    assert_status(
        431,
        &[good(&format!("GET /{} HTTP/1.1", "x".repeat(9_000)))],
    );
}

#[test]
fn connection_and_upgrade_are_lists_in_any_case() {
    for (connection, upgrade, expected) in [
        (
            &["Connection: upgrade"][..],
            &["Upgrade: WebSocket"][..],
            101,
        ),
        (
            &["connection: keep-alive, Upgrade"],
            &["UPGRADE: websocket"],
            101,
        ),
        (
            &["Connection:\tUPGRADE\t,close"],
            &["Upgrade: h2c,\twebsocket"],
            101,
        ),
        (
            &["Connection: keep-alive", "Connection: Upgrade"],
            &["Upgrade: h2c", "Upgrade: websocket"],
            101,
        ),
        (&["Connection: ,, Upgrade"], &["Upgrade: ,websocket,"], 101),
        (&["Connection: keep-alive"], &["Upgrade: websocket"], 400),
        (
            &["Connection: Upgrade-Insecure"],
            &["Upgrade: websocket"],
            400,
        ),
        (
            &["Connection: keep-alive Upgrade"],
            &["Upgrade: websocket"],
            400,
        ),
        (&["Connection: Upgrade"], &["Upgrade: h2c"], 400),
        (&["Connection: Upgrade"], &["Upgrade: websocket/13"], 400),
        (&["Connection: Upgrade"], &["Upgrade: web socket"], 400),
    ] {
        let lines = GOOD
            .iter()
            .filter(|line| !line.starts_with("Connection:") && !line.starts_with("Upgrade:"));
        let head = head(
            "GET / HTTP/1.1",
            lines.chain(connection).chain(upgrade).copied(),
        );
        assert_status(expected, &[head]);
    }
}

#[test]
fn there_is_one_host() {
    for host in ["hub", "hub.example", "127.0.0.1:7000", "[::1]:7000", "hub:"] {
        assert_status(101, &[but("Host", &[&format!("Host: {host}")])]);
    }
    for host in [
        "",
        "a b",
        "a, b",
        "a@b",
        "http://hub",
        "hub/x",
        ":7000",
        "hub:x",
        "[::1",
        "::1",
    ] {
        assert_status(400, &[but("Host", &[&format!("Host: {host}")])]);
    }
}

#[test]
fn what_may_be_there_once_is_not_there_twice() {
    for twice in [
        "Host: hub.example:7000",
        "host: other",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        assert_status(400, &[with(&[twice])]);
    }
    assert_status(400, &[with(&["Content-Length: 0", "content-length: 0"])]);
    let origin = "Origin: http://hub.example";
    assert_status(400, &[with(&[origin, origin])]);
}

#[test]
fn there_is_no_body() {
    assert_status(
        101,
        &[with(&["Content-Length: 0"]), with(&["Content-Length: 00"])],
    );
    for length in ["1", "", "-0", "+0", "0, 0", "0x0", "18446744073709551616"] {
        assert_status(400, &[with(&[&format!("Content-Length: {length}")])]);
    }
    for coding in ["chunked", "identity", ""] {
        assert_status(400, &[with(&[&format!("Transfer-Encoding: {coding}")])]);
    }
}

#[test]
fn a_key_is_16_bytes_in_base64() {
    for (key, expected) in [
        ("AAAAAAAAAAAAAAAAAAAAAA==", 101),
        ("+/+/+/+/+/+/+/+/+/+/+w==", 101),
        ("AAAAAAAAAAAAAAAAAAAAA===", 400),
        ("AAAAAAAAAAAAAAAAAAAAAAA=", 400),
        ("AAAAAAAAAAAAAAAAAAAAAAAA", 400),
        ("AAAAAAAAAAAAAAAAAAAA==", 400),
        ("AAAAAAAAAAAAAAAAAAAAAAAA==", 400),
        ("AAAAAAAAAAAAAAAAAAAA-_==", 400),
        ("AAAAAAAAAA AAAAAAAAAAA==", 400),
        ("==", 400),
        ("", 400),
    ] {
        let head = but("Sec-WebSocket-Key", &[&format!("Sec-WebSocket-Key: {key}")]);
        assert_status(expected, &[head]);
    }
}

#[test]
fn pages_of_others_get_403() {
    assert_status(101, &[with(&["Origin: https://HUB.example"])]);
    for origin in [
        "null",
        "",
        "http://evil",
        "file://hub.example",
        "http://hub.example.evil",
    ] {
        assert_status(403, &[with(&[&format!("Origin: {origin}")])]);
    }
    let latin = [
        &with(&[])[..with(&[]).len() - 2],
        b"Origin: http://h\xfcb\r\n\r\n",
    ]
    .concat();
    assert_status(403, &[latin]);
}

#[test]
fn pages_that_are_listed_may_come() {
    let terms = Terms {
        origins: vec!["https://app.example".into()],
        ..Terms::default()
    };
    for (origin, allowed) in [("https://app.example", true), ("http://app.example", false)] {
        let head = with(&[&format!("Origin: {origin}")]);
        assert_eq!(answer(&head, &terms).result.is_ok(), allowed, "{origin}");
    }
}

#[test]
fn the_first_of_the_peers_sub_protocols_that_is_spoken_is_agreed_on() {
    for (asked, agreed) in [
        (&[][..], None),
        (&["lapwing.json"][..], Some("lapwing.json")),
        (
            &["chat, lapwing.json ,lapwing.postcard"],
            Some("lapwing.json"),
        ),
        (&["lapwing.postcard,lapwing.json"], Some("lapwing.postcard")),
        (
            &["chat", "lapwing.postcard", "lapwing.json"],
            Some("lapwing.postcard"),
        ),
        (&["Lapwing.JSON"], None),
        (&["chat"], None),
        (&["", ",,"], None),
    ] {
        let lines: Vec<_> = asked
            .iter()
            .map(|list| format!("Sec-WebSocket-Protocol: {list}"))
            .collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let answer = answered(&with(&lines));
        let upgrade = answer.result.expect("good");
        assert_eq!(upgrade.protocol.as_deref(), agreed, "{asked:?}");
        let text = String::from_utf8(answer.response).expect("ASCII");
        let line = agreed.map(|name| format!("\r\nSec-WebSocket-Protocol: {name}\r\n"));
        assert_eq!(
            text.matches("Sec-WebSocket-Protocol").count(),
            usize::from(agreed.is_some())
        );
        assert!(text.contains(&line.unwrap_or_default()), "{text}");
    }
}

#[test]
fn an_upgrade_tells_what_was_asked_for() {
    for (target, path, query) in [
        ("/", "/", &[][..]),
        ("/a/b%20c", "/a/b%20c", &[]),
        (
            "/chat?a=1&b=x+y%21&a&c=%ff",
            "/chat",
            &[("a", "1"), ("b", "x y!"), ("a", ""), ("c", "\u{fffd}")],
        ),
        ("/?", "/", &[]),
        ("http://hub.example/chat?a=1", "/chat", &[("a", "1")]),
        ("ws://hub.example?a=1", "/", &[("a", "1")]),
        ("https://hub.example", "/", &[]),
        ("/?next=http://other/", "/", &[("next", "http://other/")]),
    ] {
        let upgrade = answered(&good(&format!("GET {target} HTTP/1.1"))).result;
        let upgrade = upgrade.expect(target);
        let expected: Vec<_> = query
            .iter()
            .map(|(name, value)| (String::from(*name), String::from(*value)))
            .collect();
        assert_eq!(
            (&*upgrade.path, upgrade.query),
            (path, expected),
            "{target}"
        );
    }
    for target in [
        "*",
        "hub.example:80",
        "chat",
        "?a=1",
        "http://",
        "http:///chat",
        "http://a@b/",
    ] {
        assert_status(400, &[good(&format!("GET {target} HTTP/1.1"))]);
    }
}

#[test]
fn the_host_of_a_whole_url_is_the_one_that_counts() {
    let origin = GOOD.iter().copied().chain(["Origin: http://hub.example"]);
    assert_status(403, &[head("GET http://other/ HTTP/1.1", origin)]);
}

#[test]
fn headers_come_as_they_are() {
    let latin = [&with(&["Cookie: a=1", "COOKIE:b "])[..], b""].concat();
    let latin = [&latin[..latin.len() - 2], b"X: \xff\xfe\r\n\r\n"].concat();
    let upgrade = answered(&latin).result.expect("good");
    let tail = [
        ("Cookie", &b"a=1"[..]),
        ("COOKIE", b"b"),
        ("X", b"\xff\xfe"),
    ];
    let tail = tail.map(|(name, value)| (Bytes::from(name), Bytes::from(value)));
    assert_eq!(upgrade.headers[GOOD.len()..], tail);
    assert_eq!(upgrade.header("host"), Some("hub.example:7000"));
}

#[test]
fn every_refusal_is_whole_and_ends_the_connection() {
    for head in [
        vec![],
        good("POST / HTTP/1.1"),
        but("Sec-WebSocket-Version", &["Sec-WebSocket-Version: 8"]),
        with(&["Origin: null"]),
        with(&vec!["X: 1"; 200]),
        good("GET / HTTP/2.0"),
    ] {
        let text = text(&head);
        let (head, body) = text.split_once("\r\n\r\n").expect("an empty line");
        assert!(head.contains("\r\nConnection: close"), "{head}");
        assert!(head.contains("\r\nContent-Type: text/plain"), "{head}");
        let length = format!("\r\nContent-Length: {}", body.len());
        assert!(head.contains(&length), "{head}");
        assert!(body.len() > 10 && body.ends_with("\r\n"), "{body}");
    }
}

#[test]
fn no_answer_has_words_of_the_request() {
    let lines = GOOD
        .iter()
        .copied()
        .chain(["Origin: http://secret", "Secret: secret"]);
    let lines: Vec<_> = lines.collect();
    for first in [
        "GET /secret?access_token=secret HTTP/1.1",
        "SECRET /secret HTTP/1.1",
        "GET secret HTTP/1.1",
    ] {
        for lines in [&lines[..], &lines[1..], &lines[..5]] {
            let text = text(&head(first, lines.iter().copied()));
            assert!(!text.to_lowercase().contains("secret"), "{text}");
        }
    }
}

/// Lines that are good, nearly good and bad, so that random requests come far.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "GET / HTTP/1.1",
        "GET /?a=%zz HTTP/1.1",
        "GET http://hub.example/ HTTP/1.1",
        "POST / HTTP/1.0",
        "Host: hub.example",
        "Connection: keep-alive, Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Version: 8",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Origin: http://hub.example",
        "Origin: [",
        "Sec-WebSocket-Protocol: ,lapwing.json",
        "Content-Length: 0",
        "",
        "\r",
    ]);
    prop_oneof![8 => known.prop_map(|line| line.into()), 1 => vec(any::<u8>(), 0..20)]
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes in vec(any::<u8>(), 0..400), step in 1..50_usize) {
        oracle::check(&bytes, step);
    }

    #[test]
    fn no_lines_break_it(lines in vec(line(), 0..14), step in 1..50_usize) {
        oracle::check(&lines.join(&b"\r\n"[..]), step);
    }

    #[test]
    fn no_change_of_a_byte_breaks_it(at in 0..150_usize, byte in any::<u8>(), step in 1..50_usize) {
        let mut head = with(&[]);
        head[at] = byte;
        oracle::check(&head, step);
    }

    #[test]
    fn no_length_breaks_it(count in 0..200_usize, length in 0..200_usize, step in 1..5_000_usize) {
        let line = format!("X: {}", "x".repeat(length));
        oracle::check(&with(&vec![&*line; count]), step);
    }

    #[test]
    fn every_goodbye_before_the_upgrade_is_http(code in any::<u16>()) {
        oracle::check_refusal(code);
    }
}
