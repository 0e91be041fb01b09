//! Strategies for every word of the protocol, edges of ranges included.
//!
//! All are boxed: their types would otherwise nest without end, and every test that uses one would compile it anew, which
//! made the tests of this crate the longest step of the inner loop.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

use crate::block::{Block, EnvelopeBytes, Header, SealSecret};
use crate::command::{
    AddEvidence, AdoptPolicies, AmendOrder, Approve, Beneficiary, CancelAllOrders, CancelOrder, CancelScope,
    CancelTransfer, CancelWithdrawal, Change, ChangeRootKey, CloseAccount, ContestLink, DepositClaim, GuardianAct,
    GuardianSet, HeldBack, LeaveBreaker, LimitTerms, MarketTerms, OrderKind, OrderReference, OutsideReference,
    PayoutAddress, PlaceOrder, Propose, QuoteLadder, QuoteLevel, RequestTransfer, RequestWithdrawal, RevokeGrant,
    SegmentAccount, SegmentFeed, SegmentGrant, SegmentMarket, SegmentOrder, SegmentProposal, SegmentTransfer,
    SegmentWaiting, SegmentWithdrawal, SelfTradeMode, SetDeadMan, Side, SubmitPrice, SystemWork, TimeInForce,
    VoteAsGuardian, Waiting,
};
use crate::conduct::{BandCause, Detector, FIGURES_MAX, Figure, FigureKind};
use crate::envelope::{ENVELOPE_VERSION, Evidence, EvidenceKind, GroupMode, Intent, Signer, SignerRole};
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
use crate::grant::{ActionSet, GrantTerms, MarketScope};
use crate::keys::{Assertion, RecoverableSignature};
use crate::limits::{ENVELOPE_COMMANDS_MAX, ENVELOPE_EVIDENCE_MAX, GRANT_MARKETS_MAX, GUARDIANS_MAX, QUOTE_LEVELS_MAX};
use crate::policy::{ChangeClass, PolicyFile, PolicySet, PolicyStamp, Tier};
use crate::read_pass::{READ_PASS_VERSION, ReadPass, ReadScope, ReadTerms};
use crate::{
    AccountId, Action, AssetId, BoundedVec, BreakerCause, BreakerState, ClientOrderId, Command, Digest, DurationMs,
    Envelope, Event, FeedId, FineTicks, GrantNumber, Height, MarketId, OperatorId, OrderNumber, PolicyEpoch,
    PriceGrade, PriceNanos, PriceTicks, ProposalNumber, PublicKey, QuantityLots, QuoteMicros, RatioPpm, RecordIndex,
    Regime, RegimeCause, Reject, RejectCode, SegmentId, SignatureBytes, SignatureForm, SystemCommand, TimeMs,
    TradeNumber, TransferNumber, WithdrawalNumber,
};

/// Any bare number; both ends of the range and small numbers more often than chance would have it.
macro_rules! numbers {
    ($($name:ident: $number:ty;)*) => {
        $(
            fn $name() -> BoxedStrategy<$number> {
                prop_oneof![
                    1 => Just(<$number>::MIN),
                    1 => Just(<$number>::MAX),
                    4 => 0..=<$number>::from(100u8),
                    6 => any::<$number>(),
                ].boxed()
            }
        )*
    };
}

numbers! {
    number_u16: u16;
    number_u32: u32;
    number_u64: u64;
    number_i64: i64;
}

/// Any value of a type that wraps one number.
macro_rules! wrapped {
    ($($name:ident: $wrapper:ty = $number:ident, $constructor:ident;)*) => {
        $(
            #[doc = concat!("Any `", stringify!($wrapper), "`.")]
            pub fn $name() -> BoxedStrategy<$wrapper> {
                $number().prop_map(<$wrapper>::$constructor).boxed()
            }
        )*
    };
}

wrapped! {
    account_id: AccountId = number_u64, new;
    asset_id: AssetId = number_u16, new;
    client_order_id: ClientOrderId = number_u64, new;
    duration_ms: DurationMs = number_u64, from_ms;
    feed_id: FeedId = number_u16, new;
    fine_ticks: FineTicks = number_u64, from_fine;
    grant_number: GrantNumber = number_u32, new;
    height: Height = number_u64, new;
    market_id: MarketId = number_u16, new;
    operator_id: OperatorId = number_u16, new;
    order_number: OrderNumber = number_u64, new;
    policy_epoch: PolicyEpoch = number_u32, new;
    price_nanos: PriceNanos = number_u64, from_nanos;
    price_ticks: PriceTicks = number_u64, from_ticks;
    proposal_number: ProposalNumber = number_u64, new;
    quantity_lots: QuantityLots = number_u64, from_lots;
    quote_micros: QuoteMicros = number_i64, from_micros;
    ratio_ppm: RatioPpm = number_u32, from_ppm;
    record_index: RecordIndex = number_u64, new;
    segment_id: SegmentId = number_u16, new;
    time_ms: TimeMs = number_u64, from_ms;
    trade_number: TradeNumber = number_u64, new;
    transfer_number: TransferNumber = number_u64, new;
    withdrawal_number: WithdrawalNumber = number_u64, new;
}

/// Any list within its maximum, the empty and the full one included.
pub fn bounded<T: core::fmt::Debug + 'static, const MAX: usize>(
    item: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<BoundedVec<T, MAX>> {
    vec(item, 0..=MAX).prop_map(within_maximum).boxed()
}

/// Any digest.
pub fn digest() -> BoxedStrategy<Digest> {
    any::<[u8; 32]>().prop_map(Digest).boxed()
}

/// Any key bytes of any scheme; hardly ever those of a valid key.
pub fn public_key() -> BoxedStrategy<PublicKey> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(PublicKey::Ed25519),
        any::<[u8; 20]>().prop_map(PublicKey::Secp256k1),
        any::<[u8; 32]>().prop_map(PublicKey::P256),
    ]
    .boxed()
}

