//! The model's own tests: each rule of the page with numbers worked out by hand.
//!
//! Unless a test says otherwise the market has tick value 1, reference price 100, a band of 10% (so 90 to 110), a
//! highest price of 200, orders of 1 to 100 lots, positions to 150 lots and no fees; every account has 1,000,000.

use casemate_protocol::command::{
    AmendOrder, CancelAllOrders, CancelOrder, CancelScope, Command, LimitTerms, MarketTerms, OrderKind, OrderReference,
    PlaceOrder, QuoteLadder, QuoteLevel, RevokeGrant, SelfTradeMode, SetDeadMan, Side, TimeInForce,
};
use casemate_protocol::event::{
    DeadManSet, Event, GrantWatched, OrderReduced, OrderRemoved, OrderRested, RemainderDropped, RemovalCause,
    TradeExecuted,
};
use casemate_protocol::genesis::MarketRules;
use casemate_protocol::{
    AccountId, BoundedVec, ClientOrderId, DurationMs, FeePpm, GrantNumber, MarketId, OrderNumber, PriceTicks,
    QuantityLots, QuoteMicros, RatioPpm, RecordIndex, Reject, RejectCode, SegmentId, TickValueMicros, TimeMs,
    TradeNumber,
};

use super::account::{Position, fee};
use super::world::{genesis, segment_rules};
use super::{Model, comparable};
use RejectCode as Code;
use Side::{Ask, Bid};

const NOW: u64 = 5_000;

/// A model, and short words to drive it.
struct Bench {
    model: Model,
    time_ms: u64,
    records: u64,
}

fn usual(id: u16) -> MarketRules {
    MarketRules {
        id: MarketId::new(id),
        segment: SegmentId::new(1),
        tick_value: TickValueMicros::from_micros(1),
        price_max: PriceTicks::from_ticks(200),
        reference_price: PriceTicks::from_ticks(100),
        band: RatioPpm::from_ppm(100_000),
        order_lots_min: QuantityLots::from_lots(1),
        order_lots_max: QuantityLots::from_lots(100),
        position_lots_max: QuantityLots::from_lots(150),
        maker_fee: FeePpm::from_ppm(0),
        taker_fee: FeePpm::from_ppm(0),
    }
}

impl Bench {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// One segment with this market.
    fn with(change: impl Fn(&mut MarketRules)) -> Self {
        let mut rules = usual(1);
        change(&mut rules);
        Self::of(vec![rules])
    }

    fn of(markets: Vec<MarketRules>) -> Self {
        let segments = markets.iter().map(|market| market.segment.number()).max().unwrap();
        let genesis = genesis((1..=segments).map(|id| segment_rules(SegmentId::new(id))).collect(), markets);
        let mut model = Model::new(&genesis);
        for segment in 1..=segments {
            for account in 1..=70 {
                model.credit(SegmentId::new(segment), AccountId::new(account), 1_000_000);
            }
        }
        Self { model, time_ms: NOW, records: 0 }
    }

    /// Takes all but this much from an account.
    fn leave(&mut self, account: u64, cash: i128) {
        let present = self.cash(account);
        self.model.credit(SegmentId::new(1), AccountId::new(account), cash - present);
    }

    fn grant(&mut self, account: u64, number: u32, notional_max: i64, expires_ms: u64) {
        let (account, number) = (AccountId::new(account), GrantNumber::new(number));
        self.model.register_grant(account, number, QuoteMicros::from_micros(notional_max), TimeMs::from_ms(expires_ms));
    }

    fn apply(&mut self, account: u64, grant: u32, command: impl Into<Sent>) -> Result<Vec<Event>, Reject> {
        self.records += 1;
        let grant = (grant > 0).then_some(GrantNumber::new(grant));
        let (account, time_ms) = (AccountId::new(account), TimeMs::from_ms(self.time_ms));
        self.model.apply(account, grant, time_ms, RecordIndex::new(self.records), &command.into().0)
    }

    /// What happened, in short lines.
    fn ok(&mut self, account: u64, command: impl Into<Sent>) -> Vec<String> {
        self.ok_under(account, 0, command)
    }

    fn ok_under(&mut self, account: u64, grant: u32, command: impl Into<Sent>) -> Vec<String> {
        lines(&self.apply(account, grant, command).unwrap())
    }

    /// The refusing rule, what it required and what was present. Checks that nothing changed.
    fn no(&mut self, account: u64, command: impl Into<Sent>) -> (Code, i64, i64) {
        self.no_under(account, 0, command)
    }

    fn no_under(&mut self, account: u64, grant: u32, command: impl Into<Sent>) -> (Code, i64, i64) {
        let before = self.model.clone();
        let reject = self.apply(account, grant, command).unwrap_err();
        assert!(self.model == before, "a refusal changed something");
        let (required, present) = reject.numbers();
        (reject.code(), required, present)
    }

    /// Starts a block at that time.
    fn start_block(&mut self, ms: u64) -> Vec<String> {
        self.time_ms = ms;
        lines(&self.model.start_block(TimeMs::from_ms(ms)))
    }

    fn cash(&self, account: u64) -> i128 {
        self.model.cash(SegmentId::new(1), AccountId::new(account))
    }

    fn free(&self, account: u64) -> i128 {
        self.model.free(SegmentId::new(1), AccountId::new(account))
    }

    fn position(&self, account: u64) -> (i128, i128) {
        self.model.position(MarketId::new(1), AccountId::new(account))
    }

    fn band(&self) -> (i128, i128) {
        self.model.band(&self.model.rules_or_reject(MarketId::new(1)).unwrap())
    }

    /// Two strangers trade one lot, so that the reference is `price`. Steps that keep within the band.
    fn trade_at(&mut self, price: u64) {
        self.ok(60, bid(price, 1));
        self.ok(61, ask(price, 1).with(TimeInForce::ImmediateOrCancel));
        assert_eq!(self.model.reference(MarketId::new(1)), i128::from(price));
    }

    fn book(&self) -> Vec<String> {
        self.model.resting(MarketId::new(1)).iter().map(rested_line).collect()
    }
}

/// A good-till-cancel order in market 1.
fn order(side: Side, price: u64, quantity: u64) -> PlaceOrder {
    PlaceOrder {
        market: MarketId::new(1),
        side,
        kind: OrderKind::Limit(LimitTerms {
            price: PriceTicks::from_ticks(price),
            time_in_force: TimeInForce::GoodTillCancel,
        }),
        quantity: QuantityLots::from_lots(quantity),
        client_id: ClientOrderId::NONE,
        is_reduce_only: false,
        self_trade: SelfTradeMode::CancelResting,
    }
}

fn bid(price: u64, quantity: u64) -> PlaceOrder {
    order(Bid, price, quantity)
}

fn ask(price: u64, quantity: u64) -> PlaceOrder {
    order(Ask, price, quantity)
}

fn at_market(side: Side, quantity: u64, slippage_ppm: u32) -> PlaceOrder {
    let kind = OrderKind::Market(MarketTerms { slippage_ppm_max: RatioPpm::from_ppm(slippage_ppm) });
    PlaceOrder { kind, ..order(side, 1, quantity) }
}

fn till(ms: u64) -> TimeInForce {
    TimeInForce::GoodTillTime(TimeMs::from_ms(ms))
}

trait Placing {
    fn with(self, time_in_force: TimeInForce) -> PlaceOrder;
    fn named(self, client_id: u64) -> PlaceOrder;
    fn reducing(self) -> PlaceOrder;
    fn on_self_trade(self, mode: SelfTradeMode) -> PlaceOrder;
    fn in_market(self, market: u16) -> PlaceOrder;
}

impl Placing for PlaceOrder {
    fn with(self, time_in_force: TimeInForce) -> PlaceOrder {
        let OrderKind::Limit(terms) = self.kind else { panic!("a market order has no time in force") };
        PlaceOrder { kind: OrderKind::Limit(LimitTerms { time_in_force, ..terms }), ..self }
    }

    fn named(self, client_id: u64) -> PlaceOrder {
        PlaceOrder { client_id: ClientOrderId::new(client_id), ..self }
    }

    fn reducing(self) -> PlaceOrder {
        PlaceOrder { is_reduce_only: true, ..self }
    }

    fn on_self_trade(self, self_trade: SelfTradeMode) -> PlaceOrder {
        PlaceOrder { self_trade, ..self }
    }

    fn in_market(self, market: u16) -> PlaceOrder {
        PlaceOrder { market: MarketId::new(market), ..self }
    }
}

/// So that the tests need not wrap what they send.
struct Sent(Command);

fn amend(number: u64, price: u64, quantity: u64) -> Sent {
    amend_in(1, OrderReference::Number(OrderNumber::new(number)), price, quantity)
}

fn amend_in(market: u16, order: OrderReference, price: u64, quantity: u64) -> Sent {
    Sent(Command::AmendOrder(AmendOrder {
        market: MarketId::new(market),
        order,
        price: PriceTicks::from_ticks(price),
        quantity: QuantityLots::from_lots(quantity),
    }))
}

fn cancel(number: u64) -> Sent {
    cancel_in(1, OrderReference::Number(OrderNumber::new(number)))
}

fn cancel_in(market: u16, order: OrderReference) -> Sent {
    Sent(Command::CancelOrder(CancelOrder { market: MarketId::new(market), order }))
}

fn named(client_id: u64) -> OrderReference {
    OrderReference::Client(ClientOrderId::new(client_id))
}

fn cancel_all(scope: CancelScope) -> Sent {
    Sent(Command::CancelAllOrders(CancelAllOrders { scope }))
}

fn ladder(bids: &[(u64, u64)], asks: &[(u64, u64)]) -> Sent {
    let levels = |levels: &[(u64, u64)]| {
        let level = |(price, quantity): &(u64, u64)| QuoteLevel {
            price: PriceTicks::from_ticks(*price),
            quantity: QuantityLots::from_lots(*quantity),
        };
        BoundedVec::new(levels.iter().map(level).collect()).unwrap()
    };
    let market = MarketId::new(1);
    Sent(Command::QuoteLadder(Box::new(QuoteLadder { market, bids: levels(bids), asks: levels(asks) })))
}

impl From<PlaceOrder> for Sent {
    fn from(place: PlaceOrder) -> Self {
        Self(Command::PlaceOrder(place))
    }
}

