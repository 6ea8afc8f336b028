//! JSON as it comes from peers, whether it is a value and whether it nests too deep; and as it is written.

use alloc::vec::Vec;
use std::io;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::ser::Formatter;

use crate::limits::NESTING_MAX;

/// Appends a value as serde sees it, without blanks: bytes are base64 in a string.
pub(super) fn write(into: &mut Vec<u8>, value: &impl Serialize) -> Result<(), serde_json::Error> {
    value.serialize(&mut serde_json::Serializer::with_formatter(into, Dense))
}

/// As [`serde_json::to_writer`] writes, but for bytes.
struct Dense;

impl Formatter for Dense {
    fn write_byte_array<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        bytes: &[u8],
    ) -> io::Result<()> {
        write!(writer, "\"{}\"", Base64Display::new(bytes, &STANDARD))
    }
}

/// Whether the bytes are one JSON value that nests no deeper than [`NESTING_MAX`].
pub(super) fn is_value(bytes: &[u8]) -> bool {
    // A text is looked through once for its characters and once for its form, without recursion.
    let text = core::str::from_utf8(bytes).ok();
    nests_within(bytes, NESTING_MAX)
        && text.is_some_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// Whether the bytes are a JSON array of values of which none nests deeper than [`NESTING_MAX`].
pub(super) fn are_arguments(bytes: &[u8]) -> bool {
    let text = core::str::from_utf8(bytes).ok();
    nests_within(bytes, NESTING_MAX + 1)
        && text.is_some_and(|text| serde_json::from_str::<Vec<IgnoredAny>>(text).is_ok())
}

/// Whether no place of a JSON text has more than `max` arrays and objects around it. It need not be sound otherwise.
pub(crate) fn nests_within(text: &[u8], max: usize) -> bool {
    let (mut depth, mut bytes) = (0_usize, text.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' if depth == max => return false,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    true
}

/// Goes on to behind the string whose first quote was taken.
fn skip_string<'b>(bytes: &mut impl Iterator<Item = &'b u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn nest(levels: usize) -> String {
        "[".repeat(levels) + &"]".repeat(levels)
    }

    #[test]
    fn a_value_nests_as_deep_as_allowed_and_no_deeper() {
        assert!(is_value(nest(NESTING_MAX).as_bytes()));
        assert!(!is_value(nest(NESTING_MAX + 1).as_bytes()));
        assert!(!is_value(nest(1_000_000).as_bytes()), "the stack survives");
        let wide = std::format!("[{}1]", "[[]],".repeat(1_000));
        assert!(
            is_value(wide.as_bytes()),
            "brackets that close do not count"
        );
    }

    #[test]
    fn brackets_in_strings_are_characters() {
        let text = std::format!(r#""{}""#, r#"[\"{\\"#.repeat(100));
        assert!(is_value(text.as_bytes()), "{text}");
    }

    #[test]
    fn what_is_no_value_is_not_taken_for_one() {
        for text in [
            "",
            " ",
            "[",
            "]",
            "[]]",
            "1 2",
            "{}{}",
            "nul",
            "{1:2}",
            "[1,]",
            "\"",
            "\"\u{1}\"",
            r#""\x""#,
            "01",
            "+1",
            "NaN",
            "'a'",
        ] {
            assert!(!is_value(text.as_bytes()), "{text}");
        }
        assert!(!is_value(b"\"\xff\""), "not UTF-8");
    }

    #[test]
    fn arguments_are_an_array_of_values() {
        for text in ["[]", "[1,\"a\",null]", " [ [1] ] "] {
            assert!(are_arguments(text.as_bytes()), "{text}");
        }
        for text in ["", "1", "{}", "[", "[1,]", "[]1", "null"] {
            assert!(!are_arguments(text.as_bytes()), "{text}");
        }
        assert!(!are_arguments(b"[\"\xff\"]"), "not UTF-8");
        assert!(are_arguments(nest(NESTING_MAX + 1).as_bytes()));
        assert!(!are_arguments(nest(NESTING_MAX + 2).as_bytes()));
    }
}
