//! One fixed example of every word of the protocol. Golden files show their bytes, so they never change; a test that
//! needs other values starts from one and names what it changes.

use crate::block::{Header, PROTOCOL_VERSION, SealSecret};
use crate::clearing::{
    BreakerRules, ClearingRules, FeedRules, FundingRules, LiquidationRules, MarginRules, MarginTier, Officers,
    PrincipalExitRules, ProposalRules, RatioLevels,
};
use crate::command::{
    AddEvidence, AdoptPolicies, AmendOrder, Approve, Beneficiary, CancelAllOrders, CancelOrder, CancelScope,
    CancelTransfer, CancelWithdrawal, Change, ChangeRootKey, CloseAccount, ContestLink, DepositClaim, GuardianAct,
    GuardianSet, HeldBack, LeaveBreaker, LimitTerms, OrderKind, OrderReference, PayoutAddress, PlaceOrder, Propose,
    QuoteLadder, QuoteLevel, RequestTransfer, RequestWithdrawal, RevokeGrant, SegmentAccount, SegmentFeed,
    SegmentGrant, SegmentMarket, SegmentOrder, SegmentProposal, SegmentTransfer, SegmentWaiting, SegmentWithdrawal,
    SelfTradeMode, SetDeadMan, Side, SubmitPrice, SystemWork, TimeInForce, VoteAsGuardian, Waiting,
};
use crate::conduct::{BandCause, ConductRules, Detector, Figure, FigureKind};
use crate::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole};
use crate::event::{
    AccountClosed, AccountFrozen, AccountOpened, BreakerMoved, ConductAlerted, ConductBandMoved, DeadManSet,
    DeficitRepaid, DepositAccepted, DepositAttested, DepositCredited, EvidenceAdded, FundingSettled, GrantLossLowered,
    GrantRegistered, GrantRevoked, GrantWatched, GuardianChangeAnnounced, GuardianChangeCancelled, GuardianVoted,
    GuardiansChanged, InsurancePaid, LadderLevelSkipped, LeavingHeld, LinksContested, LiquidationSliced,
    LiquidationStepped, LossUncovered, MarkMoved, OrderReduced, OrderRemoved, OrderRested, PassCause,
    PayoutAddressAdded, PayoutAddressRemoved, PolicyAdopted, PositionPassed, PriceAggregated, PriceObserved,
    ProposalApproved, ProposalEnded, ProposalMade, ProposalOutcome, RecoveryBegun, RecoveryCancelled,
    RecoveryCompleted, RegimeMoved, RemainderDropped, RemovalCause, RootKeyChangeAnnounced, RootKeyChangeCancelled,
    RootKeyChanged, TradeExecuted, TransferArrived, TransferEnded, TransferReleased, TransferRequested,
    WithdrawalEnded, WithdrawalRequested,
};
use crate::genesis::{
    AccountRules, Genesis, LimiterRules, LogMode, MarketRules, PasskeyOrigin, Principal, SafeguardRules,
    SeededAccounts, SegmentRules, WindowCap,
};
use crate::grant::{ActionSet, GrantLifetimes, GrantTerms, MarketScope};
use crate::policy::{ChangeClass, PolicySet, PolicyStamp, Tier};
use crate::read_pass::{READ_PASS_VERSION, ReadScope, ReadTerms};
use crate::regime::{RegimeLevels, RegimeRules};
use crate::{
    AccountId, Action, AssetId, BoundedVec, BreakerCause, BreakerState, ClientOrderId, Command, Digest, DurationMs,
    Envelope, Event, FeePpm, FeedId, FineTicks, GrantNumber, Height, MarketId, OperatorId, OrderNumber, PolicyEpoch,
    PriceGrade, PriceNanos, PriceTicks, ProposalNumber, PublicKey, QuantityLots, QuoteMicros, RatioPpm, RecordIndex,
    Regime, RegimeCause, RejectCode, SegmentId, SignatureBytes, SystemCommand, TickValueMicros, TimeMs, TradeNumber,
    TransferNumber, WithdrawalNumber,
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
        Action::AddPayoutAddress => Command::AddPayoutAddress(Box::new(payout_address())),
        Action::RemovePayoutAddress => Command::RemovePayoutAddress(Box::new(payout_address())),
        Action::ChangeRootKey => Command::ChangeRootKey(ChangeRootKey { key: key(0x17) }),
        Action::CancelRootKeyChange => Command::CancelRootKeyChange,
        Action::AcceptRootKey => Command::AcceptRootKey,
        Action::SetGuardians => Command::SetGuardians(Box::new(guardian_set())),
        Action::CancelGuardianChange => Command::CancelGuardianChange,
        Action::VoteAsGuardian => Command::VoteAsGuardian(VoteAsGuardian {
            account: AccountId::new(42),
            act: GuardianAct::Recover(key(0x19)),
        }),
        Action::CancelRecovery => Command::CancelRecovery,
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
        Action::AddEvidence => Command::AddEvidence(AddEvidence {
            segment: SegmentId::new(1),
            waiting: Waiting::Withdrawal(WithdrawalNumber::new(12)),
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
        Action::ContestLink => Command::ContestLink(ContestLink { segment: SegmentId::new(1) }),
        Action::SetDeadMan => {
            Command::SetDeadMan(SetDeadMan { segment: SegmentId::new(1), timeout_ms: DurationMs::from_ms(15_000) })
        }
        Action::RequestPrincipalExit => Command::RequestPrincipalExit(Box::new(RequestWithdrawal {
            segment: SegmentId::new(2),
            amount: QuoteMicros::from_micros(40_000_000),
            chain: 7,
            destination: bytes(&[0xd5; 20]),
        })),
        Action::SubmitPrice => Command::SubmitPrice(SubmitPrice {
            feed: FeedId::new(1),
            price: PriceNanos::from_nanos(64_001_250_000_000),
            confidence: PriceNanos::from_nanos(12_000_000_000),
            source_ms: TimeMs::from_ms(TIME_MS + 4_250),
        }),
        Action::Propose => Command::Propose(Box::new(Propose {
            segment: SegmentId::new(2),
            change: leave_breaker(),
            expires_ms: TimeMs::from_ms(TIME_MS + 600_000),
        })),
        Action::Approve => Command::Approve(Approve { segment: SegmentId::new(2), number: ProposalNumber::new(4) }),
    }
}

/// A proposal of policies, which is another kind of change than that of [`command`].
#[must_use]
pub fn adopt_policies() -> Propose {
    let set =
        PolicySet::of_texts([("10-trading.cedar", "permit (principal, action, resource);\n")]).unwrap_or_default();
    let adopt = AdoptPolicies { old_epoch: PolicyEpoch::new(0), set, table: Digest([0x7a; 32]), is_tightening: true };
    Propose {
        segment: SegmentId::new(1),
        change: Change::AdoptPolicies(Box::new(adopt)),
        expires_ms: TimeMs::from_ms(TIME_MS + 600_000),
    }
}

fn payout_address() -> PayoutAddress {
    PayoutAddress { chain: 7, destination: bytes(&[0xd5; 20]) }
}

const fn leave_breaker() -> Change {
    Change::LeaveBreaker(LeaveBreaker { from: BreakerState::ReduceOnly, to: BreakerState::Elevated })
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
    events.extend(price_events());
    events.extend(liquidation_events());
    events.extend(breaker_events());
    events.extend(conduct_events());
    events.extend(root_key_events());
    events.extend(guardian_events());
    events
}

fn conduct_events() -> Vec<Event> {
    let (segment, account) = (SegmentId::new(2), AccountId::new(42));
    let figures =
        list(vec![Figure { kind: FigureKind::Order, value: 77 }, Figure { kind: FigureKind::Hits, value: 2_500_000 }]);
    vec![
        Event::ConductAlerted(Box::new(ConductAlerted {
            segment,
            number: 5,
            detector: Detector::Spoof,
            market: MarketId::new(3),
            account,
            at: TimeMs::from_ms(TIME_MS),
            score_ppm: 1_250_000,
            level: 7,
            figures,
        })),
        Event::ConductBandMoved(ConductBandMoved {
            segment,
            account,
            from: 0,
            to: 1,
            cause: BandCause::Alerted,
            alert: 5,
        }),
        Event::LinksContested(LinksContested { segment, account }),
    ]
}

/// One example of each kind of internal work, in the order of their numbers.
#[must_use]
pub fn system_works() -> Vec<SystemWork> {
    let account = SegmentAccount { segment: SegmentId::new(1), account: AccountId::new(42) };
    let grant = SegmentGrant { segment: SegmentId::new(1), account: AccountId::new(42), grant: GrantNumber::new(3) };
    let transfer = SegmentTransfer { from: SegmentId::new(1), to: SegmentId::new(2), transfer: TransferNumber::new(5) };
    let market = SegmentMarket { segment: SegmentId::new(2), market: MarketId::new(3) };
    let proposal = SegmentProposal { segment: SegmentId::new(2), proposal: ProposalNumber::new(4) };
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
        SystemWork::AggregatePrice(SegmentFeed { segment: SegmentId::new(2), feed: FeedId::new(1) }),
        SystemWork::MoveMark(market),
        SystemWork::SettleFunding(market),
        SystemWork::Liquidate(account),
        SystemWork::MoveBreaker(SegmentId::new(2)),
        SystemWork::CarryOutProposal(proposal),
        SystemWork::ExpireProposal(proposal),
        SystemWork::RepayDeficit(SegmentId::new(2)),
        SystemWork::MoveRegime(market),
        SystemWork::MoveConduct(SegmentId::new(2)),
        SystemWork::LowerGrantLoss(grant),
        SystemWork::ChangeGuardians(AccountId::new(42)),
        SystemWork::RecallWithdrawals(account),
        SystemWork::HoldBack(HeldBack {
            segment: SegmentId::new(1),
            waiting: Waiting::Withdrawal(WithdrawalNumber::new(12)),
            required: Some(Tier::Proven),
        }),
        SystemWork::GiveBack(SegmentWaiting {
            segment: SegmentId::new(1),
            waiting: Waiting::Transfer(TransferNumber::new(5)),
        }),
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
    Envelope { intent: intent(commands), evidence: BoundedVec::empty(), signature: SignatureBytes::Ed25519([0; 64]) }
}

/// Terms of a pass for the account of [`intent`], by the same key, for ten minutes.
#[must_use]
pub fn read_terms(scope: ReadScope) -> ReadTerms {
    let intent = intent(Vec::new());
    let account = if matches!(scope, ReadScope::Key) { AccountId::NONE } else { intent.account };
    ReadTerms {
        version: READ_PASS_VERSION,
        chain_id: intent.chain_id,
        account,
        key: intent.signer.key,
        scope,
        not_before_ms: TimeMs::from_ms(TIME_MS),
        expires_ms: TimeMs::from_ms(TIME_MS + 600_000),
    }
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

/// A valid genesis of a development chain: two segments, of which the second clears on margin, three markets, three
/// attestors of whom two must agree, three publishers, two risk officers, two governors and an auditor.
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
            grant_lifetimes: GrantLifetimes {
                calm_ms: DurationMs::from_ms(2_592_000_000),
                elevated_ms: DurationMs::from_ms(86_400_000),
                stressed_ms: DurationMs::from_ms(14_400_000),
                extreme_ms: DurationMs::from_ms(3_600_000),
            },
            safeguards: SafeguardRules::STAGED,
        },
        attestors: list(vec![attestor(1, 0xa1), attestor(2, 0xa2), attestor(3, 0xa3)]),
        attestor_quorum: 2,
        publishers: list(vec![attestor(11, 0xb1), attestor(12, 0xb2), attestor(13, 0xb3)]),
        risk_officers: officers(21, 0xc1),
        governors: officers(31, 0xd1),
        proposals: ProposalRules {
            delay_ms: DurationMs::from_ms(60_000),
            life_ms_max: DurationMs::from_ms(86_400_000),
        },
        feeds: list(vec![feed(1, 2)]),
        segments: list(vec![segment(1), segment(2)]),
        markets: list(vec![market(1, 1), market(2, 1), market(3, 2)]),
        clearing: list(vec![clearing(2, 0xe2)]),
        margins: list(vec![margin(3, 1)]),
        passkey_origins: list(vec![passkey_origin()]),
        seeded: Some(SeededAccounts {
            count: 10,
            seed: [0x07; 32],
            balance: QuoteMicros::from_micros(1_000_000_000),
            position_lots: QuantityLots::from_lots(1),
            grant_notional: QuoteMicros::from_micros(1_000_000_000_000),
            grant_commands_per_minute: 60_000,
            grant_lifetime_ms: DurationMs::from_ms(24 * 60 * 60 * 1_000),
        }),
        policies: PolicySet::default(),
        auditors: list(vec![attestor(41, 0xf1)]),
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
        conduct: ConductRules::STARTING,
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

fn officers(operator: u16, key_byte: u8) -> Officers {
    Officers { members: list(vec![attestor(operator, key_byte), attestor(operator + 1, key_byte + 1)]), quorum: 2 }
}

/// Rules of a feed of the examples' three publishers: the underlying costs 64,000.
#[must_use]
pub fn feed(id: u16, segment: u16) -> FeedRules {
    FeedRules {
        id: FeedId::new(id),
        segment: SegmentId::new(segment),
        publishers: list(vec![0, 1, 2]),
        operators_min: 2,
        reference_price: PriceNanos::from_nanos(64_000_000_000_000),
        observation_age_ms_max: DurationMs::from_ms(5_000),
        open_age_ms_max: DurationMs::from_ms(3_000),
        liquidate_age_ms_max: DurationMs::from_ms(60_000),
        confidence_max: RatioPpm::from_ppm(5_000),
        move_per_second_max: RatioPpm::from_ppm(2_000),
    }
}

/// Margin of a market like [`market`]: two tiers, 5 % and 10 %.
#[must_use]
pub fn margin(market: u16, feed: u16) -> MarginRules {
    let tier = |from: i64, initial, maintenance| MarginTier {
        notional_from: QuoteMicros::from_micros(from),
        initial: RatioPpm::from_ppm(initial),
        maintenance: RatioPpm::from_ppm(maintenance),
    };
    MarginRules {
        market: MarketId::new(market),
        feed: FeedId::new(feed),
        tick_size: PriceNanos::from_nanos(100_000_000),
        tiers: list(vec![tier(0, 50_000, 30_000), tier(5_000_000_000_000, 100_000, 60_000)]),
        size_rate: RatioPpm::from_ppm(20_000),
        size_notional: QuoteMicros::from_micros(10_000_000_000_000),
        open_interest_notional_max: QuoteMicros::from_micros(100_000_000_000_000),
        basis_max: RatioPpm::from_ppm(10_000),
        basis_window_ms: DurationMs::from_ms(150_000),
        profit_cliff_ms: DurationMs::from_ms(600_000),
        profit_ramp_ms: DurationMs::from_ms(1_800_000),
        extended_move: RatioPpm::from_ppm(200_000),
        funding: FundingRules {
            interval_ms: DurationMs::from_ms(3_600_000),
            interest: RatioPpm::from_ppm(100),
            clamp: RatioPpm::from_ppm(500),
            rate_max: RatioPpm::from_ppm(10_000),
            impact_notional: QuoteMicros::from_micros(20_000_000_000),
        },
        liquidation: LiquidationRules {
            fee: RatioPpm::from_ppm(5_000),
            depth_share: RatioPpm::from_ppm(250_000),
            slice_min: QuoteMicros::from_micros(1_000_000_000),
            per_second_max: QuoteMicros::from_micros(5_000_000_000_000),
            slippage_max: RatioPpm::from_ppm(15_000),
            backstop_below: RatioPpm::from_ppm(666_667),
            backstop_loss_max: QuoteMicros::from_micros(1_000_000_000_000),
            insurance_share_max: RatioPpm::from_ppm(400_000),
            insurance_window_ms: DurationMs::from_ms(3_600_000),
        },
        regime: regime(),
    }
}

/// When a market counts as rough: an hour's deviation of 1, 2.5 and 5 %, and what goes with it.
#[must_use]
pub fn regime() -> RegimeRules {
    let levels = |elevated, stressed, extreme| RegimeLevels {
        elevated: RatioPpm::from_ppm(elevated),
        stressed: RatioPpm::from_ppm(stressed),
        extreme: RatioPpm::from_ppm(extreme),
    };
    RegimeRules {
        volatility: levels(10_000, 25_000, 50_000),
        jump: levels(10_000, 25_000, 50_000),
        thinness: levels(600_000, 800_000, 950_000),
        spread: levels(2_000, 10_000, 50_000),
        imbalance: levels(800_000, 950_000, 1_000_000),
        leave: RatioPpm::from_ppm(700_000),
        hold_ms: DurationMs::from_ms(600_000),
        volatility_window_ms: DurationMs::from_ms(1_800_000),
        depth_window_ms: DurationMs::from_ms(86_400_000),
    }
}

/// Rules of a segment that clears on margin.
#[must_use]
pub fn clearing(segment: u16, backstop_key: u8) -> ClearingRules {
    let levels = |leave, elevated, reduce_only, withdraw_gated, halted| RatioLevels {
        leave: RatioPpm::from_ppm(leave),
        elevated: RatioPpm::from_ppm(elevated),
        reduce_only: RatioPpm::from_ppm(reduce_only),
        withdraw_gated: RatioPpm::from_ppm(withdraw_gated),
        halted: RatioPpm::from_ppm(halted),
    };
    ClearingRules {
        segment: SegmentId::new(segment),
        backstop: attestor(41, backstop_key),
        transfer_margin: RatioPpm::from_ppm(100_000),
        principal_exit: PrincipalExitRules {
            delay_ms: DurationMs::from_ms(604_800_000),
            limit: WindowCap {
                window_ms: DurationMs::from_ms(86_400_000),
                amount_max: QuoteMicros::from_micros(50_000_000_000),
            },
        },
        breakers: BreakerRules {
            price_move: levels(25_000, 50_000, 100_000, 200_000, 400_000),
            divergence: levels(7_000, 20_000, 50_000, 100_000, 300_000),
            price_age: levels(100_000, 250_000, 500_000, 1_000_000, 10_000_000),
            insurance_draw: levels(50_000, 100_000, 250_000, 500_000, 1_000_000),
            outflow: levels(250_000, 500_000, 900_000, 1_000_000, u32::MAX),
            deficit_floor: QuoteMicros::from_micros(10_000_000_000),
            clear_ms: DurationMs::from_ms(300_000),
            cooldown_ms: DurationMs::from_ms(300_000),
            cooldown_ms_max: DurationMs::from_ms(86_400_000),
        },
    }
}

/// A page on which passkeys sign, with a relying party above its host.
#[must_use]
pub fn passkey_origin() -> PasskeyOrigin {
    PasskeyOrigin { origin: bytes(b"https://app.casemate.example"), relying_party: bytes(b"casemate.example") }
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
        Event::GrantLossLowered(GrantLossLowered {
            segment: SegmentId::new(1),
            account: AccountId::new(42),
            grant: GrantNumber::new(3),
            loss_max: QuoteMicros::from_micros(1_500_000),
        }),
        Event::PayoutAddressAdded(Box::new(PayoutAddressAdded {
            account: AccountId::new(42),
            address: payout_address(),
            usable_waiting_ms: DurationMs::from_ms(93_600_000),
        })),
        Event::PayoutAddressRemoved(Box::new(PayoutAddressRemoved {
            account: AccountId::new(42),
            address: payout_address(),
            opens_waiting_ms: DurationMs::ZERO,
        })),
        Event::RootKeyChangeAnnounced(Box::new(RootKeyChangeAnnounced {
            account: AccountId::new(42),
            key: key(0x17),
            ready_waiting_ms: DurationMs::from_ms(180_000_000),
        })),
    ]
}

