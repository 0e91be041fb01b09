//! D4, momentum ignition, and the run-up of a pump.
//!
//! *Ignition* is a sequence of one account: the price runs while the account is the aggressor of more than 40 % of all volume;
//! the account then unwinds half of it or more at a better price than where the run began; and the price gives back half of
//! the run. Runs are kept in the market's row, so that the price is followed also after the account has left.
//!
//! *A pump* needs no account: aggressive buying far above the market's own past while the price runs up. It names no
//! culprit, so it only alerts.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::{DurationMs, PriceTicks, RatioPpm, Side, TimeMs};

use super::features::{Fading, HalfLife, WHOLE_PPM, share_ppm};
use super::observation::{BySide, Traded, short};

/// Run, share and volume are seen over this \[D\].
pub const FADES: HalfLife = HalfLife::of_ms(5 * 60 * 1_000);
/// Share of all volume of which the account is the aggressor (R§4.2 D4: above 40 %).
pub const SHARE_PPM: u32 = 400_000;
/// Reversal of the run, and part unwound (R§4.2 D4: half).
pub const HALF_PPM: u32 = 500_000;
/// An ignition that is not unwound by then is a position \[D\].
pub const EXPIRES: DurationMs = DurationMs::from_ms(30 * 60 * 1_000);
/// Ignitions of a market followed at once.
const FOLLOWED: usize = 4;

/// Buying of the moment and of the past \[D\].
pub const PUMP_FADES: HalfLife = HalfLife::of_ms(30_000);
/// See [`PUMP_FADES`].
pub const PAST_FADES: HalfLife = HalfLife::of_ms(6 * 60 * 60 * 1_000);
/// Buying of the moment over that of the past \[D\].
pub const PUMP_RATIO: u64 = 60;
/// How many half-lives of the moment are one of the past.
const MOMENTS_PER_PAST: u64 = 720;
const _: () = assert!(MOMENTS_PER_PAST * 30_000 == 6 * 60 * 60 * 1_000 && MOMENTS_PER_PAST.is_multiple_of(PUMP_RATIO));
/// A market younger than this has no past \[D\].
pub const PAST_MIN: DurationMs = DurationMs::from_ms(6 * 60 * 60 * 1_000);

/// What an account took as aggressor, in lots / 256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Aggression {
    taken: BySide<u64>,
}

impl Aggression {
    /// Lets time pass.
    pub fn fade(&mut self, fading: Fading) {
        if fading.is_still() {
            return;
        }
        self.taken.bid = fading.of(self.taken.bid);
        self.taken.ask = fading.of(self.taken.ask);
    }

    /// Takes in what it took.
    pub fn note(&mut self, side: Side, lots: u64) {
        let taken = self.taken.of_mut(side);
        *taken = taken.saturating_add(lots.saturating_mul(LOT));
    }

    /// Adds what an account did that turns out to be the same one.
    pub fn absorb(&mut self, gone: &Self) {
        self.taken.bid = self.taken.bid.saturating_add(gone.taken.bid);
        self.taken.ask = self.taken.ask.saturating_add(gone.taken.ask);
    }

    /// Whether nothing is left to tell.
    #[must_use]
    pub const fn is_faded(&self) -> bool {
        self.taken.bid == 0 && self.taken.ask == 0
    }
}

const LOT: u64 = 256;

/// Lowest and highest price of the last minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Run {
    buckets: [Extremes; BUCKETS],
    current: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Extremes {
    low: u64,
    high: u64,
}

const BUCKETS: usize = 8;
/// Eight of these are a little more than five minutes, so a window is five minutes with the current one just begun.
const BUCKET_MS: u64 = 43_000;

impl Run {
    fn note(&mut self, price: u64, now: TimeMs) {
        let bucket = now.ms().div_euclid(BUCKET_MS);
        let begun = bucket.saturating_sub(self.current);
        for ahead in (1..=begun).take(BUCKETS) {
            if let Some(next) = self.buckets.get_mut(place(self.current.saturating_add(ahead))) {
                *next = Extremes::default();
            }
        }
        // More than a ring ahead: everything was emptied, only the places differ.
        self.current = self.current.max(bucket);
        if let Some(now) = self.buckets.get_mut(place(self.current)) {
            now.low = if now.low == 0 { price } else { now.low.min(price) };
            now.high = now.high.max(price);
        }
    }

