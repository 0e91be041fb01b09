//! Submitting envelopes, and asking for their receipts.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use casemate_gate::Read;
use casemate_protocol::{AccountId, Digest, Envelope};
use serde::Deserialize;
use tokio::sync::oneshot;

use super::{PathPart, Service, answer, query};
use crate::access::Reader;
use crate::asking::{ANSWER_WAIT_MAX, look, node_failed, off_thread, within};
use crate::body::{Encoding, encoding, json, read};
use crate::dto::envelope::{EnvelopeJson, UnsignedEnvelopeJson};
use crate::dto::read_pass::{PassToSignJson, UnsignedPassJson};
use crate::dto::receipt::{AcceptedJson, ReceiptJson};
use crate::dto::typed_data::ToSignJson;
use crate::error::{ApiError, ApiRule, ErrorBody, json_response};
use crate::ports::{Answer, StateView};
use crate::values::HexArray;

/// How long to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Until the envelope is refused or durable.
    #[default]
    Durable,
    /// Until it is taken for judgement; ask for its receipt.
    Taken,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubmitParams {
    #[serde(default)]
    wait: Wait,
}

/// Submits an envelope: canonical bytes, or the same as JSON.
///
/// Status 200 means that it is in a durable block; commands may still have been refused there, one verdict each. Status 202
/// (`wait=taken`) means taken and not judged yet. Any other status means that it is in no block, except 500 and 504: then
/// nothing is certain. The same bytes can always be submitted again, are never included twice, and get the first receipt,
/// marked as a duplicate.
#[utoipa::path(
    post,
    path = "/v1/envelopes",
    params(("wait" = Option<Wait>, Query, description = "How long to wait; `durable` if not given.")),
    request_body(
        content((EnvelopeJson = "application/json"), (Vec<u8> = "application/octet-stream")),
        description = "The envelope."
    ),
    responses(
        (status = 200, body = ReceiptJson, description = "Durable."),
        (status = 202, body = AcceptedJson, description = "Taken, with `wait=taken`."),
        (status = "4XX", body = ErrorBody, description = "Refused before inclusion."),
        (status = "5XX", body = ErrorBody, description = "Not taken, or not certain.")
    )
)]
pub async fn submit(
    State(service): State<Service>,
    params: Result<Query<SubmitParams>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match submit_or_fail(&service, params, &headers, body).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn submit_or_fail(
    service: &Service,
    params: Result<Query<SubmitParams>, QueryRejection>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let SubmitParams { wait } = query(params)?;
    let encoding = encoding(headers)?;
    let size_bytes_max = match encoding {
        Encoding::Binary => service.limits.envelope_size_bytes_max,
        // The same envelope is longer as text.
        Encoding::Json => service.limits.json_size_bytes_max,
    };
    let body = read(headers, body, size_bytes_max, service.limits.body_wait_max).await?;
    let bytes = match encoding {
        Encoding::Binary => body.to_vec(),
        Encoding::Json => json::<EnvelopeJson>(&body)?.into_envelope()?.encode(),
    };
    // Refuses what can never be included before it takes a place in the queue.
    let (_, digests) = Envelope::decode(&bytes).map_err(|reject| ApiError::refused(&reject))?;
    let (sender, answered) = oneshot::channel();
    service.venue.submit(bytes, Box::new(move |answer| drop(sender.send(answer))))?;
    if wait == Wait::Taken {
        return Ok(json_response(StatusCode::ACCEPTED, &AcceptedJson { envelope: digests.intent.into() }));
    }
    let answered = within(ANSWER_WAIT_MAX, async { answered.await.map_err(|_dropped| node_failed()) }).await?;
    match answered {
        Answer::Receipt(receipt) => {
            // Whoever has this answer finds its effects in every other one.
            within(ANSWER_WAIT_MAX, service.hub.wait_height(receipt.height)).await?;
            Ok(json_response(StatusCode::OK, &ReceiptJson::from(&receipt)))
        }
        Answer::Refused(reject) => Err(ApiError::refused(&reject)),
        Answer::Failed(failure) => Err(ApiError::failed(failure)),
    }
}

/// What a key signs for an envelope: typed data for a wallet, digests for any other key.
///
/// Nothing is submitted or kept, and no state is looked at. The node need not be believed: a wallet shows every value, and
/// the intent digest is a hash over `intent`, which holds the same values.
#[utoipa::path(
    post,
    path = "/v1/typed-data",
    request_body(content((UnsignedEnvelopeJson = "application/json")), description = "An envelope without `signature`."),
    responses((status = 200, body = ToSignJson), (status = "4XX", body = ErrorBody))
)]
pub async fn typed_data(State(service): State<Service>, headers: HeaderMap, body: Body) -> Response {
    answer(to_sign(&service, &headers, body).await)
}

