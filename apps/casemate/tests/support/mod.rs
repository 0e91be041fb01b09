//! What the tests of the command share: the built program as a child process, and clients that sign.

#![expect(dead_code, reason = "each test program uses a part of it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use casemate_api_http::base64url;
use casemate_node::development_keys::{public_key, root_key, session_key, sign_envelope, sign_read_pass};
use casemate_node::genesis_file::{self, DEVELOPMENT_SEED, full_collateral_genesis};
use casemate_protocol::command::{
    CancelOrder, LimitTerms, OrderKind, OrderReference, PlaceOrder, SelfTradeMode, Side, TimeInForce,
};
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole};
use casemate_protocol::genesis::Genesis;
use casemate_protocol::hash::Hex;
use casemate_protocol::read_pass::{READ_PASS_VERSION, ReadScope, ReadTerms};
use casemate_protocol::{
    AccountId, BoundedVec, ClientOrderId, Digest, Envelope, MarketId, PriceTicks, QuantityLots, TimeMs,
};
use ed25519_zebra::SigningKey;
use serde_json::Value;

/// The clock, as block time.
pub fn now() -> TimeMs {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    TimeMs::from_ms(since_epoch.as_millis() as u64)
}

/// A pass for ten minutes from a little before now, as it stands in a header.
pub fn read_pass(chain_id: Digest, account: u64, key: &SigningKey, scope: ReadScope) -> String {
    let terms = ReadTerms {
        version: READ_PASS_VERSION,
        chain_id,
        account: AccountId::new(account),
        key: public_key(key),
        scope,
        not_before_ms: TimeMs::from_ms(now().ms() - 60_000),
        expires_ms: TimeMs::from_ms(now().ms() + 600_000),
    };
    format!("Casemate {}", base64url::encode(&sign_read_pass(terms, key).encode()))
}

