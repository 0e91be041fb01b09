//! A segment that breaks a law falls alone, and the block stands without it.

use casemate_ledger::{BrokenLaw, Law};
use casemate_protocol::command::{
    Beneficiary, CancelAllOrders, CancelScope, CloseAccount, RequestTransfer, RequestWithdrawal, RevokeGrant,
};
use casemate_protocol::{AccountId, Command, GrantNumber, Height, RejectCode, SegmentId};
use casemate_replica::InvalidBlock;
use proptest::prelude::*;

use crate::kit::random::{Choices, STEPS_MS, letters};
use crate::kit::{
    Backwards, FIRST, Letter, OPENING_MIN, Venue, ask, bid, claim, genesis, is_accepted, list, micros, opener_key,
    public_key, replica, sequences, terms,
};

const ONE: SegmentId = SegmentId::new(1);
const TWO: SegmentId = SegmentId::new(2);

fn is_halted(venue: &Venue, segment: SegmentId) -> bool {
    venue.ledger().segment(segment).unwrap().totals().is_halted
}

fn next_height(venue: &Venue) -> Height {
    venue.ledger().chain().height.next()
}

/// A maker's orders in both segments, so that takers trade at once.
fn with_makers() -> Venue {
    let mut venue = Venue::new();
    let letter = venue.root(FIRST, vec![ask(1, 1_000, 10), ask(3, 1_000, 10)]);
    venue.step(&[letter]);
    venue
}

#[test]
fn a_segment_that_breaks_a_law_loses_its_write_set_and_the_other_segments_trades_stand() {
    let mut venue = with_makers();
    let before = venue.snapshot();
    let root_before = *venue.replica.state_root();
    let height = next_height(&venue);
    venue.replica.break_law_for_testing(ONE, height);
    let (taker, second) = (FIRST + 1, FIRST + 2);
    let letters = [
        venue.root(taker, vec![bid(1, 1_000, 4), bid(3, 1_000, 4)]),
        venue.root(second, vec![bid(1, 1_000, 2)]),
        venue.root(second, vec![bid(3, 1_000, 2)]),
    ];
    let sealed: Vec<Vec<u8>> = letters.iter().map(Letter::sealed).collect();
    let (time_ms, nonce) = (venue.time_ms, letters[1].intent.nonce);
    let step = venue.propose(10, sealed.clone());
    assert_eq!(step.executed.broken.len(), 1);
    assert_eq!(step.executed.broken[0].segment, ONE);
    assert_eq!(step.verdict(0, 0), Err(RejectCode::SegmentFaulted));
    assert_eq!(step.verdict(0, 1), Ok(()));
    assert_eq!(step.verdict(1, 0), Err(RejectCode::SegmentFaulted));
    assert_eq!(step.verdict(2, 0), Ok(()));
    for record in &step.records {
        assert_eq!(is_accepted(record), !record.events.is_empty(), "refused means without events");
    }
    assert!(is_halted(&venue, ONE) && !is_halted(&venue, TWO));
    assert_eq!((venue.lots(1, taker), venue.lots(3, taker), venue.lots(3, second)), (0, 4, 2));
    let used = venue.ledger().accounts().account(AccountId::new(second)).unwrap().nonces().require_free(nonce);
    assert_eq!(used.unwrap_err().code(), RejectCode::NonceUsed, "nonces stay used");

    venue.replica.discard();
    assert!(!is_halted(&venue, ONE), "discarding the block frees the segment");
    assert!(venue.snapshot() == before && venue.ledger().state_root() == root_before);
    venue.time_ms = time_ms;
    let again = venue.propose(10, sealed);
    assert_eq!(again.executed.state_root, step.executed.state_root);
    venue.replica.adopt();
    assert!(is_halted(&venue, ONE));
    assert_eq!(venue.ledger().check_laws_from_rows(), []);
}

/// Regression: where a command had more events than its record holds, the error was dropped and an empty body was sealed. Its
/// effects stood, and nobody could replay them.
#[test]
fn a_record_with_more_events_than_it_holds_faults_its_segment_and_is_not_sealed_empty() {
    let mut venue = with_makers();
    let height = next_height(&venue);
    venue.replica.flood_record_for_testing(ONE, height);
    let (taker, before) = (FIRST + 1, venue.lots(1, FIRST + 1));
    let letter = venue.root(taker, vec![bid(1, 1_000, 4), bid(3, 1_000, 4)]);
    let step = venue.step(&[letter]);
    assert_eq!(step.executed.broken, [BrokenLaw { segment: ONE, law: Law::RecordFits }]);
    assert_eq!(step.verdict(0, 0), Err(RejectCode::SegmentFaulted));
    assert_eq!(step.verdict(0, 1), Ok(()));
    assert!(step.executed.body_ranges.iter().all(|range| !range.is_empty()), "every body is there");
    assert!(is_halted(&venue, ONE) && !is_halted(&venue, TWO));
    assert_eq!((venue.lots(1, taker), venue.lots(3, taker)), (before, 4));
    assert_eq!(venue.ledger().check_laws_from_rows(), []);
}

