//! Moments as people read them.

use casemate_protocol::TimeMs;

/// A moment of block time in UTC, such as `2025-07-19 12:00:00.250 UTC`.
///
/// Days since 1970 become a date of the Gregorian calendar by counting in eras of 400 years, each 146,097 days long, from
/// 1 March of year 0, so that the leap day comes last.
#[must_use]
pub fn time_text(time: TimeMs) -> String {
    let (days, in_day) = (time.ms() / DAY_MS, time.ms() % DAY_MS);
    // The largest day is far below what any of these products could overflow with.
    let since_era_zero = days.saturating_add(719_468);
    let (era, of_era) = (since_era_zero / 146_097, since_era_zero % 146_097);
    let leap_days = (of_era / 1_460).saturating_add(of_era / 146_096).saturating_sub(of_era / 36_524);
    let year_of_era = of_era.saturating_sub(leap_days) / 365;
    let before_year = year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
    let day_of_year = of_era.saturating_sub(before_year);
    // Five months from March on have 153 days, again and again.
    let month_from_march = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let before_month = month_from_march.saturating_mul(153).saturating_add(2) / 5;
    let day = day_of_year.saturating_sub(before_month).saturating_add(1);
    let (month, is_next_year) = match month_from_march {
        0..=9 => (month_from_march.saturating_add(3), 0),
        _ => (month_from_march.saturating_sub(9), 1),
    };
    let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(is_next_year);
    let (hours, minutes) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (seconds, milliseconds) = (in_day / 1_000 % 60, in_day % 1_000);
    format!("{year:04}-{month:02}-{day:02} {hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03} UTC")
}

const DAY_MS: u64 = 86_400_000;
