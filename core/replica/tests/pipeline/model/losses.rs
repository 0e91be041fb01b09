//! Who is liquidated, in which order, and in which order losses fall: each record of a liquidation, event by event.

use std::cmp::Reverse;

use casemate_audit::{RecordBody, RecordSource};
use casemate_protocol::command::SystemWork;
use casemate_protocol::event::{
    InsurancePaid, LiquidationSliced, PassCause, PositionPassed, RemovalCause, TradeExecuted,
};
use casemate_protocol::{AccountId, BreakerState, Event, PriceGrade, Side};

use super::{FINE, MILLION, Model, SEGMENT, Wrong, ceil, place};

/// What happened in the blocks that the model followed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub steps: u32,
    pub slices: u32,
    pub insured: u32,
    /// Insurance paid less than was missing.
    pub insured_in_part: u32,
    pub taken_over: u32,
    pub deleveraged: u32,
    pub uncovered: u32,
    pub repaid: u32,
    pub fundings: u32,
    /// Accounts in blocks where profit was there and not all of it counted.
    pub unripe: u32,
    /// As `unripe`, where some of the profit counted.
    pub half_ripe: u32,
    /// Blocks in which more than one account was liquidated.
    pub queues: u32,
    pub money_out: u32,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        let sums = [
            (&mut self.steps, other.steps),
            (&mut self.slices, other.slices),
            (&mut self.insured, other.insured),
            (&mut self.insured_in_part, other.insured_in_part),
            (&mut self.taken_over, other.taken_over),
            (&mut self.deleveraged, other.deleveraged),
            (&mut self.uncovered, other.uncovered),
            (&mut self.repaid, other.repaid),
            (&mut self.fundings, other.fundings),
            (&mut self.unripe, other.unripe),
            (&mut self.half_ripe, other.half_ripe),
            (&mut self.queues, other.queues),
            (&mut self.money_out, other.money_out),
        ];
        for (sum, more) in sums {
            *sum += more;
        }
    }
}

/// Steps that a block takes in a segment.
const STEPS_MAX: usize = 64;

/// The order in which things happen to an account that is liquidated, and so the order of losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Found,
    /// What was on its way out comes back.
    Recalled,
    OrdersGone,
    /// Its own margin pays.
    Book,
    Insurance,
    Backstop,
    Profit,
    /// Nobody is left: better a loss that is written down than a risk that stays.
    BookAtAnyPrice,
    /// Insurance pays what the account owes once nothing is open.
    InsuredAtLast,
    WrittenDown,
}

/// A liquidation as its events go by.
struct Course {
    account: AccountId,
    stage: Stage,
    /// The position that passes, before any passed.
    passing: Option<Passing>,
    /// Lots and notional that passed for the present cause.
    passed: (i128, i128),
    /// Lots that pass in all.
    lots_to_pass: i128,
    /// What insurance paid for them.
    aid: i128,
    /// The market of the last step, while anything is open.
    last: Option<usize>,
    /// Notional that traded and was not charged yet.
    traded: i128,
    has_deleveraged: bool,
    was_insured_at_last: bool,
}

/// A position that passes to others.
#[derive(Clone, Copy)]
struct Passing {
    lots: i128,
    /// What it is worth at the bankruptcy price, by the account's equity without insurance.
    bankruptcy: i128,
}

impl Model {
    /// Follows a block.
    pub fn block(&mut self, time_ms: u64, records: &[RecordBody]) -> Result<Tally, Wrong> {
        self.begin_block(time_ms);
        let mut tally = Tally::default();
        let listed: Vec<AccountId> = records.iter().filter_map(liquidated).collect();
        tally.queues += u32::from(listed.len() > 1);
        let mut is_first = true;
        let mut was_anybody_due = true;
        for record in records {
            was_anybody_due &= !self.due().is_empty();
            match &record.source {
                RecordSource::System(command) => match command.work {
                    SystemWork::Liquidate(target) => {
                        if core::mem::take(&mut is_first) {
                            self.require_in_order(&listed, halts(records))?;
                        }
                        let may = self.breaker != BreakerState::Halted;
                        require(may, || format!("{target:?} is liquidated in a halted segment"))?;
                        self.liquidation(target.account, record.events.as_slice(), &mut tally)?;
                    }
                    _ => self.follow_all(record.events.as_slice(), &mut tally)?,
                },
                RecordSource::Command { .. } => self.follow_all(record.events.as_slice(), &mut tally)?,
            }
        }
        was_anybody_due &= !self.due().is_empty();
        if listed.is_empty() && was_anybody_due && self.breaker != BreakerState::Halted {
            return Err(format!("{:?} are due and nobody is liquidated", self.due()));
        }
        Ok(tally)
    }

