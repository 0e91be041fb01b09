//! From policies to the table: Cedar is asked about every cell that can occur, with each tier of evidence.

use std::collections::HashMap;

use casemate_protocol::hash::{self, Domain};
use casemate_protocol::policy::{
    PolicyAction, PolicyKind, PolicyQuestion, PolicyTable, SegmentState, SlowRule, TableError, Tier,
};
use casemate_protocol::{QuoteMicros, limits::POLICY_AMOUNT_BORDERS_MAX};
use serde_json::Value;

use crate::DECISION_STACK_BYTES;
use crate::error::PolicyError;
use crate::files::{LoadedPolicy, Policies};
use crate::request::describe;
use crate::slices::{Slice, Slices};

/// Compiles a set into the table of the hot path. The same set gives the same bytes on every machine.
///
/// # Errors
/// A policy of the hot path that looks at more than a cell; more evidence that is refused where less is enough; a floor that is
/// forbidden; a policy that errors. Each names the policy.
pub fn compile(policies: &Policies) -> Result<PolicyTable, PolicyError> {
    compile_slices(policies, &Slices::of(policies)?)
}

pub(crate) fn compile_slices(policies: &Policies, slices: &Slices) -> Result<PolicyTable, PolicyError> {
    require_open_floors(policies)?;
    let borders: Vec<QuoteMicros> = slices.borders_micros.iter().copied().map(QuoteMicros::from_micros).collect();
    if borders.len() > POLICY_AMOUNT_BORDERS_MAX {
        let message =
            format!("amounts are compared at {} borders, more than {POLICY_AMOUNT_BORDERS_MAX}", borders.len());
        return Err(PolicyError::new(None, message, "let policies share their amounts"));
    }
    let mut slow_rules = Vec::new();
    for policy in policies.policies().iter().filter(|policy| policy.is_slow()) {
        slow_rules.push(slow_rule(policy)?);
    }
    slow_rules.sort_unstable();
    let applies_slowly =
        |kind: PolicyKind, action: PolicyAction| slices.get(kind, action).is_some_and(|slice| slice.has_slow);
    let mut known: HashMap<SeenCell, Option<Tier>> = HashMap::new();
    let filled = stacker::maybe_grow(DECISION_STACK_BYTES, DECISION_STACK_BYTES, || {
        PolicyTable::fill(&borders, &slow_rules, applies_slowly, |question| {
            let Some(slice) = slices.get(question.kind, question.action) else { return Ok(None) };
            let key = SeenCell::of(question, slice);
            if let Some(least) = known.get(&key) {
                return Ok(*least);
            }
            let least = least_tier(policies, slice, question)?;
            known.insert(key, least);
            Ok(least)
        })
    });
    filled.map_err(|refused: Refused| refused.explained(policies, slices))
}

/// A cell by what its policies look at: where they do not look at the regime, say, all regimes are one.
#[derive(PartialEq, Eq, Hash)]
struct SeenCell([u8; 5], i64);

impl SeenCell {
    fn of(question: &PolicyQuestion, slice: &Slice) -> Self {
        let seen = |is_used: bool, number: u8| if is_used { number } else { 0 };
        let words = [
            question.kind.number(),
            question.action.number(),
            seen(slice.uses.state, question.state.number()),
            seen(slice.uses.regime, question.regime.number()),
            seen(slice.uses.conduct, question.conduct.number()),
        ];
        Self(words, if slice.uses.amount { question.amount.micros() } else { 0 })
    }
}

/// Why filling stopped.
enum Refused {
    Policy(PolicyError),
    Table(TableError),
}

