//! Reads candles line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::problem::{LINE_BYTES_MAX, shown};
use super::{Gap, Kline, KlineFileError, KlineItem, KlineProblem, Ohlc, OhlcMicros, VolumeUnit, decimal};
use crate::{MINUTE_MS, TIME_MS_MAX};

/// Opens a file and reads its minutes one by one; it is compressed if it starts like a zstd frame, whatever its name.
///
/// # Errors
/// The file cannot be read.
pub fn open(path: &Path, unit: VolumeUnit) -> Result<KlineRows<Box<dyn BufRead>>, KlineFileError> {
    let cannot_read =
        |error: io::Error| KlineFileError::new(path, None, None, KlineProblem::CannotRead(error.to_string()));
    let mut file = File::open(path).map_err(cannot_read)?;
    let mut start = Vec::with_capacity(ZSTD_MAGIC.len());
    Read::by_ref(&mut file).take(4).read_to_end(&mut start).map_err(cannot_read)?;
    let is_compressed = start == ZSTD_MAGIC;
    let all = io::Cursor::new(start).chain(file);
    let reader: Box<dyn BufRead> = if is_compressed {
        Box::new(BufReader::new(zstd::Decoder::new(all).map_err(cannot_read)?))
    } else {
        Box::new(BufReader::new(all))
    };
    Ok(KlineRows { is_compressed, ..KlineRows::new(reader, path, unit) })
}

/// The minutes of a reader, and the gaps between them. After an error there are no more.
pub struct KlineRows<R> {
    reader: R,
    path: PathBuf,
    unit: VolumeUnit,
    is_compressed: bool,
    /// The line that was read last, from 1.
    line: u64,
    columns_count: Option<usize>,
    /// When the minute before ended.
    end_ms: Option<u64>,
    /// A minute that waits behind the gap before it.
    behind_gap: Option<Kline>,
    is_finished: bool,
    buffer: Vec<u8>,
}

impl<R: BufRead> KlineRows<R> {
    /// Minutes of plain CSV; `path` only names the source in errors.
    pub fn new(reader: R, path: &Path, unit: VolumeUnit) -> Self {
        Self {
            reader,
            path: path.to_path_buf(),
            unit,
            is_compressed: false,
            line: 0,
            columns_count: None,
            end_ms: None,
            behind_gap: None,
            is_finished: false,
            buffer: Vec::with_capacity(160),
        }
    }

    pub(super) fn error_of_file(&self, problem: KlineProblem) -> KlineFileError {
        KlineFileError::new(&self.path, None, None, problem)
    }

    fn error(&self, (column, problem): (Option<&'static str>, KlineProblem)) -> KlineFileError {
        KlineFileError::new(&self.path, Some(self.line), column, problem)
    }

    fn next_item(&mut self) -> Result<Option<KlineItem>, KlineFileError> {
        if let Some(minute) = self.behind_gap.take() {
            return Ok(Some(KlineItem::Minute(minute)));
        }
        let Some(minute) = self.next_minute()? else {
            return Ok(None);
        };
        let time_ms = minute.open_time_ms;
        let gap = match self.end_ms {
            Some(end_ms) if time_ms + MINUTE_MS == end_ms => {
                return Err(self.error((Some("open_time"), KlineProblem::Duplicate { time_ms })));
            }
            Some(end_ms) if time_ms < end_ms => {
                let problem = KlineProblem::OutOfOrder { time_ms, before_ms: end_ms - MINUTE_MS };
                return Err(self.error((Some("open_time"), problem)));
            }
            Some(end_ms) if time_ms > end_ms => Some(Gap { from_ms: end_ms, to_ms: time_ms }),
            Some(_) | None => None,
        };
        self.end_ms = Some(time_ms + MINUTE_MS);
        Ok(Some(match gap {
            Some(gap) => {
                self.behind_gap = Some(minute);
                KlineItem::Gap(gap)
            }
            None => KlineItem::Minute(minute),
        }))
    }

    fn next_minute(&mut self) -> Result<Option<Kline>, KlineFileError> {
        if !self.read_line()? {
            return Ok(None);
        }
        if self.line == 1 && !self.buffer.first().is_some_and(u8::is_ascii_digit) {
            self.accept_header()?;
            if !self.read_line()? {
                return Ok(None);
            }
        }
        let text = self.text()?;
        let count = text.split(',').count();
        self.accept_columns(count)?;
        parse_row(self.text()?, self.unit).map(Some).map_err(|at| self.error(at))
    }

    fn text(&self) -> Result<&str, KlineFileError> {
        let not_text = |_invalid| self.error((None, KlineProblem::NotText { found: shown(&self.buffer) }));
        std::str::from_utf8(&self.buffer).map_err(not_text)
    }

    /// A header says nothing that is needed but how many columns there are; still, not every line of text is one.
    fn accept_header(&mut self) -> Result<(), KlineFileError> {
        let text = self.text()?;
        if !HEADER_STARTS.iter().any(|start| text.starts_with(start)) {
            return Err(self.error((None, KlineProblem::UnknownHeader { found: shown(&self.buffer) })));
        }
        let count = text.split(',').count();
        self.accept_columns(count)
    }

    fn accept_columns(&mut self, count: usize) -> Result<(), KlineFileError> {
        let expected = self.columns_count;
        if expected.map_or(count == COLUMNS_SHORT || count == COLUMNS.len(), |expected| expected == count) {
            self.columns_count = Some(count);
            return Ok(());
        }
        Err(self.error((None, KlineProblem::ColumnCount { count, expected })))
    }

    /// Reads the next line into the buffer, without its line end. False at the end of the file.
    fn read_line(&mut self) -> Result<bool, KlineFileError> {
        self.buffer.clear();
        self.line += 1;
        // Bounded, so that a file that is no table at all does not end up in memory as one line.
        let mut bounded = Read::by_ref(&mut self.reader).take(LINE_BYTES_MAX + 2);
        if let Err(error) = bounded.read_until(b'\n', &mut self.buffer) {
            let problem = match error.kind() {
                io::ErrorKind::UnexpectedEof if self.is_compressed => KlineProblem::CompressedDataEnds,
                _ if self.is_compressed => KlineProblem::CompressedDataDamaged(error.to_string()),
                _ => KlineProblem::CannotRead(error.to_string()),
            };
            return Err(self.error((None, problem)));
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
            return Err(self.error((None, KlineProblem::LineTooLong)));
        }
        Ok(true)
    }
}

impl<R: BufRead> Iterator for KlineRows<R> {
    type Item = Result<KlineItem, KlineFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_finished {
            return None;
        }
        let item = self.next_item().transpose();
        self.is_finished = !matches!(item, Some(Ok(_)));
        item
    }
}

