//! The model: `docs/trading-rules.md` a second time, slow and obvious, to hold the ledger against.
//!
//! Everything that can be recomputed is recomputed: the reference price, fee totals, trade numbers and what a grant has
//! used are read off the list of trades each time; the book is one list per market that is sorted when asked. What
//! would happen is found out by doing it to a copy. Only cash, positions, resting orders and the last order number are
//! state. Amounts are `i128`.
//!
//! The model shares the protocol's words with the ledger and no line of logic; it must never call into the ledger.
//!
//! Not here: signatures and whether a grant is live when a command comes (gate), when a block starts (the caller calls
//! [`Model::start_block`]), deposits and withdrawals ([`Model::credit`] stands in for both), and the bookkeeping events
//! that [`comparable`] takes out.

use std::collections::BTreeMap;

use casemate_protocol::command::Command;
use casemate_protocol::event::{Event, OrderRested, TradeExecuted};
use casemate_protocol::genesis::{Genesis, MarketRules, SegmentRules};
use casemate_protocol::{
    AccountId, GrantNumber, MarketId, OrderNumber, PriceTicks, QuantityLots, QuoteMicros, RecordIndex, Reject,
    RejectCode, SegmentId, TimeMs, TradeNumber,
};

mod account;
mod amend;
mod cancel;
pub mod coverage;
pub mod generate;
mod ladder;
#[cfg(test)]
mod laws;
mod market;
mod matching;
mod place;
#[cfg(test)]
mod tests;
pub mod world;

use account::Position;
use market::{Market, Order};

/// One million, the denominator of rates.
const MILLION: i128 = 1_000_000;

/// The state of trading in all segments of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    segments: Vec<SegmentRules>,
    markets: Vec<Market>,
    cash: BTreeMap<(SegmentId, AccountId), i128>,
    positions: BTreeMap<(MarketId, AccountId), Position>,
    grants: BTreeMap<(AccountId, GrantNumber), Grant>,
    /// When armed dead-man switches fire.
    dead_men: BTreeMap<(SegmentId, AccountId), TimeMs>,
    order_number_last: BTreeMap<SegmentId, u64>,
    trades: Vec<Trade>,
}

/// A session's budget.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Grant {
    notional_max: i128,
    expires_ms: TimeMs,
    is_revoked: bool,
}

/// A trade, and what its event does not say.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trade {
    event: TradeExecuted,
    segment: SegmentId,
    notional: i128,
    maker_grant: GrantNumber,
    is_maker_reducing: bool,
    is_taker_reducing: bool,
}

impl Trade {
    /// Whether the trade is under a grant, and if so, whether by an order that only reduces.
    fn is_under(&self, account: AccountId, grant: GrantNumber) -> Option<bool> {
        let Self { event, maker_grant, is_maker_reducing, is_taker_reducing, .. } = *self;
        if (event.maker, maker_grant) == (account, grant) {
            return Some(is_maker_reducing);
        }
        ((event.taker, event.taker_grant) == (account, grant)).then_some(is_taker_reducing)
    }
}

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
struct Asker {
    account: AccountId,
    grant: Option<GrantNumber>,
    time_ms: TimeMs,
    origin: RecordIndex,
}

impl Model {
    /// The chain at its start: the genesis' markets, nobody has anything. Seeded accounts are the caller's to credit.
    pub fn new(genesis: &Genesis) -> Self {
        Self {
            segments: genesis.segments.as_slice().to_vec(),
            markets: genesis.markets.iter().map(|&rules| Market { rules, orders: Vec::new() }).collect(),
            cash: BTreeMap::new(),
            positions: BTreeMap::new(),
            grants: BTreeMap::new(),
            dead_men: BTreeMap::new(),
            order_number_last: BTreeMap::new(),
            trades: Vec::new(),
        }
    }

