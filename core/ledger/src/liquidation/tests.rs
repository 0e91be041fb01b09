use casemate_protocol::command::Side;
use casemate_protocol::event::{LossUncovered, OrderRested, PassCause};
use casemate_protocol::policy::Tier;
use casemate_protocol::testing::examples;
use casemate_protocol::{
    AccountId, BoundedVec, ClientOrderId, DurationMs, Event, FineTicks, GrantNumber, Height, MarketId, OrderNumber,
    PriceGrade, PriceTicks, QuantityLots, QuoteMicros, RecordIndex, SegmentId, TimeMs,
};

use super::{liquidatable, liquidate, repay_deficit};
use crate::context::{BlockContext, CommandContext};
use crate::market::Work;
use crate::market::fill::Fill;
use crate::risk::Risk;
use crate::segment::{Segment, TotalField};

/// The example's market on margin: a tick is 0.1, a tick of a lot 100 micro-quote, so a lot at 64,000 is worth 64 quote.
const MARKET: MarketId = MarketId::new(1);
const START_TICKS: u64 = 640_000;
/// Steps of a block.
const COUNT: usize = 64;

struct Bench {
    segment: Segment,
    block: BlockContext,
    events: Vec<Event>,
}

impl Bench {
    fn new() -> Self {
        let mut genesis = examples::genesis();
        let market = casemate_protocol::genesis::MarketRules { id: MARKET, ..examples::market(1, 2) };
        genesis.markets = BoundedVec::new(vec![market]).unwrap();
        genesis.margins = BoundedVec::new(vec![examples::margin(1, 1)]).unwrap();
        let block = BlockContext {
            height: Height::new(1),
            time_ms: TimeMs::from_ms(1),
            step_ms: DurationMs::ZERO,
            waiting_ms: DurationMs::from_ms(1_000),
        };
        let mut bench = Self { segment: Segment::new(&examples::segment(2), &genesis), block, events: Vec::new() };
        bench.price(START_TICKS);
        bench
    }

    /// Index and mark of the market, with all the budget that slices may have.
    fn price(&mut self, ticks: u64) {
        let fine = FineTicks::from_fine(ticks << 16);
        self.segment.change_pricing(0, |pricing, _| {
            (pricing.index, pricing.published, pricing.mark) = (fine, fine, fine);
            pricing.grade = PriceGrade::Valid;
            pricing.budget_left = QuoteMicros::from_micros(1 << 50);
            pricing.slice_left = QuoteMicros::from_micros(1 << 50);
            pricing.depth_samples = [QuoteMicros::from_micros(1 << 50); crate::segment::DEPTH_SAMPLES];
        });
    }

    fn deposit(&mut self, account: u64, quote: i64) {
        self.segment.add_deposited(AccountId::new(account), QuoteMicros::from_micros(quote * 1_000_000));
        self.segment.add_total(TotalField::AttestedIn, i128::from(quote) * 1_000_000);
    }

    /// Two accounts trade at a price.
    fn trade(&mut self, long: u64, short: u64, lots: u64, ticks: u64) {
        let notional = QuoteMicros::from_micros(i64::try_from(ticks * lots * 100).unwrap());
        self.segment.remember_facts(0);
        for (account, side) in [(long, Side::Bid), (short, Side::Ask)] {
            let fill = Fill { side, quantity: QuantityLots::from_lots(lots), notional };
            let waiting_ms = self.block.waiting_ms;
            self.segment.apply_fill(AccountId::new(account), 0, &fill, QuoteMicros::ZERO, waiting_ms);
        }
    }

