//! Tests of markets: fills as pure calculation, limits that random sequences are too short to reach, and regressions. What
//! commands do one after the other is compared with the model in `tests/differential.rs`.

use casemate_protocol::command::{
    AmendOrder, CancelScope, LimitTerms, MarketTerms, OrderKind, OrderReference, PlaceOrder, QuoteLadder, QuoteLevel,
    SelfTradeMode, Side, TimeInForce,
};
use casemate_protocol::event::{OrderRemoved, RemovalCause};
use casemate_protocol::genesis::MarketRules;
use casemate_protocol::limits::{
    MAKERS_REMOVED_MAX, MATCH_STEPS_MAX, OPEN_ORDERS_MAX, POSITIONS_MAX, RECORD_EVENTS_MAX,
};
use casemate_protocol::policy::Tier;
use casemate_protocol::testing::examples;
use casemate_protocol::units::notional;
use casemate_protocol::{
    AccountId, BoundedVec, ClientOrderId, DurationMs, Event, FeePpm, GrantNumber, Height, MarketId, OrderNumber,
    PriceTicks, QuantityLots, QuoteMicros, RatioPpm, RecordIndex, Reject, RejectCode, SegmentId, TickValueMicros,
    TimeMs,
};
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

use super::fill::{Fill, FillEffect, fill_effect};
use super::{Work, amend, cancel_all, place, quote_ladder};
use crate::context::{BlockContext, CommandContext, GrantFacts};
use crate::risk::Risk;
use crate::segment::Segment;
use Side::{Ask, Bid};

const NOW_MS: u64 = 5_000;

/// A segment whose markets have tick value 1, reference price 100, a band of 10%, a highest price of 200 and no fees.
/// Accounts 1 to 3 have 1,000,000.
struct Bench {
    segment: Segment,
    block: BlockContext,
    grant: Option<GrantFacts>,
}

fn market_rules(id: u16) -> MarketRules {
    MarketRules {
        tick_value: TickValueMicros::from_micros(1),
        price_max: PriceTicks::from_ticks(200),
        reference_price: PriceTicks::from_ticks(100),
        band: RatioPpm::from_ppm(100_000),
        order_lots_min: QuantityLots::from_lots(1),
        order_lots_max: QuantityLots::from_lots(2_000),
        position_lots_max: QuantityLots::from_lots(2_000),
        maker_fee: FeePpm::from_ppm(0),
        taker_fee: FeePpm::from_ppm(0),
        ..examples::market(id, 1)
    }
}

impl Bench {
    fn new() -> Self {
        Self::with_markets(1, |_| {})
    }

    fn with_markets(count: u16, change: impl Fn(&mut MarketRules)) -> Self {
        let mut genesis = examples::genesis();
        let mut markets: Vec<MarketRules> = (1..=count).map(market_rules).collect();
        markets.iter_mut().for_each(change);
        markets.iter().for_each(|market| market.validate().unwrap());
        genesis.markets = BoundedVec::new(markets).unwrap();
        // Collateral is full here, also where the example has a market on margin.
        (genesis.clearing, genesis.margins) = (BoundedVec::empty(), BoundedVec::empty());
        let mut rules = examples::segment(1);
        rules.open_orders_max = OPEN_ORDERS_MAX;
        let mut bench = Self {
            segment: Segment::new(&rules, &genesis),
            block: BlockContext {
                height: Height::new(1),
                time_ms: TimeMs::from_ms(NOW_MS),
                step_ms: DurationMs::ZERO,
                waiting_ms: DurationMs::ZERO,
            },
            grant: None,
        };
        (1..=3).for_each(|account| bench.add_cash(account, 1_000_000));
        bench
    }

    fn add_cash(&mut self, account: u64, micros: i64) {
        self.segment.add_cash(AccountId::new(account), QuoteMicros::from_micros(micros));
    }

    /// Takes all but this much from an account.
    fn leave(&mut self, account: u64, micros: i64) {
        self.add_cash(account, micros - self.cash(account));
    }

    fn cash(&self, account: u64) -> i64 {
        self.segment.sub_account(AccountId::new(account)).unwrap().cash().micros()
    }

