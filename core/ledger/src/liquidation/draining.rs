//! Deleveraging by draining leverage: whose positions are cut, and by how much, when a loss has nobody left to take it.
//!
//! One level of leverage is found such that cutting every candidate above it down to it closes what is wanted (R§3.8). The
//! older rule, a queue by profit and leverage, closes whole positions of a few and leaves their neighbours untouched; and
//! who splits an account moves in the queue. Leverage does not change when an account is split, so here it gains nothing.
//!
//! A candidate's cut as a function of the level is a ramp: nothing above its own leverage, its cap below some lower
//! leverage, a straight line between. The sum of ramps is searched at its breakpoints, and each half that is ruled out
//! takes half of the breakpoints along, so the work grows with the number of candidates and not with its logarithm.
//!
//! Not here: who is a candidate, what leverage is made of, and the price at which a cut is closed.

use casemate_protocol::limits::QUANTITY_LOTS_MAX;

/// An account that deleveraging may cut. Account numbers differ from candidate to candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its account.
    pub account: u64,
    /// Size of its position on the winning side of the market; what lies above `QUANTITY_LOTS_MAX` is not cut.
    pub lots: u64,
    /// What the position adds to `gross_notional`, in micro-quote, from 0. Nothing below zero has a meaning, and counts
    /// as zero: such a position is cut without changing the account's leverage.
    pub notional: i64,
    /// Notional of all its positions, adjusted for factors that offset each other, in micro-quote, from 0.
    pub gross_notional: i64,
    /// Its equity in micro-quote, above 0. Who has none is no candidate and is left out.
    pub equity: i64,
    /// The most lots that its profit in the market pays for.
    pub lots_max: u64,
}

/// What an account loses of its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The account.
    pub account: u64,
    /// Lots closed, above 0.
    pub lots: u64,
}

/// Cuts the most levered candidates down to one level, so that `lots_wanted` are closed, and appends the cuts by account.
///
/// Returns the lots placed: exactly `lots_wanted`, or everything that caps and positions allow if that is less. Each cut is
/// the exact one rounded down or up; the largest fractions are rounded up, of equal ones that of the smaller account number.
/// The order of the candidates is irrelevant.
///
/// Levels have 64 fractional bits, so a cut is exact to within rounding as long as a lot is worth at least a micro-quote and
/// all equity together stays inside `i64`; the total is exact in any case.
pub fn drain(candidates: &[Candidate], lots_wanted: u64, cuts: &mut Vec<Cut>) -> u64 {
    let mut ramps = Vec::with_capacity(candidates.len());
    ramps.extend(candidates.iter().filter_map(Ramp::of));
    // Once for all, where growing bit by bit would copy.
    cuts.reserve(ramps.len());
    let first = cuts.len();
    let lots_possible: u128 = ramps.iter().map(|ramp| u128::from(ramp.lots)).sum();
    if lots_possible <= u128::from(lots_wanted) {
        ramps.iter().for_each(|ramp| ramp.push_cut(ramp.lots, cuts));
    } else if lots_wanted > 0 {
        cut_to_level(ramps, lots_wanted, cuts);
    }
    let placed = cuts.get_mut(first..).unwrap_or_default();
    // Stable, because it makes use of the long runs that there are.
    placed.sort_by_key(|cut| cut.account);
    placed.iter().map(|cut| cut.lots).sum()
}

/// A level of leverage in 2^-64. Below zero where a cut would take off more than there is of gross notional.
type Level = i128;

/// Fractional bits of a level.
const LEVEL_BITS: u32 = 64;
/// Fractional bits of lots while they are summed: the sum of a million caps at their largest stays inside `u128`.
const LOTS_BITS: u32 = 48;
/// Fractional bits of a slope: the largest cap with them stays inside `u128`.
const SLOPE_BITS: u32 = 80;
/// A ramp is divided into at most two to the power of this many steps.
const STEPS_BITS: u32 = 56;

/// A candidate's cut as a function of the level. Kept small: with many candidates memory costs more than divisions.
#[derive(Clone, Copy, Debug)]
struct Ramp {
    account: u64,
    /// The most that it is cut.
    lots: u64,
    /// Its leverage: from here up it is not cut.
    upper: Level,
    /// How far below its leverage the most is cut, above 0.
    width: u128,
}

impl Ramp {
    /// The ramp of a candidate, or `None` where there is nothing to cut. Levels are rounded down.
    fn of(candidate: &Candidate) -> Option<Self> {
        let lots = candidate.lots.min(candidate.lots_max).min(QUANTITY_LOTS_MAX);
        let equity = u128::try_from(candidate.equity).ok().filter(|equity| *equity > 0)?;
        if lots == 0 {
            return None;
        }
        let gross = u128::try_from(candidate.gross_notional).unwrap_or(0);
        let upper = i128::try_from((gross << LEVEL_BITS).checked_div(equity)?).ok()?;
        // A ramp is at least one unit wide, so that a worthless position has a slope like any other.
        let width = notional_of_cut(candidate, lots)?.checked_div(equity)?.max(1);
        Some(Self { account: candidate.account, lots, upper, width })
    }

