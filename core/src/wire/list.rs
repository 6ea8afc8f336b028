//! Many values in one frame, without an allocator on either side.

use core::fmt;
use core::marker::PhantomData;

use serde::Deserialize;
use serde::ser::{Serialize, SerializeSeq, Serializer};

/// A list in a frame: a slice on the side that writes it, bytes that are decoded while one iterates on the side that reads it.
#[derive(Clone, Copy)]
pub struct List<'a, T>(Form<'a, T>);

#[derive(Clone, Copy)]
enum Form<'a, T> {
    Items(&'a [T]),
    Encoded {
        count: usize,
        bytes: &'a [u8],
        item: PhantomData<T>,
    },
}

impl<'a, T> List<'a, T> {
    /// The list of these items.
    pub const fn new(items: &'a [T]) -> Self {
        Self(Form::Items(items))
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Form::Items(items) => items.len(),
            Form::Encoded { count, .. } => count,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a, T: Copy + Deserialize<'a>> List<'a, T> {
    /// The items, in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let (items, count, mut rest) = match self.0 {
            Form::Items(items) => (items, 0, &[][..]),
            Form::Encoded { count, bytes, .. } => (&[][..], count, bytes),
        };
        // Taken apart once by `take`, so none of these fails.
        let encoded = (0..count).map_while(move |_| {
            let (item, after) = postcard::take_from_bytes(rest).ok()?;
            rest = after;
            Some(item)
        });
        items.iter().copied().chain(encoded)
    }

    /// The list at the start of `bytes`: every item is looked at once, nothing is reserved for the count that a peer announces.
    pub(crate) fn take(bytes: &'a [u8]) -> postcard::Result<Self> {
        let (count, items) = postcard::take_from_bytes::<u32>(bytes)?;
        let mut rest = items;
        for _ in 0..count {
            (_, rest) = postcard::take_from_bytes::<T>(rest)?;
        }
        let bytes = &items[..items.len() - rest.len()];
        Ok(Self(Form::Encoded {
            count: count as usize,
            bytes,
            item: PhantomData,
        }))
    }
}

impl<'a, T: Copy + Serialize + Deserialize<'a>> Serialize for List<'a, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.len()))?;
        self.iter()
            .try_for_each(|item| list.serialize_element(&item))?;
        list.end()
    }
}

impl<'a, T: Copy + PartialEq + Deserialize<'a>> PartialEq for List<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Copy + fmt::Debug + Deserialize<'a>> fmt::Debug for List<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
