//! Golden files: bytes and words that must not change by accident.
//!
//! `CASEMATE_BLESS=1 cargo test` writes them anew. Doing so approves a change of what clients, replicas and auditors
//! read, and is reviewed as one.

use crate::hash::Hex;

/// Compares a file of `spec/vectors` with what the code makes today, or writes it if `CASEMATE_BLESS` is set.
///
/// # Panics
/// If they differ: the test that calls this has failed.
#[expect(clippy::disallowed_methods, reason = "golden files are read and blessed by tests only")]
pub fn assert_golden(file_name: &str, made: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors").join(file_name);
    if std::env::var_os("CASEMATE_BLESS").is_some() {
        let written = std::fs::write(&path, made);
        assert!(written.is_ok(), "golden file `{file_name}` cannot be written: {written:?}");
        return;
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = first_difference(&golden, made);
    assert!(
        difference.is_none(),
        "`spec/vectors/{file_name}` differs from what the code makes at {}; if the change is meant, \
         set CASEMATE_BLESS=1 and review the new file as an approval",
        difference.unwrap_or_default()
    );
}

/// A table with a line of column names, cells separated by tabs.
///
/// # Panics
/// If a cell holds a tab or a line break, or a row has another number of cells than there are columns.
#[must_use]
pub fn table<const COLUMNS: usize>(columns: [&str; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let mut text = columns.join("\t");
    text.push('\n');
    for row in rows {
        assert!(row.iter().all(|cell| !cell.contains(['\t', '\n', '\r'])), "a cell breaks the table: {row:?}");
        text.push_str(&row.join("\t"));
        text.push('\n');
    }
    text
}

/// Canonical bytes in hexadecimal.
#[must_use]
pub fn hex_of<T: borsh::BorshSerialize>(value: &T) -> String {
    Hex(&borsh::to_vec(value).unwrap_or_default()).to_string()
}

fn first_difference(golden: &str, made: &str) -> Option<String> {
    if golden == made {
        return None;
    }
    let line = golden.lines().zip(made.lines()).take_while(|(golden, made)| golden == made).count();
    let show = |text: &str| text.lines().nth(line).map_or("the end of the file".to_owned(), |line| format!("`{line}`"));
    Some(format!("line {}: golden {}, made {}", line.saturating_add(1), show(golden), show(made)))
}
