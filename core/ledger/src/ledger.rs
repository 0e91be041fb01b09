//! The ledger: accounts, segments and the facts of the chain, and how a verified command changes them.

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::command::{
    Beneficiary, CancelScope, DepositClaim, RequestTransfer, SegmentAccount, SegmentGrant, SystemWork,
};
use casemate_protocol::envelope::SignerRole;
use casemate_protocol::genesis::{Genesis, GenesisError, MarketRules, PrincipalKind, SeededAccounts};
use casemate_protocol::grant::{ActionSet, GrantTerms, MarketScope};
use casemate_protocol::limits::{ATTESTORS_MAX, CLOCK_STEP_MS_MAX, OFFICERS_MAX, PUBLISHERS_MAX, SEGMENTS_MAX};
use casemate_protocol::units::notional;
use casemate_protocol::{
    AccountId, BreakerState, Command, Digest, DurationMs, Event, FeedId, GrantNumber, Height, MarketId, OperatorId,
    PolicyEpoch, PublicKey, QuoteMicros, RecordIndex, Reject, RejectCode, SegmentId, Side, SystemCommand, TimeMs,
};

use crate::accounts::{self, Account, Accounts, Grant};
use crate::breaker::{self, Officer};
use crate::context::{BlockContext, CommandContext, GrantFacts};
use crate::funds::{self, Attesting};
use crate::market::fill::Fill;
use crate::market::{self, Work};
use crate::roots::Trees;
use crate::segment::{Savepoint, Segment, TotalField};
use crate::verified::{Verified, VerifiedWork};
use crate::{liquidation, price};

/// Facts of the chain as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChainFacts {
    /// Height of the last block.
    pub height: Height,
    /// Its time.
    pub time_ms: TimeMs,
    /// Block time since genesis without outages: the clock of everything that waits.
    pub waiting_ms: DurationMs,
    /// Policy in force.
    pub policy_epoch: PolicyEpoch,
    /// Seed of row salts: from the seal secret of the first block.
    pub salt_seed: Digest,
}

/// The whole state of a chain.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(crate) genesis: Genesis,
    pub(crate) chain_id: Digest,
    pub(crate) chain: ChainFacts,
    pub(crate) accounts: Accounts,
    pub(crate) segments: Vec<Segment>,
    pub(crate) trees: Trees,
    /// Chain facts before the block that is being executed.
    pub(crate) chain_before: Option<ChainFacts>,
    /// Where the commands of the block begin: after time, nonces and weight.
    pub(crate) commands_begin: Option<CommandsBegin>,
    /// Segments that failed a law in this block.
    pub(crate) faulted: Vec<Faulted>,
    /// A segment whose cash is made wrong in a block, to see what follows.
    #[cfg(feature = "testing")]
    pub(crate) breaks_law_at: Option<(SegmentId, Height)>,
    /// Follow-up work of commands of this block, to be done right after them.
    follow_ups: Vec<SystemCommand>,
}

/// Keys of one seeded account of a development chain.
#[derive(Clone, Copy, Debug)]
pub struct SeededKeys {
    /// The root key.
    pub root: PublicKey,
    /// The session key of its grant.
    pub session: PublicKey,
}

/// A point to which a group of commands in one segment can be taken back.
#[derive(Clone, Copy, Debug)]
pub struct GroupSavepoint {
    segment: SegmentId,
    savepoint: Savepoint,
}

/// Where every table stood before the first command of a block.
#[derive(Clone, Debug)]
pub(crate) struct CommandsBegin {
    pub(crate) accounts: usize,
    pub(crate) segments: Vec<Savepoint>,
}

/// A segment that failed a law in this block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faulted {
    pub(crate) segment: SegmentId,
    /// It had failed in an earlier block: taking this one back does not free it.
    pub(crate) was_halted: bool,
}