fn lines(events: &[Event]) -> Vec<String> {
    events.iter().map(line).collect()
}

fn line(event: &Event) -> String {
    match event {
        Event::OrderRested(rested) => rested_line(rested),
        Event::OrderRemoved(removed) => {
            format!(
                "#{} of {} removed with {}: {:?}",
                removed.number,
                removed.account,
                removed.quantity.lots(),
                removed.cause
            )
        }
        Event::OrderReduced(reduced) => format!("#{} reduced to {}", reduced.number, reduced.quantity.lots()),
        Event::TradeExecuted(trade) => format!(
            "#{} of {} meets #{} of {}: {}@{}, fees {} {}",
            trade.taker_order,
            trade.taker,
            trade.maker_order,
            trade.maker,
            trade.quantity.lots(),
            trade.price.ticks(),
            trade.maker_fee.micros(),
            trade.taker_fee.micros()
        ),
        Event::LadderLevelSkipped(skipped) => {
            format!("skipped {:?} {}: {}", skipped.side, skipped.price.ticks(), skipped.rule)
        }
        Event::RemainderDropped(dropped) => format!("#{} dropped {}", dropped.number, dropped.quantity.lots()),
        other => format!("{other:?}"),
    }
}

fn rested_line(rested: &OrderRested) -> String {
    let (quantity, price) = (rested.quantity.lots(), rested.price.ticks());
    format!("#{} of {} rests: {:?} {quantity}@{price}", rested.number, rested.account, rested.side)
}

// Positions.

fn bought(position: Position, price: i128, quantity: i128) -> (Position, i128) {
    position.filled(Bid, price, quantity, 1)
}

fn sold(position: Position, price: i128, quantity: i128) -> (Position, i128) {
    position.filled(Ask, price, quantity, 1)
}

#[test]
fn opening_and_adding_gathers_lots_and_notional_in_units_of_the_tick_value() {
    // 3·100·2 = 600, then 2·110·2 = 440 more.
    let (long, _) = Position::default().filled(Bid, 100, 3, 2);
    assert_eq!(long.filled(Bid, 110, 2, 2), (Position { lots: 5, entry: 1_040 }, 0));
    let (short, _) = Position::default().filled(Ask, 100, 3, 2);
    assert_eq!(short.filled(Ask, 110, 2, 2), (Position { lots: -5, entry: -1_040 }, 0));
}

#[test]
fn closing_a_part_of_a_long_rounds_the_cost_up_and_loses_nothing_in_the_end() {
    let long = Position { lots: 3, entry: 302 }; // 1@100 and 2@101.
    // Cost 302·1/3 = 100.67, up: 101. Gain 105 − 101 = 4.
    let (rest, gain) = sold(long, 105, 1);
    assert_eq!((rest, gain), (Position { lots: 2, entry: 201 }, 4));
    // The rest costs exactly 201: gain 210 − 201 = 9, in all 13 = 3·105 − 302.
    assert_eq!(sold(rest, 105, 2), (Position::default(), 9));
}

#[test]
fn closing_a_part_of_a_short_rounds_the_cost_towards_zero_which_is_up() {
    let short = Position { lots: -3, entry: -302 };
    // Cost −302·1/3 = −100.67, up: −100. Gain −95 + 100 = 5.
    let (rest, gain) = bought(short, 95, 1);
    assert_eq!((rest, gain), (Position { lots: -2, entry: -202 }, 5));
    // −190 + 202 = 12, in all 17 = 302 − 3·95.
    assert_eq!(bought(rest, 95, 2), (Position::default(), 12));
}

#[test]
fn a_fill_larger_than_the_position_closes_it_and_opens_the_other_way() {
    // Closes 3: 315 − 302 = 13. Opens 2 short at 105.
    assert_eq!(sold(Position { lots: 3, entry: 302 }, 105, 5), (Position { lots: -2, entry: -210 }, 13));
    // Closes 3: 302 − 315 = −13. Opens 2 long at 105.
    assert_eq!(bought(Position { lots: -3, entry: -302 }, 105, 5), (Position { lots: 2, entry: 210 }, -13));
}

#[test]
fn fees_round_up_and_rebates_towards_zero() {
    let rate = FeePpm::from_ppm(2_500); // A quarter of a percent.
    let rebate = FeePpm::from_ppm(-2_500);
    assert_eq!(fee(300, rate), 1); // 0.75
    assert_eq!(fee(400, rate), 1);
    assert_eq!(fee(401, rate), 2);
    assert_eq!(fee(300, rebate), 0); // −0.75
    assert_eq!(fee(400, rebate), -1);
    assert_eq!(fee(1_000, rebate), -2); // −2.5
}

// Collateral.

/// Puts account 1 into a position against account 2 at the reference price of 100.
fn with_position(side: Side, quantity: u64) -> Bench {
    let mut bench = Bench::new();
    bench.ok(2, order(side.opposite(), 100, quantity));
    bench.ok(1, order(side, 100, quantity));
    bench
}

#[test]
fn a_long_needs_its_entry_notional_wherever_the_price_goes() {
    let mut bench = with_position(Bid, 10);
    assert_eq!(bench.free(1), 1_000_000 - 1_000);
    bench.trade_at(110);
    assert_eq!(bench.free(1), 1_000_000 - 1_000);
}

#[test]
fn a_short_needs_its_notional_and_its_unrealised_loss() {
    let mut bench = with_position(Ask, 10);
    assert_eq!(bench.free(1), 1_000_000 - 1_000); // 2·10·100 − 1,000
    bench.trade_at(110);
    assert_eq!(bench.free(1), 1_000_000 - 1_200); // 2·10·110 − 1,000: 1,100 and 100 lost.
    bench.trade_at(99);
    bench.trade_at(90);
    assert_eq!(bench.free(1), 1_000_000 - 900); // 2·10·90 − 1,000 = 800, but at least 900.
}

#[test]
fn the_worse_of_all_bids_filled_and_all_asks_filled_is_needed() {
    let mut bench = with_position(Bid, 10); // (10, 1,000)
    bench.ok(1, bid(95, 4));
    assert_eq!(bench.free(1), 1_000_000 - 1_380); // (14, 1,380)
    bench.ok(1, ask(105, 24));
    // Asks: (−14, 1,000 − 2,520) = (−14, −1,520): 2·14·100 − 1,520 = 1,280, at least 1,400. Bids: 1,380.
    assert_eq!(bench.free(1), 1_000_000 - 1_400);
}

#[test]
fn need_of_positions_and_of_what_orders_would_make_of_them() {
    let need = |lots, entry, reference| Position { lots, entry }.need(reference, 3);
    assert_eq!(need(10, 1_000, 500), 1_000);
    assert_eq!(need(10, -5, 500), 0); // Sold high, bought low: nothing can be lost that was not gained.
    assert_eq!(need(0, 5, 500), 5);
    assert_eq!(need(0, -5, 500), 0);
    assert_eq!(need(-10, -3_000, 100), 3_000); // 2·10·100·3 − 3,000
    assert_eq!(need(-10, -3_500, 100), 3_000); // 2,500, but at least 3,000.
    assert_eq!(need(-10, 50, 100), 6_050); // 2·10·100·3 + 50
}

#[test]
fn the_position_as_it_is_can_be_what_needs_most() {
    let mut bench = Bench::with(|rules| {
        rules.price_max = PriceTicks::from_ticks(1_000);
        rules.band = RatioPpm::from_ppm(1_000_000);
    });
    bench.ok(2, bid(100, 10));
    bench.ok(1, ask(100, 10));
    bench.trade_at(200);
    // Short 10: 2·10·200 − 1,000 = 3,000. With two more sold at 600, (−12, −2,200): 4,800 − 2,200 = 2,600. With ten
    // bought at 1, (0, −990): nothing.
    bench.ok(1, ask(600, 2));
    bench.ok(1, bid(1, 10));
    assert_eq!(bench.free(1), 1_000_000 - 3_000);
}

#[test]
fn reduce_only_orders_need_nothing() {
    let mut bench = with_position(Bid, 10);
    bench.ok(1, ask(105, 15));
    bench.ok(1, ask(110, 10).reducing());
    // The first would leave (−5, −575): 500. Both would leave 15 short: 1,500.
    assert_eq!(bench.free(1), 1_000_000 - 1_000);
}

#[test]
fn an_order_is_refused_where_collateral_for_all_of_it_and_its_fee_is_missing() {
    let mut bench = Bench::with(|rules| rules.taker_fee = FeePpm::from_ppm(10_000));
    bench.leave(1, 1_009);
    // 10·100 = 1,000 and 1% of it: 1,010.
    assert_eq!(bench.no(1, bid(100, 10)), (Code::InsufficientFreeCollateral, 1_010, 1_009));
    // A post-only order pays no taker fee.
    bench.ok(1, bid(100, 10).with(TimeInForce::PostOnly));
    assert_eq!(bench.free(1), 9);
}

#[test]
fn what_leaves_free_collateral_as_it_was_is_allowed_even_below_zero() {
    let mut bench = with_position(Ask, 10);
    bench.leave(1, 1_000); // Free: 0.
    bench.trade_at(110);
    assert_eq!(bench.free(1), -200);
    // Buying up to 10 back: (0, 100) needs 100, less than now, so nothing changes.
    bench.ok(1, bid(110, 10));
    assert_eq!(bench.free(1), -200);
    // Thirty lots in all end at (20, 2,300).
    assert_eq!(bench.no(1, bid(110, 20)), (Code::InsufficientFreeCollateral, 2_300 - 1_200, -200));
}

// Bands.

#[test]
fn band_edges_round_outwards_and_stay_in_range() {
    let mut bench = Bench::with(|rules| rules.price_max = PriceTicks::from_ticks(115));
    assert_eq!(bench.band(), (90, 110));
    bench.trade_at(99);
    assert_eq!(bench.band(), (89, 109)); // 89.1 and 108.9
    bench.trade_at(108);
    assert_eq!(bench.band(), (97, 115)); // 97.2, and 118.8 beyond the highest price.
    let low = Bench::with(|rules| {
        rules.reference_price = PriceTicks::from_ticks(1);
        rules.band = RatioPpm::from_ppm(1_000_000);
    });
    assert_eq!(low.band(), (1, 2)); // 0, but at least 1.
}

