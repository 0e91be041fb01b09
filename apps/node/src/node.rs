//! The node: one replica under a solo sequencer, with everything it does on disk.
//!
//! ```text
//! DIR/genesis.toml      the rules; their hash is the chain id
//! DIR/journal/          blocks: the record itself
//! DIR/records/          records of verdicts, made again from the blocks when missing
//! DIR/snapshots/        the state at some height, to shorten a restart
//! DIR/indexes.redb      where to find things, made again when missing
//! ```
//!
//! A block stands for the replica when it is proposed; its receipts go out when the journal has it.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use casemate_audit::{RecordBody, RecordHeader, record_salt, seal};
use casemate_gate::{Authenticated, PolicyDecider as _};
use casemate_ledger::{BrokenLaw, SeededKeys};
use casemate_policy_cedar::CedarPolicies;
use casemate_protocol::block::{Block, Header, SealSecret};
use casemate_protocol::genesis::Genesis;
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::{BoundedVec, Digest, RecordIndex, Reject, TimeMs};
use casemate_replica::{EnvelopeOutcome, Executed, Replica, StageTimer};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::chain_reader::ChainReader;
use crate::development_keys::seeded_public_keys;
use crate::durable_files::{create_directory, publish};
use crate::fault::Fault;
use crate::genesis_file;
use crate::indexes::{BlockIndexEntry, Indexes, IndexesOpened};
use crate::journal::{Journal, JournalOptions, JournalWriter};
use crate::keeper::{BlockToKeep, DurableNotice, Keeper, KeeperOptions, KeptFiles};
use crate::node_error::NodeError;
use crate::snapshot_files;
use crate::threads::Threads;

/// A running node.
pub struct Node {
    dir: PathBuf,
    genesis: Genesis,
    replica: Replica<CedarPolicies>,
    keeper: Keeper,
    journal: Journal,
    records: Journal,
    indexes: Arc<Indexes>,
    threads: Arc<Threads>,
    secrets: SecretSource,
}

/// Where seal secrets come from.
#[derive(Clone, Copy)]
pub enum SecretSource {
    /// The operating system.
    OperatingSystem,
    /// A seed: replays and benchmarks, whose blocks are the same on every run.
    Seeded([u8; 32]),
}

/// How to open a node.
#[derive(Clone, Copy)]
pub struct NodeOptions {
    /// Threads for signatures and hashing.
    pub threads: usize,
    /// How blocks are kept.
    pub keeper: KeeperOptions,
    /// Where seal secrets come from.
    pub secrets: SecretSource,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            keeper: KeeperOptions { sync_every_blocks: 1, index_envelopes: true },
            secrets: SecretSource::OperatingSystem,
        }
    }
}

/// What opening found and did.
#[derive(Clone, Debug, Default)]
pub struct OpenedNode {
    /// Height of the snapshot that was used, if there was one.
    pub snapshot_height: Option<u64>,
    /// Blocks executed again after it.
    pub blocks_replayed: u64,
    /// Height now.
    pub height: u64,
    /// Bytes of an unacknowledged tail that were cut off.
    pub torn_bytes_dropped: u64,
    /// Things that a person should know: damaged snapshots passed over, indexes made again.
    pub notes: Vec<String>,
}

/// A block that was proposed and handed to the keeper.
#[derive(Debug)]
pub struct ProposedBlock {
    /// Its height.
    pub height: u64,
    /// Its header.
    pub header: Header,
    /// Verdicts by envelope.
    pub outcomes: Vec<EnvelopeOutcome>,
    /// The encoded bodies of its records, as [`Executed::bodies`] has them before they are handed to the keeper.
    pub records: Arc<Vec<u8>>,
    /// What else it did: verdicts and bodies were taken out.
    pub executed: Executed,
    /// Envelopes that were left out.
    pub left_out: Vec<(usize, Reject, Authenticated)>,
    /// Segments that failed a law.
    pub broken: Vec<BrokenLaw>,
}

