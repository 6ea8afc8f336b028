//! Instants of MessagePack ([specification](https://github.com/msgpack/msgpack/blob/master/spec.md#timestamp-extension-type)).

use core::fmt;

/// The meaning of extension bytes that are an instant: the only one that the specification gives.
pub(super) const TIMESTAMP: i8 = -1;

/// An instant, since the beginning of 1970. As text it is one of [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339), as far as its years go.
#[derive(Clone, Copy)]
pub(super) struct Timestamp {
    seconds: i64,
    nanos: u32,
}

impl Timestamp {
    /// Of extension bytes; `None` when there are neither 4 nor 8 nor 12.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        Some(match bytes.len() {
            4 => Self {
                seconds: u32::from_be_bytes(bytes.try_into().ok()?).into(),
                nanos: 0,
            },
            8 => {
                let both = u64::from_be_bytes(bytes.try_into().ok()?);
                Self {
                    seconds: (both & ((1 << 34) - 1)) as i64,
                    nanos: (both >> 34) as u32,
                }
            }
            12 => Self {
                nanos: u32::from_be_bytes(bytes[..4].try_into().ok()?),
                seconds: i64::from_be_bytes(bytes[4..].try_into().ok()?),
            },
            _ => return None,
        })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (
            self.seconds.div_euclid(86_400),
            self.seconds.rem_euclid(86_400),
        );
        let (year, month, day) = date(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        match self.nanos {
            0 => f.write_str("Z"),
            nanos => write!(f, ".{nanos:09}Z"),
        }
    }
}

/// The date so many days from the beginning of 1970: years that begin in March, in eras of 400
/// ([Hinnant](https://howardhinnant.github.io/date_algorithms.html#civil_from_days)).
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (days, date_of) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (11_017, (2000, 3, 1)),
            (19_782, (2024, 2, 29)),
            (-719_528, (0, 1, 1)),
            (-25_509, (1900, 2, 28)),
            (-25_508, (1900, 3, 1)),
            (20_779, (2026, 11, 22)),
        ] {
            assert_eq!(date(days), date_of, "{days}");
        }
        // However far: an instant has 64 bits of seconds.
        Timestamp {
            seconds: i64::MIN,
            nanos: 0,
        }
        .to_string();
        Timestamp {
            seconds: i64::MAX,
            nanos: u32::MAX,
        }
        .to_string();
    }
}
