//! `casemate approve`, and who signs what officers decide.

use std::path::PathBuf;

use casemate_node::development_keys::{governor_key, public_key, public_key_text, read_key_file, risk_officer_key};
use casemate_node::genesis_file::DEVELOPMENT_SEED;
use casemate_protocol::command::Approve;
use casemate_protocol::{BreakerState, Command, ProposalNumber, SegmentId};
use ed25519_zebra::SigningKey;
use serde_json::Value;

use super::breakers::{breaker, state_of};
use super::http::Http;
use super::reading::account_of_key;
use super::signing::{Identity, account_with};
use super::{NodeUrl, rows, show_receipt};
use crate::error::CliError;
use crate::policy::review;

/// Arguments of `approve`.
#[derive(clap::Args, Debug)]
pub struct ApproveArgs {
    /// The proposal's segment.
    #[arg(long)]
    segment: u16,
    /// The proposal's number there.
    #[arg(long)]
    number: u64,
    #[command(flatten)]
    officer: OfficerArgs,
    #[command(flatten)]
    node: NodeUrl,
}

/// Who decides.
#[derive(clap::Args, Debug)]
pub struct OfficerArgs {
    /// File of the officer's root key. Without it, on a development chain, the next officer who has not approved signs.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Which officer of a development chain signs, from 1.
    #[arg(long, conflicts_with = "key")]
    officer: Option<u64>,
}

/// Whose quorum decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Office {
    /// Everything that is not for governors.
    RiskOfficers,
    /// Leaving Halted, and policies that are not declared as tightening.
    Governors,
}

impl Office {
    /// Who decides that a breaker leaves a state.
    pub fn to_leave(from: BreakerState) -> Self {
        if from == BreakerState::Halted { Self::Governors } else { Self::RiskOfficers }
    }

    /// Who decides on policies.
    pub fn of_policies(is_tightening: bool) -> Self {
        if is_tightening { Self::RiskOfficers } else { Self::Governors }
    }
}

/// Runs `approve`. Policies are compiled and compared here before anything is signed.
///
/// # Errors
/// The proposed policies are not what the proposal says of them, the node's refusal, or no node.
pub fn approve(args: &ApproveArgs) -> Result<(), CliError> {
    let http = args.node.connect()?;
    let row = breaker(&http, args.segment)?;
    let missing = || {
        CliError::new(
            format!("segment `{}` has no open proposal `{}`", args.segment, args.number),
            "list them with `casemate breakers`",
        )
    };
    let proposal = rows(&row, "proposals").find(|proposal| proposal["number"] == args.number).ok_or_else(missing)?;
    let change = &proposal["change"];
    let office = if change["adopt_policies"].is_null() {
        Office::to_leave(state_of(&change["leave_breaker"]["from"])?)
    } else {
        review::require_as_proposed(&http.get("/v1/policy")?, &change["adopt_policies"], args.node.json)?;
        Office::of_policies(change["adopt_policies"]["is_tightening"] == true)
    };
    let identity = args.officer.identity(&http, office, &proposal["approvals"])?;
    let approve = Approve { segment: SegmentId::new(args.segment), number: ProposalNumber::new(args.number) };
    show_receipt(&identity.submit(&http, Command::Approve(approve))?, args.node.json)
}

impl OfficerArgs {
    /// The officer who signs.
    pub fn identity(&self, http: &Http, office: Office, approvals: &Value) -> Result<Identity, CliError> {
        let (key, account) = match &self.key {
            Some(file) => {
                let key = read_key_file(file)?;
                let account = account_of_key(http, &key)?;
                (key, account)
            }
            None => self.development_officer(http, office, approvals)?,
        };
        let shown = account_with(http, &key, account)?;
        Identity::of(key, &shown)
    }

    fn development_officer(
        &self,
        http: &Http,
        office: Office,
        approvals: &Value,
    ) -> Result<(SigningKey, u64), CliError> {
        let chain = http.get("/v1/chain")?;
        let (role, derive): (_, fn(&[u8; 32], u64) -> SigningKey) = match office {
            Office::Governors => ("governor", governor_key),
            Office::RiskOfficers => ("risk_officer", risk_officer_key),
        };
        let officers: Vec<&Value> = rows(&chain, "principals").filter(|principal| principal["role"] == role).collect();
        let has_approved = |officer: &Value| approvals.as_array().is_some_and(|all| all.contains(&officer["operator"]));
        let place = match self.officer {
            Some(number) => usize::try_from(number).ok().and_then(|number| number.checked_sub(1)),
            None => officers.iter().position(|officer| !has_approved(officer)),
        };
        let place = place.filter(|place| *place < officers.len()).ok_or_else(|| {
            CliError::new(format!("there is no such {role} left of `{}`", officers.len()), "name one with --officer")
        })?;
        let key = derive(&DEVELOPMENT_SEED, u64::try_from(place).unwrap_or(u64::MAX));
        if officers[place]["root_key"] != public_key_text(&public_key(&key)) {
            return Err(CliError::new(
                format!("the {role}s of this chain have keys of their own"),
                "sign with --key and the officer's key file",
            ));
        }
        Ok((key, officers[place]["account"].as_u64().unwrap_or_default()))
    }
}
