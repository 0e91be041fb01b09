//! The shipped set: what it says, and that its table and Cedar say the same.

mod support;

use casemate_policy_cedar::{CedarDecider, Policies};
use casemate_protocol::PriceGrade as Grade;
use casemate_protocol::policy::{
    ActionScope, ConductBand, PolicyAction, PolicyKind, PolicyQuestion, PolicyRegime, PolicyTable, SegmentState, Tier,
};
use casemate_protocol::policy::{PolicyFacts, Reading, VenueStatus};
use casemate_protocol::{AccountId, QuoteMicros};
use support::{Draw, shipped, shipped_folder};

/// How often table and Cedar are compared in a run of all tests, and in the slow lane.
const COMPARISONS: u32 = 20_000;
const COMPARISONS_SLOW: u32 = 1_000_000;

fn decider() -> (Policies, CedarDecider) {
    let policies = shipped();
    let decider = CedarDecider::new(&policies).unwrap();
    (policies, decider)
}

fn ask(action: PolicyAction) -> PolicyQuestion {
    PolicyQuestion {
        kind: PolicyKind::Trader,
        action,
        state: SegmentState::Normal,
        regime: PolicyRegime::Calm,
        amount: QuoteMicros::ZERO,
        conduct: ConductBand::Ordinary,
    }
}

fn quote(amount: i64) -> QuoteMicros {
    QuoteMicros::from_micros(amount * 1_000_000)
}

#[test]
fn the_set_has_about_forty_policies_and_says_something_of_every_kind_and_action() {
    let (policies, decider) = decider();
    assert!((35..=60).contains(&policies.policies().len()));
    for &kind in PolicyKind::ALL {
        let can = |action: &PolicyAction| {
            let question = PolicyQuestion { kind, ..ask(*action) };
            decider.table().answer(&question).least.is_some()
        };
        assert!(PolicyAction::ALL.iter().any(can), "{kind:?} may do nothing");
    }
    for &action in PolicyAction::ALL {
        let may =
            |kind: &PolicyKind| decider.table().answer(&PolicyQuestion { kind: *kind, ..ask(action) }).least.is_some();
        assert!(PolicyKind::ALL.iter().any(may), "nobody may {action:?}");
    }
}

#[test]
fn trading_asks_for_more_as_markets_grow_wild() {
    let (_, decider) = decider();
    let least = |action, regime| decider.table().answer(&PolicyQuestion { regime, ..ask(action) }).least;
    let of_order = PolicyRegime::ALL.iter().map(|&regime| least(PolicyAction::PlaceOrder, regime));
    assert_eq!(
        of_order.collect::<Vec<_>>(),
        [Some(Tier::Session), Some(Tier::Session), Some(Tier::Fresh), Some(Tier::Rooted)]
    );
    for &regime in PolicyRegime::ALL {
        assert_eq!(least(PolicyAction::QuoteLadder, regime), Some(Tier::Session));
        assert_eq!(least(PolicyAction::PlaceReducingOrder, regime), Some(Tier::Session));
    }
}

#[test]
fn value_leaves_by_amount_regime_state_and_conduct() {
    let (_, decider) = decider();
    let question = ask(PolicyAction::RequestWithdrawal);
    let least = |question: PolicyQuestion| decider.table().answer(&question).least;
    let by_amount =
        [0, 9_999, 10_000, 99_999, 100_000].map(|amount| least(PolicyQuestion { amount: quote(amount), ..question }));
    assert_eq!(by_amount, [Tier::Rooted, Tier::Rooted, Tier::Proven, Tier::Proven, Tier::Quorum].map(Some));
    assert_eq!(least(PolicyQuestion { regime: PolicyRegime::Stressed, ..question }), Some(Tier::Proven));
    assert_eq!(least(PolicyQuestion { regime: PolicyRegime::Extreme, ..question }), Some(Tier::Quorum));
    assert_eq!(least(PolicyQuestion { state: SegmentState::Elevated, ..question }), Some(Tier::Proven));
    assert_eq!(least(PolicyQuestion { state: SegmentState::WithdrawGated, ..question }), None);
    assert_eq!(least(PolicyQuestion { conduct: ConductBand::Suspect, ..question }), Some(Tier::Quorum));
    let exit = PolicyQuestion { action: PolicyAction::RequestPrincipalExit, state: SegmentState::Halted, ..question };
    assert_eq!(least(exit), Some(Tier::Rooted));
}

#[test]
fn rules_on_accounts_and_feeds_are_asked_on_the_slow_path() {
    let (_, decider) = decider();
    let question = PolicyQuestion { amount: quote(5_000), ..ask(PolicyAction::RequestWithdrawal) };
    assert!(decider.table().answer(&question).asks_slow_path);
    assert!(!decider.table().answer(&ask(PolicyAction::PlaceOrder)).asks_slow_path, "trading stays on the hot path");

    let young = PolicyFacts { account: AccountId::new(620), ..PolicyFacts::bare(question, Tier::Rooted) };
    assert_eq!(decider.decide(&young).unwrap().reasons, ["young-accounts-leave-with-a-proof"]);
    assert!(!decider.permits(&young).unwrap());
    let old = PolicyFacts { account_age_ms: 86_400_000, ..young.clone() };
    assert!(decider.permits(&old).unwrap());

    let mut below_par = old.clone();
    below_par.feeds.redemption_ppm = Some(Reading { value: 979_999, grade: Grade::Valid });
    assert!(!decider.permits(&below_par).unwrap());
    below_par.feeds.redemption_ppm = Some(Reading { value: 979_999, grade: Grade::Aged });
    assert!(decider.permits(&below_par).unwrap(), "a reading that is not valid says nothing");
    let mut closed = old;
    closed.feeds.venue_status = Some(VenueStatus::Closed);
    assert!(!decider.permits(&closed).unwrap());
    assert!(decider.permits(&PolicyFacts { tier: Tier::Proven, ..closed }).unwrap());
}

