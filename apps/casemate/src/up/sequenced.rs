//! The venue as a scenario sees it: envelopes go through the sequencer, blocks come from the journal, and time passes at a
//! pace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use casemate_node::ChainReader;
use casemate_node::solo::{Answer, ReplyTo, Submitter};
use casemate_protocol::block::Block;
use casemate_protocol::{Reject, TimeMs};
use casemate_scenarios::{Ended, LiveVenue};

use super::clock::StageClock;
use super::troupe::{ANSWER_WAIT_MAX, LOOK_EVERY, too_slow};
use crate::error::CliError;

/// A node that runs, and how fast its time passes.
pub struct SequencedVenue {
    /// Where envelopes go.
    pub submitter: Submitter,
    /// Where durable blocks are read.
    pub reader: ChainReader,
    /// Block time.
    pub clock: StageClock,
    /// Seconds of the venue that pass in one.
    pub speed: u32,
    /// Whether the venue is to end.
    pub is_stopping: Arc<AtomicBool>,
    /// The time that it is, and since when.
    pub now: (TimeMs, Instant),
}

impl LiveVenue for SequencedVenue {
    fn come_to(&mut self, time: TimeMs) -> Result<(), Ended> {
        let (before, since) = self.now;
        let due = since + Duration::from_millis(time.since(before).ms()) / self.speed;
        while Instant::now() < due && !self.is_stopping.load(Ordering::Relaxed) {
            std::thread::sleep(due.saturating_duration_since(Instant::now()).min(LOOK_EVERY));
        }
        if self.is_stopping.load(Ordering::Relaxed) {
            return Err(Ended::Stopped);
        }
        // What took longer than its time is not caught up with: nobody can watch a venue that hurries.
        self.now = (time.max(before), due.max(Instant::now()));
        self.clock.set(time);
        Ok(())
    }

    fn submit(&mut self, envelopes: Vec<Vec<u8>>) -> Result<Vec<(usize, Reject)>, Ended> {
        let (sender, answers) = channel();
        for (tag, envelope) in (0..).zip(envelopes) {
            let reply = ReplyTo::new(tag, sender.clone());
            self.submitter.submit_waiting(envelope, reply).map_err(|_stopped| Ended::Stopped)?;
        }
        drop(sender);
        let mut refused = Vec::new();
        loop {
            match answers.recv_timeout(ANSWER_WAIT_MAX) {
                Ok((_, Answer::Receipt(_))) => {}
                Ok((tag, Answer::Refused(reject))) => refused.push((usize::try_from(tag).unwrap_or(0), reject)),
                // The node says itself why.
                Ok((_, Answer::Failed(_))) => return Err(Ended::Stopped),
                Err(RecvTimeoutError::Disconnected) => return Ok(refused),
                Err(RecvTimeoutError::Timeout) => return Err(failed(&too_slow())),
            }
        }
    }

    fn block(&mut self, height: u64) -> Result<Option<Block>, Ended> {
        self.reader.block(height).map_err(|error| failed(&error.into()))
    }
}

fn failed(error: &CliError) -> Ended {
    Ended::Failed { message: error.to_string(), hint: error.hint().to_owned() }
}
