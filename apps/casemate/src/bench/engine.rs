//! The engine under load, and the bare verification it is compared with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use casemate_gate::{Authenticated, Decoded, NoProofs, authenticate_batch};
use casemate_node::genesis_file::full_collateral_genesis;
use casemate_node::keeper::KeeperOptions;
use casemate_node::solo::{CLOSE_AT_BYTES, CLOSE_AT_ENVELOPES};
use casemate_node::{Node, NodeOptions, SecretSource, Threads};
use casemate_protocol::genesis::{Genesis, MarketRules, SeededAccounts};
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::parallel::Parallel;
use casemate_protocol::{
    BoundedVec, Digest, DurationMs, FeePpm, MarketId, PriceTicks, PublicKey, QuantityLots, QuoteMicros, RatioPpm,
    Reject, SegmentId, Side, SignatureBytes, TickValueMicros, TimeMs,
};
use casemate_replica::{StageTimer, Stages};
use ed25519_zebra::batch;
use serde_json::{Value, json};

use super::keys::SeededKeyCache;
use super::margin::{PUBLISH_EVERY_BLOCKS, Publishers, clear_on_margin};
use super::row::RowPlan;
use crate::error::CliError;

/// Envelopes that one piece of parallel work decodes, as in the sequencer.
const DECODED_PER_PIECE: usize = 256;
/// Signatures of one batch equation, on both sides of the comparison.
const EQUATION_SIGNATURES: usize = casemate_gate::authenticate::BATCH_SIGNATURES_MAX;

/// Signed envelopes as bytes, in the order in which they arrive.
#[derive(Clone, Default)]
pub struct Load {
    pub envelopes: Vec<Vec<u8>>,
    pub commands: u64,
}

/// What a run of the engine did.
#[derive(Default)]
pub struct EngineRun {
    pub commands: u64,
    pub refused: u64,
    pub refusals: BTreeMap<u16, u64>,
    pub trades: u64,
    pub blocks: u64,
    stages_ns: BTreeMap<&'static str, u64>,
}

/// A benchmark's chain: a node on disk, and its block time.
pub struct Chain {
    pub node: Node,
    dir: PathBuf,
    pub time_ms: TimeMs,
    publishers: Publishers,
    blocks: u64,
}

/// Lots that every seeded account holds, long or short.
const POSITION_LOTS: u64 = 1_000;
/// The price that every market starts at.
pub const START_PRICE_TICKS: u64 = 100_000;

impl Chain {
    /// Makes a chain with seeded accounts that hold positions, in an empty folder.
    pub fn create(plan: &RowPlan, seed: [u8; 32], keys: &SeededKeyCache, dir: &Path) -> Result<Self, CliError> {
        Self::create_with(plan, seed, keys, dir, POSITION_LOTS)
    }

    /// Makes a chain whose accounts have a root key, a live grant and a balance, and nothing else.
    pub fn create_idle(plan: &RowPlan, seed: [u8; 32], keys: &SeededKeyCache, dir: &Path) -> Result<Self, CliError> {
        Self::create_with(plan, seed, keys, dir, 0)
    }

    fn create_with(
        plan: &RowPlan,
        seed: [u8; 32],
        keys: &SeededKeyCache,
        dir: &Path,
        position_lots: u64,
    ) -> Result<Self, CliError> {
        if dir.exists() {
            std::fs::remove_dir_all(dir).map_err(|error| super::cannot("empty", dir, &error))?;
        }
        let genesis = genesis(plan, seed, position_lots)?;
        let options = NodeOptions {
            threads: plan.cores,
            keeper: KeeperOptions { sync_every_blocks: 1, index_envelopes: false },
            secrets: SecretSource::Seeded(seed),
        };
        let node = Node::create_with_keys(dir, &genesis, keys.iter(), options)?;
        let time_ms = node.replica().ledger().chain().time_ms;
        let publishers = Publishers::new(seed, *node.replica().ledger().chain_id(), &genesis);
        let mut chain = Self { node, dir: dir.to_owned(), time_ms, publishers, blocks: 0 };
        // Without a first price nobody could open a position.
        chain.run(&Load::default(), &mut EngineRun::default())?;
        Ok(chain)
    }

