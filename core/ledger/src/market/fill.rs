//! The effect of one fill on one position: a pure calculation (docs/trading-rules.md, Positions).

use casemate_protocol::units::{Round, div_round};
use casemate_protocol::{PriceTicks, QuantityLots, QuoteMicros, Side, TickValueMicros};

/// A position after a fill, and what the fill realised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FillEffect {
    /// Signed lots after the fill.
    pub lots: i64,
    /// Signed entry notional after the fill.
    pub entry_notional: i64,
    /// Realised profit or loss, before fees.
    pub cash_delta: QuoteMicros,
}

/// Applies a fill to a position.
///
/// Closing takes its share of the entry notional, rounded up, so that a rounded cost never favours the account. What
/// stays is kept exactly: cash minus entry notional changes by exactly the notional traded, whatever the rounding.
#[must_use]
pub fn fill_effect(
    lots: i64,
    entry_notional: i64,
    side: Side,
    quantity: QuantityLots,
    price: PriceTicks,
    tick_value: TickValueMicros,
) -> FillEffect {
    let quantity = i64::try_from(quantity.lots()).unwrap_or(i64::MAX);
    let (direction, is_closing) = match side {
        Side::Bid => (1i64, lots < 0),
        Side::Ask => (-1i64, lots > 0),
    };
    let closed = if is_closing { quantity.min(lots.saturating_abs()) } else { 0 };
    let opened = quantity.saturating_sub(closed);
    let cost = closed_cost(lots, entry_notional, closed);
    let proceeds = signed_notional(price, closed, tick_value).saturating_mul(direction).saturating_neg();
    let opened_notional = signed_notional(price, opened, tick_value).saturating_mul(direction);
    FillEffect {
        lots: lots.saturating_add(direction.saturating_mul(quantity)),
        entry_notional: entry_notional.saturating_sub(cost).saturating_add(opened_notional),
        cash_delta: QuoteMicros::from_micros(proceeds.saturating_sub(cost)),
    }
}

/// Share of the entry notional that belongs to the lots being closed.
fn closed_cost(lots: i64, entry_notional: i64, closed: i64) -> i64 {
    if closed == 0 {
        return 0;
    }
    let size = lots.saturating_abs();
    if closed == size {
        return entry_notional;
    }
    let product = i128::from(entry_notional).saturating_mul(i128::from(closed));
    let cost = div_round(product, i128::from(size), Round::Up).unwrap_or(0);
    i64::try_from(cost).unwrap_or(i64::MAX)
}

fn signed_notional(price: PriceTicks, lots: i64, tick_value: TickValueMicros) -> i64 {
    let lots = QuantityLots::from_lots(u64::try_from(lots).unwrap_or(0));
    casemate_protocol::units::notional(price, lots, tick_value).map_or(i64::MAX, QuoteMicros::micros)
}
