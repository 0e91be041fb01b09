//! Reads level-3 order events from CSV, plain or compressed with zstd.
//!
//! A file that someone cut, edited or mixed up must not become a replay with slightly other numbers. So every column of
//! every row is checked, also those that nothing uses, and the error names line and column. Deliberately absent: quoted
//! fields and a choice of columns; the format has neither.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use casemate_protocol::command::Side;
use casemate_protocol::limits::PRICE_TICKS_MAX;
use casemate_protocol::{PriceTicks, TimeMs};

/// One event of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its line in the file, from 1; the header is line 1.
    pub line: u64,
    /// The order, as the recorded venue numbered it; numbers grow with time.
    pub id: u64,
    /// When the event was received.
    pub time: TimeMs,
    /// Price of the order from now on.
    pub price: PriceTicks,
    /// What is left of the order from now on; for a deleted order, what was left.
    pub volume_satoshi: u64,
    /// What happened.
    pub action: RowAction,
    /// Buy or sell.
    pub side: Side,
}

/// What happened to the order of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowAction {
    /// It arrived.
    Created,
    /// Its volume or its price changed.
    Changed,
    /// It left: filled if no volume is left, cancelled otherwise.
    Deleted,
}

/// Opens a file and reads its rows one by one; it is compressed if it starts like a zstd frame.
///
/// # Errors
/// The file cannot be read.
pub fn open(path: &Path) -> Result<OrderRows<Box<dyn BufRead>>, OrderFileError> {
    let cannot_read = |error: io::Error| OrderFileError {
        path: path.to_path_buf(),
        line: None,
        column: None,
        problem: RowProblem::CannotRead(error.to_string()),
    };
    let mut file = File::open(path).map_err(cannot_read)?;
    let mut start = Vec::with_capacity(ZSTD_MAGIC.len());
    Read::by_ref(&mut file).take(4).read_to_end(&mut start).map_err(cannot_read)?;
    let is_compressed = start == ZSTD_MAGIC;
    let whole = io::Cursor::new(start).chain(file);
    let reader: Box<dyn BufRead> = if is_compressed {
        Box::new(BufReader::new(zstd::Decoder::new(whole).map_err(cannot_read)?))
    } else {
        Box::new(BufReader::new(whole))
    };
    Ok(OrderRows { is_compressed, ..OrderRows::new(reader, path) })
}

/// Reads all rows of a file.
///
/// # Errors
/// The first thing that is wrong with it. A file without rows is an error too: nothing can be replayed from it.
pub fn read(path: &Path) -> Result<Vec<Row>, OrderFileError> {
    let mut rows = open(path)?;
    let all: Vec<Row> = rows.by_ref().collect::<Result<_, _>>()?;
    if all.is_empty() { Err(rows.error(None, RowProblem::NoRows)) } else { Ok(all) }
}

/// The rows of a reader. After an error there are no more.
pub struct OrderRows<R> {
    reader: R,
    path: PathBuf,
    is_compressed: bool,
    /// The line that was read last.
    line: u64,
    is_finished: bool,
    buffer: Vec<u8>,
}

impl<R: BufRead> OrderRows<R> {
    /// Rows of plain CSV with its header; `path` only names the source in errors.
    pub fn new(reader: R, path: &Path) -> Self {
        let buffer = Vec::with_capacity(128);
        Self { reader, path: path.to_path_buf(), is_compressed: false, line: 0, is_finished: false, buffer }
    }

    fn next_row(&mut self) -> Result<Option<Row>, OrderFileError> {
        if self.line == 0 {
            if !self.read_line()? {
                return Err(self.error(None, RowProblem::EmptyFile));
            }
            if self.buffer != HEADER.as_bytes() {
                let found = shown(&self.buffer);
                return Err(self.error(None, RowProblem::HeaderMissing { found }));
            }
        }
        if !self.read_line()? {
            return Ok(None);
        }
        let text = std::str::from_utf8(&self.buffer)
            .map_err(|_invalid| self.error(None, RowProblem::NotText { found: shown(&self.buffer) }))?;
        parse_row(text, self.line).map(Some).map_err(|(column, problem)| self.error(column, problem))
    }

    /// Reads the next line into the buffer, without its line end. False at the end of the file.
    fn read_line(&mut self) -> Result<bool, OrderFileError> {
        self.buffer.clear();
        self.line += 1;
        // Bounded, so that a file that is no table at all does not end up in memory as one line.
        let mut bounded = Read::by_ref(&mut self.reader).take(LINE_BYTES_MAX + 2);
        if let Err(error) = bounded.read_until(b'\n', &mut self.buffer) {
            let problem = match error.kind() {
                io::ErrorKind::UnexpectedEof if self.is_compressed => RowProblem::CompressedDataEnds,
                _ if self.is_compressed => RowProblem::CompressedDataDamaged(error.to_string()),
                _ => RowProblem::CannotRead(error.to_string()),
            };
            return Err(self.error(None, problem));
        }
        if self.buffer.is_empty() {
            return Ok(false);
        }
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        }
        if self.buffer.last() == Some(&b'\r') {
            self.buffer.pop();
        }
        if self.buffer.len() as u64 > LINE_BYTES_MAX {
            return Err(self.error(None, RowProblem::LineTooLong));
        }
        Ok(true)
    }

    fn error(&self, column: Option<&'static str>, problem: RowProblem) -> OrderFileError {
        let line = match problem {
            RowProblem::EmptyFile | RowProblem::NoRows => None,
            _ => Some(self.line),
        };
        OrderFileError { path: self.path.clone(), line, column, problem }
    }
}