#[test]
fn band_edge_equity_takes_the_lower_edge_for_longs_and_the_upper_for_shorts() {
    let segment = SegmentId::new(1);
    let bench = with_position(Bid, 10);
    assert_eq!(bench.model.band_edge_equity(segment, AccountId::new(1)), 1_000_000 + 900 - 1_000);
    assert_eq!(bench.model.band_edge_equity(segment, AccountId::new(2)), 1_000_000 - 1_100 + 1_000);
}

// Placing: the checks one by one, in their order.

#[test]
fn the_first_failing_check_wins() {
    let mut bench = Bench::with(|rules| {
        rules.order_lots_min = QuantityLots::from_lots(2);
        rules.taker_fee = FeePpm::from_ppm(10_000);
    });
    bench.ok(2, ask(101, 2));
    for price in 1..=8 {
        bench.ok(1, bid(price, 2).named(price)); // As many as the segment allows.
    }
    bench.grant(1, 1, 200, 9_000);
    bench.leave(1, 100);
    // Everything is wrong with this order. It is mended one check at a time.
    let mut wrong = bid(0, 1).with(till(NOW)).named(7).reducing().in_market(2);
    assert_eq!(bench.no_under(1, 1, wrong), (Code::MarketNotFound, 0, 2));
    wrong = wrong.in_market(1);
    assert_eq!(bench.no_under(1, 1, wrong), (Code::QuantityBelowMinimum, 2, 1));
    wrong.quantity = QuantityLots::from_lots(101);
    assert_eq!(bench.no_under(1, 1, wrong), (Code::QuantityTooLarge, 100, 101));
    wrong.quantity = QuantityLots::from_lots(100);
    assert_eq!(bench.no_under(1, 1, wrong), (Code::PriceOutOfRange, 200, 0));
    let again = |price, wrong: PlaceOrder| PlaceOrder { kind: bid(price, 1).with(till(NOW)).kind, ..wrong };
    wrong = again(201, wrong);
    assert_eq!(bench.no_under(1, 1, wrong), (Code::PriceOutOfRange, 200, 201));
    wrong = again(111, wrong);
    assert_eq!(bench.no_under(1, 1, wrong), (Code::PriceOutsideBand, 110, 111));
    wrong = again(110, wrong);
    assert_eq!(bench.no_under(1, 1, wrong), (Code::GoodTillTimePast, 5_000, 5_000));
    wrong = wrong.with(TimeInForce::PostOnly);
    assert_eq!(bench.no_under(1, 1, wrong), (Code::ClientIdInUse, 0, 7));
    wrong = wrong.named(9);
    assert_eq!(bench.no_under(1, 1, wrong), (Code::ReduceOnlyWouldIncrease, 0, 0));
    wrong.is_reduce_only = false;
    assert_eq!(bench.no_under(1, 1, wrong), (Code::PostOnlyWouldTake, 101, 110));
    wrong = wrong.with(TimeInForce::GoodTillCancel);
    assert_eq!(bench.no_under(1, 1, wrong), (Code::OpenOrdersMax, 8, 9));
    for number in 2..=8 {
        bench.ok(1, cancel(number)); // Number 9 is left, 2@8.
    }
    bench.model.credit(SegmentId::new(1), AccountId::new(1), 10_000);
    bench.ok(1, bid(9, 60).named(1));
    bench.leave(1, 100);
    // 100 + 2 + 60 lots of at most 150.
    assert_eq!(bench.no_under(1, 1, wrong), (Code::PositionTooLarge, 150, 162));
    wrong.quantity = QuantityLots::from_lots(2);
    // Two lots at the limit price of 110; the budget of 200 is untouched, since the root key's orders do not count.
    assert_eq!(bench.no_under(1, 1, wrong), (Code::GrantNotionalExceeded, 200, 220));
    // 556 for the resting bids, 220 and a fee of 3 for this order.
    assert_eq!(bench.no(1, wrong), (Code::InsufficientFreeCollateral, 223, -456));
    bench.model.credit(SegmentId::new(1), AccountId::new(1), 10_000);
    assert_eq!(bench.ok(1, wrong), ["#11 of 1 meets #1 of 2: 2@101, fees 0 3"]);
}

#[test]
fn a_band_stops_only_prices_that_could_trade() {
    let mut bench = Bench::new();
    assert_eq!(bench.no(1, bid(111, 1)), (Code::PriceOutsideBand, 110, 111));
    assert_eq!(bench.no(1, ask(89, 1)), (Code::PriceOutsideBand, 90, 89));
    bench.ok(1, bid(1, 1));
    bench.ok(1, ask(200, 1));
    bench.ok(1, bid(110, 1));
    assert_eq!(bench.ok(2, ask(90, 1)), ["#4 of 2 meets #3 of 1: 1@110, fees 0 0"]);
}

#[test]
fn a_good_till_time_order_must_end_later() {
    let mut bench = Bench::new();
    assert_eq!(bench.no(1, bid(100, 1).with(till(NOW))), (Code::GoodTillTimePast, 5_000, 5_000));
    bench.ok(1, bid(100, 1).with(till(NOW + 1)));
}

#[test]
fn a_client_id_names_one_resting_order_of_the_segment_at_a_time() {
    let mut bench = Bench::of(vec![usual(1), usual(2)]);
    bench.ok(1, bid(100, 1).named(7));
    assert_eq!(bench.no(1, bid(99, 1).named(7).in_market(2)), (Code::ClientIdInUse, 0, 7));
    bench.ok(2, bid(98, 1).named(7)); // Another account's names are its own.
    bench.ok(1, bid(99, 1)); // No name is free for all.
    bench.ok(1, bid(99, 1));
    bench.ok(1, cancel_in(1, named(7)));
    bench.ok(1, bid(99, 1).named(7).in_market(2));
}

#[test]
fn a_client_id_is_free_in_another_segment() {
    let mut second = usual(2);
    second.segment = SegmentId::new(2);
    let mut bench = Bench::of(vec![usual(1), second]);
    assert_eq!(bench.ok(1, bid(100, 1).named(7)), ["#1 of 1 rests: Bid 1@100"]);
    // Numbers count from 1 in each segment.
    assert_eq!(bench.ok(1, bid(100, 1).named(7).in_market(2)), ["#1 of 1 rests: Bid 1@100"]);
}

#[test]
fn reduce_only_needs_an_opposite_position_and_is_cut_to_it() {
    let mut bench = with_position(Bid, 10);
    assert_eq!(bench.no(1, bid(99, 1).reducing()), (Code::ReduceOnlyWouldIncrease, 0, 10));
    assert_eq!(bench.no(3, ask(101, 1).reducing()), (Code::ReduceOnlyWouldIncrease, 0, 0));
    assert_eq!(bench.ok(1, ask(101, 15).reducing()), ["#3 of 1 rests: Ask 10@101"]);
    bench.ok(2, ask(101, 1)); // Account 2 is short 10.
    assert_eq!(bench.ok(2, bid(99, 100).reducing()), ["#5 of 2 rests: Bid 10@99"]);
}

#[test]
fn a_market_order_goes_no_further_than_its_bound_and_the_band() {
    let mut bench = Bench::new();
    assert_eq!(bench.no(1, at_market(Bid, 5, 10_000)), (Code::NoLiquidity, 0, 0));
    for price in [101, 102, 103] {
        bench.ok(2, ask(price, 1));
    }
    // 101 and 1.5% is 102.5, down: 102.
    assert_eq!(
        bench.ok(1, at_market(Bid, 5, 15_000)),
        ["#4 of 1 meets #1 of 2: 1@101, fees 0 0", "#4 of 1 meets #2 of 2: 1@102, fees 0 0", "#4 dropped 3",]
    );
    for price in [99, 98, 97] {
        bench.ok(2, bid(price, 1));
    }
    // 99 less 1.5% is 97.5, up: 98.
    assert_eq!(
        bench.ok(1, at_market(Ask, 5, 15_000)),
        ["#8 of 1 meets #5 of 2: 1@99, fees 0 0", "#8 of 1 meets #6 of 2: 1@98, fees 0 0", "#8 dropped 3",]
    );
}

#[test]
fn a_market_order_stops_at_the_band_whatever_its_bound() {
    let mut bench = Bench::new();
    bench.ok(2, ask(110, 1));
    bench.ok(2, ask(111, 1)); // Beyond the band of 90 to 110.
    assert_eq!(bench.ok(1, at_market(Bid, 2, u32::MAX)), ["#3 of 1 meets #1 of 2: 1@110, fees 0 0", "#3 dropped 1"]);
    bench.ok(2, bid(99, 1)); // Now 99 to 121.
    bench.ok(2, bid(98, 1));
    assert_eq!(bench.ok(1, at_market(Ask, 2, u32::MAX)), ["#6 of 1 meets #4 of 2: 1@99, fees 0 0", "#6 dropped 1"]);
    // The other side is there, but no part of it within the band.
    assert_eq!(bench.band(), (89, 109));
    assert_eq!(bench.no(1, at_market(Bid, 2, 0)), (Code::NoLiquidity, 0, 0));
}

#[test]
fn post_only_is_refused_or_slides_where_it_would_take() {
    let mut bench = Bench::new();
    bench.ok(2, ask(101, 5));
    assert_eq!(bench.no(1, bid(101, 1).with(TimeInForce::PostOnly)), (Code::PostOnlyWouldTake, 101, 101));
    assert_eq!(bench.ok(1, bid(100, 1).with(TimeInForce::PostOnly)), ["#2 of 1 rests: Bid 1@100"]);
    assert_eq!(bench.ok(1, bid(110, 1).with(TimeInForce::PostOnlySlide)), ["#3 of 1 rests: Bid 1@100"]);
    assert_eq!(bench.ok(2, ask(90, 1).with(TimeInForce::PostOnlySlide)), ["#4 of 2 rests: Ask 1@101"]);
    assert_eq!(bench.ok(1, bid(99, 1).with(TimeInForce::PostOnlySlide)), ["#5 of 1 rests: Bid 1@99"]);
    // One's own order on the other side is no exception.
    assert_eq!(bench.no(2, bid(101, 1).with(TimeInForce::PostOnly)), (Code::PostOnlyWouldTake, 101, 101));
}

