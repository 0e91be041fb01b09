//! The genesis file: one strict TOML file that holds every rule and limit of a chain.
//!
//! Strict means: an unknown field, a missing field, a number that is not exact or a rule that does not hold is an error
//! that names the line. Nothing has a default, because a limit that somebody forgot must not become a limit that
//! somebody chose. `parse(write(genesis))` gives the same genesis, so the file can be shown, edited and compared.
//!
//! One convention for all values: a name ends in its unit. Amounts of the quote asset (`_quote`) are decimal strings,
//! exact to a millionth; durations and times (`_ms`), ratios (`_ppm`), prices (`_ticks`) and quantities (`_lots`) are
//! whole numbers. Keys are written `ed25519:` and 64 hexadecimal digits.
//!
//! Deliberately absent: the chain id. It is the hash of the canonical bytes of [`Genesis`], so comments and layout of
//! the file do not change it.

mod development;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use casemate_protocol::genesis::{
    AccountRules, Attestor, Genesis, GenesisPlace, LimiterRules, LogMode, MarketRules, SeededAccounts, SegmentRules,
    WindowCap,
};
use casemate_protocol::limits::{ATTESTORS_MAX, LIMITER_WINDOWS_MAX, MARKETS_MAX, SEGMENTS_MAX};
use casemate_protocol::{
    AssetId, BoundedVec, DurationMs, FeePpm, MarketId, OperatorId, PriceTicks, PublicKey, QuantityLots, QuoteMicros,
    RatioPpm, SegmentId, TickValueMicros, TimeMs,
};
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

pub use development::{DEVELOPMENT_SEED, ORDER_REPLAY_TIME, development_genesis, order_replay_genesis};
pub use write::write;

use crate::development_keys::{bytes_of_hex, parse_public_key};

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
    segments: Vec<(u16, Range<usize>)>,
    markets: Vec<(u16, Range<usize>)>,
}

