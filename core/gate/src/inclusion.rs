//! Inclusion: which envelopes a block may hold.
//!
//! Judged against the state before the block, the block's own time, and the nonces and weight already used by earlier
//! envelopes of this block. An envelope that breaks a rule is never in a valid block; the edge answers with the same
//! refusals and records nothing. Every included envelope consumes its nonce, whatever becomes of its commands.
//!
//! Order of checks: block room; account; key; grant; a passkey's origin; valid-until; nonce; a passkey's counter; weight.
//! The first failure wins.

use std::collections::BTreeSet;

use casemate_ledger::accounts::safeguards::AnnouncedKey;
use casemate_ledger::accounts::{Account, opening_deposit};
use casemate_ledger::{BlockContext, Ledger};
use casemate_protocol::envelope::{Intent, SignerRole};
use casemate_protocol::limits::{
    BLOCK_ENVELOPES_MAX, BLOCK_SIZE_BYTES_MAX, BLOCK_WEIGHT_MAX, ENVELOPE_VALIDITY_MS_MAX,
};
use casemate_protocol::{GrantNumber, PublicKey, Reject, RejectCode, SignatureBytes, TimeMs};

use crate::Authenticated;
use crate::webauthn::Statement;

/// An envelope that this block holds: its nonce is used.
#[derive(Debug)]
pub struct Included {
    envelope: Authenticated,
    grant: Option<GrantNumber>,
}

impl Included {
    /// The envelope.
    #[must_use]
    pub const fn envelope(&self) -> &Authenticated {
        &self.envelope
    }

    /// The envelope's bytes, taken out.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.envelope.into_parts().bytes
    }

    /// The grant that its session key had before the block; `None` for a root key.
    #[must_use]
    pub const fn grant(&self) -> Option<GrantNumber> {
        self.grant
    }
}

/// What the envelopes of one block have used so far.
#[derive(Debug, Default)]
pub struct BlockBudget {
    envelopes: usize,
    size_bytes: usize,
    weight: u64,
    /// Root keys that open accounts in this block; each once.
    openings: BTreeSet<PublicKey>,
}

impl BlockBudget {
    /// Takes an envelope into the block and uses its nonce and weight.
    ///
    /// # Errors
    /// The first rule that it breaks, with the envelope handed back.
    #[expect(
        clippy::result_large_err,
        reason = "both variants hold the same envelope, so a box around one makes nothing smaller"
    )]
    pub fn include(
        &mut self,
        ledger: &mut Ledger,
        block: &BlockContext,
        envelope: Authenticated,
    ) -> Result<Included, (Reject, Authenticated)> {
        let grant =
            match self.require_room(&envelope).and_then(|()| require_includable(ledger, block.time_ms, &envelope)) {
                Ok(grant) => grant,
                Err(reject) => return Err((reject, envelope)),
            };
        let intent = &envelope.envelope().intent;
        if envelope.is_opening() && !self.openings.insert(intent.signer.key) {
            return Err((Reject::of(RejectCode::NonceUsed).present(intent.nonce), envelope));
        }
        self.envelopes = self.envelopes.saturating_add(1);
        self.size_bytes = self.size_bytes.saturating_add(envelope.bytes().len());
        self.weight = self.weight.saturating_add(u64::from(envelope.weight()));
        ledger.consume_envelope(block, intent.account, grant, intent.nonce, envelope.weight());
        // The counter of a passkey that is not the root key yet says nothing about the one that is.
        if let Some(statement) = passkey_statement(&envelope).filter(|_| is_of_root(ledger, intent)) {
            ledger.count_passkey(intent.account, statement.count());
        }
        Ok(Included { envelope, grant })
    }

    fn require_room(&self, envelope: &Authenticated) -> Result<(), Reject> {
        let size_bytes = self.size_bytes.saturating_add(envelope.bytes().len());
        let weight = self.weight.saturating_add(u64::from(envelope.weight()));
        if self.envelopes >= BLOCK_ENVELOPES_MAX || size_bytes > BLOCK_SIZE_BYTES_MAX || weight > BLOCK_WEIGHT_MAX {
            return Err(
                Reject::of(RejectCode::BlockFull).required(u64::try_from(BLOCK_ENVELOPES_MAX).unwrap_or(u64::MAX))
            );
        }
        Ok(())
    }
}

