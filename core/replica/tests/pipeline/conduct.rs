//! Conduct in blocks: bands by events, the two keys, and what neither may touch.

use casemate_protocol::command::{
    CancelAllOrders, CancelScope, ChangeRootKey, ContestLink, GuardianSet, OutsideReference, RequestWithdrawal,
    TimeInForce,
};
use casemate_protocol::conduct::{BandCause, ConductRules, DamageRules, Detector};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::event::{ConductAlerted, ConductBandMoved};
use casemate_protocol::genesis::{Genesis, LimiterRules, SegmentRules};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{AccountId, Command, Event, Height, MarketId, RatioPpm, RejectCode, SegmentId, Side};

use casemate_replica::Replica;

use crate::kit::words::{self, Words};
use crate::kit::{
    FIRST, Step, Venue, ask, bid, cancel, genesis, list, margined, micros, next_root_key, order, public_key,
    seeded_keys, session_key, terms,
};

const SPOOFER: u64 = FIRST;
const STRANGER: u64 = FIRST + 1;
const HOUR_MS: u64 = 3_600_000;

fn with_rules(genesis: Genesis, change: impl Fn(&mut ConductRules)) -> Genesis {
    let changed = |rules: &SegmentRules| {
        let mut rules = rules.clone();
        change(&mut rules.conduct);
        rules
    };
    let segments = list(genesis.segments.iter().map(changed).collect());
    Genesis { segments, ..genesis }
}

fn cancel_all() -> Command {
    Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Market(MarketId::new(1)) })
}

/// A large bid in show, a small sale in earnest, and the bid is gone.
fn spoof(venue: &mut Venue, rounds: u32) -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..rounds {
        let stranger = venue.root(STRANGER, vec![bid(1, 1_000, 2)]);
        let shows = venue.root(SPOOFER, vec![bid(1, 995, 40)]);
        steps.push(venue.step(&[stranger, shows]));
        for command in [ask(1, 1_000, 2), cancel_all()] {
            let letter = venue.root(SPOOFER, vec![command]);
            steps.push(venue.step(&[letter]));
        }
        steps.push(venue.wait(20_000));
    }
    steps
}

fn band(venue: &Venue, account: u64) -> u8 {
    venue.ledger().conduct_band(AccountId::new(account))
}

fn alerts(steps: &[Step]) -> Vec<ConductAlerted> {
    let of = |event: &Event| match event {
        Event::ConductAlerted(alerted) => Some(*alerted.clone()),
        _ => None,
    };
    steps.iter().flat_map(Step::events).filter_map(of).collect()
}

fn moves(steps: &[Step]) -> Vec<ConductBandMoved> {
    let of = |event: &Event| match event {
        Event::ConductBandMoved(moved) => Some(*moved),
        _ => None,
    };
    steps.iter().flat_map(Step::events).filter_map(of).collect()
}

/// A venue with a spoofer who was seen.
fn spoofed(genesis: Genesis) -> Venue {
    let mut venue = Venue::of(genesis);
    spoof(&mut venue, 5);
    venue
}

#[test]
fn a_spoofers_band_rises_by_an_event_and_falls_with_time_by_another() {
    let mut venue = Venue::new();
    let steps = spoof(&mut venue, 5);
    let found = alerts(&steps);
    assert_eq!(found.len(), 1, "{found:?}");
    let alert = &found[0];
    assert_eq!((alert.detector, alert.account.number(), alert.market.number()), (Detector::Spoof, SPOOFER, 1));
    assert!(alert.score_ppm >= 1_000_000 && alert.figures.len() == 5 && alert.number == 1, "{alert:?}");
    let segment = SegmentId::new(1);
    let account = AccountId::new(SPOOFER);
    let rose = ConductBandMoved { segment, account, from: 0, to: 1, cause: BandCause::Alerted, alert: 1 };
    assert_eq!(moves(&steps), [rose]);
    assert_eq!([SPOOFER, STRANGER].map(|account| band(&venue, account)), [1, 0]);
    // Told in the block after the one in which it was seen.
    let told = steps.iter().find(|step| step.events().any(|event| matches!(event, Event::ConductAlerted(_)))).unwrap();
    assert!(alert.at < told.block.header.time_ms);

    let later = venue.wait(5 * HOUR_MS);
    let fell = ConductBandMoved { segment, account, from: 1, to: 0, cause: BandCause::Faded, alert: 0 };
    assert_eq!(moves(&[later]), [fell]);
    assert_eq!(band(&venue, SPOOFER), 0);
    assert_eq!(moves(&[venue.wait(HOUR_MS)]), [], "once");
}