    fn follow_all(&mut self, events: &[Event], tally: &mut Tally) -> Result<(), Wrong> {
        for event in events {
            match event {
                Event::DeficitRepaid(repaid) => {
                    tally.repaid += 1;
                    let amount = i128::from(repaid.amount.micros());
                    require(amount > 0 && amount <= self.sums.uncovered, || format!("{repaid:?}"))?;
                    let share = self.markets.iter().map(|market| market.margin.liquidation.insurance_share_max.ppm());
                    let most = self.insurance() * i128::from(share.min().unwrap_or(0)) / MILLION;
                    require(amount <= most, || format!("{amount} repaid of {most}"))?;
                }
                Event::FundingSettled(_) => tally.fundings += 1,
                Event::WithdrawalReleased(_) | Event::TransferReleased(_) => tally.money_out += 1,
                _ => {}
            }
            self.follow(event)?;
        }
        Ok(())
    }

    /// Accounts below maintenance margin, or that owe cash and hold nothing; the worst ratio of equity to maintenance first,
    /// then by number.
    pub fn below_maintenance(&self) -> Vec<AccountId> {
        let all = self.accounts.keys().map(|account| (*account, self.equity(*account), self.maintenance(*account)));
        let mut below: Vec<_> = all.filter(|(_, equity, maintenance)| equity < maintenance).collect();
        below.sort_by(|one, other| (one.1 * other.2).cmp(&(other.1 * one.2)).then(one.0.cmp(&other.0)));
        below.into_iter().map(|(account, ..)| account).collect()
    }

    /// Of these, one by one, those whom a block takes a step for: not whose every price is unusable, and whoever has nothing
    /// left only while half of the steps are free, or nobody else comes.
    fn due(&self) -> Vec<AccountId> {
        let is_usable = |market: &usize| self.markets[*market].grade != PriceGrade::Unusable;
        let mut waiting = self.below_maintenance();
        waiting.retain(|account| {
            let held = &self.accounts[account].positions;
            held.is_empty() || held.keys().any(is_usable)
        });
        let solvent = waiting.iter().filter(|account| self.equity(**account) > 0).count();
        let (mut spent, mut due) = (0, Vec::new());
        for account in waiting {
            let is_spent = self.equity(account) <= 0;
            if due.len() < STEPS_MAX && (!is_spent || spent < STEPS_MAX / 2 || spent + solvent < STEPS_MAX) {
                spent += usize::from(is_spent);
                due.push(account);
            }
        }
        due
    }

    /// All of them, unless the segment halts meanwhile.
    fn require_in_order(&self, listed: &[AccountId], halts: bool) -> Result<(), Wrong> {
        let due = self.due();
        require(due == listed || halts && due.starts_with(listed), || {
            format!("due are {due:?}, and {listed:?} are liquidated")
        })
    }

    fn liquidation(&mut self, account: AccountId, events: &[Event], tally: &mut Tally) -> Result<(), Wrong> {
        let is_safe = self.equity(account) >= self.maintenance(account);
        require(is_safe == events.is_empty(), || format!("{account:?} safe: {is_safe}, {events:?}"))?;
        let mut course = Course {
            account,
            stage: Stage::Found,
            passing: None,
            passed: (0, 0),
            lots_to_pass: events.iter().filter_map(passed_lots).sum(),
            aid: 0,
            last: None,
            traded: 0,
            has_deleveraged: false,
            was_insured_at_last: false,
        };
        for event in events {
            self.require_next(&mut course, event, tally)
                .map_err(|wrong| format!("{wrong}\nat {event:?}\nin {events:?}"))?;
            let before = self.loser_of(event);
            self.follow(event)?;
            self.require_after(&course, event, before)?;
        }
        Ok(())
    }

