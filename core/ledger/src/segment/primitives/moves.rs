//! Money that moves over the segment's border: withdrawals, transfers, deposits and the limiter.

use std::collections::BTreeMap;

use casemate_protocol::command::{Beneficiary, DepositClaim};
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::limits::LEAVING_WINDOW_MS;
use casemate_protocol::{AccountId, Digest, DurationMs, QuoteMicros, SegmentId};

use super::SegmentUndo;
use crate::funds::limiter::LimiterState;
use crate::segment::{Deposit, DepositState, Segment, Transfer, TransferState, Withdrawal, WithdrawalState};

/// What left: whose, when on the waiting clock, and how much.
type Gone = (AccountId, DurationMs, QuoteMicros);

impl Segment {
    /// Puts a withdrawal's row.
    pub(crate) fn put_withdrawal(&mut self, number: u64, withdrawal: Withdrawal) {
        self.changed.withdrawals.mark(number);
        let before = self.replace_withdrawal(number, Some(withdrawal));
        self.remember(SegmentUndo::Withdrawal { number, withdrawal: before.map(Box::new) });
    }

    /// Puts a transfer's row.
    pub(crate) fn put_transfer(&mut self, number: u64, transfer: Transfer) {
        self.changed.transfers.mark(number);
        let before = self.replace_transfer(number, Some(transfer));
        self.remember(SegmentUndo::Transfer { number, transfer: before.map(Box::new) });
    }

    /// A transfer left for its target: it will arrive there in this place of the order.
    pub(crate) fn add_left(&mut self, to: SegmentId, sequence: u64, number: u64) {
        let to = to.number();
        let before = self.last_left.insert(to, sequence);
        self.left.insert((to, sequence), number);
        self.remember(SegmentUndo::Left { to, sequence, before });
    }

    /// A transfer of a source arrived here.
    pub(crate) fn set_arrived(&mut self, from: SegmentId, sequence: u64) {
        let from = from.number();
        let before = self.last_arrived.insert(from, sequence);
        self.remember(SegmentUndo::Arrived { from, before });
    }

    fn replace_withdrawal(&mut self, number: u64, withdrawal: Option<Withdrawal>) -> Option<Withdrawal> {
        let waiting = |row: &Withdrawal| {
            (row.state == WithdrawalState::Pending).then_some(Waiting {
                account: row.account,
                due_ms: row.wakes_ms(),
                kind: OUTBOUND_WITHDRAWAL,
                number,
            })
        };
        let after = withdrawal.as_ref().and_then(waiting);
        let before = match withdrawal {
            Some(row) => self.withdrawals.insert(number, row),
            None => self.withdrawals.remove(&number),
        };
        self.index_outbound(before.as_ref().and_then(waiting), after);
        let left = |row: &Withdrawal| {
            (row.state == WithdrawalState::Released).then_some((row.account, row.released_ms, row.amount))
        };
        let after = self.withdrawals.get(&number).and_then(left);
        self.index_left(OUTBOUND_WITHDRAWAL, number, before.as_ref().and_then(left), after);
        before
    }

    /// Brings the index of what left in step with a row.
    fn index_left(&mut self, kind: u8, number: u64, before: Option<Gone>, after: Option<Gone>) {
        let key = |(account, released_ms, _): Gone| (account.number(), released_ms.ms(), kind, number);
        if let Some(gone) = before {
            self.left_by.remove(&key(gone));
        }
        if let Some(gone) = after {
            self.left_by.insert(key(gone), gone.2);
        }
    }

    /// What left an account within [`LEAVING_WINDOW_MS`].
    pub(crate) fn left_lately(&self, account: AccountId, now_ms: DurationMs) -> QuoteMicros {
        let account = account.number();
        let from_ms = now_ms.ms().saturating_sub(LEAVING_WINDOW_MS);
        let lately = self.left_by.range((account, from_ms, 0, 0)..=(account, u64::MAX, u8::MAX, u64::MAX));
        lately.fold(QuoteMicros::ZERO, |sum, (_, amount)| sum.saturating_add(*amount))
    }

    fn replace_transfer(&mut self, number: u64, transfer: Option<Transfer>) -> Option<Transfer> {
        let waiting = |row: &Transfer| {
            (row.state == TransferState::Pending).then_some(Waiting {
                account: row.account,
                due_ms: row.wakes_ms(),
                kind: OUTBOUND_TRANSFER,
                number,
            })
        };
        let after = transfer.as_ref().and_then(waiting);
        let before = match transfer {
            Some(row) => self.transfers.insert(number, row),
            None => self.transfers.remove(&number),
        };
        self.index_outbound(before.as_ref().and_then(waiting), after);
        let left =
            |row: &Transfer| (row.state == TransferState::Left).then_some((row.account, row.released_ms, row.amount));
        let after = self.transfers.get(&number).and_then(left);
        self.index_left(OUTBOUND_TRANSFER, number, before.as_ref().and_then(left), after);
        before
    }

    /// Brings the queues of what waits in step with a row.
    fn index_outbound(&mut self, before: Option<Waiting>, after: Option<Waiting>) {
        if let Some(row) = before {
            self.outbound.remove(&(row.due_ms.ms(), row.kind, row.number));
            self.outbound_of.remove(&(row.account.number(), row.kind, row.number));
        }
        if let Some(row) = after {
            self.outbound.insert((row.due_ms.ms(), row.kind, row.number));
            self.outbound_of.insert((row.account.number(), row.kind, row.number));
        }
    }

