//! What is due to leave is judged by the policy in force once more: held back, cured, taken back, given back.

use casemate_gate::{DecisionFault, PolicyDecider as _, judge_leaving, pipeline};
use casemate_ledger::segment::WithdrawalState;
use casemate_ledger::{PolicyInForce, Verified, VerifiedWork};
use casemate_protocol::clearing::MarginRules;
use casemate_protocol::command::{AddEvidence, CancelWithdrawal, RequestWithdrawal, SubmitPrice, SystemWork, Waiting};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::event::LeavingHeld;
use casemate_protocol::genesis::Genesis;
use casemate_protocol::limits::{HELD_AGAIN_MS, HELD_MS_MAX};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::policy::Tier;
use casemate_protocol::regime::{RegimeLevels, RegimeRules};
use casemate_protocol::{
    AccountId, Command, DurationMs, Event, PriceNanos, RatioPpm, RecordIndex, Regime, RejectCode, SegmentId, TimeMs,
    TransferNumber, WithdrawalNumber,
};
use casemate_replica::Replica;

use crate::kit::margined::{FIRST, NANOS_PER_TICK, PUBLISHERS, genesis};
use crate::kit::words::{self, Words};
use crate::kit::{REFERENCE, Step, Venue, list, micros, public_key, root_key, seeded_keys};
use crate::laws::replay;

type Verdict = Result<(), RejectCode>;

/// In a rough market what leaves takes a proof.
const ROUGH: &str = "RequestWithdrawal regime Elevated Proven\nRequestWithdrawal regime Stressed Proven\n\
                     RequestWithdrawal regime Extreme Proven";

/// A venue whose regimes look at prices alone: its books are empty.
fn venue(text: &str) -> Venue<Words> {
    let base = genesis();
    let beyond = |ppm: u32| RatioPpm::from_ppm(4_000_000_000 + ppm);
    let never = RegimeLevels { elevated: beyond(1), stressed: beyond(2), extreme: beyond(3) };
    let by_prices = |margin: &MarginRules| {
        let regime = RegimeRules { thinness: never, spread: never, imbalance: never, ..margin.regime };
        MarginRules { regime, ..margin.clone() }
    };
    let margins = list(base.margins.iter().map(by_prices).collect());
    let genesis = Genesis { policies: words::set(text), margins, ..base };
    let replica = Replica::new(&genesis, seeded_keys(&genesis), Words, &Sequential).unwrap();
    let mut venue = Venue::at_start(genesis, replica);
    publish(&mut venue, REFERENCE);
    venue
}

fn publish(venue: &mut Venue<Words>, ticks: u64) {
    let mut letters = Vec::new();
    for feed in [1, 2] {
        for account in PUBLISHERS {
            let submit = SubmitPrice {
                feed: casemate_protocol::FeedId::new(feed),
                price: PriceNanos::from_nanos(ticks * NANOS_PER_TICK),
                confidence: PriceNanos::from_nanos(NANOS_PER_TICK / 1_000),
                source_ms: TimeMs::from_ms(venue.time_ms + 1),
            };
            letters.push(venue.root(account, vec![Command::SubmitPrice(submit)]));
        }
    }
    venue.step(&letters);
}

/// Prices stand, once a second.
fn stand(venue: &mut Venue<Words>, ticks: u64, seconds: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..seconds {
        publish(venue, ticks);
        steps.push(venue.wait(990));
    }
    steps
}

fn ask(venue: &mut Venue<Words>, command: Command) -> Verdict {
    let letter = venue.root(FIRST, vec![command]);
    venue.step(&[letter]).only()
}

fn withdraw(amount: i64) -> Command {
    Command::RequestWithdrawal(Box::new(RequestWithdrawal {
        segment: SegmentId::new(1),
        amount: micros(amount),
        chain: 1,
        destination: list(vec![1]),
    }))
}

fn holds(steps: &[Step]) -> Vec<LeavingHeld> {
    let events = steps.iter().flat_map(Step::events);
    events.filter_map(|event| if let Event::LeavingHeld(held) = event { Some(*held) } else { None }).collect()
}

fn released(steps: &[Step]) -> usize {
    steps.iter().flat_map(Step::events).filter(|event| matches!(event, Event::WithdrawalReleased(_))).count()
}

fn regime(venue: &Venue<Words>) -> Regime {
    venue.ledger().worst_regime()
}

