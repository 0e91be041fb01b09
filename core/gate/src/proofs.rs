//! Stage 4's port: what verifies evidence beyond a signature.
//!
//! A verdict depends on the bytes alone, so it belongs to the stateless stages and is the same on every replica. What a proof
//! says of the state (how old its root may be, whether it was used) is judged where the command takes effect.

use casemate_protocol::envelope::Evidence;
use casemate_protocol::{AccountId, Digest, Reject, RejectCode};

/// Verifies pieces of evidence. A function of its arguments, on every replica.
pub trait ProofVerifier: Sync {
    /// Whether a piece of evidence holds for this intent of this account.
    ///
    /// Whoever implements it binds the body to `intent`: what was made for another intent must fail, whatever the piece
    /// says of itself.
    ///
    /// # Errors
    /// `ProofNotSupported` for a kind that nobody here can verify, or why this one does not hold.
    fn verify(&self, evidence: &Evidence, account: AccountId, intent: &Digest) -> Result<(), Reject>;
}

impl core::fmt::Debug for dyn ProofVerifier + '_ {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("ProofVerifier")
    }
}

/// No kind can be verified: evidence beyond a signature is refused by its kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProofs;

impl ProofVerifier for NoProofs {
    fn verify(&self, evidence: &Evidence, _account: AccountId, _intent: &Digest) -> Result<(), Reject> {
        Err(Reject::of(RejectCode::ProofNotSupported).present(u64::from(evidence.kind.number())))
    }
}
