//! Sizes and prices of one step of a liquidation: how much of a position is closed, at what price at worst, and what
//! insurance may add.
//!
//! A position is closed in slices, each no larger than a share of what the book can take, so that closing it does not move
//! the price that closes the next one. All of it is calculation on values; amounts are in the quote asset.
//!
//! Not here: where depth, index and equity come from, and who takes a slice.

use casemate_protocol::clearing::{FINE_PER_TICK, LiquidationRules};
use casemate_protocol::limits::SAVED_UP_MS_MAX;
use casemate_protocol::units::{
    DurationMs, FineTicks, PPM, PriceTicks, QuantityLots, QuoteMicros, RatioPpm, Round, TickValueMicros, div_round,
};

/// What limits a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SliceLimits {
    /// Size of the position.
    pub position: QuantityLots,
    /// Notional of one lot. Above zero; anything else counts as one micro-quote.
    pub lot_notional: QuoteMicros,
    /// Notional that the book takes up to `slippage_max`, now.
    pub depth: QuoteMicros,
    /// The same, as the median of the last minutes, so that depth shown for a moment does not count.
    pub median_depth: QuoteMicros,
    /// What is left of the market's budget for slices.
    pub budget: QuoteMicros,
}

/// Lots that one slice closes: the market's share of the lesser depth, in whole lots, rounded down, but at least
/// `slice_min` and one lot, at most the position, and never more than the budget.
///
/// What would be left below `slice_min` is closed along, as far as the budget goes.
#[must_use]
pub fn slice_lots(limits: &SliceLimits, rules: &LiquidationRules) -> QuantityLots {
    let lot = i128::from(limits.lot_notional.micros().max(1));
    let position = i128::from(limits.position.lots());
    let affordable = lots_of(limits.budget.micros().max(0).into(), lot).min(position);
    let depth = limits.depth.min(limits.median_depth).micros().max(0);
    let share = div_round(i128::from(depth).saturating_mul(rules.depth_share.ppm().into()), PPM, Round::Down);
    let notional = share.unwrap_or(0).max(rules.slice_min.micros().into());
    let lots = lots_of(notional, lot).max(1).min(affordable);
    let left = position.saturating_sub(lots).saturating_mul(lot);
    let lots = if left < rules.slice_min.micros().into() { affordable } else { lots };
    QuantityLots::from_lots(u64::try_from(lots).unwrap_or(0))
}

/// Whole lots in a notional, rounded down.
fn lots_of(notional: i128, lot: i128) -> i128 {
    div_round(notional, lot, Round::Down).unwrap_or(0)
}

/// The market's budget for slices after a step of block time: what was saved plus what the step brings, rounded down, at
/// most what ten seconds bring.
#[must_use]
pub fn budget_step(saved: QuoteMicros, step_ms: DurationMs, rules: &LiquidationRules) -> QuoteMicros {
    let per_second = i128::from(rules.per_second_max.micros());
    let brings = |ms: u64| {
        let brought = div_round(per_second.saturating_mul(ms.into()), MS_PER_SECOND, Round::Down).unwrap_or(0);
        i64::try_from(brought).map_or(i64::MAX, |micros| micros)
    };
    let most = brings(SAVED_UP_MS_MAX);
    QuoteMicros::from_micros(saved.micros().saturating_add(brings(step_ms.ms())).min(most))
}

const MS_PER_SECOND: i128 = 1_000;

/// A position's part in the maintenance margin of its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarginShare {
    /// Maintenance margin of the position, from 0 to `whole`.
    pub part: QuoteMicros,
    /// Maintenance margin of all positions, above 0.
    pub whole: QuoteMicros,
}

/// The notional at which closing a position uses up the equity that stands behind it.
///
/// Behind it stands the account's equity by the position's share of maintenance margin. A long position, whose value is
/// positive, must sell for at least the result; a short one, whose value is negative, must buy for at most that. With
/// negative equity that is above the value of the one and below that of the other. Rounded for the account: all positions
/// closed like this, equity that was not negative is not negative after.
///
/// The result is negative where even a gift would leave something (long), or would not be enough (short). `None` for a
/// share that is none, or where the result leaves the range.
#[must_use]
pub fn bankruptcy_notional(equity: QuoteMicros, value_now: QuoteMicros, share: MarginShare) -> Option<QuoteMicros> {
    let (part, whole) = (i128::from(share.part.micros()), i128::from(share.whole.micros()));
    if part < 0 || part > whole {
        return None;
    }
    // Down: the shares together are at most the whole.
    let behind = div_round(i128::from(equity.micros()).checked_mul(part)?, whole, Round::Down)?;
    let value = i128::from(value_now.micros());
    let notional = if value >= 0 { value.checked_sub(behind)? } else { value.checked_neg()?.checked_add(behind)? };
    i64::try_from(notional).ok().map(QuoteMicros::from_micros)
}