    /// What publishers say in a block, verified with the rest of it.
    fn prices(&mut self, time_ms: TimeMs, run: &mut EngineRun) -> Result<Vec<Authenticated>, CliError> {
        let is_due = self.blocks.is_multiple_of(PUBLISH_EVERY_BLOCKS);
        self.blocks += 1;
        if !is_due {
            return Ok(Vec::new());
        }
        let said = self.publishers.speak(time_ms);
        let (verified, ns) = verify(&said, &self.chain_id(), self.node.threads())?;
        *run.stages_ns.entry("verify").or_default() += ns;
        Ok(verified)
    }

    /// The chain id that envelopes are signed for.
    pub fn chain_id(&self) -> Digest {
        *self.node.replica().ledger().chain_id()
    }

    /// Block time moves with every block, as fast as a solo sequencer closes them.
    pub fn next_time(&mut self) -> TimeMs {
        self.time_ms = self.time_ms.plus(DurationMs::from_ms(5));
        self.time_ms
    }

    /// Runs a load from raw bytes to durable blocks. Returns envelopes per second.
    ///
    /// The next batch is decoded and verified while the last one is executed, as in the sequencer.
    pub fn run(&mut self, load: &Load, run: &mut EngineRun) -> Result<f64, CliError> {
        let started = Instant::now();
        let chain_id = self.chain_id();
        if load.envelopes.is_empty() {
            let time_ms = self.next_time();
            let prices = self.prices(time_ms, run)?;
            self.node.propose(prices, time_ms, &mut ())?;
        }
        let mut batches = closing_batches(&load.envelopes);
        let mut verified = match batches.next() {
            Some(first) => Some(verify(first, &chain_id, self.node.threads())?),
            None => None,
        };
        while let Some((mut ready, ns)) = verified.take() {
            *run.stages_ns.entry("verify").or_default() += ns;
            let next = batches.next();
            let time_ms = self.next_time();
            // Prices come first: a block that is full takes no more.
            ready.splice(0..0, self.prices(time_ms, run)?);
            let threads = self.node.shared_threads();
            let node = &mut self.node;
            let mut timer = Timer::default();
            let (proposed, ahead) = threads.join(
                || {
                    let proposed = node.propose(ready, time_ms, &mut timer);
                    timer.end(Instant::now());
                    proposed
                },
                || next.map(|batch| verify(batch, &chain_id, &threads)).transpose(),
            );
            let proposed = proposed?;
            timer.add_to(&mut run.stages_ns);
            verified = ahead?;
            run.blocks += 1;
            run.trades += proposed.executed.trades;
            for (_, reject, _) in &proposed.left_out {
                run.count_refusal(reject.code().number());
            }
            for outcome in &proposed.outcomes {
                for refusal in outcome.commands.iter().filter_map(|command| command.refusal) {
                    run.count_refusal(refusal.code().number());
                }
            }
        }
        self.node.keeper().wait_durable(self.node.height())?;
        run.commands += load.commands;
        Ok(load.envelopes.len() as f64 / started.elapsed().as_secs_f64())
    }

    /// Resting orders in the market that has fewest.
    pub fn resting_orders_per_market_min(&self) -> usize {
        let ledger = self.node.replica().ledger();
        let count = |market: &casemate_ledger::segment::Market, segment: &casemate_ledger::segment::Segment| {
            [Side::Bid, Side::Ask].map(|side| market.book().slots(side, segment.orders()).count()).iter().sum()
        };
        let segments = ledger.segments().iter();
        segments
            .flat_map(|segment| segment.markets().iter().map(move |market| count(market, segment)))
            .min()
            .unwrap_or(0)
    }

    /// Where the node keeps what it writes.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    /// Ends the node and deletes its folder.
    pub fn close(self) -> Result<(), CliError> {
        self.node.close()?;
        std::fs::remove_dir_all(&self.dir).map_err(|error| super::cannot("delete", &self.dir, &error))
    }
}

impl EngineRun {
    fn count_refusal(&mut self, code: u16) {
        self.refused += 1;
        *self.refusals.entry(code).or_default() += 1;
    }

