//! Margin and liquidation a second time, slow and obvious, from DESIGN §6 and §7 and `docs/clearing.md`: to hold the
//! ledger against, block after block.
//!
//! The model follows the events of the records and the times of the blocks. It keeps what an obvious bookkeeper would
//! keep: cash and positions, every resting order, every mark that ever was, and every profit with the moment at which it
//! was made. Nothing is summed up in advance, nothing forgotten, amounts are `i128`, and only what the pages say
//! rounds is rounded.
//!
//! Everything must agree to the unit but one thing: how old a profit is. The ledger keeps ages in buckets and is late by
//! at most two of thirty for unrealised and by one of eight for realised profit (`price/stable`, `price/maturing`). The
//! model is exact about that and gives what counts as two numbers: `margin::Counted::least`, where everything is as late as
//! allowed, and `margin::Counted::most`, where nothing is.
//!
//! Not here: which orders trade with which (`core/ledger/tests/model`), what the price is (`price/aggregate`).

mod agree;
mod losses;
mod margin;
mod ripening;

use std::collections::BTreeMap;

use casemate_ledger::Ledger;
use casemate_protocol::clearing::MarginRules;
use casemate_protocol::event::{DepositCredited, OrderRested, PositionPassed, TradeExecuted, WithdrawalRequested};
use casemate_protocol::genesis::{Genesis, MarketRules, SegmentRules};
use casemate_protocol::limits::CLOCK_STEP_MS_MAX;
use casemate_protocol::{AccountId, BreakerState, Event, MarketId, PriceGrade, SegmentId, Side};

pub use losses::Tally;

use ripening::{MarkHistory, YoungProfit};

pub type Wrong = String;

const MILLION: i128 = 1_000_000;
/// Parts of a tick, and of a micro-quote of funding.
const FINE: i128 = 65_536;
/// The segment on margin.
const SEGMENT: SegmentId = SegmentId::new(1);

/// The segment on margin, as the model sees it.
pub struct Model {
    segment_rules: SegmentRules,
    backstop: AccountId,
    markets: Vec<Market>,
    accounts: BTreeMap<AccountId, Account>,
    /// Money that leaves: account and amount, of withdrawals and transfers by number.
    withdrawals: BTreeMap<u64, (AccountId, i128)>,
    transfers: BTreeMap<u64, (AccountId, i128)>,
    sums: Sums,
    /// What insurance paid, for which market, when.
    payments: Vec<Payment>,
    breaker: BreakerState,
    time_ms: u64,
    waiting_ms: u64,
}

/// Money that is no account's cash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sums {
    vault: i128,
    pending: i128,
    bonds: i128,
    unclaimed: i128,
    /// Without what rounding of funding brought it.
    insurance: i128,
    uncovered: i128,
    fees_validators: i128,
    fees_venue: i128,
}

struct Payment {
    market: usize,
    waiting_ms: u64,
    amount: i128,
}

struct Market {
    rules: MarketRules,
    margin: MarginRules,
    grade: PriceGrade,
    index: i128,
    published: i128,
    mark: i128,
    marks: MarkHistory,
    /// Premium in parts per million times milliseconds since the last settlement, and those milliseconds.
    premium: (i128, i128),
    /// What one lot held long has paid, in 1/65536 micro-quote.
    funding: i128,
    /// What rounding of funding took too much, ever.
    funding_dust: i128,
    backstop_realised: i128,
}

#[derive(Default)]
struct Account {
    cash: i128,
    positions: BTreeMap<usize, Position>,
    orders: BTreeMap<u64, Order>,
    young: BTreeMap<usize, YoungProfit>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    lots: i128,
    entry: i128,
    /// As `entry`, but each lot opened at a better price than the mark taken at the mark: what profit ages from.
    aged_entry: i128,
    /// The market's funding when it last settled.
    funding_from: i128,
}

struct Order {
    market: usize,
    side: Side,
    price: i128,
    lots: i128,
    is_reduce_only: bool,
}

