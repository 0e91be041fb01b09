//! What a price replay reports: for people, and as JSON whose fields are a stable interface (README).

use std::fmt;
use std::time::Duration;

use casemate_ledger::Ledger;
use casemate_ledger::risk::Risk;
use casemate_protocol::policy::Tier;
use casemate_protocol::{RejectCode, TimeMs};
use serde_json::{Map, Value, json};

use super::cast::Actor;
use super::driver::{Driver, StageTimes};
use super::options::{AssetClass, Preset};
use super::scene::PPM;
use super::scrutiny::{TierMove, WITHDRAWAL_QUOTE_MICROS};
use super::tally::{Liquidated, RegimeTransition, Totals, Transition};
use super::venue::{MAKERS, Place, SEGMENT};
use crate::error::CliError;

/// What was replayed.
pub struct Subject {
    /// Kind of asset.
    pub class: AssetClass,
    /// How well the venue was insured.
    pub preset: Preset,
    /// First millisecond of the named time.
    pub named_from_ms: u64,
    /// Minutes of the named time.
    pub minutes: u64,
    /// Minutes before it.
    pub warm_up_minutes: u64,
    /// Whether these begin a whole day before.
    pub has_whole_warm_up: bool,
    /// Whether the file has volumes.
    pub has_volume: bool,
    /// Gaps, those of the warm-up included.
    pub gaps: u64,
    /// Volume of the named time in the size of the venue, micro-quote.
    pub recorded_micros: u64,
}

/// The outcome of a price replay.
pub struct PriceReport {
    subject: Subject,
    totals: Totals,
    liquidated: Liquidated,
    tier_moves: Vec<TierMove>,
    money: Money,
    height: u64,
    final_state_root: String,
    final_log_root: String,
    is_conserved: bool,
    law_checks: u64,
    envelopes: u64,
    blocks_found: u64,
    times: StageTimes,
    elapsed: Duration,
}

/// Where the money is at the end, micro-quote: what each group has more than it paid in, or less.
#[derive(Clone, Copy, Debug, Default)]
pub struct Money {
    crowd: i128,
    makers: i128,
    backstop: i128,
    insurance: i128,
    fees: i128,
    uncovered: i128,
    vault: i128,
    /// Accounts that have a row.
    accounts: u64,
}

impl Money {
    fn of(ledger: &Ledger, crowd: u64) -> Self {
        let Some(segment) = ledger.segment(SEGMENT) else { return Self::default() };
        let risk = Risk::new(segment.markets(), ledger.chain().waiting_ms);
        let result = |actor: Actor| {
            let row = segment.sub_account(actor.account(Place::ALONE.late_offices));
            row.map_or(0, |row| i128::from(risk.health(row).equity) - i128::from(row.net_deposits().micros()))
        };
        let totals = segment.totals();
        Self {
            crowd: (0..crowd).map(|index| result(Actor::Trader(index))).sum(),
            makers: (0..MAKERS).map(|index| result(Actor::Maker(index))).sum(),
            backstop: result(Actor::Backstop(Place::ALONE.backstop)),
            insurance: totals.insurance,
            fees: totals.fees_validators + totals.fees_venue,
            uncovered: totals.uncovered,
            vault: totals.vault(),
            accounts: crowd + MAKERS + 1,
        }
    }

    /// What one has lost another has gained; nothing else is left but rounding, against each account.
    const fn unexplained(&self) -> i128 {
        self.crowd + self.makers + self.backstop + self.insurance + self.fees - self.uncovered
    }

    /// Value and funding of a position are each rounded against its account.
    const fn is_explained(&self) -> bool {
        self.unexplained() <= 0 && self.unexplained() >= -(ROUNDING_MICROS * self.accounts as i128)
    }
}

/// What rounding may take of one account, micro-quote.
const ROUNDING_MICROS: i128 = 2;

