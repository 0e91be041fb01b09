//! What a replay reports: for people, and as JSON whose fields are a stable interface (README, "Replay").

use std::fmt;
use std::time::Duration;

use casemate_protocol::RejectCode;
use serde_json::{Map, Value, json};

use super::driver::{Driver, Totals};
use crate::error::CliError;
use crate::order_flow::LOT_SATOSHI;
use crate::order_flow::comparison::{ComparisonReport, ShortfallCause};
use crate::order_flow::plan::PlanCounts;

/// The outcome of a replay.
pub struct ReplayReport {
    totals: Totals,
    comparison: ComparisonReport,
    height: u64,
    final_state_root: String,
    final_log_root: String,
    is_conserved: bool,
    counts: PlanCounts,
    elapsed: Duration,
}

impl ReplayReport {
    /// Checks the laws on the final state, closes the node and sums up.
    ///
    /// # Errors
    /// The machine failed while closing.
    pub fn of(driver: Driver<'_>, elapsed: Duration) -> Result<Self, CliError> {
        let replica = driver.node.replica();
        let report = Self {
            comparison: driver.comparison.report(),
            counts: driver.plan.counts.clone(),
            height: driver.node.height(),
            final_state_root: replica.state_root().to_string(),
            final_log_root: replica.log().root().to_string(),
            is_conserved: replica.ledger().check_laws_from_rows().is_empty(),
            elapsed,
            totals: driver.totals,
        };
        driver.node.close()?;
        Ok(report)
    }

    /// The report as one JSON object.
    pub fn json(&self) -> Value {
        let refusals: Map<String, Value> =
            self.totals.refusals.iter().map(|(code, count)| (code.to_string(), json!(count))).collect();
        let shortfall: Map<String, Value> = self
            .comparison
            .shortfall_satoshi
            .iter()
            .map(|(cause, satoshi)| (cause.sentence().to_owned(), json!(satoshi)))
            .collect();
        let best = &self.comparison.best_prices;
        json!({
            "final_state_root": self.final_state_root,
            "final_log_root": self.final_log_root,
            "height": self.height,
            "envelopes": self.totals.envelopes,
            "commands": self.totals.commands,
            "refusals": refusals,
            "trades": self.totals.trades,
            "filled_volume_ratio": self.comparison.filled_volume_ratio(),
            "recorded_satoshi": self.comparison.recorded_satoshi,
            "replayed_satoshi": self.comparison.replayed_satoshi,
            "beyond_record_satoshi": self.comparison.beyond_record_satoshi,
            "shortfall_satoshi": shortfall,
            "best_prices": {
                "compared": best.compared,
                "bids_equal": best.bids_equal,
                "asks_equal": best.asks_equal,
                "left_out_crossed": best.crossed,
            },
            "record": self.counts_json(),
            "conservation_ok": self.is_conserved,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "commands_per_s": self.commands_per_s(),
        })
    }

    /// What was found in the file, so that nothing is left out silently.
    fn counts_json(&self) -> Value {
        let counts = &self.counts;
        let not_sent: Map<String, Value> = counts
            .not_sent
            .iter()
            .map(|(reason, count)| (ShortfallCause::NotSent(*reason).sentence().to_owned(), json!(count)))
            .collect();
        json!({
            "created_rows": counts.created_rows,
            "changed_rows": counts.changed_rows,
            "deleted_rows": counts.deleted_rows,
            "fill_rows": counts.fill_rows,
            "opening_orders": counts.opening_orders,
            "opening_orders_inferred": counts.opening_orders_inferred,
            "orders_placed": counts.orders_placed,
            "orders_repriced": counts.orders_repriced,
            "cancels": counts.cancels,
            "rounded_off_satoshi": counts.remainder_satoshi,
            "orders_not_sent": not_sent,
            "rows_without_meaning": counts.contradictions.values().sum::<u64>(),
        })
    }

    fn commands_per_s(&self) -> f64 {
        self.totals.commands_this_run as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bitcoin = |satoshi: u64| satoshi as f64 / 1e8;
        writeln!(f, "final state root  {}", self.final_state_root)?;
        writeln!(f, "final log root    {}", self.final_log_root)?;
        let counts = &self.counts;
        writeln!(
            f,
            "record            {} created, {} changed, {} deleted; {} orders of the opening book, {} rows without meaning",
            counts.created_rows,
            counts.changed_rows,
            counts.deleted_rows,
            counts.opening_orders,
            counts.contradictions.values().sum::<u64>(),
        )?;
        let Totals { envelopes, commands, trades, blocks_found, .. } = self.totals;
        writeln!(f, "blocks            {} ({blocks_found} of them from an earlier run)", self.height)?;
        writeln!(f, "envelopes         {envelopes} with {commands} commands, {trades} trades")?;
        for (code, count) in &self.totals.refusals {
            let name = RejectCode::from_number(*code).map_or("unknown", RejectCode::name);
            writeln!(f, "  refused         {count} with {code} {name}")?;
        }
        let comparison = &self.comparison;
        writeln!(
            f,
            "filled volume     {:.4} % of the record, order by order ({:.4} of {:.4} BTC, lots of {LOT_SATOSHI} satoshi)",
            100.0 * comparison.filled_volume_ratio(),
            bitcoin(comparison.matched_satoshi),
            bitcoin(comparison.recorded_satoshi),
        )?;
        for (cause, satoshi) in &comparison.shortfall_satoshi {
            writeln!(f, "  missing         {:.8} BTC: {}", bitcoin(*satoshi), cause.sentence())?;
        }
        let best = &comparison.best_prices;
        writeln!(
            f,
            "best prices       {} samples: bid equal in {}, ask equal in {} ({} more left out: the record was crossed)",
            best.compared, best.bids_equal, best.asks_equal, best.crossed,
        )?;
        writeln!(f, "conservation      {}", if self.is_conserved { "holds, row by row" } else { "BROKEN" })?;
        writeln!(f, "elapsed           {:.2} s, {:.0} commands/s", self.elapsed.as_secs_f64(), self.commands_per_s())
    }
}
