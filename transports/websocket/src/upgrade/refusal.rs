//! What is said to those who do not get a WebSocket: a status and a sentence.

use super::answer::Answer;

/// Why there is no upgrade: [RFC 9110, section 15](https://www.rfc-editor.org/rfc/rfc9110#section-15) has the statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: Status,
    /// What is wrong, in a sentence; never words of the request, which may be secret or dangerous.
    sentence: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    BadRequest,
    Forbidden,
    MethodNotAllowed,
    RequestTimeout,
    UpgradeRequired,
    HeaderFieldsTooLarge,
    ServiceUnavailable,
    VersionNotSupported,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::BadRequest => "400 Bad Request",
            Self::Forbidden => "403 Forbidden",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::UpgradeRequired => "426 Upgrade Required",
            Self::HeaderFieldsTooLarge => "431 Request Header Fields Too Large",
            Self::ServiceUnavailable => "503 Service Unavailable",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }

    /// The headers that it demands, and the end of the connection.
    fn headers(self) -> &'static str {
        match self {
            Self::MethodNotAllowed => "Connection: close\r\nAllow: GET\r\n",
            // Whoever sends Upgrade names it in Connection: RFC 9110, section 7.8.
            Self::UpgradeRequired => {
                "Connection: close, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            }
            Self::ServiceUnavailable => "Connection: close\r\nRetry-After: 1\r\n",
            _ => "Connection: close\r\n",
        }
    }
}

impl Refusal {
    const fn new(status: Status, sentence: &'static str) -> Self {
        Self { status, sentence }
    }

    pub(crate) const fn bad(sentence: &'static str) -> Self {
        Self::new(Status::BadRequest, sentence)
    }

    pub(crate) const fn forbidden(sentence: &'static str) -> Self {
        Self::new(Status::Forbidden, sentence)
    }

    pub(crate) const fn method(sentence: &'static str) -> Self {
        Self::new(Status::MethodNotAllowed, sentence)
    }

    pub(crate) const fn upgrade(sentence: &'static str) -> Self {
        Self::new(Status::UpgradeRequired, sentence)
    }

    pub(crate) const fn too_large(sentence: &'static str) -> Self {
        Self::new(Status::HeaderFieldsTooLarge, sentence)
    }

    pub(crate) const fn version(sentence: &'static str) -> Self {
        Self::new(Status::VersionNotSupported, sentence)
    }

    /// The whole response.
    fn response(self) -> Vec<u8> {
        let (line, headers) = (self.status.line(), self.status.headers());
        let (sentence, length) = (self.sentence, self.sentence.len() + 2);
        format!(
            "HTTP/1.1 {line}\r\n{headers}Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{sentence}\r\n"
        )
        .into_bytes()
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self {
            response: refusal.response(),
            result: Err(refusal.sentence),
        }
    }
}

/// What is said to a head that does not end in time: 431.
pub(crate) fn too_long() -> Answer {
    Refusal::too_large("the request has more than 8 KiB of headers").into()
}

/// What is said when a hub ends a connection before its upgrade, for the code of its goodbye
/// ([RFC 6455, section 7.4.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1)).
pub(crate) fn refuse(code: u16) -> Vec<u8> {
    let refusal = match code {
        1001 => Refusal::new(Status::ServiceUnavailable, "the hub is shutting down"),
        1013 => Refusal::new(Status::ServiceUnavailable, "the hub has no room now"),
        _ => Refusal::new(Status::RequestTimeout, "the request took too long"),
    };
    refusal.response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(response: Vec<u8>) -> String {
        String::from_utf8(response).expect("ASCII")
    }

    #[test]
    fn a_hub_that_is_full_or_leaves_says_when_to_come_again() {
        for code in [1001, 1013] {
            let response = text(refuse(code));
            assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
            assert!(response.contains("\r\nRetry-After: 1\r\n"), "{response}");
        }
        assert!(text(refuse(1008)).starts_with("HTTP/1.1 408 "));
    }

    #[test]
    fn a_response_is_whole_to_the_byte() {
        let expected = "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Type: text/plain\r\n\
            Content-Length: 44\r\n\r\nthe request has more than 8 KiB of headers\r\n";
        assert_eq!(text(too_long().response), expected);
    }
}
