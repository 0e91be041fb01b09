//! The only writers of a segment. Each remembers how to take itself back.
//!
//! A command that fails half way, a group that must act whole, a segment that fails an invariant and a block that is
//! not decided are all the same thing here: the write set is undone to where it was. Each primitive keeps the derived
//! sums (totals, reserves, budgets, queues) in step, so that no caller can forget one.

use std::collections::BTreeMap;

use casemate_protocol::command::{Beneficiary, DepositClaim, Side};
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::units::notional;
use casemate_protocol::{
    AccountId, Digest, DurationMs, GrantNumber, QuantityLots, QuoteMicros, RecordIndex, SegmentId, TimeMs,
};

use super::{
    ClearingFacts, Deposit, DepositState, FeedFacts, GrantUsage, MarketFacts, OpenOrder, Position, Pricing, Proposal,
    RestingOrder, Segment, SubAccount, Transfer, TransferState, Withdrawal, WithdrawalState,
};
use crate::funds::limiter::LimiterState;
use crate::market::fill::{Fill, FillEffect, fill_effect};
use crate::price::maturing::{Maturing, Maturity, Realised, after_realising};
use crate::risk::value;

/// A point to which a segment can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Savepoint(usize);

/// One step back.
#[derive(Clone, Debug)]
pub(crate) enum SegmentUndo {
    /// A sub-account came into being.
    SubAccountMade { account: u64, row_count: u64 },
    /// Balances before.
    Balances { account: u64, cash: QuoteMicros, pending: QuoteMicros, pending_count: u32, net_deposits: i64 },
    /// Position before.
    Position { account: u64, market: u16, lots: i64, entry_notional: i64, funding_entry: i64 },
    /// Young profit before.
    Maturing { account: u64, maturing: Vec<Maturing> },
    /// An order came to rest.
    OrderLinked { slot: u32 },
    /// An order left the book.
    OrderUnlinked { slot: u32 },
    /// What was left of an order.
    Remaining { slot: u32, remaining: QuantityLots },
    /// Notional traded and lost under a grant before.
    Traded { account: u64, grant: u32, traded_notional: i64, lost: i64 },
    /// A usage entry came into being.
    UsageMade { account: u64 },
    /// A usage entry was dropped from its place.
    UsageDropped { account: u64, place: usize, usage: GrantUsage },
    /// Dead-man switch before.
    DeadMan { account: u64, fires_ms: TimeMs, origin: RecordIndex },
    /// A usage entry was no longer watched.
    Unwatched { account: u64, grant: u32 },
    /// The next place in the queues of a market before.
    Priority { market: u16, next_priority: u64 },
    /// Facts of a market before.
    Facts { market: u16, facts: Box<MarketFacts> },
    /// A total before.
    Total { field: TotalField, value: i128 },
    /// A withdrawal before.
    Withdrawal { number: u64, withdrawal: Option<Box<Withdrawal>> },
    /// A transfer before.
    Transfer { number: u64, transfer: Option<Box<Transfer>> },
    /// A transfer left.
    Left { to: u16, sequence: u64, before: Option<u64> },
    /// A transfer arrived.
    Arrived { from: u16, before: Option<u64> },
    /// A deposit claim came into being.
    DepositMade,
    /// A deposit before.
    Deposit { index: usize, operators: usize, state: DepositState },
    /// The limiter before.
    Limiter(Box<LimiterState>),
    /// A feed before.
    Feed { place: usize, facts: Box<FeedFacts> },
    /// Pricing of a market before.
    Pricing { market: u16, pricing: Box<Pricing> },
    /// Breaker and draws before.
    Clearing(Box<ClearingFacts>),
    /// A proposal before.
    Proposal { number: u64, proposal: Option<Box<Proposal>> },
}

/// Names a field of [`super::Totals`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each names the field of `Totals` of the same name")]
pub enum TotalField {
    Cash,
    Pending,
    Bonds,
    Unclaimed,
    Insurance,
    Uncovered,
    FeesValidators,
    FeesVenue,
    AttestedIn,
    TransferredIn,
    ReleasedOut,
    TransferredOut,
    LastOrder,
    LastTrade,
    LastWithdrawal,
    LastTransfer,
    LastProposal,
}

impl Segment {
    /// Where the segment stands now.
    #[must_use]
    pub fn savepoint(&self) -> Savepoint {
        Savepoint(self.undo.len())
    }

    /// Takes back everything since a savepoint.
    pub fn roll_back(&mut self, to: Savepoint) {
        while self.undo.len() > to.0 {
            let Some(step) = self.undo.pop() else { break };
            if let Some(account) = self.account_of_step(&step) {
                self.sub_accounts.unmark(account);
            }
            self.note_risk(&step);
            self.step_back(step);
        }
    }

    /// Takes the whole block back, the digests of books included.
    pub(crate) fn roll_back_block(&mut self) {
        self.roll_back(Savepoint(0));
    }

    /// Drops the segment's write set of the block and halts it.
    pub(crate) fn fault(&mut self) {
        self.roll_back_block();
        self.settle();
        self.totals.is_halted = true;
    }

