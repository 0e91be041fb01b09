//! The policy in force, and what the ledger says of a request that it judges.
//!
//! Owns:        the set in force and its table; the chain's row says their digests.   Reads: offices, breakers, regimes,
//!              conduct, what waits to leave and what left.
//! Commands:    none: sets are proposed like what leads out of a breaker's state (`breaker`).   Events: `PolicyAdopted`.
//! Invariants:  P1 a set is in force from the block after the one that adopts it. P2 table and set in a state are those
//!              whose digests its root covers.
//! Not here:    judging (`gate`); turning texts into a table, and rules on more than a cell (an adapter).

use std::sync::Arc;

use casemate_protocol::hash::Digest;
use casemate_protocol::policy::{
    ActionScope, ConductBand, EvidenceFacts, FeedFacts, PolicyAction, PolicyFacts, PolicyKind, PolicyQuestion,
    PolicyRegime, PolicySet, PolicyStamp, PolicyTable, SegmentState, Tier,
};
use casemate_protocol::{AccountId, Command, MarketId, PolicyEpoch, QuoteMicros, Regime, SegmentId};

use crate::context::BlockContext;
use crate::ledger::Ledger;
use crate::segment::Segment;

/// A set with its table. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyInForce {
    set: Arc<PolicySet>,
    set_digest: Digest,
    table: Arc<PolicyTable>,
}

impl PolicyInForce {
    /// A set and the table that it compiles into.
    #[must_use]
    pub fn new(set: PolicySet, table: PolicyTable) -> Self {
        Self { set_digest: set.digest(), set: Arc::new(set), table: Arc::new(table) }
    }

    /// No texts, and the built-in table.
    #[must_use]
    pub fn built_in() -> Self {
        Self::new(PolicySet::default(), PolicyTable::built_in())
    }

    /// The texts.
    #[must_use]
    pub fn set(&self) -> &Arc<PolicySet> {
        &self.set
    }

    /// Digest of the texts.
    #[must_use]
    pub const fn set_digest(&self) -> &Digest {
        &self.set_digest
    }

    /// What the hot path reads.
    #[must_use]
    pub fn table(&self) -> &PolicyTable {
        &self.table
    }

    /// What the chain's row says of it.
    #[must_use]
    pub fn stamp(&self, epoch: PolicyEpoch) -> PolicyStamp {
        PolicyStamp { epoch, set: self.set_digest, table: self.table.digest() }
    }
}

impl Ledger {
    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> &PolicyInForce {
        &self.policy
    }

    /// Puts the set of genesis in force, compiled by the caller; before the first block, in place of the built-in table.
    pub fn start_policy(&mut self, policy: PolicyInForce) {
        self.chain.policy = policy.stamp(self.chain.policy.epoch);
        self.policy = policy;
    }

    /// What this block adopted is in force no more.
    pub(crate) fn take_policy_back(&mut self) {
        let Some(before) = self.policy_before.take() else { return };
        if let Some(chain) = self.chain_before {
            self.chain.policy = chain.policy;
        }
        self.policy = before;
    }

    /// The cell that a command of an account falls into now.
    #[must_use]
    pub fn policy_question(&self, account: AccountId, command: &Command) -> PolicyQuestion {
        let action = PolicyAction::of(command);
        let (state, regime) = self.policy_weather(action.scope(), self.segment_of_command(command), command.market());
        let amount = if action.has_amount() { self.amount_asked(account, command) } else { QuoteMicros::ZERO };
        PolicyQuestion {
            kind: PolicyKind::of(self.principal(account).map(|(kind, _)| kind)),
            action,
            state,
            regime,
            amount,
            conduct: self.policy_conduct(account),
        }
    }

    /// Everything that a rule may look at, for a command of an account.
    #[must_use]
    pub fn policy_facts(
        &self,
        block: &BlockContext,
        account: AccountId,
        command: &Command,
        question: PolicyQuestion,
        tier: Tier,
        evidence: EvidenceFacts,
    ) -> PolicyFacts {
        PolicyFacts {
            question: question.normalised(),
            tier,
            account,
            account_age_ms: self.accounts.age_ms(account, block.time_ms),
            segment: self.segment_of_command(command).unwrap_or(SegmentId::NONE),
            market: command.market().unwrap_or(MarketId::NONE),
            evidence,
            // No risk-factor feed is on the ledger yet: rules that ask for one find that it is absent.
            feeds: FeedFacts::default(),
        }
    }

    /// State and regime of what an action is done to.
    fn policy_weather(
        &self,
        scope: ActionScope,
        segment: Option<SegmentId>,
        market: Option<MarketId>,
    ) -> (SegmentState, PolicyRegime) {
        let segment = segment.and_then(|id| self.segment(id));
        match (scope, segment) {
            (ActionScope::Venue, _) => (SegmentState::Normal, self.worst_regime().into()),
            // What does not exist is refused by the ledger; policies judge it as if all were well.
            (_, None) => (SegmentState::Normal, PolicyRegime::Calm),
            (ActionScope::Segment, Some(segment)) => (segment.breaker_state().into(), segment.regime().into()),
            (ActionScope::Market, Some(segment)) => {
                let regime = market.map_or(Regime::Calm, |market| segment.regime_of(market));
                (segment.breaker_state().into(), regime.into())
            }
        }
    }

    /// The worst regime of all segments.
    #[must_use]
    pub fn worst_regime(&self) -> Regime {
        self.segments.iter().map(Segment::regime).max().unwrap_or_default()
    }

    /// What the account's conduct looked like before the block: the band that events state, which moves before any
    /// account's command. What is only inferred reaches band 2, so suspicion takes acts of the account itself.
    fn policy_conduct(&self, account: AccountId) -> ConductBand {
        match self.conduct_band(account) {
            0 => ConductBand::Ordinary,
            1 | 2 => ConductBand::Watched,
            _ => ConductBand::Suspect,
        }
    }

    /// What would leave by the command, with what waits to leave and what left within a day, over all segments.
    fn amount_asked(&self, account: AccountId, command: &Command) -> QuoteMicros {
        let asked = match command {
            Command::RequestWithdrawal(request) => request.amount,
            Command::RequestTransfer(request) => request.amount,
            Command::CloseAccount(_) => self.accounts.account(account).map_or(QuoteMicros::ZERO, |row| row.bond),
            _ => QuoteMicros::ZERO,
        };
        asked.max(QuoteMicros::ZERO).saturating_add(self.amount_leaving(account))
    }

    /// What waits to leave an account, and what left it within [`LEAVING_WINDOW_MS`](casemate_protocol::limits::LEAVING_WINDOW_MS), over all segments.
    #[must_use]
    pub fn amount_leaving(&self, account: AccountId) -> QuoteMicros {
        let now = self.chain.waiting_ms;
        let of_segment = |segment: &Segment| {
            let waiting = segment.sub_account(account).map_or(QuoteMicros::ZERO, |row| row.pending());
            waiting.saturating_add(segment.left_lately(account, now))
        };
        self.segments.iter().map(of_segment).fold(QuoteMicros::ZERO, QuoteMicros::saturating_add)
    }
}