    /// Its leverage with the most cut: from here down it is cut no further.
    const fn lower(&self) -> Level {
        self.upper.saturating_sub_unsigned(self.width)
    }

    /// Lots cut at a level, in 2^-48, rounded down.
    fn cut_at(&self, level: Level) -> u128 {
        if level >= self.upper {
            return 0;
        }
        let above = self.upper.abs_diff(level);
        if above >= self.width {
            return u128::from(self.lots) << LOTS_BITS;
        }
        let step_bits = bits(self.width).saturating_sub(STEPS_BITS);
        // Rounded down, as the steps are.
        let slope = (u128::from(self.lots) << SLOPE_BITS).checked_div(self.width >> step_bits).unwrap_or(0);
        (above >> step_bits).saturating_mul(slope) >> (SLOPE_BITS - LOTS_BITS)
    }

    fn rank(&self, exact: u128) -> Rank {
        (core::cmp::Reverse(lot_fraction(exact)), self.account)
    }

    /// Appends its cut, if there is one.
    fn push_cut(&self, lots: u64, cuts: &mut Vec<Cut>) {
        if lots > 0 {
            cuts.push(Cut { account: self.account, lots });
        }
    }
}

/// What the most that a candidate can be cut takes off its gross notional, in 2^-64 micro-quote, rounded down.
fn notional_of_cut(candidate: &Candidate, lots: u64) -> Option<u128> {
    let notional = u128::try_from(candidate.notional).unwrap_or(0);
    if lots == candidate.lots {
        return Some(notional << LEVEL_BITS);
    }
    let held = u128::from(candidate.lots);
    let product = notional.checked_mul(u128::from(lots))?;
    let fraction = (product.checked_rem(held)? << LEVEL_BITS).checked_div(held)?;
    (product.checked_div(held)? << LEVEL_BITS).checked_add(fraction)
}

/// Appends the cuts that sum to what is wanted, which is more than nothing and less than what is possible.
fn cut_to_level(ramps: Vec<Ramp>, lots_wanted: u64, cuts: &mut Vec<Cut>) {
    let mut search = Search::over(ramps);
    search.narrow(u128::from(lots_wanted) << LOTS_BITS, cuts);
    let lots_full: u128 = search.lots_full >> LOTS_BITS;
    let left = lots_wanted.saturating_sub(u64::try_from(lots_full).unwrap_or(u64::MAX));
    round_at(search.level(lots_wanted), &mut search.sloping, left, cuts);
}

/// The search for the level: it lies between `low` and `high`, where more and at most as much as is wanted is cut.
struct Search {
    low: Level,
    high: Level,
    /// Ramps with a breakpoint between `low` and `high`.
    pending: Vec<Ramp>,
    /// Ramps that are straight between `low` and `high`, and what they cut at both, in 2^-48 lots.
    sloping: Vec<Ramp>,
    sloping_low: u128,
    sloping_high: u128,
    /// What those cut that are cut in full up to `high`, in 2^-48 lots.
    lots_full: u128,
}

impl Search {
    fn over(pending: Vec<Ramp>) -> Self {
        let low = pending.iter().map(Ramp::lower).min().unwrap_or(0);
        let high = pending.iter().map(|ramp| ramp.upper).max().unwrap_or(0);
        let sloping = Vec::with_capacity(pending.len());
        Self { low, high, pending, sloping, sloping_low: 0, sloping_high: 0, lots_full: 0 }
    }

    /// Rules out breakpoints until none is left between `low` and `high`; appends the cuts of those cut in full.
    ///
    /// The middle of one breakpoint of each ramp that has any takes at least a quarter of all along.
    fn narrow(&mut self, wanted: u128, cuts: &mut Vec<Cut>) {
        self.sort_out(cuts);
        let mut breakpoints = Vec::with_capacity(self.pending.len());
        while !self.pending.is_empty() {
            breakpoints.clear();
            let is_inside = |level: Level| self.low < level && level < self.high;
            let inside = |ramp: &Ramp| if is_inside(ramp.upper) { ramp.upper } else { ramp.lower() };
            breakpoints.extend(self.pending.iter().map(inside));
            let middle = breakpoints.len() / 2;
            let (_, &mut level, _) = breakpoints.select_nth_unstable(middle);
            let sloping = self.sloping_at(level);
            let pending: u128 = self.pending.iter().map(|ramp| ramp.cut_at(level)).sum();
            if self.lots_full.saturating_add(sloping).saturating_add(pending) > wanted {
                (self.low, self.sloping_low) = (level, sloping);
            } else {
                (self.high, self.sloping_high) = (level, sloping);
            }
            self.sort_out(cuts);
        }
    }

