//! The state root: page trees over every table, brought up to date once per block.

use std::collections::BTreeMap;

use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::block::SealSecret;
use casemate_protocol::hash::{self, Domain};
use casemate_protocol::merkle::{self, RowProof, TableId, TableKind, TableSummary};
use casemate_protocol::parallel::{Parallel, Sequential};
use casemate_protocol::{AccountId, BoundedVec, Digest, Height, QuoteMicros, SegmentId};

use crate::accounts::{Accounts, KeyRegistry};
use crate::funds::limiter::LimiterState;
use crate::ledger::{ChainFacts, Ledger};
use crate::page_tree::{PageTree, RowSeal, RowSeals, TreeUndo, row_salt};
use crate::paged::{PagedTable, Row};
use crate::segment::{ClearingFacts, Market, MarketFacts, Pricing, Proposal, Segment, Totals};

/// The trees of all tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trees {
    chain: SmallTable,
    accounts: PageTree,
    safeguards: PageTree,
    segments: Vec<SegmentTrees>,
    undo: Option<Box<TreesUndo>>,
}

#[derive(Clone, Debug, Default)]
struct SegmentTrees {
    facts: SmallTable,
    vault: SmallTable,
    markets: SmallTable,
    sub_accounts: PageTree,
    withdrawals: PageTree,
    transfers: PageTree,
    deposits: PageTree,
}

/// A table of few rows: kept with the bytes that its seals commit to, so that only rows that differ are sealed anew.
#[derive(Clone, Debug, Default)]
struct SmallTable {
    tree: PageTree,
    rows: Vec<Vec<u8>>,
}

#[derive(Clone, Debug)]
struct TreesUndo {
    chain: SmallTable,
    accounts: TreeUndo,
    safeguards: TreeUndo,
    segments: Vec<SegmentTreesUndo>,
}

#[derive(Clone, Debug)]
struct SegmentTreesUndo {
    facts: SmallTable,
    vault: SmallTable,
    markets: SmallTable,
    book_digests: Vec<Digest>,
    sub_accounts: TreeUndo,
    withdrawals: TreeUndo,
    transfers: TreeUndo,
    deposits: TreeUndo,
}

/// How rows of one table are sealed in one block.
struct Sealing {
    seed: Digest,
    height: Height,
}

/// The row of the chain table.
#[derive(BorshSerialize)]
struct ChainRow<'a> {
    facts: &'a ChainFacts,
    registry: &'a KeyRegistry,
}

/// The row of a segment's own table.
#[derive(BorshSerialize)]
struct SegmentRow<'a> {
    totals: &'a Totals,
    limiter: &'a LimiterState,
}

/// What a segment's row shows of its clearing on margin.
#[derive(BorshSerialize)]
struct ClearingRow<'a> {
    facts: &'a ClearingFacts,
    proposals: &'a BTreeMap<u64, Proposal>,
}

/// A vault as its row shows it: what came in, what left, and so what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct VaultRow {
    /// The asset.
    pub asset: casemate_protocol::AssetId,
    /// What it holds.
    pub balance: i128,
    /// Attested into it since genesis.
    pub attested_in: i128,
    /// Released out of it since genesis.
    pub released_out: i128,
}

/// The row of a market.
#[derive(BorshSerialize)]
struct MarketRow<'a> {
    facts: &'a MarketFacts,
    book_digest: &'a Digest,
    pricing: Option<&'a Pricing>,
}

