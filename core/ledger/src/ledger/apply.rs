//! How one verified command is judged and applied. A refusal leaves nothing behind.

use casemate_protocol::command::{Beneficiary, DepositClaim, RequestTransfer, SystemWork};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::policy::{PolicyStamp, Tier};
use casemate_protocol::{
    AccountId, BreakerState, Command, Event, GrantNumber, PublicKey, RecordIndex, Reject, RejectCode, SegmentId,
    SystemCommand,
};

use super::Ledger;
use crate::accounts::Grant;
use crate::breaker;
use crate::context::{BlockContext, CommandContext, GrantFacts};
use crate::funds::{self, Attesting};
use crate::market::{self, Work};
use crate::proposals::{self, Officer};
use crate::segment::Segment;
use crate::verified::{Verified, VerifiedWork};
use crate::{conduct, liquidation, price, regime};

impl Ledger {
    /// Judges and applies one verified command. What it changed is in `events`; a refusal changes nothing.
    ///
    /// # Errors
    /// The refusal.
    pub fn apply(
        &mut self,
        block: &BlockContext,
        verified: Verified<'_>,
        record: RecordIndex,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        let start = events.len();
        let accounts_before = self.accounts.savepoint();
        let segment = self.target(verified.work());
        self.require_not_faulted(segment)?;
        let segment_before = segment.and_then(|id| self.segment(id)).map(Segment::savepoint);
        let follow_ups = self.follow_ups.len();
        let verdict = match verified.work() {
            VerifiedWork::Account { account, role, key, grant, command } => {
                self.apply_command(block, *account, *role, *key, *grant, command, verified.tier(), record, events)
            }
            VerifiedWork::System(command) => self.apply_system(block, command, record, events),
        };
        if verdict.is_err() {
            events.truncate(start);
            self.follow_ups.truncate(follow_ups);
            self.accounts.roll_back(accounts_before);
            if let (Some(id), Some(savepoint)) = (segment, segment_before)
                && let Some(segment) = self.segment_mut(id)
            {
                segment.roll_back(savepoint);
            }
        }
        #[cfg(feature = "testing")]
        if verdict.is_ok() {
            self.flood_as_told(segment, events);
        }
        verdict
    }

