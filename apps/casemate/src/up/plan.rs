//! What a venue is made from: its genesis, and what its participants know of each market.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use casemate_node::genesis_file::{DEVELOPMENT_SEED, development_genesis};
use casemate_protocol::clearing::MarginRules;
use casemate_protocol::genesis::{Genesis, MarketRules, SeededAccounts};
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::limits::GRANT_LIFETIME_MS_MAX;
use casemate_protocol::{BoundedVec, DurationMs, MarketId, PriceNanos, PriceTicks, QuantityLots, QuoteMicros, TimeMs};
use casemate_world::generator::{Generator, Start};
use casemate_world::klines::{self, Kline, VolumeUnit};
use casemate_world::{MICROS, MINUTE_MS, SECOND_MS, Seed};

use crate::error::CliError;
use crate::price_replay::venue::{MAKERS, Place, Venue, tick_size_for};

/// What the options and the folder say.
pub struct Plan {
    /// What everything is drawn from.
    pub seed: u64,
    /// Block time of height 0, a whole minute.
    pub time_ms: u64,
    /// Minutes of the file that the first market follows, those before `time_ms` included; none for the generator.
    pub recorded: Option<Recorded>,
}

/// Minutes of a file.
pub struct Recorded {
    /// The minutes.
    pub minutes: Vec<Kline>,
    /// Whether the file has volumes.
    pub has_volume: bool,
    /// The first digits of a digest over them.
    mark: String,
}

/// One market: where it begins, and who trades there.
pub struct MarketPlan {
    /// What participants know.
    pub venue: Venue,
    /// The feed of its index.
    pub feed: casemate_protocol::FeedId,
    /// The generator's first price, micro-quote.
    pub start_price_micros: u64,
    /// The generator's prices are this many times too high: it has none below one quote.
    pub price_divisor: u64,
    /// The first market of its segment: who pays in once for a segment does it there.
    pub is_first_of_segment: bool,
}

/// Traders of each market's crowd.
const CROWDS: [u64; 3] = [300, 200, 100];
/// First prices of the generator and what they are divided by.
const STARTS: [(u64, u64); 3] = [(100_000 * MICROS, 1), (3_000 * MICROS, 1), (2 * MICROS, 10)];
/// Capital of each segment's backstop, micro-quote.
const BACKSTOP_QUOTE_MICROS: u64 = 200_000 * MICROS;
/// What the generator made before the venue opens.
const GENERATED_PAST_MS: u64 = 120 * MINUTE_MS;
/// Minutes of a file that are past when the venue opens, so that makers know how deep to quote.
const RECORDED_PAST_MINUTES: usize = 60;

impl Plan {
    /// The plan of a new folder, or of one with a chain in it.
    ///
    /// # Errors
    /// The file of prices cannot be read, or is too short.
    pub fn new(seed: Option<u64>, prices: Option<&Path>, found: Option<&Genesis>) -> Result<Self, CliError> {
        let recorded = prices.map(Recorded::read).transpose()?;
        let first_ms = match &recorded {
            Some(recorded) => recorded.minutes.get(RECORDED_PAST_MINUTES).map(|minute| minute.open_time_ms),
            None => None,
        };
        let time_ms = match (found, first_ms) {
            (_, Some(first_ms)) => first_ms,
            (Some(found), None) => found.time_ms.ms(),
            (None, None) => now_ms() / MINUTE_MS * MINUTE_MS,
        };
        let seed = seed.or_else(|| seed_of(found?)).unwrap_or(1);
        Ok(Self { seed, time_ms, recorded })
    }

    /// What the world and the participants of a market are drawn from.
    pub fn market_seed(&self, market: MarketId) -> [u8; 32] {
        let number = [self.seed.to_le_bytes(), u64::from(market.number()).to_le_bytes()].concat();
        hash::digest(Domain::Development, &[b"casemate up", &number]).0
    }

    /// The same for the world.
    pub fn world_seed(&self, market: MarketId) -> Seed {
        let mut head = [0; 8];
        head.copy_from_slice(&self.market_seed(market)[..8]);
        Seed::from_number(u64::from_le_bytes(head))
    }

