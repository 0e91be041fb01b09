//! The venue of a price replay: one segment on margin with one market, and the numbers that its participants read off it.
//!
//! It is a small venue, sized in quote and not in the asset, so that one set of numbers fits every file. Initial rates, ages
//! and levels follow R§3.10 and R§5.3 for the asset class, maintenance is half of initial; brackets and pace of liquidation
//! are chosen so that the listing checks pass.

use casemate_node::development_keys::{
    attestor_key, backstop_key, governor_key, public_key, publisher_key, risk_officer_key,
};
use casemate_policy_cedar::PolicyFolder;
use casemate_protocol::clearing::{
    BreakerRules, ClearingRules, FeedRules, FundingRules, LiquidationRules, MarginRules, MarginTier, Officers,
    PrincipalExitRules, ProposalRules, RatioLevels,
};
use casemate_protocol::genesis::{
    AccountRules, Genesis, GenesisError, LimiterRules, LogMode, MarketRules, Principal, SafeguardRules, SeededAccounts,
    SegmentRules, WindowCap,
};
use casemate_protocol::grant::GrantLifetimes;
use casemate_protocol::limits::GRANT_LIFETIME_MS_MAX;
use casemate_protocol::regime::{RegimeLevels, RegimeRules};
use casemate_protocol::{
    AssetId, BoundedVec, DurationMs, FeePpm, FeedId, MarketId, OperatorId, PriceNanos, PriceTicks, QuantityLots,
    QuoteMicros, RatioPpm, SegmentId, TickValueMicros, TimeMs,
};
use ed25519_zebra::SigningKey;

use super::options::{AssetClass, Preset};

/// The segment of the replay.
pub const SEGMENT: SegmentId = SegmentId::new(1);
/// Its market.
pub const MARKET: MarketId = MarketId::new(1);
/// The market's place in the segment.
pub const MARKET_PLACE: u16 = 0;
/// The market's feed.
pub const FEED: FeedId = FeedId::new(1);
/// The asset of the segment's vault.
pub const ASSET: AssetId = AssetId::new(1);

/// Publishers, each an operator of its own.
pub const PUBLISHERS: u64 = 5;
/// Attestors, of whom two must agree.
pub const ATTESTORS: u64 = 3;
/// How many of them speak: who comes third has nothing to add.
pub const ATTESTOR_QUORUM: u64 = 2;
/// Members of each set of officers, of whom two must agree.
pub const OFFICERS: u64 = 3;
/// Market makers, the first of the seeded accounts.
pub const MAKERS: u64 = 3;

/// Largest position of an account at the first price, micro-quote: what a maker may carry.
pub const POSITION_QUOTE_MICROS_MAX: u64 = 2_000_000 * MICROS;
/// Micro-quote per tick and lot. With ticks of 4 to 10 millionths of the first price a lot is worth 1 to 2.5 of quote.
const TICK_VALUE_MICROS: u32 = 10;
/// What a taker pays, ppm. A quarter more than the development venue: it pays for insurance.
const TAKER_FEE_PPM: i32 = 500;

const MICROS: u64 = 1_000_000;
const NANOS_PER_MICRO: u64 = 1_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;

/// What a venue is made from.
#[derive(Clone, Copy, Debug)]
pub struct VenuePlan {
    /// The first price, micro-quote per unit.
    pub first_price_micros: u64,
    /// The first second, Unix milliseconds.
    pub first_ms: u64,
    /// What kind of asset it is.
    pub class: AssetClass,
    /// How well it is insured.
    pub preset: Preset,
    /// Accounts of the crowd.
    pub crowd: u64,
    /// Where every key comes from.
    pub seed: [u8; 32],
}

/// Where a market stands among those of a venue.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its segment.
    pub segment: SegmentId,
    /// The market.
    pub market: MarketId,
    /// Its place in the segment.
    pub market_place: u16,
    /// The segment's backstop, from 0.
    pub backstop: u64,
    /// Backstops and auditors of the venue: their accounts come before those of makers and traders.
    pub late_offices: u64,
    /// The first trader of its crowd.
    pub first_trader: u64,
}

impl Place {
    /// Of the only market of a venue.
    pub const ALONE: Self = Self {
        segment: SEGMENT,
        market: MARKET,
        market_place: MARKET_PLACE,
        backstop: 0,
        late_offices: 1,
        first_trader: 0,
    };
}

