//! Records: the messages of a stream of bytes, however it is cut.

use bytes::{Buf, Bytes, BytesMut};
use lapwing::wire::CloseReason;

/// Ends each record of text: [HubProtocol, JSON encoding](https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md#json-encoding).
pub(crate) const MARK: u8 = 0x1e;

/// The longest length in front of a binary record: 31 bits.
const LENGTH_BYTES_MAX: usize = 5;

/// The records of one peer.
#[derive(Debug)]
pub(crate) struct Records {
    /// What has arrived last, from the first byte that is in no record yet.
    arrived: Bytes,
    /// The beginning of a record whose end is still to come.
    half: BytesMut,
    bytes_max: usize,
    /// They have their length in front, and no mark behind them.
    binary: bool,
}

type Next = Result<Option<Bytes>, CloseReason>;

impl Records {
    /// None yet. None of them may be larger, its mark or length included.
    pub(crate) fn new(bytes_max: u32) -> Self {
        Self {
            arrived: Bytes::new(),
            half: BytesMut::new(),
            bytes_max: bytes_max as usize,
            binary: false,
        }
    }

    /// Takes those that follow for binary ones.
    pub(crate) fn become_binary(&mut self) {
        self.binary = true;
    }

    /// Forgets what has arrived: what follows begins with a record.
    pub(crate) fn forget(&mut self) {
        self.arrived = Bytes::new();
        self.half = BytesMut::new();
    }

    /// Takes in what has arrived, after all records of what had arrived before were taken out.
    pub(crate) fn receive(&mut self, bytes: Bytes) {
        self.arrived = bytes;
    }

    /// The next whole record, without its mark or length.
    ///
    /// # Errors
    ///
    /// It is too large, or has no length.
    pub(crate) fn next_record(&mut self) -> Next {
        match self.binary {
            true => self.next_binary(),
            false => self.next_text(),
        }
    }

    fn next_text(&mut self) -> Next {
        let end = self.arrived.iter().position(|byte| *byte == MARK);
        let size = self.half.len() + end.map_or(self.arrived.len(), |end| end + 1);
        self.check(size)?;
        let Some(end) = end else {
            self.half.extend_from_slice(&self.arrived);
            self.arrived = Bytes::new();
            return Ok(None);
        };
        let rest = self.arrived.split_to(end);
        self.arrived.advance(1);
        if self.half.is_empty() {
            return Ok(Some(rest));
        }
        let mut record = core::mem::take(&mut self.half);
        record.extend_from_slice(&rest);
        Ok(Some(record.freeze()))
    }

    fn next_binary(&mut self) -> Next {
        if self.half.is_empty()
            && let Some((head, length)) = length(&self.arrived)?
            && self.arrived.len() >= head + length
        {
            // Most are here as a whole.
            self.check(head + length)?;
            self.arrived.advance(head);
            return Ok(Some(self.arrived.split_to(length)));
        }
        while length(&self.half)?.is_none() {
            if self.arrived.is_empty() {
                return Ok(None);
            }
            self.half.extend_from_slice(&self.arrived.split_to(1));
        }
        let Some((head, length)) = length(&self.half)? else {
            return Ok(None);
        };
        self.check(head + length)?;
        let missing = head + length - self.half.len();
        let here = missing.min(self.arrived.len());
        self.half.extend_from_slice(&self.arrived.split_to(here));
        if here < missing {
            return Ok(None);
        }
        let mut record = core::mem::take(&mut self.half).freeze();
        record.advance(head);
        Ok(Some(record))
    }

    fn check(&self, size: usize) -> Result<(), CloseReason> {
        let (size, max) = (size as u64, self.bytes_max as u64);
        match size > max {
            true => Err(CloseReason::MessageTooLarge { size, max }),
            false => Ok(()),
        }
    }
}

/// The length in front of a binary record, and of how many bytes it is; `None` when some of them are still to come. Seven bits in each, the lowest first
/// ([HubProtocol, MessagePack encoding](https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md#messagepack-msgpack-encoding)).
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, CloseReason> {
    let mut length = 0_u64;
    for (index, byte) in bytes.iter().take(LENGTH_BYTES_MAX).enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return match i32::try_from(length) {
                Ok(length) => Ok(Some((index + 1, length as usize))),
                Err(_) => Err(CloseReason::Malformed),
            };
        }
    }
    match bytes.len() < LENGTH_BYTES_MAX {
        true => Ok(None),
        false => Err(CloseReason::Malformed),
    }
}

