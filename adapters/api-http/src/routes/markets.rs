//! Markets, their books and their trades.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use casemate_protocol::MarketId;
use serde::Deserialize;

use super::{PathPart, Service, answer, market_not_found, number, query};
use crate::asking::look;
use crate::dto::market::{BookJson, MarketsJson, OneMarketJson, TradesJson};
use crate::error::{ApiError, ErrorBody};
use crate::hub::SNAPSHOT_LEVELS_MAX;

/// Every market with its rules and what moves with each trade.
#[utoipa::path(
    get,
    path = "/v1/markets",
    responses((status = 200, body = MarketsJson), (status = "5XX", body = ErrorBody))
)]
pub async fn markets(State(service): State<Service>) -> Response {
    answer(look(&*service.venue, MarketsJson::read).await)
}

/// One market.
#[utoipa::path(
    get,
    path = "/v1/markets/{market}",
    params(("market" = u16, Path, description = "The market's id.")),
    responses(
        (status = 200, body = OneMarketJson),
        (status = "4XX", body = ErrorBody),
        (status = "5XX", body = ErrorBody)
    )
)]
pub async fn market(State(service): State<Service>, PathPart(market): PathPart) -> Response {
    answer(read_market(&service, &market).await)
}

async fn read_market(service: &Service, market: &str) -> Result<OneMarketJson, ApiError> {
    let market = MarketId::new(number("market", market)?);
    let found = look(&*service.venue, move |view| OneMarketJson::read(view, market)).await?;
    found.ok_or_else(|| market_not_found(market))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BookParams {
    #[serde(default = "default_depth")]
    depth: usize,
}

const fn default_depth() -> usize {
    20
}

/// The book of a market by price level.
#[utoipa::path(
    get,
    path = "/v1/markets/{market}/book",
    params(
        ("market" = u16, Path, description = "The market's id."),
        ("depth" = Option<u32>, Query, description = "Levels of each side, at most 1000; 20 if not given.")
    ),
    responses((status = 200, body = BookJson), (status = "4XX", body = ErrorBody))
)]
pub async fn book(
    State(service): State<Service>,
    PathPart(market): PathPart,
    params: Result<Query<BookParams>, QueryRejection>,
) -> Response {
    answer(read_book(&service, &market, params))
}

fn read_book(
    service: &Service,
    market: &str,
    params: Result<Query<BookParams>, QueryRejection>,
) -> Result<BookJson, ApiError> {
    let market = MarketId::new(number("market", market)?);
    let depth = query(params)?.depth.min(SNAPSHOT_LEVELS_MAX);
    service.hub.book(market, depth).ok_or_else(|| market_not_found(market))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TradesParams {
    after: Option<u64>,
    #[serde(default = "default_trades")]
    count: usize,
}

const fn default_trades() -> usize {
    100
}

/// Trades of a market, oldest first.
#[utoipa::path(
    get,
    path = "/v1/markets/{market}/trades",
    params(
        ("market" = u16, Path, description = "The market's id."),
        ("after" = Option<u64>, Query, description = "Trades with a higher number; the last ones if not given."),
        ("count" = Option<u32>, Query, description = "How many, at most 1000; 100 if not given.")
    ),
    responses((status = 200, body = TradesJson), (status = "4XX", body = ErrorBody))
)]
pub async fn trades(
    State(service): State<Service>,
    PathPart(market): PathPart,
    params: Result<Query<TradesParams>, QueryRejection>,
) -> Response {
    answer(read_trades(&service, &market, params))
}

fn read_trades(
    service: &Service,
    market: &str,
    params: Result<Query<TradesParams>, QueryRejection>,
) -> Result<TradesJson, ApiError> {
    let market = MarketId::new(number("market", market)?);
    let TradesParams { after, count } = query(params)?;
    service.hub.trades(market, after, count.min(TRADES_ANSWERED_MAX)).ok_or_else(|| market_not_found(market))
}

const TRADES_ANSWERED_MAX: usize = 1_000;
