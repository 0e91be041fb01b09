//! Work that the ledger lists for itself: what is due, in order, with a cap. What does not fit waits for the next block
//! in the same order.

use casemate_protocol::command::{
    SegmentAccount, SegmentGrant, SegmentOrder, SegmentTransfer, SegmentWithdrawal, SystemCommand, SystemWork,
};
use casemate_protocol::limits::BLOCK_SYSTEM_WORK_MAX;
use casemate_protocol::{
    AccountId, BreakerState, GrantNumber, OrderNumber, QuoteMicros, RecordIndex, Reject, SegmentId, TransferNumber,
    WithdrawalNumber,
};

use crate::breaker;
use crate::context::BlockContext;
use crate::funds::limiter::{self, Leaving, LimiterState};
use crate::funds::{exit_left, require_may_exit, require_may_leave, weight_now};
use crate::ledger::Ledger;
use crate::liquidation::{liquidatable, repayable};
use crate::regime;
use crate::segment::{OUTBOUND_TRANSFER, OUTBOUND_WITHDRAWAL, Segment, Transfer};
use crate::{price, proposals};

impl Ledger {
    /// Phase 1: announced guardians; then ends of orders and grants, dead-man switches, transfers that left in an earlier block. Segment by
    /// segment, within a segment what fell due first comes first.
    #[must_use]
    pub fn due_at_start(&self, block: &BlockContext) -> Vec<SystemCommand> {
        // Ends and arrivals have a share each.
        let share = self.work_share() / 2;
        let changes = self.accounts.safeguards.due_changes(block.waiting_ms).take(share);
        let mut due: Vec<SystemCommand> =
            changes.map(|account| without_origin(SystemWork::ChangeGuardians(account))).collect();
        for segment in self.segments.iter().filter(|segment| !segment.totals().is_halted) {
            due.extend(ends(segment, block.time_ms.ms(), share));
            due.extend(self.arrivals(segment).take(share));
        }
        due
    }

    /// Phase 1, after what is due: what conduct found in the blocks before.
    #[must_use]
    pub fn due_conduct(&self, block: &BlockContext) -> Vec<SystemCommand> {
        let is_faulted = |id| self.faulted.iter().any(|faulted| faulted.segment == id);
        let segments = self.segments.iter().filter(|segment| !is_faulted(segment.id()));
        let due = segments.filter(|segment| segment.has_conduct_news(block.time_ms));
        due.map(|segment| without_origin(SystemWork::MoveConduct(segment.id()))).collect()
    }

    /// Phase 10: withdrawals and transfers whose delay is over, whose account still covers what it holds, and for which
    /// the limiter has room, in the order in which they fell due.
    #[must_use]
    pub fn due_releases(&self, block: &BlockContext) -> Vec<SystemCommand> {
        let share = self.work_share();
        let mut due = Vec::new();
        for segment in self.segments.iter().filter(|segment| !segment.totals().is_halted) {
            let mut releases = Releases::of(segment, block);
            let waiting = segment.outbound.range(..=(block.waiting_ms.ms(), u8::MAX, u64::MAX));
            let waiting = waiting
                .filter_map(|&(_, kind, number)| outbound(segment, kind, number))
                .filter(|waiting| self.may_arrive(&waiting.command.work))
                .filter(|waiting| self.require_safe_release(&waiting.command.work, block).is_ok());
            due.extend(waiting.filter(|waiting| releases.lets(waiting)).take(share).map(|waiting| waiting.command));
        }
        due
    }

    /// Whether what leaves can arrive: in a segment that failed a law nothing does, so it stays where its owner can take it
    /// back.
    fn may_arrive(&self, work: &SystemWork) -> bool {
        let SystemWork::ReleaseTransfer(transfer) = work else { return true };
        self.segment(transfer.to).is_some_and(|target| !target.totals().is_halted)
    }

    /// Whether the safeguards of its account let a withdrawal leave now. Who is held back holds up nobody.
    ///
    /// # Errors
    /// What [`Safeguards::require_release`] refuses.
    ///
    /// [`Safeguards::require_release`]: crate::accounts::safeguards::Safeguards
    pub(crate) fn require_safe_release(&self, work: &SystemWork, block: &BlockContext) -> Result<(), Reject> {
        let SystemWork::ReleaseWithdrawal(named) = work else { return Ok(()) };
        let segment = self.segment(named.segment);
        let row = segment.and_then(|segment| segment.withdrawals.get(&named.withdrawal.number()));
        row.map_or(Ok(()), |row| self.accounts.safeguards.require_release(row, block.waiting_ms))
    }

    /// Phase 3, after the price commands: one aggregate for each feed that needs one.
    #[must_use]
    pub fn due_aggregates(&self, block: &BlockContext) -> Vec<SystemCommand> {
        self.clearing_segments().flat_map(|segment| price::due_aggregates(segment, block)).map(without_origin).collect()
    }

    /// Phase 4: marks, then funding, then regimes.
    #[must_use]
    pub fn due_marks(&self, block: &BlockContext) -> Vec<SystemCommand> {
        self.clearing_segments().flat_map(|segment| price::due_marks(segment, block)).map(without_origin).collect()
    }

    /// See [`Ledger::due_marks`].
    #[must_use]
    pub fn due_funding(&self, block: &BlockContext) -> Vec<SystemCommand> {
        self.clearing_segments().flat_map(|segment| price::due_funding(segment, block)).map(without_origin).collect()
    }

