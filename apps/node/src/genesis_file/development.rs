//! Genesis of chains that nobody's money depends on: one to try the venue, one to replay recorded order flow.
//!
//! Their values are not defaults. They are written out into the genesis file, and the file is what counts.

mod clearing;

use casemate_policy_cedar::PolicyFolder;
use casemate_protocol::clearing::{Officers, ProposalRules};
use casemate_protocol::conduct::ConductRules;
use casemate_protocol::genesis::{
    AccountRules, Genesis, GenesisError, LimiterRules, LogMode, MarketRules, Principal, SafeguardRules, SeededAccounts,
    SegmentRules, WindowCap,
};
use casemate_protocol::grant::GrantLifetimes;
use casemate_protocol::limits::GRANT_LIFETIME_MS_MAX;
use casemate_protocol::policy::PolicySet;
use casemate_protocol::{
    AssetId, BoundedVec, DurationMs, FeePpm, MarketId, OperatorId, PriceTicks, QuantityLots, QuoteMicros, RatioPpm,
    SegmentId, TickValueMicros, TimeMs,
};

use crate::development_keys::{attestor_key, public_key};

/// The seed of every development chain that `genesis init --dev` writes: the same for all, so that nobody takes it for
/// a secret.
pub const DEVELOPMENT_SEED: [u8; 32] = *b"casemate development: no secret!";

/// Block time of height 0 of an order-flow replay: midnight UTC of 2015-05-01, before the first recorded event.
pub const ORDER_REPLAY_TIME: TimeMs = TimeMs::from_ms(1_430_438_400_000);

/// The development venue: two segments that clear on margin, one with the majors and one with a small coin, a feed for
/// each of their three perpetual markets, five publishers, three attestors, risk officers and governors of whom two must
/// agree, an auditor, the policies that come with this version, and seeded accounts, all keys derived from [`DEVELOPMENT_SEED`].
///
/// `time` is its block time of height 0. Session grants of the seeded accounts live 30 days from it, so a node that
/// runs on the clock passes the present. The backstops have accounts but no money: somebody has to deposit it.
#[must_use]
pub fn development_genesis(time: TimeMs) -> Genesis {
    Genesis {
        name: text("casemate development chain"),
        publishers: clearing::publishers(),
        risk_officers: clearing::risk_officers(),
        governors: clearing::governors(),
        feeds: clearing::feeds(),
        clearing: clearing::segments(),
        margins: clearing::margins(),
        passkey_origins: BoundedVec::empty(),
        policies: PolicyFolder::shipped().to_set().unwrap_or_default(),
        auditors: clearing::auditors(),
        ..full_collateral_genesis(time)
    }
}

