//! A replica and the clients that drive it: every command is signed, decoded, authenticated and judged like any other.
//!
//! The replica either makes blocks itself, of what clients send, or follows a running venue ([`LiveVenue`]) to which they
//! send it. Whoever reads the state reads the replica's in both cases.

use std::collections::{BTreeMap, VecDeque};

use casemate_audit::{RecordBody, RecordSource, Verdict};
use casemate_gate::{BuiltInTable, Decoded, NoProofs, authenticate_batch};
use casemate_ledger::Ledger;
use casemate_ledger::segment::{Market, Segment, SubAccount};
use casemate_protocol::block::SealSecret;
use casemate_protocol::envelope::{
    ENVELOPE_VERSION, Envelope, GroupMode, Intent, Signer, SignerRole, digests_without_evidence,
};
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::limits::ENVELOPE_COMMANDS_MAX;
use casemate_protocol::parallel::Sequential;
use casemate_protocol::{AccountId, BoundedVec, Command, Digest, Reject, SegmentId, SignatureBytes, TimeMs};
use casemate_replica::{Executed, Replica};

use crate::live::{Ended, LiveVenue};
use crate::venue::{GENESIS_MS, MarketNames, Venue, holder, public_key};

/// Drives one replica.
pub(crate) struct Client {
    pub(crate) venue: Venue,
    replica: Replica<BuiltInTable>,
    time_ms: u64,
    nonces: BTreeMap<String, u64>,
    road: Road,
}

/// How letters come into blocks.
enum Road {
    /// Each time in one block, which the replica makes.
    Own {
        /// Blocks that nobody has looked at.
        made: VecDeque<Block>,
    },
    /// In blocks of a running venue, with whatever else is in them.
    Live {
        venue: Box<dyn LiveVenue>,
        /// Places of the letters that were sent last, by their envelopes' ids.
        sent: BTreeMap<Digest, usize>,
    },
}

/// What somebody sends: commands under one signature.
pub(crate) struct Letter {
    pub(crate) from: String,
    pub(crate) commands: Vec<Command>,
}

/// What a block did.
pub(crate) struct Block {
    pub(crate) records: Vec<RecordBody>,
    /// Letters of those sent last that it holds: the place of each, and the verdict of each command.
    pub(crate) verdicts: Vec<(usize, Vec<Result<(), Reject>>)>,
    /// Whether a law failed.
    pub(crate) is_law_broken: bool,
}

/// A letter that no block may hold: the scenario asks for what the protocol does not carry.
#[derive(Debug)]
pub(crate) struct NotIncluded {
    pub(crate) from: String,
    pub(crate) why: String,
}

impl NotIncluded {
    fn of(letter: Option<&Letter>, why: impl ToString) -> Self {
        Self { from: letter.map_or_else(String::new, |letter| letter.from.clone()), why: why.to_string() }
    }
}

/// Why nothing came of sending.
#[derive(Debug)]
pub(crate) enum Unsent {
    NotIncluded(NotIncluded),
    Ended(Ended),
}

impl From<NotIncluded> for Unsent {
    fn from(refused: NotIncluded) -> Self {
        Self::NotIncluded(refused)
    }
}

impl From<Ended> for Unsent {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}

impl Client {
    /// A replica at height 0 that makes its own blocks.
    pub(crate) fn new(venue: Venue) -> Result<Self, String> {
        Self::on(venue, Road::Own { made: VecDeque::new() })
    }

    /// A replica at height 0 that follows a running venue.
    pub(crate) fn live(venue: Venue, live: Box<dyn LiveVenue>) -> Result<Self, String> {
        Self::on(venue, Road::Live { venue: live, sent: BTreeMap::new() })
    }

    fn on(venue: Venue, road: Road) -> Result<Self, String> {
        let seeded: Vec<_> = venue.seeded_keys().collect();
        let replica = Replica::new(&venue.genesis, seeded.into_iter(), BuiltInTable, &Sequential)
            .map_err(|error| error.to_string())?;
        Ok(Self { venue, replica, time_ms: GENESIS_MS, nonces: BTreeMap::new(), road })
    }

