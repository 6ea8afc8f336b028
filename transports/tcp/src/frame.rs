//! Where one message ends and the next begins: a length of 4 bytes, big-endian, in front of each.

use bytes::{Buf, Bytes};
use lapwing::Limits;
use lapwing::transport::{Kind, Messages, TransportError};

/// The bytes of the length.
const HEAD_BYTES: usize = 4;

/// What stands in front of a message of `bytes` bytes.
///
/// # Errors
///
/// When the length does not fit.
pub(crate) fn head(bytes: usize) -> Result<[u8; HEAD_BYTES], TransportError> {
    let size = u32::try_from(bytes).map_err(|_| TransportError::MessageTooLarge {
        size: bytes as u64,
        max: u32::MAX.into(),
    })?;
    Ok(size.to_be_bytes())
}

/// Cuts a stream of bytes into messages; does no I/O.
///
/// Ask [`next_message`](Self::next_message) until there is none, then [`feed`](Self::feed) it the next read.
pub(crate) struct Decoder {
    /// What one read brought and nobody has taken: messages, then perhaps the beginning of one. On its own, because most of the time there is nothing.
    arrived: Option<Box<Bytes>>,
    /// A message that an earlier read began; nothing has `arrived` then.
    begun: Option<Box<Begun>>,
    bounds: Bounds,
}

impl Decoder {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            arrived: None,
            begun: None,
            bounds: Bounds::new(limits),
        }
    }

    /// The next message of those that are here.
    ///
    /// # Errors
    ///
    /// [`TransportError::MessageTooLarge`], in the place of that message; what follows is gone.
    pub(crate) fn next_message(&mut self) -> Result<Option<Bytes>, TransportError> {
        match self.arrived.take() {
            Some(arrived) => self.take_first(*arrived),
            None => Ok(None),
        }
    }

    /// All that are here as they are, up to one that needs a look of its own: it is empty, too large, or not all of it is here.
    pub(crate) fn messages(&mut self) -> Messages {
        let Some(arrived) = &mut self.arrived else {
            return Messages::default();
        };
        let mut whole = 0;
        while let Some((head, rest)) = arrived[whole..].split_first_chunk() {
            match self.bounds.size(*head) {
                Ok(size) if size > 0 && size <= rest.len() => whole += HEAD_BYTES + size,
                _ => break,
            }
        }
        let messages = arrived.split_to(whole);
        self.arrived.take_if(|arrived| arrived.is_empty());
        Messages::new(messages, Kind::Binary)
    }

    /// The first message of what has arrived, if it is whole; keeps what follows.
    fn take_first(&mut self, mut arrived: Bytes) -> Result<Option<Bytes>, TransportError> {
        if let Some(head) = arrived.first_chunk() {
            let framed = self.bounds.size(*head)?.saturating_add(HEAD_BYTES);
            if framed <= arrived.len() {
                let mut message = arrived.split_to(framed);
                message.advance(HEAD_BYTES);
                self.arrived = (!arrived.is_empty()).then(|| Box::new(arrived));
                return Ok(Some(message));
            }
        }
        if !arrived.is_empty() {
            // It would keep the whole read.
            let begun = self.begun.insert(Box::default());
            begun.gather(&arrived, self.bounds)?;
        }
        Ok(None)
    }

    /// Takes what a read brought, and gives the first message if it is whole now.
    ///
    /// # Errors
    ///
    /// [`TransportError::MessageTooLarge`], as soon as the length is here.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<Option<Bytes>, TransportError> {
        debug_assert!(self.arrived.is_none(), "what is here is taken first");
        let Some(begun) = &mut self.begun else {
            return self.take_first(Bytes::copy_from_slice(bytes));
        };
        let rest = begun.gather(bytes, self.bounds)?;
        if !begun.is_whole() {
            return Ok(None);
        }
        self.arrived = (!rest.is_empty()).then(|| Box::new(Bytes::copy_from_slice(rest)));
        Ok(self.begun.take().map(|begun| begun.into_message()))
    }

    /// Whether the beginning of a message is here and its end is not.
    pub(crate) fn is_inside(&self) -> bool {
        let arrived = self.arrived.as_ref();
        self.begun.is_some() || arrived.is_some_and(|arrived| ends_inside(arrived))
    }
}