    /// Puts cash into an account, or takes it out if negative.
    pub fn credit(&mut self, segment: SegmentId, account: AccountId, amount: i128) {
        *self.cash.entry((segment, account)).or_default() += amount;
    }

    /// Registers a grant.
    pub fn register_grant(
        &mut self,
        account: AccountId,
        number: GrantNumber,
        notional_max: QuoteMicros,
        expires_ms: TimeMs,
    ) {
        let grant = Grant { notional_max: i128::from(notional_max.micros()), expires_ms, is_revoked: false };
        self.grants.insert((account, number), grant);
    }

    /// Does what a command asks, or refuses it and changes nothing. `grant` is none for the root key. `origin` is the
    /// record that the events come from.
    ///
    /// # Errors
    /// The first rule that refuses.
    pub fn apply(
        &mut self,
        account: AccountId,
        grant: Option<GrantNumber>,
        time_ms: TimeMs,
        origin: RecordIndex,
        command: &Command,
    ) -> Result<Vec<Event>, Reject> {
        let before = self.clone();
        let result = self.attempt(Asker { account, grant, time_ms, origin }, command);
        if result.is_err() {
            *self = before;
        }
        result
    }

    /// May leave the model half changed where it refuses.
    fn attempt(&mut self, asker: Asker, command: &Command) -> Result<Vec<Event>, Reject> {
        match command {
            Command::PlaceOrder(place) => self.place(asker, place),
            Command::AmendOrder(amend) => self.amend(asker, amend),
            Command::CancelOrder(cancel) => self.cancel(asker, cancel),
            Command::CancelAllOrders(cancel) => self.cancel_all(asker, cancel.scope),
            Command::QuoteLadder(ladder) => self.quote_ladder(asker, ladder),
            Command::SetDeadMan(switch) => self.set_dead_man(asker, switch),
            Command::OpenAccount
            | Command::CloseAccount(_)
            | Command::RegisterGrant(_)
            | Command::RevokeGrant(_)
            | Command::AddPayoutAddress(_)
            | Command::RemovePayoutAddress(_)
            | Command::ChangeRootKey(_)
            | Command::CancelRootKeyChange
            | Command::AcceptRootKey
            | Command::SetGuardians(_)
            | Command::CancelGuardianChange
            | Command::VoteAsGuardian(_)
            | Command::CancelRecovery
            | Command::AttestDeposit(_)
            | Command::RequestWithdrawal(_)
            | Command::CancelWithdrawal(_)
            | Command::RequestTransfer(_)
            | Command::CancelTransfer(_)
            | Command::RequestPrincipalExit(_)
            | Command::SubmitPrice(_)
            | Command::Propose(_)
            | Command::Approve(_)
            | Command::AddEvidence(_)
            | Command::ContestLink(_) => {
                // The model knows trading only; a test that sends anything else has a bug.
                Err(Reject::of(RejectCode::PolicyForbids).present(u64::from(command.action().number())))
            }
        }
    }
}

/// What a comparison with the ledger asks.
impl Model {
    /// Cash of an account.
    pub fn cash(&self, segment: SegmentId, account: AccountId) -> i128 {
        self.cash.get(&(segment, account)).copied().unwrap_or_default()
    }

    /// Signed lots and signed entry notional of an account in a market.
    pub fn position(&self, market: MarketId, account: AccountId) -> (i128, i128) {
        let position = self.position_of(market, account);
        (position.lots, position.entry)
    }

    /// The book: bids best first, then asks best first, each price in the order of its queue. Quantities are what is
    /// left.
    pub fn resting(&self, market: MarketId) -> Vec<OrderRested> {
        let Some(book) = self.market(market) else {
            return Vec::new();
        };
        book.bids().into_iter().chain(book.asks()).map(|order| order.rested(market)).collect()
    }