    pub(crate) const fn ledger(&self) -> &Ledger {
        self.replica.ledger()
    }

    /// Block time of the last block.
    pub(crate) const fn time_ms(&self) -> u64 {
        self.time_ms
    }

    pub(crate) fn account(&self, name: &str) -> AccountId {
        self.venue.accounts.get(holder(name).0).copied().unwrap_or(AccountId::NONE)
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

    /// Sends letters at this time, or as soon after the last block as time can grow. What came of them is in the blocks
    /// that [`Client::next_block`] gives.
    ///
    /// # Errors
    /// A letter that no block may hold; the others stand. The venue ends.
    pub(crate) fn send(&mut self, at_ms: u64, letters: &[Letter]) -> Result<(), Unsent> {
        if let Road::Live { .. } = self.road {
            return self.send_live(at_ms, letters);
        }
        let block = self.block(at_ms, letters)?;
        if let Road::Own { made } = &mut self.road {
            made.push_back(block);
        }
        Ok(())
    }

    /// The next block, with the replica's state as after it; none if there is no further one yet.
    ///
    /// # Errors
    /// The venue ends, or shows a block that does not follow from those before.
    pub(crate) fn next_block(&mut self) -> Result<Option<Block>, Unsent> {
        let (venue, sent) = match &mut self.road {
            Road::Own { made } => return Ok(made.pop_front()),
            Road::Live { venue, sent } => (venue, sent),
        };
        let height = self.replica.ledger().chain().height.next().number();
        let Some(block) = venue.block(height)? else { return Ok(None) };
        let executed = self.replica.verify(&block, &Sequential).map_err(|invalid| Ended::Failed {
            message: format!("block `{height}` of the venue does not follow from those before it: {invalid}"),
            hint: "this is a defect of casemate: keep the folder and report it".to_owned(),
        })?;
        self.replica.adopt();
        self.time_ms = self.time_ms.max(block.header.time_ms.ms());
        let places = executed.envelopes.iter().map(|one| sent.get(&one.envelope).copied()).collect();
        Ok(Some(Block::of(&executed, places)))
    }

    fn send_live(&mut self, at_ms: u64, letters: &[Letter]) -> Result<(), Unsent> {
        let time_ms = GENESIS_MS + at_ms;
        if let Road::Live { venue, .. } = &mut self.road {
            venue.come_to(TimeMs::from_ms(time_ms))?;
        }
        // Sealed after the wait, so that what ends by time counts from now.
        self.time_ms = self.time_ms.max(time_ms);
        // What the ledger says of nonces is known up to the last durable block, and nothing of ours is on its way.
        self.nonces.clear();
        let sealed = letters.iter().map(|letter| self.sealed(letter)).collect::<Result<Vec<_>, _>>()?;
        let Road::Live { venue, sent } = &mut self.road else { return Ok(()) };
        *sent = sealed.iter().zip(0..).map(|((id, _), place)| (*id, place)).collect();
        let refused = venue.submit(sealed.into_iter().map(|(_, bytes)| bytes).collect())?;
        match refused.first() {
            Some((place, reject)) => Err(NotIncluded::of(letters.get(*place), reject).into()),
            None => Ok(()),
        }
    }

    /// Makes a block.
    fn block(&mut self, at_ms: u64, letters: &[Letter]) -> Result<Block, NotIncluded> {
        self.time_ms = (self.time_ms + 1).max(GENESIS_MS + at_ms);
        let mut batch = Vec::with_capacity(letters.len());
        for letter in letters {
            let (_, bytes) = self.sealed(letter)?;
            let fail = |reject| NotIncluded::of(Some(letter), reject);
            batch.push(Decoded::from_bytes(bytes, self.ledger().chain_id()).map_err(fail)?);
        }
        let mut envelopes = Vec::with_capacity(batch.len());
        for (letter, envelope) in letters.iter().zip(authenticate_batch(batch, &NoProofs, &Sequential)) {
            envelopes.push(envelope.map_err(|reject| NotIncluded::of(Some(letter), reject))?);
        }
        let time = TimeMs::from_ms(self.time_ms);
        let secret =
            SealSecret(hash::digest(Domain::Development, &[b"scenario secret", &self.time_ms.to_le_bytes()]).0);
        let fail = |_| NotIncluded {
            from: "the driver".to_owned(),
            why: Reject::of(casemate_protocol::RejectCode::BlockFull).to_string(),
        };
        let proposal = self.replica.propose(envelopes, time, secret, &Sequential, &mut ()).map_err(fail)?;
        self.replica.adopt();
        if let Some((place, reject, _)) = proposal.left_out.first() {
            return Err(NotIncluded::of(letters.get(*place), reject));
        }
        let places = (0..proposal.executed.envelopes.len()).map(Some).collect();
        Ok(Block::of(&proposal.executed, places))
    }

    /// Whether the laws hold, recomputed from every row.
    pub(crate) fn laws_hold(&self) -> bool {
        self.ledger().check_laws_from_rows().is_empty()
    }

    /// The signed envelope of a letter, after its id.
    ///
    /// # Errors
    /// It has more commands than an envelope holds.
    fn sealed(&mut self, letter: &Letter) -> Result<(Digest, Vec<u8>), NotIncluded> {
        let commands = BoundedVec::new(letter.commands.clone()).ok_or_else(|| {
            let count = letter.commands.len();
            NotIncluded::of(
                Some(letter),
                format!("`{count}` commands, and one envelope holds `{ENVELOPE_COMMANDS_MAX}`"),
            )
        })?;
        let key = self.venue.signing_key(&letter.from);
        let account = self.account(&letter.from);
        let (_, role) = holder(&letter.from);
        let row = self.ledger().accounts().account(account);
        let first = match role {
            // The opening of an account is its first envelope, also where genesis opened it.
            SignerRole::Root => row.map_or(1, |row| row.nonces().next()),
            SignerRole::Session => {
                let grant = row.and_then(|row| row.grant_of(&public_key(&key)));
                grant.map_or(1, |grant| grant.nonces().next())
            }
        };
        let nonce = self.nonces.entry(letter.from.clone()).or_insert(first - 1);
        *nonce += 1;
        let intent = Intent {
            version: ENVELOPE_VERSION,
            chain_id: *self.replica.ledger().chain_id(),
            account,
            signer: Signer { role, key: public_key(&key) },
            nonce: *nonce,
            valid_until_ms: TimeMs::from_ms(self.time_ms + 60_000),
            group: GroupMode::EachAlone,
            commands,
        };
        let digests = digests_without_evidence(&intent);
        let signature = SignatureBytes::Ed25519(key.sign(digests.envelope.bytes()).into());
        Ok((digests.intent, Envelope { intent, evidence: BoundedVec::empty(), signature }.encode()))
    }
}

impl Block {
    /// What execution says, with the place of each envelope among the letters that were sent.
    fn of(executed: &Executed, places: Vec<Option<usize>>) -> Self {
        let verdict = |refusal: Option<Reject>| refusal.map_or(Ok(()), Err);
        let placed = places.into_iter().zip(&executed.envelopes).filter_map(|(place, one)| Some((place?, one)));
        let verdicts =
            placed.map(|(place, one)| (place, one.commands.iter().map(|command| verdict(command.refusal)).collect()));
        let bodies = executed.body_ranges.iter().filter_map(|range| executed.bodies.get(range.clone()));
        Self {
            records: bodies.filter_map(|bytes| borsh::from_slice(bytes).ok()).collect(),
            verdicts: verdicts.collect(),
            is_law_broken: !executed.broken.is_empty(),
        }
    }
}

/// The refusal of work that the ledger listed itself, such as a release.
pub(crate) fn system_refusal(record: &RecordBody) -> Option<Reject> {
    match (&record.source, &record.verdict) {
        (RecordSource::System(_), Verdict::Refused(reject)) => Some(*reject),
        _ => None,
    }
}
