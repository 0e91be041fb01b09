//! The stream: one WebSocket, any number of subscriptions.
//!
//! A client sends `{"op": "subscribe", "channel": "book", "market": 1}` and gets a snapshot, then changes. A reader that is
//! too slow gets the error `ReaderTooSlow` and a close frame with code 4408, as far as it still reads.
//!
//! What is not public comes to whoever has shown a pass for it, with the request that opens the stream or by
//! `{"op": "authorize", "pass": …}`. The pass is judged at the subscription, **before each message that it opens**, against a
//! state that is not older than what the message tells of, and once a second. When it does not open the channel any more, the
//! subscription ends with an error that says why; everything else on the stream goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use casemate_gate::{AuthenticPass, Read};
use casemate_protocol::read_pass::ReadScope;
use casemate_protocol::{AccountId, MarketId, Reject, RejectCode};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};
use utoipa::ToSchema;

use super::{Service, market_not_found};
use crate::access::{Access, Reader};
use crate::body::json;
use crate::dto::read_pass::ReadsJson;
use crate::error::{ApiError, ApiRule, ErrorBody, ErrorDetail};
use crate::hub::{Listener, ListenerEnd, NotSubscribed, Told, Topic};
use crate::server::ConnectionPermit;

/// What a client sends.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamRequest {
    /// Begin, end, or show a pass.
    pub op: StreamOp,
    /// What to listen to.
    pub channel: Option<Channel>,
    /// The market of `book` and `trades`.
    pub market: Option<u16>,
    /// The account of `account`.
    pub account: Option<u64>,
    /// The last sequence that the client has: the snapshot then holds what came since.
    pub after: Option<u64>,
    /// The read pass of `authorize`, in base64url.
    pub pass: Option<String>,
}

/// Begins or ends a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamOp {
    /// Begins.
    Subscribe,
    /// Ends.
    Unsubscribe,
    /// Shows a read pass, which takes the place of an earlier one for the same.
    Authorize,
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

impl Channel {
    /// Whose business a channel is. The match has no rest, so a new channel has to say it.
    const fn access(self) -> Access {
        match self {
            Self::Blocks | Self::Breakers | Self::Liquidations | Self::Book | Self::Trades => Access::Public,
            Self::Account => Access::OwnAccount,
        }
    }
}

#[derive(Serialize)]
struct StreamError<'a> {
    channel: &'static str,
    /// The account whose subscription ended with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<u64>,
    error: &'a ErrorDetail,
}

