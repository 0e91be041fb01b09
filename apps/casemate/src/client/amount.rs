//! Amounts of quote as people write them.

use casemate_protocol::QuoteMicros;
use serde_json::Value;

/// Reads `1000` or `12.5`, with at most six places and without a sign.
pub fn parse_quote(text: &str) -> Result<QuoteMicros, String> {
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let is_fine = !whole.is_empty() && is_digits(whole) && is_digits(places) && places.len() <= 6;
    let ends_in_point = text.ends_with('.');
    let micros = format!("{whole}{places:0<6}").parse().ok().filter(|_| is_fine && !ends_in_point);
    micros.map(QuoteMicros::from_micros).ok_or_else(|| "an amount of quote such as `1000` or `12.5`".to_owned())
}

/// Micros in a string of digits, shown as decimal quote.
pub fn show_quote(value: &Value) -> String {
    let micros: Option<i64> = value.as_str().and_then(|digits| digits.parse().ok());
    micros.map_or_else(|| value.to_string(), |micros| QuoteMicros::from_micros(micros).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_or_not_at_all() {
        for (text, micros) in [("0", 0), ("12.5", 12_500_000), ("0.000001", 1), ("9223372036854.775807", i64::MAX)] {
            assert_eq!(parse_quote(text), Ok(QuoteMicros::from_micros(micros)), "{text}");
        }
        for wrong in ["", ".5", "5.", "-1", "+1", "1e3", "1,000", "0.0000001", "9223372036854.775808", "1.5.0", "１"] {
            assert!(parse_quote(wrong).is_err(), "{wrong}");
        }
    }
}