    /// Time of each stage for one command, summed over cores for verification, wall time for the rest.
    pub fn stages_ns_per_command(&self) -> Value {
        let per_command = |ns: &u64| *ns as f64 / self.commands.max(1) as f64;
        json!(self.stages_ns.iter().map(|(stage, ns)| (*stage, per_command(ns))).collect::<BTreeMap<_, _>>())
    }
}

/// Envelopes that publishers may add to a block.
const PUBLISHED_MAX: usize = 32;

/// Cuts a load into blocks where a busy solo sequencer would: at so many envelopes, or so many bytes. Some places are left
/// for prices.
fn closing_batches(mut envelopes: &[Vec<u8>]) -> impl Iterator<Item = &[Vec<u8>]> {
    std::iter::from_fn(move || {
        let mut size_bytes = 0;
        let is_open = |bytes: &&Vec<u8>| {
            let is_open = size_bytes < CLOSE_AT_BYTES;
            size_bytes += bytes.len();
            is_open
        };
        let room = CLOSE_AT_ENVELOPES - PUBLISHED_MAX;
        let count = envelopes.iter().take(room).take_while(is_open).count();
        let batch;
        (batch, envelopes) = envelopes.split_at(count);
        (!batch.is_empty()).then_some(batch)
    })
}

/// Decodes and verifies a batch; returns nanoseconds spent as well.
fn verify(batch: &[Vec<u8>], chain_id: &Digest, threads: &Threads) -> Result<(Vec<Authenticated>, u64), CliError> {
    let started = Instant::now();
    let refused = |reject| CliError::defect(format!("an envelope of the load was refused: {reject}"));
    let mut pieces: Vec<DecodingPiece<'_>> = batch.chunks(DECODED_PER_PIECE).map(|piece| (piece, Vec::new())).collect();
    threads.for_each_mut(&mut pieces, |(piece, decoded)| {
        decoded.extend(piece.iter().map(|bytes| Decoded::from_bytes(bytes.clone(), chain_id)));
    });
    let decoded: Result<Vec<Decoded>, Reject> = pieces.into_iter().flat_map(|(_, decoded)| decoded).collect();
    let decoded = decoded.map_err(refused)?;
    let verified: Result<Vec<Authenticated>, _> = authenticate_batch(decoded, &NoProofs, threads).into_iter().collect();
    let ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    Ok((verified.map_err(refused)?, ns))
}

/// Bytes of envelopes, and what decoding makes of them.
type DecodingPiece<'a> = (&'a [Vec<u8>], Vec<Result<Decoded, Reject>>);

/// Key, signature, and the digest that it signs.
type SignedDigest = ([u8; 32], [u8; 64], [u8; 32]);

/// Bare verification of a load's signatures: envelopes per second.
pub fn raw_verification_rate(load: &Load, threads: &Threads) -> Result<f64, CliError> {
    // Keys, digests and signatures are taken out beforehand: only the signature library is measured.
    let mut items = Vec::with_capacity(load.envelopes.len());
    for bytes in &load.envelopes {
        let (envelope, digests) = casemate_protocol::Envelope::decode(bytes)
            .map_err(|reject| CliError::defect(format!("an envelope of the load does not decode: {reject}")))?;
        let (PublicKey::Ed25519(key), SignatureBytes::Ed25519(signature)) =
            (envelope.intent.signer.key, envelope.signature)
        else {
            return Err(CliError::defect("an envelope of the load is not signed with Ed25519".to_owned()));
        };
        items.push((key, signature, digests.envelope.0));
    }
    let mut pieces: Vec<(&[SignedDigest], bool)> =
        items.chunks(EQUATION_SIGNATURES).map(|piece| (piece, false)).collect();
    let started = Instant::now();
    threads.for_each_mut(&mut pieces, |(piece, is_valid)| {
        let mut verifier = batch::Verifier::new();
        for (key, signature, message) in *piece {
            let key = ed25519_zebra::VerificationKeyBytes::from(*key);
            verifier.queue((key, ed25519_zebra::Signature::from(*signature), &message[..]));
        }
        *is_valid = verifier.verify(coefficients(piece)).is_ok();
    });
    let elapsed = started.elapsed().as_secs_f64();
    if pieces.iter().any(|(_, is_valid)| !is_valid) {
        return Err(CliError::defect("a signature of the load is not valid".to_owned()));
    }
    Ok(items.len() as f64 / elapsed)
}

