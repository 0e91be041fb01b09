//! An envelope as JSON: the same fields as its canonical bytes, by name. Unknown fields are refused.
//!
//! Signatures are over the canonical bytes, so a client that signs has those anyway; this form is for people, tests, and
//! clients whose language has no encoder at hand for what they submit, only for what they sign.

mod conversion;
mod evidence;
mod safeguards;
mod signature;

use casemate_protocol::command::{SelfTradeMode, Side};
use casemate_protocol::envelope::{GroupMode, SignerRole};
use casemate_protocol::{Action, BreakerCause, BreakerState, PriceGrade, Regime};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use conversion::{action_words, market_numbers};
pub use evidence::EvidenceJson;
pub use safeguards::{GuardianActJson, GuardianSetJson, GuardianVoteJson};
pub use signature::{AssertionJson, SignatureJson};

use crate::values::{HexArray, HexBytes, KeyText, Signed, Unsigned};

/// A signed envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeJson {
    /// Format; 1.
    pub version: u16,
    /// The chain, as GET /v1/chain names it.
    pub chain_id: HexArray<32>,
    /// The acting account; 0 only to open one.
    pub account: u64,
    /// Who signs.
    pub signer: SignerJson,
    /// A free nonce of the signer's window.
    pub nonce: u64,
    /// Not accepted after this time, in milliseconds since 1970.
    pub valid_until_ms: u64,
    /// Alone or together.
    pub group: GroupJson,
    /// One to 64 commands.
    pub commands: Vec<CommandJson>,
    /// Evidence beyond the signature; left out where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<EvidenceJson>,
    /// The signature over the envelope digest, in the form of the key's scheme.
    pub signature: SignatureJson,
}

/// An envelope without its signature: what is about to be signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnsignedEnvelopeJson {
    /// Format; 1.
    pub version: u16,
    /// The chain, as GET /v1/chain names it.
    pub chain_id: HexArray<32>,
    /// The acting account; 0 only to open one.
    pub account: u64,
    /// Who will sign.
    pub signer: SignerJson,
    /// A free nonce of the signer's window.
    pub nonce: u64,
    /// Not accepted after this time, in milliseconds since 1970.
    pub valid_until_ms: u64,
    /// Alone or together.
    pub group: GroupJson,
    /// One to 64 commands; one if a wallet signs.
    pub commands: Vec<CommandJson>,
}

/// The signing key and the role it claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignerJson {
    /// Root or session.
    pub role: RoleJson,
    /// The key.
    pub key: KeyText,
}

/// Declares a JSON word for each variant of a protocol enum, both ways.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident = $of:ty { $($variant:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[expect(missing_docs, reason = "the words are those of the protocol, where they are explained")]
        pub enum $name { $($variant),* }

        impl From<$of> for $name {
            fn from(value: $of) -> Self {
                match value { $(<$of>::$variant => Self::$variant),* }
            }
        }

        impl From<$name> for $of {
            fn from(value: $name) -> Self {
                match value { $($name::$variant => Self::$variant),* }
            }
        }
    };
}

