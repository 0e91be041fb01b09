//! `unsafe` needs a named exception. The lint `unsafe_code` forbids it too; a crate could turn that off, this not.

use super::Finding;
use super::source::{SourceFile, words};

/// Files that may use `unsafe`. None does.
const ALLOWED: [&str; 0] = [];

pub fn check(file: &SourceFile) -> Vec<Finding> {
    if ALLOWED.contains(&file.path.as_str()) {
        return Vec::new();
    }
    words(&file.code)
        .filter(|(_, word)| *word == "unsafe")
        .map(|(offset, _)| Finding {
            path: file.path.clone(),
            line: file.line_at(offset),
            what: "`unsafe` code".into(),
            why: "a memory error is outside every other guarantee here",
            what_to_do: "find a safe way, or add the file to the list in xtask/src/tidy/unsafe_code.rs".into(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_is_found() {
        assert_eq!(check(&SourceFile::new("apps/node/src/lib.rs", "fn f() {\n    unsafe { g() }\n}"))[0].line, 2);
    }

    #[test]
    fn words_that_only_contain_it_are_clean() {
        let text = "#![forbid(unsafe_code)] // unsafe\nlet text = \"unsafe\";";
        assert_eq!(check(&SourceFile::new("apps/node/src/lib.rs", text)), []);
    }
}