    /// INVARIANT(S1): writes down how to take a change back, and marks the row that it changes.
    #[inline(always)]
    pub(super) fn remember(&mut self, step: SegmentUndo) {
        if let Some(account) = self.account_of_step(&step) {
            self.sub_accounts.mark(account);
        }
        self.note_risk(&step);
        self.undo.push(step);
    }

    /// An account whose cash or position changes needs a new bound before the next liquidations.
    fn note_risk(&mut self, step: &SegmentUndo) {
        let Some(clearing) = self.clearing.as_mut() else { return };
        if let SegmentUndo::Balances { account, .. } | SegmentUndo::Position { account, .. } = step {
            clearing.queue.note_changed(*account);
        }
    }

    /// The sub-account whose row a step changes.
    fn account_of_step(&self, step: &SegmentUndo) -> Option<u64> {
        match step {
            SegmentUndo::Balances { account, .. }
            | SegmentUndo::SubAccountMade { account, .. }
            | SegmentUndo::Position { account, .. }
            | SegmentUndo::Maturing { account, .. }
            | SegmentUndo::Traded { account, .. }
            | SegmentUndo::UsageMade { account }
            | SegmentUndo::UsageDropped { account, .. }
            | SegmentUndo::Unwatched { account, .. }
            | SegmentUndo::DeadMan { account, .. } => Some(*account),
            SegmentUndo::OrderLinked { slot }
            | SegmentUndo::OrderUnlinked { slot }
            | SegmentUndo::Remaining { slot, .. } => self.orders.order(*slot).map(|order| u64::from(order.account)),
            SegmentUndo::Priority { .. }
            | SegmentUndo::Facts { .. }
            | SegmentUndo::Total { .. }
            | SegmentUndo::Withdrawal { .. }
            | SegmentUndo::Transfer { .. }
            | SegmentUndo::Left { .. }
            | SegmentUndo::Arrived { .. }
            | SegmentUndo::DepositMade
            | SegmentUndo::Deposit { .. }
            | SegmentUndo::Limiter(_)
            | SegmentUndo::Feed { .. }
            | SegmentUndo::Pricing { .. }
            | SegmentUndo::Clearing(_)
            | SegmentUndo::Proposal { .. } => None,
        }
    }

    /// Forgets how to take the block back: it stands.
    pub fn settle(&mut self) {
        self.undo.clear();
        self.orders.settle();
    }

    // Balances.

    /// Changes an account's cash, making its row if it has none.
    pub(crate) fn add_cash(&mut self, account: AccountId, delta: QuoteMicros) {
        if delta.is_zero() {
            return;
        }
        let Some(row) = self.remembered_balances(account) else { return };
        row.cash = row.cash.saturating_add(delta);
        self.add_total(TotalField::Cash, i128::from(delta.micros()));
    }

    /// Changes an account's cash by money that comes from outside the segment.
    pub(crate) fn add_deposited(&mut self, account: AccountId, amount: QuoteMicros) {
        if amount.is_zero() {
            return;
        }
        let Some(row) = self.remembered_balances(account) else { return };
        row.cash = row.cash.saturating_add(amount);
        row.net_deposits = row.net_deposits.saturating_add(amount.micros());
        self.add_total(TotalField::Cash, i128::from(amount.micros()));
    }

    /// Sets cash aside to leave (a positive amount), or gives it back (a negative one).
    pub(crate) fn set_aside(&mut self, account: AccountId, amount: QuoteMicros) {
        let Some(row) = self.remembered_balances(account) else { return };
        row.cash = row.cash.saturating_sub(amount);
        row.net_deposits = row.net_deposits.saturating_sub(amount.micros());
        row.pending = row.pending.saturating_add(amount);
        row.pending_count = if amount.is_negative() {
            row.pending_count.saturating_sub(1)
        } else {
            row.pending_count.saturating_add(1)
        };
        self.add_total(TotalField::Cash, i128::from(amount.micros()).saturating_neg());
        self.add_total(TotalField::Pending, i128::from(amount.micros()));
    }

    /// What was set aside has left.
    pub(crate) fn release_aside(&mut self, account: AccountId, amount: QuoteMicros) {
        let Some(row) = self.remembered_balances(account) else { return };
        row.pending = row.pending.saturating_sub(amount);
        row.pending_count = row.pending_count.saturating_sub(1);
        self.add_total(TotalField::Pending, i128::from(amount.micros()).saturating_neg());
    }

    fn remembered_balances(&mut self, account: AccountId) -> Option<&mut SubAccount> {
        let account = account.number();
        if self.sub_accounts.row(account).is_none() {
            let row_count = self.sub_accounts.row_count();
            self.sub_accounts.row_or_insert(account, SubAccount::default)?;
            self.remember(SegmentUndo::SubAccountMade { account, row_count });
        }
        let row = self.sub_accounts.row(account)?;
        self.remember(SegmentUndo::Balances {
            account,
            cash: row.cash,
            pending: row.pending,
            pending_count: row.pending_count,
            net_deposits: row.net_deposits,
        });
        self.sub_accounts.row_mut(account)
    }