#[test]
fn a_slide_out_of_range_is_refused() {
    let mut low = Bench::with(|rules| {
        rules.reference_price = PriceTicks::from_ticks(1);
        rules.price_max = PriceTicks::from_ticks(1);
    });
    low.ok(2, ask(1, 1));
    assert_eq!(low.no(1, bid(1, 1).with(TimeInForce::PostOnlySlide)), (Code::PriceOutOfRange, 1, 0));
    let mut high = Bench::with(|rules| rules.price_max = PriceTicks::from_ticks(105));
    high.ok(2, bid(105, 1));
    assert_eq!(high.no(1, ask(100, 1).with(TimeInForce::PostOnlySlide)), (Code::PriceOutOfRange, 105, 106));
}

#[test]
fn open_orders_of_the_segment_are_limited_for_orders_that_can_rest() {
    let mut bench = Bench::of(vec![usual(1), usual(2)]);
    bench.ok(2, ask(105, 5));
    for market in [1, 2, 1, 2, 1, 2, 1, 2] {
        bench.ok(1, bid(100, 1).in_market(market));
    }
    assert_eq!(bench.no(1, bid(100, 1)), (Code::OpenOrdersMax, 8, 9));
    // Refused although it would trade whole: it could rest.
    assert_eq!(bench.no(1, bid(105, 1)), (Code::OpenOrdersMax, 8, 9));
    bench.ok(1, bid(105, 1).with(TimeInForce::ImmediateOrCancel));
    bench.ok(1, bid(105, 1).with(TimeInForce::FillOrKill));
    bench.ok(1, at_market(Bid, 1, 0));
}

#[test]
fn markets_with_positions_or_orders_are_limited() {
    let mut bench = Bench::of((1..=66).map(usual).collect());
    for market in 1..=66 {
        bench.ok(2 + u64::from(market), ask(100, 2).in_market(market));
    }
    for market in 1..=63 {
        bench.ok(1, bid(100, 1).in_market(market)); // 63 positions.
    }
    bench.ok(1, bid(99, 1).in_market(64)); // And an order.
    let there = bid(100, 1).in_market(65).with(TimeInForce::ImmediateOrCancel);
    assert_eq!(bench.no(1, there), (Code::PositionsMax, 64, 65));
    bench.ok(1, bid(100, 1).in_market(64)); // That market counts once.
    bench.ok(1, ask(100, 1).in_market(3));
    assert_eq!(bench.no(1, there), (Code::PositionsMax, 64, 65));
    bench.ok(70, bid(100, 2).in_market(3)); // Takes what account 5 has left, and account 1's only lot.
    bench.ok(1, there);
}

#[test]
fn the_position_with_a_whole_side_filled_is_limited() {
    let mut bench = with_position(Bid, 100);
    // 100 + 50 = 150.
    bench.ok(1, bid(99, 50));
    assert_eq!(bench.no(1, bid(98, 1)), (Code::PositionTooLarge, 150, 151));
    // Selling has room for 150 too: the long position gives none.
    bench.ok(1, ask(101, 100));
    bench.ok(1, ask(101, 50));
    assert_eq!(bench.no(1, ask(102, 1)), (Code::PositionTooLarge, 150, 151));
    // What only reduces has no limit. Had the position given room, the asks of 150 could now follow to more than 150.
    bench.ok(1, ask(101, 100).reducing());
}

#[test]
fn a_grant_counts_what_it_traded_and_what_rests_under_it() {
    let mut bench = Bench::of(vec![usual(1), usual(2)]);
    bench.grant(1, 1, 1_000, 9_000);
    bench.ok_under(1, 1, bid(100, 4)); // 400
    bench.ok_under(1, 1, bid(90, 2).in_market(2)); // 580
    bench.ok(1, bid(100, 100)); // The root key's orders do not count.
    assert_eq!(bench.no_under(1, 1, bid(60, 8)), (Code::GrantNotionalExceeded, 420, 480));
    bench.ok_under(1, 1, bid(60, 7)); // 1,000
    bench.ok(2, ask(100, 4)); // What rested has traded: still 1,000.
    assert_eq!(bench.model.grant_traded(SegmentId::new(1), AccountId::new(1), GrantNumber::new(1)), 400);
    assert_eq!(bench.no_under(1, 1, bid(1, 1)), (Code::GrantNotionalExceeded, 0, 1));
    bench.ok(1, cancel_in(2, OrderReference::Number(OrderNumber::new(2)))); // A cancel gives 180 back.
    assert_eq!(bench.no_under(1, 1, bid(90, 3)), (Code::GrantNotionalExceeded, 180, 270));
    bench.ok_under(1, 1, bid(90, 2));
    assert_eq!(bench.no_under(1, 2, bid(1, 1)), (Code::GrantNotFound, 0, 2));
}

#[test]
fn a_reduce_only_order_is_never_refused_for_the_budget_and_uses_it_when_it_trades() {
    let mut bench = with_position(Bid, 10);
    bench.grant(1, 1, 1_000, 9_000);
    bench.ok_under(1, 1, ask(110, 10).reducing()); // 1,100: more than the budget, but it reserves nothing.
    bench.ok_under(1, 1, bid(60, 10)); // 600
    assert_eq!(bench.no_under(1, 1, bid(1, 401)), (Code::QuantityTooLarge, 100, 401));
    assert_eq!(bench.no_under(1, 1, bid(41, 10)), (Code::GrantNotionalExceeded, 400, 410));
    bench.ok(2, bid(110, 5)); // The ask trades 550.
    assert_eq!(bench.no_under(1, 1, bid(1, 1)), (Code::GrantNotionalExceeded, 0, 1)); // 1,150 are used.
    bench.ok(2, bid(110, 5)); // It goes on trading: 1,700.
    assert_eq!(bench.model.grant_traded(SegmentId::new(1), AccountId::new(1), GrantNumber::new(1)), 1_100);
    assert_eq!(bench.model.grant_law(AccountId::new(1), GrantNumber::new(1)), (600, 1_000));
}

#[test]
fn an_order_counts_against_budget_and_fee_at_its_dearest_price() {
    let mut bench = Bench::with(|rules| rules.taker_fee = FeePpm::from_ppm(10_000));
    bench.grant(1, 1, 1_000, 9_000);
    bench.ok(2, bid(100, 5));
    bench.ok(2, bid(95, 5));
    // An ask at 90 may trade whole at 100.
    assert_eq!(bench.no_under(1, 1, ask(90, 11)), (Code::GrantNotionalExceeded, 1_000, 1_100));
    // As a short of 10@90 at a reference of 100 it needs 2·1,000 − 900, and a fee of 10 on 10·100.
    bench.leave(1, 1_109);
    assert_eq!(bench.no_under(1, 1, ask(90, 10)), (Code::InsufficientFreeCollateral, 1_110, 1_109));
    bench.leave(1, 1_110);
    assert_eq!(
        bench.ok_under(1, 1, ask(90, 10)),
        ["#3 of 1 meets #1 of 2: 5@100, fees 0 5", "#3 of 1 meets #2 of 2: 5@95, fees 0 5"]
    );
    assert_eq!(bench.model.grant_law(AccountId::new(1), GrantNumber::new(1)), (975, 1_000));
    // A bid counts at its limit wherever it trades.
    bench.leave(1, 1_000_000);
    assert_eq!(bench.no_under(1, 1, bid(26, 1)), (Code::GrantNotionalExceeded, 25, 26));
    bench.ok(2, bid(90, 1)); // A bid below its own price does not make an ask dearer.
    assert_eq!(bench.no_under(1, 1, ask(130, 1)), (Code::GrantNotionalExceeded, 25, 130));
}

#[test]
fn a_refused_command_takes_no_order_number() {
    let mut bench = Bench::new();
    bench.no(1, bid(0, 1));
    bench.no(1, bid(100, 1).with(TimeInForce::FillOrKill));
    assert_eq!(bench.ok(1, bid(100, 1)), ["#1 of 1 rests: Bid 1@100"]);
}

// Matching.

#[test]
fn events_are_exact() {
    let mut bench = Bench::with(|rules| {
        rules.maker_fee = FeePpm::from_ppm(-2_500);
        rules.taker_fee = FeePpm::from_ppm(10_000);
    });
    bench.grant(1, 3, 10_000, 9_000);
    let rested = OrderRested {
        market: MarketId::new(1),
        number: OrderNumber::new(1),
        account: AccountId::new(1),
        client_id: ClientOrderId::new(7),
        grant: GrantNumber::new(3),
        side: Bid,
        price: PriceTicks::from_ticks(100),
        quantity: QuantityLots::from_lots(5),
        is_reduce_only: false,
        is_ladder: false,
        expires_ms: TimeMs::from_ms(6_000),
        origin: RecordIndex::new(1),
    };
    let placed = bench.apply(1, 3, bid(100, 5).named(7).with(till(6_000))).unwrap();
    assert_eq!(placed, [Event::OrderRested(rested)]);
    let trade = TradeExecuted {
        market: MarketId::new(1),
        number: TradeNumber::new(1),
        maker_order: OrderNumber::new(1),
        maker: AccountId::new(1),
        taker_order: OrderNumber::new(2),
        taker: AccountId::new(2),
        taker_grant: GrantNumber::NONE,
        taker_side: Ask,
        price: PriceTicks::from_ticks(100),
        quantity: QuantityLots::from_lots(4),
        maker_fee: QuoteMicros::from_micros(-1),
        taker_fee: QuoteMicros::from_micros(4),
    };
    assert_eq!(bench.apply(2, 0, ask(95, 4)).unwrap(), [Event::TradeExecuted(trade)]);
    let reduced = OrderReduced {
        market: MarketId::new(1),
        number: OrderNumber::new(1),
        account: AccountId::new(1),
        quantity: QuantityLots::from_lots(1),
    };
    assert_eq!(bench.apply(1, 0, amend(1, 100, 1)).unwrap(), [Event::OrderReduced(reduced)]);
    let removed = OrderRemoved {
        market: MarketId::new(1),
        number: OrderNumber::new(1),
        account: AccountId::new(1),
        quantity: QuantityLots::from_lots(1),
        cause: RemovalCause::Cancelled,
    };
    assert_eq!(bench.apply(1, 0, cancel(1)).unwrap(), [Event::OrderRemoved(removed)]);
    let (market, number, quantity) = (MarketId::new(1), OrderNumber::new(3), QuantityLots::from_lots(9));
    let dropped = bench.apply(1, 0, bid(100, 9).with(TimeInForce::ImmediateOrCancel)).unwrap();
    assert_eq!(dropped, [Event::RemainderDropped(RemainderDropped { market, number, quantity })]);
    // 4·100: the maker got 1, the taker paid 4.
    assert_eq!((bench.cash(1), bench.position(1)), (1_000_001, (4, 400)));
    assert_eq!((bench.cash(2), bench.position(2)), (999_996, (-4, -400)));
    assert_eq!(bench.model.fees(SegmentId::new(1)), 3);
    assert_eq!(bench.model.total(SegmentId::new(1)), 70_000_000);
    assert_eq!(bench.model.open_interest(MarketId::new(1)), (4, 4));
}