/// What participants know of the venue.
#[derive(Clone, Copy, Debug)]
pub struct Venue {
    /// Where the market stands.
    pub place: Place,
    /// Price of a tick.
    pub tick_size: PriceNanos,
    /// Highest leverage, in thousandths.
    pub leverage_milli_max: u64,
    /// What a taker pays, ppm.
    pub taker_fee_ppm: u64,
    /// Accounts of the crowd.
    pub crowd: u64,
    /// Capital that the backstop begins with, micro-quote.
    pub backstop_quote_micros: u64,
}

impl VenuePlan {
    /// What participants know.
    pub fn venue(&self) -> Venue {
        let rates = ClassRates::of(self.class);
        let initial_ppm = rates.tiers.first().map_or(MICROS, |tier| u64::from(tier.initial.ppm()));
        Venue {
            place: Place::ALONE,
            tick_size: tick_size_for(self.first_price_micros),
            leverage_milli_max: MICROS * 1_000 / initial_ppm.max(1),
            taker_fee_ppm: u64::from(TAKER_FEE_PPM.unsigned_abs()),
            crowd: self.crowd,
            backstop_quote_micros: Insurance::of(self.preset).backstop_quote_micros,
        }
    }

    /// Genesis of the replay.
    ///
    /// # Errors
    /// A listing check that the first price or the number of accounts fails.
    pub fn genesis(&self) -> Result<Genesis, GenesisError> {
        let insurance = Insurance::of(self.preset);
        let rates = ClassRates::of(self.class);
        let genesis = Genesis {
            name: BoundedVec::new(b"casemate price replay".to_vec()).unwrap_or_default(),
            // The first block is the first second.
            time_ms: TimeMs::from_ms(self.first_ms.saturating_sub(1_000)),
            is_development: true,
            log_mode: LogMode::Open,
            accounts: AccountRules {
                bond: quote(10),
                opening_deposit_min: quote(20),
                // Replayed time passes a thousand times as fast: no account may run out of verification weight.
                weight_burst: 1_000_000_000,
                weight_per_second: 1_000_000_000,
                grant_lifetimes: GrantLifetimes::same(ms(GRANT_LIFETIME_MS_MAX)),
                safeguards: SafeguardRules::STAGED,
            },
            attestors: list(self.principals(attestor_key, ATTESTORS, 1)),
            attestor_quorum: ATTESTOR_QUORUM as u16,
            publishers: list(self.principals(publisher_key, PUBLISHERS, 11)),
            risk_officers: Officers { members: list(self.principals(risk_officer_key, OFFICERS, 21)), quorum: 2 },
            governors: Officers { members: list(self.principals(governor_key, OFFICERS, 31)), quorum: 2 },
            proposals: ProposalRules { delay_ms: ms(MINUTE_MS), life_ms_max: ms(24 * HOUR_MS) },
            feeds: list(vec![self.feed(&rates)]),
            segments: list(vec![segment(&insurance)]),
            markets: list(vec![self.market(&rates)]),
            clearing: list(vec![self.clearing(&rates)]),
            margins: list(vec![self.margin(&rates, &insurance)]),
            passkey_origins: BoundedVec::empty(),
            seeded: Some(SeededAccounts {
                // More than there may be is refused below.
                count: MAKERS.saturating_add(self.crowd),
                seed: self.seed,
                // Their money comes by deposits, and an empty balance is not allowed.
                balance: QuoteMicros::from_micros(1),
                position_lots: QuantityLots::ZERO,
                // Participants sign with their root keys: a grant ends before a month does.
                grant_notional: QuoteMicros::from_micros(1),
                grant_commands_per_minute: 1,
                grant_lifetime_ms: ms(GRANT_LIFETIME_MS_MAX),
            }),
            policies: PolicyFolder::shipped().to_set().unwrap_or_default(),
            auditors: BoundedVec::empty(),
        };
        genesis.validate()?;
        Ok(genesis)
    }

    fn principals(&self, key: fn(&[u8; 32], u64) -> SigningKey, count: u64, first_operator: u16) -> Vec<Principal> {
        let principal = |(index, operator)| Principal {
            operator: OperatorId::new(operator),
            root_key: public_key(&key(&self.seed, index)),
        };
        (0..count).zip(first_operator..).map(principal).collect()
    }

