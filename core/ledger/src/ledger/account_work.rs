//! Commands that open and close accounts, and what they leave to be done in segments.

use casemate_protocol::command::{CloseAccount, SegmentGrant, SystemWork};
use casemate_protocol::policy::Tier;
use casemate_protocol::{
    AccountId, Event, GrantNumber, PublicKey, RecordIndex, Reject, RejectCode, SegmentId, SystemCommand,
};

use super::Ledger;
use crate::context::{BlockContext, CommandContext};
use crate::market::{self, Work};
use crate::segment::Segment;
use crate::{accounts, funds};

impl Ledger {
    pub(super) fn open_account(
        &mut self,
        block: &BlockContext,
        root_key: PublicKey,
        tier: Tier,
        record: RecordIndex,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        let rules = self.genesis.accounts;
        let (account, id, event) = accounts::open(&self.accounts, &self.segments, &rules, root_key)?;
        self.emit_account(event, events);
        let context = CommandContext { block: *block, account, grant: None, record, tier };
        if let Some(segment) = self.segment_mut(id) {
            let mut work = Work { segment, events, context: &context };
            funds::credit_opening(&mut work, account, root_key, rules.opening_deposit_min, rules.bond);
        }
        self.credit_waiting(account, root_key, record);
        Ok(())
    }

    pub(super) fn close_account(
        &mut self,
        block: &BlockContext,
        account: AccountId,
        close: &CloseAccount,
        tier: Tier,
        record: RecordIndex,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        if close.destination.is_empty() {
            return Err(Reject::of(RejectCode::DestinationEmpty));
        }
        self.accounts.safeguards.require_payout(account, close.chain, &close.destination, block.waiting_ms)?;
        let closed = accounts::close(&self.accounts, &self.segments, account, block.time_ms)?;
        if closed.bond.is_positive()
            && let Some(segment) = self.segment(closed.segment).filter(|segment| segment.totals.is_halted)
        {
            return Err(Reject::of(RejectCode::SegmentHalted).present(u64::from(segment.id().number())));
        }
        self.emit_account(Event::AccountClosed(closed), events);
        let context = CommandContext { block: *block, account, grant: None, record, tier };
        if let Some(segment) = self.segment_mut(closed.segment).filter(|_| closed.bond.is_positive()) {
            market::evolve(segment, block, &Event::AccountClosed(closed));
            let mut work = Work { segment, events, context: &context };
            funds::request_bond(&mut work, closed.bond, close.chain, close.destination.clone());
        }
        Ok(())
    }

    /// Cancels a revoked grant's orders in every segment, right after this command.
    pub(super) fn cancel_orders_of(&mut self, account: AccountId, grant: GrantNumber, record: RecordIndex) {
        let is_used = |segment: &&Segment| {
            segment
                .sub_account(account)
                .is_some_and(|row| row.usage().iter().any(|usage| usage.grant == grant.number()))
        };
        let used: Vec<SegmentId> = self.segments.iter().filter(is_used).map(Segment::id).collect();
        self.follow_ups.extend(used.into_iter().map(|segment| SystemCommand {
            origin: record,
            work: SystemWork::CancelGrantOrders(SegmentGrant { segment, account, grant }),
        }));
    }

    pub(super) fn emit_account(&mut self, event: Event, events: &mut Vec<Event>) {
        self.accounts.evolve(&event, &self.genesis.accounts);
        events.push(event);
    }
}
