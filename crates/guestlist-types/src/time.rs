//! Time: microseconds since 1970, UTC.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

/// A point in time: microseconds since 1970-01-01 00:00 UTC.
///
/// In JSON it is RFC 3339 text (`2026-11-22T09:30:00.000000Z`); stores keep the number. Nothing in
/// guestlist reads a clock below the facade: `now` is always an argument.
///
/// ```
/// # use guestlist_types::Timestamp;
/// # use core::time::Duration;
/// let now = Timestamp::from_micros(0);
/// let later = now + Duration::from_secs(60);
/// assert!(later.is_after(now));
/// assert_eq!(later.to_string(), "1970-01-01T00:01:00.000000Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Why a text is no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time: expected RFC 3339 in UTC, for example `2026-11-22T09:30:00Z`")]
pub struct TimestampError;

impl TimestampError {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "time-malformed"
    }
}

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

impl Timestamp {
    /// The earliest time that can be told.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest time that can be told.
    pub const MAX: Self = Self(i64::MAX);

    /// The time this many microseconds after 1970.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whether something that ends at `expires_at` is still valid now: intervals are half-open, so
    /// it is iff `now < expires_at`; what has no end always is. The one place of this comparison.
    #[must_use]
    pub fn is_before_end(self, expires_at: Option<Self>) -> bool {
        expires_at.is_none_or(|end| self < end)
    }

    /// Whether this time is strictly later than `other`.
    #[must_use]
    pub const fn is_after(self, other: Self) -> bool {
        self.0 > other.0
    }

    /// The time since `earlier`, or zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let micros = i128::from(self.0) - i128::from(earlier.0);
        Duration::from_micros(u64::try_from(micros.max(0)).unwrap_or(u64::MAX))
    }
}

