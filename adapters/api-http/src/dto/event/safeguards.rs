//! Events of safeguards, as their accounts see them.

use casemate_protocol::command::PayoutAddress;
use casemate_protocol::event::GuardianVoted;
use casemate_protocol::{AccountId, Event};

use super::AccountEventJson;
use crate::values::{HexBytes, KeyText};

/// What guards an account against its own keys.
pub(super) fn safeguard_event(event: &Event) -> Option<(AccountId, AccountEventJson)> {
    use AccountEventJson as Json;
    let bytes = |address: &PayoutAddress| HexBytes(address.destination.as_slice().to_vec());
    Some(match event {
        Event::PayoutAddressAdded(it) => {
            let (chain, destination) = (it.address.chain, bytes(&it.address));
            let usable_waiting_ms = it.usable_waiting_ms.ms();
            (it.account, Json::PayoutAddressAdded { chain, destination, usable_waiting_ms })
        }
        Event::PayoutAddressRemoved(it) => {
            let (chain, destination) = (it.address.chain, bytes(&it.address));
            let opens_waiting_ms = it.opens_waiting_ms.ms();
            (it.account, Json::PayoutAddressRemoved { chain, destination, opens_waiting_ms })
        }
        Event::RootKeyChangeAnnounced(it) => {
            let ready_waiting_ms = it.ready_waiting_ms.ms();
            (it.account, Json::RootKeyChangeAnnounced { key: KeyText(it.key), ready_waiting_ms })
        }
        Event::RootKeyChangeCancelled(it) => (it.account, Json::RootKeyChangeCancelled { key: KeyText(it.key) }),
        Event::RootKeyChanged(it) => (it.account, Json::RootKeyChanged { key: KeyText(it.key) }),
        _ => return None,
    })
}

/// What guardians are at. Whoever guards an account learns it from a stream of its own.
pub(super) fn guardian_events(event: &Event) -> Vec<(AccountId, AccountEventJson)> {
    use AccountEventJson as Json;
    let to_account = match event {
        Event::GuardianChangeAnnounced(it) => {
            let (guardians, due_waiting_ms) = ((&it.guardians).into(), it.due_waiting_ms.ms());
            (it.account, Json::GuardianChangeAnnounced { guardians, due_waiting_ms })
        }
        Event::GuardianChangeCancelled(it) => {
            (it.account, Json::GuardianChangeCancelled { is_by_guardians: it.is_by_guardians })
        }
        Event::GuardiansChanged(it) => {
            let guards = Json::GuardsAccount { account: it.account.number() };
            let changed = (it.account, Json::GuardiansChanged { guardians: (&it.guardians).into() });
            let told = it.guardians.accounts.iter().map(|guardian| (*guardian, guards.clone()));
            return core::iter::once(changed).chain(told).collect();
        }
        Event::GuardianVoted(it) => return vec![(it.account, voted(it)), (it.guardian, voted(it))],
        Event::RecoveryBegun(it) => {
            let ready_waiting_ms = it.ready_waiting_ms.ms();
            (it.account, Json::RecoveryBegun { key: KeyText(it.key), ready_waiting_ms })
        }
        Event::RecoveryCancelled(it) => {
            let again_waiting_ms = it.again_waiting_ms.ms();
            (it.account, Json::RecoveryCancelled { key: KeyText(it.key), again_waiting_ms })
        }
        Event::AccountFrozen(it) => {
            let (until_waiting_ms, again_waiting_ms) = (it.until_waiting_ms.ms(), it.again_waiting_ms.ms());
            (it.account, Json::AccountFrozen { until_waiting_ms, again_waiting_ms })
        }
        Event::RecoveryCompleted(it) => {
            let held_until_waiting_ms = it.held_until_waiting_ms.ms();
            (it.account, Json::RecoveryCompleted { key: KeyText(it.key), held_until_waiting_ms })
        }
        _ => return Vec::new(),
    };
    vec![to_account]
}

fn voted(it: &GuardianVoted) -> AccountEventJson {
    AccountEventJson::GuardianVoted {
        account: it.account.number(),
        guardian: it.guardian.number(),
        act: it.act.into(),
        lapses_waiting_ms: it.lapses_waiting_ms.ms(),
    }
}

#[cfg(test)]
mod tests {
    use casemate_protocol::command::{GuardianAct, GuardianSet};
    use casemate_protocol::event::GuardiansChanged;
    use casemate_protocol::{BoundedVec, DurationMs};

    use super::*;

    #[test]
    fn guardians_hear_that_they_guard_and_how_they_voted() {
        let (account, guardians) = (AccountId::new(42), [51, 52].map(AccountId::new));
        let accounts = BoundedVec::new(guardians.to_vec()).unwrap();
        let set = GuardianSet { threshold: 2, accounts };
        let told = guardian_events(&Event::GuardiansChanged(Box::new(GuardiansChanged { account, guardians: set })));
        let to: Vec<AccountId> = told.iter().map(|(to, _)| *to).collect();
        assert_eq!(to, [account, guardians[0], guardians[1]]);
        assert_eq!(told[2].1, AccountEventJson::GuardsAccount { account: 42 });
        let lapses_waiting_ms = DurationMs::from_ms(9);
        let voted = GuardianVoted { account, guardian: guardians[0], act: GuardianAct::Freeze, lapses_waiting_ms };
        let told = guardian_events(&Event::GuardianVoted(voted));
        let to: Vec<AccountId> = told.iter().map(|(to, _)| *to).collect();
        assert_eq!(to, [account, guardians[0]]);
    }
}
