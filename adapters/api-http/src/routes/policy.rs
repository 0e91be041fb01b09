//! The policy in force, and what it asks of an account.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use casemate_gate::Read;
use casemate_protocol::policy::PolicyAction;
use casemate_protocol::{MarketId, QuoteMicros, SegmentId};
use serde::Deserialize;

use super::accounts::{account_not_found, account_number};
use super::{PathPart, Service, answer, query};
use crate::access::Reader;
use crate::asking::look;
use crate::dto::policy::{AccountPolicyJson, Asked, PolicyJson};
use crate::error::{ApiError, ApiRule, ErrorBody};

/// The policy in force, with its texts.
#[utoipa::path(
    get,
    path = "/v1/policy",
    responses((status = 200, body = PolicyJson), (status = "5XX", body = ErrorBody))
)]
pub async fn policy(State(service): State<Service>) -> Response {
    answer(look(&*service.venue, PolicyJson::read).await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedParams {
    action: String,
    segment: Option<u16>,
    market: Option<u16>,
    #[serde(default)]
    amount_quote_micros: i64,
}

/// Which tier of evidence an action of an account needs now.
#[utoipa::path(
    get,
    path = "/v1/accounts/{account}/policy",
    params(
        ("account" = u64, Path, description = "The account's number."),
        ("action" = String, Query, description = "A word of the policy schema, such as `RequestWithdrawal`."),
        ("segment" = Option<u16>, Query, description = "The segment that it is done to."),
        ("market" = Option<u16>, Query, description = "The market that it is done to."),
        ("amount_quote_micros" = Option<i64>, Query, description = "How much would leave.")
    ),
    responses(
        (status = 200, body = AccountPolicyJson),
        (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody)
    )
)]
pub async fn account_policy(
    State(service): State<Service>,
    reader: Reader,
    PathPart(account): PathPart,
    params: Result<Query<AskedParams>, QueryRejection>,
) -> Response {
    answer(read_account_policy(&service, &reader, &account, params).await)
}

async fn read_account_policy(
    service: &Service,
    reader: &Reader,
    account: &str,
    params: Result<Query<AskedParams>, QueryRejection>,
) -> Result<AccountPolicyJson, ApiError> {
    let account = account_number(account)?;
    let params = query(params)?;
    let action = PolicyAction::from_name(&params.action).ok_or_else(|| {
        let words: Vec<&str> = PolicyAction::ALL.iter().map(|action| action.name()).collect();
        let message = format!("`{}` is no action of policies; there are {}", params.action, words.join(", "));
        ApiError::of(ApiRule::ParameterInvalid, message)
    })?;
    let asked = Asked {
        account,
        action,
        segment: params.segment.map(SegmentId::new),
        market: params.market.map(MarketId::new),
        amount: QuoteMicros::from_micros(params.amount_quote_micros),
    };
    let read = Read::Account(account);
    let found = reader.look(service, read, move |view| AccountPolicyJson::read(view, &asked)).await?;
    found.ok_or_else(|| account_not_found(account))
}