#[test]
fn the_same_set_gives_the_same_bytes() {
    let (_, decider) = decider();
    let (_, again) = self::decider();
    assert_eq!(borsh::to_vec(decider.table()).unwrap(), borsh::to_vec(again.table()).unwrap());
    let read: PolicyTable = borsh::from_slice(&borsh::to_vec(decider.table()).unwrap()).unwrap();
    assert_eq!(read.digest(), decider.table().digest());
}

#[test]
fn comments_places_and_names_of_slow_rules_do_not_change_the_table() {
    let (_, decider) = decider();
    let mut folder = shipped_folder();
    let moved = folder.files.remove("70-feeds-and-single-accounts.cedar").unwrap();
    let moved = moved
        .replace("young-accounts-leave-with-a-proof", "another-name")
        .replace("&& context.tier", "&&\n // why\n context.tier");
    folder.files.insert("00-first.cedar".into(), moved);
    let again = CedarDecider::new(&Policies::load(&folder).unwrap()).unwrap();
    assert_eq!(again.table().digest(), decider.table().digest());
}

/// A million with `CASEMATE_SLOW=1`.
#[test]
fn the_table_says_what_cedar_says() {
    compare(if std::env::var_os("CASEMATE_SLOW").is_some() { COMPARISONS_SLOW } else { COMPARISONS });
}

/// Random requests, amounts close to borders as often as anywhere: the table must say what all policies of the set say to
/// Cedar, for every tier.
fn compare(count: u32) {
    // Without the rules that the table does not hold, all policies of the set are those of the hot path.
    let mut folder = shipped_folder();
    folder.files.remove("70-feeds-and-single-accounts.cedar").unwrap();
    let decider = CedarDecider::new(&Policies::load(&folder).unwrap()).unwrap();
    let borders: Vec<i64> = decider.table().borders().iter().map(|border| border.micros()).collect();
    let mut draw = Draw::new(7);
    for number in 0..count {
        let question = draw.question(&borders);
        let tier = draw.word(Tier::ALL);
        let facts = PolicyFacts { account: AccountId::new(number.into()), ..PolicyFacts::bare(question, tier) };
        let by_cedar = decider.decide(&facts).unwrap();
        assert_eq!(by_cedar.errors, []);
        let least = decider.table().answer(&question).least;
        assert_eq!(least.is_some_and(|least| tier >= least), by_cedar.is_permitted, "{question:?} {tier:?}");
    }
}

#[test]
fn with_slow_rules_the_shortest_way_says_what_cedar_says() {
    let (_, decider) = decider();
    let borders: Vec<i64> = decider.table().borders().iter().map(|border| border.micros()).collect();
    let mut draw = Draw::new(8);
    for _ in 0..2_000 {
        let mut facts = PolicyFacts::bare(draw.question(&borders), draw.word(Tier::ALL));
        facts.account_age_ms = draw.below(2) * 86_400_000;
        facts.feeds.venue_status = Some(draw.word(&[VenueStatus::Open, VenueStatus::Closed]));
        assert_eq!(decider.permits(&facts).unwrap(), decider.decide(&facts).unwrap().is_permitted, "{facts:?}");
    }
}

#[test]
fn what_plays_no_part_changes_nothing() {
    let (_, decider) = decider();
    for &action in PolicyAction::ALL {
        let question = PolicyQuestion { amount: quote(1_000_000), state: SegmentState::Halted, ..ask(action) };
        let plain = question.normalised();
        assert_eq!(action.has_amount(), plain.amount == question.amount);
        assert_eq!(action.scope() != ActionScope::Venue, plain.state == question.state);
        assert_eq!(decider.table().answer(&question), decider.table().answer(&plain));
    }
}

#[test]
fn a_border_stands_where_a_comparison_comes_out_differently() {
    let comparisons = [
        ("context.amountMicros < 10", &[10][..]),
        ("context.amountMicros <= 20", &[21]),
        ("context.amountMicros > 30", &[31]),
        ("context.amountMicros >= 40", &[40]),
        ("context.amountMicros == 50", &[50, 51]),
        ("60 < context.amountMicros", &[61]),
        ("70 >= context.amountMicros", &[71]),
        ("!(80 != context.amountMicros)", &[80, 81]),
        ("context.amountMicros > -5", &[]),
    ];
    let mut folder = shipped_folder();
    let rules = comparisons.iter().enumerate().map(|(number, (comparison, _))| {
        format!("@id(\"b{number}\") forbid (principal, action == Action::\"Bond\", resource) when {{ {comparison} && context.tier < 3 }};")
    });
    folder.files.insert("zz.cedar".into(), rules.collect());
    let decider = CedarDecider::new(&Policies::load(&folder).unwrap()).unwrap();
    let small: Vec<i64> =
        decider.table().borders().iter().map(|border| border.micros()).filter(|border| *border < 1_000).collect();
    assert_eq!(small, comparisons.iter().flat_map(|(_, borders)| borders.to_vec()).collect::<Vec<_>>());
}
