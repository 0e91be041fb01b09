//! What officers look at before they sign: a proposed set, compiled here, against the one in force.

use casemate_policy_cedar::{
    CedarDecider, LoadedPolicy, Policies, PolicyDifference, PolicyError, PolicyFolder, differences,
};
use casemate_protocol::policy::{PolicySet, PolicyTable};
use serde_json::Value;

use super::diff;
use crate::client::rows;
use crate::error::CliError;

/// A set that the node tells, compiled here.
pub struct Told {
    /// The policies; none if it is the built-in table.
    pub policies: Option<Policies>,
    /// The table.
    pub table: PolicyTable,
}

impl Told {
    fn policies(&self) -> &[LoadedPolicy] {
        self.policies.as_ref().map_or(&[], Policies::policies)
    }
}

/// Compiles the files that a node tells, and holds the table against the digest that it names.
///
/// # Errors
/// They do not compile, or into another table: the node runs other software, or does not tell the truth.
pub fn compiled(told: &Value) -> Result<Told, CliError> {
    let set = set_of(told)?;
    let told_table = told["table"].as_str().unwrap_or_default();
    let (policies, table) = if set.is_empty() {
        (None, PolicyTable::built_in())
    } else {
        let (policies, decider) = compiled_from(&set)?;
        (Some(policies), decider.table().clone())
    };
    if table.digest().to_string() == told_table {
        return Ok(Told { policies, table });
    }
    Err(CliError::new(
        format!("the policies compile into table `{}`, the node names `{told_table}`", table.digest()),
        "compare the versions of node and client; do not approve what you cannot recompute",
    ))
}

/// Compiles a set that a node told.
///
/// # Errors
/// It does not compile.
pub fn compiled_from(set: &PolicySet) -> Result<(Policies, CedarDecider), CliError> {
    let refused = |error: PolicyError| CliError::new(format!("the node's policies: {error}"), error.hint);
    let policies = PolicyFolder::of_set(set).and_then(|folder| Policies::load(&folder)).map_err(refused)?;
    let decider = CedarDecider::new(&policies).map_err(refused)?;
    Ok((policies, decider))
}

/// The texts that a node tells.
///
/// # Errors
/// They are beyond a bound.
pub fn set_of(told: &Value) -> Result<PolicySet, CliError> {
    let texts: Vec<(&str, &str)> = rows(told, "files")
        .map(|file| (file["name"].as_str().unwrap_or_default(), file["text"].as_str().unwrap_or_default()))
        .collect();
    PolicySet::of_texts(texts).ok_or_else(|| CliError::defect("the node tells more policies than there may be"))
}

/// What changes from one set to another.
///
/// # Errors
/// A policy cannot be named.
pub fn difference(old: &Told, new: &Told) -> Result<PolicyDifference, CliError> {
    let (before, after) = ((old.policies(), &old.table), (new.policies(), &new.table));
    differences(before, after).map_err(|error| CliError::new(error.to_string(), error.hint))
}

/// Compiles and compares what is proposed; shows the differences, and says no if they are not as declared.
///
/// # Errors
/// The set is not what the proposal says of it.
pub fn require_as_proposed(in_force: &Value, adopt: &Value, is_json: bool) -> Result<(), CliError> {
    let (old, new) = (compiled(in_force)?, compiled(adopt)?);
    let difference = difference(&old, &new)?;
    if !is_json {
        diff::show(&difference);
    }
    if adopt["is_tightening"] == true && !difference.class.is_tightening() {
        return Err(CliError::new(
            format!("the proposal is declared as tightening and is `{}`", difference.class.name()),
            "do not approve it: nothing would come of it",
        ));
    }
    Ok(())
}
