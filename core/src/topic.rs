//! Names of events, and filters that select several of them.

use core::fmt;

use crate::limits::{TOPIC_BYTES_MAX, TOPIC_SEGMENTS_MAX};

/// The name that an event is published under: segments with `/` between them, like `room/7/line`.
///
/// 1 to 256 bytes, 1 to 16 segments, none of them empty, no control character and no `*`. Compared
/// exactly, case and all. Checked once, here; nothing checks it again.
///
/// # Examples
///
/// ```
/// use lapwing::{Topic, TopicError};
///
/// assert_eq!(Topic::new("room/7/line")?.as_str(), "room/7/line");
/// assert_eq!(Topic::new("room//line"), Err(TopicError::EmptySegment));
/// # Ok::<(), TopicError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic<'a>(&'a str);

/// A pattern of topics: `*` stands for one segment, `**` at the end for any tail, also an empty one.
///
/// The same bounds as for a [`Topic`] apply. A wildcard is a whole segment: `a*` is malformed.
///
/// # Examples
///
/// ```
/// use lapwing::{Topic, TopicFilter};
///
/// let filter = TopicFilter::new("room/*/line/**")?;
/// assert!(filter.matches(Topic::new("room/7/line")?));
/// assert!(filter.matches(Topic::new("room/7/line/urgent")?));
/// assert!(!filter.matches(Topic::new("room/line")?));
/// # Ok::<(), lapwing::TopicError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicFilter<'a>(&'a str);

/// Why a text is neither a topic nor a filter: the program or the peer that made it must change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// Nothing at all.
    #[error("a topic has at least one character")]
    Empty,
    /// More than [`TOPIC_BYTES_MAX`] bytes.
    #[error("topic of {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// What it has.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// More than [`TOPIC_SEGMENTS_MAX`] segments.
    #[error("topic of {segments} segments, at most {max} are allowed")]
    TooDeep {
        /// What it has.
        segments: usize,
        /// What is allowed.
        max: usize,
    },
    /// A `/` at the start, at the end, or two in a row.
    #[error("a segment of the topic is empty")]
    EmptySegment,
    /// A character that no terminal and no log should see.
    #[error("a topic has no control characters")]
    ControlCharacter,
    /// `*` in a topic, `*` beside other characters, or `**` before the last segment.
    #[error("a wildcard is a whole segment of a filter, and ** its last one")]
    Wildcard,
}

impl<'a> Topic<'a> {
    /// The topic that `name` spells.
    ///
    /// # Errors
    ///
    /// [`TopicError`] says which rule `name` breaks.
    pub fn new(name: &'a str) -> Result<Self, TopicError> {
        match check(name)? {
            true => Err(TopicError::Wildcard),
            false => Ok(Self(name)),
        }
    }

    /// The topic of a text that was checked before.
    #[cfg(feature = "std")]
    pub(crate) const fn checked(name: &'a str) -> Self {
        Self(name)
    }

    /// The topic as text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Its segments, from left to right; at least one.
    pub fn segments(self) -> impl Iterator<Item = &'a str> + Clone {
        self.0.split('/')
    }
}

