//! The venue of a scenario as its file says it: strict tables, each name ending in its unit. Amounts are whole units of the
//! quote asset or decimals in quotes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::number::Number;

/// A venue with everything filled in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rules {
    pub(crate) chain: ChainRules,
    /// By number, from 1.
    pub(crate) segment: BTreeMap<String, SegmentTable>,
    pub(crate) market: BTreeMap<String, MarketTable>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChainRules {
    pub(crate) attestors: u16,
    pub(crate) attestor_quorum_operators: u16,
    pub(crate) publishers: u16,
    pub(crate) risk_officers: u16,
    pub(crate) risk_officer_quorum_operators: u16,
    pub(crate) governors: u16,
    pub(crate) governor_quorum_operators: u16,
    pub(crate) proposal_delay_ms: u64,
    pub(crate) proposal_life_max_ms: u64,
    pub(crate) account_bond: Number,
    pub(crate) opening_deposit_min: Number,
    pub(crate) weight_burst: u32,
    pub(crate) weight_per_second: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentTable {
    pub(crate) withdrawal_delay_ms: u64,
    pub(crate) transfer_delay_ms: u64,
    pub(crate) inbound: WindowTable,
    /// Window in milliseconds, floor, share of the vault in parts per million.
    pub(crate) outbound: Vec<(u64, Number, u32)>,
    pub(crate) open_orders_max: u32,
    pub(crate) dead_man_timeout_min_ms: u64,
    pub(crate) fee_share_insurance_ppm: u32,
    pub(crate) fee_share_validators_ppm: u32,
    pub(crate) transfer_margin_ppm: u32,
    pub(crate) principal_exit_delay_ms: u64,
    pub(crate) principal_exit: WindowTable,
    pub(crate) breakers: BreakerTable,
    pub(crate) conduct: ConductTable,
}

/// From where conduct alerts, and what is damage.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConductTable {
    pub(crate) wash_gross_min: Number,
    pub(crate) spoof_usual_orders: u32,
    pub(crate) stuffing_messages: u32,
    pub(crate) ignition_run_ppm: u32,
    pub(crate) pump_run_ppm: u32,
    pub(crate) loss_of_fill_ppm: u32,
    pub(crate) refusals_of_account: u32,
    pub(crate) refusals_of_market: u32,
    pub(crate) damage: DamageTable,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DamageTable {
    pub(crate) outflow_ppm: u32,
    pub(crate) pending_ppm: u32,
    pub(crate) price_step_ppm: u32,
    pub(crate) own_loss_ppm: u32,
    pub(crate) book_depth_ppm: u32,
    pub(crate) open_interest_ppm: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowTable {
    pub(crate) window_ms: u64,
    pub(crate) amount_max: Number,
}

/// Levels are leave, Elevated, ReduceOnly, WithdrawGated, Halted.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BreakerTable {
    pub(crate) price_move_ppm: [u32; 5],
    pub(crate) divergence_ppm: [u32; 5],
    pub(crate) price_age_ppm: [u32; 5],
    pub(crate) insurance_draw_ppm: [u32; 5],
    pub(crate) outflow_ppm: [u32; 5],
    pub(crate) deficit_floor: Number,
    pub(crate) clear_ms: u64,
    pub(crate) cooldown_ms: u64,
    pub(crate) cooldown_max_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarketTable {
    pub(crate) segment: u16,
    /// Quote for one unit of the underlying.
    pub(crate) price: Number,
    pub(crate) price_max: Number,
    pub(crate) tick_size: Number,
    /// Units of the underlying.
    pub(crate) lot_size: Number,
    pub(crate) order_max: Number,
    pub(crate) position_max: Number,
    pub(crate) band_ppm: u32,
    pub(crate) maker_fee_ppm: i32,
    pub(crate) taker_fee_ppm: i32,
    pub(crate) feed: FeedTable,
    /// From which notional, initial and maintenance rate in parts per million.
    pub(crate) tiers: Vec<(Number, u32, u32)>,
    pub(crate) size_rate_ppm: u32,
    pub(crate) size_notional: Number,
    pub(crate) open_interest_max: Number,
    pub(crate) basis_max_ppm: u32,
    pub(crate) basis_window_ms: u64,
    pub(crate) profit_cliff_ms: u64,
    pub(crate) profit_ramp_ms: u64,
    pub(crate) extended_move_ppm: u32,
    pub(crate) funding: FundingTable,
    pub(crate) liquidation: LiquidationTable,
    pub(crate) regime: RegimeTable,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeedTable {
    pub(crate) publishers: Vec<String>,
    pub(crate) operators_min: u16,
    pub(crate) observation_age_max_ms: u64,
    pub(crate) open_age_max_ms: u64,
    pub(crate) liquidate_age_max_ms: u64,
    pub(crate) confidence_max_ppm: u32,
    pub(crate) move_per_second_max_ppm: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FundingTable {
    pub(crate) interval_ms: u64,
    pub(crate) interest_ppm: u32,
    pub(crate) clamp_ppm: u32,
    pub(crate) rate_max_ppm: u32,
    pub(crate) impact_notional: Number,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LiquidationTable {
    pub(crate) fee_ppm: u32,
    pub(crate) depth_share_ppm: u32,
    pub(crate) slice_min: Number,
    pub(crate) per_second_max: Number,
    pub(crate) slippage_max_ppm: u32,
    pub(crate) backstop_below_ppm: u32,
    pub(crate) backstop_loss_max: Number,
    pub(crate) insurance_share_max_ppm: u32,
    pub(crate) insurance_window_ms: u64,
}

/// When a market counts as rough: levels from elevated to extreme.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegimeTable {
    pub(crate) volatility_ppm: [u32; 3],
    pub(crate) jump_ppm: [u32; 3],
    pub(crate) thinness_ppm: [u32; 3],
    pub(crate) spread_ppm: [u32; 3],
    pub(crate) imbalance_ppm: [u32; 3],
    pub(crate) leave_ppm: u32,
    pub(crate) hold_ms: u64,
    pub(crate) volatility_window_ms: u64,
    pub(crate) depth_window_ms: u64,
}