words! {
    /// Which key of the account signs.
    RoleJson = SignerRole { Root, Session }
}
words! {
    /// How the commands hang together.
    GroupJson = GroupMode { EachAlone, AllOrNothing }
}
words! {
    /// A side of the book.
    SideJson = Side { Bid, Ask }
}
words! {
    /// What happens when an account would trade with itself.
    SelfTradeJson = SelfTradeMode { CancelResting, CancelArriving, CancelBoth }
}
words! {
    /// An action by the word that grants use.
    ActionJson = Action {
        OpenAccount, CloseAccount, RegisterGrant, RevokeGrant, AddPayoutAddress, RemovePayoutAddress, ChangeRootKey,
        CancelRootKeyChange, AcceptRootKey, AttestDeposit, RequestWithdrawal, CancelWithdrawal, RequestTransfer,
        CancelTransfer, RequestPrincipalExit, SetGuardians, CancelGuardianChange, VoteAsGuardian, CancelRecovery, PlaceOrder,
        AmendOrder, CancelOrder, CancelAllOrders, QuoteLadder,
        SetDeadMan, SubmitPrice, Propose, Approve, AddEvidence, ContestLink,
    }
}
words! {
    /// State of a segment's breaker, from loose to strict.
    BreakerStateJson = BreakerState { Normal, Elevated, ReduceOnly, WithdrawGated, Halted }
}
words! {
    /// Why a breaker moved.
    BreakerCauseJson = BreakerCause {
        PriceMove, Divergence, StalePrice, Deficit, InsuranceDraw, Outflow, LawFailed, Cleared, Decided,
    }
}
words! {
    /// What a price is good for, from best to worst.
    PriceGradeJson = PriceGrade { Valid, Aged, Clamped, Uncertain, Unusable }
}
words! {
    /// How rough a market is, from calm to extreme.
    RegimeJson = Regime { Calm, Elevated, Stressed, Extreme }
}

/// A command: an object with one field, named after it. `open_account` alone is a bare word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandJson {
    /// Opens the account of the root key that signs.
    OpenAccount,
    /// Closes the account.
    CloseAccount(CloseAccountJson),
    /// Registers a session key.
    RegisterGrant(GrantTermsJson),
    /// Ends a grant now.
    RevokeGrant(GrantNumberJson),
    /// Adds an address to the book of addresses that money may leave to.
    AddPayoutAddress(PayoutAddressJson),
    /// Takes an address out of that book.
    RemovePayoutAddress(PayoutAddressJson),
    /// Announces another root key.
    ChangeRootKey(ChangeRootKeyJson),
    /// Takes that announcement back.
    CancelRootKeyChange,
    /// The announced key, which signs this itself, becomes the root key.
    AcceptRootKey,
    /// Announces other guardians.
    SetGuardians(GuardianSetJson),
    /// Takes that announcement back.
    CancelGuardianChange,
    /// A guardian's vote about another account.
    VoteAsGuardian(GuardianVoteJson),
    /// Stops a recovery.
    CancelRecovery,
    /// States that a deposit happened outside.
    AttestDeposit(DepositClaimJson),
    /// Asks for money to leave.
    RequestWithdrawal(RequestWithdrawalJson),
    /// Takes back a withdrawal.
    CancelWithdrawal(SegmentNumberJson),
    /// Moves money to another segment.
    RequestTransfer(RequestTransferJson),
    /// Adds the envelope's evidence to what waits to leave.
    AddEvidence(AddEvidenceJson),
    /// Takes back a transfer.
    CancelTransfer(SegmentNumberJson),
    /// Asks for principal to leave by the slow way.
    RequestPrincipalExit(RequestWithdrawalJson),
    /// Places an order.
    PlaceOrder(PlaceOrderJson),
    /// Changes a resting order.
    AmendOrder(AmendOrderJson),
    /// Cancels a resting order.
    CancelOrder(CancelOrderJson),
    /// Cancels all resting orders in a scope.
    CancelAllOrders(CancelScopeJson),
    /// Replaces the ladder of quotes in a market.
    QuoteLadder(QuoteLadderJson),
    /// Arms or disarms the dead-man switch.
    SetDeadMan(SetDeadManJson),
    /// States what a publisher saw.
    SubmitPrice(SubmitPriceJson),
    /// Proposes a change that officers decide.
    Propose(ProposeJson),
    /// Approves a proposal.
    Approve(SegmentNumberJson),
    /// Contests what is inferred about the account's links to others.
    ContestLink(ContestLinkJson),
}

macro_rules! plain_object {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type),* }
    };
}

