//! What others read of a segment's rows: for faces that show an account, never for rules.

use casemate_protocol::genesis::SegmentRules;
use casemate_protocol::{AccountId, QuantityLots, TimeMs};

use super::{Position, RestingOrder, Segment, SubAccount};

impl Segment {
    /// Its rules, from genesis.
    #[must_use]
    pub const fn rules(&self) -> &SegmentRules {
        &self.rules
    }

    /// How much of the fullest window of the withdrawal limiter is in use, in parts per million, rounded down.
    #[must_use]
    pub fn limiter_used_ppm(&self) -> u64 {
        self.limiter.used_ppm(&self.rules, self.totals.vault())
    }

    /// The resting orders of an account in this segment, by number.
    pub fn resting_orders(&self, account: AccountId) -> impl Iterator<Item = &RestingOrder> {
        let orders = self.sub_account(account).map_or(&[][..], SubAccount::orders);
        orders.iter().filter_map(|open| self.orders.order(open.slot))
    }
}

impl SubAccount {
    /// Withdrawals and transfers that have not left.
    #[must_use]
    pub const fn pending_count(&self) -> u32 {
        self.pending_count
    }

    /// Block time at which the dead-man switch fires; zero if it is not armed.
    #[must_use]
    pub fn dead_man_ms(&self) -> TimeMs {
        self.trading.as_ref().map_or(TimeMs::ZERO, |trading| trading.dead_man_ms)
    }
}

impl Position {
    /// The market, as its place in the segment.
    #[must_use]
    pub const fn market_place(&self) -> u16 {
        self.market
    }

    /// Resting orders in the market, reduce-only ones included.
    #[must_use]
    pub const fn order_count(&self) -> u32 {
        self.order_count
    }

    /// Lots of resting bids that are not reduce-only.
    #[must_use]
    pub fn bid_lots(&self) -> QuantityLots {
        QuantityLots::from_lots(self.bid_lots.unsigned_abs())
    }

    /// Lots of resting asks that are not reduce-only.
    #[must_use]
    pub fn ask_lots(&self) -> QuantityLots {
        QuantityLots::from_lots(self.ask_lots.unsigned_abs())
    }
}