#[test]
fn a_wash_trader_and_his_other_account_come_into_a_band() {
    let mut venue = Venue::of(with_rules(genesis(), |rules| rules.wash_gross_min = micros(5_000_000)));
    let mut steps = Vec::new();
    for round in 0..300u32 {
        let (side, other) = if round % 2 == 0 { (Side::Bid, Side::Ask) } else { (Side::Ask, Side::Bid) };
        for (account, side) in [(SPOOFER, side), (STRANGER, other)] {
            let letter =
                venue.root(account, vec![Command::PlaceOrder(order(1, side, 1_000, 2, TimeInForce::GoodTillCancel))]);
            steps.push(venue.step(&[letter]));
        }
        steps.push(venue.wait(1_000));
    }
    let found: Vec<_> = alerts(&steps).iter().map(|alert| (alert.detector, alert.account.number())).collect();
    assert!(found.contains(&(Detector::Wash, SPOOFER)) && found.contains(&(Detector::Wash, STRANGER)), "{found:?}");
    assert!(band(&venue, SPOOFER) > 0 && band(&venue, STRANGER) > 0);
    assert_eq!(band(&venue, FIRST + 2), 0);
}

#[test]
fn one_key_alone_refuses_nothing_and_both_refuse() {
    // Damage without an anomaly: the same order of somebody whom no detector knows.
    let mut venue = spoofed(genesis());
    assert_eq!(venue.ask(FIRST + 2, bid(1, 995, 40)), Ok(()));
    assert_eq!(venue.ask(FIRST + 2, cancel_all()), Ok(()));
    // An anomaly without damage.
    assert_eq!(venue.ask(STRANGER, bid(1, 1_000, 60)), Ok(()));
    assert_eq!(venue.ask(SPOOFER, bid(1, 996, 2)), Ok(()));
    // Both.
    assert_eq!(venue.ask(STRANGER, cancel_all()), Ok(()));
    assert_eq!(venue.ask(SPOOFER, bid(1, 995, 40)), Err(RejectCode::ConductBookDepth));
    // What was refused says which detector.
    let letter = venue.root(SPOOFER, vec![bid(1, 995, 40)]);
    let refusal = venue.step(&[letter]).executed.envelopes[0].commands[0].refusal.unwrap();
    assert!(refusal.to_string().contains("D2 spoof"), "{refusal}");
    // And it passes when the anomaly has faded.
    venue.wait(12 * HOUR_MS);
    assert_eq!(venue.ask(SPOOFER, bid(1, 995, 40)), Ok(()));
}

/// The same attack with the control off: with thresholds that nobody reaches, every round of it works.
#[test]
fn without_the_control_the_attack_goes_on() {
    let mut venue = spoofed(with_rules(genesis(), |rules| rules.spoof_usual_orders = 1_000_000));
    assert_eq!((band(&venue, SPOOFER), venue.ask(SPOOFER, bid(1, 995, 40))), (0, Ok(())));
}

