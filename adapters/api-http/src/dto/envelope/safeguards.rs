//! Payout addresses, guardians and their votes, as JSON.

use casemate_protocol::AccountId;
use casemate_protocol::command::{GuardianAct, GuardianSet, PayoutAddress, VoteAsGuardian};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::PayoutAddressJson;
use super::conversion::{bounded, outside};
use crate::error::ApiError;
use crate::values::{HexBytes, KeyText};

/// Who guards an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardianSetJson {
    /// How many must agree: at least two; zero with nobody.
    pub threshold: u8,
    /// The guardians' accounts; at most nine.
    pub accounts: Vec<u64>,
}

/// A guardian's vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardianVoteJson {
    /// The account that is guarded.
    pub account: u64,
    /// What is to happen to it.
    pub act: GuardianActJson,
}

/// What guardians can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardianActJson {
    /// This key becomes the root key, after a delay and by its own signature.
    Recover(KeyText),
    /// Nothing leaves the account for a while.
    Freeze,
    /// The announced change of guardians does not come into force.
    StopChange,
}

impl TryFrom<PayoutAddressJson> for PayoutAddress {
    type Error = ApiError;

    fn try_from(json: PayoutAddressJson) -> Result<Self, ApiError> {
        Ok(Self { chain: json.chain, destination: outside("destination", json.destination)? })
    }
}

impl From<&PayoutAddress> for PayoutAddressJson {
    fn from(address: &PayoutAddress) -> Self {
        Self { chain: address.chain, destination: HexBytes(address.destination.as_slice().to_vec()) }
    }
}

impl TryFrom<GuardianSetJson> for GuardianSet {
    type Error = ApiError;

    fn try_from(json: GuardianSetJson) -> Result<Self, ApiError> {
        let accounts = bounded("accounts", json.accounts.into_iter().map(AccountId::new).collect())?;
        Ok(Self { threshold: json.threshold, accounts })
    }
}

impl From<&GuardianSet> for GuardianSetJson {
    fn from(set: &GuardianSet) -> Self {
        Self { threshold: set.threshold, accounts: set.accounts.iter().map(|account| account.number()).collect() }
    }
}

impl From<GuardianVoteJson> for VoteAsGuardian {
    fn from(json: GuardianVoteJson) -> Self {
        let act = match json.act {
            GuardianActJson::Recover(key) => GuardianAct::Recover(key.0),
            GuardianActJson::Freeze => GuardianAct::Freeze,
            GuardianActJson::StopChange => GuardianAct::StopChange,
        };
        Self { account: AccountId::new(json.account), act }
    }
}

impl From<VoteAsGuardian> for GuardianVoteJson {
    fn from(vote: VoteAsGuardian) -> Self {
        Self { account: vote.account.number(), act: vote.act.into() }
    }
}

impl From<GuardianAct> for GuardianActJson {
    fn from(act: GuardianAct) -> Self {
        match act {
            GuardianAct::Recover(key) => Self::Recover(KeyText(key)),
            GuardianAct::Freeze => Self::Freeze,
            GuardianAct::StopChange => Self::StopChange,
        }
    }
}
