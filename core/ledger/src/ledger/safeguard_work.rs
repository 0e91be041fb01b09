//! Commands about safeguards, and what safeguards say of other commands.

use casemate_protocol::command::{SegmentAccount, SystemWork};
use casemate_protocol::event::GrantRevoked;
use casemate_protocol::{
    AccountId, Command, Event, GrantNumber, PublicKey, RecordIndex, Reject, RejectCode, SystemCommand,
};

use super::Ledger;
use crate::accounts::safeguards::{self, Weather};
use crate::context::BlockContext;
use crate::funds;

impl Ledger {
    /// What a command changes in the safeguards of its account.
    pub(super) fn decide_safeguard(
        &self,
        block: &BlockContext,
        account: AccountId,
        command: &Command,
    ) -> Result<Event, Reject> {
        let (rows, rules) = (&self.accounts.safeguards, &self.genesis.accounts.safeguards);
        let weather = Weather { now_ms: block.waiting_ms, regime: self.worst_regime() };
        match command {
            Command::AddPayoutAddress(address) => safeguards::add_address(rows, account, address, rules, weather),
            Command::RemovePayoutAddress(address) => safeguards::remove_address(rows, account, address, rules, weather),
            Command::ChangeRootKey(change) => {
                safeguards::announce_root_key(&self.accounts, account, change.key, rules, block.waiting_ms)
            }
            Command::CancelRootKeyChange => safeguards::cancel_root_key_change(&self.accounts, account),
            other => Err(Reject::of(RejectCode::PolicyForbids).present(u64::from(other.action().number()))),
        }
    }

    /// The key that signs becomes the root key. What the one before had handed out ends with it: its sessions, and their
    /// orders right after this command. Deposits that wait for the new key have their owner now.
    pub(super) fn accept_root_key(
        &mut self,
        block: &BlockContext,
        account: AccountId,
        key: PublicKey,
        record: RecordIndex,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        let event = safeguards::accept_root_key(&self.accounts, account, key, block.waiting_ms)?;
        self.emit_account(event, events);
        let row = self.accounts.account(account);
        let grants = row.map_or(&[][..], |row| row.grants());
        let live = grants.iter().filter(|grant| grant.is_live(block.time_ms)).map(|grant| grant.number());
        for number in live.collect::<Vec<GrantNumber>>() {
            self.emit_account(Event::GrantRevoked(GrantRevoked { account, number }), events);
            self.follow_grant(account, number, record, SystemWork::CancelGrantOrders);
        }
        self.credit_waiting(account, key, record);
        Ok(())
    }

    /// Lists the crediting of everything that waits for an account's root key.
    pub(super) fn credit_waiting(&mut self, account: AccountId, key: PublicKey, record: RecordIndex) {
        for segment in &self.segments {
            let waiting = funds::waiting_for(segment, key).count();
            let work = SystemWork::CreditDeposits(SegmentAccount { segment: segment.id(), account });
            let pieces = core::iter::repeat_n(work, waiting.div_ceil(funds::CREDITS_MAX));
            self.follow_ups.extend(pieces.map(|work| SystemCommand { origin: record, work }));
        }
    }

    /// Whether the account's safeguards let its money be asked to leave like this.
    pub(crate) fn require_payout(
        &self,
        block: &BlockContext,
        account: AccountId,
        command: &Command,
    ) -> Result<(), Reject> {
        let rows = &self.accounts.safeguards;
        match command {
            Command::RequestWithdrawal(request) => {
                rows.require_payout(account, request.chain, &request.destination, block.waiting_ms)
            }
            Command::RequestPrincipalExit(request) => {
                rows.require_exit(account, request.chain, &request.destination, block.waiting_ms)
            }
            _ => Ok(()),
        }
    }
}
