//! Between which two breakpoints of the ramps the level lies.
//!
//! A few ramps are a sample of all: they say where the level is about, and one look at every ramp rules out what lies outside.
//! Each turn leaves a tenth of the breakpoints or so, so that the work is little more than one look at each. Where the sample
//! says nothing, because whoever numbers accounts wants it so, the middle of all breakpoints takes its place.

use super::{LOTS_BITS, Level, Ramp, share};

/// Neighbouring breakpoints: at `low` more is cut than is wanted, at `high` at most as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) low: Level,
    pub(super) high: Level,
}

impl Span {
    /// The span in which what the ramps cut passes what is wanted, in 2^-48 lots: more than nothing, less than all.
    pub(super) fn around(ramps: &[Ramp], wanted: u128) -> Self {
        let low = ramps.iter().map(Ramp::lower).min().unwrap_or(0);
        let high = ramps.iter().map(|ramp| ramp.upper).max().unwrap_or(0);
        let lots: u128 = ramps.iter().map(|ramp| u128::from(ramp.lots)).sum();
        let count = u128::try_from(ramps.len()).unwrap_or(u128::MAX);
        let mut search = Search {
            ramps,
            wanted,
            tolerance: count.saturating_mul(RAMP_ERROR).saturating_add(lots.saturating_mul(LOT_ERROR)),
            span: Self { low, high },
            full: 0,
            straight_low: 0,
            straight_high: 0,
        };
        search.run();
        search.span
    }

    const fn has_inside(&self, level: Level) -> bool {
        self.low < level && level < self.high
    }
}

/// What a straight line between two sums can be wrong by, in 2^-48 lots, generously: for each ramp the end of its last step,
/// for each lot a step of a slope and a part of the ratio in [`share`], each once a turn.
const RAMP_ERROR: u128 = 1 << 27;
const LOT_ERROR: u128 = 8;

/// Ramps in a sample.
const SAMPLE: usize = 1_024;
/// Breakpoints of a sample, of its two thousand, between its level and the ends of the next span.
const MARGIN: usize = 96;

struct Search<'a> {
    ramps: &'a [Ramp],
    wanted: u128,
    /// A sum that is as close to what is wanted is made anew, exactly.
    tolerance: u128,
    span: Span,
    /// What those cut that are cut in full in the span, in 2^-48 lots.
    full: u128,
    /// What those cut at its ends that have no breakpoint inside.
    straight_low: u128,
    straight_high: u128,
}

/// What some ramps cut in a span, and those of them that have a breakpoint inside.
#[derive(Default)]
struct Split {
    full: u128,
    straight_low: u128,
    straight_high: u128,
    pending_low: u128,
    pending_high: u128,
}