impl PriceReport {
    /// Checks the laws on the final state, closes the node and sums up.
    ///
    /// # Errors
    /// The machine failed while closing.
    pub fn of(driver: Driver, subject: Subject, elapsed: Duration) -> Result<Self, CliError> {
        let replica = driver.node.replica();
        let crowd = replica.ledger().genesis().seeded.map_or(0, |seeded| seeded.count.saturating_sub(MAKERS));
        let report = Self {
            subject,
            liquidated: driver.tally.liquidated(),
            tier_moves: driver.tally.scrutiny.moves().to_vec(),
            money: Money::of(replica.ledger(), crowd),
            height: driver.node.height(),
            final_state_root: replica.state_root().to_string(),
            final_log_root: replica.log().root().to_string(),
            is_conserved: driver.is_conserved,
            law_checks: driver.law_checks,
            envelopes: driver.envelopes,
            blocks_found: driver.blocks_found,
            times: driver.times,
            totals: driver.tally.totals,
            elapsed,
        };
        driver.node.close()?;
        Ok(report)
    }

    /// The report as one JSON object.
    pub fn json(&self) -> Value {
        let totals = &self.totals;
        let refusals: Map<String, Value> =
            totals.refusals.iter().map(|(code, count)| (code.to_string(), json!(count))).collect();
        let mut report = json!({
            "final_state_root": self.final_state_root,
            "final_log_root": self.final_log_root,
            "height": self.height,
            "envelopes": self.envelopes,
            "commands": totals.commands,
            "refusals": refusals,
            "trades": totals.trades,
            "conservation_ok": self.is_conserved && self.money.is_explained(),
            "conservation_checks": self.law_checks,
            "elapsed_s": self.elapsed.as_secs_f64(),
            "commands_per_s": self.totals.commands as f64 / self.elapsed.as_secs_f64().max(1e-9),
        });
        let of_prices = json!({
            "asset_class": self.subject.class.name(),
            "preset": self.subject.preset.name(),
            "named_from_ms": self.subject.named_from_ms,
            "named_minutes": self.subject.minutes,
            "warm_up_minutes": self.subject.warm_up_minutes,
            "gaps": self.subject.gaps,
            "liquidations": totals.liquidations,
            "liquidation_steps": totals.liquidation_steps,
            "takeovers": totals.takeovers,
            "deleveragings": totals.deleveragings,
            "insurance_used_micros": totals.insurance_used_micros,
            "deficit_micros": totals.deficit_micros,
            "deficit_repaid_micros": totals.deficit_repaid_micros,
            "crowd_peak_open_interest_micros": totals.crowd_peak_open_interest_micros,
            "liquidated_micros": self.liquidated.all_micros,
            "liquidated_share_ppm": self.share_ppm(self.liquidated.all_micros),
            "liquidated_worst_hour_share_ppm": self.share_ppm(self.liquidated.worst_hour_micros),
            "liquidated_worst_hour_from_ms": self.liquidated.worst_hour_from_ms,
            "liquidated_days_share_ppm": self.days_share_ppm(),
            "traded_micros": totals.traded_micros,
            "recorded_micros": self.subject.recorded_micros,
            "breaker_transitions": totals.breaker_transitions.iter().map(transition_json).collect::<Vec<_>>(),
            "regime_transitions": totals.regime_transitions.iter().map(regime_json).collect::<Vec<_>>(),
            "tier_moves": self.tier_moves.iter().map(tier_json).collect::<Vec<_>>(),
            "result_micros": self.money.json(),
            "stages_us_per_block": self.stages_json(),
        });
        if let (Value::Object(report), Value::Object(of_prices)) = (&mut report, of_prices) {
            report.extend(of_prices);
        }
        report
    }

