//! Stage 6's port: rules that look at more than a cell, and turning texts into the table that says all others.
//!
//! The table is part of the ledger's state. Whoever implements the port is asked for what the state cannot hold, and every
//! replica must be answered the same.

use casemate_ledger::funds::LeavingFacts;
use casemate_ledger::{BlockContext, Ledger, PolicyInForce};
use casemate_protocol::command::{Change, HeldBack, SegmentWaiting, SystemWork, Waiting};
use casemate_protocol::policy::{
    EvidenceFacts, PolicyAction, PolicyFacts, PolicyQuestion, PolicySet, PolicyTable, Tier,
};
use casemate_protocol::{AccountId, Command, QuoteMicros, Reject, RejectCode, SystemCommand};

/// What turns policies into answers. The answers are part of consensus: they depend on the arguments alone.
pub trait PolicyDecider: Sync {
    /// Compiles a set into its table.
    ///
    /// # Errors
    /// The set cannot be in force: it does not parse, a rule of the hot path looks at more than a cell, a floor is closed.
    fn compile(&self, set: &PolicySet) -> Result<PolicyTable, SetRefused>;

    /// Reads a set within bounds, without compiling it: what is refused here cannot even be proposed.
    ///
    /// # Errors
    /// The set does not read, or a bound or rule that needs no table does not hold.
    fn read(&self, set: &PolicySet) -> Result<(), SetRefused>;

    /// Begins to compile a set that will be needed, without waiting for it.
    fn prepare(&self, set: &PolicySet);

    /// What the whole set says about a request that some rule besides the table may apply to. A policy that errs denies,
    /// whatever the others say.
    ///
    /// # Errors
    /// A fault of this machine, which is never a verdict: the block cannot be executed here.
    fn decide(&self, policy: &PolicyInForce, facts: &PolicyFacts) -> Result<SetAnswer, DecisionFault>;
}

/// What a set says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetAnswer {
    /// Some policy permits it, none forbids it, none errs.
    Permits,
    /// A policy forbids it, or none permits it.
    Denies,
    /// A policy errs, which denies.
    Errs,
}

/// A set that cannot be in force, and why, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetRefused(pub String);

/// This machine could not decide; another might.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionFault;

/// For chains without a set: the built-in table is all there is. It compiles nothing, so no set can come into force.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltInTable;

impl PolicyDecider for BuiltInTable {
    fn compile(&self, set: &PolicySet) -> Result<PolicyTable, SetRefused> {
        if set.is_empty() {
            return Ok(PolicyTable::built_in());
        }
        Err(SetRefused("this build knows the built-in table alone".to_owned()))
    }

    fn read(&self, set: &PolicySet) -> Result<(), SetRefused> {
        self.compile(set).map(drop)
    }

    fn prepare(&self, _set: &PolicySet) {}

    fn decide(&self, _policy: &PolicyInForce, _facts: &PolicyFacts) -> Result<SetAnswer, DecisionFault> {
        // Its table has no rule besides the cells, so nobody asks.
        Err(DecisionFault)
    }
}

/// A request at stage 6.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) block: &'a BlockContext,
    pub(crate) decider: &'a dyn PolicyDecider,
    pub(crate) account: AccountId,
    pub(crate) command: &'a Command,
    pub(crate) tier: Tier,
    pub(crate) evidence: EvidenceFacts,
}

impl core::fmt::Debug for dyn PolicyDecider + '_ {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("PolicyDecider")
    }
}

