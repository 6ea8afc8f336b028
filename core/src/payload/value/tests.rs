use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::wire::{Encoding, Payload};

fn read<T: Decode>(encoding: Encoding, bytes: &[u8]) -> Result<T, PayloadError> {
    T::decode(Payload { encoding, bytes })
}

fn written(value: &impl Encode, wanted: Encoding) -> (Encoding, Vec<u8>) {
    let mut bytes = Vec::new();
    let encoding = value.encode(wanted, &mut bytes).expect("it can be written");
    (encoding, bytes)
}

/// What is read of `json` is written in the same way.
fn is_kept(json: &str) -> Value {
    let value = read(Encoding::Json, json.as_bytes()).expect("it is a value");
    let (_, bytes) = written(&value, Encoding::Json);
    assert_eq!(String::from_utf8_lossy(&bytes), json);
    value
}

#[test]
fn what_json_says_is_kept() {
    for json in [
        "null",
        "true",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "1.0",
        "-0.0",
        "0.1",
        r#""gr\u0001\u00fc""#.replace("\\u00fc", "ü").as_str(),
        r#"{"b":[1,{}],"a":{"":null},"c":[]}"#,
    ] {
        is_kept(json);
    }
    assert_eq!(is_kept("18446744073709551615"), Value::Unsigned(u64::MAX));
    assert_eq!(is_kept("7"), Value::Integer(7));
}