impl Ledger {
    /// Brings every tree up to date and returns the state root. The secret salts the rows; rows are hashed in parallel.
    pub fn seal<P: Parallel>(&mut self, secret: &SealSecret, parallel: &P) -> Digest {
        if self.chain.height == Height::new(1) {
            self.chain.salt_seed = hash::digest(Domain::RowSalt, &[&secret.0]);
        }
        let sealing = Sealing { seed: self.chain.salt_seed, height: self.chain.height };
        let trees = &mut self.trees;
        trees.segments.resize_with(self.segments.len(), SegmentTrees::default);
        let chain_row = encode(&ChainRow { facts: &self.chain, registry: &self.accounts.registry });
        let chain = trees.chain.update(&sealing, table(TableKind::Chain, 0), vec![chain_row]);
        let accounts =
            seal_paged(&mut trees.accounts, &mut self.accounts.rows, &sealing, table(TableKind::Accounts, 0), parallel);
        let changed = self.accounts.safeguards.changed.take();
        let rows = self.accounts.safeguards.rows();
        let safeguards = seal_numbered(
            &mut trees.safeguards,
            &sealing,
            table(TableKind::Safeguards, 0),
            u64::try_from(rows.len()).unwrap_or(u64::MAX),
            &changed,
            |number| rows.get(usize::try_from(number).ok()?),
        );
        let segments = self
            .segments
            .iter_mut()
            .zip(&mut trees.segments)
            .map(|(segment, trees)| trees.update(segment, &sealing, parallel))
            .collect();
        // Only the first sealing of a block can be taken back; a second one is of rows that a fault restored.
        trees.undo.get_or_insert(Box::new(TreesUndo { chain, accounts, safeguards, segments }));
        merkle::state_root(&self.table_summaries())
    }

    /// The state root as of the last sealing.
    #[must_use]
    pub fn state_root(&self) -> Digest {
        merkle::state_root(&self.table_summaries())
    }

    /// Proof of an account's row as of the last sealing.
    #[must_use]
    pub fn prove_account(&self, account: AccountId) -> Option<RowProof> {
        let row = encode_row(self.accounts.account(account)?);
        self.prove(table(TableKind::Accounts, 0), &self.trees.accounts, account.number(), row)
    }

    /// Proof of the row of an account's safeguards as of the last sealing.
    #[must_use]
    pub fn prove_safeguard(&self, account: AccountId) -> Option<RowProof> {
        let (place, row) = self.accounts.safeguards.find(account)?;
        self.prove(table(TableKind::Safeguards, 0), &self.trees.safeguards, place, encode(row))
    }

    /// Proof of an account's row in a segment as of the last sealing.
    #[must_use]
    pub fn prove_sub_account(&self, segment: SegmentId, account: AccountId) -> Option<RowProof> {
        let row = encode_row(self.segment(segment)?.sub_account(account)?);
        let trees = self.segment_trees(segment)?;
        self.prove(table(TableKind::SubAccounts, segment.number()), &trees.sub_accounts, account.number(), row)
    }

    /// Proof of a segment's vault as of the last sealing.
    #[must_use]
    pub fn prove_vault(&self, segment: SegmentId) -> Option<RowProof> {
        let trees = self.segment_trees(segment)?;
        let row = trees.vault.rows.first()?.clone();
        self.prove(table(TableKind::Vault, segment.number()), &trees.vault.tree, 0, row)
    }

    fn segment_trees(&self, segment: SegmentId) -> Option<&SegmentTrees> {
        self.trees.segments.get(usize::from(segment.number()).checked_sub(1)?)
    }

    fn prove(&self, table: TableId, tree: &PageTree, index: u64, row: Vec<u8>) -> Option<RowProof> {
        let height = tree.seal(index)?.height();
        let seed = if height.is_none() { self.chain_id } else { self.chain.salt_seed };
        Some(RowProof {
            table,
            index,
            row: BoundedVec::new(row)?,
            salt: row_salt(&seed, table, index, height),
            levels: BoundedVec::new(tree.path(index)?)?,
            tables: BoundedVec::new(self.table_summaries())?,
        })
    }