#[test]
fn the_best_price_goes_first_then_the_earlier_order_and_the_rest_rests() {
    let mut bench = Bench::new();
    bench.ok(2, ask(102, 2));
    bench.ok(3, ask(101, 2));
    bench.ok(4, ask(101, 2));
    assert_eq!(
        bench.ok(1, bid(102, 9)),
        [
            "#4 of 1 meets #2 of 3: 2@101, fees 0 0",
            "#4 of 1 meets #3 of 4: 2@101, fees 0 0",
            "#4 of 1 meets #1 of 2: 2@102, fees 0 0",
            "#4 of 1 rests: Bid 3@102",
        ]
    );
    assert_eq!(bench.position(1), (6, 4 * 101 + 2 * 102));
    bench.ok(5, bid(102, 1));
    bench.ok(6, bid(103, 1));
    assert_eq!(
        bench.ok(2, ask(102, 5)),
        [
            "#7 of 2 meets #6 of 6: 1@103, fees 0 0",
            "#7 of 2 meets #4 of 1: 3@102, fees 0 0",
            "#7 of 2 meets #5 of 5: 1@102, fees 0 0",
        ]
    );
}

#[test]
fn a_maker_filled_in_part_keeps_its_place() {
    let mut bench = Bench::new();
    bench.ok(2, ask(101, 5));
    bench.ok(3, ask(101, 5));
    bench.ok(1, bid(101, 2));
    assert_eq!(bench.book(), ["#1 of 2 rests: Ask 3@101", "#2 of 3 rests: Ask 5@101"]);
}

#[test]
fn immediate_or_cancel_drops_its_rest_and_fill_or_kill_is_all_or_nothing() {
    let mut bench = Bench::new();
    bench.ok(2, ask(101, 3));
    bench.ok(2, ask(103, 3));
    assert_eq!(bench.no(1, bid(102, 4).with(TimeInForce::FillOrKill)), (Code::FillOrKillNotFillable, 4, 3));
    assert_eq!(
        bench.ok(1, bid(103, 4).with(TimeInForce::FillOrKill)),
        ["#3 of 1 meets #1 of 2: 3@101, fees 0 0", "#3 of 1 meets #2 of 2: 1@103, fees 0 0",]
    );
    assert_eq!(
        bench.ok(1, bid(103, 4).with(TimeInForce::ImmediateOrCancel)),
        ["#4 of 1 meets #2 of 2: 2@103, fees 0 0", "#4 dropped 2",]
    );
}

#[test]
fn self_trade_modes_of_the_arriving_order() {
    let start = || {
        let mut bench = Bench::new();
        bench.ok(2, ask(100, 1));
        bench.ok(1, ask(101, 2));
        bench.ok(2, ask(102, 1));
        bench
    };
    let first = "#4 of 1 meets #1 of 2: 1@100, fees 0 0";
    let removed = "#2 of 1 removed with 2: SelfTrade";
    let taking = |mode| bid(102, 5).on_self_trade(mode);
    assert_eq!(
        start().ok(1, taking(SelfTradeMode::CancelResting)),
        [first, removed, "#4 of 1 meets #3 of 2: 1@102, fees 0 0", "#4 of 1 rests: Bid 3@102",]
    );
    assert_eq!(start().ok(1, taking(SelfTradeMode::CancelArriving)), [first, "#4 dropped 4"]);
    assert_eq!(start().ok(1, taking(SelfTradeMode::CancelBoth)), [first, removed, "#4 dropped 4"]);
    let whole = |mode| bid(102, 2).on_self_trade(mode).with(TimeInForce::FillOrKill);
    assert_eq!(start().ok(1, whole(SelfTradeMode::CancelResting)).len(), 3);
    assert_eq!(start().no(1, whole(SelfTradeMode::CancelArriving)), (Code::FillOrKillNotFillable, 2, 1));
    assert_eq!(start().no(1, whole(SelfTradeMode::CancelBoth)), (Code::FillOrKillNotFillable, 2, 1));
}

#[test]
fn orders_of_an_ended_grant_are_removed_when_met_unless_they_only_reduce() {
    let mut bench = with_position(Bid, 10);
    bench.grant(1, 1, 100_000, 6_000);
    bench.ok_under(1, 1, ask(101, 3));
    bench.ok_under(1, 1, ask(102, 4).reducing());
    bench.time_ms = 5_999;
    assert_eq!(bench.ok(3, bid(101, 1)), ["#5 of 3 meets #3 of 1: 1@101, fees 0 0"]);
    bench.time_ms = 6_000; // The grant ends here.
    assert_eq!(
        bench.ok(3, bid(102, 4)),
        ["#3 of 1 removed with 2: GrantEnded", "#6 of 3 meets #4 of 1: 4@102, fees 0 0"]
    );
}

#[test]
fn a_reduce_only_maker_fills_no_more_than_its_position() {
    let mut bench = with_position(Bid, 10);
    bench.ok(1, ask(102, 10).reducing());
    bench.ok(1, ask(101, 6)); // Not reduce-only, and first in line.
    assert_eq!(
        bench.ok(3, bid(102, 20)),
        [
            "#5 of 3 meets #4 of 1: 6@101, fees 0 0",
            "#5 of 3 meets #3 of 1: 4@102, fees 0 0",
            "#3 of 1 removed with 6: NothingToReduce",
            "#5 of 3 rests: Bid 10@102",
        ]
    );
    assert_eq!(bench.position(1), (0, 0));
    // Sold for 606 + 408 = 1,014 what cost 1,000.
    assert_eq!(bench.cash(1), 1_000_014);
}

#[test]
fn what_rests_to_reduce_goes_with_the_fill_that_closes_the_position() {
    let mut bench = with_position(Bid, 10);
    bench.ok(1, ask(102, 10).reducing());
    bench.ok(1, ask(101, 6));
    bench.ok(3, bid(102, 8));
    assert_eq!(bench.book(), ["#3 of 1 rests: Ask 8@102"], "two lots of position are left");
    assert_eq!(
        bench.ok(3, bid(102, 2)),
        ["#6 of 3 meets #3 of 1: 2@102, fees 0 0", "#3 of 1 removed with 6: NothingToReduce"]
    );
}

#[test]
fn reduce_only_orders_that_rest_promise_no_more_than_the_position_and_one_that_cannot_rest_closes_all_of_it() {
    let mut bench = with_position(Bid, 10);
    bench.ok(1, ask(102, 6).reducing());
    assert_eq!(bench.ok(1, ask(103, 6).reducing()), ["#4 of 1 rests: Ask 4@103"]);
    assert_eq!(bench.no(1, ask(104, 1).reducing()), (Code::ReduceOnlyWouldIncrease, 10, 10));
    bench.ok(3, bid(100, 10));
    let now = ask(100, 10).reducing().with(TimeInForce::ImmediateOrCancel);
    assert_eq!(
        bench.ok(1, now),
        [
            "#6 of 1 meets #5 of 3: 10@100, fees 0 0",
            "#3 of 1 removed with 6: NothingToReduce",
            "#4 of 1 removed with 4: NothingToReduce",
        ]
    );
}

/// Account 1 has a bid of 10@100 and cash such that its band-edge equity would be `equity` after the fill.
fn with_poor_maker(equity: i128) -> Bench {
    let mut bench = Bench::new();
    bench.ok(1, bid(100, 10));
    bench.ok(2, bid(99, 10));
    // A long of 10@100 is worth 10·90 − 1,000 = −100 at the lower edge.
    bench.leave(1, 100 + equity);
    bench
}

#[test]
fn a_maker_that_could_not_carry_the_fill_at_the_band_edge_is_removed() {
    assert_eq!(with_poor_maker(0).ok(3, ask(99, 10)), ["#3 of 3 meets #1 of 1: 10@100, fees 0 0"]);
    assert_eq!(
        with_poor_maker(-1).ok(3, ask(99, 10)),
        ["#1 of 1 removed with 10: MakerRisk", "#3 of 3 meets #2 of 2: 10@99, fees 0 0",]
    );
    // Nine lots it can carry: −90.
    assert_eq!(with_poor_maker(-10).ok(3, ask(99, 9)), ["#3 of 3 meets #1 of 1: 9@100, fees 0 0"]);
}

#[test]
fn a_maker_already_below_zero_may_fill_where_it_gets_no_worse() {
    let mut bench = with_position(Bid, 10);
    bench.ok(1, ask(105, 5));
    bench.ok(1, bid(95, 5));
    bench.leave(1, 0); // Equity at 90: −100.
    assert_eq!(bench.ok(3, bid(105, 5)), ["#5 of 3 meets #3 of 1: 5@105, fees 0 0"]);
    assert_eq!(bench.cash(1), 25);
    // Now R is 105, the lower edge 94. Equity 25 + 5·94 − 500 = −5; buying 5@95 costs 5 more at the edge.
    assert_eq!(bench.ok(3, ask(95, 5)), ["#4 of 1 removed with 5: MakerRisk", "#6 of 3 rests: Ask 5@95"]);
}

#[test]
fn a_taker_that_cannot_carry_its_first_fill_is_refused() {
    let mut bench = with_position(Ask, 10);
    bench.leave(1, 130); // At the upper edge of 110 it has 130 − 1,100 + 1,000 = 30.
    bench.ok(2, ask(104, 19));
    // Collateral has no objection: short 10 needs 1,000, and (9, −1,000 + 19·104) = (9, 976) less.
    // Closing 10 loses 40, 9@104 lose 9·(104 − 90) = 126 at the lower edge: 130 − 40 − 126 = −36.
    assert_eq!(bench.no(1, bid(104, 19)), (Code::BandEdgeInsolvent, 0, -36));
}