/// Any signature bytes of the form of a key; never those of a valid signature.
pub fn signature_of(key: PublicKey) -> BoxedStrategy<SignatureBytes> {
    match key.form() {
        SignatureForm::Ed25519 => ed25519_signature(),
        SignatureForm::Eip712 => (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<bool>())
            .prop_map(|(r, s, is_y_odd)| SignatureBytes::Eip712(RecoverableSignature { r, s, is_y_odd }))
            .boxed(),
        SignatureForm::WebAuthn => {
            (bounded(any::<u8>()), bounded(any::<u8>()), any::<[u8; 32]>(), any::<[u8; 32]>(), any::<bool>())
                .prop_map(|(authenticator_data, client_data, r, s, is_key_y_odd)| {
                    let assertion = Assertion { authenticator_data, client_data, r, s, is_key_y_odd };
                    SignatureBytes::WebAuthn(Box::new(assertion))
                })
                .boxed()
        }
    }
}

/// Any bytes of an Ed25519 signature.
fn ed25519_signature() -> BoxedStrategy<SignatureBytes> {
    (any::<[u8; 32]>(), any::<[u8; 32]>())
        .prop_map(|(low, high)| {
            let mut bytes = [0; 64];
            for (byte, source) in bytes.iter_mut().zip(low.iter().chain(&high)) {
                *byte = *source;
            }
            SignatureBytes::Ed25519(bytes)
        })
        .boxed()
}

/// Any action.
pub fn action() -> BoxedStrategy<Action> {
    select(&Action::ALL[..]).boxed()
}

/// Any set of actions.
pub fn action_set() -> BoxedStrategy<ActionSet> {
    vec(action(), 0..=Action::ALL.len())
        .prop_map(|actions| actions.into_iter().fold(ActionSet::EMPTY, ActionSet::with))
        .boxed()
}

/// Either side.
pub fn side() -> BoxedStrategy<Side> {
    select(&[Side::Bid, Side::Ask][..]).boxed()
}

/// Any terms of a grant, sensible or not.
pub fn grant_terms() -> BoxedStrategy<GrantTerms> {
    let scope =
        prop_oneof![Just(MarketScope::All), bounded::<_, GRANT_MARKETS_MAX>(market_id()).prop_map(MarketScope::Only),];
    let names = (grant_number(), grant_number(), public_key(), action_set(), scope);
    let budgets = (quote_micros(), quote_micros(), number_u32());
    (names, budgets, time_ms(), time_ms())
        .prop_map(|(names, budgets, expires_ms, register_before_ms)| {
            let (number, parent, session_key, actions, markets) = names;
            let (notional_quote_micros_max, loss_quote_micros_max, commands_per_minute_max) = budgets;
            GrantTerms {
                number,
                parent,
                session_key,
                actions,
                markets,
                notional_quote_micros_max,
                loss_quote_micros_max,
                commands_per_minute_max,
                expires_ms,
                register_before_ms,
            }
        })
        .boxed()
}

/// Any bytes that name something outside.
pub fn outside_reference() -> BoxedStrategy<OutsideReference> {
    bounded(any::<u8>()).boxed()
}

/// Any deposit claim.
pub fn deposit_claim() -> BoxedStrategy<DepositClaim> {
    let beneficiary =
        prop_oneof![account_id().prop_map(Beneficiary::Account), public_key().prop_map(Beneficiary::RootKey)];
    (number_u32(), outside_reference(), number_u32(), asset_id(), quote_micros(), segment_id(), beneficiary)
        .prop_map(|(chain, transaction, output, asset, amount, segment, beneficiary)| DepositClaim {
            chain,
            transaction,
            output,
            asset,
            amount,
            segment,
            beneficiary,
        })
        .boxed()
}

/// Any placed order.
pub fn place_order() -> BoxedStrategy<PlaceOrder> {
    let time_in_force = prop_oneof![
        select(
            &[
                TimeInForce::GoodTillCancel,
                TimeInForce::ImmediateOrCancel,
                TimeInForce::FillOrKill,
                TimeInForce::PostOnly,
                TimeInForce::PostOnlySlide,
            ][..]
        ),
        time_ms().prop_map(TimeInForce::GoodTillTime),
    ];
    let kind = prop_oneof![
        (price_ticks(), time_in_force)
            .prop_map(|(price, time_in_force)| OrderKind::Limit(LimitTerms { price, time_in_force })),
        ratio_ppm().prop_map(|slippage_ppm_max| OrderKind::Market(MarketTerms { slippage_ppm_max })),
    ];
    let self_trade =
        select(&[SelfTradeMode::CancelResting, SelfTradeMode::CancelArriving, SelfTradeMode::CancelBoth][..]);
    (market_id(), side(), kind, quantity_lots(), client_order_id(), any::<bool>(), self_trade)
        .prop_map(|(market, side, kind, quantity, client_id, is_reduce_only, self_trade)| PlaceOrder {
            market,
            side,
            kind,
            quantity,
            client_id,
            is_reduce_only,
            self_trade,
        })
        .boxed()
}

fn order_reference() -> BoxedStrategy<OrderReference> {
    prop_oneof![order_number().prop_map(OrderReference::Number), client_order_id().prop_map(OrderReference::Client)]
        .boxed()
}

fn waiting() -> BoxedStrategy<Waiting> {
    prop_oneof![withdrawal_number().prop_map(Waiting::Withdrawal), transfer_number().prop_map(Waiting::Transfer)]
        .boxed()
}

fn quote_level() -> BoxedStrategy<QuoteLevel> {
    (price_ticks(), quantity_lots()).prop_map(|(price, quantity)| QuoteLevel { price, quantity }).boxed()
}

fn guardian_set() -> BoxedStrategy<GuardianSet> {
    (any::<u8>(), vec(account_id(), 0..=GUARDIANS_MAX))
        .prop_map(|(threshold, accounts)| GuardianSet {
            threshold,
            accounts: BoundedVec::new(accounts).unwrap_or_default(),
        })
        .boxed()
}

fn guardian_act() -> BoxedStrategy<GuardianAct> {
    prop_oneof![public_key().prop_map(GuardianAct::Recover), Just(GuardianAct::Freeze), Just(GuardianAct::StopChange)]
        .boxed()
}

