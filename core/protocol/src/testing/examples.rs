//! One fixed example of every word of the protocol. Golden files show their bytes, so they never change; a test that
//! needs other values starts from one and names what it changes.

use crate::block::{Header, PROTOCOL_VERSION, SealSecret};
use crate::command::{
    AmendOrder, Beneficiary, CancelAllOrders, CancelOrder, CancelScope, CancelTransfer, CancelWithdrawal, CloseAccount,
    DepositClaim, LimitTerms, OrderKind, OrderReference, PlaceOrder, QuoteLadder, QuoteLevel, RequestTransfer,
    RequestWithdrawal, RevokeGrant, SegmentAccount, SegmentGrant, SegmentOrder, SegmentTransfer, SegmentWithdrawal,
    SelfTradeMode, SetDeadMan, Side, SystemWork, TimeInForce,
};
use crate::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole};
use crate::event::{
    AccountClosed, AccountOpened, DeadManSet, DepositAccepted, DepositAttested, DepositCredited, GrantRegistered,
    GrantRevoked, GrantWatched, LadderLevelSkipped, OrderReduced, OrderRemoved, OrderRested, RemainderDropped,
    RemovalCause, TradeExecuted, TransferArrived, TransferEnded, TransferReleased, TransferRequested, WithdrawalEnded,
    WithdrawalRequested,
};
use crate::genesis::{
    AccountRules, Attestor, Genesis, LimiterRules, LogMode, MarketRules, SeededAccounts, SegmentRules, WindowCap,
};
use crate::grant::{ActionSet, GrantTerms, MarketScope};
use crate::{
    AccountId, Action, AssetId, BoundedVec, ClientOrderId, Command, Digest, DurationMs, Envelope, Event, FeePpm,
    GrantNumber, Height, MarketId, OperatorId, OrderNumber, PolicyEpoch, PriceTicks, PublicKey, QuantityLots,
    QuoteMicros, RatioPpm, RecordIndex, RejectCode, SegmentId, SignatureBytes, SystemCommand, TickValueMicros, TimeMs,
    TradeNumber, TransferNumber, WithdrawalNumber,
};

/// The example of the command that is this action.
#[must_use]
pub fn command(action: Action) -> Command {
    match action {
        Action::OpenAccount => Command::OpenAccount,
        Action::CloseAccount => {
            Command::CloseAccount(Box::new(CloseAccount { chain: 7, destination: bytes(&[0xd5; 20]) }))
        }
        Action::RegisterGrant => Command::RegisterGrant(Box::new(grant_terms())),
        Action::RevokeGrant => Command::RevokeGrant(RevokeGrant { number: GrantNumber::new(3) }),
        Action::AttestDeposit => Command::AttestDeposit(Box::new(deposit_claim())),
        Action::RequestWithdrawal => Command::RequestWithdrawal(Box::new(RequestWithdrawal {
            segment: SegmentId::new(1),
            amount: QuoteMicros::from_micros(250_000_000),
            chain: 7,
            destination: bytes(&[0xd5; 20]),
        })),
        Action::CancelWithdrawal => Command::CancelWithdrawal(CancelWithdrawal {
            segment: SegmentId::new(1),
            number: WithdrawalNumber::new(12),
        }),
        Action::RequestTransfer => Command::RequestTransfer(RequestTransfer {
            from: SegmentId::new(1),
            to: SegmentId::new(2),
            amount: QuoteMicros::from_micros(1_000_000),
        }),
        Action::CancelTransfer => {
            Command::CancelTransfer(CancelTransfer { segment: SegmentId::new(1), number: TransferNumber::new(5) })
        }
        Action::PlaceOrder => Command::PlaceOrder(place_order()),
        Action::AmendOrder => Command::AmendOrder(AmendOrder {
            market: MarketId::new(2),
            order: OrderReference::Number(OrderNumber::new(99)),
            price: PriceTicks::from_ticks(64_001),
            quantity: QuantityLots::from_lots(10),
        }),
        Action::CancelOrder => Command::CancelOrder(CancelOrder {
            market: MarketId::new(2),
            order: OrderReference::Client(ClientOrderId::new(77)),
        }),
        Action::CancelAllOrders => {
            Command::CancelAllOrders(CancelAllOrders { scope: CancelScope::Segment(SegmentId::new(1)) })
        }
        Action::QuoteLadder => Command::QuoteLadder(Box::new(QuoteLadder {
            market: MarketId::new(1),
            bids: list(vec![level(63_990, 5), level(63_980, 15)]),
            asks: list(vec![level(64_010, 7)]),
        })),
        Action::SetDeadMan => {
            Command::SetDeadMan(SetDeadMan { segment: SegmentId::new(1), timeout_ms: DurationMs::from_ms(15_000) })
        }
    }
}

