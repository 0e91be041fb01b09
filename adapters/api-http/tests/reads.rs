//! Reads of what is not public, over HTTP and on streams, by whoever has no pass, another's, or one that has ended.

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use casemate_api_http::access::{Access, ROUTES};
use casemate_api_http::dto::account::AccountJson;
use casemate_api_http::hub::Hub;
use casemate_api_http::ports::{Answer, AnswerTo, Failure, NotTaken, Question, Receipt, StateView, Venue};
use casemate_api_http::{Limits, Server, Service};
use casemate_gate::read::Clocks;
use casemate_gate::{Authenticated, DecisionFault, Decoded, NoProofs, PolicyDecider, SetAnswer, SetRefused};
use casemate_ledger::{PolicyInForce, SeededKeys};
use casemate_protocol::block::{Block, SealSecret};
use casemate_protocol::clearing::Officers;
use casemate_protocol::command::{AdoptPolicies, Approve, Change, PlaceOrder, Propose, RevokeGrant};
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole, digests_without_evidence};
use casemate_protocol::genesis::{Genesis, Principal, SeededAccounts};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::policy::{PolicyAction, PolicyFacts, PolicySet, PolicyTable, TableError};
use casemate_protocol::read_pass::ReadScope;
use casemate_protocol::testing::examples;
use casemate_protocol::{
    AccountId, BoundedVec, Command, Digest, Envelope, GrantNumber, MarketId, OperatorId, ProposalNumber, SegmentId,
    SignatureBytes, TimeMs,
};
use casemate_replica::Replica;
use ed25519_zebra::SigningKey;
use serde_json::Value;
use support::{ask, key, next, public_key, require_error};
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

/// By genesis: three attestors, three publishers, two risk officers, two governors, a backstop, the auditor, two traders.
const OFFICER: u64 = 7;
const AUDITOR: u64 = 12;
const ALICE: u64 = 13;
const BOB: u64 = 14;
/// Passes go by this clock, which is far from the venue's.
const NOW_MS: u64 = 1_790_000_000_000;

/// The built-in table, or one under which nobody reads an account.
#[derive(Clone, Copy)]
struct Lines;

impl PolicyDecider for Lines {
    fn compile(&self, set: &PolicySet) -> Result<PolicyTable, SetRefused> {
        let built_in = PolicyTable::built_in();
        let is_closed = !set.is_empty();
        let table = PolicyTable::fill(
            &[],
            &[],
            |_, _| false,
            |question| {
                let is_shut = is_closed && question.action == PolicyAction::ReadOwnAccount;
                Ok::<_, TableError>(built_in.answer(question).least.filter(|_| !is_shut))
            },
        );
        table.map_err(|error| SetRefused(format!("{error:?}")))
    }

    fn read(&self, _set: &PolicySet) -> Result<(), SetRefused> {
        Ok(())
    }

    fn prepare(&self, _set: &PolicySet) {}

    fn decide(&self, _policy: &PolicyInForce, _facts: &PolicyFacts) -> Result<SetAnswer, DecisionFault> {
        Err(DecisionFault)
    }
}

/// A chain that makes a block of each envelope.
struct Chain {
    held: Mutex<Held>,
    now_ms: AtomicU64,
    hub: Arc<Hub>,
}

struct Held {
    replica: Replica<Lines>,
    blocks: Vec<Block>,
    receipts: BTreeMap<[u8; 32], Receipt>,
}