    /// Takes out of `pending` what has no breakpoint between `low` and `high`.
    fn sort_out(&mut self, cuts: &mut Vec<Cut>) {
        let (low, high) = (self.low, self.high);
        self.pending.retain(|ramp| {
            if ramp.upper <= low {
                return false;
            }
            if ramp.lower() >= high {
                self.lots_full = self.lots_full.saturating_add(u128::from(ramp.lots) << LOTS_BITS);
                ramp.push_cut(ramp.lots, cuts);
                return false;
            }
            let is_straight = ramp.lower() <= low && high <= ramp.upper;
            if is_straight {
                self.sloping_low = self.sloping_low.saturating_add(ramp.cut_at(low));
                self.sloping_high = self.sloping_high.saturating_add(ramp.cut_at(high));
                self.sloping.push(*ramp);
            }
            !is_straight
        });
    }

    /// What the straight ramps cut at a level between `low` and `high`, rounded down.
    fn sloping_at(&self, level: Level) -> u128 {
        let rise = self.sloping_low.saturating_sub(self.sloping_high);
        let above = share(rise, self.high.abs_diff(level), self.high.abs_diff(self.low));
        self.sloping_high.saturating_add(above)
    }

    /// The level itself, rounded up, once nothing is pending.
    fn level(&self, lots_wanted: u64) -> Level {
        let wanted = u128::from(lots_wanted) << LOTS_BITS;
        let missing = wanted.saturating_sub(self.lots_full).saturating_sub(self.sloping_high);
        let rise = self.sloping_low.saturating_sub(self.sloping_high);
        let below = share(self.high.abs_diff(self.low), missing.min(rise), rise);
        self.high.saturating_sub_unsigned(below)
    }
}

/// A ramp's place where one lot more is given: the largest fractions first, of equal ones the smallest account number.
type Rank = (core::cmp::Reverse<u64>, u64);

/// Appends the cuts of ramps at a level so that they sum to `left`: each rounded down, then one lot more for the largest
/// fractions.
fn round_at(level: Level, ramps: &mut [Ramp], left: u64, cuts: &mut Vec<Cut>) {
    let mut ranks: Vec<Rank> = Vec::with_capacity(ramps.len());
    let mut sum: u64 = 0;
    for ramp in ramps.iter() {
        let exact = ramp.cut_at(level);
        sum = sum.saturating_add(lots_down(exact));
        if lot_fraction(exact) > 0 {
            ranks.push(ramp.rank(exact));
        }
    }
    // All errors together are below half a lot, so what is rounded down is never more than is left.
    let more = left.saturating_sub(sum);
    let count = usize::try_from(more).unwrap_or(usize::MAX);
    if count > ranks.len() {
        fill_up(level, ramps, more, cuts);
        return;
    }
    let first_without = if count < ranks.len() { Some(*ranks.select_nth_unstable(count).1) } else { None };
    for ramp in ramps.iter() {
        let exact = ramp.cut_at(level);
        let is_up = lot_fraction(exact) > 0 && first_without.is_none_or(|without| ramp.rank(exact) < without);
        ramp.push_cut(lots_down(exact).saturating_add(u64::from(is_up)), cuts);
    }
}

/// Appends the cuts of ramps at a level, rounded down, and `more` on top, where a unit of the level is worth more than a lot:
/// they go to those that the next lower unit would cut, in the order of their ranks.
fn fill_up(level: Level, ramps: &mut [Ramp], mut more: u64, cuts: &mut Vec<Cut>) {
    let next = level.saturating_sub(1);
    ramps.sort_unstable_by_key(|ramp| ramp.rank(ramp.cut_at(level)));
    for ramp in ramps.iter() {
        let lots = lots_down(ramp.cut_at(level));
        let room = lots_down(ramp.cut_at(next).saturating_add(LOT - 1)).saturating_sub(lots).min(more);
        more = more.saturating_sub(room);
        ramp.push_cut(lots.saturating_add(room), cuts);
    }
}

/// One lot in 2^-48 lots.
const LOT: u128 = 1 << LOTS_BITS;

/// What rounding down takes, in 2^-48 lots.
fn lot_fraction(lots: u128) -> u64 {
    u64::try_from(lots & (LOT - 1)).unwrap_or(u64::MAX)
}

fn lots_down(lots: u128) -> u64 {
    u64::try_from(lots >> LOTS_BITS).unwrap_or(u64::MAX)
}

/// The share `part` of `whole` of an amount, rounded down, to within 2^-62 of the amount. Nothing of nothing; `part` is at
/// most `whole`.
fn share(amount: u128, part: u128, whole: u128) -> u128 {
    // Both are brought into 63 bits, so that the ratio with its 64 fractional bits stays inside `u128`.
    let shift = bits(whole).saturating_sub(63);
    let ratio = ((part >> shift) << 64).checked_div(whole >> shift).unwrap_or(0);
    let (high, low) = (amount >> 64, amount & u128::from(u64::MAX));
    high.saturating_mul(ratio).saturating_add(low.saturating_mul(ratio) >> 64)
}

/// Binary digits of a number.
const fn bits(number: u128) -> u32 {
    u128::BITS - number.leading_zeros()
}

#[cfg(test)]
mod tests;
