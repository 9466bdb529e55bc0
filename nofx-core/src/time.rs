//! Times, and the one owner of "now".

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds in a day.
const DAY: i64 = 86_400_000;

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
///
/// Every `i64` is a valid moment, including those before 1970 and after 9999. Times come from the writer's clock.
/// Lists for people are sorted by them and a cleanup goes by them, but entries are ordered by position and records are
/// versioned by seq, never by a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Creates a moment from milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the moment `duration` later, or the last one representable.
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the moment `duration` earlier, or the first one representable.
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Parses an ISO 8601 date and time with an offset or `Z`, as JavaScript and people write them.
    ///
    /// Years beyond 9999 use JavaScript's form with a sign and six digits. Digits beyond milliseconds are dropped.
    /// Anything else is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(usual) = parse_usual(text) {
            return Some(usual);
        }
        let parsed: jiff::Timestamp = match text.parse() {
            Ok(parsed) => parsed,
            Err(_) => return parse_far(text),
        };
        Some(Self(parsed.as_nanosecond().div_euclid(1_000_000).try_into().ok()?))
    }
}

/// Writes ISO 8601 in UTC with milliseconds, as JavaScript's `toISOString` does, whatever the year.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, millis) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute) = (millis / 3_600_000, millis / 60_000 % 60);
        let (second, milli) = (millis / 1000 % 60, millis % 1000);
        if !(0..=9999).contains(&year) {
            let sign = if year < 0 { '-' } else { '+' };
            let year = year.unsigned_abs();
            return write!(f, "{sign}{year:06}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z");
        }
        // Every message has a time: formatting its parts one by one took a tenth of the addon's time to read a history.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (end, mut number) in [(4, year), (7, month), (10, day), (13, hour), (16, minute), (19, second), (23, milli)]
        {
            let mut at = end;
            while number > 0 {
                at -= 1;
                text[at] += (number % 10) as u8;
                number /= 10;
            }
        }
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Parses what [`Timestamp`] writes for years up to 9999: nearly all times have that form, and every message has one.
fn parse_usual(text: &str) -> Option<Timestamp> {
    let bytes: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let number = |from: usize, to: usize| {
        let mut number = 0;
        for byte in bytes.get(from..to)? {
            number = number * 10 + i64::from(byte.checked_sub(b'0').filter(|digit| *digit < 10)?);
        }
        Some(number)
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
    if separators.iter().any(|(at, separator)| bytes[*at] != *separator) {
        return None;
    }
    let date = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second, milli) = (number(11, 13)?, number(14, 16)?, number(17, 19)?, number(20, 23)?);
    let days = days_from_civil(date.0, date.1, date.2);
    let exists = civil_from_days(days) == date && hour < 24 && minute < 60 && second < 60;
    exists.then_some(Timestamp(days * DAY + ((hour * 60 + minute) * 60 + second) * 1000 + milli))
}

/// Parses years outside the range of the ordinary parser: `YYYY-…` or JavaScript's `±YYYYYY-…`.
fn parse_far(text: &str) -> Option<Timestamp> {
    let signed = matches!(text.as_bytes().first()?, b'+' | b'-');
    let (year, rest) = text.split_at_checked(if signed { 7 } else { 4 })?;
    let year: i64 = year.parse().ok()?;
    // The ordinary parser checks the rest of the date, in a leap year so that 29 February passes.
    let rest: jiff::Timestamp = format!("2000{rest}").parse().ok()?;
    let in_2000 = i64::try_from(rest.as_nanosecond().div_euclid(1_000_000)).ok()?;
    let (days, millis) = (in_2000.div_euclid(DAY), in_2000.rem_euclid(DAY));
    let (_, month, day) = civil_from_days(days);
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    Some(Timestamp(days.checked_mul(DAY)?.checked_add(millis)?))
}

/// Returns year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar.
///
/// Years are counted from March in cycles of 400 years, so that the leap day is the last one of its year.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (cycle, day_of_cycle) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_cycle + cycle * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (cycle, year_of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    cycle * 146_097 + year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year - 719_468
}