#[test]
fn a_second_replica_with_the_same_fault_agrees_and_one_without_it_does_not() {
    let mut venue = Venue::new();
    let (mut same, mut healthy) = (replica(&genesis()), replica(&genesis()));
    let letter = venue.root(FIRST, vec![ask(1, 1_000, 10), ask(3, 1_000, 10)]);
    let first = venue.step(&[letter]).block;
    let height = next_height(&venue);
    venue.replica.break_law_for_testing(ONE, height);
    same.break_law_for_testing(ONE, height);
    let letter = venue.root(FIRST + 1, vec![bid(1, 1_000, 4), bid(3, 1_000, 4)]);
    let faulted = venue.step(&[letter]).block;
    let letter = venue.root(FIRST + 1, vec![bid(3, 1_000, 4)]);
    let after = venue.step(&[letter]).block;
    for block in [&first, &faulted, &after] {
        assert!(same.execute(block, &Backwards).is_ok());
    }
    assert_eq!(same.state_root(), venue.replica.state_root());
    healthy.execute(&first, &Backwards).unwrap();
    assert_eq!(healthy.execute(&faulted, &Backwards).err(), Some(InvalidBlock::StateRoot));
}

#[test]
fn a_halted_segment_takes_cancels_and_deposits_only() {
    let mut venue = with_makers();
    let height = next_height(&venue);
    venue.replica.break_law_for_testing(ONE, height);
    venue.wait(10);
    assert!(is_halted(&venue, ONE));
    let halted = Err(RejectCode::SegmentHalted);
    assert_eq!(venue.ask(FIRST + 1, bid(1, 1_000, 4)), halted);
    let out = RequestWithdrawal { segment: ONE, amount: micros(1), chain: 1, destination: list(vec![1]) };
    assert_eq!(venue.ask(FIRST + 1, Command::RequestWithdrawal(Box::new(out))), halted);
    let transfer = RequestTransfer { from: ONE, to: TWO, amount: micros(1) };
    assert_eq!(venue.ask(FIRST + 1, Command::RequestTransfer(transfer)), halted);
    assert_eq!(venue.ask(FIRST + 1, bid(3, 1_000, 4)), Ok(()), "the other segment goes on");
    let step = venue.attest(&[1, 2], &claim(1, 5, Beneficiary::Account(AccountId::new(FIRST))));
    assert_eq!(step.verdict(1, 0), Ok(()));
    let cancel = CancelAllOrders { scope: CancelScope::Segment(ONE) };
    assert_eq!(venue.ask(FIRST, Command::CancelAllOrders(cancel)), Ok(()));
    assert_eq!(venue.open_orders(1, FIRST), 0);
}

/// Regression: an opening writes the table of accounts and a segment. When the segment fell, the account stood with a
/// bond that no vault held, its record kept the events, and closing the account took the bond from others.
#[test]
fn an_opening_whose_segment_faults_leaves_no_account_because_the_block_runs_again_without_the_segment() {
    let mut venue = Venue::new();
    let key = opener_key(0);
    venue.attest(&[1, 2], &claim(1, OPENING_MIN, Beneficiary::RootKey(public_key(&key))));
    let accounts = venue.ledger().accounts().last_account();
    let height = next_height(&venue);
    venue.replica.break_law_for_testing(ONE, height);
    let letter = venue.opening(key);
    let step = venue.step(&[letter]);
    assert_eq!(step.only(), Err(RejectCode::SegmentFaulted));
    assert_eq!(step.events().count(), 0);
    assert_eq!(venue.ledger().accounts().last_account(), accounts);
    assert_eq!(venue.ledger().accounts().account_of_root(&public_key(&key)), None);
}

