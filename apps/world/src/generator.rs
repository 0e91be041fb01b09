//! Prices without end, with the statistics of a crash day: 19 May 2021, BTC/USDT, when Bitcoin fell from 43,585 to 30,000.
//!
//! Minutes are drawn, and [`crate::bridge`] makes their seconds. A minute is drawn in three parts: how far the price
//! goes, how much of that lies between open and close, and how the rest is split above and below. Whether it closes
//! higher or lower is a toss that leans back to the start price, so that a demonstration of weeks neither reaches zero nor
//! the sky. Two regimes alternate, calm and crash, and stay for as long as they did on that day, on average.
//!
//! The tables are derived statistics, fitted once; a test recomputes them where the data is at hand. What they do not
//! carry: the day's fall as such (it rises as often as it falls) and any order among minutes of one regime.

use std::fmt;

use crate::bridge::{self, SECONDS};
use crate::draws::{Draws, QuantileTable, heavy_quantile_at, quantile_at};
use crate::klines::{Kline, Ohlc, OhlcMicros};
use crate::steps::Step;
use crate::{MICROS, MINUTE_MS, PRICE_MICROS_MAX, SECOND_MS, Seed, TIME_MS_MAX};

/// How wild the market is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// As in the quieter three quarters of a crash day, which are no quiet day.
    Calm,
    /// As in the crash.
    Crash,
}

/// Where a stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// When step 0 is: Unix milliseconds, a whole minute.
    pub time_ms: u64,
    /// Price at step 0, micro-quote, from [`START_PRICE_MICROS_MIN`] to [`START_PRICE_MICROS_MAX`].
    pub price_micros: u64,
}

/// The lowest start price: 1 of quote. Below, parts per million of a price would be lost to rounding.
pub const START_PRICE_MICROS_MIN: u64 = MICROS;
/// The highest start price. Leaves room for [`FAR_FACTOR`] and one minute beyond.
pub const START_PRICE_MICROS_MAX: u64 = PRICE_MICROS_MAX / (2 * FAR_FACTOR);

/// All that a stream remembers beside seed and start: with these three it goes on as if never interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneratorState {
    /// Steps taken, a second each; also the index of the next step.
    pub step: u64,
    /// Regime before the minute of the next step.
    pub regime: Regime,
    /// Price before the minute of the next step, micro-quote.
    pub price_micros: u64,
}

/// A stream of one-second prices.
#[derive(Clone, Debug)]
pub struct Generator {
    seed: Seed,
    start: Start,
    state: GeneratorState,
    minute: DrawnMinute,
    prices: [u64; SECONDS],
}

#[derive(Clone, Copy, Debug)]
struct DrawnMinute {
    kline: Kline,
    regime: Regime,
}

impl Generator {
    /// A stream from its beginning.
    ///
    /// # Errors
    /// The start is not a whole minute or later than [`TIME_MS_MAX`], or its price is out of range.
    pub fn new(seed: Seed, start: Start) -> Result<Self, GeneratorError> {
        Self::at_step(seed, start, 0)
    }

    /// A stream from any step. It is the one that [`Self::new`] gives after that many steps; costs a draw for each minute
    /// before, milliseconds for a day. [`Self::resume`] costs one draw.
    ///
    /// # Errors
    /// As [`Self::new`], or a step later than [`TIME_MS_MAX`].
    pub fn at_step(seed: Seed, start: Start, step: u64) -> Result<Self, GeneratorError> {
        let mut state = GeneratorState { step: 0, regime: Regime::Calm, price_micros: start.price_micros };
        require_start(start)?;
        require_step(start, step)?;
        for _ in 0..step / SECONDS as u64 {
            let minute = draw_minute(&seed, start, &state);
            state = after(&minute, state.step + SECONDS as u64);
        }
        state.step = step;
        Self::resume(seed, start, state)
    }

    /// A stream that goes on where one with this state stood. Seed and start have to be that one's.
    ///
    /// # Errors
    /// As [`Self::at_step`], or a price that no stream from this start reaches.
    pub fn resume(seed: Seed, start: Start, state: GeneratorState) -> Result<Self, GeneratorError> {
        require_start(start)?;
        require_step(start, state.step)?;
        let reachable = start.price_micros / (2 * FAR_FACTOR)..=start.price_micros * 2 * FAR_FACTOR;
        if !reachable.contains(&state.price_micros) {
            return Err(GeneratorError::StateOfAnother { price_micros: state.price_micros });
        }
        let minute = draw_minute(&seed, start, &state);
        let prices = bridge::seconds(&seed, minute.kline.open_time_ms, &minute.kline.ohlc);
        Ok(Self { seed, start, state, minute, prices })
    }

    /// What is needed to go on later.
    #[must_use]
    pub const fn state(&self) -> GeneratorState {
        self.state
    }

