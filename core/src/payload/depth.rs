//! A bound on how deep a peer's value may nest: every serde codec is behind it.

use core::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use crate::limits::NESTING_MAX;

/// Anything of serde, together with how many levels below it are allowed.
pub(super) struct Depth<T> {
    inner: T,
    left: usize,
}

impl<T> Depth<T> {
    /// `inner` at the top level.
    pub(super) fn new(inner: T) -> Self {
        Self {
            inner,
            left: NESTING_MAX,
        }
    }

    /// `inner` around a list of arguments, each of which may nest as deep as a value.
    #[cfg(feature = "json")]
    pub(super) fn of_arguments(inner: T) -> Self {
        Self {
            inner,
            left: NESTING_MAX + 1,
        }
    }
}

fn below<E: Error>(left: usize) -> Result<usize, E> {
    left.checked_sub(1)
        .ok_or_else(|| E::custom("the value nests too deep"))
}

macro_rules! deserialize {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $method<V: Visitor<'de>>(self $(, $argument: $type)*, visitor: V) -> Result<V::Value, D::Error> {
            let visitor = Depth { inner: visitor, left: self.left };
            self.inner.$method($($argument,)* visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Depth<D> {
    type Error = D::Error;

    deserialize! {
        deserialize_any();
        deserialize_bool();
        deserialize_i8();
        deserialize_i16();
        deserialize_i32();
        deserialize_i64();
        deserialize_i128();
        deserialize_u8();
        deserialize_u16();
        deserialize_u32();
        deserialize_u64();
        deserialize_u128();
        deserialize_f32();
        deserialize_f64();
        deserialize_char();
        deserialize_str();
        deserialize_string();
        deserialize_option();
        deserialize_unit();
        deserialize_unit_struct(name: &'static str);
        deserialize_newtype_struct(name: &'static str);
        deserialize_seq();
        deserialize_tuple(len: usize);
        deserialize_tuple_struct(name: &'static str, len: usize);
        deserialize_map();
        deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier();
        deserialize_ignored_any();
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        #[cfg(feature = "json")]
        if self.is_human_readable() {
            return self.deserialize_any(super::base64::Base64(visitor));
        }
        let (inner, left) = (visitor, self.left);
        self.inner.deserialize_byte_buf(Depth { inner, left })
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

macro_rules! visit {
    ($($method:ident: $type:ty;)*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Depth<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    visit! {
        visit_bool: bool;
        visit_i8: i8;
        visit_i16: i16;
        visit_i32: i32;
        visit_i64: i64;
        visit_i128: i128;
        visit_u8: u8;
        visit_u16: u16;
        visit_u32: u32;
        visit_u64: u64;
        visit_u128: u128;
        visit_f32: f32;
        visit_f64: f64;
        visit_char: char;
        visit_str: &str;
        visit_borrowed_str: &'de str;
        visit_string: alloc::string::String;
        visit_bytes: &[u8];
        visit_borrowed_bytes: &'de [u8];
        visit_byte_buf: alloc::vec::Vec<u8>;
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let left = below(self.left)?;
        self.inner.visit_some(Depth { inner, left })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let left = below(self.left)?;
        self.inner.visit_newtype_struct(Depth { inner, left })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let left = below(self.left)?;
        self.inner.visit_seq(Depth { inner, left })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let left = below(self.left)?;
        self.inner.visit_map(Depth { inner, left })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let left = below(self.left)?;
        self.inner.visit_enum(Depth { inner, left })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Depth<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Depth {
            inner,
            left: self.left,
        })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Depth<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        inner: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_element_seed(Depth {
            inner,
            left: self.left,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Depth<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        inner: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(Depth {
            inner,
            left: self.left,
        })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, inner: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Depth {
            inner,
            left: self.left,
        })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Depth<A> {
    type Error = A::Error;
    type Variant = Depth<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        inner: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.inner.variant_seed(Depth {
            inner,
            left: self.left,
        })?;
        Ok((
            value,
            Depth {
                inner: variant,
                left: self.left,
            },
        ))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Depth<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, inner: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Depth {
            inner,
            left: self.left,
        })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, inner: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(
            len,
            Depth {
                inner,
                left: self.left,
            },
        )
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        inner: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(
            fields,
            Depth {
                inner,
                left: self.left,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::vec;

    use crate::limits::NESTING_MAX;
    use crate::payload::{Decode, PayloadError, Typed};
    use crate::wire::{Encoding, Payload};

    #[derive(Debug, PartialEq, serde::Deserialize)]
    enum Nest {
        End,
        Deeper(Box<Nest>),
    }

    fn decode(levels: usize) -> Result<Typed<Nest>, PayloadError> {
        let mut bytes = vec![1; levels];
        bytes.push(0);
        Typed::decode(Payload {
            encoding: Encoding::Postcard,
            bytes: &bytes,
        })
    }

    #[test]
    fn a_value_nests_as_deep_as_allowed_and_no_deeper() {
        assert!(decode(NESTING_MAX - 1).is_ok());
        let error = decode(NESTING_MAX).expect_err("one level too many");
        assert!(matches!(error, PayloadError::Value(_)), "{error}");
        assert!(decode(1_000_000).is_err(), "the stack survives");
    }
}
