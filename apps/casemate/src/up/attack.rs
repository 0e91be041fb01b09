//! `casemate up --attack`: a recorded attack on a running venue, to watch which control stops it.
//!
//! The chain's genesis is the scenario's venue. Attackers, bystanders, makers, publishers and officers are ordinary clients
//! whose envelopes go through the sequencer; the node is told nothing of the scenario. What came of it is judged from
//! durable blocks, which a replica beside the node verifies.
//!
//! ```text
//! scenario ─ production ─ signed ─> sequencer ─ durable blocks ─> replica of the watcher ─> told, verdict
//! ```
//!
//! Standard error tells what happens, line by line. Standard output has what `up` writes, the verdict as `{"played": {..}}`
//! before the last line, and with `--json` each happening as `{"told": {..}}`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use casemate_node::ChainReader;
use casemate_node::development_keys::{
    attestor_key, auditor_key, backstop_key, governor_key, publisher_key, risk_officer_key, root_key, session_key,
};
use casemate_node::genesis_file::DEVELOPMENT_SEED;
use casemate_protocol::genesis::{Genesis, PrincipalKind};
use casemate_scenarios::{
    Catalogue, Ended, Happening, KeyHolder, LiveKeys, LiveVerdict, Production, ScenarioError, ScenarioFile, Told,
    Unplayed, library, read,
};
use ed25519_zebra::SigningKey;
use serde_json::json;

use super::clock::StageClock;
use super::sequenced::SequencedVenue;
use super::{ELSEWHERE, STOP_CHECK_EVERY, UpArgs, open, serve, tell_address};
use crate::error::CliError;
use crate::node::serving::ServedNode;
use crate::node::{Output, bind, closed_json, stop_signals};
use crate::verdict::refusal_json;

/// Arguments of `up` that are about an attack.
#[derive(clap::Args, Debug)]
pub struct AttackArgs {
    /// Plays an incident of another venue instead: its id, such as `S4`, or its file.
    #[arg(long, value_name = "SCENARIO")]
    pub attack: Option<String>,
    /// Plays it with this control of the scenario as loose as genesis lets it be; again for another, or `all`.
    #[arg(long, value_name = "CONTROL", requires = "attack")]
    without: Vec<String>,
    /// Ends when the scenario is over. Fails if its conditions do not hold.
    #[arg(long, requires = "attack")]
    exit: bool,
    /// Writes what happens to standard output too, one JSON object per line.
    #[arg(long, requires = "attack")]
    json: bool,
}

type Playing = JoinHandle<Result<LiveVerdict, Unplayed>>;