/// Terms of a grant for trading in two markets.
#[must_use]
pub fn grant_terms() -> GrantTerms {
    GrantTerms {
        number: GrantNumber::new(3),
        parent: GrantNumber::NONE,
        session_key: key(0x5e),
        actions: ActionSet::TRADING,
        markets: MarketScope::Only(list(vec![MarketId::new(1), MarketId::new(2)])),
        notional_quote_micros_max: QuoteMicros::from_micros(5_000_000_000),
        loss_quote_micros_max: QuoteMicros::from_micros(5_000_000_000),
        commands_per_minute_max: 6_000,
        expires_ms: TimeMs::from_ms(TIME_MS + 3_600_000),
        register_before_ms: TimeMs::from_ms(TIME_MS + 30_000),
    }
}

/// A deposit for a root key that has no account yet.
#[must_use]
pub fn deposit_claim() -> DepositClaim {
    DepositClaim {
        chain: 7,
        transaction: bytes(&[0xab; 32]),
        output: 1,
        asset: AssetId::new(1),
        amount: QuoteMicros::from_micros(1_000_000_000),
        segment: SegmentId::new(1),
        beneficiary: Beneficiary::RootKey(key(0x11)),
    }
}

/// A limit order that rests until a time.
#[must_use]
pub fn place_order() -> PlaceOrder {
    PlaceOrder {
        market: MarketId::new(2),
        side: Side::Bid,
        kind: OrderKind::Limit(LimitTerms {
            price: PriceTicks::from_ticks(64_000),
            time_in_force: TimeInForce::GoodTillTime(TimeMs::from_ms(TIME_MS + 60_000)),
        }),
        quantity: QuantityLots::from_lots(25),
        client_id: ClientOrderId::new(77),
        is_reduce_only: false,
        self_trade: SelfTradeMode::CancelResting,
    }
}

/// One example of each event, in the order of their numbers.
#[must_use]
pub fn events() -> Vec<Event> {
    let mut events = account_events();
    events.extend(funds_events());
    events.extend(order_events());
    events
}

/// One example of each kind of internal work, in the order of their numbers.
#[must_use]
pub fn system_works() -> Vec<SystemWork> {
    let account = SegmentAccount { segment: SegmentId::new(1), account: AccountId::new(42) };
    let grant = SegmentGrant { segment: SegmentId::new(1), account: AccountId::new(42), grant: GrantNumber::new(3) };
    let transfer = SegmentTransfer { from: SegmentId::new(1), to: SegmentId::new(2), transfer: TransferNumber::new(5) };
    vec![
        SystemWork::ExpireOrder(SegmentOrder {
            segment: SegmentId::new(1),
            market: MarketId::new(2),
            account: AccountId::new(42),
            order: OrderNumber::new(99),
        }),
        SystemWork::ExpireGrantOrders(grant),
        SystemWork::FireDeadMan(account),
        SystemWork::ReleaseWithdrawal(SegmentWithdrawal {
            segment: SegmentId::new(1),
            withdrawal: WithdrawalNumber::new(12),
        }),
        SystemWork::ReleaseTransfer(transfer),
        SystemWork::ArriveTransfer(transfer),
        SystemWork::CancelGrantOrders(grant),
        SystemWork::CreditDeposits(account),
    ]
}

