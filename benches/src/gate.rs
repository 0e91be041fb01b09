//! What zero trust costs a command besides its signature: the nonce at inclusion, grant, freshness, policy, conduct.

use std::hint::black_box;

use casemate_gate::{Authenticated, BlockBudget, BuiltInTable, Decoded, NoProofs, authenticate_batch, pipeline};
use casemate_ledger::{BlockContext, Ledger};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{Height, TimeMs};
use ed25519_zebra::SigningKey;

use crate::venue::{FIRST_ACCOUNT, GENESIS_MS, genesis, passive_order, sealed, session_keys, signing_key};
use crate::{HotPath, Prepared};

/// Inclusion and every stateful stage of an envelope with one order; no decision, no record. Signatures were checked before.
pub const STAGES: HotPath = HotPath {
    name: "gate::stages/command=place_order accounts=1024",
    counted: 4 * BLOCK_ENVELOPES,
    prepared_max: 32 * BLOCK_ENVELOPES,
    prepare,
};

const ACCOUNTS: u64 = 1_024;
/// One envelope of each account.
const BLOCK_ENVELOPES: u32 = 1_024;

fn prepare(operations: u32) -> Prepared {
    let mut ledger = Ledger::new(&genesis(ACCOUNTS), session_keys(ACCOUNTS)).expect("a valid genesis");
    let keys: Vec<SigningKey> = (0..ACCOUNTS).map(|place| signing_key(FIRST_ACCOUNT + place)).collect();
    let mut envelopes = envelopes(&ledger, &keys, u64::from(operations)).into_iter();
    let mut block = open_block(&mut ledger);
    let mut budget = BlockBudget::default();
    let mut left = BLOCK_ENVELOPES;
    Box::new(move |operations| {
        for _ in 0..operations {
            if left == 0 {
                ledger.settle();
                (block, budget, left) = (open_block(&mut ledger), BlockBudget::default(), BLOCK_ENVELOPES);
            }
            left -= 1;
            let envelope = envelopes.next().expect("as many envelopes as were prepared");
            let included = budget.include(&mut ledger, &block, envelope).expect("a free nonce");
            let command = &included.envelope().envelope().intent.commands.as_slice()[0];
            let verified = pipeline::verify(&mut ledger, &block, &BuiltInTable, &included, command);
            assert!(black_box(verified).is_ok(), "a refused command costs something else");
        }
    })
}

fn envelopes(ledger: &Ledger, keys: &[SigningKey], count: u64) -> Vec<Authenticated> {
    let chain_id = ledger.chain_id();
    let decoded = (0..count).zip(keys.iter().zip(0..ACCOUNTS).cycle()).map(|(number, (key, place))| {
        let bytes = sealed(*chain_id, FIRST_ACCOUNT + place, key, 1 + number / ACCOUNTS, passive_order(number));
        Decoded::from_bytes(bytes, chain_id).expect("an envelope of this chain")
    });
    let judged = authenticate_batch(decoded.collect(), &NoProofs, &Sequential);
    judged.into_iter().map(|envelope| envelope.expect("a signature of its key")).collect()
}

fn open_block(ledger: &mut Ledger) -> BlockContext {
    let height = Height::new(ledger.chain().height.number() + 1);
    let time_ms = TimeMs::from_ms(GENESIS_MS + 10 * height.number());
    let block = ledger.begin_block(height, time_ms).expect("height and time grow");
    ledger.begin_commands();
    block
}
