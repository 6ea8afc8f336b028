//! MessagePack as it comes from peers: whether it is a value, where one ends, and the same as JSON
//! ([specification](https://github.com/msgpack/msgpack/blob/master/spec.md)).

use alloc::format;
use alloc::vec::Vec;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use rmp::Marker;

use super::timestamp::{TIMESTAMP, Timestamp};
use crate::limits::NESTING_MAX;

/// What a value begins with, and for those without parts all there is of it.
enum Head<'a> {
    Nothing,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Time(Timestamp),
    /// So many values follow.
    List(u32),
    /// So many keys with their values follow.
    Map(u32),
}

/// Bytes of which values are read, one after the other.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes, big-endian.
    fn number(&mut self, bytes: usize) -> Option<u64> {
        let digits = self.take(bytes)?;
        let add = |number, digit: &u8| number << 8 | u64::from(*digit);
        Some(digits.iter().fold(0, add))
    }

    fn length(&mut self, bytes: usize) -> Option<usize> {
        self.number(bytes)?.try_into().ok()
    }

    fn text(&mut self, bytes: usize) -> Option<Head<'a>> {
        let text = core::str::from_utf8(self.take(bytes)?).ok()?;
        Some(Head::Text(text))
    }

    fn bytes(&mut self, bytes: usize) -> Option<Head<'a>> {
        self.take(bytes).map(Head::Bytes)
    }

    /// Bytes with a meaning: of the specification's own an instant, else the application's.
    fn extension(&mut self, bytes: usize) -> Option<Head<'a>> {
        let meaning = self.number(1)? as i8;
        let value = self.take(bytes)?;
        let instant = match meaning {
            TIMESTAMP => Timestamp::read(value),
            _ => None,
        };
        Some(instant.map_or(Head::Bytes(value), Head::Time))
    }

    /// The beginning of the next value; `None` when it is none, or not here.
    fn head(&mut self) -> Option<Head<'a>> {
        use Marker as M;
        let marker = Marker::from_u8(self.take(1)?[0]);
        let unsigned = |number: Option<u64>| number.map(Head::Unsigned);
        Some(match marker {
            M::Null => Head::Nothing,
            M::False => Head::Bool(false),
            M::True => Head::Bool(true),
            M::FixPos(number) => Head::Unsigned(number.into()),
            M::FixNeg(number) => Head::Signed(number.into()),
            M::U8 => unsigned(self.number(1))?,
            M::U16 => unsigned(self.number(2))?,
            M::U32 => unsigned(self.number(4))?,
            M::U64 => unsigned(self.number(8))?,
            M::I8 => Head::Signed((self.number(1)? as i8).into()),
            M::I16 => Head::Signed((self.number(2)? as i16).into()),
            M::I32 => Head::Signed((self.number(4)? as i32).into()),
            M::I64 => Head::Signed(self.number(8)? as i64),
            M::F32 => Head::Float(f32::from_bits(self.number(4)? as u32).into()),
            M::F64 => Head::Float(f64::from_bits(self.number(8)?)),
            M::FixStr(length) => self.text(length.into())?,
            M::Str8 => self.length(1).and_then(|length| self.text(length))?,
            M::Str16 => self.length(2).and_then(|length| self.text(length))?,
            M::Str32 => self.length(4).and_then(|length| self.text(length))?,
            M::Bin8 => self.length(1).and_then(|length| self.bytes(length))?,
            M::Bin16 => self.length(2).and_then(|length| self.bytes(length))?,
            M::Bin32 => self.length(4).and_then(|length| self.bytes(length))?,
            M::FixExt1 => self.extension(1)?,
            M::FixExt2 => self.extension(2)?,
            M::FixExt4 => self.extension(4)?,
            M::FixExt8 => self.extension(8)?,
            M::FixExt16 => self.extension(16)?,
            M::Ext8 => self.length(1).and_then(|length| self.extension(length))?,
            M::Ext16 => self.length(2).and_then(|length| self.extension(length))?,
            M::Ext32 => self.length(4).and_then(|length| self.extension(length))?,
            M::FixArray(length) => Head::List(length.into()),
            M::Array16 => Head::List(self.number(2)? as u32),
            M::Array32 => Head::List(self.number(4)? as u32),
            M::FixMap(length) => Head::Map(length.into()),
            M::Map16 => Head::Map(self.number(2)? as u32),
            M::Map32 => Head::Map(self.number(4)? as u32),
            M::Reserved => return None,
        })
    }

    /// A key of a map, which is no list and no map itself: as text, it would grow with each level.
    fn key(&mut self) -> Option<Head<'a>> {
        self.head()
            .filter(|head| !matches!(head, Head::List(_) | Head::Map(_)))
    }

    /// Passes over a value that nests no deeper than `depth`; `None` when there is none.
    fn skip(&mut self, depth: usize) -> Option<()> {
        // What is announced and not here ends it at once.
        match self.head()? {
            Head::List(values) => {
                let depth = depth.checked_sub(1)?;
                (0..values).try_for_each(|_| self.skip(depth))
            }
            Head::Map(entries) => {
                let depth = depth.checked_sub(1)?;
                (0..entries).try_for_each(|_| {
                    self.key()?;
                    self.skip(depth)
                })
            }
            _ => Some(()),
        }
    }
}

