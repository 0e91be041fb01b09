//! Reads of what is not public: a pass is judged like a command, one type per stage, and changes nothing.
//!
//! ```text
//! bytes ─ decode ─> DecodedPass ─ authenticate ─> AuthenticPass        stateless: its verdict never changes and may be kept
//!       ─ at a time ─> TimelyPass ─ for a read ─> CoveringPass         by the clock of whoever serves; what it was signed for
//!       ─ entitled ─> EntitledRead ─ authorized ─> AuthorizedRead      against the state that is read, each time anew
//! ```
//!
//! Reads are in no block, so no verdict here is consensus. But the last two stages look at the very state that is read: a
//! grant that was revoked, a root key that was replaced and a policy that came into force close it from that block on.
//!
//! - A wrong key is never reported as an unknown account.
//! - A passkey's counter is not looked at: a pass is shown many times, and nothing of a read can be kept in the state.
//! - Nobody is privileged: auditors and officers have what policies permit them, under passes of their own keys.

use casemate_ledger::accounts::Account;
use casemate_ledger::{BlockContext, Ledger};
use casemate_protocol::limits::READ_PASS_LIFE_MS_MAX;
use casemate_protocol::policy::{EvidenceFacts, PolicyAction, PolicyQuestion, Tier};
use casemate_protocol::read_pass::{ReadScope, ReadTerms};
use casemate_protocol::{
    AccountId, Digest, MarketId, PublicKey, QuoteMicros, ReadPass, Reject, RejectCode, SegmentId, SignatureBytes,
    TimeMs,
};

use crate::authenticate::verify_signature;
use crate::eip712::TypedData;
use crate::policy::{DecisionFault, PolicyDecider, SetAnswer};
use crate::webauthn::Statement;

/// Something that is not public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Data of one account.
    Account(AccountId),
    /// What a market shows to few.
    Market(MarketId),
    /// What shows accounts of others.
    Auditor,
    /// Which account a key is or was the root key of.
    Key(PublicKey),
}

impl Read {
    /// The number of the scope that it is named by.
    const fn class(&self) -> u8 {
        match self {
            Self::Account(_) => ReadScope::Account.number(),
            Self::Market(market) => ReadScope::Market(*market).number(),
            Self::Auditor => ReadScope::Auditor.number(),
            Self::Key(_) => ReadScope::Key.number(),
        }
    }
}

/// A pass for this chain, of a form and a life that a pass may have.
#[derive(Clone, Debug)]
pub struct DecodedPass {
    pass: ReadPass,
    digest: Digest,
}

/// A pass that its key signed. Whether the key may read is for the next stages.
#[derive(Clone, Debug)]
pub struct AuthenticPass(DecodedPass);

/// A pass that is good at this time.
#[derive(Clone, Copy, Debug)]
pub struct TimelyPass<'a>(&'a AuthenticPass);

/// A pass that is for what is read.
#[derive(Clone, Copy, Debug)]
pub struct CoveringPass<'a> {
    pass: &'a AuthenticPass,
    read: Read,
}

/// A read by a key of the account that the pass names, with the evidence that it stands for.
#[derive(Clone, Copy, Debug)]
pub struct EntitledRead<'a> {
    covering: CoveringPass<'a>,
    account: AccountId,
    tier: Tier,
    evidence: EvidenceFacts,
    block: BlockContext,
}

/// A read that the policy in force permits, on the state that it was judged by.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizedRead<'a>(EntitledRead<'a>);

impl DecodedPass {
    /// Decodes a pass.
    ///
    /// # Errors
    /// `PassMalformed`, `PassOfAnotherChain`, `PassLifeNotAllowed`.
    pub fn decode(bytes: &[u8], chain_id: &Digest) -> Result<Self, Reject> {
        let (pass, digest) = ReadPass::decode(bytes)?;
        if pass.terms.chain_id != *chain_id {
            return Err(RejectCode::PassOfAnotherChain.into());
        }
        let ReadTerms { not_before_ms, expires_ms, .. } = pass.terms;
        let life_ms = expires_ms.since(not_before_ms).ms();
        if expires_ms <= not_before_ms || life_ms > READ_PASS_LIFE_MS_MAX {
            return Err(Reject::of(RejectCode::PassLifeNotAllowed).required(READ_PASS_LIFE_MS_MAX).present(life_ms));
        }
        Ok(Self { pass, digest })
    }