    fn table_summaries(&self) -> Vec<TableSummary> {
        let summary = |kind, segment, tree: &PageTree| TableSummary {
            table: table(kind, segment),
            row_count: u64::try_from(tree.seals().len()).unwrap_or(u64::MAX),
            tree_root: tree.root(),
        };
        let mut summaries = vec![
            summary(TableKind::Chain, 0, &self.trees.chain.tree),
            summary(TableKind::Accounts, 0, &self.trees.accounts),
            summary(TableKind::Safeguards, 0, &self.trees.safeguards),
        ];
        for (segment, trees) in self.segments.iter().zip(&self.trees.segments) {
            let id = segment.id().number();
            summaries.extend([
                summary(TableKind::Segment, id, &trees.facts.tree),
                summary(TableKind::SubAccounts, id, &trees.sub_accounts),
                summary(TableKind::Markets, id, &trees.markets.tree),
                summary(TableKind::Vault, id, &trees.vault.tree),
                summary(TableKind::Withdrawals, id, &trees.withdrawals),
                summary(TableKind::Transfers, id, &trees.transfers),
                summary(TableKind::Deposits, id, &trees.deposits),
            ]);
        }
        summaries
    }

    /// Row seals of the tables whose rows a snapshot carries, in a fixed order.
    pub(crate) fn row_seals(&self) -> Vec<&RowSeals> {
        let mut seals = vec![self.trees.chain.tree.seals(), self.trees.accounts.seals(), self.trees.safeguards.seals()];
        for trees in &self.trees.segments {
            seals.extend([
                trees.facts.tree.seals(),
                trees.vault.tree.seals(),
                trees.markets.tree.seals(),
                trees.sub_accounts.seals(),
                trees.withdrawals.seals(),
                trees.transfers.seals(),
                trees.deposits.seals(),
            ]);
        }
        seals
    }

    /// Puts the trees of a snapshot in place: seals in the order of [`Ledger::row_seals`], rows from the tables.
    pub(crate) fn restore_trees<P: Parallel>(&mut self, seals: Vec<RowSeals>, parallel: &P) {
        let mut seals = seals.into_iter().map(|seals| PageTree::from_seals(seals, parallel));
        let mut next = || seals.next().unwrap_or_default();
        let chain_row = encode(&ChainRow { facts: &self.chain, registry: &self.accounts.registry });
        let mut trees = Trees {
            chain: SmallTable { tree: next(), rows: vec![chain_row] },
            accounts: next(),
            safeguards: next(),
            segments: Vec::new(),
            undo: None,
        };
        for segment in &self.segments {
            let [facts, vault, markets] = small_rows(segment);
            trees.segments.push(SegmentTrees {
                facts: SmallTable { tree: next(), rows: facts },
                vault: SmallTable { tree: next(), rows: vault },
                markets: SmallTable { tree: next(), rows: markets },
                sub_accounts: next(),
                withdrawals: next(),
                transfers: next(),
                deposits: next(),
            });
        }
        self.trees = trees;
    }

    /// Whether every row of every table is what its seal commits to: the check of a snapshot, row by row.
    #[must_use]
    pub(crate) fn rows_match_seals<P: Parallel>(&self, parallel: &P) -> bool {
        let (genesis, seed) = (self.chain_id, self.chain.salt_seed);
        let pick = |height: Height| if height.is_none() { genesis } else { seed };
        let accounts = table(TableKind::Accounts, 0);
        if !small_matches(&self.trees.chain, table(TableKind::Chain, 0), pick)
            || !paged_matches(&self.trees.accounts, &self.accounts.rows, accounts, pick, parallel)
        {
            return false;
        }
        let rows = self.accounts.safeguards.rows();
        let safeguard = |number: u64| rows.get(usize::try_from(number).ok()?);
        let safeguards = table(TableKind::Safeguards, 0);
        if !numbered_matches(&self.trees.safeguards, safeguards, pick, rows.len(), safeguard) {
            return false;
        }
        self.segments.iter().zip(&self.trees.segments).all(|(segment, trees)| {
            let id = |kind| table(kind, segment.id().number());
            let deposit = |number| segment.deposits.get(usize::try_from(number).ok()?);
            small_matches(&trees.facts, id(TableKind::Segment), pick)
                && small_matches(&trees.vault, id(TableKind::Vault), pick)
                && small_matches(&trees.markets, id(TableKind::Markets), pick)
                && paged_matches(&trees.sub_accounts, &segment.sub_accounts, id(TableKind::SubAccounts), pick, parallel)
                && numbered_matches(&trees.withdrawals, id(TableKind::Withdrawals), pick, segment.withdrawals.len(), {
                    |number| segment.withdrawals.get(&number)
                })
                && numbered_matches(&trees.transfers, id(TableKind::Transfers), pick, segment.transfers.len(), {
                    |number| segment.transfers.get(&number)
                })
                && numbered_matches(&trees.deposits, id(TableKind::Deposits), pick, segment.deposits.len(), deposit)
        })
    }
}