/// The first value of some bytes, and what follows it; `None` when there is none, or it nests too deep.
pub fn split_value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader(bytes);
    reader.skip(NESTING_MAX + 1)?;
    Some(bytes.split_at(bytes.len() - reader.0.len()))
}

/// Whether the bytes are one value that nests no deeper than [`NESTING_MAX`].
pub(super) fn is_value(bytes: &[u8]) -> bool {
    let mut reader = Reader(bytes);
    reader.skip(NESTING_MAX).is_some() && reader.0.is_empty()
}

/// Whether the bytes are one array of values of which none nests deeper than [`NESTING_MAX`].
pub(super) fn are_arguments(bytes: &[u8]) -> bool {
    let is_list = matches!(Reader(bytes).head(), Some(Head::List(_)));
    is_list && split_value(bytes).is_some_and(|(_, rest)| rest.is_empty())
}

/// The same value as JSON: bytes are base64 in a string, and so are keys that are no text; `None` when it is none.
pub(super) fn to_json(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut reader, mut json) = (Reader(bytes), Vec::new());
    reader.append_json(NESTING_MAX + 1, &mut json)?;
    reader.0.is_empty().then_some(json)
}

impl Reader<'_> {
    fn append_json(&mut self, depth: usize, json: &mut Vec<u8>) -> Option<()> {
        match self.head()? {
            Head::List(values) => {
                let depth = depth.checked_sub(1)?;
                json.push(b'[');
                for index in 0..values {
                    separate(index, json);
                    self.append_json(depth, json)?;
                }
                json.push(b']');
            }
            Head::Map(entries) => {
                let depth = depth.checked_sub(1)?;
                json.push(b'{');
                for index in 0..entries {
                    separate(index, json);
                    append_key(&self.key()?, json);
                    json.push(b':');
                    self.append_json(depth, json)?;
                }
                json.push(b'}');
            }
            head => append_simple(&head, json),
        }
        Some(())
    }
}

/// A key, which JSON has as text only.
fn append_key(head: &Head<'_>, json: &mut Vec<u8>) {
    if let Head::Text(_) | Head::Bytes(_) | Head::Time(_) = head {
        return append_simple(head, json);
    }
    json.push(b'"');
    append_simple(head, json);
    json.push(b'"');
}

fn separate(index: u32, json: &mut Vec<u8>) {
    if index > 0 {
        json.push(b',');
    }
}

fn append_simple(head: &Head<'_>, json: &mut Vec<u8>) {
    match head {
        Head::Bool(value) => append(value, json),
        Head::Unsigned(value) => append(value, json),
        Head::Signed(value) => append(value, json),
        // JSON has neither infinities nor what is no number: null, as JavaScript does.
        Head::Float(value) => append(value, json),
        Head::Text(value) => append(value, json),
        Head::Bytes(value) => append(&format!("{}", Base64Display::new(value, &STANDARD)), json),
        Head::Time(instant) => append(&format!("{instant}"), json),
        Head::Nothing | Head::List(_) | Head::Map(_) => json.extend_from_slice(b"null"),
    }
}

fn append(value: &(impl serde::Serialize + ?Sized), json: &mut Vec<u8>) {
    serde_json::to_writer(json, value)
        .expect("texts and numbers are JSON, and a vector takes them");
}

/// A JSON value as MessagePack; `None` when it is none, or has a number that no float holds, or half a character.
pub(super) fn of_json(json: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(json).ok()?;
    let mut bytes = Vec::new();
    write(&mut bytes, &value).ok()?;
    Some(bytes)
}

/// Appends a value as serde sees it: a struct is a map, and what people read is text, as in JSON.
pub(super) fn write(
    into: &mut Vec<u8>,
    value: &impl serde::Serialize,
) -> Result<(), rmp_serde::encode::Error> {
    let mut serializer = rmp_serde::Serializer::new(into)
        .with_struct_map()
        .with_human_readable();
    value.serialize(&mut serializer)
}

/// What is read from.
pub(super) type Input<'de> = rmp_serde::Deserializer<
    rmp_serde::decode::ReadRefReader<'de, [u8]>,
    rmp_serde::config::HumanReadableConfig<rmp_serde::config::DefaultConfig>,
>;

