//! Snapshots: the whole state as a stream of bytes, and back.
//!
//! A snapshot carries rows, resting orders in the order of their queues, and the seal of every row; indexes and trees
//! are rebuilt. Reading checks that each row is what its seal commits to and that the state root is the expected one.

use std::collections::BTreeMap;

use borsh::io::{Read, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use casemate_protocol::genesis::Genesis;
use casemate_protocol::limits::ACCOUNTS_MAX;
use casemate_protocol::parallel::Parallel;
use casemate_protocol::policy::{PolicySet, PolicyTable};
use casemate_protocol::{Digest, PublicKey, RecordIndex, Side};

use crate::accounts::safeguards::{Safeguard, Safeguards};
use crate::accounts::{Account, AccountAges, Accounts, KeyRegistry};
use crate::conduct::Conduct;
use crate::funds::limiter::LimiterState;
use crate::ledger::{ChainFacts, Ledger};
use crate::page_tree::{RowSeal, RowSeals};
use crate::paged::PagedTable;
use crate::policy::PolicyInForce;
use crate::segment::{
    ClearingFacts, Deposit, FeedFacts, MarketFacts, NO_SLOT, Pricing, Proposal, RestingOrder, Segment, SubAccount,
    Totals, Transfer, Withdrawal,
};

/// Why a snapshot was not taken for the state it claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// The bytes end early or do not decode.
    Malformed,
    /// It was made under another genesis.
    WrongChain,
    /// A row is not what its seal commits to.
    RowMismatch,
    /// The state root is not the expected one.
    RootMismatch,
    /// A law does not hold.
    BrokenLaw,
}

impl core::fmt::Display for SnapshotError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            Self::Malformed => "snapshot ends early or does not decode",
            Self::WrongChain => "snapshot was made under another genesis",
            Self::RowMismatch => "a row of the snapshot is not what its seal commits to",
            Self::RootMismatch => "the snapshot's state root is not the expected one",
            Self::BrokenLaw => "the snapshot breaks a conservation law",
        })
    }
}

impl core::error::Error for SnapshotError {}

/// The smaller tables of a segment.
#[derive(BorshSerialize, BorshDeserialize)]
struct SegmentParts {
    totals: Totals,
    limiter: LimiterState,
    markets: Vec<(MarketFacts, Digest, Option<Pricing>)>,
    clearing: Option<ClearingParts>,
    withdrawals: BTreeMap<u64, Withdrawal>,
    transfers: BTreeMap<u64, Transfer>,
    deposits: Vec<Deposit>,
    dead_men: BTreeMap<(u64, u64), RecordIndex>,
    left: BTreeMap<(u16, u64), u64>,
    last_left: BTreeMap<u16, u64>,
    last_arrived: BTreeMap<u16, u64>,
    conduct: Conduct,
}

/// What a segment that clears on margin has besides.
#[derive(BorshSerialize, BorshDeserialize)]
struct ClearingParts {
    facts: ClearingFacts,
    feeds: Vec<FeedFacts>,
    proposals: BTreeMap<u64, Proposal>,
}

