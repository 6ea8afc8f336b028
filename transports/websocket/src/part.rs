//! Where a long message is cut, so that tungstenite never holds more than a part of it: [`Part`].

use async_tungstenite::tungstenite::protocol::frame::coding::Data;

/// From here on a part ends. tungstenite's buffer doubles while it grows: with as much again it is what may be reserved
/// ahead of the bytes received.
pub(crate) const PART_BYTES: usize = 32 * 1024;

/// The longest beginning of a character whose end has not arrived.
const TAIL_BYTES_MAX: usize = 3;

/// The part of a message that has gone on; whole parts are whole messages for tungstenite.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    /// The kind of the message.
    kind: Data,
    /// What has gone on of this part.
    bytes: usize,
    /// The bytes that the last character of it lacks.
    owed: u8,
    /// The part before it has ended, and nothing of this one has gone on.
    begins: bool,
}

impl Part {
    /// The first part of a message of this kind.
    pub(crate) fn first(kind: Data) -> Self {
        Self {
            kind,
            bytes: 0,
            owed: 0,
            begins: false,
        }
    }

    /// The kind of frame that goes on, where the peer sent one of kind `data`.
    pub(crate) fn kind(&self, data: Data) -> Data {
        match self.begins {
            true => self.kind,
            false => data,
        }
    }

    /// How much of `body` goes on next, and whether the part ends with it; never in the middle of a character.
    pub(crate) fn take(&mut self, body: &[u8], mask: Option<[u8; 4]>) -> (usize, bool) {
        let (tail, owed) = match self.kind {
            Data::Text => unfinished(body, mask, self.owed),
            _ => (0, 0),
        };
        let now = body.len() - tail;
        if now == 0 || self.bytes + now < PART_BYTES {
            (self.bytes, self.owed, self.begins) = (self.bytes + body.len(), owed, false);
            return (body.len(), false);
        }
        *self = Self {
            begins: true,
            ..Self::first(self.kind)
        };
        (now, true)
    }
}

/// How many bytes at the end of `body` are a character without its end, and how many it lacks. Before `body`
/// `owed` were lacking. What is no UTF-8 is none wherever it is cut.
fn unfinished(body: &[u8], mask: Option<[u8; 4]>, owed: u8) -> (usize, u8) {
    let mask = mask.unwrap_or_default();
    for tail in 1..=body.len().min(TAIL_BYTES_MAX) {
        let at = body.len() - tail;
        let lacks = match body[at] ^ mask[at % 4] {
            // It goes on with the one before.
            0x80..=0xbf => continue,
            0x00..=0x7f => 0,
            0xc0..=0xdf => 2_usize.saturating_sub(tail),
            0xe0..=0xef => 3_usize.saturating_sub(tail),
            _ => 4_usize.saturating_sub(tail),
        };
        return match lacks {
            0 => (0, 0),
            // It fits: three at most.
            lacks => (tail, lacks as u8),
        };
    }
    let owed = match body.len() {
        // It fits: two at most.
        few @ 0..TAIL_BYTES_MAX => owed.saturating_sub(few as u8),
        _ => 0,
    };
    match owed {
        0 => (0, 0),
        owed => (body.len(), owed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `text` in pieces of these sizes; the parts in which it goes on, and the most that one of them had.
    fn parts(text: &[u8], sizes: &[usize], mask: [u8; 4]) -> Vec<Vec<u8>> {
        let mut part = Part::first(Data::Text);
        let (mut parts, mut rest) = (vec![Vec::new()], text);
        let mut sizes = sizes.iter().cycle();
        while !rest.is_empty() {
            let size = *sizes.next().expect("it has no end");
            let body = &rest[..size.min(rest.len())];
            let masked: Vec<u8> = body
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask)
                .collect();
            let (now, ends) = part.take(&masked, Some(mask));
            parts.last_mut().expect("there is one").extend(&rest[..now]);
            rest = &rest[now..];
            if ends {
                parts.push(Vec::new());
            }
        }
        parts
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_part_of_a_text_is_a_text_and_none_is_long(
            pattern in "[a-zé漢🙂]{1,40}",
            sizes in prop::collection::vec(1..5_000_usize, 1..8),
            small in any::<bool>(),
            mask in any::<[u8; 4]>(),
        ) {
            let text = pattern.repeat(100_000 / pattern.len());
            let sizes: Vec<_> = sizes.iter().map(|size| if small { size % 3 + 1 } else { *size }).collect();
            let parts = parts(text.as_bytes(), &sizes, mask);
            prop_assert_eq!(parts.concat(), text.as_bytes());
            for part in parts {
                prop_assert!(part.len() < PART_BYTES + 5_000);
                prop_assert!(str::from_utf8(&part).is_ok());
            }
        }
    }

    #[test]
    fn bytes_are_cut_anywhere() {
        let mut part = Part::first(Data::Binary);
        assert_eq!(
            part.take(&[0xc3; PART_BYTES - 1], None),
            (PART_BYTES - 1, false)
        );
        assert_eq!(part.kind(Data::Continue), Data::Continue);
        assert_eq!(part.take(&[0xc3], None), (1, true));
        assert_eq!(part.kind(Data::Continue), Data::Binary);
        assert_eq!(part.take(&[], None), (0, false));
        assert_eq!(part.kind(Data::Continue), Data::Continue);
    }
}