#[test]
fn a_taker_that_cannot_carry_a_later_fill_stops_and_drops_its_rest() {
    let mut bench = with_position(Ask, 10);
    bench.leave(1, 130);
    bench.ok(2, ask(104, 10));
    bench.ok(2, ask(104, 9));
    // Flat after ten, with 90. R is 104 then, the lower edge 93: 9@104 would lose 99.
    assert_eq!(bench.ok(1, bid(104, 19)), ["#5 of 1 meets #3 of 2: 10@104, fees 0 0", "#5 dropped 9"]);
    // As fill-or-kill it is refused for that: ten of nineteen.
    let mut bench = with_position(Ask, 10);
    bench.leave(1, 130);
    bench.ok(2, ask(104, 10));
    bench.ok(2, ask(104, 9));
    let whole = bid(104, 19).with(TimeInForce::FillOrKill);
    assert_eq!(bench.no(1, whole), (Code::FillOrKillNotFillable, 19, 10));
}

#[test]
fn a_fee_can_make_a_taker_insolvent() {
    let mut bench = Bench::with(|rules| rules.taker_fee = FeePpm::from_ppm(10_000));
    bench.ok(2, bid(100, 10));
    bench.ok(1, ask(100, 10));
    bench.ok(2, ask(110, 10));
    // Closing at 110 loses 100 and costs 11: 110 − 111 = −1, where the edge of 110 leaves 10 without a fill.
    bench.leave(1, 110);
    assert_eq!(bench.no(1, bid(110, 10).reducing()), (Code::BandEdgeInsolvent, 0, -1));
    bench.leave(1, 111);
    assert_eq!(bench.ok(1, bid(110, 10).reducing()), ["#4 of 1 meets #3 of 2: 10@110, fees 0 11"]);
    assert_eq!(bench.cash(1), 0);
}

#[test]
fn makers_removed_by_one_command_are_limited() {
    for (makers, expected) in [(64, "#65 of 1 rests: Bid 10@101"), (65, "#66 dropped 10")] {
        let mut bench = Bench::new();
        for account in 3..3 + makers {
            bench.grant(account, 1, 1_000, 6_000);
            bench.ok_under(account, 1, ask(101, 1));
        }
        bench.time_ms = 6_000;
        let events = bench.ok(1, bid(101, 10));
        assert_eq!((events.len(), events.last().unwrap().as_str()), (65, expected));
    }
}

#[test]
fn orders_touched_by_one_command_are_limited() {
    let mut bench = Bench::with(|rules| {
        rules.order_lots_max = QuantityLots::from_lots(2_000);
        rules.position_lots_max = QuantityLots::from_lots(2_000);
    });
    bench.model.segments[0].open_orders_max = 1_024;
    for _ in 0..1_001 {
        bench.ok(2, ask(100, 1));
    }
    let events = bench.ok(1, bid(100, 1_001));
    assert_eq!((events.len(), events.last().unwrap().as_str()), (1_001, "#1002 dropped 1"));
}

#[test]
fn an_order_past_its_time_does_not_trade() {
    let mut bench = with_position(Bid, 10);
    bench.ok(1, ask(101, 3).with(till(6_000)));
    bench.ok(1, ask(101, 3).with(till(6_000)).reducing());
    bench.time_ms = 5_999;
    assert_eq!(bench.ok(3, bid(101, 1)), ["#5 of 3 meets #3 of 1: 1@101, fees 0 0"]);
    bench.time_ms = 6_000; // And nothing was done at the start of the block.
    assert_eq!(
        bench.ok(3, bid(101, 1)),
        ["#3 of 1 removed with 2: Expired", "#4 of 1 removed with 3: Expired", "#6 of 3 rests: Bid 1@101",]
    );
}

/// Account 1 is short 10, and bids for 20 that would leave it long 10; cash covers either and no more.
fn with_bids_that_count_on_a_short() -> Bench {
    let mut bench = with_position(Ask, 10);
    bench.leave(1, 1_000);
    bench.ok(1, bid(99, 20)); // (10, 980)
    bench
}

#[test]
fn a_reduce_only_maker_that_would_uncover_other_orders_is_removed() {
    let mut bench = with_bids_that_count_on_a_short();
    bench.ok(1, bid(100, 10).reducing());
    // Flat with bids of 20@99: they would need 1,980 of 1,000.
    assert_eq!(
        bench.ok(2, ask(99, 15)),
        ["#4 of 1 removed with 10: MakerRisk", "#5 of 2 meets #3 of 1: 15@99, fees 0 0"]
    );
    // Closed 10 for a gain of 10; 5@99 and a bid for five more need 990.
    assert_eq!(bench.free(1), 1_010 - 990);
    let mut bench = with_bids_that_count_on_a_short();
    bench.ok(1, amend(3, 99, 10)); // Without them it may close.
    bench.ok(1, bid(100, 10).reducing());
    assert_eq!(bench.ok(2, ask(100, 10)), ["#5 of 2 meets #4 of 1: 10@100, fees 0 0"]);
}

#[test]
fn a_reduce_only_taker_that_would_uncover_other_orders_is_refused_or_stops() {
    let mut bench = with_bids_that_count_on_a_short();
    bench.ok(2, ask(100, 10));
    // From 0 to 1,000 − 1,980.
    let closing = bid(100, 10).reducing();
    assert_eq!(bench.no(1, closing), (Code::InsufficientFreeCollateral, 980, 0));
    let mut bench = with_bids_that_count_on_a_short();
    bench.leave(1, 1_500); // Five can be closed.
    bench.ok(2, ask(100, 5));
    bench.ok(2, ask(100, 5));
    assert_eq!(bench.ok(1, closing), ["#6 of 1 meets #4 of 2: 5@100, fees 0 0", "#6 dropped 5"]);
}

// Amend.

#[test]
fn a_smaller_quantity_at_the_same_price_keeps_its_place_and_all_else_loses_it() {
    let mut bench = Bench::new();
    bench.ok(2, ask(101, 5));
    bench.ok(3, ask(101, 5));
    assert_eq!(bench.ok(2, amend(1, 101, 3)), ["#1 reduced to 3"]);
    assert_eq!(bench.ok(2, amend(1, 101, 3)), ["#1 reduced to 3"]);
    assert_eq!(bench.book(), ["#1 of 2 rests: Ask 3@101", "#2 of 3 rests: Ask 5@101"]);
    assert_eq!(bench.ok(2, amend(1, 101, 4)), ["#1 of 2 removed with 3: Amended", "#1 of 2 rests: Ask 4@101"]);
    assert_eq!(bench.book(), ["#2 of 3 rests: Ask 5@101", "#1 of 2 rests: Ask 4@101"]);
    bench.ok(3, amend(2, 102, 5));
    assert_eq!(bench.ok(3, amend(2, 101, 5)), ["#2 of 3 removed with 5: Amended", "#2 of 3 rests: Ask 5@101"]);
    assert_eq!(bench.book(), ["#1 of 2 rests: Ask 4@101", "#2 of 3 rests: Ask 5@101"]);
}

#[test]
fn an_amended_order_may_trade_and_removes_its_owners_orders_on_the_way() {
    let mut bench = Bench::new();
    bench.ok(1, bid(99, 5));
    bench.ok(2, ask(101, 2));
    bench.ok(1, ask(102, 1));
    assert_eq!(
        bench.ok(1, amend(1, 103, 6)),
        [
            "#1 of 1 removed with 5: Amended",
            "#1 of 1 meets #2 of 2: 2@101, fees 0 0",
            "#3 of 1 removed with 1: SelfTrade",
            "#1 of 1 rests: Bid 4@103",
        ]
    );
}

#[test]
fn amend_and_cancel_find_resting_orders_of_the_account_in_the_market() {
    let mut bench = Bench::of(vec![usual(1), usual(2)]);
    bench.ok(1, bid(100, 5).named(7));
    let number = OrderReference::Number(OrderNumber::new(1));
    assert_eq!(bench.no(1, amend_in(2, number, 100, 1)), (Code::OrderNotFound, 0, 1));
    assert_eq!(bench.no(1, amend_in(2, named(7), 100, 1)), (Code::OrderNotFound, 0, 7));
    assert_eq!(bench.no(1, amend_in(3, named(7), 100, 1)), (Code::MarketNotFound, 0, 3));
    assert_eq!(bench.no(2, amend(1, 100, 1)), (Code::OrderNotFound, 0, 1));
    assert_eq!(bench.no(2, cancel_in(1, named(7))), (Code::OrderNotFound, 0, 7));
    assert_eq!(bench.no(1, cancel_in(2, number)), (Code::OrderNotFound, 0, 1));
    assert_eq!(bench.no(1, cancel_in(3, number)), (Code::MarketNotFound, 0, 3));
    assert_eq!(bench.ok(1, amend_in(1, named(7), 100, 4)), ["#1 reduced to 4"]);
    assert_eq!(bench.ok(1, cancel_in(1, named(7))), ["#1 of 1 removed with 4: Cancelled"]);
    assert_eq!(bench.no(1, cancel(1)), (Code::OrderNotFound, 0, 1));
    bench.ok(1, bid(100, 5)); // Without a name, and no name finds it.
    assert_eq!(bench.no(1, cancel_in(1, named(0))), (Code::OrderNotFound, 0, 0));
}

#[test]
fn an_amend_checks_price_and_quantity() {
    let mut bench = Bench::with(|rules| rules.order_lots_min = QuantityLots::from_lots(3));
    bench.ok(1, bid(100, 5));
    assert_eq!(bench.no(1, amend(1, 100, 0)), (Code::QuantityBelowMinimum, 3, 0));
    assert_eq!(bench.no(1, amend(1, 100, 101)), (Code::QuantityTooLarge, 100, 101));
    assert_eq!(bench.no(1, amend(1, 0, 5)), (Code::PriceOutOfRange, 200, 0));
    assert_eq!(bench.no(1, amend(1, 111, 5)), (Code::PriceOutsideBand, 110, 111));
    bench.ok(1, amend(1, 100, 2)); // Below the minimum, but only smaller.
    assert_eq!(bench.no(1, amend(1, 99, 2)), (Code::QuantityBelowMinimum, 3, 2));
    assert_eq!(bench.no(1, amend(1, 99, 1)), (Code::QuantityBelowMinimum, 3, 1));
    bench.ok(1, amend(1, 98, 3));
}