impl Trees {
    /// The block stands.
    pub(crate) fn settle(&mut self) {
        self.undo = None;
    }

    /// Takes the block's sealing back. The rows themselves were restored before.
    pub(crate) fn roll_back(&mut self, accounts: &mut Accounts, segments: &mut [Segment]) {
        accounts.rows.take_changed();
        accounts.safeguards.changed.take();
        for segment in segments.iter_mut() {
            segment.sub_accounts.take_changed();
            segment.changed = crate::segment::ChangedRows::default();
            segment.markets.iter_mut().for_each(|market| market.book_changes.clear());
        }
        let Some(undo) = self.undo.take() else { return };
        self.chain = undo.chain;
        self.accounts.undo(&undo.accounts);
        self.safeguards.undo(&undo.safeguards);
        for ((trees, undo), segment) in self.segments.iter_mut().zip(undo.segments).zip(segments) {
            for (market, digest) in segment.markets.iter_mut().zip(undo.book_digests) {
                market.book_digest = digest;
            }
            trees.facts = undo.facts;
            trees.vault = undo.vault;
            trees.markets = undo.markets;
            trees.sub_accounts.undo(&undo.sub_accounts);
            trees.withdrawals.undo(&undo.withdrawals);
            trees.transfers.undo(&undo.transfers);
            trees.deposits.undo(&undo.deposits);
        }
    }
}

impl SegmentTrees {
    fn update<P: Parallel>(&mut self, segment: &mut Segment, sealing: &Sealing, parallel: &P) -> SegmentTreesUndo {
        let id = segment.id().number();
        let book_digests = segment.markets.iter_mut().map(fold_book_changes).collect();
        let [facts, vault, markets] = small_rows(segment);
        let withdrawals = segment.changed.withdrawals.take();
        let transfers = segment.changed.transfers.take();
        let deposits = segment.changed.deposits.take();
        SegmentTreesUndo {
            facts: self.facts.update(sealing, table(TableKind::Segment, id), facts),
            vault: self.vault.update(sealing, table(TableKind::Vault, id), vault),
            markets: self.markets.update(sealing, table(TableKind::Markets, id), markets),
            book_digests,
            sub_accounts: seal_paged(
                &mut self.sub_accounts,
                &mut segment.sub_accounts,
                sealing,
                table(TableKind::SubAccounts, id),
                parallel,
            ),
            withdrawals: seal_numbered(
                &mut self.withdrawals,
                sealing,
                table(TableKind::Withdrawals, id),
                segment.totals.last_withdrawal.saturating_add(1),
                &withdrawals,
                |number| segment.withdrawals.get(&number),
            ),
            transfers: seal_numbered(
                &mut self.transfers,
                sealing,
                table(TableKind::Transfers, id),
                segment.totals.last_transfer.saturating_add(1),
                &transfers,
                |number| segment.transfers.get(&number),
            ),
            deposits: seal_numbered(
                &mut self.deposits,
                sealing,
                table(TableKind::Deposits, id),
                u64::try_from(segment.deposits.len()).unwrap_or(u64::MAX),
                &deposits,
                |number| segment.deposits.get(usize::try_from(number).ok()?),
            ),
        }
    }
}

