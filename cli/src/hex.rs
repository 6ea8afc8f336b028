//! Bytes as hexadecimal digits, and back.

use std::fmt::Write;

/// Two digits for each byte.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(digits, "{byte:02x}").expect("a string takes everything");
    }
    digits
}

/// The bytes that `digits` stand for; blanks between bytes are skipped. `None` when there is anything else.
pub(crate) fn decode(digits: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let mut rest = digits.trim_ascii();
    while let [high, low, after @ ..] = rest {
        bytes.push(digit(*high)? << 4 | digit(*low)?);
        rest = after.trim_ascii_start();
    }
    rest.is_empty().then_some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    let value = char::from(character).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(encode(&all).as_bytes()), Some(all));
    }

    #[test]
    fn blanks_between_bytes_and_capitals_are_fine() {
        assert_eq!(decode(b" 00 FFab\t7f "), Some(vec![0, 255, 0xab, 0x7f]));
        assert_eq!(decode(b""), Some(vec![]));
    }

    #[test]
    fn anything_else_is_refused() {
        for digits in ["0", "0 0", "000", "0g", "0x00", "é"] {
            assert_eq!(decode(digits.as_bytes()), None, "{digits}");
        }
    }
}