type InColumn<T> = Result<T, (Option<&'static str>, KlineProblem)>;

/// A row with six columns or twelve.
fn parse_row(text: &str, unit: VolumeUnit) -> InColumn<Kline> {
    let mut fields = [""; COLUMNS.len()];
    for (slot, field) in fields.iter_mut().zip(text.split(',')) {
        *slot = field;
    }
    let in_column = |index: usize| move |problem| (Some(COLUMNS[index]), problem);
    let price = |index: usize| decimal::scaled(fields[index], 6).map_err(in_column(index));

    let (open_time_ms, unit_per_ms) = open_time(fields[0]).map_err(in_column(0))?;
    let prices = OhlcMicros { open: price(1)?, high: price(2)?, low: price(3)?, close: price(4)? };
    let ohlc = Ohlc::new(prices).map_err(|problem| (None, problem))?;
    let volume_e8 = decimal::scaled(fields[VOLUME], 8).map_err(in_column(VOLUME))?;
    let too_large = || (Some(COLUMNS[VOLUME]), KlineProblem::TooLarge { found: shown(fields[VOLUME].as_bytes()) });
    let volume_quote_micros = unit.quote_micros(volume_e8, &ohlc).ok_or_else(too_large)?;

    if text.split(',').count() == COLUMNS.len() {
        let found = decimal::whole(fields[CLOSE_TIME]).map_err(in_column(CLOSE_TIME))?;
        let expected = (open_time_ms + MINUTE_MS) * unit_per_ms - 1;
        if found != expected {
            return Err((Some(COLUMNS[CLOSE_TIME]), KlineProblem::CloseTime { found, expected }));
        }
        // Nothing uses the others, but a shifted column must not go unnoticed.
        for (name, field) in COLUMNS.into_iter().zip(fields).skip(CLOSE_TIME + 1) {
            decimal::scaled(field, 0).map_err(|problem| (Some(name), problem))?;
        }
    }
    Ok(Kline { open_time_ms, ohlc, volume_quote_micros })
}

/// Milliseconds, and how many of the file's units one is: Binance's spot files count microseconds since 2025, in numbers
/// that would be the year 5138 as milliseconds.
fn open_time(text: &str) -> Result<(u64, u64), KlineProblem> {
    let time = decimal::whole(text)?;
    let unit_per_ms = if time < TIME_MS_MAX { 1 } else { 1_000 };
    // Bounded, so that adding days to a time never overflows.
    if time / unit_per_ms >= TIME_MS_MAX {
        return Err(KlineProblem::TooLarge { found: shown(text.as_bytes()) });
    }
    if !time.is_multiple_of(MINUTE_MS * unit_per_ms) {
        return Err(KlineProblem::NotOnMinute { found: shown(text.as_bytes()) });
    }
    Ok((time / unit_per_ms, unit_per_ms))
}

const COLUMNS: [&str; 12] = [
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
];
const COLUMNS_SHORT: usize = 6;
const VOLUME: usize = 5;
const CLOSE_TIME: usize = 6;
const HEADER_STARTS: [&str; 3] = ["open_time,", "open_time_ms,", "Open time,"];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