fn guardian_set() -> GuardianSet {
    GuardianSet { threshold: 2, accounts: list([51, 52, 53].map(AccountId::new).to_vec()) }
}

fn guardian_events() -> Vec<Event> {
    let (account, key) = (AccountId::new(42), key(0x19));
    let at = |hours: u64| DurationMs::from_ms(hours * 3_600_000);
    vec![
        Event::GuardianChangeAnnounced(Box::new(GuardianChangeAnnounced {
            account,
            guardians: guardian_set(),
            due_waiting_ms: at(54),
        })),
        Event::GuardianChangeCancelled(GuardianChangeCancelled { account, is_by_guardians: true }),
        Event::GuardiansChanged(Box::new(GuardiansChanged { account, guardians: guardian_set() })),
        Event::GuardianVoted(GuardianVoted {
            account,
            guardian: AccountId::new(51),
            act: GuardianAct::Freeze,
            lapses_waiting_ms: at(51),
        }),
        Event::RecoveryBegun(RecoveryBegun { account, key, ready_waiting_ms: at(52) }),
        Event::RecoveryCancelled(RecoveryCancelled {
            account,
            key,
            cancelled_waiting_ms: at(50),
            again_waiting_ms: at(51),
        }),
        Event::AccountFrozen(AccountFrozen { account, until_waiting_ms: at(53), again_waiting_ms: at(56) }),
        Event::RecoveryCompleted(RecoveryCompleted { account, key, held_until_waiting_ms: at(55) }),
    ]
}

