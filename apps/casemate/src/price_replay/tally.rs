//! What happened, summed up from the records of blocks and from nothing else: a run that goes on where another was killed
//! reads the kept records and has the same sums.

use std::collections::BTreeMap;
use std::ops::Range;

use casemate_audit::{RecordBody, RecordSource, Verdict};
use casemate_protocol::command::Side;
use casemate_protocol::event::{BreakerMoved, PassCause, PositionPassed, RegimeMoved, TradeExecuted};
use casemate_protocol::policy::PolicyTable;
use casemate_protocol::{AccountId, Event};
use casemate_world::MINUTE_MS;

use super::scrutiny::Scrutiny;

/// Sums over a chain. Those about liquidation begin with the named time.
#[derive(Debug)]
pub struct Tally {
    /// Accounts of the crowd, by number.
    crowd: Range<u64>,
    /// First millisecond of the named time.
    named_from_ms: u64,
    tick_value_micros: u64,
    /// Signed lots of the crowd's accounts.
    lots: Vec<i64>,
    /// Sum of their sizes.
    crowd_lots: u64,
    index_fine: u64,
    time_ms: u64,
    /// Accounts that were liquidated a step in the last block, and in this one.
    in_liquidation: (Vec<u64>, Vec<u64>),
    /// What the crowd lost to liquidation in each minute of the named time, micro-quote.
    liquidated_micros: Vec<u64>,
    pub(super) totals: Totals,
    /// What a withdrawal needs.
    pub(super) scrutiny: Scrutiny,
}

/// Counts and amounts; amounts in micro-quote.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Over the whole chain.
    pub commands: u64,
    pub trades: u64,
    pub refusals: BTreeMap<u16, u64>,
    /// Within the named time: accounts that came into liquidation, each as often as it did.
    pub liquidations: u64,
    pub liquidation_steps: u64,
    /// Positions that passed to the backstop, and cuts of those in profit.
    pub takeovers: u64,
    pub deleveragings: u64,
    pub insurance_used_micros: u64,
    pub deficit_micros: u64,
    pub deficit_repaid_micros: u64,
    pub crowd_peak_open_interest_micros: u64,
    pub traded_micros: u64,
    pub breaker_transitions: Vec<Transition>,
    pub regime_transitions: Vec<RegimeTransition>,
}

/// A move of a breaker and when it was.
#[derive(Clone, Copy, Debug)]
pub struct Transition {
    pub moved: BreakerMoved,
    pub block_time_ms: u64,
}

/// A move of the market's regime and when it was.
#[derive(Clone, Copy, Debug)]
pub struct RegimeTransition {
    pub moved: RegimeMoved,
    pub block_time_ms: u64,
}

/// How much of the crowd's peak open interest was liquidated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Liquidated {
    /// Micro-quote in all.
    pub all_micros: u64,
    /// Micro-quote in the worst sixty minutes that follow each other, and when they begin.
    pub worst_hour_micros: u64,
    pub worst_hour_from_ms: u64,
    /// Micro-quote by day of the named time, from its first minute on.
    pub days_micros: Vec<u64>,
}

impl Tally {
    /// Nothing has happened.
    pub fn new(crowd: Range<u64>, named_from_ms: u64, tick_value_micros: u64, policies: PolicyTable) -> Self {
        Self {
            lots: vec![0; usize::try_from(crowd.end - crowd.start).unwrap_or(0)],
            crowd,
            named_from_ms,
            tick_value_micros,
            crowd_lots: 0,
            index_fine: 0,
            time_ms: 0,
            in_liquidation: (Vec::new(), Vec::new()),
            liquidated_micros: Vec::new(),
            totals: Totals::default(),
            scrutiny: Scrutiny::new(policies),
        }
    }

    /// A block begins.
    pub fn begin_block(&mut self, time_ms: u64) {
        self.time_ms = time_ms;
        let minute = time_ms.checked_sub(self.named_from_ms).map(|since_ms| (since_ms / MINUTE_MS) as usize);
        if let Some(minute) = minute.filter(|minute| *minute >= self.liquidated_micros.len()) {
            self.liquidated_micros.resize(minute + 1, 0);
        }
    }

    /// Takes in one record.
    pub fn absorb(&mut self, body: &RecordBody) {
        if matches!(body.source, RecordSource::Command { .. }) {
            self.totals.commands += 1;
            if let Verdict::Refused(reject) = &body.verdict {
                *self.totals.refusals.entry(reject.code().number()).or_default() += 1;
            }
        }
        for event in &body.events {
            self.absorb_event(event);
        }
    }

    /// A block is over.
    pub fn end_block(&mut self) {
        let (before, now) = &mut self.in_liquidation;
        std::mem::swap(before, now);
        now.clear();
        self.scrutiny.end_block(self.time_ms);
        if self.is_named() {
            let open_micros = self.value_micros(self.crowd_lots);
            let peak = &mut self.totals.crowd_peak_open_interest_micros;
            *peak = (*peak).max(open_micros);
        }
    }

