//! Small chains to trade on: two markets, six accounts of very different means, grants that end soon.

use casemate_protocol::clearing::{Officers, ProposalRules};
use casemate_protocol::genesis::{
    AccountRules, Genesis, LimiterRules, LogMode, MarketRules, Principal, SafeguardRules, SegmentRules, WindowCap,
};
use casemate_protocol::grant::GrantLifetimes;
use casemate_protocol::limits::GRANT_LIFETIME_MS_MAX;
use casemate_protocol::policy::PolicySet;
use casemate_protocol::{
    AccountId, AssetId, BoundedVec, DurationMs, FeePpm, GrantNumber, MarketId, OperatorId, PriceTicks, PublicKey,
    QuantityLots, QuoteMicros, RatioPpm, SegmentId, TickValueMicros, TimeMs,
};

use super::Model;

/// Block time at which every world starts. The block before brings balances and grants, and genesis is before that.
pub const START_MS: u64 = 1_000_000;
/// The accounts of a world are 1 to this.
pub const ACCOUNTS: u64 = 6;

/// A chain, and what its accounts have at the start.
#[derive(Clone, Debug)]
pub struct World {
    /// Passes `Genesis::validate`. The accounts are its attestors, so that they exist from the start; one of them is a
    /// quorum, so that any balance can be attested.
    pub genesis: Genesis,
    /// Cash of accounts in segments.
    pub balances: Vec<(SegmentId, AccountId, QuoteMicros)>,
    /// Grants of every account.
    pub grants: Vec<WorldGrant>,
}

/// A grant for trading in all markets.
#[derive(Clone, Copy, Debug)]
pub struct WorldGrant {
    /// Whose.
    pub account: AccountId,
    /// Its number.
    pub number: GrantNumber,
    /// Its budget.
    pub notional_max: QuoteMicros,
    /// Its end.
    pub expires_ms: TimeMs,
}

impl World {
    /// Both markets share a segment: cash, order numbers, client ids and the limit of open orders.
    pub fn one_segment() -> Self {
        Self::new(1)
    }

    /// Each market has a segment of its own.
    pub fn two_segments() -> Self {
        Self::new(2)
    }

    fn new(segments: u16) -> Self {
        let ids = (1..=segments).map(SegmentId::new);
        let genesis = genesis(ids.clone().map(segment_rules).collect(), vec![dear(1), wild(segments)]);
        let accounts = (1..=ACCOUNTS).map(AccountId::new);
        // From one that can carry everything to one that can hardly carry a lot.
        let means = [500_000, 100_000, 12_000, 5_000, 2_500, 1_200].map(QuoteMicros::from_micros);
        let of_segment = |segment| accounts.clone().zip(means).map(move |(account, cash)| (segment, account, cash));
        // The poorest never had anything in the second segment.
        let is_funded =
            |(segment, account, _): &_| *segment == SegmentId::new(1) || *account != AccountId::new(ACCOUNTS);
        let balances = ids.flat_map(of_segment).filter(is_funded).collect();
        let grants = accounts.flat_map(|account| {
            let grant = |number, notional_max, life_ms| WorldGrant {
                account,
                number: GrantNumber::new(number),
                notional_max: QuoteMicros::from_micros(notional_max),
                expires_ms: TimeMs::from_ms(START_MS + life_ms),
            };
            // The first outlives every sequence, the second is small, the third ends on the way.
            [grant(1, 1_000_000, 1_000_000), grant(2, 3_000, 1_000_000), grant(3, 100_000, 300)]
        });
        Self { genesis, balances, grants: grants.collect() }
    }

    /// The model of this world at its start.
    pub fn model(&self) -> Model {
        let mut model = Model::new(&self.genesis);
        for (segment, account, cash) in &self.balances {
            model.credit(*segment, *account, i128::from(cash.micros()));
        }
        for grant in &self.grants {
            model.register_grant(grant.account, grant.number, grant.notional_max, grant.expires_ms);
        }
        model
    }
}

