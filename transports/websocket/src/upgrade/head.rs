//! The head of an HTTP message: everything up to and with its empty line.

/// The longest head that is read: as much as common servers take, and far more than an upgrade needs.
pub(crate) const HEAD_BYTES_MAX: usize = 8 * 1024;

/// A head without an end within [`HEAD_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Gathers a head, however it arrives; looks at every byte once.
#[derive(Debug, Default)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    line: Line,
}

/// How far the line is that is being read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    /// Nothing but line ends so far, which may stand before a request.
    #[default]
    Before,
    /// Something is in it.
    Filled,
    /// It has just begun.
    Empty,
    /// It has a carriage return and nothing else.
    Returned,
    /// It was empty: the head is whole.
    Ended,
}

impl Line {
    /// With more bytes in it, of which none is a line feed.
    fn filled(self, with: &[u8]) -> Self {
        match (self, with) {
            (_, []) => self,
            (Self::Before, returns) if returns.iter().all(|byte| *byte == b'\r') => Self::Before,
            (Self::Empty, [b'\r']) => Self::Returned,
            _ => Self::Filled,
        }
    }

    /// After its line feed. A bare one ends a line too: who sends such a thing is told so instead of kept waiting.
    fn fed(self) -> Self {
        match self {
            Self::Before => Self::Before,
            Self::Filled => Self::Empty,
            Self::Empty | Self::Returned | Self::Ended => Self::Ended,
        }
    }
}

impl Head {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes what arrived; says how many of `bytes` belong to the head when it is whole with them.
    ///
    /// # Errors
    ///
    /// [`TooLong`] when it is not whole and cannot be any more. Nothing beyond [`HEAD_BYTES_MAX`] is kept.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Option<usize>, TooLong> {
        let room = HEAD_BYTES_MAX - self.bytes.len();
        let within = &bytes[..bytes.len().min(room)];
        let taken = self.walk(within);
        self.bytes.extend_from_slice(&within[..taken]);
        match self.is_whole() {
            true => Ok(Some(taken)),
            false if self.bytes.len() == HEAD_BYTES_MAX => Err(TooLong),
            false => Ok(None),
        }
    }

    /// Walks the lines in `bytes`; says how many bytes belong to the head.
    fn walk(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && !self.is_whole() {
            let rest = &bytes[taken..];
            let feed = rest.iter().position(|byte| *byte == b'\n');
            self.line = self.line.filled(&rest[..feed.unwrap_or(rest.len())]);
            taken += match feed {
                None => rest.len(),
                Some(feed) => {
                    self.line = self.line.fed();
                    feed + 1
                }
            };
        }
        taken
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.line == Line::Ended
    }

    /// What has arrived of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    fn fed(bytes: &[u8]) -> (Result<Option<usize>, TooLong>, Vec<u8>) {
        let mut head = Head::new();
        (head.feed(bytes), head.bytes().to_vec())
    }

    #[test]
    fn a_head_is_whole_wherever_it_is_cut() {
        for cut in 0..REQUEST.len() {
            let mut head = Head::new();
            assert_eq!(head.feed(&REQUEST[..cut]), Ok(None), "{cut}");
            assert!(!head.is_whole());
            let rest = REQUEST.len() - cut;
            assert_eq!(head.feed(&REQUEST[cut..]), Ok(Some(rest)), "{cut}");
            assert!(head.is_whole());
            assert_eq!(head.bytes(), REQUEST);
        }
    }

    #[test]
    fn what_follows_the_head_stays_outside() {
        let mut head = Head::new();
        let both = [REQUEST, b"\x81\x01a\n\n"].concat();
        assert_eq!(head.feed(&both), Ok(Some(REQUEST.len())));
        assert_eq!(head.feed(b"\n\n"), Ok(Some(0)));
        assert_eq!(head.bytes(), REQUEST);
    }

    #[test]
    fn bare_line_feeds_end_lines_and_carriage_returns_do_not() {
        for (bytes, whole) in [
            (&b"a\nb\n\n"[..], true),
            (b"a\r\nb\n\r\n", true),
            (b"a\r\rb\r\r\r", false),
            (b"a\n\rb\r\n", false),
            (b"a\n\r\r\n", false),
        ] {
            let expected = whole.then_some(bytes.len());
            assert_eq!(fed(bytes).0, Ok(expected), "{bytes:?}");
        }
    }

    #[test]
    fn empty_lines_before_a_request_are_not_its_end() {
        let bytes = [b"\r\n\n\r\n", REQUEST].concat();
        assert_eq!(fed(&bytes), (Ok(Some(bytes.len())), bytes));
        assert_eq!(fed(&b"\r\n".repeat(HEAD_BYTES_MAX)).0, Err(TooLong));
    }

    #[test]
    fn a_head_of_the_longest_length_is_whole_and_one_more_is_too_long() {
        let exactly = |length: usize| [&vec![b'a'; length - 4][..], b"\r\n\r\n"].concat();
        let longest = exactly(HEAD_BYTES_MAX);
        assert_eq!(fed(&longest), (Ok(Some(HEAD_BYTES_MAX)), longest));
        let (fed, kept) = fed(&exactly(HEAD_BYTES_MAX + 1));
        assert_eq!((fed, kept.len()), (Err(TooLong), HEAD_BYTES_MAX));
    }

    #[test]
    fn too_long_stays_too_long_and_keeps_nothing_more() {
        let mut head = Head::new();
        for _ in 1..HEAD_BYTES_MAX {
            assert_eq!(head.feed(b"a"), Ok(None));
        }
        for _ in 0..2 {
            assert_eq!(head.feed(b"aaa"), Err(TooLong));
            assert_eq!(head.bytes().len(), HEAD_BYTES_MAX);
        }
    }
}