    /// Judges the next event by the state before it.
    fn require_next(&self, course: &mut Course, event: &Event, tally: &mut Tally) -> Result<(), Wrong> {
        course.last = self.worst_market(course.account).or(course.last);
        let is_flat = self.accounts.get(&course.account).is_none_or(|row| row.positions.is_empty());
        let stage = match event {
            Event::LiquidationStepped(_) => Stage::Found,
            Event::WithdrawalCancelled(_) | Event::TransferCancelled(_) => Stage::Recalled,
            Event::OrderRemoved(removed) if removed.cause == RemovalCause::Liquidated => Stage::OrdersGone,
            // Resting orders that a slice meets and that cannot trade.
            Event::OrderRemoved(_) => course.stage,
            Event::TradeExecuted(trade) if course.traded == 0 => self.stage_of_slice(course, trade),
            Event::TradeExecuted(_) | Event::LiquidationSliced(_) => course.stage,
            Event::InsurancePaid(_) if is_flat => Stage::InsuredAtLast,
            Event::InsurancePaid(_) => Stage::Insurance,
            Event::PositionPassed(passed) if passed.cause == PassCause::Backstop => Stage::Backstop,
            Event::PositionPassed(_) => Stage::Profit,
            Event::LossUncovered(_) => Stage::WrittenDown,
            other => return Err(format!("{other:?} has no place in a liquidation")),
        };
        require(course.stage <= stage, || format!("{stage:?} after {:?}", course.stage))?;
        course.stage = stage;
        match event {
            Event::LiquidationStepped(stepped) => {
                tally.steps += 1;
                let seen = (i128::from(stepped.equity.micros()), i128::from(stepped.maintenance.micros()));
                let own = (self.equity(course.account), self.maintenance(course.account));
                require(seen == own, || format!("equity and maintenance are {own:?}"))
            }
            Event::TradeExecuted(trade) => self.require_trade(course, trade),
            Event::LiquidationSliced(sliced) => {
                tally.slices += 1;
                self.require_slice(course, sliced)
            }
            Event::InsurancePaid(paid) => self.require_insurance(course, paid, tally),
            Event::PositionPassed(passed) => self.require_pass(course, passed, tally),
            Event::LossUncovered(loss) => {
                tally.uncovered += 1;
                let row = &self.accounts[&course.account];
                let is_all = row.positions.is_empty() && i128::from(loss.amount.micros()) == -row.cash;
                require(is_all && row.cash < 0, || format!("cash is {}", row.cash))?;
                let room = course.last.map_or(0, |market| self.insurance_room(market).1);
                require(room == 0 || course.was_insured_at_last, || format!("insurance had {room} and did not pay"))
            }
            _ => Ok(()),
        }
    }

    /// A slice begins: the first within the bankruptcy price, a second one or one beyond it only when nobody is left.
    fn stage_of_slice(&self, course: &Course, trade: &TradeExecuted) -> Stage {
        let market = place(trade.market).expect("on margin");
        let is_first = course.stage < Stage::Book;
        let is_own = is_first && self.is_within_bankruptcy(course.account, market, trade);
        if is_own { Stage::Book } else { Stage::BookAtAnyPrice }
    }

    /// The notional at which closing all of a position leaves nothing of the equity behind it: its share by maintenance.
    fn bankruptcy(&self, account: AccountId, market: usize, equity: i128) -> i128 {
        let position = self.accounts[&account].positions[&market];
        let part = self.markets[market].maintenance(position.lots);
        let behind = (equity * part).div_euclid(self.maintenance(account));
        let value = self.markets[market].value(position.lots, self.markets[market].mark_or_index());
        if position.lots > 0 { value - behind } else { -value + behind }
    }