    fn extremes(&self) -> Extremes {
        let seen = self.buckets.iter().filter(|bucket| bucket.low > 0);
        seen.fold(Extremes { low: u64::MAX, high: 0 }, |sum, bucket| Extremes {
            low: sum.low.min(bucket.low),
            high: sum.high.max(bucket.high),
        })
    }
}

fn place(bucket: u64) -> usize {
    usize::try_from(bucket.rem_euclid(8)).unwrap_or(0)
}

/// A run with one account behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Ignition {
    /// Zero where there is none.
    account: u32,
    is_up: bool,
    start: u64,
    peak: u64,
    share_ppm: u32,
    /// What it took, and what it turned over since.
    lots: u64,
    unwound: u64,
    at: TimeMs,
}

/// Volume, run and ignitions of a market, and its aggressive buying.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Momentum {
    volume: u64,
    run: Run,
    ignitions: [Ignition; FOLLOWED],
    buying: u64,
    buying_past: u64,
    since: TimeMs,
}

/// Why an account is taken for an igniter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct IgnitionFigures {
    /// Bid for a run upwards.
    pub side: Side,
    /// Where the run began.
    pub start: PriceTicks,
    /// How far it came.
    pub peak: PriceTicks,
    /// The account's share of all volume when it was noticed.
    pub share_ppm: u32,
    /// What part of its lots it turned over at better prices than the start.
    pub unwound_ppm: u32,
    /// How much of the run the price has given back.
    pub reversed_ppm: u32,
}

/// Why a market is taken for being pumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PumpFigures {
    /// How far the price ran up within five minutes.
    pub run_ppm: u32,
    /// Aggressive buying of the moment over that of the past, in thousandths.
    pub ratio_millis: u32,
}

impl Momentum {
    /// Lets time pass.
    pub fn fade(&mut self, before: TimeMs, now: TimeMs) {
        self.volume = FADES.fading(before, now).of(self.volume);
        self.buying = PUMP_FADES.fading(before, now).of(self.buying);
        self.buying_past = PAST_FADES.fading(before, now).of(self.buying_past);
        for ignition in &mut self.ignitions {
            if now.since(ignition.at) > EXPIRES {
                *ignition = Ignition::default();
            }
        }
    }

    /// Takes in a trade of the market. The taker's aggression includes it already.
    pub fn note(&mut self, trade: &Traded, takers: &Aggression, run_min: RatioPpm, now: TimeMs) {
        let (price, lots) = (trade.price.ticks(), trade.lots.lots().saturating_mul(LOT));
        if self.since.is_zero() {
            self.since = now;
        }
        self.volume = self.volume.saturating_add(lots);
        self.run.note(price, now);
        if trade.taker_side == Side::Bid {
            let notional = u64::try_from(trade.notional.micros()).unwrap_or(0);
            self.buying = self.buying.saturating_add(notional);
            self.buying_past = self.buying_past.saturating_add(notional);
        }
        self.follow(trade, lots);
        self.ignite(trade, takers, run_min, now);
    }

    /// Peaks move, and who is on the other side of its own run unwinds.
    fn follow(&mut self, trade: &Traded, lots: u64) {
        let price = trade.price.ticks();
        let (taker, maker) = (short(trade.taker), short(trade.maker));
        for ignition in self.ignitions.iter_mut().filter(|ignition| ignition.account != 0) {
            ignition.peak = if ignition.is_up { ignition.peak.max(price) } else { ignition.peak.min(price) };
            let is_better = if ignition.is_up { price > ignition.start } else { price < ignition.start };
            let sold = trade.taker_side == Side::Ask;
            let turns_as_taker = taker == ignition.account && sold == ignition.is_up;
            let turns_as_maker = maker == ignition.account && sold != ignition.is_up;
            if is_better && (turns_as_taker || turns_as_maker) {
                ignition.unwound = ignition.unwound.saturating_add(lots);
            } else if taker == ignition.account {
                ignition.lots = ignition.lots.saturating_add(lots);
            }
        }
    }

