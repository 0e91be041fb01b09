//! The shipped set, broken sets, and random requests.

#![expect(dead_code, reason = "each file of tests uses its part")]

use std::path::PathBuf;

use casemate_policy_cedar::{Policies, PolicyError, PolicyFolder};
use casemate_protocol::QuoteMicros;
use casemate_protocol::policy::{ConductBand, PolicyAction, PolicyKind, PolicyQuestion, PolicyRegime, SegmentState};

/// The texts of the shipped set.
pub fn shipped_folder() -> PolicyFolder {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../spec/policies");
    PolicyFolder::read(&folder).unwrap()
}

/// The shipped set.
pub fn shipped() -> Policies {
    Policies::load(&shipped_folder()).unwrap_or_else(|error| panic!("{error}: {}", error.hint))
}

/// The shipped set with one file of `tests/fixtures` more.
pub fn with_fixture(name: &str) -> Result<Policies, PolicyError> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let mut folder = shipped_folder();
    folder.files.insert(name.to_owned(), std::fs::read_to_string(path).unwrap());
    Policies::load(&folder)
}

/// Numbers from a seed, the same on every machine.
pub struct Draw(u64);

impl Draw {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below a bound (splitmix64).
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn word<T: Copy>(&mut self, words: &[T]) -> T {
        words[usize::try_from(self.below(u64::try_from(words.len()).unwrap())).unwrap()]
    }

    pub fn question(&mut self, borders: &[i64]) -> PolicyQuestion {
        let near = if borders.is_empty() { 0 } else { self.word(borders) };
        let amount = match self.below(4) {
            0 => near - 1,
            1 => near,
            2 => near + 1,
            _ => i64::try_from(self.below(1 << 40)).unwrap(),
        };
        PolicyQuestion {
            kind: self.word(PolicyKind::ALL),
            action: self.word(PolicyAction::ALL),
            state: self.word(SegmentState::ALL),
            regime: self.word(PolicyRegime::ALL),
            amount: QuoteMicros::from_micros(amount),
            conduct: self.word(ConductBand::ALL),
        }
    }
}