fn guardian_event_kinds() -> Vec<BoxedStrategy<Event>> {
    vec![
        (account_id(), guardian_set(), duration_ms())
            .prop_map(|(account, guardians, due_waiting_ms)| {
                Event::GuardianChangeAnnounced(Box::new(GuardianChangeAnnounced { account, guardians, due_waiting_ms }))
            })
            .boxed(),
        (account_id(), any::<bool>())
            .prop_map(|(account, is_by_guardians)| {
                Event::GuardianChangeCancelled(GuardianChangeCancelled { account, is_by_guardians })
            })
            .boxed(),
        (account_id(), guardian_set())
            .prop_map(|(account, guardians)| Event::GuardiansChanged(Box::new(GuardiansChanged { account, guardians })))
            .boxed(),
        (account_id(), account_id(), guardian_act(), duration_ms())
            .prop_map(|(account, guardian, act, lapses_waiting_ms)| {
                Event::GuardianVoted(GuardianVoted { account, guardian, act, lapses_waiting_ms })
            })
            .boxed(),
        (account_id(), public_key(), duration_ms())
            .prop_map(|(account, key, ready_waiting_ms)| {
                Event::RecoveryBegun(RecoveryBegun { account, key, ready_waiting_ms })
            })
            .boxed(),
        (account_id(), public_key(), duration_ms(), duration_ms())
            .prop_map(|(account, key, cancelled_waiting_ms, again_waiting_ms)| {
                Event::RecoveryCancelled(RecoveryCancelled { account, key, cancelled_waiting_ms, again_waiting_ms })
            })
            .boxed(),
        (account_id(), duration_ms(), duration_ms())
            .prop_map(|(account, until_waiting_ms, again_waiting_ms)| {
                Event::AccountFrozen(AccountFrozen { account, until_waiting_ms, again_waiting_ms })
            })
            .boxed(),
        (account_id(), public_key(), duration_ms())
            .prop_map(|(account, key, held_until_waiting_ms)| {
                Event::RecoveryCompleted(RecoveryCompleted { account, key, held_until_waiting_ms })
            })
            .boxed(),
    ]
}

/// Any command that is this action.
pub fn command_of(action: Action) -> BoxedStrategy<Command> {
    match action {
        Action::OpenAccount => Just(Command::OpenAccount).boxed(),
        Action::CloseAccount => (number_u32(), outside_reference())
            .prop_map(|(chain, destination)| Command::CloseAccount(Box::new(CloseAccount { chain, destination })))
            .boxed(),
        Action::RegisterGrant => grant_terms().prop_map(|terms| Command::RegisterGrant(Box::new(terms))).boxed(),
        Action::RevokeGrant => grant_number().prop_map(|number| Command::RevokeGrant(RevokeGrant { number })).boxed(),
        Action::AddPayoutAddress => {
            payout_address().prop_map(|address| Command::AddPayoutAddress(Box::new(address))).boxed()
        }
        Action::RemovePayoutAddress => {
            payout_address().prop_map(|address| Command::RemovePayoutAddress(Box::new(address))).boxed()
        }
        Action::ChangeRootKey => public_key().prop_map(|key| Command::ChangeRootKey(ChangeRootKey { key })).boxed(),
        Action::CancelRootKeyChange => Just(Command::CancelRootKeyChange).boxed(),
        Action::AcceptRootKey => Just(Command::AcceptRootKey).boxed(),
        Action::SetGuardians => guardian_set().prop_map(|set| Command::SetGuardians(Box::new(set))).boxed(),
        Action::CancelGuardianChange => Just(Command::CancelGuardianChange).boxed(),
        Action::VoteAsGuardian => (account_id(), guardian_act())
            .prop_map(|(account, act)| Command::VoteAsGuardian(VoteAsGuardian { account, act }))
            .boxed(),
        Action::CancelRecovery => Just(Command::CancelRecovery).boxed(),
        Action::AttestDeposit => deposit_claim().prop_map(|claim| Command::AttestDeposit(Box::new(claim))).boxed(),
        Action::RequestWithdrawal => (segment_id(), quote_micros(), number_u32(), outside_reference())
            .prop_map(|(segment, amount, chain, destination)| {
                Command::RequestWithdrawal(Box::new(RequestWithdrawal { segment, amount, chain, destination }))
            })
            .boxed(),
        Action::CancelWithdrawal => (segment_id(), withdrawal_number())
            .prop_map(|(segment, number)| Command::CancelWithdrawal(CancelWithdrawal { segment, number }))
            .boxed(),
        Action::RequestTransfer => (segment_id(), segment_id(), quote_micros())
            .prop_map(|(from, to, amount)| Command::RequestTransfer(RequestTransfer { from, to, amount }))
            .boxed(),
        Action::AddEvidence => (segment_id(), waiting())
            .prop_map(|(segment, waiting)| Command::AddEvidence(AddEvidence { segment, waiting }))
            .boxed(),
        Action::CancelTransfer => (segment_id(), transfer_number())
            .prop_map(|(segment, number)| Command::CancelTransfer(CancelTransfer { segment, number }))
            .boxed(),
        Action::PlaceOrder => place_order().prop_map(Command::PlaceOrder).boxed(),
        Action::AmendOrder => (market_id(), order_reference(), price_ticks(), quantity_lots())
            .prop_map(|(market, order, price, quantity)| {
                Command::AmendOrder(AmendOrder { market, order, price, quantity })
            })
            .boxed(),
        Action::CancelOrder => (market_id(), order_reference())
            .prop_map(|(market, order)| Command::CancelOrder(CancelOrder { market, order }))
            .boxed(),
        Action::CancelAllOrders => {
            prop_oneof![market_id().prop_map(CancelScope::Market), segment_id().prop_map(CancelScope::Segment)]
                .prop_map(|scope| Command::CancelAllOrders(CancelAllOrders { scope }))
                .boxed()
        }
        Action::QuoteLadder => {
            (market_id(), bounded::<_, QUOTE_LEVELS_MAX>(quote_level()), bounded::<_, QUOTE_LEVELS_MAX>(quote_level()))
                .prop_map(|(market, bids, asks)| Command::QuoteLadder(Box::new(QuoteLadder { market, bids, asks })))
                .boxed()
        }
        Action::ContestLink => segment_id().prop_map(|segment| Command::ContestLink(ContestLink { segment })).boxed(),
        Action::SetDeadMan => (segment_id(), duration_ms())
            .prop_map(|(segment, timeout_ms)| Command::SetDeadMan(SetDeadMan { segment, timeout_ms }))
            .boxed(),
        Action::RequestPrincipalExit => (segment_id(), quote_micros(), number_u32(), outside_reference())
            .prop_map(|(segment, amount, chain, destination)| {
                Command::RequestPrincipalExit(Box::new(RequestWithdrawal { segment, amount, chain, destination }))
            })
            .boxed(),
        Action::SubmitPrice => (feed_id(), price_nanos(), price_nanos(), time_ms())
            .prop_map(|(feed, price, confidence, source_ms)| {
                Command::SubmitPrice(SubmitPrice { feed, price, confidence, source_ms })
            })
            .boxed(),
        Action::Propose => (segment_id(), change(), time_ms())
            .prop_map(|(segment, change, expires_ms)| {
                Command::Propose(Box::new(Propose { segment, change, expires_ms }))
            })
            .boxed(),
        Action::Approve => (segment_id(), proposal_number())
            .prop_map(|(segment, number)| Command::Approve(Approve { segment, number }))
            .boxed(),
    }
}

