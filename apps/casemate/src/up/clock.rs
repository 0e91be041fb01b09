//! The clock of the venue: block time is the second that is played.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use casemate_node::solo::clock::Clock;
use casemate_protocol::TimeMs;

/// Stands until the next second is played. So participants that cannot keep up make time slower, and no price older; and
/// the time in which nobody ran the venue does not pass.
#[derive(Clone, Debug)]
pub struct StageClock {
    now_ms: Arc<AtomicU64>,
    started: Instant,
}

impl StageClock {
    /// Stands at a time.
    pub fn new(now: TimeMs) -> Self {
        Self { now_ms: Arc::new(AtomicU64::new(now.ms())), started: Instant::now() }
    }

    /// A second is played.
    pub fn set(&self, now: TimeMs) {
        self.now_ms.fetch_max(now.ms(), Ordering::AcqRel);
    }
}

impl Clock for StageClock {
    fn wall(&self) -> TimeMs {
        TimeMs::from_ms(self.now_ms.load(Ordering::Acquire))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
