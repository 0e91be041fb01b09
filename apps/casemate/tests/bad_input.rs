//! Bad input, one kind after the other: each is a typed refusal or a clear error with a hint, nothing acknowledged is
//! lost, and nothing panics.

mod support;

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use casemate_node::development_keys::{public_key, sign_envelope};
use casemate_protocol::command::RevokeGrant;
use casemate_protocol::envelope::{Signer, SignerRole};
use casemate_protocol::{AccountId, Command, Digest, Envelope, GrantNumber, Side, TimeMs};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use support::{Clients, NodeProcess, casemate, hex, now, program, stderr, write_genesis};

/// A chain with a folder, and what a client has had acknowledged on it.
struct Chain {
    folder: tempfile::TempDir,
    clients: Clients,
    acknowledged: Vec<(Envelope, Value)>,
}

impl Chain {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let genesis = write_genesis(&folder.path().join("genesis.toml"), 10);
        Self { clients: Clients::new(&genesis), folder, acknowledged: Vec::new() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn start(&self) -> NodeProcess {
        NodeProcess::start(&["--data", &self.path("data"), "--genesis", &self.path("genesis.toml")])
    }

    /// Orders, each in a block of its own.
    fn trade(&mut self, node: &mut NodeProcess, count: usize) {
        for number in 0..count {
            let side = if number % 2 == 0 { Side::Bid } else { Side::Ask };
            let order = self.clients.order(number % 10, side, 1_000_000, 3, 0);
            let answer = node.ask_envelope(&order);
            assert!(answer["receipt"].is_object(), "{answer}");
            self.acknowledged.push((order, answer["receipt"].clone()));
        }
    }

    /// Starts the node and asks for everything that was acknowledged.
    fn require_nothing_lost(&self) -> Value {
        let mut node = self.start();
        let Some(opened) = node.next() else { panic!("{}", stderr(&node.finish().1)) };
        for (envelope, receipt) in &self.acknowledged {
            let mut again = node.ask_envelope(envelope)["receipt"].clone();
            assert_eq!(again["is_duplicate"], true);
            again["is_duplicate"] = receipt["is_duplicate"].clone();
            assert_eq!(again, *receipt);
        }
        let (_, output) = node.finish();
        assert!(output.status.success(), "{}", stderr(&output));
        opened
    }

    /// The only file of a kind in a folder of the node, or the newest of several.
    fn file(&self, folder: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.folder.path().join("data").join(folder)).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.file_name().unwrap() != "lock");
        paths.sort();
        paths.pop().unwrap()
    }
}

fn flip(path: &Path, offset_bytes: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset_bytes).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset_bytes).unwrap();
}

/// Where the data of a preallocated file ends.
fn data_end(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1
}

#[test]
fn a_genesis_that_breaks_a_rule_is_named_with_line_and_rule() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("genesis.toml");
    write_genesis(&path, 10);
    let good = std::fs::read_to_string(&path).unwrap();
    let taker = "taker_fee_ppm = 400";
    let cases = [
        ("unknown field", good.replace(taker, "taker_fee_ppm = 400\nturbo = true"), "unknown field `turbo`"),
        ("missing field", good.replacen("band_ppm = ", "# band_ppm = ", 1), "missing field `band_ppm`"),
        ("listing check", good.replacen("maker_fee_ppm = -50", "maker_fee_ppm = -500", 1), "rebate"),
        ("not a number", good.replacen("open_orders_max = 256", "open_orders_max = \"many\"", 1), "open_orders_max"),
    ];
    for (name, text, expected) in cases {
        assert_ne!(text, good, "{name}: the file has changed, change the case");
        std::fs::write(&path, text).unwrap();
        let data = folder.path().join("data");
        let start = ["node", "--data", data.to_str().unwrap(), "--genesis", path.to_str().unwrap()];
        for arguments in [&["genesis", "check", path.to_str().unwrap()][..], &start] {
            let output = casemate(arguments);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(1), "{name}");
            assert!(said.contains(expected) && said.contains("line ") && said.contains("hint: "), "{name}: {said}");
        }
        assert!(!data.exists(), "{name}: a folder was made");
    }
}