    /// The minute of the next step, whole. It is the future: for the report and the crowd's arrivals, never for
    /// anybody's decision.
    #[must_use]
    pub const fn minute(&self) -> &Kline {
        &self.minute.kline
    }

    /// The regime of the minute of the next step.
    #[must_use]
    pub const fn regime(&self) -> Regime {
        self.minute.regime
    }

    /// The next second. There always is one, with a price.
    pub fn next_step(&mut self) -> Step {
        let second = (self.state.step % SECONDS as u64) as usize;
        let step =
            Step { time_ms: self.start.time_ms + self.state.step * SECOND_MS, price_micros: Some(self.prices[second]) };
        self.state.step += 1;
        if second + 1 == SECONDS {
            self.state = after(&self.minute, self.state.step);
            self.minute = draw_minute(&self.seed, self.start, &self.state);
            self.prices = bridge::seconds(&self.seed, self.minute.kline.open_time_ms, &self.minute.kline.ohlc);
        }
        step
    }
}

impl Iterator for Generator {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        Some(self.next_step())
    }
}

fn require_start(start: Start) -> Result<(), GeneratorError> {
    if !start.time_ms.is_multiple_of(MINUTE_MS) {
        return Err(GeneratorError::NotOnMinute { time_ms: start.time_ms });
    }
    if !(START_PRICE_MICROS_MIN..=START_PRICE_MICROS_MAX).contains(&start.price_micros) {
        return Err(GeneratorError::StartPrice { price_micros: start.price_micros });
    }
    Ok(())
}

fn require_step(start: Start, step: u64) -> Result<(), GeneratorError> {
    if start.time_ms.saturating_add(step.saturating_mul(SECOND_MS)) > TIME_MS_MAX {
        return Err(GeneratorError::TooLate { start, step });
    }
    Ok(())
}

const fn after(minute: &DrawnMinute, step: u64) -> GeneratorState {
    GeneratorState { step, regime: minute.regime, price_micros: minute.kline.ohlc.close_micros() }
}

/// The minute of the state's step.
fn draw_minute(seed: &Seed, start: Start, state: &GeneratorState) -> DrawnMinute {
    let index = state.step / SECONDS as u64;
    let mut draws = Draws::new(seed, b"gen_minu", &[index]);
    let leaves = draws.below(tables_of(state.regime).dwell_minutes) == 0;
    let regime = match (state.regime, leaves) {
        (Regime::Calm, true) | (Regime::Crash, false) => Regime::Crash,
        (Regime::Crash, true) | (Regime::Calm, false) => Regime::Calm,
    };
    let tables = tables_of(regime);
    let range_place = draws.place();
    let range_ppm = quantile_at(&tables.range_ppm, range_place);
    let body_ppm = range_ppm * draws.quantile(&tables.body_ppm_of_range) / MICROS;
    let above_ppm = (range_ppm - body_ppm) * draws.quantile(&ABOVE_PPM_OF_WICKS) / MICROS;
    let below_ppm = range_ppm - body_ppm - above_ppm;
    let follows = draws.happens_ppm(tables.volume_follows_range_ppm);
    let volume_place = if follows { range_place } else { draws.place() };
    let volume_quote = heavy_quantile_at(&tables.volume_quote, volume_place);

    let open = state.price_micros;
    let part = |ppm: u64| (u128::from(open) * u128::from(ppm) / u128::from(MICROS)) as u64;
    let rises = draws.happens_ppm(rise_probability_ppm(open, start.price_micros));
    let close = if rises { open + part(body_ppm) } else { open - part(body_ppm) };
    let prices =
        OhlcMicros { open, high: open.max(close) + part(above_ppm), low: open.min(close) - part(below_ppm), close };
    #[expect(clippy::expect_used, reason = "the widest range is a twelfth of the price, and no price nears its limit")]
    let ohlc = Ohlc::new(prices).expect("prices of a drawn minute belong together");
    let open_time_ms = start.time_ms + index * MINUTE_MS;
    DrawnMinute { kline: Kline { open_time_ms, ohlc, volume_quote_micros: volume_quote * MICROS }, regime }
}

/// Even, leaning back to the start by a twentieth of how far the price is from it, at most a tenth; certain beyond
/// [`FAR_FACTOR`].
fn rise_probability_ppm(price_micros: u64, start_micros: u64) -> u64 {
    if price_micros < start_micros / FAR_FACTOR {
        return MICROS;
    }
    if price_micros > start_micros * FAR_FACTOR {
        return 0;
    }
    let off_ppm = |off: u64| (u128::from(off) * u128::from(MICROS) / u128::from(start_micros)) as u64;
    let lean_ppm = |off: u64| (off_ppm(off) / 20).min(MICROS / 10);
    if price_micros < start_micros {
        MICROS / 2 + lean_ppm(start_micros - price_micros)
    } else {
        MICROS / 2 - lean_ppm(price_micros - start_micros)
    }
}

