//! Work that the ledger lists for itself: what is due, in order, with a cap. What does not fit waits for the next block
//! in the same order.

use casemate_protocol::command::{
    SegmentAccount, SegmentGrant, SegmentOrder, SegmentTransfer, SegmentWithdrawal, SystemCommand, SystemWork,
};
use casemate_protocol::limits::BLOCK_SYSTEM_WORK_MAX;
use casemate_protocol::{AccountId, GrantNumber, OrderNumber, QuoteMicros, SegmentId, TransferNumber, WithdrawalNumber};

use crate::context::BlockContext;
use crate::funds::may_release;
use crate::ledger::Ledger;
use crate::segment::{OUTBOUND_TRANSFER, OUTBOUND_WITHDRAWAL, Segment, Transfer};

impl Ledger {
    /// Phase 1: ends of orders and grants, dead-man switches, transfers that left in an earlier block.
    #[must_use]
    pub fn due_at_start(&self, block: &BlockContext) -> Vec<SystemCommand> {
        let now_ms = block.time_ms.ms();
        let mut due = Vec::new();
        for segment in self.segments.iter().filter(|segment| !segment.totals().is_halted) {
            let id = segment.id();
            due.extend(segment.order_expiries.range(..=(now_ms, u64::MAX)).filter_map(|(&(_, number), owner)| {
                let (account, market) = *owner;
                let order = OrderNumber::new(number);
                let origin = origin_of(segment, account, order)?;
                Some(SystemCommand {
                    origin,
                    work: SystemWork::ExpireOrder(SegmentOrder { segment: id, market, account, order }),
                })
            }));
            let watches = segment.grant_watches.range(..=(now_ms, u64::MAX, u32::MAX));
            due.extend(watches.map(|(&(_, account, grant), &origin)| {
                let (account, grant) = (AccountId::new(account), GrantNumber::new(grant));
                let work = SystemWork::ExpireGrantOrders(SegmentGrant { segment: id, account, grant });
                SystemCommand { origin, work }
            }));
            due.extend(segment.dead_men.range(..=(now_ms, u64::MAX)).map(|(&(_, account), &origin)| {
                let account = AccountId::new(account);
                SystemCommand { origin, work: SystemWork::FireDeadMan(SegmentAccount { segment: id, account }) }
            }));
            due.extend(self.arrivals(segment));
            if due.len() >= BLOCK_SYSTEM_WORK_MAX {
                break;
            }
        }
        due.truncate(BLOCK_SYSTEM_WORK_MAX);
        due
    }

    /// Phase 10: withdrawals and transfers whose delay is over, whose account still covers what it holds, and for which
    /// the limiter has room, in the order in which they fell due.
    #[must_use]
    pub fn due_releases(&self, block: &BlockContext) -> Vec<SystemCommand> {
        let mut due = Vec::new();
        for segment in self.segments.iter().filter(|segment| !segment.totals().is_halted) {
            let mut limiter = segment.limiter.clone();
            for &(_, kind, number) in segment.outbound.range(..=(block.waiting_ms.ms(), u8::MAX, u64::MAX)) {
                if due.len() >= BLOCK_SYSTEM_WORK_MAX {
                    return due;
                }
                let Some((account, amount, command)) = outbound(segment, kind, number) else { continue };
                // What the limiter cannot let through now waits, and so does everything behind it: first come, first
                // served. An account that may not withdraw now is passed over, and holds up nobody.
                if may_release(segment, account, QuoteMicros::ZERO).is_err() {
                    continue;
                }
                if !limiter.has_room_out(&segment.rules, amount) {
                    break;
                }
                limiter.charge_out(&segment.rules, amount);
                due.push(command);
            }
        }
        due
    }

    /// Transfers to a segment that left their source and have not arrived.
    fn arrivals(&self, target: &Segment) -> Vec<SystemCommand> {
        let to = target.id();
        let mut due = Vec::new();
        for source in &self.segments {
            let arrived = target.last_arrived.get(&source.id().number()).copied().unwrap_or(0);
            let waiting = source.left.range((to.number(), arrived.saturating_add(1))..=(to.number(), u64::MAX));
            for (_, &number) in waiting {
                let Some(row) = source.transfers.get(&number) else { continue };
                let transfer = SegmentTransfer { from: source.id(), to, transfer: TransferNumber::new(number) };
                due.push(SystemCommand { origin: row.origin, work: SystemWork::ArriveTransfer(transfer) });
            }
        }
        due
    }

    /// A transfer that is about to arrive: its row and its place among those that left for the same target.
    pub(crate) fn arriving(&self, transfer: &SegmentTransfer) -> Option<(Transfer, u64)> {
        let source = self.segment(transfer.from)?;
        let row = source.transfers.get(&transfer.transfer.number())?;
        let to = transfer.to.number();
        let arrived = self.segment(transfer.to)?.last_arrived.get(&transfer.from.number()).copied().unwrap_or(0);
        let mut waiting = source.left.range((to, arrived.saturating_add(1))..=(to, u64::MAX));
        let (&(_, sequence), _) = waiting.find(|(_, number)| **number == transfer.transfer.number())?;
        Some((*row, sequence))
    }

    /// Whether anything is due at a time, so that an idle chain knows when to close a block.
    #[must_use]
    pub fn is_anything_due(&self, block: &BlockContext) -> bool {
        !self.due_at_start(block).is_empty() || !self.due_releases(block).is_empty()
    }
}

fn origin_of(
    segment: &Segment,
    account: AccountId,
    number: OrderNumber,
) -> Option<casemate_protocol::RecordIndex> {
    let orders = segment.sub_account(account)?.orders();
    let place = orders.binary_search_by_key(&number.number(), |order| order.number()).ok()?;
    segment.orders().order(orders.get(place)?.slot).map(|order| order.origin)
}

fn outbound(segment: &Segment, kind: u8, number: u64) -> Option<(AccountId, QuoteMicros, SystemCommand)> {
    let id: SegmentId = segment.id();
    match kind {
        OUTBOUND_WITHDRAWAL => {
            let row = segment.withdrawals.get(&number)?;
            let withdrawal = WithdrawalNumber::new(number);
            let work = SystemWork::ReleaseWithdrawal(SegmentWithdrawal { segment: id, withdrawal });
            Some((row.account, row.amount, SystemCommand { origin: row.origin, work }))
        }
        OUTBOUND_TRANSFER => {
            let row = segment.transfers.get(&number)?;
            let transfer = SegmentTransfer { from: id, to: row.to, transfer: TransferNumber::new(number) };
            Some((row.account, row.amount, SystemCommand { origin: row.origin, work: SystemWork::ReleaseTransfer(transfer) }))
        }
        _ => None,
    }
}