impl SmallTable {
    /// Seals the rows that differ from what was sealed; returns the table as it was.
    fn update(&mut self, sealing: &Sealing, table: TableId, rows: Vec<Vec<u8>>) -> Self {
        let before = self.clone();
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let seals: Vec<(u64, RowSeal)> = rows
            .iter()
            .zip(0u64..)
            .filter(|(row, index)| usize::try_from(*index).ok().and_then(|at| before.rows.get(at)) != Some(row))
            .map(|(row, index)| (index, sealing.seal(table, index, row)))
            .collect();
        self.tree.update(count, &seals, &Sequential);
        self.rows = rows;
        before
    }
}

impl Sealing {
    fn seal(&self, table: TableId, index: u64, row: &[u8]) -> RowSeal {
        let salt = row_salt(&self.seed, table, index, self.height);
        RowSeal::new(merkle::row_commitment(&salt, row), self.height)
    }
}

/// Rows hashed by one piece of parallel work.
const ROWS_PER_PIECE: usize = 128;
/// Rows that are read together before the first is hashed, see `touch`.
const ROWS_TOUCHED: usize = 32;

/// Numbers of rows, and the seals made of them.
type SealingPiece<'a> = (&'a [u64], Vec<(u64, RowSeal)>);

fn seal_paged<T: Row + Sync, P: Parallel>(
    tree: &mut PageTree,
    rows: &mut PagedTable<T>,
    sealing: &Sealing,
    table: TableId,
    parallel: &P,
) -> TreeUndo {
    let changed = rows.take_changed();
    let mut pieces: Vec<SealingPiece<'_>> =
        changed.chunks(ROWS_PER_PIECE).map(|numbers| (numbers, Vec::with_capacity(numbers.len()))).collect();
    let rows = &*rows;
    parallel.for_each_mut(&mut pieces, |(numbers, seals)| {
        let mut buffer = Vec::with_capacity(512);
        for numbers in numbers.chunks(ROWS_TOUCHED) {
            let touched =
                numbers.iter().filter_map(|&number| rows.row(number)).fold(0u64, |sum, row| sum ^ row.touch());
            core::hint::black_box(touched);
            seals.extend(numbers.iter().map(|&number| {
                let seal = rows.row(number).map_or_else(RowSeal::default, |row| {
                    let salt = row_salt(&sealing.seed, table, number, sealing.height);
                    RowSeal::new(row.commitment(&salt, &mut buffer), sealing.height)
                });
                (number, seal)
            }));
        }
    });
    let seals: Vec<(u64, RowSeal)> = pieces.into_iter().flat_map(|(_, seals)| seals).collect();
    tree.update(rows.row_count(), &seals, parallel)
}

fn seal_numbered<'a, T: BorshSerialize + 'a>(
    tree: &mut PageTree,
    sealing: &Sealing,
    table: TableId,
    row_count: u64,
    changed: &[u64],
    row: impl Fn(u64) -> Option<&'a T>,
) -> TreeUndo {
    let seal = |number| row(number).map_or_else(RowSeal::default, |row| sealing.seal(table, number, &encode(row)));
    let seals: Vec<(u64, RowSeal)> = changed.iter().map(|&number| (number, seal(number))).collect();
    tree.update(row_count, &seals, &Sequential)
}

fn paged_matches<T: Row + Sync, P: Parallel>(
    tree: &PageTree,
    rows: &PagedTable<T>,
    table: TableId,
    seed_at: impl Fn(Height) -> Digest + Sync + Send,
    parallel: &P,
) -> bool {
    if u64::try_from(tree.seals().len()) != Ok(rows.row_count()) {
        return false;
    }
    let numbers: Vec<u64> = (0..rows.row_count()).collect();
    let mut pieces: Vec<(&[u64], bool)> = numbers.chunks(4 * ROWS_PER_PIECE).map(|piece| (piece, false)).collect();
    parallel.for_each_mut(&mut pieces, |(numbers, matches)| {
        let mut buffer = Vec::with_capacity(512);
        *matches = numbers.iter().all(|&number| {
            let seal = tree.seal(number).unwrap_or_default();
            let expected = rows.row(number).map_or(Digest::ZERO, |row| {
                let salt = row_salt(&seed_at(seal.height()), table, number, seal.height());
                row.commitment(&salt, &mut buffer)
            });
            expected == seal.commitment()
        });
    });
    pieces.iter().all(|(_, matches)| *matches)
}