/// A source of the current time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the current time. It may go backwards, because a machine's clock can be set.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one owner of time")]
    fn now(&self) -> Timestamp {
        let millis = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
        };
        Timestamp(millis)
    }
}

/// A clock that stands still until it is moved, for tests.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Creates a clock that shows `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Sets the clock, forwards or back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves the clock forwards.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().saturating_add(duration));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// The end of a bounded wait, measured by a monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    started: Instant,
    wait: Duration,
}

impl Deadline {
    /// Starts a wait of at most `wait`.
    #[expect(clippy::disallowed_methods, reason = "this is the one owner of time")]
    pub fn after(wait: Duration) -> Self {
        Self { started: Instant::now(), wait }
    }

    /// Returns how long the wait has lasted so far.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the time left; zero when the wait is over.
    pub fn remaining(&self) -> Duration {
        self.wait.saturating_sub(self.elapsed())
    }

    /// Returns whether the wait is over.
    pub fn has_passed(&self) -> bool {
        self.remaining().is_zero()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(millis: i64) -> String {
        Timestamp::from_millis(millis).to_string()
    }

    #[test]
    fn times_are_written_as_javascript_writes_them() {
        assert_eq!(shown(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(shown(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(shown(1_757_341_277_345), "2025-09-08T14:21:17.345Z");
        assert_eq!(shown(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
        assert_eq!(shown(253_402_300_800_000), "+010000-01-01T00:00:00.000Z");
        assert_eq!(shown(8_640_000_000_000_000), "+275760-09-13T00:00:00.000Z");
        assert_eq!(shown(-8_640_000_000_000_000), "-271821-04-20T00:00:00.000Z");
    }

    #[test]
    fn what_is_written_is_read_back() {
        for millis in [
            0,
            -1,
            951_782_400_000,
            1_757_341_277_345,
            253_402_300_799_999,
            253_402_300_800_000,
            8_640_000_000_000_000,
            -8_640_000_000_000_000,
            -62_167_219_200_001,
        ] {
            assert_eq!(Timestamp::parse(&shown(millis)), Some(Timestamp(millis)), "{}", shown(millis));
        }
    }

    #[test]
    fn the_usual_form_is_read_as_any_other() {
        for month in 0..14 {
            for day in 0..33 {
                for rest in ["00:00:00.000Z", "23:59:59.999Z", "24:00:00.000Z", "12:60:00.000Z", "12:00:61.000Z"] {
                    for year in ["0000", "0004", "1900", "1970", "2000", "2024", "2025", "9999"] {
                        let usual = format!("{year}-{month:02}-{day:02}T{rest}");
                        let other = usual.parse::<jiff::Timestamp>().map(|time| Timestamp(time.as_millisecond()));
                        assert_eq!(parse_usual(&usual), other.ok().or_else(|| parse_far(&usual)), "{usual}");
                    }
                }
            }
        }
        for unusual in [
            "2025-09-08T10:00:00.00xZ",
            "2025-09-08t10:00:00.000Z",
            "2025-09-08T10:00:00,000Z",
            "+025-09-08T10:00:00.000Z",
        ] {
            assert_eq!(parse_usual(unusual), None, "{unusual}");
        }
    }

    #[test]
    fn offsets_and_fractions_are_understood_and_nonsense_is_not() {
        assert_eq!(Timestamp::parse("2025-09-08T16:21:17.345678+02:00"), Some(Timestamp(1_757_341_277_345)));
        for nonsense in ["", "yesterday", "2025-13-01T00:00:00Z", "+0100000", "+010000-02-30T00:00:00.000Z"] {
            assert_eq!(Timestamp::parse(nonsense), None, "{nonsense}");
        }
        assert_eq!(Timestamp::parse("+010001-02-29T00:00:00.000Z"), None, "10001 is no leap year");
    }
}
