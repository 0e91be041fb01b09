//! Collateral in full: every position and order is covered by its whole notional. For segments without prices from
//! outside, which only development chains have.

use casemate_protocol::units::notional;
use casemate_protocol::{PriceTicks, QuantityLots, QuoteMicros};

use crate::segment::{Market, Position, SubAccount};

/// What one market needs: the worst of the position as it is, with all bids filled, and with all asks filled.
pub(super) fn requirement(position: &Position, market: &Market) -> i64 {
    let now = need(position.lots, position.entry_notional, market);
    let all_bids = need(
        position.lots.saturating_add(position.bid_lots),
        position.entry_notional.saturating_add(position.bid_notional),
        market,
    );
    let all_asks = need(
        position.lots.saturating_sub(position.ask_lots),
        position.entry_notional.saturating_sub(position.ask_notional),
        market,
    );
    now.max(all_bids).max(all_asks)
}

/// What a position needs: a long its cost; a short its notional at the reference and the loss it shows there.
pub(super) fn need(lots: i64, entry_notional: i64, market: &Market) -> i64 {
    if lots >= 0 {
        return entry_notional.max(0);
    }
    let at_reference = value_at(lots.saturating_neg(), market.facts().reference_price, market);
    let shown_loss = at_reference.saturating_add(entry_notional).max(0);
    at_reference.saturating_add(shown_loss)
}

/// Profit or loss of a position at the worse edge of its market's band.
pub(super) fn edge_value(position: &Position, market: &Market) -> i64 {
    let facts = market.facts();
    let value = if position.lots >= 0 {
        value_at(position.lots, facts.band_lower, market)
    } else {
        value_at(position.lots.saturating_neg(), facts.band_upper, market).saturating_neg()
    };
    value.saturating_sub(position.entry_notional)
}

fn value_at(lots: i64, price: PriceTicks, market: &Market) -> i64 {
    let lots = QuantityLots::from_lots(u64::try_from(lots).unwrap_or(0));
    notional(price, lots, market.rules().tick_value).map_or(i64::MAX, QuoteMicros::micros)
}

pub(super) fn sum_positions(account: &SubAccount, instead: Option<&Position>, value: impl Fn(&Position) -> i64) -> i64 {
    let replaced = instead.map_or(u16::MAX, |position| position.market);
    let kept = account
        .positions()
        .iter()
        .filter(|position| instead.is_none() || position.market != replaced)
        .fold(0i64, |sum, position| sum.saturating_add(value(position)));
    instead.map_or(kept, |position| kept.saturating_add(value(position)))
}

#[cfg(test)]
mod tests;