fn payout_address() -> BoxedStrategy<PayoutAddress> {
    (number_u32(), outside_reference()).prop_map(|(chain, destination)| PayoutAddress { chain, destination }).boxed()
}

fn breaker_state() -> BoxedStrategy<BreakerState> {
    let states = [
        BreakerState::Normal,
        BreakerState::Elevated,
        BreakerState::ReduceOnly,
        BreakerState::WithdrawGated,
        BreakerState::Halted,
    ];
    select(states.to_vec()).boxed()
}

fn change() -> BoxedStrategy<Change> {
    let leave =
        (breaker_state(), breaker_state()).prop_map(|(from, to)| Change::LeaveBreaker(LeaveBreaker { from, to }));
    let file = (vec(any::<u8>(), 0..9), vec(any::<u8>(), 0..40)).prop_map(|(name, text)| PolicyFile {
        name: BoundedVec::new(name).unwrap_or_default(),
        text: BoundedVec::new(text).unwrap_or_default(),
    });
    let adopt = (policy_epoch(), vec(file, 0..3), digest(), any::<bool>()).prop_map(
        |(old_epoch, files, table, is_tightening)| {
            let set = PolicySet { files: BoundedVec::new(files).unwrap_or_default() };
            Change::AdoptPolicies(Box::new(AdoptPolicies { old_epoch, set, table, is_tightening }))
        },
    );
    prop_oneof![leave, adopt].boxed()
}

/// Any command; each action as often as the others.
pub fn command() -> BoxedStrategy<Command> {
    Union::new(Action::ALL.map(command_of)).boxed()
}

/// Any intent of this software's version with one to `commands_max` commands, for any chain.
pub fn intent(commands_max: usize) -> BoxedStrategy<Intent> {
    let signer = (select(&[SignerRole::Root, SignerRole::Session][..]), public_key())
        .prop_map(|(role, key)| Signer { role, key });
    let group = select(&[GroupMode::EachAlone, GroupMode::AllOrNothing][..]);
    let commands = vec(command(), 1..=commands_max.clamp(1, ENVELOPE_COMMANDS_MAX)).prop_map(within_maximum);
    (digest(), account_id(), signer, number_u64(), time_ms(), group, commands)
        .prop_map(|(chain_id, account, signer, nonce, valid_until_ms, group, commands)| Intent {
            version: ENVELOPE_VERSION,
            chain_id,
            account,
            signer,
            nonce,
            valid_until_ms,
            group,
            commands,
        })
        .boxed()
}

/// Mostly none; now and then as much as there may be.
fn evidence() -> BoxedStrategy<BoundedVec<Evidence, ENVELOPE_EVIDENCE_MAX>> {
    let piece = (any::<u16>(), digest(), vec(any::<u8>(), 0..80)).prop_map(|(kind, intent, body)| Evidence {
        kind: EvidenceKind::new(kind),
        intent,
        body: BoundedVec::new(body).unwrap_or_default(),
    });
    let pieces = vec(piece, 1..=ENVELOPE_EVIDENCE_MAX);
    prop_oneof![4 => Just(BoundedVec::empty()), 1 => pieces.prop_map(|all| BoundedVec::new(all).unwrap_or_default())]
        .boxed()
}

/// Any envelope with one to `commands_max` commands. Its signature fits nothing.
pub fn envelope(commands_max: usize) -> BoxedStrategy<Envelope> {
    intent(commands_max)
        .prop_flat_map(|intent| (signature_of(intent.signer.key), evidence(), Just(intent)))
        .prop_map(|(signature, evidence, intent)| Envelope { intent, evidence, signature })
        .boxed()
}

/// Any read pass that decodes; never one with a valid signature.
pub fn read_pass() -> BoxedStrategy<ReadPass> {
    let scope = prop_oneof![
        Just(ReadScope::Account),
        market_id().prop_map(ReadScope::Market),
        Just(ReadScope::Auditor),
        Just(ReadScope::Key),
    ];
    (digest(), 1u64.., public_key(), scope, time_ms(), time_ms())
        .prop_map(|(chain_id, account, key, scope, not_before_ms, expires_ms)| ReadTerms {
            version: READ_PASS_VERSION,
            chain_id,
            account: if scope == ReadScope::Key { AccountId::NONE } else { AccountId::new(account) },
            key,
            scope,
            not_before_ms,
            expires_ms,
        })
        .prop_flat_map(|terms| (signature_of(terms.key), Just(terms)))
        .prop_map(|(signature, terms)| ReadPass { terms, signature })
        .boxed()
}

