//! Laws that hold after every block, whatever is sent: attacked with random sequences of all commands.

use std::collections::BTreeMap;

use casemate_audit::{RecordBody, RecordSource, Verdict};
use casemate_gate::BuiltInTable;
use casemate_gate::webauthn::Statement;
use casemate_ledger::{BlockContext, Ledger, SubAccountRow};
use casemate_protocol::block::Block;
use casemate_protocol::command::SystemWork;
use casemate_protocol::envelope::{Envelope, GroupMode, SignerRole};
use casemate_protocol::genesis::Genesis;
use casemate_protocol::hash::Domain;
use casemate_protocol::merkle::{TableKind, TableSummary};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{AccountId, BreakerState, Event, RejectCode, SegmentId, SignatureBytes, SystemCommand};
use casemate_replica::{InvalidBlock, Replica};
use proptest::prelude::*;

use crate::book::EventBook;
use crate::kit::random::{Choices, STEPS_MS, letters, venue as random_venue};
use crate::kit::{Backwards, Letter, Step, Venue, is_accepted, replica, seeded_keys, sequences};

/// Enough bytes for about sixty blocks.
fn script() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 400..4_000)
}

fn seal(letters: &[Letter]) -> Vec<Vec<u8>> {
    letters.iter().map(Letter::sealed).collect()
}

/// The genesis on which a script runs.
fn genesis_of(bytes: &[u8]) -> Genesis {
    random_venue(&mut Choices::new(bytes)).genesis
}

/// Runs a script on a venue; `see` sees every block after it was adopted.
fn play(
    bytes: &[u8],
    mut see: impl FnMut(&mut Venue, &Step) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let mut choices = Choices::new(bytes);
    let mut venue = random_venue(&mut choices);
    while !choices.is_over() {
        let step_ms = choices.pick(&STEPS_MS);
        let letters = letters(&mut choices, &mut venue, 8);
        let step = venue.propose(step_ms, seal(&letters));
        venue.replica.adopt();
        see(&mut venue, &step)?;
    }
    Ok(())
}

