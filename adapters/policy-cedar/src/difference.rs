//! What a change of policies comes to, in words: the class that execution would give it, and an example for each difference.

use std::collections::BTreeMap;

use casemate_protocol::policy::{
    ChangeClass, PolicyAction, PolicyComparison, PolicyKind, PolicyQuestion, PolicyTable, SlowRule, Tier,
};

use crate::compile::slow_rule;
use crate::error::PolicyError;
use crate::files::LoadedPolicy;

/// All differences between two sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyDifference {
    /// The class that execution gives the change.
    pub class: ChangeClass,
    /// Cells that differ alike, joined.
    pub groups: Vec<DifferenceGroup>,
    /// Rules of the slow path that only the new set has: id, and whether it only forbids.
    pub slow_added: Vec<(String, bool)>,
    /// Rules of the slow path that only the old set has.
    pub slow_removed: Vec<(String, bool)>,
}

/// Cells of one action that change from one tier to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferenceGroup {
    /// What is done.
    pub action: PolicyAction,
    /// Least tier before; none if nothing was enough.
    pub old: Option<Tier>,
    /// Least tier after.
    pub new: Option<Tier>,
    /// Whether it is harder than before.
    pub tightens: bool,
    /// How many cells.
    pub cells_count: usize,
    /// Which kinds of principals.
    pub kinds: Vec<PolicyKind>,
    /// A request that the two sets answer differently.
    pub example: PolicyQuestion,
    /// The tier that it presents.
    pub example_tier: Tier,
}

/// Compares two sets with their tables.
///
/// # Errors
/// A rule of the slow path that has no canonical form.
pub fn differences(
    old: (&[LoadedPolicy], &PolicyTable),
    new: (&[LoadedPolicy], &PolicyTable),
) -> Result<PolicyDifference, PolicyError> {
    let comparison = PolicyComparison::of(old.1, new.1);
    let mut groups: BTreeMap<(bool, PolicyAction, Option<Tier>, Option<Tier>), DifferenceGroup> = BTreeMap::new();
    for difference in &comparison.differences {
        let question = difference.question;
        let tightens = difference.tightens();
        // What was enough before and is not now, or the other way round.
        let Some(example_tier) = (if tightens { difference.old } else { difference.new }) else { continue };
        let key = (!tightens, question.action, difference.old, difference.new);
        let group = groups.entry(key).or_insert_with(|| DifferenceGroup {
            action: question.action,
            old: difference.old,
            new: difference.new,
            tightens,
            cells_count: 0,
            kinds: Vec::new(),
            example: question,
            example_tier,
        });
        group.cells_count += 1;
        if !group.kinds.contains(&question.kind) {
            group.kinds.push(question.kind);
        }
    }
    Ok(PolicyDifference {
        class: comparison.class(),
        groups: groups.into_values().collect(),
        slow_added: named(new.0, &comparison.slow_added)?,
        slow_removed: named(old.0, &comparison.slow_removed)?,
    })
}

fn named(policies: &[LoadedPolicy], rules: &[SlowRule]) -> Result<Vec<(String, bool)>, PolicyError> {
    let mut names = Vec::new();
    for policy in policies.iter().filter(|policy| policy.is_slow()) {
        if rules.contains(&slow_rule(policy)?) {
            names.push((policy.id().to_owned(), policy.is_forbid()));
        }
    }
    Ok(names)
}