async fn to_sign(service: &Service, headers: &HeaderMap, body: Body) -> Result<ToSignJson, ApiError> {
    let unsigned: UnsignedEnvelopeJson = super::json_body(service, headers, body).await?;
    ToSignJson::of_intent(&unsigned.into_intent()?, &Digest(service.chain.chain_id.0))
}

/// What a key signs for a read pass: typed data for a wallet, a digest for any other key.
///
/// Nothing is kept, and no state is looked at. The bytes of the answer with the signature behind them are the pass.
#[utoipa::path(
    post,
    path = "/v1/typed-data/read-pass",
    request_body(content((UnsignedPassJson = "application/json")), description = "Who reads what, and when."),
    responses((status = 200, body = PassToSignJson), (status = "4XX", body = ErrorBody))
)]
pub async fn pass_typed_data(State(service): State<Service>, headers: HeaderMap, body: Body) -> Response {
    answer(pass_to_sign(&service, &headers, body).await)
}

async fn pass_to_sign(service: &Service, headers: &HeaderMap, body: Body) -> Result<PassToSignJson, ApiError> {
    let unsigned: UnsignedPassJson = super::json_body(service, headers, body).await?;
    Ok(PassToSignJson::of(&unsigned.into_terms(Digest(service.chain.chain_id.0))?))
}

/// The receipt of an envelope: for the account that submitted it.
#[utoipa::path(
    get,
    path = "/v1/receipts/{envelope}",
    params(("envelope" = String, Path, description = "The envelope's id, 64 hexadecimal digits.")),
    responses((status = 200, body = ReceiptJson), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody))
)]
pub async fn receipt(State(service): State<Service>, reader: Reader, PathPart(envelope): PathPart) -> Response {
    answer(read_receipt(&service, &reader, &envelope).await)
}

/// Ids of envelopes are public and a refusal names amounts, so a receipt is shown to the account that submitted it alone.
async fn read_receipt(service: &Service, reader: &Reader, envelope: &str) -> Result<ReceiptJson, ApiError> {
    let receipt = find_receipt(service, envelope).await?;
    let (venue, height, position) = (Arc::clone(&service.venue), receipt.height, receipt.position);
    let block = off_thread(move || venue.block(height).map_err(ApiError::failed)).await?;
    let place = usize::try_from(position).unwrap_or(usize::MAX);
    let bytes = block.as_ref().and_then(|block| block.envelopes.as_slice().get(place));
    let decoded = bytes.and_then(|bytes| Envelope::decode(bytes.as_slice()).ok());
    let (envelope, _) = decoded.ok_or_else(|| {
        ApiError::of(ApiRule::MachineFailed, format!("block `{height}` of the receipt is not on this machine"))
    })?;
    let (account, key) = (envelope.intent.account, envelope.intent.signer.key);
    let whose = move |view: &StateView<'_>| match (account, view.ledger.accounts().account_of_root(&key)) {
        (AccountId::NONE, Some(opened)) => Read::Account(opened),
        // It was to open an account and did not.
        (AccountId::NONE, None) => Read::Key(key),
        (account, _) => Read::Account(account),
    };
    reader.look_for(service, whose, |_view| ()).await?;
    Ok(receipt)
}

async fn find_receipt(service: &Service, envelope: &str) -> Result<ReceiptJson, ApiError> {
    let HexArray(bytes) = envelope
        .parse()
        .map_err(|_not_hex| ApiError::of(ApiRule::ParameterInvalid, "an envelope's id is 64 hexadecimal digits"))?;
    let id = Digest(bytes);
    if let Some(recent) = look(&*service.venue, move |view| (view.recent_receipt)(&id)).await? {
        return Ok(ReceiptJson::from(&recent));
    }
    let venue = Arc::clone(&service.venue);
    let old = off_thread(move || venue.old_receipt(&id).map_err(ApiError::failed)).await?;
    old.as_ref().map(ReceiptJson::from).ok_or_else(|| {
        ApiError::of(ApiRule::ReceiptNotFound, format!("no durable block holds an envelope with id `{id}`"))
    })
}