    fn ignite(&mut self, trade: &Traded, takers: &Aggression, run_min: RatioPpm, now: TimeMs) {
        let account = short(trade.taker);
        let taken = *takers.taken.of(trade.taker_side);
        let share = share_ppm(taken, self.volume).min(WHOLE_PPM);
        let Extremes { low, high } = self.run.extremes();
        let is_up = trade.taker_side == Side::Bid;
        let (start, end) = if is_up { (low, trade.price.ticks()) } else { (high, trade.price.ticks()) };
        let run = if (end > start) == is_up { share_ppm(end.abs_diff(start), start) } else { 0 };
        if share <= SHARE_PPM
            || run < run_min.ppm()
            || self.ignitions.iter().any(|ignition| ignition.account == account)
        {
            return;
        }
        let found = Ignition { account, is_up, start, peak: end, share_ppm: share, lots: taken, unwound: 0, at: now };
        // A free place, or that of the oldest.
        if let Some(oldest) = self.ignitions.iter_mut().min_by_key(|ignition| ignition.at) {
            *oldest = found;
        }
    }

    /// The ignition that is farthest, in parts per million of all thresholds at once, with its account; nothing while no run
    /// has one account behind it. What fired is forgotten.
    pub fn judge_ignitions(&mut self, price: PriceTicks, run_min: RatioPpm) -> Option<(u32, u32, IgnitionFigures)> {
        let scored = self.ignitions.iter_mut().filter(|ignition| ignition.account != 0).map(|ignition| {
            let (score, figures) = ignition.judge(price.ticks(), run_min);
            (score, ignition, figures)
        });
        let (score, ignition, figures) = scored.max_by_key(|(score, ignition, _)| (*score, ignition.at))?;
        let account = ignition.account;
        if score >= WHOLE_PPM {
            *ignition = Ignition::default();
        }
        Some((score, account, figures))
    }

    /// How far the market is towards a pump, in parts per million of both thresholds, and why.
    #[must_use]
    pub fn judge_pump(&self, price: PriceTicks, run_min: RatioPpm, now: TimeMs) -> (u32, PumpFigures) {
        let low = self.run.extremes().low;
        let run_ppm = if low < price.ticks() { share_ppm(price.ticks().saturating_sub(low), low) } else { 0 };
        let scaled = self.buying.saturating_mul(MOMENTS_PER_PAST.div_euclid(PUMP_RATIO));
        let ratio_ppm = share_ppm(scaled, self.buying_past);
        let score = if now.since(self.since) < PAST_MIN {
            0
        } else {
            share_ppm(run_ppm.into(), run_min.ppm().into()).min(ratio_ppm)
        };
        let ratio_millis = share_ppm(ratio_ppm.into(), 1_000_000_000 / PUMP_RATIO);
        (score, PumpFigures { run_ppm, ratio_millis })
    }
}

impl Ignition {
    fn judge(&self, price: u64, run_min: RatioPpm) -> (u32, IgnitionFigures) {
        let run = self.peak.abs_diff(self.start);
        let is_back = if self.is_up { price < self.peak } else { price > self.peak };
        let reversed_ppm = if is_back { share_ppm(self.peak.abs_diff(price), run).min(WHOLE_PPM) } else { 0 };
        let unwound_ppm = share_ppm(self.unwound, self.lots).min(WHOLE_PPM);
        let score = share_ppm(share_ppm(run, self.start).into(), run_min.ppm().into())
            .min(share_ppm(self.share_ppm.into(), SHARE_PPM.into()))
            .min(share_ppm(unwound_ppm.into(), HALF_PPM.into()))
            .min(share_ppm(reversed_ppm.into(), HALF_PPM.into()));
        let figures = IgnitionFigures {
            side: if self.is_up { Side::Bid } else { Side::Ask },
            start: PriceTicks::from_ticks(self.start),
            peak: PriceTicks::from_ticks(self.peak),
            share_ppm: self.share_ppm,
            unwound_ppm,
            reversed_ppm,
        };
        (score, figures)
    }
}

#[cfg(test)]
mod tests;
