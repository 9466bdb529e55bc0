//! Points in the story's time. No clock is read: the same story always has the same times.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// 2025-09-01T00:00:00Z, the day the story begins.
const BEGINNING: i64 = 1_756_684_800_000;

/// The time zone of the team's laptop: the old extension put local time into names.
const HOURS_FROM_UTC: i8 = 2;

/// A point in time, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i64);

impl Moment {
    /// Returns a time in the story: day 0 is its first day, and the seconds are arbitrary.
    pub(super) fn new(day: i64, hour: i64, minute: i64) -> Moment {
        let odd = (day * 7_919 + hour * 1_049 + minute * 12_347 + 4_217).rem_euclid(60_000);
        Moment(BEGINNING + ((day * 24 + hour) * 60 + minute) * 60_000 + odd)
    }

    /// Returns the time some seconds later, plus a fraction.
    pub(super) fn later(self, seconds: i64) -> Moment {
        let odd = (self.0 / 7 + seconds * 131).rem_euclid(997);
        self.plus_millis(seconds * 1_000 + odd)
    }

    pub(super) fn plus_millis(self, millis: i64) -> Moment {
        Moment(self.0 + millis)
    }

    pub(super) fn millis(self) -> i64 {
        self.0
    }

    /// Returns what `Date.toISOString` gives.
    pub(super) fn iso(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// Returns the form used in file names.
    pub(super) fn stamp(self) -> String {
        self.iso().replace([':', '.'], "-")
    }

    /// Returns what `Date.toLocaleString` gives on an American English host.
    pub(super) fn local(self) -> String {
        let zone = TimeZone::fixed(Offset::constant(HOURS_FROM_UTC));
        self.timestamp().to_zoned(zone).strftime("%-m/%-d/%Y, %-I:%M:%S %p").to_string()
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).expect("the story's moments lie in the years that jiff knows")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_each_of_its_forms() {
        let moment = Moment(1_756_735_504_007);
        assert_eq!(moment.iso(), "2025-09-01T14:05:04.007Z");
        assert_eq!(moment.stamp(), "2025-09-01T14-05-04-007Z");
        assert_eq!(moment.local(), "9/1/2025, 4:05:04 PM");
    }

    #[test]
    fn days_begin_with_the_story() {
        assert!(Moment::new(0, 9, 30).iso().starts_with("2025-09-01T09:30:"));
        assert!(Moment::new(-1, 0, 0).iso().starts_with("2025-08-31T00:00:"));
    }

    #[test]
    fn later_is_later_by_at_least_the_seconds() {
        let moment = Moment::new(1, 2, 3);
        assert!((10_000..11_000).contains(&(moment.later(10).millis() - moment.millis())));
    }
}
