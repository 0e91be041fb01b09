//! Loading ahead: reads the rows that the next commands will need and changes nothing.
//!
//! With a million accounts each command meets rows that are in no cache, one behind the other. Read for many commands in
//! a row, without work in between, such loads overlap: the processor waits once instead of thirty times. What is
//! returned is a sum of what was read, so that the reads are not optimised away; nothing may depend on it.

use casemate_protocol::command::OrderReference;
use casemate_protocol::{AccountId, Command, MarketId, PublicKey, Side};

use crate::ledger::Ledger;
use crate::market;
use crate::paged::Row;
use crate::segment::{Segment, SubAccount};

impl Ledger {
    /// Reads what inclusion needs of an account.
    #[must_use]
    pub fn touch_account(&self, account: AccountId, key: &PublicKey) -> u64 {
        let Some(row) = self.accounts.account(account) else { return 0 };
        let nonces = row.grant_of(key).map_or(0, |grant| grant.nonces().next());
        nonces ^ row.nonces().next() ^ self.accounts.rows.touch_marks(account.number())
    }

    /// Reads what a command of an account needs: its own rows, the order it names, the maker it would meet.
    #[must_use]
    pub fn touch_command(&self, account: AccountId, key: &PublicKey, command: &Command) -> u64 {
        let Some(segment) = self.segment_of_command(command).and_then(|id| self.segment(id)) else { return 0 };
        let other = match command {
            Command::CancelOrder(cancel) => touch_order(segment, account, cancel.market, cancel.order),
            Command::AmendOrder(amend) => touch_order(segment, account, amend.market, amend.order),
            Command::PlaceOrder(order) => touch_maker(segment, order.market, order.side.opposite()),
            _ => 0,
        };
        self.touch_account(account, key) ^ touch_row(segment, account) ^ other
    }
}

fn touch_row(segment: &Segment, account: AccountId) -> u64 {
    let marks = segment.sub_accounts.touch_marks(account.number());
    let order = |row: &SubAccount| row.orders().first().map_or(0, |order| order.number());
    marks ^ segment.sub_account(account).map_or(0, |row| row.touch() ^ order(row))
}

fn touch_order(segment: &Segment, account: AccountId, market: MarketId, reference: OrderReference) -> u64 {
    let Some(place) = segment.market_place(market) else { return 0 };
    let Ok((_, order)) = market::require_own_order(segment, account, place, reference) else { return 0 };
    let neighbour = |slot| segment.orders().order(slot).map_or(0, |order| order.priority);
    neighbour(order.previous).wrapping_add(neighbour(order.next))
}

fn touch_maker(segment: &Segment, market: MarketId, side: Side) -> u64 {
    let best = segment
        .market_place(market)
        .and_then(|place| segment.market(place))
        .and_then(|market| market.book().best(side));
    let maker = best.and_then(|(_, slot)| segment.orders().order(slot)).map(|order| order.owner());
    maker.map_or(0, |maker| touch_row(segment, maker))
}
