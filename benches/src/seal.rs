//! What a block's changed rows cost: a salt and a commitment each, and the paths above them.

use casemate_ledger::Ledger;
use casemate_ledger::page_tree::{PageTree, RowSeal, row_salt};
use casemate_ledger::paged::Row;
use casemate_ledger::segment::SubAccount;
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::merkle::{TableId, TableKind};
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{AccountId, Digest, Height};

use crate::venue::{FIRST_ACCOUNT, SEGMENT, genesis, scattered, unsigned_keys};
use crate::{HotPath, Prepared};

/// Rows of sub-accounts, at places scattered over the whole table.
pub const ROWS: HotPath =
    HotPath { name: "ledger::seal/rows=4096 seals=1000000", counted: 1, prepared_max: u32::MAX, prepare };

const CHANGED_ROWS: u64 = 4_096;
const SEALS: u64 = 1_000_000;

fn prepare(_operations: u32) -> Prepared {
    let ledger = Ledger::new(&genesis(CHANGED_ROWS), unsigned_keys(CHANGED_ROWS)).expect("a valid genesis");
    let segment = ledger.segment(SEGMENT).expect("the venue has a segment");
    let row =
        |place| segment.sub_account(AccountId::new(FIRST_ACCOUNT + place)).expect("every account has cash").clone();
    let rows: Vec<SubAccount> = (0..CHANGED_ROWS).map(row).collect();
    // One change in each stretch of the table, so that places are distinct and in order.
    let stretch = SEALS / CHANGED_ROWS;
    let places: Vec<u64> = (0..CHANGED_ROWS).map(|number| number * stretch + scattered(number) % stretch).collect();
    let table = TableId { kind: TableKind::SubAccounts, segment: SEGMENT.number() };
    let seed = hash::digest(Domain::Development, &[b"salts"]);
    let seals = (0..SEALS).map(|number| RowSeal::new(stand_in(number), Height::NONE)).collect();
    let mut tree = PageTree::from_seals(seals, &Sequential);
    let mut height = Height::NONE;
    let mut buffer = Vec::new();
    Box::new(move |operations| {
        for _ in 0..operations {
            height = height.next();
            let seal = |(&place, row): (&u64, &SubAccount)| {
                let salt = row_salt(&seed, table, place, height);
                (place, RowSeal::new(row.commitment(&salt, &mut buffer), height))
            };
            let seals: Vec<(u64, RowSeal)> = places.iter().zip(&rows).map(seal).collect();
            tree.update(SEALS, &seals, &Sequential);
        }
    })
}

/// A commitment that nothing was hashed for: a million hashes would be most of the preparation.
fn stand_in(number: u64) -> Digest {
    let mut bytes = [1; 32];
    for (byte, source) in bytes.iter_mut().zip(number.to_le_bytes()) {
        *byte = source;
    }
    Digest(bytes)
}