impl<'a> TopicFilter<'a> {
    /// The filter that `pattern` spells.
    ///
    /// # Errors
    ///
    /// [`TopicError`] says which rule `pattern` breaks.
    pub fn new(pattern: &'a str) -> Result<Self, TopicError> {
        if !check(pattern)? {
            return Ok(Self(pattern));
        }
        let mut segments = pattern.split('/').peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            let whole = segment == "*" || (segment == "**" && last);
            if segment.contains('*') && !whole {
                return Err(TopicError::Wildcard);
            }
        }
        Ok(Self(pattern))
    }

    /// The filter of a text that was checked before.
    #[cfg(feature = "std")]
    pub(crate) const fn checked(pattern: &'a str) -> Self {
        Self(pattern)
    }

    /// The filter as text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Its segments, from left to right; at least one.
    pub fn segments(self) -> impl Iterator<Item = &'a str> + Clone {
        self.0.split('/')
    }

    /// Whether this filter selects `topic`.
    pub fn matches(self, topic: Topic<'_>) -> bool {
        let mut topic = topic.segments();
        for pattern in self.segments() {
            if pattern == "**" {
                return true;
            }
            match topic.next() {
                Some(segment) if pattern == "*" || pattern == segment => {}
                _ => return false,
            }
        }
        topic.next().is_none()
    }

    /// Whether some topic is selected by both filters.
    pub fn overlaps(self, other: TopicFilter<'_>) -> bool {
        let (mut one, mut other) = (self.segments(), other.segments());
        loop {
            match (one.next(), other.next()) {
                (None, None) | (Some("**"), _) | (_, Some("**")) => return true,
                (Some(a), Some(b)) if a == b || a == "*" || b == "*" => {}
                _ => return false,
            }
        }
    }

    /// Whether every topic that `other` selects is selected by this filter too.
    pub fn covers(self, other: TopicFilter<'_>) -> bool {
        let (mut mine, mut other) = (self.segments(), other.segments());
        // A topic has a segment, so `**` alone is no more than `*/**`.
        if self.0 == "*/**" {
            return true;
        }
        loop {
            match (mine.next(), other.next()) {
                (Some("**"), _) | (None, None) => return true,
                (_, Some("**")) => return false,
                (Some(a), Some(b)) if a == b || a == "*" => {}
                _ => return false,
            }
        }
    }
}

impl<'a> From<Topic<'a>> for TopicFilter<'a> {
    /// The filter that selects just this topic.
    fn from(topic: Topic<'a>) -> Self {
        Self(topic.0)
    }
}

impl<'a> TryFrom<&'a str> for Topic<'a> {
    type Error = TopicError;

    fn try_from(name: &'a str) -> Result<Self, TopicError> {
        Self::new(name)
    }
}

impl<'a> TryFrom<&'a str> for TopicFilter<'a> {
    type Error = TopicError;

    fn try_from(pattern: &'a str) -> Result<Self, TopicError> {
        Self::new(pattern)
    }
}

