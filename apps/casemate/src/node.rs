//! `casemate node`: an embedded node that takes envelopes over HTTP, or from standard input.
//!
//! With `--listen` it serves until SIGINT or SIGTERM, and reads nothing from standard input. Output is then the first
//! line below, `{"listening": {"address"}}`, and the last.
//!
//! Without `--listen`: input: one signed envelope per line, its bytes in hexadecimal. Blank lines are passed over.
//!
//! Output: JSON, one object per line. The first says what was opened:
//! `{"opened": {"chain_id", "is_development", "height", "state_root", "snapshot_height", "blocks_replayed",
//! "torn_bytes_dropped", "notes"}}`. Then one for each envelope, in the order in which answers are known; `line` says
//! which envelope, counted from 1:
//!
//! - `{"line", "receipt": {"envelope", "height", "position", "is_duplicate", "commands": [{"record", "is_accepted",
//!   "refusal"?}]}}`: it is in a durable block.
//! - `{"line", "refusal": {"number", "name", "message", "measure", "required", "present", "rule", "hint"}}`: it is in none.
//! - `{"line", "failure": {"message", "hint"}}`: the machine failed and nothing is certain. After a restart the same
//!   bytes get the first receipt if they are in a block, and are taken if they are not.
//!
//! The last says how the node was closed: `{"closed": {"height", "state_root"}}`. The node closes at the end of its
//! input, and on SIGINT and SIGTERM; then lines that were read are answered and later ones are not.

mod lines;
pub mod serving;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use casemate_node::genesis_file;
use casemate_node::solo::clock::SystemClock;
use casemate_node::solo::{Answer, ClosedNode, ReplyTo, Solo, SoloOptions, Submitter};
use casemate_node::{Node, NodeOptions, OpenedNode};
use casemate_protocol::{Reject, RejectCode};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};

use crate::error::CliError;
use crate::verdict::{receipt_json, refusal_json};
use lines::{HexLines, Line};
use serving::{Face, ServedNode};

/// Arguments of `node`.
#[derive(clap::Args, Debug)]
pub struct NodeArgs {
    /// The node's folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Genesis file. Needed when the folder is new; otherwise it must be the folder's own.
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Threads for signatures and hashing; as many as there are cores if not given.
    #[arg(long)]
    threads: Option<usize>,
    /// Blocks after which a snapshot is written as soon as nothing waits, or at the latest after four times as many.
    #[arg(long, default_value = "4096")]
    snapshot_every_blocks: NonZeroU64,
    /// Serves HTTP and WebSocket here, such as `127.0.0.1:8080`; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Lets `--listen` name an address that other machines reach. There is no TLS and no login here: put a proxy in front.
    #[arg(long, requires = "listen")]
    allow_remote: bool,
}

/// Runs a node until its input ends or it is told to stop.
///
/// # Errors
/// What went wrong, and what to do.
pub fn run(args: &NodeArgs) -> Result<(), CliError> {
    let is_told_to_stop = stop_signals()?;
    let elsewhere = (!args.allow_remote)
        .then_some("listen on 127.0.0.1 with a proxy in front, or say --allow-remote if the network is yours alone");
    // Before the folder is opened, which may take a while: a port in use is known at once.
    let listener = args.listen.map(|address| bind(address, elsewhere)).transpose()?;
    let (node, opened) = open(args)?;
    crate::genesis::banner(node.genesis());
    let mut output = Output::new();
    output.write(&opened_json(&node, &opened))?;
    output.flush()?;
    let options = SoloOptions {
        snapshot_every_blocks: args.snapshot_every_blocks.get(),
        on_note: |note| eprintln!("note: {note}"),
        ..SoloOptions::default()
    };
    if let Some(listener) = listener {
        let served = ServedNode::start(node, options, SystemClock::start(), listener, Face::default())?;
        return serve_http(served, &mut output, &is_told_to_stop);
    }
    let solo = Solo::start(node, options, SystemClock::start());
    let (answer, answers) = channel();
    let submitter = solo.submitter();
    // Not joined: after a signal it may still wait for a line that never comes.
    std::thread::spawn(move || read_envelopes(&submitter, &answer));
    let served = serve(&answers, &mut output, || is_told_to_stop.load(Ordering::Relaxed) || solo.has_ended());
    let closed = solo.stop();
    for (line, answer) in answers.try_iter() {
        output.write(&answer_json(line, &answer))?;
    }
    output.flush()?;
    let closed = closed.map_err(|error| CliError::new(error.to_string(), error.hint()))?;
    served?;
    output.write(&closed_json(&closed))?;
    output.flush()
}

