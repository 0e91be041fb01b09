//! What policies of the hot path look at: the words of a cell and the tier, compared with literals, and nothing else.
//!
//! That is what makes the table exact: within a cell every such comparison comes out the same, so Cedar's answer for one
//! request is its answer for all of them. Everything else is refused here, with its place, and belongs on the slow path.

use std::collections::BTreeSet;

use cedar_policy::pst::{BinaryOp, Clause, Expr, Literal, PrincipalConstraint, ResourceConstraint, UnaryOp, Var};

use crate::error::PolicyError;
use crate::expression::{children, condition};
use crate::files::LoadedPolicy;

/// What a policy of the hot path looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    pub(crate) tier: bool,
    pub(crate) state: bool,
    pub(crate) regime: bool,
    pub(crate) conduct: bool,
    pub(crate) amount: bool,
    /// Least amounts, in micro-quote, at which a comparison comes out differently than just below.
    pub(crate) borders_micros: BTreeSet<i64>,
}

impl Uses {
    /// What either looks at.
    pub(crate) fn join(&mut self, other: &Self) {
        self.tier |= other.tier;
        self.state |= other.state;
        self.regime |= other.regime;
        self.conduct |= other.conduct;
        self.amount |= other.amount;
        self.borders_micros.extend(&other.borders_micros);
    }
}

/// Reads what a policy of the hot path looks at.
pub(crate) fn uses(policy: &LoadedPolicy) -> Result<Uses, PolicyError> {
    let body = &policy.body;
    let is_open = matches!(&body.principal, PrincipalConstraint::Any | PrincipalConstraint::Is(_))
        && matches!(&body.resource, ResourceConstraint::Any | ResourceConstraint::Is(_));
    if !is_open {
        let message = "its head names a single principal or resource, which a cell does not know";
        return Err(policy.error(message, SLOW_HINT));
    }
    let mut uses = Uses::default();
    for clause in body.clauses() {
        read(condition(clause), &mut uses).map_err(|offender| {
            let mention = mention_of(offender).unwrap_or_default();
            PolicyError {
                place: Some(policy.place_of(&mention)),
                ..policy.error(format_args!("`{offender}` looks at more than a cell holds"), SLOW_HINT)
            }
        })?;
    }
    Ok(uses)
}

const SLOW_HINT: &str = "compare kind, action, tier, state, regime, conduct and amountMicros with literals, nothing else; \
                         or mark the policy `@path(\"slow\")`, at the price of a full decision for each command it may apply to";

/// Reads a condition; gives back the first expression that is more than a cell.
fn read<'a>(expression: &'a Expr, uses: &mut Uses) -> Result<(), &'a Expr> {
    match expression {
        Expr::Literal(Literal::Bool(_)) => Ok(()),
        Expr::UnaryOp { op: UnaryOp::Not, expr } => read(expr, uses),
        Expr::IfThenElse { cond, then_expr, else_expr } => {
            read(cond, uses)?;
            read(then_expr, uses)?;
            read(else_expr, uses)
        }
        Expr::Is { expr, in_expr: None, .. } if matches!(**expr, Expr::Var(Var::Principal | Var::Resource)) => Ok(()),
        Expr::BinaryOp { op: BinaryOp::And | BinaryOp::Or, left, right } => {
            read(left, uses)?;
            read(right, uses)
        }
        Expr::BinaryOp { op, left, right } => {
            let is_read = match (op, &**left, &**right) {
                (BinaryOp::In | BinaryOp::Eq, Expr::Var(Var::Action), named) => is_words(named, "Action"),
                (BinaryOp::Contains, list, attribute) => read_word(attribute, list, uses),
                (op, attribute @ Expr::GetAttr { .. }, literal) => read_comparison(*op, attribute, literal, uses),
                (op, literal, attribute) => {
                    mirrored(*op).is_some_and(|op| read_comparison(op, attribute, literal, uses))
                }
            };
            if is_read { Ok(()) } else { Err(expression) }
        }
        _ => Err(expression),
    }
}

/// The comparison with its sides exchanged.
fn mirrored(op: BinaryOp) -> Option<BinaryOp> {
    match op {
        BinaryOp::Eq | BinaryOp::NotEq => Some(op),
        BinaryOp::Less => Some(BinaryOp::Greater),
        BinaryOp::LessEq => Some(BinaryOp::GreaterEq),
        BinaryOp::Greater => Some(BinaryOp::Less),
        BinaryOp::GreaterEq => Some(BinaryOp::LessEq),
        _ => None,
    }
}

