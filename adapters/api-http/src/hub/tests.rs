//! The hub alone, fed with blocks made by hand.

use casemate_audit::{RecordSource, Verdict};
use casemate_protocol::command::{SegmentOrder, SystemWork};
use casemate_protocol::event::{
    InsurancePaid, LiquidationSliced, OrderRested, PassCause, PositionPassed, TradeExecuted,
};
use casemate_protocol::testing::examples;
use casemate_protocol::{
    BoundedVec, ClientOrderId, GrantNumber, Height, OrderNumber, PriceTicks, QuantityLots, QuoteMicros, RecordIndex,
    SegmentId, Side, SystemCommand, TimeMs, TradeNumber,
};
use serde_json::Value;

use super::listeners::{MESSAGES_QUEUED_MAX, TOPICS_MAX};
use super::*;

const MARKET: MarketId = MarketId::new(1);

fn hub() -> Hub {
    let genesis = casemate_protocol::genesis::Genesis { seeded: None, ..examples::genesis() };
    let ledger = Ledger::new(&genesis, std::iter::empty()).unwrap();
    Hub::new(&ledger, Digest::ZERO, 0)
}

fn advance(hub: &Hub, height: u64, events: Vec<Event>) {
    let header = Header { height: Height::new(height), ..examples::header() };
    let order = SegmentOrder {
        segment: SegmentId::new(1),
        market: MARKET,
        account: AccountId::new(1),
        order: OrderNumber::new(1),
    };
    let system = SystemCommand { origin: RecordIndex::NONE, work: SystemWork::ExpireOrder(order) };
    let events = BoundedVec::new(events).unwrap();
    hub.advance(&header, &[RecordBody { source: RecordSource::System(system), verdict: Verdict::Accepted, events }]);
}

fn rested(number: u64, price: u64, lots: u64) -> Event {
    Event::OrderRested(OrderRested {
        market: MARKET,
        number: OrderNumber::new(number),
        account: AccountId::new(7),
        client_id: ClientOrderId::NONE,
        grant: GrantNumber::NONE,
        side: Side::Ask,
        price: PriceTicks::from_ticks(price),
        quantity: QuantityLots::from_lots(lots),
        is_reduce_only: false,
        is_ladder: false,
        expires_ms: TimeMs::ZERO,
        origin: RecordIndex::NONE,
    })
}

fn traded(number: u64, maker_order: u64, lots: u64) -> Event {
    Event::TradeExecuted(TradeExecuted {
        market: MARKET,
        number: TradeNumber::new(number),
        maker_order: OrderNumber::new(maker_order),
        maker: AccountId::new(7),
        taker_order: OrderNumber::new(100 + number),
        taker: AccountId::new(8),
        taker_grant: GrantNumber::NONE,
        taker_side: Side::Bid,
        price: PriceTicks::from_ticks(50),
        quantity: QuantityLots::from_lots(lots),
        maker_fee: QuoteMicros::ZERO,
        taker_fee: QuoteMicros::from_micros(3),
    })
}

fn next(listener: &mut Listener) -> Value {
    serde_json::from_str(&listener.messages.try_recv().unwrap().text).unwrap()
}

fn asks(hub: &Hub) -> Vec<(u64, u64, u32)> {
    let book = hub.book(MARKET, 10).unwrap();
    book.asks.iter().map(|level| (level.price_ticks.0, level.quantity_lots.0, level.orders)).collect()
}

#[test]
fn a_book_follows_the_events_and_changes_name_the_sequence_before() {
    let hub = hub();
    let mut listener = hub.listen();
    advance(&hub, 1, vec![rested(1, 50, 4), rested(2, 50, 6), rested(3, 51, 1)]);
    hub.subscribe(listener.id, Topic::Book(MARKET), None).unwrap();
    let snapshot = next(&mut listener);
    assert_eq!((snapshot["kind"].as_str(), snapshot["sequence"].as_u64()), (Some("snapshot"), Some(1)));
    advance(&hub, 2, vec![]);
    advance(&hub, 3, vec![traded(1, 1, 3)]);
    advance(&hub, 4, vec![traded(2, 1, 1), traded(3, 2, 6), traded(4, 3, 1)]);
    assert_eq!(asks(&hub), []);
    let change = next(&mut listener);
    assert_eq!((change["previous_sequence"].as_u64(), change["sequence"].as_u64()), (Some(1), Some(3)));
    assert_eq!(change["asks"], serde_json::json!([{ "price_ticks": "50", "quantity_lots": "7", "orders": 2 }]));
    let gone = next(&mut listener);
    assert_eq!((gone["previous_sequence"].as_u64(), gone["sequence"].as_u64()), (Some(3), Some(4)));
    assert!(gone["asks"].as_array().unwrap().iter().all(|level| level["quantity_lots"] == "0"), "{gone}");
    assert!(listener.messages.try_recv().is_err(), "a block that changes nothing is not told");
}