/// The benign twin: makers who quote both sides, move their quotes within a second, and are filled now and then.
#[test]
fn honest_makers_are_neither_told_of_nor_held_up() {
    let mut venue = Venue::new();
    let mut steps = Vec::new();
    for round in 0..60u64 {
        for maker in [FIRST, FIRST + 1, FIRST + 2] {
            let middle = 1_000 + (round + maker) % 3;
            let quotes = vec![cancel_all(), bid(1, middle - 4, 10), ask(1, middle + 4, 10)];
            let letter = venue.root(maker, quotes);
            let step = venue.step(&[letter]);
            assert!((0..3).all(|command| step.verdict(0, command).is_ok()), "round {round}");
            steps.push(step);
        }
        if round % 4 == 0 {
            let (taker, side, price) =
                if round % 8 == 0 { (FIRST + 3, Side::Bid, 1_010) } else { (FIRST + 4, Side::Ask, 990) };
            let taking = Command::PlaceOrder(order(1, side, price, 2, TimeInForce::ImmediateOrCancel));
            assert_eq!(venue.ask(taker, taking), Ok(()));
        }
        steps.push(venue.wait(900));
    }
    assert_eq!(alerts(&steps), []);
    assert!((FIRST..FIRST + 5).all(|account| band(&venue, account) == 0));
}

#[test]
fn cancels_reductions_and_top_ups_pass_at_the_highest_band() {
    let mut venue = Venue::new();
    assert_eq!(venue.ask(SPOOFER, ask(2, 1_040, 4)), Ok(()));
    let held = cancel(2, 1);
    spoof(&mut venue, 4);
    for _ in 0..4 {
        venue.wait(301_000);
        spoof(&mut venue, 4);
    }
    assert!(band(&venue, SPOOFER) >= 2, "{}", band(&venue, SPOOFER));
    assert_eq!(venue.ask(SPOOFER, bid(1, 995, 40)), Err(RejectCode::ConductBookDepth));
    assert_eq!(venue.ask(SPOOFER, held), Ok(()), "a cancel");
    let short = venue.lots(1, SPOOFER);
    assert!(short <= -8);
    // The only bid of its side, and all of it within the position: a reduction, whatever it is of the book.
    assert_eq!(venue.ask(SPOOFER, bid(1, 1_000, 8)), Ok(()), "a reduction");
    assert_eq!(venue.ask(SPOOFER, cancel_all()), Ok(()), "a cancel of everything");
    let claim =
        crate::kit::claim(9, 1_000_000, casemate_protocol::command::Beneficiary::Account(AccountId::new(SPOOFER)));
    let cash = venue.cash(1, SPOOFER);
    venue.attest(&[1, 2], &claim);
    assert_eq!(venue.cash(1, SPOOFER), cash + 1_000_000, "a top-up");
}

#[test]
fn a_segment_that_fails_a_law_leaves_conduct_as_it_was() {
    let mut venue = Venue::new();
    spoof(&mut venue, 3);
    let height = venue.ledger().chain().height.number();
    let before = venue.ledger().segment(SegmentId::new(1)).unwrap().conduct().clone();
    venue.replica.break_law_for_testing(SegmentId::new(1), Height::new(height + 1));
    let shows = venue.root(SPOOFER, vec![bid(1, 995, 40), ask(1, 990, 2), cancel_all()]);
    let other = venue.root(FIRST + 2, vec![bid(3, 990, 2)]);
    let step = venue.step(&[shows, other]);
    assert_eq!(step.verdict(0, 0), Err(RejectCode::SegmentFaulted));
    assert_eq!(step.verdict(1, 0), Ok(()));
    let after = venue.ledger().segment(SegmentId::new(1)).unwrap().conduct();
    assert!(*after == before, "nothing was learnt");
}

/// A block that is not adopted has taught nothing, whatever was tried in it.
#[test]
fn a_block_that_is_discarded_leaves_conduct_as_it_was() {
    let mut venue = Venue::new();
    spoof(&mut venue, 3);
    let before = venue.snapshot();
    let letter = venue.root(SPOOFER, vec![bid(1, 995, 40), ask(1, 990, 2), cancel_all(), cancel(1, 77)]);
    venue.propose(10, vec![letter.sealed()]);
    venue.replica.discard();
    assert!(venue.snapshot() == before);
}