fn root_key_events() -> Vec<Event> {
    let (account, key) = (AccountId::new(42), key(0x17));
    vec![
        Event::RootKeyChangeCancelled(RootKeyChangeCancelled { account, key }),
        Event::RootKeyChanged(RootKeyChanged { account, key }),
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
            tier: Tier::Rooted,
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
            tier: Tier::Proven,
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
        loss_max: QuoteMicros::from_micros(5_000_000_000),
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
        Event::PrincipalExitRequested(Box::new(WithdrawalRequested {
            segment: SegmentId::new(2),
            number: WithdrawalNumber::new(13),
            account,
            amount: QuoteMicros::from_micros(40_000_000),
            due_waiting_ms: DurationMs::from_ms(700_000_000),
            chain: 7,
            destination: bytes(&[0xd5; 20]),
            origin: RecordIndex::new(123_460),
            tier: Tier::Rooted,
        })),
        Event::LeavingHeld(LeavingHeld {
            segment: SegmentId::new(1),
            waiting: Waiting::Withdrawal(WithdrawalNumber::new(12)),
            required: Some(Tier::Proven),
            again_ms: DurationMs::from_ms(1_200_000),
        }),
        Event::EvidenceAdded(EvidenceAdded {
            segment: SegmentId::new(1),
            waiting: Waiting::Transfer(TransferNumber::new(5)),
            tier: Tier::Rooted,
        }),
    ]
}

