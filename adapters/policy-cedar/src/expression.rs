//! Cedar expressions as trees: children, depth and number, so that bounds hold for any operator there is.

use cedar_policy::pst::{Clause, Expr};

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

/// The expression of a condition.
pub(crate) fn condition(clause: &Clause) -> &Expr {
    match clause {
        Clause::When(expression) | Clause::Unless(expression) => expression,
    }
}