    fn work(&mut self, act: impl FnOnce(&mut Work<'_>)) -> Vec<Event> {
        let context = CommandContext {
            block: self.block,
            account: AccountId::NONE,
            grant: None,
            record: RecordIndex::new(1),
            tier: Tier::Rooted,
        };
        self.events.clear();
        act(&mut Work { segment: &mut self.segment, events: &mut self.events, context: &context });
        self.events.clone()
    }

    fn rest(&mut self, account: u64, side: Side, ticks: u64, lots: u64) {
        let number = OrderNumber::new(self.segment.totals.last_order).next();
        let rested = Event::OrderRested(OrderRested {
            market: MARKET,
            number,
            account: AccountId::new(account),
            client_id: ClientOrderId::NONE,
            grant: GrantNumber::NONE,
            side,
            price: PriceTicks::from_ticks(ticks),
            quantity: QuantityLots::from_lots(lots),
            is_reduce_only: false,
            is_ladder: false,
            expires_ms: TimeMs::ZERO,
            origin: RecordIndex::new(1),
        });
        self.work(|work| work.emit(rested));
    }

    /// One step for each account below maintenance, in the order of the queue.
    fn step(&mut self) -> Vec<Event> {
        let due = liquidatable(&mut self.segment, self.block.waiting_ms, COUNT);
        let events = self.work(|work| {
            for account in due {
                liquidate(work, account).unwrap();
            }
        });
        self.require_conservation();
        events
    }

    fn lots(&self, account: u64) -> i64 {
        self.segment.sub_account(AccountId::new(account)).map_or(0, |row| row.position(0).lots())
    }

    fn cash(&self, account: u64) -> i64 {
        self.segment.sub_account(AccountId::new(account)).map_or(0, |row| row.cash().micros())
    }

    fn require_conservation(&self) {
        let totals = self.segment.totals();
        let facts = self.segment.markets[0].facts();
        let owed = totals.cash + totals.insurance - totals.uncovered + totals.fees_venue + totals.fees_validators
            - facts.entry_notional;
        assert_eq!(owed, totals.vault());
        assert_eq!(facts.open_long, -facts.open_short);
    }
}

#[test]
fn a_loss_that_nobody_can_bear_is_written_down_and_insurance_repays_it_first() {
    let mut bench = Bench::new();
    for (account, quote) in [(1, 40), (2, 2_000), (3, 2_000), (4, 2_000)] {
        bench.deposit(account, quote);
    }
    // The short side changed hands at the low price, so its profit is nothing by now.
    bench.trade(1, 2, 10, START_TICKS);
    bench.price(500_000);
    bench.trade(2, 3, 10, 500_000);
    bench.rest(4, Side::Bid, 499_000, 10);
    let events = bench.step();
    assert_eq!(bench.lots(1), 0, "{events:?}");
    // Bought for 640, sold for 499 at 40 of cash: 101 nobody covers.
    assert!(events.contains(&Event::LossUncovered(LossUncovered {
        segment: SegmentId::new(2),
        account: AccountId::new(1),
        amount: QuoteMicros::from_micros(101_000_000),
    })));
    assert_eq!((bench.cash(1), bench.segment.totals().uncovered), (0, 101_000_000));
    // Insurance comes into money: it repays before it pays for anything new, within its share.
    bench.deposit(5, 100);
    let missing = 100_000_000 - bench.segment.totals().insurance;
    bench.segment.add_cash(AccountId::new(5), QuoteMicros::from_micros(-i64::try_from(missing).unwrap()));
    bench.segment.add_total(TotalField::Insurance, missing);
    bench.work(repay_deficit);
    bench.require_conservation();
    assert_eq!(bench.segment.totals().uncovered, 101_000_000 - 40_000_000);
    bench.work(repay_deficit);
    assert_eq!(bench.segment.totals().uncovered, 61_000_000, "no more than its share of the fund within the window");
}

#[test]
fn insurance_pays_before_the_backstop_takes_over_and_both_before_profit_is_touched() {
    let mut bench = Bench::new();
    let backstop = bench.segment.clearing().unwrap().backstop.number();
    for (account, quote) in [(1, 40), (2, 2_000), (backstop, 5_000)] {
        bench.deposit(account, quote);
    }
    bench.deposit(9, 1_000);
    bench.segment.add_cash(AccountId::new(9), QuoteMicros::from_micros(-1_000_000_000));
    bench.segment.add_total(TotalField::Insurance, 1_000_000_000);
    bench.trade(1, 2, 10, START_TICKS);
    // 50 of loss on 40 of cash.
    bench.price(590_000);
    let events = bench.step();
    let order: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            Event::InsurancePaid(paid) => {
                assert_eq!(paid.amount, QuoteMicros::from_micros(10_000_000));
                Some("insurance")
            }
            Event::PositionPassed(passed) => {
                assert_eq!(passed.cause, PassCause::Backstop);
                // Insurance made it whole, so it passes at the mark.
                assert_eq!(passed.notional, QuoteMicros::from_micros(590_000_000));
                Some("backstop")
            }
            _ => None,
        })
        .collect();
    assert_eq!(order, ["insurance", "backstop"]);
    assert_eq!((bench.lots(1), bench.cash(1), bench.lots(backstop)), (0, 0, 10));
}

/// Insurance gets money as a fund does: from an account that pays it.
fn fund_insurance(bench: &mut Bench, quote: i64) {
    bench.deposit(9, quote);
    bench.segment.add_cash(AccountId::new(9), QuoteMicros::from_micros(-quote * 1_000_000));
    bench.segment.add_total(TotalField::Insurance, i128::from(quote) * 1_000_000);
}