/// Reads values in the same way.
pub(super) fn input(bytes: &[u8]) -> Input<'_> {
    rmp_serde::Deserializer::from_read_ref(bytes).with_human_readable()
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    fn json(bytes: &[u8]) -> Option<String> {
        String::from_utf8(to_json(bytes)?).ok()
    }

    #[test]
    fn every_kind_of_value_is_known() {
        let cases: &[(&[u8], &str)] = &[
            (&[0xc0], "null"),
            (&[0xc2], "false"),
            (&[0xc3], "true"),
            (&[0x7f], "127"),
            (&[0xff], "-1"),
            (&[0xcc, 0x80], "128"),
            (&[0xcd, 1, 0], "256"),
            (&[0xce, 0, 1, 0, 0], "65536"),
            (
                &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255],
                "18446744073709551615",
            ),
            (&[0xd0, 0x80], "-128"),
            (&[0xd1, 0x80, 0], "-32768"),
            (&[0xd2, 0x80, 0, 0, 0], "-2147483648"),
            (&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], "-9223372036854775808"),
            (&[0xca, 0x3f, 0xc0, 0, 0], "1.5"),
            (&[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], "1.5"),
            (&[0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0], "null"),
            (&[0xa2, b'h', b'"'], r#""h\"""#),
            (&[0xd9, 1, b'h'], r#""h""#),
            (&[0xda, 0, 1, b'h'], r#""h""#),
            (&[0xdb, 0, 0, 0, 1, b'h'], r#""h""#),
            (&[0xc4, 2, 0xff, 0], r#""/wA=""#),
            (&[0xc5, 0, 1, 0], r#""AA==""#),
            (&[0xc6, 0, 0, 0, 1, 0], r#""AA==""#),
            (&[0xd4, 5, 0], r#""AA==""#),
            (&[0xd6, 0xff, 0, 0, 0, 0], r#""1970-01-01T00:00:00Z""#),
            (
                &[0xd7, 0xff, 0x03, 0xd0, 0x90, 0x04, 0x67, 0x4a, 0xfe, 0x48],
                r#""2024-11-30T12:00:08.016000001Z""#,
            ),
            (
                &[
                    0xc7, 12, 0xff, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
                ],
                r#""1969-12-31T23:59:59Z""#,
            ),
            (&[0xc7, 1, 5, 0], r#""AA==""#),
            (&[0x92, 1, 0xc0], "[1,null]"),
            (&[0xdc, 0, 1, 1], "[1]"),
            (&[0xdd, 0, 0, 0, 1, 1], "[1]"),
            (&[0x82, 0xa1, b'a', 1, 7, 0x90], r#"{"a":1,"7":[]}"#),
            (&[0xde, 0, 1, 0xa0, 1], r#"{"":1}"#),
            (&[0xdf, 0, 0, 0, 0], "{}"),
        ];
        for (bytes, text) in cases {
            assert_eq!(json(bytes).as_deref(), Some(*text), "{bytes:x?}");
            assert!(is_value(bytes), "{bytes:x?}");
            for end in 0..bytes.len() {
                assert_eq!(json(&bytes[..end]), None, "{bytes:x?} up to {end}");
                assert!(!is_value(&bytes[..end]), "{bytes:x?} up to {end}");
            }
            let more = [bytes, &[0xc0][..]].concat();
            assert!(!is_value(&more));
            assert_eq!(split_value(&more), Some((*bytes, &[0xc0][..])));
        }
        assert!(!is_value(&[0xc1]), "reserved");
        assert!(!is_value(&[0xa1, 0xff]), "not UTF-8");
        assert!(
            !is_value(&[0xdd, 255, 255, 255, 255]),
            "announced and not here"
        );
    }

    #[test]
    fn a_value_nests_as_deep_as_allowed_and_no_deeper() {
        let nest = |levels: usize| {
            let mut bytes = vec![0x91; levels];
            bytes.push(0xc0);
            bytes
        };
        assert!(is_value(&nest(NESTING_MAX)));
        assert!(!is_value(&nest(NESTING_MAX + 1)));
        assert!(are_arguments(&nest(NESTING_MAX + 1)));
        assert!(!are_arguments(&nest(NESTING_MAX + 2)));
        assert!(!are_arguments(&[0x80]), "a map");
        assert!(!is_value(&nest(1_000_000)), "the stack survives");
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(to_json(&bytes).is_some(), split_value(&bytes).is_some_and(|(_, rest)| rest.is_empty()));
        }

        #[test]
        fn what_json_can_say_comes_back(value in any::<Vec<(String, Option<i64>, bool)>>()) {
            let json = serde_json::to_vec(&value).expect("it can be written");
            let bytes = of_json(&json).expect("it is a value");
            prop_assert_eq!(to_json(&bytes), Some(json));
        }
    }
}
