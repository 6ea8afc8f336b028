//! Values of options, as they are typed.

use std::ffi::OsString;
use std::time::Duration;

use lapwing::Policy;
use lapwing::client::Start;
use lexopt::ValueExt;

use crate::connect::Language;
use crate::failure::Failure;

/// The longest time that an option takes: a day. It keeps instants far from the end of any clock.
const SECONDS_MAX: f64 = 86_400.0;

/// More events a second than any machine can publish.
const RATE_MAX: f64 = 1e9;

/// A time in seconds, with fractions: at least a millisecond, which is what travels on the wire.
pub(crate) fn seconds(value: &OsString) -> Result<Duration, lexopt::Error> {
    let seconds: f64 = value.parse()?;
    match (0.001..=SECONDS_MAX).contains(&seconds) {
        true => Ok(Duration::from_secs_f64(seconds)),
        false => {
            Err(format!("{seconds} is no number of seconds from 0.001 to {SECONDS_MAX}").into())
        }
    }
}

/// A number that is not below `min`.
pub(crate) fn at_least(min: u32, value: &OsString) -> Result<u32, lexopt::Error> {
    let number: u32 = value.parse()?;
    match number >= min {
        true => Ok(number),
        false => Err(format!("{number} is less than {min}").into()),
    }
}

pub(crate) fn policy(value: &OsString) -> Result<Policy, lexopt::Error> {
    match &*value.to_string_lossy() {
        "disconnect" => Ok(Policy::Disconnect),
        "drop-oldest" => Ok(Policy::DropOldest),
        "drop-newest" => Ok(Policy::DropNewest),
        "keep-latest" => Ok(Policy::KeepLatest),
        other => Err(format!(
            "{other:?} is none of the policies disconnect, drop-oldest, drop-newest, keep-latest"
        )
        .into()),
    }
}

/// Where a subscription begins.
pub(crate) fn start(value: &OsString) -> Result<Start, lexopt::Error> {
    let text = value.to_string_lossy();
    let position = || {
        let (epoch, offset) = text.split_once(':')?;
        Some(Start::Offset {
            epoch: epoch.parse().ok()?,
            offset: offset.parse().ok()?,
        })
    };
    match &*text {
        "now" => Ok(Start::Now),
        "retained" => Ok(Start::Retained),
        "beginning" => Ok(Start::Beginning),
        other => position().ok_or_else(|| {
            format!("{other:?} is none of now, retained, beginning, EPOCH:OFFSET").into()
        }),
    }
}

/// Where a page comes from, `*` being anywhere, as browsers say it ([RFC 6454, section 6.2](https://www.rfc-editor.org/rfc/rfc6454#section-6.2)).
pub(crate) fn origin(value: OsString) -> Result<String, lexopt::Error> {
    let text = value.string()?;
    let host = text.split_once("://").map(|(_, host)| host);
    let is_word = ["null", "*"].contains(&&*text);
    match is_word || host.is_some_and(|host| !host.is_empty() && !host.contains('/')) {
        true => Ok(text),
        false => Err(format!(
            "{text:?} is no origin, as https://HOST[:PORT], null and * for all are"
        )
        .into()),
    }
}

/// What is spoken with the hub.
pub(crate) fn language(value: &OsString) -> Result<Language, lexopt::Error> {
    match &*value.to_string_lossy() {
        "postcard" => Ok(Language::Postcard),
        "json" => Ok(Language::Json),
        other => Err(format!("{other:?} is none of the protocols postcard, json").into()),
    }
}

/// What must be there, or what is missing.
pub(crate) fn required<T>(value: Option<T>, name: &str) -> Result<T, Failure> {
    value.ok_or_else(|| Failure::usage(format_args!("{name} is missing")))
}

/// A number of events a second, with fractions: from one a day on.
pub(crate) fn rate(value: &OsString) -> Result<f64, lexopt::Error> {
    let rate: f64 = value.parse()?;
    match (1.0 / SECONDS_MAX..=RATE_MAX).contains(&rate) {
        true => Ok(rate),
        false => Err(format!(
            "{rate} is no number of events a second from one a day to {RATE_MAX}"
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_or_a_position() {
        let read = |text: &str| start(&text.into()).ok();
        let (epoch, offset) = (7, 42);
        for (text, expected) in [
            ("now", Some(Start::Now)),
            ("retained", Some(Start::Retained)),
            ("beginning", Some(Start::Beginning)),
            ("7:42", Some(Start::Offset { epoch, offset })),
            ("7", None),
            ("7:", None),
            ("-7:42", None),
            ("yesterday", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