impl Ledger {
    /// The state at height 0.
    ///
    /// # Errors
    /// A rule of genesis that does not hold.
    pub fn new(genesis: &Genesis, seeded: impl Iterator<Item = SeededKeys>) -> Result<Self, GenesisError> {
        genesis.validate()?;
        let chain_id = genesis.chain_id();
        let mut ledger = Self {
            genesis: genesis.clone(),
            chain_id,
            chain: ChainFacts {
                height: Height::NONE,
                time_ms: genesis.time_ms,
                waiting_ms: DurationMs::ZERO,
                policy_epoch: PolicyEpoch::NONE,
                salt_seed: chain_id,
            },
            accounts: Accounts::default(),
            segments: genesis.segments.iter().map(|rules| Segment::new(rules, genesis)).collect(),
            trees: Trees::default(),
            chain_before: None,
            commands_begin: None,
            faulted: Vec::new(),
            #[cfg(feature = "testing")]
            breaks_law_at: None,
            follow_ups: Vec::new(),
        };
        for (_, principal) in genesis.principals() {
            // Who is named by genesis locks no bond.
            let row = Account::new(principal.root_key, SegmentId::new(1), QuoteMicros::ZERO, &genesis.accounts);
            ledger.accounts.insert(row, ledger.accounts.last_account().next());
        }
        ledger.seed_accounts(seeded);
        ledger.settle();
        Ok(ledger)
    }

    /// Makes the accounts that a development chain starts with.
    fn seed_accounts(&mut self, seeded: impl Iterator<Item = SeededKeys>) {
        let Some(rules) = self.genesis.seeded else { return };
        let count = usize::try_from(rules.count).unwrap_or(usize::MAX);
        let expires_ms = self.genesis.time_ms.plus(rules.grant_lifetime_ms);
        for keys in seeded.take(count) {
            let account = self.accounts.last_account().next();
            let row = Account::new(keys.root, SegmentId::new(1), QuoteMicros::ZERO, &self.genesis.accounts);
            self.accounts.insert(row, account);
            let terms = GrantTerms {
                number: SEEDED_GRANT,
                parent: GrantNumber::NONE,
                session_key: keys.session,
                actions: ActionSet::TRADING,
                markets: MarketScope::All,
                notional_quote_micros_max: rules.grant_notional,
                loss_quote_micros_max: rules.grant_notional,
                commands_per_minute_max: rules.grant_commands_per_minute,
                expires_ms,
                register_before_ms: TimeMs::ZERO,
            };
            self.accounts.add_grant(account, Grant::new(&terms, self.genesis.time_ms));
            for segment in &mut self.segments {
                segment.add_deposited(account, rules.balance);
                segment.add_total(TotalField::AttestedIn, i128::from(rules.balance.micros()));
                segment.settle();
            }
            self.accounts.settle();
        }
        self.seed_positions(&rules, expires_ms);
    }

    /// Lets every two seeded neighbours hold a position against each other, at the market's reference price, as if they
    /// had traded it under their grants.
    fn seed_positions(&mut self, seeded: &SeededAccounts, expires_ms: TimeMs) {
        let lots = seeded.position_lots;
        if lots.is_zero() {
            return;
        }
        let principals = self.genesis.principals().count();
        let first = u64::try_from(principals).unwrap_or(u64::MAX).saturating_add(1);
        let last = self.accounts.last_account().number();
        let markets: Vec<MarketRules> = self.genesis.markets.iter().copied().collect();
        let pairs = (first..last).step_by(2);
        for (long, rules) in pairs.zip(markets.into_iter().cycle()) {
            let price = rules.reference_price;
            let traded = notional(price, lots, rules.tick_value).unwrap_or_default();
            let Some(segment) = self.segment_mut(rules.segment) else { continue };
            let Some(place) = segment.market_place(rules.id) else { continue };
            for (account, side) in [(long, Side::Bid), (long.saturating_add(1), Side::Ask)] {
                let account = AccountId::new(account);
                let fill = Fill { side, quantity: lots, notional: traded };
                segment.watch_grant(account, SEEDED_GRANT, expires_ms, seeded.grant_notional, RecordIndex::NONE);
                segment.apply_fill(account, place, &fill, QuoteMicros::ZERO, DurationMs::ZERO);
                segment.add_traded(account, SEEDED_GRANT, traded, QuoteMicros::ZERO);
            }
            segment.settle();
        }
    }

