//! Puts properties to the solver, one kind and action at a time, and tells in words what it finds.

use std::str::FromStr;

use casemate_protocol::QuoteMicros;
use casemate_protocol::policy::{
    ConductBand, PolicyAction, PolicyKind, PolicyQuestion, PolicyRegime, SegmentState, Tier,
};
use cedar_policy::{EvalResult, PolicySet, Request, RequestEnv};
use cedar_policy_symcc::err::SolverError;
use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicy, CompiledPolicySet, Env};
use tokio::runtime::{Builder, Runtime};

use super::{AnalysisError, Demand, Property};
use crate::LOADING_STACK_BYTES;
use crate::expression::condition;
use crate::files::{LoadedPolicy, Policies};
use crate::request::{action_uid, describe, type_name};
use crate::slices::judge;

/// What every region is cut down to: requests as the gate makes them.
const WELL_FORMED: &str = r#"
    forbid (principal, action, resource)
    when { context.tier < 0 || context.tier > 4 || context.amountMicros < 0 };
"#;

/// A running solver, with the set that it is asked about.
pub(super) struct Solving<'a> {
    policies: &'a Policies,
    runtime: Runtime,
    compiler: CedarSymCompiler<LocalSolver>,
}

impl<'a> Solving<'a> {
    pub(super) fn start(policies: &'a Policies) -> Result<Self, AnalysisError> {
        let missing = |error: &dyn std::fmt::Display| AnalysisError::SolverMissing(error.to_string());
        let runtime =
            Builder::new_current_thread().enable_io().enable_time().build().map_err(|error| missing(&error))?;
        let entered = runtime.enter();
        let solver = LocalSolver::cvc5().map_err(|error| match &error {
            SolverError::Io(cause) => missing(cause),
            other => missing(other),
        })?;
        let compiler = CedarSymCompiler::new(solver).map_err(|error| missing(&error))?;
        drop(entered);
        Ok(Self { policies, runtime, compiler })
    }

    /// A request on which a policy fails, in words.
    pub(super) fn find_error(&mut self) -> Result<Option<String>, AnalysisError> {
        let policies = self.policies;
        for policy in policies.policies() {
            // A condition that reads no attribute and computes nothing has nothing to fail on, for the solver as well.
            if policy.body.clauses().iter().all(|clause| !can_fail(condition(clause))) {
                continue;
            }
            for env in environments(|kind, action| policies.may_apply(policy, kind, action)) {
                let found = stacker::grow(LOADING_STACK_BYTES, || {
                    let compiled =
                        CompiledPolicy::compile(&policy.policy, &env, &policies.schema).map_err(unanswered)?;
                    let asked = self.compiler.check_never_errors_with_counterexample_opt(&compiled);
                    self.runtime.block_on(asked).map_err(unanswered)
                });
                if let Some(found) = found? {
                    return Ok(Some(failure(policy, &found)));
                }
            }
        }
        Ok(None)
    }

    /// A request in the region of a property that the set answers otherwise, in words.
    pub(super) fn find_counterexample(&mut self, property: &Property) -> Result<Option<String>, AnalysisError> {
        let region = PolicySet::from_str(&format!("{}{WELL_FORMED}", property.region))
            .map_err(|error| AnalysisError::Solver(error.to_string()))?;
        for env in environments(property.concerns) {
            let found = stacker::grow(LOADING_STACK_BYTES, || {
                let slice = self.applying(&env)?;
                let set = CompiledPolicySet::compile(&slice, &env, &self.policies.schema).map_err(unanswered)?;
                let region = CompiledPolicySet::compile(&region, &env, &self.policies.schema).map_err(unanswered)?;
                let found = self.runtime.block_on(async {
                    match property.demand {
                        Demand::Closed => self.compiler.check_disjoint_with_counterexample_opt(&region, &set).await,
                        Demand::Open => self.compiler.check_implies_with_counterexample_opt(&region, &set).await,
                    }
                });
                found.map_err(unanswered)
            });
            if let Some(found) = found? {
                let slice = self.applying(&env)?;
                return Ok(Some(contradiction(&slice, property.demand, &found)));
            }
        }
        Ok(None)
    }

    /// The policies whose head fits an environment: the others never apply to it.
    fn applying(&self, env: &RequestEnv) -> Result<PolicySet, AnalysisError> {
        let kind = PolicyKind::from_name(&env.principal().to_string());
        let action = PolicyAction::from_name(env.action().id().unescaped());
        let fitting = self.policies.policies().iter().filter(|policy| {
            kind.zip(action).is_none_or(|(kind, action)| self.policies.may_apply(policy, kind, action))
        });
        let mut set = PolicySet::new();
        for policy in fitting {
            set.add(policy.policy.clone()).map_err(|error| AnalysisError::Solver(error.to_string()))?;
        }
        Ok(set)
    }
}