    /// Checks the signature. Costs as much as one of an envelope, so callers remember the result.
    ///
    /// # Errors
    /// `PassSignatureInvalid`, and what a wallet's or passkey's signature can be refused with.
    pub fn authenticate(self) -> Result<AuthenticPass, Reject> {
        let ReadPass { terms, signature } = &self.pass;
        let shown = || Ok(TypedData::of_read_terms(terms, self.digest));
        match verify_signature(&terms.key, signature, &self.digest, shown) {
            Ok(()) => Ok(AuthenticPass(self)),
            Err(RejectCode::SignatureInvalid) => Err(RejectCode::PassSignatureInvalid.into()),
            Err(code) => Err(code.into()),
        }
    }
}

impl AuthenticPass {
    /// What its key signed.
    #[must_use]
    pub const fn terms(&self) -> &ReadTerms {
        &self.0.pass.terms
    }

    /// Whether it was signed for something. A pass for the auditor's view is for whatever is of an account or a market too.
    #[must_use]
    pub fn covers(&self, read: &Read) -> bool {
        let terms = self.terms();
        match (terms.scope, read) {
            (ReadScope::Account, Read::Account(account)) => terms.account == *account,
            (ReadScope::Market(named), Read::Market(market)) => named == *market,
            (ReadScope::Auditor, Read::Account(_) | Read::Market(_) | Read::Auditor) => true,
            (ReadScope::Key, Read::Key(key)) => terms.key == *key,
            (ReadScope::Account | ReadScope::Market(_) | ReadScope::Auditor | ReadScope::Key, _) => false,
        }
    }

    /// Whether it is good at a time of the clock of whoever serves.
    ///
    /// # Errors
    /// `PassNotYetValid`, `PassExpired`.
    pub fn at(&self, now_ms: TimeMs) -> Result<TimelyPass<'_>, Reject> {
        let ReadTerms { not_before_ms, expires_ms, .. } = self.terms();
        if now_ms < *not_before_ms {
            return Err(Reject::of(RejectCode::PassNotYetValid).required(not_before_ms.ms()).present(now_ms.ms()));
        }
        if now_ms >= *expires_ms {
            return Err(Reject::of(RejectCode::PassExpired).required(expires_ms.ms()).present(now_ms.ms()));
        }
        Ok(TimelyPass(self))
    }
}

impl<'a> TimelyPass<'a> {
    /// Whether it was signed for what is read.
    ///
    /// # Errors
    /// `PassDoesNotCover`.
    pub fn for_read(self, read: Read) -> Result<CoveringPass<'a>, Reject> {
        if self.0.covers(&read) {
            return Ok(CoveringPass { pass: self.0, read });
        }
        let scope = self.0.terms().scope;
        Err(Reject::of(RejectCode::PassDoesNotCover).required(read.class().into()).present(scope.number().into()))
    }
}

impl<'a> CoveringPass<'a> {
    /// Whether the key is the account's root key, one that may take over from it now, or that of a live session. Grants end
    /// by block time, or by `venue_ms`, the time that the next block would have, if that is later: an idle chain keeps none
    /// alive.
    ///
    /// # Errors
    /// `KeyNotOfAccount` also for an account that does not exist, `RootKeyChangeWaiting`, `GrantRevoked`, `GrantExpired`,
    /// `PasskeyOriginNotAllowed`.
    pub fn entitled(self, ledger: &Ledger, venue_ms: TimeMs) -> Result<EntitledRead<'a>, Reject> {
        let DecodedPass { pass: ReadPass { terms, signature }, .. } = &self.pass.0;
        if let SignatureBytes::WebAuthn(assertion) = signature {
            Statement::of(assertion)?.require_origin(ledger.genesis().passkey_origins.as_slice())?;
        }
        let mut block = ledger.next_block();
        block.time_ms = block.time_ms.max(venue_ms);
        let (account, (tier, evidence)) = match terms.scope {
            // Whoever holds the key asks about it alone, and learns what it had a part in.
            ReadScope::Key => {
                let account = ledger.accounts().account_of_root(&terms.key).unwrap_or(AccountId::NONE);
                (account, (Tier::Rooted, EvidenceFacts::default()))
            }
            ReadScope::Account | ReadScope::Market(_) | ReadScope::Auditor => {
                let stranger = || Reject::of(RejectCode::KeyNotOfAccount).present(terms.account.number());
                let row = ledger.accounts().account(terms.account).ok_or_else(stranger)?;
                (terms.account, evidence_of(ledger, row, terms, &block)?)
            }
        };
        Ok(EntitledRead { covering: self, account, tier, evidence, block })
    }
}

