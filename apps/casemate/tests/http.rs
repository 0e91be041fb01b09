//! A node served over HTTP, from the built program: the client's commands, the interface itself, and what survives a restart.

mod support;

use std::net::TcpStream;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use casemate_api_http::dto::envelope::EnvelopeJson;
use casemate_protocol::Envelope;
use casemate_protocol::command::Side;
use casemate_protocol::genesis::Genesis;
use casemate_protocol::merkle::RowProof;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tungstenite::{Message, WebSocket};

use support::{Clients, Dice, NodeProcess, casemate, program, stderr, stdout, write_genesis};

struct Served {
    process: NodeProcess,
    url: String,
    agent: ureq::Agent,
}

/// The reference price of market 1.
const PRICE: u64 = 1_000_000;

fn serve(folder: &Path, genesis: Option<&Path>) -> Served {
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--data", folder.to_str().unwrap()];
    if let Some(genesis) = genesis {
        arguments.extend(["--genesis", genesis.to_str().unwrap()]);
    }
    let process = NodeProcess::start(&arguments);
    assert!(process.next().unwrap()["opened"].is_object());
    let listening = process.next().unwrap();
    let url = format!("http://{}", listening["listening"]["address"].as_str().unwrap());
    let config =
        ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).http_status_as_error(false);
    Served { process, url, agent: config.build().into() }
}

fn bench(accounts: u64) -> (tempfile::TempDir, Genesis, Served) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("genesis.toml.in");
    let genesis = write_genesis(&file, accounts);
    let served = serve(&folder.path().join("data"), Some(&file));
    (folder, genesis, served)
}

impl Served {
    fn get(&self, path: &str) -> (u16, Value) {
        read(self.agent.get(format!("{}{path}", self.url)).call().unwrap())
    }

    fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn get_with(&self, path: &str, pass: &str) -> (u16, Value) {
        read(self.agent.get(format!("{}{path}", self.url)).header("authorization", pass).call().unwrap())
    }

    fn ok_with(&self, path: &str, pass: &str) -> Value {
        let (status, body) = self.get_with(path, pass);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// The header with a pass that the client signs.
    fn pass(&self, key: &str) -> String {
        format!("Casemate {}", self.client_ok(&["read-pass", "--key", key]).trim())
    }

    fn post(&self, content_type: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let request = self.agent.post(format!("{}{path}", self.url)).content_type(content_type);
        read(request.send(body).unwrap())
    }

    fn submit(&self, envelope: &Envelope) -> (u16, Value) {
        self.post("application/octet-stream", "/v1/envelopes", &envelope.encode())
    }

    /// Submits, and requires that every command took effect.
    fn accepted(&self, envelope: &Envelope) -> Value {
        let (status, receipt) = self.submit(envelope);
        assert_eq!(status, 200, "{receipt}");
        for verdict in receipt["commands"].as_array().unwrap() {
            assert_eq!(verdict["is_accepted"], true, "{receipt}");
        }
        receipt
    }

    /// Runs a client command against this node.
    fn client(&self, arguments: &[&str]) -> Output {
        casemate(&[arguments, &["--url", &self.url]].concat())
    }

    fn client_ok(&self, arguments: &[&str]) -> String {
        let output = self.client(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
        stdout(&output)
    }

    fn client_json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.client_ok(&[arguments, &["--json"]].concat())).unwrap()
    }

    fn stream(&self) -> WebSocket<TcpStream> {
        let host = self.url.strip_prefix("http://").unwrap();
        let socket = TcpStream::connect(host).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        tungstenite::client(format!("ws://{host}/v1/stream"), socket).unwrap().0
    }

    /// Ctrl-C; returns the last line of output.
    fn interrupt(self) -> Value {
        kill_process(Pid::from_child(&self.process.child), Signal::INT).unwrap();
        let (lines, output) = self.process.finish();
        assert!(output.status.success(), "{}", stderr(&output));
        lines.last().unwrap().clone()
    }
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap())
}