/// A withdrawal of a calm hour, and a jump of prices before its delay is over.
fn requested_before_a_jump(text: &str) -> Venue<Words> {
    let mut venue = venue(text);
    stand(&mut venue, REFERENCE, 2);
    assert_eq!((regime(&venue), ask(&mut venue, withdraw(5))), (Regime::Calm, Ok(())));
    publish(&mut venue, REFERENCE * 104 / 100);
    assert_ne!(regime(&venue), Regime::Calm, "four per cent at once");
    venue
}

/// Blocks until something happens, at most so many seconds of standing prices.
fn until(venue: &mut Venue<Words>, seconds: u64, is_so: impl Fn(&[Step]) -> bool) -> (Vec<Step>, u64) {
    let mut steps = Vec::new();
    for second in 0..seconds {
        steps.extend(stand(venue, REFERENCE * 104 / 100, 1));
        if is_so(&steps) {
            return (steps, second);
        }
    }
    (steps, seconds)
}

#[test]
fn a_market_that_gets_rough_holds_back_what_was_asked_for_before_and_a_calm_one_lets_it_go() {
    let mut venue = requested_before_a_jump(ROUGH);
    let (steps, _) = until(&mut venue, 60, |steps| !holds(steps).is_empty());
    let [held] = holds(&steps)[..] else { panic!("{:?}", holds(&steps)) };
    assert_eq!((held.required, held.waiting), (Some(Tier::Proven), Waiting::Withdrawal(WithdrawalNumber::new(1))));
    assert_eq!(ask(&mut venue, withdraw(1)), Err(RejectCode::EvidenceTooLow), "and nobody asks anew");
    // Judged again every ten minutes, and let go only after the regime has come down.
    let (steps, _) = until(&mut venue, 3_600, |steps| released(steps) > 0);
    assert_eq!((released(&steps), regime(&venue)), (1, Regime::Calm));
    assert!(venue.ledger().chain().waiting_ms >= held.again_ms, "not before it is judged again");
    let again: Vec<u64> = holds(&steps).iter().map(|held| held.again_ms.ms()).collect();
    assert!(again.windows(2).all(|pair| pair[1] - pair[0] >= HELD_AGAIN_MS), "{again:?}");
}

#[test]
fn without_the_control_it_leaves_in_the_roughest_market() {
    let mut venue = requested_before_a_jump("");
    let (steps, _) = until(&mut venue, 60, |steps| released(steps) > 0);
    assert_eq!((released(&steps), holds(&steps).len()), (1, 0));
    assert_ne!(regime(&venue), Regime::Calm);
}

#[test]
fn what_is_held_back_can_be_taken_back() {
    let mut venue = requested_before_a_jump(
        "RequestWithdrawal regime Extreme never\n\
        RequestWithdrawal regime Stressed never\nRequestWithdrawal regime Elevated never",
    );
    let (steps, _) = until(&mut venue, 60, |steps| !holds(steps).is_empty());
    assert_eq!(holds(&steps)[0].required, None, "no evidence is enough");
    let cash = venue.cash(1, FIRST);
    let cancel = CancelWithdrawal { segment: SegmentId::new(1), number: WithdrawalNumber::new(1) };
    assert_eq!(ask(&mut venue, Command::CancelWithdrawal(cancel)), Ok(()));
    assert_eq!(venue.cash(1, FIRST), cash + 5);
}

#[test]
fn after_a_week_it_is_given_back() {
    let mut venue = requested_before_a_jump(ROUGH);
    until(&mut venue, 60, |steps| !holds(steps).is_empty());
    let cash = venue.cash(1, FIRST);
    let mut ledger = venue.ledger().clone();
    let chain = *ledger.chain();
    let mut block = ledger.begin_block(chain.height.next(), chain.time_ms.plus(DurationMs::from_ms(1_000))).unwrap();
    // A week of blocks in which the market stays rough, seen by the waiting clock alone.
    block.waiting_ms = block.waiting_ms.saturating_add(DurationMs::from_ms(HELD_MS_MAX));
    let due = ledger.due_releases(&block);
    let over = judge_leaving(&ledger, &block, &Words, due[0]).unwrap();
    assert!(matches!(over.work, SystemWork::GiveBack(_)), "{over:?}");
    ledger.apply(&block, pipeline::verify_system(&over), RecordIndex::new(0), &mut Vec::new()).unwrap();
    let row = ledger.segment(SegmentId::new(1)).unwrap();
    assert_eq!(row.sub_account(AccountId::new(FIRST)).unwrap().cash().micros(), cash + 5);
    assert_eq!(row.withdrawal(WithdrawalNumber::new(1)).unwrap().state, WithdrawalState::Cancelled);
}