fn price_events() -> Vec<Event> {
    let (feed, market) = (FeedId::new(1), MarketId::new(3));
    vec![
        Event::PriceObserved(PriceObserved {
            feed,
            publisher: AccountId::new(4),
            price: PriceNanos::from_nanos(64_001_250_000_000),
            confidence: PriceNanos::from_nanos(12_000_000_000),
            source_ms: TimeMs::from_ms(TIME_MS + 4_250),
        }),
        Event::PriceAggregated(PriceAggregated {
            feed,
            published: PriceNanos::from_nanos(64_002_000_000_000),
            price: PriceNanos::from_nanos(64_001_500_000_000),
            confidence: PriceNanos::from_nanos(15_000_000_000),
            source_ms: TimeMs::from_ms(TIME_MS + 4_000),
            operators: 5,
            grade: PriceGrade::Clamped,
        }),
        Event::MarkMoved(MarkMoved {
            market,
            index: FineTicks::from_fine(41_944_023_040),
            published: FineTicks::from_fine(41_944_350_720),
            mark: FineTicks::from_fine(41_943_695_360),
            basis: -327_680,
            premium_ppm: -12,
            depth: QuoteMicros::from_micros(2_500_000_000_000),
            spread_ppm: 150,
            imbalance_ppm: 40_000,
        }),
        Event::FundingSettled(FundingSettled {
            market,
            rate_ppm: 12,
            cumulative: -98_765,
            next_ms: TimeMs::from_ms(TIME_MS + 3_600_000),
        }),
        Event::RegimeMoved(RegimeMoved {
            market,
            from: Regime::Calm,
            to: Regime::Stressed,
            cause: RegimeCause::Jump,
            figure_ppm: 31_415,
        }),
    ]
}

