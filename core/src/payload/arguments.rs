//! Lists of arguments: a tuple is as many as it has elements, any other value is one.

use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::ser::{Impossible, Serialize, Serializer};
use serde_json::value::RawValue;

use super::depth::Depth;
use super::json;
#[cfg(feature = "messagepack")]
use super::messagepack::{Input, are_arguments, input};

type Error = serde_json::Error;

/// Appends `value` as a JSON array of arguments.
pub(super) fn append_to(value: &impl Serialize, into: &mut Vec<u8>) -> Result<(), Error> {
    match value.serialize(Probe) {
        Err(Shape::Tuple) => json::write(into, value),
        Err(Shape::Nothing) => {
            into.extend_from_slice(b"[]");
            Ok(())
        }
        Ok(()) | Err(Shape::One) => {
            into.push(b'[');
            json::write(into, value)?;
            into.push(b']');
            Ok(())
        }
    }
}

/// The same as a MessagePack array.
#[cfg(feature = "messagepack")]
pub(super) fn append_messagepack(
    value: &impl Serialize,
    into: &mut Vec<u8>,
) -> Result<(), rmp_serde::encode::Error> {
    match value.serialize(Probe) {
        Err(Shape::Tuple) => {}
        Err(Shape::Nothing) => {
            into.push(0x90);
            return Ok(());
        }
        // An array of one.
        Ok(()) | Err(Shape::One) => into.push(0x91),
    }
    super::messagepack::write(into, value)
}

/// What serde says first of a value.
#[derive(Debug, PartialEq, Eq)]
enum Shape {
    Tuple,
    Nothing,
    One,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl core::error::Error for Shape {}

impl serde::ser::Error for Shape {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::One
    }
}

/// Asks a value for its shape, and for nothing more.
struct Probe;

macro_rules! one {
    ($($method:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(fn $method(self, $($argument: $type),*) -> Result<$result, Shape> {
            $(let _ = $argument;)*
            Err(Shape::One)
        })*
    };
}

impl Serializer for Probe {
    type Ok = ();
    type Error = Shape;
    type SerializeSeq = Impossible<(), Shape>;
    type SerializeTuple = Impossible<(), Shape>;
    type SerializeTupleStruct = Impossible<(), Shape>;
    type SerializeTupleVariant = Impossible<(), Shape>;
    type SerializeMap = Impossible<(), Shape>;
    type SerializeStruct = Impossible<(), Shape>;
    type SerializeStructVariant = Impossible<(), Shape>;

    one! {
        serialize_bool(value: bool) -> ();
        serialize_i8(value: i8) -> ();
        serialize_i16(value: i16) -> ();
        serialize_i32(value: i32) -> ();
        serialize_i64(value: i64) -> ();
        serialize_u8(value: u8) -> ();
        serialize_u16(value: u16) -> ();
        serialize_u32(value: u32) -> ();
        serialize_u64(value: u64) -> ();
        serialize_f32(value: f32) -> ();
        serialize_f64(value: f64) -> ();
        serialize_char(value: char) -> ();
        serialize_str(value: &str) -> ();
        serialize_bytes(value: &[u8]) -> ();
        serialize_none() -> ();
        serialize_unit_struct(name: &'static str) -> ();
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str) -> ();
        serialize_seq(len: Option<usize>) -> Self::SerializeSeq;
        serialize_tuple_struct(name: &'static str, len: usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> Self::SerializeTupleVariant;
        serialize_map(len: Option<usize>) -> Self::SerializeMap;
        serialize_struct(name: &'static str, len: usize) -> Self::SerializeStruct;
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize) -> Self::SerializeStructVariant;
    }

    fn serialize_unit(self) -> Result<(), Shape> {
        Err(Shape::Nothing)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Shape> {
        Err(Shape::Tuple)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Shape> {
        Err(Shape::One)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), Shape> {
        Err(Shape::One)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Shape> {
        Err(Shape::One)
    }
}

/// A JSON array of arguments, to be read as a tuple of as many, or as the only one.
pub(super) struct Arguments<'de>(pub(super) &'de [u8]);

impl<'de> Arguments<'de> {
    fn all(&self) -> Result<Vec<&'de RawValue>, Error> {
        serde_json::from_slice(self.0)
    }

    /// The only argument.
    fn one(&self) -> Result<serde_json::Deserializer<serde_json::de::SliceRead<'de>>, Error> {
        match self.all()?[..] {
            [one] => Ok(serde_json::Deserializer::from_slice(one.get().as_bytes())),
            ref all => Err(Error::invalid_length(all.len(), &"one argument")),
        }
    }

    /// That there is none.
    fn none(&self) -> Result<(), Error> {
        match self.all()?.len() {
            0 => Ok(()),
            count => Err(Error::invalid_length(count, &"no argument")),
        }
    }

    /// All of them as one value.
    fn tuple<V: Visitor<'de>>(&self, len: usize, visitor: V) -> Result<V::Value, Error> {
        let mut json = serde_json::Deserializer::from_slice(self.0);
        let value = Depth::of_arguments(&mut json).deserialize_tuple(len, visitor)?;
        json.end()?;
        Ok(value)
    }

    /// All of them, however many there are.
    pub(super) fn list<T: Deserialize<'de>>(&self) -> Result<T, Error> {
        let mut json = serde_json::Deserializer::from_slice(self.0);
        let all = T::deserialize(Depth::of_arguments(&mut json))?;
        json.end()?;
        Ok(all)
    }
}

