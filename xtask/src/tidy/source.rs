//! A file with its Rust comments and literals blanked out, so that rules about code read only code.

/// `code` has the same length and the same lines as `text`: an offset means the same place in both.
pub struct SourceFile {
    /// Relative to the workspace, with forward slashes.
    pub path: String,
    pub text: String,
    /// Empty for a file that is not Rust.
    pub code: String,
}

impl SourceFile {
    pub fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { code_only(text) } else { String::new() };
        SourceFile { path: path.to_owned(), text: text.to_owned(), code }
    }

    pub fn is_core(&self) -> bool {
        self.path.starts_with("core/")
    }

    /// Whether the whole file is test code, by its place: `tests.rs`, or anything in a `tests` folder.
    pub fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.split('/').any(|folder| folder == "tests")
    }

    /// Examples and strategies for tests, behind the feature `testing`.
    pub fn is_test_support(&self) -> bool {
        self.path.contains("/src/testing/")
    }

    /// Counted from 1.
    pub fn line_at(&self, offset: usize) -> usize {
        let before = &self.text.as_bytes()[..offset];
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

/// Identifiers, keywords and the parts of numbers, with their offsets.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest_at = 0;
    std::iter::from_fn(move || {
        let start = rest_at + code[rest_at..].find(is_word_character)?;
        let length = code[start..].find(|character| !is_word_character(character)).unwrap_or(code.len() - start);
        rest_at = start + length;
        Some((start, &code[start..rest_at]))
    })
}

fn is_word_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// The offset just behind the bracket that closes the one at `open_at`, or the end of a text where none does.
pub fn closing_bracket_end(code: &str, open_at: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open_at) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// Replaces comments, strings and characters with spaces, byte for byte, and keeps the line breaks.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let blank_end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => Some(line_end(bytes, at)),
            b'/' if bytes[at..].starts_with(b"/*") => Some(block_comment_end(bytes, at)),
            b'"' => Some(string_end(bytes, at)),
            b'\'' => character_end(text, at),
            b'r' if starts_word(bytes, at) => raw_string_end(bytes, at),
            b'b' | b'c' if starts_word(bytes, at) && bytes.get(at + 1) == Some(&b'r') => raw_string_end(bytes, at + 1),
            _ => None,
        };
        let Some(end) = blank_end else {
            at += 1;
            continue;
        };
        code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at = end;
    }
    // Only whole characters were blanked, because every range starts and ends at an ASCII delimiter.
    String::from_utf8_lossy(&code).into_owned()
}

fn starts_word(bytes: &[u8], at: usize) -> bool {
    at == 0 || !is_word_character(char::from(bytes[at - 1]))
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

/// Block comments nest in Rust.
fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = at;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// `at` is the `r`. `None` for an identifier, raw or not.
fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes_count = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let quote_at = at + 1 + hashes_count;
    if bytes.get(quote_at) != Some(&b'"') {
        return None;
    }
    let closing = [b"\"".as_slice(), &vec![b'#'; hashes_count]].concat();
    let body = &bytes[quote_at + 1..];
    let length = body.windows(closing.len()).position(|window| window == closing);
    Some(length.map_or(bytes.len(), |length| quote_at + 1 + length + closing.len()))
}

/// `None` for a lifetime or a loop label.
fn character_end(text: &str, at: usize) -> Option<usize> {
    let mut characters = text[at + 1..].char_indices();
    let (_, first) = characters.next()?;
    if first == '\\' {
        let (escaped_at, _) = characters.next()?;
        let behind = at + 1 + escaped_at + 1;
        return text[behind..].find('\'').map(|length| behind + length + 1);
    }
    let (second_at, second) = characters.next()?;
    (second == '\'').then_some(at + 1 + second_at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        let code = code_only(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), text.lines().count());
        code
    }

    #[test]
    fn comments_are_blanked_and_lines_stay() {
        assert_eq!(code("a // b\nc /* d /* e */ f\n*/ g"), "a     \nc               \n   g");
    }

    #[test]
    fn strings_and_characters_are_blanked() {
        assert_eq!(code(r#"a("b \" // c", 'd', '\'', '"') e"#).replace(' ', ""), "a(,,,)e");
        assert_eq!(code("r#\"a \" b\"# c br\"\\\" d cr##\"\"#\"## e").replace(' ', ""), "cde");
        assert_eq!(code("let ö = \"ü\u{1F980}\"; '\u{1F980}' b'x'").replace(' ', ""), "letö=;b");
    }

    #[test]
    fn lifetimes_labels_and_raw_identifiers_stay() {
        let text = "fn f<'a>(r#type: &'a u8) { 'outer: loop { break 'outer } }";
        assert_eq!(code(text), text);
    }

    #[test]
    fn words_come_with_their_offsets() {
        let found: Vec<_> = words("a.b_1 + ö2").collect();
        assert_eq!(found, [(0, "a"), (2, "b_1"), (10, "2")]);
    }

    #[test]
    fn brackets_close_where_they_should() {
        assert_eq!(closing_bracket_end("a(b[c]{d})e", 1), 10);
        assert_eq!(closing_bracket_end("a(b", 1), 3);
    }

    #[test]
    fn test_files_are_known_by_their_place() {
        for path in ["core/ledger/src/margin/tests.rs", "core/ledger/tests/model/main.rs", "apps/casemate/tests/a.rs"] {
            assert!(SourceFile::new(path, "").is_test(), "{path}");
        }
        for path in ["core/ledger/src/margin/mod.rs", "core/ledger/src/contests.rs"] {
            assert!(!SourceFile::new(path, "").is_test(), "{path}");
        }
    }
}
