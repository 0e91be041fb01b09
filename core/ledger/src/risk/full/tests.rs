//! Tests of full collateral: what accounts need, and that nobody is refused who needs less.

use casemate_protocol::genesis::MarketRules;
use casemate_protocol::testing::examples;
use casemate_protocol::{
    AccountId, BoundedVec, DurationMs, PriceTicks, QuantityLots, QuoteMicros, RatioPpm, RejectCode, Side,
    TickValueMicros,
};
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};

use super::{need, requirement};
use crate::market::fill::Fill;
use crate::risk::{ProposedFill, Reserved, Risk, require_fill, require_free};
use crate::segment::{Market, Position, Segment};

const TICK_VALUE: i64 = 3;
const REFERENCE: i64 = 100;

/// A segment with two markets of tick value 3, reference price 100 and a band of 10%, and account 1 with this cash.
fn segment(cash: i64) -> Segment {
    let mut genesis = examples::genesis();
    let rules = |id| MarketRules {
        tick_value: TickValueMicros::from_micros(3),
        price_max: PriceTicks::from_ticks(400),
        reference_price: PriceTicks::from_ticks(100),
        band: RatioPpm::from_ppm(100_000),
        ..examples::market(id, 1)
    };
    genesis.markets = BoundedVec::new(vec![rules(1), rules(2)]).unwrap();
    let mut segment = Segment::new(&examples::segment(1), &genesis);
    segment.add_cash(ACCOUNT, QuoteMicros::from_micros(1));
    segment.add_cash(ACCOUNT, QuoteMicros::from_micros(cash - 1));
    segment
}

fn risk(segment: &Segment) -> Risk<'_> {
    Risk::new(&segment.markets, DurationMs::ZERO)
}

const ACCOUNT: AccountId = AccountId::new(1);

fn position(lots: i64, entry_notional: i64) -> Position {
    Position { lots, entry_notional, ..Position::default() }
}

/// A position that came from one trade, and resting orders of one price on each side.
fn positions() -> impl Strategy<Value = Position> {
    let side = || (0..=50i64, 1..=200i64);
    (-50..=50i64, 1..=400i64, side(), side()).prop_map(|(lots, price, (bid_lots, bid), (ask_lots, ask))| Position {
        market: 0,
        order_count: 2,
        lots,
        entry_notional: lots * price * TICK_VALUE,
        entry_gain: 0,
        funding_entry: 0,
        bid_lots,
        bid_notional: bid_lots * bid * TICK_VALUE,
        ask_lots,
        ask_notional: ask_lots * ask * TICK_VALUE,
    })
}

fn market() -> Market {
    segment(1).markets.remove(0)
}

#[test]
fn a_long_needs_its_cost_and_a_short_its_notional_and_loss() {
    let market = market();
    assert_eq!(need(10, 5_000, &market), 5_000);
    assert_eq!(need(10, -5, &market), 0);
    assert_eq!(need(0, 5, &market), 5);
    assert_eq!(need(0, -5, &market), 0);
    assert_eq!(need(-10, -3_000, &market), 3_000);
    assert_eq!(need(-10, -2_500, &market), 3_500); // A loss of 500.
    assert_eq!(need(-10, -3_500, &market), 3_000); // A gain is not counted.
    assert_eq!(need(-10, 50, &market), 6_050);
}

#[test]
fn a_market_needs_the_worst_of_now_all_bids_filled_and_all_asks_filled() {
    let market = market();
    let bids = Position { bid_lots: 4, bid_notional: 1_140, ..position(10, 3_000) };
    assert_eq!(requirement(&bids, &market), 4_140);
    let asks = Position { ask_lots: 24, ask_notional: 7_560, ..bids };
    assert_eq!(requirement(&asks, &market), 4_200); // Short 14: more than 4,140.
    let closing = Position { ask_lots: 10, ask_notional: 3_000, ..position(10, 3_000) };
    assert_eq!(requirement(&closing, &market), 3_000);
}

#[test]
fn what_must_not_fall_is_told_with_what_is_missing() {
    let segment = segment(1_000);
    let row = segment.sub_account(ACCOUNT).unwrap();
    let after = Position { bid_lots: 4, bid_notional: 1_200, order_count: 1, ..Position::default() };
    let reject = require_free(&risk(&segment), row, &after, QuoteMicros::from_micros(-7), None);
    let reject = reject.unwrap_err();
    assert_eq!((reject.code(), reject.numbers()), (RejectCode::InsufficientFreeCollateral, (1_207, 1_000)));
}

/// A fill of account 1 in the first market, without fee.
fn fill(side: Side, quantity: u64, price: u64, is_reduce_only: bool) -> ProposedFill {
    ProposedFill {
        market: 0,
        side,
        quantity: QuantityLots::from_lots(quantity),
        price: PriceTicks::from_ticks(price),
        fee: QuoteMicros::ZERO,
        reserved: if is_reduce_only { Reserved::NotAtAll } else { Reserved::OnArrival },
    }
}