    fn is_within_bankruptcy(&self, account: AccountId, market: usize, trade: &TradeExecuted) -> bool {
        let lots = self.accounts[&account].positions[&market].lots;
        let whole = i128::from(trade.price.ticks()) * lots.abs() * self.markets[market].tick_value();
        let bankruptcy = self.bankruptcy(account, market, self.equity(account));
        if lots > 0 { whole >= bankruptcy } else { whole <= bankruptcy }
    }

    fn require_trade(&self, course: &mut Course, trade: &TradeExecuted) -> Result<(), Wrong> {
        let market = place(trade.market).expect("on margin");
        let is_own = trade.taker == course.account && trade.taker_fee.is_zero();
        let is_free = !trade.maker_fee.is_negative();
        require(is_own && is_free, || "a slice is its account's, and pays no taker fee and no rebate".into())?;
        let (price, tick_value) = (i128::from(trade.price.ticks()), self.markets[market].tick_value());
        let slippage = i128::from(self.markets[market].margin.liquidation.slippage_max.ppm());
        let (index, scaled) = (self.markets[market].index, price * FINE * MILLION);
        let is_near = match trade.taker_side {
            Side::Ask => scaled >= index * (MILLION - slippage),
            Side::Bid => scaled <= index * (MILLION + slippage),
        };
        require(is_near, || format!("a slice trades too far from {index}"))?;
        if course.stage == Stage::BookAtAnyPrice {
            let is_last = self.equity(course.account) <= 0 || course.traded > 0;
            require(is_last && !course.has_deleveraged, || "somebody could still bear the loss".into())?;
        }
        course.traded += price * i128::from(trade.quantity.lots()) * tick_value;
        Ok(())
    }

    fn require_slice(&self, course: &mut Course, sliced: &LiquidationSliced) -> Result<(), Wrong> {
        let market = &self.markets[place(sliced.market).expect("on margin")];
        let traded = core::mem::take(&mut course.traded);
        require(traded == i128::from(sliced.traded.micros()), || format!("{traded} traded"))?;
        let fee = ceil(traded * i128::from(market.margin.liquidation.fee.ppm()), MILLION);
        let fee = fee.min(self.equity(course.account).max(0));
        require(fee == i128::from(sliced.fee.micros()), || format!("the fee is {fee}"))
    }

    /// The market that needs most margin, of those with a usable price.
    fn worst_market(&self, account: AccountId) -> Option<usize> {
        let usable = |market: &usize| self.markets[*market].grade != PriceGrade::Unusable;
        let positions = self.accounts[&account].positions.iter().filter(|(market, _)| usable(market));
        let needs =
            positions.map(|(market, position)| (Reverse(self.markets[*market].maintenance(position.lots)), *market));
        needs.min().map(|(_, market)| market)
    }

    /// What insurance may still pay for a market: with payments forgotten evenly, and with none forgotten. Between the two
    /// lies what the ledger keeps, which forgets evenly but begins anew with each payment.
    fn insurance_room(&self, market: usize) -> (i128, i128) {
        let rules = &self.markets[market].margin.liquidation;
        let share = (self.insurance() * i128::from(rules.insurance_share_max.ppm())).max(0) / MILLION;
        let window = i128::from(rules.insurance_window_ms.ms());
        let of_market = || self.payments.iter().filter(move |payment| payment.market == market);
        let kept = of_market().map(|payment| {
            let age = i128::from(self.waiting_ms - payment.waiting_ms).min(window);
            payment.amount * (window - age) / window
        });
        let (kept, all) = (kept.sum::<i128>(), of_market().map(|payment| payment.amount).sum::<i128>());
        ((share - kept).max(0), (share - all).max(0))
    }

    /// Where an account's loss comes from: the market whose share of insurance pays.
    fn charged_market(&self, account: AccountId) -> Option<usize> {
        let positions = self.accounts[&account].positions.iter();
        let losses = positions.map(|(market, position)| (self.markets[*market].profit(position), *market));
        losses.min().filter(|(profit, _)| *profit < 0).map(|(_, market)| market).or(self.worst_market(account))
    }

