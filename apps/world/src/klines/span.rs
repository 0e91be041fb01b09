//! Which part of a file is replayed: times that a user names, and the day before them to warm up.

use std::fmt;

use super::{Gap, Kline, KlineFile, gaps_between};
use crate::{DAY_MS, MINUTE_MS, SECOND_MS};

/// From when until when, UTC. The end is exclusive, also where a day is named: from `2021-05-19` to `2021-05-20` is one
/// day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First minute, Unix milliseconds; none for the first of the file.
    pub from_ms: Option<u64>,
    /// The minute behind the last, Unix milliseconds; none for the end of the file.
    pub to_ms: Option<u64>,
}

/// The part of a file that a span names, and what comes before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection<'a> {
    minutes: &'a [Kline],
    warm_up_count: usize,
}

impl<'a> Selection<'a> {
    /// Minutes before the named time, at most a day of them: for averages and volatility, not for the report. Fewer, or
    /// none, where the file begins later.
    #[must_use]
    pub fn warm_up(&self) -> &'a [Kline] {
        &self.minutes[..self.warm_up_count]
    }

    /// Minutes of the named time.
    #[must_use]
    pub fn named(&self) -> &'a [Kline] {
        &self.minutes[self.warm_up_count..]
    }

    /// Both, one after the other.
    #[must_use]
    pub const fn minutes(&self) -> &'a [Kline] {
        self.minutes
    }

    /// What is missing between the first and the last of them.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        gaps_between(self.minutes)
    }

    /// Whether the warm-up begins a whole day before the named time.
    #[must_use]
    pub fn has_whole_warm_up(&self) -> bool {
        let starts = |minutes: &[Kline]| minutes.first().map(|minute| minute.open_time_ms);
        match (starts(self.minutes), starts(self.named())) {
            (Some(warm_up_ms), Some(named_ms)) => warm_up_ms + DAY_MS <= named_ms,
            _ => false,
        }
    }
}

impl KlineFile {
    /// The minutes that a span names, and at most a day before them.
    ///
    /// # Errors
    /// The span is empty, or not all of it lies within the file's first and last minute. A gap inside is no error, but a
    /// span that lies in a gap altogether is.
    pub fn select(&self, span: Span) -> Result<Selection<'_>, SpanError> {
        let (start_ms, end_ms) = (self.start_ms(), self.end_ms());
        let (from_ms, to_ms) = (span.from_ms.unwrap_or(start_ms), span.to_ms.unwrap_or(end_ms));
        if from_ms >= to_ms && span.from_ms.is_some() && span.to_ms.is_some() {
            return Err(SpanError::Empty { from_ms, to_ms });
        }
        if from_ms < start_ms || to_ms > end_ms || from_ms >= to_ms {
            return Err(SpanError::OutsideFile { from_ms, to_ms, start_ms, end_ms });
        }
        let index_at = |time_ms| self.minutes.partition_point(|minute| minute.open_time_ms < time_ms);
        let (first, end) = (index_at(from_ms), index_at(to_ms));
        if first == end {
            return Err(SpanError::InGap { from_ms, to_ms });
        }
        let warm_up_first = index_at(from_ms.saturating_sub(DAY_MS));
        Ok(Selection { minutes: &self.minutes[warm_up_first..end], warm_up_count: first - warm_up_first })
    }
}

/// A time that a user names: `YYYY-MM-DD`, the start of that day, or RFC 3339 such as `2021-05-19T12:30:00Z`. UTC, on a
/// whole minute. Gives Unix milliseconds.
///
/// # Errors
/// Another form, another offset than UTC's, a date that does not exist or lies before 1970, or a time between two minutes.
pub fn parse_utc(text: &str) -> Result<u64, SpanError> {
    let not_a_time = || SpanError::NotATime { found: super::problem::shown(text.as_bytes()) };
    let date = text.get(..10).ok_or_else(not_a_time)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2]).ok_or_else(not_a_time)?;
    let day_ms = days_since_1970(year, month, day).ok_or_else(not_a_time)? * DAY_MS;
    let Some(behind) = text.get(10..).filter(|behind| !behind.is_empty()) else {
        return Ok(day_ms);
    };
    let time = behind.strip_prefix(['T', 't']).ok_or_else(not_a_time)?;
    let clock = time.get(..8).ok_or_else(not_a_time)?;
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2]).ok_or_else(not_a_time)?;
    if hour > 23 || minute > 59 || second > 59 {
        return Err(not_a_time());
    }
    let offset = time.get(8..).ok_or_else(not_a_time)?;
    let (fraction_is_zero, offset) = match offset.strip_prefix('.') {
        None => (true, offset),
        Some(rest) => {
            let end = rest.find(|character: char| !character.is_ascii_digit()).filter(|end| *end > 0);
            let (fraction, offset) = rest.split_at(end.ok_or_else(not_a_time)?);
            (fraction.bytes().all(|digit| digit == b'0'), offset)
        }
    };
    match offset {
        "Z" | "z" | "+00:00" | "-00:00" => {}
        _ if offset.starts_with(['+', '-']) => return Err(SpanError::NotUtc { found: text.to_owned() }),
        _ => return Err(not_a_time()),
    }
    if second != 0 || !fraction_is_zero {
        return Err(SpanError::NotOnMinute { found: text.to_owned() });
    }
    Ok(day_ms + (hour * 60 + minute) * MINUTE_MS)
}

