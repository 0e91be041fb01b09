//! Margin, prices and breakers of the development venue.
//!
//! First values are those of R§3.10 and R§5.3; caps, brackets and pace of liquidation are chosen so that listing passes:
//! maintenance of the largest position covers the worst move that the cap lets through while it is worked off.

use casemate_protocol::clearing::{
    BreakerRules, ClearingRules, FeedRules, FundingRules, LiquidationRules, MarginRules, MarginTier, Officers,
    PrincipalExitRules, RatioLevels,
};
use casemate_protocol::genesis::{Principal, WindowCap};
use casemate_protocol::limits::{AUDITORS_MAX, FEEDS_MAX, MARKETS_MAX, PUBLISHERS_MAX, SEGMENTS_MAX};
use casemate_protocol::regime::{RegimeLevels, RegimeRules};
use casemate_protocol::{
    BoundedVec, DurationMs, FeedId, MarketId, OperatorId, PriceNanos, QuoteMicros, RatioPpm, SegmentId,
};
use ed25519_zebra::SigningKey;

use super::{DEVELOPMENT_SEED, HOUR_MS, MINUTE_MS, list, quote};
use crate::development_keys::{auditor_key, backstop_key, governor_key, public_key, publisher_key, risk_officer_key};

pub(super) fn publishers() -> BoundedVec<Principal, PUBLISHERS_MAX> {
    list([0, 1, 2, 3, 4].map(|index| principal(publisher_key, 11, index)))
}

pub(super) fn risk_officers() -> Officers {
    Officers { members: list([0, 1, 2].map(|index| principal(risk_officer_key, 21, index))), quorum: 2 }
}

pub(super) fn governors() -> Officers {
    Officers { members: list([0, 1, 2].map(|index| principal(governor_key, 31, index))), quorum: 2 }
}

pub(super) fn auditors() -> BoundedVec<Principal, AUDITORS_MAX> {
    list([principal(auditor_key, 41, 0)])
}

pub(super) fn feeds() -> BoundedVec<FeedRules, FEEDS_MAX> {
    let bitcoin = FeedRules {
        reference_price: PriceNanos::from_nanos(100_000 * QUOTE_NANOS),
        // 0.2 % a second, 2 % at once after ten seconds, 12 % a minute.
        move_per_second_max: RatioPpm::from_ppm(2_000),
        ..feed(1, 1)
    };
    let ether = FeedRules {
        reference_price: PriceNanos::from_nanos(3_000 * QUOTE_NANOS),
        move_per_second_max: RatioPpm::from_ppm(2_500),
        ..feed(2, 1)
    };
    let small = FeedRules {
        reference_price: PriceNanos::from_nanos(QUOTE_NANOS / 5),
        move_per_second_max: RatioPpm::from_ppm(10_000),
        // Few venues trade it, so prices come slowly and differ.
        observation_age_ms_max: DurationMs::from_ms(15_000),
        open_age_ms_max: DurationMs::from_ms(10_000),
        confidence_max: RatioPpm::from_ppm(40_000),
        ..feed(3, 2)
    };
    list([bitcoin, ether, small])
}

pub(super) fn segments() -> BoundedVec<ClearingRules, SEGMENTS_MAX> {
    let majors = BreakerRules {
        price_move: levels([25_000, 50_000, 100_000, 200_000, 400_000]),
        divergence: levels([7_000, 20_000, 50_000, 100_000, 300_000]),
        deficit_floor: quote(10_000),
        ..breakers()
    };
    let small = BreakerRules {
        price_move: levels([100_000, 200_000, 300_000, 450_000, 700_000]),
        divergence: levels([20_000, 60_000, 120_000, 250_000, 500_000]),
        deficit_floor: quote(1_000),
        ..breakers()
    };
    list([segment(1, quote(1_000_000), majors), segment(2, quote(100_000), small)])
}

pub(super) fn margins() -> BoundedVec<MarginRules, MARKETS_MAX> {
    list([bitcoin(), ether(), small()])
}

/// 40x for the smallest positions, about 5x at the cap of 2,000 BTC.
fn bitcoin() -> MarginRules {
    MarginRules {
        market: MarketId::new(1),
        feed: FeedId::new(1),
        tick_size: PriceNanos::from_nanos(QUOTE_NANOS / 10),
        tiers: list([
            tier(0, 25_000, 12_500),
            tier(1_000_000, 50_000, 25_000),
            tier(5_000_000, 100_000, 50_000),
            tier(20_000_000, 160_000, 80_000),
            tier(60_000_000, 200_000, 100_000),
        ]),
        size_rate: RatioPpm::from_ppm(10_000),
        size_notional: quote(100_000_000),
        open_interest_notional_max: quote(1_500_000_000),
        basis_max: RatioPpm::from_ppm(10_000),
        basis_window_ms: DurationMs::from_ms(150_000),
        profit_cliff_ms: DurationMs::from_ms(10 * MINUTE_MS),
        profit_ramp_ms: DurationMs::from_ms(30 * MINUTE_MS),
        extended_move: RatioPpm::from_ppm(200_000),
        funding: FundingRules { impact_notional: quote(20_000), ..funding() },
        liquidation: LiquidationRules {
            // The largest position, 200 million, is worked off in 40 seconds.
            fee: RatioPpm::from_ppm(3_000),
            slice_min: quote(10_000),
            per_second_max: quote(5_000_000),
            slippage_max: RatioPpm::from_ppm(10_000),
            backstop_loss_max: quote(500_000),
            insurance_share_max: RatioPpm::from_ppm(400_000),
            ..liquidation()
        },
        regime: regime(),
    }
}