/// A piece of internal work with its origin.
#[must_use]
pub fn system_command(work: SystemWork) -> SystemCommand {
    SystemCommand { origin: RecordIndex::new(123_456), work }
}

/// An intent of a session key with these commands; more than an envelope can hold are left out.
#[must_use]
pub fn intent(commands: Vec<Command>) -> Intent {
    Intent {
        version: ENVELOPE_VERSION,
        chain_id: genesis().chain_id(),
        account: AccountId::new(42),
        signer: Signer { role: SignerRole::Session, key: key(0x5e) },
        nonce: 9,
        valid_until_ms: TimeMs::from_ms(TIME_MS + 30_000),
        group: GroupMode::EachAlone,
        commands: list(commands),
    }
}

/// An envelope with these commands and a signature of zeros.
#[must_use]
pub fn envelope(commands: Vec<Command>) -> Envelope {
    Envelope { intent: intent(commands), evidence: BoundedVec::empty(), signature: SignatureBytes([0; 64]) }
}

/// A header in the middle of a chain.
#[must_use]
pub fn header() -> Header {
    Header {
        protocol_version: PROTOCOL_VERSION,
        chain_id: genesis().chain_id(),
        height: Height::new(1_000),
        time_ms: TimeMs::from_ms(TIME_MS + 5_000),
        parent: Digest([0x01; 32]),
        proposer: OperatorId::new(1),
        policy_epoch: PolicyEpoch::new(0),
        envelope_count: 2,
        envelope_root: Digest([0x02; 32]),
        state_root: Digest([0x03; 32]),
        log_size: 123_500,
        log_root: Digest([0x04; 32]),
        seal_commitment: seal_secret().commitment(),
        randomness_reveal: Digest::ZERO,
        next_validators: Digest::ZERO,
    }
}

/// The seal secret of [`header`]'s block.
#[must_use]
pub const fn seal_secret() -> SealSecret {
    SealSecret([0x5a; 32])
}

/// A valid genesis of a development chain: two segments, three markets, three attestors of whom two must agree.
#[must_use]
pub fn genesis() -> Genesis {
    Genesis {
        name: bytes(b"example"),
        time_ms: TimeMs::from_ms(TIME_MS),
        is_development: true,
        log_mode: LogMode::Sealed,
        accounts: AccountRules {
            bond: QuoteMicros::from_micros(5_000_000),
            opening_deposit_min: QuoteMicros::from_micros(10_000_000),
            weight_burst: 4_000,
            weight_per_second: 2_000,
        },
        attestors: list(vec![attestor(1, 0xa1), attestor(2, 0xa2), attestor(3, 0xa3)]),
        attestor_quorum: 2,
        segments: list(vec![segment(1), segment(2)]),
        markets: list(vec![market(1, 1), market(2, 1), market(3, 2)]),
        seeded: Some(SeededAccounts {
            count: 10,
            seed: [0x07; 32],
            balance: QuoteMicros::from_micros(1_000_000_000),
            position_lots: QuantityLots::from_lots(1),
            grant_notional: QuoteMicros::from_micros(1_000_000_000_000),
            grant_commands_per_minute: 60_000,
            grant_lifetime_ms: DurationMs::from_ms(24 * 60 * 60 * 1_000),
        }),
    }
}