#[test]
fn an_order_past_its_time_can_only_become_smaller() {
    let mut bench = Bench::new();
    bench.ok(1, bid(100, 5).with(till(6_000)));
    bench.time_ms = 6_000;
    assert_eq!(bench.no(1, amend(1, 100, 6)), (Code::GoodTillTimePast, 6_000, 6_000));
    assert_eq!(bench.no(1, amend(1, 99, 5)), (Code::GoodTillTimePast, 6_000, 6_000));
    bench.ok(1, amend(1, 100, 4));
}

#[test]
fn an_amend_counts_its_own_order_as_removed() {
    let mut bench = Bench::new();
    bench.grant(1, 1, 5_000, 9_000);
    bench.ok_under(1, 1, bid(50, 100)); // All of the budget.
    bench.ok_under(1, 1, amend(1, 49, 100));
    assert_eq!(bench.no_under(1, 1, amend(1, 51, 100)), (Code::GrantNotionalExceeded, 5_000, 5_100));
    bench.ok(1, bid(50, 50)); // All of the position: 150.
    bench.ok(1, amend(2, 49, 50));
    assert_eq!(bench.no(1, amend(2, 49, 51)), (Code::PositionTooLarge, 150, 151));
    bench.leave(1, 150 * 49);
    bench.ok(1, amend(2, 48, 50)); // 50 are free now.
    // From 48 to 50 asks for 100.
    assert_eq!(bench.no(1, amend(2, 50, 50)), (Code::InsufficientFreeCollateral, 100, 50));
    bench.leave(1, 0);
    // Less than was asked for before is allowed even where cash is missing.
    bench.ok(1, amend(2, 47, 50));
    assert_eq!(bench.no(1, amend(2, 48, 50)), (Code::InsufficientFreeCollateral, 50, -7_250));
}

#[test]
fn an_amended_order_needs_the_taker_fee() {
    let mut bench = Bench::with(|rules| rules.taker_fee = FeePpm::from_ppm(10_000));
    bench.ok(1, bid(50, 100));
    bench.leave(1, 5_050);
    bench.ok(1, amend(1, 49, 100));
    // 150 are free. 50·100 asks for 100 and a fee of 50; 51·100 for 200 and 51.
    assert_eq!(bench.no(1, amend(1, 51, 100)), (Code::InsufficientFreeCollateral, 251, 150));
    bench.ok(1, amend(1, 50, 100));
    // A ladder quote cannot take, so it needs none.
    bench.ok(2, ladder(&[(49, 100)], &[]));
    bench.leave(2, 5_000);
    bench.ok(2, amend(2, 50, 100));
    assert_eq!(bench.free(2), 0);
}

#[test]
fn a_ladder_quote_stays_a_post_only_ladder_quote_when_amended() {
    let mut bench = Bench::new();
    bench.ok(2, ask(101, 1));
    bench.ok(1, ladder(&[(99, 5)], &[]));
    assert_eq!(bench.no(1, amend(2, 101, 5)), (Code::PostOnlyWouldTake, 101, 101));
    bench.ok(1, amend(2, 100, 5));
    assert_eq!(bench.ok(1, ladder(&[], &[])), ["#2 of 1 removed with 5: LadderReplaced"]);
}

#[test]
fn an_amended_order_keeps_its_terms_and_takes_the_amending_grant_and_record() {
    let mut bench = Bench::new();
    bench.grant(1, 1, 10_000, 9_000);
    bench.grant(1, 2, 10_000, 9_000);
    let placed = bench.apply(1, 1, bid(100, 5).named(7).with(till(6_000))).unwrap();
    let [Event::OrderRested(placed)] = placed.as_slice() else { panic!("one order rests") };
    bench.ok_under(1, 2, amend(1, 100, 4)); // In place: the grant stays.
    assert_eq!(
        bench.model.resting(MarketId::new(1)),
        [OrderRested { quantity: QuantityLots::from_lots(4), ..*placed }]
    );
    bench.ok_under(1, 2, amend(1, 99, 4));
    let expected = OrderRested {
        price: PriceTicks::from_ticks(99),
        quantity: QuantityLots::from_lots(4),
        grant: GrantNumber::new(2),
        origin: RecordIndex::new(3),
        ..*placed
    };
    assert_eq!(bench.model.resting(MarketId::new(1)), [expected]);
}

#[test]
fn an_amended_reduce_only_order_is_cut_to_its_position_like_a_new_one() {
    let mut bench = with_position(Bid, 10);
    bench.ok(1, ask(105, 10).reducing());
    bench.ok(3, bid(100, 20));
    bench.ok(1, ask(100, 6).with(TimeInForce::ImmediateOrCancel)); // Four are left.
    assert_eq!(bench.ok(1, amend(3, 104, 9)), ["#3 of 1 removed with 10: Amended", "#3 of 1 rests: Ask 4@104"]);
    assert_eq!(
        bench.ok(1, amend(3, 100, 9)),
        ["#3 of 1 removed with 4: Amended", "#3 of 1 meets #4 of 3: 4@100, fees 0 0"]
    );
    let mut bench = with_position(Bid, 10);
    bench.ok(1, ask(105, 6).reducing());
    bench.ok(1, ask(106, 4).reducing());
    bench.ok(1, ask(101, 6));
    bench.ok(3, bid(101, 6)); // Four are left, which the other order promises.
    assert_eq!(bench.no(1, amend(3, 104, 5)), (Code::ReduceOnlyWouldIncrease, 4, 4));
    bench.ok(1, amend(3, 105, 5)); // Only smaller.
}

#[test]
fn an_amend_that_cannot_carry_its_first_fill_leaves_the_order_as_it_was() {
    let mut bench = with_position(Ask, 10);
    bench.ok(1, bid(90, 19));
    bench.ok(2, ask(104, 19));
    bench.leave(1, 130);
    assert_eq!(bench.no(1, amend(3, 104, 19)), (Code::BandEdgeInsolvent, 0, -36));
    assert_eq!(bench.book().first().unwrap(), "#3 of 1 rests: Bid 19@90");
}

// Mass quotes.

#[test]
fn a_ladder_replaces_the_former_ladder_and_nothing_else() {
    let mut bench = Bench::new();
    bench.ok(1, bid(95, 1));
    assert_eq!(
        bench.ok(1, ladder(&[(99, 1), (98, 2)], &[(101, 3)])),
        ["#2 of 1 rests: Bid 1@99", "#3 of 1 rests: Bid 2@98", "#4 of 1 rests: Ask 3@101",]
    );
    // Best first is 99, 98, 101; the numbers say the same here. The new bid of 101 meets no former ask.
    assert_eq!(
        bench.ok(1, ladder(&[(101, 1)], &[(103, 1), (104, 1)])),
        [
            "#2 of 1 removed with 1: LadderReplaced",
            "#3 of 1 removed with 2: LadderReplaced",
            "#4 of 1 removed with 3: LadderReplaced",
            "#5 of 1 rests: Bid 1@101",
            "#6 of 1 rests: Ask 1@103",
            "#7 of 1 rests: Ask 1@104",
        ]
    );
    bench.ok(1, amend(5, 90, 1));
    bench.ok(1, amend(6, 105, 1)); // Behind number 7 now, but numbers decide.
    assert_eq!(
        bench.ok(1, ladder(&[], &[])),
        [
            "#5 of 1 removed with 1: LadderReplaced",
            "#6 of 1 removed with 1: LadderReplaced",
            "#7 of 1 removed with 1: LadderReplaced",
        ]
    );
    assert_eq!(bench.book(), ["#1 of 1 rests: Bid 1@95"]);
}

#[test]
fn a_level_that_would_take_is_left_out() {
    let mut bench = Bench::new();
    bench.ok(2, ask(100, 1));
    bench.ok(1, bid(97, 1)); // One's own order takes part in this.
    assert_eq!(
        bench.ok(1, ladder(&[(100, 1), (96, 1)], &[(101, 1)])),
        ["skipped Bid 100: 505", "#3 of 1 rests: Bid 1@96", "#4 of 1 rests: Ask 1@101",]
    );
    assert_eq!(
        bench.ok(1, ladder(&[(96, 1)], &[(97, 1), (98, 1)])),
        [
            "#3 of 1 removed with 1: LadderReplaced",
            "#4 of 1 removed with 1: LadderReplaced",
            "#5 of 1 rests: Bid 1@96",
            "skipped Ask 97: 505",
            "#6 of 1 rests: Ask 1@98",
        ]
    );
}

#[test]
fn a_ladder_must_be_sorted_and_must_not_cross_itself() {
    let mut bench = Bench::new();
    assert_eq!(bench.no(1, ladder(&[(98, 1), (98, 1)], &[])), (Code::LadderNotSorted, 98, 98));
    assert_eq!(bench.no(1, ladder(&[(97, 1), (98, 1)], &[])), (Code::LadderNotSorted, 97, 98));
    assert_eq!(bench.no(1, ladder(&[(99, 1)], &[(103, 1), (102, 1)])), (Code::LadderNotSorted, 103, 102));
    assert_eq!(bench.no(1, ladder(&[(101, 1)], &[(101, 1)])), (Code::LadderCrossed, 101, 101));
}

#[test]
fn each_level_of_a_ladder_is_checked_like_an_order() {
    let mut bench = Bench::new();
    assert_eq!(bench.no(1, ladder(&[(99, 1), (98, 0)], &[(101, 1)])), (Code::QuantityBelowMinimum, 1, 0));
    assert_eq!(bench.no(1, ladder(&[(99, 1)], &[(101, 101)])), (Code::QuantityTooLarge, 100, 101));
    assert_eq!(bench.no(1, ladder(&[(99, 1), (0, 1)], &[])), (Code::PriceOutOfRange, 200, 0));
    assert_eq!(bench.no(1, ladder(&[], &[(89, 1)])), (Code::PriceOutsideBand, 90, 89));
}

