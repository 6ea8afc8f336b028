//! Records: what stands between the marks in a stream of bytes, however it is cut into messages.

use bytes::{Buf, Bytes, BytesMut};
use lapwing::wire::CloseReason;

/// Ends each record: [HubProtocol, JSON encoding](https://github.com/dotnet/aspnetcore/blob/main/src/SignalR/docs/specs/HubProtocol.md#json-encoding).
pub(crate) const MARK: u8 = 0x1e;

/// The records of one peer.
#[derive(Debug)]
pub(crate) struct Records {
    /// What has arrived last, from the first byte that is in no record yet.
    arrived: Bytes,
    /// The beginning of a record whose end is still to come.
    half: BytesMut,
    bytes_max: usize,
}

impl Records {
    /// None yet. None of them may be larger, its mark included.
    pub(crate) fn new(bytes_max: u32) -> Self {
        Self {
            arrived: Bytes::new(),
            half: BytesMut::new(),
            bytes_max: bytes_max as usize,
        }
    }

    /// Takes in what has arrived, after all records of what had arrived before were taken out.
    ///
    /// # Errors
    ///
    /// One of its records is too large.
    pub(crate) fn receive(&mut self, bytes: Bytes) -> Result<(), CloseReason> {
        let mut begun = self.half.len();
        for record in bytes.split_inclusive(|byte| *byte == MARK) {
            let size = begun + record.len();
            if size > self.bytes_max {
                let (size, max) = (size as u64, self.bytes_max as u64);
                return Err(CloseReason::MessageTooLarge { size, max });
            }
            begun = 0;
        }
        self.arrived = bytes;
        Ok(())
    }

    /// The next whole record, without its mark.
    pub(crate) fn next_record(&mut self) -> Option<Bytes> {
        let Some(end) = self.arrived.iter().position(|byte| *byte == MARK) else {
            self.half.extend_from_slice(&self.arrived);
            self.arrived = Bytes::new();
            return None;
        };
        let rest = self.arrived.split_to(end);
        self.arrived.advance(1);
        if self.half.is_empty() {
            return Some(rest);
        }
        let mut record = core::mem::take(&mut self.half);
        record.extend_from_slice(&rest);
        Some(record.freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The records in messages of these sizes, the last one of what is left.
    fn records(stream: &[u8], sizes: &[usize]) -> Vec<Bytes> {
        let (mut records, mut taken, mut rest) = (Records::new(1_000), Vec::new(), stream);
        for size in sizes.iter().copied().chain([stream.len()]) {
            let (message, behind) = rest.split_at(size.min(rest.len()));
            records
                .receive(Bytes::copy_from_slice(message))
                .expect("none is too large");
            taken.extend(core::iter::from_fn(|| records.next_record()));
            rest = behind;
        }
        taken
    }

    proptest! {
        #[test]
        fn records_are_the_same_however_they_arrive(
            stream in prop::collection::vec(prop_oneof![Just(MARK), any::<u8>()], 0..200),
            sizes in prop::collection::vec(0_usize..50, 0..20),
        ) {
            let mut whole: Vec<_> = stream.split(|byte| *byte == MARK).collect();
            // What is behind the last mark is no record yet.
            whole.pop();
            prop_assert_eq!(records(&stream, &sizes), whole);
        }
    }

    #[test]
    fn a_record_may_be_as_large_as_allowed_with_its_mark() {
        let receive = |messages: &[&'static [u8]]| {
            let mut records = Records::new(4);
            messages.iter().try_for_each(|message| {
                records.receive(Bytes::from_static(message))?;
                while records.next_record().is_some() {}
                Ok(())
            })
        };
        let too_large = |size| Err(CloseReason::MessageTooLarge { size, max: 4 });
        assert_eq!(receive(&[b"abc\x1eabc\x1e"]), Ok(()));
        assert_eq!(receive(&[b"a", b"bc\x1eab", b"c\x1e"]), Ok(()));
        assert_eq!(receive(&[b"a\x1eabcd\x1e"]), too_large(5));
        assert_eq!(receive(&[b"abc", b"d\x1e"]), too_large(5));
        assert_eq!(receive(&[b"abcd", b"e"]), too_large(5));
    }
}