/// What stands behind a key of an account.
fn evidence_of(
    ledger: &Ledger,
    row: &Account,
    terms: &ReadTerms,
    block: &BlockContext,
) -> Result<(Tier, EvidenceFacts), Reject> {
    let rooted = (Tier::Rooted, EvidenceFacts::default());
    if *row.root_key() == terms.key {
        return Ok(rooted);
    }
    // A key that can take the account over by itself now can read what it then would.
    let keys = ledger.accounts().safeguards().of(terms.account).map(|guarded| guarded.root_keys());
    if let Some(announced) = keys.and_then(|keys| keys.announced()).filter(|it| *it.key() == terms.key) {
        return announced.require_ready(block.waiting_ms).map(|()| rooted);
    }
    let grant = row
        .grant_of(&terms.key)
        .ok_or_else(|| Reject::of(RejectCode::KeyNotOfAccount).present(terms.account.number()))?;
    if grant.is_revoked() {
        return Err(Reject::of(RejectCode::GrantRevoked).present(u64::from(grant.number().number())));
    }
    if !grant.is_live(block.time_ms) {
        let ended = Reject::of(RejectCode::GrantExpired).required(grant.expires_ms().ms());
        return Err(ended.present(block.time_ms.ms()));
    }
    let tier = if grant.is_fresh(block.time_ms) { Tier::Fresh } else { Tier::Session };
    let grant_age_ms = grant.parent().is_none().then(|| block.time_ms.since(grant.registered_ms()).ms());
    Ok((tier, EvidenceFacts { approvals: 0, grant_age_ms }))
}

impl<'a> EntitledRead<'a> {
    /// Asks the policy in force.
    ///
    /// # Errors
    /// `ReadNotPermitted`, `ReadEvidenceTooLow`; `PolicyEngineFault` if this machine cannot tell.
    pub fn authorize(self, ledger: &Ledger, decider: &dyn PolicyDecider) -> Result<AuthorizedRead<'a>, Reject> {
        let (action, market) = match self.covering.pass.terms().scope {
            ReadScope::Account | ReadScope::Key => (PolicyAction::ReadOwnAccount, None),
            ReadScope::Market(market) => (PolicyAction::ReadMarketPrivate, Some(market)),
            ReadScope::Auditor => (PolicyAction::ReadAuditorView, None),
        };
        let segment = market.and_then(|market| ledger.segment_of(market));
        let question = ledger.question_about(self.account, action, segment, market, QuoteMicros::ZERO);
        let permits = |tier| self.permits(ledger, decider, (segment, market), question, tier);
        if permits(self.tier)? {
            return Ok(AuthorizedRead(self));
        }
        for &more in Tier::ALL.iter().filter(|more| **more > self.tier) {
            if permits(more)? {
                return Err(Reject::of(RejectCode::ReadEvidenceTooLow)
                    .required(u64::from(more.number()))
                    .present(u64::from(self.tier.number())));
            }
        }
        Err(Reject::of(RejectCode::ReadNotPermitted).present(self.covering.read.class().into()))
    }

    fn permits(
        &self,
        ledger: &Ledger,
        decider: &dyn PolicyDecider,
        place: (Option<SegmentId>, Option<MarketId>),
        question: PolicyQuestion,
        tier: Tier,
    ) -> Result<bool, Reject> {
        let answer = ledger.policy().table().answer(&question);
        if !answer.asks_slow_path {
            return Ok(answer.least.is_some_and(|least| tier >= least));
        }
        let facts = ledger.policy_facts(&self.block, self.account, place, question, tier, self.evidence);
        let answer = decider.decide(ledger.policy(), &facts);
        let permits = answer.map(|answer| answer == SetAnswer::Permits);
        permits.map_err(|DecisionFault| Reject::of(RejectCode::PolicyEngineFault))
    }
}

impl AuthorizedRead<'_> {
    /// What may be read.
    #[must_use]
    pub const fn read(&self) -> &Read {
        &self.0.covering.read
    }

    /// The account that reads; none of a key without one.
    #[must_use]
    pub const fn reader(&self) -> AccountId {
        self.0.account
    }
}

/// All stages against the state that is read.
///
/// # Errors
/// The refusal of the first stage that refuses.
pub fn authorize<'a>(
    pass: &'a AuthenticPass,
    read: Read,
    clocks: Clocks,
    ledger: &Ledger,
    decider: &dyn PolicyDecider,
) -> Result<AuthorizedRead<'a>, Reject> {
    pass.at(clocks.reader_ms)?.for_read(read)?.entitled(ledger, clocks.venue_ms)?.authorize(ledger, decider)
}

/// What time it is, outside of any block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The clock of the machine that serves: passes begin and end by it.
    pub reader_ms: TimeMs,
    /// The clock that block time follows: grants end by it.
    pub venue_ms: TimeMs,
}

#[cfg(test)]
mod tests;