/// Three numbers of digits alone, each of its width.
fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut found = [0; 3];
    for (slot, width) in found.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(found)
}

/// None for a date that the Gregorian calendar does not have, or before 1970.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    let leap_days = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let whole_years = (year - 1970) * 365 + leap_days(year) - leap_days(1970);
    Some(whole_years + (1..month).map(|month| days_of_month(year, month)).sum::<u64>() + day - 1)
}

const fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `2021-05-19T13:10:00Z`: what a user can give back as a time. Milliseconds are left out.
#[must_use]
pub fn utc_text(time_ms: u64) -> String {
    let (mut days, seconds) = (time_ms / DAY_MS, time_ms % DAY_MS / SECOND_MS);
    // Four centuries always have the same days, so only what is left of one is counted year by year.
    let (mut year, mut month) = (1970 + 400 * (days / DAYS_OF_400_YEARS), 1);
    days %= DAYS_OF_400_YEARS;
    let days_of_year = |year| 337 + days_of_month(year, 2);
    while days >= days_of_year(year) {
        days -= days_of_year(year);
        year += 1;
    }
    while days >= days_of_month(year, month) {
        days -= days_of_month(year, month);
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

const DAYS_OF_400_YEARS: u64 = 146_097;

/// Why a named time cannot be replayed. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpanError {
    /// Not a time of a known form, or one that does not exist.
    NotATime {
        /// What was given.
        found: String,
    },
    /// A time with another offset than UTC's.
    NotUtc {
        /// What was given.
        found: String,
    },
    /// A time between two minutes.
    NotOnMinute {
        /// What was given.
        found: String,
    },
    /// The end is not behind the start.
    Empty {
        /// Start.
        from_ms: u64,
        /// End.
        to_ms: u64,
    },
    /// The file does not have all of it.
    OutsideFile {
        /// Start of what was asked for.
        from_ms: u64,
        /// Its end.
        to_ms: u64,
        /// Where the file starts.
        start_ms: u64,
        /// Where it ends.
        end_ms: u64,
    },
    /// The file has no minute of it, though it has some before and behind.
    InGap {
        /// Start.
        from_ms: u64,
        /// End.
        to_ms: u64,
    },
}

impl SpanError {
    /// What the user can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NotATime { .. } => "write a day such as `2021-05-19`, or a time such as `2021-05-19T12:30:00Z`",
            Self::NotUtc { .. } => "give the time in UTC, with `Z` at its end",
            Self::NotOnMinute { .. } => "candles are minutes: give a time with `:00` seconds",
            Self::Empty { .. } => "the end is exclusive: for one day, name the next day as the end",
            Self::OutsideFile { .. } => "choose times that the file has, or name the file that has them",
            Self::InGap { .. } => "the market was out; choose a longer time",
        }
    }
}

impl fmt::Display for SpanError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotATime { found } => write!(formatter, "`{found}` is not a time"),
            Self::NotUtc { found } => write!(formatter, "`{found}` is not in UTC"),
            Self::NotOnMinute { found } => write!(formatter, "`{found}` is between two minutes"),
            Self::Empty { from_ms, to_ms } => {
                write!(formatter, "nothing lies from `{}` to `{}`", utc_text(*from_ms), utc_text(*to_ms))
            }
            Self::OutsideFile { from_ms, to_ms, start_ms, end_ms } => {
                let [from, to, start, end] = [from_ms, to_ms, start_ms, end_ms].map(|time_ms| utc_text(*time_ms));
                write!(formatter, "asked for `{from}` to `{to}`, but the file has `{start}` to `{end}`")
            }
            Self::InGap { from_ms, to_ms } => {
                let (from, to) = (utc_text(*from_ms), utc_text(*to_ms));
                write!(formatter, "the file has no minute from `{from}` to `{to}`")
            }
        }
    }
}

impl std::error::Error for SpanError {}