fn unanswered(error: cedar_policy_symcc::err::Error) -> AnalysisError {
    AnalysisError::Solver(error.to_string())
}

fn environments(concerns: impl Fn(PolicyKind, PolicyAction) -> bool) -> Vec<RequestEnv> {
    let mut found = Vec::new();
    for &kind in PolicyKind::ALL {
        for &action in PolicyAction::ALL.iter().filter(|&&action| kind.can_ask(action) && concerns(kind, action)) {
            let resource = type_name(action.scope().name());
            found.push(RequestEnv::new(type_name(kind.name()), action_uid(action), resource));
        }
    }
    found
}

/// What the solver found about a policy that fails.
fn failure(policy: &LoadedPolicy, found: &Env) -> String {
    let mut alone = PolicySet::new();
    let error = match alone.add(policy.policy.clone()) {
        Ok(()) => judge(&alone, &found.request, &found.entities).errors.into_iter().next().map(|(_, error)| error),
        Err(error) => Some(error.to_string()),
    };
    let error = error.unwrap_or_else(|| "fails".to_owned());
    format!("{}: policy `{}` at {}: {error}", in_words(&found.request), policy.id(), policy.place())
}

fn contradiction(set: &PolicySet, demand: Demand, found: &Env) -> String {
    let verdict = judge(set, &found.request, &found.entities);
    let by = if verdict.reasons.is_empty() {
        "no policy permits it".to_owned()
    } else {
        format!("by {}", verdict.reasons.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", "))
    };
    let error = verdict.errors.first().map(|(id, error)| format!("; `{id}` fails: {error}")).unwrap_or_default();
    let outcome = match demand {
        Demand::Closed => "is permitted",
        Demand::Open => "is refused",
    };
    format!("{} {outcome}, {by}{error}", in_words(&found.request))
}

/// A request of the solver, in the words of cells and tiers; what policies cannot tell apart is what the solver left it at.
fn in_words(request: &Request) -> String {
    let kind = request.principal().and_then(|uid| PolicyKind::from_name(&uid.type_name().to_string()));
    let action = request.action().and_then(|uid| PolicyAction::from_name(uid.id().unescaped()));
    let context = |name: &str| request.context().and_then(|context| context.get(name));
    let long = |name: &str| match context(name) {
        Some(EvalResult::Long(value)) => value,
        _ => 0,
    };
    let word = |name: &str| match context(name) {
        Some(EvalResult::EntityUid(uid)) => uid.id().unescaped().to_owned(),
        _ => String::new(),
    };
    let (Some(kind), Some(action)) = (kind, action) else { return "a request".to_owned() };
    let question = PolicyQuestion {
        kind,
        action,
        state: SegmentState::from_name(&word("state")).unwrap_or(SegmentState::Normal),
        regime: PolicyRegime::from_name(&word("regime")).unwrap_or(PolicyRegime::Calm),
        amount: QuoteMicros::from_micros(long("amountMicros")),
        conduct: ConductBand::from_name(&word("conduct")).unwrap_or(ConductBand::Ordinary),
    };
    let number = long("tier");
    let tier = u8::try_from(number).ok().and_then(Tier::from_number);
    let tier =
        tier.map_or_else(|| format!("tier {number}"), |tier| format!("tier {number} ({})", tier.name().to_lowercase()));
    let mut text = format!("{}, {tier}", describe(&question));
    if let Some(EvalResult::Record(feeds)) = context("feeds")
        && !feeds.is_empty()
    {
        let names: Vec<&str> = feeds.iter().map(|(name, _)| name.as_str()).collect();
        text += &format!(", feeds {}", names.join(" "));
    }
    text
}

/// Whether there is anything in an expression that can fail: arithmetic, a call, an attribute that may be missing. The
/// context's own attributes are always there.
fn can_fail(expression: &cedar_policy::pst::Expr) -> bool {
    use cedar_policy::pst::{BinaryOp, Expr, UnaryOp, Var};
    let fails_here = match expression {
        Expr::GetAttr { expr, .. } => !matches!(**expr, Expr::Var(Var::Context)),
        Expr::UnaryOp { op, .. } => *op != UnaryOp::Not,
        Expr::BinaryOp { op, .. } => !matches!(
            op,
            BinaryOp::And
                | BinaryOp::Or
                | BinaryOp::Eq
                | BinaryOp::NotEq
                | BinaryOp::Less
                | BinaryOp::LessEq
                | BinaryOp::Greater
                | BinaryOp::GreaterEq
                | BinaryOp::In
                | BinaryOp::Contains
        ),
        Expr::Literal(_) | Expr::Var(_) | Expr::IfThenElse { .. } | Expr::Is { .. } | Expr::Set(_) => false,
        _ => true,
    };
    fails_here || crate::expression::children(expression).into_iter().any(can_fail)
}
