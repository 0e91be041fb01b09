//! What is wrong with a file of candles, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::span::utc_text;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KlineFileError {
    path: PathBuf,
    line: Option<u64>,
    column: Option<&'static str>,
    problem: KlineProblem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KlineProblem {
    /// The operating system said no.
    CannotRead(String),
    /// The compressed data stops in the middle.
    CompressedDataEnds,
    /// The compressed data does not decompress.
    CompressedDataDamaged(String),
    /// There is no row: nothing, or a header alone.
    NoRows,
    /// More minutes are missing than there.
    NotMinutes {
        /// Minutes in the file.
        there: u64,
        /// Minutes from the first to the last.
        spanned: u64,
    },
    /// The line is longer than any row.
    LineTooLong,
    /// The line is not UTF-8.
    NotText {
        /// What stands there.
        found: String,
    },
    /// The first line is neither a row nor a header of this format.
    UnknownHeader {
        /// What stands there.
        found: String,
    },
    /// Columns are missing or left over.
    ColumnCount {
        /// How many there are.
        count: usize,
        /// How many the first line has; none if this is the first.
        expected: Option<usize>,
    },
    /// Not a plain decimal number where one is needed.
    NotANumber {
        /// What stands there.
        found: String,
    },
    /// A number below zero.
    Negative {
        /// What stands there.
        found: String,
    },
    /// A number too large to count with.
    TooLarge {
        /// What stands there.
        found: String,
    },
    /// A price that is zero, or so small that it rounds to zero.
    PriceNotPositive,
    /// A price above the highest one.
    PriceTooHigh,
    /// The lowest price is above the highest.
    LowAboveHigh,
    /// A price that is not between the lowest and the highest.
    OutsideRange {
        /// Which.
        what: &'static str,
    },
    /// The time is not the start of a minute.
    NotOnMinute {
        /// The time, as the file has it.
        found: String,
    },
    /// The end of the minute is not where its start puts it.
    CloseTime {
        /// What stands there.
        found: u64,
        /// What belongs there.
        expected: u64,
    },
    /// The minute was there before.
    Duplicate {
        /// When it begins, Unix milliseconds.
        time_ms: u64,
    },
    /// The minute is earlier than the one before it.
    OutOfOrder {
        /// When it begins, Unix milliseconds.
        time_ms: u64,
        /// When the one before begins, Unix milliseconds.
        before_ms: u64,
    },
}

impl KlineFileError {
    pub(super) fn new(path: &Path, line: Option<u64>, column: Option<&'static str>, problem: KlineProblem) -> Self {
        Self { path: path.to_path_buf(), line, column, problem }
    }

    /// The line, from 1, where there is one to name.
    #[must_use]
    pub const fn line(&self) -> Option<u64> {
        self.line
    }

    /// The column, where the problem lies in one.
    #[must_use]
    pub const fn column(&self) -> Option<&'static str> {
        self.column
    }

    /// What is wrong there.
    #[must_use]
    pub const fn problem(&self) -> &KlineProblem {
        &self.problem
    }

    /// What the user can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        use KlineProblem as Problem;
        match &self.problem {
            Problem::CannotRead(_) => "check the name and that you may read the file",
            Problem::CompressedDataEnds | Problem::CompressedDataDamaged(_) => {
                "the copy is incomplete or damaged: fetch the file again and compare its checksum"
            }
            Problem::NoRows => "name a file with one-minute candles, or fetch it again",
            Problem::NotMinutes { .. } => "fetch the candles of one minute (`1m`); other intervals are not read",
            Problem::LineTooLong | Problem::NotText { .. } => "this is not a file of candles",
            Problem::UnknownHeader { .. } => {
                "a header begins with `open_time`; the columns are open time, open, high, low, close, volume, and either \
                 nothing more or Binance's other six"
            }
            Problem::ColumnCount { .. } => {
                "every row has 6 columns or every row has 12; a last row with fewer means a cut file"
            }
            Problem::NotANumber { .. } | Problem::Negative { .. } | Problem::TooLarge { .. } => {
                "times are whole milliseconds or microseconds, prices and volumes plain decimals such as `36867.13`"
            }
            Problem::PriceNotPositive => "prices are above zero, and counted in millionths of quote",
            Problem::PriceTooHigh => "prices are at most a billion of quote; check the columns' order",
            Problem::LowAboveHigh | Problem::OutsideRange { .. } => {
                "the columns are open, high, low, close, in this order; if they are, the row is damaged"
            }
            Problem::NotOnMinute { .. } | Problem::CloseTime { .. } => {
                "each row is one minute, from its first millisecond"
            }
            Problem::Duplicate { .. } => "remove the row, if both agree; if not, fetch the file again",
            Problem::OutOfOrder { .. } => "sort the rows by time; files that follow each other are named one by one",
        }
    }
}

impl fmt::Display for KlineFileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "price file `{}`", self.path.display())?;
        if let Some(line) = self.line {
            write!(formatter, ", line {line}")?;
        }
        if let Some(column) = self.column {
            write!(formatter, ", column `{column}`")?;
        }
        write!(formatter, ": {}", self.problem)
    }
}

impl fmt::Display for KlineProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotRead(error) => write!(formatter, "cannot be read: {error}"),
            Self::CompressedDataEnds => formatter.write_str("compressed data ends in the middle"),
            Self::CompressedDataDamaged(error) => write!(formatter, "compressed data is damaged: {error}"),
            Self::NoRows => formatter.write_str("the file has no rows"),
            Self::NotMinutes { there, spanned } => {
                write!(formatter, "`{there}` rows for a time of `{spanned}` minutes: these are not one-minute candles")
            }
            Self::LineTooLong => write!(formatter, "line is longer than `{LINE_BYTES_MAX}` bytes"),
            Self::NotText { found } => write!(formatter, "`{found}` is not text"),
            Self::UnknownHeader { found } => write!(formatter, "expected a row or the header, found `{found}`"),
            Self::ColumnCount { count, expected: None } => {
                write!(formatter, "`{count}` columns where `6` or `12` belong")
            }
            Self::ColumnCount { count, expected: Some(expected) } => {
                write!(formatter, "`{count}` columns where the lines before have `{expected}`")
            }
            Self::NotANumber { found } => write!(formatter, "`{found}` is not a number of the expected form"),
            Self::Negative { found } => write!(formatter, "`{found}` is below zero"),
            Self::TooLarge { found } => write!(formatter, "`{found}` is too large"),
            Self::PriceNotPositive => formatter.write_str("a price is zero, or rounds to zero"),
            Self::PriceTooHigh => formatter.write_str("a price is too high"),
            Self::LowAboveHigh => formatter.write_str("the lowest price is above the highest"),
            Self::OutsideRange { what } => write!(formatter, "the {what} is not between the low and the high"),
            Self::NotOnMinute { found } => write!(formatter, "`{found}` is not the start of a minute"),
            Self::CloseTime { found, expected } => {
                write!(formatter, "the minute ends at `{found}` where `{expected}` belongs")
            }
            Self::Duplicate { time_ms } => write!(formatter, "the minute `{}` is there twice", utc_text(*time_ms)),
            Self::OutOfOrder { time_ms, before_ms } => {
                let (time, before) = (utc_text(*time_ms), utc_text(*before_ms));
                write!(formatter, "the minute `{time}` comes behind `{before}`")
            }
        }
    }
}

impl std::error::Error for KlineFileError {}

/// The start of what stood in the file, safe to print on a terminal.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// Longest line that can be a row; Binance's have at most about 150 bytes.
pub(super) const LINE_BYTES_MAX: u64 = 512;
const SHOWN_CHARS_MAX: usize = 40;
