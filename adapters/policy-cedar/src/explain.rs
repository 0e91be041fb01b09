//! Why a cell needs what it needs, and what would change it.

use casemate_protocol::QuoteMicros;
use casemate_protocol::policy::{
    ActionScope, ConductBand, PolicyQuestion, PolicyRegime, PolicyTable, SegmentState, Tier,
};

use crate::decide::CedarDecider;
use crate::request::describe_amount;

/// The answer to: for this kind and action now, which tier is needed, which policies say so, what would change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The question, with what plays no part taken out.
    pub question: PolicyQuestion,
    /// Least tier; none if nothing is enough.
    pub least: Option<Tier>,
    /// Policies that permit at that tier.
    pub permitted_by: Vec<String>,
    /// Policies that forbid with one tier less, or at all if nothing is enough. Empty if it is only that none permits.
    pub held_by: Vec<String>,
    /// Rules of the slow path that may ask for more.
    pub may_add: Vec<String>,
    /// What would change the tier, one thing at a time.
    pub remedies: Vec<Remedy>,
}

/// A change of one thing that changes the tier needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// The change, in words.
    pub change: String,
    /// Least tier with it.
    pub least: Option<Tier>,
}

/// Explains a cell.
#[must_use]
pub fn explain(decider: &CedarDecider, policies: &crate::Policies, question: &PolicyQuestion) -> Explanation {
    let question = question.normalised();
    let table = decider.table();
    let least = table.answer(&question).least;
    let slice = decider.slices().get(question.kind, question.action);
    let reasons = |tier: Tier| {
        let verdict = slice.and_then(|slice| slice.judge_cell(&question, tier).ok());
        verdict.map(|verdict| verdict.reasons).unwrap_or_default()
    };
    let below = match least {
        Some(tier) => tier.number().checked_sub(1).and_then(Tier::from_number),
        None => Some(Tier::Quorum),
    };
    let may_add = policies.policies().iter().filter(|policy| policy.is_slow());
    let may_add = may_add.filter(|policy| policies.may_apply(policy, question.kind, question.action));
    Explanation {
        question,
        least,
        permitted_by: least.map(reasons).unwrap_or_default(),
        held_by: below.map(reasons).unwrap_or_default(),
        may_add: may_add.map(|policy| policy.id().to_owned()).collect(),
        remedies: remedies(table, &question, least),
    }
}

/// One thing at a time, each kind of change as near as it can be.
fn remedies(table: &PolicyTable, question: &PolicyQuestion, least: Option<Tier>) -> Vec<Remedy> {
    let mut found = Vec::new();
    let mut try_change = |change: String, changed: PolicyQuestion| {
        let other = table.answer(&changed).least;
        if other != least {
            found.push(Remedy { change, least: other });
        }
    };
    if question.action.has_amount() {
        let borders = table.borders();
        let band = borders.partition_point(|border| *border <= question.amount);
        for border in borders.get(..band).unwrap_or_default().iter().rev() {
            let amount = QuoteMicros::from_micros(border.micros().saturating_sub(1));
            let change = format!("an amount below {}", describe_amount(*border));
            try_change(change, PolicyQuestion { amount, ..*question });
        }
        for border in borders.get(band..).unwrap_or_default() {
            let change = format!("an amount of {} or more", describe_amount(*border));
            try_change(change, PolicyQuestion { amount: *border, ..*question });
        }
    }
    for &regime in PolicyRegime::ALL {
        try_change(format!("regime {}", regime.name()), PolicyQuestion { regime, ..*question });
    }
    if question.action.scope() != ActionScope::Venue {
        for &state in SegmentState::ALL {
            try_change(format!("segment {}", state.name()), PolicyQuestion { state, ..*question });
        }
    }
    for &conduct in ConductBand::ALL {
        try_change(format!("conduct {}", conduct.name()), PolicyQuestion { conduct, ..*question });
    }
    found
}
