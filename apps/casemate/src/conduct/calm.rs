//! Months of recorded candles without labels: how often the detector of pumps alerts where nobody announced one.
//!
//! A minute is made four trades: open, the nearer and the farther extreme, close, a quarter of the volume each; a trade is a
//! buy if the price did not fall to it. So order inside the minute, and who was aggressor, are guesses.

use std::path::Path;

use casemate_world::klines::{self, VolumeUnit};

use super::pumps::{RecordedTrade, pump_alerts};
use crate::error::CliError;

/// A file, and what is known of it.
pub struct Month {
    pub file: &'static str,
    pub name: &'static str,
}

/// The one that was chosen as calm, and three with a crash in them.
pub const MONTHS: [Month; 4] = [
    Month { file: "market/alt_crash_months_um_futures/FILUSDT-1m-2023-09.csv.zst", name: "FIL 2023-09, calm" },
    Month { file: "market/alt_crash_months_um_futures/FILUSDT-1m-2024-04.csv.zst", name: "FIL 2024-04, crash" },
    Month { file: "market/alt_crash_months_um_futures/AVAXUSDT-1m-2025-02.csv.zst", name: "AVAX 2025-02, crash" },
    Month { file: "market/alt_crash_months_um_futures/AVAXUSDT-1m-2026-02.csv.zst", name: "AVAX 2026-02, crash" },
];

/// What a month came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthFound {
    pub name: &'static str,
    pub minutes: u64,
    pub alerts: u64,
}

/// Evaluates a month; nothing if it is not there.
///
/// # Errors
/// The file is there and cannot be read.
pub fn evaluate(data: &Path, month: &Month) -> Result<Option<MonthFound>, CliError> {
    let path = data.join(month.file);
    if !path.exists() {
        return Ok(None);
    }
    let file = klines::read(&path, VolumeUnit::Base).map_err(|error| CliError::new(error.to_string(), error.hint()))?;
    let trades: Vec<RecordedTrade> = file.minutes().iter().flat_map(trades_of).collect();
    let alerts = pump_alerts(&trades).len() as u64;
    Ok(Some(MonthFound { name: month.name, minutes: file.minutes().len() as u64, alerts }))
}

fn trades_of(minute: &klines::Kline) -> [RecordedTrade; 4] {
    let ohlc = &minute.ohlc;
    let (open, low, high, close) = (ohlc.open_micros(), ohlc.low_micros(), ohlc.high_micros(), ohlc.close_micros());
    let path = if open - low <= high - open { [open, low, high, close] } else { [open, high, low, close] };
    let notional = (minute.volume_quote_micros / 4).max(1);
    [0, 1, 2, 3].map(|step: usize| RecordedTrade {
        at_ms: minute.open_time_ms + 15_000 * step as u64,
        is_buy: step > 0 && path[step] >= path[step - 1],
        price: path[step],
        lots: (notional / path[step].max(1)).max(1),
        notional,
    })
}
