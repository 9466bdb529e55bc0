//! Times and durations as people write them.

use std::time::Duration;

use nofx_core::Timestamp;

/// The seconds in a minute, an hour and a day.
const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A time given on the command line: absolute, or as how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeArg {
    At(Timestamp),
    Ago(Duration),
}

impl TimeArg {
    /// Parses `2h`, `2025-07-01` or `2025-07-01T10:00:00Z`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
        match span(text) {
            Ok(span) => Ok(Self::Ago(span)),
            Err(_) => Timestamp::parse(text).or_else(day).map(Self::At).ok_or_else(|| {
                "give how long ago, such as `30m`, `2h` or `7d`, or a date, such as `2025-07-01` or `2025-07-01T10:00:00Z`"
                    .into()
            }),
        }
    }

    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => now.saturating_sub(span),
        }
    }
}

/// Parses a duration: a number and one of `s`, `m`, `h`, `d`, `w`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let read = || {
        let at = text.find(|symbol: char| !symbol.is_ascii_digit())?;
        let (number, unit) = text.split_at(at);
        let seconds: u64 = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            "w" => 7 * 86_400,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
    };
    read().ok_or_else(|| "give a number and a unit, such as `30m`, `2h`, `7d` or `4w`".to_owned())
}

/// Formats a time relative to now: how long ago it was, or how soon it will be.
pub(crate) fn relative(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_millis().saturating_sub(time.as_millis()) / 1000;
    // Times in the future are rounded: five hours must not become four after one second.
    let count = |distance: i64, unit: i64| if seconds < 0 { (distance + unit / 2 - 1) / unit } else { distance / unit };
    let phrase = match seconds.abs() {
        distance if distance < MINUTE => return "now".to_owned(),
        distance if distance < HOUR => format!("{} min", count(distance, MINUTE)),
        distance if distance < DAY => format!("{} h", count(distance, HOUR)),
        distance if distance < 365 * DAY => format!("{} d", count(distance, DAY)),
        _ => return date(time),
    };
    if seconds < 0 { format!("in {phrase}") } else { format!("{phrase} ago") }
}

/// Formats the date of a time, in UTC.
pub(crate) fn date(time: Timestamp) -> String {
    let text = time.to_string();
    text.split_once('T').map_or(text.clone(), |(date, _)| date.to_owned())
}

/// Formats the hour and minute of a time, in UTC.
pub(crate) fn clock(time: Timestamp) -> String {
    let text = time.to_string();
    text.split_once('T').and_then(|(_, clock)| clock.get(..5)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_by_their_distance() {
        let now = Timestamp::parse("2025-07-01T10:00:00Z").unwrap();
        for (time, phrase) in [
            ("2025-07-01T09:59:30Z", "now"),
            ("2025-07-01T10:00:30Z", "now"),
            ("2025-07-01T09:15:00Z", "45 min ago"),
            ("2025-07-01T12:30:00Z", "in 2 h"),
            ("2025-07-01T14:59:58Z", "in 5 h"),
            ("2025-06-30T09:00:00Z", "1 d ago"),
            ("2024-01-30T09:00:00Z", "2024-01-30"),
            ("2031-01-30T09:00:00Z", "2031-01-30"),
            ("+012025-01-30T09:00:00.000Z", "+012025-01-30"),
        ] {
            assert_eq!(relative(Timestamp::parse(time).unwrap(), now), phrase, "{time}");
        }
        // As far apart as possible, both ways.
        let (first, last) = (Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX));
        assert!(relative(first, last).starts_with('-') && relative(last, first).starts_with('+'));
    }

    #[test]
    fn moments_are_named_in_three_ways() {
        let now = Timestamp::parse("2025-07-01T10:00:00Z").unwrap();
        for (text, time) in [
            ("2h", "2025-07-01T08:00:00.000Z"),
            ("1w", "2025-06-24T10:00:00.000Z"),
            ("2025-06-30", "2025-06-30T00:00:00.000Z"),
            ("2025-06-30T10:00:00+02:00", "2025-06-30T08:00:00.000Z"),
        ] {
            assert_eq!(TimeArg::parse(text).unwrap().before(now).to_string(), time);
        }
        for wrong in ["", "h", "2", "2 h", "-2h", "yesterday", "99999999999999999999d"] {
            assert!(TimeArg::parse(wrong).is_err(), "{wrong}");
        }
    }
}