fn table_roots(ledger: &Ledger) -> Vec<TableSummary> {
    let proof = ledger.prove_vault(SegmentId::new(1)).expect("segment 1 has a vault");
    proof.tables.into_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(sequences(64)))]

    /// INVARIANT(S2) INVARIANT(S3) INVARIANT(M2) INVARIANT(F1): by the running sums, which block execution checks, and
    /// by the rows themselves.
    #[test]
    fn prop_money_is_conserved_and_longs_equal_shorts_by_both_code_paths_after_every_block(bytes in script()) {
        play(&bytes, |venue, step| {
            prop_assert_eq!(&step.executed.broken, &vec![]);
            prop_assert_eq!(venue.ledger().check_laws_from_rows(), vec![]);
            for segment in venue.ledger().segments() {
                for market in segment.markets() {
                    prop_assert_eq!(market.facts().open_long, -market.facts().open_short);
                }
            }
            Ok(())
        })?;
    }

    /// INVARIANT(S1): an executed block that is discarded leaves nothing: neither in a snapshot's bytes, nor in the
    /// root, nor in what the next block leads to.
    #[test]
    fn prop_a_discarded_block_leaves_nothing_behind(bytes in script()) {
        let mut choices = Choices::new(&bytes);
        let mut venue = random_venue(&mut choices);
        // Never sees a discarded block.
        let mut other = replica(&venue.genesis);
        while !choices.is_over() {
            let (before, root) = (venue.snapshot(), *venue.replica.state_root());
            let (time_ms, nonces) = (venue.time_ms, venue.nonces.clone());
            let discarded = letters(&mut choices, &mut venue, 8);
            venue.propose(choices.pick(&STEPS_MS), seal(&discarded));
            venue.replica.discard();
            prop_assert!(venue.snapshot() == before, "discarding does not restore the state");
            prop_assert_eq!(venue.ledger().state_root(), root);
            (venue.time_ms, venue.nonces) = (time_ms, nonces);
            let step_ms = choices.pick(&STEPS_MS);
            let kept = letters(&mut choices, &mut venue, 8);
            let step = venue.propose(step_ms, seal(&kept));
            venue.replica.adopt();
            let verdict = other.execute(&step.block, &Backwards);
            prop_assert!(verdict.is_ok(), "{:?}", verdict.err());
            let mut bytes = Vec::new();
            other.write_snapshot(&mut bytes).unwrap();
            prop_assert!(venue.snapshot() == bytes, "the discarded block shows in a later snapshot");
        }
    }

    /// Proposer and voter reach the same roots, also with work cut and ordered otherwise, and a voter that votes against
    /// a block is as it was before.
    #[test]
    fn prop_a_second_replica_verifies_every_block_and_refuses_it_with_another_root(bytes in script()) {
        let mut other = replica(&genesis_of(&bytes));
        play(&bytes, |venue, step| {
            let mut wrong = step.block.clone();
            wrong.header.state_root = casemate_protocol::hash::digest(Domain::Development, &[b"wrong"]);
            prop_assert_eq!(other.verify(&wrong, &Backwards).err(), Some(InvalidBlock::StateRoot));
            let mut wrong = step.block.clone();
            wrong.header.log_size += 1;
            prop_assert_eq!(other.verify(&wrong, &Sequential).err(), Some(InvalidBlock::LogRoot));
            let executed = other.verify(&step.block, &Backwards);
            let executed = match executed {
                Ok(executed) => executed,
                Err(invalid) => return Err(TestCaseError::fail(format!("{invalid:?}"))),
            };
            other.adopt();
            prop_assert_eq!(executed.state_root, step.executed.state_root);
            prop_assert_eq!(executed.bodies, step.executed.bodies.clone());
            prop_assert_eq!(other.log().root(), venue.replica.log().root());
            Ok(())
        })?;
    }

    /// A replica that starts from a snapshot goes on exactly like the one that wrote it.
    #[test]
    fn prop_a_snapshot_read_back_continues_with_equal_roots_and_equal_bytes(bytes in script()) {
        let mut other = replica(&genesis_of(&bytes));
        let mut count = 0u64;
        play(&bytes, |venue, step| {
            let verdict = other.execute(&step.block, &Sequential);
            prop_assert!(verdict.is_ok(), "{:?}", verdict.err());
            count += 1;
            if count.is_multiple_of(3) {
                let written = venue.snapshot();
                let read = Replica::read_snapshot(&venue.genesis, BuiltInTable, &mut written.as_slice(), &Backwards);
                other = match read {
                    Ok(read) => read,
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                };
                let mut again = Vec::new();
                other.write_snapshot(&mut again).unwrap();
                prop_assert!(again == written, "a snapshot read and written differs");
            }
            Ok(())
        })?;
    }

    /// Re-running commands and replaying events are two roads to the same root.
    #[test]
    fn prop_replaying_the_events_of_the_records_leads_to_the_same_root(bytes in script()) {
        let mut auditor = Ledger::new(&genesis_of(&bytes), seeded_keys(&genesis_of(&bytes))).unwrap();
        auditor.seal(&casemate_protocol::block::SealSecret([0; 32]), &Sequential);
        auditor.settle();
        play(&bytes, |_, step| {
            replay(&mut auditor, &step.block, &step.records);
            prop_assert_eq!(auditor.state_root(), step.executed.state_root);
            Ok(())
        })?;
    }

    /// INVARIANT(M1): no trade passes over a better price, nor over an earlier order of the same price; and the queues
    /// are those of arrival.
    #[test]
    fn prop_trades_follow_price_and_then_time(bytes in script()) {
        let mut book = EventBook::default();
        play(&bytes, |venue, step| {
            for event in step.events() {
                if let Err(wrong) = book.follow(event) {
                    return Err(TestCaseError::fail(wrong));
                }
            }
            prop_assert!(book.agrees_with(venue.ledger()));
            Ok(())
        })?;
    }

    /// INVARIANT(L1): the queue of bounds finds exactly the accounts that a scan of all rows finds, in the same order.
    #[test]
    fn prop_the_queue_finds_what_a_scan_finds(bytes in script()) {
        play(&bytes, |venue, _| {
            let mut ledger = venue.ledger().clone();
            let chain = *ledger.chain();
            let block = BlockContext {
                height: chain.height,
                time_ms: chain.time_ms,
                step_ms: casemate_protocol::DurationMs::ZERO,
                waiting_ms: chain.waiting_ms,
            };
            let liquidated = |command: SystemCommand| match command.work {
                SystemWork::Liquidate(target) => Some(target.account),
                _ => None,
            };
            let found: Vec<AccountId> = ledger.due_liquidations(&block).into_iter().filter_map(liquidated).collect();
            let segment = venue.ledger().segment(SegmentId::new(1)).expect("segment 1");
            let scanned = match segment.breaker_state() {
                BreakerState::Halted => Vec::new(),
                _ if segment.clearing().is_none() => Vec::new(),
                _ => segment.scan_due(chain.waiting_ms, 64),
            };
            prop_assert_eq!(found, scanned);
            Ok(())
        })?;
    }

    /// A refusal changes nothing: after a block in which everything was refused, every table but those of time, nonces
    /// and limiters has the root that it had.
    #[test]
    fn prop_a_refused_command_changes_nothing(bytes in script()) {
        let mut choices = Choices::new(&bytes);
        let mut venue = random_venue(&mut choices);
        while !choices.is_over() {
            let before = table_roots(venue.ledger());
            let totals: Vec<_> = venue.ledger().segments().iter().map(|segment| *segment.totals()).collect();
            let step_ms = choices.pick(&STEPS_MS);
            let letters = letters(&mut choices, &mut venue, 2);
            let step = venue.propose(step_ms, seal(&letters));
            venue.replica.adopt();
            for record in &step.records {
                prop_assert!(is_accepted(record) || record.events.is_empty());
            }
            if step.records.iter().any(is_accepted) {
                continue;
            }
            for (before, after) in before.iter().zip(table_roots(venue.ledger())) {
                let moves_anyway =
                    matches!(before.table.kind, TableKind::Chain | TableKind::Accounts | TableKind::Segment);
                prop_assert!(moves_anyway || *before == after, "{:?}", before.table);
            }
            let after: Vec<_> = venue.ledger().segments().iter().map(|segment| *segment.totals()).collect();
            prop_assert_eq!(totals, after);
        }
    }

    /// INVARIANT(A3): an included envelope is used up, also when everything in it was refused.
    #[test]
    fn prop_no_envelope_of_a_block_can_ever_be_included_again(bytes in script()) {
        play(&bytes, |venue, step| {
            let again: Vec<Vec<u8>> =
                step.block.envelopes.iter().map(|bytes| bytes.as_slice().to_vec()).collect();
            let count = again.len();
            let repeated = venue.propose(1, again);
            venue.replica.discard();
            venue.time_ms -= 1;
            prop_assert_eq!(repeated.block.envelopes.len(), 0);
            prop_assert_eq!(repeated.refused_outside.len(), count);
            for (_, code) in repeated.refused_outside {
                let expected = [
                    RejectCode::NonceUsed,
                    RejectCode::NonceOutOfWindow,
                    RejectCode::RootKeyTaken,
                    RejectCode::AccountClosed,
                    RejectCode::GrantRevoked,
                    RejectCode::GrantExpired,
                    RejectCode::KeyNotOfAccount,
                    RejectCode::EnvelopeExpired,
                ];
                prop_assert!(expected.contains(&code), "{code:?}");
            }
            Ok(())
        })?;
    }

    #[test]
    fn prop_a_group_takes_effect_whole_or_not_at_all(bytes in script()) {
        play(&bytes, |_, step| {
            for (place, outcome) in step.executed.envelopes.iter().enumerate() {
                if step.intents[outcome.envelope.bytes()].group == GroupMode::EachAlone {
                    continue;
                }
                let accepted = outcome.commands.iter().filter(|command| command.refusal.is_none()).count();
                prop_assert!(accepted == 0 || accepted == outcome.commands.len(), "envelope {place}");
            }
            Ok(())
        })?;
    }

    /// Nobody's money moves without a command, a fill or work of the ledger that names the account: an account that
    /// appears in no event has the row it had.
    #[test]
    fn prop_only_accounts_that_events_name_change(bytes in script()) {
        let rows = |ledger: &Ledger| -> BTreeMap<(u16, u64), Vec<u8>> {
            let places = (1..=2u16).flat_map(|segment| (1..30u64).map(move |account| (segment, account)));
            places.filter_map(|(segment, account)| {
                let proof = ledger.prove_sub_account(SegmentId::new(segment), AccountId::new(account))?;
                Some(((segment, account), proof.row.into_vec()))
            }).collect()
        };
        let mut before = rows(Venue::of(genesis_of(&bytes)).ledger());
        play(&bytes, |venue, step| {
            let after = rows(venue.ledger());
            let named: String = step.events().map(|event| format!("{event:?}\n")).collect();
            let moves: Vec<u64> = step.events().filter_map(|event| moved(venue.ledger(), event)).collect();
            for (place, row) in &after {
                let is_named = named.contains(&format!("AccountId({})", place.1)) || moves.contains(&place.1);
                prop_assert!(is_named || before.get(place) == Some(row), "{place:?}");
                prop_assert!(SubAccountRow::read(row).is_some());
            }
            before = after;
            Ok(())
        })?;
    }
}