impl PlaceSpans {
    fn of(file: &GenesisFile) -> Self {
        Self {
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
    attestors: AttestorsTable,
    segment: Vec<Spanned<SegmentTable>>,
    market: Vec<Spanned<MarketTable>>,
    /// The one part that may be absent: a chain without seeded accounts has nothing to say about them.
    seeded: Option<SeededTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum LogModeWord {
    Sealed,
    Open,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountsTable {
    bond_quote: Quote,
    opening_deposit_min_quote: Quote,
    weight_burst: u32,
    weight_per_second: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttestorsTable {
    quorum_operators: u16,
    member: Vec<Spanned<AttestorTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttestorTable {
    operator: u16,
    root_key: Key,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SegmentTable {
    id: u16,
    asset: u16,
    withdrawal_delay_ms: u64,
    transfer_delay_ms: u64,
    open_orders_max: u32,
    dead_man_timeout_min_ms: u64,
    fee_share_insurance_ppm: u32,
    fee_share_validators_ppm: u32,
    inbound: InboundTable,
    outbound: Vec<Spanned<OutboundTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InboundTable {
    window_ms: u64,
    amount_max_quote: Quote,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutboundTable {
    window_ms: u64,
    floor_quote: Quote,
    vault_share_ppm: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarketTable {
    id: u16,
    segment: u16,
    tick_value_quote: TickValue,
    price_max_ticks: u64,
    reference_price_ticks: u64,
    band_ppm: u32,
    order_min_lots: u64,
    order_max_lots: u64,
    position_max_lots: u64,
    maker_fee_ppm: i32,
    taker_fee_ppm: i32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeededTable {
    accounts: u64,
    seed_hex: Seed,
    balance_quote: Quote,
    position_lots: u64,
    grant_notional_quote: Quote,
    grant_commands_per_minute: u32,
    grant_lifetime_ms: u64,
}

impl GenesisFile {
    fn into_genesis(self) -> Result<Genesis, Problem> {
        Ok(Genesis {
            name: self.name.0,
            time_ms: TimeMs::from_ms(self.time_ms),
            is_development: self.development,
            log_mode: match self.log_mode {
                LogModeWord::Sealed => LogMode::Sealed,
                LogModeWord::Open => LogMode::Open,
            },
            accounts: AccountRules {
                bond: self.accounts.bond_quote.0,
                opening_deposit_min: self.accounts.opening_deposit_min_quote.0,
                weight_burst: self.accounts.weight_burst,
                weight_per_second: self.accounts.weight_per_second,
            },
            attestors: bounded::<_, _, ATTESTORS_MAX>(self.attestors.member, "attestors", |attestor| {
                Ok(Attestor { operator: OperatorId::new(attestor.operator), root_key: attestor.root_key.0 })
            })?,
            attestor_quorum: self.attestors.quorum_operators,
            segments: bounded::<_, _, SEGMENTS_MAX>(self.segment, "segments", SegmentTable::into_rules)?,
            markets: bounded::<_, _, MARKETS_MAX>(self.market, "markets", |market| Ok(market.into_rules()))?,
            seeded: self.seeded.map(SeededTable::into_accounts),
        })
    }
}

impl SegmentTable {
    fn into_rules(self) -> Result<SegmentRules, Problem> {
        Ok(SegmentRules {
            id: SegmentId::new(self.id),
            asset: AssetId::new(self.asset),
            withdrawal_delay_ms: DurationMs::from_ms(self.withdrawal_delay_ms),
            transfer_delay_ms: DurationMs::from_ms(self.transfer_delay_ms),
            inbound: WindowCap {
                window_ms: DurationMs::from_ms(self.inbound.window_ms),
                amount_max: self.inbound.amount_max_quote.0,
            },
            outbound: bounded::<_, _, LIMITER_WINDOWS_MAX>(self.outbound, "outbound windows", |window| {
                Ok(LimiterRules {
                    window_ms: DurationMs::from_ms(window.window_ms),
                    floor: window.floor_quote.0,
                    vault_share: RatioPpm::from_ppm(window.vault_share_ppm),
                })
            })?,
            open_orders_max: self.open_orders_max,
            dead_man_timeout_min_ms: DurationMs::from_ms(self.dead_man_timeout_min_ms),
            fee_share_insurance: RatioPpm::from_ppm(self.fee_share_insurance_ppm),
            fee_share_validators: RatioPpm::from_ppm(self.fee_share_validators_ppm),
        })
    }
}

impl MarketTable {
    fn into_rules(self) -> MarketRules {
        MarketRules {
            id: MarketId::new(self.id),
            segment: SegmentId::new(self.segment),
            tick_value: self.tick_value_quote.0,
            price_max: PriceTicks::from_ticks(self.price_max_ticks),
            reference_price: PriceTicks::from_ticks(self.reference_price_ticks),
            band: RatioPpm::from_ppm(self.band_ppm),
            order_lots_min: QuantityLots::from_lots(self.order_min_lots),
            order_lots_max: QuantityLots::from_lots(self.order_max_lots),
            position_lots_max: QuantityLots::from_lots(self.position_max_lots),
            maker_fee: FeePpm::from_ppm(self.maker_fee_ppm),
            taker_fee: FeePpm::from_ppm(self.taker_fee_ppm),
        }
    }
}

impl SeededTable {
    fn into_accounts(self) -> SeededAccounts {
        SeededAccounts {
            count: self.accounts,
            seed: self.seed_hex.0,
            balance: self.balance_quote.0,
            position_lots: QuantityLots::from_lots(self.position_lots),
            grant_notional: self.grant_notional_quote.0,
            grant_commands_per_minute: self.grant_commands_per_minute,
            grant_lifetime_ms: DurationMs::from_ms(self.grant_lifetime_ms),
        }
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

/// At most 64 bytes of text.
struct ChainName(BoundedVec<u8, 64>);

/// An amount of the quote asset as a decimal string.
struct Quote(QuoteMicros);

/// Quote per tick per lot as a decimal string.
struct TickValue(TickValueMicros);

/// A public key.
struct Key(PublicKey);

/// 32 bytes.
struct Seed([u8; 32]);

/// Values written as strings say themselves what they are; serde adds the place.
macro_rules! from_text {
    ($name:ident, $parse:expr, $expected:literal) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let parse: fn(&str) -> Option<Self> = $parse;
                parse(&text).ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &$expected))
            }
        }
    };
}

from_text!(ChainName, |text| BoundedVec::new(text.as_bytes().to_vec()).map(Self), "at most 64 bytes of text");
from_text!(
    Quote,
    |text| parse_micros(text).map(QuoteMicros::from_micros).map(Self),
    "a decimal amount with at most six places, such as \"12.500000\""
);
from_text!(
    TickValue,
    |text| u32::try_from(parse_micros(text)?).ok().map(TickValueMicros::from_micros).map(Self),
    "a decimal amount of at least zero with at most six places, such as \"0.000001\""
);
from_text!(Key, |text| parse_public_key(text).map(Self), "a key: `ed25519:` and 64 hexadecimal digits");
from_text!(Seed, |text| bytes_of_hex(text).map(Self), "64 hexadecimal digits");

/// Millionths of a decimal number, exact: digits, and at most six of them after a point. `None` for anything else,
/// so that no amount is ever rounded on its way in.
fn parse_micros(text: &str) -> Option<i64> {
    let (magnitude, is_negative) = match text.strip_prefix('-') {
        Some(magnitude) => (magnitude, true),
        None => (text, false),
    };
    let (whole, fraction) = match magnitude.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (magnitude, ""),
    };
    let are_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits || fraction.len() > 6 {
        return None;
    }
    let micros: i128 = format!("{whole}{fraction:0<6}").parse().ok()?;
    i64::try_from(if is_negative { -micros } else { micros }).ok()
}