impl Chain {
    fn step(&self, envelopes: Vec<Authenticated>) -> Option<Receipt> {
        let mut held = self.held.lock().unwrap();
        let time_ms = held.replica.ledger().chain().time_ms.ms() + 2_000;
        let secret = SealSecret([7; 32]);
        let proposal = held.replica.propose(envelopes, TimeMs::from_ms(time_ms), secret, &Sequential, &mut ()).unwrap();
        assert!(proposal.left_out.is_empty(), "{:?}", proposal.left_out[0].1);
        held.replica.adopt();
        let bodies = proposal
            .executed
            .body_ranges
            .iter()
            .map(|range| borsh::from_slice(&proposal.executed.bodies[range.clone()]).unwrap());
        self.hub.advance(&proposal.block.header, &bodies.collect::<Vec<_>>());
        let height = proposal.block.header.height.number();
        held.blocks.push(proposal.block);
        let outcome = proposal.executed.envelopes.into_iter().next()?;
        let receipt = Receipt {
            envelope: outcome.envelope,
            height,
            position: 0,
            commands: outcome.commands,
            is_duplicate: false,
        };
        held.receipts.insert(receipt.envelope.0, receipt.clone());
        Some(receipt)
    }
}

impl Venue for Chain {
    fn submit(&self, envelope: Vec<u8>, answer: AnswerTo) -> Result<(), NotTaken> {
        let chain_id = *self.held.lock().unwrap().replica.ledger().chain_id();
        let envelope = Decoded::from_bytes(envelope, &chain_id).and_then(|item| Authenticated::one(item, &NoProofs));
        answer(match envelope {
            Ok(envelope) => Answer::Receipt(self.step(vec![envelope]).unwrap()),
            Err(reject) => Answer::Refused(reject),
        });
        Ok(())
    }

    fn ask(&self, question: Question) -> Result<(), NotTaken> {
        let held = self.held.lock().unwrap();
        let told = question(&StateView {
            ledger: held.replica.ledger(),
            state_root: *held.replica.state_root(),
            decider: held.replica.decider(),
            recent_receipt: &|_| None,
        });
        drop(held);
        told();
        Ok(())
    }

    fn clocks(&self) -> Clocks {
        Clocks { reader_ms: TimeMs::from_ms(self.now_ms.load(Ordering::Relaxed)), venue_ms: TimeMs::from_ms(0) }
    }

    fn block(&self, height: u64) -> Result<Option<Block>, Failure> {
        let place = usize::try_from(height).unwrap().checked_sub(1);
        Ok(place.and_then(|place| self.held.lock().unwrap().blocks.get(place).cloned()))
    }

    fn old_receipt(&self, envelope: &Digest) -> Result<Option<Receipt>, Failure> {
        Ok(self.held.lock().unwrap().receipts.get(envelope.bytes()).cloned())
    }
}

/// Whose root key it is.
fn root(account: u64) -> SigningKey {
    key(&format!("root {account}"))
}

fn session(account: u64) -> SigningKey {
    key(&format!("session {account}"))
}

fn genesis() -> Genesis {
    let mut example = examples::genesis();
    // The first segment is the one on margin: proposals about the whole venue are made there. Orders are for the other.
    for (market, segment) in example.markets.as_mut_slice().iter_mut().zip([1, 2, 2]) {
        market.segment = SegmentId::new(segment);
    }
    example.feeds.as_mut_slice()[0].segment = SegmentId::new(1);
    example.clearing.as_mut_slice()[0].segment = SegmentId::new(1);
    example.margins.as_mut_slice()[0].market = MarketId::new(1);
    let principal = |account: u64, operator| Principal {
        operator: OperatorId::new(operator),
        root_key: public_key(&root(account)),
    };
    let officers = BoundedVec::new(vec![principal(OFFICER, 21), principal(OFFICER + 1, 22)]).unwrap();
    Genesis {
        risk_officers: Officers { members: officers, quorum: 2 },
        auditors: BoundedVec::new(vec![principal(AUDITOR, 41)]).unwrap(),
        seeded: example.seeded.map(|seeded| SeededAccounts { count: 2, ..seeded }),
        ..example
    }
}

