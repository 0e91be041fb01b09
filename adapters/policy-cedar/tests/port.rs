//! The port of the gate: sets by their texts, compiled once and asked many times.

mod support;

use casemate_gate::{PolicyDecider, SetAnswer, SetRefused};
use casemate_ledger::PolicyInForce;
use casemate_policy_cedar::{CedarDecider, CedarPolicies, PolicyFolder};
use casemate_protocol::QuoteMicros;
use casemate_protocol::policy::{
    ConductBand, PolicyAction, PolicyFacts, PolicyKind, PolicyQuestion, PolicyRegime, PolicySet, PolicyTable,
    SegmentState, Tier,
};
use support::{Draw, shipped, shipped_folder};

#[test]
fn the_set_inside_the_program_is_that_of_the_folder() {
    assert_eq!(PolicyFolder::shipped(), shipped_folder());
    let set = shipped_folder().to_set().unwrap();
    assert_eq!(PolicyFolder::of_set(&set).unwrap(), shipped_folder());
}

#[test]
fn the_port_says_what_the_decider_says() {
    let decider = CedarDecider::new(&shipped()).unwrap();
    let set = PolicyFolder::shipped().to_set().unwrap();
    let port = CedarPolicies::new();
    port.prepare(&set);
    let table = port.clone().compile(&set).unwrap();
    assert_eq!(table.digest(), decider.table().digest());
    let policy = PolicyInForce::new(set, table);
    let borders: Vec<i64> = policy.table().borders().iter().map(|border| border.micros()).collect();
    let mut draw = Draw::new(9);
    for _ in 0..2_000 {
        let mut facts = PolicyFacts::bare(draw.question(&borders), draw.word(Tier::ALL));
        facts.account_age_ms = draw.below(2) * 86_400_000;
        let is_permitted = port.decide(&policy, &facts).unwrap() == SetAnswer::Permits;
        assert_eq!(is_permitted, decider.permits(&facts).unwrap(), "{facts:?}");
    }
}

#[test]
fn a_set_that_cannot_be_in_force_is_refused_with_its_place_and_no_set_is_the_built_in_table() {
    let port = CedarPolicies::new();
    assert_eq!(port.compile(&PolicySet::default()), Ok(PolicyTable::built_in()));
    let broken = PolicySet::of_texts([("a.cedar", "permit (principal, action, resource)")]).unwrap();
    let SetRefused(reason) = port.compile(&broken).unwrap_err();
    assert!(reason.starts_with("a.cedar:1:"), "{reason}");
    let twice = PolicySet::of_texts([("a.cedar", ""), ("a.cedar", "")]).unwrap();
    assert_eq!(port.compile(&twice), Err(SetRefused("there are two files `a.cedar`".to_owned())));
    let latin = PolicySet::of_texts([("a.cedar", "x")]).unwrap();
    let mut bytes = borsh::to_vec(&latin).unwrap();
    *bytes.last_mut().unwrap() = 0xff;
    let latin: PolicySet = borsh::from_slice(&bytes).unwrap();
    assert_eq!(port.compile(&latin), Err(SetRefused("`a.cedar` is not UTF-8".to_owned())));
}

#[test]
fn a_policy_that_errs_is_told_apart_from_one_that_forbids() {
    let mut folder = shipped_folder();
    let text = include_str!("fixtures/run-time-error.cedar");
    folder.files.insert("run-time-error.cedar".to_owned(), text.to_owned());
    let (port, set) = (CedarPolicies::new(), folder.to_set().unwrap());
    let policy = PolicyInForce::new(set.clone(), port.compile(&set).unwrap());
    let asked = |micros: i64, tier: Tier| {
        let question = PolicyQuestion {
            kind: PolicyKind::Trader,
            action: PolicyAction::RequestWithdrawal,
            state: SegmentState::Normal,
            regime: PolicyRegime::Calm,
            amount: QuoteMicros::from_micros(micros),
            conduct: ConductBand::Ordinary,
        };
        port.decide(&policy, &PolicyFacts::bare(question, tier)).unwrap()
    };
    // The policy multiplies the amount by a million, and asks for a proof above five.
    assert_eq!(asked(1 << 60, Tier::Quorum), SetAnswer::Errs);
    assert_eq!(asked(1 << 20, Tier::Rooted), SetAnswer::Denies);
    assert_eq!(asked(1 << 20, Tier::Proven), SetAnswer::Permits);
}

/// More sets than are kept: what was forgotten is compiled again and comes out the same.
#[test]
fn a_forgotten_set_compiles_again() {
    let port = CedarPolicies::new();
    let set = PolicyFolder::shipped().to_set().unwrap();
    let first = port.compile(&set).unwrap();
    for number in 0..10 {
        let other = PolicySet::of_texts([("a.cedar", format!("// {number}").as_str())]).unwrap();
        assert_eq!(port.compile(&other), Err(SetRefused("there is no policy".to_owned())));
    }
    assert_eq!(port.compile(&set), Ok(first));
}
