//! Recorded pumps with their labels: trades of four days around an announced pump, coin by coin. The trades name no account.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use casemate_ledger::conduct::{Act, Alert, Conduct, Detector, Observation, Traded};
use casemate_protocol::command::Side;
use casemate_protocol::{AccountId, MarketId, OrderNumber, PriceTicks, QuantityLots, QuoteMicros, TimeMs, TradeNumber};
use indicatif::ProgressBar;

use crate::error::CliError;

/// Where they are.
pub const FOLDER: &str = "orderbook/pump_dump_labelled";
/// How many there are.
pub const FILES: usize = 9;

/// An alert so far from the announcement belongs to it: buying begins before it, and the crowd comes after.
const WINDOW_MS: u64 = 600_000;
/// Alerts closer than this are one episode.
const EPISODE_MS: u64 = 1_800_000;

/// What was found around one pump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pump {
    pub coin: String,
    pub trades: u64,
    pub hours: u64,
    /// From the announcement to the first alert of its episode; negative before it.
    pub detected_ms: Option<i64>,
    /// Episodes elsewhere in its days.
    pub false_episodes: u64,
}

/// Evaluates all of them; nothing if they are not there.
///
/// # Errors
/// A file is there and cannot be read.
pub fn evaluate(folder: &Path, bar: &ProgressBar) -> Result<Option<Vec<Pump>>, CliError> {
    let labels = folder.join("labels_shared.csv");
    if !labels.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(&labels).map_err(|error| CliError::io("read", &labels, &error))?;
    let mut found = Vec::new();
    for (line, row) in text.lines().enumerate().skip(1).filter(|(_, row)| !row.is_empty()) {
        let fields: Vec<&str> = row.split(',').collect();
        let (Some(file), Some(coin), Some(time)) =
            (fields.first(), fields.get(1), fields.get(4).and_then(|t| utc_ms(t)))
        else {
            return Err(malformed(&labels, line + 1));
        };
        let trades = read(&folder.join("trades").join(file))?;
        found.push(judge(coin, time, &trades));
        bar.inc(1);
    }
    Ok(Some(found))
}

/// A trade of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedTrade {
    pub at_ms: u64,
    pub is_buy: bool,
    /// 10⁻¹⁰ of the quote.
    pub price: u64,
    /// Thousandths of the coin.
    pub lots: u64,
    /// 10⁻⁹ of the quote; only its relation to other trades matters.
    pub notional: u64,
}

fn judge(coin: &str, announced_ms: u64, trades: &[RecordedTrade]) -> Pump {
    let alerts = pump_alerts(trades);
    let mut episodes: Vec<Vec<u64>> = Vec::new();
    for at in alerts {
        match episodes.last_mut().filter(|episode| episode.last().is_some_and(|last| at - last <= EPISODE_MS)) {
            Some(episode) => episode.push(at),
            None => episodes.push(vec![at]),
        }
    }
    let is_hit = |episode: &&Vec<u64>| episode.iter().any(|at| at.abs_diff(announced_ms) <= WINDOW_MS);
    let signed = |at: u64| at as i64 - announced_ms as i64;
    let first =
        |episode: &Vec<u64>| episode.iter().find(|at| at.abs_diff(announced_ms) <= WINDOW_MS).map(|at| signed(*at));
    let span = trades.last().map_or(0, |last| last.at_ms) - trades.first().map_or(0, |first| first.at_ms);
    Pump {
        coin: coin.to_owned(),
        trades: trades.len() as u64,
        hours: span / 3_600_000,
        detected_ms: episodes.iter().find(is_hit).and_then(first),
        false_episodes: episodes.iter().filter(|episode| !is_hit(episode)).count() as u64,
    }
}