    // Reading.

    /// The rules of the chain.
    #[must_use]
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The chain id.
    #[must_use]
    pub const fn chain_id(&self) -> &Digest {
        &self.chain_id
    }

    /// Facts of the chain as a whole.
    #[must_use]
    pub const fn chain(&self) -> &ChainFacts {
        &self.chain
    }

    /// All accounts.
    #[must_use]
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// All segments, in the order of their ids.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// A segment.
    #[must_use]
    pub fn segment(&self, id: SegmentId) -> Option<&Segment> {
        self.segments.get(usize::from(id.number()).checked_sub(1)?)
    }

    /// The segment of a market.
    #[must_use]
    pub fn segment_of(&self, market: MarketId) -> Option<SegmentId> {
        self.genesis.market(market).map(|rules| rules.segment)
    }

    fn segment_of_feed(&self, feed: FeedId) -> Option<SegmentId> {
        self.genesis.feed(feed).map(|rules| rules.segment)
    }

    /// The operator behind an attestor's account.
    #[must_use]
    pub fn attestor(&self, account: AccountId) -> Option<OperatorId> {
        let place = usize::try_from(account.number()).ok()?.checked_sub(1)?;
        self.genesis.attestors.as_slice().get(place).map(|attestor| attestor.operator)
    }

    /// What an account is there for, and for which operator, if genesis names it.
    #[must_use]
    pub fn principal(&self, account: AccountId) -> Option<(PrincipalKind, OperatorId)> {
        let place = usize::try_from(account.number()).ok()?.checked_sub(1)?;
        // Almost every account is beyond the last of them.
        if place >= PRINCIPALS_MAX {
            return None;
        }
        self.genesis.principals().nth(place).map(|(kind, principal)| (kind, principal.operator))
    }

    /// The segment that a command writes, where it names one that exists.
    #[must_use]
    pub fn segment_of_command(&self, command: &Command) -> Option<SegmentId> {
        self.named_segment(command).and_then(|named| self.segment(named)).map(Segment::id)
    }

    /// The segment that a command names, directly or by its market, whether it exists or not.
    fn named_segment(&self, command: &Command) -> Option<SegmentId> {
        let named = match command {
            Command::OpenAccount | Command::CloseAccount(_) | Command::RegisterGrant(_) | Command::RevokeGrant(_) => {
                return None;
            }
            Command::AttestDeposit(claim) => claim.segment,
            Command::RequestWithdrawal(request) => request.segment,
            Command::CancelWithdrawal(cancel) => cancel.segment,
            Command::RequestTransfer(request) => request.from,
            Command::CancelTransfer(cancel) => cancel.segment,
            Command::RequestPrincipalExit(request) => request.segment,
            Command::Propose(propose) => propose.segment,
            Command::Approve(approve) => approve.segment,
            Command::SubmitPrice(price) => self.genesis.feed(price.feed)?.segment,
            Command::SetDeadMan(set) => set.segment,
            Command::CancelAllOrders(cancel) => match cancel.scope {
                CancelScope::Segment(segment) => segment,
                CancelScope::Market(market) => self.segment_of(market)?,
            },
            Command::PlaceOrder(_) | Command::AmendOrder(_) | Command::CancelOrder(_) | Command::QuoteLadder(_) => {
                self.segment_of(command.market()?)?
            }
        };
        Some(named)
    }

    pub(crate) fn missing_segment(&self, command: &Command) -> Reject {
        if let Command::SubmitPrice(price) = command {
            return Reject::of(RejectCode::FeedNotFound).present(u64::from(price.feed.number()));
        }
        match command.market() {
            Some(market) => Reject::of(RejectCode::MarketNotFound).present(u64::from(market.number())),
            None => {
                let named = self.named_segment(command).map_or(0, SegmentId::number);
                Reject::of(RejectCode::SegmentNotFound).present(u64::from(named))
            }
        }
    }