/// Puts a key into a file as `casemate keys new` does.
pub fn write_key(path: &Path, key: &SigningKey) {
    std::fs::write(path, format!("{}\n", Hex(key.as_ref()))).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A development genesis with limits that a test does not run into, in a file.
pub fn write_genesis(path: &Path, accounts: u64) -> Genesis {
    let mut genesis = full_collateral_genesis(now());
    genesis.accounts.weight_burst = 1_000_000_000;
    genesis.accounts.weight_per_second = 1_000_000_000;
    if let Some(seeded) = &mut genesis.seeded {
        seeded.count = accounts;
        seeded.grant_commands_per_minute = 1_000_000_000;
    }
    genesis.validate().unwrap();
    std::fs::write(path, genesis_file::write(&genesis)).unwrap();
    genesis
}

/// Runs the program to its end.
pub fn casemate(arguments: &[&str]) -> Output {
    program(arguments).stdin(Stdio::null()).output().unwrap()
}

pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
    command.args(arguments);
    command
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A running `casemate node`. Ended by its own id if a test drops it.
pub struct NodeProcess {
    pub child: Child,
    pub stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    lines_written: u64,
}

impl NodeProcess {
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = program(&["node"]);
        command.args(arguments);
        Self::spawn(command)
    }

    pub fn spawn(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().unwrap();
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A process that is killed may leave half a line.
                let Ok(value) = serde_json::from_str(&line) else { break };
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        Self { child, stdin, lines, lines_written: 0 }
    }

    /// Writes a line; returns its number, or nothing if the node is gone.
    pub fn write_line(&mut self, line: &str) -> Option<u64> {
        let stdin = self.stdin.as_mut()?;
        stdin.write_all(format!("{line}\n").as_bytes()).ok()?;
        self.lines_written += 1;
        Some(self.lines_written)
    }

    pub fn submit(&mut self, envelope: &Envelope) -> Option<u64> {
        self.write_line(&hex(&envelope.encode()))
    }

    /// The next line of output; nothing if the node has ended.
    pub fn next(&self) -> Option<Value> {
        self.lines.recv_timeout(Duration::from_secs(120)).ok()
    }

    pub fn try_next(&self) -> Option<Value> {
        self.lines.try_recv().ok()
    }

    /// Writes a line and waits for its answer.
    pub fn ask(&mut self, line: &str) -> Value {
        let number = self.write_line(line).unwrap();
        let answer = self.next().unwrap();
        assert_eq!(answer["line"], number, "{answer}");
        answer
    }

    pub fn ask_envelope(&mut self, envelope: &Envelope) -> Value {
        self.ask(&hex(&envelope.encode()))
    }

    /// Ends the input; returns what was still answered, and how the process ended.
    pub fn finish(mut self) -> (Vec<Value>, Output) {
        drop(self.stdin.take());
        let answers = self.lines.iter().collect();
        let mut stderr = Vec::new();
        std::io::Read::read_to_end(&mut self.child.stderr.take().unwrap(), &mut stderr).unwrap();
        let status = self.child.wait().unwrap();
        (answers, Output { status, stdout: Vec::new(), stderr })
    }

    /// `kill -9`; returns what it had still written.
    pub fn kill(mut self) -> Vec<Value> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().collect()
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Ends only this child; one that has ended already is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn hex(bytes: &[u8]) -> String {
    Hex(bytes).to_string()
}

/// Signs for the seeded accounts of a development chain.
pub struct Clients {
    chain_id: Digest,
    first_account: u64,
    keys: Vec<SigningKey>,
    next_nonce: Vec<u64>,
    pub valid_until_ms: TimeMs,
}

impl Clients {
    pub fn new(genesis: &Genesis) -> Self {
        let count = genesis.seeded.as_ref().unwrap().count;
        Self {
            chain_id: genesis.chain_id(),
            first_account: genesis.principals().count() as u64 + 1,
            keys: (0..count).map(|index| session_key(&DEVELOPMENT_SEED, index)).collect(),
            next_nonce: vec![1; count as usize],
            valid_until_ms: TimeMs::from_ms(now().ms() + 3_600_000),
        }
    }

    pub fn account(&self, index: usize) -> u64 {
        self.first_account + index as u64
    }

    /// The intent of an account's session key with its next nonce.
    pub fn intent(&mut self, index: usize, commands: Vec<casemate_protocol::Command>) -> Intent {
        let nonce = self.next_nonce[index];
        self.next_nonce[index] += 1;
        Intent {
            version: ENVELOPE_VERSION,
            chain_id: self.chain_id,
            account: AccountId::new(self.account(index)),
            signer: Signer { role: SignerRole::Session, key: public_key(&self.keys[index]) },
            nonce,
            valid_until_ms: self.valid_until_ms,
            group: GroupMode::EachAlone,
            commands: BoundedVec::new(commands).unwrap(),
        }
    }

    pub fn sign(&self, index: usize, intent: Intent) -> Envelope {
        sign_envelope(intent, &self.keys[index])
    }

    /// A pass of an account's session key, as it stands in a header.
    pub fn pass(&self, index: usize) -> String {
        read_pass(self.chain_id, self.account(index), &self.keys[index], ReadScope::Account)
    }

    pub fn root(&self, index: usize) -> SigningKey {
        root_key(&DEVELOPMENT_SEED, index as u64)
    }

    pub fn order(&mut self, index: usize, side: Side, price: u64, lots: u64, client_id: u64) -> Envelope {
        let intent = self.intent(index, vec![place(side, price, lots, client_id)]);
        self.sign(index, intent)
    }

    pub fn cancel(&mut self, index: usize, client_id: u64) -> Envelope {
        let order = OrderReference::Client(ClientOrderId::new(client_id));
        let cancel = casemate_protocol::Command::CancelOrder(CancelOrder { market: MarketId::new(1), order });
        let intent = self.intent(index, vec![cancel]);
        self.sign(index, intent)
    }
}

pub fn place(side: Side, price: u64, lots: u64, client_id: u64) -> casemate_protocol::Command {
    casemate_protocol::Command::PlaceOrder(PlaceOrder {
        market: MarketId::new(1),
        side,
        kind: OrderKind::Limit(LimitTerms {
            price: PriceTicks::from_ticks(price),
            time_in_force: TimeInForce::GoodTillCancel,
        }),
        quantity: QuantityLots::from_lots(lots),
        client_id: ClientOrderId::new(client_id),
        is_reduce_only: false,
        self_trade: SelfTradeMode::CancelResting,
    })
}

/// A small generator, so that a seed gives the same run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, below: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }
}