#[test]
fn a_rule_on_one_account_holds_nobody_else_back() {
    let mut venue = venue(&format!("slow RequestWithdrawal account {} Proven", FIRST + 1));
    assert_eq!(ask(&mut venue, withdraw(5)), Ok(()));
    let steps = stand(&mut venue, REFERENCE, 30);
    assert_eq!((released(&steps), holds(&steps).len()), (1, 0));
}

#[test]
fn more_evidence_cures_what_came_with_less() {
    let mut venue = requested_before_a_jump(ROUGH);
    let (steps, _) = until(&mut venue, 60, |steps| !holds(steps).is_empty());
    assert_eq!(holds(&steps).len(), 1);
    let add = |waiting| Command::AddEvidence(AddEvidence { segment: SegmentId::new(1), waiting });
    let waiting = Waiting::Withdrawal(WithdrawalNumber::new(1));
    // Whoever asks anew brings no more than was there; and it is nobody else's to cure.
    assert_eq!(ask(&mut venue, add(waiting)), Err(RejectCode::EvidenceNotMore));
    assert_eq!(ask(&mut venue, add(Waiting::Transfer(TransferNumber::new(1)))), Err(RejectCode::TransferNotFound));
    let other = venue.root(FIRST + 1, vec![add(waiting)]);
    assert_eq!(venue.step(&[other]).only(), Err(RejectCode::WithdrawalNotFound));

    // The gate of this version cannot verify a proof, so one is asserted here; everything behind the gate is real.
    let mut ledger = venue.ledger().clone();
    let chain = *ledger.chain();
    let block = ledger.begin_block(chain.height.next(), chain.time_ms.plus(DurationMs::from_ms(1_000))).unwrap();
    let (command, key) = (add(waiting), public_key(&root_key(FIRST)));
    let work = VerifiedWork::Account {
        account: AccountId::new(FIRST),
        role: SignerRole::Root,
        key,
        grant: None,
        command: &command,
    };
    let verified = Verified::assertion(work).with_tier(Tier::Proven);
    ledger.apply(&block, verified, RecordIndex::new(0), &mut Vec::new()).unwrap();
    let due = ledger.due_releases(&block);
    assert_eq!(due.len(), 1, "it is judged again at once");
    assert_eq!(judge_leaving(&ledger, &block, &Words, due[0]), Ok(due[0]), "and let go");
}

pub fn evidence_not_more() -> Verdict {
    let mut venue = venue("");
    assert_eq!(ask(&mut venue, withdraw(5)), Ok(()));
    let waiting = Waiting::Withdrawal(WithdrawalNumber::new(1));
    ask(&mut venue, Command::AddEvidence(AddEvidence { segment: SegmentId::new(1), waiting }))
}

#[test]
fn a_machine_that_cannot_tell_says_so() {
    let mut venue = venue("");
    assert_eq!(ask(&mut venue, withdraw(5)), Ok(()));
    let set = words::set("fault RequestWithdrawal Rooted");
    let table = Words.compile(&set).unwrap();
    let mut ledger = venue.ledger().clone();
    ledger.start_policy(PolicyInForce::new(set, table));
    let chain = *ledger.chain();
    let mut block = ledger.begin_block(chain.height.next(), chain.time_ms.plus(DurationMs::from_ms(1_000))).unwrap();
    block.waiting_ms = block.waiting_ms.saturating_add(DurationMs::from_ms(60_000));
    let due = ledger.due_releases(&block);
    assert_eq!(judge_leaving(&ledger, &block, &Words, due[0]), Err(DecisionFault));
}

#[test]
fn events_lead_to_the_same_holds() {
    let mut venue = requested_before_a_jump(ROUGH);
    let mut ledger = venue.ledger().clone();
    for _ in 0..60 {
        let step = venue.wait(1_000);
        replay(&mut ledger, &step.block, &step.records);
        assert_eq!(ledger.state_root(), *venue.replica.state_root());
        if !holds(&[step]).is_empty() {
            let row = venue.ledger().segment(SegmentId::new(1)).unwrap().withdrawal(WithdrawalNumber::new(1)).unwrap();
            assert_eq!(row.held.unwrap().required, Some(Tier::Proven));
            assert!(row.wakes_ms() > DurationMs::from_ms(HELD_AGAIN_MS));
            return;
        }
    }
    panic!("nothing was held back");
}
