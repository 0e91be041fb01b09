//! The effect of one fill on one position: a pure calculation (docs/trading-rules.md, Positions).

use casemate_protocol::units::{Round, div_round};
use casemate_protocol::{QuantityLots, QuoteMicros, Side};

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

/// One side of a fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The side on which the account trades.
    pub side: Side,
    /// Lots; above zero.
    pub quantity: QuantityLots,
    /// What they change hands for: price times lots times tick value for a trade.
    pub notional: QuoteMicros,
}

/// Applies a fill to a position.
///
/// Closing takes its share of the entry notional, rounded up, so that a rounded cost never favours the account. What
/// stays is kept exactly: cash minus entry notional changes by exactly the notional traded, whatever the rounding.
#[must_use]
pub fn fill_effect(lots: i64, entry_notional: i64, fill: &Fill) -> FillEffect {
    let quantity = i64::try_from(fill.quantity.lots()).unwrap_or(i64::MAX);
    let (direction, is_closing) = match fill.side {
        Side::Bid => (1i64, lots < 0),
        Side::Ask => (-1i64, lots > 0),
    };
    let closed = if is_closing { quantity.min(lots.saturating_abs()) } else { 0 };
    let cost = closed_cost(lots, entry_notional, closed);
    let closed_notional = part_of(fill.notional.micros(), closed, quantity);
    let opened_notional = fill.notional.micros().saturating_sub(closed_notional).saturating_mul(direction);
    let proceeds = closed_notional.saturating_mul(direction).saturating_neg();
    FillEffect {
        lots: lots.saturating_add(direction.saturating_mul(quantity)),
        entry_notional: entry_notional.saturating_sub(cost).saturating_add(opened_notional),
        cash_delta: QuoteMicros::from_micros(proceeds.saturating_sub(cost)),
    }
}

/// What part of the notional belongs to `part` of `whole` lots, rounded down; exact for a trade at one price.
fn part_of(notional: i64, part: i64, whole: i64) -> i64 {
    if part == whole {
        return notional;
    }
    if part == 0 {
        return 0;
    }
    let product = i128::from(notional).saturating_mul(i128::from(part));
    i64::try_from(div_round(product, i128::from(whole), Round::Down).unwrap_or(0)).unwrap_or(i64::MAX)
}

/// Share of the entry notional that belongs to the lots being closed.
pub(crate) fn closed_cost(lots: i64, entry_notional: i64, closed: i64) -> i64 {
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
