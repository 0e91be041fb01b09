//! The clock of a sequencer, so that tests can hold it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use casemate_protocol::TimeMs;

/// Tells the time.
pub trait Clock: Send + 'static {
    /// The time of day, which may jump. Block time follows it and never goes back.
    fn wall(&self) -> TimeMs;
    /// Time since some moment, which never goes back.
    fn elapsed(&self) -> Duration;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> TimeMs {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        TimeMs::from_ms(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
