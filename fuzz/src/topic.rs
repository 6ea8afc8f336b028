//! Topics and filters, against rules that are slow and plain.

use lapwing::{Topic, TopicFilter};

/// Takes a filter and a topic, or another filter, with a line break between them.
pub fn topic(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else {
        return;
    };
    let (filter, topic) = text.split_once('\n').unwrap_or((text, text));
    let (parsed_filter, parsed_topic) = (TopicFilter::new(filter), Topic::new(topic));
    assert_eq!(parsed_filter.is_ok(), is_filter(filter), "{filter:?}");
    assert_eq!(parsed_topic.is_ok(), is_topic(topic), "{topic:?}");
    if let (Ok(parsed_filter), Ok(parsed_topic)) = (parsed_filter, parsed_topic) {
        let expected = selects(&segments(filter), &segments(topic));
        assert_eq!(parsed_filter.matches(parsed_topic), expected, "{text:?}");
        assert!(TopicFilter::from(parsed_topic).matches(parsed_topic));
    }
    if let (Ok(one), Ok(other)) = (parsed_filter, TopicFilter::new(topic)) {
        let expected = covers(&segments(filter), &segments(topic));
        assert_eq!(one.covers(other), expected, "{text:?}");
    }
}

/// Whether `one` selects whatever `other` does, by trying: a segment that neither names is the hardest to select.
fn covers(one: &[&str], other: &[&str]) -> bool {
    const STRANGE: &str = "neither\nnames\nit";
    let (begin, tails) = match other.split_last() {
        Some((&"**", begin)) => (begin, 0..=16 - begin.len()),
        _ => (other, 0..=0),
    };
    let begin: Vec<_> = begin
        .iter()
        .map(|segment| if *segment == "*" { STRANGE } else { segment })
        .collect();
    tails
        .map(|tail| [&begin[..], &vec![STRANGE; tail]].concat())
        // A topic has a segment.
        .filter(|topic| !topic.is_empty())
        .all(|topic| selects(one, &topic))
}

fn segments(text: &str) -> Vec<&str> {
    text.split('/').collect()
}

fn is_within_bounds(text: &str) -> bool {
    let segments = segments(text);
    (1..=256).contains(&text.len())
        && segments.len() <= 16
        && !segments.contains(&"")
        && !text.contains(char::is_control)
}

fn is_topic(text: &str) -> bool {
    is_within_bounds(text) && !text.contains('*')
}

fn is_filter(text: &str) -> bool {
    let segments = segments(text);
    let Some((last, others)) = segments.split_last() else {
        return false;
    };
    let is_plain_or_star = |segment: &str| segment == "*" || !segment.contains('*');
    is_within_bounds(text)
        && others.iter().all(|segment| is_plain_or_star(segment))
        && (*last == "**" || is_plain_or_star(last))
}

fn selects(filter: &[&str], topic: &[&str]) -> bool {
    match (filter, topic) {
        (["**"], _) | ([], []) => true,
        ([pattern, filter @ ..], [segment, topic @ ..]) => {
            (*pattern == "*" || pattern == segment) && selects(filter, topic)
        }
        _ => false,
    }
}