#[test]
fn refused_commands_are_seen_and_a_surge_of_them_is_told() {
    let mut venue = Venue::new();
    assert_eq!(venue.ask(FIRST, bid(1, 900, 2)), Ok(()));
    let mut steps = Vec::new();
    for _ in 0..8 {
        let doors: Vec<Command> = (0..6).map(|number| cancel(1, 700 + number)).collect();
        let letter = venue.root(SPOOFER, doors);
        steps.push(venue.step_after(1_000, vec![letter.sealed()]));
    }
    steps.push(venue.wait(10));
    let found = alerts(&steps);
    assert!(found.iter().any(|alert| alert.detector == Detector::Refusals), "{found:?}");
    assert!(band(&venue, SPOOFER) > 0);
}

/// D9: a key that comes out of nowhere, and then most of the money to an address that nobody knows.
#[test]
fn money_that_leaves_to_a_new_address_soon_after_a_new_key_is_told() {
    let of = |change_key: Option<fn(&mut Venue)>| {
        let mut genesis = genesis();
        let wide = |rules: &SegmentRules| SegmentRules {
            outbound: list(
                rules.outbound.iter().map(|window| LimiterRules { floor: micros(60_000_000), ..*window }).collect(),
            ),
            ..rules.clone()
        };
        genesis.segments = list(genesis.segments.iter().map(wide).collect());
        let mut venue = Venue::of(genesis);
        if let Some(change_key) = change_key {
            change_key(&mut venue);
        }
        let third = venue.cash(1, STRANGER) / 3;
        assert_eq!(venue.ask(STRANGER, withdraw(third)), Ok(()), "one key alone refuses nothing");
        let told = venue.wait(10);
        let first = (alerts(&[told]), band(&venue, STRANGER));
        // It goes, and so the address is known when the next third is asked for.
        let waited = venue.wait_through(600_000);
        assert!(waited.iter().flat_map(Step::events).any(|event| matches!(event, Event::WithdrawalReleased(_))));
        assert_eq!(venue.ask(STRANGER, withdraw(third)), Ok(()));
        assert_eq!(alerts(&[venue.wait(10)]), []);
        first
    };
    let changes: [fn(&mut Venue); 3] = [new_session, new_root_key, new_guardians];
    for change_key in changes {
        let (found, band) = of(Some(change_key));
        let found: Vec<_> = found.iter().map(|alert| (alert.detector, alert.account.number())).collect();
        assert_eq!((found, band), (vec![(Detector::Takeover, STRANGER)], 1));
    }
    assert_eq!(of(None), (vec![], 0), "the same money without a new key");
}

fn new_session(venue: &mut Venue) {
    let terms = terms(venue, STRANGER, 2);
    assert_eq!(venue.ask(STRANGER, Command::RegisterGrant(Box::new(terms))), Ok(()));
}

fn new_root_key(venue: &mut Venue) {
    let key = next_root_key(STRANGER);
    assert_eq!(venue.ask(STRANGER, Command::ChangeRootKey(ChangeRootKey { key: public_key(&key) })), Ok(()));
    venue.wait_through(venue.genesis.accounts.safeguards.root_change_delay_ms.ms());
    let letter = venue.letter(STRANGER, SignerRole::Root, key, vec![Command::AcceptRootKey]);
    assert_eq!(venue.step(&[letter]).only(), Ok(()));
}

fn new_guardians(venue: &mut Venue) {
    let accounts = list(vec![AccountId::new(FIRST + 2), AccountId::new(FIRST + 3)]);
    let set = Command::SetGuardians(Box::new(GuardianSet { threshold: 2, accounts }));
    assert_eq!(venue.ask(STRANGER, set), Ok(()));
}

