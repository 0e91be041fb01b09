//! Clients that are wrong, greedy, slow or silent, against a server with a venue that only refuses.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use casemate_api_http::hub::Hub;
use casemate_api_http::ports::{Answer, AnswerTo, Failure, NotTaken, Question, Receipt, StateView, Venue};
use casemate_api_http::{Limits, Server, Service};
use casemate_audit::{RecordBody, RecordSource, Verdict};
use casemate_gate::BuiltInTable;
use casemate_gate::read::Clocks;
use casemate_ledger::Ledger;
use casemate_protocol::block::{Block, Header};
use casemate_protocol::command::{SegmentAccount, SystemWork};
use casemate_protocol::event::OrderRested;
use casemate_protocol::genesis::Genesis;
use casemate_protocol::read_pass::ReadScope;
use casemate_protocol::testing::examples;
use casemate_protocol::{
    AccountId, BoundedVec, ClientOrderId, Command, Digest, Event, GrantNumber, Height, MarketId, OrderNumber,
    PriceTicks, QuantityLots, RecordIndex, Reject, RejectCode, SegmentId, Side, SystemCommand, TimeMs,
};
use serde_json::Value;
use support::{ask, next, require_error};
use tungstenite::{Message, WebSocket};

/// Refuses every envelope, and shows the state of genesis.
struct Refusing {
    ledger: Mutex<Ledger>,
    is_full: bool,
}

impl Venue for Refusing {
    fn submit(&self, _envelope: Vec<u8>, answer: AnswerTo) -> Result<(), NotTaken> {
        if self.is_full {
            return Err(NotTaken::QueueFull);
        }
        answer(Answer::Refused(Reject::of(RejectCode::NonceUsed).present(5)));
        Ok(())
    }

    fn ask(&self, question: Question) -> Result<(), NotTaken> {
        let ledger = self.ledger.lock().unwrap();
        let decider = &BuiltInTable;
        let view = StateView { ledger: &ledger, state_root: Digest::ZERO, decider, recent_receipt: &|_| None };
        question(&view)();
        Ok(())
    }

    fn clocks(&self) -> Clocks {
        Clocks { reader_ms: TimeMs::from_ms(NOW_MS), venue_ms: TimeMs::from_ms(0) }
    }

    fn block(&self, _height: u64) -> Result<Option<Block>, Failure> {
        Ok(None)
    }

    fn old_receipt(&self, _envelope: &Digest) -> Result<Option<Receipt>, Failure> {
        Err(Failure { message: "the disk is on fire".to_owned(), hint: "put it out".to_owned() })
    }
}

const NOW_MS: u64 = 1_790_000_000_000;

struct Bench {
    server: Option<Server>,
    address: SocketAddr,
    hub: Arc<Hub>,
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

/// Limits that a test reaches soon.
fn limits() -> Limits {
    Limits {
        head_wait_max: Duration::from_millis(300),
        body_wait_max: Duration::from_millis(300),
        stream_write_wait_max: Duration::from_millis(300),
        stop_wait_max: Duration::from_millis(300),
        ..Limits::default()
    }
}

fn serve(genesis: &Genesis, limits: Limits, is_full: bool) -> Bench {
    let genesis = Genesis { seeded: None, ..genesis.clone() };
    // The example has a segment with full collateral, which only development chains may have; what is served of a chain that
    // says it is none is asked of the service alone.
    let of_ledger = Genesis { is_development: true, ..genesis.clone() };
    let ledger = Ledger::new(&of_ledger, std::iter::empty()).unwrap();
    let hub = Arc::new(Hub::new(&ledger, Digest::ZERO, 0));
    let venue = Refusing { ledger: Mutex::new(ledger), is_full };
    let service = Service::new(&genesis, Arc::new(venue), Arc::clone(&hub), limits);
    let server = Server::start(TcpListener::bind("127.0.0.1:0").unwrap(), service).unwrap();
    Bench { address: server.address(), server: Some(server), hub }
}

impl Bench {
    fn new() -> Self {
        serve(&examples::genesis(), limits(), false)
    }

    fn connect(&self) -> TcpStream {
        support::connect(self.address)
    }

    fn send(&self, request: &[u8]) -> (u16, Value) {
        support::send(self.address, request)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").as_bytes())
    }

