//! Messages with their length in front, as on TCP, in fixed memory.

/// Bytes in front of each message: its length, big-endian.
pub(crate) const PREFIX: usize = 4;

/// A message announces more bytes than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Bytes that arrived, until they are whole messages; a message has at most `BYTES - 4` bytes.
pub(crate) struct Inbox<const BYTES: usize> {
    bytes: [u8; BYTES],
    used: usize,
}

impl<const BYTES: usize> Inbox<BYTES> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; BYTES],
            used: 0,
        }
    }

    /// Where the next bytes go; never empty, as long as every whole message is removed.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.used..]
    }

    pub(crate) fn filled(&mut self, bytes: usize) {
        self.used += bytes;
    }

    /// The oldest message, when all of it is there.
    pub(crate) fn message(&self) -> Result<Option<&[u8]>, TooLarge> {
        let arrived = &self.bytes[..self.used];
        let Some((prefix, rest)) = arrived.split_first_chunk::<PREFIX>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > BYTES - PREFIX {
            return Err(TooLarge);
        }
        Ok(rest.get(..length))
    }

    /// Forgets the oldest message, which had so many bytes.
    pub(crate) fn remove(&mut self, length: usize) {
        let end = PREFIX + length;
        self.bytes.copy_within(end..self.used, 0);
        self.used -= end;
    }
}