/// The segments, markets and seeded accounts of [`development_genesis`] with full collateral: there are no prices from
/// outside, no liquidation, no breakers and no policies but the built-in table. For what is about none of them: tests, and benchmarks of the engine.
#[must_use]
pub fn full_collateral_genesis(time: TimeMs) -> Genesis {
    let bitcoin = MarketRules {
        // 0.10 USD per tick on 0.00001 BTC; at most 200 BTC an order and 2,000 BTC a position.
        reference_price: PriceTicks::from_ticks(1_000_000),
        order_lots_max: QuantityLots::from_lots(20_000_000),
        position_lots_max: QuantityLots::from_lots(200_000_000),
        ..market(1, 1)
    };
    let ether = MarketRules {
        // 0.01 USD per tick on 0.0001 ETH; at most 3,000 ETH an order and 30,000 ETH a position.
        reference_price: PriceTicks::from_ticks(300_000),
        order_lots_max: QuantityLots::from_lots(30_000_000),
        position_lots_max: QuantityLots::from_lots(300_000_000),
        ..market(2, 1)
    };
    let small = MarketRules {
        // 0.00001 USD per tick on 0.1 coins: a thin market gets a wide band, small positions and high fees.
        reference_price: PriceTicks::from_ticks(20_000),
        price_max: PriceTicks::from_ticks(1_000_000),
        band: RatioPpm::from_ppm(100_000),
        order_lots_max: QuantityLots::from_lots(5_000_000),
        position_lots_max: QuantityLots::from_lots(50_000_000),
        maker_fee: FeePpm::from_ppm(200),
        taker_fee: FeePpm::from_ppm(1_000),
        ..market(3, 2)
    };
    Genesis {
        name: text("casemate full-collateral chain"),
        time_ms: time,
        is_development: true,
        log_mode: LogMode::Open,
        accounts: AccountRules {
            bond: quote(10),
            opening_deposit_min: quote(20),
            weight_burst: 40_000,
            weight_per_second: 20_000,
            grant_lifetimes: grant_lifetimes(),
            safeguards: SafeguardRules::STAGED,
        },
        attestors: list([attestor(1), attestor(2), attestor(3)]),
        attestor_quorum: 2,
        publishers: BoundedVec::empty(),
        risk_officers: Officers::default(),
        governors: Officers::default(),
        proposals: proposals(),
        feeds: BoundedVec::empty(),
        segments: list([segment(1), segment(2)]),
        markets: list([bitcoin, ether, small]),
        clearing: BoundedVec::empty(),
        margins: BoundedVec::empty(),
        passkey_origins: BoundedVec::empty(),
        seeded: Some(SeededAccounts {
            count: 100,
            seed: DEVELOPMENT_SEED,
            balance: quote(100_000),
            position_lots: QuantityLots::ZERO,
            grant_notional: quote(100_000_000),
            grant_commands_per_minute: 6_000,
            grant_lifetime_ms: DurationMs::from_ms(GRANT_LIFETIME_MS_MAX),
        }),
        policies: PolicySet::default(),
        auditors: BoundedVec::empty(),
    }
}

/// A chain for the replay of recorded BTC/USD order flow: one segment, one market, `accounts` seeded accounts with
/// keys from `seed`.
///
/// A tick is 0.01 USD and a lot 10,000 satoshi, so a tick is worth exactly 0.01 USD × 0.0001 BTC = 1 micro-USD per lot.
/// The rules are as wide as listing checks allow, because the record is of another venue: what it took, the replay must
/// not refuse. Only fees are real, that venue's entry rate of 0.25 % on either side; they do not touch matching, and
/// with them the fee paths are part of the final root.
///
/// # Errors
/// `accounts` is zero or more than a chain holds.
pub fn order_replay_genesis(accounts: u64, seed: [u8; 32]) -> Result<Genesis, GenesisError> {
    let market = MarketRules {
        // The first recorded price is 236.47; a band of the whole refuses nothing below twice the last trade.
        reference_price: PriceTicks::from_ticks(23_647),
        price_max: PriceTicks::from_ticks(1_000_000),
        band: RatioPpm::from_ppm(1_000_000),
        order_lots_max: QuantityLots::from_lots(100_000_000),
        position_lots_max: QuantityLots::from_lots(10_000_000_000),
        maker_fee: FeePpm::from_ppm(2_500),
        taker_fee: FeePpm::from_ppm(2_500),
        ..market(1, 1)
    };
    let genesis = Genesis {
        name: text("casemate order-flow replay"),
        time_ms: ORDER_REPLAY_TIME,
        is_development: true,
        log_mode: LogMode::Open,
        accounts: AccountRules {
            bond: quote(10),
            opening_deposit_min: quote(20),
            // Five hours of record pass in seconds: no account may run out of verification weight.
            weight_burst: 1_000_000_000,
            weight_per_second: 1_000_000_000,
            grant_lifetimes: grant_lifetimes(),
            safeguards: SafeguardRules::STAGED,
        },
        attestors: list([Principal { operator: OperatorId::new(1), root_key: public_key(&attestor_key(&seed, 0)) }]),
        attestor_quorum: 1,
        publishers: BoundedVec::empty(),
        risk_officers: Officers::default(),
        governors: Officers::default(),
        proposals: proposals(),
        feeds: BoundedVec::empty(),
        segments: list([SegmentRules { open_orders_max: 1_024, ..segment(1) }]),
        markets: list([market]),
        clearing: BoundedVec::empty(),
        margins: BoundedVec::empty(),
        passkey_origins: BoundedVec::empty(),
        seeded: Some(SeededAccounts {
            count: accounts,
            seed,
            // The largest recorded order is 200 BTC, about 47,000 USD.
            balance: quote(100_000_000),
            position_lots: QuantityLots::ZERO,
            grant_notional: quote(1_000_000_000_000),
            grant_commands_per_minute: 1_000_000_000,
            grant_lifetime_ms: DurationMs::from_ms(GRANT_LIFETIME_MS_MAX),
        }),
        policies: PolicySet::default(),
        auditors: BoundedVec::empty(),
    };
    genesis.validate()?;
    Ok(genesis)
}

