//! The table of a chain whose genesis has no policies: the least signer for each action.

use super::{PolicyAction, PolicyKind, PolicyQuestion, PolicyTable, TableError, Tier};

impl PolicyTable {
    /// The built-in table. It looks at nothing but kind and action.
    #[must_use]
    pub fn built_in() -> Self {
        let answer = |question: &PolicyQuestion| Ok::<_, TableError>(least(question.kind, question.action));
        Self::fill(&[], &[], |_, _| false, answer).unwrap_or_else(|_| Self::closed())
    }
}

/// Every action has a row: the match has no rest.
const fn least(kind: PolicyKind, action: PolicyAction) -> Option<Tier> {
    use PolicyAction as Action;
    let is_officer = matches!(kind, PolicyKind::RiskOfficer | PolicyKind::Governor);
    let is_permitted = match action {
        Action::AttestDeposit => matches!(kind, PolicyKind::Attestor),
        Action::SubmitPrice => matches!(kind, PolicyKind::Publisher),
        Action::Propose | Action::Approve | Action::ProposeLoosening | Action::ApproveLoosening => is_officer,
        Action::ReadOwnAccount => !matches!(kind, PolicyKind::Anonymous),
        Action::ReadMarketPrivate | Action::ReadAuditorView => is_officer || matches!(kind, PolicyKind::Auditor),
        _ => true,
    };
    let least = match action {
        Action::PlaceOrder
        | Action::PlaceRestingOrder
        | Action::PlaceReducingOrder
        | Action::AmendOrder
        | Action::CancelOrder
        | Action::CancelAllOrders
        | Action::QuoteLadder
        | Action::SetDeadMan
        | Action::RegisterChildGrant
        | Action::RevokeGrant
        | Action::ReadPublic
        | Action::ReadOwnAccount
        | Action::ReadMarketPrivate
        | Action::ReadAuditorView => Tier::Session,
        Action::OpenAccount
        | Action::CloseAccount
        | Action::RegisterGrant
        | Action::AttestDeposit
        | Action::RequestWithdrawal
        | Action::CancelWithdrawal
        | Action::RequestTransfer
        | Action::CancelTransfer
        | Action::AddEvidence
        | Action::ContestLink
        | Action::RequestPrincipalExit
        | Action::SubmitPrice
        | Action::Propose
        | Action::Approve
        | Action::ProposeLoosening
        | Action::ApproveLoosening
        | Action::Bond
        | Action::ChangePayoutAddress
        | Action::ChangeRootKey
        | Action::ChangeGuardians
        | Action::RemovePayoutAddress
        | Action::CancelRootKeyChange
        | Action::AcceptRootKey
        | Action::CancelGuardianChange
        | Action::VoteAsGuardian
        | Action::CancelRecovery => Tier::Rooted,
    };
    if is_permitted { Some(least) } else { None }
}
