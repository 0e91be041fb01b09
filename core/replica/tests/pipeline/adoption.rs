//! Policies come into force by proposals: who decides, how long it waits, what fails, and what taking a block back leaves.

use casemate_gate::PolicyDecider as _;
use casemate_ledger::PolicyInForce;
use casemate_protocol::command::{AdoptPolicies, Approve, Change, Propose, RequestWithdrawal};
use casemate_protocol::event::{PolicyAdopted, ProposalOutcome};
use casemate_protocol::genesis::Genesis;
use casemate_protocol::limits::{POLICY_LOOSENING_DELAY_MS_MIN, POLICY_TIGHTENING_DELAY_MS_MIN};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::policy::{ChangeClass, PolicySet};
use casemate_protocol::{Command, Digest, Event, PolicyEpoch, ProposalNumber, RejectCode, SegmentId, TimeMs};
use casemate_replica::Replica;

use crate::kit::margined::{FIRST, GOVERNORS, RISK_OFFICERS, genesis};
use crate::kit::words::{self, Words};
use crate::kit::{Step, Venue, list, micros, seeded_keys};
use crate::laws::replay;

type Verdict = Result<(), RejectCode>;

const STRICT: &str = "RequestWithdrawal from 1000000 Proven";

/// A venue on margin under policies of one line each.
fn venue(text: &str) -> Venue<Words> {
    let genesis = Genesis { policies: words::set(text), ..genesis() };
    let replica = Replica::new(&genesis, seeded_keys(&genesis), Words, &Sequential).unwrap();
    Venue::at_start(genesis, replica)
}

fn adopt(venue: &Venue<Words>, text: &str, is_tightening: bool) -> AdoptPolicies {
    let set = words::set(text);
    let table = Words.compile(&set).unwrap().digest();
    AdoptPolicies { old_epoch: venue.ledger().chain().policy.epoch, set, table, is_tightening }
}

fn propose_in(venue: &Venue<Words>, segment: u16, adopt: AdoptPolicies) -> Command {
    Command::Propose(Box::new(Propose {
        segment: SegmentId::new(segment),
        change: Change::AdoptPolicies(Box::new(adopt)),
        expires_ms: TimeMs::from_ms(venue.time_ms + 60_000),
    }))
}

fn ask(venue: &mut Venue<Words>, account: u64, command: Command) -> Verdict {
    let letter = venue.root(account, vec![command]);
    venue.step(&[letter]).only()
}

fn propose(venue: &mut Venue<Words>, officer: u64, adopt: AdoptPolicies) -> Verdict {
    let command = propose_in(venue, 1, adopt);
    ask(venue, officer, command)
}

fn approve(venue: &mut Venue<Words>, officer: u64, number: u64) -> Verdict {
    let approve = Approve { segment: SegmentId::new(1), number: ProposalNumber::new(number) };
    ask(venue, officer, Command::Approve(approve))
}

fn withdraw(venue: &mut Venue<Words>, amount: i64) -> Verdict {
    let request =
        RequestWithdrawal { segment: SegmentId::new(1), amount: micros(amount), chain: 1, destination: list(vec![1]) };
    ask(venue, FIRST, Command::RequestWithdrawal(Box::new(request)))
}

fn epoch(venue: &Venue<Words>) -> u32 {
    venue.ledger().chain().policy.epoch.number()
}

fn adopted(steps: &[Step]) -> Vec<PolicyAdopted> {
    let events = steps.iter().flat_map(Step::events);
    events.filter_map(|event| if let Event::PolicyAdopted(adopted) = event { Some(**adopted) } else { None }).collect()
}

fn ended(steps: &[Step]) -> Vec<(u64, ProposalOutcome)> {
    let events = steps.iter().flat_map(Step::events);
    let ended = events.filter_map(|event| match event {
        Event::ProposalEnded(ended) => Some((ended.number.number(), ended.outcome)),
        _ => None,
    });
    ended.collect()
}

/// A tightening that waits only for its delay.
fn voted(text: &str) -> Venue<Words> {
    let mut venue = venue(text);
    let change = adopt(&venue, STRICT, true);
    assert_eq!(propose(&mut venue, RISK_OFFICERS[0], change), Ok(()));
    assert_eq!(approve(&mut venue, RISK_OFFICERS[1], 1), Ok(()));
    venue
}