    fn first_ticks(&self) -> u64 {
        (self.first_price_micros.saturating_mul(NANOS_PER_MICRO) / tick_size_for(self.first_price_micros).nanos())
            .max(1)
    }

    fn market(&self, rates: &ClassRates) -> MarketRules {
        let ticks = self.first_ticks();
        let lot_micros = ticks.saturating_mul(u64::from(TICK_VALUE_MICROS)).max(1);
        let lots_max = QuantityLots::from_lots((POSITION_QUOTE_MICROS_MAX / lot_micros).max(1));
        MarketRules {
            id: MARKET,
            segment: SEGMENT,
            tick_value: TickValueMicros::from_micros(TICK_VALUE_MICROS),
            // A market may go up forty times before the venue would have to list it anew.
            price_max: PriceTicks::from_ticks(ticks.saturating_mul(40)),
            reference_price: PriceTicks::from_ticks(ticks),
            band: rates.band,
            order_lots_min: QuantityLots::from_lots(1),
            order_lots_max: lots_max,
            position_lots_max: lots_max,
            maker_fee: FeePpm::from_ppm(-50),
            taker_fee: FeePpm::from_ppm(TAKER_FEE_PPM),
        }
    }

    fn feed(&self, rates: &ClassRates) -> FeedRules {
        FeedRules {
            id: FEED,
            segment: SEGMENT,
            publishers: list((0..PUBLISHERS as u16).collect()),
            operators_min: 3,
            reference_price: PriceNanos::from_nanos(self.first_price_micros.saturating_mul(NANOS_PER_MICRO)),
            observation_age_ms_max: ms(5_000),
            open_age_ms_max: ms(rates.open_age_ms),
            liquidate_age_ms_max: ms(MINUTE_MS),
            confidence_max: rates.confidence_max,
            // A per cent a second: the most that leaves the largest position time to be worked off.
            move_per_second_max: ppm(10_000),
        }
    }

    fn margin(&self, rates: &ClassRates, insurance: &Insurance) -> MarginRules {
        MarginRules {
            market: MARKET,
            feed: FEED,
            tick_size: tick_size_for(self.first_price_micros),
            tiers: list(rates.tiers.to_vec()),
            size_rate: ppm(10_000),
            size_notional: quote(10_000_000),
            open_interest_notional_max: quote(20_000_000),
            basis_max: ppm(10_000),
            basis_window_ms: ms(150_000),
            profit_cliff_ms: ms(rates.profit_cliff_ms),
            profit_ramp_ms: ms(rates.profit_ramp_ms),
            extended_move: ppm(250_000),
            funding: FundingRules {
                interval_ms: ms(HOUR_MS),
                interest: ppm(100),
                clamp: ppm(500),
                rate_max: ppm(10_000),
                impact_notional: quote(2_000),
            },
            liquidation: LiquidationRules {
                fee: rates.liquidation_fee,
                depth_share: ppm(insurance.depth_share_ppm),
                slice_min: quote(100),
                // The largest position is worked off in four seconds, if the book has the depth for it.
                per_second_max: quote(500_000),
                slippage_max: rates.slippage_max,
                backstop_below: ppm(666_667),
                backstop_loss_max: quote(insurance.backstop_loss_quote_max),
                insurance_share_max: ppm(400_000),
                insurance_window_ms: ms(HOUR_MS),
            },
            regime: regime(rates),
        }
    }

    fn clearing(&self, rates: &ClassRates) -> ClearingRules {
        let backstop = Principal { operator: OperatorId::new(41), root_key: public_key(&backstop_key(&self.seed, 0)) };
        ClearingRules {
            segment: SEGMENT,
            backstop,
            transfer_margin: ppm(100_000),
            principal_exit: PrincipalExitRules {
                delay_ms: ms(HOUR_MS),
                limit: WindowCap { window_ms: ms(24 * HOUR_MS), amount_max: quote(100_000) },
            },
            breakers: BreakerRules {
                price_move: levels(rates.price_move),
                divergence: levels(rates.divergence),
                // 6, 15, 30 seconds, one minute, ten minutes.
                price_age: levels([100_000, 250_000, 500_000, 1_000_000, 10_000_000]),
                insurance_draw: levels([50_000, 100_000, 250_000, 500_000, 1_000_000]),
                outflow: levels([250_000, 500_000, 1_000_000, 1_000_000, 2_000_000]),
                deficit_floor: quote(500),
                clear_ms: ms(MINUTE_MS),
                cooldown_ms: ms(2 * MINUTE_MS),
                cooldown_ms_max: ms(HOUR_MS),
            },
        }
    }
}