    /// Adds a deposit claim.
    pub(crate) fn add_deposit(&mut self, deposit: Deposit) -> usize {
        let index = self.deposits.len();
        self.deposit_index.insert(deposit.claim_key, u32::try_from(index).unwrap_or(u32::MAX));
        self.deposits.push(deposit);
        self.remember(SegmentUndo::DepositMade);
        self.changed.deposits.mark(number_of(index));
        self.index_deposit(index);
        index
    }

    /// Changes a deposit claim; operators can only be added at the end.
    pub(crate) fn change_deposit(&mut self, index: usize, change: impl FnOnce(&mut Deposit)) {
        let Some(deposit) = self.deposits.get(index) else { return };
        let before = SegmentUndo::Deposit { index, operators: deposit.operators.len(), state: deposit.state };
        self.remember(before);
        let Some(deposit) = self.deposits.get_mut(index) else { return };
        change(deposit);
        self.changed.deposits.mark(number_of(index));
        self.index_deposit(index);
    }

    /// Brings what follows from a deposit's state in step with it.
    fn index_deposit(&mut self, index: usize) {
        let Some(deposit) = self.deposits.get(index) else { return };
        let place = u32::try_from(index).unwrap_or(u32::MAX);
        let output = output_key(&deposit.claim);
        // A claim that still waits says nothing about the output: another claim on it may have been accepted.
        if deposit.state != DepositState::Attesting {
            self.accepted_outputs.insert(output);
        }
        let Beneficiary::RootKey(key) = deposit.claim.beneficiary else { return };
        if deposit.state == DepositState::Unclaimed {
            self.unclaimed.insert((key, place));
        } else {
            self.unclaimed.remove(&(key, place));
        }
    }

    /// Changes the limiter.
    pub(crate) fn change_limiter(&mut self, change: impl FnOnce(&mut LimiterState)) {
        self.remember(SegmentUndo::Limiter(Box::new(self.limiter.clone())));
        change(&mut self.limiter);
    }

    /// Advances the limiter's clock; the vault's size sets its capacity.
    pub(crate) fn refill_limiter(&mut self, step_ms: DurationMs) {
        if self.limiter.is_unused() {
            return;
        }
        let (rules, vault) = (self.rules.clone(), self.totals.vault());
        self.change_limiter(|limiter| limiter.refill(&rules, vault, step_ms));
    }

    /// Puts withdrawals, transfers and deposits of a snapshot back with what follows from them.
    pub(crate) fn restore_moves(
        &mut self,
        withdrawals: BTreeMap<u64, Withdrawal>,
        transfers: BTreeMap<u64, Transfer>,
        deposits: Vec<Deposit>,
    ) {
        for (number, withdrawal) in withdrawals {
            self.replace_withdrawal(number, Some(withdrawal));
        }
        for (number, transfer) in transfers {
            self.replace_transfer(number, Some(transfer));
        }
        for (index, deposit) in deposits.into_iter().enumerate() {
            self.deposit_index.insert(deposit.claim_key, u32::try_from(index).unwrap_or(u32::MAX));
            self.deposits.push(deposit);
            self.index_deposit(index);
        }
    }

    pub(super) fn step_moves_back(&mut self, step: SegmentUndo) {
        match step {
            SegmentUndo::Withdrawal { number, withdrawal } => {
                self.changed.withdrawals.unmark(number);
                self.replace_withdrawal(number, withdrawal.map(|row| *row));
            }
            SegmentUndo::Transfer { number, transfer } => {
                self.changed.transfers.unmark(number);
                self.replace_transfer(number, transfer.map(|row| *row));
            }
            SegmentUndo::Left { to, sequence, before } => {
                self.left.remove(&(to, sequence));
                match before {
                    Some(before) => self.last_left.insert(to, before),
                    None => self.last_left.remove(&to),
                };
            }
            SegmentUndo::Arrived { from, before } => {
                match before {
                    Some(before) => self.last_arrived.insert(from, before),
                    None => self.last_arrived.remove(&from),
                };
            }
            SegmentUndo::DepositMade => {
                if let Some(deposit) = self.deposits.pop() {
                    self.deposit_index.remove(&deposit.claim_key);
                    self.changed.deposits.unmark(number_of(self.deposits.len()));
                }
            }
            SegmentUndo::Deposit { index, operators, state } => {
                if let Some(deposit) = self.deposits.get_mut(index) {
                    let was_accepted = deposit.state != DepositState::Attesting;
                    deposit.operators.truncate(operators);
                    deposit.state = state;
                    if was_accepted && state == DepositState::Attesting {
                        self.accepted_outputs.remove(&output_key(&deposit.claim));
                    }
                }
                self.changed.deposits.unmark(number_of(index));
                self.index_deposit(index);
            }
            SegmentUndo::Limiter(limiter) => self.limiter = *limiter,
            _ => {}
        }
    }
}

fn number_of(index: usize) -> u64 {
    u64::try_from(index).unwrap_or(u64::MAX)
}

/// Something that waits to leave.
#[derive(Clone, Copy)]
struct Waiting {
    account: AccountId,
    due_ms: DurationMs,
    kind: u8,
    number: u64,
}

/// Kinds of entries in the outbound queue.
pub(crate) const OUTBOUND_WITHDRAWAL: u8 = 0;
/// See [`OUTBOUND_WITHDRAWAL`].
pub(crate) const OUTBOUND_TRANSFER: u8 = 1;

/// Names an outside output, whatever a claim says about it.
pub(crate) fn output_key(claim: &DepositClaim) -> Digest {
    hash::digest_of(Domain::DepositClaim, &(claim.chain, &claim.transaction, claim.output))
}
