//! The participants at work: a thread that plays second after second, at the pace that was asked for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use casemate_node::genesis_file::DEVELOPMENT_SEED;
use casemate_node::solo::{Answer, NotAsked, NotTaken, Questions, ReplyTo, Submitter};
use casemate_protocol::TimeMs;
use casemate_protocol::genesis::Genesis;

use super::clock::StageClock;
use super::plan::Plan;
use super::stage::{Draft, drafts};
use super::world::World;
use crate::error::CliError;
use crate::price_replay::cast::Cast;
use crate::price_replay::venue::MAKERS;

/// Everybody, before they start.
pub struct Troupe {
    /// What the venue was made from.
    pub plan: Plan,
    /// Its genesis.
    pub genesis: Genesis,
    /// Prices.
    pub world: World,
    /// Block time.
    pub clock: StageClock,
    /// Where envelopes go.
    pub submitter: Submitter,
    /// Where the state is seen.
    pub questions: Questions,
}

/// Longest wait for the node in a second; a block takes milliseconds.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// How often a wait looks whether it is over.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

impl Troupe {
    /// Starts to play, so many seconds in one.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(self, speed: u32, is_stopping: Arc<AtomicBool>) -> Result<JoinHandle<Result<(), CliError>>, CliError> {
        let started = std::thread::Builder::new().name("participants".to_owned());
        started.spawn(move || self.play(speed, &is_stopping)).map_err(|error| {
            CliError::new(
                format!("a thread could not be started: {error}"),
                "free memory or raise the limit of processes",
            )
        })
    }

    fn play(self, speed: u32, is_stopping: &AtomicBool) -> Result<(), CliError> {
        let Self { plan, genesis, world, clock, submitter, questions } = self;
        let traders = genesis.seeded.map_or(0, |seeded| seeded.count.saturating_sub(MAKERS));
        let cast = Cast::new(&genesis, &DEVELOPMENT_SEED, traders);
        let world = Arc::new(Mutex::new(world));
        let pace = Duration::from_secs(1) / speed;
        let mut due = Instant::now();
        while !is_stopping.load(Ordering::Relaxed) {
            let Some(now) = lock(&world).advance() else {
                eprintln!("note: the file of prices has ended, and with it the venue's time");
                return Ok(());
            };
            clock.set(now);
            let Some(drafts) = ask(&questions, &world, now, plan.time_ms)? else { return Ok(()) };
            if !submit(&submitter, &cast, drafts, now)? {
                return Ok(());
            }
            due = (due + pace).max(Instant::now());
            while Instant::now() < due && !is_stopping.load(Ordering::Relaxed) {
                std::thread::sleep(due.saturating_duration_since(Instant::now()).min(LOOK_EVERY));
            }
        }
        Ok(())
    }
}

/// The world is whole between two seconds, and a panic in one ends the thread that plays.
fn lock(world: &Mutex<World>) -> std::sync::MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What everybody wants, seen from the last durable block; none if the node has stopped.
fn ask(
    questions: &Questions,
    world: &Arc<Mutex<World>>,
    now: TimeMs,
    genesis_ms: u64,
) -> Result<Option<Vec<Draft>>, CliError> {
    let (sender, seen) = channel();
    let world = Arc::clone(world);
    let asked = questions.ask(Box::new(move |view| {
        let drafts = drafts(&lock(&world), view.replica().ledger(), now, genesis_ms);
        Box::new(move || drop(sender.send(drafts)))
    }));
    match asked {
        Ok(()) => {}
        Err(NotAsked::Stopped) => return Ok(None),
        // Readers over HTTP are in the way: a second without participants, and then the next.
        Err(NotAsked::QueueFull) => return Ok(Some(Vec::new())),
    }
    match seen.recv_timeout(ANSWER_WAIT_MAX) {
        Ok(drafts) => Ok(Some(drafts)),
        // The node has failed, and says so itself.
        Err(RecvTimeoutError::Disconnected) => Ok(None),
        Err(RecvTimeoutError::Timeout) => Err(too_slow()),
    }
}

/// Signs and submits, and waits for every answer; false if the node has stopped. Refusals are part of trading.
fn submit(submitter: &Submitter, cast: &Cast, drafts: Vec<Draft>, now: TimeMs) -> Result<bool, CliError> {
    let (sender, answers) = channel();
    for (place, draft) in (0..).zip(drafts) {
        let envelope = cast.sign(draft.letter, draft.nonce, now)?;
        match submitter.submit(envelope.encode(), ReplyTo::new(place, sender.clone())) {
            Ok(()) => {}
            Err(NotTaken::Stopped) => return Ok(false),
            // Others are many: who is not taken now tries again in its next second.
            Err(NotTaken::QueueFull) => break,
        }
    }
    drop(sender);
    loop {
        match answers.recv_timeout(ANSWER_WAIT_MAX) {
            Ok((_, Answer::Receipt(_) | Answer::Refused(_))) => {}
            Ok((_, Answer::Failed(_))) => return Ok(false),
            Err(RecvTimeoutError::Disconnected) => return Ok(true),
            Err(RecvTimeoutError::Timeout) => return Err(too_slow()),
        }
    }
}

/// The node is there and says nothing.
pub fn too_slow() -> CliError {
    CliError::new(
        format!("the node gave no answer within {} s", ANSWER_WAIT_MAX.as_secs()),
        "see its own messages; a full or very slow disk is the usual reason",
    )
}