    fn post(&self, content_type: &str, body: &[u8]) -> (u16, Value) {
        let mut request = format!(
            "POST /v1/envelopes HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.send(&request)
    }

    fn stream(&self) -> WebSocket<TcpStream> {
        let address = self.address;
        tungstenite::client(format!("ws://{address}/v1/stream"), self.connect()).unwrap().0
    }
}

fn envelope() -> Vec<u8> {
    examples::envelope(vec![Command::PlaceOrder(examples::place_order())]).encode()
}

#[test]
fn a_refusal_of_the_engine_keeps_its_number_and_its_numbers() {
    let answer = Bench::new().post("application/octet-stream", &envelope());
    require_error(&answer, 409, "NonceUsed");
    assert_eq!((&answer.1["error"]["present"], &answer.1["error"]["required"]), (&Value::from("5"), &Value::Null));
}

#[test]
fn bodies_that_are_no_envelope_are_refused_for_what_they_are() {
    let bench = Bench::new();
    require_error(&bench.post("application/octet-stream", b"\x01\0junk"), 400, "Malformed");
    require_error(&bench.post("application/octet-stream", b"junk"), 400, "EnvelopeVersionUnsupported");
    require_error(&bench.post("text/plain", b"junk"), 415, "ContentTypeNotSupported");
    let malformed = bench.post("application/json", b"{\n  \"version\": 1,\n  oops");
    require_error(&malformed, 400, "JsonMalformed");
    assert!(malformed.1["error"]["message"].as_str().unwrap().ends_with("at line 3 column 3"), "{}", malformed.1);
    let unknown = bench.post("application/json", b"{\"colour\": 1}");
    assert!(unknown.1["error"]["message"].as_str().unwrap().contains("unknown field `colour`"), "{}", unknown.1);
    let deep = ["[".repeat(100_000), "]".repeat(100_000)].concat();
    require_error(&bench.post("application/json", deep.as_bytes()), 400, "JsonMalformed");
}

#[test]
fn bodies_over_the_maximum_are_refused_with_and_without_a_declared_length() {
    let bench = Bench::new();
    let declared = bench.post("application/octet-stream", &[0; 65_537]);
    require_error(&declared, 413, "BodyTooLarge");
    assert_eq!(declared.1["error"]["required"], "65536");
    assert_eq!(declared.1["error"]["present"], "65537");
    let mut chunked = b"POST /v1/envelopes HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: \
        application/octet-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_vec();
    for _ in 0..17 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[0; 0x1000]);
        chunked.extend_from_slice(b"\r\n");
    }
    require_error(&bench.send(&chunked), 413, "BodyTooLarge");
}

#[test]
fn a_body_that_does_not_come_is_cut_off_with_408() {
    let bench = Bench::new();
    let head = "POST /v1/envelopes HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: \
        application/octet-stream\r\ncontent-length: 10\r\n\r\nhalf";
    require_error(&bench.send(head.as_bytes()), 408, "BodyTooSlow");
}

#[test]
fn a_head_that_does_not_end_closes_the_connection() {
    let bench = Bench::new();
    let mut stream = bench.connect();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: te").unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(began.elapsed() < Duration::from_secs(20));
    // An idle connection between two requests is no different.
    let mut idle = bench.connect();
    assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(bench.get("/health").0, 200, "the server is well");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let bench = Bench::new();
    let mut stream = bench.connect();
    let request = format!("GET /health HTTP/1.1\r\nhost: test\r\nx-long: {}\r\n\r\n", "a".repeat(64 * 1024));
    // The server may close before all of it is sent.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(bench.get("/health").0, 200, "the server is well");
}

#[test]
fn paths_methods_and_parameters_that_do_not_exist_are_refused() {
    let bench = Bench::new();
    require_error(&bench.get("/v2/markets"), 404, "PathNotFound");
    require_error(&bench.get("/v1/envelopes"), 405, "MethodNotAllowed");
    require_error(&bench.get("/v1/markets/9/book"), 404, "MarketNotFound");
    require_error(&bench.get("/v1/markets/1/book?depth=x"), 400, "ParameterInvalid");
    require_error(&bench.get("/v1/markets/1/trades?since=1"), 400, "ParameterInvalid");
    require_error(&bench.get("/v1/blocks/7"), 404, "BlockNotFound");
    let no_upgrade = bench.get("/v1/stream");
    require_error(&no_upgrade, 426, "UpgradeRequired");
    assert_eq!(no_upgrade.1["error"]["hint"], "open a WebSocket at this path");
}

#[test]
fn a_parameter_that_a_path_does_not_take_is_refused_by_name() {
    let bench = Bench::new();
    for path in [
        "/",
        "/health",
        "/metrics",
        "/openapi.json",
        "/v1/blocks/latest",
        "/v1/breakers",
        "/v1/chain",
        "/v1/liquidations",
        "/v1/markets",
        "/v1/markets/1",
        "/v1/segments",
    ] {
        let refused = bench.get(&format!("{path}?colour=1"));
        require_error(&refused, 400, "ParameterInvalid");
        assert!(refused.1["error"]["message"].as_str().unwrap().contains("`colour`"), "{path}: {}", refused.1);
    }
    assert_eq!(bench.get("/v1/markets?").0, 200, "nothing is asked for");
    assert_eq!(bench.get("/v1/liquidations?count=5").0, 200);
}

