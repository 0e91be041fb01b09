//! Hot paths of core, each with its preparation, to be timed (`cargo bench -p casemate-benches`) or counted
//! (`cargo xtask count`).
//!
//! A crate of its own, so that the inner loop of core does not compile criterion. The paths are here rather than in the
//! benchmarks because two programs run them: one with a clock and criterion, one without either.
//!
//! Deliberately absent: checking signatures, whose library orders a batch by a seed of its own and so never takes the
//! same instructions twice (`benches/authenticate.rs` times it); and everything with a disk, which `casemate bench`
//! measures from socket to receipt.

mod conduct;
mod decode;
mod gate;
mod ledger;
mod log;
mod replica;
mod seal;
pub mod venue;

/// Performs that many of the prepared operations, the next ones with each call.
pub type Prepared = Box<dyn FnMut(u32)>;

/// Something that happens for every command or block.
pub struct HotPath {
    /// What it is and on what, as `place/key=value key=value`.
    pub name: &'static str,
    /// Operations of the shorter of two counted runs.
    pub counted: u32,
    /// Most operations of one preparation; the tables that they fill have maxima.
    pub prepared_max: u32,
    /// Gets ready for a number of operations.
    pub prepare: fn(u32) -> Prepared,
}

/// Every hot path, in the order of a command's way.
pub const HOT_PATHS: [HotPath; 13] = [
    decode::PLACE_ORDER,
    gate::STAGES,
    ledger::PLACE_RESTING,
    ledger::PLACE_TAKING,
    ledger::CANCEL,
    ledger::AMEND,
    ledger::QUOTE_LADDER,
    conduct::PLACED,
    conduct::CANCELLED,
    conduct::TRADED,
    log::APPEND,
    seal::ROWS,
    replica::PROPOSE,
];

/// The hot path of a name.
#[must_use]
pub fn hot_path(name: &str) -> Option<&'static HotPath> {
    const PATHS: &[HotPath] = &HOT_PATHS;
    PATHS.iter().find(|path| path.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_does_what_it_prepared_for() {
        // Under a debug build the page tree of a million rows takes longer than all others together.
        for path in HOT_PATHS.iter().filter(|path| path.name != seal::ROWS.name) {
            let mut run = (path.prepare)(2);
            run(1);
            run(1);
        }
    }

    #[test]
    fn names_are_parseable_and_found() {
        for path in &HOT_PATHS {
            let (place, keys) = path.name.split_once('/').expect("a place, then keys");
            assert!(place.contains("::") && keys.split(' ').all(|key| key.contains('=')), "{}", path.name);
            assert!(!path.name.contains('\t') && hot_path(path.name).is_some());
            assert!(2 * path.counted <= path.prepared_max, "{}", path.name);
        }
    }
}
