//! Cedar expressions as trees: children, depth and number, so that bounds hold for any operator there is.

use std::collections::BTreeSet;

use cedar_policy::pst::{Clause, Expr, Var};

/// The expressions directly inside an expression.
pub(crate) fn children(expression: &Expr) -> Vec<&Expr> {
    match expression {
        Expr::Literal(_) | Expr::Var(_) | Expr::Slot(_) | Expr::Unknown { .. } => Vec::new(),
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. } => vec![expr],
        Expr::BinaryOp { left, right, .. } => vec![left, right],
        Expr::Is { expr, in_expr, .. } => core::iter::once(expr).chain(in_expr.as_ref()).map(AsRef::as_ref).collect(),
        Expr::IfThenElse { cond, then_expr, else_expr } => vec![cond, then_expr, else_expr],
        Expr::Set(items) => items.iter().map(AsRef::as_ref).collect(),
        Expr::Record(pairs) => pairs.values().map(AsRef::as_ref).collect(),
        // The type is open to growth, the version is pinned: with the features that are on there is no other.
        _ => Vec::new(),
    }
}

/// Depth and number of the expressions of a policy's conditions, which Cedar joins one inside the other.
pub(crate) fn measure(clauses: &[Clause]) -> (usize, usize) {
    let mut deepest = 0;
    let mut count = 0;
    let mut open: Vec<(&Expr, usize)> = clauses.iter().map(|clause| (condition(clause), clauses.len())).collect();
    while let Some((expression, depth)) = open.pop() {
        deepest = deepest.max(depth);
        count += 1;
        open.extend(children(expression).into_iter().map(|child| (child, depth + 1)));
    }
    (deepest, count)
}

/// The attributes that policies mention, by name: what is not mentioned need not be told to Cedar.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mentions {
    names: BTreeSet<String>,
    /// Whether the context is looked at as a whole.
    is_everything: bool,
}

impl Mentions {
    /// Adds what conditions mention.
    pub(crate) fn add(&mut self, clauses: &[Clause]) {
        let mut open: Vec<&Expr> = clauses.iter().map(condition).collect();
        while let Some(expression) = open.pop() {
            let inside = match expression {
                Expr::GetAttr { expr, attr } => {
                    self.names.insert(attr.to_string());
                    Some(expr)
                }
                Expr::HasAttr { expr, attrs } => {
                    self.names.extend(attrs.iter().map(ToString::to_string));
                    Some(expr)
                }
                _ => None,
            };
            match inside {
                Some(expr) if matches!(**expr, Expr::Var(Var::Context)) => {}
                _ => {
                    self.is_everything |= matches!(expression, Expr::Var(Var::Context));
                    open.extend(children(expression));
                }
            }
        }
    }

    /// Whether an attribute may play a part.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.is_everything || self.names.contains(name)
    }
}

/// The expression of a condition.
pub(crate) fn condition(clause: &Clause) -> &Expr {
    match clause {
        Clause::When(expression) | Clause::Unless(expression) => expression,
    }
}
