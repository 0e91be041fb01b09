//! Counters in the text format of Prometheus.
//!
//! Written by hand: it is one lock, some numbers and a loop, and the crates that do it bring a registry, a recorder and
//! sketches which nothing here would use.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What the server counts about itself.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<RequestKey, Latencies>>,
    /// Connections now, without those that became streams.
    pub connections: AtomicI64,
    /// Connections refused because there were too many.
    pub connections_refused: AtomicU64,
    /// Streams cut off because their reader was too slow.
    pub streams_cut: AtomicU64,
}

/// Path as declared, method and status: few values, whatever clients send.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RequestKey {
    path: String,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Default)]
struct Latencies {
    /// Requests at or below each bound, the last bucket without one.
    counts: [u64; BOUNDS_US.len() + 1],
    sum_us: u64,
}

/// Upper bounds of the latency buckets.
const BOUNDS_US: [u64; 12] =
    [250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 500_000, 2_000_000, 10_000_000];

/// A number to show, with its help text.
pub struct Gauge {
    /// Its name, unit last.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// How much.
    pub value: u64,
}

impl Metrics {
    /// Counts one answered request.
    pub fn request(&self, path: &str, method: &'static str, status: u16, took: Duration) {
        let key = RequestKey { path: path.to_owned(), method, status };
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let latencies = requests.entry(key).or_default();
        let bucket = BOUNDS_US.iter().position(|&bound| us <= bound).unwrap_or(BOUNDS_US.len());
        latencies.counts[bucket] += 1;
        latencies.sum_us = latencies.sum_us.saturating_add(us);
    }

    /// Everything, and some numbers more, as text.
    #[must_use]
    pub fn render(&self, gauges: &[Gauge]) -> String {
        let mut text = String::new();
        for Gauge { name, help, value } in gauges {
            head(&mut text, name, "gauge", help);
            line(&mut text, format_args!("{name} {value}"));
        }
        let now = self.connections.load(Ordering::Relaxed);
        head(&mut text, "casemate_http_connections", "gauge", "Open connections, without those that became streams.");
        line(&mut text, format_args!("casemate_http_connections {now}"));
        for (name, help, value) in [
            ("casemate_http_connections_refused_total", "Connections over the maximum.", &self.connections_refused),
            ("casemate_stream_cut_total", "Streams cut off because their reader was too slow.", &self.streams_cut),
        ] {
            head(&mut text, name, "counter", help);
            line(&mut text, format_args!("{name} {}", value.load(Ordering::Relaxed)));
        }
        self.render_requests(&mut text);
        text
    }

    fn render_requests(&self, text: &mut String) {
        let name = "casemate_http_request_seconds";
        head(text, name, "histogram", "Time from a request's head to its answer.");
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (RequestKey { path, method, status }, latencies) in &requests {
            let labels = format!("path=\"{path}\",method=\"{method}\",status=\"{status}\"");
            let mut below = 0;
            for (bound_us, count) in BOUNDS_US.iter().zip(&latencies.counts) {
                below += count;
                line(text, format_args!("{name}_bucket{{{labels},le=\"{}\"}} {below}", seconds(*bound_us)));
            }
            let total: u64 = latencies.counts.iter().sum();
            line(text, format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {total}"));
            line(text, format_args!("{name}_sum{{{labels}}} {}", seconds(latencies.sum_us)));
            line(text, format_args!("{name}_count{{{labels}}} {total}"));
        }
    }
}

fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    line(text, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_count_everything_at_or_below_their_bound() {
        let metrics = Metrics::default();
        for ms in [1, 3, 30_000] {
            metrics.request("/v1/markets", "GET", 200, Duration::from_millis(ms));
        }
        let text = metrics.render(&[Gauge { name: "casemate_height", help: "Height.", value: 7 }]);
        let labels = "path=\"/v1/markets\",method=\"GET\",status=\"200\"";
        for expected in [
            "casemate_height 7".to_owned(),
            format!("casemate_http_request_seconds_bucket{{{labels},le=\"0.001000\"}} 1"),
            format!("casemate_http_request_seconds_bucket{{{labels},le=\"0.005000\"}} 2"),
            format!("casemate_http_request_seconds_bucket{{{labels},le=\"10.000000\"}} 2"),
            format!("casemate_http_request_seconds_bucket{{{labels},le=\"+Inf\"}} 3"),
            format!("casemate_http_request_seconds_sum{{{labels}}} 30.004000"),
        ] {
            assert!(text.lines().any(|line| line == expected), "{expected} in\n{text}");
        }
    }
}
