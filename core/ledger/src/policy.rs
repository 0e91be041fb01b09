//! The policy in force, and what the ledger says of a request that it judges.
//!
//! Owns:        the set in force and its table; the chain's row says their digests.   Reads: offices, breakers, regimes,
//!              conduct, what waits to leave and what left.
//! Commands:    none: sets are proposed like what leads out of a breaker's state (`proposals`).   Events: `PolicyAdopted`.
//! Invariants:  P1 a set is in force from the block after the one that adopts it. P2 table and set in a state are those
//!              whose digests its root covers.
//! Not here:    judging (`gate`); turning texts into a table, and rules on more than a cell (an adapter).

use std::sync::Arc;

use casemate_protocol::command::{AdoptPolicies, Change, SegmentProposal};
use casemate_protocol::hash::Digest;
use casemate_protocol::policy::{
    ActionScope, ConductBand, EvidenceFacts, FeedFacts, PolicyAction, PolicyComparison, PolicyFacts, PolicyKind,
    PolicyQuestion, PolicyRegime, PolicySet, PolicyStamp, PolicyTable, SegmentState, Tier,
};
use casemate_protocol::{AccountId, Command, MarketId, PolicyEpoch, QuoteMicros, Regime, SegmentId};

use crate::context::BlockContext;
use crate::ledger::{Ledger, VENUE_SEGMENT};
use crate::proposals::{self, Adopting};
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

    /// The set of a proposal about policies, to be compiled before the proposal is carried out; none if it is about
    /// something else.
    #[must_use]
    pub fn set_to_adopt(&self, named: &SegmentProposal) -> Option<&PolicySet> {
        Some(&self.adoption(named)?.set)
    }

    /// Sets that are proposed, so that they can be compiled before they are needed.
    pub fn proposed_sets(&self) -> impl Iterator<Item = &PolicySet> {
        let clearing = self.segment(VENUE_SEGMENT).and_then(Segment::clearing);
        let proposals = clearing.into_iter().flat_map(|clearing| clearing.proposals().values());
        proposals.filter_map(|proposal| match &proposal.change {
            Change::AdoptPolicies(adopt) => Some(&adopt.set),
            Change::LeaveBreaker(_) => None,
        })
    }

    /// Brings what a proposed set compiles into. Without it the proposal fails.
    pub fn offer_policy(&mut self, policy: PolicyInForce) {
        self.policy_offered = Some(policy);
    }

    /// What a proposal would put in force: the policy that was offered, if it is what the proposal names and its class is not
    /// looser than declared.
    pub(crate) fn adopting(&self, named: &SegmentProposal) -> Option<Adopting> {
        let proposed = self.adoption(named)?;
        let offered = self.policy_offered.as_ref()?;
        let policy = offered.stamp(self.chain.policy.epoch.next());
        let is_named = policy.set == proposed.set.digest()
            && policy.table == proposed.table
            && proposed.old_epoch == self.chain.policy.epoch;
        let class = PolicyComparison::of(self.policy.table(), offered.table()).class();
        let is_declared = class.is_tightening() || !proposed.is_tightening;
        (is_named && is_declared).then_some(Adopting { policy, class })
    }

    /// Puts what was offered in force, as an event says.
    pub(crate) fn adopt_offered(&mut self, policy: PolicyStamp) {
        let Some(offered) = self.policy_offered.take() else { return };
        let before = core::mem::replace(&mut self.policy, offered);
        // Only the first of a block is what taking it back leads to.
        self.policy_before.get_or_insert(before);
        self.chain.policy = policy;
    }

    fn adoption(&self, named: &SegmentProposal) -> Option<&AdoptPolicies> {
        match &proposals::proposal(self.segment(named.segment)?, named.proposal)?.change {
            Change::AdoptPolicies(adopt) => Some(adopt),
            Change::LeaveBreaker(_) => None,
        }
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
        let asked = match command {
            Command::RequestWithdrawal(request) => request.amount,
            Command::RequestTransfer(request) => request.amount,
            Command::CloseAccount(_) => self.accounts.account(account).map_or(QuoteMicros::ZERO, |row| row.bond),
            _ => QuoteMicros::ZERO,
        };
        self.question_about(
            account,
            PolicyAction::of(command),
            self.segment_of_command(command),
            command.market(),
            asked,
        )
    }

    /// The cell that an action of an account would fall into now, done to a segment or market with an amount.
    #[must_use]
    pub fn question_about(
        &self,
        account: AccountId,
        action: PolicyAction,
        segment: Option<SegmentId>,
        market: Option<MarketId>,
        amount: QuoteMicros,
    ) -> PolicyQuestion {
        let (state, regime) = self.policy_weather(action.scope(), segment, market);
        // With what waits to leave and what left within a day: parts of an amount are in the band of the whole.
        let amount = if action.has_amount() {
            amount.max(QuoteMicros::ZERO).saturating_add(self.amount_leaving(account))
        } else {
            QuoteMicros::ZERO
        };
        PolicyQuestion {
            kind: PolicyKind::of(self.principal(account).map(|(kind, _)| kind)),
            action,
            state,
            regime,
            amount,
            conduct: self.policy_conduct(account),
        }
    }

    /// Everything that a rule may look at, for something that an account does to a segment or market.
    #[must_use]
    pub fn policy_facts(
        &self,
        block: &BlockContext,
        account: AccountId,
        place: (Option<SegmentId>, Option<MarketId>),
        question: PolicyQuestion,
        tier: Tier,
        evidence: EvidenceFacts,
    ) -> PolicyFacts {
        PolicyFacts {
            question: question.normalised(),
            tier,
            account,
            account_age_ms: self.accounts.age_ms(account, block.time_ms),
            segment: place.0.unwrap_or(SegmentId::NONE),
            market: place.1.unwrap_or(MarketId::NONE),
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
