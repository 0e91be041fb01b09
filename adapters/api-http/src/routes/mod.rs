//! The handlers, one file for each kind of thing, and how they hang together.

mod accounts;
mod blocks;
mod chain;
mod envelopes;
mod markets;
mod page;
mod policy;
mod segments;
mod stream;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, MatchedPath, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use casemate_protocol::genesis::Genesis;
use casemate_protocol::{MarketId, Reject, RejectCode};
use tokio::sync::{Semaphore, watch};
use utoipa::OpenApi as _;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::ParameterIn;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::{PassBook, describe, require_pass};
use crate::body::{Encoding, encoding, json, read};
use crate::dto::chain::ChainJson;
use crate::error::{ApiError, ApiRule, ErrorBody, json_response};
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::ports::Venue;
use crate::server::Limits;

/// Serves one chain; cheap to clone.
#[derive(Clone)]
pub struct Service(Arc<Shared>);

/// Makes a read pass in base64url for the page that is served: whoever runs the node signs it and answers for it. None if it
/// cannot be made now.
pub type PagePass = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// What the handlers share.
pub struct Shared {
    pub(crate) venue: Arc<dyn Venue>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) chain: ChainJson,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) is_stopping: AtomicBool,
    pub(crate) passes: PassBook,
    /// Makes a pass for the page; none where people bring their own.
    pub(crate) page_pass: Option<PagePass>,
    /// A permit for each stream that may still be opened.
    pub(crate) streams: Arc<Semaphore>,
    /// Changes when streams have to end.
    pub(crate) stop: watch::Sender<bool>,
}

impl std::ops::Deref for Service {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Service {
    /// A service for one chain.
    #[must_use]
    pub fn new(genesis: &Genesis, venue: Arc<dyn Venue>, hub: Arc<Hub>, limits: Limits) -> Self {
        Self::with_page(genesis, venue, hub, limits, None)
    }

    /// The same with passes for its page, if there are any. Whoever can load the page then reads what they open.
    #[must_use]
    pub fn with_page(
        genesis: &Genesis,
        venue: Arc<dyn Venue>,
        hub: Arc<Hub>,
        limits: Limits,
        page_pass: Option<PagePass>,
    ) -> Self {
        Self(Arc::new(Shared {
            venue,
            hub,
            chain: ChainJson::of(genesis),
            limits,
            metrics: Metrics::default(),
            is_stopping: AtomicBool::new(false),
            passes: PassBook::new(genesis.chain_id()),
            page_pass,
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            stop: watch::Sender::new(false),
        }))
    }

    pub(crate) fn begin_stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.stop.send_replace(true);
    }

    pub(crate) fn router(&self) -> Router {
        let (router, document) = api().split_for_parts();
        let with_parameters = Arc::new(paths_with_parameters(&document));
        router
            .layer(from_fn_with_state(with_parameters, refuse_parameters))
            .layer(from_fn_with_state(self.clone(), require_pass))
            .method_not_allowed_fallback(method_not_allowed)
            .fallback(path_not_found)
            .layer(from_fn_with_state(self.clone(), count_request))
            .with_state(self.clone())
    }
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Casemate",
        description = "A zero-trust clearing engine for crypto derivatives. Envelopes are signed; answers are of durable \
                       blocks and carry height and state root; numbers that may pass 2^53 are strings, and names end in \
                       units."
    ),
    components(schemas(ErrorBody))
)]
struct ApiDoc;

fn api() -> OpenApiRouter<Service> {
    OpenApiRouter::with_openapi(ApiDoc::openapi())
        .routes(routes!(page::page))
        .routes(routes!(envelopes::submit))
        .routes(routes!(envelopes::receipt))
        .routes(routes!(envelopes::typed_data))
        .routes(routes!(envelopes::pass_typed_data))
        .routes(routes!(accounts::account))
        .routes(routes!(accounts::near_liquidation))
        .routes(routes!(accounts::margin))
        .routes(routes!(accounts::preview))
        .routes(routes!(accounts::moves))
        .routes(routes!(accounts::key))
        .routes(routes!(accounts::proofs))
        .routes(routes!(markets::markets))
        .routes(routes!(markets::market))
        .routes(routes!(markets::book))
        .routes(routes!(markets::trades))
        .routes(routes!(policy::policy))
        .routes(routes!(policy::account_policy))
        .routes(routes!(segments::segments))
        .routes(routes!(segments::breakers))
        .routes(routes!(segments::liquidations))
        .routes(routes!(blocks::block))
        .routes(routes!(chain::chain))
        .routes(routes!(chain::health))
        .routes(routes!(chain::metrics))
        .routes(routes!(chain::openapi_document))
        .routes(routes!(stream::stream))
}

