//! Keys of seeded accounts, derived once for all rows of a run.

use std::fs;
use std::io::Write;
use std::path::Path;

use casemate_ledger::SeededKeys;
use casemate_node::development_keys::seeded_public_keys;
use casemate_protocol::genesis::SeededAccounts;
use casemate_protocol::{DurationMs, PublicKey, QuantityLots, QuoteMicros};

use crate::error::CliError;

/// Public keys of seeded accounts, from a file beside the chains if they were derived before.
pub struct SeededKeyCache {
    keys: Vec<SeededKeys>,
}

impl SeededKeyCache {
    /// Reads or derives the keys of `count` accounts.
    pub fn open(dir: &Path, seed: &[u8; 32], count: u64) -> Result<Self, CliError> {
        let path = dir.join(format!("keys-{count}-{:02x}{:02x}", seed[0], seed[1]));
        if let Ok(bytes) = fs::read(&path)
            && bytes.len() as u64 == count * 64
        {
            let (pairs, _) = bytes.as_chunks::<64>();
            let keys = pairs.iter().map(|pair| SeededKeys { root: key(&pair[..32]), session: key(&pair[32..]) });
            return Ok(Self { keys: keys.collect() });
        }
        let seeded = SeededAccounts {
            count,
            seed: *seed,
            balance: QuoteMicros::ZERO,
            position_lots: QuantityLots::ZERO,
            grant_notional: QuoteMicros::ZERO,
            grant_commands_per_minute: 0,
            grant_lifetime_ms: DurationMs::ZERO,
        };
        let keys: Vec<SeededKeys> =
            seeded_public_keys(&seeded).into_iter().map(|(root, session)| SeededKeys { root, session }).collect();
        let mut bytes = Vec::with_capacity(keys.len() * 64);
        for pair in &keys {
            bytes.extend_from_slice(pair.root.bytes());
            bytes.extend_from_slice(pair.session.bytes());
        }
        let write = || -> std::io::Result<()> { fs::File::create(&path)?.write_all(&bytes) };
        write().map_err(|error| super::cannot("write", &path, &error))?;
        Ok(Self { keys })
    }

    /// The keys, in the order of the accounts.
    pub fn iter(&self) -> impl Iterator<Item = SeededKeys> + '_ {
        self.keys.iter().copied()
    }
}

fn key(bytes: &[u8]) -> PublicKey {
    PublicKey::Ed25519(bytes.try_into().unwrap_or_default())
}
