//! Grants: what a root key, or a session out of its own grant, lets a session key do, and until when.
//!
//! The format has every field from the start. A budget of zero means "nothing", never "no limit".

use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::command::Action;
use crate::ids::{GrantNumber, MarketId};
use crate::keys::PublicKey;
use crate::limits::{GRANT_LIFETIME_MS_MAX, GRANT_MARKETS_MAX};
use crate::regime::Regime;
use crate::units::{DurationMs, QuoteMicros, TimeMs};

/// A set of actions, one bit each; the bit is the action's permanent number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ActionSet(u64);

impl ActionSet {
    /// No action at all.
    pub const EMPTY: Self = Self(0);

    /// The actions of trading, which a session may be granted.
    pub const TRADING: Self = Self::EMPTY
        .with(Action::PlaceOrder)
        .with(Action::AmendOrder)
        .with(Action::CancelOrder)
        .with(Action::CancelAllOrders)
        .with(Action::QuoteLadder)
        .with(Action::SetDeadMan);

    /// What a session may be granted: trading, and sharing its grant out to children.
    pub const SESSION: Self = Self::TRADING.with(Action::RegisterGrant).with(Action::RevokeGrant);

    /// This set and one more action.
    #[must_use]
    pub const fn with(self, action: Action) -> Self {
        Self(self.0 | (1 << action.number()))
    }

    /// Whether the action is in the set.
    #[must_use]
    pub const fn contains(self, action: Action) -> bool {
        self.has_number(action.number())
    }

    /// Whether the action with this number is in the set, if there is one.
    #[must_use]
    pub const fn has_number(self, number: u8) -> bool {
        number < 64 && (self.0 >> number) & 1 == 1
    }

    /// The numbers of the actions in the set, also of those that this version has no action for.
    pub fn numbers(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |&number| self.has_number(number))
    }

    /// Whether every action of this set is in the other.
    #[must_use]
    pub const fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }
}

/// The markets that a grant reaches.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum MarketScope {
    /// Every market, also those listed later.
    All = 1,
    /// These markets only.
    Only(BoundedVec<MarketId, GRANT_MARKETS_MAX>) = 2,
}

impl MarketScope {
    /// Whether the scope reaches a market.
    #[must_use]
    pub fn contains(&self, market: MarketId) -> bool {
        match self {
            Self::All => true,
            Self::Only(markets) => markets.iter().any(|&named| named == market),
        }
    }

    /// Whether the other scope reaches every market that this one does. Named markets do not add up to all of them: all is
    /// also those listed later.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::All) => true,
            (Self::All, Self::Only(_)) => false,
            (Self::Only(markets), Self::Only(_)) => markets.iter().all(|&market| other.contains(market)),
        }
    }
}

/// What is signed to let a session key act: by the root key, or by the parent's session key.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantTerms {
    /// The grant's number: the account's next one, so that a grant is registered once.
    pub number: GrantNumber,
    /// The grant that this one is carved out of: its rate and budgets are taken off the parent's and never come back. None
    /// for a grant that stands by itself.
    pub parent: GrantNumber,
    /// The session key; registered once, ever, on the whole chain.
    pub session_key: PublicKey,
    /// What the session may do.
    pub actions: ActionSet,
    /// Where it may do it.
    pub markets: MarketScope,
    /// Most notional that may be traded under this grant, over its whole life, resting orders included. Reduce-only
    /// orders use it when they trade, and are never refused for it.
    pub notional_quote_micros_max: QuoteMicros,
    /// Most that may be lost under this grant, fees included.
    pub loss_quote_micros_max: QuoteMicros,
    /// Most commands per minute of block time.
    pub commands_per_minute_max: u32,
    /// The grant ends here.
    pub expires_ms: TimeMs,
    /// The grant can only be registered before this time.
    pub register_before_ms: TimeMs,
}

/// Longest lives of grants that are registered in each regime of the venue. Those that live already stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantLifetimes {
    /// While every market is calm.
    pub calm_ms: DurationMs,
    /// While the worst is elevated.
    pub elevated_ms: DurationMs,
    /// While the worst is stressed.
    pub stressed_ms: DurationMs,
    /// While the worst is extreme.
    pub extreme_ms: DurationMs,
}

impl GrantLifetimes {
    /// The same in every regime.
    #[must_use]
    pub const fn same(lifetime_ms: DurationMs) -> Self {
        Self { calm_ms: lifetime_ms, elevated_ms: lifetime_ms, stressed_ms: lifetime_ms, extreme_ms: lifetime_ms }
    }

    /// The longest life of a grant that is registered in this regime.
    #[must_use]
    pub const fn longest(&self, regime: Regime) -> DurationMs {
        match regime {
            Regime::Calm => self.calm_ms,
            Regime::Elevated => self.elevated_ms,
            Regime::Stressed => self.stressed_ms,
            Regime::Extreme => self.extreme_ms,
        }
    }

    /// Whether none is zero, none longer than the software allows, and a rougher regime allows no longer ones.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        let from_extreme = Regime::ALL.into_iter().rev().map(|regime| self.longest(regime));
        !self.extreme_ms.is_zero() && from_extreme.is_sorted() && self.calm_ms.ms() <= GRANT_LIFETIME_MS_MAX
    }
}

#[cfg(test)]
mod tests;