    fn free(&self, account: u64) -> i64 {
        let row = self.segment.sub_account(AccountId::new(account)).unwrap();
        Risk::new(&self.segment.markets, self.block.waiting_ms).free_collateral(row, None).micros()
    }

    fn lots(&self, account: u64) -> i64 {
        self.segment.sub_account(AccountId::new(account)).unwrap().position(0).lots
    }

    fn resting(&self) -> usize {
        [Bid, Ask].map(|side| self.segment.markets[0].book.slots(side, &self.segment.orders).count()).iter().sum()
    }

    /// A command of an account; a refusal is taken back, as the ledger does.
    fn act(
        &mut self,
        account: u64,
        command: impl FnOnce(&mut Work<'_>) -> Result<(), Reject>,
    ) -> Result<Vec<Event>, Reject> {
        let before = self.segment.savepoint();
        let mut events = Vec::new();
        let context = CommandContext {
            block: self.block,
            account: AccountId::new(account),
            grant: self.grant,
            record: RecordIndex::new(1),
            tier: Tier::Rooted,
        };
        let verdict = command(&mut Work { segment: &mut self.segment, events: &mut events, context: &context });
        if verdict.is_err() {
            self.segment.roll_back(before);
        }
        verdict.map(|()| events)
    }

    fn place(&mut self, account: u64, order: PlaceOrder) -> Result<Vec<Event>, Reject> {
        self.act(account, |work| place(work, &order))
    }

    /// Number, price and quantity of an order from now on.
    fn amend(&mut self, account: u64, (number, price, lots): (u64, u64, u64)) -> Result<Vec<Event>, Reject> {
        let command = AmendOrder {
            market: MarketId::new(1),
            order: OrderReference::Number(OrderNumber::new(number)),
            price: PriceTicks::from_ticks(price),
            quantity: QuantityLots::from_lots(lots),
        };
        self.act(account, |work| amend(work, &command))
    }

    fn quote_bids(&mut self, account: u64, levels: &[(u64, u64)]) -> Result<Vec<Event>, Reject> {
        let level = |&(price, lots): &(u64, u64)| QuoteLevel {
            price: PriceTicks::from_ticks(price),
            quantity: QuantityLots::from_lots(lots),
        };
        let bids = BoundedVec::new(levels.iter().map(level).collect()).unwrap();
        let command = QuoteLadder { market: MarketId::new(1), bids, asks: BoundedVec::empty() };
        self.act(account, |work| quote_ladder(work, &command))
    }
}

/// A good-till-cancel order in market 1.
fn order(side: Side, price: u64, lots: u64) -> PlaceOrder {
    let time_in_force = TimeInForce::GoodTillCancel;
    PlaceOrder {
        market: MarketId::new(1),
        side,
        kind: OrderKind::Limit(LimitTerms { price: PriceTicks::from_ticks(price), time_in_force }),
        quantity: QuantityLots::from_lots(lots),
        client_id: ClientOrderId::NONE,
        is_reduce_only: false,
        self_trade: SelfTradeMode::CancelResting,
    }
}

fn reducing(order: PlaceOrder) -> PlaceOrder {
    PlaceOrder { is_reduce_only: true, ..order }
}

fn with(order: PlaceOrder, time_in_force: TimeInForce) -> PlaceOrder {
    let OrderKind::Limit(terms) = order.kind else { panic!("a market order has no time in force") };
    PlaceOrder { kind: OrderKind::Limit(LimitTerms { time_in_force, ..terms }), ..order }
}

fn refusal(outcome: Result<Vec<Event>, Reject>) -> (RejectCode, i64, i64) {
    let reject = outcome.unwrap_err();
    let (required, present) = reject.numbers();
    (reject.code(), required, present)
}

fn removed(events: &[Event]) -> Vec<OrderRemoved> {
    let removed = |event: &Event| match event {
        Event::OrderRemoved(removed) => Some(*removed),
        _ => None,
    };
    events.iter().filter_map(removed).collect()
}

fn traded_lots(events: &[Event]) -> u64 {
    let lots = |event: &Event| match event {
        Event::TradeExecuted(trade) => trade.quantity.lots(),
        _ => 0,
    };
    events.iter().map(lots).sum()
}

/// Account 1 is short 10 at the reference against account 2, with cash for that and no more, and bids for 20 at 99 that
/// would leave it long 10.
fn with_bids_that_count_on_a_short() -> Bench {
    let mut bench = Bench::new();
    bench.place(1, order(Ask, 100, 10)).unwrap();
    bench.place(2, order(Bid, 100, 10)).unwrap();
    bench.leave(1, 1_000);
    bench.place(1, order(Bid, 99, 20)).unwrap();
    bench
}

// Fills.

#[derive(Clone, Copy, Debug)]
struct Case {
    lots: i64,
    entry: i64,
    side: Side,
    quantity: u64,
    price: u64,
    tick_value: u32,
}

impl Case {
    fn effect(&self, quantity: u64) -> FillEffect {
        self.after(self.lots, self.entry, quantity)
    }

