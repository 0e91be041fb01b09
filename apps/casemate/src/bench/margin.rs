//! The bench's venue clears on margin, with prices and breakers on: what that takes, and the publishers of its prices.

use casemate_node::development_keys::{public_key, publisher_key, sign_envelope};
use casemate_node::genesis_file::development_genesis;
use casemate_protocol::clearing::{FeedRules, MarginRules, MarginTier};
use casemate_protocol::command::SubmitPrice;
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole};
use casemate_protocol::genesis::{Genesis, Principal};
use casemate_protocol::limits::ENVELOPE_COMMANDS_MAX;
use casemate_protocol::{
    BoundedVec, Command, Digest, DurationMs, FeedId, MarketId, OperatorId, PriceNanos, QuoteMicros, RatioPpm,
    SegmentId, TimeMs,
};

use super::engine::START_PRICE_TICKS;
use crate::error::CliError;

/// Publishers of every feed, each of an operator of its own.
const PUBLISHERS: u16 = 5;
/// Price of one tick.
const TICK_NANOS: u64 = 1_000_000_000;
/// Prices move by this much to and fro, so that every mark moves with them.
const MOVE_PPM: u64 = 20;
/// Two brackets, which every check walks through.
const TIERS: [MarginTier; 2] = [
    MarginTier {
        notional_from: QuoteMicros::ZERO,
        initial: RatioPpm::from_ppm(100_000),
        maintenance: RatioPpm::from_ppm(50_000),
    },
    MarginTier {
        notional_from: QuoteMicros::from_micros(1_000_000_000),
        initial: RatioPpm::from_ppm(200_000),
        maintenance: RatioPpm::from_ppm(100_000),
    },
];

/// Publishers speak every so many blocks: more often than once a second of real time, whatever the load.
pub const PUBLISH_EVERY_BLOCKS: u64 = 4;

/// Makes the first segment of a genesis clear on margin, with a feed for each of its markets.
pub fn clear_on_margin(genesis: &mut Genesis, seed: &[u8; 32]) -> Result<(), CliError> {
    let venue = development_genesis(genesis.time_ms);
    let templates = venue.clearing.iter().next().zip(venue.margins.iter().next()).zip(venue.feeds.iter().next());
    let Some(((clearing, margin), feed)) = templates else {
        return Err(CliError::defect("the development genesis does not clear on margin".to_owned()));
    };
    genesis.policies = venue.policies.clone();
    let numbers = 1..=u16::try_from(genesis.markets.len()).unwrap_or(u16::MAX);
    let feed = |number: u16| FeedRules {
        id: FeedId::new(number),
        segment: SegmentId::new(1),
        publishers: BoundedVec::new((0..PUBLISHERS).collect()).unwrap_or_default(),
        reference_price: PriceNanos::from_nanos(START_PRICE_TICKS * TICK_NANOS),
        // Latency is measured against a clock of its own, during which nobody publishes.
        open_age_ms_max: DurationMs::from_ms(86_400_000),
        liquidate_age_ms_max: DurationMs::from_ms(86_400_000),
        ..feed.clone()
    };
    let margin = |number: u16| MarginRules {
        market: MarketId::new(number),
        feed: FeedId::new(number),
        tick_size: PriceNanos::from_nanos(TICK_NANOS),
        open_interest_notional_max: QuoteMicros::from_micros(1 << 54),
        tiers: BoundedVec::new(TIERS.to_vec()).unwrap_or_default(),
        basis_max: RatioPpm::from_ppm(100),
        ..margin.clone()
    };
    let publisher = |place: u16| Principal {
        operator: OperatorId::new(place + 1),
        root_key: public_key(&publisher_key(seed, u64::from(place))),
    };
    let full = |what: &str| CliError::defect(format!("the benchmark's {what} do not fit"));
    genesis.publishers = BoundedVec::new((0..PUBLISHERS).map(publisher).collect()).ok_or_else(|| full("publishers"))?;
    genesis.feeds = BoundedVec::new(numbers.clone().map(feed).collect()).ok_or_else(|| full("feeds"))?;
    genesis.margins = BoundedVec::new(numbers.map(margin).collect()).ok_or_else(|| full("margins"))?;
    genesis.clearing = BoundedVec::new(vec![clearing.clone()]).ok_or_else(|| full("segments"))?;
    genesis.risk_officers = venue.risk_officers;
    genesis.governors = venue.governors;
    genesis.proposals = venue.proposals;
    Ok(())
}

/// The publishers of the bench's feeds.
pub struct Publishers {
    seed: [u8; 32],
    chain_id: Digest,
    /// Account of the first.
    first_account: u64,
    feeds: u16,
    rounds: u64,
}

impl Publishers {
    pub fn new(seed: [u8; 32], chain_id: Digest, genesis: &Genesis) -> Self {
        let feeds = u16::try_from(genesis.feeds.len()).unwrap_or(u16::MAX);
        Self { seed, chain_id, first_account: genesis.publisher_account(0).number(), feeds, rounds: 0 }
    }

    /// What all of them say in the block of this time, signed.
    pub fn speak(&mut self, time_ms: TimeMs) -> Vec<Vec<u8>> {
        self.rounds += 1;
        let price = START_PRICE_TICKS * TICK_NANOS;
        let moved = price / 1_000_000 * MOVE_PPM;
        let price = if self.rounds.is_multiple_of(2) { price + moved } else { price };
        let feeds: Vec<u16> = (1..=self.feeds).collect();
        (0..u64::from(PUBLISHERS))
            .map(|place| self.envelopes(place, &feeds, price, time_ms))
            .collect::<Vec<_>>()
            .concat()
    }

    fn envelopes(&self, place: u64, feeds: &[u16], price: u64, time_ms: TimeMs) -> Vec<Vec<u8>> {
        let key = publisher_key(&self.seed, place);
        let pieces = feeds.chunks(ENVELOPE_COMMANDS_MAX).collect::<Vec<_>>();
        let count = pieces.len() as u64;
        let sign = |(piece, feeds): (usize, &[u16])| {
            let submit = |feed: &u16| {
                Command::SubmitPrice(SubmitPrice {
                    feed: FeedId::new(*feed),
                    price: PriceNanos::from_nanos(price),
                    confidence: PriceNanos::from_nanos(TICK_NANOS),
                    source_ms: time_ms,
                })
            };
            let intent = Intent {
                version: ENVELOPE_VERSION,
                chain_id: self.chain_id,
                account: casemate_protocol::AccountId::new(self.first_account + place),
                signer: Signer { role: SignerRole::Root, key: public_key(&key) },
                // Nonce 1 is that of an opening.
                nonce: (self.rounds - 1) * count + piece as u64 + 2,
                valid_until_ms: time_ms.plus(DurationMs::from_ms(30_000)),
                group: GroupMode::EachAlone,
                commands: BoundedVec::new(feeds.iter().map(submit).collect()).unwrap_or_default(),
            };
            sign_envelope(intent, &key).encode()
        };
        pieces.into_iter().enumerate().map(sign).collect()
    }
}
