//! Stage 6: the table in force, tiers of evidence, rules of the slow path, and machines that cannot tell.

use casemate_audit::Verdict;
use casemate_gate::{BuiltInTable, Decoded, NoProofs, PolicyDecider, authenticate_batch};
use casemate_ledger::SnapshotError;
use casemate_protocol::block::SealSecret;
use casemate_protocol::command::{CancelWithdrawal, RequestTransfer, RequestWithdrawal};
use casemate_protocol::genesis::{Genesis, GenesisRule};
use casemate_protocol::limits::{FRESH_GRANT_MS, LEAVING_WINDOW_MS};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{
    AccountId, Command, DurationMs, QuoteMicros, Reject, RejectCode, SegmentId, TimeMs, WithdrawalNumber,
};
use casemate_replica::{InvalidBlock, Replica};

use crate::kit::words::{self, Words};
use crate::kit::{FIRST, REFERENCE, Venue, bid, genesis, list, micros, seeded_keys, terms};

/// A venue under policies of one line each.
pub fn venue(text: &str) -> Venue<Words> {
    venue_of(Genesis { policies: words::set(text), ..genesis() })
}

fn venue_of(genesis: Genesis) -> Venue<Words> {
    let replica = Replica::new(&genesis, seeded_keys(&genesis), Words, &Sequential).unwrap();
    Venue::at_start(genesis, replica)
}

fn withdraw(amount: i64) -> Command {
    Command::RequestWithdrawal(Box::new(RequestWithdrawal {
        segment: SegmentId::new(1),
        amount: micros(amount),
        chain: 1,
        destination: list(vec![1]),
    }))
}

fn ask<D: PolicyDecider>(venue: &mut Venue<D>, command: Command) -> Result<(), RejectCode> {
    let letter = venue.root(FIRST, vec![command]);
    venue.step(&[letter]).only()
}

fn transfer(amount: i64) -> Command {
    let (from, to) = (SegmentId::new(1), SegmentId::new(2));
    Command::RequestTransfer(RequestTransfer { from, to, amount: micros(amount) })
}

#[test]
fn splitting_a_withdrawal_stays_under_no_band() {
    let mut venue = venue("RequestWithdrawal from 1000000 Proven");
    assert_eq!(ask(&mut venue, withdraw(1_000_000)), Err(RejectCode::EvidenceTooLow));
    // What waits counts, in whatever way it is about to leave.
    assert_eq!(ask(&mut venue, withdraw(400_000)), Ok(()));
    assert_eq!(ask(&mut venue, transfer(400_000)), Ok(()));
    assert_eq!(ask(&mut venue, withdraw(200_000)), Err(RejectCode::EvidenceTooLow));
    assert_eq!(ask(&mut venue, withdraw(199_999)), Ok(()));
    // So does what left within a day.
    venue.wait_through(10_000);
    assert_eq!(venue.ledger().amount_leaving(AccountId::new(FIRST)), micros(999_999));
    for part in 1..=64 {
        assert_eq!(ask(&mut venue, withdraw(part)), Err(RejectCode::EvidenceTooLow), "part {part}");
        venue.wait_through(10_000);
    }
    let left = venue.ledger().chain().waiting_ms;
    while venue.ledger().chain().waiting_ms.ms() <= left.ms() + LEAVING_WINDOW_MS {
        venue.propose(2_000, Vec::new());
        venue.replica.adopt();
    }
    assert_eq!(venue.ledger().amount_leaving(AccountId::new(FIRST)), QuoteMicros::ZERO);
    assert_eq!(ask(&mut venue, withdraw(999_999)), Ok(()));
    assert_eq!(ask(&mut venue, Command::CancelWithdrawal(cancel(3))), Ok(()), "what was taken back does not count");
    assert_eq!(ask(&mut venue, withdraw(999_999)), Ok(()));
}