/// Answers a pass that is good now.
#[derive(Serialize)]
struct StreamPass {
    channel: &'static str,
    reads: ReadsJson,
    account: u64,
    expires_ms: u64,
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
    let pass = match service.pass_in(&headers) {
        Ok(pass) => pass,
        Err(error) => return error.into_response(),
    };
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
        serve(&service, socket, pass).await;
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

async fn serve(service: &Service, socket: WebSocket, pass: Option<Arc<AuthenticPass>>) {
    let listener = service.hub.listen();
    let id = listener.id;
    let mut connection = Connection {
        service,
        socket,
        listener,
        requests: 0,
        heard: Instant::now(),
        readers: pass.map(Reader::of).into_iter().collect(),
        accounts: BTreeSet::new(),
    };
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
    /// Whoever has shown a pass: at most one for each account and scope, and one auditor.
    readers: Vec<Reader>,
    /// Accounts that are listened to.
    accounts: BTreeSet<AccountId>,
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
        let mut judge = interval(self.service.limits.stream_judge_every);
        loop {
            let ended = tokio::select! {
                message = self.listener.messages.recv() => match message {
                    Some(told) => self.pass_on(told).await,
                    None => Some(self.cut_off()),
                },
                received = self.socket.recv() => match received {
                    Some(Ok(message)) => self.receive(message).await,
                    Some(Err(_)) | None => Some(End::Gone),
                },
                () = stopped(&mut stop) => Some(End::Stopping),
                _ = judge.tick() => self.judge_all().await,
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
                match self.request(&text).await {
                    Ok(None) => None,
                    Ok(Some(answer)) => self.send(answer).await,
                    Err(error) => self.send(error_message(&error, None)).await,
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

    async fn request(&mut self, text: &str) -> Result<Option<Message>, ApiError> {
        let request: StreamRequest = json(text.as_bytes())?;
        match request.op {
            StreamOp::Authorize => self.authorize(&request).map(Some),
            StreamOp::Unsubscribe => {
                let topic = topic(&request)?;
                if let Topic::Account(account) = topic {
                    self.accounts.remove(&account);
                }
                self.service.hub.unsubscribe(self.listener.id, topic);
                Ok(None)
            }
            StreamOp::Subscribe => self.subscribe(&request).await.map(|()| None),
        }
    }

    /// Keeps a pass. What it opens is looked at when something is asked for.
    fn authorize(&mut self, request: &StreamRequest) -> Result<Message, ApiError> {
        let is_alone = (request.channel, request.market, request.account, request.after) == (None, None, None, None);
        let Some(text) = request.pass.as_deref().filter(|_| is_alone) else {
            return Err(wrong("`authorize` takes `pass` and nothing else"));
        };
        let reader = Reader::of(self.service.pass_of_text(text)?);
        let terms = *reader.pass().terms();
        let is_for_another = |known: &Reader| {
            let held = known.pass().terms();
            held.scope != terms.scope || (held.account != terms.account && terms.scope != ReadScope::Auditor)
        };
        self.readers.retain(is_for_another);
        if self.readers.len() >= READERS_MAX {
            return Err(wrong("a stream has passes for at most `64` accounts"));
        }
        self.readers.push(reader);
        let told = StreamPass {
            channel: "authorized",
            reads: terms.scope.into(),
            account: terms.account.number(),
            expires_ms: terms.expires_ms.ms(),
        };
        // Our own bodies have string keys and no failing parts.
        Ok(Message::Text(Utf8Bytes::from(serde_json::to_string(&told).unwrap_or_default())))
    }

    async fn subscribe(&mut self, request: &StreamRequest) -> Result<(), ApiError> {
        let topic = topic(request)?;
        if let Topic::Account(account) = topic {
            if account.is_none() {
                return Err(ApiError::refused(&Reject::of(RejectCode::AccountNotFound)));
            }
            judge(self.service, &self.readers, account).await?;
            self.accounts.insert(account);
        }
        let subscribed = self.service.hub.subscribe(self.listener.id, topic, request.after);
        subscribed.map_err(|not_subscribed| match not_subscribed {
            NotSubscribed::MarketNotFound => market_not_found(request.market.map_or(MarketId::NONE, MarketId::new)),
            NotSubscribed::TooManyTopics => wrong("a stream has at most `64` subscriptions"),
        })
    }

    /// Passes a message on, if whoever listens may see it: the state that is asked is not older than what it tells of.
    async fn pass_on(&mut self, told: Told) -> Option<End> {
        if let Topic::Account(account) = told.topic {
            // Queued before its subscription ended.
            if !self.accounts.contains(&account) {
                return None;
            }
            if let Err(error) = judge(self.service, &self.readers, account).await {
                return self.end_account(account, &error).await;
            }
        }
        self.send(Message::Text(told.text)).await
    }

    /// Ends the subscriptions that no pass opens any more.
    async fn judge_all(&mut self) -> Option<End> {
        for account in self.accounts.clone() {
            if let Err(error) = judge(self.service, &self.readers, account).await
                && let Some(end) = self.end_account(account, &error).await
            {
                return Some(end);
            }
        }
        None
    }

    async fn end_account(&mut self, account: AccountId, error: &ApiError) -> Option<End> {
        self.accounts.remove(&account);
        self.service.hub.unsubscribe(self.listener.id, Topic::Account(account));
        self.send(error_message(error, Some(account))).await
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
                if self.send(error_message(&error, None)).await.is_some() {
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

/// Whether one of the passes opens an account now. Of those that do not, the one that was signed for it says why. No more than
/// two were: its own and an auditor's, so nobody makes the state be asked often.
async fn judge(service: &Service, readers: &[Reader], account: AccountId) -> Result<(), ApiError> {
    let read = Read::Account(account);
    let uncovered = |shown: &Reader| {
        let (asked, shown) = (ReadScope::Account.number(), shown.pass().terms().scope.number());
        Reject::of(RejectCode::PassDoesNotCover).required(asked.into()).present(shown.into())
    };
    let none_fits = readers.first().map_or_else(|| RejectCode::PassMissing.into(), uncovered);
    let mut refusal = ApiError::refused(&none_fits);
    for reader in readers.iter().filter(|reader| reader.pass().covers(&read)) {
        match reader.look(service, read, |_view| ()).await {
            Ok(()) => return Ok(()),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// What a request is about.
fn topic(request: &StreamRequest) -> Result<Topic, ApiError> {
    if request.pass.is_some() {
        return Err(wrong("`pass` is for `authorize` alone"));
    }
    let Some(channel) = request.channel else { return Err(wrong("`channel` is missing")) };
    let topic = match (channel, request.market, request.account) {
        (Channel::Blocks, None, None) => Topic::Blocks,
        (Channel::Breakers, None, None) => Topic::Breakers,
        (Channel::Liquidations, None, None) => Topic::Liquidations,
        (Channel::Book, Some(market), None) => Topic::Book(MarketId::new(market)),
        (Channel::Trades, Some(market), None) => Topic::Trades(MarketId::new(market)),
        (Channel::Account, None, Some(account)) => Topic::Account(AccountId::new(account)),
        (Channel::Blocks | Channel::Breakers | Channel::Liquidations, ..) => {
            return Err(wrong("`blocks`, `breakers` and `liquidations` take neither `market` nor `account`"));
        }
        (Channel::Book | Channel::Trades, ..) => {
            return Err(wrong("`book` and `trades` take `market`, and no `account`"));
        }
        (Channel::Account, ..) => return Err(wrong("`account` takes `account`, and no `market`")),
    };
    debug_assert_eq!(matches!(topic, Topic::Account(_)), channel.access() != Access::Public, "{channel:?}");
    Ok(topic)
}

fn wrong(message: &str) -> ApiError {
    ApiError::of(ApiRule::SubscriptionInvalid, message)
}

fn error_message(error: &ApiError, account: Option<AccountId>) -> Message {
    debug_assert_ne!(error.status(), StatusCode::OK, "an error has a status of its own");
    // Our own bodies have string keys and no failing parts.
    let told = StreamError { channel: "error", account: account.map(AccountId::number), error: error.detail() };
    let text = serde_json::to_string(&told).unwrap_or_default();
    Message::Text(Utf8Bytes::from(text))
}

/// A request is one short object.
const REQUEST_BYTES_MAX: usize = 4 * 1024;
/// Requests on one stream: each may cost a snapshot.
const REQUESTS_MAX: u32 = 10_000;
/// Passes on one stream: as many as it may have subscriptions.
const READERS_MAX: usize = 64;
const CLOSE_GOING_AWAY: u16 = 1001;
const CLOSE_POLICY: u16 = 1008;
/// Codes from 4000 on are for applications; this one looks like the status of the same meaning.
const CLOSE_TOO_SLOW: u16 = 4408;
const CLOSE_WAIT_MAX: Duration = Duration::from_millis(500);
