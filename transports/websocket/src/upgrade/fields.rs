//! The headers of a request, as questions about them.

use bytes::Bytes;

use super::refusal::Refusal;

/// The headers of a request, in order.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    fn all(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|field| field.value)
    }

    /// The value of a header that may be there once.
    ///
    /// # Errors
    ///
    /// `doubled` when it is there twice: two readers could each follow another one of them.
    pub(crate) fn single(self, name: &str, doubled: Refusal) -> Result<Option<&'a [u8]>, Refusal> {
        let mut all = self.all(name);
        match (all.next(), all.next()) {
            (first, None) => Ok(first),
            _ => Err(doubled),
        }
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The elements of a list, which may be spread over several headers: RFC 9110, section 5.6.1.
    pub(crate) fn list(self, name: &str) -> impl Iterator<Item = &'a str> {
        let elements = |value| str::from_utf8(value).unwrap_or_default().split(',');
        let trimmed = |element: &'a str| element.trim_matches([' ', '\t']);
        self.all(name).flat_map(elements).map(trimmed)
    }

    /// Whether a list has this element, in any case of its letters.
    pub(crate) fn lists(self, name: &str, element: &str) -> bool {
        self.list(name).any(|one| one.eq_ignore_ascii_case(element))
    }

    /// All of them, as parts of the head that they were read from, for those who decide about the peer.
    pub(crate) fn parts_of(self, head: &Bytes) -> Vec<(Bytes, Bytes)> {
        let part = |bytes: &[u8]| match bytes {
            [] => Bytes::new(),
            bytes => head.slice_ref(bytes),
        };
        let fields = self.0.iter();
        fields
            .map(|field| (part(field.name.as_bytes()), part(field.value)))
            .collect()
    }
}