impl core::ops::Add<Duration> for Timestamp {
    type Output = Self;
    /// Later by `duration`; stops at [`Timestamp::MAX`].
    fn add(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// Days since 1970 of a date in the proleptic Gregorian calendar, and back; eras of 400 years.
fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

fn date_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(MICROS_PER_SECOND);
        let micros = self.0.rem_euclid(MICROS_PER_SECOND);
        let (year, month, day) = date_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let second = seconds.rem_euclid(SECONDS_PER_DAY);
        if (0..=9999).contains(&year) {
            write!(f, "{year:04}")?;
        } else {
            // Outside of RFC 3339: an explicit sign and six digits, as ISO 8601 allows.
            write!(f, "{year:+07}")?;
        }
        write!(
            f,
            "-{month:02}-{day:02}T{:02}:{:02}:{:02}.{micros:06}Z",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse_rfc3339(text).ok_or(TimestampError)
    }
}

fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let (year, rest) = if text.starts_with(['+', '-']) {
        (text.get(..7)?, text.get(7..)?)
    } else {
        (text.get(..4)?, text.get(4..)?)
    };
    let number = |part: Option<&str>| {
        part.filter(|p| p.bytes().all(|b| b.is_ascii_digit()))?
            .parse::<i64>()
            .ok()
    };
    let year: i64 = year.parse().ok()?;
    let bytes = rest.as_bytes();
    if bytes.len() < 16
        || [bytes[0], bytes[3], bytes[9], bytes[12]] != [b'-', b'-', b':', b':']
        || !matches!(bytes[6], b'T' | b't')
    {
        return None;
    }
    let (month, day) = (number(rest.get(1..3))?, number(rest.get(4..6))?);
    let (hour, minute) = (number(rest.get(7..9))?, number(rest.get(10..12))?);
    let second = number(rest.get(13..15))?;
    let fraction = rest.get(15..)?.strip_suffix(['Z', 'z'])?;
    let micros = match fraction.strip_prefix('.') {
        None if fraction.is_empty() => 0,
        Some(digits) if (1..=9).contains(&digits.len()) => {
            let padded = format!("{digits:0<6}");
            number(padded.get(..6)).filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))?
        }
        _ => return None,
    };
    let days = days_from_date(year, month, day);
    if date_from_days(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
    let micros = i128::from(seconds) * i128::from(MICROS_PER_SECOND) + i128::from(micros);
    i64::try_from(micros).ok().map(Timestamp)
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Timestamp;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an RFC 3339 time in UTC")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(Visitor)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::arb_timestamp;

    #[test]
    fn known_times() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_795_339_800_123_456, "2026-11-22T09:30:00.123456Z"),
            (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp::from_micros(micros)));
        }
    }

    #[test]
    fn times_are_written_in_several_ways() {
        let parsed = |text: &str| text.parse().map(Timestamp::as_micros);
        for (text, fraction) in [
            ("2026-11-22T09:30:00Z", 0),
            ("2026-11-22t09:30:00z", 0),
            ("+002026-11-22T09:30:00Z", 0),
            ("2026-11-22T09:30:00.5Z", 500_000),
            ("2026-11-22T09:30:00.000001Z", 1),
            ("2026-11-22T09:30:00.123456789Z", 123_456),
        ] {
            assert_eq!(parsed(text), Ok(1_795_339_800_000_000 + fraction), "{text}");
        }
        for (text, micros) in [
            ("0000-01-01T00:00:00Z", -62_167_219_200_000_000),
            ("-000001-12-31T23:59:59Z", -62_167_219_201_000_000),
            ("+010000-01-01T00:00:00Z", 253_402_300_800_000_000),
            ("+294247-01-10T04:00:54.775807Z", i64::MAX),
            ("-290308-12-21T19:59:05.224192Z", i64::MIN),
        ] {
            assert_eq!(parsed(text), Ok(micros), "{text}");
        }
        for (text, micros) in [
            ("0000-01-01T00:00:00.000000Z", -62_167_219_200_000_000),
            ("-000001-12-31T23:59:59.000000Z", -62_167_219_201_000_000),
            ("+010000-01-01T00:00:00.000000Z", 253_402_300_800_000_000),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "x",
            "2026",
            "+002026",
            "202\u{e9}-11-22T09:30:00Z",
            "20x6-11-22T09:30:00Z",
            "2+26-11-22T09:30:00Z",
            "+2026-11-22T09:30:00Z",
            "+-02026-11-22T09:30:00Z",
            "2026-02-29T00:00:00Z",
            "2026-00-22T09:30:00Z",
            "2026-13-22T09:30:00Z",
            "2026-11-00T09:30:00Z",
            "2026-11-31T09:30:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T09:60:00Z",
            "2026-11-22T09:30:60Z",
            "2026-+1-22T09:30:00Z",
            "2026-11-\u{e9}T09:30:00Z",
            "2026/11-22T09:30:00Z",
            "2026-11/22T09:30:00Z",
            "2026-11-22 09:30:00Z",
            "2026-11-22T09.30:00Z",
            "2026-11-22T09:30.00Z",
            "2026-11-22T09:30Z",
            "2026-11-22T09:30:00",
            "2026-11-22T09:30:00ZZ",
            "2026-11-22T09:30:00+01:00",
            "2026-11-22T09:30:00.Z",
            "2026-11-22T09:30:00,5Z",
            "2026-11-22T09:30:00.+5Z",
            "2026-11-22T09:30:00.12345678xZ",
            "2026-11-22T09:30:00.0123456789Z",
            "2026-11-22T09:30:00.\u{e9}Z",
            "+294247-01-10T04:00:54.775808Z",
            "-290308-12-21T19:59:05.224191Z",
            "+999999-12-31T23:59:59Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(TimestampError), "{text:?}");
        }
        let huge = format!("2026-11-22T09:30:00.{}Z", "0".repeat(1 << 20));
        assert_eq!(huge.parse::<Timestamp>(), Err(TimestampError));
        assert_eq!(TimestampError.code(), "time-malformed");
    }

    /// Goes through more than 400 years, after which the calendar repeats itself, as people do: by
    /// the lengths of months.
    #[test]
    fn every_day_has_its_date() {
        let (mut year, mut month, mut day) = (1599, 12, 31);
        for number in -135_141..=days_from_date(2401, 1, 1) {
            assert_eq!(date_from_days(number), (year, month, day));
            assert_eq!(days_from_date(year, month, day), number);
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let last = match month {
                2 => 28 + i64::from(is_leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!((year, month, day), (2401, 1, 2));
    }

    #[test]
    fn both_forms_are_pinned() {
        let time = Timestamp::from_micros(1_795_339_800_123_456);
        let json = "\"2026-11-22T09:30:00.123456Z\"";
        assert_eq!(serde_json::to_string(&time).unwrap(), json);
        assert_eq!(serde_json::from_str::<Timestamp>(json).unwrap(), time);
        let debug = format!("{time:?}");
        assert_eq!(debug, "Timestamp(2026-11-22T09:30:00.123456Z)");
        let bytes = postcard::to_stdvec(&1_795_339_800_123_456_i64).unwrap();
        assert_eq!(postcard::to_stdvec(&time).unwrap(), bytes);
        assert_eq!(postcard::from_bytes::<Timestamp>(&bytes).unwrap(), time);
        assert!(serde_json::from_str::<Timestamp>("\"yesterday\"").is_err());
        let refused = serde_json::from_str::<Timestamp>("7").unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("expected an RFC 3339 time in UTC")
        );
    }

    #[test]
    fn differences_stop_at_nothing_and_at_the_end() {
        let at = Timestamp::from_micros;
        for (earlier, later, micros) in [(0, 0, 0), (3, 10, 7), (-3, 10, 13), (-10, -3, 7)] {
            let (earlier, later) = (at(earlier), at(later));
            let difference = Duration::from_micros(micros);
            assert_eq!(later.since(earlier), difference);
            assert_eq!(earlier + difference, later);
            assert_eq!(earlier.since(later), Duration::ZERO);
            assert_eq!(later.is_after(earlier), micros > 0);
            assert!(!earlier.is_after(later));
        }
        let all = Duration::from_micros(u64::MAX);
        assert_eq!(Timestamp::MAX.since(Timestamp::MIN), all);
        assert_eq!(Timestamp::MAX + Duration::from_micros(1), Timestamp::MAX);
        assert_eq!(at(0) + all, Timestamp::MAX);
    }

    #[test]
    fn ends_are_half_open() {
        let at = Timestamp::from_micros;
        assert!(at(9).is_before_end(Some(at(10))));
        assert!(!at(10).is_before_end(Some(at(10))));
        assert!(Timestamp::MAX.is_before_end(None));
        assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
    }

    proptest! {
        #[test]
        fn every_time_prints_and_parses(time in arb_timestamp()) {
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn no_text_panics(text in "[-+0-9TZz:. ]{0,40}") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