#[test]
fn a_failing_machine_and_a_full_queue_are_told_apart() {
    let bench = serve(&examples::genesis(), limits(), true);
    let chain_id = Genesis { seeded: None, ..examples::genesis() }.chain_id();
    let key = support::key("anybody");
    let pass = support::sign(support::terms(chain_id, 1, &key, ReadScope::Account, NOW_MS), &key);
    let request = format!(
        "GET /v1/receipts/{} HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: Casemate {pass}\r\n\r\n",
        "ab".repeat(32)
    );
    require_error(&bench.send(request.as_bytes()), 500, "MachineFailed");
    require_error(&bench.post("application/octet-stream", &envelope()), 503, "QueueFull");
}

#[test]
fn one_connection_too_many_is_told_so_and_the_others_go_on() {
    let bench = serve(&examples::genesis(), Limits { connections_max: 2, ..Limits::default() }, false);
    let mut held: Vec<TcpStream> = (0..2).map(|_| bench.connect()).collect();
    for stream in &mut held {
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    }
    let refused = bench.get("/health");
    require_error(&refused, 503, "TooManyConnections");
    assert_eq!(refused.1["error"]["required"], "2");
    held[0].write_all(b"GET /health HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    assert!(held[0].read(&mut [0; 4096]).unwrap() > 0, "still served");
}

#[test]
fn requests_on_a_stream_that_make_no_sense_are_refused_and_the_stream_goes_on() {
    let bench = Bench::new();
    let mut stream = bench.stream();
    let cases = [
        ("{", "JsonMalformed"),
        (r#"{"op":"subscribe","channel":"weather"}"#, "JsonMalformed"),
        (r#"{"op":"subscribe","channel":"book","market":1,"colour":1}"#, "JsonMalformed"),
        (r#"{"op":"subscribe","channel":"book"}"#, "SubscriptionInvalid"),
        (r#"{"op":"subscribe","channel":"blocks","market":1}"#, "SubscriptionInvalid"),
        (r#"{"op":"subscribe","channel":"book","market":99}"#, "MarketNotFound"),
        (r#"{"op":"subscribe","channel":"account","account":0}"#, "AccountNotFound"),
        (r#"{"op":"subscribe","channel":"account","account":1}"#, "PassMissing"),
        (r#"{"op":"subscribe"}"#, "SubscriptionInvalid"),
        (r#"{"op":"subscribe","channel":"blocks","pass":"AA"}"#, "SubscriptionInvalid"),
        (r#"{"op":"authorize"}"#, "SubscriptionInvalid"),
        (r#"{"op":"authorize","pass":"AA","channel":"blocks"}"#, "SubscriptionInvalid"),
        (r#"{"op":"authorize","pass":"A"}"#, "PassMalformed"),
        (r#"{"op":"authorize","pass":"AA"}"#, "PassMalformed"),
    ];
    for (request, name) in cases {
        assert_eq!(ask(&mut stream, request)["error"]["name"], name, "{request}");
    }
    assert_eq!(ask(&mut stream, r#"{"op":"subscribe","channel":"blocks"}"#)["kind"], "snapshot");
}

#[test]
fn a_page_of_another_origin_gets_no_stream() {
    let bench = Bench::new();
    let upgrade = |origin: &str| {
        format!(
            "GET /v1/stream HTTP/1.1\r\nhost: node.test\r\norigin: {origin}\r\nconnection: upgrade\r\nupgrade: \
             websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
    };
    let mut stream = bench.connect();
    stream.write_all(upgrade("http://evil.test").as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 403");
    let mut own = bench.connect();
    own.write_all(upgrade("http://node.test").as_bytes()).unwrap();
    own.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
}

/// All ask before the first is answered.
#[test]
fn as_many_streams_are_opened_as_the_limit_says_also_at_once() {
    let bench = serve(&examples::genesis(), Limits { streams_max: 1, ..limits() }, false);
    let upgrade = "GET /v1/stream HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: \
                   websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let mut asking: Vec<TcpStream> = (0..32).map(|_| bench.connect()).collect();
    for stream in &mut asking {
        stream.write_all(upgrade.as_bytes()).unwrap();
    }
    let mut statuses = Vec::new();
    for stream in &mut asking {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        statuses.push(String::from_utf8_lossy(&answer).into_owned());
    }
    assert_eq!(statuses.iter().filter(|status| *status == "HTTP/1.1 101").count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| *status == "HTTP/1.1 503").count(), 31, "{statuses:?}");
}

/// It asks for far more than the buffers between us hold, and reads none of it.
#[test]
fn a_stream_whose_client_does_not_read_is_cut_off_and_another_is_served_meanwhile() {
    let bench = Bench::new();
    fill_book(&bench.hub);
    let (mut slow, mut fast) = (bench.stream(), bench.stream());
    assert_eq!(ask(&mut fast, r#"{"op":"subscribe","channel":"blocks"}"#)["sequence"], 1);
    let request = Message::text(r#"{"op":"subscribe","channel":"book","market":1}"#);
    let (began, mut served) = (Instant::now(), 0);
    while slow.send(request.clone()).is_ok() {
        served += 1;
        bench.hub.advance(&Header { height: Height::new(1 + served), ..examples::header() }, &[]);
        assert_eq!(next(&mut fast)["sequence"], 1 + served);
        assert!(began.elapsed() < Duration::from_secs(20), "it was never cut off, after {served} requests");
    }
    assert!(served > 0);
    assert!(bench.hub.listener_count() <= 2);
    assert_eq!(bench.get("/health").0, 200);
}

/// A book whose snapshot is some tens of kilobytes.
fn fill_book(hub: &Hub) {
    let rested = |number: u64| {
        Event::OrderRested(OrderRested {
            market: MarketId::new(1),
            number: OrderNumber::new(number),
            account: AccountId::new(1),
            client_id: ClientOrderId::NONE,
            grant: GrantNumber::NONE,
            side: Side::Ask,
            price: PriceTicks::from_ticks(number),
            quantity: QuantityLots::from_lots(1),
            is_reduce_only: false,
            is_ladder: false,
            expires_ms: TimeMs::ZERO,
            origin: RecordIndex::NONE,
        })
    };
    let work = SystemWork::FireDeadMan(SegmentAccount { segment: SegmentId::new(1), account: AccountId::new(1) });
    let body = RecordBody {
        source: RecordSource::System(SystemCommand { origin: RecordIndex::NONE, work }),
        verdict: Verdict::Accepted,
        events: BoundedVec::new((1..=1_000).map(rested).collect()).unwrap(),
    };
    hub.advance(&Header { height: Height::new(1), ..examples::header() }, &[body]);
}

#[test]
fn a_stop_ends_streams_with_a_reason() {
    let mut bench = Bench::new();
    let mut stream = bench.stream();
    assert_eq!(ask(&mut stream, r#"{"op":"subscribe","channel":"blocks"}"#)["kind"], "snapshot");
    bench.server.take().unwrap().stop();
    loop {
        match stream.read() {
            Ok(Message::Close(Some(frame))) => break assert_eq!(u16::from(frame.code), 1001),
            Ok(_) => {}
            Err(error) => panic!("the stream ended without a word: {error}"),
        }
    }
    assert!(TcpStream::connect(bench.address).is_err(), "nobody listens any more");
}

#[test]
fn the_document_lists_every_path_that_is_served() {
    let (status, document) = Bench::new().get("/openapi.json");
    assert_eq!(status, 200);
    let paths: Vec<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "/",
        "/health",
        "/metrics",
        "/openapi.json",
        "/v1/accounts",
        "/v1/accounts/{account}",
        "/v1/accounts/{account}/margin",
        "/v1/accounts/{account}/margin/preview",
        "/v1/accounts/{account}/moves",
        "/v1/accounts/{account}/policy",
        "/v1/blocks/{height}",
        "/v1/breakers",
        "/v1/chain",
        "/v1/envelopes",
        "/v1/keys/{key}",
        "/v1/liquidations",
        "/v1/markets",
        "/v1/markets/{market}",
        "/v1/markets/{market}/book",
        "/v1/markets/{market}/trades",
        "/v1/policy",
        "/v1/proofs/account/{account}",
        "/v1/receipts/{envelope}",
        "/v1/segments",
        "/v1/stream",
        "/v1/typed-data",
        "/v1/typed-data/read-pass",
    ];
    assert_eq!(paths, expected);
    let schemas = &document["components"]["schemas"];
    assert!(schemas["EnvelopeJson"].is_object());
    // Of two schemas with one name the document would keep one.
    let properties = |schema: &str| &schemas[schema]["properties"];
    assert!(properties("MarketTermsJson")["slippage_ppm_max"].is_object(), "terms of a market order");
    assert!(properties("MarketJson")["band_lower_ticks"].is_object(), "a market");
    let market_order = schemas["OrderKindJson"].to_string();
    assert!(market_order.contains("#/components/schemas/MarketTermsJson"), "{market_order}");
}