/// Coefficients for bare verification: from the batch's first signature, which is all that a benchmark needs.
fn coefficients(piece: &[SignedDigest]) -> chacha20::ChaCha20Rng {
    let seed = piece.first().map_or(Digest::ZERO, |(_, signature, _)| hash::digest(Domain::Development, &[signature]));
    chacha20::rand_core::SeedableRng::from_seed(seed.0)
}

fn genesis(plan: &RowPlan, seed: [u8; 32], position_lots: u64) -> Result<Genesis, CliError> {
    let mut genesis = full_collateral_genesis(TimeMs::from_ms(1_800_000_000_000));
    let Some(segment) = genesis.segments.iter().next().cloned() else {
        return Err(CliError::defect("the development genesis has no segment".to_owned()));
    };
    let market = |number: u16| MarketRules {
        id: MarketId::new(number),
        segment: SegmentId::new(1),
        tick_value: TickValueMicros::from_micros(1),
        price_max: PriceTicks::from_ticks(10 * START_PRICE_TICKS),
        reference_price: PriceTicks::from_ticks(START_PRICE_TICKS),
        band: RatioPpm::from_ppm(100_000),
        order_lots_min: QuantityLots::from_lots(1),
        order_lots_max: QuantityLots::from_lots(1_000_000),
        position_lots_max: QuantityLots::from_lots(1_000_000),
        maker_fee: FeePpm::from_ppm(-50),
        taker_fee: FeePpm::from_ppm(350),
    };
    let full = |genesis: &str| CliError::defect(format!("the benchmark's {genesis} do not fit"));
    genesis.markets = BoundedVec::new((1..=plan.markets).map(market).collect()).ok_or_else(|| full("markets"))?;
    let segment = casemate_protocol::genesis::SegmentRules { open_orders_max: 1_024, ..segment };
    genesis.segments = BoundedVec::new(vec![segment]).ok_or_else(|| full("segments"))?;
    clear_on_margin(&mut genesis, &seed)?;
    genesis.accounts.weight_burst = 1_000_000_000;
    genesis.accounts.weight_per_second = 1_000_000_000;
    genesis.seeded = Some(SeededAccounts {
        count: plan.accounts,
        seed,
        balance: QuoteMicros::from_micros(1_000_000_000_000_000),
        position_lots: QuantityLots::from_lots(position_lots),
        grant_notional: QuoteMicros::from_micros(1_000_000_000_000_000_000),
        grant_commands_per_minute: 1_000_000_000,
        grant_lifetime_ms: DurationMs::from_ms(86_400_000),
    });
    genesis.validate().map_err(|error| CliError::defect(error.to_string()))?;
    Ok(genesis)
}

/// Measures the stages of execution.
#[derive(Default)]
struct Timer {
    running: Option<(&'static str, Instant)>,
    stages_ns: Vec<(&'static str, u64)>,
}

impl StageTimer for Timer {
    fn begin(&mut self, stage: Stages) {
        let now = Instant::now();
        self.end(now);
        let name = match stage {
            Stages::Inclusion => "inclusion",
            Stages::Commands => "commands",
            Stages::Records => "records",
            Stages::StateRoot => "state_root",
            Stages::Header => "header",
        };
        self.running = Some((name, now));
    }
}

impl Timer {
    fn end(&mut self, now: Instant) {
        if let Some((name, since)) = self.running.take() {
            let ns = u64::try_from(now.duration_since(since).as_nanos()).unwrap_or(u64::MAX);
            self.stages_ns.push((name, ns));
        }
    }

    fn add_to(mut self, totals: &mut BTreeMap<&'static str, u64>) {
        self.end(Instant::now());
        for (name, ns) in self.stages_ns {
            *totals.entry(name).or_default() += ns;
        }
    }
}