    /// Lots of all longs, and lots of all shorts.
    pub fn open_interest(&self, market: MarketId) -> (i128, i128) {
        let positions = self.positions.iter().filter(|((of, _), _)| *of == market);
        let lots: Vec<i128> = positions.map(|(_, position)| position.lots).collect();
        (lots.iter().filter(|lots| **lots > 0).sum(), -lots.iter().filter(|lots| **lots < 0).sum::<i128>())
    }

    /// The segment of a market.
    pub fn segment_of(&self, market: MarketId) -> Option<SegmentId> {
        self.market(market).map(|market| market.rules.segment)
    }

    /// The price of the market's last trade, before the first trade the genesis reference price.
    pub fn reference(&self, market: MarketId) -> i128 {
        let last = self.trades.iter().rev().find(|trade| trade.event.market == market);
        match (last, self.market(market)) {
            (Some(trade), _) => i128::from(trade.event.price.ticks()),
            (None, Some(market)) => i128::from(market.rules.reference_price.ticks()),
            (None, None) => 0,
        }
    }

    /// What all trades of a segment paid in fees, rebates deducted.
    pub fn fees(&self, segment: SegmentId) -> i128 {
        let trades = self.trades.iter().filter(|trade| trade.segment == segment).map(|trade| trade.event);
        trades.map(|event| i128::from(event.maker_fee.micros()) + i128::from(event.taker_fee.micros())).sum()
    }

    /// All cash, less the entry notional of all positions, plus the fees: no trade ever changes it. (A buyer's entry
    /// notional grows by what a seller's shrinks; what closing books as gain leaves the entry notional.)
    pub fn total(&self, segment: SegmentId) -> i128 {
        let cash: i128 = self.cash.iter().filter(|((of, _), _)| *of == segment).map(|(_, cash)| cash).sum();
        let markets: Vec<MarketId> = self.markets_of(segment).map(|market| market.rules.id).collect();
        let positions = self.positions.iter().filter(|((market, _), _)| markets.contains(market));
        cash - positions.map(|(_, position)| position.entry).sum::<i128>() + self.fees(segment)
    }

    /// Notional traded under a grant in a segment, as maker and as taker.
    pub fn grant_traded(&self, segment: SegmentId, account: AccountId, grant: GrantNumber) -> i128 {
        let trades = self.trades.iter().filter(|trade| trade.segment == segment);
        trades.filter(|trade| trade.is_under(account, grant).is_some()).map(|trade| trade.notional).sum()
    }

    /// What a grant's resting orders reserve in a segment.
    pub fn grant_reserved(&self, segment: SegmentId, account: AccountId, grant: GrantNumber) -> i128 {
        let reserves = self.markets_of(segment).flat_map(|market| {
            let orders = market.orders.iter().filter(|order| order.account == account && order.grant == grant);
            orders.map(|order| order.reserve(account::tick_value(&market.rules)))
        });
        reserves.sum()
    }

    /// What a grant has used of its budget in all segments.
    pub fn grant_used(&self, account: AccountId, grant: GrantNumber) -> i128 {
        let used = |segment| self.grant_traded(segment, account, grant) + self.grant_reserved(segment, account, grant);
        self.segments.iter().map(|segment| used(segment.id)).sum()
    }

    /// The law of budgets says that the first is never more than the second: the notional traded by orders of a grant
    /// that are not reduce-only, plus what its resting orders reserve; and its budget.
    pub fn grant_law(&self, account: AccountId, grant: GrantNumber) -> (i128, i128) {
        let adding = self.trades.iter().filter(|trade| trade.is_under(account, grant) == Some(false));
        let traded: i128 = adding.map(|trade| trade.notional).sum();
        let segments = self.segments.iter().map(|segment| segment.id);
        let reserved: i128 = segments.map(|segment| self.grant_reserved(segment, account, grant)).sum();
        (traded + reserved, self.grants.get(&(account, grant)).map_or(0, |grant| grant.notional_max))
    }

