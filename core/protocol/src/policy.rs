//! The words in which policies are written, and the table that the hot path reads.
//!
//! A policy answers one question: which tier of evidence does this kind of principal need for this action, in this state
//! of the segment, in this regime, at this amount, with this conduct. Cedar files say it for people (`spec/policies/`); an
//! adapter runs Cedar over every cell that can occur and fills a [`PolicyTable`], which is all that a verdict reads, unless
//! a rule of the slow path may apply.
//!
//! Numbers are permanent and run from 0 without gaps, because they are places in the table: add at the end, never
//! renumber, never reuse. Names are those of the Cedar schema.
//!
//! Deliberately absent: who decides which regime and which band of conduct it is.

mod built_in;
mod facts;
mod set;
mod table;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::clearing::BreakerState;
use crate::command::{Command, LimitTerms, OrderKind, TimeInForce};
use crate::genesis::PrincipalKind;
use crate::regime::Regime;
use crate::units::QuoteMicros;
pub use facts::{EvidenceFacts, FeedFacts, PolicyFacts, Reading, VenueStatus};
pub use set::{PolicyFile, PolicySet, PolicyStamp};
pub use table::{CellDifference, ChangeClass, PolicyComparison, PolicyTable, SlowRule, TableAnswer, TableError};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$word_meta:meta])* $word:ident = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
        #[borsh(use_discriminant = true)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$word_meta])* $word = $number,)*
        }

        impl $name {
            /// Every word, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$word,)*];

            /// The permanent number.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self { $(Self::$word => $number,)* }
            }

            /// The word, as the Cedar schema and people spell it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$word => stringify!($word),)* }
            }

            /// The word of a number.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.get(usize::from(number)).copied()
            }

            /// The word that is spelt like this, capital letters aside.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.name().eq_ignore_ascii_case(name))
            }
        }
    };
}

words! {
    /// How strong the evidence is that a command presents: a total order.
    Tier {
        /// A valid grant.
        Session = 0,
        /// The grant was registered by the root key within the last ten minutes.
        Fresh = 1,
        /// The root key signed this very command.
        Rooted = 2,
        /// Rooted, with a credential proof enrolled to this account and bound to this command.
        Proven = 3,
        /// Proven, with m of n of the kind that the action names, after its delay.
        Quorum = 4,
    }
}

words! {
    /// How rough a market is, as policies call it.
    PolicyRegime {
        /// As on most days.
        Calm = 0,
        /// Wilder than usual.
        Elevated = 1,
        /// As on a bad day.
        Stressed = 2,
        /// As in a crash.
        Extreme = 3,
    }
}

words! {
    /// What an account's conduct looks like, measured before the block.
    ConductBand {
        /// Nothing stands out.
        Ordinary = 0,
        /// Something stands out.
        Watched = 1,
        /// Looks like an attack in progress, or like keys in other hands.
        Suspect = 2,
    }
}

words! {
    /// State of a segment's breaker, from loose to strict, those that the ledger does not know yet included.
    SegmentState {
        /// Everything that the rules allow.
        Normal = 0,
        /// New risk of takers and everything that leaves is held closer.
        Elevated = 1,
        /// A fill needs at least one side that reduces.
        ReduceOnly = 2,
        /// Nothing leaves but the slow principal exit.
        WithdrawGated = 3,
        /// Orders are collected for a call auction.
        Auction = 4,
        /// Cancels and deposits only.
        Halted = 5,
        /// The order of reopening.
        Recovery = 6,
        /// Closing for good at a price rule fixed in advance.
        WindDown = 7,
    }
}

words! {
    /// What a principal is there for.
    PolicyKind {
        /// Trades on its own account.
        Trader = 0,
        /// Provides liquidity to backstop or insurance for a share.
        LiquidityProvider = 1,
        /// Quotes by a formula.
        Amm = 2,
        /// Bids for positions in liquidation.
        Liquidator = 3,
        /// Publishes prices.
        Publisher = 4,
        /// Orders and executes blocks.
        Validator = 5,
        /// Holds a share of the treasury's keys.
        Custodian = 6,
        /// Attests deposits.
        Attestor = 7,
        /// Reopens segments after a breaker.
        RiskOfficer = 8,
        /// Decides what risk officers cannot.
        Governor = 9,
        /// Takes over positions that the book cannot close.
        Backstop = 10,
        /// Reads what it must to check.
        Auditor = 11,
        /// Watches risk and tightens within bounds.
        Agent = 12,
        /// Nobody in particular: has no account and reads what is public.
        Anonymous = 13,
    }
}

