//! The stateful stages, in order, at the moment a command takes effect: s3 grant, s5 freshness, s6 policy, s7
//! conduct.
//!
//! One type per stage; each consumes the last, so no stage can be skipped or swapped. Proofs (s4) were verified with the
//! signature: that needs no state.

use casemate_ledger::accounts::Grant;
use casemate_ledger::{BlockContext, Ledger, Verified, VerifiedWork};
use casemate_protocol::command::{GuardianAct, VoteAsGuardian};
use casemate_protocol::envelope::{Evidence, EvidenceKind, Intent, SignerRole};
use casemate_protocol::grant::MarketScope;
use casemate_protocol::policy::{EvidenceFacts, Tier};
use casemate_protocol::{Command, Envelope, GrantNumber, MarketId, Reject, RejectCode, SystemCommand};

use crate::authenticate::{require_valid_key, require_valid_session_key};
use crate::inclusion::Included;
use crate::policy::{Judged, PolicyDecider};

/// Stage 3 passed: the signer's key, as it stands now, entitles it to this command.
#[derive(Debug)]
pub struct Entitled<'a> {
    intent: &'a Intent,
    evidence: &'a [Evidence],
    grant: Option<GrantNumber>,
    command: &'a Command,
}

/// Stage 5 passed: the command is not late.
#[derive(Debug)]
pub struct Fresh<'a>(Entitled<'a>);

/// Stage 6 passed: the policy in force permits it.
#[derive(Debug)]
pub struct Authorized<'a>(Fresh<'a>, Tier);

/// Stage 7 passed: the account does not stand out, or the command does no damage.
#[derive(Debug)]
pub struct Conducted<'a>(Authorized<'a>);

impl<'a> Entitled<'a> {
    /// Stage 3: judges key and grant against the state at this moment, and counts the command against its rate.
    ///
    /// # Errors
    /// `AccountClosed`, `GrantRevoked`, `GrantExpired`, `ActionNotGranted`, `MarketNotGranted`, `GrantRateExceeded`,
    /// `NotOwnChild`, `RootKeyReplaced`, `KeyInvalid` for a key that the command brings. A session whose grant does not
    /// include an action that the policy in force would refuse it anyway is told what the policy asks for.
    pub fn judge(
        ledger: &mut Ledger,
        block: &BlockContext,
        decider: &dyn PolicyDecider,
        included: &'a Included,
        command: &'a Command,
    ) -> Result<Self, Reject> {
        let Envelope { intent, evidence, .. } = included.envelope().envelope();
        let entitled = Self { intent, evidence: evidence.as_slice(), grant: included.grant(), command };
        if let Command::RegisterGrant(terms) = command {
            require_valid_session_key(&terms.session_key)?;
        }
        if let Command::ChangeRootKey(change) = command {
            require_valid_key(&change.key)?;
        }
        if let Command::VoteAsGuardian(VoteAsGuardian { act: GuardianAct::Recover(key), .. }) = command {
            require_valid_key(key)?;
        }
        if intent.account.is_none() {
            return Ok(entitled);
        }
        entitled.require_open(ledger)?;
        entitled.require_root(ledger)?;
        if let Some(number) = included.grant() {
            let lacking = match entitled.require_granted(ledger, block, number) {
                Ok(()) => None,
                Err(refusal) => Some(entitled.evidence_lacking(ledger, block, decider, refusal)?),
            };
            entitled.require_rate(ledger, block)?;
            ledger.count_command(block, intent.account, number);
            if let Some(lacking) = lacking {
                return Err(lacking);
            }
        }
        Ok(entitled)
    }

    /// What a session is told instead whose grant lacks an action: that the policy in force asks for more evidence, if it does,
    /// for then no grant would be of help. It counts against the rate like whatever policy refuses, and whose rate is used up
    /// makes nobody ask the policy: an answer by rules of single accounts costs more than a command.
    ///
    /// # Errors
    /// `GrantRateExceeded`, or the refusal of the grant, if that is all that stands in the way.
    fn evidence_lacking(
        &self,
        ledger: &Ledger,
        block: &BlockContext,
        decider: &dyn PolicyDecider,
        refusal: Reject,
    ) -> Result<Reject, Reject> {
        if refusal.code() != RejectCode::ActionNotGranted {
            return Err(refusal);
        }
        self.require_rate(ledger, block)?;
        let (tier, evidence) = self.evidence(ledger, block);
        let (account, command) = (self.intent.account, self.command);
        let judged = Judged { ledger, block, decider, account, command, tier, evidence };
        judged.require_by_table_or_rules().err().ok_or(refusal)
    }

