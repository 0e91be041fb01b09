//! What a crowd of traders wants to do. Decisions alone: no orders, no engine, no keys.
//!
//! Traders arrive as volume goes. Each has a character for life, drawn from the seed and its number: 60 % follow a
//! trend, 25 % bet against it, 15 % hedge something they have elsewhere. Leverage is log-uniform from 3 to the venue's
//! maximum, sizes have a heavy tail, and a quarter pays in more when a position goes wrong; of the others a third closes,
//! and the rest hope. That is what makes a crash a cascade: many on the same side, at every distance to liquidation.
//!
//! A trader sees past prices, its own position and its own equity, and nothing else; the type of [`View`] says so.

use crate::draws::Draws;
use crate::past::Past;
use crate::{MICROS, Seed};

/// A way to be exposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Gains when the price rises.
    Long,
    /// Gains when it falls.
    Short,
}

impl Direction {
    const fn opposite(self) -> Self {
        match self {
            Self::Long => Self::Short,
            Self::Short => Self::Long,
        }
    }
}

/// Why a trader trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motive {
    /// Goes with a move.
    FollowsTrend,
    /// Bets on the way back.
    AgainstTrend,
    /// Takes the opposite of an exposure it has elsewhere.
    Hedges {
        /// The exposure elsewhere.
        outside: Direction,
    },
}

/// What a trader does when half of what it paid in is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distress {
    /// Pays in more, up to [`PAID_IN_FACTOR_MAX`] times the first margin in all.
    TopsUp,
    /// Closes.
    Closes,
    /// Waits, and is liquidated if it goes on.
    Holds,
}

/// A trader's character. It never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trader {
    /// Its number.
    pub index: u64,
    /// Why it trades.
    pub motive: Motive,
    /// What it does in distress.
    pub distress: Distress,
    /// Notional over margin, in thousandths, from 3,000 to the maximum.
    pub leverage_milli: u64,
    /// What it opens, micro-quote, from [`NOTIONAL_QUOTE_MICROS_MIN`] to [`NOTIONAL_QUOTE_MICROS_MAX`].
    pub notional_quote_micros: u64,
    /// Over how many seconds it looks at a move, 30 to 300.
    pub horizon_seconds: usize,
    /// A smaller move than this means nothing to it, ppm, 500 to 5,000.
    pub threshold_ppm: u64,
    /// Closes at a gain of so much of what it paid in, ppm, half to three times.
    pub target_ppm: u64,
    /// Closes without a reason after so many seconds on average, ten minutes to four hours.
    pub patience_seconds: u64,
}

/// An open position, as its owner knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which way.
    pub direction: Direction,
    /// Notional at entry, micro-quote.
    pub notional_quote_micros: u64,
    /// Margin at entry and everything paid in since, micro-quote.
    pub paid_in_quote_micros: u64,
}

/// What a trader sees.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Prices that have been. For all traders to see their moves, at least [`PAST_SECONDS`] of them.
    pub past: &'a Past,
    /// Its position, if it has one.
    pub position: Option<Position>,
    /// Its equity, micro-quote; below zero if it owes.
    pub equity_quote_micros: i64,
}

/// What a trader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Nothing.
    Wait,
    /// A position at the market.
    Open {
        /// Which way.
        direction: Direction,
        /// How large, micro-quote.
        notional_quote_micros: u64,
        /// With how much leverage, thousandths.
        leverage_milli: u64,
    },
    /// To pay in more.
    TopUp {
        /// How much, micro-quote, above zero.
        amount_quote_micros: u64,
    },
    /// Out of the whole position, at the market.
    Close,
}

/// Seconds of the past that the most patient trader looks at.
pub const PAST_SECONDS: usize = HORIZON_SECONDS_MAX + 1;
const HORIZON_SECONDS_MAX: usize = 300;

