//! What accounts have, and the segment's totals.

use casemate_protocol::{AccountId, QuoteMicros};

use super::{SegmentUndo, TotalField};
use crate::conduct::Observation;
use crate::segment::{Segment, SubAccount};

impl Segment {
    /// Changes an account's cash, making its row if it has none.
    pub(crate) fn add_cash(&mut self, account: AccountId, delta: QuoteMicros) {
        if delta.is_zero() {
            return;
        }
        let Some(row) = self.remembered_balances(account) else { return };
        row.cash = row.cash.saturating_add(delta);
        self.add_total(TotalField::Cash, i128::from(delta.micros()));
    }

    /// Changes an account's cash by money that comes from outside the segment.
    pub(crate) fn add_deposited(&mut self, account: AccountId, amount: QuoteMicros) {
        if amount.is_zero() {
            return;
        }
        let Some(row) = self.remembered_balances(account) else { return };
        row.cash = row.cash.saturating_add(amount);
        row.net_deposits = row.net_deposits.saturating_add(amount.micros());
        self.add_total(TotalField::Cash, i128::from(amount.micros()));
    }

    /// Sets cash aside to leave (a positive amount), or gives it back (a negative one).
    pub(crate) fn set_aside(&mut self, account: AccountId, amount: QuoteMicros) {
        let Some(row) = self.remembered_balances(account) else { return };
        row.cash = row.cash.saturating_sub(amount);
        row.net_deposits = row.net_deposits.saturating_sub(amount.micros());
        row.pending = row.pending.saturating_add(amount);
        row.pending_count = if amount.is_negative() {
            row.pending_count.saturating_sub(1)
        } else {
            row.pending_count.saturating_add(1)
        };
        self.add_total(TotalField::Cash, i128::from(amount.micros()).saturating_neg());
        self.add_total(TotalField::Pending, i128::from(amount.micros()));
    }

    /// What was set aside has left.
    pub(crate) fn release_aside(&mut self, account: AccountId, amount: QuoteMicros) {
        let Some(row) = self.remembered_balances(account) else { return };
        row.pending = row.pending.saturating_sub(amount);
        row.pending_count = row.pending_count.saturating_sub(1);
        self.add_total(TotalField::Pending, i128::from(amount.micros()).saturating_neg());
    }

    /// Puts an account into a conduct band.
    pub(crate) fn put_conduct_band(&mut self, account: AccountId, band: u8) {
        let account = account.number();
        if self.require_row(account).is_none() {
            return;
        }
        let Some(before) = self.sub_accounts.row(account).map(|row| row.conduct_band) else { return };
        self.remember(SegmentUndo::ConductBand { account, band: before });
        if let Some(row) = self.sub_accounts.row_mut(account) {
            row.conduct_band = band;
        }
    }

    /// Queues what conduct is to learn when the block stands.
    pub(crate) fn queue(&mut self, observation: Observation) {
        self.seen.push(observation);
        self.remember(SegmentUndo::Seen);
    }

    fn require_row(&mut self, account: u64) -> Option<()> {
        if self.sub_accounts.row(account).is_none() {
            let row_count = self.sub_accounts.row_count();
            self.sub_accounts.row_or_insert(account, SubAccount::default)?;
            self.remember(SegmentUndo::SubAccountMade { account, row_count });
        }
        Some(())
    }

    fn remembered_balances(&mut self, account: AccountId) -> Option<&mut SubAccount> {
        let account = account.number();
        self.require_row(account)?;
        let row = self.sub_accounts.row(account)?;
        self.remember(SegmentUndo::Balances {
            account,
            cash: row.cash,
            pending: row.pending,
            pending_count: row.pending_count,
            net_deposits: row.net_deposits,
        });
        self.sub_accounts.row_mut(account)
    }

    /// Adds to a total.
    pub(crate) fn add_total(&mut self, field: TotalField, delta: i128) {
        let value = self.total(field);
        self.remember(SegmentUndo::Total { field, value });
        self.put_total(field, value.saturating_add(delta));
    }

    /// Takes the next number of a counter.
    pub(crate) fn next_number(&mut self, counter: TotalField) -> u64 {
        self.add_total(counter, 1);
        u64::try_from(self.total(counter)).unwrap_or(u64::MAX)
    }

    fn total(&self, field: TotalField) -> i128 {
        let totals = &self.totals;
        match field {
            TotalField::Cash => totals.cash,
            TotalField::Pending => totals.pending,
            TotalField::Bonds => totals.bonds,
            TotalField::Unclaimed => totals.unclaimed,
            TotalField::Insurance => totals.insurance,
            TotalField::Uncovered => totals.uncovered,
            TotalField::FeesValidators => totals.fees_validators,
            TotalField::FeesVenue => totals.fees_venue,
            TotalField::AttestedIn => totals.attested_in,
            TotalField::TransferredIn => totals.transferred_in,
            TotalField::ReleasedOut => totals.released_out,
            TotalField::TransferredOut => totals.transferred_out,
            TotalField::LastOrder => i128::from(totals.last_order),
            TotalField::LastTrade => i128::from(totals.last_trade),
            TotalField::LastWithdrawal => i128::from(totals.last_withdrawal),
            TotalField::LastTransfer => i128::from(totals.last_transfer),
            TotalField::LastProposal => i128::from(totals.last_proposal),
            TotalField::LastAlert => i128::from(totals.last_alert),
            TotalField::Banded => i128::from(totals.banded),
        }
    }

    fn put_total(&mut self, field: TotalField, value: i128) {
        let totals = &mut self.totals;
        let number = u64::try_from(value).unwrap_or(u64::MAX);
        match field {
            TotalField::Cash => totals.cash = value,
            TotalField::Pending => totals.pending = value,
            TotalField::Bonds => totals.bonds = value,
            TotalField::Unclaimed => totals.unclaimed = value,
            TotalField::Insurance => totals.insurance = value,
            TotalField::Uncovered => totals.uncovered = value,
            TotalField::FeesValidators => totals.fees_validators = value,
            TotalField::FeesVenue => totals.fees_venue = value,
            TotalField::AttestedIn => totals.attested_in = value,
            TotalField::TransferredIn => totals.transferred_in = value,
            TotalField::ReleasedOut => totals.released_out = value,
            TotalField::TransferredOut => totals.transferred_out = value,
            TotalField::LastOrder => totals.last_order = number,
            TotalField::LastTrade => totals.last_trade = number,
            TotalField::LastWithdrawal => totals.last_withdrawal = number,
            TotalField::LastTransfer => totals.last_transfer = number,
            TotalField::LastProposal => totals.last_proposal = number,
            TotalField::LastAlert => totals.last_alert = number,
            TotalField::Banded => totals.banded = number,
        }
    }

    pub(super) fn step_balances_back(&mut self, step: SegmentUndo) {
        match step {
            SegmentUndo::Seen => {
                self.seen.pop();
            }
            SegmentUndo::ConductBand { account, band } => {
                if let Some(row) = self.sub_accounts.row_mut(account) {
                    row.conduct_band = band;
                }
            }
            SegmentUndo::SubAccountMade { account, row_count } => {
                self.sub_accounts.remove(account);
                self.sub_accounts.truncate_row_count(row_count);
            }
            SegmentUndo::Balances { account, cash, pending, pending_count, net_deposits } => {
                if let Some(row) = self.sub_accounts.row_mut(account) {
                    (row.cash, row.pending, row.pending_count) = (cash, pending, pending_count);
                    row.net_deposits = net_deposits;
                }
            }
            SegmentUndo::Total { field, value } => self.put_total(field, value),
            _ => {}
        }
    }
}
