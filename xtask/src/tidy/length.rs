//! Long files and functions, as a warning: look for the seam, and leave it long where there is none.

use super::Finding;
use super::source::{SourceFile, closing_bracket_end, words};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

pub fn check(file: &SourceFile) -> Vec<Finding> {
    // Lists of examples are long because there are many, and are read one at a time.
    if !file.path.ends_with(".rs") || file.is_test() || file.is_test_support() {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    let mut add = |line, what| {
        warnings.push(Finding {
            path: file.path.clone(),
            line,
            what,
            why: "it is a lot to hold in mind",
            what_to_do: "look for a seam, and leave it where there is none".into(),
        });
    };
    let lines_count = file.text.lines().count();
    if lines_count > FILE_LINES_MAX {
        add(1, format!("{lines_count} lines, more than {FILE_LINES_MAX}"));
    }
    for (offset, name, end) in functions(&file.code) {
        let lines_count = file.line_at(end) - file.line_at(offset) + 1;
        if lines_count > FUNCTION_LINES_MAX {
            add(file.line_at(offset), format!("`{name}` has {lines_count} lines, more than {FUNCTION_LINES_MAX}"));
        }
    }
    warnings
}

/// Each function with a body: where it starts, its name, and where it ends.
fn functions(code: &str) -> Vec<(usize, &str, usize)> {
    let names: Vec<(usize, &str)> = words(code).collect();
    let mut found = Vec::new();
    for pair in names.windows(2).filter(|pair| pair[0].1 == "fn") {
        let (start, (name_at, name)) = (pair[0].0, pair[1]);
        // `fn(u8) -> u8` is a type and has no name right behind the keyword.
        if code[start + "fn".len()..name_at].trim().is_empty()
            && let Some(body_at) = body_start(code, name_at)
        {
            found.push((start, name, closing_bracket_end(code, body_at)));
        }
    }
    found
}

fn body_start(code: &str, name_at: usize) -> Option<usize> {
    let mut at = name_at;
    loop {
        match code.as_bytes().get(at)? {
            b'{' => return Some(at),
            b';' => return None,
            b'(' | b'[' => at = closing_bracket_end(code, at),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(path: &str, text: &str) -> Vec<(usize, String)> {
        check(&SourceFile::new(path, text)).into_iter().map(|warning| (warning.line, warning.what)).collect()
    }

    #[test]
    fn a_long_function_is_found_and_a_short_one_is_not() {
        let body = "    a();\n".repeat(70);
        let text = format!(
            "trait T {{ fn only_declared(); }}\nfn short(f: fn(u8), a: [u8; 4]) {{\n}}\nfn long() {{\n{body}}}\n"
        );
        let found = warnings("core/ledger/src/lib.rs", &text);
        assert_eq!(found, [(4, "`long` has 72 lines, more than 70".to_owned())]);
    }

    #[test]
    fn a_long_file_is_found_unless_it_is_a_test() {
        let text = "// a\n".repeat(601);
        assert_eq!(warnings("core/ledger/src/lib.rs", &text).len(), 1);
        assert_eq!(warnings("core/ledger/src/lib.rs", &"// a\n".repeat(600)), []);
        assert_eq!(warnings("core/ledger/src/tests.rs", &text), []);
    }
}