impl Ledger {
    /// Writes the state, which must be between blocks.
    ///
    /// # Errors
    /// Only what the writer returns.
    pub fn write_snapshot<W: Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        self.chain_id.serialize(writer)?;
        self.chain.serialize(writer)?;
        self.accounts.registry.serialize(writer)?;
        self.accounts.retired().serialize(writer)?;
        self.accounts.ages.serialize(writer)?;
        (self.policy.set().as_ref(), self.policy.table()).serialize(writer)?;
        write_paged(&self.accounts.rows, writer)?;
        self.accounts.safeguards.rows().serialize(writer)?;
        for segment in &self.segments {
            write_segment(segment, writer)?;
        }
        for seals in self.row_seals() {
            u64::try_from(seals.len()).unwrap_or(u64::MAX).serialize(writer)?;
            for seal in seals.iter() {
                (seal.commitment(), seal.height()).serialize(writer)?;
            }
        }
        Ok(())
    }

    /// Reads a state and checks it against the state root that its block header has.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn read_snapshot<R: Read, P: Parallel>(
        genesis: &Genesis,
        expected_root: &Digest,
        reader: &mut R,
        parallel: &P,
    ) -> Result<Self, SnapshotError> {
        let malformed = |_error| SnapshotError::Malformed;
        let empty = Self::new(genesis, core::iter::empty()).map_err(|_error| SnapshotError::WrongChain)?;
        if Digest::deserialize_reader(reader).map_err(malformed)? != *empty.chain_id() {
            return Err(SnapshotError::WrongChain);
        }
        let mut ledger = empty;
        ledger.chain = ChainFacts::deserialize_reader(reader).map_err(malformed)?;
        let registry = KeyRegistry::deserialize_reader(reader).map_err(malformed)?;
        let retired = std::collections::BTreeSet::<PublicKey>::deserialize_reader(reader).map_err(malformed)?;
        let ages = AccountAges::deserialize_reader(reader).map_err(malformed)?;
        let (set, table) = <(PolicySet, PolicyTable)>::deserialize_reader(reader).map_err(malformed)?;
        // INVARIANT(P2): the root covers the stamp, the stamp covers both.
        ledger.policy = PolicyInForce::new(set, table);
        if ledger.policy.stamp(ledger.chain.policy.epoch) != ledger.chain.policy {
            return Err(SnapshotError::RowMismatch);
        }
        let rows = read_paged::<Account, R>(reader).map_err(malformed)?;
        let safeguards = Vec::<Safeguard>::deserialize_reader(reader).map_err(malformed)?;
        ledger.accounts = Accounts::from_rows(rows, registry, retired, Safeguards::from_rows(safeguards), ages);
        for segment in &mut ledger.segments {
            read_segment(segment, reader).map_err(malformed)?;
        }
        let mut seals = Vec::new();
        // Chain, accounts and safeguards, and seven tables of each segment.
        for _ in 0..ledger.segments.len().saturating_mul(7).saturating_add(3) {
            seals.push(read_seals(reader).map_err(malformed)?);
        }
        ledger.restore_trees(seals, parallel);
        if ledger.state_root() != *expected_root {
            return Err(SnapshotError::RootMismatch);
        }
        if !ledger.rows_match_seals(parallel) || !ledger.segments.iter().all(Segment::has_every_open_order) {
            return Err(SnapshotError::RowMismatch);
        }
        if !ledger.check_laws_from_rows().is_empty() {
            return Err(SnapshotError::BrokenLaw);
        }
        Ok(ledger)
    }
}

fn write_paged<T: BorshSerialize, W: Write>(rows: &PagedTable<T>, writer: &mut W) -> borsh::io::Result<()> {
    rows.row_count().serialize(writer)?;
    for (number, row) in rows.iter() {
        number.serialize(writer)?;
        row.serialize(writer)?;
    }
    u64::MAX.serialize(writer)
}

fn read_paged<T: BorshDeserialize, R: Read>(reader: &mut R) -> borsh::io::Result<PagedTable<T>> {
    let row_count = u64::deserialize_reader(reader)?;
    let mut rows = PagedTable::default();
    loop {
        let number = u64::deserialize_reader(reader)?;
        if number == u64::MAX {
            break;
        }
        if number >= row_count.min(ACCOUNTS_MAX.saturating_add(1)) {
            return Err(invalid_data());
        }
        let row = T::deserialize_reader(reader)?;
        rows.row_or_insert(number, || row);
    }
    Ok(rows)
}