fn cancel(number: u64) -> CancelWithdrawal {
    CancelWithdrawal { segment: SegmentId::new(1), number: WithdrawalNumber::new(number) }
}

#[test]
fn without_the_band_the_parts_leave() {
    let mut venue = Venue::new();
    for part in 1..=3 {
        assert_eq!(ask(&mut venue, withdraw(400_000)), Ok(()), "part {part}");
    }
}

#[test]
fn a_grant_is_fresh_for_ten_minutes_and_the_root_key_always_is() {
    let mut genesis = Genesis { policies: words::set("PlaceOrder Fresh"), ..genesis() };
    let seeded = genesis.seeded.as_mut().unwrap();
    seeded.grant_lifetime_ms = DurationMs::from_ms(2 * FRESH_GRANT_MS);
    let mut venue = venue_of(genesis);
    let order = |venue: &mut Venue<Words>| {
        let letter = venue.session(FIRST, 1, vec![bid(1, REFERENCE, 2)]);
        let step = venue.step(&[letter]);
        step.records.first().expect("the envelope is included").verdict
    };
    assert_eq!(order(&mut venue), Verdict::Accepted);
    venue.wait(FRESH_GRANT_MS);
    let stale = Reject::of(RejectCode::EvidenceTooLow).required(1).present(0);
    assert_eq!(order(&mut venue), Verdict::Refused(stale));
    assert_eq!(stale.to_string(), "the policy in force asks for evidence `fresh`, the command came with `session`");
    assert_eq!(ask(&mut venue, bid(1, REFERENCE, 2)), Ok(()));
}

#[test]
fn a_session_that_withdraws_is_told_which_tier_it_lacks_and_pays_for_the_try() {
    let told = |venue: &mut Venue<Words>, command: Command| {
        let letter = venue.session(FIRST, 1, vec![command]);
        venue.step(&[letter]).records.first().expect("the envelope is included").verdict
    };
    let tries = |venue: &Venue<Words>| {
        let row = venue.ledger().accounts().account(AccountId::new(FIRST)).unwrap();
        row.grants().first().unwrap().rate_at(TimeMs::from_ms(venue.time_ms)).1
    };
    let mut proven = venue("RequestWithdrawal Proven");
    // The seeded grants are younger than ten minutes.
    let lacking = Reject::of(RejectCode::EvidenceTooLow).required(3).present(1);
    assert_eq!((tries(&proven), told(&mut proven, withdraw(5))), (1, Verdict::Refused(lacking)));
    assert_eq!(tries(&proven), 2);
    let mut rooted = venue("RequestWithdrawal Rooted");
    let Verdict::Refused(refusal) = told(&mut rooted, withdraw(5)) else { panic!("a session withdrew") };
    assert_eq!(refusal.code(), RejectCode::RootRequired);
    assert!(refusal.to_string().contains("evidence `rooted`"), "{refusal}");
    assert_eq!(ask(&mut rooted, withdraw(5)), Ok(()), "what it lacks is enough");
    // A policy that would let sessions withdraw gives no session what its grant lacks.
    let mut lax = venue("lax RequestWithdrawal Session");
    let Verdict::Refused(refusal) = told(&mut lax, withdraw(5)) else { panic!("a session withdrew") };
    assert_eq!(refusal.code(), RejectCode::ActionNotGranted);
}

#[test]
fn a_session_over_its_rate_makes_nobody_ask_the_policy_what_it_lacks() {
    // Whoever asked would fault, and nothing would be executed.
    let mut venue = venue("fault RequestWithdrawal Rooted");
    let mut slow = terms(&venue, FIRST, 2);
    slow.commands_per_minute_max = 1;
    assert_eq!(ask(&mut venue, Command::RegisterGrant(Box::new(slow))), Ok(()));
    let first = venue.session(FIRST, 2, vec![bid(1, REFERENCE, 2)]);
    assert_eq!(venue.step(&[first]).only(), Ok(()));
    let second = venue.session(FIRST, 2, vec![withdraw(5)]);
    assert_eq!(venue.step(&[second]).only(), Err(RejectCode::GrantRateExceeded));
}