/// Any refusal.
pub fn reject() -> BoxedStrategy<Reject> {
    let numbers = prop_oneof![Just(None), (quote_micros(), quote_micros()).prop_map(Some),];
    (select(RejectCode::ALL), numbers)
        .prop_map(|(code, numbers)| match numbers {
            Some((required, present)) => Reject::of(code).quote(required, present),
            None => Reject::of(code),
        })
        .boxed()
}

fn segment_grant() -> BoxedStrategy<SegmentGrant> {
    (segment_id(), account_id(), grant_number())
        .prop_map(|(segment, account, grant)| SegmentGrant { segment, account, grant })
        .boxed()
}

fn segment_transfer() -> BoxedStrategy<SegmentTransfer> {
    (segment_id(), segment_id(), transfer_number())
        .prop_map(|(from, to, transfer)| SegmentTransfer { from, to, transfer })
        .boxed()
}

/// A strategy for each kind of internal work.
#[must_use]
pub fn system_work_kinds() -> Vec<BoxedStrategy<SystemWork>> {
    vec![
        (segment_id(), market_id(), account_id(), order_number())
            .prop_map(|(segment, market, account, order)| {
                SystemWork::ExpireOrder(SegmentOrder { segment, market, account, order })
            })
            .boxed(),
        segment_grant().prop_map(SystemWork::ExpireGrantOrders).boxed(),
        segment_account().prop_map(SystemWork::FireDeadMan).boxed(),
        (segment_id(), withdrawal_number())
            .prop_map(|(segment, withdrawal)| SystemWork::ReleaseWithdrawal(SegmentWithdrawal { segment, withdrawal }))
            .boxed(),
        segment_transfer().prop_map(SystemWork::ReleaseTransfer).boxed(),
        segment_transfer().prop_map(SystemWork::ArriveTransfer).boxed(),
        segment_grant().prop_map(SystemWork::CancelGrantOrders).boxed(),
        segment_account().prop_map(SystemWork::CreditDeposits).boxed(),
        (segment_id(), feed_id())
            .prop_map(|(segment, feed)| SystemWork::AggregatePrice(SegmentFeed { segment, feed }))
            .boxed(),
        segment_market().prop_map(SystemWork::MoveMark).boxed(),
        segment_market().prop_map(SystemWork::SettleFunding).boxed(),
        segment_account().prop_map(SystemWork::Liquidate).boxed(),
        segment_id().prop_map(SystemWork::MoveBreaker).boxed(),
        segment_proposal().prop_map(SystemWork::CarryOutProposal).boxed(),
        segment_proposal().prop_map(SystemWork::ExpireProposal).boxed(),
        segment_id().prop_map(SystemWork::RepayDeficit).boxed(),
        segment_market().prop_map(SystemWork::MoveRegime).boxed(),
        segment_id().prop_map(SystemWork::MoveConduct).boxed(),
        segment_grant().prop_map(SystemWork::LowerGrantLoss).boxed(),
        account_id().prop_map(SystemWork::ChangeGuardians).boxed(),
        segment_account().prop_map(SystemWork::RecallWithdrawals).boxed(),
        (segment_id(), waiting(), proptest::option::of(tier()))
            .prop_map(|(segment, waiting, required)| SystemWork::HoldBack(HeldBack { segment, waiting, required }))
            .boxed(),
        (segment_id(), waiting())
            .prop_map(|(segment, waiting)| SystemWork::GiveBack(SegmentWaiting { segment, waiting }))
            .boxed(),
    ]
}

/// Any internal work with its origin.
pub fn system_command() -> BoxedStrategy<SystemCommand> {
    (record_index(), Union::new(system_work_kinds())).prop_map(|(origin, work)| SystemCommand { origin, work }).boxed()
}

fn segment_market() -> BoxedStrategy<SegmentMarket> {
    (segment_id(), market_id()).prop_map(|(segment, market)| SegmentMarket { segment, market }).boxed()
}

fn segment_proposal() -> BoxedStrategy<SegmentProposal> {
    (segment_id(), proposal_number()).prop_map(|(segment, proposal)| SegmentProposal { segment, proposal }).boxed()
}

fn tier() -> BoxedStrategy<Tier> {
    select(Tier::ALL).boxed()
}

fn withdrawal_requested() -> BoxedStrategy<WithdrawalRequested> {
    (
        (segment_id(), withdrawal_number(), account_id(), quote_micros()),
        (duration_ms(), number_u32(), outside_reference(), record_index(), tier()),
    )
        .prop_map(|((segment, number, account, amount), (due_waiting_ms, chain, destination, origin, tier))| {
            WithdrawalRequested { segment, number, account, amount, due_waiting_ms, chain, destination, origin, tier }
        })
        .boxed()
}

fn withdrawal_ended() -> BoxedStrategy<WithdrawalEnded> {
    (segment_id(), withdrawal_number()).prop_map(|(segment, number)| WithdrawalEnded { segment, number }).boxed()
}

fn segment_account() -> BoxedStrategy<SegmentAccount> {
    (segment_id(), account_id()).prop_map(|(segment, account)| SegmentAccount { segment, account }).boxed()
}

fn transfer_ended() -> BoxedStrategy<TransferEnded> {
    (segment_id(), transfer_number()).prop_map(|(from, number)| TransferEnded { from, number }).boxed()
}

fn grant_watched() -> BoxedStrategy<GrantWatched> {
    (segment_grant(), time_ms(), quote_micros(), record_index())
        .prop_map(|(watched, expires_ms, loss_max, origin)| GrantWatched {
            segment: watched.segment,
            account: watched.account,
            grant: watched.grant,
            expires_ms,
            loss_max,
            origin,
        })
        .boxed()
}

