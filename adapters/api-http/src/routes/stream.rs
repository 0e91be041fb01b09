//! The stream: one WebSocket, any number of subscriptions.
//!
//! A client sends `{"op": "subscribe", "channel": "book", "market": 1}` and gets a snapshot, then changes. A reader that is
//! too slow gets the error `ReaderTooSlow` and a close frame with code 4408, as far as it still reads.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use casemate_protocol::{AccountId, MarketId, Reject, RejectCode};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};
use utoipa::ToSchema;

use super::{Service, market_not_found};
use crate::body::json;
use crate::error::{ApiError, ApiRule, ErrorBody, ErrorDetail};
use crate::hub::{Listener, ListenerEnd, NotSubscribed, Topic};
use crate::server::ConnectionPermit;

/// What a client sends.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamRequest {
    /// Begin or end.
    pub op: StreamOp,
    /// What to listen to.
    pub channel: Channel,
    /// The market of `book` and `trades`.
    pub market: Option<u16>,
    /// The account of `account`.
    pub account: Option<u64>,
    /// The last sequence that the client has: the snapshot then holds what came since.
    pub after: Option<u64>,
}

/// Begins or ends a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamOp {
    /// Begins.
    Subscribe,
    /// Ends.
    Unsubscribe,
}

/// A channel of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Every block.
    Blocks,
    /// Moves of breakers.
    Breakers,
    /// Liquidations of all markets.
    Liquidations,
    /// A book by level.
    Book,
    /// Trades of a market.
    Trades,
    /// What happens to an account.
    Account,
}

#[derive(Serialize)]
struct StreamError<'a> {
    channel: &'static str,
    error: &'a ErrorDetail,
}

/// Opens a stream. See docs/http-api.md for its messages.
#[utoipa::path(
    get,
    path = "/v1/stream",
    request_body(content = StreamRequest, description = "Sent as text messages after the upgrade."),
    responses((status = 101, description = "A WebSocket."), (status = "4XX", body = ErrorBody))
)]
pub async fn stream(
    State(service): State<Service>,
    permit: Option<Extension<ConnectionPermit>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    if !is_own_origin(&headers) {
        let message = "the stream was asked for by a page of another origin";
        return ApiError::of(ApiRule::OriginNotAllowed, message).into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => {
            let mut response = ApiError::of(ApiRule::UpgradeRequired, rejection.body_text()).into_response();
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            return response;
        }
    };
    // Held from before the answer until the stream is over, so that those on their way count too.
    let Ok(stream_permit) = Arc::clone(&service.streams).try_acquire_owned() else {
        let max = u64::try_from(service.limits.streams_max).unwrap_or(u64::MAX);
        let error =
            ApiError::of(ApiRule::TooManyConnections, format!("`{max}` streams are open, which is the maximum"));
        return error.numbers("count", max, max.saturating_add(1)).into_response();
    };
    upgrade.max_message_size(REQUEST_BYTES_MAX).max_frame_size(REQUEST_BYTES_MAX).on_upgrade(move |socket| async move {
        serve(&service, socket).await;
        // Stream and connection count until here.
        drop((stream_permit, permit));
    })
}

/// A browser names the page that asks. Any page may reach a port of its reader's own machine, so only pages of this very
/// server may listen; programs name none.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match text(header::ORIGIN) {
        None => true,
        Some(origin) => {
            let host = origin.split_once("://").map_or(origin, |(_, host)| host);
            text(header::HOST) == Some(host)
        }
    }
}

async fn serve(service: &Service, socket: WebSocket) {
    let listener = service.hub.listen();
    let id = listener.id;
    let mut connection = Connection { service, socket, listener, requests: 0, heard: Instant::now() };
    let end = connection.run().await;
    service.hub.forget(id);
    connection.close(end).await;
}

struct Connection<'a> {
    service: &'a Service,
    socket: WebSocket,
    listener: Listener,
    requests: u32,
    /// When the client last sent anything, answers to pings included.
    heard: Instant,
}

/// Why a stream ends.
enum End {
    /// The client went away, or does not read at all.
    Gone,
    /// The client is told why.
    Told { code: u16, error: ApiError },
    /// The node stops.
    Stopping,
}

