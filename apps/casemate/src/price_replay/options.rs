//! What a user chooses about a price replay.

use std::path::Path;

use casemate_world::klines::{Span, VolumeUnit, parse_utc};
use clap::ValueEnum;

use crate::error::CliError;

/// Options of `replay --prices`.
#[derive(clap::Args, Debug)]
pub struct PriceOptions {
    /// First minute of the report, such as 2021-05-19 or 2021-05-19T12:00:00Z; a day before it warms up.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["orders", "scenario"])]
    from: Option<String>,
    /// The minute behind the last, in the same form.
    #[arg(long, value_name = "TIME", conflicts_with_all = ["orders", "scenario"])]
    to: Option<String>,
    /// What the volume column counts: base for spot and USD-margined futures, contracts for coin-margined ones.
    #[arg(long, value_enum, default_value = "base", conflicts_with_all = ["orders", "scenario"])]
    volume_unit: VolumeColumn,
    /// Kind of asset, which sets margin rates and breaker levels. Without it, a file named after BTC or ETH is a major
    /// and any other mid.
    #[arg(long, value_enum, conflicts_with_all = ["orders", "scenario"])]
    class: Option<AssetClass>,
    /// How well the venue is insured.
    #[arg(long, value_enum, default_value = "usual", conflicts_with_all = ["orders", "scenario"])]
    preset: Preset,
}

/// What the volume column of a file counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VolumeColumn {
    /// Units of the asset.
    Base,
    /// Contracts of 100 USD.
    Contracts,
    /// Units of quote.
    Quote,
}

/// Kind of asset (R§3.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AssetClass {
    /// BTC, ETH: up to 40 times.
    Major,
    /// Up to 20 times.
    Large,
    /// Up to 10 times.
    Mid,
    /// Up to 5 times.
    LongTail,
}

/// How well the venue is insured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// 40 % of fees fill the fund, and a backstop stands behind it.
    Usual,
    /// Next to nothing of either, and slices so small that liquidation lags: losses reach those in profit.
    ThinInsurance,
}

impl AssetClass {
    /// The name, as people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Major => "major",
            Self::Large => "large",
            Self::Mid => "mid",
            Self::LongTail => "long-tail",
        }
    }
}

impl Preset {
    /// The name, as people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::ThinInsurance => "thin-insurance",
        }
    }
}

impl PriceOptions {
    /// The named time.
    ///
    /// # Errors
    /// A time that is none.
    pub fn span(&self) -> Result<Span, CliError> {
        let parse = |text: &Option<String>| {
            let parsed = text.as_deref().map(parse_utc).transpose();
            parsed.map_err(|error| CliError::new(error.to_string(), error.hint()))
        };
        Ok(Span { from_ms: parse(&self.from)?, to_ms: parse(&self.to)? })
    }

    /// What the volume column counts.
    pub const fn volume_unit(&self) -> VolumeUnit {
        match self.volume_unit {
            VolumeColumn::Base => VolumeUnit::Base,
            VolumeColumn::Contracts => VolumeUnit::Contracts100Usd,
            VolumeColumn::Quote => VolumeUnit::Quote,
        }
    }

    /// The class that was named, or the one that the file's name suggests.
    pub fn class(&self, path: &Path) -> AssetClass {
        self.class.unwrap_or_else(|| {
            let name = path.file_name().map(|name| name.to_string_lossy().to_uppercase()).unwrap_or_default();
            let is_major = ["BTC", "ETH"].into_iter().any(|symbol| name.contains(symbol));
            if is_major { AssetClass::Major } else { AssetClass::Mid }
        })
    }

    /// How well the venue is insured.
    pub const fn preset(&self) -> Preset {
        self.preset
    }
}