/// Events about moves name the move and not its account.
fn moved(ledger: &Ledger, event: &Event) -> Option<u64> {
    match event {
        Event::WithdrawalCancelled(ended) | Event::WithdrawalReleased(ended) => {
            ledger.segment(ended.segment)?.withdrawal(ended.number).map(|row| row.account.number())
        }
        Event::TransferCancelled(ended) => {
            ledger.segment(ended.from)?.transfer(ended.number).map(|row| row.account.number())
        }
        Event::TransferReleased(released) => {
            ledger.segment(released.from)?.transfer(released.number).map(|row| row.account.number())
        }
        _ => None,
    }
}

/// The second road: nonces and weight from the envelopes, rates from the verdicts, everything else from events.
pub fn replay(ledger: &mut Ledger, block: &Block, records: &[RecordBody]) {
    let context = ledger.begin_block(block.header.height, block.header.time_ms).expect("the next block");
    let mut grants = BTreeMap::new();
    let mut groups = BTreeMap::new();
    for bytes in &block.envelopes {
        let (envelope, digests) = Envelope::decode(bytes.as_slice()).expect("a block holds what decodes");
        let intent = &envelope.intent;
        let row = ledger.accounts().account(intent.account);
        let grant = row.and_then(|row| row.grant_of(&intent.signer.key)).map(|grant| grant.number());
        let grant = grant.filter(|_| intent.signer.role == SignerRole::Session);
        let weight = casemate_gate::weight::of_envelope(&envelope, bytes.len());
        ledger.consume_envelope(&context, intent.account, grant, intent.nonce, weight);
        if let SignatureBytes::WebAuthn(answer) = &envelope.signature {
            ledger.count_passkey(intent.account, Statement::of(answer).expect("the block is valid").count());
        }
        grants.insert(digests.intent, grant);
        groups.insert(digests.intent, intent.group == GroupMode::AllOrNothing);
    }
    for (place, record) in records.iter().enumerate() {
        if let RecordSource::Command { envelope, account, .. } = &record.source
            && let Some(grant) = grants[envelope]
            && passed_the_stage_of_grants(&records[place..], records, groups[envelope])
        {
            ledger.count_command(&context, *account, grant);
        }
        ledger.replay_events(&context, &record.events);
    }
    ledger.seal(&block.seal_secret, &Sequential);
    ledger.settle();
}