    /// What insurance would add to an account's equity: at least and at most.
    fn aid(&self, account: AccountId) -> (i128, i128) {
        let missing = (-self.equity(account)).max(0);
        let (most, least) = self.charged_market(account).map_or((0, 0), |market| self.insurance_room(market));
        (missing.min(least), missing.min(most))
    }

    fn require_insurance(&self, course: &mut Course, paid: &InsurancePaid, tally: &mut Tally) -> Result<(), Wrong> {
        let (amount, account) = (i128::from(paid.amount.micros()), course.account);
        let missing = -self.equity(account);
        tally.insured += 1;
        let (charged, (least, most), part) = if course.stage == Stage::InsuredAtLast {
            course.was_insured_at_last = true;
            let (most, least) = course.last.map_or((0, 0), |market| self.insurance_room(market));
            (course.last, (missing.min(least), missing.min(most)), [(1, 1), (1, 1)])
        } else {
            course.aid = amount;
            let market = self.worst_market(account).ok_or("nothing is open")?;
            let lots = self.accounts[&account].positions[&market].lots;
            let behind = (self.markets[market].maintenance(lots), self.maintenance(account));
            (self.charged_market(account), self.aid(account), [behind, (course.lots_to_pass, lots.abs())])
        };
        require(place(paid.market) == charged, || format!("market {charged:?} pays"))?;
        let of_part = |aid: i128| part.iter().fold(aid, |amount, (part, whole)| ceil(amount * part, *whole));
        tally.insured_in_part += u32::from(most < missing);
        let is_right = amount > 0 && amount >= of_part(least) && amount <= of_part(most);
        require(is_right, || format!("missing is {missing}, insurance may add from {least} to {most}, for {part:?}"))
    }

    fn require_pass(&self, course: &mut Course, passed: &PositionPassed, tally: &mut Tally) -> Result<(), Wrong> {
        let account = course.account;
        require(passed.from == account && passed.to != account, || "another's position passes".into())?;
        let market = place(passed.market).expect("on margin");
        let position = self.accounts[&account].positions.get(&market).copied().unwrap_or_default();
        let equity = self.equity(account);
        if course.passing.is_none() {
            require(Some(market) == self.worst_market(account), || "not the market that needs most".into())?;
            let (least, _) = self.aid(account);
            require(course.aid > 0 || least == 0, || format!("insurance had {least} and did not pay first"))?;
            let bankruptcy = self.bankruptcy(account, market, equity - course.aid);
            course.passing = Some(Passing { lots: position.lots.abs(), bankruptcy });
        }
        let passing = course.passing.expect("set above");
        course.passed.0 += i128::from(passed.quantity.lots());
        course.passed.1 += i128::from(passed.notional.micros());
        let product = passing.bankruptcy.max(0) * course.passed.0;
        let is_long = position.lots > 0;
        let due = if is_long { ceil(product, passing.lots) } else { product.div_euclid(passing.lots) };
        // What insurance paid for these lots is not asked of who takes them; its parts round by a unit each.
        let aid = course.aid * course.passed.0 / course.lots_to_pass;
        let due = if is_long { due - aid } else { due + aid };
        let is_right = if course.aid == 0 { due == course.passed.1 } else { (due - course.passed.1).abs() <= 3 };
        require(is_right && course.passed.0 <= passing.lots, || format!("{due} is due for {:?}", course.passed))?;
        match passed.cause {
            PassCause::Backstop => {
                tally.taken_over += 1;
                let backstop = self.accounts.get(&self.backstop).and_then(|row| row.positions.get(&market));
                let shown = backstop.map_or(0, |position| self.markets[market].profit(position));
                let loss = -(shown + self.markets[market].backstop_realised);
                let cap = i128::from(self.markets[market].margin.liquidation.backstop_loss_max.micros());
                // The position has not passed yet.
                let held = backstop.map_or(0, |position| position.lots);
                let quantity = i128::from(passed.quantity.lots());
                let after = if position.lots > 0 { held + quantity } else { held - quantity };
                let may_lose = self.markets[market].maintenance(after);
                let value = self.markets[market].value(position.lots, self.markets[market].mark_or_index());
                let worth = value.abs() * quantity / position.lots.abs();
                let notional = i128::from(passed.notional.micros());
                let at_once = if position.lots > 0 { notional - worth } else { worth - notional };
                // Worth rounds by a unit.
                require(passed.to == self.backstop && (loss + at_once - 1).max(0) + may_lose <= cap, || {
                    format!("the backstop has lost {loss} and may lose {may_lose} of {cap}")
                })
            }
            PassCause::Deleveraging => {
                tally.deleveraged += 1;
                let is_nothing_left = equity <= 0 || course.has_deleveraged;
                course.has_deleveraged = true;
                let other = self.accounts[&passed.to].positions.get(&market).copied().unwrap_or_default();
                let is_opposite = other.lots * position.lots < 0 && other.lots.abs() >= passed.quantity.lots().into();
                let is_winner = self.markets[market].profit(&other) > 0;
                let is_safe = self.equity(passed.to) >= self.maintenance(passed.to);
                require(is_nothing_left && is_opposite && is_winner && is_safe, || {
                    format!("left {equity}, opposite {is_opposite}, in profit {is_winner}, safe {is_safe}")
                })
            }
        }
    }

