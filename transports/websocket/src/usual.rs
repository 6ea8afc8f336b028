//! The frame that nearly all programs send: a whole message of bytes.
//!
//! [RFC 6455, section 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2) has nothing to check in it but its head, so it needs no
//! state and no copy. Everything else goes through the [sieve](crate::sieve) to tungstenite.

use async_tungstenite::tungstenite::protocol::Role;

/// The last fragment, no reserved bit, binary.
const WHOLE_BINARY: u8 = 0x82;

const MASKED: u8 = 0x80;

/// A whole message of bytes that is here.
pub(crate) struct Usual {
    /// The bytes of its head.
    pub(crate) head: usize,
    /// Those of its payload, which follow.
    pub(crate) bytes: usize,
    mask: [u8; 4],
}

impl Usual {
    /// What `bytes` begin with, as one end hears it; `None` when it is something else, or not all of it is here.
    pub(crate) fn parse(bytes: &[u8], role: Role) -> Option<Self> {
        let &[WHOLE_BINARY, second, ref rest @ ..] = bytes else {
            return None;
        };
        // A server hears masked frames only, a client never: section 5.1.
        if (second & MASKED != 0) != (role == Role::Server) {
            return None;
        }
        let (bytes, rest, length_bytes) = match second & !MASKED {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                let length = u16::from_be_bytes(*length);
                // Shorter ones have a shorter head, or are wrong.
                if length < 126 {
                    return None;
                }
                (usize::from(length), rest, 2)
            }
            127 => return None,
            length => (length.into(), rest, 0),
        };
        let (mask, body) = match role {
            Role::Server => rest.split_first_chunk()?,
            Role::Client => (&[0; 4], rest),
        };
        let mask_bytes = rest.len() - body.len();
        (body.len() >= bytes).then_some(Self {
            head: 2 + length_bytes + mask_bytes,
            bytes,
            mask: *mask,
        })
    }

    /// Whether it has a payload.
    pub(crate) fn says_something(&self) -> bool {
        self.bytes > 0
    }

    /// Takes the mask off its payload: section 5.3.
    pub(crate) fn unmask(&self, bytes: &mut [u8]) {
        if self.mask == [0; 4] {
            return;
        }
        let [a, b, c, d] = self.mask;
        let mask = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = bytes.as_chunks_mut();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ mask).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(self.mask.iter().cycle()) {
            *byte ^= mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    /// A frame of a client, as RFC 6455 has it, written one byte after the other.
    fn masked(payload: &[u8]) -> Vec<u8> {
        let length = payload.len();
        let mut frame = match length {
            0..126 => vec![WHOLE_BINARY, MASKED | length as u8],
            _ => vec![
                WHOLE_BINARY,
                MASKED | 126,
                (length >> 8) as u8,
                length as u8,
            ],
        };
        frame.extend(MASK);
        frame.extend(
            payload
                .iter()
                .zip(MASK.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        frame
    }

    #[test]
    fn a_whole_message_is_found_when_all_of_it_is_here() {
        for length in (0..300).chain([65_535]) {
            let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let mut frame = masked(&payload);
            let whole = frame.len();
            assert!(Usual::parse(&frame[..whole - 1], Role::Server).is_none());
            frame.extend([1, 2, 3]);
            let usual = Usual::parse(&frame, Role::Server).expect("it is whole");
            assert_eq!(usual.head + usual.bytes, whole);
            let bytes = &mut frame[usual.head..whole];
            usual.unmask(bytes);
            assert_eq!(bytes, payload, "{length}");
        }
    }

    #[test]
    fn everything_else_is_left_to_those_who_know_better() {
        let masked = masked(b"12");
        assert!(
            Usual::parse(&masked, Role::Client).is_none(),
            "masked by a server"
        );
        assert!(
            Usual::parse(&[WHOLE_BINARY, 0], Role::Server).is_none(),
            "not masked"
        );
        assert!(Usual::parse(&[WHOLE_BINARY, 0], Role::Client).is_some());
        for first in (0..=u8::MAX).filter(|first| *first != WHOLE_BINARY) {
            let frame = [&[first], &masked[1..]].concat();
            assert!(Usual::parse(&frame, Role::Server).is_none(), "{first:#x}");
        }
        let long = [&[WHOLE_BINARY, 126, 0, 125][..], &[0; 125]].concat();
        assert!(
            Usual::parse(&long, Role::Client).is_none(),
            "more bytes than it needs"
        );
        let long = [
            &[WHOLE_BINARY, 127, 0, 0, 0, 0, 0, 1, 0, 0][..],
            &[0; 65_536],
        ]
        .concat();
        assert!(
            Usual::parse(&long, Role::Client).is_none(),
            "a long one goes on in pieces"
        );
    }
}