/// A month while calm, a day, four hours, and an hour in the worst.
const fn grant_lifetimes() -> GrantLifetimes {
    let hour_ms = 60 * 60 * 1_000;
    GrantLifetimes {
        calm_ms: DurationMs::from_ms(GRANT_LIFETIME_MS_MAX),
        elevated_ms: DurationMs::from_ms(24 * hour_ms),
        stressed_ms: DurationMs::from_ms(4 * hour_ms),
        extreme_ms: DurationMs::from_ms(hour_ms),
    }
}

fn attestor(number: u16) -> Principal {
    let key = attestor_key(&DEVELOPMENT_SEED, u64::from(number) - 1);
    Principal { operator: OperatorId::new(number), root_key: public_key(&key) }
}

/// A minute in which somebody can object, and a day to find approvals.
const fn proposals() -> ProposalRules {
    ProposalRules { delay_ms: DurationMs::from_ms(MINUTE_MS), life_ms_max: DurationMs::from_ms(24 * HOUR_MS) }
}

fn segment(number: u16) -> SegmentRules {
    SegmentRules {
        id: SegmentId::new(number),
        asset: AssetId::new(1),
        withdrawal_delay_ms: DurationMs::from_ms(MINUTE_MS),
        transfer_delay_ms: DurationMs::from_ms(MINUTE_MS / 6),
        inbound: WindowCap { window_ms: DurationMs::from_ms(HOUR_MS), amount_max: quote(10_000_000) },
        // As dYdX limits its bridge: an hour's accident costs 1 % of the vault, a day's 10 %.
        outbound: list([
            LimiterRules {
                window_ms: DurationMs::from_ms(HOUR_MS),
                floor: quote(1_000_000),
                vault_share: RatioPpm::from_ppm(10_000),
            },
            LimiterRules {
                window_ms: DurationMs::from_ms(24 * HOUR_MS),
                floor: quote(10_000_000),
                vault_share: RatioPpm::from_ppm(100_000),
            },
        ]),
        open_orders_max: 256,
        dead_man_timeout_min_ms: DurationMs::from_ms(5_000),
        fee_share_insurance: RatioPpm::from_ppm(400_000),
        fee_share_validators: RatioPpm::from_ppm(300_000),
        conduct: ConductRules::STARTING,
    }
}

/// A liquid market; what differs is written where it is listed.
fn market(number: u16, segment: u16) -> MarketRules {
    MarketRules {
        id: MarketId::new(number),
        segment: SegmentId::new(segment),
        tick_value: TickValueMicros::from_micros(1),
        price_max: PriceTicks::from_ticks(10_000_000),
        reference_price: PriceTicks::from_ticks(1),
        band: RatioPpm::from_ppm(50_000),
        order_lots_min: QuantityLots::from_lots(1),
        order_lots_max: QuantityLots::from_lots(100_000_000),
        position_lots_max: QuantityLots::from_lots(1_000_000_000),
        maker_fee: FeePpm::from_ppm(-50),
        taker_fee: FeePpm::from_ppm(400),
    }
}

fn quote(whole: i64) -> QuoteMicros {
    QuoteMicros::from_micros(whole.saturating_mul(1_000_000))
}

/// A list whose length the compiler has compared with its maximum, so that the empty list is never taken.
fn list<T, const LENGTH: usize, const MAX: usize>(items: [T; LENGTH]) -> BoundedVec<T, MAX> {
    const { assert!(LENGTH <= MAX, "the list fits its maximum") };
    BoundedVec::new(Vec::from(items)).unwrap_or_default()
}

fn text<const MAX: usize>(text: &str) -> BoundedVec<u8, MAX> {
    BoundedVec::new(text.bytes().take(MAX).collect()).unwrap_or_default()
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
