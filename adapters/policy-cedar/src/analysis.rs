//! Symbolic analysis: properties of a set, held against every request that the schema allows, by a solver.
//!
//! A property is a region of requests, written in Cedar, in which the set must permit everything or nothing. The solver
//! (cvc5) looks for a request in the region that the set answers otherwise; what it finds is put to Cedar again and told in
//! words. It is advice for those who vote: what is enforced is enforced by `compile` and by the class of a change.

mod properties;
mod solving;

use casemate_protocol::policy::{PolicyAction, PolicyKind};

use crate::compile::compile_slices;
use crate::error::PolicyError;
use crate::files::Policies;
use crate::slices::Slices;
use properties::PROPERTIES;
use solving::Solving;

/// One property and whether it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyReport {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// How it was found out.
    pub method: Method,
    /// Whether it holds.
    pub holds: bool,
    /// A request that shows that it does not.
    pub counterexample: Option<String>,
}

/// How a property was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// For every request of the schema, by solver.
    Solver,
    /// On every cell of the table, by Cedar.
    Cells,
}

impl Method {
    /// The name, as people read it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Solver => "solver",
            Self::Cells => "cells",
        }
    }
}

/// Whether a region must be open or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    /// Everything in it is permitted.
    Open,
    /// Nothing in it is permitted.
    Closed,
}

/// A property as a region.
struct Property {
    name: &'static str,
    meaning: &'static str,
    demand: Demand,
    /// Policies in Cedar that permit the region and nothing else.
    region: &'static str,
    /// The kinds and actions that the region can meet.
    concerns: fn(PolicyKind, PolicyAction) -> bool,
}

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnalysisError {
    /// The solver is not there.
    SolverMissing(String),
    /// The solver gave no answer.
    Solver(String),
}

impl AnalysisError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::SolverMissing(_) => {
                "install the Debian package `cvc5`, or set the environment variable `CVC5` to the path of the program"
            }
            Self::Solver(_) => "simplify the policy that it is about, or try another version of cvc5",
        }
    }
}

impl std::fmt::Display for AnalysisError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::SolverMissing(error) => write!(formatter, "the solver `cvc5` does not start: {error}"),
            Self::Solver(error) => write!(formatter, "the solver gave no answer: {error}"),
        }
    }
}

impl std::error::Error for AnalysisError {}

/// Checks every property of a set.
///
/// # Errors
/// The solver is missing or gives no answer; a property that does not hold is no error.
pub fn check(policies: &Policies) -> Result<Vec<PropertyReport>, AnalysisError> {
    let mut reports = Vec::with_capacity(PROPERTIES.len() + 2);
    let slices = Slices::of(policies);
    let compiled = slices.as_ref().map_err(PolicyError::clone).and_then(|slices| compile_slices(policies, slices));
    reports.push(PropertyReport {
        name: "compiles",
        meaning: "the hot path is a table: it looks at cells alone, floors are open, and more evidence never hurts",
        method: Method::Cells,
        holds: compiled.is_ok(),
        counterexample: compiled.err().map(|error| error.to_string()),
    });
    let mut solving = Solving::start(policies)?;
    reports.push(PropertyReport {
        name: "never-errors",
        meaning: "no policy fails on any request: one that did would deny it",
        method: Method::Solver,
        holds: true,
        counterexample: solving.find_error()?,
    });
    for property in PROPERTIES {
        reports.push(PropertyReport {
            name: property.name,
            meaning: property.meaning,
            method: Method::Solver,
            holds: true,
            counterexample: solving.find_counterexample(property)?,
        });
    }
    for report in &mut reports {
        report.holds = report.counterexample.is_none();
    }
    Ok(reports)
}
