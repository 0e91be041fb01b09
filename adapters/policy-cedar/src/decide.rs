//! One decision: by the table where it is the last word, by Cedar where a rule of the slow path may apply.
//!
//! Every decision by Cedar has the same least stack, so that it comes out the same whoever asks; the depth of policies is
//! bounded so that it suffices. Should Cedar give up all the same, that is a fault of this machine and no verdict.

use std::fmt;

use casemate_gate::SetAnswer;
use casemate_protocol::policy::{PolicyFacts, PolicyTable, TableAnswer};
use cedar_policy::PolicySet;

use crate::DECISION_STACK_BYTES;
use crate::compile::compile_slices;
use crate::error::PolicyError;
use crate::files::Policies;
use crate::request::AskCedar;
use crate::slices::{Slice, Slices, Verdict, judge};

/// A compiled set, with what decides where the table does not.
#[derive(Clone, Debug)]
pub struct CedarDecider {
    slices: Slices,
    table: PolicyTable,
}

/// What policies say about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may go on: some policy permits, none forbids, and none errs.
    pub is_permitted: bool,
    /// The policies that decided: those that forbid, or else those that permit. Sorted.
    pub reasons: Vec<String>,
    /// Policies that err, and how. One is enough to deny. Sorted.
    pub errors: Vec<(String, String)>,
}

/// This machine could not decide; another might. Never a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionFault {
    /// Cedar gave up for want of stack.
    StackExhausted,
    /// Cedar did not take the request.
    Request(String),
}

impl fmt::Display for DecisionFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StackExhausted => formatter.write_str("a policy nests deeper than the stack of a decision"),
            Self::Request(message) => write!(formatter, "the policy engine does not take the request: {message}"),
        }
    }
}

impl std::error::Error for DecisionFault {}

impl CedarDecider {
    /// Compiles a set.
    ///
    /// # Errors
    /// See [`compile`](crate::compile()).
    pub fn new(policies: &Policies) -> Result<Self, PolicyError> {
        let slices = Slices::of(policies)?;
        let table = compile_slices(policies, &slices)?;
        Ok(Self { slices, table })
    }

    /// The table.
    #[must_use]
    pub const fn table(&self) -> &PolicyTable {
        &self.table
    }

    /// Whether a request may go on, by the shortest way that is exact.
    ///
    /// # Errors
    /// A fault of this machine.
    pub fn permits(&self, facts: &PolicyFacts) -> Result<bool, DecisionFault> {
        Ok(answer_by(&self.slices, &self.table, facts)? == SetAnswer::Permits)
    }

    /// What Cedar says, with all policies of the set.
    ///
    /// # Errors
    /// A fault of this machine.
    pub fn decide(&self, facts: &PolicyFacts) -> Result<Decision, DecisionFault> {
        decide_by(&self.slices, facts)
    }

    pub(crate) const fn slices(&self) -> &Slices {
        &self.slices
    }
}

/// Whether a request may go on, by the shortest way that is exact.
pub(crate) fn answer_by(slices: &Slices, table: &PolicyTable, facts: &PolicyFacts) -> Result<SetAnswer, DecisionFault> {
    match table.answer(&facts.question) {
        TableAnswer { least: Some(least), asks_slow_path: false } if facts.tier >= least => Ok(SetAnswer::Permits),
        TableAnswer { asks_slow_path: false, .. } => Ok(SetAnswer::Denies),
        TableAnswer { least, asks_slow_path: true } => {
            let slice = slices.get(facts.question.kind, facts.question.action);
            // Where rules of the slow path only forbid, the table has said the rest.
            match slice.and_then(|slice| Some((slice, slice.slow_forbids.as_ref()?))) {
                Some(_) if least.is_none_or(|least| facts.tier < least) => Ok(SetAnswer::Denies),
                Some((slice, forbids)) => Ok(ask(slice, forbids, facts)?.answer()),
                None => slice.map_or(Ok(SetAnswer::Denies), |slice| Ok(ask(slice, &slice.all, facts)?.answer())),
            }
        }
    }
}

fn decide_by(slices: &Slices, facts: &PolicyFacts) -> Result<Decision, DecisionFault> {
    let Some(slice) = slices.get(facts.question.kind, facts.question.action) else {
        return Ok(Decision { is_permitted: false, reasons: Vec::new(), errors: Vec::new() });
    };
    let verdict = ask(slice, &slice.all, facts)?;
    Ok(Decision { is_permitted: verdict.is_permitted, reasons: verdict.reasons, errors: verdict.errors })
}

fn ask(slice: &Slice, policies: &PolicySet, facts: &PolicyFacts) -> Result<Verdict, DecisionFault> {
    let (request, entities) = facts.request(&slice.action, &slice.mentions).map_err(DecisionFault::Request)?;
    let decide = || judge(policies, &request, &entities);
    let verdict = stacker::maybe_grow(DECISION_STACK_BYTES, DECISION_STACK_BYTES, decide);
    if verdict.gave_up { Err(DecisionFault::StackExhausted) } else { Ok(verdict) }
}