/// The last block before the delay is over, not adopted.
fn until_due(venue: &mut Venue<Words>) {
    while venue.ledger().chain().policy.epoch == PolicyEpoch::NONE {
        venue.propose(2_000, Vec::new());
        if epoch(venue) == 1 {
            return;
        }
        venue.replica.adopt();
    }
}

#[test]
fn risk_officers_tighten_after_ten_minutes() {
    let mut venue = voted("");
    let steps = venue.wait_through(POLICY_TIGHTENING_DELAY_MS_MIN - 4_000);
    assert_eq!((epoch(&venue), ended(&steps)), (0, vec![]), "the time of the proposal bounds voting alone");
    assert_eq!(withdraw(&mut venue, 1_000_000), Ok(()));
    let steps = venue.wait_through(10_000);
    let [adopted] = adopted(&steps)[..] else { panic!("{:?}", adopted(&steps)) };
    assert_eq!(adopted.class, ChangeClass::Tightening);
    assert_eq!((adopted.policy, epoch(&venue)), (venue.ledger().chain().policy, 1));
    assert_eq!(ended(&steps), [(1, ProposalOutcome::CarriedOut)]);
    let epochs: Vec<u32> = steps.iter().map(|step| step.block.header.policy_epoch.number()).collect();
    assert!(epochs.is_sorted() && epochs.contains(&0) && epochs.contains(&1), "{epochs:?}");
    // It is what judges from then on.
    assert_eq!(withdraw(&mut venue, 1), Err(RejectCode::EvidenceTooLow), "a million left within the day");
}

#[test]
fn governors_loosen_after_two_days() {
    let mut venue = venue(STRICT);
    let change = adopt(&venue, "", false);
    assert_eq!(propose(&mut venue, GOVERNORS[0], change), Ok(()));
    assert_eq!(approve(&mut venue, GOVERNORS[1], 1), Ok(()));
    venue.wait_through(POLICY_LOOSENING_DELAY_MS_MIN - 4_000);
    assert_eq!(withdraw(&mut venue, 1_000_000), Err(RejectCode::EvidenceTooLow));
    let steps = venue.wait_through(10_000);
    assert_eq!(adopted(&steps)[0].class, ChangeClass::Loosening);
    assert_eq!(withdraw(&mut venue, 1_000_000), Ok(()));
}

#[test]
fn a_loosening_declared_as_tightening_fails() {
    let mut venue = venue(STRICT);
    let change = adopt(&venue, "", true);
    assert_eq!(propose(&mut venue, RISK_OFFICERS[0], change), Ok(()));
    assert_eq!(approve(&mut venue, RISK_OFFICERS[1], 1), Ok(()));
    let steps = venue.wait_through(POLICY_TIGHTENING_DELAY_MS_MIN + 4_000);
    assert_eq!((ended(&steps), epoch(&venue)), (vec![(1, ProposalOutcome::Failed)], 0));
    assert_eq!(withdraw(&mut venue, 1_000_000), Err(RejectCode::EvidenceTooLow));
}

#[test]
fn a_set_that_does_not_compile_or_into_another_table_fails() {
    let mut venue = venue("");
    // It reads; that it closes a floor only the cells tell.
    let floor = words::set("CancelOrder never");
    let floor = AdoptPolicies { set: floor, ..adopt(&venue, STRICT, true) };
    let other = AdoptPolicies { table: Digest([7; 32]), ..adopt(&venue, STRICT, true) };
    for (number, change) in [(1, floor), (2, other)] {
        assert_eq!(propose(&mut venue, RISK_OFFICERS[0], change), Ok(()));
        assert_eq!(approve(&mut venue, RISK_OFFICERS[1], number), Ok(()));
    }
    let steps = venue.wait_through(POLICY_TIGHTENING_DELAY_MS_MIN + 6_000);
    assert_eq!(ended(&steps), [(1, ProposalOutcome::Failed), (2, ProposalOutcome::Failed)]);
    assert_eq!(epoch(&venue), 0);
}

