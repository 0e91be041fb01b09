//! Grants: what a root key lets a session key do, and until when.
//!
//! The format has every field from the start. A budget of zero means "nothing", never "no limit".

use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::command::Action;
use crate::ids::{GrantNumber, MarketId};
use crate::keys::PublicKey;
use crate::limits::GRANT_MARKETS_MAX;
use crate::units::{QuoteMicros, TimeMs};

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

    /// This set and one more action.
    #[must_use]
    pub const fn with(self, action: Action) -> Self {
        Self(self.0 | (1 << action.number()))
    }

    /// Whether the action is in the set.
    #[must_use]
    pub const fn contains(self, action: Action) -> bool {
        (self.0 >> action.number()) & 1 == 1
    }

    /// The numbers of the actions in the set, also of those that this version has no action for.
    pub fn numbers(self) -> impl Iterator<Item = u8> {
        (0..64).filter(move |&number| (self.0 >> number) & 1 == 1)
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
}

/// What a root key signs to let a session key act.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantTerms {
    /// The grant's number: the account's next one, so that a grant is registered once.
    pub number: GrantNumber,
    /// The grant that this one is carved out of; none for a grant of the root key.
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

#[cfg(test)]
mod tests;
