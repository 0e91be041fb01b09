//! Envelopes, honest, damaged and raw, through the whole pipeline of a small venue: nothing panics, the laws hold after
//! every block by both code paths, a second replica agrees, a discarded block leaves nothing behind, and a damaged
//! block is refused or is another block that is valid as well.

#![no_main]

use std::sync::LazyLock;

use borsh::BorshDeserialize;
use casemate_gate::BuiltInTable;
use casemate_protocol::block::Block;
use casemate_protocol::genesis::Genesis;
use casemate_replica::Replica;
use libfuzzer_sys::fuzz_target;

use crate::kit::random::{Choices, STEPS_MS, letters};
use crate::kit::{Backwards, Letter, Venue, genesis, replica};

#[expect(dead_code, reason = "the tests of `casemate-replica` use more of the kit than this target does")]
#[path = "../../core/replica/tests/pipeline/kit/mod.rs"]
mod kit;

/// Enough for every clock of the venue to end. More blocks or letters make an input dearer and no branch likelier: most of
/// an execution is checking signatures, by both replicas.
const BLOCKS_MAX: u32 = 6;
const LETTERS_MAX: u64 = 3;

/// Made once: its keys cost as much as several blocks.
static START: LazyLock<(Genesis, Replica<BuiltInTable>)> = LazyLock::new(|| {
    let genesis = genesis();
    let replica = replica(&genesis);
    (genesis, replica)
});

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::new(bytes);
    let (genesis, start) = &*START;
    let mut venue = Venue::at_start(genesis.clone(), start.clone());
    let mut other = start.clone();
    let mut earlier: Vec<Vec<u8>> = Vec::new();
    for _ in 0..BLOCKS_MAX {
        if choices.is_over() {
            break;
        }
        let step_ms = choices.pick(&STEPS_MS);
        let sealed = envelopes(&mut choices, &mut venue, &earlier);
        // A snapshot costs as much as a block, so it is taken only where it is compared.
        let before = choices.one_in(4).then(|| (venue.snapshot(), venue.time_ms));
        let step = venue.propose(step_ms, sealed);
        assert_eq!(step.executed.broken, [], "a segment failed a law");
        assert_eq!(venue.ledger().check_laws_from_rows(), [], "a law is broken by the rows");
        if choices.one_in(8) {
            verify_damaged(&mut choices, &mut other, &step.block);
        }
        let executed = other.verify(&step.block, &Backwards).expect("the second replica refuses the block");
        assert_eq!(executed.state_root, step.executed.state_root);
        assert_eq!(executed.bodies, step.executed.bodies);
        if let Some((snapshot, time_ms)) = before {
            venue.replica.discard();
            other.discard();
            venue.time_ms = time_ms;
            assert!(venue.snapshot() == snapshot, "a discarded block left something behind");
        } else {
            venue.replica.adopt();
            other.adopt();
            earlier.extend(step.block.envelopes.iter().map(|bytes| bytes.as_slice().to_vec()));
        }
    }
});

/// Mostly what honest clients send; now and then damaged, repeated, or no envelope at all.
fn envelopes(choices: &mut Choices<'_>, venue: &mut Venue, earlier: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut sealed: Vec<Vec<u8>> = letters(choices, venue, LETTERS_MAX).iter().map(Letter::sealed).collect();
    match choices.below(8) {
        0 => {
            let change = choices.byte();
            let place = usize::from(choices.byte()) * 256 + usize::from(choices.byte());
            if let Some(bytes) = sealed.first_mut() {
                let length = bytes.len();
                bytes[place % length] ^= change;
            }
        }
        1 => {
            let length = choices.below(200);
            sealed.push((0..length).map(|_| choices.byte()).collect());
        }
        2 => sealed.extend(earlier.get(usize::from(choices.byte()) % earlier.len().max(1)).cloned()),
        3 => sealed.extend(sealed.first().cloned()),
        _ => {}
    }
    sealed
}

/// A block with one byte changed. If it is valid all the same, it is taken back again.
fn verify_damaged(choices: &mut Choices<'_>, other: &mut Replica<BuiltInTable>, block: &Block) {
    let mut bytes = borsh::to_vec(block).expect("a block encodes");
    let place = usize::from(choices.byte()) * 256 + usize::from(choices.byte());
    let length = bytes.len();
    bytes[place % length] ^= choices.byte();
    let Ok(damaged) = Block::try_from_slice(&bytes) else { return };
    if other.verify(&damaged, &Backwards).is_ok() {
        other.discard();
    }
}