fn small_matches(small: &SmallTable, table: TableId, seed_at: impl Fn(Height) -> Digest) -> bool {
    let seals = small.tree.seals();
    seals.len() == small.rows.len()
        && seals.iter().zip(&small.rows).zip(0u64..).all(|((seal, row), index)| {
            let salt = row_salt(&seed_at(seal.height()), table, index, seal.height());
            merkle::row_commitment(&salt, row) == seal.commitment()
        })
}

/// As many rows as the table holds must be found under the numbers that have seals.
fn numbered_matches<'a, T: BorshSerialize + 'a>(
    tree: &PageTree,
    table: TableId,
    seed_at: impl Fn(Height) -> Digest,
    row_count: usize,
    row: impl Fn(u64) -> Option<&'a T>,
) -> bool {
    let mut found = 0usize;
    let all_match = tree.seals().iter().zip(0u64..).all(|(seal, number)| {
        let expected = row(number).map_or(Digest::ZERO, |row| {
            found = found.saturating_add(1);
            let salt = row_salt(&seed_at(seal.height()), table, number, seal.height());
            merkle::row_commitment(&salt, &encode(row))
        });
        expected == seal.commitment()
    });
    all_match && found == row_count
}

/// Folds the block's changes of a book into its running digest; returns the digest before.
fn fold_book_changes(market: &mut Market) -> Digest {
    let before = market.book_digest;
    if !market.book_changes.is_empty() {
        market.book_digest = hash::digest(Domain::Running, &[before.bytes(), &market.book_changes]);
        market.book_changes.clear();
    }
    before
}

fn small_rows(segment: &Segment) -> [Vec<Vec<u8>>; 3] {
    let totals = &segment.totals;
    let facts = encode(&SegmentRow { totals, limiter: &segment.limiter });
    let vault = encode(&VaultRow {
        asset: segment.rules.asset,
        balance: totals.vault(),
        attested_in: totals.attested_in.saturating_add(totals.transferred_in),
        released_out: totals.released_out.saturating_add(totals.transferred_out),
    });
    let market = |market: &Market| {
        encode(&MarketRow {
            facts: &market.facts,
            book_digest: &market.book_digest,
            pricing: market.margin().map(|margin| &margin.pricing),
        })
    };
    // The segment's own row, then its clearing and its feeds.
    let mut own = vec![facts];
    if let Some(clearing) = segment.clearing() {
        own.push(encode(&ClearingRow { facts: &clearing.facts, proposals: &clearing.proposals }));
        own.extend(clearing.feeds.iter().map(|feed| encode(&feed.facts)));
    }
    [own, vec![vault], segment.markets.iter().map(market).collect()]
}

/// What a proven sub-account row says, for those who read proofs.
#[derive(Clone, Debug, PartialEq, Eq, BorshDeserialize)]
pub struct SubAccountRow {
    /// Cash, without what is set aside.
    pub cash: QuoteMicros,
    /// Set aside for withdrawals and transfers.
    pub pending: QuoteMicros,
    /// How many of those there are.
    pub pending_count: u32,
    /// Deposits and arrivals less everything asked to leave, in micro-quote.
    pub net_deposits: i64,
    /// Conduct band, 0 to 3.
    pub conduct_band: u8,
}

impl SubAccountRow {
    /// Reads the leading fields of a proven row.
    #[must_use]
    pub fn read(row: &[u8]) -> Option<Self> {
        let mut rest = row;
        Self::deserialize(&mut rest).ok()
    }
}

const fn table(kind: TableKind, segment: u16) -> TableId {
    TableId { kind, segment }
}

fn encode<T: BorshSerialize>(row: &T) -> Vec<u8> {
    // Writing into memory cannot fail.
    borsh::to_vec(row).unwrap_or_default()
}

fn encode_row<T: Row>(row: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    row.encode_row(&mut bytes);
    bytes
}