/// One record, opened.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct KeptRecord {
    /// What the log shows.
    pub header: RecordHeader,
    /// The salt that opens it.
    pub salt: Digest,
    /// The body.
    pub body: RecordBody,
}

impl Node {
    /// Makes a node's folder with a genesis, or opens the one that is there if it has the same genesis.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn create_or_open(
        dir: &Path,
        genesis: &Genesis,
        options: NodeOptions,
    ) -> Result<(Self, OpenedNode), NodeError> {
        let path = dir.join(GENESIS_FILE);
        if path.exists() {
            let found = genesis_file::read(&path)?.chain_id();
            if found != genesis.chain_id() {
                return Err(NodeError::OtherGenesis { found, expected: genesis.chain_id() });
            }
        } else {
            write_genesis(dir, genesis)?;
        }
        Self::open(dir, options)
    }

    /// Opens a node's folder: newest whole snapshot, then every later block of the journal, verified in full.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn open(dir: &Path, options: NodeOptions) -> Result<(Self, OpenedNode), NodeError> {
        Self::open_with(dir, options, None)
    }

    /// Makes a node in an empty folder from a genesis whose seeded keys were derived before.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn create_with_keys(
        dir: &Path,
        genesis: &Genesis,
        keys: impl Iterator<Item = SeededKeys>,
        options: NodeOptions,
    ) -> Result<Self, NodeError> {
        write_genesis(dir, genesis)?;
        Ok(Self::open_with(dir, options, Some(&mut { keys }))?.0)
    }

    fn open_with(
        dir: &Path,
        options: NodeOptions,
        seeded: Option<&mut dyn Iterator<Item = SeededKeys>>,
    ) -> Result<(Self, OpenedNode), NodeError> {
        let genesis = genesis_file::read(&dir.join(GENESIS_FILE))?;
        let chain_id = genesis.chain_id();
        let threads = Threads::new(options.threads).map_err(|error| NodeError::Threads(error.to_string()))?;
        let threads = Arc::new(threads);
        let mut report = OpenedNode::default();
        let mut replica = load_state(dir, &genesis, &threads, seeded, &mut report)?;
        let base = replica.ledger().chain().height.number();
        let journal_options = JournalOptions { verify_from_height: base, ..JournalOptions::default() };
        let (journal, journal_writer, opened) = Journal::open(&dir.join("journal"), &chain_id.0, journal_options)?;
        if base > 0 {
            opened.require_reaches(base, "the newest snapshot")?;
        }
        report.torn_bytes_dropped = opened.torn_bytes_dropped;
        let (records, record_writer) = open_records(dir, &chain_id, base, &mut report)?;
        if let Some((_, last_height)) = records.held() {
            opened.require_reaches(last_height, "the folder of records")?;
        }
        let (indexes, found) = Indexes::open(&dir.join("indexes.redb"), &chain_id.0)?;
        match found {
            IndexesOpened::Recreated { reason } => {
                report.notes.push(format!("indexes were of no use ({reason}) and are made again"));
            }
            IndexesOpened::Created if opened.last_height.is_some() => {
                report.notes.push("indexes were missing and are made again".to_owned());
            }
            IndexesOpened::Created | IndexesOpened::Existing => {}
        }
        if let Some(indexed_height) = indexes.indexed_up_to()? {
            opened.require_reaches(indexed_height, "the index file")?;
        }
        let indexes = Arc::new(indexes);
        let mut files = KeptFiles { journal: journal_writer, records: record_writer, indexes: Arc::clone(&indexes) };
        replay_journal(&mut replica, &journal, &mut files, &threads, &mut report)?;
        report.height = replica.ledger().chain().height.number();
        let keeper = Keeper::start(files, report.height, options.keeper);
        let secrets = options.secrets;
        let dir = dir.to_owned();
        Ok((Self { dir, genesis, replica, keeper, journal, records, indexes, threads, secrets }, report))
    }

    /// The rules of the chain.
    #[must_use]
    pub const fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The replica: what stands, which may be ahead of what is durable.
    #[must_use]
    pub const fn replica(&self) -> &Replica<CedarPolicies> {
        &self.replica
    }

    /// The threads that batches run on.
    #[must_use]
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// The same threads, for work beside the node's own.
    #[must_use]
    pub fn shared_threads(&self) -> Arc<Threads> {
        Arc::clone(&self.threads)
    }

    /// The keeper of blocks.
    #[must_use]
    pub const fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// The journal, for reading durable blocks.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The records, for reading.
    #[must_use]
    pub const fn records(&self) -> &Journal {
        &self.records
    }

    /// Where blocks, records and envelopes are found, up to [`Keeper::indexed_height`].
    #[must_use]
    pub fn indexes(&self) -> &Indexes {
        &self.indexes
    }

    /// Reads blocks, records and receipts from any thread while the node works.
    #[must_use]
    pub fn reader(&self) -> ChainReader {
        ChainReader::new(self.journal.clone(), self.records.clone(), Arc::clone(&self.indexes))
    }

    /// Height of the last block.
    #[must_use]
    pub fn height(&self) -> u64 {
        self.replica.ledger().chain().height.number()
    }

    /// Builds, executes and hands over the next block. Its receipts may go out once the keeper says it is durable.
    ///
    /// # Errors
    /// The machine failed, or time does not grow.
    pub fn propose<T: StageTimer>(
        &mut self,
        envelopes: Vec<Authenticated>,
        time_ms: TimeMs,
        timer: &mut T,
    ) -> Result<ProposedBlock, NodeError> {
        let height = self.height() + 1;
        let secret = self.secrets.draw(height)?;
        let first_record = self.replica.log().size();
        let proposal = self
            .replica
            .propose(envelopes, time_ms, secret, self.threads.as_ref(), timer)
            .map_err(|invalid| NodeError::Block { height, invalid })?;
        let mut executed = proposal.executed;
        let outcomes = std::mem::take(&mut executed.envelopes);
        let envelope_ids = outcomes.iter().map(|outcome| outcome.envelope.0).collect();
        let records = Arc::new(std::mem::take(&mut executed.bodies));
        self.keeper.keep(BlockToKeep {
            height,
            block: encode(&proposal.block),
            records: Arc::clone(&records),
            first_record,
            envelope_ids,
        })?;
        self.replica.adopt();
        let broken = executed.broken.clone();
        let header = proposal.block.header;
        Ok(ProposedBlock { height, header, outcomes, records, executed, left_out: proposal.left_out, broken })
    }

    /// Notices of durability since the last call.
    pub fn notices(&self) -> impl Iterator<Item = DurableNotice> + '_ {
        self.keeper.notices()
    }

    /// Makes everything durable and writes a snapshot.
    ///
    /// # Errors
    /// The machine failed.
    pub fn snapshot(&self) -> Result<PathBuf, NodeError> {
        self.keeper.flush()?;
        let chain_id = self.genesis.chain_id();
        let dir = self.dir.join("snapshots");
        let written = snapshot_files::write_snapshot(&dir, self.height(), &chain_id.0, |mut writer| {
            self.replica.write_snapshot(&mut writer)
        })?;
        Ok(written.path)
    }

    /// Makes everything durable and ends.
    ///
    /// # Errors
    /// The machine failed.
    pub fn close(self) -> Result<(), NodeError> {
        Ok(self.keeper.close()?)
    }
}