/// Plays an attack, then keeps the venue up until it is told to stop.
///
/// # Errors
/// What went wrong, and what to do; with `--exit` also that the conditions of the scenario do not hold.
pub fn run(args: &UpArgs, name: &str) -> Result<(), CliError> {
    let is_told_to_stop = stop_signals()?;
    let (catalogue, file) = find(name)?;
    let production = prepare(args, &catalogue, &file)?;
    let folder = args.folder.clone().unwrap_or_else(|| PathBuf::from(format!("{FOLDER}{}", file.id().to_lowercase())));
    require_new(&folder)?;
    let listener = bind(args.listen, Some(ELSEWHERE))?;
    let mut output = Output::new();
    let node = open(&folder, production.genesis(), &mut output)?;
    let clock = StageClock::new(production.genesis().time_ms);
    let reader = node.reader();
    let served = serve(node, clock.clone(), listener, production.genesis())?;

    introduce(&production, args.speed);
    let address = tell_address(&served, &mut output)?;
    eprintln!("open http://{address}/ to watch; Ctrl-C ends");
    let is_stopping = Arc::new(AtomicBool::new(false));
    let (playing, told) = start(production, args, (&served, reader, clock), Arc::clone(&is_stopping))?;
    while !is_told_to_stop.load(Ordering::Relaxed) && !served.has_ended() {
        match told.recv_timeout(STOP_CHECK_EVERY) {
            Ok(told) => show(&told, args, &mut output)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    is_stopping.store(true, Ordering::Relaxed);
    // First who plays, so that nothing is half said; then the node, whose failure explains theirs.
    let played = playing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    for told in told.try_iter() {
        show(&told, args, &mut output)?;
    }
    let closed = served.stop()?;
    if let Ok(verdict) = &played {
        output.write(&json!({ "played": verdict.json() }))?;
    }
    output.write(&closed_json(&closed))?;
    output.flush()?;
    conclude(played, args)
}

/// The scenario of an id, or of a file.
fn find(name: &str) -> Result<(Catalogue, ScenarioFile), CliError> {
    let (catalogue, files) = library().map_err(refused)?;
    if let Some(file) = files.iter().find(|file| file.id().eq_ignore_ascii_case(name)) {
        return Ok((catalogue, file.clone()));
    }
    let path = Path::new(name);
    if path.is_file() {
        let (catalogue, files) = read(path).map_err(refused)?;
        let file = files.into_iter().next();
        return file.map(|file| (catalogue, file)).ok_or_else(|| CliError::defect("a file was read and is none"));
    }
    let known: String = files.iter().map(|file| format!("\n  {:<5} {}", file.id(), file.title())).collect();
    Err(CliError::new(
        format!("`{name}` is neither a scenario nor a scenario's file; there are:{known}"),
        "name one of them, or a file such as spec/scenarios/S4-self-trade.toml with venue.toml and controls.toml beside it",
    ))
}

fn prepare(args: &UpArgs, catalogue: &Catalogue, file: &ScenarioFile) -> Result<Production, CliError> {
    let seed = args.seed.unwrap_or(0);
    let mut chain_name = format!("{CHAIN_NAME}{}", file.id());
    if seed != 0 {
        chain_name += &format!(", seed {seed}");
    }
    let keys = LiveKeys { seed: DEVELOPMENT_SEED, key };
    Production::new(file, catalogue, seed, &args.attack.without, (&chain_name, keys)).map_err(refused)
}

/// Keys of a development chain, so that anybody can take part as anybody.
fn key(seed: &[u8; 32], holder: KeyHolder) -> SigningKey {
    match holder {
        KeyHolder::Principal(PrincipalKind::Attestor, index) => attestor_key(seed, index),
        KeyHolder::Principal(PrincipalKind::Publisher, index) => publisher_key(seed, index),
        KeyHolder::Principal(PrincipalKind::RiskOfficer, index) => risk_officer_key(seed, index),
        KeyHolder::Principal(PrincipalKind::Governor, index) => governor_key(seed, index),
        KeyHolder::Principal(PrincipalKind::Backstop, index) => backstop_key(seed, index),
        KeyHolder::Principal(PrincipalKind::Auditor, index) => auditor_key(seed, index),
        KeyHolder::Root(index) => root_key(seed, index),
        KeyHolder::Session(index) => session_key(seed, index),
    }
}

/// A chain that an attack was played to is no ordinary venue, and goes on for nobody.
///
/// # Errors
/// It is one.
pub fn require_none(folder: &Path, found: &Genesis) -> Result<(), CliError> {
    let name = String::from_utf8_lossy(found.name.as_slice());
    if !name.starts_with(CHAIN_NAME) {
        return Ok(());
    }
    Err(CliError::new(
        format!("`{}` holds `{name}`: an attack is played from the start and not continued", folder.display()),
        "name another folder with --folder; `casemate inspect` shows what this one holds; nothing was changed",
    ))
}

/// An attack is played from the start, and nothing of a user's is deleted.
fn require_new(folder: &Path) -> Result<(), CliError> {
    let is_new = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(CliError::io("read", folder, &error)),
    };
    if is_new {
        return Ok(());
    }
    Err(CliError::new(
        format!("`{}` is there and not empty, and an attack is played from the start", folder.display()),
        "name another folder with --folder, or delete this one yourself; nothing was changed",
    ))
}

fn introduce(production: &Production, speed: u32) {
    let scenario = production.scenario();
    eprintln!("{}  {}", scenario.id(), scenario.title());
    for party in production.parties() {
        let role = if party.is_attacker { ", ATTACKER" } else { "" };
        eprintln!("  {} (account {}{role}): {}", party.name, party.account.number(), party.what);
    }
    for (name, number, segment) in production.markets() {
        eprintln!("  market {number} is {name}, in segment {segment}");
    }
    let loose = production.loose();
    match loose.is_empty() {
        true => eprintln!("  every control is on"),
        false => eprintln!("  LOOSE, as far as genesis lets them be: {}", loose.join(", ")),
    }
    let (begins_s, lasts_s) = (production.begins_ms() / 1_000, production.lasts_ms() / 1_000);
    let watched = |seconds: u64| minutes(seconds / u64::from(speed.max(1)));
    eprintln!(
        "  the attack begins at {}, the end is at {}; {speed} s pass in one of yours, so that is in {} and {} or more",
        minutes(begins_s),
        minutes(lasts_s),
        watched(begins_s),
        watched(lasts_s),
    );
}

fn minutes(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

fn start(
    production: Production,
    args: &UpArgs,
    (served, reader, clock): (&ServedNode, ChainReader, StageClock),
    is_stopping: Arc<AtomicBool>,
) -> Result<(Playing, Receiver<Told>), CliError> {
    let venue = SequencedVenue {
        submitter: served.submitter(),
        reader,
        clock,
        speed: args.speed,
        is_stopping,
        now: (production.genesis().time_ms, Instant::now()),
    };
    let stays = !args.attack.exit;
    let (sender, told) = channel();
    // Whoever listened may have gone; the scenario is played all the same.
    let listener = move |told: &Told| drop(sender.send(told.clone()));
    let started = std::thread::Builder::new().name("scenario".to_owned());
    let playing = started.spawn(move || production.play(Box::new(venue), listener, stays)).map_err(|error| {
        CliError::new(format!("a thread could not be started: {error}"), "free memory or raise the limit of processes")
    })?;
    Ok((playing, told))
}

fn show(told: &Told, args: &UpArgs, output: &mut Output) -> Result<(), CliError> {
    eprintln!("{told}");
    if args.attack.json {
        output.write(&json!({ "told": told.json(refusal_json) }))?;
        output.flush()?;
    }
    if matches!(told.what, Happening::Over(_)) && !args.attack.exit {
        eprintln!("the venue stays up, its prices stand and are published; look around; Ctrl-C ends");
    }
    Ok(())
}

fn conclude(played: Result<LiveVerdict, Unplayed>, args: &UpArgs) -> Result<(), CliError> {
    match played {
        Ok(verdict) if args.attack.exit && !verdict.holds => Err(CliError::new(
            format!("{}: its conditions do not hold: {}", verdict.id, verdict.troubles.join("; ")),
            match args.attack.without.is_empty() {
                true => "a control does not hold: keep the folder and report it",
                false => "controls were loose: this is what they are for",
            },
        )),
        Ok(_) => Ok(()),
        Err(Unplayed::Scenario(error)) => Err(refused(error)),
        Err(Unplayed::Venue(Ended::Failed { message, hint })) => Err(CliError::new(message, hint)),
        Err(Unplayed::Venue(Ended::Stopped)) if args.attack.exit => Err(CliError::new(
            "the venue was told to stop before the scenario was over, so there is no verdict",
            "let it play to its end, or faster with --speed",
        )),
        Err(Unplayed::Venue(Ended::Stopped)) => Ok(()),
    }
}

fn refused(error: ScenarioError) -> CliError {
    let hint = error.hint.clone();
    CliError::new(error.to_string(), hint)
}

/// The name of a chain, before the scenario's id.
const CHAIN_NAME: &str = "casemate up, attack ";
/// The folder where none is named, before the scenario's id.
const FOLDER: &str = "casemate-up-attack-";
