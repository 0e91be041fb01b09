//! The world beside the venue, a little ahead of it: seconds of the recorded minutes, and what publishers sign of them.
//!
//! Prices do not depend on the venue, so a thread of its own makes them, signs what publishers say and checks it in large
//! batches. Only this module knows what comes next; participants get the past.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use casemate_gate::Authenticated;
use casemate_node::Threads;
use casemate_protocol::command::SubmitPrice;
use casemate_protocol::{Command, PriceNanos, TimeMs};
use casemate_world::Seed;
use casemate_world::bridge;
use casemate_world::klines::Kline;
use casemate_world::past::Past;
use casemate_world::publishers::{PAST_SECONDS, Publishers};
use casemate_world::steps::{self, Step};

use super::cast::{Actor, Cast};
use super::scene::Letter;
use super::venue::FEED;
use crate::error::CliError;

/// A second of the world, with what publishers say in it.
pub struct OutsideStep {
    /// The second.
    pub step: Step,
    /// Signed and checked prices.
    pub prices: Vec<Authenticated>,
}

/// What the thread needs.
pub struct OutsidePlan {
    /// What the world is drawn from.
    pub world: Seed,
    /// The minutes.
    pub minutes: Vec<Kline>,
    /// Who publishes.
    pub publishers: Publishers,
    /// Seconds that the chain has already.
    pub done: u64,
    /// The next nonce of each publisher.
    pub nonces: Vec<u64>,
    /// Keys.
    pub cast: std::sync::Arc<Cast>,
}

/// Seconds that are made at a time: batches of signatures are cheaper the larger they are.
const BATCH_SECONDS: usize = 128;
/// Batches that wait at most.
const BATCHES_WAITING_MAX: usize = 2;

/// The thread.
pub struct Outside {
    batches: Receiver<Result<Vec<OutsideStep>, CliError>>,
    thread: Option<JoinHandle<()>>,
}

impl Outside {
    /// Starts it.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(plan: OutsidePlan) -> Result<Self, CliError> {
        let (sender, batches) = sync_channel(BATCHES_WAITING_MAX);
        let work = move || {
            let mut maker = BatchMaker::new(plan);
            loop {
                let batch = maker.next_batch();
                let is_last = batch.as_ref().map_or(true, Vec::is_empty);
                // Who no longer listens has failed, and says so itself.
                if sender.send(batch).is_err() || is_last {
                    return;
                }
            }
        };
        let started = std::thread::Builder::new().name("outside".to_owned()).spawn(work);
        let thread = started.map_err(|error| {
            CliError::new(
                format!("a thread could not be started: {error}"),
                "free memory or raise the limit of processes",
            )
        })?;
        Ok(Self { batches, thread: Some(thread) })
    }

    /// The next seconds; empty at the end.
    ///
    /// # Errors
    /// The gate refused what a publisher signed, or the thread is gone.
    pub fn next_batch(&mut self) -> Result<Vec<OutsideStep>, CliError> {
        let gone = |_error| CliError::defect("the thread that makes prices is gone");
        self.batches.recv().map_err(gone)?
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // With nobody listening the thread ends at its next batch.
        let (_, nobody) = sync_channel(0);
        self.batches = nobody;
        if let Some(thread) = self.thread.take() {
            // What it panicked with has been printed already.
            let _ended = thread.join();
        }
    }
}

struct BatchMaker {
    steps: Box<dyn Iterator<Item = Step> + Send>,
    publishers: Publishers,
    past: Past,
    done: u64,
    nonces: Vec<u64>,
    cast: std::sync::Arc<Cast>,
    alone: Option<Threads>,
}

impl BatchMaker {
    fn new(plan: OutsidePlan) -> Self {
        let OutsidePlan { world, minutes, publishers, done, nonces, cast } = plan;
        let steps = OwnedSteps::new(world, minutes);
        let alone = Threads::new(1).ok();
        Self { steps: Box::new(steps), publishers, past: Past::new(PAST_SECONDS), done, nonces, cast, alone }
    }

    fn next_batch(&mut self) -> Result<Vec<OutsideStep>, CliError> {
        let (mut seconds, mut envelopes) = (Vec::with_capacity(BATCH_SECONDS), Vec::new());
        while seconds.len() < BATCH_SECONDS {
            let Some(step) = self.steps.next() else { break };
            self.past.push(step);
            if self.done > 0 {
                self.done -= 1;
                seconds.push((step, 0));
                continue;
            }
            let before = envelopes.len();
            for seen in self.publishers.observations(&self.past) {
                let nonce = self.nonces.get_mut(seen.publisher_index as usize);
                let Some(nonce) = nonce else { continue };
                let nanos = |micros: u64| PriceNanos::from_nanos(micros.saturating_mul(1_000));
                let submit = SubmitPrice {
                    feed: FEED,
                    price: nanos(seen.price_micros),
                    confidence: nanos(seen.confidence_micros),
                    source_ms: TimeMs::from_ms(seen.source_time_ms),
                };
                let from = Actor::Publisher(seen.publisher_index);
                let letter = Letter { from, commands: vec![Command::SubmitPrice(submit)] };
                envelopes.push(self.cast.sign(letter, *nonce, TimeMs::from_ms(step.time_ms))?);
                *nonce += 1;
            }
            seconds.push((step, envelopes.len() - before));
        }
        let alone = self.alone.as_ref().ok_or_else(|| CliError::defect("one thread could not be had"))?;
        let mut checked = self.cast.authenticate(&envelopes, alone)?.into_iter();
        let take = |(step, count)| OutsideStep { step, prices: checked.by_ref().take(count).collect() };
        Ok(seconds.into_iter().map(take).collect())
    }
}

/// The seconds of minutes, made minute by minute, so that they can move to another thread together.
pub struct OwnedSteps {
    world: Seed,
    minutes: Vec<Kline>,
    /// The minute that is made next.
    next: usize,
    made: std::vec::IntoIter<Step>,
}

impl OwnedSteps {
    /// From the first second of the first minute.
    pub fn new(world: Seed, minutes: Vec<Kline>) -> Self {
        Self { world, minutes, next: 0, made: Vec::new().into_iter() }
    }
}

impl Iterator for OwnedSteps {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if let Some(step) = self.made.next() {
            return Some(step);
        }
        // With the minute before it, so that a gap between the two is laid out; that minute was given out already.
        let first = self.next.saturating_sub(1);
        let pair = self.minutes.get(first..=self.next)?;
        let skipped = if self.next > first { bridge::SECONDS } else { 0 };
        let steps: Vec<Step> = steps::of_minutes(self.world, pair).skip(skipped).collect();
        self.next += 1;
        self.made = steps.into_iter();
        self.made.next()
    }
}
