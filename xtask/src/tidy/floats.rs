//! No float types and no float literals in core. Clippy refuses the types where it sees them; this also reads macros
//! and code behind `cfg`. Tests may pass a literal, because generators of test input take probabilities.

use super::Finding;
use super::source::{SourceFile, words};

const FLOAT_TYPES: [&str; 4] = ["f16", "f32", "f64", "f128"];

pub fn check(file: &SourceFile) -> Vec<Finding> {
    if !file.is_core() {
        return Vec::new();
    }
    let allows_literals = file.is_test() || file.is_test_support();
    words(&file.code)
        .filter(|(offset, word)| {
            FLOAT_TYPES.contains(word) || !allows_literals && is_float_literal(&file.code, *offset, word)
        })
        .map(|(offset, word)| Finding {
            path: file.path.clone(),
            line: file.line_at(offset),
            what: format!("float `{}`", with_fraction(&file.code, offset, word)),
            why: "floats round differently between machines",
            what_to_do: "use a scaled integer whose name carries its unit".into(),
        })
        .collect()
}

fn is_float_literal(code: &str, offset: usize, word: &str) -> bool {
    let before = &code[..offset];
    // `pair.0.1` is two fields, but in `0..1.5` the second number stands on its own.
    let is_field = before.ends_with('.') && !before.ends_with("..");
    let is_number = word.starts_with(|first: char| first.is_ascii_digit());
    if !is_number || is_field || ["0x", "0o", "0b"].iter().any(|prefix| word.starts_with(prefix)) {
        return false;
    }
    let suffix = word.trim_start_matches(|character: char| character.is_ascii_digit() || character == '_');
    if suffix.starts_with(['e', 'E']) || FLOAT_TYPES.contains(&suffix) {
        return true;
    }
    // `1.5` and `1.`, but neither `1..2` nor `1.pow(2)`.
    let mut behind = code[offset + word.len()..].chars();
    suffix.is_empty()
        && behind.next() == Some('.')
        && behind.next().is_none_or(|second| second != '.' && second != '_' && !second.is_ascii_alphabetic())
}

fn with_fraction<'a>(code: &'a str, offset: usize, word: &'a str) -> &'a str {
    let behind = &code[offset + word.len()..];
    let is_fraction = |character: char| character == '.' || character == '_' || character.is_ascii_alphanumeric();
    let length = behind.find(|character| !is_fraction(character)).unwrap_or(behind.len());
    if word.starts_with('f') { word } else { &code[offset..offset + word.len() + length] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(text: &str) -> Vec<String> {
        let found = check(&SourceFile::new("core/ledger/src/margin/mod.rs", text));
        found.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn types_and_literals_are_found() {
        assert_eq!(floats("fn f(rate: f64) -> f32 {"), ["float `f64`", "float `f32`"]);
        assert_eq!(floats("let a = 1.5; let b = 2.; let c = 1_000.25f64;").len(), 3);
        assert_eq!(floats("let a = 1e6; let b = 2E-3; let c = 1f32; let d = 1_f64;").len(), 4);
        assert_eq!(floats("(0..1.5)"), ["float `1.5`"]);
        assert_eq!(floats("const A: u8 = 1;\nconst B: X = [3.25];"), ["float `3.25`"]);
    }

    #[test]
    fn integers_fields_ranges_and_methods_are_clean() {
        let clean = "pair.0.1 + 1.pow(2) + 1_000u64; 0..2; 0..=9; 0x1e5; 0b1; [0; 4]; self.0; x.0.checked_add(1); 7u8";
        assert_eq!(floats(clean), [""; 0]);
    }

    #[test]
    fn comments_and_strings_are_clean() {
        assert_eq!(floats("// 1.5 times f64\nlet version = \"1.5\";"), [""; 0]);
    }

    #[test]
    fn tests_may_pass_a_probability_and_name_no_type() {
        for path in ["core/ledger/tests/model/generate.rs", "core/protocol/src/testing/arbitrary.rs"] {
            assert_eq!(check(&SourceFile::new(path, "option::weighted(0.1, slippage)")), []);
            assert_eq!(check(&SourceFile::new(path, "let rate: f64 = 0.1;")).len(), 1);
        }
    }

    #[test]
    fn floats_outside_core_are_not_this_rules_business() {
        assert_eq!(check(&SourceFile::new("apps/node/src/lib.rs", "let seconds = 1.5_f64;")), []);
    }
}