const GENESIS_FILE: &str = "genesis.toml";

fn write_genesis(dir: &Path, genesis: &Genesis) -> Result<(), Fault> {
    let path = dir.join(GENESIS_FILE);
    let temporary = dir.join(format!("{GENESIS_FILE}.tmp"));
    create_directory(dir)?;
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(genesis_file::write(genesis).as_bytes())?;
        Ok(file)
    });
    publish(&written.map_err(|error| Fault::io(&temporary, "write", error))?, &temporary, &path)
}

impl SecretSource {
    fn draw(&self, height: u64) -> Result<SealSecret, Fault> {
        match self {
            Self::Seeded(seed) => {
                Ok(SealSecret(hash::digest(Domain::Development, &[b"seal", seed, &height.to_le_bytes()]).0))
            }
            Self::OperatingSystem => {
                let mut secret = [0; 32];
                rustix::rand::getrandom(&mut secret, rustix::rand::GetRandomFlags::empty())
                    .map_err(|error| Fault::io(Path::new("getrandom"), "read randomness", error.into()))?;
                Ok(SealSecret(secret))
            }
        }
    }
}

fn load_state(
    dir: &Path,
    genesis: &Genesis,
    threads: &Threads,
    seeded: Option<&mut dyn Iterator<Item = SeededKeys>>,
    report: &mut OpenedNode,
) -> Result<Replica<CedarPolicies>, NodeError> {
    let opened = snapshot_files::open_latest(&dir.join("snapshots"), &genesis.chain_id().0)?;
    report.notes.extend(opened.skipped.iter().map(|fault| format!("a snapshot was passed over: {fault}")));
    let policies = CedarPolicies::new();
    if let Some(mut reader) = opened.latest {
        report.snapshot_height = Some(reader.height());
        let mut buffered = std::io::BufReader::with_capacity(1 << 20, &mut reader);
        return Replica::read_snapshot(genesis, policies, &mut buffered, threads).map_err(NodeError::Snapshot);
    }
    // A replica says only that they do not compile; what is compiled here is not compiled again there.
    policies.compile(&genesis.policies).map_err(|refused| NodeError::Policies(refused.0))?;
    if let Some(keys) = seeded {
        return Replica::new(genesis, keys, policies, threads).map_err(NodeError::Genesis);
    }
    let keys = genesis.seeded.as_ref().map(seeded_public_keys).unwrap_or_default();
    let seeded = keys.into_iter().map(|(root, session)| SeededKeys { root, session });
    Replica::new(genesis, seeded, policies, threads).map_err(NodeError::Genesis)
}

