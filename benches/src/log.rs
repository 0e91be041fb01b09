//! One leaf more in the log of records.

use std::hint::black_box;

use casemate_audit::Log;
use casemate_protocol::hash::{self, Domain};

use crate::{HotPath, Prepared};

/// Appending hashes once on average, whatever the size.
pub const APPEND: HotPath =
    HotPath { name: "audit::log_append/size=65536", counted: 4_096, prepared_max: u32::MAX, prepare };

const SIZE: u32 = 65_536;

fn prepare(_operations: u32) -> Prepared {
    let leaf = hash::digest(Domain::Development, &[b"leaf"]);
    let mut log = Log::default();
    for _ in 0..SIZE {
        log.append(leaf);
    }
    Box::new(move |operations| {
        for _ in 0..operations {
            black_box(log.append(black_box(leaf)));
        }
    })
}