struct Bench {
    server: Option<Server>,
    address: SocketAddr,
    chain: Arc<Chain>,
    chain_id: Digest,
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

fn serve(of_service: &Genesis) -> Bench {
    let genesis = genesis();
    let keys = [ALICE, BOB]
        .map(|account| SeededKeys { root: public_key(&root(account)), session: public_key(&session(account)) });
    let replica = Replica::new(&genesis, keys.into_iter(), Lines, &Sequential).unwrap();
    let hub = Arc::new(Hub::new(replica.ledger(), *replica.state_root(), 0));
    let held = Held { replica, blocks: Vec::new(), receipts: BTreeMap::new() };
    let chain = Chain { held: Mutex::new(held), now_ms: AtomicU64::new(NOW_MS), hub: Arc::clone(&hub) };
    let chain = Arc::new(chain);
    let limits = Limits { stream_judge_every: Duration::from_millis(20), ..Limits::default() };
    let service = Service::new(of_service, Arc::clone(&chain) as Arc<dyn Venue>, hub, limits);
    let server = Server::start(TcpListener::bind("127.0.0.1:0").unwrap(), service).unwrap();
    Bench { address: server.address(), server: Some(server), chain, chain_id: of_service.chain_id() }
}

impl Bench {
    fn new() -> Self {
        serve(&genesis())
    }

    /// A pass that this key signs as of this account.
    fn pass_by(&self, key: &SigningKey, account: u64, scope: ReadScope) -> String {
        let account = if scope == ReadScope::Key { 0 } else { account };
        support::sign(support::terms(self.chain_id, account, key, scope, NOW_MS), key)
    }

    fn pass(&self, account: u64, scope: ReadScope) -> String {
        self.pass_by(&root(account), account, scope)
    }

    fn request(&self, method: &str, path: &str, pass: Option<&str>, body: &str) -> (u16, Value) {
        let pass = pass.map_or_else(String::new, |pass| format!("authorization: Casemate {pass}\r\n"));
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{pass}content-type: \
             application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        support::send(self.address, request.as_bytes())
    }

    fn get(&self, path: &str, pass: &str) -> (u16, Value) {
        self.request("GET", path, Some(pass), "")
    }

    fn stream(&self, pass: Option<&str>) -> WebSocket<TcpStream> {
        let mut request = format!("ws://{}/v1/stream", self.address).into_client_request().unwrap();
        if let Some(pass) = pass {
            request.headers_mut().insert("authorization", format!("Casemate {pass}").parse().unwrap());
        }
        tungstenite::client(request, support::connect(self.address)).unwrap().0
    }

    /// Signs and submits one command, which must take effect; returns the envelope's id.
    fn act(&self, account: u64, by_session: bool, command: Command) -> Digest {
        let (role, signer) =
            if by_session { (SignerRole::Session, session(account)) } else { (SignerRole::Root, root(account)) };
        let (nonce, now_ms) = {
            let held = self.chain.held.lock().unwrap();
            let ledger = held.replica.ledger();
            let row = ledger.accounts().account(AccountId::new(account)).unwrap();
            let grant = row.grant_of(&public_key(&signer)).filter(|_| by_session);
            let nonces = grant.map_or(row.nonces(), |grant| grant.nonces());
            (nonces.next(), ledger.chain().time_ms.ms())
        };
        let intent = Intent {
            version: ENVELOPE_VERSION,
            chain_id: genesis().chain_id(),
            account: AccountId::new(account),
            signer: Signer { role, key: public_key(&signer) },
            nonce,
            valid_until_ms: TimeMs::from_ms(now_ms + 60_000),
            group: GroupMode::EachAlone,
            commands: BoundedVec::new(vec![command]).unwrap(),
        };
        let digest = digests_without_evidence(&intent).envelope;
        let signature = SignatureBytes::Ed25519(signer.sign(digest.bytes()).into());
        let envelope = Envelope { intent, evidence: BoundedVec::empty(), signature };
        let decoded = Decoded::from_bytes(envelope.encode(), &genesis().chain_id())
            .and_then(|item| Authenticated::one(item, &NoProofs));
        let receipt = self.chain.step(vec![decoded.unwrap()]).unwrap();
        assert_eq!(receipt.commands[0].refusal, None);
        receipt.envelope
    }