words! {
    /// What is to be done, as policies call it. Orders are told apart by what they can do to risk.
    PolicyAction {
        /// See [`Command::OpenAccount`].
        OpenAccount = 0,
        /// See [`Command::CloseAccount`]; the bond leaves.
        CloseAccount = 1,
        /// See [`Command::RegisterGrant`].
        RegisterGrant = 2,
        /// See [`Command::RevokeGrant`].
        RevokeGrant = 3,
        /// See [`Command::AttestDeposit`]: how collateral is topped up.
        AttestDeposit = 4,
        /// See [`Command::RequestWithdrawal`].
        RequestWithdrawal = 5,
        /// See [`Command::CancelWithdrawal`].
        CancelWithdrawal = 6,
        /// See [`Command::RequestTransfer`].
        RequestTransfer = 7,
        /// See [`Command::CancelTransfer`].
        CancelTransfer = 8,
        /// See [`Command::RequestPrincipalExit`].
        RequestPrincipalExit = 9,
        /// An order that may take and may add risk.
        PlaceOrder = 10,
        /// An order that only rests: post-only.
        PlaceRestingOrder = 11,
        /// An order that only reduces.
        PlaceReducingOrder = 12,
        /// See [`Command::AmendOrder`]; a new price may take.
        AmendOrder = 13,
        /// See [`Command::CancelOrder`].
        CancelOrder = 14,
        /// See [`Command::CancelAllOrders`].
        CancelAllOrders = 15,
        /// See [`Command::QuoteLadder`].
        QuoteLadder = 16,
        /// See [`Command::SetDeadMan`].
        SetDeadMan = 17,
        /// See [`Command::SubmitPrice`].
        SubmitPrice = 18,
        /// Proposes a change that loosens nothing.
        Propose = 19,
        /// Approves such a change.
        Approve = 20,
        /// Proposes a change that loosens something.
        ProposeLoosening = 21,
        /// Approves such a change.
        ApproveLoosening = 22,
        /// Locks money as a stake.
        Bond = 23,
        /// Adds an address that withdrawals may go to.
        ChangePayoutAddress = 24,
        /// Announces another root key.
        ChangeRootKey = 25,
        /// Changes who can recover the account.
        ChangeGuardians = 26,
        /// Reads what everybody may.
        ReadPublic = 27,
        /// Reads the account that the reader holds.
        ReadOwnAccount = 28,
        /// Reads what a market shows to few.
        ReadMarketPrivate = 29,
        /// Reads everything, to check it.
        ReadAuditorView = 30,
        /// Carves a grant out of another one.
        RegisterChildGrant = 31,
        /// Adds evidence to what waits for it.
        AddEvidence = 32,
        /// See [`Command::ContestLink`].
        ContestLink = 33,
        /// See [`Command::RemovePayoutAddress`].
        RemovePayoutAddress = 34,
        /// See [`Command::CancelRootKeyChange`].
        CancelRootKeyChange = 35,
        /// See [`Command::AcceptRootKey`].
        AcceptRootKey = 36,
        /// See [`Command::CancelGuardianChange`].
        CancelGuardianChange = 37,
        /// See [`Command::VoteAsGuardian`].
        VoteAsGuardian = 38,
        /// See [`Command::CancelRecovery`].
        CancelRecovery = 39,
    }
}

/// What an action is done to: whose state and regime a policy is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionScope {
    /// The account or the venue as a whole: no segment's state plays a part, and the regime is the worst of all segments.
    Venue,
    /// A segment: its state, and the worst regime of its markets.
    Segment,
    /// A market: its segment's state, its own regime.
    Market,
}

impl ActionScope {
    /// The type of the resource, as the Cedar schema spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Venue => "Venue",
            Self::Segment => "Segment",
            Self::Market => "Market",
        }
    }
}

/// The cell that a policy is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyQuestion {
    /// What the principal is there for.
    pub kind: PolicyKind,
    /// What is to be done.
    pub action: PolicyAction,
    /// State of the segment.
    pub state: SegmentState,
    /// Regime of the market or segment.
    pub regime: PolicyRegime,
    /// This command's amount, with what is pending and what was released within a day. Counts where money leaves only.
    pub amount: QuoteMicros,
    /// The account's conduct.
    pub conduct: ConductBand,
}