/// 25x for the smallest positions, about 4x at the cap of 30,000 ETH.
fn ether() -> MarginRules {
    MarginRules {
        market: MarketId::new(2),
        feed: FeedId::new(2),
        tick_size: PriceNanos::from_nanos(QUOTE_NANOS / 100),
        tiers: list([
            tier(0, 40_000, 20_000),
            tier(500_000, 80_000, 40_000),
            tier(2_500_000, 120_000, 60_000),
            tier(10_000_000, 180_000, 90_000),
            tier(30_000_000, 240_000, 120_000),
        ]),
        size_notional: quote(50_000_000),
        open_interest_notional_max: quote(500_000_000),
        extended_move: RatioPpm::from_ppm(250_000),
        funding: FundingRules { impact_notional: quote(12_500), ..funding() },
        liquidation: LiquidationRules {
            // The largest position, 90 million, is worked off in 36 seconds.
            fee: RatioPpm::from_ppm(5_000),
            slice_min: quote(5_000),
            per_second_max: quote(2_500_000),
            slippage_max: RatioPpm::from_ppm(10_000),
            backstop_loss_max: quote(250_000),
            insurance_share_max: RatioPpm::from_ppm(400_000),
            ..liquidation()
        },
        ..bitcoin()
    }
}

/// 5x, less for larger positions: a thin market moves far while a position is worked off.
fn small() -> MarginRules {
    MarginRules {
        market: MarketId::new(3),
        feed: FeedId::new(3),
        tick_size: PriceNanos::from_nanos(QUOTE_NANOS / 100_000),
        tiers: list([tier(0, 200_000, 100_000), tier(50_000, 300_000, 150_000), tier(200_000, 400_000, 200_000)]),
        size_rate: RatioPpm::from_ppm(20_000),
        size_notional: quote(1_000_000),
        open_interest_notional_max: quote(10_000_000),
        basis_max: RatioPpm::from_ppm(30_000),
        profit_cliff_ms: DurationMs::from_ms(HOUR_MS),
        profit_ramp_ms: DurationMs::from_ms(6 * HOUR_MS),
        extended_move: RatioPpm::from_ppm(500_000),
        funding: FundingRules { rate_max: RatioPpm::from_ppm(40_000), impact_notional: quote(2_500), ..funding() },
        liquidation: LiquidationRules {
            // The largest position, a million, is worked off in 10 seconds.
            fee: RatioPpm::from_ppm(20_000),
            slice_min: quote(500),
            per_second_max: quote(100_000),
            slippage_max: RatioPpm::from_ppm(30_000),
            backstop_loss_max: quote(20_000),
            insurance_share_max: RatioPpm::from_ppm(500_000),
            ..liquidation()
        },
        regime: RegimeRules {
            volatility: rough([30_000, 70_000, 140_000]),
            jump: rough([30_000, 70_000, 140_000]),
            spread: rough([10_000, 50_000, 150_000]),
            ..regime()
        },
        ..bitcoin()
    }
}

/// A feed of all five publishers; what differs is written where it is listed.
fn feed(number: u16, segment: u16) -> FeedRules {
    FeedRules {
        id: FeedId::new(number),
        segment: SegmentId::new(segment),
        publishers: list([0, 1, 2, 3, 4]),
        operators_min: 3,
        reference_price: PriceNanos::ZERO,
        observation_age_ms_max: DurationMs::from_ms(5_000),
        open_age_ms_max: DurationMs::from_ms(3_000),
        liquidate_age_ms_max: DurationMs::from_ms(MINUTE_MS),
        confidence_max: RatioPpm::from_ppm(5_000),
        move_per_second_max: RatioPpm::ZERO,
    }
}

fn segment(number: u16, exit_max: QuoteMicros, breakers: BreakerRules) -> ClearingRules {
    ClearingRules {
        segment: SegmentId::new(number),
        backstop: principal(backstop_key, 41, u64::from(number) - 1),
        transfer_margin: RatioPpm::from_ppm(100_000),
        principal_exit: PrincipalExitRules {
            // Sixty times as slow as an ordinary withdrawal.
            delay_ms: DurationMs::from_ms(HOUR_MS),
            limit: WindowCap { window_ms: DurationMs::from_ms(24 * HOUR_MS), amount_max: exit_max },
        },
        breakers,
    }
}