/// A MessagePack array of arguments, to be read in the same way.
#[cfg(feature = "messagepack")]
pub(super) struct MessagePackArguments<'de>(pub(super) &'de [u8]);

#[cfg(feature = "messagepack")]
impl<'de> MessagePackArguments<'de> {
    /// How many there are, and those that follow the head of the array.
    fn all(&self) -> Result<(u32, &'de [u8]), rmp_serde::decode::Error> {
        let mut rest = self.0;
        let count =
            rmp::decode::read_array_len(&mut rest).map_err(rmp_serde::decode::Error::custom)?;
        Ok((count, rest))
    }

    fn one(&self) -> Result<Input<'de>, rmp_serde::decode::Error> {
        match self.all()? {
            (1, one) => Ok(input(one)),
            (count, _) => Err(wrong_number(count, "one argument")),
        }
    }

    fn none(&self) -> Result<(), rmp_serde::decode::Error> {
        match self.all()? {
            (0, _) => Ok(()),
            (count, _) => Err(wrong_number(count, "no argument")),
        }
    }

    fn tuple<V: Visitor<'de>>(
        &self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, rmp_serde::decode::Error> {
        let (count, _) = self.all()?;
        if usize::try_from(count) != Ok(len) {
            return Err(wrong_number(count, "as many arguments as the method takes"));
        }
        Depth::of_arguments(&mut input(self.0)).deserialize_tuple(len, visitor)
    }

    /// All of them, however many there are.
    pub(super) fn list<T: Deserialize<'de>>(&self) -> Result<T, rmp_serde::decode::Error> {
        if !are_arguments(self.0) {
            return Err(rmp_serde::decode::Error::custom(
                "no arguments, or one nests too deep",
            ));
        }
        T::deserialize(Depth::of_arguments(&mut input(self.0)))
    }
}

#[cfg(feature = "messagepack")]
fn wrong_number(count: u32, expected: &str) -> rmp_serde::decode::Error {
    rmp_serde::decode::Error::invalid_length(count as usize, &expected)
}

macro_rules! the_only_one {
    ($error:ty: $($method:ident($($argument:ident: $type:ty),*);)*) => {
        type Error = $error;

        fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, $error> {
            self.tuple(len, visitor)
        }

        fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, $error> {
            self.none()?;
            visitor.visit_unit()
        }

        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, $error> {
            Depth::new(&mut self.one()?).$method($($argument,)* visitor)
        })*
    };
}

