//! Memory of idle accounts and resting orders, and the time to restart from a snapshot.

use std::path::Path;

use casemate_node::keeper::KeeperOptions;
use casemate_node::{Node, NodeOptions, SecretSource};
use serde_json::json;

use super::engine::{Chain, EngineRun};
use super::keys::SeededKeyCache;
use super::row::{RowPlan, RowResult, timed};
use super::workload::Workload;
use crate::error::CliError;

/// Runs the row: a chain of accounts without positions, then a chain under orders, then a restart.
pub fn run(plan: &RowPlan, seed: [u8; 32], keys: &SeededKeyCache, dir: &Path) -> Result<RowResult, CliError> {
    let folder = dir.join("chain");
    let before_bytes = resident_bytes();
    let chain = Chain::create_idle(plan, seed, keys, &folder)?;
    let idle_bytes = resident_bytes().saturating_sub(before_bytes);
    let mut chain = chain;
    let mut workload = Workload::new(plan, seed, chain.chain_id());
    let loads: Vec<_> = (0..OPENINGS).map(|_| workload.opening(&chain)).collect();
    let before_orders_bytes = resident_bytes();
    for load in &loads {
        chain.run(load, &mut EngineRun::default())?;
    }
    let order_bytes = resident_bytes().saturating_sub(before_orders_bytes);
    let orders =
        chain.node.replica().ledger().segments().iter().map(|segment| segment.orders().live_count()).sum::<u64>();
    let (path, snapshot_s) = timed(|| chain.node.snapshot());
    let snapshot_bytes = std::fs::metadata(path?).map_or(0, |metadata| metadata.len());
    let root = *chain.node.replica().state_root();
    chain.node.close()?;
    let options = NodeOptions {
        threads: plan.cores,
        keeper: KeeperOptions { sync_every_blocks: 1, index_envelopes: false },
        secrets: SecretSource::Seeded(seed),
    };
    let (opened, restart_s) = timed(|| Node::open(&folder, options));
    let (node, report) = opened?;
    if *node.replica().state_root() != root || report.blocks_replayed > 0 {
        return Err(CliError::defect("the restarted node is not where the first one ended".to_owned()));
    }
    node.close()?;
    std::fs::remove_dir_all(&folder).map_err(|error| super::cannot("delete", &folder, &error))?;
    Ok(json!({
        "name": plan.name,
        "cores": plan.cores,
        "accounts": plan.accounts,
        "bytes_per_idle_account": idle_bytes as f64 / plan.accounts as f64,
        "bytes_per_resting_order": order_bytes as f64 / orders.max(1) as f64,
        "resting_orders": orders,
        "snapshot_s": snapshot_s,
        "snapshot_bytes": snapshot_bytes,
        "restart_s": restart_s,
    }))
}

/// Times that the opening book is placed, so that orders outweigh what else grows.
const OPENINGS: usize = 32;

/// Resident memory of this process.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split_whitespace().nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size() as u64
}