/// What breakers of both segments have in common.
fn breakers() -> BreakerRules {
    BreakerRules {
        price_move: levels([0; 5]),
        divergence: levels([0; 5]),
        // A development node stands still often, and where no price comes its grade already stops new risk. So the
        // breaker waits longer than that: 30 s, 1 min, 10 min, a day.
        price_age: levels([250_000, 500_000, 1_000_000, 10_000_000, 1_440_000_000]),
        insurance_draw: levels([50_000, 100_000, 250_000, 500_000, 1_000_000]),
        // A limiter that is used up gates what leaves. Twice of it cannot leave unless a limiter failed.
        outflow: levels([250_000, 500_000, 1_000_000, 1_000_000, 2_000_000]),
        deficit_floor: QuoteMicros::ZERO,
        clear_ms: DurationMs::from_ms(MINUTE_MS),
        cooldown_ms: DurationMs::from_ms(2 * MINUTE_MS),
        cooldown_ms_max: DurationMs::from_ms(HOUR_MS),
    }
}

/// Hourly funding; a venue's interest is 0.01 % for eight hours.
fn funding() -> FundingRules {
    FundingRules {
        interval_ms: DurationMs::from_ms(HOUR_MS),
        interest: RatioPpm::from_ppm(100),
        clamp: RatioPpm::from_ppm(500),
        rate_max: RatioPpm::from_ppm(10_000),
        impact_notional: QuoteMicros::ZERO,
    }
}

/// What liquidation has in common in all markets; what differs is written where the market is listed.
fn liquidation() -> LiquidationRules {
    LiquidationRules {
        fee: RatioPpm::ZERO,
        depth_share: RatioPpm::from_ppm(250_000),
        slice_min: QuoteMicros::ZERO,
        per_second_max: QuoteMicros::ZERO,
        slippage_max: RatioPpm::ZERO,
        // Below two thirds of maintenance.
        backstop_below: RatioPpm::from_ppm(666_667),
        backstop_loss_max: QuoteMicros::ZERO,
        insurance_share_max: RatioPpm::ZERO,
        insurance_window_ms: DurationMs::from_ms(HOUR_MS),
    }
}

/// An hour's deviation of 1 % is a rough day for the largest markets, 5 % was that of 19 May 2021.
fn regime() -> RegimeRules {
    RegimeRules {
        volatility: rough([10_000, 25_000, 50_000]),
        jump: rough([10_000, 25_000, 50_000]),
        thinness: rough([600_000, 800_000, 950_000]),
        spread: rough([2_000, 10_000, 50_000]),
        imbalance: rough([800_000, 950_000, 1_000_000]),
        leave: RatioPpm::from_ppm(700_000),
        hold_ms: DurationMs::from_ms(10 * MINUTE_MS),
        volatility_window_ms: DurationMs::from_ms(30 * MINUTE_MS),
        depth_window_ms: DurationMs::from_ms(24 * HOUR_MS),
    }
}

/// Levels in parts per million, from elevated to extreme.
fn rough(levels: [u32; 3]) -> RegimeLevels {
    let [elevated, stressed, extreme] = levels.map(RatioPpm::from_ppm);
    RegimeLevels { elevated, stressed, extreme }
}

fn tier(notional_from: i64, initial_ppm: u32, maintenance_ppm: u32) -> MarginTier {
    MarginTier {
        notional_from: quote(notional_from),
        initial: RatioPpm::from_ppm(initial_ppm),
        maintenance: RatioPpm::from_ppm(maintenance_ppm),
    }
}

/// Levels in parts per million, from `leave` to `halted`.
fn levels([leave, elevated, reduce_only, withdraw_gated, halted]: [u32; 5]) -> RatioLevels {
    RatioLevels {
        leave: RatioPpm::from_ppm(leave),
        elevated: RatioPpm::from_ppm(elevated),
        reduce_only: RatioPpm::from_ppm(reduce_only),
        withdraw_gated: RatioPpm::from_ppm(withdraw_gated),
        halted: RatioPpm::from_ppm(halted),
    }
}

/// A principal of an operator of its own, counted on from the first operator of its kind.
fn principal(key: fn(&[u8; 32], u64) -> SigningKey, first_operator: u16, index: u64) -> Principal {
    let place = u16::try_from(index).unwrap_or(u16::MAX);
    Principal {
        operator: OperatorId::new(first_operator.saturating_add(place)),
        root_key: public_key(&key(&DEVELOPMENT_SEED, index)),
    }
}

/// A quote unit in the unit of prices.
const QUOTE_NANOS: u64 = 1_000_000_000;