/// Market 1: high fees with a rebate, a narrow band.
fn dear(segment: u16) -> MarketRules {
    MarketRules {
        id: MarketId::new(1),
        segment: SegmentId::new(segment),
        tick_value: TickValueMicros::from_micros(1),
        price_max: PriceTicks::from_ticks(140),
        reference_price: PriceTicks::from_ticks(100),
        band: RatioPpm::from_ppm(100_000),
        order_lots_min: QuantityLots::from_lots(2),
        order_lots_max: QuantityLots::from_lots(20),
        position_lots_max: QuantityLots::from_lots(40),
        maker_fee: FeePpm::from_ppm(-2_500),
        taker_fee: FeePpm::from_ppm(10_000),
    }
}

/// Market 2: no fees, a tick value other than one, and a band so wide that prices leave short sellers behind.
fn wild(segment: u16) -> MarketRules {
    MarketRules {
        id: MarketId::new(2),
        segment: SegmentId::new(segment),
        tick_value: TickValueMicros::from_micros(3),
        price_max: PriceTicks::from_ticks(400),
        reference_price: PriceTicks::from_ticks(100),
        band: RatioPpm::from_ppm(500_000),
        order_lots_min: QuantityLots::from_lots(1),
        order_lots_max: QuantityLots::from_lots(20),
        position_lots_max: QuantityLots::from_lots(30),
        maker_fee: FeePpm::from_ppm(0),
        taker_fee: FeePpm::from_ppm(0),
    }
}

/// A segment with room for eight orders of an account.
pub fn segment_rules(id: SegmentId) -> SegmentRules {
    let hour = DurationMs::from_ms(3_600_000);
    let plenty = QuoteMicros::from_micros(1 << 50);
    let outbound = LimiterRules { window_ms: hour, floor: plenty, vault_share: RatioPpm::from_ppm(1_000_000) };
    SegmentRules {
        id,
        asset: AssetId::new(1),
        withdrawal_delay_ms: DurationMs::from_ms(1_000),
        transfer_delay_ms: DurationMs::from_ms(1_000),
        inbound: WindowCap { window_ms: hour, amount_max: plenty },
        outbound: BoundedVec::new(vec![outbound]).unwrap_or_default(),
        open_orders_max: 8,
        dead_man_timeout_min_ms: DurationMs::from_ms(100),
        fee_share_insurance: RatioPpm::from_ppm(500_000),
        fee_share_validators: RatioPpm::from_ppm(250_000),
        conduct: casemate_protocol::conduct::ConductRules::STARTING,
    }
}

/// A development chain with these segments and markets.
pub fn genesis(segments: Vec<SegmentRules>, markets: Vec<MarketRules>) -> Genesis {
    let attestors = (1..=ACCOUNTS).map(|account| {
        let number = u8::try_from(account).unwrap_or_default();
        Principal { operator: OperatorId::new(u16::from(number)), root_key: PublicKey::Ed25519([number; 32]) }
    });
    Genesis {
        name: BoundedVec::new(b"model".to_vec()).unwrap_or_default(),
        time_ms: TimeMs::from_ms(START_MS - 2),
        is_development: true,
        log_mode: LogMode::Open,
        accounts: AccountRules {
            bond: QuoteMicros::from_micros(1),
            opening_deposit_min: QuoteMicros::from_micros(1),
            weight_burst: 1_000_000,
            weight_per_second: 1_000_000,
            grant_lifetimes: GrantLifetimes::same(DurationMs::from_ms(GRANT_LIFETIME_MS_MAX)),
            safeguards: SafeguardRules::STAGED,
        },
        attestors: BoundedVec::new(attestors.collect()).unwrap_or_default(),
        attestor_quorum: 1,
        publishers: BoundedVec::empty(),
        risk_officers: Officers::default(),
        governors: Officers::default(),
        proposals: ProposalRules { delay_ms: DurationMs::from_ms(1_000), life_ms_max: DurationMs::from_ms(60_000) },
        feeds: BoundedVec::empty(),
        clearing: BoundedVec::empty(),
        margins: BoundedVec::empty(),
        passkey_origins: BoundedVec::empty(),
        policies: PolicySet::default(),
        auditors: BoundedVec::empty(),
        segments: BoundedVec::new(segments).unwrap_or_default(),
        markets: BoundedVec::new(markets).unwrap_or_default(),
        seeded: None,
    }
}