fn write_segment<W: Write>(segment: &Segment, writer: &mut W) -> borsh::io::Result<()> {
    write_paged(&segment.sub_accounts, writer)?;
    for market in segment.markets() {
        for side in [Side::Bid, Side::Ask] {
            for slot in market.book().slots(side, segment.orders()) {
                if let Some(order) = segment.orders().order(slot) {
                    // Slots are where orders happen to lie in this replica's memory.
                    Some(RestingOrder { previous: NO_SLOT, next: NO_SLOT, ..*order }).serialize(writer)?;
                }
            }
        }
    }
    None::<RestingOrder>.serialize(writer)?;
    let parts = SegmentParts {
        totals: segment.totals,
        limiter: segment.limiter.clone(),
        markets: segment
            .markets()
            .iter()
            .map(|market| (market.facts, market.book_digest, market.margin().map(|margin| margin.pricing.clone())))
            .collect(),
        clearing: segment.clearing().map(|clearing| ClearingParts {
            facts: clearing.facts.clone(),
            feeds: clearing.feeds.iter().map(|feed| feed.facts.clone()).collect(),
            proposals: clearing.proposals.clone(),
        }),
        withdrawals: segment.withdrawals.clone(),
        transfers: segment.transfers.clone(),
        deposits: segment.deposits.clone(),
        dead_men: segment.dead_men.clone(),
        left: segment.left.clone(),
        last_left: segment.last_left.clone(),
        last_arrived: segment.last_arrived.clone(),
        conduct: segment.conduct.clone(),
    };
    parts.serialize(writer)
}

fn read_segment<R: Read>(segment: &mut Segment, reader: &mut R) -> borsh::io::Result<()> {
    segment.sub_accounts = read_paged::<SubAccount, R>(reader)?;
    while let Some(order) = Option::<RestingOrder>::deserialize_reader(reader)? {
        if !segment.restore_order(RestingOrder { previous: NO_SLOT, next: NO_SLOT, ..order }) {
            return Err(invalid_data());
        }
    }
    let parts = SegmentParts::deserialize_reader(reader)?;
    if parts.markets.len() != segment.markets.len() {
        return Err(invalid_data());
    }
    for (market, (facts, digest, pricing)) in segment.markets.iter_mut().zip(parts.markets) {
        market.facts = facts;
        market.book_digest = digest;
        match (market.margin.as_mut(), pricing) {
            (Some(margin), Some(pricing)) => margin.pricing = pricing,
            (None, None) => {}
            _ => return Err(invalid_data()),
        }
    }
    match (segment.clearing.as_mut(), parts.clearing) {
        (Some(clearing), Some(parts)) if parts.feeds.len() == clearing.feeds.len() => {
            clearing.facts = parts.facts;
            clearing.proposals = parts.proposals;
            for (feed, facts) in clearing.feeds.iter_mut().zip(parts.feeds) {
                if facts.seen.len() != feed.publishers.len() {
                    return Err(invalid_data());
                }
                feed.facts = facts;
            }
        }
        (None, None) => {}
        _ => return Err(invalid_data()),
    }
    segment.note_worst_regime();
    segment.totals = parts.totals;
    segment.limiter = parts.limiter;
    segment.restore_grant_watches();
    segment.dead_men = parts.dead_men;
    segment.left = parts.left;
    segment.last_left = parts.last_left;
    segment.last_arrived = parts.last_arrived;
    segment.conduct = parts.conduct.under(&segment.rules.conduct);
    segment.restore_moves(parts.withdrawals, parts.transfers, parts.deposits);
    Ok(())
}

fn read_seals<R: Read>(reader: &mut R) -> borsh::io::Result<RowSeals> {
    let count = u64::deserialize_reader(reader)?;
    let read = |_| {
        let (commitment, height) = BorshDeserialize::deserialize_reader(reader)?;
        Ok(RowSeal::new(commitment, height))
    };
    (0..count).map(read).collect()
}

fn invalid_data() -> borsh::io::Error {
    borsh::io::Error::from(borsh::io::ErrorKind::InvalidData)
}