impl Connection<'_> {
    async fn run(&mut self) -> End {
        let mut stop = self.service.stop.subscribe();
        let mut ping = interval(self.service.limits.stream_ping_every);
        loop {
            let ended = tokio::select! {
                message = self.listener.messages.recv() => match message {
                    Some(message) => self.send(Message::Text(message)).await,
                    None => Some(self.cut_off()),
                },
                received = self.socket.recv() => match received {
                    Some(Ok(message)) => self.receive(message).await,
                    Some(Err(_)) | None => Some(End::Gone),
                },
                () = stopped(&mut stop) => Some(End::Stopping),
                _ = ping.tick() => {
                    let is_silent = self.heard.elapsed() > self.service.limits.stream_silence_max;
                    if is_silent { Some(End::Gone) } else { self.send(Message::Ping(bytes::Bytes::new())).await }
                }
            };
            if let Some(end) = ended {
                return end;
            }
        }
    }

    fn cut_off(&self) -> End {
        match self.listener.end() {
            ListenerEnd::HubGone => End::Stopping,
            ListenerEnd::TooSlow => {
                self.service.metrics.streams_cut.fetch_add(1, Ordering::Relaxed);
                let error = ApiError::of(ApiRule::ReaderTooSlow, "the reader of this stream is too slow");
                End::Told { code: CLOSE_TOO_SLOW, error }
            }
        }
    }

    async fn receive(&mut self, message: Message) -> Option<End> {
        self.heard = Instant::now();
        match message {
            Message::Text(text) => {
                self.requests += 1;
                if self.requests > REQUESTS_MAX {
                    let error = ApiError::of(ApiRule::SubscriptionInvalid, "too many requests on one stream").numbers(
                        "count",
                        u64::from(REQUESTS_MAX),
                        u64::from(self.requests),
                    );
                    return Some(End::Told { code: CLOSE_POLICY, error });
                }
                match self.request(&text) {
                    Ok(()) => None,
                    Err(error) => self.send(error_message(&error)).await,
                }
            }
            Message::Binary(_) => {
                let error = ApiError::of(ApiRule::SubscriptionInvalid, "subscriptions are text messages");
                Some(End::Told { code: CLOSE_POLICY, error })
            }
            Message::Close(_) => Some(End::Gone),
            Message::Ping(_) | Message::Pong(_) => None,
        }
    }

    fn request(&self, text: &str) -> Result<(), ApiError> {
        let request: StreamRequest = json(text.as_bytes())?;
        let topic = self.topic(&request)?;
        let hub = &self.service.hub;
        match request.op {
            StreamOp::Unsubscribe => {
                hub.unsubscribe(self.listener.id, topic);
                Ok(())
            }
            StreamOp::Subscribe => {
                hub.subscribe(self.listener.id, topic, request.after).map_err(|not_subscribed| match not_subscribed {
                    NotSubscribed::MarketNotFound => {
                        market_not_found(request.market.map_or(MarketId::NONE, MarketId::new))
                    }
                    NotSubscribed::TooManyTopics => {
                        ApiError::of(ApiRule::SubscriptionInvalid, "a stream has at most `64` subscriptions")
                    }
                })
            }
        }
    }

    fn topic(&self, request: &StreamRequest) -> Result<Topic, ApiError> {
        let wrong = |message: &str| Err(ApiError::of(ApiRule::SubscriptionInvalid, message));
        match (request.channel, request.market, request.account) {
            (Channel::Blocks, None, None) => Ok(Topic::Blocks),
            (Channel::Breakers, None, None) => Ok(Topic::Breakers),
            (Channel::Liquidations, None, None) => Ok(Topic::Liquidations),
            (Channel::Book, Some(market), None) => Ok(Topic::Book(MarketId::new(market))),
            (Channel::Trades, Some(market), None) => Ok(Topic::Trades(MarketId::new(market))),
            (Channel::Account, None, Some(account)) => {
                self.service.require_public_accounts()?;
                if account == 0 {
                    return Err(ApiError::refused(&Reject::of(RejectCode::AccountNotFound)));
                }
                Ok(Topic::Account(AccountId::new(account)))
            }
            (Channel::Blocks | Channel::Breakers | Channel::Liquidations, ..) => {
                wrong("`blocks`, `breakers` and `liquidations` take neither `market` nor `account`")
            }
            (Channel::Book | Channel::Trades, ..) => wrong("`book` and `trades` take `market`, and no `account`"),
            (Channel::Account, ..) => wrong("`account` takes `account`, and no `market`"),
        }
    }

    /// A client that takes nothing for this long is gone, whatever it says.
    async fn send(&mut self, message: Message) -> Option<End> {
        match timeout(self.service.limits.stream_write_wait_max, self.socket.send(message)).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) | Err(_) => {
                let is_cut = self.listener.end() == ListenerEnd::TooSlow;
                if is_cut {
                    self.service.metrics.streams_cut.fetch_add(1, Ordering::Relaxed);
                }
                Some(End::Gone)
            }
        }
    }

    async fn close(&mut self, end: End) {
        let (code, reason) = match end {
            End::Gone => return,
            End::Stopping => (CLOSE_GOING_AWAY, "the node is stopping".to_owned()),
            End::Told { code, error } => {
                let reason = error.detail().message.clone();
                if self.send(error_message(&error)).await.is_some() {
                    return;
                }
                (code, reason)
            }
        };
        let frame = CloseFrame { code, reason: Utf8Bytes::from(reason) };
        let _ = timeout(self.service.limits.stream_write_wait_max, self.socket.send(Message::Close(Some(frame)))).await;
        // Gives the client a moment to answer, so that it reads the reason and no reset.
        let _ = timeout(CLOSE_WAIT_MAX, self.socket.recv()).await;
    }
}

/// Waits until the server stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The sender lives in the service, which outlives its streams. The guard must not live across another wait.
    let _ = stop.wait_for(|&is_stopping| is_stopping).await.map(drop);
}

fn error_message(error: &ApiError) -> Message {
    debug_assert_ne!(error.status(), StatusCode::OK, "an error has a status of its own");
    // Our own bodies have string keys and no failing parts.
    let text = serde_json::to_string(&StreamError { channel: "error", error: error.detail() }).unwrap_or_default();
    Message::Text(Utf8Bytes::from(text))
}

/// A request is one short object.
const REQUEST_BYTES_MAX: usize = 4 * 1024;
/// Requests on one stream: each may cost a snapshot.
const REQUESTS_MAX: u32 = 10_000;
const CLOSE_GOING_AWAY: u16 = 1001;
const CLOSE_POLICY: u16 = 1008;
/// Codes from 4000 on are for applications; this one looks like the status of the same meaning.
const CLOSE_TOO_SLOW: u16 = 4408;
const CLOSE_WAIT_MAX: Duration = Duration::from_millis(500);