    fn is_named(&self) -> bool {
        self.time_ms >= self.named_from_ms
    }

    /// What lots are worth at the index.
    fn value_micros(&self, lots: u64) -> u64 {
        let fine = u128::from(lots) * u128::from(self.index_fine) * u128::from(self.tick_value_micros);
        u64::try_from(fine >> 16).unwrap_or(u64::MAX)
    }

    fn absorb_event(&mut self, event: &Event) {
        self.scrutiny.absorb(event);
        match event {
            Event::MarkMoved(moved) => self.index_fine = moved.index.fine(),
            Event::TradeExecuted(trade) => self.absorb_trade(trade),
            Event::PositionPassed(passed) => self.absorb_pass(passed),
            _ if !self.is_named() => {}
            Event::LiquidationStepped(stepped) => {
                self.totals.liquidation_steps += 1;
                let account = stepped.account.number();
                let (before, now) = &mut self.in_liquidation;
                if !before.contains(&account) && !now.contains(&account) {
                    self.totals.liquidations += 1;
                }
                now.push(account);
            }
            Event::LiquidationSliced(sliced) => self.lose(sliced.account, sliced.traded.micros().unsigned_abs()),
            Event::InsurancePaid(paid) => self.totals.insurance_used_micros += paid.amount.micros().unsigned_abs(),
            Event::LossUncovered(loss) => self.totals.deficit_micros += loss.amount.micros().unsigned_abs(),
            Event::DeficitRepaid(repaid) => {
                self.totals.deficit_repaid_micros += repaid.amount.micros().unsigned_abs();
            }
            Event::BreakerMoved(moved) => {
                let transition = Transition { moved: *moved, block_time_ms: self.time_ms };
                self.totals.breaker_transitions.push(transition);
            }
            Event::RegimeMoved(moved) => {
                let transition = RegimeTransition { moved: *moved, block_time_ms: self.time_ms };
                self.totals.regime_transitions.push(transition);
            }
            _ => {}
        }
    }

    fn absorb_trade(&mut self, trade: &TradeExecuted) {
        self.totals.trades += 1;
        let lots = trade.quantity.lots();
        let micros = trade.price.ticks().saturating_mul(lots).saturating_mul(self.tick_value_micros);
        self.totals.traded_micros += if self.is_named() { micros } else { 0 };
        self.hold(trade.taker, trade.taker_side, lots);
        self.hold(trade.maker, trade.taker_side.opposite(), lots);
    }

    fn absorb_pass(&mut self, passed: &PositionPassed) {
        let lots = passed.quantity.lots();
        self.hold(passed.from, passed.from_side, lots);
        self.hold(passed.to, passed.from_side.opposite(), lots);
        if !self.is_named() {
            return;
        }
        match passed.cause {
            PassCause::Backstop => self.totals.takeovers += 1,
            PassCause::Deleveraging => self.totals.deleveragings += 1,
        }
        self.lose(passed.from, self.value_micros(lots));
    }

    fn place_in_crowd(&self, account: AccountId) -> Option<usize> {
        let is_in_crowd = self.crowd.contains(&account.number());
        is_in_crowd.then(|| (account.number() - self.crowd.start) as usize)
    }

    /// An account of the crowd has lost so much of its position to liquidation.
    fn lose(&mut self, account: AccountId, micros: u64) {
        if self.place_in_crowd(account).is_some()
            && let Some(minute) = self.liquidated_micros.last_mut()
        {
            *minute += micros;
        }
    }

    fn hold(&mut self, account: AccountId, side: Side, lots: u64) {
        let Some(held) = self.place_in_crowd(account).and_then(|place| self.lots.get_mut(place)) else { return };
        self.crowd_lots -= held.unsigned_abs();
        let signed = i64::try_from(lots).unwrap_or(i64::MAX);
        *held += if side == Side::Bid { signed } else { -signed };
        self.crowd_lots += held.unsigned_abs();
    }

    /// Signed lots of the crowd's accounts, by these records.
    #[cfg(test)]
    pub fn lots(&self) -> &[i64] {
        &self.lots
    }