/// Whether the first record's command was counted against its session's rate.
fn passed_the_stage_of_grants(from_here: &[RecordBody], all: &[RecordBody], is_group: bool) -> bool {
    let [record, later @ ..] = from_here else { return false };
    let RecordSource::Command { envelope, command_index, .. } = &record.source else { return false };
    let is_of = |other: &RecordBody, index: u16| {
        matches!(&other.source, RecordSource::Command { envelope: named, command_index, .. }
            if named == envelope && *command_index == index)
    };
    if later.iter().any(|other| is_of(other, *command_index)) {
        // The early part of a cancel-all: it counts at its place.
        return false;
    }
    let code = match record.verdict {
        Verdict::Accepted => return true,
        Verdict::Refused(reject) => reject.code(),
    };
    if is_group && code == RejectCode::GroupRolledBack {
        // Judged exactly if it comes before the command that failed.
        let fails = |index: u16| {
            all.iter().any(|other| {
                is_of(other, index)
                    && matches!(other.verdict, Verdict::Refused(reject) if reject.code() != RejectCode::GroupRolledBack)
            })
        };
        return !(0..*command_index).any(fails);
    }
    ![
        RejectCode::AccountClosed,
        RejectCode::GrantRevoked,
        RejectCode::GrantExpired,
        RejectCode::ActionNotGranted,
        RejectCode::MarketNotGranted,
        RejectCode::GrantRateExceeded,
        RejectCode::NotOwnChild,
        RejectCode::KeyInvalid,
        RejectCode::GroupSpansSegments,
    ]
    .contains(&code)
}