impl PolicyAction {
    /// What the action is done to.
    #[must_use]
    pub const fn scope(self) -> ActionScope {
        match self {
            Self::OpenAccount
            | Self::CloseAccount
            | Self::RegisterGrant
            | Self::RevokeGrant
            | Self::RegisterChildGrant
            | Self::Bond
            | Self::ChangePayoutAddress
            | Self::ChangeRootKey
            | Self::ChangeGuardians
            | Self::RemovePayoutAddress
            | Self::CancelRootKeyChange
            | Self::AcceptRootKey
            | Self::CancelGuardianChange
            | Self::VoteAsGuardian
            | Self::CancelRecovery
            | Self::ReadPublic
            | Self::ReadOwnAccount
            | Self::ReadAuditorView => ActionScope::Venue,
            Self::AttestDeposit
            | Self::RequestWithdrawal
            | Self::CancelWithdrawal
            | Self::RequestTransfer
            | Self::CancelTransfer
            | Self::AddEvidence
            | Self::RequestPrincipalExit
            | Self::CancelAllOrders
            | Self::SetDeadMan
            | Self::ContestLink
            | Self::SubmitPrice
            | Self::Propose
            | Self::Approve
            | Self::ProposeLoosening
            | Self::ApproveLoosening => ActionScope::Segment,
            Self::PlaceOrder
            | Self::PlaceRestingOrder
            | Self::PlaceReducingOrder
            | Self::AmendOrder
            | Self::CancelOrder
            | Self::QuoteLadder
            | Self::ReadMarketPrivate => ActionScope::Market,
        }
    }

    /// Whether the amount plays a part: where an amount of money leaves.
    #[must_use]
    pub const fn has_amount(self) -> bool {
        matches!(self, Self::CloseAccount | Self::RequestWithdrawal | Self::RequestTransfer | Self::Bond)
    }

    /// Whether value leaves the account by it, or the way for it is opened.
    #[must_use]
    pub const fn lets_value_leave(self) -> bool {
        self.has_amount() || matches!(self, Self::ChangePayoutAddress | Self::ChangeRootKey | Self::ChangeGuardians)
    }

    /// Whether nothing is changed by it.
    #[must_use]
    pub const fn is_read(self) -> bool {
        matches!(self, Self::ReadPublic | Self::ReadOwnAccount | Self::ReadMarketPrivate | Self::ReadAuditorView)
    }

    /// Whether it is a step to something looser.
    #[must_use]
    pub const fn loosens(self) -> bool {
        matches!(self, Self::ProposeLoosening | Self::ApproveLoosening)
    }

    /// What a command is. Every change that can be proposed so far loosens: it leads out of a breaker's state.
    #[must_use]
    pub const fn of(command: &Command) -> Self {
        match command {
            Command::OpenAccount => Self::OpenAccount,
            Command::CloseAccount(_) => Self::CloseAccount,
            Command::RegisterGrant(terms) if terms.parent.is_none() => Self::RegisterGrant,
            Command::RegisterGrant(_) => Self::RegisterChildGrant,
            Command::RevokeGrant(_) => Self::RevokeGrant,
            Command::AddPayoutAddress(_) => Self::ChangePayoutAddress,
            Command::RemovePayoutAddress(_) => Self::RemovePayoutAddress,
            Command::ChangeRootKey(_) => Self::ChangeRootKey,
            Command::CancelRootKeyChange => Self::CancelRootKeyChange,
            Command::AcceptRootKey => Self::AcceptRootKey,
            Command::SetGuardians(_) => Self::ChangeGuardians,
            Command::CancelGuardianChange => Self::CancelGuardianChange,
            Command::VoteAsGuardian(_) => Self::VoteAsGuardian,
            Command::CancelRecovery => Self::CancelRecovery,
            Command::AttestDeposit(_) => Self::AttestDeposit,
            Command::RequestWithdrawal(_) => Self::RequestWithdrawal,
            Command::CancelWithdrawal(_) => Self::CancelWithdrawal,
            Command::RequestTransfer(_) => Self::RequestTransfer,
            Command::CancelTransfer(_) => Self::CancelTransfer,
            Command::AddEvidence(_) => Self::AddEvidence,
            Command::RequestPrincipalExit(_) => Self::RequestPrincipalExit,
            Command::PlaceOrder(order) if order.is_reduce_only => Self::PlaceReducingOrder,
            Command::PlaceOrder(order) => match order.kind {
                OrderKind::Limit(LimitTerms {
                    time_in_force: TimeInForce::PostOnly | TimeInForce::PostOnlySlide,
                    ..
                }) => Self::PlaceRestingOrder,
                OrderKind::Limit(_) | OrderKind::Market(_) => Self::PlaceOrder,
            },
            Command::AmendOrder(_) => Self::AmendOrder,
            Command::CancelOrder(_) => Self::CancelOrder,
            Command::CancelAllOrders(_) => Self::CancelAllOrders,
            Command::QuoteLadder(_) => Self::QuoteLadder,
            Command::SetDeadMan(_) => Self::SetDeadMan,
            Command::ContestLink(_) => Self::ContestLink,
            Command::SubmitPrice(_) => Self::SubmitPrice,
            Command::Propose(_) => Self::ProposeLoosening,
            Command::Approve(_) => Self::ApproveLoosening,
        }
    }
}

