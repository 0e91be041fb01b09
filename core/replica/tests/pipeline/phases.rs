//! What happens in which order inside a block, and what the ledger does by itself.

use casemate_protocol::command::{
    AmendOrder, CancelAllOrders, CancelScope, OrderReference, RevokeGrant, SetDeadMan, TimeInForce,
};
use casemate_protocol::event::RemovalCause;
use casemate_protocol::{
    Command, DurationMs, Event, GrantNumber, MarketId, OrderNumber, PriceTicks, QuantityLots, RejectCode, SegmentId,
    Side, TimeMs,
};

use crate::kit::{FIRST, Step, Venue, ask, bid, cancel, order, terms};

const ONE: SegmentId = SegmentId::new(1);

fn cancel_all() -> Command {
    Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Segment(ONE) })
}

fn dead_man(timeout_ms: u64) -> Command {
    Command::SetDeadMan(SetDeadMan { segment: ONE, timeout_ms: DurationMs::from_ms(timeout_ms) })
}

fn removed(step: &Step) -> Vec<(u64, RemovalCause)> {
    let gone = step.events().filter_map(|event| match event {
        Event::OrderRemoved(removed) => Some((removed.number.number(), removed.cause)),
        _ => None,
    });
    gone.collect()
}

#[test]
fn a_cancel_of_an_older_order_comes_before_a_taker_that_stands_before_it_in_the_block() {
    let mut venue = Venue::new();
    assert_eq!(venue.ask(FIRST, ask(1, 1_000, 4)), Ok(()));
    let letters = [venue.root(FIRST + 1, vec![bid(1, 1_000, 4)]), venue.root(FIRST, vec![cancel(1, 1)])];
    let step = venue.step(&letters);
    assert_eq!((step.verdict(0, 0), step.verdict(1, 0)), (Ok(()), Ok(())));
    assert_eq!(step.executed.trades, 0);
}

#[test]
fn a_cancel_of_a_younger_order_stays_at_its_place_behind_the_taker() {
    let mut venue = Venue::new();
    let letters = [
        venue.root(FIRST, vec![ask(1, 1_000, 4)]),
        venue.root(FIRST + 1, vec![bid(1, 1_000, 4)]),
        venue.root(FIRST, vec![cancel(1, 1)]),
    ];
    let step = venue.step(&letters);
    assert_eq!(step.executed.trades, 1);
    assert_eq!(step.verdict(2, 0), Err(RejectCode::OrderNotFound));
}

#[test]
fn an_amend_that_only_shrinks_an_older_order_comes_before_takers_and_one_that_moves_it_does_not() {
    let amend = |price, lots| {
        Command::AmendOrder(AmendOrder {
            market: MarketId::new(1),
            order: OrderReference::Number(OrderNumber::new(1)),
            price: PriceTicks::from_ticks(price),
            quantity: QuantityLots::from_lots(lots),
        })
    };
    for (change, filled) in [(amend(1_000, 2), 2), (amend(1_010, 2), 4)] {
        let mut venue = Venue::new();
        assert_eq!(venue.ask(FIRST, ask(1, 1_000, 4)), Ok(()));
        let letters = [venue.root(FIRST + 1, vec![bid(1, 1_000, 4)]), venue.root(FIRST, vec![change])];
        venue.step(&letters);
        assert_eq!(venue.lots(1, FIRST + 1), filled);
    }
}

#[test]
fn a_cancel_in_a_group_stays_at_its_place() {
    let mut venue = Venue::new();
    assert_eq!(venue.ask(FIRST, ask(1, 1_000, 4)), Ok(()));
    let group = venue.root(FIRST, vec![cancel(1, 1), bid(2, 900, 2)]).group();
    let letters = [venue.root(FIRST + 1, vec![bid(1, 1_000, 4)]), group];
    let step = venue.step(&letters);
    assert_eq!(step.executed.trades, 1);
    assert_eq!(step.verdict(1, 0), Err(RejectCode::OrderNotFound));
    assert_eq!(step.verdict(1, 1), Err(RejectCode::GroupRolledBack));
}

