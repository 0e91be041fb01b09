//! A replica and the clients that drive it: every command is signed, decoded, authenticated and judged like any other.

use std::collections::BTreeMap;

use casemate_audit::{RecordBody, RecordSource, Verdict};
use casemate_gate::{BuiltInTable, Decoded, authenticate_batch};
use casemate_ledger::Ledger;
use casemate_ledger::segment::{Market, Segment, SubAccount};
use casemate_protocol::block::SealSecret;
use casemate_protocol::envelope::{
    ENVELOPE_VERSION, Envelope, GroupMode, Intent, Signer, SignerRole, digests_without_evidence,
};
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::limits::ENVELOPE_COMMANDS_MAX;
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{AccountId, BoundedVec, Command, Reject, SegmentId, SignatureBytes, TimeMs};
use casemate_replica::Replica;

use crate::venue::{GENESIS_MS, MarketNames, Venue, public_key, signing_key};

/// Drives one replica.
pub(crate) struct Client {
    pub(crate) venue: Venue,
    replica: Replica<BuiltInTable>,
    time_ms: u64,
    nonces: BTreeMap<String, u64>,
}

/// What somebody sends: commands under one signature.
pub(crate) struct Letter {
    pub(crate) from: String,
    pub(crate) commands: Vec<Command>,
}

/// What a block did.
pub(crate) struct Block {
    pub(crate) records: Vec<RecordBody>,
    /// For each letter, by place: the verdict of each command.
    pub(crate) verdicts: Vec<Vec<Result<(), Reject>>>,
    /// Whether a law failed.
    pub(crate) is_law_broken: bool,
}

/// A letter that no block may hold: the scenario asks for what the protocol does not carry.
#[derive(Debug)]
pub(crate) struct NotIncluded {
    pub(crate) from: String,
    pub(crate) reject: Reject,
}

impl Client {
    /// A replica at height 0.
    pub(crate) fn new(venue: Venue) -> Result<Self, String> {
        let seeded: Vec<_> = venue.seeded_keys().collect();
        let replica = Replica::new(&venue.genesis, seeded.into_iter(), BuiltInTable, &Sequential)
            .map_err(|error| error.to_string())?;
        Ok(Self { venue, replica, time_ms: GENESIS_MS, nonces: BTreeMap::new() })
    }

    pub(crate) const fn ledger(&self) -> &Ledger {
        self.replica.ledger()
    }

    /// Block time of the last block.
    pub(crate) const fn time_ms(&self) -> u64 {
        self.time_ms
    }

    pub(crate) fn account(&self, name: &str) -> AccountId {
        self.venue.accounts.get(name).copied().unwrap_or(AccountId::NONE)
    }

    pub(crate) fn segment(&self, id: SegmentId) -> Option<&Segment> {
        self.ledger().segment(id)
    }

    pub(crate) fn row(&self, name: &str, segment: SegmentId) -> Option<&SubAccount> {
        self.segment(segment)?.sub_account(self.account(name))
    }

    pub(crate) fn market(&self, names: &MarketNames) -> Option<&Market> {
        self.segment(names.segment)?.markets().iter().find(|market| market.rules().id == names.id)
    }

    /// A block at this time, or as soon after the last as time can grow, with these letters.
    ///
    /// # Errors
    /// A letter that the block may not hold. The block stands without it.
    pub(crate) fn block(&mut self, at_ms: u64, letters: &[Letter]) -> Result<Block, NotIncluded> {
        self.time_ms = (self.time_ms + 1).max(GENESIS_MS + at_ms);
        let mut batch = Vec::with_capacity(letters.len());
        for letter in letters {
            let bytes = self.sealed(letter);
            let fail = |reject| NotIncluded { from: letter.from.clone(), reject };
            batch.push(Decoded::from_bytes(bytes, self.ledger().chain_id()).map_err(fail)?);
        }
        let mut envelopes = Vec::with_capacity(batch.len());
        for (letter, envelope) in letters.iter().zip(authenticate_batch(batch, &Sequential)) {
            envelopes.push(envelope.map_err(|reject| NotIncluded { from: letter.from.clone(), reject })?);
        }
        let time = TimeMs::from_ms(self.time_ms);
        let secret =
            SealSecret(hash::digest(Domain::Development, &[b"scenario secret", &self.time_ms.to_le_bytes()]).0);
        let fail = |_| NotIncluded {
            from: "the driver".to_owned(),
            reject: Reject::of(casemate_protocol::RejectCode::BlockFull),
        };
        let proposal = self.replica.propose(envelopes, time, secret, &Sequential, &mut ()).map_err(fail)?;
        self.replica.adopt();
        if let Some((place, reject, _)) = proposal.left_out.first() {
            let from = letters.get(*place).map_or_else(String::new, |letter| letter.from.clone());
            return Err(NotIncluded { from, reject: *reject });
        }
        let executed = proposal.executed;
        let verdict = |refusal: Option<Reject>| refusal.map_or(Ok(()), Err);
        let verdicts = executed.envelopes.iter();
        let verdicts = verdicts.map(|one| one.commands.iter().map(|command| verdict(command.refusal)).collect());
        let bodies = executed.body_ranges.iter().filter_map(|range| executed.bodies.get(range.clone()));
        Ok(Block {
            records: bodies.filter_map(|bytes| borsh::from_slice(bytes).ok()).collect(),
            verdicts: verdicts.collect(),
            is_law_broken: !executed.broken.is_empty(),
        })
    }

    /// Whether the laws hold, recomputed from every row.
    pub(crate) fn laws_hold(&self) -> bool {
        self.ledger().check_laws_from_rows().is_empty()
    }

    fn sealed(&mut self, letter: &Letter) -> Vec<u8> {
        let key = signing_key(&letter.from);
        let account = self.account(&letter.from);
        // The opening of an account is its first envelope, also where genesis opened it.
        let first = self.ledger().accounts().account(account).map_or(1, |row| row.nonces().next());
        let nonce = self.nonces.entry(letter.from.clone()).or_insert(first - 1);
        *nonce += 1;
        let commands = letter.commands.iter().take(ENVELOPE_COMMANDS_MAX).cloned().collect();
        let intent = Intent {
            version: ENVELOPE_VERSION,
            chain_id: *self.replica.ledger().chain_id(),
            account,
            signer: Signer { role: SignerRole::Root, key: public_key(&key) },
            nonce: *nonce,
            valid_until_ms: TimeMs::from_ms(self.time_ms + 60_000),
            group: GroupMode::EachAlone,
            commands: BoundedVec::new(commands).unwrap_or_default(),
        };
        let signature = SignatureBytes(key.sign(digests_without_evidence(&intent).envelope.bytes()).into());
        Envelope { intent, evidence: BoundedVec::empty(), signature }.encode()
    }
}

/// The refusal of work that the ledger listed itself, such as a release.
pub(crate) fn system_refusal(record: &RecordBody) -> Option<Reject> {
    match (&record.source, &record.verdict) {
        (RecordSource::System(_), Verdict::Refused(reject)) => Some(*reject),
        _ => None,
    }
}
