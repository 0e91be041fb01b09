//! The proof that a command passed the gate.

use casemate_protocol::envelope::SignerRole;
use casemate_protocol::policy::Tier;
use casemate_protocol::{AccountId, Command, GrantNumber, PublicKey, SystemCommand};

/// A command whose signature, grant, freshness and policy were judged. Only the gate makes one.
#[derive(Clone, Copy, Debug)]
pub struct Verified<'a> {
    work: VerifiedWork<'a>,
    tier: Tier,
}

/// What was verified.
#[derive(Clone, Copy, Debug)]
pub enum VerifiedWork<'a> {
    /// A command of an account.
    Account {
        /// The acting account; none for an opening.
        account: AccountId,
        /// Root or session.
        role: SignerRole,
        /// The key that signed.
        key: PublicKey,
        /// The grant, for a session.
        grant: Option<GrantNumber>,
        /// What it asks for.
        command: &'a Command,
    },
    /// Work that the ledger listed itself.
    System(&'a SystemCommand),
}

impl<'a> Verified<'a> {
    /// Claims that `work` was verified. The name is meant to be searched for: every caller claims to be the gate.
    #[must_use]
    pub const fn assertion(work: VerifiedWork<'a>) -> Self {
        let tier = match work {
            VerifiedWork::Account { role: SignerRole::Session, .. } => Tier::Session,
            VerifiedWork::Account { role: SignerRole::Root, .. } | VerifiedWork::System(_) => Tier::Rooted,
        };
        Self { work, tier }
    }

    /// The same, with the evidence that was presented for it.
    #[must_use]
    pub const fn with_tier(self, tier: Tier) -> Self {
        Self { tier, ..self }
    }

    /// How strong the evidence was that came with it.
    #[must_use]
    pub const fn tier(&self) -> Tier {
        self.tier
    }

    /// What was verified.
    #[must_use]
    pub const fn work(&self) -> &VerifiedWork<'a> {
        &self.work
    }
}