#[test]
fn limits_are_checked_for_the_placed_levels_together() {
    let mut bench = Bench::with(|rules| rules.taker_fee = FeePpm::from_ppm(10_000));
    bench.grant(1, 1, 1_500, 9_000);
    let five = [(99, 1), (98, 1), (97, 1), (96, 1), (95, 1)];
    for price in [10, 11, 12] {
        bench.ok(1, bid(price, 1));
    }
    bench.ok(1, ladder(&five, &[]));
    bench.ok(1, ladder(&five, &[])); // The former five make room.
    assert_eq!(bench.no(1, ladder(&five, &[(105, 1)])), (Code::OpenOrdersMax, 8, 9));
    // 3 + 100 + 48 lots.
    assert_eq!(bench.no(1, ladder(&[(99, 100), (98, 48)], &[])), (Code::PositionTooLarge, 150, 151));
    assert_eq!(bench.no(1, ladder(&[], &[(101, 100), (102, 51)])), (Code::PositionTooLarge, 150, 151));
    // 495 + 1,010 = 1,505: both sides count.
    assert_eq!(bench.no_under(1, 1, ladder(&[(99, 5)], &[(101, 10)])), (Code::GrantNotionalExceeded, 1_500, 1_505));
    // Bids ask for 10 + 11 + 12 + 500 = 533. The asks, (−5, −505), for 500: less. No taker fee.
    bench.leave(1, 532);
    // The former ladder asked for 485 and the orders for 33, so 14 were free; 15 more are needed.
    assert_eq!(bench.no(1, ladder(&[(100, 5)], &[(101, 5)])), (Code::InsufficientFreeCollateral, 15, 14));
    bench.leave(1, 533);
    bench.ok(1, ladder(&[(100, 5)], &[(101, 5)]));
}

#[test]
fn a_level_that_is_left_out_counts_for_no_limit() {
    let mut bench = Bench::new();
    bench.ok(2, ask(100, 1));
    bench.leave(1, 99);
    assert_eq!(bench.ok(1, ladder(&[(100, 50), (99, 1)], &[])), ["skipped Bid 100: 505", "#2 of 1 rests: Bid 1@99"]);
    bench.leave(1, 0);
    // Nothing placed, nothing to check.
    assert_eq!(
        bench.ok(1, ladder(&[(100, 50)], &[])),
        ["#2 of 1 removed with 1: LadderReplaced", "skipped Bid 100: 505"]
    );
}

// Cancels and ends.

#[test]
fn cancel_all_goes_by_number_within_its_scope() {
    let mut second = usual(3);
    second.segment = SegmentId::new(2);
    let mut bench = Bench::of(vec![usual(1), usual(2), second]);
    bench.ok(1, bid(90, 1));
    bench.ok(1, bid(100, 2).in_market(2));
    bench.ok(1, bid(100, 3));
    bench.ok(1, bid(100, 4).in_market(3));
    bench.ok(2, bid(100, 5));
    assert_eq!(
        bench.ok(1, cancel_all(CancelScope::Market(MarketId::new(2)))),
        ["#2 of 1 removed with 2: CancelledAll"]
    );
    bench.ok(1, bid(100, 6).in_market(2));
    assert_eq!(
        bench.ok(1, cancel_all(CancelScope::Segment(SegmentId::new(1)))),
        [
            "#1 of 1 removed with 1: CancelledAll",
            "#3 of 1 removed with 3: CancelledAll",
            "#5 of 1 removed with 6: CancelledAll",
        ]
    );
    assert!(bench.ok(1, cancel_all(CancelScope::Segment(SegmentId::new(1)))).is_empty());
    assert_eq!(bench.no(1, cancel_all(CancelScope::Market(MarketId::new(4)))), (Code::MarketNotFound, 0, 4));
    assert_eq!(bench.no(1, cancel_all(CancelScope::Segment(SegmentId::new(3)))), (Code::SegmentNotFound, 0, 3));
    assert_eq!(bench.model.resting(MarketId::new(3)).len(), 1);
}

#[test]
fn orders_expire_by_time_then_number() {
    let mut bench = Bench::of(vec![usual(1), usual(2)]);
    bench.ok(1, bid(100, 1).with(till(6_000)));
    bench.ok(2, bid(100, 2).with(till(5_500)).in_market(2));
    bench.ok(1, bid(100, 3).with(till(5_500)));
    bench.ok(1, bid(100, 4));
    assert!(bench.start_block(5_499).is_empty());
    assert_eq!(
        bench.start_block(6_000),
        ["#2 of 2 removed with 2: Expired", "#3 of 1 removed with 3: Expired", "#1 of 1 removed with 1: Expired",]
    );
    assert_eq!(bench.book(), ["#4 of 1 rests: Bid 4@100"]);
}

#[test]
fn a_block_starts_segment_by_segment_with_what_is_due_first_then_orders_grants_and_switches() {
    let mut second = usual(2);
    second.segment = SegmentId::new(2);
    let mut bench = Bench::of(vec![usual(1), second]);
    bench.grant(3, 1, 10_000, 6_000);
    bench.grant(3, 2, 10_000, 5_000 + 1);
    bench.grant(2, 1, 10_000, 6_000);
    for market in [1, 2] {
        bench.ok(1, dead_man(market, 1_000));
        bench.ok(1, bid(91, 1).in_market(market));
        bench.ok_under(3, 1, bid(92, 1).in_market(market));
        bench.ok_under(3, 2, bid(93, 1).in_market(market));
        bench.ok_under(2, 1, bid(94, 1).in_market(market));
        bench.ok(3, bid(95, 1).in_market(market).with(till(6_000)));
        bench.ok(1, bid(96, 1).in_market(market).with(till(6_000)));
        bench.ok(1, bid(97, 1).in_market(market));
    }
    assert_eq!(bench.start_block(5_000), Vec::<String>::new());
    let of_one = [
        "#3 of 3 removed with 1: GrantEnded",
        "#5 of 3 removed with 1: Expired",
        "#6 of 1 removed with 1: Expired",
        "#4 of 2 removed with 1: GrantEnded",
        "#2 of 3 removed with 1: GrantEnded",
        "#1 of 1 removed with 1: DeadMan",
        "#7 of 1 removed with 1: DeadMan",
    ];
    assert_eq!(bench.start_block(6_000), [of_one, of_one].concat());
    assert!(bench.start_block(6_000).is_empty());
}

#[test]
fn a_revoked_grant_loses_all_its_orders_and_an_ended_one_those_that_add_risk() {
    let start = || {
        let mut bench = with_position(Bid, 10);
        bench.grant(1, 1, 10_000, 6_000);
        bench.ok_under(1, 1, ask(105, 2));
        bench.ok_under(1, 1, ask(104, 3).reducing());
        bench.ok(1, ask(103, 4));
        bench
    };
    let (account, grant) = (AccountId::new(1), GrantNumber::new(1));
    let revoke = |bench: &mut Bench| bench.model.revoke_grant(account, grant, TimeMs::from_ms(bench.time_ms));
    let missing = Reject::of(Code::GrantNotFound).present(1);
    let mut bench = start();
    assert!(bench.start_block(5_999).is_empty());
    assert_eq!(bench.start_block(6_000), ["#3 of 1 removed with 2: GrantEnded"]);
    assert_eq!(revoke(&mut bench), Err(missing));
    let mut bench = start();
    assert_eq!(
        lines(&revoke(&mut bench).unwrap()),
        ["#3 of 1 removed with 2: GrantRevoked", "#4 of 1 removed with 3: GrantRevoked",]
    );
    assert!(!bench.model.is_grant_live(account, grant, TimeMs::from_ms(NOW)));
    assert_eq!(revoke(&mut bench), Err(missing));
}

fn dead_man(segment: u16, timeout_ms: u64) -> Sent {
    let (segment, timeout_ms) = (SegmentId::new(segment), DurationMs::from_ms(timeout_ms));
    Sent(Command::SetDeadMan(SetDeadMan { segment, timeout_ms }))
}

#[test]
fn a_dead_man_switch_has_a_shortest_timeout_and_removes_everything_when_it_fires() {
    let mut bench = Bench::new();
    assert_eq!(bench.no(1, dead_man(1, 99)), (Code::DeadManTimeoutNotAllowed, 100, 99));
    assert_eq!(bench.no(1, dead_man(2, 100)), (Code::SegmentNotFound, 0, 2));
    assert_eq!(bench.no(71, dead_man(1, 0)), (Code::InsufficientFreeCollateral, 1, 0));
    bench.ok(1, bid(100, 1));
    bench.ok(2, bid(100, 1));
    assert!(bench.ok(1, dead_man(1, 100)).is_empty());
    assert!(bench.ok(2, dead_man(1, 200)).is_empty());
    assert!(bench.ok(1, dead_man(1, 150)).is_empty()); // Armed anew.
    assert!(bench.ok(2, dead_man(1, 0)).is_empty()); // Disarmed.
    assert!(bench.start_block(NOW + 149).is_empty());
    assert_eq!(bench.start_block(NOW + 150), ["#1 of 1 removed with 1: DeadMan"]);
    bench.ok(1, bid(100, 1));
    assert!(bench.start_block(NOW + 1_000).is_empty());
}

#[test]
fn an_account_without_money_is_judged_like_any_other() {
    let mut bench = Bench::new();
    assert_eq!(bench.no(71, bid(100, 151)), (Code::QuantityTooLarge, 100, 151));
    assert_eq!(bench.no(71, bid(100, 2)), (Code::InsufficientFreeCollateral, 200, 0));
    assert!(bench.ok(71, cancel_all(CancelScope::Segment(SegmentId::new(1)))).is_empty());
}

#[test]
fn the_model_refuses_what_it_does_not_know() {
    let revoke = Sent(Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(1) }));
    assert_eq!(Bench::new().no(1, revoke), (Code::PolicyForbids, 0, 4));
}

#[test]
fn bookkeeping_events_are_not_compared() {
    let (segment, account, origin) = (SegmentId::new(1), AccountId::new(1), RecordIndex::new(1));
    let (grant, expires_ms) = (GrantNumber::new(1), TimeMs::from_ms(1));
    let loss_max = QuoteMicros::from_micros(1);
    let watched = GrantWatched { segment, account, grant, expires_ms, loss_max, origin };
    let (market, number, quantity) = (MarketId::new(1), OrderNumber::new(3), QuantityLots::from_lots(9));
    let dropped = Event::RemainderDropped(RemainderDropped { market, number, quantity });
    let events = [
        Event::GrantWatched(watched),
        dropped.clone(),
        Event::GrantUnwatched(watched),
        Event::DeadManSet(DeadManSet { segment, account, fires_ms: TimeMs::ZERO, origin }),
    ];
    assert_eq!(comparable(&events), [dropped]);
}