    /// Whether a command belongs to the phase of cancels: it takes risk off an order that rested before this block.
    #[must_use]
    pub fn is_early(&self, account: AccountId, command: &Command, height: Height) -> bool {
        let rested_before = |market, reference| {
            let segment = self.segment(self.segment_of(market)?)?;
            let place = segment.market_place(market)?;
            let (_, order) = market::require_own_order(segment, account, place, reference).ok()?;
            (order.rested_height < height.number()).then_some(order)
        };
        match command {
            Command::CancelOrder(cancel) => rested_before(cancel.market, cancel.order).is_some(),
            Command::AmendOrder(amend) => rested_before(amend.market, amend.order)
                .is_some_and(|order| amend.price == order.price && amend.quantity <= order.remaining),
            _ => false,
        }
    }

    // Blocks.

    /// Opens a block: time moves, clocks advance, limiters refill.
    ///
    /// Returns `None` if the height is not the next one or time does not grow.
    pub fn begin_block(&mut self, height: Height, time_ms: TimeMs) -> Option<BlockContext> {
        if height != self.chain.height.next() || time_ms <= self.chain.time_ms {
            return None;
        }
        self.chain_before = Some(self.chain);
        let step_ms = DurationMs::from_ms(time_ms.since(self.chain.time_ms).ms().min(CLOCK_STEP_MS_MAX));
        self.chain.height = height;
        self.chain.time_ms = time_ms;
        self.chain.waiting_ms = self.chain.waiting_ms.saturating_add(step_ms);
        for segment in &mut self.segments {
            segment.refill_limiter(step_ms);
        }
        Some(BlockContext { height, time_ms, step_ms, waiting_ms: self.chain.waiting_ms })
    }

    /// Uses the nonce and weight of an included envelope.
    pub fn consume_envelope(
        &mut self,
        block: &BlockContext,
        account: AccountId,
        grant: Option<GrantNumber>,
        nonce: u64,
        weight: u32,
    ) {
        self.accounts.consume(account, grant, nonce, weight, &self.genesis.accounts, block.time_ms);
    }

    /// Counts a command against its session's rate.
    pub fn count_command(&mut self, block: &BlockContext, account: AccountId, grant: GrantNumber) {
        self.accounts.count_command(account, grant, block.time_ms);
    }

