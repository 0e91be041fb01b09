//! Segments and their breakers.

use axum::extract::State;
use axum::response::Response;

use super::{Service, answer};
use crate::asking::look;
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

async fn read_breakers(service: &Service) -> Result<BreakersJson, ApiError> {
    let mut breakers = look(&*service.venue, BreakersJson::read).await?;
    // The hub learns of a block by another way than the state that was looked at.
    service.hub.wait_height(breakers.height).await?;
    let height = breakers.height;
    breakers.moves = service.hub.breaker_moves().into_iter().filter(|moved| moved.height <= height).collect();
    Ok(breakers)
}