/// Serves until told to stop, or until something ended that should not have.
fn serve_http(served: ServedNode, output: &mut Output, is_told_to_stop: &AtomicBool) -> Result<(), CliError> {
    let address = served.address();
    output.write(&json!({ "listening": { "address": address.to_string() } }))?;
    output.flush()?;
    eprintln!("serving http://{address} until Ctrl-C; http://{address}/openapi.json describes it");
    while !is_told_to_stop.load(Ordering::Relaxed) && !served.has_ended() {
        std::thread::sleep(STOP_CHECK_EVERY);
    }
    let closed = served.stop()?;
    output.write(&closed_json(&closed))?;
    output.flush()
}

/// Listens. `elsewhere` says what to do where other machines would reach the address; none if that is allowed.
pub fn bind(address: SocketAddr, elsewhere: Option<&str>) -> Result<TcpListener, CliError> {
    if let Some(hint) = elsewhere.filter(|_| !address.ip().is_loopback()) {
        let message =
            format!("`{address}` can be reached from other machines, and there is neither TLS nor login here");
        return Err(CliError::new(message, hint));
    }
    TcpListener::bind(address).map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => "another program listens there: name another port, or 0 for a free one",
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: name a higher one",
            _ => "name an address of this machine, such as 127.0.0.1:8080",
        };
        CliError::new(format!("cannot listen on `{address}`: {error}"), hint)
    })
}

pub fn closed_json(closed: &ClosedNode) -> Value {
    json!({ "closed": { "height": closed.height, "state_root": closed.state_root.to_string() } })
}