    /// Adds to a total.
    pub(crate) fn add_total(&mut self, field: TotalField, delta: i128) {
        let value = self.total(field);
        self.remember(SegmentUndo::Total { field, value });
        self.put_total(field, value.saturating_add(delta));
    }

    /// Takes the next number of a counter.
    pub(crate) fn next_number(&mut self, counter: TotalField) -> u64 {
        self.add_total(counter, 1);
        u64::try_from(self.total(counter)).unwrap_or(u64::MAX)
    }

    // Positions.

    /// Applies one side of a trade to an account: position, cash with funding, young profit, market sums.
    pub(crate) fn apply_fill(
        &mut self,
        account: AccountId,
        market: u16,
        fill: &Fill,
        fee: QuoteMicros,
        waiting_ms: DurationMs,
    ) {
        let Some(cumulative) = self.market(market).map(|market| market.facts.funding_cumulative) else { return };
        let Some(row) = self.sub_accounts.row_mut(account.number()) else { return };
        let position = row.trading_mut().position_mut(market);
        let before = *position;
        let effect = fill_effect(before.lots, before.entry_notional, fill);
        (position.lots, position.entry_notional) = (effect.lots, effect.entry_notional);
        position.funding_entry = if effect.lots == 0 { 0 } else { cumulative };
        let after = *position;
        row_prune(self.sub_accounts.row_mut(account.number()), market);
        self.remember(SegmentUndo::Position {
            account: account.number(),
            market,
            lots: before.lots,
            entry_notional: before.entry_notional,
            funding_entry: before.funding_entry,
        });
        self.move_open_interest(market, &before, &effect);
        let funding = self.settle_funding_of(market, &before, &after, cumulative);
        let realised = effect.cash_delta.saturating_sub(fee).saturating_sub(funding);
        self.add_cash(account, realised);
        self.note_realised(account, market, &before, &effect, realised, waiting_ms);
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

    /// Writes down a realised profit as young, as far as it was not old enough before it was realised; a loss eats the
    /// youngest profit first. What the backstop realises is counted for its market.
    fn note_realised(
        &mut self,
        account: AccountId,
        market: u16,
        before: &Position,
        effect: &FillEffect,
        realised: QuoteMicros,
        waiting_ms: DurationMs,
    ) {
        let Some(margin) = self.market(market).and_then(|market| market.margin.as_deref()) else { return };
        if realised.is_zero() {
            return;
        }
        let maturity = Maturity::of(&margin.rules);
        let tick_value = self.market(market).map_or_else(Default::default, |market| market.rules.tick_value);
        let gain = Realised {
            market,
            amount: realised,
            matured: value::matured_profit_of_closing(before, effect, &margin.pricing, tick_value),
        };
        if self.clearing.as_ref().is_some_and(|clearing| clearing.backstop == account) {
            self.change_pricing(market, |pricing, _| {
                pricing.backstop_realised = pricing.backstop_realised.saturating_add(realised.micros());
            });
        }
        let Some(row) = self.sub_accounts.row_mut(account.number()) else { return };
        let Some(young) = after_realising(row.maturing(), &gain, waiting_ms, maturity) else { return };
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

    /// Counts notional traded under a grant, and what the fill cost.
    pub(crate) fn add_traded(
        &mut self,
        account: AccountId,
        grant: GrantNumber,
        notional: QuoteMicros,
        lost: QuoteMicros,
    ) {
        if grant.is_none() {
            return;
        }
        let Some(usage) = self.usage_mut(account.number(), grant.number()) else { return };
        let (traded_notional, lost_before) = (usage.traded_notional, usage.lost);
        usage.traded_notional = traded_notional.saturating_add(notional.micros());
        usage.lost = lost_before.saturating_add(lost.micros());
        let (account, grant) = (account.number(), grant.number());
        self.remember(SegmentUndo::Traded { account, grant, traded_notional, lost: lost_before });
    }

    // Orders.

    /// Puts an order at the end of the queue of its price, with everything that follows from that.
    pub(crate) fn link_order(&mut self, order: RestingOrder) -> u32 {
        let slot = self.orders.insert(order);
        if let Some(market) = self.markets.get_mut(usize::from(order.market)) {
            market.book.push_back(slot, &mut self.orders);
        }
        self.remember(SegmentUndo::OrderLinked { slot });
        self.note_book_change(BookChange::Linked, &order);
        self.index_order(slot, &order);
        slot
    }

    /// Takes an order out of the book, with everything that follows from that.
    pub(crate) fn unlink_order(&mut self, slot: u32) {
        let Some(order) = self.orders.order(slot).copied() else { return };
        if let Some(market) = self.markets.get_mut(usize::from(order.market)) {
            market.book.unlink(slot, &mut self.orders);
        }
        self.orders.retire(slot);
        self.remember(SegmentUndo::OrderUnlinked { slot });
        self.note_book_change(BookChange::Unlinked, &order);
        self.unindex_order(&order);
        if order.grant != 0 {
            self.drop_ended_usage(u64::from(order.account), order.grant);
        }
    }

    /// Forgets what a grant used once it is no longer watched and its last order is gone: it can never act again.
    fn drop_ended_usage(&mut self, account: u64, grant: u32) {
        let Some(row) = self.sub_accounts.row_mut(account) else { return };
        let is_over = |usage: &GrantUsage| usage.grant == grant && usage.open_orders == 0 && !usage.is_watched;
        let trading = row.trading_mut();
        let Some(place) = trading.usage.iter().position(is_over) else { return };
        let usage = trading.usage.remove(place);
        self.remember(SegmentUndo::UsageDropped { account, place, usage });
    }

    /// Changes what is left of an order, above zero, in its place.
    pub(crate) fn set_remaining(&mut self, slot: u32, remaining: QuantityLots) {
        let Some(order) = self.orders.order(slot).copied() else { return };
        self.remember(SegmentUndo::Remaining { slot, remaining: order.remaining });
        self.note_book_change(BookChange::Remaining, &RestingOrder { remaining, ..order });
        self.put_remaining(slot, remaining);
    }

    /// Writes a change of the book down for the market's running digest.
    fn note_book_change(&mut self, change: BookChange, order: &RestingOrder) {
        let Some(market) = self.markets.get_mut(usize::from(order.market)) else { return };
        market.book_changes.push(change.number() | order.side.number());
        market.book_changes.extend_from_slice(&order.number.number().to_le_bytes());
        market.book_changes.extend_from_slice(&order.price.ticks().to_le_bytes());
        market.book_changes.extend_from_slice(&order.remaining.lots().to_le_bytes());
        market.book_changes.extend_from_slice(&order.account.to_le_bytes());
    }

    fn forget_book_change(&mut self, market: u16) {
        let Some(market) = self.markets.get_mut(usize::from(market)) else { return };
        let kept = market.book_changes.len().saturating_sub(BOOK_CHANGE_BYTES);
        market.book_changes.truncate(kept);
    }

    fn put_remaining(&mut self, slot: u32, remaining: QuantityLots) {
        let Some(order) = self.orders.order_mut(slot) else { return };
        let before = *order;
        order.remaining = remaining;
        let after = *order;
        self.add_reserve(&before, Direction::Less, 0);
        self.add_reserve(&after, Direction::More, 0);
    }

    fn index_order(&mut self, slot: u32, order: &RestingOrder) {
        if !order.expires_ms.is_zero()
            && let Some(market) = self.market(order.market).map(|market| market.rules.id)
        {
            self.order_expiries.insert((order.expires_ms.ms(), order.number.number()), (order.owner(), market));
        }
        if let Some(row) = self.sub_accounts.row_mut(u64::from(order.account)) {
            let trading = row.trading_mut();
            let number = order.number.number();
            let place = trading.orders.partition_point(|open| open.number < number);
            trading.orders.insert(place, OpenOrder { number, client_id: order.client_id, slot, market: order.market });
        }
        self.add_reserve(order, Direction::More, 1);
    }

    fn unindex_order(&mut self, order: &RestingOrder) {
        if !order.expires_ms.is_zero() {
            self.order_expiries.remove(&(order.expires_ms.ms(), order.number.number()));
        }
        if let Some(row) = self.sub_accounts.row_mut(u64::from(order.account)) {
            let trading = row.trading_mut();
            let number = order.number.number();
            if let Ok(place) = trading.orders.binary_search_by_key(&number, |open| open.number) {
                trading.orders.remove(place);
            }
        }
        self.add_reserve(order, Direction::Less, 1);
    }

    /// Adds an order's reserve to its owner's sums, or takes it off. Reduce-only orders reserve nothing.
    fn add_reserve(&mut self, order: &RestingOrder, direction: Direction, orders: u32) {
        let Some(tick_value) = self.market(order.market).map(|market| market.rules.tick_value) else { return };
        let Some(row) = self.sub_accounts.row_mut(u64::from(order.account)) else { return };
        let trading = row.trading_mut();
        let (lots, micros) = if order.is_reduce_only {
            (0, 0)
        } else {
            let reserve = notional(order.price, order.remaining, tick_value).map_or(i64::MAX, QuoteMicros::micros);
            (i64::try_from(order.remaining.lots()).unwrap_or(i64::MAX), reserve)
        };
        if let Some(usage) = trading.usage.iter_mut().find(|usage| usage.grant == order.grant && order.grant != 0) {
            direction.apply(&mut usage.open_notional, micros);
            direction.count(&mut usage.open_orders, orders);
        }
        let position = trading.position_mut(order.market);
        direction.count(&mut position.order_count, orders);
        let (side_lots, side_notional) = match order.side {
            Side::Bid => (&mut position.bid_lots, &mut position.bid_notional),
            Side::Ask => (&mut position.ask_lots, &mut position.ask_notional),
        };
        direction.apply(side_lots, lots);
        direction.apply(side_notional, micros);
        trading.prune(order.market);
    }

    // Grants, switches, queues.

    /// Starts counting what a grant uses here, and watches for its end.
    pub(crate) fn watch_grant(
        &mut self,
        account: AccountId,
        grant: GrantNumber,
        expires_ms: TimeMs,
        loss_max: QuoteMicros,
        origin: RecordIndex,
    ) {
        let (account, grant) = (account.number(), grant.number());
        let Some(row) = self.sub_accounts.row_mut(account) else { return };
        let trading = row.trading_mut();
        if trading.usage.iter().any(|usage| usage.grant == grant) {
            return;
        }
        trading.usage.push(GrantUsage {
            grant,
            expires_ms,
            loss_max: loss_max.micros(),
            origin,
            is_watched: true,
            ..GrantUsage::default()
        });
        self.grant_watches.insert((expires_ms.ms(), account, grant));
        self.remember(SegmentUndo::UsageMade { account });
    }

    /// Ends the watch of a grant and forgets what it used, unless reduce-only orders of it still rest.
    pub(crate) fn unwatch_grant(&mut self, account: AccountId, grant: GrantNumber, expires_ms: TimeMs) {
        let (account, grant) = (account.number(), grant.number());
        if self.grant_watches.remove(&(expires_ms.ms(), account, grant))
            && let Some(usage) = self.usage_mut(account, grant)
        {
            usage.is_watched = false;
            self.remember(SegmentUndo::Unwatched { account, grant });
        }
        self.drop_ended_usage(account, grant);
    }

    /// Sets the dead-man switch; zero disarms.
    pub(crate) fn set_dead_man(&mut self, account: AccountId, fires_ms: TimeMs, origin: RecordIndex) {
        let account = account.number();
        let Some(row) = self.sub_accounts.row_mut(account) else { return };
        let trading = row.trading_mut();
        let before = SegmentUndo::DeadMan { account, fires_ms: trading.dead_man_ms, origin: trading.dead_man_origin };
        self.remember(before);
        self.put_dead_man(account, fires_ms, origin);
    }

    fn put_dead_man(&mut self, account: u64, fires_ms: TimeMs, origin: RecordIndex) {
        let Some(row) = self.sub_accounts.row_mut(account) else { return };
        let trading = row.trading_mut();
        let before_ms = core::mem::replace(&mut trading.dead_man_ms, fires_ms);
        trading.dead_man_origin = origin;
        self.dead_men.remove(&(before_ms.ms(), account));
        if !fires_ms.is_zero() {
            self.dead_men.insert((fires_ms.ms(), account), origin);
        }
    }

    // Money that moves over the border.

    /// Puts a withdrawal's row.
    pub(crate) fn put_withdrawal(&mut self, number: u64, withdrawal: Withdrawal) {
        self.changed.withdrawals.mark(number);
        let before = self.replace_withdrawal(number, Some(withdrawal));
        self.remember(SegmentUndo::Withdrawal { number, withdrawal: before.map(Box::new) });
    }

    /// Puts a transfer's row.
    pub(crate) fn put_transfer(&mut self, number: u64, transfer: Transfer) {
        self.changed.transfers.mark(number);
        let before = self.replace_transfer(number, Some(transfer));
        self.remember(SegmentUndo::Transfer { number, transfer: before.map(Box::new) });
    }

    /// A transfer left for its target: it will arrive there in this place of the order.
    pub(crate) fn add_left(&mut self, to: SegmentId, sequence: u64, number: u64) {
        let to = to.number();
        let before = self.last_left.insert(to, sequence);
        self.left.insert((to, sequence), number);
        self.remember(SegmentUndo::Left { to, sequence, before });
    }

    /// A transfer of a source arrived here.
    pub(crate) fn set_arrived(&mut self, from: SegmentId, sequence: u64) {
        let from = from.number();
        let before = self.last_arrived.insert(from, sequence);
        self.remember(SegmentUndo::Arrived { from, before });
    }

    fn replace_withdrawal(&mut self, number: u64, withdrawal: Option<Withdrawal>) -> Option<Withdrawal> {
        let waits = |row: &Withdrawal| row.state == WithdrawalState::Pending;
        if let Some(row) = withdrawal.as_ref().filter(|row| waits(row)) {
            self.outbound.insert((row.due_waiting_ms.ms(), OUTBOUND_WITHDRAWAL, number));
        }
        let is_waiting = withdrawal.as_ref().is_some_and(waits);
        let before = match withdrawal {
            Some(row) => self.withdrawals.insert(number, row),
            None => self.withdrawals.remove(&number),
        };
        if let Some(row) = before.as_ref().filter(|_| !is_waiting) {
            self.outbound.remove(&(row.due_waiting_ms.ms(), OUTBOUND_WITHDRAWAL, number));
        }
        before
    }

    fn replace_transfer(&mut self, number: u64, transfer: Option<Transfer>) -> Option<Transfer> {
        let waits = |row: &Transfer| row.state == TransferState::Pending;
        if let Some(row) = transfer.as_ref().filter(|row| waits(row)) {
            self.outbound.insert((row.due_waiting_ms.ms(), OUTBOUND_TRANSFER, number));
        }
        let is_waiting = transfer.as_ref().is_some_and(waits);
        let before = match transfer {
            Some(row) => self.transfers.insert(number, row),
            None => self.transfers.remove(&number),
        };
        if let Some(row) = before.as_ref().filter(|_| !is_waiting) {
            self.outbound.remove(&(row.due_waiting_ms.ms(), OUTBOUND_TRANSFER, number));
        }
        before
    }

    /// Adds a deposit claim.
    pub(crate) fn add_deposit(&mut self, deposit: Deposit) -> usize {
        let index = self.deposits.len();
        self.deposit_index.insert(deposit.claim_key, u32::try_from(index).unwrap_or(u32::MAX));
        self.deposits.push(deposit);
        self.remember(SegmentUndo::DepositMade);
        self.changed.deposits.mark(number_of(index));
        self.index_deposit(index);
        index
    }

    /// Changes a deposit claim; operators can only be added at the end.
    pub(crate) fn change_deposit(&mut self, index: usize, change: impl FnOnce(&mut Deposit)) {
        let Some(deposit) = self.deposits.get(index) else { return };
        let before = SegmentUndo::Deposit { index, operators: deposit.operators.len(), state: deposit.state };
        self.remember(before);
        let Some(deposit) = self.deposits.get_mut(index) else { return };
        change(deposit);
        self.changed.deposits.mark(number_of(index));
        self.index_deposit(index);
    }

    /// Brings what follows from a deposit's state in step with it.
    fn index_deposit(&mut self, index: usize) {
        let Some(deposit) = self.deposits.get(index) else { return };
        let place = u32::try_from(index).unwrap_or(u32::MAX);
        let output = output_key(&deposit.claim);
        // A claim that still waits says nothing about the output: another claim on it may have been accepted.
        if deposit.state != DepositState::Attesting {
            self.accepted_outputs.insert(output);
        }
        let Beneficiary::RootKey(key) = deposit.claim.beneficiary else { return };
        if deposit.state == DepositState::Unclaimed {
            self.unclaimed.insert((key, place));
        } else {
            self.unclaimed.remove(&(key, place));
        }
    }

    /// Changes the limiter.
    pub(crate) fn change_limiter(&mut self, change: impl FnOnce(&mut LimiterState)) {
        self.remember(SegmentUndo::Limiter(Box::new(self.limiter.clone())));
        change(&mut self.limiter);
    }

    /// Advances the limiter's clock; the vault's size sets its capacity.
    pub(crate) fn refill_limiter(&mut self, step_ms: DurationMs) {
        if self.limiter.is_full(&self.rules, self.totals.vault()) {
            return;
        }
        let (rules, vault) = (self.rules.clone(), self.totals.vault());
        self.change_limiter(|limiter| limiter.refill(&rules, vault, step_ms));
    }

    // Snapshots.

    /// Puts the queue of grants' ends together again from the rows.
    pub(crate) fn restore_grant_watches(&mut self) {
        let usages =
            self.sub_accounts.iter().flat_map(|(account, row)| row.usage().iter().map(move |usage| (account, usage)));
        let watched = usages.filter(|(_, usage)| usage.is_watched).map(|(account, usage)| usage.watch_key(account));
        self.grant_watches = watched.collect();
    }

    /// Puts an order of a snapshot back: at the end of its queue, its owner's list pointing at its new slot. Reserves
    /// are in the owner's row already. False if there is no market, or no owner who says that it is there.
    pub(crate) fn restore_order(&mut self, order: RestingOrder) -> bool {
        let number = order.number.number();
        let Some(row) = self.sub_accounts.row_mut(u64::from(order.account)) else { return false };
        let Some(market) = self.markets.get_mut(usize::from(order.market)) else { return false };
        let orders = &mut row.trading_mut().orders;
        let Ok(place) = orders.binary_search_by_key(&number, |open| open.number) else { return false };
        let Some(open) = orders.get_mut(place).filter(|open| open.market == order.market) else { return false };
        open.slot = self.orders.insert(order);
        market.book.push_back(open.slot, &mut self.orders);
        if !order.expires_ms.is_zero() {
            self.order_expiries.insert((order.expires_ms.ms(), number), (order.owner(), market.rules.id));
        }
        true
    }

    /// Whether every open order that an account lists is in the book.
    pub(crate) fn has_every_open_order(&self) -> bool {
        self.sub_accounts.iter().all(|(account, row)| {
            row.orders().iter().all(|open| {
                self.orders.order(open.slot).is_some_and(|order| {
                    order.number.number() == open.number
                        && u64::from(order.account) == account
                        && order.market == open.market
                        && order.client_id == open.client_id
                })
            })
        })
    }

    /// Puts withdrawals, transfers and deposits of a snapshot back with what follows from them.
    pub(crate) fn restore_moves(
        &mut self,
        withdrawals: BTreeMap<u64, Withdrawal>,
        transfers: BTreeMap<u64, Transfer>,
        deposits: Vec<Deposit>,
    ) {
        for (number, withdrawal) in withdrawals {
            self.replace_withdrawal(number, Some(withdrawal));
        }
        for (number, transfer) in transfers {
            self.replace_transfer(number, Some(transfer));
        }
        for (index, deposit) in deposits.into_iter().enumerate() {
            self.deposit_index.insert(deposit.claim_key, u32::try_from(index).unwrap_or(u32::MAX));
            self.deposits.push(deposit);
            self.index_deposit(index);
        }
    }

    // Taking back.

    #[expect(clippy::too_many_lines, reason = "one arm for each primitive above, in the same order")]
    fn step_back(&mut self, step: SegmentUndo) {
        match step {
            SegmentUndo::SubAccountMade { account, row_count } => {
                self.sub_accounts.remove(account);
                self.sub_accounts.truncate_row_count(row_count);
            }
            SegmentUndo::Balances { account, cash, pending, pending_count, net_deposits } => {
                if let Some(row) = self.sub_accounts.row_mut(account) {
                    (row.cash, row.pending, row.pending_count) = (cash, pending, pending_count);
                    row.net_deposits = net_deposits;
                }
            }
            SegmentUndo::Maturing { account, maturing } => {
                if let Some(row) = self.sub_accounts.row_mut(account) {
                    row.trading_mut().maturing = maturing;
                }
            }
            SegmentUndo::Position { account, market, lots, entry_notional, funding_entry } => {
                if let Some(row) = self.sub_accounts.row_mut(account) {
                    let trading = row.trading_mut();
                    let position = trading.position_mut(market);
                    (position.lots, position.entry_notional) = (lots, entry_notional);
                    position.funding_entry = funding_entry;
                    trading.prune(market);
                }
            }
            SegmentUndo::OrderLinked { slot } => {
                let Some(order) = self.orders.order(slot).copied() else { return };
                if let Some(market) = self.markets.get_mut(usize::from(order.market)) {
                    market.book.unlink(slot, &mut self.orders);
                }
                self.forget_book_change(order.market);
                self.unindex_order(&order);
                self.orders.release(slot);
            }
            SegmentUndo::OrderUnlinked { slot } => {
                let Some(order) = self.orders.order(slot).copied() else { return };
                self.orders.revive(slot);
                if let Some(market) = self.markets.get_mut(usize::from(order.market)) {
                    market.book.relink(slot, &mut self.orders);
                }
                self.forget_book_change(order.market);
                self.index_order(slot, &order);
            }
            SegmentUndo::Remaining { slot, remaining } => {
                let market = self.orders.order(slot).map_or(u16::MAX, |order| order.market);
                self.forget_book_change(market);
                self.put_remaining(slot, remaining);
            }
            SegmentUndo::Traded { account, grant, traded_notional, lost } => {
                if let Some(usage) = self.usage_mut(account, grant) {
                    (usage.traded_notional, usage.lost) = (traded_notional, lost);
                }
            }
            SegmentUndo::UsageMade { account } => {
                let row = self.sub_accounts.row_mut(account);
                if let Some(usage) = row.and_then(|row| row.trading_mut().usage.pop()) {
                    self.grant_watches.remove(&usage.watch_key(account));
                }
            }
            SegmentUndo::UsageDropped { account, place, usage } => {
                if let Some(row) = self.sub_accounts.row_mut(account) {
                    row.trading_mut().usage.insert(place, usage);
                }
            }
            SegmentUndo::DeadMan { account, fires_ms, origin } => self.put_dead_man(account, fires_ms, origin),
            SegmentUndo::Unwatched { account, grant } => {
                let Some(usage) = self.usage_mut(account, grant) else { return };
                usage.is_watched = true;
                let key = usage.watch_key(account);
                self.grant_watches.insert(key);
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
            SegmentUndo::Total { field, value } => self.put_total(field, value),
            SegmentUndo::Withdrawal { number, withdrawal } => {
                self.changed.withdrawals.unmark(number);
                self.replace_withdrawal(number, withdrawal.map(|row| *row));
            }
            SegmentUndo::Transfer { number, transfer } => {
                self.changed.transfers.unmark(number);
                self.replace_transfer(number, transfer.map(|row| *row));
            }
            SegmentUndo::Left { to, sequence, before } => {
                self.left.remove(&(to, sequence));
                match before {
                    Some(before) => self.last_left.insert(to, before),
                    None => self.last_left.remove(&to),
                };
            }
            SegmentUndo::Arrived { from, before } => {
                match before {
                    Some(before) => self.last_arrived.insert(from, before),
                    None => self.last_arrived.remove(&from),
                };
            }
            SegmentUndo::DepositMade => {
                if let Some(deposit) = self.deposits.pop() {
                    self.deposit_index.remove(&deposit.claim_key);
                    self.changed.deposits.unmark(number_of(self.deposits.len()));
                }
            }
            SegmentUndo::Deposit { index, operators, state } => {
                if let Some(deposit) = self.deposits.get_mut(index) {
                    let was_accepted = deposit.state != DepositState::Attesting;
                    deposit.operators.truncate(operators);
                    deposit.state = state;
                    if was_accepted && state == DepositState::Attesting {
                        self.accepted_outputs.remove(&output_key(&deposit.claim));
                    }
                }
                self.changed.deposits.unmark(number_of(index));
                self.index_deposit(index);
            }
            SegmentUndo::Limiter(limiter) => self.limiter = *limiter,
            step @ (SegmentUndo::Feed { .. }
            | SegmentUndo::Pricing { .. }
            | SegmentUndo::Clearing(_)
            | SegmentUndo::Proposal { .. }) => self.step_clearing_back(step),
        }
    }

    fn usage_mut(&mut self, account: u64, grant: u32) -> Option<&mut GrantUsage> {
        let row = self.sub_accounts.row_mut(account)?;
        row.trading_mut().usage.iter_mut().find(|usage| usage.grant == grant)
    }

    fn total(&self, field: TotalField) -> i128 {
        let totals = &self.totals;
        match field {
            TotalField::Cash => totals.cash,
            TotalField::Pending => totals.pending,
            TotalField::Bonds => totals.bonds,
            TotalField::Unclaimed => totals.unclaimed,
            TotalField::Insurance => totals.insurance,
            TotalField::Uncovered => totals.uncovered,
            TotalField::FeesValidators => totals.fees_validators,
            TotalField::FeesVenue => totals.fees_venue,
            TotalField::AttestedIn => totals.attested_in,
            TotalField::TransferredIn => totals.transferred_in,
            TotalField::ReleasedOut => totals.released_out,
            TotalField::TransferredOut => totals.transferred_out,
            TotalField::LastOrder => i128::from(totals.last_order),
            TotalField::LastTrade => i128::from(totals.last_trade),
            TotalField::LastWithdrawal => i128::from(totals.last_withdrawal),
            TotalField::LastTransfer => i128::from(totals.last_transfer),
            TotalField::LastProposal => i128::from(totals.last_proposal),
        }
    }

    fn put_total(&mut self, field: TotalField, value: i128) {
        let totals = &mut self.totals;
        let number = u64::try_from(value).unwrap_or(u64::MAX);
        match field {
            TotalField::Cash => totals.cash = value,
            TotalField::Pending => totals.pending = value,
            TotalField::Bonds => totals.bonds = value,
            TotalField::Unclaimed => totals.unclaimed = value,
            TotalField::Insurance => totals.insurance = value,
            TotalField::Uncovered => totals.uncovered = value,
            TotalField::FeesValidators => totals.fees_validators = value,
            TotalField::FeesVenue => totals.fees_venue = value,
            TotalField::AttestedIn => totals.attested_in = value,
            TotalField::TransferredIn => totals.transferred_in = value,
            TotalField::ReleasedOut => totals.released_out = value,
            TotalField::TransferredOut => totals.transferred_out = value,
            TotalField::LastOrder => totals.last_order = number,
            TotalField::LastTrade => totals.last_trade = number,
            TotalField::LastWithdrawal => totals.last_withdrawal = number,
            TotalField::LastTransfer => totals.last_transfer = number,
            TotalField::LastProposal => totals.last_proposal = number,
        }
    }
}

fn number_of(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX)
}

/// Kinds of entries in the outbound queue.
pub(crate) const OUTBOUND_WITHDRAWAL: u8 = 0;
/// See [`OUTBOUND_WITHDRAWAL`].
pub(crate) const OUTBOUND_TRANSFER: u8 = 1;

/// Names an outside output, whatever a claim says about it.
pub(crate) fn output_key(claim: &DepositClaim) -> Digest {
    hash::digest_of(Domain::DepositClaim, &(claim.chain, &claim.transaction, claim.output))
}

/// What happened to an order in the book, as its running digest says it; the low bits name the side.
#[derive(Clone, Copy)]
enum BookChange {
    Linked,
    Unlinked,
    Remaining,
}

impl BookChange {
    const fn number(self) -> u8 {
        match self {
            Self::Linked => 0x10,
            Self::Unlinked => 0x20,
            Self::Remaining => 0x30,
        }
    }
}

/// Bytes that one change of the book takes in the digest's input.
const BOOK_CHANGE_BYTES: usize = 1 + 8 + 8 + 8 + 4;

/// Whether a sum grows or shrinks.
#[derive(Clone, Copy)]
enum Direction {
    More,
    Less,
}

impl Direction {
    fn apply(self, sum: &mut i64, amount: i64) {
        *sum = match self {
            Self::More => sum.saturating_add(amount),
            Self::Less => sum.saturating_sub(amount),
        };
    }

    fn count(self, sum: &mut u32, amount: u32) {
        *sum = match self {
            Self::More => sum.saturating_add(amount),
            Self::Less => sum.saturating_sub(amount),
        };
    }
}

fn row_prune(row: Option<&mut SubAccount>, market: u16) {
    if let Some(row) = row {
        row.trading_mut().prune(market);
    }
}

impl super::Trading {
    /// The position in a market, made at its sorted place if there is none.
    fn position_mut(&mut self, market: u16) -> &mut Position {
        let place = self.positions.partition_point(|position| position.market < market);
        if self.positions.get(place).is_none_or(|position| position.market != market) {
            self.positions.insert(place, Position { market, ..Position::default() });
        }
        // The place exists: it was found or just made.
        #[expect(clippy::indexing_slicing, reason = "the lines above find or insert a position at `place`")]
        &mut self.positions[place]
    }

    /// Drops a position that says nothing any more.
    fn prune(&mut self, market: u16) {
        self.positions.retain(|position| position.market != market || !position.is_empty());
    }
}