    /// What the crowd lost to liquidation.
    pub fn liquidated(&self) -> Liquidated {
        let minutes = &self.liquidated_micros;
        let hours = (0..minutes.len()).map(|from| minutes.iter().skip(from).take(60).sum::<u64>());
        let worst = hours.enumerate().max_by_key(|(from, micros)| (*micros, std::cmp::Reverse(*from)));
        let (worst_from, worst_hour_micros) = worst.unwrap_or((0, 0));
        Liquidated {
            all_micros: minutes.iter().sum(),
            worst_hour_micros,
            worst_hour_from_ms: self.named_from_ms + worst_from as u64 * MINUTE_MS,
            days_micros: minutes.chunks(24 * 60).map(|day| day.iter().sum()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use casemate_protocol::event::{LiquidationSliced, LiquidationStepped, MarkMoved};
    use casemate_protocol::{FineTicks, MarketId, QuantityLots, QuoteMicros, SegmentId};

    use super::*;

    const NAMED_MS: u64 = 10 * MINUTE_MS;

    /// Accounts 10 to 19 are the crowd; a tick is worth 10 micro-quote a lot.
    fn tally() -> Tally {
        Tally::new(10..20, NAMED_MS, 10, PolicyTable::built_in())
    }

    fn block(tally: &mut Tally, time_ms: u64, events: &[Event]) {
        tally.begin_block(time_ms);
        events.iter().for_each(|event| tally.absorb_event(event));
        tally.end_block();
    }

    fn index(ticks: u64) -> Event {
        let fine = FineTicks::from_fine(ticks << 16);
        let depth = QuoteMicros::ZERO;
        let market = MarketId::new(1);
        Event::MarkMoved(MarkMoved {
            market,
            index: fine,
            published: fine,
            mark: fine,
            basis: 0,
            premium_ppm: 0,
            depth,
            spread_ppm: 0,
            imbalance_ppm: 0,
        })
    }

    fn pass(from: u64, to: u64, lots: u64, cause: PassCause) -> Event {
        Event::PositionPassed(PositionPassed {
            market: MarketId::new(1),
            from: AccountId::new(from),
            to: AccountId::new(to),
            from_side: Side::Ask,
            quantity: QuantityLots::from_lots(lots),
            notional: QuoteMicros::ZERO,
            cause,
        })
    }

    fn stepped(account: u64) -> Event {
        Event::LiquidationStepped(LiquidationStepped {
            segment: SegmentId::new(1),
            account: AccountId::new(account),
            equity: QuoteMicros::ZERO,
            maintenance: QuoteMicros::ZERO,
        })
    }

    fn sliced(account: u64, traded: i64) -> Event {
        Event::LiquidationSliced(LiquidationSliced {
            market: MarketId::new(1),
            account: AccountId::new(account),
            traded: QuoteMicros::from_micros(traded),
            fee: QuoteMicros::ZERO,
        })
    }

    #[test]
    fn open_interest_is_what_the_crowd_holds_on_both_sides_and_its_peak_is_of_the_named_time() {
        let mut tally = tally();
        // From 11 to 12: one is short then, the other long, 7 lots each at 100 ticks of 10.
        block(&mut tally, NAMED_MS - 1_000, &[index(100), pass(11, 12, 7, PassCause::Backstop)]);
        assert_eq!(tally.totals.crowd_peak_open_interest_micros, 0, "before the named time");
        block(&mut tally, NAMED_MS, &[]);
        assert_eq!(tally.totals.crowd_peak_open_interest_micros, 14 * 1_000);
        block(&mut tally, NAMED_MS + 1_000, &[pass(12, 99, 7, PassCause::Backstop), index(200)]);
        assert_eq!(tally.lots, [0, -7, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(tally.totals.crowd_peak_open_interest_micros, 14 * 1_000);
    }

    #[test]
    fn only_the_crowd_counts_as_liquidated_and_only_in_the_named_time() {
        let mut tally = tally();
        block(&mut tally, 0, &[index(100), sliced(11, 5), stepped(11)]);
        block(&mut tally, NAMED_MS, &[sliced(11, 50), sliced(9, 500), pass(12, 9, 3, PassCause::Deleveraging)]);
        let liquidated = tally.liquidated();
        assert_eq!((liquidated.all_micros, tally.totals.deleveragings, tally.totals.takeovers), (50 + 3_000, 1, 0));
        assert_eq!(tally.totals.liquidation_steps, 0);
    }

    #[test]
    fn an_account_that_is_liquidated_in_many_blocks_counts_once_until_it_was_left_alone() {
        let mut tally = tally();
        for (second, accounts) in [&[11, 12][..], &[11], &[11], &[], &[11]].into_iter().enumerate() {
            let events: Vec<Event> = accounts.iter().map(|account| stepped(*account)).collect();
            block(&mut tally, NAMED_MS + 1_000 * second as u64, &events);
        }
        assert_eq!((tally.totals.liquidations, tally.totals.liquidation_steps), (3, 5));
    }

    #[test]
    fn the_worst_hour_is_any_sixty_minutes_and_the_first_of_equals() {
        let mut tally = tally();
        let minute = |index: u64| NAMED_MS + index * MINUTE_MS;
        for (index, micros) in [(0, 10), (30, 10), (59, 10), (60, 10), (95, 25), (200, 39), (1_500, 1)] {
            block(&mut tally, minute(index), &[sliced(15, micros)]);
        }
        let liquidated = tally.liquidated();
        // From 36 on: 59, 60 and 95 are within sixty minutes; 30 with 59 and 60 is less, and 200 alone too.
        assert_eq!((liquidated.worst_hour_micros, liquidated.worst_hour_from_ms), (45, minute(36)));
        assert_eq!(liquidated.days_micros, [104, 1]);
    }
}