fn removal_cause() -> BoxedStrategy<RemovalCause> {
    select(
        &[
            RemovalCause::Cancelled,
            RemovalCause::CancelledAll,
            RemovalCause::Amended,
            RemovalCause::LadderReplaced,
            RemovalCause::SelfTrade,
            RemovalCause::Expired,
            RemovalCause::GrantEnded,
            RemovalCause::GrantRevoked,
            RemovalCause::DeadMan,
            RemovalCause::MakerRisk,
            RemovalCause::NothingToReduce,
            RemovalCause::Liquidated,
            RemovalCause::Breaker,
            RemovalCause::GrantLoss,
        ][..],
    )
    .boxed()
}

/// A strategy for each kind of event.
#[must_use]
pub fn event_kinds() -> Vec<BoxedStrategy<Event>> {
    let mut kinds = account_event_kinds();
    kinds.extend(guardian_event_kinds());
    kinds.extend(funds_event_kinds());
    kinds.extend(order_event_kinds());
    kinds.extend(price_event_kinds());
    kinds.extend(liquidation_event_kinds());
    kinds.extend(breaker_event_kinds());
    kinds.extend(conduct_event_kinds());
    kinds
}

/// Any event; each kind as often as the others.
pub fn event() -> BoxedStrategy<Event> {
    Union::new(event_kinds()).boxed()
}

fn account_event_kinds() -> Vec<BoxedStrategy<Event>> {
    vec![
        (account_id(), public_key(), segment_id())
            .prop_map(|(account, root_key, segment)| Event::AccountOpened(AccountOpened { account, root_key, segment }))
            .boxed(),
        (account_id(), segment_id(), quote_micros())
            .prop_map(|(account, segment, bond)| Event::AccountClosed(AccountClosed { account, segment, bond }))
            .boxed(),
        (account_id(), grant_terms(), time_ms())
            .prop_map(|(account, terms, registered_ms)| {
                Event::GrantRegistered(Box::new(GrantRegistered { account, terms, registered_ms }))
            })
            .boxed(),
        (account_id(), grant_number())
            .prop_map(|(account, number)| Event::GrantRevoked(GrantRevoked { account, number }))
            .boxed(),
        (segment_id(), account_id(), grant_number(), quote_micros())
            .prop_map(|(segment, account, grant, loss_max)| {
                Event::GrantLossLowered(GrantLossLowered { segment, account, grant, loss_max })
            })
            .boxed(),
        (account_id(), payout_address(), duration_ms())
            .prop_map(|(account, address, usable_waiting_ms)| {
                Event::PayoutAddressAdded(Box::new(PayoutAddressAdded { account, address, usable_waiting_ms }))
            })
            .boxed(),
        (account_id(), payout_address(), duration_ms())
            .prop_map(|(account, address, opens_waiting_ms)| {
                Event::PayoutAddressRemoved(Box::new(PayoutAddressRemoved { account, address, opens_waiting_ms }))
            })
            .boxed(),
        (account_id(), public_key(), duration_ms())
            .prop_map(|(account, key, ready_waiting_ms)| {
                Event::RootKeyChangeAnnounced(Box::new(RootKeyChangeAnnounced { account, key, ready_waiting_ms }))
            })
            .boxed(),
        (account_id(), public_key())
            .prop_map(|(account, key)| Event::RootKeyChangeCancelled(RootKeyChangeCancelled { account, key }))
            .boxed(),
        (account_id(), public_key())
            .prop_map(|(account, key)| Event::RootKeyChanged(RootKeyChanged { account, key }))
            .boxed(),
        (segment_id(), account_id(), time_ms(), record_index())
            .prop_map(|(segment, account, fires_ms, origin)| {
                Event::DeadManSet(DeadManSet { segment, account, fires_ms, origin })
            })
            .boxed(),
        grant_watched().prop_map(Event::GrantWatched).boxed(),
        grant_watched().prop_map(Event::GrantUnwatched).boxed(),
        withdrawal_requested().prop_map(|requested| Event::PrincipalExitRequested(Box::new(requested))).boxed(),
        (segment_id(), waiting(), proptest::option::of(tier()), duration_ms())
            .prop_map(|(segment, waiting, required, again_ms)| {
                Event::LeavingHeld(LeavingHeld { segment, waiting, required, again_ms })
            })
            .boxed(),
        (segment_id(), waiting(), tier())
            .prop_map(|(segment, waiting, tier)| Event::EvidenceAdded(EvidenceAdded { segment, waiting, tier }))
            .boxed(),
    ]
}

fn funds_event_kinds() -> Vec<BoxedStrategy<Event>> {
    vec![
        (digest(), operator_id(), deposit_claim())
            .prop_map(|(claim_key, operator, claim)| {
                Event::DepositAttested(Box::new(DepositAttested { claim_key, operator, claim }))
            })
            .boxed(),
        (segment_id(), digest(), quote_micros())
            .prop_map(|(segment, claim_key, amount)| {
                Event::DepositAccepted(DepositAccepted { segment, claim_key, amount })
            })
            .boxed(),
        (segment_id(), digest(), account_id(), quote_micros(), quote_micros())
            .prop_map(|(segment, claim_key, account, amount, bond)| {
                Event::DepositCredited(DepositCredited { segment, claim_key, account, amount, bond })
            })
            .boxed(),
        withdrawal_requested().prop_map(|requested| Event::WithdrawalRequested(Box::new(requested))).boxed(),
        withdrawal_ended().prop_map(Event::WithdrawalCancelled).boxed(),
        withdrawal_ended().prop_map(Event::WithdrawalReleased).boxed(),
        (
            (segment_id(), transfer_number(), segment_id(), account_id()),
            (quote_micros(), duration_ms(), record_index(), tier()),
        )
            .prop_map(|((from, number, to, account), (amount, due_waiting_ms, origin, tier))| {
                Event::TransferRequested(TransferRequested {
                    from,
                    number,
                    to,
                    account,
                    amount,
                    due_waiting_ms,
                    origin,
                    tier,
                })
            })
            .boxed(),
        transfer_ended().prop_map(Event::TransferCancelled).boxed(),
        (segment_id(), transfer_number(), number_u64())
            .prop_map(|(from, number, sequence)| Event::TransferReleased(TransferReleased { from, number, sequence }))
            .boxed(),
        (segment_id(), transfer_number(), segment_id(), account_id(), quote_micros(), number_u64())
            .prop_map(|(from, number, to, account, amount, sequence)| {
                Event::TransferArrived(TransferArrived { from, number, to, account, amount, sequence })
            })
            .boxed(),
    ]
}

