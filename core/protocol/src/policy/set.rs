//! A set of policies as its texts, and what a chain says of the set in force.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::BoundedVec;
use crate::hash::{self, Digest, Domain};
use crate::ids::PolicyEpoch;
use crate::limits::{POLICY_FILE_BYTES_MAX, POLICY_FILE_NAME_BYTES_MAX, POLICY_FILES_MAX};

/// One file of a set.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PolicyFile {
    /// Its name, for people; refusals of a set say it.
    pub name: BoundedVec<u8, POLICY_FILE_NAME_BYTES_MAX>,
    /// Its text.
    pub text: BoundedVec<u8, POLICY_FILE_BYTES_MAX>,
}

/// The texts of a set, in the order of their names. Without a file: the built-in table.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PolicySet {
    /// The files.
    pub files: BoundedVec<PolicyFile, POLICY_FILES_MAX>,
}

/// The policy in force, as the chain's row says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PolicyStamp {
    /// Counts the sets from that of genesis, which is 0.
    pub epoch: PolicyEpoch,
    /// Digest of the set's texts.
    pub set: Digest,
    /// Digest of the table that it compiles into.
    pub table: Digest,
}

impl PolicySet {
    /// A set of named texts; none if there are too many, or one is too long.
    #[must_use]
    pub fn of_texts<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let file = |(name, text): (&str, &str)| {
            Some(PolicyFile {
                name: BoundedVec::new(name.as_bytes().to_vec())?,
                text: BoundedVec::new(text.as_bytes().to_vec())?,
            })
        };
        let mut files = texts.into_iter().map(file).collect::<Option<Vec<_>>>()?;
        files.sort_by(|one, other| one.name.as_slice().cmp(other.name.as_slice()));
        Some(Self { files: BoundedVec::new(files)? })
    }

    /// Whether it stands for the built-in table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Digest of the texts.
    #[must_use]
    pub fn digest(&self) -> Digest {
        hash::digest_of(Domain::PolicySet, self)
    }
}
