//! Work that the ledger lists for itself: what is due, in order, with a cap. What does not fit waits for the next block
//! in the same order.

use casemate_protocol::command::{
    SegmentAccount, SegmentGrant, SegmentOrder, SegmentTransfer, SegmentWithdrawal, SystemCommand, SystemWork,
};
use casemate_protocol::limits::BLOCK_SYSTEM_WORK_MAX;
use casemate_protocol::{
    AccountId, BreakerState, GrantNumber, OrderNumber, QuoteMicros, RecordIndex, SegmentId, TransferNumber,
    WithdrawalNumber,
};

use crate::breaker;
use crate::context::BlockContext;
use crate::funds::{limiter, may_release, may_release_exit, release_weight};
use crate::ledger::Ledger;
use crate::liquidation::{liquidatable, repayable};
use crate::price;
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
            let counted_times = release_weight(segment.breaker_state()).unwrap_or(1);
            let mut exits = Exits::of(segment, block);
            let (mut room, mut is_limiter_used_up) = (share, false);
            for &(_, kind, number) in segment.outbound.range(..=(block.waiting_ms.ms(), u8::MAX, u64::MAX)) {
                if room == 0 {
                    break;
                }
                let Some((account, amount, command)) = outbound(segment, kind, number) else { continue };
                if kind == OUTBOUND_WITHDRAWAL
                    && segment.withdrawals.get(&number).is_some_and(|row| row.is_principal_exit)
                {
                    // The slow exit has a queue and a window of its own: what waits in one holds up nobody in the other.
                    if exits.lets(segment, block, account, amount) {
                        due.push(command);
                        room = room.saturating_sub(1);
                    }
                    continue;
                }
                if is_limiter_used_up {
                    continue;
                }
                // What the limiter cannot let through now waits, and so does everything behind it: first come, first
                // served. An account that may not withdraw now is passed over, and holds up nobody; so is an amount that
                // not even full windows let through, since the vault became smaller: it waits for a larger vault, or
                // for its owner to take it back in parts.
                if amount > capacity_max || may_release(segment, block, account, QuoteMicros::ZERO).is_err() {
                    continue;
                }
                let counted = QuoteMicros::from_micros(amount.micros().saturating_mul(counted_times));
                if !limiter.has_room_out(&segment.rules, counted) {
                    is_limiter_used_up = true;
                    continue;
                }
                limiter.charge_out(&segment.rules, amount);
                due.push(command);
                room = room.saturating_sub(1);
            }
        }
        due
    }

    /// Phase 3, after the price commands: one aggregate for each feed that needs one.
    #[must_use]
    pub fn due_aggregates(&self, block: &BlockContext) -> Vec<SystemCommand> {
        self.clearing_segments().flat_map(|segment| price::due_aggregates(segment, block)).map(without_origin).collect()
    }

    /// Phase 4: marks, then funding.
    #[must_use]
    pub fn due_marks(&self, block: &BlockContext) -> Vec<SystemCommand> {
        self.clearing_segments().flat_map(|segment| price::due_marks(segment, block)).map(without_origin).collect()
    }

    /// See [`Ledger::due_marks`].
    #[must_use]
    pub fn due_funding(&self, block: &BlockContext) -> Vec<SystemCommand> {
        self.clearing_segments().flat_map(|segment| price::due_funding(segment, block)).map(without_origin).collect()
    }

    /// Phase 5, and again after work that changes what triggers look at: breakers that tighten.
    #[must_use]
    pub fn due_trips(&self, block: &BlockContext) -> Vec<SystemCommand> {
        self.clearing_segments().filter_map(|segment| breaker::due_trip(segment, block)).map(without_origin).collect()
    }

    /// Phase 11: proposals that can be carried out or are over, and breakers that let go by themselves.
    #[must_use]
    pub fn due_reliefs(&self, block: &BlockContext) -> Vec<SystemCommand> {
        let mut due = Vec::new();
        for segment in self.clearing_segments() {
            due.extend(breaker::due_proposals(segment, block).map(without_origin));
            due.extend(breaker::due_relief(segment, block).map(without_origin));
        }
        due
    }

    /// Phase 7: what insurance owes comes first, then the accounts below maintenance margin that a step can do anything for,
    /// the worst ratio first, as many as each segment's share of a block's work allows; of these at most half whose equity is
    /// used up while others wait. Who is left follows in the next block, judged anew.
    #[must_use]
    pub fn due_liquidations(&mut self, block: &BlockContext) -> Vec<SystemCommand> {
        let share = self.work_share().min(LIQUIDATIONS_MAX);
        let mut due = Vec::new();
        for segment in self.segments.iter_mut().filter(|segment| segment.clearing().is_some()) {
            if segment.breaker_state() == BreakerState::Halted {
                continue;
            }
            let id = segment.id();
            if repayable(segment, block).is_positive() {
                due.push(without_origin(SystemWork::RepayDeficit(id)));
            }
            due.extend(
                liquidatable(segment, block.waiting_ms, share)
                    .into_iter()
                    .map(|account| without_origin(SystemWork::Liquidate(SegmentAccount { segment: id, account }))),
            );
        }
        due
    }

    /// Segments that clear on margin and have not failed a law.
    fn clearing_segments(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.clearing().is_some() && !segment.totals().is_halted)
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
        !self.due_at_start(block).is_empty()
            || !self.due_releases(block).is_empty()
            || !self.due_aggregates(block).is_empty()
            || !self.due_marks(block).is_empty()
            || !self.due_funding(block).is_empty()
            || !self.due_reliefs(block).is_empty()
    }

    /// Whether a withdrawal or transfer waits for its delay. Waiting clocks gain a bounded step in each block, so while
    /// one waits, blocks must close even when nothing else happens.
    #[must_use]
    pub fn is_anything_waiting(&self) -> bool {
        self.segments.iter().any(|segment| !segment.totals().is_halted && !segment.outbound.is_empty())
    }
}

/// Accounts of a segment that a block takes a step to liquidate at most: each step can be as much work as the largest order.
const LIQUIDATIONS_MAX: usize = 64;

/// Work that comes from the state and not from one record.
const fn without_origin(work: SystemWork) -> SystemCommand {
    SystemCommand { origin: RecordIndex::NONE, work }
}

/// What the slow principal exit still lets through in this block.
struct Exits {
    left: i64,
}

impl Exits {
    fn of(segment: &Segment, block: &BlockContext) -> Self {
        let left = segment.clearing().map_or(0, |clearing| {
            let limit = clearing.rules.principal_exit.limit;
            let used = clearing.facts.exit_used.left(block.waiting_ms, limit.window_ms);
            limit.amount_max.micros().saturating_sub(used)
        });
        Self { left }
    }

    /// Whether an exit can go now; counts it if it can. First come, first served.
    fn lets(&mut self, segment: &Segment, block: &BlockContext, account: AccountId, amount: QuoteMicros) -> bool {
        if amount.micros() > self.left {
            self.left = 0;
            return false;
        }
        let lets = may_release_exit(segment, block, account, amount).is_ok();
        if lets {
            self.left = self.left.saturating_sub(amount.micros());
        }
        lets
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

fn origin_of(segment: &Segment, account: AccountId, number: OrderNumber) -> Option<RecordIndex> {
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