fn liquidation_events() -> Vec<Event> {
    let (segment, market, account) = (SegmentId::new(2), MarketId::new(3), AccountId::new(42));
    vec![
        Event::LiquidationStepped(LiquidationStepped {
            segment,
            account,
            equity: QuoteMicros::from_micros(-1_000_000),
            maintenance: QuoteMicros::from_micros(25_000_000),
        }),
        Event::LiquidationSliced(LiquidationSliced {
            market,
            account,
            traded: QuoteMicros::from_micros(500_000_000),
            fee: QuoteMicros::from_micros(2_500_000),
        }),
        Event::PositionPassed(PositionPassed {
            market,
            from: account,
            to: AccountId::new(17),
            from_side: Side::Ask,
            quantity: QuantityLots::from_lots(250),
            notional: QuoteMicros::from_micros(16_000_000_000),
            cause: PassCause::Deleveraging,
        }),
        Event::InsurancePaid(InsurancePaid { segment, market, account, amount: QuoteMicros::from_micros(700_000) }),
        Event::LossUncovered(LossUncovered { segment, account, amount: QuoteMicros::from_micros(300_000) }),
        Event::DeficitRepaid(DeficitRepaid { segment, amount: QuoteMicros::from_micros(300_000) }),
    ]
}

fn breaker_events() -> Vec<Event> {
    let (segment, number) = (SegmentId::new(2), ProposalNumber::new(4));
    vec![
        Event::BreakerMoved(BreakerMoved {
            segment,
            from: BreakerState::Normal,
            to: BreakerState::ReduceOnly,
            cause: BreakerCause::PriceMove,
            market: MarketId::new(3),
            figure: 112_000,
            cooldown_until_ms: DurationMs::from_ms(360_000),
        }),
        Event::ProposalMade(ProposalMade {
            segment,
            number,
            proposer: AccountId::new(9),
            change: leave_breaker(),
            expires_ms: TimeMs::from_ms(TIME_MS + 600_000),
            origin: RecordIndex::new(123_461),
        }),
        Event::ProposalApproved(ProposalApproved {
            segment,
            number,
            operator: OperatorId::new(2),
            due_waiting_ms: DurationMs::from_ms(420_000),
        }),
        Event::ProposalEnded(ProposalEnded { segment, number, outcome: ProposalOutcome::CarriedOut }),
        Event::PolicyAdopted(Box::new(PolicyAdopted {
            segment: SegmentId::new(1),
            proposal: number,
            policy: PolicyStamp { epoch: PolicyEpoch::new(1), set: Digest([0x5e; 32]), table: Digest([0x7a; 32]) },
            class: ChangeClass::Tightening,
        })),
    ]
}

fn attestor(operator: u16, key_byte: u8) -> Principal {
    Principal { operator: OperatorId::new(operator), root_key: key(key_byte) }
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
