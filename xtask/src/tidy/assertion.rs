//! `Verified::assertion` is the only way to claim that a command was verified, so every caller is on a short list.

use super::Finding;
use super::source::{SourceFile, words};

const PIPELINE: &str = "core/gate/src/pipeline.rs";

/// Measures the ledger without the gate, and nothing may depend on it.
const BENCHMARKS: &str = "benches/";

pub fn check(file: &SourceFile) -> Vec<Finding> {
    if file.path == PIPELINE || file.path.starts_with(BENCHMARKS) || file.is_test() {
        return Vec::new();
    }
    let is_claimed = |(offset, word): &(usize, &str)| {
        let before = file.code[..*offset].trim_end();
        let is_path = before.ends_with("::");
        // The definition itself is fine where the type is declared, and nowhere else.
        let is_foreign_definition = before.ends_with(" fn") && !file.path.starts_with("core/ledger/src/");
        *word == "assertion" && (is_path || is_foreign_definition)
    };
    words(&file.code)
        .filter(is_claimed)
        .map(|(offset, _)| Finding {
            path: file.path.clone(),
            line: file.line_at(offset),
            what: "`Verified::assertion` is named".into(),
            why: "a command counts as verified only after the gate's stages",
            what_to_do: format!("go through the gate; only {PIPELINE}, tests and benchmarks may claim it"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        check(&SourceFile::new(path, text)).len()
    }

    #[test]
    fn a_caller_outside_the_pipeline_is_found() {
        assert_eq!(findings("core/replica/src/lib.rs", "let v = Verified::assertion(command);"), 1);
        assert_eq!(findings("apps/node/src/lib.rs", "commands.map(casemate_ledger::Verified::assertion)"), 1);
        assert_eq!(findings("core/gate/src/lib.rs", "let v = Verified::\n    assertion(command);"), 1);
        assert_eq!(findings("core/gate/src/lib.rs", "pub fn assertion() -> Verified"), 1);
    }

    #[test]
    fn the_pipeline_tests_and_the_definition_are_clean() {
        assert_eq!(findings("core/gate/src/pipeline.rs", "Verified::assertion(command)"), 0);
        assert_eq!(findings("core/ledger/tests/model/main.rs", "Verified::assertion(command)"), 0);
        assert_eq!(findings("core/ledger/src/margin/tests.rs", "Verified::assertion(command)"), 0);
        assert_eq!(findings("benches/src/ledger.rs", "Verified::assertion(command)"), 0);
        assert_eq!(findings("core/ledger/src/verified.rs", "pub fn assertion(command: Command) -> Self {"), 0);
    }

    #[test]
    fn talk_about_it_is_clean() {
        assert_eq!(findings("core/replica/src/lib.rs", "/// See `Verified::assertion`.\nlet assertion = 1;"), 0);
    }
}
