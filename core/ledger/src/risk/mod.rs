//! Risk: the one calculation that says what an account needs, used by every check, match and withdrawal.
//!
//! Owns:        no table.        Reads: sub-accounts, market facts.
//! Commands:    none.            Events: none.
//! Invariants:  R1 an action that leaves free collateral equal or larger is never refused for collateral.
//!              R2 check, match and withdrawal use the same requirement.
//! Not here:    margin rates, scenarios, prices from outside: until they come, collateral is full (docs/trading-rules.md).

use casemate_protocol::units::notional;
use casemate_protocol::{PriceTicks, QuantityLots, QuoteMicros, Reject, RejectCode, Side};

use crate::market::fill::fill_effect;
use crate::segment::{Market, Position, SubAccount};

/// The calculation that judges accounts. Margin will be another implementation of this seam.
pub trait Risk {
    /// Cash minus all requirements, with one market's position replaced by a hypothetical one.
    fn free_collateral(&self, account: &SubAccount, markets: &[Market], instead: Option<&Position>) -> QuoteMicros;

    /// Equity if every market stood at the worse edge of its band, with one market's position replaced.
    fn band_edge_equity(&self, account: &SubAccount, markets: &[Market], instead: Option<&Position>) -> QuoteMicros;
}

/// Collateral in full: every position and order is covered by its whole notional.
#[derive(Clone, Copy, Debug, Default)]
pub struct FullCollateral;

impl Risk for FullCollateral {
    fn free_collateral(&self, account: &SubAccount, markets: &[Market], instead: Option<&Position>) -> QuoteMicros {
        let required = sum_positions(account, instead, |position| {
            markets.get(usize::from(position.market)).map_or(0, |market| requirement(position, market))
        });
        QuoteMicros::from_micros(account.cash().micros().saturating_sub(required))
    }

    fn band_edge_equity(&self, account: &SubAccount, markets: &[Market], instead: Option<&Position>) -> QuoteMicros {
        let value = sum_positions(account, instead, |position| {
            markets.get(usize::from(position.market)).map_or(0, |market| edge_value(position, market))
        });
        QuoteMicros::from_micros(account.cash().micros().saturating_add(value))
    }
}

/// Refuses unless free collateral is at least zero after a change, or not smaller than before it. `before` is what was
/// free before the command, where the command has changed something since; else what is free now.
///
/// # Errors
/// `InsufficientFreeCollateral` with what the change needs and what was there.
pub fn require_free<R: Risk>(
    risk: &R,
    account: &SubAccount,
    markets: &[Market],
    after: &Position,
    cash_delta: QuoteMicros,
    before: Option<QuoteMicros>,
) -> Result<(), Reject> {
    let free_after = risk.free_collateral(account, markets, Some(after)).saturating_add(cash_delta);
    if !free_after.is_negative() {
        return Ok(());
    }
    let free_before = before.unwrap_or_else(|| risk.free_collateral(account, markets, None));
    if free_after >= free_before {
        return Ok(());
    }
    let needed = free_before.saturating_sub(free_after);
    Err(Reject::of(RejectCode::InsufficientFreeCollateral).quote(needed, free_before))
}

/// Refuses a fill that the account cannot carry. It must not lower band-edge equity below zero, and if the account's
/// order only reduces, it must not lower free collateral below zero: other orders may count on the position it closes.
///
/// # Errors
/// `BandEdgeInsolvent` with the equity it would leave, `InsufficientFreeCollateral` as [`require_free`].
pub fn require_fill<R: Risk>(
    risk: &R,
    account: &SubAccount,
    markets: &[Market],
    fill: &ProposedFill,
) -> Result<(), Reject> {
    let before = account.position(fill.market);
    let Some(market) = markets.get(usize::from(fill.market)) else { return Ok(()) };
    let effect = fill_effect(
        before.lots,
        before.entry_notional,
        fill.side,
        fill.quantity,
        fill.price,
        market.rules().tick_value,
    );
    let after = Position { lots: effect.lots, entry_notional: effect.entry_notional, ..before };
    let cash_delta = effect.cash_delta.saturating_sub(fill.fee);
    let equity = risk.band_edge_equity(account, markets, Some(&after)).saturating_add(cash_delta);
    if equity.is_negative() && equity < risk.band_edge_equity(account, markets, None) {
        return Err(Reject::of(RejectCode::BandEdgeInsolvent).quote(QuoteMicros::ZERO, equity));
    }
    if fill.is_reduce_only {
        require_free(risk, account, markets, &after, cash_delta, None)?;
    }
    Ok(())
}

/// One side of a fill that has not happened.
#[derive(Clone, Copy, Debug)]
pub struct ProposedFill {
    /// Market, as its place in the segment.
    pub market: u16,
    /// The account's side.
    pub side: Side,
    /// Lots.
    pub quantity: QuantityLots,
    /// Price.
    pub price: PriceTicks,
    /// What the account pays.
    pub fee: QuoteMicros,
    /// Whether the account's order only reduces: then it reserved nothing.
    pub is_reduce_only: bool,
}

/// What one market needs: the worst of the position as it is, with all bids filled, and with all asks filled.
fn requirement(position: &Position, market: &Market) -> i64 {
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
fn need(lots: i64, entry_notional: i64, market: &Market) -> i64 {
    if lots >= 0 {
        return entry_notional.max(0);
    }
    let at_reference = value_at(lots.saturating_neg(), market.facts().reference_price, market);
    let shown_loss = at_reference.saturating_add(entry_notional).max(0);
    at_reference.saturating_add(shown_loss)
}

/// Profit or loss of a position at the worse edge of its market's band.
fn edge_value(position: &Position, market: &Market) -> i64 {
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

fn sum_positions(account: &SubAccount, instead: Option<&Position>, value: impl Fn(&Position) -> i64) -> i64 {
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
