//! Deleveraging by draining leverage: whose positions are cut, and by how much, when a loss has nobody left to take it.
//!
//! One level of leverage is found such that cutting every candidate above it down to it closes what is wanted (R§3.8). The
//! older rule, a queue by profit and leverage, closes whole positions of a few and leaves their neighbours untouched; and
//! who splits an account moves in the queue. Leverage does not change when an account is split, so here it gains nothing.
//!
//! A candidate's cut as a function of the level is a ramp: nothing above its own leverage, its cap below some lower
//! leverage, a straight line between. The level lies between two neighbouring breakpoints of the ramps (`search`). Which two
//! is decided by sums that are exact, so the result depends on the candidates that are cut and on nobody else: who stands
//! below a level that is known not to be reached may be left out (INVARIANT(D4)).
//!
//! Not here: who is a candidate, what leverage is made of, and the price at which a cut is closed.

mod search;

use casemate_protocol::limits::QUANTITY_LOTS_MAX;

use search::Span;

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
        cuts.extend(ramps.iter().map(|ramp| Cut { account: ramp.account, lots: ramp.lots }));
    } else if lots_wanted > 0 {
        cut_to_level(&ramps, lots_wanted, cuts);
    }
    drop_empty(cuts, first);
    let placed = cuts.get_mut(first..).unwrap_or_default();
    // Stable, because it makes use of the order that there is.
    placed.sort_by_key(|cut| cut.account);
    placed.iter().map(|cut| cut.lots).sum()
}

/// Whether these candidates alone place what is wanted above a leverage, so that whoever is no more levered than that is not
/// cut, and leaving him out changes no cut. INVARIANT(D4)
///
/// At some breakpoint of theirs, at or above that leverage, they are cut by more than is wanted. So the level lies above it,
/// between breakpoints in which nobody below has a part.
pub(super) fn is_settled_above(leverage: Level, candidates: &[Candidate], lots_wanted: u64) -> bool {
    let ramps: Vec<Ramp> = candidates.iter().filter_map(Ramp::of).collect();
    let breakpoints = ramps.iter().flat_map(|ramp| [ramp.upper, ramp.lower()]);
    let Some(lowest) = breakpoints.filter(|level| *level >= leverage).min() else { return false };
    ramps.iter().map(|ramp| ramp.cut_at(lowest)).sum::<u128>() > u128::from(lots_wanted) << LOTS_BITS
}

/// Drops the cuts of nothing from one place on.
fn drop_empty(cuts: &mut Vec<Cut>, first: usize) {
    let mut place = 0usize;
    cuts.retain(|cut| {
        place = place.saturating_add(1);
        place <= first || cut.lots > 0
    });
}

/// A level of leverage in 2^-64. Below zero where a cut would take off more than there is of gross notional.
pub(super) type Level = i128;

/// Fractional bits of a level.
pub(super) const LEVEL_BITS: u32 = 64;
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
    /// What a step of the level cuts, in 2^-80 lots, rounded down. Kept because every turn asks for it.
    slope: u128,
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
        let slope = (u128::from(lots) << SLOPE_BITS).checked_div(width >> step_bits(width))?;
        Some(Self { account: candidate.account, lots, upper, width, slope })
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
        (above >> step_bits(self.width)).saturating_mul(self.slope) >> (SLOPE_BITS - LOTS_BITS)
    }
}

