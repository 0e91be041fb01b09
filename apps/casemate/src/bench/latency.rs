//! Time from submission to durable receipt, through the solo sequencer itself, at a fixed rate of arrivals.

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use casemate_node::solo::clock::Clock;
use casemate_node::solo::{Answer, ReplyTo, Solo, SoloOptions};
use casemate_protocol::{DurationMs, TimeMs};

use super::engine::{Chain, Load};
use crate::error::CliError;

/// Times of all envelopes of a run.
#[derive(Default)]
pub struct Latencies {
    sorted_ms: Vec<f64>,
}

impl Latencies {
    /// Of times in any order.
    pub fn of(mut times_ms: Vec<f64>) -> Self {
        times_ms.sort_by(f64::total_cmp);
        Self { sorted_ms: times_ms }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.sorted_ms.len()
    }

    /// The middle.
    pub fn p50_ms(&self) -> Option<f64> {
        self.at(0.50)
    }

    /// One in a hundred takes longer.
    pub fn p99_ms(&self) -> Option<f64> {
        self.at(0.99)
    }

    fn at(&self, share: f64) -> Option<f64> {
        let place = (self.sorted_ms.len() as f64 * share) as usize;
        self.sorted_ms.get(place.min(self.sorted_ms.len().saturating_sub(1))).copied()
    }
}

/// Lets a load arrive at a rate, whatever the engine does (an open loop), and times each envelope from the moment at
/// which it should have been submitted to the moment at which its submitter holds the receipt. Ends the chain.
pub fn at_rate(chain: Chain, load: Load, rate_per_s: f64) -> Result<Latencies, CliError> {
    // What the turns before left to be written would be in the way of receipts that a venue at this rate never waits for.
    chain.node.keeper().flush()?;
    let clock = ChainClock::from_now(chain.time_ms);
    let folder = chain.folder().to_owned();
    let solo = Solo::start(chain.node, SoloOptions::default(), clock);
    let submitter = solo.submitter();
    let between = Duration::from_secs_f64(1.0 / rate_per_s);
    let started = Instant::now();
    let arrival = |index: usize| started + between.mul_f64(index as f64);
    let (sender, answers) = channel();
    let count = load.envelopes.len();
    let held = std::thread::scope(|scope| {
        let holder = scope.spawn(|| hold_receipts(answers, count));
        for (index, bytes) in load.envelopes.into_iter().enumerate() {
            while Instant::now() < arrival(index) {
                std::thread::sleep(POLL_EVERY);
            }
            let reply = ReplyTo::new(index as u64, sender.clone());
            submitter.submit_waiting(bytes, reply).map_err(|error| CliError::new(error.to_string(), error.hint()))?;
        }
        drop(sender);
        holder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    let time = |(index, at): (usize, Instant)| at.saturating_duration_since(arrival(index)).as_secs_f64() * 1_000.0;
    let times_ms = held.into_iter().enumerate().map(time).collect();
    solo.stop().map_err(|error| CliError::defect(error.to_string()))?;
    std::fs::remove_dir_all(&folder).map_err(|error| super::cannot("delete", &folder, &error))?;
    Ok(Latencies::of(times_ms))
}

/// How often the submitter looks whether the next envelope is due.
const POLL_EVERY: Duration = Duration::from_micros(200);

/// Writes down when each receipt came.
fn hold_receipts(answers: Receiver<(u64, Answer)>, count: usize) -> Result<Vec<Instant>, CliError> {
    let mut held = vec![None; count];
    for (index, answer) in answers {
        match answer {
            Answer::Receipt(_) => held[index as usize] = Some(Instant::now()),
            Answer::Refused(reject) => return Err(CliError::defect(format!("the load was refused: {reject}"))),
            Answer::Failed(error) => return Err(CliError::defect(error.to_string())),
        }
    }
    let all: Option<Vec<Instant>> = held.into_iter().collect();
    all.ok_or_else(|| CliError::defect("an envelope was never answered".to_owned()))
}

/// Block time goes on from where the chain stands, as fast as the machine's.
#[derive(Clone, Copy, Debug)]
pub struct ChainClock {
    began: Instant,
    at: TimeMs,
}

impl ChainClock {
    /// Now is this block time.
    pub fn from_now(at: TimeMs) -> Self {
        Self { began: Instant::now(), at }
    }
}

impl Clock for ChainClock {
    fn wall(&self) -> TimeMs {
        self.at.plus(DurationMs::from_ms(u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX)))
    }

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}
