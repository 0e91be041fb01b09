//! The genesis file: one strict TOML file that holds every rule and limit of a chain.
//!
//! Strict means: an unknown field, a missing field, a number that is not exact or a rule that does not hold is an error
//! that names the line. Nothing has a default, because a limit that somebody forgot must not become a limit that
//! somebody chose. `parse(write(genesis))` gives the same genesis, so the file can be shown, edited and compared.
//!
//! One convention for all values: a name ends in its unit. Amounts of the quote asset (`_quote`) are decimal strings,
//! exact to a millionth; prices of one unit of an underlying (`_quote_per_unit`) are too, exact to a billionth; durations and times (`_ms`), ratios (`_ppm`), prices (`_ticks`) and quantities (`_lots`) are
//! whole numbers. Keys are written `ed25519:` and 64 hexadecimal
//! digits, `secp256k1:0x` and the 40 of an address, or `p256:` and the 64 of x.
//!
//! Deliberately absent: the chain id. It is the hash of the canonical bytes of [`Genesis`], so comments and layout of
//! the file do not change it.

mod clearing;
mod development;
mod tables;
mod values;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use casemate_protocol::genesis::{Genesis, GenesisPlace, LogMode};
use casemate_protocol::limits::{
    ATTESTORS_MAX, AUDITORS_MAX, FEEDS_MAX, MARKETS_MAX, PASSKEY_ORIGINS_MAX, POLICY_FILES_MAX, SEGMENTS_MAX,
};
use casemate_protocol::policy::PolicySet;
use casemate_protocol::{BoundedVec, MarketId, SegmentId, TimeMs};
use serde::Deserialize;
use toml::Spanned;

use clearing::{ClearingTable, FeedTable, MarginTable, PrincipalTable, ProposalsTable, PublishersTable, QuorumTable};
use tables::{AccountsTable, LogModeWord, MarketTable, PasskeyOriginTable, PolicyFileTable, SeededTable, SegmentTable};
use values::ChainName;

pub use development::{
    DEVELOPMENT_SEED, ORDER_REPLAY_TIME, development_genesis, full_collateral_genesis, order_replay_genesis,
};
pub use write::write;

/// Reads a genesis file and checks every rule that relates its values to each other. `path` only names the file in
/// the error.
///
/// # Errors
/// The first thing that is wrong, with its line and what to do about it.
pub fn parse(text: &str, path: &Path) -> Result<Genesis, GenesisFileError> {
    let place = |problem: Problem| GenesisFileError {
        path: path.to_path_buf(),
        line: problem.span.map(|span| line_of(text, span)),
        message: problem.message,
        hint: problem.hint,
    };
    let file: GenesisFile = toml::from_str(text).map_err(|error| place(Problem::of_toml(text, &error)))?;
    let lines = PlaceSpans::of(&file);
    let genesis = file.into_genesis().map_err(place)?;
    match genesis.validate() {
        Ok(()) => Ok(genesis),
        Err(error) => Err(place(Problem {
            span: lines.span(error.place),
            message: error.to_string(),
            hint: "change the value: the comments of a file written by `casemate genesis init` say what is allowed",
        })),
    }
}

/// Reads a genesis file from disk; see [`parse`].
///
/// # Errors
/// The file cannot be read, or something in it is wrong.
pub fn read(path: &Path) -> Result<Genesis, GenesisFileError> {
    let text = std::fs::read_to_string(path).map_err(|error| GenesisFileError {
        path: path.to_path_buf(),
        line: None,
        message: format!("cannot be read: {error}"),
        hint: "check the name, or write a new file with `casemate genesis init --dev`",
    })?;
    parse(&text, path)
}

/// What is wrong in a genesis file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenesisFileError {
    path: PathBuf,
    line: Option<u64>,
    message: String,
    hint: &'static str,
}

impl GenesisFileError {
    /// The line, from 1, where there is one to name.
    #[must_use]
    pub const fn line(&self) -> Option<u64> {
        self.line
    }

    /// What the operator can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        self.hint
    }
}