    fn after(&self, lots: i64, entry: i64, quantity: u64) -> FillEffect {
        let notional = QuoteMicros::from_micros(self.notional(quantity));
        let fill = Fill { side: self.side, quantity: QuantityLots::from_lots(quantity), notional };
        fill_effect(lots, entry, &fill)
    }

    fn direction(&self) -> i64 {
        if self.side == Bid { 1 } else { -1 }
    }

    fn notional(&self, quantity: u64) -> i64 {
        let (quantity, price) = (QuantityLots::from_lots(quantity), PriceTicks::from_ticks(self.price));
        notional(price, quantity, TickValueMicros::from_micros(self.tick_value)).unwrap().micros()
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let size = 0..=1_000_000i64;
    (
        size,
        0..=1_000_000_000_000i64,
        proptest::bool::ANY,
        proptest::bool::ANY,
        1..=2_000_000u64,
        1..=1_000_000u64,
        1..=100u32,
    )
        .prop_map(|(size, entry, is_long, buys, quantity, price, tick_value)| {
            let sign = if is_long { 1 } else { -1 };
            let entry = if size == 0 { 0 } else { entry };
            let side = if buys { Bid } else { Ask };
            Case { lots: sign * size, entry: sign * entry, side, quantity, price, tick_value }
        })
}

proptest! {
    /// Whatever is rounded, cash minus entry notional moves by exactly what was traded: nothing is made or lost.
    #[test]
    fn prop_cash_minus_entry_notional_changes_by_exactly_the_notional_traded(case in cases()) {
        let effect = case.effect(case.quantity);
        let change = effect.cash_delta.micros() - (effect.entry_notional - case.entry);
        prop_assert_eq!(change, -case.direction() * case.notional(case.quantity));
        prop_assert_eq!(effect.lots, case.lots + case.direction() * i64::try_from(case.quantity).unwrap());
    }

    /// What a fill pays out is at most its exact share of the gain, and less than one micro below it.
    #[test]
    fn prop_rounding_never_favours_the_account(case in cases()) {
        let is_closing = case.lots.signum() == -case.direction();
        let closed = if is_closing { case.quantity.min(case.lots.unsigned_abs()) } else { 0 };
        let size = i128::from(case.lots.unsigned_abs().max(1));
        // The gain times the size of the position, which is exact.
        let proceeds = -i128::from(case.direction()) * i128::from(case.notional(closed));
        let exact = proceeds * size - i128::from(case.entry) * i128::from(closed);
        let paid = i128::from(case.effect(case.quantity).cash_delta.micros()) * size;
        prop_assert!(paid <= exact && exact < paid + size);
    }

    /// Closing in two pieces pays what closing at once pays, and leaves nothing behind.
    #[test]
    fn prop_a_position_closed_in_pieces_pays_as_if_closed_at_once(case in cases(), first in 1..1_000_000u64) {
        let size = case.lots.unsigned_abs();
        if case.lots.signum() == -case.direction() && first < size {
            let whole = case.effect(size);
            let piece = case.effect(first);
            let rest = case.after(piece.lots, piece.entry_notional, size - first);
            prop_assert_eq!((rest.lots, rest.entry_notional), (0, 0));
            prop_assert_eq!(piece.cash_delta.saturating_add(rest.cash_delta), whole.cash_delta);
        }
    }

    /// A fill larger than the position is a closing fill and an opening one.
    #[test]
    fn prop_turning_around_is_closing_and_opening(case in cases()) {
        let size = case.lots.unsigned_abs();
        if case.lots.signum() == -case.direction() && case.quantity > size {
            let closed = case.effect(size);
            let opened = case.after(closed.lots, closed.entry_notional, case.quantity - size);
            prop_assert_eq!(opened.cash_delta, QuoteMicros::ZERO);
            prop_assert_eq!(case.effect(case.quantity), FillEffect { cash_delta: closed.cash_delta, ..opened });
        }
    }
}

#[test]
fn closing_a_part_rounds_its_cost_up_for_longs_and_shorts() {
    let fill = |lots, entry, side, quantity, price| {
        let case = Case { lots, entry, side, quantity, price, tick_value: 1 };
        let effect = case.effect(quantity);
        (effect.lots, effect.entry_notional, effect.cash_delta.micros())
    };
    assert_eq!(fill(3, 302, Ask, 1, 105), (2, 201, 4)); // 100.67 up: 101.
    assert_eq!(fill(-3, -302, Bid, 1, 95), (-2, -202, 5)); // -100.67 up: -100.
    assert_eq!(fill(3, 302, Ask, 5, 105), (-2, -210, 13));
    assert_eq!(fill(0, 0, Ask, 2, 105), (-2, -210, 0));
}

// Limits of one command.

#[test]
fn matching_stops_after_a_thousand_resting_orders() {
    let steps = u64::from(MATCH_STEPS_MAX);
    for (makers, rests) in [(steps, true), (steps + 1, false)] {
        let mut bench = Bench::new();
        (0..makers).for_each(|_| drop(bench.place(2, order(Ask, 100, 1)).unwrap()));
        let events = bench.place(1, order(Bid, 100, makers + 1)).unwrap();
        assert_eq!(traded_lots(&events), steps);
        // A book that crosses no more takes the rest; else the rest would cross it.
        assert_eq!(matches!(events.last(), Some(Event::OrderRested(_))), rests);
        assert_eq!(matches!(events.last(), Some(Event::RemainderDropped(_))), !rests);
        assert!(events.len() < RECORD_EVENTS_MAX);
    }
}

/// Cause: the rest was dropped after the last removal even where nothing stood in its way any more.
/// Fix: the rest is dropped only if the book still crosses.
#[test]
fn the_rest_rests_if_the_last_removal_allowed_cleared_the_way() {
    let most = u64::from(MAKERS_REMOVED_MAX);
    for (makers, rests) in [(most, true), (most + 1, false)] {
        let mut bench = Bench::new();
        let ends = TimeInForce::GoodTillTime(TimeMs::from_ms(NOW_MS + 1));
        (0..makers).for_each(|_| drop(bench.place(2, with(order(Ask, 100, 1), ends)).unwrap()));
        bench.block.time_ms = TimeMs::from_ms(NOW_MS + 1);
        let events = bench.place(1, order(Bid, 100, 1)).unwrap();
        assert_eq!(removed(&events).len(), usize::try_from(most).unwrap());
        assert!(removed(&events).iter().all(|removed| removed.cause == RemovalCause::Expired));
        assert_eq!(matches!(events.last(), Some(Event::OrderRested(_))), rests);
        assert_eq!(matches!(events.last(), Some(Event::RemainderDropped(_))), !rests);
    }
}

/// Cause: an order might look at 4,096 orders that go with the positions it closes, and its trades came on top, so its record
/// did not fit and halted the segment for good.
#[test]
fn an_order_that_closes_many_positions_at_once_fits_its_record() {
    let makers = 10..=30u64;
    let lots = 200;
    let wide = QuantityLots::from_lots(10_000);
    let mut bench = Bench::with_markets(1, |rules| (rules.order_lots_max, rules.position_lots_max) = (wide, wide));
    makers.clone().chain([2, 3]).for_each(|account| bench.add_cash(account, 1_000_000_000));
    for maker in makers.clone() {
        bench.place(2, order(Ask, 100, lots)).unwrap();
        bench.place(maker, order(Bid, 100, lots)).unwrap();
        bench.place(maker, order(Ask, 100, lots)).unwrap();
        (0..lots).for_each(|_| drop(bench.place(maker, reducing(order(Ask, 101, 1))).unwrap()));
    }
    let all = lots * u64::try_from(makers.count()).unwrap();
    let events = bench.place(3, order(Bid, 100, all)).unwrap();
    assert_eq!(traded_lots(&events), all);
    assert_eq!(removed(&events).len(), 2 * usize::try_from(OPEN_ORDERS_MAX).unwrap());
    assert!(events.len() <= RECORD_EVENTS_MAX, "{}", events.len());
}

/// Cause: each reduce-only order was cut to the position by itself and outlived it, so one position put sixty-four orders
/// in front of the book that the next order met one by one, and then ended without a fill. Fix: together they promise no
/// more than the position, and they go with it.
#[test]
fn orders_that_reduce_a_position_that_is_gone_do_not_end_the_order_of_somebody_else() {
    let most = u64::from(MAKERS_REMOVED_MAX);
    let mut bench = Bench::new();
    bench.place(2, order(Ask, 100, most)).unwrap();
    bench.place(1, order(Bid, 100, most)).unwrap();
    bench.place(1, order(Ask, 100, most)).unwrap(); // Closes the position, and is the first in line.
    (0..most).for_each(|_| drop(bench.place(1, reducing(order(Ask, 100, 1))).unwrap()));
    let beyond = bench.place(1, reducing(order(Ask, 100, 1)));
    assert_eq!(refusal(beyond), (RejectCode::ReduceOnlyWouldIncrease, 64, 64), "it promises no more than it has");
    bench.place(2, order(Ask, 100, 10)).unwrap();
    let events = bench.place(3, order(Bid, 100, most)).unwrap();
    assert_eq!((traded_lots(&events), removed(&events).len()), (most, 64), "an accomplice closes it");
    assert_eq!(bench.resting(), 1);
    let events = bench.place(3, order(Bid, 100, 10)).unwrap();
    assert_eq!(traded_lots(&events), 10, "before, sixty-four removals and nothing else");
}

#[test]
fn cancel_all_takes_every_order_of_an_account_whatever_the_limits_of_matching() {
    let mut bench = Bench::new();
    (0..OPEN_ORDERS_MAX).for_each(|_| drop(bench.place(1, order(Bid, 100, 1)).unwrap()));
    assert_eq!(refusal(bench.place(1, order(Bid, 100, 1))), (RejectCode::OpenOrdersMax, 1_024, 1_025));
    let scope = CancelScope::Segment(SegmentId::new(1));
    let events = bench.act(1, |work| cancel_all(work, scope, None)).unwrap();
    assert_eq!((events.len(), bench.resting()), (1_024, 0));
    assert!(events.len() < RECORD_EVENTS_MAX);
}

#[test]
fn an_account_is_in_at_most_64_markets_of_a_segment() {
    let most = u16::try_from(POSITIONS_MAX).unwrap();
    let mut bench = Bench::with_markets(most + 1, |_| {});
    let there = |market, order: PlaceOrder| PlaceOrder { market: MarketId::new(market), ..order };
    for market in 1..most {
        bench.place(2, there(market, order(Ask, 100, 1))).unwrap();
        bench.place(1, there(market, order(Bid, 100, 1))).unwrap(); // A position.
    }
    bench.place(1, there(most, order(Bid, 99, 1))).unwrap(); // An order.
    let one_more = there(most + 1, with(order(Bid, 100, 1), TimeInForce::ImmediateOrCancel));
    assert_eq!(refusal(bench.place(1, one_more)), (RejectCode::PositionsMax, 64, 65));
    bench.place(1, there(most, order(Bid, 98, 1))).unwrap(); // A market counts once.
    bench.place(2, there(1, order(Bid, 100, 1))).unwrap();
    bench.place(1, there(1, reducing(order(Ask, 100, 1)))).unwrap(); // Out of the first.
    bench.place(1, one_more).unwrap();
}

// Collateral.

/// Cause: what was free before the command was measured after it had taken the old order out. Fix: before.
#[test]
fn an_account_below_zero_may_amend_to_something_that_needs_less() {
    let mut bench = Bench::new();
    bench.place(1, order(Bid, 50, 100)).unwrap();
    bench.leave(1, 0);
    bench.amend(1, (1, 49, 100)).unwrap();
    assert_eq!(bench.free(1), -4_900);
    assert_eq!(refusal(bench.amend(1, (1, 50, 100))), (RejectCode::InsufficientFreeCollateral, 100, -4_900));
}

/// As above, for the former ladder.
#[test]
fn an_account_below_zero_may_quote_a_ladder_that_needs_less() {
    let mut bench = Bench::new();
    bench.quote_bids(1, &[(50, 100)]).unwrap();
    bench.leave(1, 0);
    bench.quote_bids(1, &[(49, 50), (48, 51)]).unwrap();
    assert_eq!(bench.free(1), -4_898);
    let worse = bench.quote_bids(1, &[(50, 100)]);
    assert_eq!(refusal(worse), (RejectCode::InsufficientFreeCollateral, 102, -4_898));
    assert_eq!(bench.resting(), 2);
    bench.quote_bids(1, &[]).unwrap();
}

/// Cause: an order that only reduces was never asked for collateral, though other orders counted on the position that it
/// closes: step by step an account could hold far more than its cash. Fix: its fill must not leave them uncovered.
#[test]
fn closing_a_position_does_not_uncover_orders_that_count_on_it() {
    let mut bench = with_bids_that_count_on_a_short();
    bench.place(2, order(Ask, 100, 10)).unwrap();
    let closing = reducing(order(Bid, 100, 10));
    // Flat, with bids for 1,980.
    assert_eq!(refusal(bench.place(1, closing)), (RejectCode::InsufficientFreeCollateral, 980, 0));

    let mut bench = with_bids_that_count_on_a_short();
    bench.place(1, closing).unwrap();
    let events = bench.place(2, order(Ask, 100, 10)).unwrap();
    assert_eq!(removed(&events).iter().map(|removed| removed.cause).collect::<Vec<_>>(), [RemovalCause::MakerRisk]);
    assert_eq!((bench.lots(1), bench.free(1)), (-10, 0));

    let mut bench = with_bids_that_count_on_a_short();
    bench.amend(1, (3, 99, 10)).unwrap(); // Now they need no more than the short position.
    bench.place(1, closing).unwrap();
    bench.place(2, order(Ask, 100, 10)).unwrap();
    assert_eq!((bench.lots(1), bench.free(1)), (0, 10));
}

/// Cause: bids counted a short position as room, and an order that only reduces could close it before they filled.
/// Fix: an opposite position gives no room.
#[test]
fn no_order_of_fills_takes_a_position_beyond_its_maximum() {
    let mut bench = Bench::with_markets(1, |rules| {
        rules.order_lots_max = QuantityLots::from_lots(100);
        rules.position_lots_max = QuantityLots::from_lots(100);
    });
    bench.place(1, order(Ask, 100, 100)).unwrap();
    bench.place(2, order(Bid, 100, 100)).unwrap();
    bench.place(1, order(Bid, 99, 100)).unwrap();
    assert_eq!(refusal(bench.place(1, order(Bid, 98, 1))), (RejectCode::PositionTooLarge, 100, 101));
    bench.place(1, reducing(order(Bid, 100, 100))).unwrap();
    bench.place(2, order(Ask, 98, 100)).unwrap();
    bench.place(3, order(Ask, 98, 100)).unwrap();
    assert_eq!(bench.lots(1), 100);
}

#[test]
fn an_account_without_money_is_judged_like_any_other() {
    let mut bench = Bench::new();
    let outcome = bench.place(9, order(Bid, 100, 2));
    assert_eq!(refusal(outcome), (RejectCode::InsufficientFreeCollateral, 200, 0));
    assert_eq!(refusal(bench.place(9, order(Bid, 100, 2_001))), (RejectCode::QuantityTooLarge, 2_000, 2_001));
    assert_eq!(refusal(bench.place(9, reducing(order(Bid, 100, 2)))), (RejectCode::ReduceOnlyWouldIncrease, 0, 0));
}

// Budgets.

/// Cause: an ask was counted at its limit, below the bids that it met. Fix: at its dearest price.
#[test]
fn an_ask_under_a_grant_counts_at_the_best_bid_that_it_meets() {
    let mut bench = Bench::new();
    bench.place(2, order(Bid, 100, 10)).unwrap();
    bench.grant = Some(GrantFacts {
        number: GrantNumber::new(1),
        expires_ms: TimeMs::from_ms(NOW_MS + 1),
        notional_max: QuoteMicros::from_micros(999),
        used_elsewhere: QuoteMicros::ZERO,
        loss_max: QuoteMicros::from_micros(i64::MAX),
        lost_elsewhere: QuoteMicros::ZERO,
    });
    assert_eq!(refusal(bench.place(1, order(Ask, 90, 10))), (RejectCode::GrantNotionalExceeded, 999, 1_000));
    bench.place(1, order(Ask, 90, 9)).unwrap();
    assert_eq!(refusal(bench.place(1, order(Bid, 50, 2))), (RejectCode::GrantNotionalExceeded, 99, 100));
    // It may always close, and that counts too.
    bench.place(2, order(Ask, 100, 9)).unwrap();
    bench.place(1, reducing(order(Bid, 100, 9))).unwrap();
    assert_eq!(refusal(bench.place(1, order(Bid, 1, 1))), (RejectCode::GrantNotionalExceeded, 0, 1));
}

// Market orders.

#[test]
fn a_market_order_with_nothing_inside_its_bound_is_refused() {
    let mut bench = Bench::new();
    let at_market = |side| PlaceOrder {
        kind: OrderKind::Market(MarketTerms { slippage_ppm_max: RatioPpm::from_ppm(1_000_000) }),
        ..order(side, 1, 1)
    };
    assert_eq!(refusal(bench.place(1, at_market(Bid))), (RejectCode::NoLiquidity, 0, 0));
    bench.place(2, order(Ask, 111, 1)).unwrap(); // Beyond the band.
    assert_eq!(refusal(bench.place(1, at_market(Bid))), (RejectCode::NoLiquidity, 0, 0));
    bench.place(2, order(Bid, 89, 1)).unwrap();
    assert_eq!(refusal(bench.place(1, at_market(Ask))), (RejectCode::NoLiquidity, 0, 0));
    bench.place(2, order(Ask, 110, 1)).unwrap();
    assert_eq!(traded_lots(&bench.place(1, at_market(Bid)).unwrap()), 1);
}

// Amend.

#[test]
fn an_order_that_only_becomes_smaller_is_asked_for_nothing() {
    let mut bench = Bench::with_markets(1, |rules| rules.order_lots_min = QuantityLots::from_lots(5));
    let ends = TimeInForce::GoodTillTime(TimeMs::from_ms(NOW_MS + 1));
    bench.place(1, with(order(Bid, 100, 10), ends)).unwrap();
    bench.leave(1, -1_000_000);
    bench.block.time_ms = TimeMs::from_ms(NOW_MS + 1);
    bench.amend(1, (1, 100, 10)).unwrap();
    bench.amend(1, (1, 100, 1)).unwrap();
    assert_eq!(refusal(bench.amend(1, (1, 100, 0))), (RejectCode::QuantityBelowMinimum, 5, 0));
    assert_eq!(refusal(bench.amend(1, (1, 99, 1))), (RejectCode::QuantityBelowMinimum, 5, 1));
    assert_eq!(refusal(bench.amend(1, (1, 99, 5))), (RejectCode::GoodTillTimePast, 5_001, 5_001));
}
