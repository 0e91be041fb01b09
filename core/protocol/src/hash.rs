//! Domain-separated SHA-256: the only hash of the protocol.
//!
//! Each use has a tag of its own, so that bytes hashed for one purpose never stand for another. The tag's length is
//! part of the hashed bytes, so no tag is a prefix of another's input.

use borsh::{BorshDeserialize, BorshSerialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// All zero: stands for "nothing before this" and is never the digest of anything known.
    pub const ZERO: Self = Self([0; 32]);

    /// The digest's bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl core::fmt::Display for Digest {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&Hex(&self.0), formatter)
    }
}

impl core::fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Display::fmt(&Hex(&self.0), formatter)
    }
}

/// Shows bytes in lower-case hexadecimal.
pub struct Hex<'a>(pub &'a [u8]);

impl core::fmt::Display for Hex<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

macro_rules! domains {
    ($($(#[$meta:meta])* $name:ident = $tag:literal;)*) => {
        /// What a digest is for. The tags are permanent.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Domain {
            $($(#[$meta])* $name,)*
        }

        impl Domain {
            /// Every domain.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            const fn tag(self) -> &'static [u8] {
                match self { $(Self::$name => $tag,)* }
            }
        }
    };
}

domains! {
    /// Canonical genesis bytes: the chain id.
    Genesis = b"\x07cm.gene";
    /// Everything of an envelope before its evidence: the envelope id.
    Intent = b"\x07cm.intn";
    /// The evidence list of an envelope.
    Evidence = b"\x07cm.evid";
    /// Intent digest and evidence hash: what every signature signs.
    Envelope = b"\x07cm.envl";
    /// The terms of a read pass: what its signature signs.
    ReadPass = b"\x07cm.read";
    /// A block header: the block id.
    Header = b"\x07cm.head";
    /// The secret of a block, committed to by its header.
    SealSecret = b"\x07cm.secr";
    /// The salt of one record.
    RecordSalt = b"\x07cm.rslt";
    /// The commitment of one record body.
    RecordBody = b"\x07cm.rbdy";
    /// The salt of one table row.
    RowSalt = b"\x07cm.wslt";
    /// The commitment of one table row.
    Row = b"\x07cm.wrow";
    /// A node of a table's page tree.
    TableNode = b"\x07cm.node";
    /// A table's root with its row count.
    TableRoot = b"\x07cm.tabl";
    /// The state root over all tables.
    StateRoot = b"\x07cm.stat";
    /// The running digest of a book or an append-only registry.
    Running = b"\x07cm.runn";
    /// Coefficients of a signature batch.
    BatchCoefficients = b"\x07cm.batc";
    /// A deposit claim's key.
    DepositClaim = b"\x07cm.dpst";
    /// A chain outside with a name on it, for conduct.
    Outside = b"\x07cm.outs";
    /// A set of policies.
    PolicySet = b"\x07cm.pset";
    /// A compiled policy table.
    PolicyTable = b"\x07cm.ptab";
    /// A rule of a policy that the table does not hold.
    PolicyRule = b"\x07cm.prul";
    /// Seeds and derived values of development chains, replays and benchmarks.
    Development = b"\x07cm.devl";
}

/// Digest of the parts, one after the other, under a domain.
///
/// The parts' borders are not hashed: callers put variable-length parts last or encode their length.
#[must_use]
pub fn digest(domain: Domain, parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::new(domain);
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// Digest of eight digests in a row: what [`digest`] gives, from one pass over contiguous bytes.
#[must_use]
pub fn digest_of_digests(domain: Domain, digests: &[Digest; 8]) -> Digest {
    let mut bytes = [0; TAG_SIZE_BYTES + 8 * 32];
    let (tag, rest) = bytes.split_at_mut(TAG_SIZE_BYTES);
    tag.copy_from_slice(domain.tag());
    for (place, digest) in rest.chunks_exact_mut(32).zip(digests) {
        place.copy_from_slice(digest.bytes());
    }
    Digest(Sha256::digest(bytes).into())
}

/// Empties a buffer and starts what [`digest_prepared`] will hash under a domain.
pub fn prepare(domain: Domain, buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.extend_from_slice(domain.tag());
}

/// Digest of bytes that begin with what [`prepare`] wrote: what [`digest`] gives, from one pass over contiguous bytes.
#[must_use]
pub fn digest_prepared(buffer: &[u8]) -> Digest {
    Digest(Sha256::digest(buffer).into())
}

/// Bytes of a tag: its length, and seven letters.
const TAG_SIZE_BYTES: usize = 8;

/// Digest of a value's canonical bytes under a domain.
#[must_use]
pub fn digest_of<T: BorshSerialize>(domain: Domain, value: &T) -> Digest {
    let mut hasher = Hasher::new(domain);
    hasher.update_value(value);
    hasher.finish()
}

/// A digest in the making.
#[derive(Clone)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Starts a digest under a domain.
    #[must_use]
    pub fn new(domain: Domain) -> Self {
        Self(Sha256::new_with_prefix(domain.tag()))
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds a value's canonical bytes.
    pub fn update_value<T: BorshSerialize>(&mut self, value: &T) {
        // Writing into a hasher cannot fail, and the types of this crate encode without errors of their own.
        let encoded = value.serialize(&mut HasherWriter(&mut self.0));
        debug_assert!(encoded.is_ok(), "a hashed value refuses to encode");
    }

    /// The digest.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

struct HasherWriter<'a>(&'a mut Sha256);

impl borsh::io::Write for HasherWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> borsh::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> borsh::io::Result<()> {
        Ok(())
    }
}

/// SHA-256 without a domain tag, for the RFC 6962 log whose prefixes are its own separation.
#[must_use]
pub(crate) fn plain(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

#[cfg(test)]
mod tests;