/// What the worst price of a slice follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceLimits {
    /// Whether the position is long, so that the slice sells.
    pub is_long: bool,
    /// Size of the whole position, to which `bankruptcy` belongs.
    pub position: QuantityLots,
    /// See [`bankruptcy_notional`].
    pub bankruptcy: QuoteMicros,
    /// The market's.
    pub tick_value: TickValueMicros,
    /// The index.
    pub index: FineTicks,
    /// How far from the index a slice may trade.
    pub slippage_max: RatioPpm,
}

/// The worst price at which a slice may trade: no worse than the bankruptcy price and no further than `slippage_max` from
/// the index. A long position sells at it or higher, a short one buys at it or lower.
///
/// Both limits are rounded towards the account, so a sale of a position at this price brings at least `bankruptcy`. `None`
/// where no price satisfies both, or for a position or tick value of nothing.
#[must_use]
pub fn limit_price(limits: &PriceLimits) -> Option<PriceTicks> {
    let tick = i128::from(limits.position.lots()).checked_mul(limits.tick_value.micros().into())?;
    let (round, slippage) = if limits.is_long {
        (Round::Up, PPM.checked_sub(limits.slippage_max.ppm().into())?)
    } else {
        (Round::Down, PPM.checked_add(limits.slippage_max.ppm().into())?)
    };
    let bankruptcy = div_round(limits.bankruptcy.micros().into(), tick, round)?;
    let fine = i128::from(limits.index.fine()).checked_mul(slippage)?;
    let edge = div_round(fine, PPM.checked_mul(FINE_PER_TICK.into())?, round)?;
    // The lowest price of a market is one tick.
    let ticks = if limits.is_long { bankruptcy.max(edge).max(1) } else { bankruptcy.min(edge) };
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).map(PriceTicks::from_ticks)
}

/// What a market may still take from the insurance fund: its share of what is in it now, rounded down, less what it took
/// within the window; from 0.
///
/// The share is of the fund as it is now and not as it was, so a market that takes again and again stays below its share of
/// what was there at first.
#[must_use]
pub fn insurance_room(fund: i128, spent_in_window: QuoteMicros, share_max: RatioPpm) -> QuoteMicros {
    let fund = fund.max(0);
    // Whole millions first, so that no fund is too large; the rest is below a million and exact.
    let ppm = i128::from(share_max.ppm()).min(PPM);
    let whole = div_round(fund, PPM, Round::Down).unwrap_or(0);
    let rest = fund.checked_rem(PPM).unwrap_or(0);
    let of_rest = div_round(rest.saturating_mul(ppm), PPM, Round::Down).unwrap_or(0);
    let share = whole.saturating_mul(ppm).saturating_add(of_rest);
    let room = share.saturating_sub(spent_in_window.micros().max(0).into()).max(0);
    QuoteMicros::from_micros(i64::try_from(room).unwrap_or(i64::MAX))
}

/// What still counts of insurance spent, after a step of block time: all but the step's share of the window, rounded up.
///
/// What is spent fades: after one window of short steps about 37 % of it still count, after a single step of a window none.
/// Less than `window_ms / step_ms` micro-quote does not fade at all, which is a few of the quote asset at most.
#[must_use]
pub fn insurance_decay(spent: QuoteMicros, step_ms: DurationMs, window_ms: DurationMs) -> QuoteMicros {
    let left_ms = window_ms.saturating_sub(step_ms);
    let product = i128::from(spent.micros().max(0)).saturating_mul(left_ms.ms().into());
    let left = div_round(product, window_ms.ms().into(), Round::Up).unwrap_or(0);
    QuoteMicros::from_micros(i64::try_from(left).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