impl<R: BufRead> Iterator for OrderRows<R> {
    type Item = Result<Row, OrderFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_finished {
            return None;
        }
        let row = self.next_row().transpose();
        self.is_finished = !matches!(row, Some(Ok(_)));
        row
    }
}

/// What is wrong with an order file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderFileError {
    path: PathBuf,
    line: Option<u64>,
    column: Option<&'static str>,
    problem: RowProblem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowProblem {
    /// The operating system said no.
    CannotRead(String),
    /// There is not even a header.
    EmptyFile,
    /// The first line is not the header.
    HeaderMissing {
        /// What stands there.
        found: String,
    },
    /// There is a header and nothing else.
    NoRows,
    /// The compressed data stops in the middle.
    CompressedDataEnds,
    /// The compressed data does not decompress.
    CompressedDataDamaged(String),
    /// The line is longer than any row.
    LineTooLong,
    /// The line is not UTF-8.
    NotText {
        /// What stands there.
        found: String,
    },
    /// Columns are missing or left over.
    ColumnCount {
        /// How many there are.
        count: usize,
    },
    /// Not a number where one is needed.
    NotANumber {
        /// What stands there.
        found: String,
    },
    /// A number below zero.
    Negative {
        /// What stands there.
        found: String,
    },
    /// A number too large to mean anything.
    OutOfRange {
        /// What stands there.
        found: String,
    },
    /// A price between two ticks.
    NotOnTick {
        /// What stands there.
        found: String,
    },
    /// A price of zero.
    PriceZero,
    /// An action that this format does not have.
    UnknownAction {
        /// What stands there.
        found: String,
    },
    /// A direction that this format does not have.
    UnknownDirection {
        /// What stands there.
        found: String,
    },
}

#[cfg(test)]
impl OrderFileError {
    /// The line, from 1, where there is one to name.
    #[must_use]
    pub const fn line(&self) -> Option<u64> {
        self.line
    }

    /// The column, where the problem lies in one.
    #[must_use]
    pub const fn column(&self) -> Option<&'static str> {
        self.column
    }

    /// What is wrong there.
    #[must_use]
    pub const fn problem(&self) -> &RowProblem {
        &self.problem
    }
}

impl OrderFileError {
    /// What the user can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match &self.problem {
            RowProblem::CannotRead(_) => "check the name and that you may read the file",
            RowProblem::EmptyFile | RowProblem::NoRows => "name a file with recorded orders, or fetch it again",
            RowProblem::HeaderMissing { .. } => {
                "the first line must be `id,timestamp,exchange.timestamp,price,volume,action,direction`"
            }
            RowProblem::CompressedDataEnds | RowProblem::CompressedDataDamaged(_) => {
                "the copy is incomplete or damaged: fetch the file again and compare its checksum"
            }
            RowProblem::LineTooLong | RowProblem::NotText { .. } => "this is not a file of recorded orders",
            RowProblem::ColumnCount { .. } => "a row has seven columns; a last row with fewer means a cut file",
            RowProblem::NotANumber { .. } | RowProblem::Negative { .. } | RowProblem::OutOfRange { .. } => {
                "times are milliseconds, prices US dollars, volumes whole satoshi"
            }
            RowProblem::NotOnTick { .. } => "the replay market has a tick of 0.01: prices have at most two decimals",
            RowProblem::PriceZero => "every order has a price above zero",
            RowProblem::UnknownAction { .. } => "use `created`, `changed` or `deleted`",
            RowProblem::UnknownDirection { .. } => "use `bid` or `ask`",
        }
    }
}

impl fmt::Display for OrderFileError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "order file `{}`", self.path.display())?;
        if let Some(line) = self.line {
            write!(formatter, ", line {line}")?;
        }
        if let Some(column) = self.column {
            write!(formatter, ", column `{column}`")?;
        }
        write!(formatter, ": {}", self.problem)
    }
}