    /// Stage 5.
    ///
    /// # Errors
    /// `EnvelopeExpired`.
    pub fn require_fresh(self, block: &BlockContext) -> Result<Fresh<'a>, Reject> {
        // The nonce was used up at inclusion; what is left of freshness is time.
        if self.intent.valid_until_ms < block.time_ms {
            return Err(Reject::of(RejectCode::EnvelopeExpired)
                .required(self.intent.valid_until_ms.ms())
                .present(block.time_ms.ms()));
        }
        Ok(Fresh(self))
    }

    /// The first market that the command reaches and the scope does not. What names a whole segment reaches all of it.
    fn market_outside(&self, ledger: &Ledger, scope: &MarketScope) -> Option<MarketId> {
        let is_outside = |market: &MarketId| !scope.contains(*market);
        if let Some(market) = self.command.market() {
            return Some(market).filter(is_outside);
        }
        let segment = ledger.segment_of_command(self.command)?;
        let mut markets = ledger.genesis().markets.iter().filter(|rules| rules.segment == segment);
        markets.find(|rules| is_outside(&rules.id)).map(|rules| rules.id)
    }

    /// How strong the evidence is that the command came with, and what is behind it.
    fn evidence(&self, ledger: &Ledger, block: &BlockContext) -> (Tier, EvidenceFacts) {
        if self.intent.signer.role == SignerRole::Root {
            let is_proven = self.evidence.iter().any(|piece| piece.kind == EvidenceKind::CREDENTIAL);
            return (if is_proven { Tier::Proven } else { Tier::Rooted }, EvidenceFacts::default());
        }
        let account = ledger.accounts().account(self.intent.account);
        let grant = account.and_then(|account| account.grant_of(&self.intent.signer.key));
        let tier = if grant.is_some_and(|grant| grant.is_fresh(block.time_ms)) { Tier::Fresh } else { Tier::Session };
        // A child's age says nothing of when the root key signed: no policy may take it for youth.
        let of_root = grant.filter(|grant| grant.parent().is_none());
        let grant_age_ms = of_root.map(|grant| block.time_ms.since(grant.registered_ms()).ms());
        (tier, EvidenceFacts { approvals: 0, grant_age_ms })
    }

    fn require_open(&self, ledger: &Ledger) -> Result<(), Reject> {
        let is_open = ledger.accounts().account(self.intent.account).is_some_and(|account| account.is_open());
        if is_open { Ok(()) } else { Err(Reject::of(RejectCode::AccountClosed).present(self.intent.account.number())) }
    }

    /// A root key that was replaced earlier in this block is one no more. Whether a key may take over says the ledger.
    fn require_root(&self, ledger: &Ledger) -> Result<(), Reject> {
        let is_root = |key| ledger.accounts().account(self.intent.account).is_some_and(|row| row.root_key() == key);
        match self.intent.signer.role {
            SignerRole::Root if matches!(self.command, Command::AcceptRootKey) => Ok(()),
            SignerRole::Root if !is_root(&self.intent.signer.key) => {
                Err(Reject::of(RejectCode::RootKeyReplaced).present(self.intent.account.number()))
            }
            SignerRole::Root | SignerRole::Session => Ok(()),
        }
    }

    fn require_granted(&self, ledger: &Ledger, block: &BlockContext, number: GrantNumber) -> Result<(), Reject> {
        let present = u64::from(number.number());
        let grant = ledger
            .accounts()
            .account(self.intent.account)
            .and_then(|account| account.grant_of(&self.intent.signer.key))
            .ok_or_else(|| Reject::of(RejectCode::GrantRevoked).present(present))?;
        if grant.is_revoked() {
            return Err(Reject::of(RejectCode::GrantRevoked).present(present));
        }
        if !grant.is_live(block.time_ms) {
            return Err(Reject::of(RejectCode::GrantExpired)
                .required(grant.expires_ms().ms())
                .present(block.time_ms.ms()));
        }
        let action = self.command.action();
        if !grant.actions().contains(action) {
            return Err(Reject::of(RejectCode::ActionNotGranted).present(u64::from(action.number())));
        }
        if let Some(market) = self.market_outside(ledger, grant.markets()) {
            return Err(Reject::of(RejectCode::MarketNotGranted).present(u64::from(market.number())));
        }
        self.require_own_child(ledger, number)
    }

    fn require_rate(&self, ledger: &Ledger, block: &BlockContext) -> Result<(), Reject> {
        let account = ledger.accounts().account(self.intent.account);
        let grant = account.and_then(|account| account.grant_of(&self.intent.signer.key));
        let Some((per_minute_max, this_one)) = grant.map(|grant| grant.rate_at(block.time_ms)) else { return Ok(()) };
        if this_one > per_minute_max {
            return Err(Reject::of(RejectCode::GrantRateExceeded)
                .required(u64::from(per_minute_max))
                .present(u64::from(this_one)));
        }
        Ok(())
    }

    /// Whatever its grant includes, a session shares out and takes back of its own grant only.
    fn require_own_child(&self, ledger: &Ledger, own: GrantNumber) -> Result<(), Reject> {
        let parent = match self.command {
            Command::RegisterGrant(terms) => terms.parent,
            Command::RevokeGrant(revoke) => {
                let account = ledger.accounts().account(self.intent.account);
                account.and_then(|account| account.grant(revoke.number)).map_or(GrantNumber::NONE, Grant::parent)
            }
            _ => return Ok(()),
        };
        if parent != own {
            return Err(Reject::of(RejectCode::NotOwnChild)
                .required(u64::from(own.number()))
                .present(u64::from(parent.number())));
        }
        Ok(())
    }
}

