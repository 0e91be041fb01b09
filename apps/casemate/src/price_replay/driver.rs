//! Plays the seconds: what participants want becomes signed envelopes, these a block, and its records the sums.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use casemate_audit::RecordBody;
use casemate_gate::Authenticated;
use casemate_node::Node;
use casemate_node::node::{decode_block, decode_records};
use casemate_protocol::TimeMs;
use casemate_world::crowd::{self, MinuteVolume};
use casemate_world::depth::{Activity, RecentMinutes, volume_stand_in_quote_micros};
use casemate_world::klines::Kline;
use casemate_world::past::Past;
use casemate_world::publishers::Publishers;
use casemate_world::steps::Step;
use casemate_world::{DAY_MS, MINUTE_MS, Seed};
use indicatif::{ProgressBar, ProgressStyle};

use super::cast::{Actor, Cast, next_nonce};
use super::crowd::Crowd;
use super::outside::{Outside, OutsidePlan, OutsideStep};
use super::scene::{Scene, Wishes};
use super::tally::Tally;
use super::venue::{PUBLISHERS, Place, Venue};
use super::{makers, offices};
use crate::error::CliError;

/// Volume of a minute of the venue, on average of the first replayed day, micro-quote: recorded volumes are scaled to it.
pub const VENUE_VOLUME_QUOTE_MICROS_PER_MINUTE: u64 = 10_000 * casemate_world::MICROS;
/// The laws are recomputed from every row once in so many blocks.
const LAWS_EVERY_BLOCKS: u64 = 3_600;

/// Drives a node through the seconds of a selection.
pub struct Driver {
    pub(super) node: Node,
    pub(super) tally: Tally,
    pub(super) times: StageTimes,
    /// Blocks that an earlier run left.
    pub(super) blocks_found: u64,
    pub(super) envelopes: u64,
    /// Checks from rows that found every law to hold.
    pub(super) law_checks: u64,
    pub(super) is_conserved: bool,
    seed: [u8; 32],
    venue: Venue,
    crowd: Crowd,
    cast: Arc<Cast>,
    minutes: Minutes,
    past: Past,
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// Waiting for prices.
    pub prices: Duration,
    /// Participants' decisions.
    pub decisions: Duration,
    /// Signing them.
    pub signing: Duration,
    /// Decoding and checking the signatures.
    pub checking: Duration,
    /// Blocks: inclusion, execution, records, roots, handing over.
    pub blocks: Duration,
    /// Summing up.
    pub sums: Duration,
}

/// What a driver is made from, besides the node.
pub struct DriverPlan {
    /// What participants know of the venue.
    pub venue: Venue,
    /// What the world is drawn from.
    pub world: Seed,
    /// Where keys and draws of participants come from.
    pub seed: [u8; 32],
    /// The minutes, with volumes in the size of the venue.
    pub minutes: Vec<Kline>,
    /// First millisecond of the named time.
    pub named_from_ms: u64,
}

impl Driver {
    /// A driver at the beginning of the seconds; the node may have blocks of an earlier run.
    pub fn new(node: Node, plan: &DriverPlan) -> Self {
        let DriverPlan { venue, world, seed, named_from_ms, .. } = plan;
        let first = Actor::Trader(0).account(Place::ALONE.late_offices).number();
        let tick_value = node.genesis().markets.iter().next().map_or(1, |market| market.tick_value.micros());
        Self {
            tally: Tally::new(
                first..first + venue.crowd,
                *named_from_ms,
                u64::from(tick_value),
                node.replica().ledger().policy().table().clone(),
            ),
            times: StageTimes::default(),
            blocks_found: node.height(),
            envelopes: 0,
            law_checks: 0,
            is_conserved: true,
            seed: *seed,
            venue: *venue,
            crowd: Crowd::new(*world, venue),
            cast: Arc::new(Cast::new(node.genesis(), seed, venue.crowd)),
            minutes: Minutes::new(&plan.minutes),
            past: Past::new(crowd::PAST_SECONDS),
            node,
        }
    }