/// Opens the records. What is behind the snapshot cannot be made again from it, so records that do not reach it start
/// anew there; damaged ones are put aside.
fn open_records(
    dir: &Path,
    chain_id: &Digest,
    base: u64,
    report: &mut OpenedNode,
) -> Result<(Journal, JournalWriter), NodeError> {
    let path = dir.join("records");
    let options = JournalOptions { verify_from_height: base, ..JournalOptions::default() };
    let reason = match Journal::open(&path, &chain_id.0, options) {
        Ok((journal, writer, opened)) if opened.last_height.unwrap_or(0) >= base => return Ok((journal, writer)),
        Ok((_, writer, _)) => {
            writer.close()?;
            "they end before the newest snapshot".to_owned()
        }
        Err(fault @ (Fault::CorruptSegment { .. } | Fault::SegmentGap { .. })) => fault.to_string(),
        Err(fault) => return Err(fault.into()),
    };
    let aside = dir.join(format!("records-put-aside-at-{base}"));
    std::fs::rename(&path, &aside).map_err(|error| Fault::io(&path, "put aside", error))?;
    report.notes.push(format!("records were put aside ({reason}); those from block `{base}` on are made again"));
    let (journal, writer, _) = Journal::open(&path, &chain_id.0, options)?;
    Ok((journal, writer))
}