    fn order(&self, account: u64) -> Digest {
        self.act(account, true, Command::PlaceOrder(PlaceOrder { market: MarketId::new(2), ..examples::place_order() }))
    }

    fn pass_time(&self, ms: u64) {
        self.chain.now_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

/// A route with everything filled in, for Alice.
fn filled(path: &str, envelope: Digest) -> String {
    let path = path.replace("{account}", &ALICE.to_string()).replace("{envelope}", &envelope.to_string());
    let path = path.replace("{key}", &public_key(&root(ALICE)).to_string());
    let path = path.replace("{market}", "1").replace("{height}", "latest");
    match path.as_str() {
        "/v1/accounts" => "/v1/accounts?near_liquidation=5".to_owned(),
        path if path.ends_with("/policy") && path != "/v1/policy" => {
            format!("{path}?action=RequestWithdrawal&segment=1")
        }
        _ => path,
    }
}

const PREVIEW: &str =
    r#"{ "request_withdrawal": { "segment": 2, "amount_quote_micros": "1", "chain": 1, "destination": "00" } }"#;

/// A chain of another kind is no exception: the same is asked of its readers.
#[test]
fn what_is_not_public_is_shown_to_nobody_but_whose_business_it_is() {
    for is_development in [true, false] {
        let bench = serve(&Genesis { is_development, ..genesis() });
        let envelope = bench.order(ALICE);
        let mut private = 0;
        for (method, path, access) in ROUTES {
            let scope = match access {
                Access::Public => continue,
                Access::OwnAccount => ReadScope::Account,
                Access::OwnKey => ReadScope::Key,
                Access::MarketOrAuditor => ReadScope::Auditor,
            };
            let (path, body) = (filled(path, envelope), if *method == "POST" { PREVIEW } else { "" });
            let ask = |pass: Option<&str>| bench.request(method, &path, pass, body);
            require_error(&ask(None), 401, "PassMissing");
            require_error(&ask(Some("AAAA")), 401, "PassMalformed");
            require_error(&ask(Some("not base64url!")), 401, "PassMalformed");
            // Another's own pass, another's key under Alice's name, and what a trader calls an auditor's view.
            require_error(&ask(Some(&bench.pass(BOB, ReadScope::Account))), 403, "PassDoesNotCover");
            require_error(&ask(Some(&bench.pass(BOB, ReadScope::Key))), 403, "PassDoesNotCover");
            if scope == ReadScope::Account {
                let forged = bench.pass_by(&root(BOB), ALICE, scope);
                require_error(&ask(Some(&forged)), 401, "KeyNotOfAccount");
            }
            if scope != ReadScope::Key {
                require_error(&ask(Some(&bench.pass(BOB, ReadScope::Auditor))), 403, "ReadNotPermitted");
                assert_eq!(ask(Some(&bench.pass(AUDITOR, ReadScope::Auditor))).0, 200, "auditors check everything");
            }
            let reader = if scope == ReadScope::Auditor { AUDITOR } else { ALICE };
            let shown = ask(Some(&bench.pass(reader, scope)));
            assert_eq!(shown.0, 200, "{path}: {}", shown.1);
            private += 1;
        }
        assert_eq!(private, 9);
    }
}

#[test]
fn what_is_public_needs_no_pass_and_minds_none() {
    let bench = Bench::new();
    let envelope = bench.order(ALICE);
    for (method, path, access) in ROUTES.iter().filter(|(method, ..)| *method == "GET") {
        // Two are no JSON, and a stream is no answer.
        if *access != Access::Public || ["/", "/metrics", "/v1/stream"].contains(path) {
            continue;
        }
        let path = filled(path, envelope);
        assert_eq!(bench.request(method, &path, None, "").0, 200, "{path}");
        assert_eq!(bench.request(method, &path, Some("AAAA"), "").0, 200, "{path}");
    }
}

/// Without the passes it would be there: what a pass opens is what the state holds, read by the very same code.
#[test]
fn the_data_behind_a_pass_is_all_of_it() {
    let bench = Bench::new();
    bench.order(ALICE);
    let held = bench.chain.held.lock().unwrap();
    let (ledger, state_root) = (held.replica.ledger(), *held.replica.state_root());
    let view = StateView { ledger, state_root, decider: &Lines, recent_receipt: &|_| None };
    let unguarded = serde_json::to_value(AccountJson::read(&view, AccountId::new(ALICE)).unwrap()).unwrap();
    drop(held);
    assert_eq!(unguarded["segments"][1]["orders"].as_array().unwrap().len(), 1);
    let own = bench.pass(ALICE, ReadScope::Account);
    assert_eq!(bench.get(&format!("/v1/accounts/{ALICE}"), &own), (200, unguarded));
}

#[test]
fn parameters_are_judged_after_the_pass() {
    let bench = Bench::new();
    let own = bench.pass(ALICE, ReadScope::Account);
    for path in
        ["/v1/accounts/-1", "/v1/accounts/%ff", "/v1/receipts/xyz", "/v1/accounts/13?colour=1", "/v1/keys/ed25519:00"]
    {
        require_error(&bench.request("GET", path, None, ""), 401, "PassMissing");
        require_error(&bench.get(path, &own), 400, "ParameterInvalid");
    }
    // A number that nobody has is another's number.
    require_error(&bench.get("/v1/accounts/99", &own), 403, "PassDoesNotCover");
    let auditor = bench.pass(AUDITOR, ReadScope::Auditor);
    require_error(&bench.get("/v1/accounts/99", &auditor), 404, "AccountNotFound");
}

#[test]
fn headers_that_hold_anything_else_open_nothing() {
    let bench = Bench::new();
    let own = bench.pass(ALICE, ReadScope::Account);
    for header in ["", "Casemate", "Casemate ", "Bearer x", "casemate AAAA", "CasemateAAAA", &format!("Bearer {own}")] {
        let request = format!(
            "GET /v1/accounts/{ALICE} HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: {header}\r\n\r\n"
        );
        let (status, body) = support::send(bench.address, request.as_bytes());
        assert_eq!(status, 401, "`{header}`: {body}");
    }
    // A head alone has no body, and asks for the same.
    let mut stream = support::connect(bench.address);
    let head = format!("HEAD /v1/accounts/{ALICE} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let elsewhere = serve(&Genesis { time_ms: TimeMs::from_ms(1), ..genesis() });
    require_error(&elsewhere.get(&format!("/v1/accounts/{ALICE}"), &own), 401, "PassOfAnotherChain");
}

#[test]
fn a_pass_ends_by_the_clock_and_a_session_with_its_grant() {
    let bench = Bench::new();
    let path = format!("/v1/accounts/{ALICE}");
    let (own, by_session) =
        (bench.pass(ALICE, ReadScope::Account), bench.pass_by(&session(ALICE), ALICE, ReadScope::Account));
    assert_eq!((bench.get(&path, &own).0, bench.get(&path, &by_session).0), (200, 200));
    bench.act(ALICE, false, Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(1) }));
    require_error(&bench.get(&path, &by_session), 403, "GrantRevoked");
    assert_eq!(bench.get(&path, &own).0, 200);
    bench.pass_time(300_000);
    require_error(&bench.get(&path, &own), 401, "PassExpired");
    bench.chain.now_ms.store(NOW_MS - 300_001, Ordering::Relaxed);
    require_error(&bench.get(&path, &own), 401, "PassNotYetValid");
}

#[test]
fn whoever_watches_a_market_sees_who_is_near_liquidation_there_and_nowhere_else() {
    let bench = Bench::new();
    let of_market = |market: u16| ReadScope::Market(MarketId::new(market));
    let path = |market: u16| format!("/v1/accounts?near_liquidation=5&market={market}");
    let officer = bench.pass(OFFICER, of_market(1));
    assert_eq!(bench.get(&path(1), &officer).0, 200);
    require_error(&bench.get(&path(2), &officer), 403, "PassDoesNotCover");
    require_error(&bench.get("/v1/accounts?near_liquidation=5", &officer), 403, "PassDoesNotCover");
    require_error(&bench.get(&path(1), &bench.pass(BOB, of_market(1))), 403, "ReadNotPermitted");
    require_error(&bench.get(&path(99), &bench.pass(OFFICER, of_market(99))), 404, "MarketNotFound");
    // Seeded neighbours hold a lot against each other in each market; market 1 clears on margin.
    let seen = bench.get(&path(1), &officer).1;
    for near in seen["accounts"].as_array().unwrap() {
        assert!(near["positions"].as_array().unwrap().iter().all(|held| held["market"] == 1), "{near}");
    }
}

/// The block names it to everybody; what it says of its account is the account's.
#[test]
fn a_receipt_is_for_the_account_that_submitted() {
    let bench = Bench::new();
    let envelope = bench.order(ALICE);
    let block = bench.request("GET", "/v1/blocks/latest", None, "").1;
    assert_eq!(block["envelopes"][0], envelope.to_string());
    let path = format!("/v1/receipts/{envelope}");
    require_error(&bench.get(&path, &bench.pass(BOB, ReadScope::Account)), 403, "PassDoesNotCover");
    assert_eq!(bench.get(&path, &bench.pass(ALICE, ReadScope::Account)).1["height"], 1);
    let unknown = format!("/v1/receipts/{}", "00".repeat(32));
    require_error(&bench.get(&unknown, &bench.pass(BOB, ReadScope::Account)), 404, "ReceiptNotFound");
}

// ---- streams

fn subscribe(account: u64) -> String {
    format!(r#"{{"op":"subscribe","channel":"account","account":{account}}}"#)
}

fn authorize(pass: &str) -> String {
    format!(r#"{{"op":"authorize","pass":"{pass}"}}"#)
}

#[test]
fn a_stream_tells_an_account_to_whoever_has_shown_a_pass_for_it() {
    let bench = Bench::new();
    let own = bench.pass(ALICE, ReadScope::Account);
    // With the request that opens it.
    let mut by_header = bench.stream(Some(&own));
    assert_eq!(ask(&mut by_header, &subscribe(ALICE))["kind"], "snapshot");
    assert_eq!(ask(&mut by_header, &subscribe(BOB))["error"]["name"], "PassDoesNotCover");
    // With a message, as browsers must.
    let mut by_message = bench.stream(None);
    assert_eq!(ask(&mut by_message, &subscribe(ALICE))["error"]["name"], "PassMissing");
    let shown = ask(&mut by_message, &authorize(&own));
    assert_eq!(
        (&shown["channel"], &shown["reads"], &shown["account"]),
        (&"authorized".into(), &"account".into(), &ALICE.into())
    );
    assert_eq!(ask(&mut by_message, &subscribe(ALICE))["kind"], "snapshot");
    let forged = bench.pass_by(&root(BOB), ALICE, ReadScope::Account);
    let mut thief = bench.stream(Some(&forged));
    assert_eq!(ask(&mut thief, &subscribe(ALICE))["error"]["name"], "KeyNotOfAccount");
    bench.order(ALICE);
    for stream in [&mut by_header, &mut by_message] {
        let told = next(stream);
        assert_eq!((&told["channel"], &told["account"]), (&"account".into(), &ALICE.into()), "{told}");
    }
    // One that is not a pass opens no stream at all.
    let mut request = format!("ws://{}/v1/stream", bench.address).into_client_request().unwrap();
    request.headers_mut().insert("authorization", "Casemate AAAA".parse().unwrap());
    assert!(tungstenite::client(request, support::connect(bench.address)).is_err());
}

#[test]
fn a_subscription_ends_with_its_pass_and_the_rest_of_the_stream_goes_on() {
    let bench = Bench::new();
    let mut stream = bench.stream(Some(&bench.pass(ALICE, ReadScope::Account)));
    assert_eq!(ask(&mut stream, &subscribe(ALICE))["kind"], "snapshot");
    assert_eq!(ask(&mut stream, r#"{"op":"subscribe","channel":"blocks"}"#)["kind"], "snapshot");
    // Nothing happens, and it ends all the same.
    bench.pass_time(300_000);
    let ended = next(&mut stream);
    assert_eq!((&ended["error"]["name"], &ended["account"]), (&"PassExpired".into(), &ALICE.into()), "{ended}");
    bench.order(ALICE);
    assert_eq!(next(&mut stream)["channel"], "blocks", "of the account nothing is told");
    // Another pass renews it.
    let now_ms = bench.chain.now_ms.load(Ordering::Relaxed);
    let renewed = support::terms(bench.chain_id, ALICE, &root(ALICE), ReadScope::Account, now_ms);
    assert_eq!(ask(&mut stream, &authorize(&support::sign(renewed, &root(ALICE))))["channel"], "authorized");
    assert_eq!(ask(&mut stream, &subscribe(ALICE))["kind"], "snapshot");
}

/// Not even the block that revokes is told to the session that it revokes, though it is an event of the account.
#[test]
fn a_subscription_ends_in_the_block_that_revokes_its_grant() {
    let bench = Bench::new();
    let by_session = bench.pass_by(&session(ALICE), ALICE, ReadScope::Account);
    let (mut robbed, mut owner) =
        (bench.stream(Some(&by_session)), bench.stream(Some(&bench.pass(ALICE, ReadScope::Account))));
    for stream in [&mut robbed, &mut owner] {
        assert_eq!(ask(stream, &subscribe(ALICE))["kind"], "snapshot");
    }
    bench.act(ALICE, false, Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(1) }));
    let ended = next(&mut robbed);
    assert_eq!((&ended["channel"], &ended["error"]["name"]), (&"error".into(), &"GrantRevoked".into()), "{ended}");
    assert_eq!(next(&mut owner)["kind"], "change", "its owner is told");
}

#[test]
fn policies_that_tighten_close_reads_in_the_block_that_adopts_them() {
    let bench = Bench::new();
    let set = PolicySet::of_texts([("reads", "nobody reads an account")]).unwrap();
    let table = Lines.compile(&set).unwrap().digest();
    let held = bench.chain.held.lock().unwrap();
    let (old_epoch, time_ms) = (held.replica.ledger().chain().policy.epoch, held.replica.ledger().chain().time_ms.ms());
    drop(held);
    let change = Change::AdoptPolicies(Box::new(AdoptPolicies { old_epoch, set, table, is_tightening: true }));
    let (segment, expires_ms) = (SegmentId::new(1), TimeMs::from_ms(time_ms + 60_000));
    bench.act(OFFICER, false, Command::Propose(Box::new(Propose { segment, change, expires_ms })));
    bench.act(OFFICER + 1, false, Command::Approve(Approve { segment, number: ProposalNumber::new(1) }));
    let (own, path) = (bench.pass(ALICE, ReadScope::Account), format!("/v1/accounts/{ALICE}"));
    let mut stream = bench.stream(Some(&own));
    assert_eq!(ask(&mut stream, &subscribe(ALICE))["kind"], "snapshot");
    let epoch = || bench.chain.held.lock().unwrap().replica.ledger().chain().policy.epoch;
    while epoch() == old_epoch {
        // The control is off: it is read, block after block.
        assert_eq!(bench.get(&path, &own).0, 200);
        bench.chain.step(Vec::new());
    }
    require_error(&bench.get(&path, &own), 403, "ReadNotPermitted");
    assert_eq!(next(&mut stream)["error"]["name"], "ReadNotPermitted");
    assert_eq!(
        bench.get(&path, &bench.pass(AUDITOR, ReadScope::Auditor)).0,
        200,
        "what it says of auditors is as it was"
    );
    stream.send(Message::text(r#"{"op":"subscribe","channel":"blocks"}"#)).unwrap();
    assert_eq!(next(&mut stream)["kind"], "snapshot");
}