#[test]
fn what_names_the_old_epoch_ends_with_it_and_what_nobody_votes_for_expires() {
    let mut venue = voted("");
    let late = adopt(&venue, "RequestWithdrawal Quorum", true);
    assert_eq!(propose(&mut venue, RISK_OFFICERS[1], late.clone()), Ok(()));
    let steps = venue.wait_through(70_000);
    assert_eq!(ended(&steps), [(2, ProposalOutcome::Expired)]);
    assert_eq!(propose(&mut venue, RISK_OFFICERS[1], late.clone()), Ok(()));
    assert_eq!(approve(&mut venue, RISK_OFFICERS[2], 3), Ok(()));
    let steps = venue.wait_through(POLICY_TIGHTENING_DELAY_MS_MIN);
    assert_eq!(ended(&steps), [(1, ProposalOutcome::CarriedOut), (3, ProposalOutcome::Superseded)]);
    assert_eq!(propose(&mut venue, RISK_OFFICERS[1], late), Err(RejectCode::OldValueDiffers));
}

#[test]
fn a_block_that_is_taken_back_adopts_nothing() {
    let mut venue = voted("");
    until_due(&mut venue);
    assert_eq!(epoch(&venue), 1);
    let due = *venue.ledger().policy().set_digest();
    venue.replica.discard();
    assert_eq!((epoch(&venue), *venue.ledger().policy().set_digest()), (0, words::set("").digest()));
    let step = venue.wait(2_000);
    assert_eq!(adopted(&[step]).len(), 1);
    assert_eq!(*venue.ledger().policy().set_digest(), due);
}

#[test]
fn a_segment_that_fails_a_law_adopts_nothing_in_that_block() {
    let mut venue = voted("");
    until_due(&mut venue);
    venue.replica.discard();
    let height = venue.ledger().chain().height.next();
    venue.replica.break_law_for_testing(SegmentId::new(1), height);
    let step = venue.wait(2_000);
    assert_eq!((adopted(&[step]).len(), epoch(&venue)), (0, 0));
    assert_eq!(*venue.ledger().policy().set_digest(), words::set("").digest());
}

#[test]
fn events_and_the_compiled_set_lead_to_the_same_state() {
    let mut venue = voted("");
    until_due(&mut venue);
    venue.replica.discard();
    let mut ledger = venue.ledger().clone();
    let step = venue.wait(2_000);
    let set = words::set(STRICT);
    let table = Words.compile(&set).unwrap();
    ledger.offer_policy(PolicyInForce::new(set, table));
    replay(&mut ledger, &step.block, &step.records);
    assert_eq!(ledger.chain(), venue.ledger().chain());
    assert_eq!(ledger.policy(), venue.ledger().policy());
    assert_eq!(ledger.state_root(), *venue.replica.state_root());
}

#[test]
fn a_snapshot_keeps_what_is_proposed() {
    let mut venue = voted("");
    let mut bytes = Vec::new();
    venue.replica.write_snapshot(&mut bytes).unwrap();
    let read = Replica::read_snapshot(&venue.genesis, Words, &mut &bytes[..], &Sequential).unwrap();
    let mut restored = Venue::at_start(venue.genesis.clone(), read);
    restored.time_ms = venue.time_ms;
    for venue in [&mut venue, &mut restored] {
        until_due(venue);
        venue.replica.adopt();
    }
    assert_eq!(venue.replica.state_root(), restored.replica.state_root());
    assert_eq!(epoch(&restored), 1);
}

pub fn policy_set_unreadable() -> Verdict {
    let mut venue = venue("");
    let change = AdoptPolicies { set: words::set("not a line"), ..adopt(&venue, STRICT, true) };
    propose(&mut venue, RISK_OFFICERS[0], change)
}

pub fn venue_change_elsewhere() -> Verdict {
    let mut venue = venue("");
    let command = propose_in(&venue, 2, adopt(&venue, STRICT, true));
    ask(&mut venue, RISK_OFFICERS[0], command)
}

pub fn governors_loosen() -> Verdict {
    let mut venue = venue(STRICT);
    let change = AdoptPolicies { set: PolicySet::default(), ..adopt(&venue, "", false) };
    propose(&mut venue, RISK_OFFICERS[0], change)
}

pub fn risk_officers_tighten() -> Verdict {
    let mut venue = venue("");
    let change = adopt(&venue, STRICT, true);
    propose(&mut venue, GOVERNORS[0], change)
}
