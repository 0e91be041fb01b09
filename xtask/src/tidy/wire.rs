//! Types that cross the wire hold nothing unbounded: a `Vec` decodes as long as its sender likes.

use super::Finding;
use super::source::{SourceFile, closing_bracket_end, words};

/// The one file that wraps the unbounded types, with a maximum on each.
const BOUNDED: &str = "core/protocol/src/bounded.rs";

const UNBOUNDED: [&str; 10] =
    ["Vec", "VecDeque", "LinkedList", "BinaryHeap", "String", "Cow", "BTreeMap", "BTreeSet", "HashMap", "HashSet"];

pub fn check(file: &SourceFile) -> Vec<Finding> {
    if !file.path.starts_with("core/protocol/src/") || file.path == BOUNDED || file.is_test() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (start, end) in wire_types(&file.code) {
        let item = &file.code[start..end];
        for (offset, word) in words(item).filter(|(offset, word)| is_unbounded(&item[*offset..], word)) {
            findings.push(Finding {
                path: file.path.clone(),
                line: file.line_at(start + offset),
                what: format!("a wire type holds a bare `{word}`"),
                why: "nothing read from the wire may be unbounded",
                what_to_do: "use a bounded type of core/protocol/src/bounded.rs with a maximum from limits.rs".into(),
            });
        }
    }
    findings
}

/// A box of one thing is as large as that thing; a boxed slice or string has no limit.
fn is_unbounded(from_word: &str, word: &str) -> bool {
    UNBOUNDED.contains(&word) || ["Box<[", "Box<str"].iter().any(|start| from_word.starts_with(start))
}

/// Where the items are that derive the encoding, from the keyword to the end of the body.
fn wire_types(code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (offset, _) in words(code).filter(|(_, word)| *word == "derive") {
        let list_start = offset + "derive".len();
        if !code[list_start..].starts_with('(') {
            continue;
        }
        let list_end = closing_bracket_end(code, list_start);
        let is_wire = words(&code[list_start..list_end]).any(|(_, word)| word.starts_with("Borsh"));
        let keyword =
            words(&code[list_end..]).find(|(_, word)| ["struct", "enum", "union"].contains(word)).map(|(at, _)| at);
        if let (true, Some(keyword_at)) = (is_wire, keyword) {
            let start = list_end + keyword_at;
            found.push((start, item_end(code, start)));
        }
    }
    found
}

/// Behind the body of an enum or a struct with named fields, or at the `;` of any other struct.
fn item_end(code: &str, start: usize) -> usize {
    let mut at = start;
    while let Some(byte) = code.as_bytes().get(at) {
        match byte {
            b'{' => return closing_bracket_end(code, at),
            b'(' | b'[' => at = closing_bracket_end(code, at),
            b';' => return at,
            _ => at += 1,
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&SourceFile::new(path, text)).into_iter().map(|finding| finding.line).collect()
    }

    const PATH: &str = "core/protocol/src/command.rs";

    #[test]
    fn an_unbounded_field_is_found() {
        let text = "#[derive(Clone, BorshSerialize)]\n#[borsh(crate = \"borsh\")]\npub struct A {\n    legs: Vec<Leg>,\n    name: String,\n}";
        assert_eq!(lines(PATH, text), [4, 5]);
        assert_eq!(lines(PATH, "#[derive(borsh::BorshDeserialize)]\npub enum B {\n    C(BTreeMap<u8, u8>),\n}"), [3]);
        assert_eq!(lines(PATH, "#[derive(BorshSerialize)]\nstruct D(Box<[u8]>);"), [2]);
    }

    #[test]
    fn bounded_fields_and_types_that_stay_at_home_are_clean() {
        let text = "#[derive(BorshSerialize)]\npub struct A { legs: BoundedVec<Leg, 8>, data: [u8; 32], next: Box<Leg> }\nfn f() -> Vec<u8> {}";
        assert_eq!(lines(PATH, text), [0; 0]);
        assert_eq!(lines(PATH, "#[derive(Clone)]\nstruct Home { rows: Vec<u8> }"), [0; 0]);
        assert_eq!(lines(PATH, "#[derive(BorshSerialize)]\nstruct E(u8);\nstruct Home { rows: Vec<u8> }"), [0; 0]);
    }

    #[test]
    fn the_bounded_types_themselves_and_other_crates_are_clean() {
        let text = "#[derive(BorshSerialize)]\nstruct A(Vec<u8>);";
        assert_eq!(lines(BOUNDED, text), [0; 0]);
        assert_eq!(lines("core/protocol/src/command/tests.rs", text), [0; 0]);
        assert_eq!(lines("core/ledger/src/state.rs", text), [0; 0]);
    }
}
