//! Work that the ledger lists for itself: what is due, in order, with a cap. What does not fit waits for the next block
//! in the same order.

use casemate_protocol::command::{
    SegmentAccount, SegmentGrant, SegmentOrder, SegmentTransfer, SegmentWithdrawal, SystemCommand, SystemWork,
};
use casemate_protocol::limits::BLOCK_SYSTEM_WORK_MAX;
use casemate_protocol::{
    AccountId, GrantNumber, OrderNumber, QuoteMicros, SegmentId, TransferNumber, WithdrawalNumber,
};

use crate::context::BlockContext;
use crate::funds::{limiter, may_release};
use crate::ledger::Ledger;
use crate::segment::{OUTBOUND_TRANSFER, OUTBOUND_WITHDRAWAL, Segment, Transfer};

impl Ledger {
    /// Phase 1: ends of orders and grants, dead-man switches, transfers that left in an earlier block. Segment by
    /// segment, within a segment what fell due first comes first.
    #[must_use]
    pub fn due_at_start(&self, block: &BlockContext) -> Vec<SystemCommand> {
        // Ends and arrivals have a share each.
        let share = self.work_share() / 2;
        let mut due = Vec::new();
        for segment in self.segments.iter().filter(|segment| !segment.totals().is_halted) {
            due.extend(ends(segment, block.time_ms.ms(), share));
            due.extend(self.arrivals(segment).take(share));
        }
        due
    }

    /// Phase 10: withdrawals and transfers whose delay is over, whose account still covers what it holds, and for which
    /// the limiter has room, in the order in which they fell due.
    #[must_use]
    pub fn due_releases(&self, block: &BlockContext) -> Vec<SystemCommand> {
        let share = self.work_share();
        let mut due = Vec::new();
        for segment in self.segments.iter().filter(|segment| !segment.totals().is_halted) {
            let mut limiter = segment.limiter.clone();
            let capacity_max = limiter::capacity_max(&segment.rules, segment.totals().vault());
            let mut room = share;
            for &(_, kind, number) in segment.outbound.range(..=(block.waiting_ms.ms(), u8::MAX, u64::MAX)) {
                if room == 0 {
                    break;
                }
                let Some((account, amount, command)) = outbound(segment, kind, number) else { continue };
                // What the limiter cannot let through now waits, and so does everything behind it: first come, first
                // served. An account that may not withdraw now is passed over, and holds up nobody; so is an amount that
                // not even full windows let through, since the vault became smaller: it waits for a larger vault, or
                // for its owner to take it back in parts.
                if amount > capacity_max || may_release(segment, account, QuoteMicros::ZERO).is_err() {
                    continue;
                }
                if !limiter.has_room_out(&segment.rules, amount) {
                    break;
                }
                limiter.charge_out(&segment.rules, amount);
                due.push(command);
                room = room.saturating_sub(1);
            }
        }
        due
    }

    /// What each segment may have of a block's internal work, so that one segment's cannot crowd out another's.
    fn work_share(&self) -> usize {
        BLOCK_SYSTEM_WORK_MAX / self.segments.len().max(1)
    }

    /// Transfers to a segment that left their source and have not arrived.
    fn arrivals(&self, target: &Segment) -> impl Iterator<Item = SystemCommand> {
        let to = target.id();
        let arrived = |source: SegmentId| target.last_arrived.get(&source.number()).copied().unwrap_or(0);
        self.segments.iter().flat_map(move |source| {
            let first = arrived(source.id()).saturating_add(1);
            source.left.range((to.number(), first)..=(to.number(), u64::MAX)).filter_map(move |(_, &number)| {
                let transfer = SegmentTransfer { from: source.id(), to, transfer: TransferNumber::new(number) };
                let origin = source.transfers.get(&number)?.origin;
                Some(SystemCommand { origin, work: SystemWork::ArriveTransfer(transfer) })
            })
        })
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

    /// Whether a withdrawal or transfer waits for its delay. Waiting clocks gain a bounded step in each block, so while
    /// one waits, blocks must close even when nothing else happens.
    #[must_use]
    pub fn is_anything_waiting(&self) -> bool {
        self.segments.iter().any(|segment| !segment.totals().is_halted && !segment.outbound.is_empty())
    }
}

/// Orders, grants and switches of a segment whose time has come, at most `count`, earliest first.
fn ends(segment: &Segment, now_ms: u64, count: usize) -> impl Iterator<Item = SystemCommand> {
    let id = segment.id();
    let mut ends: Vec<(u64, SystemCommand)> = Vec::new();
    let orders = segment.order_expiries.range(..=(now_ms, u64::MAX)).take(count);
    ends.extend(orders.filter_map(|(&(end_ms, number), &(account, market))| {
        let order = OrderNumber::new(number);
        let origin = origin_of(segment, account, order)?;
        let work = SystemWork::ExpireOrder(SegmentOrder { segment: id, market, account, order });
        Some((end_ms, SystemCommand { origin, work }))
    }));
    let watches = segment.grant_watches.range(..=(now_ms, u64::MAX, u32::MAX)).take(count);
    ends.extend(watches.filter_map(|&(end_ms, account, grant)| {
        let (account, grant) = (AccountId::new(account), GrantNumber::new(grant));
        let origin = segment.sub_account(account)?.usage().iter().find(|usage| usage.grant() == grant)?.origin;
        let work = SystemWork::ExpireGrantOrders(SegmentGrant { segment: id, account, grant });
        Some((end_ms, SystemCommand { origin, work }))
    }));
    let switches = segment.dead_men.range(..=(now_ms, u64::MAX)).take(count);
    ends.extend(switches.map(|(&(end_ms, account), &origin)| {
        let account = AccountId::new(account);
        let work = SystemWork::FireDeadMan(SegmentAccount { segment: id, account });
        (end_ms, SystemCommand { origin, work })
    }));
    // Stable: of one moment, orders come before grants and grants before switches.
    ends.sort_by_key(|(end_ms, _)| *end_ms);
    ends.into_iter().take(count).map(|(_, command)| command)
}

fn origin_of(segment: &Segment, account: AccountId, number: OrderNumber) -> Option<casemate_protocol::RecordIndex> {
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
            Some((
                row.account,
                row.amount,
                SystemCommand { origin: row.origin, work: SystemWork::ReleaseTransfer(transfer) },
            ))
        }
        _ => None,
    }
}