    /// Takes in the blocks that the chain has already, then makes the rest.
    ///
    /// # Errors
    /// The machine failed, or the replay has a defect.
    pub fn run(&mut self, plan: DriverPlan, publishers: Publishers, is_quiet: bool) -> Result<(), CliError> {
        self.absorb_kept_blocks()?;
        let progress = progress_bar(&plan.minutes, is_quiet);
        let ledger = self.node.replica().ledger();
        let nonces =
            (0..PUBLISHERS).map(|index| next_nonce(ledger, Actor::Publisher(index).account(Place::ALONE.late_offices)));
        let mut outside = Outside::start(OutsidePlan {
            world: plan.world,
            minutes: plan.minutes,
            publishers,
            done: self.blocks_found,
            nonces: nonces.collect(),
            cast: Arc::clone(&self.cast),
        })?;
        let mut step_index = 0;
        loop {
            let waited = Instant::now();
            let batch = outside.next_batch()?;
            self.times.prices += waited.elapsed();
            if batch.is_empty() {
                break;
            }
            progress.inc(batch.len() as u64);
            for OutsideStep { step, prices } in batch {
                self.minutes.pass(step.time_ms);
                self.past.push(step);
                if step_index >= self.blocks_found {
                    self.play(step_index, step, prices)?;
                }
                step_index += 1;
            }
        }
        progress.finish_and_clear();
        self.check_laws();
        Ok(self.node.keeper().flush()?)
    }

    /// One second: one block.
    fn play(&mut self, step_index: u64, step: Step, mut envelopes: Vec<Authenticated>) -> Result<(), CliError> {
        let started = Instant::now();
        let now = TimeMs::from_ms(step.time_ms);
        let ledger = self.node.replica().ledger();
        let scene = Scene {
            seed: &self.seed,
            step: step_index,
            now,
            ledger,
            past: &self.past,
            activity: self.minutes.activity,
            volume: self.minutes.volume,
            venue: &self.venue,
        };
        let letters = letters(&scene, &self.crowd);
        let decided = Instant::now();
        let signed = self.cast.sign_all(letters, ledger, now)?;
        let signed_at = Instant::now();
        envelopes.extend(self.cast.authenticate(&signed, self.node.threads())?);
        let checked = Instant::now();
        let proposed = self.node.propose(envelopes, now, &mut ())?;
        if let Some((_, reject, _)) = proposed.left_out.first() {
            return Err(CliError::defect(format!("an envelope of the replay was left out of its block: {reject}")));
        }
        let done = Instant::now();
        self.envelopes += proposed.outcomes.len() as u64;
        self.tally.begin_block(step.time_ms);
        for range in &proposed.executed.body_ranges {
            let bytes = proposed.records.get(range.clone()).unwrap_or(&[]);
            let body: RecordBody = borsh::from_slice(bytes)
                .map_err(|error| CliError::defect(format!("a record does not decode: {error}")))?;
            self.tally.absorb(&body);
        }
        self.tally.end_block();
        let trader = Actor::Trader(0).account(Place::ALONE.late_offices);
        if !self.tally.scrutiny.agrees_with(self.node.replica().ledger(), trader) {
            return Err(CliError::defect("the records tell of another breaker, regime or policy than the ledger has"));
        }
        if (step_index + 1).is_multiple_of(LAWS_EVERY_BLOCKS) {
            self.check_laws();
        }
        let times = &mut self.times;
        times.decisions += decided - started;
        times.signing += signed_at - decided;
        times.checking += checked - signed_at;
        times.blocks += done - checked;
        times.sums += done.elapsed();
        Ok(())
    }

    fn check_laws(&mut self) {
        let holds = self.node.replica().ledger().check_laws_from_rows().is_empty();
        self.law_checks += u64::from(holds);
        self.is_conserved &= holds;
    }

    /// Blocks that an earlier run left: their records tell what happened.
    fn absorb_kept_blocks(&mut self) -> Result<(), CliError> {
        if self.blocks_found == 0 {
            return Ok(());
        }
        eprintln!("continuing at block {}", self.blocks_found + 1);
        let mut absorbed = 0;
        let blocks = self.node.journal().read_from(1)?;
        let records = self.node.records().read_from(1)?;
        for (block, records) in blocks.zip(records) {
            let (block, records) = (block?, records?);
            let block = decode_block(block.height, &block.payload)?;
            self.envelopes += block.envelopes.len() as u64;
            self.tally.begin_block(block.header.time_ms.ms());
            for record in decode_records(&block, &records.payload)? {
                self.tally.absorb(&record.body);
            }
            self.tally.end_block();
            absorbed += 1;
        }
        if absorbed != self.blocks_found {
            return Err(CliError::new(
                format!("records of {absorbed} of {} blocks are there", self.blocks_found),
                "start the replay in an empty folder",
            ));
        }
        Ok(())
    }
}