impl From<TableError> for Refused {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

impl Refused {
    fn explained(self, policies: &Policies, slices: &Slices) -> PolicyError {
        match self {
            Self::Policy(error) => error,
            Self::Table(TableError::Floor { question, floor, .. }) => floor_error(policies, slices, &question, floor),
            Self::Table(TableError::Borders) => {
                PolicyError::new(None, "borders of amounts do not rise", "compare above zero")
            }
            Self::Table(TableError::SlowRules) => PolicyError::new(
                None,
                "two policies of the slow path say the same, or there are too many",
                "remove one",
            ),
            Self::Table(TableError::TooLarge) => {
                PolicyError::new(None, "the table would have too many cells", "let policies share their amounts")
            }
        }
    }
}

/// The least tier with which Cedar permits, checked to stay permitted with every tier above.
fn least_tier(policies: &Policies, slice: &Slice, question: &PolicyQuestion) -> Result<Option<Tier>, Refused> {
    let mut least: Option<(Tier, Vec<String>)> = None;
    for &tier in Tier::ALL {
        let verdict = slice.judge_cell(question, tier).map_err(|message| {
            Refused::Policy(PolicyError::new(None, message, "this is a defect of casemate: report it"))
        })?;
        if let Some((id, error)) = verdict.errors.first() {
            let message = format!("errors for {}, tier {}: {error}", describe(question), tier.number());
            return Err(Refused::Policy(about(policies, id, &message, "guard what may be missing with `has`")));
        }
        match (&least, verdict.is_permitted) {
            (None, true) => least = Some((tier, verdict.reasons)),
            (Some((enough, permits)), false) => {
                let id = verdict.reasons.first().or_else(|| permits.first()).cloned().unwrap_or_default();
                let message = format!(
                    "{}: tier {} is enough and tier {} is refused",
                    describe(question),
                    enough.number(),
                    tier.number()
                );
                let hint = "in a `permit` write `context.tier >= N`, in a `forbid` `context.tier < N`: more evidence never hurts";
                return Err(Refused::Policy(about(policies, &id, &message, hint)));
            }
            (None, false) | (Some(_), true) => {}
        }
    }
    Ok(least.map(|(tier, _)| tier))
}

fn about(policies: &Policies, id: &str, message: &str, hint: &str) -> PolicyError {
    match policies.policy(id) {
        Some(policy) => policy.error(message, hint),
        None => PolicyError::new(None, message, hint),
    }
}

const FLOOR_HINT: &str = "cancel, reduce, top-up, propose, vote, taking back and the slow principal exit stay open to everybody who \
                          may ask, in every state; breakers alone may hold some of them up";

fn floor_error(policies: &Policies, slices: &Slices, question: &PolicyQuestion, floor: Tier) -> PolicyError {
    let slice = slices.get(question.kind, question.action);
    let verdict = slice.and_then(|slice| slice.judge_cell(question, floor).ok());
    let forbids = verdict.map(|verdict| verdict.reasons).unwrap_or_default();
    let asked = format!("{}, tier {}", describe(question), floor.number());
    match forbids.first() {
        Some(id) => about(policies, id, &format!("forbids what no policy may forbid: {asked}"), FLOOR_HINT),
        None => PolicyError::new(None, format!("no policy permits what none may forbid: {asked}"), FLOOR_HINT),
    }
}

/// A rule of the slow path that forbids may not reach a floor: what it looks at is not in cells, so nobody can enumerate it.
fn require_open_floors(policies: &Policies) -> Result<(), PolicyError> {
    for policy in policies.policies().iter().filter(|policy| policy.is_slow() && policy.is_forbid()) {
        for &kind in PolicyKind::ALL {
            for &action in PolicyAction::ALL {
                let has_floor = SegmentState::ALL.iter().any(|&state| has_floor(kind, action, state));
                if has_floor && policies.may_apply(policy, kind, action) {
                    let message = format!("may forbid {} to a {}, which no policy may", action.name(), kind.name());
                    return Err(policy.error(message, FLOOR_HINT));
                }
            }
        }
    }
    Ok(())
}

fn has_floor(kind: PolicyKind, action: PolicyAction, state: SegmentState) -> bool {
    let question = PolicyQuestion {
        kind,
        action,
        state,
        regime: casemate_protocol::policy::PolicyRegime::Calm,
        amount: QuoteMicros::ZERO,
        conduct: casemate_protocol::policy::ConductBand::Ordinary,
    };
    question.floor().is_some()
}

/// The rule as the table names it: by what it says, whatever its name, its place and its layout.
pub(crate) fn slow_rule(policy: &LoadedPolicy) -> Result<SlowRule, PolicyError> {
    let mut json = policy.policy.to_json().map_err(|error| policy.error(error, "simplify it"))?;
    if let Value::Object(fields) = &mut json {
        fields.remove("annotations");
    }
    let mut text = String::new();
    write_canonical(&json, &mut text);
    Ok(SlowRule { digest: hash::digest(Domain::PolicyRule, &[text.as_bytes()]), is_forbid: policy.is_forbid() })
}

/// JSON with its names in order, whatever order the map keeps them in.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            text.push('{');
            for name in names {
                *text += &format!("{}:", Value::String(name.clone()));
                if let Some(field) = fields.get(name) {
                    write_canonical(field, text);
                }
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                write_canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => *text += &value.to_string(),
    }
}