    /// Time has moved and the nonces of all envelopes are used: commands begin here. If a segment fails a law, the block
    /// is taken back to this point and its commands run again without that segment.
    pub fn begin_commands(&mut self) {
        self.commands_begin = Some(CommandsBegin {
            accounts: self.accounts.savepoint(),
            segments: self.segments.iter().map(Segment::savepoint).collect(),
        });
    }

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
                self.apply_command(block, *account, *role, *key, *grant, command, record, events)
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
        verdict
    }

    /// The second road: lets the events of one record take effect, in a block that was opened with
    /// [`Ledger::begin_block`], without asking any rule again. With the events of all records of all blocks the state,
    /// and so every root, is that of running the commands.
    ///
    /// What no event tells, the caller brings from elsewhere, in this order: nonces and weight from the envelopes
    /// ([`Ledger::consume_envelope`]), session rates from the verdicts ([`Ledger::count_command`] for each command
    /// that passed the stage of grants), and that a segment failed a law from the verdicts `SegmentFaulted` of its
    /// records; refilling limiters and clocks is part of opening the block.
    pub fn replay_events<'e>(&mut self, block: &BlockContext, events: impl IntoIterator<Item = &'e Event>) {
        for event in events {
            self.accounts.evolve(event, &self.genesis.accounts);
            let id = self.segment_of_event(event);
            if let Some(segment) = id.and_then(|id| self.segment_mut(id)) {
                market::evolve(segment, block, event);
            }
        }
    }

    /// The segment that an event changes; none for one that only changes accounts.
    fn segment_of_event(&self, event: &Event) -> Option<SegmentId> {
        match event {
            Event::AccountOpened(_) | Event::GrantRegistered(_) | Event::GrantRevoked(_) => None,
            Event::AccountClosed(closed) => Some(closed.segment).filter(|_| closed.bond.is_positive()),
            Event::DepositAttested(attested) => Some(attested.claim.segment),
            Event::DepositAccepted(accepted) => Some(accepted.segment),
            Event::DepositCredited(credited) => Some(credited.segment),
            Event::WithdrawalRequested(requested) => Some(requested.segment),
            Event::WithdrawalCancelled(ended) | Event::WithdrawalReleased(ended) => Some(ended.segment),
            Event::TransferRequested(requested) => Some(requested.from),
            Event::TransferCancelled(ended) => Some(ended.from),
            Event::TransferReleased(released) => Some(released.from),
            Event::TransferArrived(arrived) => Some(arrived.to),
            Event::OrderRested(rested) => self.segment_of(rested.market),
            Event::OrderRemoved(removed) => self.segment_of(removed.market),
            Event::OrderReduced(reduced) => self.segment_of(reduced.market),
            Event::TradeExecuted(trade) => self.segment_of(trade.market),
            Event::LadderLevelSkipped(skipped) => self.segment_of(skipped.market),
            Event::RemainderDropped(dropped) => self.segment_of(dropped.market),
            Event::DeadManSet(set) => Some(set.segment),
            Event::PrincipalExitRequested(requested) => Some(requested.segment),
            Event::PriceObserved(observed) => self.segment_of_feed(observed.feed),
            Event::PriceAggregated(aggregated) => self.segment_of_feed(aggregated.feed),
            Event::MarkMoved(moved) => self.segment_of(moved.market),
            Event::FundingSettled(settled) => self.segment_of(settled.market),
            Event::LiquidationStepped(stepped) => Some(stepped.segment),
            Event::LiquidationSliced(sliced) => self.segment_of(sliced.market),
            Event::PositionPassed(passed) => self.segment_of(passed.market),
            Event::InsurancePaid(paid) => Some(paid.segment),
            Event::LossUncovered(loss) => Some(loss.segment),
            Event::DeficitRepaid(repaid) => Some(repaid.segment),
            Event::BreakerMoved(moved) => Some(moved.segment),
            Event::ProposalMade(made) => Some(made.segment),
            Event::ProposalApproved(approved) => Some(approved.segment),
            Event::ProposalEnded(ended) => Some(ended.segment),
            Event::GrantWatched(watched) | Event::GrantUnwatched(watched) => Some(watched.segment),
        }
    }

    /// Work that commands of this block left to be done right away.
    pub fn take_follow_ups(&mut self) -> Vec<SystemCommand> {
        core::mem::take(&mut self.follow_ups)
    }

    /// Where a group of commands in one segment begins.
    #[must_use]
    pub fn begin_group(&self, segment: SegmentId) -> Option<GroupSavepoint> {
        let savepoint = self.segment(segment)?.savepoint();
        Some(GroupSavepoint { segment, savepoint })
    }

    /// Takes a group back whole. What the session used of its rate stays used: commands of a group write no other row
    /// of an account, and work that is thrown away is work all the same.
    pub fn roll_back_group(&mut self, group: GroupSavepoint) {
        if let Some(segment) = self.segment_mut(group.segment) {
            segment.roll_back(group.savepoint);
        }
    }

    /// The block stands: forgets how to take it back.
    pub fn settle(&mut self) {
        self.accounts.settle();
        self.segments.iter_mut().for_each(Segment::settle);
        self.trees.settle();
        self.chain_before = None;
        self.commands_begin = None;
        self.faulted.clear();
        self.follow_ups.clear();
    }

    /// Takes the block back: nothing of it remains.
    pub fn roll_back_block(&mut self) {
        self.accounts.roll_back(0);
        for segment in &mut self.segments {
            segment.roll_back_block();
        }
        for Faulted { segment, was_halted } in core::mem::take(&mut self.faulted) {
            if let Some(segment) = self.segment_mut(segment) {
                segment.totals.is_halted = was_halted;
            }
        }
        self.trees.roll_back(&mut self.accounts, &mut self.segments);
        if let Some(chain) = self.chain_before.take() {
            self.chain = chain;
        }
        self.settle();
    }

    /// A segment that failed in this block takes nothing more in it.
    fn require_not_faulted(&self, segment: Option<SegmentId>) -> Result<(), Reject> {
        match self.faulted.iter().find(|faulted| Some(faulted.segment) == segment) {
            Some(faulted) => Err(Reject::of(RejectCode::SegmentFaulted).present(u64::from(faulted.segment.number()))),
            None => Ok(()),
        }
    }

    /// The segment whose tables the work writes, if it writes any.
    #[must_use]
    pub fn target(&self, work: &VerifiedWork<'_>) -> Option<SegmentId> {
        match work {
            VerifiedWork::System(command) => Some(command.work.segment()),
            VerifiedWork::Account { account, key, command, .. } => match command {
                Command::OpenAccount => {
                    accounts::opening_deposit(&self.accounts, &self.segments, &self.genesis.accounts, *key).ok()
                }
                Command::CloseAccount(_) => self.accounts.account(*account).map(|row| row.bond_segment),
                _ => self.segment_of_command(command),
            },
        }
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
        record: RecordIndex,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        match command {
            Command::OpenAccount => return self.open_account(block, key, record, events),
            Command::CloseAccount(close) => return self.close_account(block, account, close, record, events),
            Command::RegisterGrant(terms) => {
                let has_full = self.segments.iter().any(|segment| segment.clearing.is_none());
                let event = accounts::register_grant(&self.accounts, account, terms, block.time_ms, has_full)?;
                self.emit_account(event, events);
                return Ok(());
            }
            Command::RevokeGrant(revoke) => {
                let event = accounts::revoke_grant(&self.accounts, account, revoke, block.time_ms)?;
                self.emit_account(event, events);
                self.cancel_orders_of(account, revoke.number, record);
                return Ok(());
            }
            _ => {}
        }
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
        };
        if let Command::RequestTransfer(request) = command {
            self.require_transfer_target(request, id)?;
        }
        let attesting = match command {
            Command::AttestDeposit(claim) => Some(self.attesting(account, claim)?),
            _ => None,
        };
        let officer = self.officer(account);
        let segment = self.segment_mut(id).ok_or(missing)?;
        require_not_halted(segment, command)?;
        let mut work = Work { segment, events, context: &context };
        match command {
            Command::OpenAccount | Command::CloseAccount(_) | Command::RegisterGrant(_) | Command::RevokeGrant(_) => {
                Ok(())
            }
            Command::AttestDeposit(claim) => {
                let attesting = attesting.ok_or(Reject::of(RejectCode::NotAnAttestor))?;
                funds::attest(&mut work, claim, &attesting)
            }
            Command::RequestWithdrawal(request) => funds::request_withdrawal(&mut work, request),
            Command::CancelWithdrawal(cancel) => funds::cancel_withdrawal(&mut work, cancel),
            Command::RequestTransfer(request) => funds::request_transfer(&mut work, request),
            Command::CancelTransfer(cancel) => funds::cancel_transfer(&mut work, cancel),
            Command::PlaceOrder(order) => market::place(&mut work, order),
            Command::AmendOrder(amend) => market::amend(&mut work, amend),
            Command::CancelOrder(cancel) => market::cancel(&mut work, cancel),
            Command::CancelAllOrders(cancel) => market::cancel_all(&mut work, cancel.scope, None),
            Command::QuoteLadder(ladder) => market::quote_ladder(&mut work, ladder),
            Command::SetDeadMan(set) => market::set_dead_man(&mut work, set),
            Command::RequestPrincipalExit(request) => funds::request_exit(&mut work, request),
            Command::SubmitPrice(submit) => price::observe(&mut work, submit),
            Command::Propose(propose) => breaker::propose(&mut work, propose, &officer.ok_or(no_officer(account))?),
            Command::Approve(approve) => breaker::approve(&mut work, approve, &officer.ok_or(no_officer(account))?),
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
        })
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
        let context = CommandContext { block: *block, account: *account, grant: None, record };
        let mut work = Work { segment, events, context: &context };
        market::cancel_all(&mut work, cancel.scope, Some(block.height.number()))
    }

    /// Where the rows of accounts stand, so that a judgement which counts nothing can be taken back.
    #[must_use]
    pub fn accounts_savepoint(&self) -> usize {
        self.accounts.savepoint()
    }

    /// Takes back what judging a command wrote into its account's row since a savepoint.
    pub fn roll_back_accounts(&mut self, savepoint: usize) {
        self.accounts.roll_back(savepoint);
    }

    fn apply_system(
        &mut self,
        block: &BlockContext,
        command: &SystemCommand,
        record: RecordIndex,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        let id = command.work.segment();
        let missing = Reject::of(RejectCode::SegmentNotFound).present(u64::from(id.number()));
        let context = CommandContext { block: *block, account: AccountId::NONE, grant: None, record };
        let arriving = match &command.work {
            SystemWork::ArriveTransfer(transfer) => self.arriving(transfer),
            _ => None,
        };
        let waiting_root = match &command.work {
            SystemWork::CreditDeposits(waiting) => self.accounts.account(waiting.account).map(|row| row.root_key),
            _ => None,
        };
        let segment = self.segment_mut(id).ok_or(missing)?;
        let mut work = Work { segment, events, context: &context };
        match &command.work {
            SystemWork::ExpireOrder(order) => market::expire_order(&mut work, order.account, order.order),
            SystemWork::ExpireGrantOrders(grant) => market::expire_grant_orders(&mut work, grant.account, grant.grant),
            SystemWork::CancelGrantOrders(grant) => market::cancel_grant_orders(&mut work, grant.account, grant.grant),
            SystemWork::FireDeadMan(switch) => market::fire_dead_man(&mut work, switch.account),
            SystemWork::ReleaseWithdrawal(release) => return funds::release_withdrawal(&mut work, release.withdrawal),
            SystemWork::ReleaseTransfer(release) => return funds::release_transfer(&mut work, release.transfer),
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
            SystemWork::AggregatePrice(feed) => price::aggregate_price(&mut work, feed.feed),
            SystemWork::MoveMark(market) => price::move_mark(&mut work, market.market),
            SystemWork::SettleFunding(market) => price::settle_funding(&mut work, market.market),
            SystemWork::Liquidate(target) => return liquidation::liquidate(&mut work, target.account),
            SystemWork::MoveBreaker(_) => breaker::move_breaker(&mut work),
            SystemWork::CarryOutProposal(named) => return breaker::carry_out(&mut work, named.proposal),
            SystemWork::ExpireProposal(named) => breaker::expire(&mut work, named.proposal),
            SystemWork::RepayDeficit(_) => liquidation::repay_deficit(&mut work),
        }
        Ok(())
    }

    fn open_account(
        &mut self,
        block: &BlockContext,
        root_key: PublicKey,
        record: RecordIndex,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        let rules = self.genesis.accounts;
        let (account, id, event) = accounts::open(&self.accounts, &self.segments, &rules, root_key)?;
        self.emit_account(event, events);
        let context = CommandContext { block: *block, account, grant: None, record };
        if let Some(segment) = self.segment_mut(id) {
            let mut work = Work { segment, events, context: &context };
            funds::credit_opening(&mut work, account, root_key, rules.opening_deposit_min, rules.bond);
        }
        for segment in &self.segments {
            let waiting = funds::waiting_for(segment, root_key).count();
            let work = SystemWork::CreditDeposits(SegmentAccount { segment: segment.id(), account });
            let pieces = core::iter::repeat_n(work, waiting.div_ceil(funds::CREDITS_MAX));
            self.follow_ups.extend(pieces.map(|work| SystemCommand { origin: record, work }));
        }
        Ok(())
    }

    fn close_account(
        &mut self,
        block: &BlockContext,
        account: AccountId,
        close: &casemate_protocol::command::CloseAccount,
        record: RecordIndex,
        events: &mut Vec<Event>,
    ) -> Result<(), Reject> {
        if close.destination.is_empty() {
            return Err(Reject::of(RejectCode::DestinationEmpty));
        }
        let closed = accounts::close(&self.accounts, &self.segments, account, block.time_ms)?;
        if closed.bond.is_positive()
            && let Some(segment) = self.segment(closed.segment).filter(|segment| segment.totals.is_halted)
        {
            return Err(Reject::of(RejectCode::SegmentHalted).present(u64::from(segment.id().number())));
        }
        self.emit_account(Event::AccountClosed(closed), events);
        let context = CommandContext { block: *block, account, grant: None, record };
        if let Some(segment) = self.segment_mut(closed.segment).filter(|_| closed.bond.is_positive()) {
            market::evolve(segment, block, &Event::AccountClosed(closed));
            let mut work = Work { segment, events, context: &context };
            funds::request_bond(&mut work, closed.bond, close.chain, close.destination.clone());
        }
        Ok(())
    }

    /// Cancels a revoked grant's orders in every segment, right after this command.
    fn cancel_orders_of(&mut self, account: AccountId, grant: GrantNumber, record: RecordIndex) {
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

    fn emit_account(&mut self, event: Event, events: &mut Vec<Event>) {
        self.accounts.evolve(&event, &self.genesis.accounts);
        events.push(event);
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

    /// A transfer moves one asset: its target exists and its vault holds the same one.
    pub(crate) fn require_transfer_target(&self, request: &RequestTransfer, from: SegmentId) -> Result<(), Reject> {
        let missing = Reject::of(RejectCode::SegmentNotFound).present(u64::from(request.to.number()));
        let target = self.segment(request.to).ok_or(missing)?;
        match self.segment(from).map(|source| source.rules.asset) {
            Some(asset) if asset != target.rules.asset => {
                Err(Reject::of(RejectCode::AssetNotOfSegment).present(u64::from(asset.number())))
            }
            _ => Ok(()),
        }
    }

    fn grant_facts(&self, account: AccountId, grant: Option<GrantNumber>, here: SegmentId) -> Option<GrantFacts> {
        let number = grant?;
        let grant = self.accounts.account(account)?.grants().iter().find(|grant| grant.number() == number)?;
        let elsewhere = self
            .segments
            .iter()
            .filter(|segment| segment.id() != here)
            .filter_map(|segment| segment.sub_account(account))
            .flat_map(|row| row.usage().iter().filter(|usage| usage.grant == number.number()));
        let (used_elsewhere, lost_elsewhere) = elsewhere.fold((0i64, 0i64), |(used, lost), usage| {
            let notional = usage.traded_notional.saturating_add(usage.open_notional);
            (used.saturating_add(notional), lost.saturating_add(usage.lost))
        });
        Some(GrantFacts {
            number,
            expires_ms: grant.expires_ms(),
            notional_max: grant.notional_max(),
            used_elsewhere: QuoteMicros::from_micros(used_elsewhere),
            loss_max: grant.loss_max(),
            lost_elsewhere: QuoteMicros::from_micros(lost_elsewhere),
        })
    }

    pub(crate) fn segment_mut(&mut self, id: SegmentId) -> Option<&mut Segment> {
        self.segments.get_mut(usize::from(id.number()).checked_sub(1)?)
    }
}

/// The grant of every seeded account.
const SEEDED_GRANT: GrantNumber = GrantNumber::new(1);

/// More than the parties that any genesis can name.
const PRINCIPALS_MAX: usize = ATTESTORS_MAX + PUBLISHERS_MAX + 2 * OFFICERS_MAX + SEGMENTS_MAX;

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
