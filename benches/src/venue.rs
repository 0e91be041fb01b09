//! A venue to measure on: one segment, one market, rich accounts with wide grants, and envelopes of their sessions.

use casemate_ledger::SeededKeys;
use casemate_protocol::clearing::{Officers, ProposalRules};
use casemate_protocol::command::{LimitTerms, OrderKind, PlaceOrder, SelfTradeMode, Side, TimeInForce};
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole, digests_without_evidence};
use casemate_protocol::genesis::{
    AccountRules, Genesis, LimiterRules, LogMode, MarketRules, Principal, SafeguardRules, SeededAccounts, SegmentRules,
    WindowCap,
};
use casemate_protocol::grant::GrantLifetimes;
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::limits::GRANT_LIFETIME_MS_MAX;
use casemate_protocol::policy::PolicySet;
use casemate_protocol::{
    AccountId, AssetId, BoundedVec, ClientOrderId, Command, Digest, DurationMs, Envelope, FeePpm, MarketId, OperatorId,
    PriceTicks, PublicKey, QuantityLots, QuoteMicros, RatioPpm, SegmentId, SignatureBytes, TickValueMicros, TimeMs,
};
use ed25519_zebra::SigningKey;

/// The first account that is not the attestor's.
pub const FIRST_ACCOUNT: u64 = 2;
/// Where the book's middle is.
pub const MIDDLE_TICKS: u64 = 100_000;
/// Passive orders stand this far from the middle at most, as in `casemate bench`.
pub const DEPTH_TICKS: u64 = 200;
/// Lots of every order.
pub const ORDER_LOTS: u64 = 5;
/// Block time of genesis.
pub const GENESIS_MS: u64 = 1_000_000;
/// The only market.
pub const MARKET: MarketId = MarketId::new(1);
/// Its segment.
pub const SEGMENT: SegmentId = SegmentId::new(1);

/// Rules under which nothing is refused: limits as wide as genesis allows.
pub fn genesis(accounts: u64) -> Genesis {
    let day = DurationMs::from_ms(86_400_000);
    let plenty = QuoteMicros::from_micros(1 << 50);
    Genesis {
        name: list(b"benchmarks".to_vec()),
        time_ms: TimeMs::from_ms(GENESIS_MS),
        is_development: true,
        log_mode: LogMode::Sealed,
        accounts: AccountRules {
            bond: QuoteMicros::from_micros(1),
            opening_deposit_min: QuoteMicros::from_micros(1),
            weight_burst: 1_000_000_000,
            weight_per_second: 1_000_000_000,
            grant_lifetimes: GrantLifetimes::same(DurationMs::from_ms(GRANT_LIFETIME_MS_MAX)),
            safeguards: SafeguardRules::STAGED,
        },
        attestors: list(vec![Principal { operator: OperatorId::new(1), root_key: named_key("attestor", 1) }]),
        attestor_quorum: 1,
        publishers: BoundedVec::empty(),
        risk_officers: Officers::default(),
        governors: Officers::default(),
        proposals: ProposalRules { delay_ms: DurationMs::from_ms(1), life_ms_max: day },
        feeds: BoundedVec::empty(),
        segments: list(vec![SegmentRules {
            id: SEGMENT,
            asset: AssetId::new(1),
            withdrawal_delay_ms: day,
            transfer_delay_ms: day,
            inbound: WindowCap { window_ms: day, amount_max: plenty },
            outbound: list(vec![LimiterRules {
                window_ms: day,
                floor: plenty,
                vault_share: RatioPpm::from_ppm(1_000_000),
            }]),
            open_orders_max: 1_024,
            dead_man_timeout_min_ms: DurationMs::from_ms(1_000),
            fee_share_insurance: RatioPpm::from_ppm(300_000),
            fee_share_validators: RatioPpm::from_ppm(200_000),
            conduct: casemate_protocol::conduct::ConductRules::STARTING,
        }]),
        markets: list(vec![MarketRules {
            id: MARKET,
            segment: SEGMENT,
            tick_value: TickValueMicros::from_micros(1),
            price_max: PriceTicks::from_ticks(10 * MIDDLE_TICKS),
            reference_price: PriceTicks::from_ticks(MIDDLE_TICKS),
            band: RatioPpm::from_ppm(100_000),
            order_lots_min: QuantityLots::from_lots(1),
            order_lots_max: QuantityLots::from_lots(1_000_000),
            position_lots_max: QuantityLots::from_lots(10_000_000),
            maker_fee: FeePpm::from_ppm(-50),
            taker_fee: FeePpm::from_ppm(350),
        }]),
        clearing: BoundedVec::empty(),
        margins: BoundedVec::empty(),
        passkey_origins: BoundedVec::empty(),
        seeded: Some(SeededAccounts {
            count: accounts,
            seed: [7; 32],
            balance: QuoteMicros::from_micros(1_000_000_000_000_000),
            position_lots: QuantityLots::ZERO,
            grant_notional: QuoteMicros::from_micros(1_000_000_000_000_000_000),
            grant_commands_per_minute: 1_000_000_000,
            grant_lifetime_ms: day,
        }),
        policies: PolicySet::default(),
        auditors: BoundedVec::empty(),
    }
}

