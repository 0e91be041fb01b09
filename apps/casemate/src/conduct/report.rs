//! What the evaluation says: for people, and as JSON.

use std::fmt;
use std::path::Path;

use casemate_ledger::conduct::Detector;
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde_json::{Value, json};

use super::calm::MonthFound;
use super::injection::{EPISODES, Kind, Schedule};
use super::pumps::Pump;
use super::stage::Played;

/// Share of honest orders that a block may touch (R§4.5), in parts per million.
const BUDGET_PPM: f64 = 10.0;

/// Everything that was found.
#[derive(Default)]
pub struct Report {
    pub seed: u64,
    pub pumps: Vec<Pump>,
    /// By size of the crowd.
    pub calm_flow: Vec<(u64, Played)>,
    pub injected: Vec<Injected>,
    pub months: Vec<MonthFound>,
    pub skipped: Vec<String>,
}

/// What came of injecting one kind at one strength.
pub struct Injected {
    kind: Kind,
    strength_percent: u64,
    /// Accounts that did it, and how many of them were found by the detector that is to find them.
    guilty: u64,
    found: u64,
    /// Accounts of the record that the same detector told of.
    honest_told: u64,
    detection_ms: Vec<u64>,
    injected_orders: u64,
    injected_blocked: u64,
}

impl Injected {
    /// Holds what was told against what was injected.
    pub fn of(kind: Kind, strength_percent: u64, schedule: &Schedule, played: &Played) -> Self {
        let detector = kind.detector();
        let mut detection_ms = Vec::new();
        let mut guilty = 0;
        for (begins, accounts) in &schedule.episodes {
            for account in accounts {
                guilty += 1;
                detection_ms.extend(played.first_alert(*account, detector).map(|at| at.saturating_sub(*begins)));
            }
        }
        detection_ms.sort_unstable();
        Self {
            kind,
            strength_percent,
            guilty,
            found: detection_ms.len() as u64,
            honest_told: played.honest_told(detector).len() as u64,
            detection_ms,
            injected_orders: played.injected_orders,
            injected_blocked: played.injected_blocked,
        }
    }

    fn json(&self) -> Value {
        json!({
            "kind": self.kind.name(),
            "detector": self.kind.detector().name(),
            "labels": "synthetic",
            "strength_percent": self.strength_percent,
            "accounts": self.guilty,
            "found": self.found,
            "recall": share(self.found, self.guilty),
            "precision": share(self.found, self.found + self.honest_told),
            "honest_accounts_told": self.honest_told,
            "median_detection_ms": median(&self.detection_ms),
            "injected_orders": self.injected_orders,
            "injected_orders_blocked": self.injected_blocked,
        })
    }
}

impl Report {
    /// Says that a part is left out.
    pub fn skip(&mut self, data: &Path, name: &str) {
        let reason = format!("the recorded data `{}` is not there", data.join(name).display());
        eprintln!("skipped: {reason}");
        self.skipped.push(reason);
    }

    /// The report as one JSON object.
    pub fn json(&self) -> Value {
        let pump = |pump: &Pump| {
            json!({
                "coin": pump.coin,
                "trades": pump.trades,
                "hours": pump.hours,
                "detected_ms": pump.detected_ms,
                "false_episodes": pump.false_episodes,
            })
        };
        let calm = |(crowd, played): &(u64, Played)| {
            let told: serde_json::Map<String, Value> = Detector::ALL
                .into_iter()
                .map(|detector| (detector.name().to_owned(), json!(played.honest_told(detector).len())))
                .collect();
            json!({
                "crowd": crowd,
                "labels": "none: everybody counts as honest, owners are guessed",
                "orders": played.honest_orders,
                "trades": played.trades,
                "observations": played.observations,
                "accounts_told": told,
                "orders_in_band": played.honest_in_band,
                "orders_blocked": played.honest_blocked,
            })
        };
        let month =
            |month: &MonthFound| json!({ "name": month.name, "minutes": month.minutes, "alerts": month.alerts });
        json!({
            "seed": self.seed,
            "pumps": { "labels": "recorded", "events": self.pumps.iter().map(pump).collect::<Vec<_>>() },
            "injected": self.injected.iter().map(Injected::json).collect::<Vec<_>>(),
            "calm_flow": self.calm_flow.iter().map(calm).collect::<Vec<_>>(),
            "months": self.months.iter().map(month).collect::<Vec<_>>(),
            "skipped": self.skipped,
        })
    }

