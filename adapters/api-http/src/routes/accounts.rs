//! Accounts, what they have on its way, whose key is whose, and proofs of their rows.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use casemate_gate::Read;
use casemate_protocol::{AccountId, Command, MarketId, Reject, RejectCode};
use serde::Deserialize;

use super::{PathPart, Service, answer, market_not_found, number, query};
use crate::access::Reader;
use crate::asking::off_thread;
use crate::body::{Encoding, encoding, json, read};
use crate::dto::account::{AccountJson, KeyJson};
use crate::dto::block::HeaderJson;
use crate::dto::envelope::CommandJson;
use crate::dto::margin::{MarginJson, NearLiquidationJson, PreviewJson};
use crate::dto::proof::{AccountProofsJson, RowProofJson, account_proofs};
use crate::error::{ApiError, ApiRule, ErrorBody};
use crate::hub::MovesJson;
use crate::values::{KEY_FORMS, KeyText};

/// An account: balances, positions, resting orders, grants. Its own business.
#[utoipa::path(
    get,
    path = "/v1/accounts/{account}",
    params(("account" = u64, Path, description = "The account's number.")),
    responses((status = 200, body = AccountJson), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody))
)]
pub async fn account(State(service): State<Service>, reader: Reader, PathPart(account): PathPart) -> Response {
    answer(read_account(&service, &reader, &account).await)
}

async fn read_account(service: &Service, reader: &Reader, account: &str) -> Result<AccountJson, ApiError> {
    let account = account_number(account)?;
    let found = reader.look(service, Read::Account(account), move |view| AccountJson::read(view, account)).await?;
    found.ok_or_else(|| account_not_found(account))
}

/// What an account has and needs in each segment.
#[utoipa::path(
    get,
    path = "/v1/accounts/{account}/margin",
    params(("account" = u64, Path, description = "The account's number.")),
    responses((status = 200, body = MarginJson), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody))
)]
pub async fn margin(State(service): State<Service>, reader: Reader, PathPart(account): PathPart) -> Response {
    answer(read_margin(&service, &reader, &account).await)
}

async fn read_margin(service: &Service, reader: &Reader, account: &str) -> Result<MarginJson, ApiError> {
    let account = account_number(account)?;
    let found = reader.look(service, Read::Account(account), move |view| MarginJson::read(view, account)).await?;
    found.ok_or_else(|| account_not_found(account))
}

/// What an order, a withdrawal, a slow exit or a transfer would do if it came now, signed by the root key.
///
/// It is judged by the code that judges commands, on a copy of the state, and changes nothing. What the gate judges before
/// is left out: nonce, grant, policy.
#[utoipa::path(
    post,
    path = "/v1/accounts/{account}/margin/preview",
    params(("account" = u64, Path, description = "The account's number.")),
    request_body(
        content((CommandJson = "application/json")),
        description = "`place_order`, `request_withdrawal`, `request_principal_exit` or `request_transfer`."
    ),
    responses((status = 200, body = PreviewJson), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody))
)]
pub async fn preview(
    State(service): State<Service>,
    reader: Reader,
    PathPart(account): PathPart,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(read_preview(&service, &reader, &account, &headers, body).await)
}

async fn read_preview(
    service: &Service,
    reader: &Reader,
    account: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<PreviewJson, ApiError> {
    let account = account_number(account)?;
    if encoding(headers)? != Encoding::Json {
        return Err(ApiError::of(ApiRule::ContentTypeNotSupported, "a preview takes one command as application/json"));
    }
    let limits = &service.limits;
    let body = read(headers, body, limits.json_size_bytes_max, limits.body_wait_max).await?;
    let command = Command::try_from(json::<CommandJson>(&body)?)?;
    let previewed = reader.look(service, Read::Account(account), move |view| {
        if view.ledger.accounts().account(account).is_none() {
            return Err(Reject::of(RejectCode::AccountNotFound).present(account.number()));
        }
        PreviewJson::read(view, account, &command)
    });
    previewed.await?.map_err(|reject| match reject.code() {
        RejectCode::PolicyForbids => {
            ApiError::of(ApiRule::NotPreviewed, "the command is neither an order nor money that leaves")
        }
        _ => ApiError::refused(&reject),
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearParams {
    near_liquidation: usize,
    market: Option<u16>,
}

/// The accounts with a position that are closest to liquidation: for auditors; those of one market also for whoever watches it.
#[utoipa::path(
    get,
    path = "/v1/accounts",
    params(
        ("near_liquidation" = u32, Query, description = "How many, at most 100."),
        ("market" = Option<u16>, Query, description = "With a position in this market only.")
    ),
    responses(
        (status = 200, body = NearLiquidationJson),
        (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody)
    )
)]
pub async fn near_liquidation(
    State(service): State<Service>,
    reader: Reader,
    params: Result<Query<NearParams>, QueryRejection>,
) -> Response {
    answer(read_near(&service, &reader, params).await)
}

async fn read_near(
    service: &Service,
    reader: &Reader,
    params: Result<Query<NearParams>, QueryRejection>,
) -> Result<NearLiquidationJson, ApiError> {
    let NearParams { near_liquidation, market } = query(params)?;
    let (count, market) = (near_liquidation.min(NEAR_MAX), market.map(MarketId::new));
    let read = market.map_or(Read::Auditor, Read::Market);
    let found = reader.look(service, read, move |view| NearLiquidationJson::read(view, count, market)).await?;
    found.ok_or_else(|| market_not_found(market.unwrap_or(MarketId::NONE)))
}

const NEAR_MAX: usize = 100;

/// Withdrawals and transfers of an account that have not ended.
#[utoipa::path(
    get,
    path = "/v1/accounts/{account}/moves",
    params(("account" = u64, Path, description = "The account's number.")),
    responses((status = 200, body = MovesJson), (status = "4XX", body = ErrorBody))
)]
pub async fn moves(State(service): State<Service>, reader: Reader, PathPart(account): PathPart) -> Response {
    answer(read_moves(&service, &reader, &account).await)
}