/// Regression: an account closed in the block in which its last position's segment fell stayed closed, although the
/// position came back.
#[test]
fn an_account_closed_on_the_strength_of_a_segment_that_faults_stays_open() {
    let mut venue = Venue::new();
    let account = venue.open(0, OPENING_MIN);
    let cash = venue.cash(1, account);
    let out = |amount| {
        Command::RequestWithdrawal(Box::new(RequestWithdrawal {
            segment: ONE,
            amount: micros(amount),
            chain: 1,
            destination: list(vec![1]),
        }))
    };
    let close = Command::CloseAccount(Box::new(CloseAccount { chain: 1, destination: list(vec![1]) }));
    let key = opener_key(0);
    // Everything leaves, part by part, as the limiter lets it.
    while venue.cash(1, account) > 2_000_000 {
        let letter = venue.letter(account, casemate_protocol::envelope::SignerRole::Root, key, vec![out(2_000_000)]);
        assert_eq!(venue.step(&[letter]).only(), Ok(()));
        venue.wait_through(60_000);
    }
    let rest = venue.cash(1, account);
    assert!(rest > 0 && rest < cash);
    let letter = venue.letter(account, casemate_protocol::envelope::SignerRole::Root, key, vec![out(rest)]);
    assert_eq!(venue.step(&[letter]).only(), Ok(()));
    let steps = venue.wait_through(60_000);
    assert!(steps.iter().any(|step| step.events().count() > 0), "the last withdrawal was released");
    let height = next_height(&venue);
    venue.replica.break_law_for_testing(ONE, height);
    let letter = venue.letter(account, casemate_protocol::envelope::SignerRole::Root, key, vec![close]);
    assert_eq!(venue.step(&[letter]).only(), Err(RejectCode::SegmentFaulted));
    assert!(venue.ledger().accounts().account(AccountId::new(account)).unwrap().is_open());
}

/// Regression: taking back a block in which a segment failed that was halted before freed the segment.
#[test]
fn discarding_a_block_does_not_free_a_segment_that_was_halted_before_it() {
    let mut venue = with_makers();
    let height = next_height(&venue);
    venue.replica.break_law_for_testing(ONE, height);
    venue.wait(10);
    let height = next_height(&venue);
    venue.replica.break_law_for_testing(ONE, height);
    venue.propose(10, Vec::new());
    venue.replica.discard();
    assert!(is_halted(&venue, ONE));
}

#[test]
fn a_revocation_stands_although_the_segment_of_the_grants_orders_faults() {
    let mut venue = Venue::new();
    assert_eq!(venue.ask_session(FIRST, 1, bid(1, 900, 2)), Ok(()));
    assert_eq!(venue.ask_session(FIRST, 1, bid(3, 900, 2)), Ok(()));
    let height = next_height(&venue);
    venue.replica.break_law_for_testing(ONE, height);
    assert_eq!(venue.ask(FIRST, Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(1) })), Ok(()));
    assert_eq!((venue.open_orders(1, FIRST), venue.open_orders(2, FIRST)), (1, 0));
    assert_eq!(venue.ask_session(FIRST, 1, bid(3, 900, 2)), Err(RejectCode::GrantRevoked));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sequences(64)))]

    /// Whatever the block does, a fault in one segment leaves the state that a block without that segment's commands
    /// would leave, a replica with the same fault agrees, and discarding it restores everything.
    #[test]
    fn prop_a_fault_is_contained_undone_and_agreed_on(
        bytes in proptest::collection::vec(any::<u8>(), 300..2_000), faults in proptest::collection::vec(0u64..40, 1..4)
    ) {
        let mut choices = Choices::new(&bytes);
        let mut venue = Venue::new();
        let mut other = replica(&genesis());
        let mut block = 0u64;
        while !choices.is_over() {
            block += 1;
            if faults.contains(&block) {
                let (segment, height) = (if block.is_multiple_of(2) { ONE } else { TWO }, next_height(&venue));
                venue.replica.break_law_for_testing(segment, height);
                other.break_law_for_testing(segment, height);
            }
            let before = venue.snapshot();
            let step_ms = choices.pick(&STEPS_MS);
            let sealed: Vec<Vec<u8>> =
                letters(&mut choices, &mut venue, 8).iter().map(Letter::sealed).collect();
            let time_ms = venue.time_ms;
            let first = venue.propose(step_ms, sealed.clone());
            venue.replica.discard();
            prop_assert!(venue.snapshot() == before);
            venue.time_ms = time_ms;
            let step = venue.propose(step_ms, sealed);
            prop_assert_eq!(&first.block, &step.block);
            venue.replica.adopt();
            prop_assert_eq!(venue.ledger().check_laws_from_rows(), vec![]);
            let verdict = other.execute(&step.block, &Backwards);
            prop_assert!(verdict.is_ok(), "{:?}", verdict.err());
        }
    }
}

/// The one case that random blocks hardly ever meet: the entry that comes back is not the last one.
#[test]
fn discarding_a_revocation_puts_what_the_grant_used_back_in_its_place() {
    let mut venue = Venue::new();
    let second = terms(&venue, FIRST, 2);
    assert_eq!(venue.ask(FIRST, Command::RegisterGrant(Box::new(second))), Ok(()));
    assert_eq!(venue.ask_session(FIRST, 1, bid(1, 900, 2)), Ok(()));
    assert_eq!(venue.ask_session(FIRST, 2, bid(1, 900, 2)), Ok(()));
    let before = venue.snapshot();
    let letter = venue.root(FIRST, vec![Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(1) })]);
    assert_eq!(venue.propose(10, vec![letter.sealed()]).only(), Ok(()));
    venue.replica.discard();
    assert!(venue.snapshot() == before);
}
