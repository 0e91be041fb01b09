//! Random sequences: what must hold whatever happens, and that everything does happen.

use std::cell::RefCell;
use std::collections::BTreeMap;

use casemate_protocol::command::{Command, Side};
use casemate_protocol::event::{Event, OrderRested};
use casemate_protocol::{MarketId, QuantityLots, RecordIndex, Reject, SegmentId, TimeMs};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::Model;
use super::coverage::Coverage;
use super::generate::{Input, Sequence, feed, sequence};
use super::world::{ACCOUNTS, START_MS, World};

const SEQUENCES: u32 = 3_000;

#[test]
fn prop_the_laws_hold_and_every_reachable_rule_is_reached() {
    let coverage = RefCell::new(Coverage::default());
    let config = Config { cases: SEQUENCES, failure_persistence: None, ..Config::default() };
    // The same sequences in every run.
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&sequence(), |sequence| {
        check_sequence(&sequence, &mut coverage.borrow_mut());
        Ok(())
    });
    outcome.unwrap();

    let missing = coverage.borrow().missing();
    assert!(missing.is_empty(), "never reached: {missing:?} of {coverage:#?}");
}

fn check_sequence(sequence: &Sequence, coverage: &mut Coverage) {
    let world = sequence.world();
    world.genesis.validate().unwrap();
    let mut model = world.model();
    let mut time_ms = TimeMs::from_ms(START_MS);
    let mut replay = Replay::default();
    for (step, record) in sequence.steps.iter().zip(1..) {
        let before = model.clone();
        let input = step.resolve(&model, time_ms);
        let result = feed(&mut model, &mut time_ms, RecordIndex::new(record), &input);
        coverage.record(&before, &input, &result, &model);
        match &result {
            Err(_) => assert!(model == before, "a refusal changed something"),
            Ok(events) => events.iter().for_each(|event| replay.follow(event)),
        }
        replay.check(&model);
        check_money(&world, &model);
        check_books(&world, &model);
        check_orders(&world, &model);
        check_resting_collateral(&before, &model, &input, &result);
        check_budgets(&world, &model);
    }
}

fn markets(world: &World) -> impl Iterator<Item = MarketId> {
    world.genesis.markets.iter().map(|market| market.id)
}

/// No trade makes or loses money, and every long has its short.
fn check_money(world: &World, model: &Model) {
    for segment in &world.genesis.segments {
        let of_segment = world.balances.iter().filter(|(of, _, _)| *of == segment.id);
        let start: i128 = of_segment.map(|(_, _, cash)| i128::from(cash.micros())).sum();
        assert_eq!(model.total(segment.id), start);
        assert!(model.fees(segment.id) >= 0, "a rebate is never more than the taker fee");
    }
    for market in &world.genesis.markets {
        let (longs, shorts) = model.open_interest(market.id);
        assert_eq!(longs, shorts);
        for account in (1..=ACCOUNTS).map(casemate_protocol::AccountId::new) {
            let (lots, entry) = model.position(market.id, account);
            assert!(lots.abs() <= i128::from(market.position_lots_max.lots()), "position beyond its maximum");
            assert!(lots.signum() == entry.signum(), "a position without entry notional, or of the other sign");
        }
    }
}

/// A book never crosses itself, and shows its orders in the order of priority.
fn check_books(world: &World, model: &Model) {
    for market in markets(world) {
        let resting = model.resting(market);
        let (bids, asks): (Vec<OrderRested>, Vec<OrderRested>) =
            resting.into_iter().partition(|order| order.side == Side::Bid);
        assert!(bids.is_sorted_by(|better, worse| better.price >= worse.price));
        assert!(asks.is_sorted_by(|better, worse| better.price <= worse.price));
        if let (Some(bid), Some(ask)) = (bids.first(), asks.first()) {
            assert!(bid.price < ask.price, "the book is crossed");
        }
    }
}