#[test]
fn one_that_does_not_read_is_cut_off_and_the_others_miss_nothing() {
    let hub = hub();
    let (mut slow, mut fast) = (hub.listen(), hub.listen());
    for listener in [&slow, &fast] {
        hub.subscribe(listener.id, Topic::Blocks, None).unwrap();
    }
    assert_eq!(next(&mut fast)["kind"], "snapshot");
    let blocks = u64::try_from(MESSAGES_QUEUED_MAX).unwrap() + 50;
    for height in 1..=blocks {
        advance(&hub, height, vec![]);
        let message = next(&mut fast);
        assert_eq!(
            (message["sequence"].as_u64(), message["previous_sequence"].as_u64()),
            (Some(height), Some(height - 1))
        );
    }
    let mut queued = 0;
    while slow.messages.try_recv().is_ok() {
        queued += 1;
    }
    assert_eq!((queued, slow.end()), (MESSAGES_QUEUED_MAX, ListenerEnd::TooSlow));
    assert!(slow.messages.is_closed());
    assert_eq!((hub.listener_count(), fast.end()), (1, ListenerEnd::HubGone));
}

#[test]
fn a_snapshot_of_trades_is_bounded_and_says_that_it_leaves_out_some() {
    let hub = hub();
    for height in 1..=10 {
        let trades = (1..=101).map(|number| traded((height - 1) * 101 + number, 1, 1)).collect();
        advance(&hub, height, trades);
    }
    let mut listener = hub.listen();
    hub.subscribe(listener.id, Topic::Trades(MARKET), Some(0)).unwrap();
    let snapshot = next(&mut listener);
    let trades = snapshot["trades"].as_array().unwrap();
    assert_eq!((trades.len(), snapshot["has_gap"].as_bool()), (1_000, Some(true)));
    assert_eq!((trades[0]["number"].as_u64(), trades[999]["number"].as_u64()), (Some(11), Some(1_010)));
    hub.unsubscribe(listener.id, Topic::Trades(MARKET));
    hub.subscribe(listener.id, Topic::Trades(MARKET), Some(1)).unwrap();
    assert_eq!(next(&mut listener)["has_gap"], false);
}

#[test]
fn one_that_comes_back_gets_what_it_missed_or_is_told_that_it_cannot() {
    let hub = hub();
    for height in 1..=10 {
        advance(&hub, height, vec![rested(height, 60, 1), traded(height, height, 1)]);
    }
    let mut listener = hub.listen();
    hub.subscribe(listener.id, Topic::Trades(MARKET), Some(7)).unwrap();
    let snapshot = next(&mut listener);
    let numbers: Vec<u64> =
        snapshot["trades"].as_array().unwrap().iter().map(|trade| trade["number"].as_u64().unwrap()).collect();
    assert_eq!((numbers, snapshot["has_gap"].as_bool()), (vec![8, 9, 10], Some(false)));
    hub.subscribe(listener.id, Topic::Blocks, Some(8)).unwrap();
    assert_eq!(next(&mut listener)["blocks"].as_array().unwrap().len(), 2);
    hub.subscribe(listener.id, Topic::Account(AccountId::new(7)), Some(8)).unwrap();
    assert_eq!(next(&mut listener)["has_gap"], true, "events of accounts are not remembered");
    advance(&hub, 11, vec![rested(11, 60, 1)]);
    let [_blocks, account] = [next(&mut listener), next(&mut listener)].map(|message| message["channel"].clone());
    assert!(account == "account" || account == "blocks");

    let late = u64::try_from(BLOCKS_REMEMBERED_MAX).unwrap() + 12;
    let mut late_listener = hub.listen();
    (12..=late).for_each(|height| advance(&hub, height, vec![]));
    hub.subscribe(late_listener.id, Topic::Blocks, Some(3)).unwrap();
    let snapshot = next(&mut late_listener);
    assert_eq!(snapshot["has_gap"], true);
    assert_eq!(snapshot["blocks"].as_array().unwrap().len(), BLOCKS_REMEMBERED_MAX);
}

#[test]
fn trades_after_a_number_are_complete_or_say_so() {
    let hub = hub();
    let many = u64::try_from(markets::TRADES_REMEMBERED_MAX).unwrap() + 5;
    advance(&hub, 1, vec![rested(1, 50, 2 * many)]);
    for (height, number) in (2..).zip(1..=many) {
        advance(&hub, height, vec![traded(number, 1, 1)]);
    }
    let numbers = |after, count| {
        let answer = hub.trades(MARKET, after, count).unwrap();
        (answer.has_gap, answer.trades.iter().map(|trade| trade.number).collect::<Vec<u64>>())
    };
    assert_eq!(numbers(Some(5), 2), (false, vec![6, 7]), "the first five are forgotten, and nothing after them");
    assert_eq!(numbers(Some(4), 2), (true, vec![6, 7]));
    assert_eq!(numbers(None, 2), (false, vec![many - 1, many]));
    assert!(hub.trades(MarketId::new(9), None, 1).is_none());
}

