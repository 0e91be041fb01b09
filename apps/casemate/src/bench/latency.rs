//! Time from submission to durable receipt, at a fixed rate of arrivals, under the closing rules of a solo sequencer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::engine::{Chain, Load, verify};
use crate::error::CliError;

/// Times of all envelopes of a run.
#[derive(Default)]
pub struct Latencies {
    sorted_ms: Vec<f64>,
}

impl Latencies {
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

/// A block closes this long after its first envelope arrived.
const CLOSE_AFTER: Duration = Duration::from_millis(5);
/// A block closes at this many envelopes.
const CLOSE_AT_ENVELOPES: usize = 4_096;
/// A block closes at this many bytes.
const CLOSE_AT_BYTES: usize = 1 << 20;

/// Lets a load arrive at a rate, whatever the engine does (an open loop), and times each envelope to its durable receipt.
pub fn at_rate(chain: &mut Chain, load: Load, rate_per_s: f64) -> Result<Latencies, CliError> {
    let chain_id = chain.chain_id();
    let between = Duration::from_secs_f64(1.0 / rate_per_s);
    let started = Instant::now();
    let arrival = |index: usize| started + between.mul_f64(index as f64);
    let mut in_flight: VecDeque<(u64, std::ops::Range<usize>)> = VecDeque::new();
    let mut sorted_ms = Vec::with_capacity(load.envelopes.len());
    let mut next = 0;
    let notices: Vec<_> = chain.node.notices().collect();
    drop(notices);
    while sorted_ms.len() < load.envelopes.len() {
        let end = closing_end(&load, next, arrival);
        if end > next {
            let (ready, _) = verify(&load.envelopes[next..end], &chain_id, chain.node.threads())?;
            let time_ms = chain.next_time();
            let proposed = chain.node.propose(ready, time_ms, &mut ())?;
            in_flight.push_back((proposed.height, next..end));
            next = end;
        } else {
            std::thread::sleep(Duration::from_micros(200));
        }
        let notices: Vec<_> = chain.node.notices().collect();
        for notice in notices {
            while let Some((_, range)) = in_flight.pop_front_if(|(height, _)| *height <= notice.height) {
                sorted_ms.extend(
                    range.map(|index| notice.at.saturating_duration_since(arrival(index)).as_secs_f64() * 1_000.0),
                );
            }
        }
    }
    sorted_ms.sort_by(f64::total_cmp);
    Ok(Latencies { sorted_ms })
}

/// How far the block that starts at `first` reaches, if it closes now.
fn closing_end(load: &Load, first: usize, arrival: impl Fn(usize) -> Instant) -> usize {
    let now = Instant::now();
    let mut size_bytes = 0;
    let mut end = first;
    while end < load.envelopes.len() && arrival(end) <= now {
        size_bytes += load.envelopes[end].len();
        end += 1;
        if end - first >= CLOSE_AT_ENVELOPES || size_bytes >= CLOSE_AT_BYTES {
            return end;
        }
    }
    let is_due = end > first && now >= arrival(first) + CLOSE_AFTER;
    let is_last = end == load.envelopes.len();
    if is_due || is_last { end } else { first }
}
