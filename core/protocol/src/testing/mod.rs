//! What tests of every crate need to speak the protocol: arbitrary values, fixed examples, golden files.
//!
//! Behind the feature `testing`, which replicas do not enable: nothing here decides anything. A new command, event or
//! piece of work without a strategy and an example does not compile, or fails the tests of this crate.

pub mod arbitrary;
pub mod examples;
pub mod golden;

use borsh::BorshDeserialize;

/// The tags with which an enum's encoding can begin, found by trying all: a list that cannot be forgotten.
#[must_use]
pub fn known_tags<T: BorshDeserialize>() -> Vec<u8> {
    // The decoder that borsh derives words an unknown tag this way; whatever else it says, it knew the tag.
    let is_unknown = |error: borsh::io::Error| error.to_string().starts_with("Unexpected variant tag");
    (0..=u8::MAX).filter(|&tag| !T::try_from_slice(&[tag]).is_err_and(is_unknown)).collect()
}
