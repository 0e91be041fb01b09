//! The properties that a set of policies must have, as regions in Cedar.

use casemate_protocol::policy::{PolicyAction as Action, PolicyKind as Kind};

use super::{Demand, Property};

/// In the order in which they are reported.
pub(super) const PROPERTIES: &[Property] = &[
    Property {
        name: "value-leaves-with-evidence-in-wild-markets",
        meaning: "in a stressed regime no value leaves below tier 3, in an extreme one none below tier 4",
        demand: Demand::Closed,
        region: r#"
            permit (principal, action in Action::"ValueLeaves", resource)
            when { context.regime == Regime::"Stressed" && context.tier < 3 };
            permit (principal, action in Action::"ValueLeaves", resource)
            when { context.regime == Regime::"Extreme" && context.tier < 4 };
        "#,
        concerns: |_, action| action.lets_value_leave(),
    },
    Property {
        name: "a-session-takes-nothing-out",
        meaning: "no value leaves without the root key, in any regime, state or amount",
        demand: Demand::Closed,
        region: r#"permit (principal, action in Action::"ValueLeaves", resource) when { context.tier < 2 };"#,
        concerns: |_, action| action.lets_value_leave(),
    },
    Property {
        name: "cancel-and-reduce-always",
        meaning: "whoever has an account cancels and reduces with a session, in every state, regime and band",
        demand: Demand::Open,
        region: r#"
            permit (principal,
                    action in [Action::"CancelOrder", Action::"CancelAllOrders", Action::"PlaceReducingOrder"],
                    resource);
        "#,
        concerns: |_, action| {
            matches!(action, Action::CancelOrder | Action::CancelAllOrders | Action::PlaceReducingOrder)
        },
    },
    Property {
        name: "take-back-and-exit-always",
        meaning: "whoever has an account takes back what waits and leaves by the slow principal exit, with the root key",
        demand: Demand::Open,
        region: r#"permit (principal, action in Action::"TakesBack", resource) when { context.tier >= 2 };"#,
        concerns: |_, action| {
            matches!(
                action,
                Action::CancelWithdrawal
                    | Action::CancelTransfer
                    | Action::RequestPrincipalExit
                    | Action::RemovePayoutAddress
                    | Action::CancelRootKeyChange
                    | Action::AcceptRootKey
                    | Action::CancelGuardianChange
                    | Action::VoteAsGuardian
                    | Action::CancelRecovery
            )
        },
    },
    Property {
        name: "top-up-always",
        meaning: "attestors credit deposits in every state, regime and band",
        demand: Demand::Open,
        region: r#"permit (principal is Attestor, action == Action::"AttestDeposit", resource) when { context.tier >= 2 };"#,
        concerns: |kind, action| kind == Kind::Attestor && action == Action::AttestDeposit,
    },
    Property {
        name: "propose-and-vote-always",
        meaning: "risk officers and governors propose and vote; what loosens a halted segment, governors alone",
        demand: Demand::Open,
        region: r#"
            permit (principal, action in [Action::"Propose", Action::"Approve"], resource)
            when { (principal is RiskOfficer || principal is Governor) && context.tier >= 2 };
            permit (principal is Governor, action in Action::"Loosens", resource)
            when { context.tier >= 2 };
            permit (principal is RiskOfficer, action in Action::"Loosens", resource)
            when {
              context.tier >= 2
              && !([SegmentState::"Halted", SegmentState::"WindDown"].contains(context.state))
            };
        "#,
        concerns: |kind, action| {
            matches!(kind, Kind::RiskOfficer | Kind::Governor)
                && (action.loosens() || matches!(action, Action::Propose | Action::Approve))
        },
    },
    Property {
        name: "only-governance-loosens",
        meaning: "nobody but officers and governors loosens, never without the root key, and what is halted governors alone",
        demand: Demand::Closed,
        region: r#"
            permit (principal, action in Action::"Loosens", resource)
            when { !(principal is RiskOfficer || principal is Governor) || context.tier < 2 };
            permit (principal is RiskOfficer, action in Action::"Loosens", resource)
            when { [SegmentState::"Halted", SegmentState::"WindDown"].contains(context.state) };
        "#,
        concerns: |_, action| action.loosens(),
    },
    Property {
        name: "each-office-its-own-work",
        meaning: "prices come from publishers and credits from attestors, with the root key, and from nobody else",
        demand: Demand::Closed,
        region: r#"
            permit (principal, action == Action::"SubmitPrice", resource)
            when { !(principal is Publisher) || context.tier < 2 };
            permit (principal, action == Action::"AttestDeposit", resource)
            when { !(principal is Attestor) || context.tier < 2 };
        "#,
        concerns: |_, action| matches!(action, Action::SubmitPrice | Action::AttestDeposit),
    },
    Property {
        name: "makers-quote-with-a-session",
        meaning: "traders, providers and AMMs of ordinary conduct rest quotes with a session in every regime, unless halted",
        demand: Demand::Open,
        region: r#"
            permit (principal, action in Action::"Quotes", resource)
            when {
              (principal is Trader || principal is LiquidityProvider || principal is Amm)
              && context.conduct == ConductBand::"Ordinary"
              && context.state != SegmentState::"Halted"
            };
        "#,
        concerns: |kind, action| {
            matches!(kind, Kind::Trader | Kind::LiquidityProvider | Kind::Amm)
                && matches!(action, Action::PlaceRestingOrder | Action::QuoteLadder)
        },
    },
    Property {
        name: "strangers-read-what-is-public",
        meaning: "who has no account reads public data and nothing else",
        demand: Demand::Closed,
        region: r#"
            permit (principal is Anonymous,
                    action in [Action::"ReadOwnAccount", Action::"ReadMarketPrivate", Action::"ReadAuditorView"],
                    resource);
        "#,
        concerns: |kind, action| kind == Kind::Anonymous && action != Action::ReadPublic,
    },
];