/// Puts the length in front of a binary record.
pub(crate) fn append_binary(record: &[u8], into: &mut BytesMut) {
    let mut rest = record.len();
    while rest >= 0x80 {
        into.extend_from_slice(&[rest as u8 | 0x80]);
        rest >>= 7;
    }
    into.extend_from_slice(&[rest as u8]);
    into.extend_from_slice(record);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The records in messages of these sizes, the last one of what is left; and how it ends.
    fn records(stream: &[u8], sizes: &[usize], binary: bool, max: u32) -> (Vec<Bytes>, Next) {
        let (mut records, mut taken, mut rest) = (Records::new(max), Vec::new(), stream);
        if binary {
            records.become_binary();
        }
        for size in sizes.iter().copied().chain([stream.len()]) {
            let (message, behind) = rest.split_at(size.min(rest.len()));
            records.receive(Bytes::copy_from_slice(message));
            loop {
                match records.next_record() {
                    Ok(Some(record)) => taken.push(record),
                    Ok(None) => break,
                    Err(reason) => return (taken, Err(reason)),
                }
            }
            rest = behind;
        }
        (taken, Ok(None))
    }

    proptest! {
        #[test]
        fn records_are_the_same_however_they_arrive(
            stream in prop::collection::vec(prop_oneof![Just(MARK), any::<u8>()], 0..200),
            sizes in prop::collection::vec(0_usize..50, 0..20),
        ) {
            let mut whole: Vec<_> = stream.split(|byte| *byte == MARK).map(Bytes::copy_from_slice).collect();
            // What is behind the last mark is no record yet.
            whole.pop();
            prop_assert_eq!(records(&stream, &sizes, false, 1_000).0, whole);
        }

        #[test]
        fn binary_records_too(
            whole in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            sizes in prop::collection::vec(0_usize..50, 0..80),
        ) {
            let mut stream = BytesMut::new();
            whole.iter().for_each(|record| append_binary(record, &mut stream));
            let (taken, end) = records(&stream, &sizes, true, 1_000);
            prop_assert_eq!(end, Ok(None));
            prop_assert_eq!(taken, whole);
        }

        #[test]
        fn any_bytes_end_in_the_same_way(
            stream in prop::collection::vec(any::<u8>(), 0..100),
            sizes in prop::collection::vec(0_usize..20, 0..20),
        ) {
            prop_assert_eq!(records(&stream, &sizes, true, 100), records(&stream, &[], true, 100));
        }
    }

    #[test]
    fn a_record_may_be_as_large_as_allowed_with_its_mark() {
        let end = |stream: &[u8], sizes: &[usize]| records(stream, sizes, false, 4).1;
        let too_large = |size| Err(CloseReason::MessageTooLarge { size, max: 4 });
        assert_eq!(end(b"abc\x1eabc\x1e", &[]), Ok(None));
        assert_eq!(end(b"abc\x1eabc\x1e", &[1, 5]), Ok(None));
        assert_eq!(end(b"a\x1eabcd\x1e", &[]), too_large(5));
        assert_eq!(end(b"abcd\x1e", &[3]), too_large(5));
        assert_eq!(end(b"abcde", &[4]), too_large(5));
    }

    #[test]
    fn lengths_are_those_of_the_specification() {
        let one = |bytes: &[u8]| length(bytes);
        assert_eq!(one(&[0x35]), Ok(Some((1, 53))));
        assert_eq!(one(&[0x80, 0x29]), Ok(Some((2, 5_248))));
        assert_eq!(
            one(&[0xff, 0xff, 0xff, 0xff, 0x07]),
            Ok(Some((5, 2_147_483_647)))
        );
        assert_eq!(one(&[0x80]), Ok(None));
        assert_eq!(
            one(&[0xff, 0xff, 0xff, 0xff, 0x08]),
            Err(CloseReason::Malformed)
        );
        assert_eq!(one(&[0x80; 5]), Err(CloseReason::Malformed));
        let (_, end) = records(&[0xff, 0xff, 0xff, 0xff, 0x07], &[], true, 100);
        let (size, max) = (2_147_483_652, 100);
        assert_eq!(end, Err(CloseReason::MessageTooLarge { size, max }));
    }
}
