//! One-minute candles ("klines") of a market, read from a CSV file.
//!
//! Two forms are known: Binance's twelve columns, and the first six of them alone. A file may be compressed with zstd and
//! may begin with a header. Everything is checked and named by its line, because a file that someone cut, edited or mixed
//! up must not become a replay with slightly other numbers. What is missing is no error: it is a [`Gap`], in which the
//! market was out.
//!
//! Deliberately absent: other intervals than a minute (the seconds of a candle are made by rules for a minute), quoted
//! fields, and guessing what the volume counts: the user says so by a [`VolumeUnit`].

mod decimal;
mod problem;
mod rows;
mod span;

#[cfg(test)]
mod tests;

pub use problem::{KlineFileError, KlineProblem};
pub use rows::{KlineRows, open};
pub use span::{Selection, Span, SpanError, parse_utc, utc_text};

use std::path::Path;

use crate::{MICROS, MINUTE_MS, PRICE_MICROS_MAX};

/// Prices of a minute: first, highest, lowest, last. Holds `0 < low ≤ open, close ≤ high ≤` [`PRICE_MICROS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ohlc {
    open_micros: u64,
    high_micros: u64,
    low_micros: u64,
    close_micros: u64,
}

/// Prices before they are known to belong together, in micro-quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OhlcMicros {
    /// First.
    pub open: u64,
    /// Highest.
    pub high: u64,
    /// Lowest.
    pub low: u64,
    /// Last.
    pub close: u64,
}

impl Ohlc {
    /// Prices that belong together.
    ///
    /// # Errors
    /// A price of zero or above [`PRICE_MICROS_MAX`], low above high, open or close outside of low and high: the first of
    /// these that is wrong.
    pub const fn new(prices: OhlcMicros) -> Result<Self, KlineProblem> {
        let OhlcMicros { open, high, low, close } = prices;
        if open == 0 || high == 0 || low == 0 || close == 0 {
            return Err(KlineProblem::PriceNotPositive);
        }
        if low > high {
            return Err(KlineProblem::LowAboveHigh);
        }
        if open < low || open > high {
            return Err(KlineProblem::OutsideRange { what: "open" });
        }
        if close < low || close > high {
            return Err(KlineProblem::OutsideRange { what: "close" });
        }
        if high > PRICE_MICROS_MAX {
            return Err(KlineProblem::PriceTooHigh);
        }
        Ok(Self { open_micros: open, high_micros: high, low_micros: low, close_micros: close })
    }

    /// First price, micro-quote.
    #[must_use]
    pub const fn open_micros(&self) -> u64 {
        self.open_micros
    }

    /// Highest price, micro-quote.
    #[must_use]
    pub const fn high_micros(&self) -> u64 {
        self.high_micros
    }

    /// Lowest price, micro-quote.
    #[must_use]
    pub const fn low_micros(&self) -> u64 {
        self.low_micros
    }

    /// Last price, micro-quote.
    #[must_use]
    pub const fn close_micros(&self) -> u64 {
        self.close_micros
    }

    /// Highest less lowest, micro-quote.
    #[must_use]
    pub const fn range_micros(&self) -> u64 {
        self.high_micros - self.low_micros
    }

    /// Highest less lowest in parts per million of the first, rounded down.
    #[must_use]
    pub fn range_ppm(&self) -> u64 {
        ppm_of(self.range_micros(), self.open_micros)
    }
}

/// `part` in parts per million of `whole`, rounded down; `u64::MAX` where that does not fit, also for a whole of zero.
pub(crate) fn ppm_of(part: u64, whole: u64) -> u64 {
    let ppm = (u128::from(part) * u128::from(MICROS)).checked_div(u128::from(whole));
    ppm.and_then(|ppm| u64::try_from(ppm).ok()).unwrap_or(u64::MAX)
}

/// A minute of a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kline {
    /// When it begins: Unix milliseconds, a whole minute.
    pub open_time_ms: u64,
    /// Its prices.
    pub ohlc: Ohlc,
    /// What was traded in it, micro-quote; 0 where the file has no volumes (see [`KlineFile::has_volume`]).
    pub volume_quote_micros: u64,
}

