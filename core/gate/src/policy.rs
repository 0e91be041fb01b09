//! Stage 6's port: who may do what. The gate asks; a table or a policy engine answers.

use casemate_protocol::envelope::SignerRole;
use casemate_protocol::genesis::PrincipalKind;
use casemate_protocol::{Action, PolicyEpoch, Reject, RejectCode, SystemCommand};

/// What a policy is asked about a command of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyRequest {
    /// What is to be done.
    pub action: Action,
    /// Which key of the account signed.
    pub role: SignerRole,
    /// What the account is there for, if genesis names it.
    pub principal: Option<PrincipalKind>,
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
    /// The root key of a registered publisher.
    PublisherRoot,
    /// The root key of a risk officer or governor.
    OfficerRoot,
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
            | Action::SetDeadMan
            // Stage 3 holds sessions to children of their own grant.
            | Action::RegisterGrant
            | Action::RevokeGrant => LeastSigner::Session,
            Action::OpenAccount
            | Action::CloseAccount
            | Action::RequestWithdrawal
            | Action::CancelWithdrawal
            | Action::RequestTransfer
            | Action::CancelTransfer
            | Action::RequestPrincipalExit => LeastSigner::Root,
            Action::AttestDeposit => LeastSigner::AttestorRoot,
            Action::SubmitPrice => LeastSigner::PublisherRoot,
            Action::Propose | Action::Approve => LeastSigner::OfficerRoot,
        }
    }
}

impl PolicyDecider for BuiltInTable {
    fn epoch(&self) -> PolicyEpoch {
        PolicyEpoch::NONE
    }

    fn decide(&self, request: &PolicyRequest) -> Result<(), Reject> {
        let number = u64::from(request.action.number());
        let least = Self::least_signer(request.action);
        if least == LeastSigner::Session {
            return Ok(());
        }
        if request.role == SignerRole::Session {
            return Err(Reject::of(RejectCode::RootRequired).present(number));
        }
        let is_permitted = match least {
            LeastSigner::Session | LeastSigner::Root => true,
            LeastSigner::AttestorRoot => request.principal == Some(PrincipalKind::Attestor),
            LeastSigner::PublisherRoot => request.principal == Some(PrincipalKind::Publisher),
            LeastSigner::OfficerRoot => {
                matches!(request.principal, Some(PrincipalKind::RiskOfficer | PrincipalKind::Governor))
            }
        };
        if is_permitted { Ok(()) } else { Err(Reject::of(RejectCode::PolicyForbids).present(number)) }
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
    fn a_session_trades_and_shares_its_grant_out_and_does_nothing_else() {
        for action in Action::ALL {
            let principal = Some(PrincipalKind::Attestor);
            let request = PolicyRequest { action, role: SignerRole::Session, principal };
            let may_be_granted = casemate_protocol::grant::ActionSet::SESSION.contains(action);
            assert_eq!(BuiltInTable.decide(&request).is_ok(), may_be_granted, "{action:?}");
        }
    }

    #[test]
    fn each_office_does_its_own_work_and_no_other() {
        use PrincipalKind as Kind;
        let kinds = [Kind::Attestor, Kind::Publisher, Kind::RiskOfficer, Kind::Governor, Kind::Backstop];
        let permitted = |action| {
            let may = |principal: &Option<Kind>| {
                let request = PolicyRequest { action, role: SignerRole::Root, principal: *principal };
                BuiltInTable.decide(&request).is_ok()
            };
            kinds.into_iter().map(Some).chain([None]).filter(may).collect::<Vec<_>>()
        };
        assert_eq!(permitted(Action::AttestDeposit), [Some(Kind::Attestor)]);
        assert_eq!(permitted(Action::SubmitPrice), [Some(Kind::Publisher)]);
        assert_eq!(permitted(Action::Propose), [Some(Kind::RiskOfficer), Some(Kind::Governor)]);
        assert_eq!(permitted(Action::Approve), [Some(Kind::RiskOfficer), Some(Kind::Governor)]);
        assert_eq!(permitted(Action::RequestPrincipalExit).len(), 6);
    }

    #[test]
    fn who_holds_no_office_is_told_that_policy_forbids() {
        let request = PolicyRequest { action: Action::SubmitPrice, role: SignerRole::Root, principal: None };
        assert_eq!(BuiltInTable.decide(&request).unwrap_err().code(), RejectCode::PolicyForbids);
    }
}