/// Rules of a segment that holds asset 1.
#[must_use]
pub fn segment(id: u16) -> SegmentRules {
    SegmentRules {
        id: SegmentId::new(id),
        asset: AssetId::new(1),
        withdrawal_delay_ms: DurationMs::from_ms(60_000),
        transfer_delay_ms: DurationMs::from_ms(5_000),
        inbound: WindowCap {
            window_ms: DurationMs::from_ms(3_600_000),
            amount_max: QuoteMicros::from_micros(10_000_000_000_000),
        },
        outbound: list(vec![
            LimiterRules {
                window_ms: DurationMs::from_ms(3_600_000),
                floor: QuoteMicros::from_micros(100_000_000_000),
                vault_share: RatioPpm::from_ppm(50_000),
            },
            LimiterRules {
                window_ms: DurationMs::from_ms(86_400_000),
                floor: QuoteMicros::from_micros(500_000_000_000),
                vault_share: RatioPpm::from_ppm(200_000),
            },
        ]),
        open_orders_max: 200,
        dead_man_timeout_min_ms: DurationMs::from_ms(1_000),
        fee_share_insurance: RatioPpm::from_ppm(300_000),
        fee_share_validators: RatioPpm::from_ppm(200_000),
    }
}

/// Rules of a market: a tick is 0.1, a lot 0.001, so a tick of a lot is 100 micro-quote.
#[must_use]
pub fn market(id: u16, segment: u16) -> MarketRules {
    MarketRules {
        id: MarketId::new(id),
        segment: SegmentId::new(segment),
        tick_value: TickValueMicros::from_micros(100),
        price_max: PriceTicks::from_ticks(10_000_000),
        reference_price: PriceTicks::from_ticks(640_000),
        band: RatioPpm::from_ppm(100_000),
        order_lots_min: QuantityLots::from_lots(1),
        order_lots_max: QuantityLots::from_lots(100_000),
        position_lots_max: QuantityLots::from_lots(1_000_000),
        maker_fee: FeePpm::from_ppm(-50),
        taker_fee: FeePpm::from_ppm(400),
    }
}

/// A key whose bytes are all the same.
#[must_use]
pub const fn key(byte: u8) -> PublicKey {
    PublicKey::Ed25519([byte; 32])
}

fn account_events() -> Vec<Event> {
    vec![
        Event::AccountOpened(AccountOpened {
            account: AccountId::new(42),
            root_key: key(0x11),
            segment: SegmentId::new(1),
        }),
        Event::AccountClosed(AccountClosed {
            account: AccountId::new(42),
            segment: SegmentId::new(1),
            bond: QuoteMicros::from_micros(5_000_000),
        }),
        Event::GrantRegistered(Box::new(GrantRegistered {
            account: AccountId::new(42),
            terms: grant_terms(),
            registered_ms: TimeMs::from_ms(TIME_MS),
        })),
        Event::GrantRevoked(GrantRevoked { account: AccountId::new(42), number: GrantNumber::new(3) }),
    ]
}

fn funds_events() -> Vec<Event> {
    let claim_key = Digest([0xc1; 32]);
    let (segment, account) = (SegmentId::new(1), AccountId::new(42));
    let withdrawal = WithdrawalEnded { segment, number: WithdrawalNumber::new(12) };
    let transfer = TransferEnded { from: segment, number: TransferNumber::new(5) };
    vec![
        Event::DepositAttested(Box::new(DepositAttested {
            claim_key,
            operator: OperatorId::new(2),
            claim: deposit_claim(),
        })),
        Event::DepositAccepted(DepositAccepted { segment, claim_key, amount: QuoteMicros::from_micros(1_000_000_000) }),
        Event::DepositCredited(DepositCredited {
            segment,
            claim_key,
            account,
            amount: QuoteMicros::from_micros(995_000_000),
            bond: QuoteMicros::from_micros(5_000_000),
        }),
        Event::WithdrawalRequested(Box::new(WithdrawalRequested {
            segment,
            number: WithdrawalNumber::new(12),
            account,
            amount: QuoteMicros::from_micros(250_000_000),
            due_waiting_ms: DurationMs::from_ms(65_000),
            chain: 7,
            destination: bytes(&[0xd5; 20]),
            origin: RecordIndex::new(123_456),
        })),
        Event::WithdrawalCancelled(withdrawal),
        Event::WithdrawalReleased(withdrawal),
        Event::TransferRequested(TransferRequested {
            from: segment,
            number: TransferNumber::new(5),
            to: SegmentId::new(2),
            account,
            amount: QuoteMicros::from_micros(1_000_000),
            due_waiting_ms: DurationMs::from_ms(10_000),
            origin: RecordIndex::new(123_457),
        }),
        Event::TransferCancelled(transfer),
        Event::TransferReleased(TransferReleased { from: segment, number: TransferNumber::new(5), sequence: 4 }),
        Event::TransferArrived(TransferArrived {
            from: segment,
            number: TransferNumber::new(5),
            to: SegmentId::new(2),
            account,
            amount: QuoteMicros::from_micros(1_000_000),
            sequence: 4,
        }),
    ]
}

