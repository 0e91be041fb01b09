//! Commands about safeguards, and what safeguards say of other commands.

use casemate_protocol::command::{SegmentAccount, SystemWork};
use casemate_protocol::event::GrantRevoked;
use casemate_protocol::policy::PolicyAction;
use casemate_protocol::{
    AccountId, Command, Event, GrantNumber, PublicKey, RecordIndex, Reject, RejectCode, SegmentId, SystemCommand,
};

use super::Ledger;
use crate::accounts::safeguards::{self, Weather};
use crate::context::BlockContext;
use crate::funds;
use crate::segment::Segment;

impl Ledger {
    /// What a command changes in the safeguards of its account or, if a guardian votes, of another one. Such a command is
    /// never part of a group.
    pub(super) fn apply_safeguard(
        &mut self,
        block: &BlockContext,
        account: AccountId,
        command: &Command,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        for event in self.decide_safeguard(block, account, command)? {
            self.emit_account(event, events);
        }
        if matches!(command, Command::SetGuardians(_)) {
            self.see_key(block, account);
        }
        Ok(())
    }

    fn decide_safeguard(
        &self,
        block: &BlockContext,
        account: AccountId,
        command: &Command,
    ) -> Result<Vec<Event>, Reject> {
        let (rows, rules) = (&self.accounts.safeguards, &self.genesis.accounts.safeguards);
        let weather = Weather { now_ms: block.waiting_ms, regime: self.worst_regime() };
        let (accounts, now_ms) = (&self.accounts, block.waiting_ms);
        let event = match command {
            Command::AddPayoutAddress(address) => safeguards::add_address(rows, account, address, rules, weather),
            Command::RemovePayoutAddress(address) => safeguards::remove_address(rows, account, address, rules, weather),
            Command::ChangeRootKey(change) => {
                safeguards::announce_root_key(accounts, account, change.key, rules, now_ms)
            }
            Command::CancelRootKeyChange => safeguards::cancel_root_key_change(accounts, account, now_ms),
            Command::SetGuardians(set) => {
                safeguards::announce_guardians(accounts, account, set, &rules.recovery, now_ms)
            }
            Command::CancelGuardianChange => safeguards::cancel_guardian_change(accounts, account),
            Command::VoteAsGuardian(vote) => {
                return safeguards::vote(accounts, account, vote, &rules.recovery, now_ms);
            }
            Command::CancelRecovery => safeguards::cancel_recovery(accounts, account, &rules.recovery, now_ms),
            other => Err(Reject::of(RejectCode::PolicyForbids).present(u64::from(other.action().number()))),
        };
        event.map(|event| vec![event])
    }

    /// Internal work that writes no segment: announced guardians guard from now on.
    pub(super) fn apply_account_work(
        &mut self,
        block: &BlockContext,
        work: &SystemWork,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        let SystemWork::ChangeGuardians(account) = *work else { return Ok(()) };
        let event = safeguards::change_guardians(&self.accounts, account, block.waiting_ms)?;
        self.emit_account(event, events);
        Ok(())
    }

    /// Lets the detectors of every segment that knows an account see that who can act for it changed. Nothing of the
    /// command can be refused any more.
    pub(super) fn see_key(&mut self, block: &BlockContext, account: AccountId) {
        let knows = |segment: &&mut Segment| segment.sub_account(account).is_some();
        self.segments.iter_mut().filter(knows).for_each(|segment| segment.see_key(account, block.time_ms));
    }

    /// Whether an account is frozen or was recovered lately, and the command would let value leave it.
    pub(super) fn require_not_held(
        &self,
        block: &BlockContext,
        account: AccountId,
        command: &Command,
    ) -> Result<(), Reject> {
        if !PolicyAction::of(command).lets_value_leave() {
            return Ok(());
        }
        self.accounts.safeguards.require_not_held(account, block.waiting_ms)
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
        let rules = &self.genesis.accounts.safeguards.recovery;
        let taken_over = safeguards::accept_root_key(&self.accounts, account, key, rules, block.waiting_ms)?;
        let is_recovery = taken_over.iter().any(|event| matches!(event, Event::RecoveryCompleted(_)));
        for event in taken_over {
            self.emit_account(event, events);
        }
        self.see_key(block, account);
        if is_recovery {
            self.recall_withdrawals(account, record);
        }
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

    /// Lists the return of everything that waits to leave an account, in every segment.
    fn recall_withdrawals(&mut self, account: AccountId, record: RecordIndex) {
        let waits = |segment: &&Segment| segment.sub_account(account).is_some_and(|row| row.pending().is_positive());
        let segments: Vec<SegmentId> = self.segments.iter().filter(waits).map(Segment::id).collect();
        self.follow_ups.extend(segments.into_iter().map(|segment| {
            let work = SystemWork::RecallWithdrawals(SegmentAccount { segment, account });
            SystemCommand { origin: record, work }
        }));
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