    /// The development venue with its participants' accounts, and no money but what is paid in.
    ///
    /// # Errors
    /// The file's first price is so extreme that a listing check fails.
    pub fn genesis(&self) -> Result<Genesis, CliError> {
        let name = match &self.recorded {
            Some(recorded) => format!("{NAME}{}, prices {}", self.seed, recorded.mark),
            None => format!("{NAME}{}", self.seed),
        };
        let mut genesis = Genesis {
            name: BoundedVec::new(name.into_bytes()).unwrap_or_default(),
            seeded: Some(SeededAccounts {
                count: MAKERS + CROWDS.iter().sum::<u64>(),
                seed: DEVELOPMENT_SEED,
                // Their money comes by deposits, and an empty balance is not allowed.
                balance: QuoteMicros::from_micros(1),
                position_lots: QuantityLots::ZERO,
                // They sign with their root keys, because a grant ends and the venue does not.
                grant_notional: QuoteMicros::from_micros(1),
                grant_commands_per_minute: 1,
                grant_lifetime_ms: DurationMs::from_ms(GRANT_LIFETIME_MS_MAX),
            }),
            ..development_genesis(TimeMs::from_ms(self.time_ms))
        };
        self.set_first_prices(&mut genesis)?;
        genesis
            .validate()
            .map_err(|error| CliError::new(error.to_string(), "choose a file whose first price is not so extreme"))?;
        Ok(genesis)
    }

    /// The world had prices before the venue opened, and the cap on price moves counts from the one that it opens with.
    fn set_first_prices(&self, genesis: &mut Genesis) -> Result<(), CliError> {
        let recorded = self.first_recorded_price();
        let mut markets = genesis.markets.clone().into_vec();
        let mut margins = genesis.margins.clone().into_vec();
        let mut feeds = genesis.feeds.clone().into_vec();
        for (place, (market, margin)) in markets.iter_mut().zip(&mut margins).enumerate() {
            let Some(feed) = feeds.iter_mut().find(|feed| feed.id == margin.feed) else { continue };
            let price_micros = match recorded.filter(|_| place == 0) {
                Some(price_micros) => {
                    retick_for(market, margin, price_micros);
                    price_micros
                }
                None => self.first_generated_price(market.id, STARTS.get(place).copied().unwrap_or((MICROS, 1)))?,
            };
            feed.reference_price = PriceNanos::from_nanos(price_micros.saturating_mul(NANOS_PER_MICRO));
            let ticks = (feed.reference_price.nanos() / margin.tick_size.nanos().max(1)).max(1);
            // Listing checks are about sizes in quote, which are to stay what they were.
            let before = market.reference_price.ticks();
            let resized = |lots: QuantityLots| {
                let lots = u128::from(lots.lots()) * u128::from(before) / u128::from(ticks);
                QuantityLots::from_lots(u64::try_from(lots).unwrap_or(u64::MAX).max(1))
            };
            market.position_lots_max = resized(market.position_lots_max);
            market.order_lots_max = resized(market.order_lots_max);
            market.reference_price = PriceTicks::from_ticks(ticks);
        }
        // As long as they were, so within their maximum.
        genesis.markets = BoundedVec::new(markets).unwrap_or_default();
        genesis.margins = BoundedVec::new(margins).unwrap_or_default();
        genesis.feeds = BoundedVec::new(feeds).unwrap_or_default();
        Ok(())
    }

    fn first_generated_price(&self, market: MarketId, (start_price, divisor): (u64, u64)) -> Result<u64, CliError> {
        let start = self.generator_start(start_price);
        let step = (self.time_ms - start.time_ms) / SECOND_MS;
        let generator = Generator::at_step(self.world_seed(market), start, step);
        let step =
            generator.map_err(|error| CliError::new(error.to_string(), "check the machine's clock"))?.next_step();
        Ok((step.price_micros.unwrap_or(start_price) / divisor).max(1))
    }

    /// Where the generator of a market begins.
    pub const fn generator_start(&self, price_micros: u64) -> Start {
        Start { time_ms: self.time_ms.saturating_sub(GENERATED_PAST_MS), price_micros }
    }