plain_object! {
    /// Where the bond of a closed account goes.
    CloseAccountJson {
        /// Outside chain.
        chain: u32,
        /// Payout address.
        destination: HexBytes,
    }
}
plain_object! {
    /// What a session key may do.
    GrantTermsJson {
        /// The account's next grant number.
        number: u32,
        /// The grant it is carved out of; 0 for none.
        #[serde(default)]
        parent: u32,
        /// The session key.
        session_key: KeyText,
        /// What it may do.
        actions: Vec<ActionJson>,
        /// The markets it reaches; all if not given.
        #[serde(default)]
        markets: Option<Vec<u16>>,
        /// Most notional over its whole life.
        notional_quote_micros_max: Signed,
        /// Most loss over its whole life.
        loss_quote_micros_max: Signed,
        /// Most commands per minute.
        commands_per_minute_max: u32,
        /// Its end.
        expires_ms: u64,
        /// It can only be registered before this.
        register_before_ms: u64,
    }
}
plain_object! {
    /// Names a grant of the signing account.
    GrantNumberJson {
        /// The grant's number.
        number: u32,
    }
}
plain_object! {
    /// Where money may leave to.
    PayoutAddressJson {
        /// Outside chain.
        chain: u32,
        /// Payout address on it.
        destination: HexBytes,
    }
}
plain_object! {
    /// A root key that is to take over.
    ChangeRootKeyJson {
        /// The key.
        key: KeyText,
    }
}
plain_object! {
    /// A claim that money arrived outside.
    DepositClaimJson {
        /// Outside chain.
        chain: u32,
        /// Transaction on it.
        transaction: HexBytes,
        /// Output within the transaction.
        output: u32,
        /// The asset.
        asset: u16,
        /// How much.
        amount_quote_micros: Signed,
        /// The segment whose vault holds it.
        segment: u16,
        /// Who gets it.
        beneficiary: BeneficiaryJson,
    }
}
plain_object! {
    /// Asks for money to leave.
    RequestWithdrawalJson {
        /// The segment that pays.
        segment: u16,
        /// How much.
        amount_quote_micros: Signed,
        /// Outside chain.
        chain: u32,
        /// Payout address.
        destination: HexBytes,
    }
}
plain_object! {
    /// A withdrawal, transfer or proposal of a segment.
    SegmentNumberJson {
        /// The segment.
        segment: u16,
        /// Its number there.
        number: u64,
    }
}
plain_object! {
    /// Moves money between segments.
    RequestTransferJson {
        /// The segment that pays.
        from: u16,
        /// The segment that receives.
        to: u16,
        /// How much.
        amount_quote_micros: Signed,
    }
}
plain_object! {
    /// Places an order.
    PlaceOrderJson {
        /// The market.
        market: u16,
        /// Buy or sell.
        side: SideJson,
        /// Limit or bounded market.
        kind: OrderKindJson,
        /// How many lots.
        quantity_lots: Unsigned,
        /// The owner's name for it; `0` for none.
        #[serde(default)]
        client_id: Unsigned,
        /// May only reduce.
        #[serde(default)]
        is_reduce_only: bool,
        /// What happens on a trade with oneself.
        self_trade: SelfTradeJson,
    }
}
plain_object! {
    /// Changes a resting order.
    AmendOrderJson {
        /// The market.
        market: u16,
        /// The order.
        order: OrderReferenceJson,
        /// Its price from now on.
        price_ticks: Unsigned,
        /// What is left to fill from now on.
        quantity_lots: Unsigned,
    }
}
plain_object! {
    /// Cancels a resting order.
    CancelOrderJson {
        /// The market.
        market: u16,
        /// The order.
        order: OrderReferenceJson,
    }
}
plain_object! {
    /// Replaces quotes.
    QuoteLadderJson {
        /// The market.
        market: u16,
        /// Buying levels, best first.
        bids: Vec<QuoteLevelJson>,
        /// Selling levels, best first.
        asks: Vec<QuoteLevelJson>,
    }
}
plain_object! {
    /// One level of quotes.
    QuoteLevelJson {
        /// Price.
        price_ticks: Unsigned,
        /// Lots.
        quantity_lots: Unsigned,
    }
}
plain_object! {
    /// Arms the dead-man switch.
    SetDeadManJson {
        /// The segment whose orders it guards.
        segment: u16,
        /// Block time until it fires; 0 disarms.
        timeout_ms: u64,
    }
}
plain_object! {
    /// Contests what is inferred about the account's links to others.
    ContestLinkJson {
        /// The segment whose detectors inferred them.
        segment: u16,
    }
}
plain_object! {
    /// What a publisher saw, and when.
    SubmitPriceJson {
        /// The feed.
        feed: u16,
        /// Billionths of the quote asset for one unit of the underlying.
        price_nanos: Unsigned,
        /// Half the width of the interval in which the publisher believes the price to be.
        confidence_nanos: Unsigned,
        /// When it was seen.
        source_ms: u64,
    }
}
plain_object! {
    /// Adds evidence to what waits to leave: a withdrawal or a transfer.
    AddEvidenceJson {
        /// The segment that it leaves.
        segment: u16,
        /// What waits.
        waiting: WaitingJson,
    }
}

