//! One number that stands for all that happened in a run.

/// An odd number with its bits spread evenly: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// A hash that is the same in every process and on every machine, unlike those of `std`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace(u64);

impl Default for Trace {
    fn default() -> Self {
        // Not zero: zeros added to zero would leave no trace.
        Self(SPREAD)
    }
}

impl Trace {
    pub(crate) fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(SPREAD);
    }

    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) {
        self.add(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.add(u64::from_le_bytes(last));
    }

    pub(crate) fn hash(self) -> u64 {
        // The product moves differences upwards only; this brings them down again.
        let folded = (self.0 ^ (self.0 >> 32)).wrapping_mul(SPREAD);
        folded ^ (folded >> 29)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_of(parts: &[&[u8]]) -> u64 {
        let mut trace = Trace::default();
        for part in parts {
            trace.add_bytes(part);
        }
        trace.hash()
    }

    #[test]
    fn bytes_and_their_borders_count() {
        assert_eq!(hash_of(&[b"ab", b"c"]), hash_of(&[b"ab", b"c"]));
        assert_ne!(hash_of(&[b"ab", b"c"]), hash_of(&[b"a", b"bc"]));
        assert_ne!(hash_of(&[b""]), hash_of(&[]));
        assert_ne!(hash_of(&[b"12345678"]), hash_of(&[b"12345678\0"]));
    }

    #[test]
    fn hash_is_the_same_on_every_machine() {
        assert_eq!(hash_of(&[b"lapwing"]), 12_994_753_276_079_569_014);
    }
}