/// The smallest position: 100 of quote.
pub const NOTIONAL_QUOTE_MICROS_MIN: u64 = 100 * MICROS;
/// The largest: ten thousand times the smallest, a million of quote.
pub const NOTIONAL_QUOTE_MICROS_MAX: u64 = 10_000 * NOTIONAL_QUOTE_MICROS_MIN;
/// The lowest leverage: 3.
pub const LEVERAGE_MILLI_MIN: u64 = 3_000;
/// Who tops up pays in no more than this many times the first margin.
pub const PAID_IN_FACTOR_MAX: u64 = 4;

/// The character of trader number `index`, where the venue allows a leverage of up to `leverage_milli_max` thousandths.
/// A maximum below [`LEVERAGE_MILLI_MIN`] is every trader's leverage.
#[must_use]
pub fn trader(seed: &Seed, index: u64, leverage_milli_max: u64) -> Trader {
    let mut draws = Draws::new(seed, b"trader__", &[index]);
    let motive = match draws.below(100) {
        0..60 => Motive::FollowsTrend,
        60..85 => Motive::AgainstTrend,
        // Miners and holders are long outside, four of five.
        _ if draws.below(5) < 4 => Motive::Hedges { outside: Direction::Long },
        _ => Motive::Hedges { outside: Direction::Short },
    };
    let distress = match draws.below(4) {
        0 => Distress::TopsUp,
        1 => Distress::Closes,
        _ => Distress::Holds,
    };
    Trader {
        index,
        motive,
        distress,
        notional_quote_micros: draw_notional(&mut draws),
        horizon_seconds: draws.between(30, HORIZON_SECONDS_MAX as u64) as usize,
        threshold_ppm: draws.between(500, 5_000),
        target_ppm: draws.between(MICROS / 2, 3 * MICROS),
        patience_seconds: draws.between(600, 14_400),
        // Last, because it takes a number of draws that depends on the maximum.
        leverage_milli: draw_leverage(&mut draws, leverage_milli_max),
    }
}

/// Log-uniform: the density falls as one over the leverage. So a uniform draw is kept with the probability of minimum over
/// draw; for a maximum of 100 one of nine is kept.
fn draw_leverage(draws: &mut Draws, leverage_milli_max: u64) -> u64 {
    let uniform = |draws: &mut Draws| draws.between(LEVERAGE_MILLI_MIN, leverage_milli_max);
    for _ in 0..LEVERAGE_DRAWS_MAX {
        let leverage_milli = uniform(draws);
        if draws.below(leverage_milli) < LEVERAGE_MILLI_MIN {
            return leverage_milli.min(leverage_milli_max);
        }
    }
    // With a maximum of 1,000 this happens once in e²⁴ traders.
    LEVERAGE_MILLI_MIN.min(leverage_milli_max)
}

const LEVERAGE_DRAWS_MAX: usize = 1_400;

/// Heavy-tailed: one in x is at least x times the smallest (Pareto, index 1), up to the largest.
fn draw_notional(draws: &mut Draws) -> u64 {
    const PARTS: u64 = 1 << 32;
    let notional = u128::from(NOTIONAL_QUOTE_MICROS_MIN) * u128::from(PARTS) / u128::from(1 + draws.below(PARTS));
    notional.min(u128::from(NOTIONAL_QUOTE_MICROS_MAX)) as u64
}

/// How many traders arrive in a second, given the volume of its minute, the mean volume of a minute, and how many arrive in
/// a second of mean volume (parts per million of a trader). Binomial around that mean times volume over mean volume; at
/// most [`ARRIVALS_MAX`]. Nobody arrives where the mean volume is zero.
#[must_use]
pub fn arrivals(seed: &Seed, step: u64, volume: MinuteVolume, arrivals_ppm_at_mean: u64) -> u64 {
    let expected_ppm = (u128::from(volume.quote_micros) * u128::from(arrivals_ppm_at_mean))
        .checked_div(u128::from(volume.mean_quote_micros))
        .unwrap_or(0);
    let each_ppm = u64::try_from(expected_ppm / u128::from(ARRIVALS_MAX)).unwrap_or(u64::MAX);
    let mut draws = Draws::new(seed, b"arrivals", &[step]);
    (0..ARRIVALS_MAX).filter(|_| draws.happens_ppm(each_ppm)).count() as u64
}

