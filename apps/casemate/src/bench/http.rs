//! `casemate bench --http`: what a client of the HTTP interface waits for, on loopback, at a fixed rate of submissions.
//!
//! Client and node share the machine's cores, so the figures hold what the client costs too. Submissions arrive in an open
//! loop over many kept connections; each is timed from the moment at which it should have been sent to the durable receipt
//! in hand. Reads arrive in an open loop of their own meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use casemate_api_http::base64url;
use casemate_node::development_keys::{public_key, root_key, sign_read_pass};
use casemate_node::solo::SoloOptions;
use casemate_protocol::Digest;
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::read_pass::ReadScope;
use serde_json::{Value, json};

use super::engine::{Chain, EngineRun};
use super::keys::SeededKeyCache;
use super::latency::{ChainClock, Latencies};
use super::row::RowPlan;
use super::workload::Workload;
use crate::client::reading::{LIFE_MS_MAX, terms_from_now};
use crate::error::CliError;
use crate::node::serving::{Face, ServedNode};

/// What a run does.
#[derive(Clone, Copy, Debug)]
pub struct HttpPlan {
    /// Submissions in a second.
    pub submissions_per_s: u32,
    /// How long.
    pub seconds: u32,
    /// Seeded accounts.
    pub accounts: u64,
    /// Seed of keys and load.
    pub seed: u64,
}

/// Runs it, and reports times in milliseconds.
pub fn run(plan: HttpPlan, dir: &Path) -> Result<Value, CliError> {
    let seed = hash::digest(Domain::Development, &[b"bench", &plan.seed.to_le_bytes()]).0;
    let keys = SeededKeyCache::open(dir, &seed, plan.accounts)?;
    let row = RowPlan { accounts: plan.accounts, markets: 4, commands_per_envelope: 1, ..RowPlan::smallest() };
    let folder = dir.join("chain");
    let mut chain = Chain::create(&row, seed, &keys, &folder)?;
    let mut workload = Workload::new(&row, seed, chain.chain_id());
    let opening = workload.opening(&chain);
    chain.run(&opening, &mut EngineRun::default())?;
    let count = plan.submissions_per_s as usize * plan.seconds as usize;
    let load = workload.next(count, &chain);
    chain.node.keeper().flush()?;
    let clock = ChainClock::from_now(chain.time_ms);
    let chain_id = chain.chain_id();
    let first_account = 1 + u64::try_from(chain.node.genesis().principals().count()).unwrap_or(u64::MAX);
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| CliError::defect(error.to_string()))?;
    let served = ServedNode::start(chain.node, SoloOptions::default(), clock, listener, Face::default())?;
    let passes = passes(&seed, &chain_id, first_account, plan);
    let measured = measure(served.address(), &load.envelopes, &passes, plan);
    served.stop()?;
    std::fs::remove_dir_all(&folder).map_err(|error| super::cannot("delete", &folder, &error))?;
    let (submissions, reads) = measured?;
    let mut report = json!({
        "name": format!("http submissions={} accounts={}", plan.submissions_per_s, plan.accounts),
        "submissions": submissions.count(),
        "submit_p50_ms": submissions.p50_ms(),
        "submit_p99_ms": submissions.p99_ms(),
    });
    for (name, latencies) in reads {
        report[format!("{name}_reads")] = latencies.count().into();
        report[format!("{name}_p50_ms")] = latencies.p50_ms().into();
        report[format!("{name}_p99_ms")] = latencies.p99_ms().into();
    }
    Ok(report)
}

