//! A preview says what the command then does: verdict, events and how the account stands.

use casemate_protocol::command::{RequestWithdrawal, TimeInForce};
use casemate_protocol::{AccountId, Command, Event, Reject, RejectCode, SegmentId, Side};

use crate::kit::margined::{FIRST, venue};
use crate::kit::{REFERENCE, Venue, ask, bid, list, micros, order};

/// A priced venue where two makers quote both sides of market 1, at two prices.
fn quoted() -> Venue {
    let mut venue = venue();
    venue.hold([REFERENCE, REFERENCE], 2);
    for (maker, away) in [(FIRST + 4, 1), (FIRST + 5, 3)] {
        let quotes = vec![bid(1, REFERENCE - away, 1_500), ask(1, REFERENCE + away, 1_500)];
        let letter = venue.root(maker, quotes);
        let step = venue.step(&[letter]);
        assert_eq!([step.verdict(0, 0), step.verdict(0, 1)], [Ok(()), Ok(())]);
    }
    venue
}

fn withdraw(amount: i64) -> Command {
    let request =
        RequestWithdrawal { segment: SegmentId::new(1), amount: micros(amount), chain: 1, destination: list(vec![1]) };
    Command::RequestWithdrawal(Box::new(request))
}

/// Numbers that a preview cannot know: of the record that a command comes from.
fn without_origins(events: &[Event]) -> Vec<Event> {
    let mut events = events.to_vec();
    for event in &mut events {
        match event {
            Event::OrderRested(rested) => rested.origin = Default::default(),
            Event::WithdrawalRequested(requested) => {
                requested.origin = Default::default();
                // The clock goes on by 10 ms until the block of the command.
                requested.due_waiting_ms = Default::default();
            }
            _ => {}
        }
    }
    events
}

/// Previews a command, gives it, and holds one against the other.
fn compare(venue: &mut Venue, account: u64, command: Command) -> Result<(), RejectCode> {
    let id = AccountId::new(account);
    let preview = venue.ledger().preview(id, &command).expect("a command that can be previewed");
    let letter = venue.root(account, vec![command.clone()]);
    let step = venue.step(&[letter]);
    let verdict = preview.verdict.map_err(|reject| reject.code());
    assert_eq!(step.verdict(0, 0), verdict, "{command:?}");
    if verdict.is_ok() {
        let own: Vec<Event> = step
            .records
            .iter()
            .filter(|record| step.asked(record).is_some())
            .flat_map(|record| record.events.iter().cloned())
            .collect();
        assert_eq!(without_origins(&own), without_origins(&preview.events), "{command:?}");
        assert_eq!(venue.ledger().standing(id, SegmentId::new(1)), Some(preview.after), "{command:?}");
    }
    verdict
}

#[test]
fn a_preview_is_what_the_command_then_does() {
    let mut venue = quoted();
    let mut verdicts = Vec::new();
    let fill = |side, price, lots, time| Command::PlaceOrder(order(1, side, price, lots, time));
    for (account, command) in [
        (FIRST, fill(Side::Bid, REFERENCE + 2, 1_000, TimeInForce::ImmediateOrCancel)),
        // Two makers, one of them twice.
        (FIRST, fill(Side::Bid, REFERENCE + 5, 1_200, TimeInForce::GoodTillCancel)),
        (FIRST, fill(Side::Bid, REFERENCE + 5, 5_000, TimeInForce::GoodTillCancel)),
        (FIRST + 1, fill(Side::Ask, REFERENCE - 5, 2_000, TimeInForce::FillOrKill)),
        (FIRST + 1, fill(Side::Ask, REFERENCE - 5, 2_001, TimeInForce::FillOrKill)),
        (FIRST + 3, fill(Side::Ask, REFERENCE - 5, 1_500, TimeInForce::FillOrKill)),
        (FIRST + 1, fill(Side::Ask, REFERENCE + 9, 100, TimeInForce::PostOnly)),
        (FIRST + 1, fill(Side::Ask, REFERENCE - 9, 100, TimeInForce::PostOnly)),
        (FIRST + 1, fill(Side::Bid, REFERENCE * 2, 100, TimeInForce::GoodTillCancel)),
        (FIRST + 2, withdraw(1_000_000)),
        (FIRST + 2, withdraw(0)),
        (FIRST + 2, withdraw(999_000_000)),
    ] {
        verdicts.push(compare(&mut venue, account, command));
    }
    assert!(verdicts.contains(&Ok(())) && verdicts.contains(&Err(RejectCode::InsufficientFreeCollateral)));
    assert!(verdicts.contains(&Err(RejectCode::FillOrKillNotFillable)), "{verdicts:?}");
}

#[test]
fn withdrawable_is_the_largest_amount_that_a_request_may_name() {
    for lots in [0, 500, 1_500] {
        let mut venue = quoted();
        if lots > 0 {
            venue.ask(FIRST, bid(1, REFERENCE + 5, lots)).expect("carried");
        }
        let standing = venue.ledger().standing(AccountId::new(FIRST), SegmentId::new(1)).expect("has money");
        let most = standing.withdrawable.micros();
        assert!(most > 0, "{standing:?}");
        let verdict = |amount| venue.ledger().preview(AccountId::new(FIRST), &withdraw(amount)).expect("known").verdict;
        assert_eq!(verdict(most), Ok(()), "{lots} lots");
        assert!(verdict(most + 1).is_err(), "{lots} lots");
    }
}

#[test]
fn the_nearest_to_liquidation_come_first_and_are_due_below_zero() {
    let mut venue = quoted();
    venue.ask(FIRST, bid(1, REFERENCE + 5, 3_000)).expect("carried");
    venue.ask(FIRST + 1, ask(1, REFERENCE - 5, 400)).expect("carried");
    let ledger = venue.ledger();
    let segment = ledger.segment(SegmentId::new(1)).expect("segment 1");
    let nearest = ledger.nearest_liquidation(segment, 10);
    assert_eq!(nearest[0].0, AccountId::new(FIRST), "{nearest:?}");
    assert!(nearest.is_sorted_by_key(|(_, _, ppm)| *ppm));
    // 20 of equity on 300 of notional, with 3 % of maintenance.
    assert!((20_000..40_000).contains(&nearest[0].2), "{nearest:?}");
    assert_eq!(ledger.nearest_liquidation(segment, 1).len(), 1);
}

#[test]
fn what_is_no_order_and_takes_nothing_out_has_no_preview() {
    let venue = quoted();
    let account = AccountId::new(FIRST);
    let refused = |command| venue.ledger().preview(account, &command).map(drop).map_err(|reject: Reject| reject.code());
    assert_eq!(refused(crate::kit::cancel(1, 1)), Err(RejectCode::PolicyForbids));
    assert_eq!(refused(bid(9, 1, 1)), Err(RejectCode::MarketNotFound));
}