impl fmt::Display for GenesisFileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "genesis file `{}`", self.path.display())?;
        if let Some(line) = self.line {
            write!(formatter, ", line {line}")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

impl std::error::Error for GenesisFileError {}

/// An error that does not know the file's name yet.
struct Problem {
    span: Option<Range<usize>>,
    message: String,
    hint: &'static str,
}

impl Problem {
    fn of_toml(text: &str, error: &toml::de::Error) -> Self {
        let mut message = error.message().to_owned();
        let hint = if message.starts_with("unknown field") {
            "correct its spelling or remove it: every line of the file must mean something"
        } else if message.starts_with("missing field") {
            "add it: no limit has a default"
        } else if message.starts_with("duplicate key") {
            "keep one of the two"
        } else {
            "see a file written by `casemate genesis init --dev` for the form of every value"
        };
        // A type error names the value but not its field.
        if message.starts_with("invalid ")
            && let Some(field) = error.span().and_then(|span| field_before(text, span.start))
        {
            message = format!("field `{field}`: {message}");
        }
        Self { span: error.span(), message, hint }
    }

    fn too_many(what: &str, maximum: usize, span: Option<Range<usize>>) -> Self {
        Self {
            span,
            message: format!("more than `{maximum}` {what}"),
            hint: "remove some: the maximum is part of the protocol",
        }
    }
}

/// The name before `=` on the line on which a value starts.
fn field_before(text: &str, offset: usize) -> Option<&str> {
    let line = text.get(..offset)?.rsplit('\n').next()?;
    let (name, _) = line.rsplit_once('=')?;
    name.trim().rsplit([' ', ',', '{']).next().filter(|name| !name.is_empty())
}

/// The line, from 1, on which a span starts.
fn line_of(text: &str, span: Range<usize>) -> u64 {
    let before = text.as_bytes().iter().take(span.start);
    before.fold(1, |line, &byte| if byte == b'\n' { line + 1 } else { line })
}

/// Where the parts that a rule can name stand in the file.
struct PlaceSpans {
    feeds: Vec<(u16, Range<usize>)>,
    segments: Vec<(u16, Range<usize>)>,
    markets: Vec<(u16, Range<usize>)>,
}

impl PlaceSpans {
    fn of(file: &GenesisFile) -> Self {
        Self {
            feeds: file.feed.iter().map(|feed| (feed.get_ref().id, feed.span())).collect(),
            segments: file.segment.iter().map(|segment| (segment.get_ref().id, segment.span())).collect(),
            markets: file.market.iter().map(|market| (market.get_ref().id, market.span())).collect(),
        }
    }

    fn span(&self, place: GenesisPlace) -> Option<Range<usize>> {
        // Rules are checked in the order of the file and ids count up from 1: a part whose id does not fit its
        // position is the one that broke that rule, also where its id belongs to an earlier part.
        let find = |parts: &[(u16, Range<usize>)], id: u16| {
            let misplaced = parts.iter().enumerate().find(|(index, (id, _))| usize::from(*id) != index + 1);
            let misplaced = misplaced.map(|(_, part)| part).filter(|part| part.0 == id);
            misplaced.or_else(|| parts.iter().find(|part| part.0 == id)).map(|part| part.1.clone())
        };
        match place {
            GenesisPlace::Chain => None,
            GenesisPlace::Segment(id) => find(&self.segments, id.number()),
            GenesisPlace::Market(id) => find(&self.markets, id.number()),
            GenesisPlace::Feed(id) => find(&self.feeds, id.number()),
        }
    }
}

/// The file as it stands. Field names are the interface: changing one breaks every file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenesisFile {
    name: ChainName,
    time_ms: u64,
    development: bool,
    log_mode: LogModeWord,
    accounts: AccountsTable,
    attestors: QuorumTable,
    publishers: PublishersTable,
    risk_officers: QuorumTable,
    governors: QuorumTable,
    proposals: ProposalsTable,
    auditor: Vec<Spanned<PrincipalTable>>,
    feed: Vec<Spanned<FeedTable>>,
    segment: Vec<Spanned<SegmentTable>>,
    market: Vec<Spanned<MarketTable>>,
    passkey_origin: Vec<Spanned<PasskeyOriginTable>>,
    /// May be absent: a chain without seeded accounts has nothing to say about them.
    seeded: Option<SeededTable>,
    /// May be absent: a chain without policies has the built-in table.
    #[serde(default)]
    policy: Vec<Spanned<PolicyFileTable>>,
}

