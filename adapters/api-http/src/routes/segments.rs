//! Segments, their breakers, and liquidations.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::{Service, answer};
use crate::asking::look;
use crate::dto::liquidation::LiquidationsJson;
use crate::dto::segment::{BreakersJson, SegmentsJson};
use crate::error::{ApiError, ErrorBody, json_response};

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

/// Late liquidations of all markets, step by step, without the accounts.
#[utoipa::path(
    get,
    path = "/v1/liquidations",
    responses((status = 200, body = LiquidationsJson), (status = "5XX", body = ErrorBody))
)]
pub async fn liquidations(State(service): State<Service>) -> Response {
    json_response(StatusCode::OK, &service.hub.liquidations())
}

async fn read_breakers(service: &Service) -> Result<BreakersJson, ApiError> {
    let mut breakers = look(&*service.venue, BreakersJson::read).await?;
    // The hub learns of a block by another way than the state that was looked at.
    service.hub.wait_height(breakers.height).await?;
    let height = breakers.height;
    breakers.moves = service.hub.breaker_moves().into_iter().filter(|moved| moved.height <= height).collect();
    Ok(breakers)
}
