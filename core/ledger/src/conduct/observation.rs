//! What conduct sees: acts of accounts in a market, as the ledger's events state them, and moves of money and keys.
//!
//! An observation names what happened and what the ledger knew then. It carries no verdict, and nothing in it can be
//! observed by one replica alone.

use casemate_protocol::command::OutsideReference;
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::{
    AccountId, Digest, DurationMs, MarketId, OrderNumber, PriceTicks, QuantityLots, QuoteMicros, RejectCode, Side,
    TimeMs, TradeNumber,
};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Block time; never before that of an earlier observation.
    pub at: TimeMs,
    /// Where; none for moves of money and keys.
    pub market: MarketId,
    /// What.
    pub act: Act,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A command with orders arrived and was accepted. An amend counts as two (R§4.2 D3), a ladder as one.
    Placed {
        /// Whose.
        account: AccountId,
        /// As how many messages it counts.
        messages: u32,
    },
    /// An order came to rest.
    Rested {
        /// Whose.
        account: AccountId,
        /// How much rests.
        lots: QuantityLots,
    },
    /// Its owner took an order out of the book, or made it smaller.
    Cancelled(Cancelled),
    /// Two orders traded.
    Traded(Traded),
    /// A command was refused.
    Refused {
        /// Whose.
        account: AccountId,
        /// By which rule.
        code: RejectCode,
    },
    /// A fill opened a position, or made it larger.
    Opened {
        /// Whose.
        account: AccountId,
        /// Bid for a long position.
        side: Side,
        /// By how much.
        lots: QuantityLots,
    },
    /// A deposit was credited.
    Deposited {
        /// Whose.
        account: AccountId,
        /// Digest of where it came from: of the transaction outside, which is all that attestors state.
        source: Digest,
        /// How much.
        amount: QuoteMicros,
    },
    /// A key was added or changed.
    KeyChanged {
        /// Whose.
        account: AccountId,
    },
    /// Money was asked to leave.
    LeaveAsked(LeaveAsked),
    /// An account said that it belongs to nobody.
    Contested {
        /// Which.
        account: AccountId,
    },
    /// Money left.
    Left {
        /// Whose.
        account: AccountId,
        /// Where to, as [`address`] has it.
        address: u64,
    },
}

/// See [`Act::Cancelled`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub order: OrderNumber,
    /// Buy or sell.
    pub side: Side,
    /// How much left the book.
    pub lots: QuantityLots,
    /// How long it had rested.
    pub age: DurationMs,
    /// As how many messages it counts: none where another act of the same command does.
    pub messages: u32,
    /// How far from the best price of its side it was, in parts per million of that.
    pub distance_ppm: u32,
}

/// See [`Act::Traded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traded {
    /// The trade.
    pub trade: TradeNumber,
    /// Owner of the resting order.
    pub maker: AccountId,
    /// Owner of the arriving order.
    pub taker: AccountId,
    /// The arriving order.
    pub taker_order: OrderNumber,
    /// Its side.
    pub taker_side: Side,
    /// At what price.
    pub price: PriceTicks,
    /// The index then; zero where there is none.
    pub index: PriceTicks,
    /// How much.
    pub lots: QuantityLots,
    /// Price × lots × tick value.
    pub notional: QuoteMicros,
}

/// See [`Act::LeaveAsked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaveAsked {
    /// Whose.
    pub account: AccountId,
    /// Whether money of the account has left to this address before.
    pub is_known_address: bool,
    /// How much is asked for.
    pub amount: QuoteMicros,
    /// What the account had.
    pub balance: QuoteMicros,
}

/// A payout address in few bytes: the leading ones of its digest.
#[must_use]
pub fn address(chain: u32, destination: &OutsideReference) -> u64 {
    leading(&outside(chain, destination))
}

/// Digest of something outside: a chain, and a name on it.
#[must_use]
pub fn outside(chain: u32, name: &OutsideReference) -> Digest {
    hash::digest(Domain::Outside, &[&chain.to_le_bytes(), name.as_slice()])
}

/// The first eight bytes of a digest, as a number.
#[must_use]
pub fn leading(digest: &Digest) -> u64 {
    digest.0.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

/// Something for each side of a book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct BySide<T> {
    /// For buyers.
    pub bid: T,
    /// For sellers.
    pub ask: T,
}

impl<T> BySide<T> {
    /// Of one side.
    #[must_use]
    pub const fn of(&self, side: Side) -> &T {
        match side {
            Side::Bid => &self.bid,
            Side::Ask => &self.ask,
        }
    }

    /// Of one side, to change.
    pub const fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Bid => &mut self.bid,
            Side::Ask => &mut self.ask,
        }
    }
}

/// An account as rows name it: numbers fit 32 bits (`limits::ACCOUNTS_MAX`). Larger ones, which do not exist, share one.
#[must_use]
pub fn short(account: AccountId) -> u32 {
    u32::try_from(account.number()).unwrap_or(u32::MAX)
}