/// Something that waits to leave a segment, by its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitingJson {
    /// A withdrawal.
    Withdrawal(u64),
    /// A transfer.
    Transfer(u64),
}
plain_object! {
    /// Proposes a change.
    ProposeJson {
        /// The segment that changes.
        segment: u16,
        /// What is to change, with the value it has now.
        change: ChangeJson,
        /// After this block time nothing comes of it any more.
        expires_ms: u64,
    }
}
plain_object! {
    /// Moves a breaker to a looser state.
    LeaveBreakerJson {
        /// The state it is in now.
        from: BreakerStateJson,
        /// The state it moves to.
        to: BreakerStateJson,
    }
}
plain_object! {
    /// Puts a set of policies in force.
    AdoptPoliciesJson {
        /// Epoch of the set that is in force now.
        old_epoch: u32,
        /// The files of the set; without any, the built-in table.
        files: Vec<PolicyFileJson>,
        /// Digest of the table that it compiles into.
        table: HexArray<32>,
        /// Whether it is declared to make nothing easier.
        is_tightening: bool,
    }
}
plain_object! {
    /// One file of a set of policies.
    PolicyFileJson {
        /// Its name.
        name: String,
        /// Its text.
        text: String,
    }
}
plain_object! {
    /// Terms of a limit order.
    LimitTermsJson {
        /// Worst price accepted.
        price_ticks: Unsigned,
        /// How long it stands.
        time_in_force: TimeInForceJson,
    }
}
plain_object! {
    /// Terms of a bounded market order.
    MarketTermsJson {
        /// Furthest from the best opposite price, in parts per million.
        slippage_ppm_max: u32,
    }
}
plain_object! {
    /// The end of a good-till-time order.
    UntilJson {
        /// Block time.
        until_ms: u64,
    }
}

/// A change that officers decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeJson {
    /// Once its clear tests hold.
    LeaveBreaker(LeaveBreakerJson),
    /// After a delay, in the whole venue.
    AdoptPolicies(AdoptPoliciesJson),
}

/// How an order is priced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderKindJson {
    /// At this price or better.
    Limit(LimitTermsJson),
    /// At once, within a bound.
    Market(MarketTermsJson),
}

/// How long a limit order stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimeInForceJson {
    /// Until filled or cancelled.
    GoodTillCancel,
    /// Until a time.
    GoodTillTime(UntilJson),
    /// What can trade now; the rest is dropped.
    ImmediateOrCancel,
    /// Whole now or not at all.
    FillOrKill,
    /// Never takes.
    PostOnly,
    /// Never takes: moved to where it rests.
    PostOnlySlide,
}

/// Names a resting order of the signing account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderReferenceJson {
    /// By its number in the segment.
    Number(Unsigned),
    /// By the owner's name for it.
    ClientId(Unsigned),
}

/// Where all orders are cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelScopeJson {
    /// In one market.
    Market(u16),
    /// In all markets of a segment.
    Segment(u16),
}

/// Who a deposit is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BeneficiaryJson {
    /// An open account.
    Account(u64),
    /// A root key that may open its account later.
    RootKey(KeyText),
}