fn next(stream: &mut WebSocket<TcpStream>) -> Value {
    loop {
        if let Message::Text(text) = stream.read().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

fn subscribe(stream: &mut WebSocket<TcpStream>, request: &str) -> Value {
    stream.send(Message::text(request)).unwrap();
    next(stream)
}

/// A session shares its grant out and takes back; what is gone is gone, and what it may not is refused by name.
fn share_out(node: &Served, file: &impl Fn(&str) -> String, root: &str) {
    let keys = ["parent.key", "child.key", "other.key"].map(file);
    for key in &keys {
        casemate(&["keys", "new", key]);
    }
    let [parent, child, other] = &keys;
    let budgets = ["--notional", "3000", "--loss", "3000"];
    let shared = ["grant", "create", "--key", root, "--session-key", parent, "--may-share", "--market", "2"];
    node.client_ok(&[shared.as_slice(), &budgets].concat());
    let by_session = ["--key", parent, "--account", "8"];
    let create = |notional: &str, session_key: &str, more: &[&str]| {
        let terms = ["--session-key", session_key, "--notional", notional];
        node.client(&[&["grant", "create"], by_session.as_slice(), &terms, more].concat())
    };
    for (more, refusal) in [
        (["--parent", "1"], "223 NotOwnChild"),
        (["--market", "1"], "223 NotOwnChild"),
        (["--commands-per-minute", "0"], "213 GrantBudgetMissing"),
    ] {
        let parented = [if more[0] == "--commands-per-minute" { &["--parent", "2"][..] } else { &[] }, &more].concat();
        let refused = create("1000", child, &parented);
        assert!(!refused.status.success() && stderr(&refused).contains(refusal), "{}", stderr(&refused));
    }
    let wide = create("1000", child, &["--parent", "2", "--market", "1"]);
    assert!(stderr(&wide).contains("216 ChildMarketsWider"), "{}", stderr(&wide));
    let much = create("3000.000001", child, &["--parent", "2"]);
    assert!(stderr(&much).contains("219 ChildNotionalWider"), "{}", stderr(&much));
    let made = create("1000", child, &["--parent", "2"]);
    assert!(made.status.success() && stdout(&made).contains("grant 3 is live for 23 hours 59 minutes"), "{made:?}");
    assert!(create("500", other, &["--parent", "2"]).status.success());

    let grant = |number: u64| {
        let account = node.client_json(&["account", "show", "--key", root]);
        account["grants"].as_array().unwrap().iter().find(|grant| grant["number"] == number).unwrap().clone()
    };
    let (above, below) = (grant(2), grant(3));
    assert_eq!((&above["children"], &above["parent"]), (&serde_json::json!([3, 4]), &0.into()));
    assert_eq!(above["notional_left_quote_micros"], "1500000000");
    assert_eq!(above["loss_left_quote_micros"], "1500000000");
    assert_eq!((&below["parent"], &below["markets"]), (&2.into(), &serde_json::json!([2])));
    assert_eq!((&below["is_fresh"], &below["expires_ms"]), (&false.into(), &above["expires_ms"]));
    node.client_ok(&[&["grant", "revoke"], by_session.as_slice(), &["--number", "3"]].concat());
    assert_eq!(grant(2)["notional_left_quote_micros"], "1500000000", "nothing comes back");
    assert_eq!(grant(2)["children"], serde_json::json!([4]));
    node.client_ok(&["grant", "revoke", "--key", root, "--number", "2"]);
    assert_eq!((&grant(2)["is_live"], &grant(4)["is_live"]), (&false.into(), &false.into()), "and its child with it");
    assert_eq!(grant(4)["notional_left_quote_micros"], "0");
}

#[test]
fn slow_a_trader_goes_from_first_deposit_to_withdrawal_with_the_client() {
    let (folder, genesis, node) = bench(4);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (root, session) = (file("root.key"), file("session.key"));
    let root_key = stdout(&casemate(&["keys", "new", &root]));
    casemate(&["keys", "new", &session]);

    // Nothing waits for the key yet.
    let early = node.client(&["account", "open", "--key", &root]);
    assert!(!early.status.success() && stderr(&early).contains("121 NoUnclaimedDeposit"), "{}", stderr(&early));
    assert!(stderr(&early).contains("hint: deposit to the root key first"));
    node.client_ok(&["deposit", "--root-key", root_key.trim(), "--amount", "1000"]);
    let opened = node.client_json(&["account", "open", "--key", &root]);
    assert_eq!((&opened["account"], &opened["commands"][0]["is_accepted"]), (&8.into(), &true.into()), "{opened}");
    // What opened it named no account, and is its own all the same.
    let opening = format!("/v1/receipts/{}", opened["envelope"].as_str().unwrap());
    assert_eq!(node.ok_with(&opening, &node.pass(&root))["height"], opened["height"]);
    assert_eq!(node.get_with(&opening, &Clients::new(&genesis).pass(0)).0, 403);
    let terms = ["--session-key", &session, "--notional", "5000", "--market", "1", "--market", "2"];
    node.client_ok(&[&["grant", "create", "--key", &root], terms.as_slice()].concat());

    // A seeded account sells what the trader buys.
    let mut clients = Clients::new(&genesis);
    node.accepted(&clients.order(0, Side::Ask, PRICE, 30, 1));
    let by_session = ["--key", &session, "--account", "8", "--market", "1"];
    let buy = ["--side", "bid", "--lots", "100", "--price-ticks", "1000000", "--client-id", "77"];
    node.client_ok(&[&["order", "place"], by_session.as_slice(), &buy].concat());
    // A session reads what it trades; who has no key of the account does not.
    let account = node.client_json(&["account", "show", "--account", "8", "--key", &session]);
    let keyless = node.client(&["account", "show", "--account", "8"]);
    assert!(stderr(&keyless).contains("hint: add --key FILE: its root key, or a session key"), "{}", stderr(&keyless));
    let stranger = node.client(&["account", "show", "--account", "4", "--key", &root]);
    assert!(stderr(&stranger).contains("109 KeyNotOfAccount"), "{}", stderr(&stranger));
    let part = &account["segments"][0];
    assert_eq!(part["positions"][0]["position_lots"], "30");
    assert_eq!((&part["orders"][0]["remaining_lots"], &part["orders"][0]["client_id"]), (&"70".into(), &"77".into()));
    // 30 lots at 1,000,000 ticks of a micro; the taker fee is 400 ppm of that.
    let cash: i64 = part["cash_quote_micros"].as_str().unwrap().parse().unwrap();
    assert_eq!(cash, 1_000_000_000 - 10_000_000 - 12_000);
    assert_eq!(account["grants"][0]["notional_used_quote_micros"], "100000000");
    assert_eq!(account["grants"][0]["markets"], serde_json::json!([1, 2]));
    let positions = node.client_ok(&["positions", "--key", &root]);
    assert!(positions.contains("30.000000"), "{positions}");

    let book = node.ok("/v1/markets/1/book");
    assert_eq!(book["bids"], serde_json::json!([{ "price_ticks": "1000000", "quantity_lots": "70", "orders": 1 }]));
    let trades = node.client_ok(&["watch", "trades", "--market", "1", "--after", "0", "--count", "1"]);
    assert!(trades.contains("30 lots at 1000000 ticks, taker bid"), "{trades}");

    node.client_ok(&[&["order", "cancel"], by_session.as_slice(), &["--client-id", "77"]].concat());
    let again = node.client(&[&["order", "cancel"], by_session.as_slice(), &["--client-id", "77"]].concat());
    assert!(!again.status.success() && stderr(&again).contains("511 OrderNotFound"), "{}", stderr(&again));
    share_out(&node, &file, &root);
    node.client_ok(&["grant", "revoke", "--key", &root, "--number", "1"]);
    let revoked = node.client(&[&["order", "place"], by_session.as_slice(), &buy].concat());
    assert!(stderr(&revoked).contains("110 GrantRevoked"), "{}", stderr(&revoked));
    let withdrawal = ["withdraw", "--key", &root, "--amount", "100.5", "--destination", "ab12"];
    assert!(node.client_ok(&withdrawal).contains("100.500000"));
    let own = node.pass(&root);
    let told = node.client_ok(&["watch", "account", "--key", &root, "--count", "1"]);
    assert!(told.contains("account snapshot"), "{told}");
    let moves = node.ok_with("/v1/accounts/8/moves", &own);
    assert_eq!(moves["withdrawals"][0]["amount_quote_micros"], "100500000");
    assert_eq!(node.ok_with("/v1/accounts/8", &own)["segments"][0]["pending_quote_micros"], "100500000");
    let second = node.client_json(&["withdraw", "--key", &root, "--amount", "1", "--destination", "ab12"]);
    assert_eq!(second["withdrawal"].as_u64(), moves["withdrawals"][0]["number"].as_u64().map(|first| first + 1));
    // What waits has the root key's signature already, and a number that names nothing is told so.
    let refused = |arguments: &[&str], refusal: &str| {
        let output = node.client(arguments);
        assert!(!output.status.success() && stderr(&output).contains(refusal), "{arguments:?}: {}", stderr(&output));
    };
    let waiting = moves["withdrawals"][0]["number"].to_string();
    refused(&["evidence", "--key", &root, "--withdrawal", &waiting], "307 EvidenceNotMore");
    refused(&["evidence", "--key", &root, "--withdrawal", "99"], "409 WithdrawalNotFound");
    refused(&["evidence", "--key", &root, "--transfer", "99", "--json"], "412 TransferNotFound");
    let contested = node.client_json(&["conduct", "contest", "--key", &root, "--segment", "1"]);
    assert_eq!(contested["commands"][0]["is_accepted"], true, "{contested}");
    refused(&["conduct", "contest", "--key", &root, "--segment", "1"], "806 ContestedLately");
    assert!(node.interrupt()["closed"]["height"].as_u64().unwrap() >= 10);
}

#[test]
fn slow_an_owner_keeps_an_address_book_and_announces_another_root_key_with_the_client() {
    let (folder, _genesis, node) = bench(4);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (root, new) = (file("root.key"), file("new.key"));
    let root_key = stdout(&casemate(&["keys", "new", &root]));
    let new_key = stdout(&casemate(&["keys", "new", &new]));
    node.client_ok(&["deposit", "--root-key", root_key.trim(), "--amount", "1000"]);
    node.client_ok(&["account", "open", "--key", &root]);
    let refused = |arguments: &[&str], refusal: &str| {
        let output = node.client(arguments);
        assert!(!output.status.success() && stderr(&output).contains(refusal), "{arguments:?}: {}", stderr(&output));
    };
    let withdraw = |to| ["withdraw", "--key", &root, "--amount", "1", "--destination", to];

    let empty = node.client_ok(&["payout", "list", "--key", &root]);
    assert!(empty.contains("does not bind"), "{empty}");
    let shown = node.client_ok(&["payout", "add", "--key", &root, "--destination", "ab12"]);
    assert!(shown.contains("ab12") && shown.contains("false"), "{shown}");
    refused(&withdraw("ab12"), "431 DestinationCooling");
    refused(&withdraw("cd34"), "430 DestinationNotInBook");
    refused(&["payout", "remove", "--key", &root, "--destination", "cd34"], "434 PayoutAddressNotFound");
    let book = node.client_json(&["payout", "list", "--account", "8", "--key", &root]);
    assert_eq!((&book["binds"], &book["addresses"][0]["destination"]), (&true.into(), &"ab12".into()));
    node.client_ok(&["payout", "remove", "--key", &root, "--destination", "ab12"]);
    refused(&withdraw("cd34"), "432 AddressBookBinds");

    let shown = node.client_ok(&["root-key", "change", "--key", &root, "--new-key", new_key.trim()]);
    assert!(shown.contains("announced") && shown.contains(new_key.trim()), "{shown}");
    refused(&["root-key", "accept", "--key", &new, "--account", "8"], "438 RootKeyChangeWaiting");
    refused(&["root-key", "accept", "--key", &root, "--account", "8"], "442 RootKeyNotProven");
    refused(&["root-key", "change", "--key", &root, "--new-key", "ed25519:00"], "expected a public key");
    let proofs = node.ok_with("/v1/proofs/account/8", &node.pass(&root));
    assert_eq!(proofs["proofs"][1]["table"], "safeguards");
    node.client_ok(&["root-key", "cancel", "--key", &root]);
    let keys = node.client_json(&["root-key", "show", "--account", "8", "--key", &root]);
    assert_eq!((&keys["root_key"], &keys["announced_root_key"]), (&root_key.trim().into(), &Value::Null));
    refused(&["root-key", "accept", "--key", &new, "--account", "8"], "109 KeyNotOfAccount");
    node.interrupt();
    let inspected = casemate(&["inspect", "account", "8", "--data", &file("data"), "--json"]);
    let inspected: Value = serde_json::from_str(&stdout(&inspected)).unwrap();
    assert_eq!(inspected["safeguards"]["address_book"]["binds"], true, "{inspected}");
}

#[test]
fn slow_an_owner_names_guardians_and_sees_them_with_the_client() {
    let (folder, _genesis, node) = bench(4);
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (root, new) = (file("root.key"), file("new.key"));
    let root_key = stdout(&casemate(&["keys", "new", &root]));
    let new_key = stdout(&casemate(&["keys", "new", &new]));
    node.client_ok(&["deposit", "--root-key", root_key.trim(), "--amount", "1000"]);
    node.client_ok(&["account", "open", "--key", &root]);
    let refused = |arguments: &[&str], refusal: &str| {
        let output = node.client(arguments);
        assert!(!output.status.success() && stderr(&output).contains(refusal), "{arguments:?}: {}", stderr(&output));
    };

    let nobody = node.client_ok(&["guardians", "show", "--key", &root]);
    assert!(nobody.contains("nobody guards"), "{nobody}");
    let set = ["guardians", "set", "--key", &root, "--threshold"];
    refused(&[&set[..], &["1", "--guardian", "4", "--guardian", "5"]].concat(), "444 GuardianThresholdNotAllowed");
    refused(&[&set[..], &["2", "--guardian", "4", "--guardian", "8"]].concat(), "446 GuardianIsSelf");
    let shown = node.client_ok(&[&set[..], &["2", "--guardian", "4", "--guardian", "5"]].concat());
    assert!(shown.contains("any 2 of accounts 4, 5 decide"), "{shown}");
    let shown = node.client_json(&["recovery", "show", "--key", &root]);
    let guarding = &shown["guarding"];
    assert_eq!(guarding["announced"]["guardians"]["accounts"], serde_json::json!([4, 5]));
    assert_eq!((&guarding["guardians"]["threshold"], &guarding["is_held"]), (&0.into(), &false.into()));
    node.client_ok(&["guardians", "cancel", "--key", &root]);
    refused(&["guardians", "cancel", "--key", &root], "449 GuardianChangeNotFound");

    let ballot = ["--key", &root, "--of", "4"];
    refused(&[&["recovery", "freeze"], &ballot[..]].concat(), "443 NotAGuardian");
    refused(&[&["recovery", "stop"], &ballot[..]].concat(), "443 NotAGuardian");
    refused(&[&["recovery", "vote", "--new-key", new_key.trim()], &ballot[..]].concat(), "443 NotAGuardian");
    refused(&["recovery", "cancel", "--key", &root], "451 RecoveryNotFound");
}

#[test]
fn slow_receipts_and_trades_survive_a_restart_and_duplicates_get_the_first_receipt() {
    let (folder, genesis, node) = bench(4);
    let mut clients = Clients::new(&genesis);
    let (sell, buy) = (clients.order(0, Side::Ask, PRICE, 5, 1), clients.order(1, Side::Bid, PRICE, 2, 1));
    let first = node.accepted(&sell);
    node.accepted(&buy);
    let id = first["envelope"].as_str().unwrap().to_owned();
    assert_eq!(first["is_duplicate"], false);
    // The same as JSON is the same envelope.
    let json = serde_json::to_vec(&EnvelopeJson::from(&sell)).unwrap();
    let again = node.post("application/json", "/v1/envelopes", &json);
    assert_eq!((again.0, &again.1["is_duplicate"], &again.1["height"]), (200, &true.into(), &first["height"]));
    // Another envelope under a used nonce is refused.
    let mut other = Clients::new(&genesis);
    let conflict = node.submit(&other.order(0, Side::Ask, PRICE, 6, 1));
    assert_eq!((conflict.0, &conflict.1["error"]["name"]), (409, &"NonceUsed".into()));
    let (own, others) = (clients.pass(0), clients.pass(1));
    assert_eq!(node.ok_with(&format!("/v1/receipts/{id}"), &own)["height"], first["height"]);
    let refused = node.get_with(&format!("/v1/receipts/{id}"), &others);
    assert_eq!((refused.0, &refused.1["error"]["name"]), (403, &"PassDoesNotCover".into()));
    let unknown = node.get_with(&format!("/v1/receipts/{}", "00".repeat(32)), &own);
    assert_eq!((unknown.0, &unknown.1["error"]["name"]), (404, &"ReceiptNotFound".into()));
    let before = (node.ok("/v1/markets/1/book"), node.ok("/v1/markets/1/trades"), node.ok("/health"));
    node.interrupt();

    let node = serve(&folder.path().join("data"), None);
    assert_eq!(node.ok("/health")["state_root"], before.2["state_root"]);
    let (book, trades) = (node.ok("/v1/markets/1/book"), node.ok("/v1/markets/1/trades"));
    assert_eq!((&book["bids"], &book["asks"]), (&before.0["bids"], &before.0["asks"]));
    assert_eq!(trades["trades"], before.1["trades"]);
    assert_eq!(trades["trades"].as_array().unwrap().len(), 1);
    let mut expected = first.clone();
    assert_eq!(node.ok_with(&format!("/v1/receipts/{id}"), &own), expected);
    expected["is_duplicate"] = true.into();
    assert_eq!(node.submit(&sell).1, expected);
}

#[test]
fn slow_proofs_lead_to_the_state_root_of_their_header_and_blocks_name_their_envelopes() {
    let (_folder, genesis, node) = bench(4);
    let mut clients = Clients::new(&genesis);
    let receipt = node.accepted(&clients.order(0, Side::Ask, PRICE, 5, 1));
    let answer = node.ok_with("/v1/proofs/account/4", &clients.pass(0));
    let proofs = answer["proofs"].as_array().unwrap();
    assert_eq!(proofs.len(), 3, "its own row, and one in each segment");
    for proof in proofs {
        let bytes: casemate_api_http::values::HexBytes = serde_json::from_value(proof["canonical"].clone()).unwrap();
        let decoded: RowProof = borsh::from_slice(&bytes.0).unwrap();
        assert_eq!(decoded.state_root().unwrap().to_string(), answer["header"]["state_root"].as_str().unwrap());
        assert_eq!(decoded.index, 4);
    }
    let block = node.ok("/v1/blocks/latest");
    assert_eq!(block["header"]["state_root"], answer["header"]["state_root"]);
    assert_eq!(block["envelopes"], serde_json::json!([receipt["envelope"]]));
    assert_eq!(block["header"]["chain_id"], genesis.chain_id().to_string());
    let beyond = node.get("/v1/blocks/999");
    assert_eq!((beyond.0, &beyond.1["error"]["required"]), (404, &block["header"]["height"].to_string().into()));
    let others = node.get_with("/v1/accounts/99", &clients.pass(0));
    assert_eq!((others.0, &others.1["error"]["name"]), (403, &"PassDoesNotCover".into()));
}

/// Two roads to one book: the hub's, by events, and the sum over all accounts' resting orders, from rows.
#[test]
fn slow_the_book_is_the_sum_of_all_resting_orders() {
    let (_folder, genesis, node) = bench(4);
    let mut clients = Clients::new(&genesis);
    let mut stream = node.stream();
    let mut book = subscribe(&mut stream, r#"{"op":"subscribe","channel":"book","market":1}"#);
    let mut dice = Dice(7);
    for client_id in 1..=150 {
        let index = usize::try_from(dice.roll(4)).unwrap();
        if dice.roll(4) == 0 {
            // Some of these name nothing: then the command is refused, which is none of our business here.
            node.submit(&clients.cancel(index, dice.roll(client_id)));
        } else {
            let side = if dice.roll(2) == 0 { Side::Bid } else { Side::Ask };
            let (price, lots) = (PRICE - 5 + dice.roll(10), 1 + dice.roll(9));
            node.submit(&clients.order(index, side, price, lots, client_id));
        }
    }
    let served = node.ok("/v1/markets/1/book?depth=1000");
    let mut sums = std::collections::BTreeMap::<(String, u64), u64>::new();
    for index in 0..4 {
        let account = node.ok_with(&format!("/v1/accounts/{}", clients.account(index)), &clients.pass(index));
        for order in account["segments"][0]["orders"].as_array().unwrap() {
            let number = |name: &str| order[name].as_str().unwrap().parse::<u64>().unwrap();
            let side = order["side"].as_str().unwrap().to_owned();
            *sums.entry((side, number("price_ticks"))).or_default() += number("remaining_lots");
        }
    }
    let levels = |book: &Value| {
        let mut levels = std::collections::BTreeMap::new();
        for (side, name) in [("bid", "bids"), ("ask", "asks")] {
            for level in book[name].as_array().unwrap() {
                let number = |name: &str| level[name].as_str().unwrap().parse::<u64>().unwrap();
                levels.insert((side.to_owned(), number("price_ticks")), number("quantity_lots"));
            }
        }
        levels
    };
    assert!(sums.len() > 5, "{sums:?}");
    assert_eq!(levels(&served), sums);
    // A third road: the snapshot and every change of the stream, in their sequence.
    let mut streamed = levels(&book);
    while book["sequence"] != served["sequence"] {
        let change = next(&mut stream);
        assert_eq!(change["previous_sequence"], book["sequence"]);
        for (key, lots) in levels(&change) {
            if lots == 0 {
                streamed.remove(&key)
            } else {
                streamed.insert(key, lots)
            };
        }
        book = change;
    }
    assert_eq!(streamed, sums);
}

#[test]
fn slow_a_listener_that_was_away_resyncs_by_sequence() {
    let (_folder, genesis, node) = bench(4);
    let mut clients = Clients::new(&genesis);
    let mut stream = node.stream();
    let snapshot = subscribe(&mut stream, r#"{"op":"subscribe","channel":"trades","market":1}"#);
    assert_eq!((&snapshot["kind"], &snapshot["sequence"]), (&"snapshot".into(), &0.into()));
    node.accepted(&clients.order(0, Side::Ask, PRICE, 9, 1));
    node.accepted(&clients.order(1, Side::Bid, PRICE, 1, 1));
    let first = next(&mut stream);
    assert_eq!(first["trades"].as_array().unwrap().len(), 1);
    drop(stream);
    node.accepted(&clients.order(1, Side::Bid, PRICE, 2, 2));
    node.accepted(&clients.order(2, Side::Bid, PRICE, 3, 1));
    let mut stream = node.stream();
    let request = format!(r#"{{"op":"subscribe","channel":"trades","market":1,"after":{}}}"#, first["sequence"]);
    let missed = subscribe(&mut stream, &request);
    let lots: Vec<&Value> = missed["trades"].as_array().unwrap().iter().map(|trade| &trade["quantity_lots"]).collect();
    assert_eq!((lots, &missed["has_gap"]), (vec![&Value::from("2"), &Value::from("3")], &false.into()));
    let pass = clients.pass(1).replace("Casemate ", "");
    let shown = subscribe(&mut stream, &format!(r#"{{"op":"authorize","pass":"{pass}"}}"#));
    assert_eq!((&shown["channel"], &shown["account"]), (&"authorized".into(), &5.into()));
    let account = subscribe(&mut stream, r#"{"op":"subscribe","channel":"account","account":5}"#);
    assert_eq!(account["kind"], "snapshot");
    let receipt = node.accepted(&clients.order(1, Side::Bid, PRICE - 9, 4, 3));
    let event = next(&mut stream);
    assert_eq!((&event["channel"], &event["sequence"]), (&"account".into(), &receipt["height"]));
    assert_eq!((&event["events"][0]["event"], &event["events"][0]["client_id"]), (&"order_rested".into(), &"3".into()));
}

#[test]
fn addresses_that_cannot_or_must_not_be_listened_on_are_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let node = |address: &str| {
        let mut command = program(&["node", "--data", data.to_str().unwrap(), "--listen", address]);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let remote = node("0.0.0.0:0");
    assert!(!remote.status.success() && stderr(&remote).contains("--allow-remote"), "{}", stderr(&remote));
    for attack in [&[][..], &["--attack", "S4"]] {
        let folder = folder.path().join("up");
        let up = ["up", "--listen", "0.0.0.0:0", "--folder", folder.to_str().unwrap()];
        let remote = casemate(&[&up, attack].concat());
        let text = stderr(&remote);
        assert_eq!(remote.status.code(), Some(1), "{text}");
        assert!(
            !text.contains("--allow-remote") && text.contains("hint: listen on an address of this machine"),
            "{text}"
        );
        assert!(!folder.exists());
    }
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = node(&held.local_addr().unwrap().to_string());
    assert!(!taken.status.success() && stderr(&taken).contains("hint: another program listens there"));
    assert!(!data.exists(), "nothing was made before the address was known to be good");
    let free = held.local_addr().unwrap();
    drop(held);
    let alone = casemate(&["breakers", "--url", &format!("http://{free}")]);
    assert!(!alone.status.success() && stderr(&alone).contains("no node answers"), "{}", stderr(&alone));
    let odd = casemate(&["breakers", "--url", "https://node.test"]);
    assert!(stderr(&odd).contains("is not the address of a node"));
}

#[test]
fn slow_a_submission_need_not_wait_and_is_counted() {
    let (_folder, genesis, node) = bench(4);
    let mut clients = Clients::new(&genesis);
    let envelope = clients.order(0, Side::Ask, PRICE, 5, 1);
    let (status, taken) = node.post("application/octet-stream", "/v1/envelopes?wait=taken", &envelope.encode());
    assert_eq!(status, 202, "{taken}");
    // The same bytes, waiting this time: the first receipt, whichever of the two was first.
    let receipt = node.accepted(&envelope);
    assert_eq!(receipt["envelope"], taken["envelope"]);
    let metrics = node.agent.get(format!("{}/metrics", node.url)).call().unwrap().body_mut().read_to_string().unwrap();
    assert!(metrics.contains("path=\"/v1/envelopes\",method=\"POST\",status=\"202\""), "{metrics}");
}

#[test]
fn slow_the_benchmark_over_http_times_every_submission_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let own = folder.path().join("own.txt");
    std::fs::write(&own, "mine").unwrap();
    let output = casemate(&["bench", "--http", "--quick", "--seconds", "1", "--rate", "50", "--data", data, "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&own).unwrap(), "mine", "what was in the folder stays");
    assert!(!folder.path().join("casemate-bench").exists(), "what was made is gone");
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&report["submissions"], &report["account_reads"]), (&50.into(), &100.into()));
    for name in ["submit_p50_ms", "submit_p99_ms", "account_p99_ms", "markets_p99_ms", "book_p99_ms"] {
        assert!(report[name].as_f64().unwrap() > 0.0, "{name}: {report}");
    }
}