#[test]
fn another_genesis_than_the_folders_own_is_refused() {
    let mut chain = Chain::new();
    let mut node = chain.start();
    node.next().unwrap();
    chain.trade(&mut node, 2);
    assert!(node.finish().1.status.success());
    let other = chain.path("other.toml");
    write_genesis(Path::new(&other), 11);
    let output = casemate(&["node", "--data", &chain.path("data"), "--genesis", &other]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("belongs to chain"), "{}", stderr(&output));
    // Nor is the folder taken if its own file is exchanged.
    std::fs::copy(chain.path("data/genesis.toml"), chain.path("kept.toml")).unwrap();
    std::fs::copy(&other, chain.path("data/genesis.toml")).unwrap();
    let output = casemate(&["node", "--data", &chain.path("data")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("belongs to chain"), "{}", stderr(&output));
    std::fs::copy(chain.path("kept.toml"), chain.path("data/genesis.toml")).unwrap();
    chain.require_nothing_lost();
}

#[test]
fn a_second_node_on_the_same_folder_is_refused() {
    let mut chain = Chain::new();
    let mut node = chain.start();
    node.next().unwrap();
    chain.trade(&mut node, 2);
    for arguments in
        [&["node", "--data", &chain.path("data")][..], &["inspect", "block", "1", "--data", &chain.path("data")]]
    {
        let output = casemate(arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("in use by another process"), "{}", stderr(&output));
    }
    chain.trade(&mut node, 2);
    drop(node);
    chain.require_nothing_lost();
}

#[test]
fn a_corrupt_snapshot_is_passed_over_and_told() {
    let mut chain = Chain::new();
    for _ in 0..2 {
        let mut node = chain.start();
        node.next().unwrap();
        chain.trade(&mut node, 3);
        assert!(node.finish().1.status.success());
    }
    let newest = chain.file("snapshots");
    flip(&newest, std::fs::metadata(&newest).unwrap().len() / 2);
    let opened = chain.require_nothing_lost();
    assert_eq!(opened["opened"]["snapshot_height"], 3, "the one before is used");
    assert_eq!(opened["opened"]["blocks_replayed"], 3);
    assert!(opened["opened"]["notes"][0].as_str().unwrap().contains("snapshot was passed over"), "{opened}");
    for entry in std::fs::read_dir(chain.path("data/snapshots")).unwrap() {
        flip(&entry.unwrap().path(), 100);
    }
    let opened = chain.require_nothing_lost();
    assert_eq!(opened["opened"]["snapshot_height"], Value::Null);
    assert_eq!(opened["opened"]["blocks_replayed"], 6);
}

#[test]
fn a_torn_tail_is_cut_off_and_a_damaged_middle_is_not() {
    let mut chain = Chain::new();
    let mut node = chain.start();
    node.next().unwrap();
    chain.trade(&mut node, 5);
    drop(node.kill());
    let journal = chain.file("journal");
    let end = data_end(&journal);
    let file = std::fs::OpenOptions::new().write(true).open(&journal).unwrap();
    file.write_all_at(&[0xab; 300], end).unwrap();
    let opened = chain.require_nothing_lost();
    assert!(opened["opened"]["torn_bytes_dropped"].as_u64().unwrap() >= 300, "{opened}");

    // Snapshots would let the damaged part be passed over at open.
    std::fs::remove_dir_all(chain.path("data/snapshots")).unwrap();
    flip(&journal, 400);
    let before = std::fs::read(&journal).unwrap();
    let output = casemate(&["node", "--data", &chain.path("data")]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("damaged at byte") && said.contains("restore the journal"), "{said}");
    assert!(std::fs::read(&journal).unwrap() == before, "the damaged file was changed");
    flip(&journal, 400);
    chain.require_nothing_lost();
}

#[test]
fn a_journal_that_lost_acknowledged_blocks_is_noticed() {
    let mut chain = Chain::new();
    let mut node = chain.start();
    node.next().unwrap();
    chain.trade(&mut node, 2);
    assert!(node.finish().1.status.success());
    let kept = std::fs::read(chain.file("journal")).unwrap();
    let mut node = chain.start();
    node.next().unwrap();
    chain.trade(&mut node, 3);
    assert!(node.finish().1.status.success());
    // An old copy of the journal is put back, and nothing else.
    let journal = chain.file("journal");
    let newer = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, kept).unwrap();
    for witness in ["snapshots", "records", "indexes.redb"] {
        let output = casemate(&["node", "--data", &chain.path("data")]);
        assert_eq!(output.status.code(), Some(1), "{witness}");
        assert!(stderr(&output).contains("shows that it reached `5`"), "{witness}: {}", stderr(&output));
        std::fs::rename(chain.path(&format!("data/{witness}")), chain.path(witness)).unwrap();
    }
    for witness in ["snapshots", "records", "indexes.redb"] {
        let at = chain.path(&format!("data/{witness}"));
        let _ = std::fs::remove_dir_all(&at);
        std::fs::rename(chain.path(witness), at).unwrap();
    }
    std::fs::write(&journal, newer).unwrap();
    chain.require_nothing_lost();
}

