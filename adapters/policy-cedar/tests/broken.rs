//! Sets that are broken on purpose: each is refused, or found out, with its place and a hint.

mod support;

use casemate_policy_cedar::analysis::{self, PropertyReport};
use casemate_policy_cedar::{CedarDecider, DEPTH_MAX, EXPRESSIONS_MAX, Policies, PolicyError, PolicyFolder, compile};
use casemate_protocol::policy::{
    ConductBand, PolicyAction, PolicyFacts, PolicyKind, PolicyQuestion, PolicyRegime, SegmentState, Tier,
};
use casemate_protocol::{AccountId, QuoteMicros};
use support::{shipped, shipped_folder, with_fixture};

fn refused_at_load(name: &str) -> (String, PolicyError) {
    let Err(error) = with_fixture(name) else { panic!("{name} is read") };
    (error.to_string(), error)
}

fn refused_at_compile(name: &str) -> (String, PolicyError) {
    let Err(error) = compile(&with_fixture(name).unwrap()) else { panic!("{name} compiles") };
    (error.to_string(), error)
}

/// The reports on a set with a fixture more, or with a file replaced by it.
fn reports(name: &str, replaced: Option<&str>) -> Vec<PropertyReport> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut folder = shipped_folder();
    if let Some(replaced) = replaced {
        folder.files.remove(replaced).unwrap();
    }
    folder.files.insert(name.to_owned(), std::fs::read_to_string(path).unwrap());
    analysis::check(&Policies::load(&folder).unwrap()).unwrap()
}

fn failing(reports: &[PropertyReport]) -> Vec<&str> {
    reports.iter().filter(|report| !report.holds).map(|report| report.name).collect()
}

fn counterexample<'a>(reports: &'a [PropertyReport], name: &str) -> &'a str {
    reports.iter().find(|report| report.name == name).unwrap().counterexample.as_deref().unwrap()
}

fn single(text: &str) -> Result<Policies, PolicyError> {
    let mut folder: PolicyFolder = shipped_folder();
    folder.files.insert("zz.cedar".into(), text.into());
    Policies::load(&folder)
}

#[test]
fn a_syntax_error_is_told_with_line_and_column() {
    let (message, error) = refused_at_load("syntax-error.cedar");
    assert!(message.starts_with("syntax-error.cedar:4:26: "), "{message}");
    assert!(message.contains("unexpected token `;`"), "{message}");
    assert!(!error.hint.is_empty());
}

#[test]
fn an_attribute_that_the_schema_does_not_have_is_told_with_what_is_close() {
    let (message, error) = refused_at_load("schema-error.cedar");
    assert!(message.starts_with("schema-error.cedar:3:8: "), "{message}");
    assert!(message.contains("amount"), "{message}");
    assert!(error.hint.contains("amountMicros"), "{}", error.hint);
}

#[test]
fn another_schema_is_refused_and_a_broken_one_with_its_place() {
    let mut folder = shipped_folder();
    folder.schema = folder.schema.replace("amountMicros: Long", "amountMicros: String");
    let error = Policies::load(&folder).unwrap_err();
    assert!(error.to_string().starts_with("schema.cedarschema:1:1: the schema says something else"), "{error}");
    folder.schema = "entity Trader = {\n  number: Nothing,\n};".into();
    let error = Policies::load(&folder).unwrap_err();
    assert!(error.to_string().starts_with("schema.cedarschema:2:11: "), "{error}");
}

#[test]
fn a_policy_that_errs_denies_and_is_found_by_the_solver() {
    let policies = with_fixture("run-time-error.cedar").unwrap();
    let decider = CedarDecider::new(&policies).unwrap();
    let question = PolicyQuestion {
        kind: PolicyKind::Trader,
        action: PolicyAction::RequestWithdrawal,
        state: SegmentState::Normal,
        regime: PolicyRegime::Calm,
        amount: QuoteMicros::from_micros(1 << 60),
        conduct: ConductBand::Ordinary,
    };
    let facts = PolicyFacts { account: AccountId::new(1), ..PolicyFacts::bare(question, Tier::Quorum) };
    let decision = decider.decide(&facts).unwrap();
    assert!(!decision.is_permitted, "no policy forbids it, but one errs");
    assert_eq!(decision.errors[0].0, "product-overflows");
    assert!(decision.errors[0].1.contains("overflow"), "{decision:?}");

    let reports = reports("run-time-error.cedar", None);
    assert!(failing(&reports).contains(&"never-errors"));
    let found = counterexample(&reports, "never-errors");
    assert!(found.contains("policy `product-overflows` at run-time-error.cedar:2:1"), "{found}");
    assert!(found.starts_with("Trader, RequestWithdrawal of "), "{found}");
}