/// When the detector of pumps alerts. Both sides of every trade are strangers, since the record names none: alerts about
/// accounts mean nothing here and are left out.
pub fn pump_alerts(trades: &[RecordedTrade]) -> Vec<u64> {
    let mut conduct = Conduct::default();
    let mut alerts: Vec<Alert> = Vec::new();
    for (number, trade) in (1u64..).zip(trades) {
        let traded = Traded {
            trade: TradeNumber::new(number),
            maker: AccountId::new(2_000 + number % 991),
            taker: AccountId::new(1 + number % 997),
            taker_order: OrderNumber::new(number),
            taker_side: if trade.is_buy { Side::Bid } else { Side::Ask },
            price: PriceTicks::from_ticks(trade.price),
            index: PriceTicks::ZERO,
            lots: QuantityLots::from_lots(trade.lots),
            notional: QuoteMicros::from_micros(i64::try_from(trade.notional).unwrap_or(i64::MAX)),
        };
        let observation =
            Observation { at: TimeMs::from_ms(trade.at_ms), market: MarketId::new(1), act: Act::Traded(traded) };
        conduct.observe(&observation, &mut alerts);
    }
    alerts.iter().filter(|alert| alert.evidence.detector() == Detector::Pump).map(|alert| alert.at.ms()).collect()
}

fn read(path: &Path) -> Result<Vec<RecordedTrade>, CliError> {
    let cannot_read = |error: std::io::Error| CliError::io("read", path, &error);
    let file = File::open(path).map_err(cannot_read)?;
    let reader = BufReader::new(zstd::Decoder::new(file).map_err(cannot_read)?);
    let mut trades: Vec<RecordedTrade> = Vec::new();
    for (line, text) in reader.lines().enumerate().skip(1) {
        let text = text.map_err(cannot_read)?;
        let trade = parse(&text).ok_or_else(|| malformed(path, line + 1))?;
        if trades.last().is_some_and(|last| last.at_ms > trade.at_ms) {
            return Err(malformed(path, line + 1));
        }
        trades.push(trade);
    }
    Ok(trades)
}

/// `symbol,timestamp,datetime,side,price,amount,btc_volume`.
fn parse(line: &str) -> Option<RecordedTrade> {
    let fields: Vec<&str> = line.split(',').collect();
    let [_, at, _, side, price, amount, quote] = fields.as_slice() else { return None };
    let scaled = |text: &str, scale: f64| {
        let value: f64 = text.parse().ok()?;
        (value.is_finite() && value > 0.0).then(|| ((value * scale).round() as u64).max(1))
    };
    let is_buy = match *side {
        "buy" => true,
        "sell" => false,
        _ => return None,
    };
    Some(RecordedTrade {
        at_ms: at.parse().ok()?,
        is_buy,
        price: scaled(price, 1e10)?,
        lots: scaled(amount, 1e3)?,
        notional: scaled(quote, 1e9)?,
    })
}

fn malformed(path: &Path, line: usize) -> CliError {
    CliError::new(
        format!("`{}`, line {line}: not a row of this file's form, or out of order", path.display()),
        "the copy is damaged or another file: fetch it again and compare its checksum",
    )
}

/// Milliseconds since 1970 of `YYYY-MM-DD HH:MM`.
fn utc_ms(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(' ')?;
    let date: Vec<u64> = date.split('-').map(str::parse).collect::<Result<_, _>>().ok()?;
    let time: Vec<u64> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let ([year, month, day], [hour, minute]) = (date.as_slice(), time.as_slice()) else { return None };
    if !(1970..10_000).contains(year) || !(1..=12).contains(month) || !(1..=31).contains(day) {
        return None;
    }
    // Days from the civil calendar, with years that begin in March.
    let (shifted, from_march) = if *month > 2 { (*year, month - 3) } else { (year - 1, month + 9) };
    let era_days = shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400;
    let days = era_days + (153 * from_march + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_rows_are_read_strictly() {
        assert_eq!(utc_ms("2021-05-19 00:00"), Some(1_621_382_400_000));
        assert_eq!(utc_ms("2020-02-29 23:59"), Some(1_583_020_740_000));
        assert_eq!(utc_ms("2020-13-01 00:00"), None);
        let row = "APPC/BTC,1605549866174,2020-11-16T18:04:26.174Z,buy,1.36e-06,335.0,0.00045559999999999996";
        let read =
            RecordedTrade { at_ms: 1_605_549_866_174, is_buy: true, price: 13_600, lots: 335_000, notional: 455_600 };
        assert_eq!(parse(row), Some(read));
        for (from, to) in [("buy", "hold"), ("335.0", "-1"), ("1.36e-06", "NaN"), (",0.000", ",1,0.000")] {
            assert_eq!(parse(&row.replace(from, to)), None, "{to}");
        }
    }
}