impl Judged<'_> {
    /// Whether the policy in force permits the command on the evidence presented.
    ///
    /// # Errors
    /// `RootRequired`, `EvidenceTooLow`, `PolicyForbids`, `PolicyErred`; `PolicySetUnreadable` for a set that is proposed;
    /// `PolicyEngineFault` if this machine cannot tell.
    pub(crate) fn require_permitted(&self) -> Result<(), Reject> {
        self.require_by_table_or_rules()?;
        match self.command {
            Command::Propose(propose) => self.require_readable(&propose.change),
            _ => Ok(()),
        }
    }

    /// A set that nobody could put in force is not worth a vote.
    fn require_readable(&self, change: &Change) -> Result<(), Reject> {
        match change {
            Change::AdoptPolicies(adopt) => {
                let read = self.decider.read(&adopt.set);
                read.map_err(|_refused| Reject::of(RejectCode::PolicySetUnreadable))
            }
            Change::LeaveBreaker(_) => Ok(()),
        }
    }

    /// Without a look at what is proposed.
    ///
    /// # Errors
    /// As of [`Judged::require_permitted`], but for `PolicySetUnreadable`.
    pub(crate) fn require_by_table_or_rules(&self) -> Result<(), Reject> {
        let question = self.ledger.policy_question(self.account, self.command);
        let answer = self.ledger.policy().table().answer(&question);
        if !answer.asks_slow_path {
            return match answer.least {
                Some(least) if self.tier >= least => Ok(()),
                least => Err(self.refusal(least)),
            };
        }
        match self.decide_slowly(question, self.tier)? {
            SetAnswer::Permits => Ok(()),
            SetAnswer::Denies => Err(self.refusal(self.least_slowly(question)?)),
            SetAnswer::Errs => {
                Err(Reject::of(RejectCode::PolicyErred).present(u64::from(self.command.action().number())))
            }
        }
    }

    /// The least tier above that presented which is enough; none if none is.
    fn least_slowly(&self, question: PolicyQuestion) -> Result<Option<Tier>, Reject> {
        for &tier in Tier::ALL.iter().filter(|tier| **tier > self.tier) {
            if self.decide_slowly(question, tier)? == SetAnswer::Permits {
                return Ok(Some(tier));
            }
        }
        Ok(None)
    }

    fn decide_slowly(&self, question: PolicyQuestion, tier: Tier) -> Result<SetAnswer, Reject> {
        let place = (self.ledger.segment_of_command(self.command), self.command.market());
        let facts = self.ledger.policy_facts(self.block, self.account, place, question, tier, self.evidence);
        let answer = self.decider.decide(self.ledger.policy(), &facts);
        answer.map_err(|DecisionFault| Reject::of(RejectCode::PolicyEngineFault))
    }

    fn refusal(&self, least: Option<Tier>) -> Reject {
        let action = u64::from(self.command.action().number());
        match least {
            None => Reject::of(RejectCode::PolicyForbids).present(action),
            Some(Tier::Rooted) => Reject::of(RejectCode::RootRequired).present(action),
            Some(least) => Reject::of(RejectCode::EvidenceTooLow)
                .required(u64::from(least.number()))
                .present(u64::from(self.tier.number())),
        }
    }
}

/// Judges again what is due to leave: policies, regimes and conduct may ask for more by now than it came with.
///
/// Returns the work to be done: letting it go, holding it back, or giving it back.
///
/// # Errors
/// A fault of this machine.
pub fn judge_leaving(
    ledger: &Ledger,
    block: &BlockContext,
    decider: &dyn PolicyDecider,
    due: SystemCommand,
) -> Result<SystemCommand, DecisionFault> {
    let (waiting, action) = match due.work {
        SystemWork::ReleaseWithdrawal(named) => {
            (Waiting::Withdrawal(named.withdrawal), PolicyAction::RequestWithdrawal)
        }
        SystemWork::ReleaseTransfer(named) => (Waiting::Transfer(named.transfer), PolicyAction::RequestTransfer),
        _ => return Ok(due),
    };
    let Some(id) = due.work.segment() else { return Ok(due) };
    let facts = ledger.segment(id).and_then(|segment| LeavingFacts::of(segment, waiting));
    let Some(LeavingFacts { account, tier, .. }) = facts else { return Ok(due) };
    // It counts towards what leaves already.
    let question = ledger.question_about(account, action, Some(id), None, QuoteMicros::ZERO);
    let permits = |tier: Tier| {
        let answer = ledger.policy().table().answer(&question);
        if !answer.asks_slow_path {
            return Ok(answer.least.is_some_and(|least| tier >= least));
        }
        let evidence = EvidenceFacts::default();
        let facts = ledger.policy_facts(block, account, (Some(id), None), question, tier, evidence);
        Ok(decider.decide(ledger.policy(), &facts)? == SetAnswer::Permits)
    };
    if permits(tier)? {
        return Ok(due);
    }
    // A closed account has no balance to which it could go back.
    let is_open = ledger.accounts().account(account).is_some_and(|account| account.is_open());
    let work = if is_open && facts.is_some_and(|facts| facts.is_over(block)) {
        SystemWork::GiveBack(SegmentWaiting { segment: id, waiting })
    } else {
        let mut required = None;
        for &more in Tier::ALL.iter().filter(|more| **more > tier) {
            if permits(more)? {
                required = Some(more);
                break;
            }
        }
        SystemWork::HoldBack(HeldBack { segment: id, waiting, required })
    };
    Ok(SystemCommand { work, ..due })
}