    /// Equity, maintenance and profit in the market of who is deleveraged.
    fn loser_of(&self, event: &Event) -> Option<(i128, i128, i128)> {
        let Event::PositionPassed(passed) = event else { return None };
        let market = place(passed.market).expect("on margin");
        let position = self.accounts[&passed.to].positions.get(&market).copied().unwrap_or_default();
        Some((self.equity(passed.to), self.maintenance(passed.to), self.markets[market].profit(&position)))
    }

    /// Judges an event by the state after it.
    fn require_after(&self, course: &Course, event: &Event, before: Option<(i128, i128, i128)>) -> Result<(), Wrong> {
        let (Event::PositionPassed(passed), Some((equity, maintenance, profit))) = (event, before) else {
            return Ok(());
        };
        let (equity_after, maintenance_after) = (self.equity(passed.to), self.maintenance(passed.to));
        match passed.cause {
            PassCause::Backstop => {
                let free = self.counted(passed.to).most - self.requirement(passed.to);
                require(free >= 0, || format!("the backstop took what it cannot carry: {free}\n{passed:?}"))
            }
            PassCause::Deleveraging => {
                // Values, funding and margins round by a unit each.
                let is_no_worse = (equity_after + 3) * maintenance >= equity * (maintenance_after - 3);
                let cost = equity - equity_after;
                require(is_no_worse && cost <= profit + 2, || {
                    format!(
                        "{equity} of {maintenance} became {equity_after} of {maintenance_after}, profit {profit}\n{passed:?}"
                    )
                })?;
                let row = &self.accounts[&course.account];
                let is_covered = !row.positions.is_empty() || row.cash >= 0;
                require(is_covered, || format!("deleveraged and still {} of cash", row.cash))
            }
        }
    }
}

fn passed_lots(event: &Event) -> Option<i128> {
    match event {
        Event::PositionPassed(passed) => Some(passed.quantity.lots().into()),
        _ => None,
    }
}

/// Whether the segment is halted in the block of these records.
fn halts(records: &[RecordBody]) -> bool {
    let is_halt = |event: &Event| matches!(event, Event::BreakerMoved(moved) if moved.segment == SEGMENT && moved.to == BreakerState::Halted);
    records.iter().flat_map(|record| record.events.iter()).any(is_halt)
}

fn liquidated(record: &RecordBody) -> Option<AccountId> {
    match &record.source {
        RecordSource::System(command) => match command.work {
            SystemWork::Liquidate(target) if target.segment == SEGMENT => Some(target.account),
            _ => None,
        },
        RecordSource::Command { .. } => None,
    }
}

fn require(holds: bool, wrong: impl FnOnce() -> Wrong) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(wrong()) }
}
