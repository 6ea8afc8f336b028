//! What must hold for any bytes: for the property tests beside it, and for the fuzzer.

use httparse::{EMPTY_HEADER, Response, Status};

use super::answer::{Answer, Terms, answer};
use super::head::{HEAD_BYTES_MAX, Head, TooLong};
use super::refusal::{refuse, too_long};

/// Takes bytes as a request, whole and in pieces of `step`; every answer is HTTP, and says what it means.
pub(crate) fn check(bytes: &[u8], step: usize) {
    let (length, answered) = gather(bytes, bytes.len());
    let (length_in_pieces, answered_in_pieces) = gather(bytes, step);
    assert_eq!(length, length_in_pieces, "wherever it is cut");
    if let (Some(answered), Some(in_pieces)) = (answered, answered_in_pieces) {
        assert_eq!(answered.response, in_pieces.response);
        check_answer(&answered);
    }
    check_answer(&answer(bytes, &Terms::default()));
}

/// The length of the head if it has an end, and what it is answered if it is answered.
fn gather(bytes: &[u8], step: usize) -> (Option<usize>, Option<Answer>) {
    let mut head = Head::new();
    for (at, piece) in bytes.chunks(step.max(1)).enumerate() {
        match head.feed(piece) {
            Ok(Some(taken)) => {
                let length = at * step.max(1) + taken;
                assert_eq!(head.bytes(), &bytes[..length]);
                let terms = Terms::default();
                return (Some(length), Some(answer(head.bytes(), &terms)));
            }
            Ok(None) => assert!(head.bytes().len() < HEAD_BYTES_MAX),
            Err(TooLong) => return (None, Some(too_long())),
        }
    }
    (None, None)
}

/// What is said before the upgrade at the end of a connection is HTTP too.
pub(crate) fn check_refusal(code: u16) {
    let expected = match code {
        1001 | 1013 => 503,
        _ => 408,
    };
    assert_eq!(parsed(&refuse(code)).0, expected);
}

fn check_answer(answer: &Answer) {
    let (code, body) = parsed(&answer.response);
    assert_eq!(answer.result.is_ok(), code == 101);
    match answer.result {
        Ok(_) => assert!(body.is_empty()),
        Err(sentence) => assert_eq!(body, format!("{sentence}\r\n").as_bytes()),
    }
}

/// The status and the body of a response that says how long it is.
fn parsed(bytes: &[u8]) -> (u16, &[u8]) {
    let mut room = [EMPTY_HEADER; 8];
    let mut response = Response::new(&mut room);
    let parsed = response.parse(bytes).expect("HTTP");
    let Status::Complete(length) = parsed else {
        panic!("a response without an end");
    };
    let body = &bytes[length..];
    let named = response
        .headers
        .iter()
        .find(|header| header.name == "Content-Length");
    let announced = named.map_or("0".into(), |header| String::from_utf8_lossy(header.value));
    assert_eq!(announced, body.len().to_string());
    (response.code.expect("a status"), body)
}