impl GenesisFile {
    fn into_genesis(mut self) -> Result<Genesis, Problem> {
        let clearing = self.take_clearing();
        let margins = self.take_margins();
        let attestor_quorum = self.attestors.quorum_operators;
        Ok(Genesis {
            name: self.name.0,
            time_ms: TimeMs::from_ms(self.time_ms),
            is_development: self.development,
            log_mode: match self.log_mode {
                LogModeWord::Sealed => LogMode::Sealed,
                LogModeWord::Open => LogMode::Open,
            },
            accounts: self.accounts.into_rules(),
            attestors: self.attestors.into_members::<ATTESTORS_MAX>("attestors")?,
            attestor_quorum,
            publishers: self.publishers.into_publishers()?,
            risk_officers: self.risk_officers.into_officers("risk officers")?,
            governors: self.governors.into_officers("governors")?,
            proposals: self.proposals.into_rules(),
            feeds: bounded::<_, _, FEEDS_MAX>(self.feed, "feeds", FeedTable::into_rules)?,
            segments: bounded::<_, _, SEGMENTS_MAX>(self.segment, "segments", SegmentTable::into_rules)?,
            markets: bounded::<_, _, MARKETS_MAX>(self.market, "markets", |market| Ok(market.into_rules()))?,
            clearing: bounded::<_, _, SEGMENTS_MAX>(clearing, "segments", |(id, table)| Ok(table.into_rules(id)))?,
            margins: bounded::<_, _, MARKETS_MAX>(margins, "markets", |(id, table)| table.into_rules(id))?,
            passkey_origins: bounded::<_, _, PASSKEY_ORIGINS_MAX>(self.passkey_origin, "passkey origins", |origin| {
                Ok(origin.into_origin())
            })?,
            seeded: self.seeded.map(SeededTable::into_accounts),
            policies: PolicySet {
                files: bounded::<_, _, POLICY_FILES_MAX>(self.policy, "policy files", PolicyFileTable::into_file)?,
            },
            auditors: clearing::principals::<AUDITORS_MAX>(self.auditor, "auditors")?,
        })
    }

    /// The clearing tables of those segments that have one, in the order of the file.
    fn take_clearing(&mut self) -> Vec<Spanned<(SegmentId, ClearingTable)>> {
        let of_segment = |segment: &mut Spanned<SegmentTable>| {
            let span = segment.span();
            let table = segment.get_mut();
            let id = SegmentId::new(table.id);
            table.clearing.take().map(|clearing| Spanned::new(span, (id, clearing)))
        };
        self.segment.iter_mut().filter_map(of_segment).collect()
    }

    /// The margin tables of those markets that have one, in the order of the file.
    fn take_margins(&mut self) -> Vec<Spanned<(MarketId, MarginTable)>> {
        let of_market = |market: &mut Spanned<MarketTable>| {
            let span = market.span();
            let table = market.get_mut();
            let id = MarketId::new(table.id);
            table.margin.take().map(|margin| Spanned::new(span, (id, margin)))
        };
        self.market.iter_mut().filter_map(of_market).collect()
    }
}

/// Turns the tables of a list into rules; the first table beyond the maximum is the error.
fn bounded<Table, Rules, const MAX: usize>(
    tables: Vec<Spanned<Table>>,
    what: &str,
    into_rules: impl Fn(Table) -> Result<Rules, Problem>,
) -> Result<BoundedVec<Rules, MAX>, Problem> {
    let excess = tables.get(MAX).map(Spanned::span);
    let rules: Result<Vec<Rules>, Problem> = tables.into_iter().map(|table| into_rules(table.into_inner())).collect();
    BoundedVec::new(rules?).ok_or_else(|| Problem::too_many(what, MAX, excess))
}