/// The price never goes further than this from the start, up or down, but for one minute.
pub const FAR_FACTOR: u64 = 100;

struct RegimeTables {
    /// Minutes that the regime lasts on average.
    dwell_minutes: u64,
    /// Highest less lowest price of a minute in parts per million of its open.
    range_ppm: QuantileTable,
    /// Distance of open and close in parts per million of the range.
    body_ppm_of_range: QuantileTable,
    /// Volume of a minute, in whole quote.
    volume_quote: QuantileTable,
    /// In what part of minutes volume has the rank that the range has; in the others it has any. That makes it the rank
    /// correlation of the two.
    volume_follows_range_ppm: u64,
}

const fn tables_of(regime: Regime) -> &'static RegimeTables {
    match regime {
        Regime::Calm => &CALM,
        Regime::Crash => &CRASH,
    }
}

// How the tables were computed, from the columns open, high, low, close and volume of the 1,440 minutes of 19 May 2021 UTC:
// a minute is of the crash if the ranges of the fifteen minutes up to and with it (fewer at the day's start) average more
// than 8,000 ppm. Point k of a table is element ⌊(n − 1) × k ÷ 16⌋ of the n sorted values, values rounded down. Volume is
// base times close, and follows range by Spearman's coefficient of the two, ties in order of time. The dwell is the regime's minutes over its number of runs. `tables_are_those_of_the_crash_day`
// does all of this again.

const CALM: RegimeTables = RegimeTables {
    dwell_minutes: 184,
    range_ppm: [858, 1957, 2346, 2677, 2975, 3229, 3574, 3907, 4227, 4640, 5078, 5540, 6091, 6772, 7674, 9699, 19237],
    body_ppm_of_range: [
        460, 74736, 134835, 191274, 253127, 318667, 367929, 423592, 476097, 527432, 575306, 614285, 675830, 733287,
        793241, 853525, 999791,
    ],
    volume_quote: [
        1045069, 2553101, 3126476, 3491880, 3926084, 4329850, 4743995, 5222505, 5629155, 6140668, 6652465, 7267363,
        8448606, 9656500, 11297316, 14720155, 55437992,
    ],
    volume_follows_range_ppm: 625678,
};

const CRASH: RegimeTables = RegimeTables {
    dwell_minutes: 55,
    range_ppm: [
        2271, 5470, 6385, 7164, 8026, 8775, 9603, 10552, 11853, 12994, 14509, 16153, 18034, 21299, 24620, 37230, 85523,
    ],
    body_ppm_of_range: [
        1096, 45237, 116566, 167517, 209910, 268975, 317470, 373028, 442093, 498949, 534497, 581425, 630871, 693091,
        754210, 854545, 981865,
    ],
    volume_quote: [
        2235437, 5525391, 7889967, 8747572, 10118701, 11338370, 12545289, 13603799, 14670027, 16217135, 17873748,
        19677410, 21041856, 23747232, 28697465, 37385218, 64250847,
    ],
    volume_follows_range_ppm: 708968,
};

/// What of the range lies above open and close, in parts per million of what lies above and below them. Both regimes.
const ABOVE_PPM_OF_WICKS: QuantileTable = [
    0, 6348, 85596, 172247, 251890, 321245, 388688, 456154, 534472, 594618, 654800, 718789, 789537, 841370, 893542,
    967023, 1000000,
];

/// Why a stream cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeneratorError {
    /// The start is between two minutes.
    NotOnMinute {
        /// The start, Unix milliseconds.
        time_ms: u64,
    },
    /// The start price is too low or too high.
    StartPrice {
        /// The price, micro-quote.
        price_micros: u64,
    },
    /// The start, or the step to go on from, is later than [`TIME_MS_MAX`].
    TooLate {
        /// The start.
        start: Start,
        /// The step.
        step: u64,
    },
    /// The state belongs to a stream with another start.
    StateOfAnother {
        /// The state's price, micro-quote.
        price_micros: u64,
    },
}

impl fmt::Display for GeneratorError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOnMinute { time_ms } => {
                write!(formatter, "a stream of prices starts on a whole minute, not at `{time_ms}` ms")
            }
            Self::StartPrice { price_micros } => write!(
                formatter,
                "a start price of `{price_micros}` micro-quote is not from `{START_PRICE_MICROS_MIN}` to \
                 `{START_PRICE_MICROS_MAX}`"
            ),
            Self::TooLate { start, step } => write!(
                formatter,
                "step `{step}` of a stream of prices from `{}` ms is later than `{TIME_MS_MAX}` ms",
                start.time_ms
            ),
            Self::StateOfAnother { price_micros } => write!(
                formatter,
                "a price of `{price_micros}` micro-quote is out of reach from this start: the state is of another stream"
            ),
        }
    }
}

impl std::error::Error for GeneratorError {}

#[cfg(test)]
mod tests;