/// One side of something that changes hands.
#[derive(Clone, Copy)]
struct Deal {
    market: usize,
    side: Side,
    lots: i128,
    notional: i128,
    fee: i128,
}

impl Model {
    /// The model of a ledger at height 0.
    pub fn of(genesis: &Genesis, ledger: &Ledger) -> Self {
        let segment = ledger.segment(SEGMENT).expect("segment 1");
        let market = |rules: &MarketRules| Market {
            rules: *rules,
            margin: genesis.margin_of(rules.id).expect("on margin").clone(),
            grade: PriceGrade::Unusable,
            index: i128::from(rules.reference_price.ticks()) * FINE,
            published: i128::from(rules.reference_price.ticks()) * FINE,
            mark: 0,
            marks: MarkHistory::default(),
            premium: (0, 0),
            funding: 0,
            funding_dust: 0,
            backstop_realised: 0,
        };
        let accounts = (1..=ledger.accounts().last_account().number()).map(AccountId::new);
        let cash = |account| segment.sub_account(account).map_or(0, |row| row.cash().micros());
        Self {
            segment_rules: genesis.segment(SEGMENT).expect("segment 1").clone(),
            backstop: genesis.backstop_account(SEGMENT).expect("on margin"),
            markets: genesis.markets.iter().filter(|market| market.segment == SEGMENT).map(market).collect(),
            accounts: accounts
                .map(|account| (account, Account { cash: cash(account).into(), ..Account::default() }))
                .collect(),
            withdrawals: BTreeMap::new(),
            transfers: BTreeMap::new(),
            sums: Sums { vault: segment.totals().vault(), ..Sums::default() },
            payments: Vec::new(),
            breaker: BreakerState::Normal,
            time_ms: genesis.time_ms.ms(),
            waiting_ms: 0,
        }
    }

    /// A block begins.
    pub fn begin_block(&mut self, time_ms: u64) {
        self.waiting_ms += (time_ms - self.time_ms).min(CLOCK_STEP_MS_MAX);
        self.time_ms = time_ms;
    }

    /// Follows one event.
    pub fn follow(&mut self, event: &Event) -> Result<(), Wrong> {
        match event {
            Event::OrderRested(rested) => self.order_rested(rested),
            Event::OrderRemoved(removed) => {
                self.account(removed.account).orders.remove(&removed.number.number());
            }
            Event::OrderReduced(reduced) => {
                self.leave_of_order(reduced.account, reduced.number.number(), reduced.quantity.lots().into())
            }
            Event::TradeExecuted(trade) => self.trade(trade),
            Event::PositionPassed(passed) => self.pass(passed),
            Event::MarkMoved(moved) => {
                let waiting_ms = self.waiting_ms;
                self.markets[place(moved.market).expect("on margin")].mark_moved(waiting_ms, moved);
            }
            Event::PriceAggregated(aggregated) => {
                for market in self.markets.iter_mut().filter(|market| market.margin.feed == aggregated.feed) {
                    market.grade = aggregated.grade;
                }
            }
            Event::FundingSettled(settled) => {
                self.markets[place(settled.market).expect("on margin")].settle(settled)?
            }
            Event::LiquidationSliced(sliced) => {
                self.account(sliced.account).cash -= i128::from(sliced.fee.micros());
                self.sums.insurance += i128::from(sliced.fee.micros());
            }
            Event::InsurancePaid(paid) => {
                let amount = i128::from(paid.amount.micros());
                self.sums.insurance -= amount;
                self.account(paid.account).cash += amount;
                let market = place(paid.market).expect("on margin");
                self.payments.push(Payment { market, waiting_ms: self.waiting_ms, amount });
            }
            Event::LossUncovered(loss) => {
                self.account(loss.account).cash += i128::from(loss.amount.micros());
                self.sums.uncovered += i128::from(loss.amount.micros());
            }
            Event::DeficitRepaid(repaid) => {
                self.sums.insurance -= i128::from(repaid.amount.micros());
                self.sums.uncovered -= i128::from(repaid.amount.micros());
            }
            Event::BreakerMoved(moved) if moved.segment == SEGMENT => self.breaker = moved.to,
            other => self.follow_money(other),
        }
        Ok(())
    }