fn read_comparison(op: BinaryOp, attribute: &Expr, literal: &Expr, uses: &mut Uses) -> bool {
    let Some(name) = context_attribute(attribute) else { return false };
    let Expr::Literal(Literal::Long(value)) = literal else {
        return matches!(op, BinaryOp::Eq | BinaryOp::NotEq) && read_word(attribute, literal, uses);
    };
    let borders = match op {
        BinaryOp::Less | BinaryOp::GreaterEq => [Some(*value), None],
        BinaryOp::LessEq | BinaryOp::Greater => [value.checked_add(1), None],
        BinaryOp::Eq | BinaryOp::NotEq => [Some(*value), value.checked_add(1)],
        _ => return false,
    };
    match name {
        "tier" => uses.tier = true,
        "amountMicros" => {
            uses.amount = true;
            // No amount is below zero, so nothing changes there.
            uses.borders_micros.extend(borders.into_iter().flatten().filter(|border| *border > 0));
        }
        _ => return false,
    }
    true
}

/// Whether a word of a cell is held against literal words of its own type.
fn read_word(attribute: &Expr, literals: &Expr, uses: &mut Uses) -> bool {
    let (used, type_of) = match context_attribute(attribute) {
        Some("state") => (&mut uses.state, "SegmentState"),
        Some("regime") => (&mut uses.regime, "Regime"),
        Some("conduct") => (&mut uses.conduct, "ConductBand"),
        _ => return false,
    };
    *used = true;
    is_words(literals, type_of)
}

fn is_words(expression: &Expr, type_of: &str) -> bool {
    match expression {
        Expr::Literal(Literal::EntityUID(uid)) => uid.ty.to_string() == type_of,
        Expr::Set(items) => items.iter().all(|item| is_words(item, type_of)),
        _ => false,
    }
}

fn context_attribute(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::GetAttr { expr, attr } if matches!(**expr, Expr::Var(Var::Context)) => Some(attr.as_str()),
        _ => None,
    }
}

/// Something of an expression that is written in the text as it is here: its first attribute.
fn mention_of(expression: &Expr) -> Option<String> {
    let mut open = vec![expression];
    while let Some(next) = open.pop() {
        if let Expr::GetAttr { attr, .. } = next {
            return Some(format!(".{attr}"));
        }
        open.extend(children(next).into_iter().rev());
    }
    None
}

/// Checks that more evidence never hurts in a policy of the slow path, whose answers nobody enumerates: where a `forbid` holds,
/// it must hold with less evidence too, where a `permit` holds, with more.
pub(crate) fn require_monotone(policy: &LoadedPolicy) -> Result<(), PolicyError> {
    for clause in policy.body.clauses() {
        let is_unless = matches!(clause, Clause::Unless(_));
        // A `forbid` may only become false as the tier rises; `unless` turns that around.
        let may_rise = policy.is_forbid() == is_unless;
        require_direction(condition(clause), may_rise).map_err(|offender| {
            let message = format_args!("`{offender}` may refuse more evidence where it accepts less");
            let hint = "in a `forbid` write `context.tier < N`, in a `permit` `context.tier >= N`, not inside `if`";
            PolicyError { place: Some(policy.place_of(".tier")), ..policy.error(message, hint) }
        })?;
    }
    Ok(())
}

fn require_direction(expression: &Expr, may_rise: bool) -> Result<(), &Expr> {
    match expression {
        Expr::UnaryOp { op: UnaryOp::Not, expr } => require_direction(expr, !may_rise),
        Expr::BinaryOp { op: BinaryOp::And | BinaryOp::Or, left, right } => {
            require_direction(left, may_rise)?;
            require_direction(right, may_rise)
        }
        Expr::BinaryOp { op, left, right } if mentions_tier(expression) => {
            let seen = match (&**left, &**right) {
                (attribute, Expr::Literal(Literal::Long(_))) if context_attribute(attribute) == Some("tier") => {
                    Some(*op)
                }
                (Expr::Literal(Literal::Long(_)), attribute) if context_attribute(attribute) == Some("tier") => {
                    mirrored(*op)
                }
                _ => None,
            };
            let rises = match seen {
                Some(BinaryOp::Greater | BinaryOp::GreaterEq) => true,
                Some(BinaryOp::Less | BinaryOp::LessEq) => false,
                _ => return Err(expression),
            };
            if rises == may_rise { Ok(()) } else { Err(expression) }
        }
        other if mentions_tier(other) => Err(other),
        _ => Ok(()),
    }
}

fn mentions_tier(expression: &Expr) -> bool {
    let mut open = vec![expression];
    while let Some(next) = open.pop() {
        // The context as a whole holds the tier too.
        let is_context = matches!(next, Expr::Var(Var::Context));
        match next {
            Expr::GetAttr { expr, attr } if matches!(**expr, Expr::Var(Var::Context)) => {
                if attr == "tier" {
                    return true;
                }
            }
            Expr::HasAttr { expr, .. } if matches!(**expr, Expr::Var(Var::Context)) => {}
            _ if is_context => return true,
            _ => open.extend(children(next)),
        }
    }
    false
}