type Reads = Vec<(&'static str, Latencies)>;

/// What each read of an account brings, one after the other: signed before the clock starts, because that is not the node's
/// work. Each account has one, so that the node pays for a signature whenever it comes for the first time.
fn passes(seed: &[u8; 32], chain_id: &Digest, first_account: u64, plan: HttpPlan) -> Vec<(u64, String)> {
    let count = u64::from(READS_PER_S * plan.seconds).min(plan.accounts);
    let pass = |index: u64| {
        let (key, account) = (root_key(seed, index), first_account + index);
        let terms = terms_from_now(*chain_id, account, public_key(&key), ReadScope::Account, LIFE_MS_MAX);
        (account, base64url::encode(&sign_read_pass(terms, &key).encode()))
    };
    (0..count).map(pass).collect()
}

fn measure(
    address: SocketAddr,
    envelopes: &[Vec<u8>],
    passes: &[(u64, String)],
    plan: HttpPlan,
) -> Result<(Latencies, Reads), CliError> {
    // Every thread has its connection before the clock starts.
    let started = Instant::now() + Duration::from_millis(200);
    let due = |index: usize, per_s: u32| started + Duration::from_secs_f64(index as f64 / f64::from(per_s));
    std::thread::scope(|scope| {
        let submitters: Vec<_> = (0..SUBMITTERS)
            .map(|place| {
                scope.spawn(move || {
                    let mut client = Client::connect(address)?;
                    let mut times_ms = Vec::new();
                    for (index, envelope) in envelopes.iter().enumerate().skip(place).step_by(SUBMITTERS) {
                        let at = due(index, plan.submissions_per_s);
                        wait_until(at);
                        client.submit(envelope)?;
                        times_ms.push(at.elapsed().as_secs_f64() * 1_000.0);
                    }
                    Ok(times_ms)
                })
            })
            .collect();
        let readers: Vec<_> = READS
            .into_iter()
            .map(|(name, path)| {
                let reader = scope.spawn(move || {
                    let mut client = Client::connect(address)?;
                    let mut times_ms = Vec::new();
                    for index in 0..READS_PER_S as usize * plan.seconds as usize {
                        let at = due(index, READS_PER_S);
                        wait_until(at);
                        let (account, pass) = &passes[index % passes.len()];
                        client.get(&path.replace("{account}", &account.to_string()), pass)?;
                        times_ms.push(at.elapsed().as_secs_f64() * 1_000.0);
                    }
                    Ok(times_ms)
                });
                (name, reader)
            })
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Vec<f64>, CliError>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let mut submitted_ms = Vec::with_capacity(envelopes.len());
        for submitter in submitters {
            submitted_ms.extend(join(submitter)?);
        }
        let mut reads = Vec::new();
        for (name, reader) in readers {
            reads.push((name, Latencies::of(join(reader)?)));
        }
        Ok((Latencies::of(submitted_ms), reads))
    })
}

fn wait_until(at: Instant) {
    std::thread::sleep(at.saturating_duration_since(Instant::now()));
}

/// One kept connection, as cheap for the machine as a client can be.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> Result<Self, CliError> {
        let stream = TcpStream::connect(address).map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    fn submit(&mut self, envelope: &[u8]) -> Result<(), CliError> {
        let head = format!(
            "POST /v1/envelopes HTTP/1.1\r\nhost: bench\r\ncontent-type: application/octet-stream\r\ncontent-length: \
             {}\r\n\r\n",
            envelope.len()
        );
        self.exchange(&[head.as_bytes(), envelope].concat())
    }

    fn get(&mut self, path: &str, pass: &str) -> Result<(), CliError> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Casemate {pass}\r\n\r\n");
        self.exchange(head.as_bytes())
    }

    /// Sends a request and reads its whole answer, which must be a success.
    fn exchange(&mut self, request: &[u8]) -> Result<(), CliError> {
        self.stream.write_all(request).map_err(lost)?;
        self.buffer.clear();
        let mut expected = None;
        while expected.is_none_or(|expected| self.buffer.len() < expected) {
            let mut chunk = [0; 16 * 1024];
            let count = self.stream.read(&mut chunk).map_err(lost)?;
            if count == 0 {
                return Err(lost(std::io::ErrorKind::UnexpectedEof.into()));
            }
            self.buffer.extend_from_slice(&chunk[..count]);
            expected = expected.or_else(|| answer_size_bytes(&self.buffer));
        }
        if self.buffer.starts_with(b"HTTP/1.1 200") {
            return Ok(());
        }
        Err(CliError::defect(format!("the load was refused: {}", String::from_utf8_lossy(&self.buffer))))
    }
}

/// Head and body of an answer together, once the head is there.
fn answer_size_bytes(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    Some(end + length.parse::<usize>().ok()?)
}

fn lost(error: std::io::Error) -> CliError {
    CliError::defect(format!("a connection to the node was lost: {error}"))
}

/// Connections that submit: more than are busy at once.
const SUBMITTERS: usize = 64;
/// What is read meanwhile: rows from between two blocks, and what is kept in memory.
const READS: [(&str, &str); 3] =
    [("account", "/v1/accounts/{account}"), ("markets", "/v1/markets"), ("book", "/v1/markets/1/book")];
/// Reads of each kind in a second.
const READS_PER_S: u32 = 100;