    /// Events of money over the border of the segment.
    fn follow_money(&mut self, event: &Event) {
        match event {
            Event::DepositAccepted(accepted) if accepted.segment == SEGMENT => {
                self.sums.vault += i128::from(accepted.amount.micros());
                self.sums.unclaimed += i128::from(accepted.amount.micros());
            }
            Event::DepositCredited(credited) if credited.segment == SEGMENT => self.credit(credited),
            Event::AccountClosed(closed) if closed.segment == SEGMENT => {
                self.sums.bonds -= i128::from(closed.bond.micros());
                self.account(closed.account).cash += i128::from(closed.bond.micros());
            }
            Event::WithdrawalRequested(asked) | Event::PrincipalExitRequested(asked) if asked.segment == SEGMENT => {
                self.withdrawal_requested(asked);
            }
            Event::WithdrawalCancelled(ended) if ended.segment == SEGMENT => {
                let (account, amount) = self.withdrawals[&ended.number.number()];
                self.set_aside(account, -amount);
            }
            Event::WithdrawalReleased(ended) if ended.segment == SEGMENT => {
                let (_, amount) = self.withdrawals[&ended.number.number()];
                self.sums.pending -= amount;
                self.sums.vault -= amount;
            }
            Event::TransferRequested(asked) if asked.from == SEGMENT => {
                let amount = i128::from(asked.amount.micros());
                self.transfers.insert(asked.number.number(), (asked.account, amount));
                self.set_aside(asked.account, amount);
            }
            Event::TransferCancelled(ended) if ended.from == SEGMENT => {
                let (account, amount) = self.transfers[&ended.number.number()];
                self.set_aside(account, -amount);
            }
            Event::TransferReleased(released) if released.from == SEGMENT => {
                let (_, amount) = self.transfers[&released.number.number()];
                self.sums.pending -= amount;
                self.sums.vault -= amount;
            }
            Event::TransferArrived(arrived) if arrived.to == SEGMENT => {
                self.account(arrived.account).cash += i128::from(arrived.amount.micros());
                self.sums.vault += i128::from(arrived.amount.micros());
            }
            _ => {}
        }
    }

    fn account(&mut self, account: AccountId) -> &mut Account {
        self.accounts.entry(account).or_default()
    }

    fn credit(&mut self, credited: &DepositCredited) {
        let (amount, bond) = (i128::from(credited.amount.micros()), i128::from(credited.bond.micros()));
        self.sums.unclaimed -= amount + bond;
        self.sums.bonds += bond;
        self.account(credited.account).cash += amount;
    }

    fn withdrawal_requested(&mut self, asked: &WithdrawalRequested) {
        let amount = i128::from(asked.amount.micros());
        self.withdrawals.insert(asked.number.number(), (asked.account, amount));
        self.set_aside(asked.account, amount);
    }

    fn set_aside(&mut self, account: AccountId, amount: i128) {
        self.account(account).cash -= amount;
        self.sums.pending += amount;
    }

    fn order_rested(&mut self, rested: &OrderRested) {
        let Some(market) = place(rested.market) else { return };
        let order = Order {
            market,
            side: rested.side,
            price: rested.price.ticks().into(),
            lots: rested.quantity.lots().into(),
            is_reduce_only: rested.is_reduce_only,
        };
        self.account(rested.account).orders.insert(rested.number.number(), order);
    }

    fn leave_of_order(&mut self, account: AccountId, number: u64, lots: i128) {
        let orders = &mut self.account(account).orders;
        match orders.get_mut(&number) {
            Some(order) if lots > 0 => order.lots = lots,
            _ => {
                orders.remove(&number);
            }
        }
    }

