//! Recorded market data for tests that hold fitted numbers against what they were fitted to. The data is not part of the
//! repository; a test that does not find it says so and checks nothing.

use std::path::{Path, PathBuf};

use crate::klines::{KlineFile, VolumeUnit, read};

/// A file of the data folder beside the repository.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/market").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: the recorded data `market/{name}` is not there");
    None
}

/// Its candles.
pub(crate) fn klines(name: &str, unit: VolumeUnit) -> Option<KlineFile> {
    path(name).map(|path| read(&path, unit).unwrap_or_else(|error| panic!("{error}")))
}

/// BTC/USDT from 20 April to 20 May 2021.
pub(crate) const BTC_MAY_2021: &str = "may19_2021/binance_spot_BTCUSDT_1m.csv.zst";

/// 19 May 2021, 00:00 UTC.
pub(crate) const CRASH_DAY_MS: u64 = 1_621_382_400_000;