#[test]
fn a_cancel_all_takes_older_orders_before_takers_and_younger_ones_at_its_place_with_a_record_each() {
    let mut venue = Venue::new();
    assert_eq!(venue.ask(FIRST, ask(1, 1_000, 4)), Ok(()));
    let letters = [
        venue.root(FIRST + 1, vec![bid(1, 1_000, 4)]),
        venue.root(FIRST, vec![ask(2, 1_000, 4)]),
        venue.root(FIRST, vec![cancel_all()]),
    ];
    let step = venue.step(&letters);
    assert_eq!(step.executed.trades, 0);
    assert_eq!(removed(&step), [(1, RemovalCause::CancelledAll), (3, RemovalCause::CancelledAll)]);
    assert_eq!(step.records.len(), 4);
    assert_eq!(step.records[0].events.len(), 1, "the early part comes first in the block");
    assert_eq!(step.verdict(2, 0), Ok(()));
    assert_eq!((venue.open_orders(1, FIRST), venue.open_orders(1, FIRST + 1)), (0, 1));
}

#[test]
fn a_good_till_time_order_ends_in_the_first_block_at_its_time_before_anyone_can_take_it() {
    let mut venue = Venue::new();
    let end_ms = venue.time_ms + 500;
    let terms = TimeInForce::GoodTillTime(TimeMs::from_ms(end_ms));
    assert_eq!(venue.ask(FIRST, Command::PlaceOrder(order(1, Side::Ask, 1_000, 4, terms))), Ok(()));
    assert_eq!(removed(&venue.wait(489)), [], "one millisecond before its end");
    let letter = venue.root(FIRST + 1, vec![bid(1, 1_000, 4)]);
    let step = venue.step_after(1, vec![letter.sealed()]);
    assert_eq!(removed(&step), [(1, RemovalCause::Expired)]);
    assert_eq!(step.executed.trades, 0);
}

#[test]
fn a_dead_man_switch_fires_unless_it_is_armed_again_and_takes_every_order_of_its_segment() {
    let mut venue = Venue::new();
    let letter = venue.root(FIRST, vec![bid(1, 900, 2), bid(2, 900, 2), bid(3, 900, 2), dead_man(1_000)]);
    venue.step(&[letter]);
    venue.wait(900);
    assert_eq!(venue.ask(FIRST, dead_man(1_000)), Ok(()));
    assert_eq!(removed(&venue.wait(900)), [], "armed again in time");
    let step = venue.wait(100);
    assert_eq!(removed(&step), [(1, RemovalCause::DeadMan), (2, RemovalCause::DeadMan)]);
    assert_eq!((venue.open_orders(1, FIRST), venue.open_orders(2, FIRST)), (0, 1), "segment 2 has its own switch");
    assert_eq!(venue.ask(FIRST, bid(1, 900, 2)), Ok(()));
    assert_eq!(removed(&venue.wait(5_000)), [], "it fires once");
    let letter = venue.root(FIRST, vec![dead_man(1_000), dead_man(0)]);
    venue.step(&[letter]);
    assert_eq!(removed(&venue.wait(5_000)), [], "zero disarms");
}

#[test]
fn a_revocation_takes_the_sessions_orders_in_every_segment_in_the_same_block_and_no_others() {
    let mut venue = Venue::new();
    assert_eq!(venue.ask(FIRST, bid(1, 900, 2)), Ok(()));
    let second = terms(&venue, FIRST, 2);
    assert_eq!(venue.ask(FIRST, Command::RegisterGrant(Box::new(second))), Ok(()));
    for command in [bid(1, 901, 2), bid(3, 901, 2)] {
        assert_eq!(venue.ask_session(FIRST, 1, command), Ok(()));
    }
    assert_eq!(venue.ask_session(FIRST, 2, bid(1, 902, 2)), Ok(()));
    let letters = [
        venue.root(FIRST, vec![Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(1) })]),
        venue.session(FIRST, 1, vec![bid(1, 903, 2)]),
    ];
    let step = venue.step(&letters);
    assert_eq!(removed(&step), [(2, RemovalCause::GrantRevoked), (1, RemovalCause::GrantRevoked)]);
    assert_eq!(step.verdict(1, 0), Err(RejectCode::GrantRevoked), "recorded, and the block is valid");
    assert_eq!((venue.open_orders(1, FIRST), venue.open_orders(2, FIRST)), (2, 0));
}

#[test]
fn a_key_registered_in_a_block_signs_from_the_next_block_on() {
    let mut venue = Venue::new();
    let second = terms(&venue, FIRST, 2);
    let letters = [
        venue.root(FIRST, vec![Command::RegisterGrant(Box::new(second))]),
        venue.session(FIRST, 2, vec![bid(1, 900, 2)]),
    ];
    let step = venue.step(&letters);
    assert_eq!(step.refused_outside, [(1, RejectCode::KeyNotOfAccount)]);
    assert_eq!(venue.step(&letters[1..]).only(), Ok(()));
}
