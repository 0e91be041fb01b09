//! One row: what it measures, and how.

use std::path::Path;
use std::time::Instant;

use casemate_node::Threads;
use casemate_protocol::hash::{self, Domain};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};

use super::engine::{self, Chain, EngineRun, Load};
use super::keys::SeededKeyCache;
use super::workload::Workload;
use super::{latency, memory};
use crate::error::CliError;

/// What a row reports.
pub type RowResult = Value;

/// What a row measures.
#[derive(Clone, Debug)]
pub struct RowPlan {
    /// Its name.
    pub name: String,
    /// What kind of row it is.
    pub kind: RowKind,
    /// Cores that the process is pinned to.
    pub cores: usize,
    /// Commands in each envelope.
    pub commands_per_envelope: usize,
    /// Seeded accounts.
    pub accounts: u64,
    /// Markets.
    pub markets: u16,
    /// Envelopes measured in each of the turns.
    pub envelopes_per_turn: usize,
    /// Turns.
    pub turns: usize,
    /// Seconds of load at half of peak; 0 leaves latency out.
    pub latency_s: u64,
}

/// Throughput and latency, or memory and restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// Raw verification and the engine.
    Engine,
    /// Bytes per account and per resting order, and the time to restart.
    Memory,
}

impl RowPlan {
    /// Every row.
    pub fn all(is_quick: bool) -> Vec<Self> {
        let mut plans = Vec::new();
        let sizes: &[(u64, u16)] =
            if is_quick { &[(100_000, 4)] } else { &[(1_000_000, 4), (1_000_000, 64), (1_000, 4), (1_000, 64)] };
        for &(accounts, markets) in sizes {
            for cores in [1, 2] {
                for commands_per_envelope in [1, 32] {
                    plans.push(Self::engine(accounts, markets, cores, commands_per_envelope, is_quick));
                }
            }
        }
        let accounts = if is_quick { 100_000 } else { 1_000_000 };
        plans.push(Self {
            name: format!("memory accounts={accounts}"),
            kind: RowKind::Memory,
            ..Self::engine(accounts, 4, 2, 1, is_quick)
        });
        plans
    }

    /// The cheapest engine row, for measurements that only need its chain.
    pub fn smallest() -> Self {
        Self::engine(1_000, 4, 2, 1, true)
    }

    fn engine(accounts: u64, markets: u16, cores: usize, commands_per_envelope: usize, is_quick: bool) -> Self {
        // Long turns: what fills and drains the pipeline counts for little, as in a venue that runs all day.
        let envelopes = if commands_per_envelope == 1 { 32_768 * cores * cores } else { 3_072 * cores };
        Self {
            name: format!(
                "engine commands={commands_per_envelope} accounts={accounts} markets={markets} cores={cores}"
            ),
            kind: RowKind::Engine,
            cores,
            commands_per_envelope,
            accounts,
            markets,
            envelopes_per_turn: if is_quick { envelopes / 2 } else { envelopes },
            turns: if is_quick { 3 } else { 5 },
            latency_s: if is_quick { 1 } else { 4 },
        }
    }
}

/// Runs a row in this process.
pub fn run(plan: &RowPlan, seed: u64, dir: &Path) -> Result<RowResult, CliError> {
    let seed = hash::digest(Domain::Development, &[b"bench", &seed.to_le_bytes()]).0;
    let keys = SeededKeyCache::open(dir, &seed, plan.accounts)?;
    match plan.kind {
        RowKind::Memory => memory::run(plan, seed, &keys, dir),
        RowKind::Engine => run_engine(plan, seed, &keys, dir),
    }
}

fn run_engine(plan: &RowPlan, seed: [u8; 32], keys: &SeededKeyCache, dir: &Path) -> Result<RowResult, CliError> {
    let mut chain = Chain::create(plan, seed, keys, &dir.join("chain"))?;
    let mut workload = Workload::new(plan, seed, chain.chain_id());
    // Signing is not measured and may use every core; everything after it runs on the row's cores alone.
    let warm_up = workload.opening(&chain);
    chain.run(&warm_up, &mut EngineRun::default())?;
    let mut loads: Vec<Load> = (0..plan.turns).map(|_| workload.next(plan.envelopes_per_turn, &chain)).collect();
    pin(plan.cores)?;
    let threads = Threads::new(plan.cores).map_err(|error| CliError::defect(error.to_string()))?;
    let mut run = EngineRun::default();
    let (mut raw_rates, mut engine_rates) = (Vec::new(), Vec::new());
    for load in &mut loads {
        raw_rates.push(engine::raw_verification_rate(load, &threads)?);
        engine_rates.push(chain.run(load, &mut run)?);
    }
    let raw_per_s = median(&mut raw_rates);
    let engine_per_s = median(&mut engine_rates);
    let peak = engine_per_s;
    let resting_orders_per_market_min = chain.resting_orders_per_market_min();
    let latencies = if plan.latency_s > 0 {
        let count = (peak / 2.0 * plan.latency_s as f64) as usize;
        let load = workload.next(count.max(1_000), &chain);
        latency::at_rate(chain, load, peak / 2.0)?
    } else {
        chain.close()?;
        latency::Latencies::default()
    };
    let commands = plan.commands_per_envelope as f64;
    Ok(json!({
        "name": plan.name,
        "cores": plan.cores,
        "commands_per_envelope": plan.commands_per_envelope,
        "accounts": plan.accounts,
        "markets": plan.markets,
        "raw_per_s": raw_per_s,
        "engine_per_s": engine_per_s,
        "ratio": engine_per_s / raw_per_s,
        "commands_per_s": engine_per_s * commands / plan.cores as f64,
        "receipt_p50_ms": latencies.p50_ms(),
        "receipt_p99_ms": latencies.p99_ms(),
        "receipt_rate_per_s": peak / 2.0,
        "fills_per_command": run.trades as f64 / run.commands as f64,
        "refused_share": run.refused as f64 / run.commands as f64,
        "refusals": run.refusals,
        "resting_orders_per_market_min": resting_orders_per_market_min,
        "blocks": run.blocks,
        "stages_ns_per_command": run.stages_ns_per_command(),
        "durable": true,
        "signature_backend": signature_backend(),
    }))
}

/// Pins every thread that is started from now on, and this one.
pub fn pin(cores: usize) -> Result<(), CliError> {
    let mut set = CpuSet::new();
    (0..cores).for_each(|core| set.set(core));
    // The process's threads inherit the affinity of the one that starts them; those that run already are pinned here.
    let tasks = std::fs::read_dir("/proc/self/task").map_err(|error| CliError::defect(error.to_string()))?;
    for task in tasks.flatten() {
        let id = task.file_name().to_string_lossy().parse::<i32>().ok();
        let id = id.and_then(rustix::process::Pid::from_raw);
        sched_setaffinity(id, &set).map_err(|error| {
            CliError::new(format!("cannot pin to {cores} cores: {error}"), "run on a machine with that many cores")
        })?;
    }
    Ok(())
}

fn signature_backend() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512ifma") && std::arch::is_x86_feature_detected!("avx512vl") {
            return "avx512ifma";
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return "avx2";
        }
    }
    "serial"
}

/// The middle value.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Times one piece of work in seconds.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed().as_secs_f64())
}
