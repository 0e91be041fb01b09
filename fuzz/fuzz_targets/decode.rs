//! Hostile bytes into everything that is read from outside: nothing panics, and what decodes has one encoding only.
//!
//! The first byte chooses what the rest is read as, so that one corpus serves all.

#![no_main]

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_audit::{Log, OpenedRecord, RecordBody, RecordHeader};
use casemate_gate::DecodedPass;
use casemate_protocol::block::{Block, Header};
use casemate_protocol::genesis::Genesis;
use casemate_protocol::merkle::{ConsistencyProof, InclusionProof, RowProof};
use casemate_protocol::{Digest, Envelope, ReadPass};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind {
        0 => envelope(bytes),
        1 => block(bytes),
        2 => drop(canonical::<Header>(bytes).map(|header| header.id())),
        3 => drop(canonical::<RowProof>(bytes).map(|proof| proof.state_root())),
        4 => drop(canonical::<InclusionProof>(bytes).map(|proof| proof.root_from(Digest::ZERO))),
        5 => drop(canonical::<ConsistencyProof>(bytes).map(|proof| proof.verify(&Digest::ZERO, &Digest::ZERO))),
        6 => drop(canonical::<Genesis>(bytes).map(|genesis| (genesis.validate(), genesis.chain_id()))),
        7 => log(bytes),
        8 => drop(canonical::<RecordHeader>(bytes).map(|header| header.leaf())),
        9 => drop(canonical::<RecordBody>(bytes)),
        10 => drop(canonical::<OpenedRecord>(bytes).map(|record| record.verify())),
        11 => read_pass(bytes),
        _ => {}
    }
});

/// Decodes bytes and requires that they are the one encoding of what they hold.
fn canonical<T: BorshDeserialize + BorshSerialize>(bytes: &[u8]) -> Option<T> {
    let value = T::try_from_slice(bytes).ok()?;
    assert_eq!(borsh::to_vec(&value).expect("what decodes encodes"), bytes, "two encodings of one value");
    Some(value)
}

fn envelope(bytes: &[u8]) {
    match Envelope::decode(bytes) {
        Ok((envelope, digests)) => {
            assert_eq!(envelope.encode(), bytes, "two encodings of one envelope");
            assert_eq!(digests, envelope.digests());
            for command in &envelope.intent.commands {
                let encoded = borsh::to_vec(command).expect("what decodes encodes");
                assert_eq!(encoded.first(), Some(&command.action().number()));
            }
        }
        Err(reject) => assert!(!reject.to_string().is_empty()),
    }
}

fn read_pass(bytes: &[u8]) {
    let Ok((pass, digest)) = ReadPass::decode(bytes) else { return };
    assert_eq!(pass.encode(), bytes, "two encodings of one pass");
    assert_eq!(digest, pass.terms.digest());
    if let Err(reject) = DecodedPass::decode(bytes, &pass.terms.chain_id).and_then(DecodedPass::authenticate) {
        assert!(!reject.to_string().is_empty());
    }
}

fn block(bytes: &[u8]) {
    let Some(block) = canonical::<Block>(bytes) else { return };
    for bytes in &block.envelopes {
        envelope(bytes.as_slice());
    }
}

fn log(bytes: &[u8]) {
    let Some(mut log) = canonical::<Log>(bytes) else { return };
    let (size, root) = (log.size(), log.root());
    log.append(Digest::ZERO);
    assert!(size == u64::MAX || (log.size() == size + 1 && log.root() != root));
    let restored = canonical::<Log>(&borsh::to_vec(&log).expect("a log encodes"));
    assert!(size == u64::MAX || restored == Some(log));
}