impl From<core::convert::Infallible> for TopicError {
    /// Lets a ready [`Topic`] stand where a text is expected.
    fn from(never: core::convert::Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for TopicFilter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// The rules that topics and filters share, in one pass; says whether there is a `*`.
fn check(text: &str) -> Result<bool, TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    within(text, TOPIC_BYTES_MAX, TOPIC_SEGMENTS_MAX)?;
    let (mut star, mut before) = (false, b'/');
    for byte in text.bytes() {
        match byte {
            b'/' if before == b'/' => return Err(TopicError::EmptySegment),
            0x00..0x20 | 0x7f => return Err(TopicError::ControlCharacter),
            // U+0080 to U+009F, the other control characters.
            0x80..0xa0 if before == 0xc2 => return Err(TopicError::ControlCharacter),
            _ => {}
        }
        star |= byte == b'*';
        before = byte;
    }
    match before {
        b'/' => Err(TopicError::EmptySegment),
        _ => Ok(star),
    }
}

/// Whether `text` keeps to bounds that a hub may set lower than the protocol's.
pub(crate) fn within(text: &str, bytes_max: usize, segments_max: usize) -> Result<(), TopicError> {
    if text.len() > bytes_max {
        return Err(TopicError::TooLong {
            bytes: text.len(),
            max: bytes_max,
        });
    }
    let segments = text.bytes().filter(|byte| *byte == b'/').count() + 1;
    match segments > segments_max {
        true => Err(TopicError::TooDeep {
            segments,
            max: segments_max,
        }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn matches(filter: &str, topic: &str) -> bool {
        let filter = TopicFilter::new(filter).expect("a good filter");
        filter.matches(Topic::new(topic).expect("a good topic"))
    }

    #[test]
    fn a_topic_is_bounded_in_bytes_and_segments() {
        let longest = "x".repeat(TOPIC_BYTES_MAX);
        assert!(Topic::new(&longest).is_ok());
        let too_long = "x".repeat(TOPIC_BYTES_MAX + 1);
        assert_eq!(
            Topic::new(&too_long),
            Err(TopicError::TooLong {
                bytes: 257,
                max: 256
            })
        );
        let deepest = ["x"; TOPIC_SEGMENTS_MAX].join("/");
        assert!(Topic::new(&deepest).is_ok());
        let too_deep = ["x"; TOPIC_SEGMENTS_MAX + 1].join("/");
        assert_eq!(
            Topic::new(&too_deep),
            Err(TopicError::TooDeep {
                segments: 17,
                max: 16
            })
        );
    }

    #[test]
    fn malformed_names_are_refused_with_the_rule_they_break() {
        assert_eq!(Topic::new(""), Err(TopicError::Empty));
        for name in ["/a", "a/", "a//b", "/"] {
            assert_eq!(Topic::new(name), Err(TopicError::EmptySegment), "{name}");
        }
        for name in ["a\nb", "a\u{7f}", "\u{80}", "ä\u{9f}"] {
            assert_eq!(
                Topic::new(name),
                Err(TopicError::ControlCharacter),
                "{name:?}"
            );
        }
        for name in ["\u{a0}", "é", "日本/語"] {
            assert!(Topic::new(name).is_ok(), "{name:?}");
        }
        for name in ["*", "a/*", "a*b", "**"] {
            assert_eq!(Topic::new(name), Err(TopicError::Wildcard), "{name}");
        }
        for filter in ["a*", "a/**/b", "***", "a/b*"] {
            assert_eq!(
                TopicFilter::new(filter),
                Err(TopicError::Wildcard),
                "{filter}"
            );
        }
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_any_tail() {
        assert!(matches("a/b", "a/b"));
        assert!(!matches("a/b", "a/B"));
        assert!(matches("a/*", "a/b"));
        assert!(!matches("a/*", "a"));
        assert!(!matches("a/*", "a/b/c"));
        assert!(matches("a/**", "a"));
        assert!(matches("a/**", "a/b/c"));
        assert!(matches("**", "a/b"));
        assert!(matches("*/b/**", "x/b"));
        assert!(!matches("*/b/**", "x/c/b"));
    }

    fn overlaps(one: &str, other: &str) -> bool {
        let filter = |text| TopicFilter::new(text).expect("a good filter");
        let overlaps = filter(one).overlaps(filter(other));
        assert_eq!(
            overlaps,
            filter(other).overlaps(filter(one)),
            "{one} {other}"
        );
        overlaps
    }

    #[test]
    fn filters_overlap_when_some_topic_is_selected_by_both() {
        for (one, other) in [
            ("a/b", "a/b"),
            ("a/*", "*/b"),
            ("a/**", "a"),
            ("**", "x/y/z"),
            ("a/*/c", "a/b/**"),
        ] {
            assert!(overlaps(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("a", "b"),
            ("a/*", "a"),
            ("a/*/c", "a/b/d"),
            ("a/**", "b/**"),
        ] {
            assert!(!overlaps(one, other), "{one} {other}");
        }
    }

    /// All filters of one or two segments that are `a`, `b` or a wildcard, and one of three.
    fn filters() -> Vec<String> {
        let (middle, last) = (["a", "b", "*"], ["a", "b", "*", "**"]);
        let short = last.iter().map(|last| (*last).into());
        let long = middle
            .iter()
            .flat_map(|middle| last.iter().map(move |last| [*middle, *last].join("/")));
        let longest = ["*/*/**", "*/a/*", "a/*/a", "*/*/*"];
        let longest = longest.into_iter().map(String::from);
        short.chain(long).chain(longest).collect()
    }

    #[test]
    fn a_filter_covers_another_when_it_selects_all_that_the_other_does() {
        // As many as it takes to tell these filters apart: another name, and one more segment.
        let mut topics: Vec<String> = vec!["a".into(), "b".into(), "c".into()];
        for index in 0..39 {
            topics.extend(["a", "b", "c"].map(|segment| [&topics[index], segment].join("/")));
        }
        for one in filters() {
            for other in filters() {
                let filter = |text| TopicFilter::new(text).expect("a good filter");
                let covers = topics
                    .iter()
                    .all(|topic| !matches(&other, topic) || matches(&one, topic));
                assert_eq!(filter(&one).covers(filter(&other)), covers, "{one} {other}");
            }
        }
    }
}
