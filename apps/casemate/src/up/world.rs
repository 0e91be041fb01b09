//! Prices of every market, second by second, with what participants know of the seconds and minutes before.

use casemate_protocol::genesis::Genesis;
use casemate_protocol::{FeedId, TimeMs};
use casemate_world::crowd;
use casemate_world::generator::{Generator, Start};
use casemate_world::past::Past;
use casemate_world::publishers::Publishers;
use casemate_world::steps::Step;
use casemate_world::{MINUTE_MS, SECOND_MS, Seed};

use super::plan::{MarketPlan, Plan};
use crate::error::CliError;
use crate::price_replay::crowd::Crowd;
use crate::price_replay::driver::{Minutes, in_size_of_venue};
use crate::price_replay::outside::OwnedSteps;

/// Every market's prices.
pub struct World {
    /// The markets, in order.
    pub markets: Vec<MarketWorld>,
    time_ms: u64,
}

/// One market's prices, and who acts on them.
pub struct MarketWorld {
    /// What was planned.
    pub plan: MarketPlan,
    /// What its participants draw from.
    pub seed: [u8; 32],
    /// Prices that have been.
    pub past: Past,
    /// Minutes that are over.
    pub minutes: Minutes,
    /// Who publishes.
    pub publishers: Publishers,
    /// Who trades.
    pub crowd: Crowd,
    prices: Prices,
}

enum Prices {
    Generated { generator: Box<Generator>, divisor: u64 },
    Recorded(OwnedSteps),
}

/// Minutes over which the generator's mean volume is taken.
const MEAN_OVER_MINUTES: u64 = 1_440;

impl World {
    /// The world as it is at a time: everything up to then has been seen.
    ///
    /// # Errors
    /// The generator cannot start there.
    pub fn new(plan: &Plan, genesis: &Genesis, now_ms: u64) -> Result<Self, CliError> {
        let mut markets = Vec::new();
        for market in Plan::markets(genesis) {
            markets.push(MarketWorld::new(plan, market)?);
        }
        // A whole second: blocks within one stand a few milliseconds behind it.
        let mut world = Self { markets, time_ms: now_ms / SECOND_MS * SECOND_MS };
        for market in &mut world.markets {
            market.pass(world.time_ms);
        }
        Ok(world)
    }

    /// The next second comes; its block time, or none if a file has ended.
    pub fn advance(&mut self) -> Option<TimeMs> {
        let next_ms = self.time_ms + SECOND_MS;
        for market in &mut self.markets {
            market.pass(next_ms);
            if market.past.now_ms() != next_ms {
                return None;
            }
        }
        self.time_ms = next_ms;
        Some(TimeMs::from_ms(next_ms))
    }
}

impl MarketWorld {
    fn new(plan: &Plan, market: MarketPlan) -> Result<Self, CliError> {
        let id = market.venue.place.market;
        let world = plan.world_seed(id);
        let recorded = plan.recorded.as_ref().filter(|_| id.number() == 1);
        let (prices, minutes) = match recorded {
            Some(recorded) => {
                let minutes = in_size_of_venue(&recorded.minutes, recorded.has_volume);
                (Prices::Recorded(OwnedSteps::new(world, minutes.clone())), Minutes::new(&minutes))
            }
            None => {
                let start = plan.generator_start(market.start_price_micros);
                let generator = Generator::new(world, start)
                    .map_err(|error| CliError::new(error.to_string(), "check the machine's clock"))?;
                let mean = mean_volume(world, start)?;
                let prices = Prices::Generated { generator: Box::new(generator), divisor: market.price_divisor };
                (prices, Minutes::scaled_by(mean))
            }
        };
        Ok(Self {
            seed: plan.market_seed(id),
            past: Past::new(crowd::PAST_SECONDS),
            publishers: Publishers::usual(world, None),
            crowd: Crowd::new(world, &market.venue),
            plan: market,
            minutes,
            prices,
        })
    }

    /// Everything up to a second, this included, has been.
    fn pass(&mut self, time_ms: u64) {
        while self.past.now_ms() < time_ms {
            let Some(step) = self.next_step() else { return };
            self.minutes.pass(step.time_ms);
            self.past.push(step);
        }
    }

    fn next_step(&mut self) -> Option<Step> {
        match &mut self.prices {
            Prices::Recorded(steps) => steps.next(),
            Prices::Generated { generator, divisor } => {
                if generator.state().step.is_multiple_of(MINUTE_MS / SECOND_MS) {
                    self.minutes.expect(*generator.minute());
                }
                let step = generator.next_step();
                let price_micros = step.price_micros.map(|price| (price / *divisor).max(1));
                Some(Step { price_micros, ..step })
            }
        }
    }

    /// The feed of the market.
    pub const fn feed(&self) -> FeedId {
        self.plan.feed
    }
}

/// Mean volume of the generator's first day.
fn mean_volume(world: Seed, start: Start) -> Result<u64, CliError> {
    let mut sum = 0u128;
    for minute in 0..MEAN_OVER_MINUTES {
        // One draw a minute is all that the volume takes.
        let at = Generator::at_step(world, start, minute * (MINUTE_MS / SECOND_MS));
        sum += u128::from(at.map_err(|error| CliError::defect(error.to_string()))?.minute().volume_quote_micros);
    }
    Ok(u64::try_from(sum / u128::from(MEAN_OVER_MINUTES)).unwrap_or(u64::MAX).max(1))
}
