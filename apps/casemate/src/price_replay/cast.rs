//! Who takes part, with their accounts and keys, all derived from the seed.

use casemate_gate::{Authenticated, Decoded, NoProofs, authenticate_batch};
use casemate_ledger::Ledger;
use casemate_node::Threads;
use casemate_node::development_keys::{
    attestor_key, auditor_key, backstop_key, governor_key, public_key, publisher_key, risk_officer_key, root_key,
    sign_envelope,
};
use casemate_protocol::envelope::{ENVELOPE_VERSION, GroupMode, Intent, Signer, SignerRole};
use casemate_protocol::genesis::Genesis;
use casemate_protocol::{AccountId, BoundedVec, Command, Digest, DurationMs, Envelope, PublicKey, TimeMs};
use ed25519_zebra::SigningKey;

use super::scene::Letter;
use super::venue::{ATTESTORS, MAKERS, OFFICERS, PUBLISHERS};
use crate::error::CliError;

/// A participant, numbered from 0 within its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Attests deposits.
    Attestor(u64),
    /// Publishes prices.
    Publisher(u64),
    /// Reopens the segment after a breaker.
    RiskOfficer(u64),
    /// Reopens it after a halt.
    Governor(u64),
    /// Takes over what the book of a segment cannot close.
    Backstop(u64),
    /// Quotes.
    Maker(u64),
    /// One of the crowd.
    Trader(u64),
}

impl Actor {
    /// Its account in a venue with so many backstops and auditors: principals in the order of genesis, then the seeded
    /// accounts, makers first.
    pub const fn account(self, late_offices: u64) -> AccountId {
        const PUBLISHER: u64 = 1 + ATTESTORS;
        const RISK_OFFICER: u64 = PUBLISHER + PUBLISHERS;
        const GOVERNOR: u64 = RISK_OFFICER + OFFICERS;
        const BACKSTOP: u64 = GOVERNOR + OFFICERS;
        let maker = BACKSTOP + late_offices;
        AccountId::new(match self {
            Self::Attestor(index) => 1 + index,
            Self::Publisher(index) => PUBLISHER + index,
            Self::RiskOfficer(index) => RISK_OFFICER + index,
            Self::Governor(index) => GOVERNOR + index,
            Self::Backstop(index) => BACKSTOP + index,
            Self::Maker(index) => maker + index,
            Self::Trader(index) => maker + MAKERS + index,
        })
    }

    fn key(self, seed: &[u8; 32]) -> SigningKey {
        match self {
            Self::Attestor(index) => attestor_key(seed, index),
            Self::Publisher(index) => publisher_key(seed, index),
            Self::RiskOfficer(index) => risk_officer_key(seed, index),
            Self::Governor(index) => governor_key(seed, index),
            Self::Backstop(index) => backstop_key(seed, index),
            Self::Maker(index) => root_key(seed, index),
            Self::Trader(index) => root_key(seed, MAKERS + index),
        }
    }
}

/// Everybody's keys.
pub struct Cast {
    chain_id: Digest,
    /// Backstops and auditors.
    late_offices: u64,
    /// By account, from 1.
    keys: Vec<(SigningKey, PublicKey)>,
}

impl Cast {
    /// The cast of a chain with so many traders.
    pub fn new(genesis: &Genesis, seed: &[u8; 32], crowd: u64) -> Self {
        let backstops = u64::try_from(genesis.clearing.len()).unwrap_or(u64::MAX);
        let offices = (0..ATTESTORS)
            .map(Actor::Attestor)
            .chain((0..PUBLISHERS).map(Actor::Publisher))
            .chain((0..OFFICERS).map(Actor::RiskOfficer))
            .chain((0..OFFICERS).map(Actor::Governor))
            .chain((0..backstops).map(Actor::Backstop));
        let auditors = u64::try_from(genesis.auditors.len()).unwrap_or(u64::MAX);
        let traders = (0..MAKERS).map(Actor::Maker).chain((0..crowd).map(Actor::Trader));
        // Auditors take no part, and have their place among the accounts.
        let keys = offices
            .map(|office| office.key(seed))
            .chain((0..auditors).map(|index| auditor_key(seed, index)))
            .chain(traders.map(|trader| trader.key(seed)));
        let pair = |key: SigningKey| {
            let public = public_key(&key);
            (key, public)
        };
        Self { chain_id: genesis.chain_id(), late_offices: backstops + auditors, keys: keys.map(pair).collect() }
    }

    /// A letter in an envelope that its sender's root key has signed.
    ///
    /// # Errors
    /// The sender is not of this cast, or the letter holds more commands than an envelope may.
    pub fn sign(&self, letter: Letter, nonce: u64, now: TimeMs) -> Result<Envelope, CliError> {
        let account = letter.from.account(self.late_offices);
        let place = usize::try_from(account.number()).ok().and_then(|number| number.checked_sub(1));
        let (key, public) = place
            .and_then(|place| self.keys.get(place))
            .ok_or_else(|| CliError::defect(format!("{:?} is not of the cast", letter.from)))?;
        let commands: BoundedVec<Command, _> = BoundedVec::new(letter.commands)
            .ok_or_else(|| CliError::defect(format!("{:?} signed too many commands at once", letter.from)))?;
        let intent = Intent {
            version: ENVELOPE_VERSION,
            chain_id: self.chain_id,
            account,
            signer: Signer { role: SignerRole::Root, key: *public },
            nonce,
            valid_until_ms: now.plus(VALIDITY),
            group: GroupMode::EachAlone,
            commands,
        };
        Ok(sign_envelope(intent, key))
    }

    /// The letters of a block, each with its account's next nonce.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub fn sign_all(&self, letters: Vec<Letter>, ledger: &Ledger, now: TimeMs) -> Result<Vec<Envelope>, CliError> {
        let mut used: Vec<AccountId> = Vec::with_capacity(letters.len());
        let mut envelopes = Vec::with_capacity(letters.len());
        for letter in letters {
            let account = letter.from.account(self.late_offices);
            let earlier = used.iter().filter(|other| **other == account).count() as u64;
            used.push(account);
            envelopes.push(self.sign(letter, next_nonce(ledger, account) + earlier, now)?);
        }
        Ok(envelopes)
    }

    /// Passes envelopes through the stateless stages of the gate, as everybody's.
    ///
    /// # Errors
    /// The gate refused what the replay signed.
    pub fn authenticate(&self, envelopes: &[Envelope], threads: &Threads) -> Result<Vec<Authenticated>, CliError> {
        let refused = |reject| CliError::defect(format!("the replay's own envelope was refused: {reject}"));
        let decoded: Result<Vec<Decoded>, _> =
            envelopes.iter().map(|envelope| Decoded::from_bytes(envelope.encode(), &self.chain_id)).collect();
        authenticate_batch(decoded.map_err(refused)?, &NoProofs, threads)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(refused)
    }
}

/// The next nonce of an account's root key.
pub fn next_nonce(ledger: &Ledger, account: AccountId) -> u64 {
    ledger.accounts().account(account).map_or(1, |row| row.nonces().next())
}

/// How long a signed command stays acceptable.
const VALIDITY: DurationMs = DurationMs::from_ms(30_000);
