//! What a trade changes: positions, cash with funding, young profit, the market's sums.

use casemate_protocol::{AccountId, DurationMs, QuoteMicros};

use super::{SegmentUndo, TotalField};
use crate::market::fill::{Fill, FillEffect, fill_effect};
use crate::price::maturing::{Maturity, Realised, after_realising};
use crate::risk::value::{self, Ageing};
use crate::segment::{Position, Segment, Trading};

impl Segment {
    /// Applies one side of a trade to an account: position, cash with funding, young profit, market sums.
    pub(crate) fn apply_fill(
        &mut self,
        account: AccountId,
        market: u16,
        fill: &Fill,
        fee: QuoteMicros,
        waiting_ms: DurationMs,
    ) {
        let Some(of_market) = self.markets.get(usize::from(market)) else { return };
        let cumulative = of_market.facts.funding_cumulative;
        let Some(row) = self.sub_accounts.row_mut(account.number()) else { return };
        let trading = row.trading_mut();
        let position = trading.position_mut(market);
        let before = *position;
        let effect = fill_effect(before.lots, before.entry_notional, fill);
        let ageing = Ageing::of(&before, &effect, of_market);
        (position.lots, position.entry_notional) = (effect.lots, effect.entry_notional);
        position.entry_gain = ageing.entry_gain;
        position.funding_entry = if effect.lots == 0 { 0 } else { cumulative };
        let after = *position;
        trading.prune(market);
        self.remember(SegmentUndo::Position {
            account: account.number(),
            market,
            lots: before.lots,
            entry_notional: before.entry_notional,
            entry_gain: before.entry_gain,
            funding_entry: before.funding_entry,
        });
        self.move_open_interest(market, &before, &effect);
        let funding = self.settle_funding_of(market, &before, &after, cumulative);
        let realised = effect.cash_delta.saturating_sub(fee).saturating_sub(funding);
        self.add_cash(account, realised);
        self.note_realised(account, &ageing.realised(market, realised), waiting_ms);
    }

    /// What a position owes in funding up to now, rounded up; what rounding leaves over is kept as the market's dust and
    /// goes to insurance as soon as it is a whole unit.
    fn settle_funding_of(&mut self, market: u16, before: &Position, after: &Position, cumulative: i64) -> QuoteMicros {
        let weight = |position: &Position| i128::from(position.lots).saturating_mul(i128::from(position.funding_entry));
        let Some(facts) = self.markets.get_mut(usize::from(market)).map(|market| &mut market.facts) else {
            return QuoteMicros::ZERO;
        };
        facts.funding_weight = facts.funding_weight.saturating_add(weight(after)).saturating_sub(weight(before));
        if before.lots == 0 || before.funding_entry == cumulative {
            return QuoteMicros::ZERO;
        }
        let funding = value::funding_due(before, cumulative);
        let dust = i128::from(facts.funding_dust).saturating_add(funding.dust);
        facts.funding_dust = u32::try_from(dust.rem_euclid(value::FINE)).unwrap_or(0);
        self.add_total(TotalField::Insurance, dust.div_euclid(value::FINE));
        funding.owed
    }

    /// Writes down a profit as young, realised or of entry, as far as it was not old enough before; a loss eats the youngest
    /// profit first. What the backstop realises is counted for its market.
    fn note_realised(&mut self, account: AccountId, gain: &Realised, waiting_ms: DurationMs) {
        let (market, realised) = (gain.market, gain.amount);
        let Some(margin) = self.market(market).and_then(|market| market.margin.as_deref()) else { return };
        let maturity = Maturity::of(&margin.rules);
        if !realised.is_zero() && self.clearing.as_ref().is_some_and(|clearing| clearing.backstop == account) {
            self.change_pricing(market, |pricing, _| {
                pricing.backstop_realised = pricing.backstop_realised.saturating_add(realised.micros());
            });
        }
        let Some(row) = self.sub_accounts.row_mut(account.number()) else { return };
        let Some(young) = after_realising(row.maturing(), gain, waiting_ms, maturity) else { return };
        let was = core::mem::replace(&mut row.trading_mut().maturing, young);
        self.remember(SegmentUndo::Maturing { account: account.number(), maturing: was });
    }

    fn move_open_interest(&mut self, market: u16, before: &Position, after: &FillEffect) {
        let Some(market) = self.markets.get_mut(usize::from(market)) else { return };
        let facts = &mut market.facts;
        facts.open_long = facts.open_long.saturating_sub(before.lots.max(0)).saturating_add(after.lots.max(0));
        facts.open_short = facts.open_short.saturating_sub(before.lots.min(0)).saturating_add(after.lots.min(0));
        let entry_delta = i128::from(after.entry_notional).saturating_sub(i128::from(before.entry_notional));
        facts.entry_notional = facts.entry_notional.saturating_add(entry_delta);
    }

    /// Remembers a market's facts before they change; a trade calls this once for all it changes there.
    pub(crate) fn remember_facts(&mut self, market: u16) {
        if let Some(facts) = self.market(market).map(|market| market.facts) {
            self.remember(SegmentUndo::Facts { market, facts: Box::new(facts) });
        }
    }

    /// Takes the next place in the queues of a market.
    pub(crate) fn next_priority(&mut self, market: u16) -> u64 {
        let Some(facts) = self.markets.get_mut(usize::from(market)).map(|market| &mut market.facts) else { return 0 };
        let next_priority = facts.next_priority;
        facts.next_priority = next_priority.saturating_add(1);
        self.remember(SegmentUndo::Priority { market, next_priority });
        next_priority
    }

    pub(super) fn step_positions_back(&mut self, step: SegmentUndo) {
        match step {
            SegmentUndo::Position { account, market, lots, entry_notional, entry_gain, funding_entry } => {
                if let Some(row) = self.sub_accounts.row_mut(account) {
                    let trading = row.trading_mut();
                    let position = trading.position_mut(market);
                    (position.lots, position.entry_notional) = (lots, entry_notional);
                    (position.entry_gain, position.funding_entry) = (entry_gain, funding_entry);
                    trading.prune(market);
                }
            }
            SegmentUndo::Maturing { account, maturing } => {
                if let Some(row) = self.sub_accounts.row_mut(account) {
                    row.trading_mut().maturing = maturing;
                }
            }
            SegmentUndo::Priority { market, next_priority } => {
                if let Some(market) = self.markets.get_mut(usize::from(market)) {
                    market.facts.next_priority = next_priority;
                }
            }
            SegmentUndo::Facts { market, facts } => {
                if let Some(market) = self.markets.get_mut(usize::from(market)) {
                    market.facts = *facts;
                }
            }
            _ => {}
        }
    }
}

impl Trading {
    /// The position in a market, made at its sorted place if there is none.
    pub(super) fn position_mut(&mut self, market: u16) -> &mut Position {
        let place = self.positions.partition_point(|position| position.market < market);
        if self.positions.get(place).is_none_or(|position| position.market != market) {
            self.positions.insert(place, Position { market, ..Position::default() });
        }
        // The place exists: it was found or just made.
        #[expect(clippy::indexing_slicing, reason = "the lines above find or insert a position at `place`")]
        &mut self.positions[place]
    }

    /// Drops a position that says nothing any more.
    pub(super) fn prune(&mut self, market: u16) {
        self.positions.retain(|position| position.market != market || !position.is_empty());
    }
}