#[test]
fn a_fill_must_leave_something_at_the_edge_of_the_band_unless_it_loses_nothing_there() {
    // Ten bought at 100 are worth 300 less at 90.
    let mut segment = segment(300);
    let fits = |segment: &Segment, fill| require_fill(&risk(segment), segment.sub_account(ACCOUNT).unwrap(), &fill);
    assert_eq!(fits(&segment, fill(Side::Bid, 10, 100, false)), Ok(()));
    let reject = fits(&segment, fill(Side::Bid, 11, 100, false)).unwrap_err();
    assert_eq!((reject.code(), reject.numbers()), (RejectCode::BandEdgeInsolvent, (0, -30)));
    let bought =
        Fill { side: Side::Bid, quantity: QuantityLots::from_lots(10), notional: QuoteMicros::from_micros(3_000) };
    segment.apply_fill(ACCOUNT, 0, &bought, QuoteMicros::ZERO, DurationMs::ZERO);
    segment.add_cash(ACCOUNT, QuoteMicros::from_micros(-200));
    // Below zero now. Selling at the edge leaves it where it is; one tick lower does not.
    assert_eq!(fits(&segment, fill(Side::Ask, 10, 90, true)), Ok(()));
    assert!(fits(&segment, fill(Side::Ask, 10, 89, true)).is_err());
}

proptest! {
    #[test]
    fn prop_a_requirement_is_never_negative_and_covers_a_short_at_the_reference(position in positions()) {
        let market = market();
        let required = requirement(&position, &market);
        prop_assert!(required >= 0);
        prop_assert!(required >= position.lots.min(0).abs() * REFERENCE * TICK_VALUE);
        prop_assert!(required >= need(position.lots, position.entry_notional, &market));
    }

    /// Cancels are never checked, and need not be: what is taken out of the book was never a help.
    #[test]
    fn prop_taking_orders_out_never_lowers_what_is_free(position in positions(), bids in 0..=50i64, asks in 0..=50i64) {
        let market = market();
        let keep = |lots: i64, notional: i64, taken: i64| {
            let left = (lots - taken).max(0);
            (left, if lots == 0 { 0 } else { notional / lots * left })
        };
        let (bid_lots, bid_notional) = keep(position.bid_lots, position.bid_notional, bids);
        let (ask_lots, ask_notional) = keep(position.ask_lots, position.ask_notional, asks);
        let fewer = Position { bid_lots, bid_notional, ask_lots, ask_notional, ..position };
        prop_assert!(requirement(&fewer, &market) <= requirement(&position, &market));
    }

    /// INVARIANT(R1): what leaves free collateral equal or larger is never refused, whatever is missing; what makes it
    /// smaller is refused exactly where something would be missing after it.
    #[test]
    fn prop_a_change_is_refused_only_if_it_makes_free_smaller_and_negative(
        before in positions(),
        after in positions(),
        cash in -50_000..=50_000i64,
        cash_delta in -2_000..=2_000i64,
    ) {
        let mut segment = segment(cash);
        let row = segment.sub_accounts.row_mut(ACCOUNT.number()).unwrap();
        row.trading_mut().positions.push(before);
        let row = segment.sub_account(ACCOUNT).unwrap();
        let delta = QuoteMicros::from_micros(cash_delta);
        let free_before = risk(&segment).free_collateral(row, None).micros();
        let free_after = risk(&segment).free_collateral(row, Some(&after)).micros() + cash_delta;
        prop_assert_eq!(free_before, cash - requirement(&before, &segment.markets[0]));
        prop_assert_eq!(free_after, cash + cash_delta - requirement(&after, &segment.markets[0]));
        let verdict = require_free(&risk(&segment), row, &after, delta, None);
        prop_assert_eq!(verdict.is_ok(), free_after >= 0 || free_after >= free_before);
        // What needs as much as before is not refused.
        prop_assert!(require_free(&risk(&segment), row, &before, QuoteMicros::ZERO, None).is_ok());
        // A command that has changed something since says what was free before it.
        let known = Some(QuoteMicros::from_micros(free_before - 1));
        let verdict = require_free(&risk(&segment), row, &after, delta, known);
        prop_assert_eq!(verdict.is_ok(), free_after >= 0 || free_after >= free_before - 1);
    }

    /// INVARIANT(R1): closing at a price inside the band is never refused for collateral while no other order rests.
    #[test]
    fn prop_closing_without_other_orders_is_never_refused_for_collateral(
        lots in 1..=50i64,
        is_long in proptest::bool::ANY,
        entry_price in 1..=400i64,
        cash in -50_000..=50_000i64,
        closed in 1..=50u64,
        price in 90..=110u64,
    ) {
        let lots = if is_long { lots } else { -lots };
        let mut segment = segment(cash);
        let row = segment.sub_accounts.row_mut(ACCOUNT.number()).unwrap();
        row.trading_mut().positions.push(position(lots, lots * entry_price * TICK_VALUE));
        let row = segment.sub_account(ACCOUNT).unwrap();
        let side = if is_long { Side::Ask } else { Side::Bid };
        let fill = fill(side, closed.min(lots.unsigned_abs()), price, true);
        prop_assert_eq!(require_fill(&risk(&segment), row, &fill), Ok(()));
    }
}