/// The OpenAPI document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = api().split_for_parts().1;
    describe(&mut document);
    document
}

/// Paths that take parameters behind the question mark; their handlers refuse those that they do not know.
fn paths_with_parameters(document: &utoipa::openapi::OpenApi) -> BTreeSet<String> {
    let takes_some = |item: &utoipa::openapi::PathItem| {
        let operations = [&item.get, &item.post].into_iter().flatten();
        let mut parameters = operations.flat_map(|operation| operation.parameters.iter().flatten());
        parameters.any(|it| matches!(it, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query))
    };
    document.paths.paths.iter().filter(|(_, item)| takes_some(item)).map(|(path, _)| path.clone()).collect()
}

/// A parameter that is ignored is a misunderstanding that nobody notices.
async fn refuse_parameters(
    State(with_parameters): State<Arc<BTreeSet<String>>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let query = request.uri().query().unwrap_or("");
    if query.is_empty() || with_parameters.contains(path) {
        return next.run(request).await;
    }
    let name = shortened(query.split(['=', '&']).next().unwrap_or(""));
    let message = format!("unknown parameter `{name}`: `{path}` takes none");
    ApiError::of(ApiRule::ParameterInvalid, message).into_response()
}

async fn path_not_found(uri: Uri) -> ApiError {
    ApiError::of(ApiRule::PathNotFound, format!("there is nothing at `{}`", shortened(uri.path())))
}

async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message = format!("`{method}` is not a method of `{}`", shortened(uri.path()));
    ApiError::of(ApiRule::MethodNotAllowed, message)
}

/// A path may be as long as a client likes; an error repeats its beginning only.
fn shortened(text: &str) -> String {
    text.chars().take(PATH_CHARACTERS_SHOWN).collect()
}

const PATH_CHARACTERS_SHOWN: usize = 100;

async fn count_request(State(service): State<Service>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let path = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = method_word(request.method());
    let response = next.run(request).await;
    service.metrics.request(&path, method, response.status().as_u16(), began.elapsed());
    response
}

/// A method that nobody has heard of makes no label of its own.
fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}

/// A success with a JSON body, or the error.
fn answer<T: serde::Serialize>(result: Result<T, ApiError>) -> Response {
    match result {
        Ok(body) => json_response(StatusCode::OK, &body),
        Err(error) => error.into_response(),
    }
}

/// A part of a path, as text.
struct PathPart(String);

impl<S: Send + Sync> FromRequestParts<S> for PathPart {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let part = Path::<String>::from_request_parts(parts, state).await;
        let refused = |rejection: PathRejection| ApiError::of(ApiRule::ParameterInvalid, rejection.body_text());
        part.map(|Path(part)| Self(part)).map_err(refused)
    }
}

/// A part of a path that is a number.
fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, ApiError> {
    text.parse().map_err(|_error| {
        let message = format!("`{name}` is a whole number in range, not `{}`", shortened(text));
        ApiError::of(ApiRule::ParameterInvalid, message)
    })
}

/// A body that is one JSON object.
async fn json_body<T: serde::de::DeserializeOwned>(
    service: &Service,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ApiError> {
    if encoding(headers)? != Encoding::Json {
        return Err(ApiError::of(ApiRule::ContentTypeNotSupported, "this path takes application/json"));
    }
    json(&read(headers, body, service.limits.json_size_bytes_max, service.limits.body_wait_max).await?)
}

/// Parameters behind the question mark.
fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    query.map(|Query(query)| query).map_err(|rejection| ApiError::of(ApiRule::ParameterInvalid, rejection.body_text()))
}

fn market_not_found(market: MarketId) -> ApiError {
    ApiError::refused(&Reject::of(RejectCode::MarketNotFound).present(u64::from(market.number())))
}