/// What everybody signs in a second, in the order of the block: offices first, then makers, then the crowd.
pub fn letters(scene: &Scene<'_>, crowd: &Crowd) -> Vec<super::scene::Letter> {
    let mut wishes = Wishes::default();
    offices::open_accounts(scene, &mut wishes);
    offices::reopen(scene, &mut wishes);
    offices::work_off(scene, &mut wishes);
    makers::act(scene, &mut wishes);
    crowd.act(scene, &mut wishes);
    // Money is there before it is used.
    let mut letters = offices::attest(scene, &wishes.deposits);
    letters.append(&mut wishes.letters);
    letters
}

/// Minutes that are over, as the venue's participants know them.
pub struct Minutes {
    ahead: VecDeque<Kline>,
    recent: RecentMinutes,
    /// Mean volume of what is expected, if it is not in the size of the venue yet.
    mean_volume_quote_micros: Option<u64>,
    /// What was going on lately; none before the first whole minute.
    pub activity: Option<Activity>,
    /// Of the last whole minute, and of a minute on average.
    pub volume: MinuteVolume,
}

impl Minutes {
    /// These minutes, with volumes in the size of the venue.
    pub fn new(minutes: &[Kline]) -> Self {
        let volume = MinuteVolume { quote_micros: 0, mean_quote_micros: VENUE_VOLUME_QUOTE_MICROS_PER_MINUTE };
        Self {
            ahead: minutes.iter().copied().collect(),
            recent: RecentMinutes::new(),
            mean_volume_quote_micros: None,
            activity: None,
            volume,
        }
    }

    /// Minutes that will be told one by one, with volumes of this mean.
    pub fn scaled_by(mean_volume_quote_micros: u64) -> Self {
        Self { mean_volume_quote_micros: Some(mean_volume_quote_micros), ..Self::new(&[]) }
    }

    /// Tells of the next minute.
    pub fn expect(&mut self, minute: Kline) {
        let scaled = self.mean_volume_quote_micros.map(|mean| {
            let all = u128::from(minute.volume_quote_micros) * u128::from(VENUE_VOLUME_QUOTE_MICROS_PER_MINUTE);
            u64::try_from(all / u128::from(mean.max(1))).unwrap_or(u64::MAX)
        });
        let volume_quote_micros = scaled.unwrap_or(minute.volume_quote_micros);
        self.ahead.push_back(Kline { volume_quote_micros, ..minute });
    }

    /// Time has come to a second; minutes that ended by then become known.
    pub fn pass(&mut self, time_ms: u64) {
        while let Some(minute) = self.ahead.pop_front_if(|minute| minute.open_time_ms + MINUTE_MS <= time_ms) {
            self.recent.push(minute);
            self.activity = self.recent.activity();
            self.volume.quote_micros = minute.volume_quote_micros;
        }
    }
}

fn progress_bar(minutes: &[Kline], is_quiet: bool) -> ProgressBar {
    let ends = minutes.first().zip(minutes.last());
    let seconds = ends.map_or(0, |(first, last)| (last.open_time_ms + MINUTE_MS - first.open_time_ms) / 1_000);
    let bar = if is_quiet { ProgressBar::hidden() } else { ProgressBar::new(seconds) };
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {per_sec}  {elapsed} of about {duration}");
    bar.with_style(style.unwrap_or_else(|_error| ProgressStyle::default_bar()))
}

/// The minutes with volumes such that the first day has the mean volume of the venue. A file without volumes gets those
/// that its ranges suggest.
pub fn in_size_of_venue(minutes: &[Kline], has_volume: bool) -> Vec<Kline> {
    let volume = |minute: &Kline| {
        if has_volume { minute.volume_quote_micros } else { volume_stand_in_quote_micros(&minute.ohlc) }
    };
    let day_end_ms = minutes.first().map_or(0, |minute| minute.open_time_ms + DAY_MS);
    let first_day = || minutes.iter().take_while(|minute| minute.open_time_ms < day_end_ms);
    let count = first_day().count() as u128;
    let sum: u128 = first_day().map(|minute| u128::from(volume(minute))).sum();
    let scaled = |minute: &Kline| {
        let all = u128::from(volume(minute)) * u128::from(VENUE_VOLUME_QUOTE_MICROS_PER_MINUTE) * count;
        let volume_quote_micros = all.checked_div(sum).and_then(|micros| u64::try_from(micros).ok());
        Kline { volume_quote_micros: volume_quote_micros.unwrap_or(VENUE_VOLUME_QUOTE_MICROS_PER_MINUTE), ..*minute }
    };
    minutes.iter().map(scaled).collect()
}
