//! A whole block: inclusion, gate, ledger, records, rows, roots, header. Signatures were checked before.

use casemate_gate::{Authenticated, BuiltInTable, Decoded, NoProofs, authenticate_batch};
use casemate_protocol::block::SealSecret;
use casemate_protocol::command::Side;
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{Command, Digest, TimeMs};
use casemate_replica::Replica;
use ed25519_zebra::SigningKey;

use crate::venue::{
    DEPTH_TICKS, FIRST_ACCOUNT, GENESIS_MS, MIDDLE_TICKS, genesis, limit_order, passive_order, sealed, session_keys,
    signing_key,
};
use crate::{HotPath, Prepared};

/// Three of four orders rest, every fourth takes one of them; and the block is adopted.
pub const PROPOSE: HotPath =
    HotPath { name: "replica::propose/envelopes=1024 commands=1 accounts=1024", counted: 2, prepared_max: 64, prepare };

/// One envelope of each.
const ACCOUNTS: u64 = 1_024;

fn prepare(operations: u32) -> Prepared {
    let genesis = genesis(ACCOUNTS);
    let mut replica =
        Replica::new(&genesis, session_keys(ACCOUNTS), BuiltInTable, &Sequential).expect("a valid genesis");
    let keys: Vec<SigningKey> = (0..ACCOUNTS).map(|place| signing_key(FIRST_ACCOUNT + place)).collect();
    let chain_id = *replica.ledger().chain_id();
    let blocks: Vec<Vec<Authenticated>> =
        (0..u64::from(operations)).map(|block| envelopes(&chain_id, &keys, block)).collect();
    let mut blocks = blocks.into_iter().zip(1u64..);
    Box::new(move |operations| {
        for _ in 0..operations {
            let (envelopes, number) = blocks.next().expect("as many blocks as were prepared");
            let time_ms = TimeMs::from_ms(GENESIS_MS + 10 * number);
            let secret = SealSecret([7; 32]);
            let proposal = replica.propose(envelopes, time_ms, secret, &Sequential, &mut ()).expect("time grows");
            replica.adopt();
            let is_accepted = proposal.executed.envelopes.iter().all(|one| one.commands[0].refusal.is_none());
            assert!(proposal.left_out.is_empty() && is_accepted, "a refused command costs something else");
        }
    })
}

fn envelopes(chain_id: &Digest, keys: &[SigningKey], block: u64) -> Vec<Authenticated> {
    let decoded = keys.iter().zip(0..ACCOUNTS).map(|(key, place)| {
        let bytes = sealed(*chain_id, FIRST_ACCOUNT + place, key, block + 1, order(block * ACCOUNTS + place));
        Decoded::from_bytes(bytes, chain_id).expect("an envelope of this chain")
    });
    let judged = authenticate_batch(decoded.collect(), &NoProofs, &Sequential);
    judged.into_iter().map(|envelope| envelope.expect("a signature of its key")).collect()
}

fn order(number: u64) -> Command {
    match number % 8 {
        3 => limit_order(Side::Bid, MIDDLE_TICKS + DEPTH_TICKS, number + 1),
        6 => limit_order(Side::Ask, MIDDLE_TICKS - DEPTH_TICKS, number + 1),
        _ => passive_order(number),
    }
}