/// Whether an envelope could be in a block of this time on this state, room aside. At the edge this is a hint.
///
/// # Errors
/// The first rule that it breaks.
pub fn require_includable(
    ledger: &Ledger,
    now_ms: TimeMs,
    envelope: &Authenticated,
) -> Result<Option<GrantNumber>, Reject> {
    let intent = &envelope.envelope().intent;
    if envelope.is_opening() {
        opening_deposit(ledger.accounts(), ledger.segments(), &ledger.genesis().accounts, intent.signer.key)?;
        require_origin(ledger, envelope)?;
        require_validity(intent, now_ms)?;
        return Ok(None);
    }
    let present = intent.account.number();
    let account = ledger
        .accounts()
        .account(intent.account)
        .ok_or_else(|| Reject::of(RejectCode::AccountNotFound).present(present))?;
    if !account.is_open() {
        return Err(Reject::of(RejectCode::AccountClosed).present(present));
    }
    let grant = require_key(ledger, account, envelope, now_ms)?;
    require_origin(ledger, envelope)?;
    require_validity(intent, now_ms)?;
    let nonces = match grant {
        None => account.nonces(),
        Some(_) => account.grant_of(&intent.signer.key).map_or(account.nonces(), |grant| grant.nonces()),
    };
    nonces.require_free(intent.nonce)?;
    if let Some(statement) = passkey_statement(envelope).filter(|_| is_of_root(ledger, intent)) {
        statement.require_count_above(account.passkey_count())?;
    }
    let left = account.weight_left(&ledger.genesis().accounts, now_ms);
    if envelope.weight() > left {
        return Err(Reject::of(RejectCode::WeightExceeded)
            .required(u64::from(left))
            .present(u64::from(envelope.weight())));
    }
    Ok(grant)
}

/// Whether the key that signs is the account's root key now.
fn is_of_root(ledger: &Ledger, intent: &Intent) -> bool {
    ledger.accounts().account(intent.account).is_some_and(|account| *account.root_key() == intent.signer.key)
}

/// An announced root key may sign one thing once its delay has passed: that it takes over.
fn require_announced(ledger: &Ledger, envelope: &Authenticated) -> Result<(), Reject> {
    let intent = &envelope.envelope().intent;
    let announced = ledger.accounts().safeguards().of(intent.account).and_then(|row| row.root_keys().announced());
    let is_announced = |key: &&AnnouncedKey| envelope.is_acceptance() && *key.key() == intent.signer.key;
    announced
        .filter(is_announced)
        .ok_or_else(|| Reject::of(RejectCode::KeyNotOfAccount).present(intent.account.number()))?
        .require_ready(ledger.chain().waiting_ms)
}

/// A wrong key is never reported as an unknown account.
fn require_key(
    ledger: &Ledger,
    account: &Account,
    envelope: &Authenticated,
    now_ms: TimeMs,
) -> Result<Option<GrantNumber>, Reject> {
    let intent = &envelope.envelope().intent;
    let stranger = || Reject::of(RejectCode::KeyNotOfAccount).present(intent.account.number());
    match intent.signer.role {
        SignerRole::Root if *account.root_key() == intent.signer.key => Ok(None),
        SignerRole::Root => require_announced(ledger, envelope).map(|()| None),
        SignerRole::Session => {
            let grant = account.grant_of(&intent.signer.key).ok_or_else(stranger)?;
            if grant.is_revoked() {
                return Err(Reject::of(RejectCode::GrantRevoked).present(u64::from(grant.number().number())));
            }
            if !grant.is_live(now_ms) {
                return Err(Reject::of(RejectCode::GrantExpired)
                    .required(grant.expires_ms().ms())
                    .present(now_ms.ms()));
            }
            Ok(Some(grant.number()))
        }
    }
}

/// Where the passkey was used: genesis says where it may be.
fn require_origin(ledger: &Ledger, envelope: &Authenticated) -> Result<(), Reject> {
    let Some(statement) = passkey_statement(envelope) else { return Ok(()) };
    statement.require_origin(ledger.genesis().passkey_origins.as_slice())
}

/// What the passkey said, if one signed. Its form was checked with the signature.
fn passkey_statement(envelope: &Authenticated) -> Option<Statement<'_>> {
    match &envelope.envelope().signature {
        SignatureBytes::WebAuthn(assertion) => Statement::of(assertion).ok(),
        SignatureBytes::Ed25519(_) | SignatureBytes::Eip712(_) => None,
    }
}

fn require_validity(intent: &Intent, now_ms: TimeMs) -> Result<(), Reject> {
    if intent.valid_until_ms < now_ms {
        return Err(Reject::of(RejectCode::EnvelopeExpired).required(intent.valid_until_ms.ms()).present(now_ms.ms()));
    }
    let ahead = intent.valid_until_ms.since(now_ms).ms();
    if ahead > ENVELOPE_VALIDITY_MS_MAX {
        return Err(Reject::of(RejectCode::ValidityTooLong).required(ENVELOPE_VALIDITY_MS_MAX).present(ahead));
    }
    Ok(())
}