/// Writes answers until all are given and no more envelopes come, or until told to stop.
fn serve(
    answers: &Receiver<(u64, Answer)>,
    output: &mut Output,
    is_to_stop: impl Fn() -> bool,
) -> Result<(), CliError> {
    loop {
        match answers.recv_timeout(STOP_CHECK_EVERY) {
            Ok((line, answer)) => {
                output.write(&answer_json(line, &answer))?;
                for (line, answer) in answers.try_iter() {
                    output.write(&answer_json(line, &answer))?;
                }
                output.flush()?;
            }
            // Every reply is given and the reader has ended: both held a sender.
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) if is_to_stop() => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

const STOP_CHECK_EVERY: Duration = Duration::from_millis(50);

/// Hands every line to the sequencer. A full queue makes the pipe wait.
fn read_envelopes(submitter: &Submitter, answers: &Sender<(u64, Answer)>) {
    let mut lines = HexLines::new(std::io::stdin().lock());
    loop {
        let refusal = match lines.next() {
            Ok(None) => return,
            Err(error) => {
                eprintln!("error: cannot read standard input: {error}");
                return;
            }
            Ok(Some(Line::Blank)) => continue,
            Ok(Some(Line::Bytes(bytes))) => {
                let reply = ReplyTo::new(lines.number(), answers.clone());
                match submitter.submit_waiting(bytes, reply) {
                    Ok(()) => continue,
                    Err(_stopped) => return,
                }
            }
            Ok(Some(Line::TooLong { size_bytes, size_bytes_max })) => {
                Reject::of(RejectCode::EnvelopeTooLarge).required(size_bytes_max).present(size_bytes)
            }
            Ok(Some(Line::NotHex)) => {
                eprintln!("line {}: not an even number of hexadecimal digits", lines.number());
                Reject::of(RejectCode::Malformed)
            }
        };
        if answers.send((lines.number(), Answer::Refused(refusal))).is_err() {
            return;
        }
    }
}

fn open(args: &NodeArgs) -> Result<(Node, OpenedNode), CliError> {
    let defaults = NodeOptions::default();
    let options = NodeOptions { threads: args.threads.unwrap_or(defaults.threads).max(1), ..defaults };
    let opened = match &args.genesis {
        Some(file) => {
            let genesis = genesis_file::read(file).map_err(|error| crate::genesis::file_error(&error))?;
            Node::create_or_open(&args.data, &genesis, options)?
        }
        None => {
            require_node_folder(&args.data)?;
            Node::open(&args.data, options)?
        }
    };
    tell(&opened.1);
    Ok(opened)
}

/// A folder without a genesis file is not a node's.
pub fn require_node_folder(data: &Path) -> Result<(), CliError> {
    if data.join("genesis.toml").exists() {
        return Ok(());
    }
    Err(CliError::new(
        format!("`{}` is not the folder of a node: it has no genesis file", data.display()),
        "name a node's folder with --data, or make one with `casemate node --data DIR --genesis FILE`",
    ))
}

/// What a person should know about how a node was opened.
pub fn tell(opened: &OpenedNode) {
    for note in &opened.notes {
        eprintln!("note: {note}");
    }
    if opened.torn_bytes_dropped > 0 {
        eprintln!("note: {} bytes of an unfinished, unacknowledged write were cut off", opened.torn_bytes_dropped);
    }
    if opened.blocks_replayed > 0 {
        let from = opened.snapshot_height.map_or_else(|| "genesis".to_owned(), |height| format!("block {height}"));
        eprintln!("note: {} blocks since {from} were verified and executed again", opened.blocks_replayed);
    }
}

/// A signal sets the flag; the second one ends the process. A write beyond the allowed file size becomes an error that
/// can be told, instead of a signal that kills.
pub fn stop_signals() -> Result<Arc<AtomicBool>, CliError> {
    let flag = Arc::new(AtomicBool::new(false));
    let register = || -> std::io::Result<()> {
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&flag))?;
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        Ok(())
    };
    register().map_err(|error| CliError::new(format!("signals cannot be handled: {error}"), "report this"))?;
    Ok(flag)
}

pub fn opened_json(node: &Node, opened: &OpenedNode) -> Value {
    json!({ "opened": {
        "chain_id": node.replica().ledger().chain_id().to_string(),
        "is_development": node.genesis().is_development,
        "height": opened.height,
        "state_root": node.replica().state_root().to_string(),
        "snapshot_height": opened.snapshot_height,
        "blocks_replayed": opened.blocks_replayed,
        "torn_bytes_dropped": opened.torn_bytes_dropped,
        "notes": opened.notes,
    } })
}

fn answer_json(line: u64, answer: &Answer) -> Value {
    match answer {
        Answer::Receipt(receipt) => json!({ "line": line, "receipt": receipt_json(receipt) }),
        Answer::Refused(reject) => json!({ "line": line, "refusal": refusal_json(reject) }),
        Answer::Failed(error) => {
            json!({ "line": line, "failure": { "message": error.to_string(), "hint": error.hint() } })
        }
    }
}

/// Standard output, one JSON object per line.
pub struct Output(std::io::BufWriter<std::io::StdoutLock<'static>>);

impl Output {
    pub fn new() -> Self {
        Self(std::io::BufWriter::with_capacity(1 << 16, std::io::stdout().lock()))
    }

    pub fn write(&mut self, value: &Value) -> Result<(), CliError> {
        writeln!(self.0, "{value}").map_err(|error| gone(&error))
    }

    pub fn flush(&mut self) -> Result<(), CliError> {
        self.0.flush().map_err(|error| gone(&error))
    }
}

fn gone(error: &std::io::Error) -> CliError {
    CliError::new(
        format!("cannot write to standard output: {error}"),
        "keep reading until the node has closed; what it acknowledged is durable",
    )
}
