//! Stage 6's port: who may do what. The gate asks; a table or a policy engine answers.

use casemate_protocol::envelope::SignerRole;
use casemate_protocol::{Action, PolicyEpoch, Reject, RejectCode, SystemCommand};

/// What a policy is asked about a command of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyRequest {
    /// What is to be done.
    pub action: Action,
    /// Which key of the account signed.
    pub role: SignerRole,
    /// Whether the account is a registered attestor.
    pub is_attestor: bool,
}

/// Decides whether a command may take effect. The answer is part of consensus: it depends on the request alone.
pub trait PolicyDecider: Sync {
    /// The epoch of the policy in force, as records name it.
    fn epoch(&self) -> PolicyEpoch;

    /// Judges a command of an account.
    ///
    /// # Errors
    /// The refusal: a missing answer is a refusal.
    fn decide(&self, request: &PolicyRequest) -> Result<(), Reject>;

    /// Judges work that the ledger listed itself.
    ///
    /// # Errors
    /// The refusal.
    fn decide_system(&self, command: &SystemCommand) -> Result<(), Reject>;
}

/// Policy epoch 0: the least signer for each action, built in. Policy files replace it later.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltInTable;

/// Who may do an action under the built-in table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeastSigner {
    /// A session key with a grant for it, or the root key.
    Session,
    /// The root key.
    Root,
    /// The root key of a registered attestor.
    AttestorRoot,
}

impl BuiltInTable {
    /// The row of an action. Every action has one: the match has no rest.
    #[must_use]
    pub const fn least_signer(action: Action) -> LeastSigner {
        match action {
            Action::PlaceOrder
            | Action::AmendOrder
            | Action::CancelOrder
            | Action::CancelAllOrders
            | Action::QuoteLadder
            | Action::SetDeadMan => LeastSigner::Session,
            Action::OpenAccount
            | Action::CloseAccount
            | Action::RegisterGrant
            | Action::RevokeGrant
            | Action::RequestWithdrawal
            | Action::CancelWithdrawal
            | Action::RequestTransfer
            | Action::CancelTransfer => LeastSigner::Root,
            Action::AttestDeposit => LeastSigner::AttestorRoot,
        }
    }
}

impl PolicyDecider for BuiltInTable {
    fn epoch(&self) -> PolicyEpoch {
        PolicyEpoch::NONE
    }

    fn decide(&self, request: &PolicyRequest) -> Result<(), Reject> {
        let number = u64::from(request.action.number());
        let root_required = Reject::of(RejectCode::RootRequired).present(number);
        match (Self::least_signer(request.action), request.role) {
            (LeastSigner::Session, _) | (LeastSigner::Root, SignerRole::Root) => Ok(()),
            (LeastSigner::Root | LeastSigner::AttestorRoot, SignerRole::Session) => Err(root_required),
            (LeastSigner::AttestorRoot, SignerRole::Root) if request.is_attestor => Ok(()),
            (LeastSigner::AttestorRoot, SignerRole::Root) => Err(Reject::of(RejectCode::PolicyForbids).present(number)),
        }
    }

    /// The ledger's own due work is what the rules of genesis ask for; the table lets all of it through.
    fn decide_system(&self, _command: &SystemCommand) -> Result<(), Reject> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_trades_and_nothing_else() {
        for action in Action::ALL {
            let request = PolicyRequest { action, role: SignerRole::Session, is_attestor: true };
            let is_trading = casemate_protocol::grant::ActionSet::TRADING.contains(action);
            assert_eq!(BuiltInTable.decide(&request).is_ok(), is_trading, "{action:?}");
        }
    }

    #[test]
    fn only_a_registered_attestor_attests() {
        let request =
            |is_attestor| PolicyRequest { action: Action::AttestDeposit, role: SignerRole::Root, is_attestor };
        assert!(BuiltInTable.decide(&request(true)).is_ok());
        assert_eq!(BuiltInTable.decide(&request(false)).unwrap_err().code(), RejectCode::PolicyForbids);
    }
}