/// Executes every block of the journal behind the state, and makes up for records and index entries that are missing.
fn replay_journal(
    replica: &mut Replica<CedarPolicies>,
    journal: &Journal,
    files: &mut KeptFiles,
    threads: &Threads,
    report: &mut OpenedNode,
) -> Result<(), NodeError> {
    let Some((first, last)) = journal.held() else { return Ok(()) };
    let base = replica.ledger().chain().height.number();
    let indexed = files.indexes.indexed_up_to()?.unwrap_or(first.saturating_sub(1));
    let start = first.max(base.min(indexed) + 1);
    if start > last {
        return Ok(());
    }
    let mut entries = Vec::new();
    let mut first_record = log_size_before(journal, start)?;
    for kept in journal.read_from(start)? {
        let kept = kept?;
        let height = kept.height;
        let block = decode_block(height, &kept.payload)?;
        if height > base {
            let executed = replica.execute(&block, threads).map_err(|invalid| NodeError::Block { height, invalid })?;
            report.blocks_replayed += 1;
            if files.records.next_height().is_none_or(|next| next == height) {
                let records = executed.map(|executed| executed.bodies);
                files.records.append(height, &records.unwrap_or_default())?;
            }
        }
        if height > indexed {
            entries.push(BlockIndexEntry {
                height,
                location: kept.location,
                first_record,
                envelope_ids: envelope_ids(&block),
            });
        }
        first_record = block.header.log_size;
        if entries.len() >= ENTRIES_PER_BATCH {
            files.records.sync()?;
            files.indexes.put_batch(&entries)?;
            entries.clear();
        }
    }
    files.records.sync()?;
    files.indexes.put_batch(&entries)?;
    Ok(())
}

const ENTRIES_PER_BATCH: usize = 256;

/// Records in the log before a block, as the header of the block before it says.
fn log_size_before(journal: &Journal, height: u64) -> Result<u64, NodeError> {
    let is_first = journal.held().is_none_or(|(first, _)| height <= first);
    if is_first {
        return Ok(0);
    }
    let Some(before) = journal.read_from(height - 1)?.next() else { return Ok(0) };
    let before = before?;
    Ok(decode_block(before.height, &before.payload)?.header.log_size)
}

fn envelope_ids(block: &Block) -> Vec<[u8; 32]> {
    let id = |bytes: &BoundedVec<u8, _>| casemate_protocol::Envelope::decode(bytes.as_slice()).ok();
    block.envelopes.iter().filter_map(id).map(|(_, digests)| digests.intent.0).collect()
}

/// Decodes a block of the journal.
///
/// # Errors
/// `BlockMalformed`.
pub fn decode_block(height: u64, payload: &[u8]) -> Result<Block, NodeError> {
    borsh::from_slice(payload).map_err(|_error| NodeError::BlockMalformed { height })
}

/// Opens the kept records of a block: bodies are kept, headers and salts follow from the block.
///
/// # Errors
/// `BlockMalformed`.
pub fn decode_records(block: &Block, payload: &[u8]) -> Result<Vec<KeptRecord>, NodeError> {
    let height = block.header.height;
    let malformed = || NodeError::BlockMalformed { height: height.number() };
    let bodies: Vec<Vec<u8>> = borsh::from_slice(payload).map_err(|_error| malformed())?;
    let count = u64::try_from(bodies.len()).map_err(|_error| malformed())?;
    let first = block.header.log_size.checked_sub(count).ok_or_else(malformed)?;
    let open = |((bytes, index), position): ((Vec<u8>, u64), u32)| {
        let index = RecordIndex::new(index);
        Ok(KeptRecord {
            header: seal(&block.seal_secret, index, height, position, &bytes),
            salt: record_salt(&block.seal_secret, index),
            body: borsh::from_slice(&bytes).map_err(|_error| malformed())?,
        })
    };
    bodies.into_iter().zip(first..).zip(0u32..).map(open).collect()
}

fn encode(block: &Block) -> Vec<u8> {
    let size_bytes = block.envelopes.iter().map(|envelope| envelope.len() + 4).sum::<usize>() + HEADER_SIZE_BYTES_ABOUT;
    let mut bytes = Vec::with_capacity(size_bytes);
    // Writing into memory cannot fail.
    let _infallible = block.serialize(&mut bytes);
    bytes
}

const HEADER_SIZE_BYTES_ABOUT: usize = 512;