fn order_event_kinds() -> Vec<BoxedStrategy<Event>> {
    vec![
        (
            (market_id(), order_number(), account_id(), client_order_id(), grant_number(), side()),
            (price_ticks(), quantity_lots(), any::<bool>(), any::<bool>(), time_ms(), record_index()),
        )
            .prop_map(|(names, terms)| {
                let (market, number, account, client_id, grant, side) = names;
                let (price, quantity, is_reduce_only, is_ladder, expires_ms, origin) = terms;
                Event::OrderRested(OrderRested {
                    market,
                    number,
                    account,
                    client_id,
                    grant,
                    side,
                    price,
                    quantity,
                    is_reduce_only,
                    is_ladder,
                    expires_ms,
                    origin,
                })
            })
            .boxed(),
        (market_id(), order_number(), account_id(), quantity_lots(), removal_cause())
            .prop_map(|(market, number, account, quantity, cause)| {
                Event::OrderRemoved(OrderRemoved { market, number, account, quantity, cause })
            })
            .boxed(),
        (market_id(), order_number(), account_id(), quantity_lots())
            .prop_map(|(market, number, account, quantity)| {
                Event::OrderReduced(OrderReduced { market, number, account, quantity })
            })
            .boxed(),
        (
            (market_id(), trade_number(), order_number(), account_id(), order_number(), account_id()),
            (grant_number(), side(), price_ticks(), quantity_lots(), quote_micros(), quote_micros()),
        )
            .prop_map(|(parties, terms)| {
                let (market, number, maker_order, maker, taker_order, taker) = parties;
                let (taker_grant, taker_side, price, quantity, maker_fee, taker_fee) = terms;
                Event::TradeExecuted(TradeExecuted {
                    market,
                    number,
                    maker_order,
                    maker,
                    taker_order,
                    taker,
                    taker_grant,
                    taker_side,
                    price,
                    quantity,
                    maker_fee,
                    taker_fee,
                })
            })
            .boxed(),
        (market_id(), side(), price_ticks(), number_u16())
            .prop_map(|(market, side, price, rule)| {
                Event::LadderLevelSkipped(LadderLevelSkipped { market, side, price, rule })
            })
            .boxed(),
        (market_id(), order_number(), quantity_lots())
            .prop_map(|(market, number, quantity)| {
                Event::RemainderDropped(RemainderDropped { market, number, quantity })
            })
            .boxed(),
    ]
}

fn price_event_kinds() -> Vec<BoxedStrategy<Event>> {
    let regime = || select(Regime::ALL.to_vec());
    let regime_causes = vec![
        RegimeCause::Volatility,
        RegimeCause::Jump,
        RegimeCause::Thinness,
        RegimeCause::Spread,
        RegimeCause::Imbalance,
        RegimeCause::Cleared,
    ];
    let grade = || {
        let grades =
            [PriceGrade::Valid, PriceGrade::Aged, PriceGrade::Clamped, PriceGrade::Uncertain, PriceGrade::Unusable];
        select(grades.to_vec())
    };
    vec![
        (feed_id(), account_id(), price_nanos(), price_nanos(), time_ms())
            .prop_map(|(feed, publisher, price, confidence, source_ms)| {
                Event::PriceObserved(PriceObserved { feed, publisher, price, confidence, source_ms })
            })
            .boxed(),
        (feed_id(), price_nanos(), price_nanos(), price_nanos(), time_ms(), number_u16(), grade())
            .prop_map(|(feed, published, price, confidence, source_ms, operators, grade)| {
                Event::PriceAggregated(PriceAggregated {
                    feed,
                    published,
                    price,
                    confidence,
                    source_ms,
                    operators,
                    grade,
                })
            })
            .boxed(),
        (market_id(), [(); 3].map(|()| fine_ticks()), number_i64(), any::<(i32, u32, u32)>(), quote_micros())
            .prop_map(|(market, [index, published, mark], basis, ratios, depth)| {
                let (premium_ppm, spread_ppm, imbalance_ppm) = ratios;
                Event::MarkMoved(MarkMoved {
                    market,
                    index,
                    published,
                    mark,
                    basis,
                    premium_ppm,
                    depth,
                    spread_ppm,
                    imbalance_ppm,
                })
            })
            .boxed(),
        (market_id(), regime(), regime(), select(regime_causes), number_u64())
            .prop_map(|(market, from, to, cause, figure_ppm)| {
                Event::RegimeMoved(RegimeMoved { market, from, to, cause, figure_ppm })
            })
            .boxed(),
        (market_id(), any::<i32>(), number_i64(), time_ms())
            .prop_map(|(market, rate_ppm, cumulative, next_ms)| {
                Event::FundingSettled(FundingSettled { market, rate_ppm, cumulative, next_ms })
            })
            .boxed(),
    ]
}

fn liquidation_event_kinds() -> Vec<BoxedStrategy<Event>> {
    let cause = select(vec![PassCause::Backstop, PassCause::Deleveraging]);
    vec![
        (segment_id(), account_id(), quote_micros(), quote_micros())
            .prop_map(|(segment, account, equity, maintenance)| {
                Event::LiquidationStepped(LiquidationStepped { segment, account, equity, maintenance })
            })
            .boxed(),
        (market_id(), account_id(), quote_micros(), quote_micros())
            .prop_map(|(market, account, traded, fee)| {
                Event::LiquidationSliced(LiquidationSliced { market, account, traded, fee })
            })
            .boxed(),
        (market_id(), account_id(), account_id(), side(), quantity_lots(), quote_micros(), cause)
            .prop_map(|(market, from, to, from_side, quantity, notional, cause)| {
                Event::PositionPassed(PositionPassed { market, from, to, from_side, quantity, notional, cause })
            })
            .boxed(),
        (segment_id(), market_id(), account_id(), quote_micros())
            .prop_map(|(segment, market, account, amount)| {
                Event::InsurancePaid(InsurancePaid { segment, market, account, amount })
            })
            .boxed(),
        (segment_id(), account_id(), quote_micros())
            .prop_map(|(segment, account, amount)| Event::LossUncovered(LossUncovered { segment, account, amount }))
            .boxed(),
        (segment_id(), quote_micros())
            .prop_map(|(segment, amount)| Event::DeficitRepaid(DeficitRepaid { segment, amount }))
            .boxed(),
    ]
}