fn order_events() -> Vec<Event> {
    let (market, account) = (MarketId::new(2), AccountId::new(42));
    let watched = GrantWatched {
        segment: SegmentId::new(1),
        account,
        grant: GrantNumber::new(3),
        expires_ms: TimeMs::from_ms(TIME_MS + 3_600_000),
        origin: RecordIndex::new(123_458),
    };
    vec![
        Event::OrderRested(OrderRested {
            market,
            number: OrderNumber::new(99),
            account,
            client_id: ClientOrderId::new(77),
            grant: GrantNumber::new(3),
            side: Side::Bid,
            price: PriceTicks::from_ticks(64_000),
            quantity: QuantityLots::from_lots(25),
            is_reduce_only: false,
            is_ladder: true,
            expires_ms: TimeMs::from_ms(TIME_MS + 60_000),
            origin: RecordIndex::new(123_458),
        }),
        Event::OrderRemoved(OrderRemoved {
            market,
            number: OrderNumber::new(99),
            account,
            quantity: QuantityLots::from_lots(10),
            cause: RemovalCause::Expired,
        }),
        Event::OrderReduced(OrderReduced {
            market,
            number: OrderNumber::new(99),
            account,
            quantity: QuantityLots::from_lots(10),
        }),
        Event::TradeExecuted(TradeExecuted {
            market,
            number: TradeNumber::new(31),
            maker_order: OrderNumber::new(99),
            maker: account,
            taker_order: OrderNumber::new(104),
            taker: AccountId::new(43),
            taker_grant: GrantNumber::NONE,
            taker_side: Side::Ask,
            price: PriceTicks::from_ticks(64_000),
            quantity: QuantityLots::from_lots(15),
            maker_fee: QuoteMicros::from_micros(-4_800),
            taker_fee: QuoteMicros::from_micros(38_400),
        }),
        Event::LadderLevelSkipped(LadderLevelSkipped {
            market,
            side: Side::Ask,
            price: PriceTicks::from_ticks(63_999),
            rule: RejectCode::PostOnlyWouldTake.number(),
        }),
        Event::RemainderDropped(RemainderDropped {
            market,
            number: OrderNumber::new(104),
            quantity: QuantityLots::from_lots(3),
        }),
        Event::DeadManSet(DeadManSet {
            segment: SegmentId::new(1),
            account,
            fires_ms: TimeMs::from_ms(TIME_MS + 15_000),
            origin: RecordIndex::new(123_459),
        }),
        Event::GrantWatched(watched),
        Event::GrantUnwatched(watched),
    ]
}

fn attestor(operator: u16, key_byte: u8) -> Attestor {
    Attestor { operator: OperatorId::new(operator), root_key: key(key_byte) }
}

const fn level(price_ticks: u64, lots: u64) -> QuoteLevel {
    QuoteLevel { price: PriceTicks::from_ticks(price_ticks), quantity: QuantityLots::from_lots(lots) }
}

fn bytes<const MAX: usize>(bytes: &[u8]) -> BoundedVec<u8, MAX> {
    list(bytes.to_vec())
}

fn list<T, const MAX: usize>(mut items: Vec<T>) -> BoundedVec<T, MAX> {
    items.truncate(MAX);
    BoundedVec::new(items).unwrap_or_default()
}

/// Genesis time of the examples: 2025-01-01T00:00:00Z.
const TIME_MS: u64 = 1_735_689_600_000;
