//! The server: connections, their limits, and a clean end.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use casemate_protocol::limits::ENVELOPE_SIZE_BYTES_MAX;

use crate::error::{ApiError, ApiRule, ErrorBody};
use crate::routes::Service;

/// Bounds on what clients can take of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once, streams included.
    pub connections_max: usize,
    /// Streams at once.
    pub streams_max: usize,
    /// Largest envelope as canonical bytes.
    pub envelope_size_bytes_max: usize,
    /// Largest envelope as JSON.
    pub json_size_bytes_max: usize,
    /// Time for a request's head, also on a connection that waits for its next request.
    pub head_wait_max: Duration,
    /// Time for a request's body.
    pub body_wait_max: Duration,
    /// Time after which a connection is closed once its request is answered.
    pub connection_life_max: Duration,
    /// Time that a stream's client may take to read one message.
    pub stream_write_wait_max: Duration,
    /// How often a stream is pinged.
    pub stream_ping_every: Duration,
    /// How often the passes behind a stream's subscriptions are judged while nothing is told.
    pub stream_judge_every: Duration,
    /// Time after which a stream whose client says nothing, not even to pings, is closed.
    pub stream_silence_max: Duration,
    /// Time that requests under way get at the end.
    pub stop_wait_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            streams_max: 256,
            envelope_size_bytes_max: ENVELOPE_SIZE_BYTES_MAX,
            // The largest envelope in hexadecimal, and its field names.
            json_size_bytes_max: 4 * ENVELOPE_SIZE_BYTES_MAX,
            head_wait_max: Duration::from_secs(10),
            body_wait_max: Duration::from_secs(10),
            connection_life_max: Duration::from_secs(600),
            stream_write_wait_max: Duration::from_secs(5),
            stream_ping_every: Duration::from_secs(20),
            stream_judge_every: Duration::from_secs(1),
            stream_silence_max: Duration::from_secs(60),
            stop_wait_max: Duration::from_secs(5),
        }
    }
}

/// A running server, on a thread of its own.
pub struct Server {
    address: SocketAddr,
    service: Service,
    thread: JoinHandle<()>,
}

/// Counts a connection for as long as it is held.
#[derive(Clone)]
pub(crate) struct ConnectionPermit {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Server {
    /// Serves on a bound listener.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn start(listener: TcpListener, service: Service) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .build()?;
        let served = service.clone();
        let thread = std::thread::Builder::new().name("api-http".to_owned()).spawn(move || {
            runtime.block_on(async {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => serve(listener, served).await,
                    // The listener was made non-blocking above, which is all that this asks for.
                    Err(error) => debug_assert!(false, "a listener is not taken over: {error}"),
                }
            });
            runtime.shutdown_timeout(Duration::from_secs(1));
        })?;
        Ok(Self { address, service, thread })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, lets requests under way end within their time, tells streams, and ends.
    pub fn stop(self) {
        self.service.begin_stop();
        // The thread ends when its connections have, and they have a time limit.
        let _ = self.thread.join();
    }
}

async fn serve(listener: tokio::net::TcpListener, service: Service) {
    let connections = Arc::new(Semaphore::new(service.limits.connections_max));
    let refusals = Arc::new(Semaphore::new(REFUSALS_AT_ONCE));
    let router = service.router();
    let mut stop = service.stop.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|&is_stopping| is_stopping) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(_) => {
                // Out of file handles, most likely: closing connections gives some back.
                sleep(ACCEPT_RETRY_AFTER).await;
                continue;
            }
        };
        // Answers are single small writes; waiting to fill a packet would only delay them.
        let _ = stream.set_nodelay(true);
        match Arc::clone(&connections).try_acquire_owned() {
            Ok(permit) => {
                let permit = ConnectionPermit { _permit: Arc::new(permit) };
                tokio::spawn(connection(stream, router.clone(), service.clone(), permit));
            }
            Err(_) => {
                service.metrics.connections_refused.fetch_add(1, Ordering::Relaxed);
                if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                    let max = service.limits.connections_max;
                    tokio::spawn(async move {
                        refuse(stream, max).await;
                        drop(permit);
                    });
                }
            }
        }
    }
    drop(listener);
    let all = u32::try_from(service.limits.connections_max).unwrap_or(u32::MAX);
    let _ = timeout(service.limits.stop_wait_max, connections.acquire_many(all)).await;
}

async fn connection(stream: TcpStream, router: Router, service: Service, permit: ConnectionPermit) {
    service.metrics.connections.fetch_add(1, Ordering::Relaxed);
    let handler = TowerToHyperService::new(router);
    let held = permit.clone();
    let with_permit = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(held.clone());
        handler.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(service.limits.head_wait_max)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), with_permit)
        .with_upgrades();
    let mut served = pin!(served);
    let mut stop: watch::Receiver<bool> = service.stop.subscribe();
    // A broken connection is its client's affair.
    let is_over = tokio::select! {
        _ = served.as_mut() => true,
        _ = stop.wait_for(|&is_stopping| is_stopping) => false,
        () = sleep(service.limits.connection_life_max) => false,
    };
    if !is_over {
        served.as_mut().graceful_shutdown();
        let _ = timeout(service.limits.stop_wait_max, served).await;
    }
    service.metrics.connections.fetch_sub(1, Ordering::Relaxed);
    drop(permit);
}

/// One connection too many is told so, briefly.
async fn refuse(stream: TcpStream, connections_max: usize) {
    let max = u64::try_from(connections_max).unwrap_or(u64::MAX);
    let message = format!("`{max}` connections are open, which is the maximum");
    let error = ApiError::of(ApiRule::TooManyConnections, message).numbers("count", max, max.saturating_add(1));
    // Our own bodies have string keys and no failing parts.
    let body = serde_json::to_string(&ErrorBody { error: error.detail().clone() }).unwrap_or_default();
    let response = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\nretry-after: 1\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    // It fits the socket's own buffer, so one attempt is enough.
    if timeout(REFUSAL_WAIT_MAX, stream.writable()).await.is_ok() {
        let _ = stream.try_write(response.as_bytes());
    }
    // What the client has sent must be read, or closing would reset the connection before the answer is read.
    let mut ignored = [0; 4 * 1024];
    if timeout(REFUSAL_WAIT_MAX, stream.readable()).await.is_ok() {
        let _ = stream.try_read(&mut ignored);
    }
}

const BLOCKING_THREADS: usize = 2;
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
const REFUSALS_AT_ONCE: usize = 64;
const REFUSAL_WAIT_MAX: Duration = Duration::from_millis(200);
const ACCEPT_RETRY_AFTER: Duration = Duration::from_millis(50);
