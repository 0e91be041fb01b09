//! Blocks.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::{PathPart, Service, answer, number};
use crate::asking::off_thread;
use crate::dto::block::BlockJson;
use crate::error::{ApiError, ApiRule, ErrorBody};

/// A block: its header and the ids of its envelopes.
#[utoipa::path(
    get,
    path = "/v1/blocks/{height}",
    params(("height" = String, Path, description = "Height from 1 on, or `latest`.")),
    responses((status = 200, body = BlockJson), (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody))
)]
pub async fn block(State(service): State<Service>, PathPart(height): PathPart) -> Response {
    answer(read_block(&service, &height).await)
}

async fn read_block(service: &Service, height: &str) -> Result<BlockJson, ApiError> {
    let last = service.hub.tip().height;
    let height = if height == "latest" { last } else { number("height", height)? };
    let venue = Arc::clone(&service.venue);
    let not_found = move || {
        let message = match last {
            0 => "the chain has no block yet".to_owned(),
            last => format!("there is no block `{height}`: the chain has blocks `1` to `{last}`"),
        };
        ApiError::of(ApiRule::BlockNotFound, message).numbers("count", last, height)
    };
    off_thread(move || {
        let block = venue.block(height).map_err(ApiError::failed)?.ok_or_else(not_found)?;
        Ok(BlockJson::from(&block))
    })
    .await
}