/// 1, 2 or 5 times a power of ten, as close below a hundred-thousandth of a first price as there is one.
pub fn tick_size_for(first_price_micros: u64) -> PriceNanos {
    let wanted_nanos = first_price_micros.saturating_mul(NANOS_PER_MICRO) / 100_000;
    let mut power = 1_u64;
    while power.saturating_mul(10) <= wanted_nanos {
        power *= 10;
    }
    let nanos = [5, 2, 1].into_iter().map(|digit| digit * power).find(|nanos| *nanos <= wanted_nanos);
    PriceNanos::from_nanos(nanos.unwrap_or(1))
}

fn segment(insurance: &Insurance) -> SegmentRules {
    SegmentRules {
        id: SEGMENT,
        asset: ASSET,
        withdrawal_delay_ms: ms(MINUTE_MS),
        transfer_delay_ms: ms(MINUTE_MS),
        inbound: WindowCap { window_ms: ms(HOUR_MS), amount_max: quote(20_000_000) },
        outbound: list(vec![
            LimiterRules { window_ms: ms(HOUR_MS), floor: quote(200_000), vault_share: ppm(10_000) },
            LimiterRules { window_ms: ms(24 * HOUR_MS), floor: quote(1_000_000), vault_share: ppm(100_000) },
        ]),
        open_orders_max: 256,
        dead_man_timeout_min_ms: ms(5_000),
        fee_share_insurance: ppm(insurance.fee_share_ppm),
        fee_share_validators: ppm(300_000),
        conduct: casemate_protocol::conduct::ConductRules::STARTING,
    }
}

/// What stands between a loss and those in profit.
#[derive(Clone, Copy, Debug)]
struct Insurance {
    /// Share of fees that fills the fund, ppm.
    fee_share_ppm: u32,
    /// Capital of the backstop, micro-quote.
    backstop_quote_micros: u64,
    /// What the backstop may lose, whole quote.
    backstop_loss_quote_max: i64,
    /// Share of the book's depth that a slice of a liquidation may take, ppm: who liquidates slowly needs insurance.
    depth_share_ppm: u32,
}

impl Insurance {
    const fn of(preset: Preset) -> Self {
        match preset {
            Preset::Usual => Self {
                fee_share_ppm: 400_000,
                backstop_quote_micros: 200_000 * MICROS,
                backstop_loss_quote_max: 50_000,
                depth_share_ppm: 250_000,
            },
            Preset::ThinInsurance => Self {
                fee_share_ppm: 1_000,
                backstop_quote_micros: MICROS,
                backstop_loss_quote_max: 1,
                depth_share_ppm: 2_000,
            },
        }
    }
}

/// What differs between asset classes (R§3.10, R§5.3).
#[derive(Clone, Copy, Debug)]
struct ClassRates {
    tiers: [MarginTier; 4],
    band: RatioPpm,
    open_age_ms: u64,
    confidence_max: RatioPpm,
    profit_cliff_ms: u64,
    profit_ramp_ms: u64,
    liquidation_fee: RatioPpm,
    slippage_max: RatioPpm,
    price_move: [u32; 5],
    divergence: [u32; 5],
    /// An hour's deviation, and a jump, from which the market is elevated, stressed and extreme, ppm.
    rough: [u32; 3],
}