    /// Cancel-all in the phase of cancels: only orders that rested before this block. The command itself comes at its
    /// place in the block and takes the younger ones.
    ///
    /// # Errors
    /// As at its place, where it speaks again.
    pub fn cancel_all_early(
        &mut self,
        block: &BlockContext,
        verified: Verified<'_>,
        record: RecordIndex,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        let VerifiedWork::Account { account, command, .. } = verified.work() else { return Ok(()) };
        let Command::CancelAllOrders(cancel) = command else { return Ok(()) };
        let id = self.target(verified.work());
        self.require_not_faulted(id)?;
        let missing = self.missing_segment(command);
        let segment = self.segment_mut(id.ok_or(missing)?).ok_or(missing)?;
        let context = CommandContext { block: *block, account: *account, grant: None, record, tier: verified.tier() };
        let mut work = Work { segment, events, context: &context };
        market::cancel_all(&mut work, cancel.scope, Some(block.time_ms))
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one verified command, taken apart once")]
    fn apply_command(
        &mut self,
        block: &BlockContext,
        account: AccountId,
        role: SignerRole,
        key: PublicKey,
        grant: Option<GrantNumber>,
        command: &Command,
        tier: Tier,
        record: RecordIndex,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        self.require_not_held(block, account, command)?;
        match command {
            Command::OpenAccount => return self.open_account(block, key, tier, record, events),
            Command::CloseAccount(close) => return self.close_account(block, account, close, tier, record, events),
            Command::RegisterGrant(terms) => return self.register_grant(block, account, terms, record, events),
            Command::RevokeGrant(revoke) => return self.revoke_grant(block, account, revoke, record, events),
            Command::AcceptRootKey => return self.accept_root_key(block, account, key, record, events),
            Command::AddPayoutAddress(_)
            | Command::RemovePayoutAddress(_)
            | Command::ChangeRootKey(_)
            | Command::CancelRootKeyChange
            | Command::SetGuardians(_)
            | Command::CancelGuardianChange
            | Command::VoteAsGuardian(_)
            | Command::CancelRecovery => return self.apply_safeguard(block, account, command, events),
            _ => {}
        }
        self.apply_in_segment(block, account, role, grant, command, tier, record, events)
    }

    /// Applies a command that writes the tables of one segment.
    #[expect(clippy::too_many_arguments, reason = "the fields of one verified command, taken apart once")]
    fn apply_in_segment(
        &mut self,
        block: &BlockContext,
        account: AccountId,
        role: SignerRole,
        grant: Option<GrantNumber>,
        command: &Command,
        tier: Tier,
        record: RecordIndex,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        let missing = self.missing_segment(command);
        let id = self.segment_of_command(command).ok_or(missing)?;
        let context = CommandContext {
            block: *block,
            account,
            grant: match role {
                SignerRole::Root => None,
                // A session without its grant has no authority at all, and never that of the root key.
                SignerRole::Session => {
                    let number = grant.map_or(0, GrantNumber::number);
                    let missing = Reject::of(RejectCode::GrantNotFound).present(u64::from(number));
                    Some(self.grant_facts(account, grant, id).ok_or(missing)?)
                }
            },
            record,
            tier,
        };
        if let Command::RequestTransfer(request) = command {
            self.require_transfer_target(request, id)?;
        }
        self.require_payout(block, account, command)?;
        let attesting = match command {
            Command::AttestDeposit(claim) => Some(self.attesting(account, claim)?),
            _ => None,
        };
        let officer = self.officer(account);
        let segment = self.segment_mut(id).ok_or(missing)?;
        require_not_halted(segment, command)?;
        let mut work = Work { segment, events, context: &context };
        let verdict = match command {
            // These write no segment, or came before.
            Command::OpenAccount
            | Command::CloseAccount(_)
            | Command::RegisterGrant(_)
            | Command::RevokeGrant(_)
            | Command::AddPayoutAddress(_)
            | Command::RemovePayoutAddress(_)
            | Command::ChangeRootKey(_)
            | Command::CancelRootKeyChange
            | Command::AcceptRootKey
            | Command::SetGuardians(_)
            | Command::CancelGuardianChange
            | Command::VoteAsGuardian(_)
            | Command::CancelRecovery => Ok(()),
            Command::AttestDeposit(claim) => {
                let attesting = attesting.ok_or(Reject::of(RejectCode::NotAnAttestor))?;
                funds::attest(&mut work, claim, &attesting)
            }
            Command::RequestWithdrawal(request) => funds::request_withdrawal(&mut work, request),
            Command::CancelWithdrawal(cancel) => funds::cancel_withdrawal(&mut work, cancel),
            Command::RequestTransfer(request) => funds::request_transfer(&mut work, request),
            Command::CancelTransfer(cancel) => funds::cancel_transfer(&mut work, cancel),
            Command::AddEvidence(added) => funds::add_evidence(&mut work, added),
            Command::PlaceOrder(order) => market::place(&mut work, order),
            Command::AmendOrder(amend) => market::amend(&mut work, amend),
            Command::CancelOrder(cancel) => market::cancel(&mut work, cancel),
            Command::CancelAllOrders(cancel) => market::cancel_all(&mut work, cancel.scope, None),
            Command::QuoteLadder(ladder) => market::quote_ladder(&mut work, ladder),
            Command::SetDeadMan(set) => market::set_dead_man(&mut work, set),
            Command::ContestLink(_) => conduct::contest(&mut work),
            Command::RequestPrincipalExit(request) => funds::request_exit(&mut work, request),
            Command::SubmitPrice(submit) => price::observe(&mut work, submit),
            Command::Propose(propose) => proposals::propose(&mut work, propose, &officer.ok_or(no_officer(account))?),
            Command::Approve(approve) => proposals::approve(&mut work, approve, &officer.ok_or(no_officer(account))?),
        };
        if verdict.is_ok() {
            work.segment.see_accepted(&context, command);
        }
        verdict
    }

    fn apply_system(
        &mut self,
        block: &BlockContext,
        command: &SystemCommand,
        record: RecordIndex,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        let Some(id) = command.work.segment() else { return self.apply_account_work(block, &command.work, events) };
        let missing = Reject::of(RejectCode::SegmentNotFound).present(u64::from(id.number()));
        let context =
            CommandContext { block: *block, account: AccountId::NONE, grant: None, record, tier: Tier::Rooted };
        let arriving = match &command.work {
            SystemWork::ArriveTransfer(transfer) => self.arriving(transfer),
            _ => None,
        };
        let waiting_root = match &command.work {
            SystemWork::CreditDeposits(waiting) => self.accounts.account(waiting.account).map(|row| row.root_key),
            _ => None,
        };
        let adopting = match &command.work {
            SystemWork::CarryOutProposal(named) => self.adopting(named),
            _ => None,
        };
        let loss_max = match &command.work {
            SystemWork::LowerGrantLoss(lower) => self.grant(lower.account, lower.grant).map(Grant::loss_max),
            _ => None,
        };
        self.require_safe_release(&command.work, block)?;
        let segment = self.segment_mut(id).ok_or(missing)?;
        let mut work = Work { segment, events, context: &context };
        match &command.work {
            SystemWork::ExpireOrder(order) => market::expire_order(&mut work, order.account, order.order),
            SystemWork::ExpireGrantOrders(grant) => market::expire_grant_orders(&mut work, grant.account, grant.grant),
            SystemWork::CancelGrantOrders(grant) => market::cancel_grant_orders(&mut work, grant.account, grant.grant),
            SystemWork::LowerGrantLoss(lower) => {
                if let Some(loss_max) = loss_max {
                    market::lower_grant_loss(&mut work, lower.account, lower.grant, loss_max);
                }
            }
            SystemWork::FireDeadMan(switch) => market::fire_dead_man(&mut work, switch.account),
            SystemWork::ReleaseWithdrawal(release) => return funds::release_withdrawal(&mut work, release.withdrawal),
            SystemWork::ReleaseTransfer(release) => return funds::release_transfer(&mut work, release.transfer),
            SystemWork::HoldBack(held) => return funds::hold_back(&mut work, held),
            SystemWork::GiveBack(named) => return funds::give_back(&mut work, named.waiting),
            SystemWork::ArriveTransfer(transfer) => {
                let missing = Reject::of(RejectCode::TransferNotFound).present(transfer.transfer.number());
                let (row, sequence) = arriving.ok_or(missing)?;
                return funds::arrive_transfer(&mut work, transfer, &row, sequence);
            }
            SystemWork::CreditDeposits(waiting) => {
                if let Some(root_key) = waiting_root {
                    funds::credit_waiting(&mut work, waiting.account, root_key);
                }
            }
            SystemWork::RecallWithdrawals(recovered) => funds::recall_withdrawals(&mut work, recovered.account),
            // It writes no segment, and came before.
            SystemWork::ChangeGuardians(_) => {}
            SystemWork::AggregatePrice(feed) => price::aggregate_price(&mut work, feed.feed),
            SystemWork::MoveMark(market) => price::move_mark(&mut work, market.market),
            SystemWork::SettleFunding(market) => price::settle_funding(&mut work, market.market),
            SystemWork::MoveRegime(market) => regime::move_regime(&mut work, market.market),
            SystemWork::Liquidate(target) => return liquidation::liquidate(&mut work, target.account),
            SystemWork::MoveBreaker(_) => breaker::move_breaker(&mut work),
            SystemWork::CarryOutProposal(named) => {
                let start = work.events.len();
                proposals::carry_out(&mut work, named.proposal, adopting)?;
                if let Some(policy) = adopted_in(events.get(start..).unwrap_or_default()) {
                    self.adopt_offered(policy);
                }
            }
            SystemWork::ExpireProposal(named) => proposals::expire(&mut work, named.proposal),
            SystemWork::RepayDeficit(_) => liquidation::repay_deficit(&mut work),
            SystemWork::MoveConduct(_) => conduct::move_conduct(&mut work),
        }
        Ok(())
    }

    /// A segment that failed in this block takes nothing more in it.
    fn require_not_faulted(&self, segment: Option<SegmentId>) -> Result<(), Reject> {
        match self.faulted.iter().find(|faulted| Some(faulted.segment) == segment) {
            Some(faulted) => Err(Reject::of(RejectCode::SegmentFaulted).present(u64::from(faulted.segment.number()))),
            None => Ok(()),
        }
    }

    /// The officer whose account this is, with the rules of officers.
    fn officer(&self, account: AccountId) -> Option<Officer> {
        let (kind, operator) = self.principal(account)?;
        Some(Officer {
            kind,
            operator,
            risk_officer_quorum: self.genesis.risk_officers.quorum,
            governor_quorum: self.genesis.governors.quorum,
            rules: self.genesis.proposals,
            policy_epoch: self.chain.policy.epoch,
        })
    }

    /// What an attestation is judged by besides its segment: the operator behind the attestor, the open account that
    /// the beneficiary is, and whether another segment has the output already.
    fn attesting(&self, attestor: AccountId, claim: &DepositClaim) -> Result<Attesting, Reject> {
        let operator =
            self.attestor(attestor).ok_or_else(|| Reject::of(RejectCode::NotAnAttestor).present(attestor.number()))?;
        let owner = match claim.beneficiary {
            Beneficiary::Account(account) => {
                self.accounts
                    .account(account)
                    .ok_or_else(|| Reject::of(RejectCode::BeneficiaryNotFound).present(account.number()))?;
                Some(account)
            }
            Beneficiary::RootKey(key) => self.accounts.account_of_root(&key),
        };
        let is_closed = |account: &AccountId| self.accounts.account(*account).is_some_and(|row| !row.is_open());
        if let Some(account) = owner.filter(is_closed) {
            return Err(Reject::of(RejectCode::BeneficiaryClosed).present(account.number()));
        }
        let elsewhere = |segment: &&Segment| segment.id() != claim.segment;
        let is_output_taken =
            self.segments.iter().filter(elsewhere).any(|segment| funds::has_accepted_output(segment, claim));
        Ok(Attesting { operator, quorum: self.genesis.attestor_quorum, owner, is_output_taken })
    }

    /// A transfer moves one asset and arrives: its target exists, its vault holds the same one, and it failed no law.
    pub(crate) fn require_transfer_target(&self, request: &RequestTransfer, from: SegmentId) -> Result<(), Reject> {
        let missing = Reject::of(RejectCode::SegmentNotFound).present(u64::from(request.to.number()));
        let target = self.segment(request.to).ok_or(missing)?;
        if target.totals.is_halted {
            return Err(Reject::of(RejectCode::SegmentHalted).present(u64::from(request.to.number())));
        }
        match self.segment(from).map(|source| source.rules.asset) {
            Some(asset) if asset != target.rules.asset => {
                Err(Reject::of(RejectCode::AssetNotOfSegment).present(u64::from(asset.number())))
            }
            _ => Ok(()),
        }
    }

    fn grant_facts(&self, account: AccountId, grant: Option<GrantNumber>, here: SegmentId) -> Option<GrantFacts> {
        let number = grant?;
        let grant = self.grant(account, number)?;
        let elsewhere = self.grant_used(account, number, Some(here));
        Some(GrantFacts {
            number,
            expires_ms: grant.expires_ms(),
            notional_max: grant.notional_max(),
            used_elsewhere: elsewhere.notional,
            loss_max: grant.loss_max(),
            lost_elsewhere: elsewhere.lost,
        })
    }

    fn grant(&self, account: AccountId, number: GrantNumber) -> Option<&Grant> {
        self.accounts.account(account)?.grant(number)
    }
}

/// The policy that came into force with these events.
fn adopted_in(events: &[Event]) -> Option<PolicyStamp> {
    events.iter().find_map(|event| match event {
        Event::PolicyAdopted(adopted) => Some(adopted.policy),
        _ => None,
    })
}

fn no_officer(account: AccountId) -> Reject {
    Reject::of(RejectCode::NotAnOfficer).present(account.number())
}

/// A halted segment takes cancels, deposits, and what can end the halt: prices and proposals. The clock of the slow
/// principal exit runs on, so it can be asked for too.
pub(crate) fn require_not_halted(segment: &Segment, command: &Command) -> Result<(), Reject> {
    let is_allowed = matches!(
        command,
        Command::CancelOrder(_)
            | Command::CancelAllOrders(_)
            | Command::CancelWithdrawal(_)
            | Command::CancelTransfer(_)
            | Command::AddEvidence(_)
            | Command::AttestDeposit(_)
            | Command::SubmitPrice(_)
            | Command::Propose(_)
            | Command::Approve(_)
            | Command::RequestPrincipalExit(_)
    );
    if segment.breaker_state() == BreakerState::Halted && !is_allowed {
        return Err(Reject::of(RejectCode::SegmentHalted).present(u64::from(segment.id().number())));
    }
    Ok(())
}
