//! Policies by what they may apply to: for each kind and action, the few whose head fits.
//!
//! Cedar decides by all policies of a set, and one whose head does not fit plays no part; leaving it out changes nothing but
//! the time.

use casemate_gate::SetAnswer;
use casemate_protocol::policy::{PolicyAction, PolicyKind, PolicyQuestion, Tier};
use cedar_policy::{
    AuthorizationError, Authorizer, Decision as CedarAnswer, Entities, Entity, EvaluationError, Policy, PolicyId,
    PolicySet, Request,
};

use crate::cells::{Uses, require_monotone, uses};
use crate::error::PolicyError;
use crate::expression::Mentions;
use crate::files::{LoadedPolicy, Policies};
use crate::request::{action_uid, cell_request};

/// The policies of one kind and action.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    /// All whose head fits.
    pub(crate) all: PolicySet,
    /// Those of the hot path.
    hot: PolicySet,
    /// What those of the hot path look at.
    pub(crate) uses: Uses,
    pub(crate) has_slow: bool,
    /// Those of the slow path with a permit for everything, if they only forbid: what they say where the table permits is
    /// what all would say.
    pub(crate) slow_forbids: Option<PolicySet>,
    /// What all of them mention.
    pub(crate) mentions: Mentions,
    /// The action, which knows its groups.
    pub(crate) action: Vec<Entity>,
    action_alone: Entities,
}

/// The slices of a set.
#[derive(Clone, Debug)]
pub(crate) struct Slices {
    slices: Vec<Option<Slice>>,
    /// Least amounts of bands, over all policies of the hot path.
    pub(crate) borders_micros: Vec<i64>,
}

/// What Cedar said about one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// No error, and permitted.
    pub(crate) is_permitted: bool,
    /// The policies that decided, sorted.
    pub(crate) reasons: Vec<String>,
    /// What went wrong in which policy, sorted.
    pub(crate) errors: Vec<(String, String)>,
    /// Whether Cedar gave up for want of stack, which says nothing about the request.
    pub(crate) gave_up: bool,
}

impl Verdict {
    /// What the gate makes of it.
    pub(crate) const fn answer(&self) -> SetAnswer {
        match (self.errors.is_empty(), self.is_permitted) {
            (false, _) => SetAnswer::Errs,
            (true, true) => SetAnswer::Permits,
            (true, false) => SetAnswer::Denies,
        }
    }
}

impl Slices {
    /// Sorts a set, and checks what makes its hot path a table and its slow path monotone.
    pub(crate) fn of(policies: &Policies) -> Result<Self, PolicyError> {
        let mut all_uses = Vec::with_capacity(policies.policies().len());
        for policy in policies.policies() {
            if policy.is_slow() {
                require_monotone(policy)?;
                all_uses.push(Uses::default());
            } else {
                all_uses.push(uses(policy)?);
            }
        }
        let mut joined = Uses::default();
        all_uses.iter().for_each(|uses| joined.join(uses));
        let mut slices = Vec::new();
        for &kind in PolicyKind::ALL {
            for &action in PolicyAction::ALL {
                let slice = kind.can_ask(action).then(|| slice_of(policies, &all_uses, kind, action)).transpose()?;
                slices.push(slice);
            }
        }
        Ok(Self { slices, borders_micros: joined.borders_micros.into_iter().collect() })
    }

    /// The slice of a kind and action; none where the kind cannot ask.
    pub(crate) fn get(&self, kind: PolicyKind, action: PolicyAction) -> Option<&Slice> {
        let place = usize::from(kind.number()) * PolicyAction::ALL.len() + usize::from(action.number());
        self.slices.get(place).and_then(Option::as_ref)
    }
}

impl Slice {
    /// What policies of the hot path say about a cell.
    pub(crate) fn judge_cell(&self, question: &PolicyQuestion, tier: Tier) -> Result<Verdict, String> {
        Ok(judge(&self.hot, &cell_request(question, tier)?, &self.action_alone))
    }
}

/// Asks Cedar.
pub(crate) fn judge(policies: &PolicySet, request: &Request, entities: &Entities) -> Verdict {
    let response = Authorizer::new().is_authorized(request, policies, entities);
    let mut gave_up = false;
    let mut errors: Vec<(String, String)> = Vec::new();
    for AuthorizationError::PolicyEvaluationError(error) in response.diagnostics().errors() {
        gave_up |= matches!(error.inner(), EvaluationError::RecursionLimit(_));
        errors.push((error.policy_id().to_string(), error.inner().to_string()));
    }
    errors.sort();
    let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    reasons.sort();
    let is_permitted = errors.is_empty() && response.decision() == CedarAnswer::Allow;
    Verdict { is_permitted, reasons, errors, gave_up }
}

/// Not the id of any policy: theirs have no spaces.
const ANYTHING_ID: &str = "permits everything";

fn slice_of(
    policies: &Policies,
    all_uses: &[Uses],
    kind: PolicyKind,
    action: PolicyAction,
) -> Result<Slice, PolicyError> {
    let mut joined = Uses::default();
    let mut all: Vec<&Policy> = Vec::new();
    let mut hot: Vec<&Policy> = Vec::new();
    let mut slow: Vec<&LoadedPolicy> = Vec::new();
    let mut mentions = Mentions::default();
    for (policy, uses) in policies.policies().iter().zip(all_uses) {
        if !policies.may_apply(policy, kind, action) {
            continue;
        }
        all.push(&policy.policy);
        mentions.add(policy.body.clauses());
        if policy.is_slow() {
            slow.push(policy);
        } else {
            hot.push(&policy.policy);
            joined.join(uses);
        }
    }
    let set = |policies: Vec<&Policy>| {
        PolicySet::from_policies(policies.into_iter().cloned())
            .map_err(|error| PolicyError::new(None, error.to_string(), "give each policy an `@id` of its own"))
    };
    let uid = action_uid(action);
    let known = policies.actions();
    // Its groups are its ancestors, which the entity holds itself.
    let action: Vec<Entity> = known.get(&uid).cloned().into_iter().collect();
    let action_alone = Entities::from_entities(action.iter().cloned(), None)
        .map_err(|error| PolicyError::new(None, error.to_string(), "check the groups of actions in the schema"))?;
    let slow_forbids = if slow.iter().all(|policy| policy.is_forbid()) {
        let anything = Policy::parse(Some(PolicyId::new(ANYTHING_ID)), "permit (principal, action, resource);")
            .map_err(|error| PolicyError::new(None, error.to_string(), "this is a defect of casemate: report it"))?;
        Some(set(slow.iter().map(|policy| &policy.policy).chain([&anything]).collect())?)
    } else {
        None
    };
    Ok(Slice {
        all: set(all)?,
        hot: set(hot)?,
        uses: joined,
        has_slow: !slow.is_empty(),
        slow_forbids,
        mentions,
        action,
        action_alone,
    })
}
