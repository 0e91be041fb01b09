//! From bytes to an envelope with its digests, as everything that arrives goes first.

use std::hint::black_box;

use casemate_gate::Decoded;

use crate::venue::{FIRST_ACCOUNT, genesis, passive_order, sealed, signing_key};
use crate::{HotPath, Prepared};

pub const PLACE_ORDER: HotPath =
    HotPath { name: "gate::decode/command=place_order", counted: 4_096, prepared_max: 100_000, prepare };

fn prepare(operations: u32) -> Prepared {
    let chain_id = genesis(1).chain_id();
    let bytes = sealed(chain_id, FIRST_ACCOUNT, &signing_key(FIRST_ACCOUNT), 1, passive_order(1));
    let mut arrived = vec![bytes; usize::try_from(operations).expect("a prepared number fits")].into_iter();
    Box::new(move |operations| {
        for _ in 0..operations {
            let bytes = arrived.next().expect("as many envelopes as were prepared");
            black_box(Decoded::from_bytes(bytes, &chain_id).expect("an envelope of this chain"));
        }
    })
}