/// Numbers and names are unique, nothing empty rests, nobody has more orders than allowed.
fn check_orders(world: &World, model: &Model) {
    for segment in &world.genesis.segments {
        let of_segment = world.genesis.markets.iter().filter(|market| market.segment == segment.id);
        let orders: Vec<OrderRested> = of_segment.flat_map(|market| model.resting(market.id)).collect();
        let mut counts: BTreeMap<_, u32> = BTreeMap::new();
        for (index, order) in orders.iter().enumerate() {
            assert!(!order.quantity.is_zero());
            *counts.entry(order.account).or_default() += 1;
            for other in &orders[..index] {
                assert_ne!(order.number, other.number);
                let is_same_name = order.account == other.account && order.client_id == other.client_id;
                assert!(order.client_id.is_none() || !is_same_name, "a name for two orders");
            }
        }
        assert!(counts.values().all(|count| *count <= segment.open_orders_max));
    }
}

/// What a session trades with orders that can add risk, and what rests of them, stays within its budget.
fn check_budgets(world: &World, model: &Model) {
    for grant in &world.grants {
        let (committed, budget) = model.grant_law(grant.account, grant.number);
        assert!(committed <= budget, "grant {} of account {} over its budget", grant.number, grant.account);
    }
}

/// An order that did nothing but rest left its owner with free collateral, or with no less than before.
fn check_resting_collateral(before: &Model, after: &Model, input: &Input, result: &Result<Vec<Event>, Reject>) {
    let (Input::Command { account, command: Command::PlaceOrder(place), .. }, Ok(events)) = (input, result) else {
        return;
    };
    if events.iter().any(|event| !matches!(event, Event::OrderRested(_))) {
        return;
    }
    let segment: SegmentId = after.rules_or_reject(place.market).unwrap().segment;
    let (was, is) = (before.free(segment, *account), after.free(segment, *account));
    assert!(is >= 0 || is >= was || place.is_reduce_only, "free collateral went from {was} to {is}");
}

/// The books as the events alone tell them.
#[derive(Default)]
struct Replay {
    resting: Vec<OrderRested>,
    lots: BTreeMap<(MarketId, casemate_protocol::AccountId), i128>,
}

impl Replay {
    fn follow(&mut self, event: &Event) {
        match event {
            Event::OrderRested(rested) => self.resting.push(*rested),
            Event::OrderRemoved(removed) => {
                let index = self.find(removed.market, removed.number);
                let gone = self.resting.remove(index);
                assert_eq!((gone.quantity, gone.account), (removed.quantity, removed.account));
            }
            Event::OrderReduced(reduced) => {
                let index = self.find(reduced.market, reduced.number);
                assert!(reduced.quantity <= self.resting[index].quantity);
                self.resting[index].quantity = reduced.quantity;
            }
            Event::TradeExecuted(trade) => {
                let index = self.find(trade.market, trade.maker_order);
                let maker = self.resting[index];
                assert_eq!((maker.price, maker.account), (trade.price, trade.maker));
                assert_ne!(trade.maker, trade.taker);
                let left = maker.quantity.checked_sub(trade.quantity).unwrap();
                self.resting[index].quantity = left;
                if left == QuantityLots::ZERO {
                    self.resting.remove(index);
                }
                let quantity = i128::from(trade.quantity.lots()) * super::account::sign(trade.taker_side);
                *self.lots.entry((trade.market, trade.taker)).or_default() += quantity;
                *self.lots.entry((trade.market, trade.maker)).or_default() -= quantity;
            }
            Event::LadderLevelSkipped(_) | Event::RemainderDropped(_) => {}
            other => panic!("the model does not make {other:?}"),
        }
    }

    fn find(&self, market: MarketId, number: casemate_protocol::OrderNumber) -> usize {
        let found = self.resting.iter().position(|order| (order.market, order.number) == (market, number));
        found.expect("an event names an order that rests")
    }

    fn check(&self, model: &Model) {
        for market in [1, 2].map(MarketId::new) {
            let mut told: Vec<OrderRested> =
                self.resting.iter().filter(|order| order.market == market).copied().collect();
            // Arrival is the order of the list, so a stable sort by side and price gives priority.
            told.sort_by_key(|order| {
                (
                    order.side,
                    match order.side {
                        Side::Bid => -i128::from(order.price.ticks()),
                        Side::Ask => i128::from(order.price.ticks()),
                    },
                )
            });
            assert_eq!(told, model.resting(market));
        }
        for ((market, account), lots) in &self.lots {
            assert_eq!(*lots, model.position(*market, *account).0);
        }
    }
}