fn ends_inside(mut messages: &[u8]) -> bool {
    while let Some((head, rest)) = messages.split_first_chunk() {
        match rest.get(u32::from_be_bytes(*head) as usize..) {
            Some(next) => messages = next,
            None => return true,
        }
    }
    !messages.is_empty()
}

/// How large a message may be, and how much is reserved ahead of its bytes.
#[derive(Clone, Copy)]
struct Bounds {
    message_bytes_max: u32,
    reserve_bytes_max: u32,
}

impl Bounds {
    fn new(limits: &Limits) -> Self {
        Self {
            message_bytes_max: limits.message_bytes_max,
            // Nothing at all could never be filled.
            reserve_bytes_max: limits.reserve_bytes_max.max(1),
        }
    }

    fn size(self, head: [u8; HEAD_BYTES]) -> Result<usize, TransportError> {
        let size = u32::from_be_bytes(head);
        if size > self.message_bytes_max {
            return Err(TransportError::MessageTooLarge {
                size: size.into(),
                max: self.message_bytes_max.into(),
            });
        }
        Ok(size as usize)
    }
}

/// A message of which a part has arrived.
#[derive(Default)]
struct Begun {
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// The bytes behind the head. In pieces, because one buffer would either be reserved by what the
    /// peer announced, or be copied again and again while it grows. All but the last are full.
    pieces: Vec<Vec<u8>>,
    /// The bytes of the message that are not here. Known when the head is.
    missing: usize,
}