#[test]
fn a_rule_on_one_account_binds_that_account_alone() {
    let mut venue = venue(&format!("slow RequestWithdrawal account {FIRST} Proven"));
    assert_eq!(ask(&mut venue, withdraw(1)), Err(RejectCode::EvidenceTooLow));
    let other = venue.root(FIRST + 1, vec![withdraw(1)]);
    assert_eq!(venue.step(&[other]).only(), Ok(()));
}

#[test]
fn what_no_evidence_opens_is_forbidden_and_floors_cannot_be() {
    let mut venue = venue("PlaceOrder never");
    assert_eq!(ask(&mut venue, bid(1, REFERENCE, 2)), Err(RejectCode::PolicyForbids));
    for floor in ["CancelOrder never", "RequestPrincipalExit Proven", "CancelWithdrawal Quorum", "not a line"] {
        let genesis = Genesis { policies: words::set(floor), ..genesis() };
        let refused = Replica::new(&genesis, seeded_keys(&genesis), Words, &Sequential).map(|_| ()).unwrap_err();
        assert_eq!(refused.rule, GenesisRule::Policies, "{floor}");
    }
    let genesis = Genesis { policies: words::set("PlaceOrder never"), ..genesis() };
    let unable = Replica::new(&genesis, seeded_keys(&genesis), BuiltInTable, &Sequential).map(|_| ()).unwrap_err();
    assert_eq!(unable.rule, GenesisRule::Policies, "a build without a policy engine runs no chain that has policies");
}

#[test]
fn a_machine_that_cannot_tell_executes_nothing() {
    let mut venue = venue("fault RequestWithdrawal Rooted");
    venue.wait(10);
    let before = (*venue.replica.state_root(), venue.replica.log().size());
    let letters = [venue.root(FIRST + 1, vec![bid(1, REFERENCE, 2)]), venue.root(FIRST, vec![withdraw(1)])];
    let decoded = letters.map(|letter| Decoded::from_bytes(letter.sealed(), venue.ledger().chain_id()).unwrap());
    let authenticated: Vec<_> = authenticate_batch(decoded.into_iter().collect(), &NoProofs, &Sequential)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let time_ms = TimeMs::from_ms(venue.time_ms + 10);
    let fault = venue.replica.propose(authenticated, time_ms, SealSecret([7; 32]), &Sequential, &mut ());
    assert_eq!(fault.map(|_| ()), Err(InvalidBlock::PolicyFault));
    assert_eq!((venue.ledger().state_root(), venue.replica.log().size()), before);
    let letter = venue.root(FIRST + 1, vec![bid(1, REFERENCE, 2)]);
    assert_eq!(venue.step(&[letter]).only(), Ok(()), "everything else goes on");
}

#[test]
fn snapshots_carry_the_policy_and_no_other_passes_for_it() {
    let mut venue = venue("RequestWithdrawal from 7 Proven");
    assert_eq!(ask(&mut venue, withdraw(6)), Ok(()));
    let mut bytes = Vec::new();
    venue.replica.write_snapshot(&mut bytes).unwrap();
    let read = |bytes: &[u8]| Replica::read_snapshot(&venue.genesis, Words, &mut &bytes[..], &Sequential);
    let restored = read(&bytes).unwrap();
    assert_eq!(restored.ledger().policy(), venue.ledger().policy());
    assert_eq!(restored.ledger().amount_leaving(AccountId::new(FIRST)), micros(6));
    let text = b"RequestWithdrawal from 7 Proven";
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
    let mut forged = bytes.clone();
    forged[at + 23] = b'8';
    assert_eq!(read(&forged).map(|_| ()).unwrap_err(), SnapshotError::RowMismatch);
}