    /// A part of the crowd's peak open interest; none of it if there was none.
    fn share_ppm(&self, micros: u64) -> u64 {
        let product = u128::from(micros) * u128::from(PPM);
        let share = product.checked_div(u128::from(self.totals.crowd_peak_open_interest_micros)).unwrap_or(0);
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    fn days_share_ppm(&self) -> Vec<u64> {
        self.liquidated.days_micros.iter().map(|micros| self.share_ppm(*micros)).collect()
    }

    fn stages(&self) -> [(&'static str, f64); 6] {
        let blocks = self.height.saturating_sub(self.blocks_found).max(1) as f64;
        let of = |time: Duration| time.as_secs_f64() * 1e6 / blocks;
        let StageTimes { prices, decisions, signing, checking, blocks, sums } = self.times;
        [
            ("waiting_for_prices", of(prices)),
            ("decisions", of(decisions)),
            ("signing", of(signing)),
            ("checking", of(checking)),
            ("blocks", of(blocks)),
            ("sums", of(sums)),
        ]
    }

    fn stages_json(&self) -> Value {
        Value::Object(self.stages().into_iter().map(|(name, us)| (name.to_owned(), json!(us))).collect())
    }
}

impl PriceReport {
    fn fmt_liquidation(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, totals) = (&self.subject, &self.totals);
        let per_cent = |ppm: u64| ppm as f64 / 1e4;
        let (traded, recorded) = (i128::from(totals.traded_micros), i128::from(subject.recorded_micros));
        writeln!(
            f,
            "traded            {:.0} (the record in this venue's size: {:.0})",
            quote(traded),
            quote(recorded)
        )?;
        let peak = i128::from(totals.crowd_peak_open_interest_micros);
        writeln!(f, "open interest     {:.0} at the crowd's peak", quote(peak))?;
        let Liquidated { all_micros, worst_hour_micros, worst_hour_from_ms, .. } = &self.liquidated;
        let (all_ppm, hour_ppm) = (self.share_ppm(*all_micros), self.share_ppm(*worst_hour_micros));
        writeln!(f, "liquidated        {:.2} % of it, {} accounts", per_cent(all_ppm), totals.liquidations)?;
        writeln!(f, "  worst hour      {:.2} %, from {}", per_cent(hour_ppm), clock(*worst_hour_from_ms))?;
        let days: Vec<String> = self.days_share_ppm().into_iter().map(|ppm| format!("{:.2}", per_cent(ppm))).collect();
        writeln!(f, "  by day          {} %", days.join(", "))?;
        writeln!(f, "  to the backstop {} positions; {} deleveragings", totals.takeovers, totals.deleveragings)?;
        writeln!(f, "insurance used    {:.2}", quote(i128::from(totals.insurance_used_micros)))?;
        let (deficit, repaid) = (i128::from(totals.deficit_micros), i128::from(totals.deficit_repaid_micros));
        writeln!(f, "uncovered losses  {:.2}, {:.2} of them repaid", quote(deficit), quote(repaid))?;
        for Transition { moved, block_time_ms } in &totals.breaker_transitions {
            let (from, to, cause) = (moved.from.name(), moved.to.name(), moved.cause.name());
            writeln!(f, "breaker           {} {from} to {to}: {cause}", clock(*block_time_ms))?;
        }
        for RegimeTransition { moved, block_time_ms } in &totals.regime_transitions {
            let (from, to, cause) = (moved.from.name(), moved.to.name(), moved.cause.name());
            writeln!(f, "regime            {} {from} to {to}: {cause}", clock(*block_time_ms))?;
        }
        for TierMove { from, to, state, regime, block_time_ms } in &self.tier_moves {
            let (from, to, amount) = (tier_name(*from), tier_name(*to), quote(WITHDRAWAL_QUOTE_MICROS.into()));
            let (time, state, regime) = (clock(*block_time_ms), state.name(), regime.name());
            writeln!(f, "tier of {amount:.0}      {time} {from} to {to}: breaker {state}, regime {regime}")?;
        }
        Ok(())
    }
}

/// Whole quote.
fn quote(micros: i128) -> f64 {
    micros as f64 / 1e6
}

impl Money {
    fn json(&self) -> Value {
        // Exact in decimal text, whatever their size.
        let text = |micros: i128| micros.to_string();
        json!({
            "crowd": text(self.crowd),
            "makers": text(self.makers),
            "backstop": text(self.backstop),
            "insurance": text(self.insurance),
            "fees": text(self.fees),
            "uncovered": text(self.uncovered),
            "vault": text(self.vault),
            "unexplained": text(self.unexplained()),
        })
    }
}

fn regime_json(transition: &RegimeTransition) -> Value {
    let moved = &transition.moved;
    json!({
        "market": moved.market.number(),
        "from": moved.from.name(),
        "to": moved.to.name(),
        "cause": moved.cause.name(),
        "figure_ppm": moved.figure_ppm,
        "block_time_ms": transition.block_time_ms,
    })
}

fn tier_json(moved: &TierMove) -> Value {
    json!({
        "amount_quote_micros": WITHDRAWAL_QUOTE_MICROS,
        "from": tier_name(moved.from),
        "to": tier_name(moved.to),
        "breaker": moved.state.name(),
        "regime": moved.regime.name(),
        "block_time_ms": moved.block_time_ms,
    })
}

/// What is enough, in the words of policies.
const fn tier_name(tier: Option<Tier>) -> &'static str {
    match tier {
        Some(tier) => tier.name(),
        None => "nothing is enough",
    }
}