#[test]
fn missing_or_damaged_indexes_and_records_are_made_again() {
    let mut chain = Chain::new();
    let mut node = chain.start();
    node.next().unwrap();
    chain.trade(&mut node, 5);
    assert!(node.finish().1.status.success());
    std::fs::remove_file(chain.path("data/indexes.redb")).unwrap();
    let opened = chain.require_nothing_lost();
    assert!(opened["opened"]["notes"][0].as_str().unwrap().contains("indexes were missing"), "{opened}");
    std::fs::write(chain.path("data/indexes.redb"), b"this is no index").unwrap();
    let opened = chain.require_nothing_lost();
    assert!(opened["opened"]["notes"][0].as_str().unwrap().contains("indexes were of no use"), "{opened}");
    std::fs::remove_dir_all(chain.path("data/records")).unwrap();
    std::fs::remove_dir_all(chain.path("data/snapshots")).unwrap();
    chain.require_nothing_lost();
}

#[test]
fn a_full_disk_is_a_clear_fault_and_loses_nothing() {
    let mut chain = Chain::new();
    let mut node = chain.start();
    node.next().unwrap();
    chain.trade(&mut node, 5);
    // From here on no file of the process is written beyond its header.
    let limit = Rlimit { current: Some(64), maximum: Some(64) };
    prlimit(Some(Pid::from_child(&node.child)), Resource::Fsize, limit).unwrap();
    let order = chain.clients.order(1, Side::Bid, 999_000, 1, 0);
    let answer = node.ask_envelope(&order);
    assert!(answer["failure"]["message"].to_string().contains("disk is full"), "{answer}");
    assert!(answer["failure"]["hint"].is_string());
    let (_, output) = node.finish();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("disk is full") && stderr(&output).contains("hint: "), "{}", stderr(&output));
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    chain.require_nothing_lost();
    let mut node = chain.start();
    node.next().unwrap();
    assert!(node.ask_envelope(&order)["receipt"].is_object(), "what failed can be submitted again");
}

#[test]
fn a_disk_that_is_full_at_the_start_is_a_clear_error() {
    let chain = Chain::new();
    let mut shell = std::process::Command::new("sh");
    let command = program(&["node"]);
    shell.args(["-c", "ulimit -f 100; exec \"$@\"", "sh"]).arg(command.get_program());
    shell.args(["node", "--data", &chain.path("data"), "--genesis", &chain.path("genesis.toml")]);
    let mut node = NodeProcess::spawn(shell);
    if let Some(first) = node.next() {
        // What little was written at the start fitted; the first block does not.
        assert!(first["opened"].is_object());
        let mut clients = chain.clients;
        let answer = node.ask_envelope(&clients.order(0, Side::Bid, 999_000, 1, 0));
        assert!(answer["failure"].is_object(), "{answer}");
    }
    let (_, output) = node.finish();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("disk is full") && !stderr(&output).contains("panicked"), "{}", stderr(&output));
}