impl PolicyKind {
    /// The kind of an account, by the office that genesis gives it.
    #[must_use]
    pub const fn of(office: Option<PrincipalKind>) -> Self {
        match office {
            None => Self::Trader,
            Some(PrincipalKind::Attestor) => Self::Attestor,
            Some(PrincipalKind::Publisher) => Self::Publisher,
            Some(PrincipalKind::RiskOfficer) => Self::RiskOfficer,
            Some(PrincipalKind::Governor) => Self::Governor,
            Some(PrincipalKind::Backstop) => Self::Backstop,
            Some(PrincipalKind::Auditor) => Self::Auditor,
        }
    }

    /// Whether a principal of this kind can ask for the action at all: who has no account can only read.
    #[must_use]
    pub const fn can_ask(self, action: PolicyAction) -> bool {
        action.is_read() || !matches!(self, Self::Anonymous)
    }
}

impl From<Regime> for PolicyRegime {
    fn from(regime: Regime) -> Self {
        match regime {
            Regime::Calm => Self::Calm,
            Regime::Elevated => Self::Elevated,
            Regime::Stressed => Self::Stressed,
            Regime::Extreme => Self::Extreme,
        }
    }
}

impl From<BreakerState> for SegmentState {
    fn from(state: BreakerState) -> Self {
        match state {
            BreakerState::Normal => Self::Normal,
            BreakerState::Elevated => Self::Elevated,
            BreakerState::ReduceOnly => Self::ReduceOnly,
            BreakerState::WithdrawGated => Self::WithdrawGated,
            BreakerState::Halted => Self::Halted,
        }
    }
}

impl PolicyQuestion {
    /// The question with what plays no part taken out: no amount where none leaves, no state where there is no segment.
    #[must_use]
    pub fn normalised(self) -> Self {
        let amount = if self.action.has_amount() { self.amount.max(QuoteMicros::ZERO) } else { QuoteMicros::ZERO };
        let state = if self.action.scope() == ActionScope::Venue { SegmentState::Normal } else { self.state };
        Self { amount, state, ..self }
    }

    /// The most that any policy may ask for here, where it may not forbid: the floors (DESIGN §3). Whoever has an account
    /// cancels and reduces with a session, and takes back what waits and leaves by the slow exit with the root key; each
    /// office does its own work with it.
    #[must_use]
    pub const fn floor(&self) -> Option<Tier> {
        use PolicyAction as Action;
        let is_governing = matches!(self.kind, PolicyKind::RiskOfficer | PolicyKind::Governor);
        // Risk officers lead out of every state but these two, which are the governors'.
        let is_governors_alone = matches!(self.state, SegmentState::Halted | SegmentState::WindDown);
        match self.action {
            _ if matches!(self.kind, PolicyKind::Anonymous) => None,
            Action::CancelOrder | Action::CancelAllOrders | Action::PlaceReducingOrder => Some(Tier::Session),
            Action::CancelWithdrawal | Action::CancelTransfer | Action::RequestPrincipalExit => Some(Tier::Rooted),
            // Whoever takes back what a thief began asks nobody; and a key that may take over needs no more than itself,
            // because everything was asked for when it was announced.
            Action::RemovePayoutAddress | Action::CancelRootKeyChange | Action::AcceptRootKey => Some(Tier::Rooted),
            // Nor does a guardian who votes: a policy that could forbid it would leave the account to whoever stole its key.
            Action::CancelGuardianChange | Action::VoteAsGuardian | Action::CancelRecovery => Some(Tier::Rooted),
            Action::AttestDeposit if matches!(self.kind, PolicyKind::Attestor) => Some(Tier::Rooted),
            Action::Propose | Action::Approve if is_governing => Some(Tier::Rooted),
            Action::ProposeLoosening | Action::ApproveLoosening
                if matches!(self.kind, PolicyKind::Governor) || is_governing && !is_governors_alone =>
            {
                Some(Tier::Rooted)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