    fn first_recorded_price(&self) -> Option<u64> {
        let minutes = &self.recorded.as_ref()?.minutes;
        minutes.get(RECORDED_PAST_MINUTES).map(|minute| minute.ohlc.open_micros())
    }

    /// The markets, in order.
    pub fn markets(genesis: &Genesis) -> Vec<MarketPlan> {
        let mut first_trader = 0;
        let mut plans: Vec<MarketPlan> = Vec::new();
        let late_offices = u64::try_from(genesis.clearing.len() + genesis.auditors.len()).unwrap_or(u64::MAX);
        for ((market, crowd), (start_price_micros, price_divisor)) in genesis.markets.iter().zip(CROWDS).zip(STARTS) {
            let Some(margin) = genesis.margin_of(market.id) else { continue };
            let before = plans.iter().filter(|plan| plan.venue.place.segment == market.segment).count();
            let place = Place {
                segment: market.segment,
                market: market.id,
                market_place: u16::try_from(before).unwrap_or(u16::MAX),
                backstop: u64::from(market.segment.number()) - 1,
                late_offices,
                first_trader,
            };
            first_trader += crowd;
            let venue = venue(place, market, margin, crowd);
            let is_first_of_segment = before == 0;
            let feed = margin.feed;
            plans.push(MarketPlan { venue, feed, start_price_micros, price_divisor, is_first_of_segment });
        }
        plans
    }
}

fn venue(place: Place, market: &MarketRules, margin: &MarginRules, crowd: u64) -> Venue {
    let initial_ppm = margin.tiers.iter().next().map_or(MICROS, |tier| u64::from(tier.initial.ppm()));
    Venue {
        place,
        tick_size: margin.tick_size,
        leverage_milli_max: MICROS * 1_000 / initial_ppm.max(1),
        taker_fee_ppm: u64::from(market.taker_fee.ppm().unsigned_abs()),
        crowd,
        backstop_quote_micros: BACKSTOP_QUOTE_MICROS,
    }
}

/// Makes the ticks of a market as fine as a file's price asks for. What a lot is worth then follows from its price.
fn retick_for(market: &mut MarketRules, margin: &mut MarginRules, first_price_micros: u64) {
    margin.tick_size = tick_size_for(first_price_micros);
    let ticks = (first_price_micros.saturating_mul(NANOS_PER_MICRO) / margin.tick_size.nanos().max(1)).max(1);
    market.price_max = PriceTicks::from_ticks(ticks.saturating_mul(PRICE_MAX_FACTOR));
}

impl Recorded {
    fn read(path: &Path) -> Result<Self, CliError> {
        let file =
            klines::read(path, VolumeUnit::Base).map_err(|error| CliError::new(error.to_string(), error.hint()))?;
        let minutes = file.minutes().to_vec();
        let least = 2 * RECORDED_PAST_MINUTES;
        if minutes.len() < least {
            return Err(CliError::new(
                format!("`{}` has `{}` minutes, at least `{least}` are needed", path.display(), minutes.len()),
                "name a file of a few hours or more: the first hour is past when the venue opens",
            ));
        }
        let mut bytes = Vec::with_capacity(minutes.len() * 40);
        for minute in &minutes {
            let ohlc = &minute.ohlc;
            let numbers = [
                minute.open_time_ms,
                ohlc.open_micros(),
                ohlc.high_micros(),
                ohlc.low_micros(),
                ohlc.close_micros(),
                minute.volume_quote_micros,
            ];
            bytes.extend(numbers.into_iter().flat_map(u64::to_le_bytes));
        }
        let mark = hash::digest(Domain::Development, &[b"prices", &bytes]).to_string().chars().take(12).collect();
        Ok(Self { minutes, has_volume: file.has_volume(), mark })
    }
}

/// The seed in the name of a chain that this command made.
fn seed_of(genesis: &Genesis) -> Option<u64> {
    let name = std::str::from_utf8(genesis.name.as_slice()).ok()?;
    name.strip_prefix(NAME)?.split(',').next()?.parse().ok()
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

const NAME: &str = "casemate up, seed ";
const NANOS_PER_MICRO: u64 = 1_000;
/// A market may go up ten times before it would have to be listed anew.
const PRICE_MAX_FACTOR: u64 = 10;