#[test]
fn an_account_hears_of_its_own_events_alone() {
    let hub = hub();
    let mut listener = hub.listen();
    hub.subscribe(listener.id, Topic::Account(AccountId::new(8)), None).unwrap();
    assert_eq!(next(&mut listener)["kind"], "snapshot");
    advance(&hub, 1, vec![rested(1, 50, 4)]);
    assert!(listener.messages.try_recv().is_err(), "that was account 7");
    advance(&hub, 2, vec![traded(1, 1, 4)]);
    let message = next(&mut listener);
    let [event] = message["events"].as_array().unwrap().as_slice() else { panic!("{message}") };
    assert_eq!((event["event"].as_str(), event["role"].as_str()), (Some("filled"), Some("taker")));
    assert_eq!(event["fee_quote_micros"], "3");
    hub.unsubscribe(listener.id, Topic::Account(AccountId::new(8)));
    assert!(hub.lock().accounts.is_empty(), "nobody listens, so nothing is followed");
}

fn insured(amount: i64) -> Event {
    Event::InsurancePaid(InsurancePaid {
        segment: SegmentId::new(1),
        market: MARKET,
        account: AccountId::new(7),
        amount: QuoteMicros::from_micros(amount),
    })
}

#[test]
fn liquidations_are_told_step_by_step_without_the_account() {
    let hub = hub();
    let mut listener = hub.listen();
    hub.subscribe(listener.id, Topic::Liquidations, None).unwrap();
    assert_eq!(next(&mut listener)["liquidations"], serde_json::json!([]));
    let nothing_traded = Event::LiquidationSliced(LiquidationSliced {
        market: MARKET,
        account: AccountId::new(7),
        traded: QuoteMicros::ZERO,
        fee: QuoteMicros::ZERO,
    });
    let passed = Event::PositionPassed(PositionPassed {
        market: MARKET,
        from: AccountId::new(7),
        to: AccountId::new(9),
        from_side: Side::Ask,
        quantity: QuantityLots::from_lots(3),
        notional: QuoteMicros::from_micros(90),
        cause: PassCause::Deleveraging,
    });
    advance(&hub, 1, vec![rested(1, 50, 4), nothing_traded, insured(12), passed]);
    let message = next(&mut listener);
    let told = message["liquidations"].as_array().unwrap();
    let steps: Vec<_> = told.iter().map(|it| (it["step"].as_str(), it["amount_quote_micros"].as_str())).collect();
    assert_eq!(steps, [(Some("insurance"), Some("12")), (Some("deleveraging"), Some("90"))]);
    assert_eq!((told[1]["side"].as_str(), told[1]["quantity_lots"].as_str()), (Some("ask"), Some("3")));
    assert!(!message.to_string().contains("account"), "{message}");
    assert_eq!(hub.liquidations(100).liquidations.len(), 2);
    let last = hub.liquidations(1).liquidations;
    assert_eq!(last.iter().map(|it| it.amount_quote_micros.0).collect::<Vec<_>>(), [90], "the last of them");
}

#[test]
fn a_channel_that_had_to_forget_says_so_to_those_who_missed_it() {
    let hub = hub();
    let one_block = LIQUIDATIONS_REMEMBERED_MAX / 2 + 1;
    for height in 1..=2 {
        advance(&hub, height, (0..one_block).map(|_| insured(1)).collect());
    }
    let mut listener = hub.listen();
    let mut has_gap = |after| {
        hub.subscribe(listener.id, Topic::Liquidations, Some(after)).unwrap();
        let snapshot = next(&mut listener);
        (snapshot["has_gap"].as_bool().unwrap(), snapshot["liquidations"].as_array().unwrap().len())
    };
    assert_eq!(has_gap(0), (true, LIQUIDATIONS_REMEMBERED_MAX), "the first two had to make room");
    assert_eq!(has_gap(1), (false, one_block));
    assert_eq!(has_gap(2), (false, 0));
}

#[test]
fn topics_of_one_listener_are_bounded_and_must_exist() {
    let hub = hub();
    let listener = hub.listen();
    let subscribe = |account| hub.subscribe(listener.id, Topic::Account(AccountId::new(account)), None);
    assert_eq!(hub.subscribe(listener.id, Topic::Book(MarketId::new(9)), None), Err(NotSubscribed::MarketNotFound));
    let max = u64::try_from(TOPICS_MAX).unwrap();
    (1..=max).for_each(|account| subscribe(account).unwrap());
    assert_eq!(subscribe(max), Ok(()), "again is no further topic");
    assert_eq!(subscribe(max + 1), Err(NotSubscribed::TooManyTopics));
}
