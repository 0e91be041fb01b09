//! How much makers quote: in proportion to what is traded, and the less the further the price has gone lately.
//!
//! ```text
//! depth(side, distance) = k(side, distance) × volume a minute ÷ range
//! ```
//!
//! Volume is the mean of the last four hours and range that of the last hour, so depth collapses when a crash begins, long
//! before volume has made up for it, and comes back as the hour passes.
//!
//! Fitted to 10 October 2025, BTC/USDT: snapshots of both sides at 1 to 5 % every half minute. For half of the snapshots
//! the model is off by at most 21 to 31 %, by side and per cent. It gets the size right and has a collapse, but is no
//! forecast of a minute: over the day, recorded depth and model are hardly correlated (0.6 for asks at 1 %, elsewhere
//! around zero, for bids at 2 % even -0.4).

use std::collections::VecDeque;

use crate::MICROS;
use crate::klines::{Kline, Ohlc, ppm_of};

/// A side of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookSide {
    /// Who buys.
    Bid,
    /// Who sells.
    Ask,
}

/// What makers go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// What was traded in a minute, on average of the last [`VOLUME_MINUTES`], micro-quote.
    pub volume_quote_micros_per_minute: u64,
    /// Highest less lowest price of the last [`RANGE_MINUTES`], in parts per million of the lowest; at least
    /// [`RANGE_PPM_MIN`].
    pub range_ppm: u64,
}

/// Minutes that volume is averaged over.
pub const VOLUME_MINUTES: usize = 240;
/// Minutes that range is taken over.
pub const RANGE_MINUTES: usize = 60;
/// A calmer hour than this does not make makers quote more: the calmest that the model was fitted to had about 2,000.
pub const RANGE_PPM_MIN: u64 = 1_000;

/// The depth that makers quote within a distance of the price, micro-quote, rounded down. Between whole per cents it is
/// linear, from nothing at no distance; beyond 5 % there is nothing more.
#[must_use]
pub fn quoted_quote_micros(side: BookSide, distance_ppm: u64, activity: &Activity) -> u64 {
    let coefficients = match side {
        BookSide::Bid => &BID_PPM_MINUTES,
        BookSide::Ask => &ASK_PPM_MINUTES,
    };
    let distance_ppm = distance_ppm.min(PER_CENT_PPM * (coefficients.len() as u64 - 1));
    let (index, rest_ppm) = ((distance_ppm / PER_CENT_PPM) as usize, distance_ppm % PER_CENT_PPM);
    let (near, far) = (coefficients[index], coefficients.get(index + 1).copied().unwrap_or(coefficients[index]));
    let coefficient = near + (far - near) * rest_ppm / PER_CENT_PPM;
    let depth = u128::from(activity.volume_quote_micros_per_minute) * u128::from(coefficient);
    u64::try_from(depth / u128::from(activity.range_ppm.max(RANGE_PPM_MIN))).unwrap_or(u64::MAX)
}

/// What to assume for a minute's volume where a file has none, micro-quote: what BTC/USDT traded on 10 October 2025 for
/// each part per million of range. Of another market only the shape is right, not the size.
#[must_use]
pub fn volume_stand_in_quote_micros(ohlc: &Ohlc) -> u64 {
    ohlc.range_ppm().saturating_mul(VOLUME_QUOTE_PER_RANGE_PPM).saturating_mul(MICROS)
}

/// The minutes that [`Activity`] is computed from.
#[derive(Clone, Debug, Default)]
pub struct RecentMinutes {
    /// Oldest first.
    minutes: VecDeque<Kline>,
}

impl RecentMinutes {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A minute is over. Minutes of a gap are not pushed: makers remember what was there.
    pub fn push(&mut self, minute: Kline) {
        if self.minutes.len() == VOLUME_MINUTES {
            self.minutes.pop_front();
        }
        self.minutes.push_back(minute);
    }

    /// What makers go by now; none before the first minute is over. With fewer minutes than the averages want, it is the
    /// average of those there are.
    #[must_use]
    pub fn activity(&self) -> Option<Activity> {
        let volume: u128 = self.minutes.iter().map(|minute| u128::from(minute.volume_quote_micros)).sum();
        let mean = volume.checked_div(self.minutes.len() as u128)?;
        let hour = || self.minutes.iter().rev().take(RANGE_MINUTES).map(|minute| &minute.ohlc);
        let (low, high) = (hour().map(Ohlc::low_micros).min()?, hour().map(Ohlc::high_micros).max()?);
        Some(Activity {
            volume_quote_micros_per_minute: u64::try_from(mean).unwrap_or(u64::MAX),
            range_ppm: ppm_of(high - low, low).max(RANGE_PPM_MIN),
        })
    }
}

const PER_CENT_PPM: u64 = 10_000;

// How the coefficients were computed: for each snapshot of 10 October 2025, side and per cent, the column `notional`, times
// the hour's range, over the volume a minute; then the median over all snapshots. The hour's range is from columns `high`
// and `low` of the 60 whole minutes before, of the coin-margined contract's candles. Volume is that of the 48 whole five
// minutes before, of the USD-margined contract's candles: column `volume`, at the middle of `high` and `low`. A row that is
// equal to the row of its side and per cent in the snapshot before is left out: during the crash the recorder repeated
// stale rows of bids for hours. `coefficients_are_those_of_the_recorded_day` does all of this again.

/// Minutes of volume times parts per million of range, at 0 to 5 %.
const BID_PPM_MINUTES: [u64; 6] = [0, 168_655, 363_241, 543_837, 557_872, 596_922];
const ASK_PPM_MINUTES: [u64; 6] = [0, 141_908, 223_967, 274_768, 334_980, 389_892];

/// Whole quote a minute. The median over the day's five minutes of volume at the close, over the mean range of the five
/// minutes, from the same columns.
const VOLUME_QUOTE_PER_RANGE_PPM: u64 = 18_190;

#[cfg(test)]
mod tests;