macro_rules! arguments {
    ($($arguments:ident: $error:ty;)*) => {
        $(impl<'de> Deserializer<'de> for $arguments<'de> {
            the_only_one! {
                $error:
                deserialize_any();
                deserialize_bool();
                deserialize_i8();
                deserialize_i16();
                deserialize_i32();
                deserialize_i64();
                deserialize_u8();
                deserialize_u16();
                deserialize_u32();
                deserialize_u64();
                deserialize_f32();
                deserialize_f64();
                deserialize_char();
                deserialize_str();
                deserialize_string();
                deserialize_bytes();
                deserialize_byte_buf();
                deserialize_option();
                deserialize_unit_struct(name: &'static str);
                deserialize_newtype_struct(name: &'static str);
                deserialize_seq();
                deserialize_tuple_struct(name: &'static str, len: usize);
                deserialize_map();
                deserialize_struct(name: &'static str, fields: &'static [&'static str]);
                deserialize_enum(name: &'static str, variants: &'static [&'static str]);
                deserialize_identifier();
                deserialize_ignored_any();
            }
        })*
    };
}

arguments! {
    Arguments: Error;
}

#[cfg(feature = "messagepack")]
arguments! {
    MessagePackArguments: rmp_serde::decode::Error;
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;
    use std::vec;

    use serde::de::DeserializeOwned;

    use super::super::{Decode, Encode, Typed};
    use super::*;
    use crate::wire::{Encoding, Payload};

    fn written(value: impl Serialize) -> String {
        let mut bytes = Vec::new();
        Typed(value)
            .encode(Encoding::JsonArguments, &mut bytes)
            .expect("it can be written");
        String::from_utf8(bytes).expect("JSON is text")
    }

    fn read<T: DeserializeOwned>(arguments: &str) -> Option<T> {
        let payload = Payload {
            encoding: Encoding::JsonArguments,
            bytes: arguments.as_bytes(),
        };
        Typed::decode(payload).ok().map(|Typed(value)| value)
    }

    #[test]
    fn a_tuple_is_as_many_arguments_and_every_other_value_is_one() {
        assert_eq!(written(()), "[]");
        assert_eq!(written(("ann", 7)), r#"["ann",7]"#);
        assert_eq!(written((vec![1, 2],)), "[[1,2]]");
        assert_eq!(written(vec![1, 2]), "[[1,2]]");
        assert_eq!(written("ann"), r#"["ann"]"#);
        assert_eq!(written(Some((1, 2))), "[[1,2]]");
        assert_eq!(written(None::<u8>), "[null]");
        assert_eq!(written(Typed2((1, 2))), "[[1,2]]");
    }

    #[derive(serde::Serialize)]
    struct Typed2((u8, u8));

    #[test]
    fn arguments_are_read_as_they_are_written() {
        assert_eq!(read(r#"["ann",7]"#), Some((String::from("ann"), 7)));
        assert_eq!(read("[[1,2]]"), Some((vec![1, 2],)));
        assert_eq!(read("[[1,2]]"), Some(vec![1, 2]));
        assert_eq!(read(r#"[ "ann" ]"#), Some(String::from("ann")));
        assert_eq!(read("[null]"), Some(None::<u8>));
        assert_eq!(read("[]"), Some(()));
    }

    #[test]
    fn a_wrong_number_is_found() {
        assert_eq!(read::<(u8, u8)>("[1]"), None);
        assert_eq!(read::<(u8, u8)>("[1,2,3]"), None);
        assert_eq!(read::<(u8, u8)>("[[1,2]]"), None);
        assert_eq!(read::<Vec<u8>>("[1,2]"), None);
        assert_eq!(read::<Vec<u8>>("[]"), None);
        assert_eq!(read::<u8>("[1,2]"), None);
        assert_eq!(read::<()>("[1]"), None);
        assert_eq!(read::<serde_json::Value>("[1,2]"), None);
    }

    #[test]
    fn a_value_that_nests_too_deep_is_none() {
        let nest = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(read::<serde_json::Value>(&nest(33)).is_some());
        assert!(read::<serde_json::Value>(&nest(34)).is_none());
        assert!(read::<serde_json::Value>(&nest(100_000)).is_none());
        type Three<T> = (T, T, T);
        let three = |levels| format!("[0,{},0]", nest(levels));
        assert!(read::<Three<serde_json::Value>>(&three(32)).is_some());
        assert!(read::<Three<serde_json::Value>>(&three(33)).is_none());
    }
}