impl<'a> Fresh<'a> {
    /// Stage 6: asks the policy in force, with the evidence that the command came with.
    ///
    /// # Errors
    /// `RootRequired`, `EvidenceTooLow`, `PolicyForbids`, `PolicyErred`.
    pub fn authorize(
        self,
        ledger: &Ledger,
        block: &BlockContext,
        decider: &dyn PolicyDecider,
    ) -> Result<Authorized<'a>, Reject> {
        let (tier, evidence) = self.0.evidence(ledger, block);
        let Entitled { intent, command, .. } = self.0;
        let judged = Judged { ledger, block, decider, account: intent.account, command, tier, evidence };
        judged.require_permitted()?;
        Ok(Authorized(self, tier))
    }
}

impl<'a> Authorized<'a> {
    /// Stage 7: the two-key rule. An anomaly alone refuses nothing, and neither does damage alone.
    ///
    /// # Errors
    /// One of the refusals 8xx.
    pub fn judge_conduct(self, ledger: &Ledger, block: &BlockContext) -> Result<Conducted<'a>, Reject> {
        let Self(Fresh(Entitled { intent, command, .. }), _) = &self;
        ledger.judge_conduct(block, intent.account, command)?;
        Ok(Conducted(self))
    }
}

impl<'a> Conducted<'a> {
    /// All stages passed: what the ledger accepts.
    #[must_use]
    pub fn verified(self) -> Verified<'a> {
        let Authorized(Fresh(Entitled { intent, grant, command, .. }), tier) = self.0;
        let work = VerifiedWork::Account {
            account: intent.account,
            role: intent.signer.role,
            key: intent.signer.key,
            grant: grant.filter(|_| intent.signer.role == SignerRole::Session),
            command,
        };
        Verified::assertion(work).with_tier(tier)
    }
}

/// All stateful stages of one command of an included envelope.
///
/// # Errors
/// The refusal of the first stage that refuses.
pub fn verify<'a>(
    ledger: &mut Ledger,
    block: &BlockContext,
    policy: &dyn PolicyDecider,
    included: &'a Included,
    command: &'a Command,
) -> Result<Verified<'a>, Reject> {
    let fresh = Entitled::judge(ledger, block, policy, included, command)?.require_fresh(block)?;
    Ok(fresh.authorize(ledger, block, policy)?.judge_conduct(ledger, block)?.verified())
}

/// Work that the ledger listed itself comes through the gate as well: there is no other way in. What it may list follows
/// from the rules of genesis and from the state, so nothing is asked.
#[must_use]
pub const fn verify_system(command: &SystemCommand) -> Verified<'_> {
    Verified::assertion(VerifiedWork::System(command))
}