    /// See [`Ledger::due_marks`]; after them, because they bring the figures.
    #[must_use]
    pub fn due_regimes(&self, block: &BlockContext) -> Vec<SystemCommand> {
        self.clearing_segments().flat_map(|segment| regime::due_moves(segment, block)).map(without_origin).collect()
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
            due.extend(proposals::due_proposals(segment, block).map(without_origin));
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

    /// Whether the state of a segment lets liquidations happen now.
    #[must_use]
    pub fn may_liquidate(&self, segment: Option<SegmentId>) -> bool {
        segment.and_then(|id| self.segment(id)).is_some_and(|segment| segment.breaker_state() != BreakerState::Halted)
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
            || !self.due_regimes(block).is_empty()
            || !self.due_reliefs(block).is_empty()
            || !self.due_conduct(block).is_empty()
    }

    /// Whether a withdrawal or transfer waits for its delay, or a safeguard for its. Waiting clocks gain a bounded step in each block, so while
    /// one waits, blocks must close even when nothing else happens.
    #[must_use]
    pub fn is_anything_waiting(&self) -> bool {
        self.segments.iter().any(|segment| !segment.totals().is_halted && !segment.outbound.is_empty())
            || self.accounts.safeguards.is_anything_waiting(self.chain.waiting_ms)
    }
}

/// Accounts of a segment that a block takes a step to liquidate at most: each step can be as much work as the largest order.
const LIQUIDATIONS_MAX: usize = 64;

/// Work that comes from the state and not from one record.
const fn without_origin(work: SystemWork) -> SystemCommand {
    SystemCommand { origin: RecordIndex::NONE, work }
}

/// A withdrawal or transfer whose delay is over.
struct Outbound {
    account: AccountId,
    amount: QuoteMicros,
    is_principal_exit: bool,
    command: SystemCommand,
}

/// What limiter and slow exit still let through in this block. The slow exit has a queue and a window of its own: what
/// waits in one holds up nobody in the other.
struct Releases<'a> {
    segment: &'a Segment,
    block: &'a BlockContext,
    limiter: LimiterState,
    /// The vault after what leaves before.
    vault: i128,
    exit_left: QuoteMicros,
    is_limiter_used_up: bool,
}

impl<'a> Releases<'a> {
    fn of(segment: &'a Segment, block: &'a BlockContext) -> Self {
        Self {
            segment,
            block,
            limiter: segment.limiter.clone(),
            vault: segment.totals().vault(),
            exit_left: exit_left(segment, block),
            is_limiter_used_up: false,
        }
    }

    /// Whether this can go now; counts it if it can. First come, first served: who may go and finds no room waits, and so
    /// does everybody behind. Who may not go himself is passed over and holds up nobody.
    fn lets(&mut self, waiting: &Outbound) -> bool {
        let lets = if waiting.is_principal_exit { self.lets_exit(waiting) } else { self.lets_out(waiting) };
        if lets {
            self.vault = self.vault.saturating_sub(waiting.amount.micros().into());
        }
        lets
    }

    fn lets_exit(&mut self, waiting: &Outbound) -> bool {
        // Whether it may go comes before whether it fits: otherwise an account that keeps itself uncovered would hold the
        // place at the head for ever.
        if !self.exit_left.is_positive() || require_may_exit(self.segment, self.block, waiting.account).is_err() {
            return false;
        }
        if waiting.amount > self.exit_left {
            self.exit_left = QuoteMicros::ZERO;
            return false;
        }
        self.exit_left = self.exit_left.saturating_sub(waiting.amount);
        true
    }

    fn lets_out(&mut self, waiting: &Outbound) -> bool {
        let leaving = Leaving { amount: waiting.amount, weight: weight_now(self.segment) };
        let counted = QuoteMicros::from_micros(leaving.amount.micros().saturating_mul(leaving.weight));
        // What not even unused windows let through is passed over too: it waits for a looser state or a larger vault, or
        // for its owner to take it back in parts.
        let is_too_large = counted > limiter::capacity_max(&self.segment.rules, self.vault);
        if self.is_limiter_used_up
            || is_too_large
            || require_may_leave(self.segment, self.block, waiting.account).is_err()
        {
            return false;
        }
        if !self.limiter.has_room_out(&self.segment.rules, self.vault, leaving) {
            self.is_limiter_used_up = true;
            return false;
        }
        self.limiter.charge_out(&self.segment.rules, leaving);
        true
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

fn outbound(segment: &Segment, kind: u8, number: u64) -> Option<Outbound> {
    let id: SegmentId = segment.id();
    let (account, amount, is_principal_exit, origin, work) = match kind {
        OUTBOUND_WITHDRAWAL => {
            let row = segment.withdrawals.get(&number)?;
            let named = SegmentWithdrawal { segment: id, withdrawal: WithdrawalNumber::new(number) };
            (row.account, row.amount, row.is_principal_exit, row.origin, SystemWork::ReleaseWithdrawal(named))
        }
        OUTBOUND_TRANSFER => {
            let row = segment.transfers.get(&number)?;
            let named = SegmentTransfer { from: id, to: row.to, transfer: TransferNumber::new(number) };
            (row.account, row.amount, false, row.origin, SystemWork::ReleaseTransfer(named))
        }
        _ => return None,
    };
    Some(Outbound { account, amount, is_principal_exit, command: SystemCommand { origin, work } })
}
