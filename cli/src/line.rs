//! Events and payloads as lines of text.

use std::io::{self, Write};

use lapwing::Envelope;
use lapwing::wire::{Encoding, Payload};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::hex;

/// How payloads are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    /// One JSON object for each event.
    pub(crate) json: bool,
    /// All payloads as hexadecimal digits.
    pub(crate) hex: bool,
}

/// An event as JSON: `text`, `json`, or `hex` for all other payloads.
#[derive(Serialize)]
struct Event<'a> {
    topic: &'a str,
    encoding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

impl Style {
    /// Writes an event as one line.
    pub(crate) fn write_event(self, out: &mut impl Write, event: &Envelope) -> io::Result<()> {
        match self.json {
            true => self.write_object(out, event),
            false => {
                out.write_all(event.topic().as_bytes())?;
                out.write_all(b" ")?;
                self.write_payload(out, event.payload())
            }
        }
    }

    fn write_object(self, out: &mut impl Write, event: &Envelope) -> io::Result<()> {
        let text = event.text().filter(|_| !self.hex);
        let json = match event.encoding() {
            Encoding::Json if !self.hex => one_line(event.bytes()),
            _ => None,
        };
        let is_shown = text.is_some() || json.is_some();
        let object = Event {
            topic: event.topic(),
            encoding: name(event.encoding()),
            offset: event.offset(),
            text,
            json: json.as_deref(),
            hex: (!is_shown).then(|| hex::encode(event.bytes())),
        };
        serde_json::to_writer(&mut *out, &object)?;
        out.write_all(b"\n")
    }

    /// Writes a payload as one line.
    pub(crate) fn write_payload(
        self,
        out: &mut impl Write,
        payload: Payload<'_>,
    ) -> io::Result<()> {
        match self.hex {
            true => out.write_all(hex::encode(payload.bytes).as_bytes())?,
            false => write_printable(out, payload.bytes)?,
        }
        out.write_all(b"\n")
    }
}

/// The JSON value in `bytes`, written as it came but in one line; `None` when it is none.
///
/// Its numbers are not read: they may be larger or more exact than any type here.
fn one_line(bytes: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(bytes).ok()?;
    // Within strings line ends are escaped, so they are blanks between values.
    let line = text.trim().replace(['\n', '\r'], " ");
    RawValue::from_string(line).ok()
}

fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Text => "text",
        Encoding::Bytes => "bytes",
        Encoding::Json => "json",
        Encoding::MessagePack => "message-pack",
        Encoding::Postcard => "postcard",
        _ => "unknown",
    }
}

/// Writes UTF-8 as it is, and escapes what would break the line or play with the terminal.
fn write_printable(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return out.write_all(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        for text in chunk.valid().split_inclusive(char::is_control) {
            let control = text.chars().next_back().filter(|last| last.is_control());
            let plain = &text[..text.len() - control.map_or(0, char::len_utf8)];
            out.write_all(plain.as_bytes())?;
            if let Some(control) = control {
                write!(out, "{}", control.escape_default())?;
            }
        }
        for byte in chunk.invalid() {
            write!(out, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lapwing::Topic;

    use super::*;

    fn line(style: Style, encoding: Encoding, payload: &'static [u8]) -> String {
        let topic = Topic::new("a/b").expect("a topic");
        let mut line = Vec::new();
        let event = Envelope::new(topic, encoding, payload.into());
        style
            .write_event(&mut line, &event)
            .expect("a vector takes all");
        String::from_utf8(line).expect("lines are UTF-8")
    }

    #[test]
    fn a_text_stays_as_it_is() {
        let plain = Style::default();
        let text = r#"C:\new "x" größer 🐦"#;
        assert_eq!(
            line(plain, Encoding::Text, text.as_bytes()),
            format!("a/b {text}\n")
        );
        assert_eq!(line(plain, Encoding::Text, b""), "a/b \n");
    }

    #[test]
    fn nothing_breaks_the_line_or_reaches_the_terminal() {
        let nasty = b"1\n2\r\t\0\x1b[2J\x7f\xc2\x85\xff\xc3";
        let expected = "a/b 1\\n2\\r\\t\\u{0}\\u{1b}[2J\\u{7f}\\u{85}\\xff\\xc3\n";
        assert_eq!(line(Style::default(), Encoding::Bytes, nasty), expected);
    }

    #[test]
    fn hex_is_for_all_payloads() {
        let hex = Style {
            hex: true,
            json: false,
        };
        assert_eq!(line(hex, Encoding::Text, b"\nA"), "a/b 0a41\n");
    }

    #[test]
    fn json_says_which_encoding_it_was() {
        let json = Style {
            json: true,
            hex: false,
        };
        assert_eq!(
            line(json, Encoding::Text, b"\"\n"),
            "{\"topic\":\"a/b\",\"encoding\":\"text\",\"text\":\"\\\"\\n\"}\n"
        );
        assert_eq!(
            line(json, Encoding::Bytes, b"\xff"),
            "{\"topic\":\"a/b\",\"encoding\":\"bytes\",\"hex\":\"ff\"}\n"
        );
        assert_eq!(
            line(
                json,
                Encoding::Json,
                b"[1.10,\n 123456789012345678901, \"\\n\"]\n"
            ),
            "{\"topic\":\"a/b\",\"encoding\":\"json\",\"json\":[1.10,  123456789012345678901, \"\\n\"]}\n"
        );
        assert_eq!(
            line(json, Encoding::Json, b"\"a\nb\" {"),
            "{\"topic\":\"a/b\",\"encoding\":\"json\",\"hex\":\"22610a6222207b\"}\n"
        );
        let both = Style {
            json: true,
            hex: true,
        };
        assert_eq!(
            line(both, Encoding::Text, b"A"),
            "{\"topic\":\"a/b\",\"encoding\":\"text\",\"hex\":\"41\"}\n"
        );
    }
}
