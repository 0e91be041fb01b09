//! Tables for what clears on margin: who publishes prices and who governs, feeds, breakers, margin and liquidation.

use casemate_protocol::clearing::{
    BreakerRules, ClearingRules, FeedRules, FundingRules, LiquidationRules, MarginRules, MarginTier, Officers,
    PrincipalExitRules, ProposalRules, RatioLevels,
};
use casemate_protocol::genesis::{Principal, WindowCap};
use casemate_protocol::limits::{FEED_PUBLISHERS_MAX, MARGIN_TIERS_MAX, OFFICERS_MAX, PUBLISHERS_MAX};
use casemate_protocol::regime::{RegimeLevels, RegimeRules};
use casemate_protocol::{BoundedVec, DurationMs, FeedId, MarketId, OperatorId, RatioPpm, SegmentId};
use serde::Deserialize;
use toml::Spanned;

use super::values::{Key, Price, Quote};
use super::{Problem, bounded};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PrincipalTable {
    operator: u16,
    root_key: Key,
}

/// A list of principals of which so many operators must agree.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuorumTable {
    pub(super) quorum_operators: u16,
    member: Vec<Spanned<PrincipalTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishersTable {
    member: Vec<Spanned<PrincipalTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProposalsTable {
    delay_ms: u64,
    life_max_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedTable {
    pub(super) id: u16,
    segment: u16,
    publishers: Vec<Spanned<u16>>,
    operators_min: u16,
    reference_quote_per_unit: Price,
    observation_age_max_ms: u64,
    open_age_max_ms: u64,
    liquidate_age_max_ms: u64,
    confidence_max_ppm: u32,
    move_per_second_max_ppm: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClearingTable {
    transfer_margin_ppm: u32,
    backstop: PrincipalTable,
    principal_exit: PrincipalExitTable,
    breakers: BreakersTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalExitTable {
    delay_ms: u64,
    window_ms: u64,
    amount_max_quote: Quote,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BreakersTable {
    price_move_ppm: LevelsTable,
    divergence_ppm: LevelsTable,
    price_age_ppm: LevelsTable,
    insurance_draw_ppm: LevelsTable,
    outflow_ppm: LevelsTable,
    deficit_floor_quote: Quote,
    clear_ms: u64,
    cooldown_ms: u64,
    cooldown_max_ms: u64,
}

/// Levels of one trigger, in the unit that the name of the trigger ends in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelsTable {
    leave: u32,
    elevated: u32,
    reduce_only: u32,
    withdraw_gated: u32,
    halted: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarginTable {
    feed: u16,
    tick_size_quote_per_unit: Price,
    size_rate_ppm: u32,
    size_notional_quote: Quote,
    open_interest_max_quote: Quote,
    basis_max_ppm: u32,
    basis_window_ms: u64,
    profit_cliff_ms: u64,
    profit_ramp_ms: u64,
    extended_move_ppm: u32,
    tier: Vec<Spanned<TierTable>>,
    funding: FundingTable,
    liquidation: LiquidationTable,
    regime: RegimeTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierTable {
    notional_from_quote: Quote,
    initial_ppm: u32,
    maintenance_ppm: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FundingTable {
    interval_ms: u64,
    interest_ppm: u32,
    clamp_ppm: u32,
    rate_max_ppm: u32,
    impact_notional_quote: Quote,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LiquidationTable {
    fee_ppm: u32,
    depth_share_ppm: u32,
    slice_min_quote: Quote,
    per_second_max_quote: Quote,
    slippage_max_ppm: u32,
    backstop_below_ppm: u32,
    backstop_loss_max_quote: Quote,
    insurance_share_max_ppm: u32,
    insurance_window_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegimeTable {
    volatility_ppm: RegimeLevelsTable,
    jump_ppm: RegimeLevelsTable,
    thinness_ppm: RegimeLevelsTable,
    spread_ppm: RegimeLevelsTable,
    imbalance_ppm: RegimeLevelsTable,
    leave_ppm: u32,
    hold_ms: u64,
    volatility_window_ms: u64,
    depth_window_ms: u64,
}

/// Levels of one figure, in the unit that its name ends in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegimeLevelsTable {
    elevated: u32,
    stressed: u32,
    extreme: u32,
}

impl PrincipalTable {
    fn into_principal(self) -> Principal {
        Principal { operator: OperatorId::new(self.operator), root_key: self.root_key.0 }
    }
}

pub(super) fn principals<const MAX: usize>(
    tables: Vec<Spanned<PrincipalTable>>,
    what: &str,
) -> Result<BoundedVec<Principal, MAX>, Problem> {
    bounded(tables, what, |member| Ok(member.into_principal()))
}

impl QuorumTable {
    /// Its members, without the quorum.
    pub(super) fn into_members<const MAX: usize>(self, what: &str) -> Result<BoundedVec<Principal, MAX>, Problem> {
        principals(self.member, what)
    }

    pub(super) fn into_officers(self, what: &str) -> Result<Officers, Problem> {
        let quorum = self.quorum_operators;
        Ok(Officers { members: self.into_members::<OFFICERS_MAX>(what)?, quorum })
    }
}

impl PublishersTable {
    pub(super) fn into_publishers(self) -> Result<BoundedVec<Principal, PUBLISHERS_MAX>, Problem> {
        principals(self.member, "publishers")
    }
}

impl ProposalsTable {
    pub(super) const fn into_rules(self) -> ProposalRules {
        ProposalRules {
            delay_ms: DurationMs::from_ms(self.delay_ms),
            life_ms_max: DurationMs::from_ms(self.life_max_ms),
        }
    }
}

impl FeedTable {
    pub(super) fn into_rules(self) -> Result<FeedRules, Problem> {
        Ok(FeedRules {
            id: FeedId::new(self.id),
            segment: SegmentId::new(self.segment),
            publishers: bounded::<_, _, FEED_PUBLISHERS_MAX>(self.publishers, "publishers of a feed", Ok)?,
            operators_min: self.operators_min,
            reference_price: self.reference_quote_per_unit.0,
            observation_age_ms_max: DurationMs::from_ms(self.observation_age_max_ms),
            open_age_ms_max: DurationMs::from_ms(self.open_age_max_ms),
            liquidate_age_ms_max: DurationMs::from_ms(self.liquidate_age_max_ms),
            confidence_max: RatioPpm::from_ppm(self.confidence_max_ppm),
            move_per_second_max: RatioPpm::from_ppm(self.move_per_second_max_ppm),
        })
    }
}

impl ClearingTable {
    pub(super) fn into_rules(self, segment: SegmentId) -> ClearingRules {
        ClearingRules {
            segment,
            backstop: self.backstop.into_principal(),
            transfer_margin: RatioPpm::from_ppm(self.transfer_margin_ppm),
            principal_exit: PrincipalExitRules {
                delay_ms: DurationMs::from_ms(self.principal_exit.delay_ms),
                limit: WindowCap {
                    window_ms: DurationMs::from_ms(self.principal_exit.window_ms),
                    amount_max: self.principal_exit.amount_max_quote.0,
                },
            },
            breakers: self.breakers.into_rules(),
        }
    }
}

impl BreakersTable {
    const fn into_rules(self) -> BreakerRules {
        BreakerRules {
            price_move: self.price_move_ppm.into_levels(),
            divergence: self.divergence_ppm.into_levels(),
            price_age: self.price_age_ppm.into_levels(),
            insurance_draw: self.insurance_draw_ppm.into_levels(),
            outflow: self.outflow_ppm.into_levels(),
            deficit_floor: self.deficit_floor_quote.0,
            clear_ms: DurationMs::from_ms(self.clear_ms),
            cooldown_ms: DurationMs::from_ms(self.cooldown_ms),
            cooldown_ms_max: DurationMs::from_ms(self.cooldown_max_ms),
        }
    }
}

impl LevelsTable {
    const fn into_levels(self) -> RatioLevels {
        RatioLevels {
            leave: RatioPpm::from_ppm(self.leave),
            elevated: RatioPpm::from_ppm(self.elevated),
            reduce_only: RatioPpm::from_ppm(self.reduce_only),
            withdraw_gated: RatioPpm::from_ppm(self.withdraw_gated),
            halted: RatioPpm::from_ppm(self.halted),
        }
    }
}

impl MarginTable {
    pub(super) fn into_rules(self, market: MarketId) -> Result<MarginRules, Problem> {
        Ok(MarginRules {
            market,
            feed: FeedId::new(self.feed),
            tick_size: self.tick_size_quote_per_unit.0,
            tiers: bounded::<_, _, MARGIN_TIERS_MAX>(self.tier, "margin tiers", |tier| Ok(tier.into_tier()))?,
            size_rate: RatioPpm::from_ppm(self.size_rate_ppm),
            size_notional: self.size_notional_quote.0,
            open_interest_notional_max: self.open_interest_max_quote.0,
            basis_max: RatioPpm::from_ppm(self.basis_max_ppm),
            basis_window_ms: DurationMs::from_ms(self.basis_window_ms),
            profit_cliff_ms: DurationMs::from_ms(self.profit_cliff_ms),
            profit_ramp_ms: DurationMs::from_ms(self.profit_ramp_ms),
            extended_move: RatioPpm::from_ppm(self.extended_move_ppm),
            funding: self.funding.into_rules(),
            liquidation: self.liquidation.into_rules(),
            regime: self.regime.into_rules(),
        })
    }
}

impl TierTable {
    const fn into_tier(self) -> MarginTier {
        MarginTier {
            notional_from: self.notional_from_quote.0,
            initial: RatioPpm::from_ppm(self.initial_ppm),
            maintenance: RatioPpm::from_ppm(self.maintenance_ppm),
        }
    }
}

impl FundingTable {
    const fn into_rules(self) -> FundingRules {
        FundingRules {
            interval_ms: DurationMs::from_ms(self.interval_ms),
            interest: RatioPpm::from_ppm(self.interest_ppm),
            clamp: RatioPpm::from_ppm(self.clamp_ppm),
            rate_max: RatioPpm::from_ppm(self.rate_max_ppm),
            impact_notional: self.impact_notional_quote.0,
        }
    }
}

impl LiquidationTable {
    const fn into_rules(self) -> LiquidationRules {
        LiquidationRules {
            fee: RatioPpm::from_ppm(self.fee_ppm),
            depth_share: RatioPpm::from_ppm(self.depth_share_ppm),
            slice_min: self.slice_min_quote.0,
            per_second_max: self.per_second_max_quote.0,
            slippage_max: RatioPpm::from_ppm(self.slippage_max_ppm),
            backstop_below: RatioPpm::from_ppm(self.backstop_below_ppm),
            backstop_loss_max: self.backstop_loss_max_quote.0,
            insurance_share_max: RatioPpm::from_ppm(self.insurance_share_max_ppm),
            insurance_window_ms: DurationMs::from_ms(self.insurance_window_ms),
        }
    }
}

impl RegimeTable {
    const fn into_rules(self) -> RegimeRules {
        RegimeRules {
            volatility: self.volatility_ppm.into_levels(),
            jump: self.jump_ppm.into_levels(),
            thinness: self.thinness_ppm.into_levels(),
            spread: self.spread_ppm.into_levels(),
            imbalance: self.imbalance_ppm.into_levels(),
            leave: RatioPpm::from_ppm(self.leave_ppm),
            hold_ms: DurationMs::from_ms(self.hold_ms),
            volatility_window_ms: DurationMs::from_ms(self.volatility_window_ms),
            depth_window_ms: DurationMs::from_ms(self.depth_window_ms),
        }
    }
}

impl RegimeLevelsTable {
    const fn into_levels(self) -> RegimeLevels {
        RegimeLevels {
            elevated: RatioPpm::from_ppm(self.elevated),
            stressed: RatioPpm::from_ppm(self.stressed),
            extreme: RatioPpm::from_ppm(self.extreme),
        }
    }
}
