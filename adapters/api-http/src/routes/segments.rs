//! Segments, their breakers, and liquidations.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::{Service, answer, query};
use crate::asking::{ANSWER_WAIT_MAX, look, within};
use crate::dto::liquidation::LiquidationsJson;
use crate::dto::segment::{BreakersJson, SegmentsJson};
use crate::error::{ApiError, ErrorBody};

/// Every segment: vault, insurance, uncovered losses, limiter, breaker, proposals.
#[utoipa::path(
    get,
    path = "/v1/segments",
    responses((status = 200, body = SegmentsJson), (status = "5XX", body = ErrorBody))
)]
pub async fn segments(State(service): State<Service>) -> Response {
    answer(look(&*service.venue, SegmentsJson::read).await)
}

/// Every breaker, what it is judged by, and how breakers moved lately.
#[utoipa::path(
    get,
    path = "/v1/breakers",
    responses((status = 200, body = BreakersJson), (status = "5XX", body = ErrorBody))
)]
pub async fn breakers(State(service): State<Service>) -> Response {
    answer(read_breakers(&service).await)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiquidationsParams {
    #[serde(default = "default_steps")]
    count: usize,
}

const fn default_steps() -> usize {
    100
}

/// Late liquidations of all markets, step by step, without the accounts.
#[utoipa::path(
    get,
    path = "/v1/liquidations",
    params(("count" = Option<u32>, Query, description = "How many of the last, at most 1024; 100 if not given.")),
    responses((status = 200, body = LiquidationsJson), (status = "4XX", body = ErrorBody))
)]
pub async fn liquidations(
    State(service): State<Service>,
    params: Result<Query<LiquidationsParams>, QueryRejection>,
) -> Response {
    answer(query(params).map(|LiquidationsParams { count }| service.hub.liquidations(count)))
}

async fn read_breakers(service: &Service) -> Result<BreakersJson, ApiError> {
    let mut breakers = look(&*service.venue, BreakersJson::read).await?;
    // The hub learns of a block by another way than the state that was looked at.
    within(ANSWER_WAIT_MAX, service.hub.wait_height(breakers.height)).await?;
    let height = breakers.height;
    breakers.moves = service.hub.breaker_moves().into_iter().filter(|moved| moved.height <= height).collect();
    Ok(breakers)
}
