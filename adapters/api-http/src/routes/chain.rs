//! The chain, the node's health, its counters, and the description of this interface.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::{Service, openapi};
use crate::dto::chain::{ChainJson, HealthJson};
use crate::error::json_response;
use crate::metrics::Gauge;

/// What a client must know before it signs.
#[utoipa::path(get, path = "/v1/chain", responses((status = 200, body = ChainJson)))]
pub async fn chain(State(service): State<Service>) -> Response {
    json_response(StatusCode::OK, &service.chain)
}

/// How the node does.
#[utoipa::path(get, path = "/health", responses((status = 200, body = HealthJson), (status = 503, body = HealthJson)))]
pub async fn health(State(service): State<Service>) -> Response {
    let tip = service.hub.tip();
    let is_stopping = service.is_stopping.load(Ordering::Acquire);
    let (status, word) = match is_stopping {
        false => (StatusCode::OK, "ok"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    };
    let health = HealthJson {
        status: word,
        chain_id: service.chain.chain_id,
        is_development: service.chain.is_development,
        sequencer: "solo",
        height: tip.height,
        state_root: tip.state_root.into(),
        time_ms: tip.time_ms,
        last_block_age_ms: age_ms(tip.since),
    };
    json_response(status, &health)
}

/// Counters in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String, content_type = "text/plain")))]
pub async fn metrics(State(service): State<Service>) -> Response {
    let tip = service.hub.tip();
    let listeners = u64::try_from(service.hub.listener_count()).unwrap_or(u64::MAX);
    let gauges = [
        Gauge { name: "casemate_height", help: "Last durable block.", value: tip.height },
        Gauge {
            name: "casemate_last_block_age_milliseconds",
            help: "Time since a block became durable; 0 before the first one.",
            value: age_ms(tip.since).unwrap_or(0),
        },
        Gauge { name: "casemate_streams", help: "Open streams.", value: listeners },
    ];
    let mut response = Response::new(Body::from(service.metrics.render(&gauges)));
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", responses((status = 200, body = String, content_type = "application/json")))]
pub async fn openapi_document() -> Response {
    json_response(StatusCode::OK, &openapi())
}

fn age_ms(since: Option<std::time::Instant>) -> Option<u64> {
    since.map(|since| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
}