    fn fmt_pumps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pumps.is_empty() {
            return Ok(());
        }
        writeln!(f, "Pumps: real labels, real trades without accounts; detector D4 pump")?;
        let mut table = table(&["coin", "trades", "hours", "detected after", "false episodes"]);
        for pump in &self.pumps {
            let after = pump.detected_ms.map_or_else(|| "missed".to_owned(), |ms| format!("{:.1} s", ms as f64 / 1e3));
            let cells = [pump.trades.to_string(), pump.hours.to_string(), after, pump.false_episodes.to_string()];
            table.add_row(std::iter::once(pump.coin.clone()).chain(cells));
        }
        writeln!(f, "{table}")?;
        let mut detected: Vec<i64> = self.pumps.iter().filter_map(|pump| pump.detected_ms).collect();
        detected.sort_unstable();
        let (found, all) = (detected.len() as u64, self.pumps.len() as u64);
        let wrong: u64 = self.pumps.iter().map(|pump| pump.false_episodes).sum();
        let median =
            detected.get(detected.len() / 2).map_or_else(|| "-".to_owned(), |ms| format!("{:.1} s", *ms as f64 / 1e3));
        writeln!(
            f,
            "recall {found} of {all}, precision {found} of {}, median time to detection {median}; it names no account, so it \
             touches no order\n",
            found + wrong,
        )
    }

    fn fmt_injected(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.injected.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "Injected: synthetic labels, {EPISODES} episodes each, among real order flow whose owners are guessed; recall is \
             on what the injector does"
        )?;
        let mut table = table(&[
            "injected",
            "strength",
            "detector",
            "recall",
            "precision",
            "median time",
            "injected orders blocked",
        ]);
        for row in &self.injected {
            let told = row.found + row.honest_told;
            let precision = if told == 0 { "-".to_owned() } else { format!("{} of {told}", row.found) };
            let time =
                median(&row.detection_ms).map_or_else(|| "-".to_owned(), |ms| format!("{:.0} s", ms as f64 / 1e3));
            table.add_row([
                row.kind.name().to_owned(),
                format!("{} %", row.strength_percent),
                row.kind.detector().name().to_owned(),
                format!("{} of {}", row.found, row.guilty),
                precision,
                time,
                format!("{} of {}", row.injected_blocked, row.injected_orders),
            ]);
        }
        writeln!(f, "{table}\n")
    }

    fn fmt_calm(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.calm_flow.is_empty() {
            writeln!(
                f,
                "Nothing injected: real order flow without labels, so everybody counts as honest; owners guessed for crowds of \
                 three sizes"
            )?;
            let mut table = table(&[
                "crowd",
                "orders",
                "accounts told",
                "orders in band 1",
                "band 2",
                "band 3",
                "orders blocked",
                "of budget 10⁻⁵",
            ]);
            for (crowd, played) in &self.calm_flow {
                let told = Detector::ALL.into_iter().filter_map(|detector| {
                    let count = played.honest_told(detector).len();
                    (count > 0).then(|| format!("{}: {count}", detector.name()))
                });
                let told = told.collect::<Vec<_>>().join(", ");
                let blocked_ppm = 1e6 * played.honest_blocked as f64 / played.honest_orders.max(1) as f64;
                let [one, two, three] = played.honest_in_band.map(|count| count.to_string());
                table.add_row([
                    crowd.to_string(),
                    played.honest_orders.to_string(),
                    if told.is_empty() { "none".to_owned() } else { told },
                    one,
                    two,
                    three,
                    played.honest_blocked.to_string(),
                    if blocked_ppm <= BUDGET_PPM {
                        "within".to_owned()
                    } else {
                        format!("{:.1} times", blocked_ppm / BUDGET_PPM)
                    },
                ]);
            }
            writeln!(f, "{table}")?;
            writeln!(f, "a record of this size resolves no share below one order in its count\n")?;
        }
        if !self.months.is_empty() {
            writeln!(f, "Months of candles: no labels; trades inside a minute are guessed; detector D4 pump")?;
            let mut table = table(&["month", "minutes", "alerts"]);
            for month in &self.months {
                table.add_row([month.name.to_owned(), month.minutes.to_string(), month.alerts.to_string()]);
            }
            writeln!(f, "{table}\n")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_pumps(f)?;
        self.fmt_injected(f)?;
        self.fmt_calm(f)?;
        writeln!(
            f,
            "not evaluated here, for want of data: D4 ignition by account, D7, D8, D9 and surges of refusals; tests play them\n\
             seed {}",
            self.seed
        )
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header);
    table
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The middle one of sorted values.
fn median(sorted: &[u64]) -> Option<u64> {
    sorted.get(sorted.len() / 2).copied()
}