#[test]
fn bad_envelopes_are_refused_by_number() {
    let mut chain = Chain::new();
    let mut node = chain.start();
    node.next().unwrap();
    chain.trade(&mut node, 4);
    let clients = &mut chain.clients;
    let good = clients.order(5, Side::Bid, 999_000, 1, 0);
    let bytes = good.encode();
    let mut lines: Vec<(&str, String, &str)> = vec![
        ("not hex", "this is no envelope".to_owned(), "Malformed"),
        ("odd digits", hex(&bytes)[1..].to_owned(), "Malformed"),
        ("truncated", hex(&bytes[..bytes.len() - 1]), "Malformed"),
        ("trailing byte", format!("{}00", hex(&bytes)), "Malformed"),
        ("one byte", "01".to_owned(), "Malformed"),
        ("other version", format!("ff{}", &hex(&bytes)[2..]), "EnvelopeVersionUnsupported"),
        ("oversized", "00".repeat(65_537), "EnvelopeTooLarge"),
    ];
    let mut flipped = bytes.clone();
    let last = flipped.len() - 1;
    flipped[last - 40] ^= 1;
    lines.push(("flipped signature bit", hex(&flipped), "SignatureInvalid"));
    let mut resign =
        |name: &'static str, expected: &'static str, change: &dyn Fn(&mut casemate_protocol::envelope::Intent)| {
            let mut intent = good.intent.clone();
            change(&mut intent);
            lines.push((name, hex(&clients.sign(5, intent).encode()), expected));
        };
    resign("wrong chain", "WrongChain", &|intent| intent.chain_id = Digest([7; 32]));
    resign("expired", "EnvelopeExpired", &|intent| intent.valid_until_ms = TimeMs::from_ms(1));
    resign("valid for too long", "ValidityTooLong", &|intent| {
        intent.valid_until_ms = TimeMs::from_ms(now().ms() + 25 * 3_600_000);
    });
    resign("nonce zero", "NonceOutOfWindow", &|intent| intent.nonce = 0);
    resign("nonce far ahead", "NonceOutOfWindow", &|intent| intent.nonce = 10_000);
    resign("unknown account", "AccountNotFound", &|intent| intent.account = AccountId::new(9_999));
    resign("another's account", "KeyNotOfAccount", &|intent| intent.account = AccountId::new(4));
    resign("used nonce, other bytes", "", &|intent| intent.nonce = 2);
    let (_, used, _) = lines.pop().unwrap();
    for (name, line, expected) in &lines {
        let answer = node.ask(line);
        assert_eq!(answer["refusal"]["name"], *expected, "{name}: {answer}");
        for field in ["number", "message", "hint"] {
            assert!(!answer["refusal"][field].is_null(), "{name}: {answer}");
        }
    }
    // The good one was damaged in every way and its nonce is still free.
    assert_eq!(node.ask_envelope(&good)["receipt"]["is_duplicate"], false);
    assert_eq!(node.ask_envelope(&good)["receipt"]["is_duplicate"], true, "replayed");
    assert!(node.ask(&used)["receipt"].is_object());
    let mut other = good.intent.clone();
    other.valid_until_ms = TimeMs::from_ms(other.valid_until_ms.ms() - 1);
    let other = chain.clients.sign(5, other);
    assert_eq!(node.ask_envelope(&other)["refusal"]["name"], "NonceUsed");
    revoke_and_try(&mut chain.clients, &mut node);
    assert!(node.finish().1.status.success());
    chain.require_nothing_lost();
}

fn revoke_and_try(clients: &mut Clients, node: &mut NodeProcess) {
    let root = clients.root(6);
    let mut intent = clients.intent(6, vec![Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(1) })]);
    intent.signer = Signer { role: SignerRole::Root, key: public_key(&root) };
    // Opening took the root key's first nonce.
    intent.nonce = 2;
    let answer = node.ask_envelope(&sign_envelope(intent, &root));
    assert_eq!(answer["receipt"]["commands"][0]["is_accepted"], true, "{answer}");
    let order = clients.order(6, Side::Bid, 999_000, 1, 0);
    assert_eq!(node.ask_envelope(&order)["refusal"]["name"], "GrantRevoked");
}
