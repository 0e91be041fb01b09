//! The port of the gate: sets by their texts, compiled once and asked many times.

mod support;

use casemate_gate::{PolicyDecider, SetRefused};
use casemate_ledger::PolicyInForce;
use casemate_policy_cedar::{CedarDecider, CedarPolicies, PolicyFolder};
use casemate_protocol::policy::{PolicyFacts, PolicySet, PolicyTable, Tier};
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
        assert_eq!(port.permits(&policy, &facts), Ok(decider.permits(&facts).unwrap()), "{facts:?}");
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