/// Minutes that the file does not have: the market was out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// When the first missing minute begins, Unix milliseconds.
    pub from_ms: u64,
    /// When the next minute that is there begins, Unix milliseconds.
    pub to_ms: u64,
}

/// What comes next in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KlineItem {
    /// A minute.
    Minute(Kline),
    /// Missing minutes, named before the minute behind them.
    Gap(Gap),
}

/// What the volume column counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeUnit {
    /// Units of base, such as BTC: spot and USD-margined futures. Made quote at the middle of the minute's low and high.
    Base,
    /// Contracts of 100 USD each: coin-margined futures.
    Contracts100Usd,
    /// Quote.
    Quote,
}

impl VolumeUnit {
    /// Micro-quote of a volume in units of 10⁻⁸, rounded down. None where it does not fit.
    fn quote_micros(self, volume_e8: u64, ohlc: &Ohlc) -> Option<u64> {
        let volume = u128::from(volume_e8);
        let quote_micros = match self {
            // The volume has at most 64 bits and the sum of prices at most 51, so this has room.
            Self::Base => volume * u128::from(ohlc.low_micros + ohlc.high_micros) / 200_000_000,
            // 100 quote a contract = 10⁸ micro-quote a contract = 1 micro-quote for each 10⁻⁸ of one.
            Self::Contracts100Usd => volume,
            Self::Quote => volume / 100,
        };
        u64::try_from(quote_micros).ok()
    }
}

/// All minutes of a file, or of several that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KlineFile {
    /// At least one; their times grow strictly.
    minutes: Vec<Kline>,
}

impl KlineFile {
    /// The minutes there are, by time.
    #[must_use]
    pub fn minutes(&self) -> &[Kline] {
        &self.minutes
    }

    /// What is missing between the first and the last minute, by time.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        gaps_between(&self.minutes)
    }

    /// When the first minute begins, Unix milliseconds.
    #[must_use]
    pub fn start_ms(&self) -> u64 {
        self.minutes.first().map_or(0, |minute| minute.open_time_ms)
    }

    /// When the last minute ends, Unix milliseconds.
    #[must_use]
    pub fn end_ms(&self) -> u64 {
        self.minutes.last().map_or(0, |minute| minute.open_time_ms + MINUTE_MS)
    }

    /// Whether any minute has a volume. Files of index and mark prices have the column with zeros in it; then
    /// [`crate::depth::volume_stand_in_quote_micros`] says what to assume.
    #[must_use]
    pub fn has_volume(&self) -> bool {
        self.minutes.iter().any(|minute| minute.volume_quote_micros > 0)
    }
}

fn gaps_between(minutes: &[Kline]) -> Vec<Gap> {
    let pairs = minutes.windows(2).map(|pair| (pair[0].open_time_ms + MINUTE_MS, pair[1].open_time_ms));
    pairs.filter(|(from_ms, to_ms)| from_ms < to_ms).map(|(from_ms, to_ms)| Gap { from_ms, to_ms }).collect()
}

/// Reads all minutes of a file.
///
/// # Errors
/// The first thing that is wrong with it. A file without rows is an error too, and one in which more minutes are missing
/// than there: it has another interval.
pub fn read(path: &Path, unit: VolumeUnit) -> Result<KlineFile, KlineFileError> {
    collect(open(path, unit)?)
}

fn collect<R: std::io::BufRead>(mut rows: KlineRows<R>) -> Result<KlineFile, KlineFileError> {
    let mut minutes = Vec::new();
    for item in rows.by_ref() {
        if let KlineItem::Minute(minute) = item? {
            minutes.push(minute);
        }
    }
    let file = KlineFile { minutes };
    let (there, spanned) = (file.minutes.len() as u64, (file.end_ms() - file.start_ms()) / MINUTE_MS);
    match there {
        0 => Err(rows.error_of_file(KlineProblem::NoRows)),
        _ if spanned > 2 * there => Err(rows.error_of_file(KlineProblem::NotMinutes { there, spanned })),
        _ => Ok(file),
    }
}