    /// Whether a grant exists, was not revoked and has not ended.
    pub fn is_grant_live(&self, account: AccountId, grant: GrantNumber, time_ms: TimeMs) -> bool {
        self.grants.get(&(account, grant)).is_some_and(|grant| !grant.is_revoked && time_ms < grant.expires_ms)
    }
}

/// What the rules ask.
impl Model {
    fn segment_or_reject(&self, id: SegmentId) -> Result<&SegmentRules, Reject> {
        let found = self.segments.iter().find(|segment| segment.id == id);
        found.ok_or(Reject::of(RejectCode::SegmentNotFound).present(u64::from(id.number())))
    }

    fn rules_or_reject(&self, id: MarketId) -> Result<MarketRules, Reject> {
        let found = self.market(id).map(|market| market.rules);
        found.ok_or(Reject::of(RejectCode::MarketNotFound).present(u64::from(id.number())))
    }

    fn market(&self, id: MarketId) -> Option<&Market> {
        self.markets.iter().find(|market| market.rules.id == id)
    }

    fn markets_of(&self, segment: SegmentId) -> impl Iterator<Item = &Market> {
        self.markets.iter().filter(move |market| market.rules.segment == segment)
    }

    fn orders_mut(&mut self, id: MarketId) -> impl Iterator<Item = &mut Order> {
        self.markets.iter_mut().filter(move |market| market.rules.id == id).flat_map(|market| market.orders.iter_mut())
    }

    /// Every resting order of an account in a segment, with its market.
    fn orders_of(&self, segment: SegmentId, account: AccountId) -> Vec<(MarketId, Order)> {
        let markets = self.markets_of(segment);
        let orders = markets.flat_map(|market| market.orders.iter().map(|order| (market.rules.id, *order)));
        orders.filter(|(_, order)| order.account == account).collect()
    }

    /// Puts an order behind all others of its price.
    fn push(&mut self, id: MarketId, order: Order) {
        for market in self.markets.iter_mut().filter(|market| market.rules.id == id) {
            market.orders.push(order);
        }
    }

    fn next_order_number(&mut self, segment: SegmentId) -> OrderNumber {
        let last = self.order_number_last.entry(segment).or_default();
        *last += 1;
        OrderNumber::new(*last)
    }

    fn next_trade_number(&self, segment: SegmentId) -> TradeNumber {
        let trades = self.trades.iter().filter(|trade| trade.segment == segment);
        trades.fold(TradeNumber::NONE.next(), |number, _| number.next())
    }
}

/// The events that the model makes. What is left out is bookkeeping that no trading rule reads.
pub fn comparable(events: &[Event]) -> Vec<Event> {
    let is_made = |event: &&Event| {
        let is_bookkeeping = matches!(event, Event::GrantWatched(_) | Event::GrantUnwatched(_) | Event::DeadManSet(_));
        !is_bookkeeping && !matches!(event, Event::GrantRevoked(_))
    };
    events.iter().filter(is_made).cloned().collect()
}

// The way back to the protocol's units. Listing checks keep every number of the model inside them.

fn micros(amount: i128) -> QuoteMicros {
    let small = i64::try_from(amount).unwrap_or_default();
    assert_eq!(i128::from(small), amount, "amount leaves the range of money");
    QuoteMicros::from_micros(small)
}

fn ticks(price: i128) -> PriceTicks {
    PriceTicks::from_ticks(bare(price))
}

fn lots(quantity: i128) -> QuantityLots {
    QuantityLots::from_lots(bare(quantity))
}

/// A number that is not negative.
fn bare(number: i128) -> u64 {
    let small = u64::try_from(number).unwrap_or_default();
    assert_eq!(i128::from(small), number, "number leaves its range");
    small
}

fn divide_up(numerator: i128, divisor: i128) -> i128 {
    -(-numerator).div_euclid(divisor)
}

fn divide_down(numerator: i128, divisor: i128) -> i128 {
    numerator.div_euclid(divisor)
}
