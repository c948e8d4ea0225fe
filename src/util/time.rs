//! Days and times of day.

use std::fmt;

/// A moment as the calendar and the clock give it, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UtcTime {
    /// The year of the Gregorian calendar.
    pub year: u64,
    /// The month, from 1 to 12.
    pub month: u64,
    /// The day of the month, from 1.
    pub day: u64,
    /// The hour, from 0 to 23.
    pub hour: u64,
    /// The minute, from 0 to 59.
    pub minute: u64,
    /// The second, from 0 to 59.
    pub second: u64,
}

impl UtcTime {
    /// The moment `seconds` after the beginning of 1970, without leap seconds, as Unix counts.
    ///
    /// ```
    /// use ploopconv::util::time::UtcTime;
    /// let time = UtcTime::from_unix(951_782_400);
    /// assert_eq!((time.year, time.month, time.day), (2000, 2, 29));
    /// ```
    #[must_use]
    pub fn from_unix(seconds: u64) -> Self {
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        // Years that begin in March put the day that may be missing last; 400 of them are an era.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 {
            (month + 3, 0)
        } else {
            (month - 9, 1)
        };
        Self {
            year: era * 400 + year + next,
            month,
            day,
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
        }
    }
}

/// A moment as ISO 8601 writes it, to the second and in UTC: `seconds` after the beginning of 1970,
/// or before it where they are negative.
///
/// ```
/// use ploopconv::util::time::iso;
/// assert_eq!(iso(951_782_400), "2000-02-29T00:00:00Z");
/// assert_eq!(iso(-1), "1969-12-31T23:59:59Z");
/// ```
#[must_use]
pub fn iso(seconds: i64) -> String {
    /// The calendar repeats after 400 years.
    const ERA: i64 = 146_097 * 86_400;
    let time = UtcTime::from_unix(seconds.rem_euclid(ERA).unsigned_abs());
    let year = i128::from(time.year) + 400 * i128::from(seconds.div_euclid(ERA));
    let UtcTime {
        month,
        day,
        hour,
        minute,
        second,
        ..
    } = time;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// As ISO 8601 writes it.
impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::UtcTime;
    use super::iso;

    #[test]
    fn times_of_ext4_and_the_strangest_have_a_date() {
        // As `date -u -d @SECONDS` says.
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (-2_147_483_648, "1901-12-13T20:45:52Z"),
            (15_032_385_535, "2446-05-10T22:38:55Z"),
            (1_764_335_227, "2025-11-28T13:07:07Z"),
            (-62_135_596_800, "0001-01-01T00:00:00Z"),
        ] {
            assert_eq!(iso(seconds), date);
        }
        assert!(iso(i64::MIN).starts_with("-292277022657-"));
    }

    #[test]
    fn times_are_those_of_date() {
        // date -u -d @SECONDS +%FT%TZ
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_409_999, "2026-11-23T04:59:59Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(UtcTime::from_unix(seconds).to_string(), text);
        }
    }
}