/// What arrivals follow, micro-quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinuteVolume {
    /// Of the minute.
    pub quote_micros: u64,
    /// Of a minute on average.
    pub mean_quote_micros: u64,
}

/// The most traders that arrive in a second.
pub const ARRIVALS_MAX: u64 = 64;

/// What a trader wants at a step. Depends on the arguments alone.
#[must_use]
pub fn decide(seed: &Seed, step: u64, trader: &Trader, view: &View<'_>) -> Intent {
    // While the market is out there is nothing to see and nobody to trade with.
    if view.past.now_micros().is_none() {
        return Intent::Wait;
    }
    match view.position {
        None => decide_to_open(trader, view),
        Some(position) => decide_on_position(seed, step, trader, view, &position),
    }
}

fn decide_to_open(trader: &Trader, view: &View<'_>) -> Intent {
    let direction = match trader.motive {
        Motive::FollowsTrend => trend(trader, view),
        Motive::AgainstTrend => trend(trader, view).map(Direction::opposite),
        Motive::Hedges { outside } => Some(outside.opposite()),
    };
    direction.map_or(Intent::Wait, |direction| Intent::Open {
        direction,
        notional_quote_micros: trader.notional_quote_micros,
        leverage_milli: trader.leverage_milli,
    })
}

/// Where the price has gone over the trader's horizon, if far enough for it.
fn trend(trader: &Trader, view: &View<'_>) -> Option<Direction> {
    let move_ppm = view.past.move_ppm(trader.horizon_seconds)?;
    if move_ppm.unsigned_abs() < trader.threshold_ppm {
        return None;
    }
    Some(if move_ppm > 0 { Direction::Long } else { Direction::Short })
}

fn decide_on_position(seed: &Seed, step: u64, trader: &Trader, view: &View<'_>, position: &Position) -> Intent {
    let (equity, paid_in) = (i128::from(view.equity_quote_micros), i128::from(position.paid_in_quote_micros));
    if 2 * equity <= paid_in {
        return match trader.distress {
            Distress::TopsUp => top_up(trader, view, position),
            Distress::Closes => Intent::Close,
            Distress::Holds => Intent::Wait,
        };
    }
    let is_hedge = matches!(trader.motive, Motive::Hedges { .. });
    let has_reached_target = (equity - paid_in) * i128::from(MICROS) >= paid_in * i128::from(trader.target_ppm);
    let has_turned = trader.motive == Motive::FollowsTrend
        && trend(trader, view).is_some_and(|direction| direction != position.direction);
    // A hedge is not there to gain, so a gain does not end it.
    let is_done = !is_hedge && has_reached_target || has_turned;
    let is_tired = || Draws::new(seed, b"patience", &[trader.index, step]).below(trader.patience_seconds) == 0;
    if is_done || is_tired() { Intent::Close } else { Intent::Wait }
}

/// Back to what was paid in, if the purse allows; otherwise what it still allows.
fn top_up(trader: &Trader, view: &View<'_>, position: &Position) -> Intent {
    let first_margin = u128::from(position.notional_quote_micros) * 1_000 / u128::from(trader.leverage_milli.max(1));
    let purse =
        (first_margin * u128::from(PAID_IN_FACTOR_MAX)).saturating_sub(u128::from(position.paid_in_quote_micros));
    let missing = i128::from(position.paid_in_quote_micros) - i128::from(view.equity_quote_micros);
    let amount = u128::try_from(missing).unwrap_or(0).min(purse);
    match u64::try_from(amount).unwrap_or(u64::MAX) {
        0 => Intent::Wait,
        amount_quote_micros => Intent::TopUp { amount_quote_micros },
    }
}

#[cfg(test)]
mod tests;