impl Search<'_> {
    fn run(&mut self) {
        let (mut pending, mut next) = (Vec::new(), Vec::new());
        self.narrow(self.ramps, true, &mut pending);
        let mut before = self.ramps.len();
        while !pending.is_empty() {
            // A turn that left more than three quarters was worth little.
            let is_sampling = pending.len() <= before / 4 * 3;
            before = pending.len();
            next.clear();
            self.narrow(&pending, is_sampling, &mut next);
            core::mem::swap(&mut pending, &mut next);
        }
    }

    /// One turn: appends those of the ramps to `left` that have a breakpoint inside the next span.
    fn narrow(&mut self, ramps: &[Ramp], is_sampling: bool, left: &mut Vec<Ramp>) {
        let guess = if is_sampling { self.sampled(ramps) } else { self.middle(ramps) };
        let split = Split::of(ramps, &guess, left);
        let next = if !self.is_above(guess.low, split.at_low()) {
            Span { low: self.span.low, high: guess.low }
        } else if self.is_above(guess.high, split.at_high()) {
            Span { low: guess.high, high: self.span.high }
        } else {
            self.take(guess, &split);
            return;
        };
        left.clear();
        let split = Split::of(ramps, &next, left);
        self.take(next, &split);
    }

    fn take(&mut self, next: Span, split: &Split) {
        let (low, high) = (self.straight_at(next.low), self.straight_at(next.high));
        self.straight_low = low.saturating_add(split.straight_low);
        self.straight_high = high.saturating_add(split.straight_high);
        self.full = self.full.saturating_add(split.full);
        self.span = next;
    }

    /// Whether more than is wanted is cut at a level at which the ramps of this turn cut so much. Exact.
    fn is_above(&self, level: Level, of_turn: u128) -> bool {
        if level <= self.span.low || level >= self.span.high {
            return level <= self.span.low;
        }
        let sum = self.full.saturating_add(self.straight_at(level)).saturating_add(of_turn);
        if sum.abs_diff(self.wanted) > self.tolerance {
            return sum > self.wanted;
        }
        self.ramps.iter().map(|ramp| ramp.cut_at(level)).sum::<u128>() > self.wanted
    }

    /// What the straight ramps cut at a level inside the span, to within the tolerance.
    fn straight_at(&self, level: Level) -> u128 {
        let rise = self.straight_low.saturating_sub(self.straight_high);
        let above = share(rise, self.span.high.abs_diff(level), self.span.high.abs_diff(self.span.low));
        self.straight_high.saturating_add(above)
    }

    /// Where a sample of the ramps says that the next span is.
    fn sampled(&self, ramps: &[Ramp]) -> Span {
        let stride = ramps.len().div_ceil(SAMPLE).max(1);
        let sample: Vec<Ramp> = ramps.iter().step_by(stride).copied().collect();
        let mut breakpoints: Vec<Level> = sample.iter().flat_map(|ramp| [ramp.upper, ramp.lower()]).collect();
        breakpoints.retain(|level| self.span.has_inside(*level));
        breakpoints.sort_unstable();
        let (of_all, of_sample) = (as_number(ramps.len()), as_number(sample.len()));
        let estimate = |level| {
            let sum: u128 = sample.iter().map(|ramp| ramp.cut_at(level)).sum();
            let scaled = if stride == 1 { sum } else { sum.checked_div(of_sample).unwrap_or(0).saturating_mul(of_all) };
            self.full.saturating_add(self.straight_at(level)).saturating_add(scaled)
        };
        let place = breakpoints.partition_point(|level| estimate(*level) > self.wanted);
        let margin = if stride == 1 { 0 } else { MARGIN };
        let at = |place: Option<usize>| place.and_then(|place| breakpoints.get(place)).copied();
        Span {
            low: at(place.checked_sub(margin.saturating_add(1))).unwrap_or(self.span.low),
            high: at(place.checked_add(margin)).unwrap_or(self.span.high),
        }
    }

    /// The middle of one breakpoint of each ramp: whichever side is ruled out, it takes a quarter of all along.
    fn middle(&self, ramps: &[Ramp]) -> Span {
        let inside = |ramp: &Ramp| if self.span.has_inside(ramp.upper) { ramp.upper } else { ramp.lower() };
        let mut breakpoints: Vec<Level> = ramps.iter().map(inside).collect();
        let middle = breakpoints.len() / 2;
        let (_, &mut level, _) = breakpoints.select_nth_unstable(middle);
        Span { low: level, high: level }
    }
}

impl Split {
    fn of(ramps: &[Ramp], span: &Span, pending: &mut Vec<Ramp>) -> Self {
        let mut split = Self::default();
        for ramp in ramps.iter().filter(|ramp| ramp.upper > span.low) {
            let lower = ramp.lower();
            if lower >= span.high {
                split.full = split.full.saturating_add(u128::from(ramp.lots) << LOTS_BITS);
                continue;
            }
            let (low, high) = (ramp.cut_at(span.low), ramp.cut_at(span.high));
            if lower <= span.low && span.high <= ramp.upper {
                split.straight_low = split.straight_low.saturating_add(low);
                split.straight_high = split.straight_high.saturating_add(high);
            } else {
                split.pending_low = split.pending_low.saturating_add(low);
                split.pending_high = split.pending_high.saturating_add(high);
                pending.push(*ramp);
            }
        }
        split
    }

    const fn at_low(&self) -> u128 {
        self.full.saturating_add(self.straight_low).saturating_add(self.pending_low)
    }

    const fn at_high(&self) -> u128 {
        self.full.saturating_add(self.straight_high).saturating_add(self.pending_high)
    }
}

fn as_number(count: usize) -> u128 {
    u128::try_from(count).unwrap_or(u128::MAX)
}
