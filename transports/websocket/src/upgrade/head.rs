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
    /// A bare line feed ends a line too: who sends such a thing is told so instead of kept waiting.
    fn step(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Ended, _) => Self::Ended,
            (Self::Before, b'\r' | b'\n') => Self::Before,
            (Self::Empty | Self::Returned, b'\n') => Self::Ended,
            (_, b'\n') => Self::Empty,
            (Self::Empty, b'\r') => Self::Returned,
            _ => Self::Filled,
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
        let taken = within.iter().take_while(|byte| self.step(**byte)).count();
        self.bytes.extend_from_slice(&within[..taken]);
        match self.is_whole() {
            true => Ok(Some(taken)),
            false if self.bytes.len() == HEAD_BYTES_MAX => Err(TooLong),
            false => Ok(None),
        }
    }

    /// Whether `byte` belongs to the head.
    fn step(&mut self, byte: u8) -> bool {
        let belongs = !self.is_whole();
        self.line = self.line.step(byte);
        belongs
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.line == Line::Ended
    }

    /// What has arrived of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
