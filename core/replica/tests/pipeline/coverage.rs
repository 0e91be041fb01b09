//! The random sequences are worth something only if they reach the rules: what they reach is counted here.

use std::collections::{BTreeMap, BTreeSet};

use casemate_audit::{RecordSource, Verdict};
use casemate_protocol::Action;
use casemate_protocol::hash::{self, Domain};

use crate::kit::Letter;
use crate::kit::random::{Choices, STEPS_MS, letters, venue as random_venue};

/// Pseudo-random bytes that are the same everywhere.
fn bytes(seed: u64, count: usize) -> Vec<u8> {
    (0u64..)
        .flat_map(|block| hash::digest(Domain::Development, &[b"script", &seed.to_le_bytes(), &block.to_le_bytes()]).0)
        .take(count)
        .collect()
}

/// The permanent number of an enumeration's value.
fn tag(value: &impl borsh::BorshSerialize) -> u8 {
    borsh::to_vec(value).unwrap()[0]
}

#[test]
fn random_sequences_reach_every_action_every_event_and_all_internal_work() {
    let mut accepted: BTreeMap<Action, u32> = BTreeMap::new();
    let (mut events, mut works, mut codes) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
    for seed in 0..240 {
        let script = bytes(seed, 5_000);
        let mut choices = Choices::new(&script);
        let mut venue = random_venue(&mut choices);
        while !choices.is_over() {
            let step_ms = choices.pick(&STEPS_MS);
            let letters = letters(&mut choices, &mut venue, 8);
            let step = venue.propose(step_ms, letters.iter().map(Letter::sealed).collect());
            venue.replica.adopt();
            codes.extend(step.refused_outside.iter().map(|(_, code)| *code));
            for record in &step.records {
                match (&record.source, &record.verdict) {
                    (_, Verdict::Refused(reject)) => {
                        codes.insert(reject.code());
                    }
                    (RecordSource::Command { action, .. }, Verdict::Accepted) => {
                        *accepted.entry(*action).or_default() += 1;
                    }
                    (RecordSource::System(command), Verdict::Accepted) => {
                        *works.entry(tag(&command.work)).or_insert(0u32) += 1;
                    }
                }
                for event in &record.events {
                    *events.entry(tag(event)).or_insert(0u32) += 1;
                }
            }
        }
    }
    // Nothing lacks evidence under the built-in table: `held` has what is about it.
    for action in Action::ALL.into_iter().filter(|action| *action != Action::AddEvidence) {
        let count = accepted.get(&action).copied().unwrap_or_default();
        assert!(count >= 3, "{action:?} was accepted {count} times: {accepted:?}");
    }
    // Every event but none missing: the tags of the encoded events are their permanent numbers.
    // Losses that nothing covers (54, 55, and work 16) need an account that is left alone by everybody: the ledger's own
    // tests reach them.
    let known = (1..=5).chain(7..=29).chain(40..=43).chain(50..=53).chain(60..=63).chain(70..=72).chain(90..=99);
    let missing: Vec<u8> = known.filter(|tag| !events.contains_key(tag)).collect();
    assert_eq!(missing, [], "events that never happened");
    let missing: Vec<u8> = (1..=15).chain([18, 20, 22, 23]).filter(|tag| !works.contains_key(tag)).collect();
    assert_eq!(missing, [], "internal work that was never done");
    assert!(codes.len() >= 55, "only {} refusals were reached", codes.len());
    assert!(events[&23] > 500, "only {} trades", events[&23]);
}