#[cfg(feature = "messagepack")]
#[test]
fn what_messagepack_says_is_kept() {
    let cases: &[&[u8]] = &[
        &[0xc0],
        &[0xc3],
        &[0x7f],
        &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
        &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255],
        &[0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0],
        &[0xa2, b'h', b'"'],
        &[0xc4, 2, 0xff, 0],
        &[0xc4, 0],
        &[0xd6, 0xff, 0, 0, 0, 1],
        &[0xc7, 3, 5, 1, 2, 3],
        &[0x82, 0x01, 0xa1, b'a', 0xc2, 0x91, 0xc0],
    ];
    for bytes in cases {
        let value: Value = read(Encoding::MessagePack, bytes).expect("it is a value");
        let kept = (Encoding::MessagePack, bytes.to_vec());
        assert_eq!(
            written(&value, Encoding::MessagePack),
            kept,
            "{bytes:x?}: {value:?}"
        );
    }
    let json = |bytes| {
        let value: Value = read(Encoding::MessagePack, bytes).expect("it is a value");
        String::from_utf8(written(&value, Encoding::Json).1).expect("JSON is text")
    };
    assert_eq!(json(&[0xc4, 2, 0xff, 0]), r#""/wA=""#);
    assert_eq!(
        json(&[0x81, 7, 0xc4, 0]),
        r#"{"7":""}"#,
        "a number becomes a key"
    );
    assert_eq!(
        json(&[
            0x84, 0xc0, 1, 0xc3, 2, 0xc4, 1, 0xff, 3, 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 4
        ]),
        r#"{"null":1,"true":2,"/w==":3,"1.5":4}"#,
    );
    assert_eq!(json(&[0xd4, 5, 0xff]), r#""/w==""#);
    let list = Value::Map(vec![(Value::List(vec![]), Value::Null)]);
    assert!(list.encode(Encoding::Json, &mut Vec::new()).is_err());
}

#[cfg(feature = "messagepack")]
#[test]
fn an_instant_is_text_in_json_also_as_a_part_and_as_a_key() {
    let instant = Value::Extension(-1, vec![0; 4]);
    let json = |value: &dyn Encode| {
        let mut bytes = Vec::new();
        value.encode(Encoding::Json, &mut bytes).map(|_| bytes)
    };
    let text = br#"{"1970-01-01T00:00:00Z":"1970-01-01T00:00:00Z"}"#;
    let map = Value::Map(vec![(instant.clone(), instant.clone())]);
    assert_eq!(json(&map), Ok(text.to_vec()));
    let part = Typed((1, [instant.clone()]));
    assert_eq!(json(&part), Ok(br#"[1,["1970-01-01T00:00:00Z"]]"#.to_vec()));
    let same = b"\x92\x01\x91\xd6\xff\0\0\0\0".to_vec();
    assert_eq!(written(&part, Encoding::MessagePack).1, same);
}

/// serde keeps such a variant until it knows what is around it, and then says of the parts that they are of no format.
#[cfg(feature = "messagepack")]
#[test]
fn where_serde_keeps_a_part_back_an_instant_is_text_or_an_error() {
    #[derive(serde::Serialize)]
    #[serde(tag = "kind")]
    enum Outer {
        Since(Inner),
    }
    #[derive(serde::Serialize)]
    enum Inner {
        At { value: Value },
    }
    let outer = |value| Typed(Outer::Since(Inner::At { value }));
    let instant = Value::Extension(TIMESTAMP, vec![0; 4]);
    let (_, json) = written(&outer(instant.clone()), Encoding::Json);
    let text = r#"{"kind":"Since","At":{"value":"1970-01-01T00:00:00Z"}}"#;
    assert_eq!(String::from_utf8(json).expect("it is text"), text);
    let refused = outer(instant).encode(Encoding::MessagePack, &mut Vec::new());
    assert!(refused.is_err());
    written(&outer(Value::Bytes(vec![7])), Encoding::MessagePack);
}

#[cfg(feature = "messagepack")]
#[test]
fn what_passes_through_is_as_what_is_translated() {
    let cases: &[&[u8]] = &[
        b"\xd6\xff\0\0\0\x01",
        b"\xc7\x03\x05abc",
        b"\xc4\x02\xff\0",
        b"\x83\xc0\x01\xd6\xff\0\0\0\x01\x02\xca\x3f\xc0\0\0\x03",
        b"\xcb\x7f\xf0\0\0\0\0\0\0",
    ];
    for bytes in cases {
        let value: Value = read(Encoding::MessagePack, bytes).expect("it is a value");
        let encoding = Encoding::MessagePack;
        let translated = crate::payload::translated(Payload { encoding, bytes }, Encoding::Json);
        assert_eq!(
            Some(written(&value, Encoding::Json)),
            translated,
            "{bytes:x?}"
        );
    }
}

#[test]
fn postcard_cannot_say_it_and_json_does() {
    let json = (Encoding::Json, b"[true]".to_vec());
    assert_eq!(
        written(&Value::List(vec![Value::Bool(true)]), Encoding::Postcard),
        json
    );
    let error = read::<Value>(Encoding::Postcard, &[1]);
    assert_eq!(error, Err(PayloadError::Encoding(Encoding::Postcard)));
    assert_eq!(read(Encoding::Bytes, &[]), Ok(Value::Null));
    assert_eq!(read(Encoding::Bytes, &[1]), Ok(Value::Bytes(vec![1])));
    assert_eq!(read(Encoding::Text, b"hi"), Ok(Value::from("hi")));
}

#[test]
fn arguments_are_as_many_as_there_are() {
    for json in ["[]", "[null]", "[[1,2]]", r#"["ann",7]"#] {
        let arguments: Arguments = read(Encoding::JsonArguments, json.as_bytes()).expect("a list");
        let same = (Encoding::JsonArguments, json.as_bytes().to_vec());
        assert_eq!(written(&arguments, Encoding::JsonArguments), same);
    }
    let one = Arguments(vec![Value::from("hi")]);
    assert_eq!(read(Encoding::Text, b"hi"), Ok(one));
    assert_eq!(read(Encoding::Bytes, &[]), Ok(Arguments::default()));
    let (name, rest): (String, Arguments) =
        read(Encoding::JsonArguments, br#"["ann",[1,[2]]]"#).expect("a text and a list");
    assert_eq!((name.as_str(), rest.0.len()), ("ann", 2));
}

#[test]
fn a_value_that_nests_too_deep_is_none() {
    let nest = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(read::<Value>(Encoding::Json, nest(32).as_bytes()).is_ok());
    assert!(read::<Value>(Encoding::Json, nest(33).as_bytes()).is_err());
    let arguments = |levels| read::<Arguments>(Encoding::JsonArguments, nest(levels).as_bytes());
    assert!(arguments(33).is_ok(), "each as deep as a value");
    assert!(arguments(34).is_err());
    assert!(arguments(10_000).is_err());
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Photo {
    #[serde(with = "blob")]
    bytes: Vec<u8>,
}

/// As the crate `serde_bytes` does it.
mod blob {
    use super::*;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Vec<u8>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.into())
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}

#[test]
fn bytes_of_serde_are_base64_in_json_and_bytes_elsewhere() {
    let photo = Typed(Photo {
        bytes: vec![0xff, 0],
    });
    let json = (Encoding::Json, br#"{"bytes":"/wA="}"#.to_vec());
    assert_eq!(written(&photo, Encoding::Json), json);
    let encodings = [
        Encoding::Json,
        Encoding::Postcard,
        Encoding::JsonArguments,
        #[cfg(feature = "messagepack")]
        Encoding::MessagePack,
        #[cfg(feature = "messagepack")]
        Encoding::MessagePackArguments,
    ];
    for encoding in encodings {
        let (_, bytes) = written(&photo, encoding);
        let again: Typed<Photo> = read(encoding, &bytes).expect("it is read as it was written");
        assert_eq!(again, photo, "{encoding:?}");
    }
    #[cfg(feature = "messagepack")]
    {
        let bin = b"\x81\xa5bytes\xc4\x02\xff\x00".to_vec();
        assert_eq!(written(&photo, Encoding::MessagePack).1, bin);
    }
    let refused = read::<Typed<Photo>>(Encoding::Json, br#"{"bytes":"?"}"#);
    assert!(refused.is_err(), "no base64");
}

#[test]
fn nothing_is_one_argument_too() {
    let one = (Encoding::JsonArguments, b"[null]".to_vec());
    assert_eq!(written(&Value::Null, Encoding::JsonArguments), one);
    let list = Value::List(vec![Value::Null]);
    let one = (Encoding::JsonArguments, b"[[null]]".to_vec());
    assert_eq!(written(&list, Encoding::JsonArguments), one);
    let again = read::<Value>(Encoding::JsonArguments, b"[null]");
    assert_eq!(again, Ok(Value::Null));
}

#[test]
fn a_part_of_a_type_is_not_written_where_nobody_could_read_it() {
    let mut bytes = Vec::new();
    let pair = Typed(("a", Value::Null));
    assert!(pair.encode(Encoding::Postcard, &mut bytes).is_err());
    assert!(pair.encode(Encoding::Json, &mut bytes).is_ok());
}