fn conduct_event_kinds() -> Vec<BoxedStrategy<Event>> {
    let figure = (select(FigureKind::ALL.to_vec()), number_u64()).prop_map(|(kind, value)| Figure { kind, value });
    let seen = (market_id(), account_id(), time_ms(), any::<u32>(), any::<u8>());
    let causes = vec![BandCause::Alerted, BandCause::Linked, BandCause::Faded];
    vec![
        (segment_id(), number_u64(), select(Detector::ALL.to_vec()), seen, vec(figure, 0..=FIGURES_MAX))
            .prop_map(|(segment, number, detector, (market, account, at, score_ppm, level), figures)| {
                let figures = within_maximum(figures);
                Event::ConductAlerted(Box::new(ConductAlerted {
                    segment,
                    number,
                    detector,
                    market,
                    account,
                    at,
                    score_ppm,
                    level,
                    figures,
                }))
            })
            .boxed(),
        (segment_id(), account_id(), any::<u8>(), any::<u8>(), select(causes), number_u64())
            .prop_map(|(segment, account, from, to, cause, alert)| {
                Event::ConductBandMoved(ConductBandMoved { segment, account, from, to, cause, alert })
            })
            .boxed(),
        (segment_id(), account_id())
            .prop_map(|(segment, account)| Event::LinksContested(LinksContested { segment, account }))
            .boxed(),
    ]
}

fn breaker_event_kinds() -> Vec<BoxedStrategy<Event>> {
    let causes = vec![
        BreakerCause::PriceMove,
        BreakerCause::Divergence,
        BreakerCause::StalePrice,
        BreakerCause::Deficit,
        BreakerCause::InsuranceDraw,
        BreakerCause::Outflow,
        BreakerCause::LawFailed,
        BreakerCause::Cleared,
        BreakerCause::Decided,
    ];
    let outcomes = vec![
        ProposalOutcome::CarriedOut,
        ProposalOutcome::Expired,
        ProposalOutcome::Superseded,
        ProposalOutcome::Failed,
    ];
    let classes = vec![ChangeClass::Same, ChangeClass::Tightening, ChangeClass::Loosening, ChangeClass::Both];
    let stamp = (policy_epoch(), digest(), digest()).prop_map(|(epoch, set, table)| PolicyStamp { epoch, set, table });
    vec![
        (segment_id(), breaker_state(), breaker_state(), select(causes), market_id(), number_u64(), duration_ms())
            .prop_map(|(segment, from, to, cause, market, figure, cooldown_until_ms)| {
                Event::BreakerMoved(BreakerMoved { segment, from, to, cause, market, figure, cooldown_until_ms })
            })
            .boxed(),
        (segment_id(), proposal_number(), account_id(), change(), time_ms(), record_index())
            .prop_map(|(segment, number, proposer, change, expires_ms, origin)| {
                Event::ProposalMade(ProposalMade { segment, number, proposer, change, expires_ms, origin })
            })
            .boxed(),
        (segment_id(), proposal_number(), operator_id(), duration_ms())
            .prop_map(|(segment, number, operator, due_waiting_ms)| {
                Event::ProposalApproved(ProposalApproved { segment, number, operator, due_waiting_ms })
            })
            .boxed(),
        (segment_id(), proposal_number(), select(outcomes))
            .prop_map(|(segment, number, outcome)| Event::ProposalEnded(ProposalEnded { segment, number, outcome }))
            .boxed(),
        (segment_id(), proposal_number(), stamp, select(classes))
            .prop_map(|(segment, proposal, policy, class)| {
                Event::PolicyAdopted(Box::new(PolicyAdopted { segment, proposal, policy, class }))
            })
            .boxed(),
    ]
}

/// Any header.
pub fn header() -> BoxedStrategy<Header> {
    let place = (number_u32(), digest(), height(), time_ms(), digest(), operator_id(), policy_epoch());
    let contents = (number_u32(), digest(), digest(), number_u64(), digest(), digest(), digest(), digest());
    (place, contents)
        .prop_map(|(place, contents)| {
            let (protocol_version, chain_id, height, time_ms, parent, proposer, policy_epoch) = place;
            let (envelope_count, envelope_root, state_root, log_size, log_root, seal_commitment, reveal, next) =
                contents;
            Header {
                protocol_version,
                chain_id,
                height,
                time_ms,
                parent,
                proposer,
                policy_epoch,
                envelope_count,
                envelope_root,
                state_root,
                log_size,
                log_root,
                seal_commitment,
                randomness_reveal: reveal,
                next_validators: next,
            }
        })
        .boxed()
}

/// Any seal secret.
pub fn seal_secret() -> BoxedStrategy<SealSecret> {
    any::<[u8; 32]>().prop_map(SealSecret).boxed()
}

/// Any block of up to `envelopes_max` envelopes. Its header fits nothing.
pub fn block(envelopes_max: usize) -> BoxedStrategy<Block> {
    let bytes = envelope(4).prop_map(|envelope| EnvelopeBytes::new(envelope.encode()).unwrap_or_default());
    (header(), seal_secret(), vec(bytes, 0..=envelopes_max))
        .prop_map(|(header, seal_secret, envelopes)| Block {
            header,
            seal_secret,
            envelopes: within_maximum(envelopes),
        })
        .boxed()
}

/// A list whose length its strategy keeps within the maximum.
fn within_maximum<T, const MAX: usize>(items: Vec<T>) -> BoundedVec<T, MAX> {
    BoundedVec::new(items).unwrap_or_default()
}