#[test]
fn value_that_leaves_below_the_tier_in_a_crash_is_found_with_a_request() {
    let reports = reports("no-evidence-in-a-crash.cedar", Some("20-value-leaves.cedar"));
    assert_eq!(failing(&reports), ["value-leaves-with-evidence-in-wild-markets"]);
    let found = counterexample(&reports, "value-leaves-with-evidence-in-wild-markets");
    assert!(found.contains("tier 2 (rooted)") || found.contains("tier 3 (proven)"), "{found}");
    assert!(found.contains("regime Stressed") || found.contains("regime Extreme"), "{found}");
    assert!(found.ends_with("is permitted, by `value-leaves-with-the-root-key`"), "{found}");
}

#[test]
fn a_forbidden_floor_is_refused_by_name_and_found_with_a_request() {
    let (message, error) = refused_at_compile("floor-forbidden.cedar");
    assert!(message.starts_with("floor-forbidden.cedar:1:1: policy `no-cancels-in-a-crash`: forbids"), "{message}");
    assert!(message.contains("CancelOrder") && message.contains("regime Extreme"), "{message}");
    assert!(error.hint.contains("cancel, reduce"));
    let reports = reports("floor-forbidden.cedar", None);
    assert_eq!(failing(&reports), ["compiles", "cancel-and-reduce-always"]);
    let found = counterexample(&reports, "cancel-and-reduce-always");
    assert!(found.ends_with("is refused, by `no-cancels-in-a-crash`"), "{found}");
}

#[test]
fn a_rule_of_the_slow_path_reaches_no_floor_either() {
    let (message, _) = refused_at_compile("floor-forbidden-slowly.cedar");
    assert!(message.contains("policy `no-exit-for-one`: may forbid CancelWithdrawal to a Trader"), "{message}");
}

#[test]
fn a_set_that_permits_no_floor_is_refused() {
    let mut folder = shipped_folder();
    folder.files.remove("30-own-affairs.cedar").unwrap();
    let error = compile(&Policies::load(&folder).unwrap()).unwrap_err();
    assert!(
        error.to_string().starts_with("no policy permits what none may forbid: Trader, CancelWithdrawal"),
        "{error}"
    );
}

#[test]
fn more_evidence_may_never_hurt() {
    let (message, error) = refused_at_compile("not-monotone.cedar");
    assert!(message.starts_with("not-monotone.cedar:2:1: policy `not-with-the-root-key`: "), "{message}");
    assert!(message.contains("tier 0 is enough and tier 2 is refused"), "{message}");
    assert!(error.hint.contains("more evidence never hurts"));
    let (message, _) = refused_at_compile("not-monotone-slowly.cedar");
    assert!(message.starts_with("not-monotone-slowly.cedar:4:15: policy `not-with-too-much`: "), "{message}");
}

#[test]
fn the_hot_path_compares_with_literals_alone() {
    let (message, error) = refused_at_compile("compares-attributes.cedar");
    assert!(message.starts_with("compares-attributes.cedar:5:13: policy `more-than-one-is-old`: "), "{message}");
    assert!(message.contains("principal.ageMs"), "{message}");
    assert!(error.hint.contains("@path(\"slow\")"));
    let (message, _) = refused_at_compile("one-account-on-the-hot-path.cedar");
    assert!(message.contains("names a single principal or resource"), "{message}");
}

#[test]
fn who_loosens_without_office_is_found() {
    let reports = reports("anybody-loosens.cedar", None);
    assert_eq!(failing(&reports), ["only-governance-loosens"]);
    let found = counterexample(&reports, "only-governance-loosens");
    assert!(found.starts_with("Trader, ") && found.ends_with("by `traders-loosen-too`"), "{found}");
}

#[test]
fn the_shipped_set_has_every_property() {
    let reports = analysis::check(&shipped()).unwrap();
    assert_eq!(failing(&reports), [""; 0]);
    assert_eq!(reports.len(), 12);
}