fn paid(events: &[Event]) -> Vec<(u64, i64)> {
    let one = |event: &Event| match event {
        Event::InsurancePaid(paid) => Some((paid.account.number(), paid.amount.micros())),
        _ => None,
    };
    events.iter().filter_map(one).collect()
}

#[test]
fn insurance_gives_nothing_to_a_position_that_stays_open() {
    let mut bench = Bench::new();
    for (account, quote) in [(1, 40), (2, 40), (3, 2_000)] {
        bench.deposit(account, quote);
    }
    fund_insurance(&mut bench, 1_000);
    bench.trade(1, 3, 10, START_TICKS);
    bench.trade(2, 3, 10, START_TICKS);
    // 50 of loss on 40 of cash, and the backstop has no money: one position a block comes to profit.
    bench.price(590_000);
    assert_eq!(paid(&bench.step()), [(1, 10_000_000)]);
    assert_eq!((bench.lots(1), bench.lots(2), bench.cash(2)), (0, 10, 40_000_000), "the second waits, as it is");
    // The price comes back: what it is worth then is its own, and nobody else's money is in it.
    bench.price(605_000);
    assert_eq!((bench.equity(2), paid(&bench.step()), bench.lots(2)), (5_000_000, vec![], 10));
    bench.price(590_000);
    assert_eq!(paid(&bench.step()), [(2, 10_000_000)]);
}

#[test]
fn a_takeover_at_a_price_worse_than_the_mark_counts_against_the_loss_cap() {
    let taken = |cap: i64| {
        let mut bench = Bench::new();
        let backstop = bench.segment.clearing().unwrap().backstop.number();
        let margin = bench.segment.markets[0].margin.as_mut().unwrap();
        margin.rules.liquidation.backstop_loss_max = QuoteMicros::from_micros(cap * 1_000_000);
        for (account, quote) in [(1, 40), (2, 2_000), (backstop, 5_000)] {
            bench.deposit(account, quote);
        }
        bench.trade(1, 2, 10, START_TICKS);
        // Insurance has nothing, 140 of loss on 40 of cash: the price that leaves nothing is 100 beyond the mark.
        bench.price(500_000);
        bench.step();
        bench.lots(backstop)
    };
    assert_eq!(taken(150), 10);
    // 50 at once for half of it, and the maintenance margin of what it holds.
    assert_eq!(taken(70), 5);
    assert_eq!(taken(9), 0);
}

#[test]
fn profit_pays_only_where_nothing_else_does_and_no_more_than_it_is() {
    let mut bench = Bench::new();
    for (account, quote) in [(1, 40), (2, 500), (3, 500), (4, 500)] {
        bench.deposit(account, quote);
    }
    bench.trade(1, 2, 6, START_TICKS);
    bench.trade(1, 3, 4, START_TICKS);
    bench.price(590_000);
    let before = [bench.equity(2), bench.equity(3)];
    let events = bench.step();
    assert_eq!(bench.lots(1), 0, "{events:?}");
    let after = [bench.equity(2), bench.equity(3)];
    // 10 are missing; the two winners had 30 and 20.
    let cost = [before[0] - after[0], before[1] - after[1]];
    assert_eq!(cost[0] + cost[1], 10_000_000);
    assert!(cost[0] <= 30_000_000 && cost[1] <= 20_000_000 && cost.iter().all(|cost| *cost >= 0));
    assert_eq!((bench.lots(2), bench.lots(3), bench.cash(1)), (0, 0, 0));
    assert_eq!(bench.segment.totals().uncovered, 0);
}

impl Bench {
    fn equity(&self, account: u64) -> i64 {
        let row = self.segment.sub_account(AccountId::new(account)).unwrap();
        Risk::new(self.segment.markets(), self.block.waiting_ms).health(row).equity
    }
}

#[test]
fn the_worst_ratio_comes_first_and_equal_ones_by_account() {
    let mut bench = Bench::new();
    for (account, quote) in [(1, 45), (2, 40), (3, 40), (8, 5_000)] {
        bench.deposit(account, quote);
    }
    for account in [3, 2, 1] {
        bench.trade(account, 8, 10, START_TICKS);
    }
    bench.price(605_000);
    let due = liquidatable(&mut bench.segment, bench.block.waiting_ms, COUNT);
    assert_eq!(due, [2, 3, 1].map(AccountId::new));
}