/// The step of a ramp's levels, in binary digits of a level.
const fn step_bits(width: u128) -> u32 {
    bits(width).saturating_sub(STEPS_BITS)
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

/// Appends the cuts that sum to what is wanted, which is more than nothing and less than what is possible: each rounded down,
/// then one lot more for the largest fractions.
fn cut_to_level(ramps: &[Ramp], lots_wanted: u64, cuts: &mut Vec<Cut>) {
    let span = Span::around(ramps, u128::from(lots_wanted) << LOTS_BITS);
    let sums = Sums::of(ramps, &span);
    let level = sums.level(&span, lots_wanted);
    let first = cuts.len();
    // By cut, nothing where all is cut.
    let mut fractions: Vec<u64> = Vec::with_capacity(ramps.len());
    let mut lots_sloping: u64 = 0;
    for ramp in ramps.iter().filter(|ramp| ramp.upper > span.low) {
        let is_full = ramp.lower() >= span.high;
        let exact = if is_full { u128::from(ramp.lots) << LOTS_BITS } else { ramp.cut_at(level) };
        let lots = lots_down(exact);
        if !is_full {
            lots_sloping = lots_sloping.saturating_add(lots);
        }
        cuts.push(Cut { account: ramp.account, lots });
        fractions.push(lot_fraction(exact));
    }
    let left = lots_wanted.saturating_sub(u64::try_from(sums.lots_full).unwrap_or(u64::MAX));
    // All errors together are below half a lot, so what is rounded down is never more than is left.
    let more = left.saturating_sub(lots_sloping);
    if !round_up(more, cuts.get_mut(first..).unwrap_or_default(), &fractions) {
        cuts.truncate(first);
        fill_up(more, ramps, level, &span, cuts);
    }
}

/// What ramps cut at both ends of a span without breakpoints.
struct Sums {
    /// Lots of those that are cut in full in it.
    lots_full: u128,
    /// What the sloping ones cut at its ends, in 2^-48 lots.
    sloping_low: u128,
    sloping_high: u128,
}

impl Sums {
    fn of(ramps: &[Ramp], span: &Span) -> Self {
        let mut sums = Self { lots_full: 0, sloping_low: 0, sloping_high: 0 };
        for ramp in ramps.iter().filter(|ramp| ramp.upper > span.low) {
            if ramp.lower() >= span.high {
                sums.lots_full = sums.lots_full.saturating_add(u128::from(ramp.lots));
            } else {
                sums.sloping_low = sums.sloping_low.saturating_add(ramp.cut_at(span.low));
                sums.sloping_high = sums.sloping_high.saturating_add(ramp.cut_at(span.high));
            }
        }
        sums
    }

    /// The level itself, rounded up.
    fn level(&self, span: &Span, lots_wanted: u64) -> Level {
        let wanted = u128::from(lots_wanted) << LOTS_BITS;
        let missing = wanted.saturating_sub(self.lots_full << LOTS_BITS).saturating_sub(self.sloping_high);
        let rise = self.sloping_low.saturating_sub(self.sloping_high);
        span.high.saturating_sub_unsigned(share(span.high.abs_diff(span.low), missing.min(rise), rise))
    }
}

/// Gives one lot more to the largest fractions, of equal ones to the smallest account numbers, until so many are given.
/// Nothing happens if there are not as many fractions: `false`.
fn round_up(more: u64, cuts: &mut [Cut], fractions: &[u64]) -> bool {
    let mut largest: Vec<u64> = fractions.iter().copied().filter(|fraction| *fraction > 0).collect();
    let Some(count) = usize::try_from(more).ok().filter(|count| *count <= largest.len()) else { return false };
    let Some(last) = count.checked_sub(1) else { return true };
    let (above, &mut least, _) = largest.select_nth_unstable_by(last, |left, right| right.cmp(left));
    let of_least = count.saturating_sub(above.iter().filter(|fraction| **fraction > least).count());
    let is_tied = |(cut, fraction): (&Cut, &u64)| (*fraction == least).then_some(cut.account);
    let mut tied: Vec<u64> = cuts.iter().zip(fractions).filter_map(is_tied).collect();
    tied.sort_unstable();
    tied.truncate(of_least);
    let last_tied = tied.last().copied().unwrap_or(0);
    for (cut, fraction) in cuts.iter_mut().zip(fractions) {
        let is_up = *fraction > least || (*fraction == least && cut.account <= last_tied);
        cut.lots = cut.lots.saturating_add(u64::from(is_up));
    }
    true
}

/// Appends the cuts of ramps at a level, rounded down, and `more` on top, where a unit of the level is worth more than a lot:
/// they go to those that the next lower unit would cut, the largest fractions first.
fn fill_up(mut more: u64, ramps: &[Ramp], level: Level, span: &Span, cuts: &mut Vec<Cut>) {
    let next = level.saturating_sub(1);
    let mut cut: Vec<(&Ramp, u128)> = Vec::new();
    for ramp in ramps.iter().filter(|ramp| ramp.upper > span.low) {
        cut.push((
            ramp,
            if ramp.lower() >= span.high { u128::from(ramp.lots) << LOTS_BITS } else { ramp.cut_at(level) },
        ));
    }
    cut.sort_unstable_by_key(|(ramp, exact)| (core::cmp::Reverse(lot_fraction(*exact)), ramp.account));
    for (ramp, exact) in cut {
        let lots = lots_down(exact);
        let room = lots_down(ramp.cut_at(next).saturating_add(LOT - 1)).saturating_sub(lots).min(more);
        more = more.saturating_sub(room);
        cuts.push(Cut { account: ramp.account, lots: lots.saturating_add(room) });
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