#[test]
fn names_paths_and_templates_are_checked() {
    let told = |text: &str| single(text).unwrap_err().to_string();
    let head = "permit (principal, action == Action::\"ReadPublic\", resource);";
    assert!(told(head).contains("a policy's `@id` is `missing`"));
    assert!(told(&format!("@id(\"a\") @path(\"fast\") {head}")).contains("there is no path `fast`"));
    let twin = told(&format!("@id(\"auditors-read-everything\")\n{head}"));
    assert!(twin.starts_with("zz.cedar:1:1: ") && twin.contains("60-reads.cedar:"), "{twin}");
    let template = "@id(\"t\") permit (principal == ?principal, action == Action::\"ReadPublic\", resource);";
    assert!(told(template).contains("templates are not part of a set"));
}

#[test]
fn a_policy_that_can_never_apply_is_refused() {
    let text = "@id(\"never\") permit (principal is Anonymous, action == Action::\"PlaceOrder\", resource);";
    assert!(single(text).unwrap_err().to_string().starts_with("zz.cedar:1:"));
}

/// `depth` expressions one inside the other, none of which can be left out.
fn nested(depth: usize) -> String {
    let mut text = "context.tier >= 0".to_owned();
    for level in 0..depth {
        text = format!("(if context.amountMicros == {level} then {text} else context.tier >= 0)");
    }
    format!(
        "@id(\"deep\") @path(\"slow\") permit (principal == Trader::\"1\", action == Action::\"RequestWithdrawal\", resource) \
         when {{ {text} }};"
    )
}

#[test]
fn depth_and_size_are_bounded_and_the_deepest_is_decided() {
    // The innermost comparison is two expressions deeper, and nothing but `tier` inside `if` is refused later on.
    let text = |depth| nested(depth).replace("context.tier >= 0", "principal.ageMs >= 0");
    let policies = single(&text(DEPTH_MAX - 3)).unwrap();
    let decider = CedarDecider::new(&policies).unwrap();
    let question = PolicyQuestion {
        kind: PolicyKind::Trader,
        action: PolicyAction::RequestWithdrawal,
        state: SegmentState::Normal,
        regime: PolicyRegime::Calm,
        amount: QuoteMicros::ZERO,
        conduct: ConductBand::Ordinary,
    };
    let facts = PolicyFacts { account: AccountId::new(1), ..PolicyFacts::bare(question, Tier::Session) };
    assert_eq!(decider.decide(&facts).unwrap().reasons, ["deep"]);
    let message = single(&text(DEPTH_MAX + 1)).unwrap_err().to_string();
    assert!(message.contains(&format!("deep, more than {DEPTH_MAX}")), "{message}");

    let long = vec!["context.amountMicros != 1"; EXPRESSIONS_MAX / 4].join(" && ");
    let text = format!("@id(\"long\") permit (principal, action == Action::\"Bond\", resource) when {{ {long} }};");
    assert!(single(&text).unwrap_err().to_string().contains("more than"));
}

#[test]
fn texts_that_nest_as_deep_as_a_statement_may_are_refused_and_bring_nothing_down() {
    let policy = |condition: &str| {
        format!("@id(\"b\") permit (principal, action == Action::\"Bond\", resource) when {{ {condition} }};")
    };
    let brackets = "(".repeat(30_000);
    assert!(single(&policy(&brackets)).unwrap_err().to_string().contains("brackets nest"));
    let longest = 7_900;
    for (link, end) in [
        ("true && ", "true"),
        ("true || ", "true"),
        ("if true then true else ", "true"),
        ("context", ".feeds"),
        ("1 + ", "1 == 2"),
        ("!", "true"),
    ] {
        let links = if link == "context" { 1 } else { longest / link.len() };
        let ends = if link == "context" { longest / end.len() } else { 1 };
        let text = policy(&format!("{}{}", link.repeat(links), end.repeat(ends)));
        assert!(single(&text).is_err(), "{link}");
    }
}

#[test]
fn too_many_borders_are_refused() {
    let rules: String = (1..=16)
        .map(|number| {
            format!(
                "@id(\"border-{number}\") forbid (principal, action == Action::\"Bond\", resource) \
                 when {{ context.amountMicros == {} && context.tier < 3 }};\n",
                number * 10
            )
        })
        .collect();
    let error = compile(&single(&rules).unwrap()).unwrap_err();
    assert!(error.to_string().contains("borders, more than 15"), "{error}");
}