/// Keys that nobody can sign with: the ledger knows keys as bytes.
pub fn unsigned_keys(accounts: u64) -> impl Iterator<Item = SeededKeys> {
    (0..accounts).map(|place| SeededKeys {
        root: named_key("root", FIRST_ACCOUNT + place),
        session: named_key("session", FIRST_ACCOUNT + place),
    })
}

/// Root keys that nobody signs with, and session keys that sign.
pub fn session_keys(accounts: u64) -> impl Iterator<Item = SeededKeys> {
    (0..accounts).map(|place| SeededKeys {
        root: named_key("root", FIRST_ACCOUNT + place),
        session: PublicKey::Ed25519(signing_key(FIRST_ACCOUNT + place).verification_key().into()),
    })
}

/// A key that nobody signs with, by its name.
pub fn named_key(kind: &str, number: u64) -> PublicKey {
    PublicKey::Ed25519(hash::digest(Domain::Development, &[kind.as_bytes(), &number.to_le_bytes()]).0)
}

/// The session key of an account.
pub fn signing_key(account: u64) -> SigningKey {
    SigningKey::from(hash::digest(Domain::Development, &[b"key", &account.to_le_bytes()]).0)
}

/// A number that looks drawn and is the same every time.
pub fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

/// A limit order that rests if it does not trade.
pub fn limit_order(side: Side, price_ticks: u64, client_id: u64) -> Command {
    Command::PlaceOrder(PlaceOrder {
        market: MARKET,
        side,
        kind: OrderKind::Limit(LimitTerms {
            price: PriceTicks::from_ticks(price_ticks),
            time_in_force: TimeInForce::GoodTillCancel,
        }),
        quantity: QuantityLots::from_lots(ORDER_LOTS),
        client_id: ClientOrderId::new(client_id),
        is_reduce_only: false,
        self_trade: SelfTradeMode::CancelResting,
    })
}

/// An order that rests: bids and asks in turn, scattered below and above the middle.
pub fn passive_order(number: u64) -> Command {
    let depth = 1 + scattered(number) % DEPTH_TICKS;
    let (side, price) =
        if number.is_multiple_of(2) { (Side::Bid, MIDDLE_TICKS - depth) } else { (Side::Ask, MIDDLE_TICKS + depth) };
    limit_order(side, price, number + 1)
}

/// The bytes of one command, signed by the account's session key.
pub fn sealed(chain_id: Digest, account: u64, key: &SigningKey, nonce: u64, command: Command) -> Vec<u8> {
    let intent = Intent {
        version: ENVELOPE_VERSION,
        chain_id,
        account: AccountId::new(account),
        signer: Signer { role: SignerRole::Session, key: PublicKey::Ed25519(key.verification_key().into()) },
        nonce,
        valid_until_ms: TimeMs::from_ms(GENESIS_MS + 3_600_000),
        group: GroupMode::EachAlone,
        commands: list(vec![command]),
    };
    let signature = SignatureBytes::Ed25519(key.sign(digests_without_evidence(&intent).envelope.bytes()).into());
    Envelope { intent, evidence: BoundedVec::empty(), signature }.encode()
}

/// A list that fits its maximum.
///
/// # Panics
/// It does not.
pub fn list<T, const MAX: usize>(items: Vec<T>) -> BoundedVec<T, MAX> {
    BoundedVec::new(items).expect("a list of a benchmark is short")
}