impl fmt::Display for RowProblem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotRead(error) => write!(formatter, "cannot be read: {error}"),
            Self::EmptyFile => formatter.write_str("the file is empty"),
            Self::HeaderMissing { found } => write!(formatter, "expected the header, found `{found}`"),
            Self::NoRows => formatter.write_str("the file has no rows"),
            Self::CompressedDataEnds => formatter.write_str("compressed data ends in the middle"),
            Self::CompressedDataDamaged(error) => write!(formatter, "compressed data is damaged: {error}"),
            Self::LineTooLong => write!(formatter, "line is longer than `{LINE_BYTES_MAX}` bytes"),
            Self::NotText { found } => write!(formatter, "`{found}` is not text"),
            Self::ColumnCount { count } => write!(formatter, "`{count}` columns where `{}` belong", COLUMNS.len()),
            Self::NotANumber { found } => write!(formatter, "`{found}` is not a number of the expected form"),
            Self::Negative { found } => write!(formatter, "`{found}` is below zero"),
            Self::OutOfRange { found } => write!(formatter, "`{found}` is too large"),
            Self::NotOnTick { found } => write!(formatter, "`{found}` is not a multiple of the tick, `0.01`"),
            Self::PriceZero => formatter.write_str("the price is zero"),
            Self::UnknownAction { found } => write!(formatter, "action `{found}` is unknown"),
            Self::UnknownDirection { found } => write!(formatter, "direction `{found}` is unknown"),
        }
    }
}

impl std::error::Error for OrderFileError {}

type InColumn<T> = Result<T, (Option<&'static str>, RowProblem)>;

fn parse_row(text: &str, line: u64) -> InColumn<Row> {
    let mut fields = [""; COLUMNS.len()];
    let mut count = 0;
    for field in text.split(',') {
        if let Some(slot) = fields.get_mut(count) {
            *slot = field;
        }
        count += 1;
    }
    if count != COLUMNS.len() {
        return Err((None, RowProblem::ColumnCount { count }));
    }
    let [id, time, exchange_time, price, volume, action, side] = fields;
    // Nothing uses the time at which the venue took the order in, but a shifted column must not go unnoticed.
    let _exchange_time_ms = whole(exchange_time).map_err(|problem| (Some("exchange.timestamp"), problem))?;
    Ok(Row {
        line,
        id: whole(id).map_err(|problem| (Some("id"), problem))?,
        time: TimeMs::from_ms(whole(time).map_err(|problem| (Some("timestamp"), problem))?),
        price: ticks(price).map_err(|problem| (Some("price"), problem))?,
        volume_satoshi: whole(volume).map_err(|problem| (Some("volume"), problem))?,
        action: match action {
            "created" => RowAction::Created,
            "changed" => RowAction::Changed,
            "deleted" => RowAction::Deleted,
            other => {
                return Err((Some("action"), RowProblem::UnknownAction { found: shown(other.as_bytes()) }));
            }
        },
        side: match side {
            "bid" => Side::Bid,
            "ask" => Side::Ask,
            other => {
                return Err((Some("direction"), RowProblem::UnknownDirection { found: shown(other.as_bytes()) }));
            }
        },
    })
}

fn whole(text: &str) -> Result<u64, RowProblem> {
    let digits = require_digits(text, text)?;
    digits.parse().map_err(|_overflow| RowProblem::OutOfRange { found: shown(text.as_bytes()) })
}

/// Ticks of a price in dollars, exact.
fn ticks(text: &str) -> Result<PriceTicks, RowProblem> {
    let found = || shown(text.as_bytes());
    let (dollars, decimals) = match text.split_once('.') {
        Some((dollars, decimals)) => (dollars, require_digits(decimals, text)?),
        None => (text, "0"),
    };
    let dollars = require_digits(dollars, text)?;
    let cents = decimals.trim_end_matches('0');
    if cents.len() > 2 {
        return Err(RowProblem::NotOnTick { found: found() });
    }
    let out_of_range = |_overflow| RowProblem::OutOfRange { found: found() };
    match format!("{dollars}{cents:0<2}").parse().map_err(out_of_range)? {
        0 => Err(RowProblem::PriceZero),
        ticks if ticks > PRICE_TICKS_MAX => Err(RowProblem::OutOfRange { found: found() }),
        ticks => Ok(PriceTicks::from_ticks(ticks)),
    }
}

/// At least one digit and nothing else; `whole` is what the error shows.
fn require_digits<'a>(part: &'a str, whole: &str) -> Result<&'a str, RowProblem> {
    if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(part);
    }
    let found = shown(whole.as_bytes());
    match part.strip_prefix('-') {
        Some(rest) if rest.starts_with(|character: char| character.is_ascii_digit()) => {
            Err(RowProblem::Negative { found })
        }
        _ => Err(RowProblem::NotANumber { found }),
    }
}

/// The start of what stood in the file, safe to print on a terminal.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

const COLUMNS: [&str; 7] = ["id", "timestamp", "exchange.timestamp", "price", "volume", "action", "direction"];
const HEADER: &str = "id,timestamp,exchange.timestamp,price,volume,action,direction";
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const LINE_BYTES_MAX: u64 = 512;
const SHOWN_CHARS_MAX: usize = 40;