impl ClassRates {
    fn of(class: AssetClass) -> Self {
        // Brackets begin at zero, 100,000, 400,000 and a million of quote.
        let rates = |initial_ppm: [u32; 4]| {
            let mut froms = [0, 100_000, 400_000, 1_000_000].into_iter();
            initial_ppm.map(|initial| MarginTier {
                notional_from: quote(froms.next().unwrap_or(0)),
                initial: ppm(initial),
                maintenance: ppm(initial / 2),
            })
        };
        let major = Self {
            tiers: rates([25_000, 50_000, 100_000, 200_000]),
            band: ppm(50_000),
            open_age_ms: 3_000,
            confidence_max: ppm(5_000),
            profit_cliff_ms: 10 * MINUTE_MS,
            profit_ramp_ms: 30 * MINUTE_MS,
            liquidation_fee: ppm(3_000),
            slippage_max: ppm(10_000),
            price_move: [25_000, 50_000, 100_000, 250_000, 500_000],
            divergence: [7_000, 20_000, 50_000, 100_000, 300_000],
            rough: [10_000, 25_000, 50_000],
        };
        match class {
            AssetClass::Major => major,
            AssetClass::Large => Self {
                tiers: rates([50_000, 100_000, 150_000, 200_000]),
                confidence_max: ppm(10_000),
                profit_cliff_ms: 15 * MINUTE_MS,
                profit_ramp_ms: HOUR_MS,
                liquidation_fee: ppm(5_000),
                price_move: [50_000, 100_000, 150_000, 300_000, 500_000],
                divergence: [10_000, 30_000, 75_000, 150_000, 400_000],
                rough: [15_000, 35_000, 70_000],
                ..major
            },
            AssetClass::Mid => Self {
                tiers: rates([100_000, 125_000, 175_000, 250_000]),
                open_age_ms: 5_000,
                confidence_max: ppm(20_000),
                profit_cliff_ms: 30 * MINUTE_MS,
                profit_ramp_ms: 2 * HOUR_MS,
                liquidation_fee: ppm(10_000),
                slippage_max: ppm(15_000),
                price_move: [50_000, 100_000, 200_000, 350_000, 600_000],
                divergence: [15_000, 40_000, 100_000, 200_000, 450_000],
                rough: [20_000, 45_000, 90_000],
                ..major
            },
            AssetClass::LongTail => Self {
                tiers: rates([200_000, 250_000, 300_000, 400_000]),
                band: ppm(100_000),
                open_age_ms: 10_000,
                confidence_max: ppm(40_000),
                profit_cliff_ms: HOUR_MS,
                profit_ramp_ms: 6 * HOUR_MS,
                liquidation_fee: ppm(20_000),
                slippage_max: ppm(30_000),
                price_move: [100_000, 200_000, 300_000, 450_000, 700_000],
                divergence: [20_000, 60_000, 120_000, 250_000, 500_000],
                rough: [30_000, 70_000, 140_000],
            },
        }
    }
}

/// When the market counts as rough, by its class.
fn regime(rates: &ClassRates) -> RegimeRules {
    RegimeRules {
        volatility: regime_levels(rates.rough),
        jump: regime_levels(rates.rough),
        thinness: regime_levels([600_000, 800_000, 950_000]),
        spread: regime_levels([10_000, 30_000, 100_000]),
        imbalance: regime_levels([900_000, 970_000, 1_000_000]),
        leave: ppm(700_000),
        hold_ms: ms(10 * MINUTE_MS),
        volatility_window_ms: ms(30 * MINUTE_MS),
        depth_window_ms: ms(24 * HOUR_MS),
    }
}

/// Levels in parts per million, from elevated to extreme.
fn regime_levels([elevated, stressed, extreme]: [u32; 3]) -> RegimeLevels {
    RegimeLevels { elevated: ppm(elevated), stressed: ppm(stressed), extreme: ppm(extreme) }
}

/// Levels in parts per million, from `leave` to `halted`.
fn levels([leave, elevated, reduce_only, withdraw_gated, halted]: [u32; 5]) -> RatioLevels {
    RatioLevels {
        leave: ppm(leave),
        elevated: ppm(elevated),
        reduce_only: ppm(reduce_only),
        withdraw_gated: ppm(withdraw_gated),
        halted: ppm(halted),
    }
}

fn list<T, const MAX: usize>(items: Vec<T>) -> BoundedVec<T, MAX> {
    // Every list here is far below its maximum; a longer one would be empty, and fail the listing checks.
    BoundedVec::new(items).unwrap_or_default()
}

fn quote(whole: i64) -> QuoteMicros {
    QuoteMicros::from_micros(whole.saturating_mul(1_000_000))
}

const fn ms(ms: u64) -> DurationMs {
    DurationMs::from_ms(ms)
}

const fn ppm(ppm: u32) -> RatioPpm {
    RatioPpm::from_ppm(ppm)
}
