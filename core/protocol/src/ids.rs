//! Identifiers. Each is its own type, assigned in execution order from 1; zero means "none" and is never valid.

use borsh::{BorshDeserialize, BorshSerialize};

macro_rules! id {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize,
        )]
        #[repr(transparent)]
        pub struct $name($inner);

        impl $name {
            /// The value that names nothing.
            pub const NONE: Self = Self(0);

            /// Wraps a bare number.
            #[must_use]
            pub const fn new(number: $inner) -> Self {
                Self(number)
            }

            /// The bare number.
            #[must_use]
            pub const fn number(self) -> $inner {
                self.0
            }

            /// True for the value that names nothing.
            #[must_use]
            pub const fn is_none(self) -> bool {
                self.0 == 0
            }

            /// The id after this one, held at the end of the range.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

id! {
    /// An account of the ledger.
    AccountId(u64)
}
id! {
    /// A segment: the unit of containment.
    SegmentId(u16)
}
id! {
    /// A market; its segment follows from genesis.
    MarketId(u16)
}
id! {
    /// An asset that vaults hold.
    AssetId(u16)
}
id! {
    /// An operator behind one or more keys; quorums count operators.
    OperatorId(u16)
}
id! {
    /// An order within its segment.
    OrderNumber(u64)
}
id! {
    /// A trade within its segment.
    TradeNumber(u64)
}
id! {
    /// A withdrawal within its segment.
    WithdrawalNumber(u64)
}
id! {
    /// A transfer within its source segment.
    TransferNumber(u64)
}
id! {
    /// A grant within its account.
    GrantNumber(u32)
}
id! {
    /// A name for an order chosen by its owner; zero is no name.
    ClientOrderId(u64)
}
id! {
    /// Height of a block; genesis is height 0.
    Height(u64)
}
id! {
    /// Index of a record in the log, from 0.
    RecordIndex(u64)
}
id! {
    /// A price feed; its segment follows from genesis.
    FeedId(u16)
}
id! {
    /// A proposal within its segment.
    ProposalNumber(u64)
}
id! {
    /// Epoch of the policy in force; the built-in table is epoch 0.
    PolicyEpoch(u32)
}