/// D8: money of one transaction, then opposite positions of one size.
#[test]
fn accounts_of_one_origin_with_opposite_positions_are_linked_and_raise_each_other() {
    let (first, second, other) = (FIRST + 1, FIRST + 2, FIRST + 3);
    let of = |outputs_of: [u64; 2]| {
        let mut venue = Venue::new();
        let mut steps = Vec::new();
        for (account, (transaction, output)) in [first, second].into_iter().zip(outputs_of.into_iter().zip(0..)) {
            let beneficiary = casemate_protocol::command::Beneficiary::Account(AccountId::new(account));
            let claim = casemate_protocol::command::DepositClaim {
                output,
                ..crate::kit::claim(transaction, 1_000_000, beneficiary)
            };
            venue.attest(&[1, 2], &claim);
        }
        assert_eq!(venue.ask(other, bid(1, 999, 10)), Ok(()));
        assert_eq!(venue.ask(other, ask(1, 1_001, 10)), Ok(()));
        for (account, side, price) in [(first, Side::Bid, 1_001), (second, Side::Ask, 999)] {
            let taking = Command::PlaceOrder(order(1, side, price, 10, TimeInForce::ImmediateOrCancel));
            let letter = venue.root(account, vec![taking]);
            steps.push(venue.step(&[letter]));
        }
        steps.push(venue.wait(10));
        let found: Vec<_> = alerts(&steps).iter().map(|alert| (alert.detector, alert.account.number())).collect();
        let causes: Vec<_> =
            moves(&steps).iter().map(|moved| (moved.account.number(), moved.to, moved.cause)).collect();
        assert_eq!(venue.ask(first, contest()), Ok(()));
        let contested = moves(&[venue.wait(10)]);
        assert!(
            !venue.ledger().segment(SegmentId::new(1)).unwrap().conduct().clusters().has_links(AccountId::new(second))
        );
        (found, causes, contested)
    };
    let (found, causes, contested) = of([5, 5]);
    // The first contests: the next block's band is the one without the link.
    let dropped = ConductBandMoved {
        segment: SegmentId::new(1),
        account: AccountId::new(first),
        from: 1,
        to: 0,
        cause: BandCause::Faded,
        alert: 0,
    };
    assert_eq!(contested, [dropped]);
    assert_eq!(found, [(Detector::Collusion, second), (Detector::Collusion, first)]);
    assert_eq!(causes, [(first, 1, BandCause::Linked), (second, 1, BandCause::Linked)]);
    assert_eq!(of([5, 6]), (vec![], vec![], vec![]), "money of two transactions: strangers");
}

type Verdict = Result<(), RejectCode>;

pub fn book_depth() -> Verdict {
    spoofed(genesis()).ask(SPOOFER, bid(1, 995, 40))
}

pub fn price_step() -> Verdict {
    let mut venue = spoofed(genesis());
    venue.ask(STRANGER, ask(1, 1_030, 30))?;
    venue.ask(SPOOFER, Command::PlaceOrder(order(1, Side::Bid, 1_030, 30, TimeInForce::ImmediateOrCancel)))
}

pub fn open_interest() -> Verdict {
    let mut venue = spoofed(genesis());
    venue.ask(STRANGER, ask(1, 1_005, 30))?;
    venue.ask(SPOOFER, ask(1, 1_004, 4))
}

fn withdraw(amount: i64) -> Command {
    Command::RequestWithdrawal(Box::new(RequestWithdrawal {
        segment: SegmentId::new(1),
        amount: micros(amount),
        chain: 7,
        destination: OutsideReference::new(vec![7; 20]).unwrap(),
    }))
}

pub fn outflow() -> Verdict {
    spoofed(genesis()).ask(SPOOFER, withdraw(4_000_000))
}

pub fn keys_while_pending() -> Verdict {
    let mut venue = spoofed(genesis());
    venue.ask(SPOOFER, withdraw(1_000_000))?;
    let terms = terms(&venue, SPOOFER, 2);
    assert_ne!(session_key(SPOOFER, 2), session_key(SPOOFER, 1));
    venue.ask(SPOOFER, Command::RegisterGrant(Box::new(terms)))
}

fn contest() -> Command {
    Command::ContestLink(ContestLink { segment: SegmentId::new(1) })
}

pub fn contested_lately() -> Verdict {
    let mut venue = Venue::new();
    venue.ask(STRANGER, contest())?;
    venue.wait(6 * 24 * HOUR_MS);
    venue.ask(STRANGER, contest())
}