impl Begun {
    /// Takes from the front of `bytes` what belongs to this message, and gives the rest back.
    fn gather<'b>(&mut self, bytes: &'b [u8], bounds: Bounds) -> Result<&'b [u8], TransportError> {
        let bytes = self.gather_head(bytes, bounds)?;
        let (body, rest) = bytes.split_at(bytes.len().min(self.missing));
        self.gather_body(body, bounds.reserve_bytes_max as usize);
        Ok(rest)
    }

    fn gather_head<'b>(
        &mut self,
        bytes: &'b [u8],
        bounds: Bounds,
    ) -> Result<&'b [u8], TransportError> {
        if self.head_bytes == HEAD_BYTES {
            return Ok(bytes);
        }
        let open = &mut self.head[self.head_bytes..];
        let (head, rest) = bytes.split_at(bytes.len().min(open.len()));
        open[..head.len()].copy_from_slice(head);
        self.head_bytes += head.len();
        if self.head_bytes == HEAD_BYTES {
            self.missing = bounds.size(self.head)?;
        }
        Ok(rest)
    }

    fn gather_body(&mut self, mut body: &[u8], piece_bytes_max: usize) {
        while !body.is_empty() {
            let missing = self.missing;
            let piece = self.piece(missing.min(piece_bytes_max));
            let (now, later) = body.split_at(body.len().min(piece.capacity() - piece.len()));
            piece.extend_from_slice(now);
            self.missing -= now.len();
            body = later;
        }
    }

    /// The piece that has room, a new one with `capacity` if none has.
    fn piece(&mut self, capacity: usize) -> &mut Vec<u8> {
        let full = |piece: &Vec<u8>| piece.len() == piece.capacity();
        if self.pieces.last().is_none_or(full) {
            self.pieces.push(Vec::with_capacity(capacity));
        }
        self.pieces.last_mut().expect("one has just been pushed")
    }

    fn is_whole(&self) -> bool {
        self.head_bytes == HEAD_BYTES && self.missing == 0
    }

    fn into_message(mut self) -> Bytes {
        match self.pieces.len() {
            1 => self.pieces.remove(0).into(),
            _ => self.pieces.concat().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn limits() -> Limits {
        Limits {
            message_bytes_max: 1_000,
            reserve_bytes_max: 16,
            ..Limits::default()
        }
    }

    fn framed<'a>(messages: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut stream = Vec::new();
        for message in messages {
            stream.extend(head(message.len()).expect("it fits"));
            stream.extend(message);
        }
        stream
    }

    /// All messages that `decoder` finds in `read`.
    fn decode(decoder: &mut Decoder, read: &[u8]) -> Result<Vec<Bytes>, TransportError> {
        let mut found: Vec<Bytes> = decoder.feed(read)?.into_iter().collect();
        while let Some(message) = decoder.next_message()? {
            found.push(message);
        }
        Ok(found)
    }

    #[test]
    fn a_stream_may_be_cut_anywhere() {
        let messages: [&[u8]; 5] = [b"one", b"", &[7; 300], b"", b"last"];
        let stream = framed(messages);
        for cut in 0..=stream.len() {
            let mut decoder = Decoder::new(&limits());
            let mut found = decode(&mut decoder, &stream[..cut]).expect("nothing is too large");
            let inside = decoder.is_inside();
            found.extend(decode(&mut decoder, &stream[cut..]).expect("nothing is too large"));
            assert_eq!(found, messages, "cut at {cut}");

            let boundary = [0, 7, 11, 315, 319, 327].contains(&cut);
            assert_eq!(inside, !boundary, "cut at {cut}");
            assert!(!decoder.is_inside());
        }
    }

    #[test]
    fn half_a_message_behind_whole_ones_counts_at_once() {
        let stream = framed([&b"one"[..], b"two", b"three"]);
        let mut decoder = Decoder::new(&limits());
        let first = decoder.feed(&stream[..stream.len() - 1]);
        assert_eq!(first.expect("it is small").as_deref(), Some(&b"one"[..]));
        assert!(decoder.is_inside());
    }

    #[test]
    fn a_length_alone_is_refused_when_too_large_and_what_came_before_is_not() {
        let mut stream = framed([&b"good"[..]]);
        stream.extend(head(1_001).expect("it fits"));
        for cut in 0..=stream.len() {
            let mut decoder = Decoder::new(&limits());
            let mut found = Vec::new();
            let refused =
                [&stream[..cut], &stream[cut..]]
                    .into_iter()
                    .find_map(|read| match decoder.feed(read) {
                        Ok(message) => {
                            found.extend(message);
                            decoder.next_message().err()
                        }
                        Err(error) => Some(error),
                    });
            assert_eq!(found, [&b"good"[..]], "cut at {cut}");
            assert!(
                matches!(
                    refused,
                    Some(TransportError::MessageTooLarge { size, max }) if (size, max) == (1_001, 1_000)
                ),
                "cut at {cut}: {refused:?}"
            );
        }
    }

    #[test]
    fn an_announced_length_reserves_little() {
        let mut decoder = Decoder::new(&limits());
        let announced = head(1_000).expect("it fits");
        assert!(matches!(decoder.feed(&announced), Ok(None)));
        for arrived in 1..1_000 {
            assert!(matches!(decoder.feed(&[1]), Ok(None)));
            let begun = decoder.begun.as_ref().expect("the end is missing");
            let reserved: usize = begun.pieces.iter().map(Vec::capacity).sum();
            assert!(reserved <= arrived + 16, "{reserved} for {arrived}");
        }
        let message = decoder.feed(&[1]).expect("as large as allowed");
        assert_eq!(message.map(|bytes| bytes.len()), Some(1_000));
    }

    #[test]
    fn nothing_is_kept_when_everything_is_taken() {
        let mut decoder = Decoder::new(&limits());
        decode(&mut decoder, &framed([&b"one"[..], b"two"])).expect("nothing is too large");
        assert!(decoder.begun.is_none());
        assert!(decoder.arrived.is_none());
    }

    #[cfg(target_pointer_width = "64")]
    #[test]
    fn a_length_that_does_not_fit_is_refused() {
        assert!(head(u32::MAX as usize).is_ok());
        assert!(head(u32::MAX as usize + 1).is_err());
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in(
            messages in vec(vec(any::<u8>(), 0..200), 0..20),
            reads in vec(1..100_usize, 1..20),
        ) {
            let stream = framed(messages.iter().map(Vec::as_slice));
            let mut decoder = Decoder::new(&limits());
            let mut found = Vec::new();
            let mut rest = &stream[..];
            for read in reads.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at(rest.len().min(*read));
                found.extend(decode(&mut decoder, now)?);
                rest = later;
            }
            prop_assert_eq!(found, messages);
            prop_assert!(!decoder.is_inside());
        }

        #[test]
        fn no_bytes_panic(reads in vec(vec(any::<u8>(), 0..50), 0..20)) {
            let mut decoder = Decoder::new(&limits());
            for read in &reads {
                if decode(&mut decoder, read).is_err() {
                    break;
                }
            }
        }
    }
}