async fn read_moves(service: &Service, reader: &Reader, account: &str) -> Result<MovesJson, ApiError> {
    let account = account_number(account)?;
    let hub = Arc::clone(&service.hub);
    // The hub knows durable blocks alone, so it is never ahead of the state that the pass was judged by.
    reader.look(service, Read::Account(account), move |_view| hub.moves(account)).await
}

/// The account whose root key it is or was: for whoever holds the key.
#[utoipa::path(
    get,
    path = "/v1/keys/{key}",
    params(("key" = String, Path, description = "`ed25519:` and 64 hexadecimal digits, `secp256k1:0x` and 40, or `p256:` and 64.")),
    responses((status = 200, body = KeyJson), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody))
)]
pub async fn key(State(service): State<Service>, reader: Reader, PathPart(key): PathPart) -> Response {
    answer(find_key(&service, &reader, &key).await)
}

async fn find_key(service: &Service, reader: &Reader, key: &str) -> Result<KeyJson, ApiError> {
    let key: KeyText = key
        .parse()
        .map_err(|_not_hex| ApiError::of(ApiRule::ParameterInvalid, format!("the path must name {KEY_FORMS}")))?;
    let found = reader.look(service, Read::Key(key.0), move |view| {
        let account = view.ledger.accounts().account_of_root(&key.0)?.number();
        let height = view.ledger.chain().height.number();
        Some(KeyJson { height, state_root: view.state_root.into(), root_key: key, account })
    });
    found.await?.ok_or_else(|| ApiError::of(ApiRule::KeyNotFound, format!("`{key}` is the root key of no account")))
}

/// Proofs of an account's rows against the state root of a block.
#[utoipa::path(
    get,
    path = "/v1/proofs/account/{account}",
    params(("account" = u64, Path, description = "The account's number.")),
    responses(
        (status = 200, body = AccountProofsJson),
        (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody)
    )
)]
pub async fn proofs(State(service): State<Service>, reader: Reader, PathPart(account): PathPart) -> Response {
    answer(prove(&service, &reader, &account).await)
}

async fn prove(service: &Service, reader: &Reader, account: &str) -> Result<AccountProofsJson, ApiError> {
    let account = account_number(account)?;
    let proved = reader.look(service, Read::Account(account), move |view| {
        (view.ledger.chain().height.number(), account_proofs(view.ledger, account))
    });
    let (height, proofs) = proved.await?;
    if proofs.is_empty() {
        return Err(account_not_found(account));
    }
    let venue = Arc::clone(&service.venue);
    let block = off_thread(move || venue.block(height).map_err(ApiError::failed)).await?;
    let header = block.map(|block| HeaderJson::from(&block.header)).ok_or_else(|| {
        ApiError::of(ApiRule::BlockNotFound, "the chain has no block yet, and a proof needs a header to lead to")
    })?;
    Ok(AccountProofsJson { header, proofs: proofs.iter().map(RowProofJson::from).collect() })
}

pub(super) fn account_number(account: &str) -> Result<AccountId, ApiError> {
    number("account", account).map(AccountId::new)
}

pub(super) fn account_not_found(account: AccountId) -> ApiError {
    ApiError::refused(&Reject::of(RejectCode::AccountNotFound).present(account.number()))
}
