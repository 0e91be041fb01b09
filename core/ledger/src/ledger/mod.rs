//! The ledger: accounts, segments and the facts of the chain, and how a block passes over them.
//!
//! Owns:        facts of the chain; holds accounts and segments.      Reads: genesis.
//! Commands:    all: finds the segment (`routing`), asks the domain that judges (`apply`), takes a refusal back.
//! Events:      none of its own.
//! Invariants:  G1 a refused command leaves every table as it was, but for what judging it counts. G2 a command writes one
//!              segment; what it leaves to do in others is `System` work. G3 a block that is taken back leaves nothing.
//! Not here:    signatures and grants (`casemate_gate`); the phases of a block and its roots (`casemate_replica`).

mod account_work;
mod apply;
mod routing;
mod safeguard_work;
mod seed;

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::genesis::{Genesis, GenesisError};
use casemate_protocol::limits::CLOCK_STEP_MS_MAX;
use casemate_protocol::policy::PolicyStamp;
use casemate_protocol::{
    AccountId, Command, Digest, DurationMs, Event, GrantNumber, Height, MarketId, PolicyEpoch, PublicKey, QuoteMicros,
    RejectCode, SegmentId, SystemCommand, TimeMs,
};

use crate::accounts::{Account, Accounts};
use crate::context::BlockContext;
use crate::market;
use crate::policy::PolicyInForce;
use crate::roots::Trees;
use crate::segment::{Savepoint, Segment};
pub(crate) use apply::require_not_halted;

/// Facts of the chain as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ChainFacts {
    /// Height of the last block.
    pub height: Height,
    /// Its time.
    pub time_ms: TimeMs,
    /// Block time since genesis without outages: the clock of everything that waits.
    pub waiting_ms: DurationMs,
    /// The policy in force.
    pub policy: PolicyStamp,
    /// Seed of row salts: from the seal secret of the first block.
    pub salt_seed: Digest,
}

/// The segment in which changes of the whole venue are proposed.
pub const VENUE_SEGMENT: SegmentId = SegmentId::new(1);

/// The whole state of a chain.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(crate) genesis: Genesis,
    pub(crate) chain_id: Digest,
    pub(crate) chain: ChainFacts,
    /// What the stamp in `chain` names.
    pub(crate) policy: PolicyInForce,
    /// The one before, if this block adopted it.
    pub(crate) policy_before: Option<PolicyInForce>,
    /// A set of a proposal, compiled so that it can come into force in this block.
    pub(crate) policy_offered: Option<PolicyInForce>,
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
    /// A segment whose records are made too long in a block, to see what follows.
    #[cfg(feature = "testing")]
    pub(crate) floods_record_at: Option<(SegmentId, Height)>,
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
        let policy = PolicyInForce::built_in();
        let mut ledger = Self {
            genesis: genesis.clone(),
            chain_id,
            chain: ChainFacts {
                height: Height::NONE,
                time_ms: genesis.time_ms,
                waiting_ms: DurationMs::ZERO,
                policy: policy.stamp(PolicyEpoch::NONE),
                salt_seed: chain_id,
            },
            policy,
            policy_before: None,
            policy_offered: None,
            accounts: Accounts::default(),
            segments: genesis.segments.iter().map(|rules| Segment::new(rules, genesis)).collect(),
            trees: Trees::default(),
            chain_before: None,
            commands_begin: None,
            faulted: Vec::new(),
            #[cfg(feature = "testing")]
            breaks_law_at: None,
            #[cfg(feature = "testing")]
            floods_record_at: None,
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

    /// The longest life of a grant that is registered now.
    #[must_use]
    pub fn grant_lifetime_max(&self) -> DurationMs {
        self.genesis.accounts.grant_lifetimes.longest(self.worst_regime())
    }

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
        self.accounts.begin_block(time_ms);
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

    /// Keeps the counter that a passkey gave with an included envelope of this account.
    pub fn count_passkey(&mut self, account: AccountId, count: u32) {
        self.accounts.count_passkey(account, count);
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

    /// Where the rows of accounts stand, so that a judgement which counts nothing can be taken back.
    #[must_use]
    pub fn accounts_savepoint(&self) -> usize {
        self.accounts.savepoint()
    }

    /// Takes back what judging a command wrote into its account's row since a savepoint.
    pub fn roll_back_accounts(&mut self, savepoint: usize) {
        self.accounts.roll_back(savepoint);
    }

    /// The second road: lets the events of one record take effect, in a block that was opened with
    /// [`Ledger::begin_block`], without asking any rule again. With the events of all records of all blocks the state,
    /// and so every root, is that of running the commands.
    ///
    /// What no event tells, the caller brings from elsewhere, in this order: nonces and weight from the envelopes
    /// ([`Ledger::consume_envelope`]) and with them the counters of passkeys ([`Ledger::count_passkey`]), session rates from
    /// the verdicts ([`Ledger::count_command`] for each command that passed the stage of grants), and that a segment
    /// failed a law from the verdicts `SegmentFaulted` of its records; before policies come into force, what their set compiles
    /// into ([`Ledger::set_to_adopt`], [`Ledger::offer_policy`]); refilling limiters and clocks is part of opening the block.
    pub fn replay_events<'e>(&mut self, block: &BlockContext, events: impl IntoIterator<Item = &'e Event>) {
        for event in events {
            self.accounts.evolve(event, &self.genesis.accounts);
            let id = self.segment_of_event(event);
            if let Some(segment) = id.and_then(|id| self.segment_mut(id)) {
                market::evolve(segment, block, event);
            }
            if let Event::PolicyAdopted(adopted) = event {
                self.adopt_offered(adopted.policy);
            }
        }
    }

    /// Queues that a command of an account was refused, for conduct to learn when the block stands. What conduct itself
    /// refused, what a policy asks of an account in a band, and what a segment refuses to everybody says nothing about the
    /// account: a band is no reason for itself.
    pub fn note_refused(&mut self, block: &BlockContext, account: AccountId, command: &Command, code: RejectCode) {
        let is_of_policy =
            matches!(code, RejectCode::RootRequired | RejectCode::EvidenceTooLow | RejectCode::PolicyForbids);
        let is_of_band = is_of_policy && self.conduct_band(account) > 0;
        let says_nothing = is_of_band || matches!(code.number(), 800..=819 | 900..=999);
        let segment = self.segment_of_command(command).filter(|_| !says_nothing && !account.is_none());
        let market = command.market().unwrap_or(MarketId::NONE);
        if let Some(segment) = segment.and_then(|id| self.segment_mut(id)) {
            segment.see_refused(account, market, code, block.time_ms);
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

    /// The block stands: conduct learns what happened in it, and nobody can take it back any more.
    pub fn settle(&mut self) {
        let now = self.chain.time_ms;
        let faulted = &self.faulted;
        let survives = |segment: &&mut Segment| faulted.iter().all(|faulted| faulted.segment != segment.id());
        self.segments.iter_mut().filter(survives).for_each(|segment| segment.learn(now));
        self.forget();
    }

    /// Forgets how to take the block back.
    fn forget(&mut self) {
        self.accounts.settle();
        self.segments.iter_mut().for_each(Segment::settle);
        self.trees.settle();
        self.chain_before = None;
        self.policy_before = None;
        self.policy_offered = None;
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
        self.take_policy_back();
        if let Some(chain) = self.chain_before.take() {
            self.chain = chain;
        }
        self.forget();
    }

    pub(crate) fn segment_mut(&mut self, id: SegmentId) -> Option<&mut Segment> {
        self.segments.get_mut(usize::from(id.number()).checked_sub(1)?)
    }
}