/// Bands as policies call them: each asks for what the policy of its word asks for, from the block after the alert.
#[test]
fn a_policy_of_a_high_band_asks_for_a_higher_tier() {
    let text = "PlaceOrder conduct Watched Rooted\nPlaceOrder conduct Suspect Proven";
    let replica = |genesis: &Genesis| Replica::new(genesis, seeded_keys(genesis), Words, &Sequential).unwrap();
    let genesis = Genesis { policies: words::set(text), ..genesis() };
    let mut venue = Venue::at_start(genesis.clone(), replica(&genesis));
    // Next to this open interest and this book, a small order is no damage.
    for (account, command) in
        [(STRANGER, bid(1, 1_000, 60)), (FIRST + 2, ask(1, 1_000, 60)), (STRANGER, bid(1, 996, 60))]
    {
        assert_eq!(venue.ask(account, command), Ok(()));
    }
    let by_session = |venue: &mut Venue<Words>| {
        let letter = venue.session(SPOOFER, 1, vec![bid(1, 996, 2), cancel_all()]);
        let step = venue.step(&[letter]);
        assert_eq!(step.verdict(0, 1), Ok(()), "a cancel is a cancel");
        step.verdict(0, 0)
    };
    let by_root = |venue: &mut Venue<Words>| venue.ask(SPOOFER, bid(1, 996, 2));
    assert_eq!((by_session(&mut venue), by_root(&mut venue)), (Ok(()), Ok(())), "ordinary");
    let refuse = |venue: &mut Venue<Words>, rounds| {
        for _ in 0..rounds {
            let doors: Vec<Command> = (0..6).map(|number| cancel(1, 700 + number)).collect();
            let letter = venue.root(SPOOFER, doors);
            venue.step_after(1_000, vec![letter.sealed()]);
        }
        venue.wait(10);
    };
    refuse(&mut venue, 8);
    assert_eq!(venue.ledger().conduct_band(AccountId::new(SPOOFER)), 1);
    assert_eq!(by_session(&mut venue), Err(RejectCode::RootRequired), "watched");
    assert_eq!(by_root(&mut venue), Ok(()));
    venue.wait(301_000);
    for _ in 0..8 {
        let letter = venue.session(SPOOFER, 1, vec![bid(1, 996, 2); 4]);
        let step = venue.step_after(1_000, vec![letter.sealed()]);
        assert!((0..4).all(|command| step.verdict(0, command) == Err(RejectCode::RootRequired)));
    }
    venue.wait(10);
    assert_eq!(venue.ledger().conduct_band(AccountId::new(SPOOFER)), 1, "a band is no reason for itself");
    for _ in 0..4 {
        venue.wait(301_000);
        refuse(&mut venue, 8);
    }
    assert_eq!(venue.ledger().conduct_band(AccountId::new(SPOOFER)), 3);
    assert_eq!(by_root(&mut venue), Err(RejectCode::EvidenceTooLow), "suspect");
    assert_eq!(venue.ask(FIRST + 2, bid(1, 996, 2)), Ok(()), "others are not asked for more");
}

pub fn own_loss() -> Verdict {
    let damage = DamageRules {
        own_loss: RatioPpm::from_ppm(1_000),
        price_step: RatioPpm::from_ppm(1_000_000),
        ..ConductRules::STARTING.damage
    };
    let mut venue = Venue::of(with_rules(margined::genesis(), |rules| rules.damage = damage));
    venue.hold([1_000, 1_000], 5);
    let (owner, thief) = (margined::FIRST, margined::FIRST + 1);
    for _ in 0..8 {
        let doors: Vec<Command> = (0..6).map(|number| cancel(1, 700 + number)).collect();
        let letter = venue.root(owner, doors);
        venue.step_after(1_000, vec![letter.sealed()]);
        venue.publish(1, 1_000);
    }
    venue.ask(thief, ask(1, 1_015, 20))?;
    venue.ask(owner, bid(1, 1_015, 20))
}
