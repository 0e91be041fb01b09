//! Tables for accounts, segments and markets, and for what a development chain starts with.

use casemate_protocol::conduct::{ConductRules, DamageRules};
use casemate_protocol::genesis::{
    AccountRules, LimiterRules, MarketRules, PasskeyOrigin, RecoveryRules, SafeguardRules, SeededAccounts,
    SegmentRules, WindowCap,
};
use casemate_protocol::grant::GrantLifetimes;
use casemate_protocol::limits::LIMITER_WINDOWS_MAX;
use casemate_protocol::policy::PolicyFile;
use casemate_protocol::{AssetId, DurationMs, FeePpm, MarketId, PriceTicks, QuantityLots, RatioPpm, SegmentId};
use serde::Deserialize;
use toml::Spanned;

use super::clearing::{ClearingTable, MarginTable};
use super::values::{Host, PolicyName, PolicyText, Quote, Seed, TickValue};
use super::{Problem, bounded};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogModeWord {
    Sealed,
    Open,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AccountsTable {
    bond_quote: Quote,
    opening_deposit_min_quote: Quote,
    weight_burst: u32,
    weight_per_second: u32,
    address_cooling_ms: u64,
    root_change_delay_ms: u64,
    guardian_change_delay_ms: u64,
    recovery_delay_ms: u64,
    guardian_vote_lifetime_ms: u64,
    recovery_cancels_max: u8,
    recovery_cancels_window_ms: u64,
    recovery_pause_ms: u64,
    freeze_ms_max: u64,
    recovery_hold_ms: u64,
    grant_lifetime_max_ms: LifetimesTable,
}

/// Lifetimes by regime, in the unit that the field's name ends in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LifetimesTable {
    calm: u64,
    elevated: u64,
    stressed: u64,
    extreme: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PasskeyOriginTable {
    origin: Host,
    relying_party: Host,
}

impl PasskeyOriginTable {
    pub(super) fn into_origin(self) -> PasskeyOrigin {
        PasskeyOrigin { origin: self.origin.0, relying_party: self.relying_party.0 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyFileTable {
    name: PolicyName,
    text: PolicyText,
}

impl PolicyFileTable {
    #[expect(clippy::unnecessary_wraps, reason = "one of the conversions of a list, of which others can fail")]
    pub(super) fn into_file(self) -> Result<PolicyFile, Problem> {
        Ok(PolicyFile { name: self.name.0, text: self.text.0 })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SegmentTable {
    pub(super) id: u16,
    asset: u16,
    withdrawal_delay_ms: u64,
    transfer_delay_ms: u64,
    open_orders_max: u32,
    dead_man_timeout_min_ms: u64,
    fee_share_insurance_ppm: u32,
    fee_share_validators_ppm: u32,
    inbound: InboundTable,
    conduct: ConductTable,
    outbound: Vec<Spanned<OutboundTable>>,
    /// Absent where collateral is full.
    pub(super) clearing: Option<ClearingTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConductTable {
    wash_gross_min_quote: Quote,
    spoof_usual_orders: u32,
    stuffing_messages: u32,
    ignition_run_ppm: u32,
    pump_run_ppm: u32,
    loss_of_fill_ppm: u32,
    refusals_of_account: u32,
    refusals_of_market: u32,
    damage: DamageTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DamageTable {
    outflow_ppm: u32,
    pending_ppm: u32,
    price_step_ppm: u32,
    own_loss_ppm: u32,
    book_depth_ppm: u32,
    open_interest_ppm: u32,
}

impl ConductTable {
    fn into_rules(self) -> ConductRules {
        let Self { damage, .. } = self;
        ConductRules {
            wash_gross_min: self.wash_gross_min_quote.0,
            spoof_usual_orders: self.spoof_usual_orders,
            stuffing_messages: self.stuffing_messages,
            ignition_run: RatioPpm::from_ppm(self.ignition_run_ppm),
            pump_run: RatioPpm::from_ppm(self.pump_run_ppm),
            loss_of_fill: RatioPpm::from_ppm(self.loss_of_fill_ppm),
            refusals_of_account: self.refusals_of_account,
            refusals_of_market: self.refusals_of_market,
            damage: DamageRules {
                outflow: RatioPpm::from_ppm(damage.outflow_ppm),
                pending: RatioPpm::from_ppm(damage.pending_ppm),
                price_step: RatioPpm::from_ppm(damage.price_step_ppm),
                own_loss: RatioPpm::from_ppm(damage.own_loss_ppm),
                book_depth: RatioPpm::from_ppm(damage.book_depth_ppm),
                open_interest: RatioPpm::from_ppm(damage.open_interest_ppm),
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InboundTable {
    window_ms: u64,
    amount_max_quote: Quote,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutboundTable {
    window_ms: u64,
    floor_quote: Quote,
    vault_share_ppm: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarketTable {
    pub(super) id: u16,
    segment: u16,
    tick_value_quote: TickValue,
    price_max_ticks: u64,
    reference_price_ticks: u64,
    band_ppm: u32,
    order_min_lots: u64,
    order_max_lots: u64,
    position_max_lots: u64,
    maker_fee_ppm: i32,
    taker_fee_ppm: i32,
    /// Absent where collateral is full.
    pub(super) margin: Option<MarginTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeededTable {
    accounts: u64,
    seed_hex: Seed,
    balance_quote: Quote,
    position_lots: u64,
    grant_notional_quote: Quote,
    grant_commands_per_minute: u32,
    grant_lifetime_ms: u64,
}

impl AccountsTable {
    pub(super) fn into_rules(self) -> AccountRules {
        AccountRules {
            bond: self.bond_quote.0,
            opening_deposit_min: self.opening_deposit_min_quote.0,
            weight_burst: self.weight_burst,
            weight_per_second: self.weight_per_second,
            safeguards: SafeguardRules {
                address_cooling_ms: DurationMs::from_ms(self.address_cooling_ms),
                root_change_delay_ms: DurationMs::from_ms(self.root_change_delay_ms),
                recovery: RecoveryRules {
                    guardian_change_delay_ms: DurationMs::from_ms(self.guardian_change_delay_ms),
                    recovery_delay_ms: DurationMs::from_ms(self.recovery_delay_ms),
                    guardian_vote_lifetime_ms: DurationMs::from_ms(self.guardian_vote_lifetime_ms),
                    recovery_cancels_max: self.recovery_cancels_max,
                    recovery_cancels_window_ms: DurationMs::from_ms(self.recovery_cancels_window_ms),
                    recovery_pause_ms: DurationMs::from_ms(self.recovery_pause_ms),
                    freeze_ms_max: DurationMs::from_ms(self.freeze_ms_max),
                    recovery_hold_ms: DurationMs::from_ms(self.recovery_hold_ms),
                },
            },
            grant_lifetimes: self.grant_lifetime_max_ms.into_lifetimes(),
        }
    }
}

impl LifetimesTable {
    const fn into_lifetimes(self) -> GrantLifetimes {
        GrantLifetimes {
            calm_ms: DurationMs::from_ms(self.calm),
            elevated_ms: DurationMs::from_ms(self.elevated),
            stressed_ms: DurationMs::from_ms(self.stressed),
            extreme_ms: DurationMs::from_ms(self.extreme),
        }
    }
}

impl SegmentTable {
    pub(super) fn into_rules(self) -> Result<SegmentRules, Problem> {
        Ok(SegmentRules {
            id: SegmentId::new(self.id),
            asset: AssetId::new(self.asset),
            withdrawal_delay_ms: DurationMs::from_ms(self.withdrawal_delay_ms),
            transfer_delay_ms: DurationMs::from_ms(self.transfer_delay_ms),
            inbound: WindowCap {
                window_ms: DurationMs::from_ms(self.inbound.window_ms),
                amount_max: self.inbound.amount_max_quote.0,
            },
            outbound: bounded::<_, _, LIMITER_WINDOWS_MAX>(self.outbound, "outbound windows", |window| {
                Ok(LimiterRules {
                    window_ms: DurationMs::from_ms(window.window_ms),
                    floor: window.floor_quote.0,
                    vault_share: RatioPpm::from_ppm(window.vault_share_ppm),
                })
            })?,
            open_orders_max: self.open_orders_max,
            dead_man_timeout_min_ms: DurationMs::from_ms(self.dead_man_timeout_min_ms),
            fee_share_insurance: RatioPpm::from_ppm(self.fee_share_insurance_ppm),
            fee_share_validators: RatioPpm::from_ppm(self.fee_share_validators_ppm),
            conduct: self.conduct.into_rules(),
        })
    }
}

impl MarketTable {
    pub(super) fn into_rules(self) -> MarketRules {
        MarketRules {
            id: MarketId::new(self.id),
            segment: SegmentId::new(self.segment),
            tick_value: self.tick_value_quote.0,
            price_max: PriceTicks::from_ticks(self.price_max_ticks),
            reference_price: PriceTicks::from_ticks(self.reference_price_ticks),
            band: RatioPpm::from_ppm(self.band_ppm),
            order_lots_min: QuantityLots::from_lots(self.order_min_lots),
            order_lots_max: QuantityLots::from_lots(self.order_max_lots),
            position_lots_max: QuantityLots::from_lots(self.position_max_lots),
            maker_fee: FeePpm::from_ppm(self.maker_fee_ppm),
            taker_fee: FeePpm::from_ppm(self.taker_fee_ppm),
        }
    }
}

impl SeededTable {
    pub(super) fn into_accounts(self) -> SeededAccounts {
        SeededAccounts {
            count: self.accounts,
            seed: self.seed_hex.0,
            balance: self.balance_quote.0,
            position_lots: QuantityLots::from_lots(self.position_lots),
            grant_notional: self.grant_notional_quote.0,
            grant_commands_per_minute: self.grant_commands_per_minute,
            grant_lifetime_ms: DurationMs::from_ms(self.grant_lifetime_ms),
        }
    }
}