fn transition_json(transition: &Transition) -> Value {
    let moved = &transition.moved;
    json!({
        "segment": moved.segment.number(),
        "from": moved.from.name(),
        "to": moved.to.name(),
        "cause": moved.cause.name(),
        "figure": moved.figure,
        "block_time_ms": transition.block_time_ms,
    })
}

impl fmt::Display for PriceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (subject, totals) = (&self.subject, &self.totals);
        writeln!(f, "final state root  {}", self.final_state_root)?;
        writeln!(f, "final log root    {}", self.final_log_root)?;
        let (class, preset) = (subject.class.name(), subject.preset.name());
        writeln!(f, "venue             {class}, preset {preset} (--class and --preset change them)")?;
        writeln!(f, "named time        {} minutes from {}", subject.minutes, clock(subject.named_from_ms))?;
        let short = if subject.has_whole_warm_up { "" } else { ", less than a day: the file begins there" };
        writeln!(f, "  warm-up         {} minutes{short}", subject.warm_up_minutes)?;
        writeln!(f, "  gaps            {} (in them nobody publishes or trades)", subject.gaps)?;
        if !subject.has_volume {
            writeln!(f, "  volume          not in the file: made from each minute's range")?;
        }
        writeln!(f, "blocks            {} ({} of them from an earlier run)", self.height, self.blocks_found)?;
        writeln!(
            f,
            "envelopes         {} with {} commands, {} trades",
            self.envelopes, totals.commands, totals.trades
        )?;
        for (code, count) in &totals.refusals {
            let name = RejectCode::from_number(*code).map_or("unknown", RejectCode::name);
            writeln!(f, "  refused         {count} with {code} {name}")?;
        }
        self.fmt_liquidation(f)?;
        let money = &self.money;
        writeln!(
            f,
            "result            crowd {:.2}, makers {:.2}, backstop {:.2}",
            quote(money.crowd),
            quote(money.makers),
            quote(money.backstop)
        )?;
        writeln!(
            f,
            "  left            insurance {:.2}, fees {:.2}, uncovered {:.2}, vault {:.2}",
            quote(money.insurance),
            quote(money.fees),
            quote(money.uncovered),
            quote(money.vault)
        )?;
        let holds = if self.is_conserved { "holds" } else { "BROKEN" };
        writeln!(f, "conservation      {holds}, row by row, in {} checks", self.law_checks)?;
        let explained = if money.is_explained() { "rounding" } else { "UNEXPLAINED" };
        writeln!(f, "  unexplained     {:.6}: {explained}", quote(money.unexplained()))?;
        writeln!(f, "elapsed           {:.2} s", self.elapsed.as_secs_f64())?;
        for (name, us) in self.stages() {
            writeln!(f, "  {:<16}{us:.0} µs a block", name.replace('_', " "))?;
        }
        Ok(())
    }
}

/// `2021-05-19 13:10:00 UTC`.
fn clock(time_ms: u64) -> String {
    casemate_world::klines::utc_text(TimeMs::from_ms(time_ms).ms())
}