    fn trade(&mut self, trade: &TradeExecuted) {
        let Some(market) = place(trade.market) else { return };
        let lots = i128::from(trade.quantity.lots());
        let number = trade.maker_order.number();
        let left = self.account(trade.maker).orders.get(&number).map_or(0, |order| order.lots - lots);
        self.leave_of_order(trade.maker, number, left);
        let notional = i128::from(trade.price.ticks()) * lots * self.markets[market].tick_value();
        let deal = |side, fee: i64| Deal { market, side, lots, notional, fee: fee.into() };
        self.deal(trade.maker, deal(trade.taker_side.opposite(), trade.maker_fee.micros()));
        self.deal(trade.taker, deal(trade.taker_side, trade.taker_fee.micros()));
        let net = i128::from(trade.maker_fee.micros()) + i128::from(trade.taker_fee.micros());
        let share = |ppm: u32| (net * i128::from(ppm)).div_euclid(MILLION);
        let insurance = share(self.segment_rules.fee_share_insurance.ppm());
        let validators = share(self.segment_rules.fee_share_validators.ppm());
        self.sums.insurance += insurance;
        self.sums.fees_validators += validators;
        self.sums.fees_venue += net - insurance - validators;
    }

    fn pass(&mut self, passed: &PositionPassed) {
        let market = place(passed.market).expect("on margin");
        let (lots, notional) = (i128::from(passed.quantity.lots()), i128::from(passed.notional.micros()));
        let deal = |side| Deal { market, side, lots, notional, fee: 0 };
        self.deal(passed.from, deal(passed.from_side));
        self.deal(passed.to, deal(passed.from_side.opposite()));
    }

    /// One side of a deal: what closes realises, what opens adds to the entry notional.
    fn deal(&mut self, account: AccountId, deal: Deal) {
        let is_backstop = account == self.backstop;
        let waiting_ms = self.waiting_ms;
        let row = self.accounts.entry(account).or_default();
        let market = &mut self.markets[deal.market];
        let before = row.positions.remove(&deal.market).unwrap_or_default();
        let direction = if deal.side == Side::Bid { 1 } else { -1 };
        let closed = if before.lots * direction < 0 { before.lots.abs().min(deal.lots) } else { 0 };
        // The share of the entry notional that belongs to what closes, rounded up.
        let cost = if closed == 0 { 0 } else { ceil(before.entry * closed, before.lots.abs()) };
        let aged_cost = if closed == 0 { 0 } else { ceil(before.aged_entry * closed, before.lots.abs()) };
        let for_closed = deal.notional * closed / deal.lots;
        let for_opened = direction * (deal.notional - for_closed);
        // A price better than the mark is a gain of this moment; the position begins at the mark.
        let aged_for_opened = for_opened.max(market.worth_up(direction * (deal.lots - closed)));
        let owed_fine = before.lots * (market.funding - before.funding_from);
        let owed = ceil(owed_fine, FINE);
        market.funding_dust += owed * FINE - owed_fine;
        let after = Position {
            lots: before.lots + direction * deal.lots,
            entry: before.entry - cost + for_opened,
            aged_entry: before.aged_entry - aged_cost + aged_for_opened,
            funding_from: market.funding,
        };
        let realised = -direction * for_closed - cost - deal.fee - owed;
        row.cash += realised;
        if after.lots != 0 {
            row.positions.insert(deal.market, after);
        }
        let gained = realised + (aged_for_opened - for_opened) - (aged_cost - cost);
        // What counted before, counts on.
        let closed_lots = if before.lots > 0 { closed } else { -closed };
        let (least, most) = market.old_profit(closed_lots, aged_cost);
        let old = |profit: i128| profit.min(gained.max(0));
        row.young.entry(deal.market).or_default().realise(waiting_ms, gained, old(least), old(most));
        if is_backstop {
            market.backstop_realised += realised;
        }
    }
}

impl Market {
    fn tick_value(&self) -> i128 {
        self.rules.tick_value.micros().into()
    }
}

/// A market's place in the segment on margin; none for markets elsewhere.
fn place(market: MarketId) -> Option<usize> {
    let number = usize::from(market.number());
    (1..=2).contains(&number).then(|| number - 1)
}

/// A quotient rounded up, for a divisor above zero.
fn ceil(numerator: i128, divisor: i128) -> i128 {
    -(-numerator).div_euclid(divisor)
}
