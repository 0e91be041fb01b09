//! Bounds on a file before it is parsed: Cedar's parser nests as deep as the text does, and a stack has an end.

use crate::error::{Place, PolicyError};

/// Deepest nesting of brackets in a file.
const BRACKETS_DEEP_MAX: usize = 96;
/// Longest statement, comments aside: chains of operators nest without brackets.
const STATEMENT_BYTES_MAX: usize = 8 * 1024;

/// Refuses a text whose brackets nest too deep or whose statements are too long. `brackets` are those that nest, opening and
/// closing ones in turn.
pub(crate) fn require_shallow(file: &str, text: &str, brackets: &[u8]) -> Result<(), PolicyError> {
    let mut depth = 0_usize;
    let mut statement_bytes = 0_usize;
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((offset, byte)) = bytes.next() {
        statement_bytes += 1;
        match byte {
            b'"' => {
                // To the closing quote, whatever is escaped on the way.
                while let Some((_, inside)) = bytes.next() {
                    statement_bytes += 1;
                    match inside {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'/' if bytes.peek().is_some_and(|(_, next)| *next == b'/') => {
                statement_bytes -= 1;
                while bytes.next().is_some_and(|(_, inside)| inside != b'\n') {}
            }
            b';' => statement_bytes = 0,
            _ => match brackets.iter().position(|bracket| *bracket == byte) {
                Some(place) if place.is_multiple_of(2) => depth += 1,
                Some(_) => depth = depth.saturating_sub(1),
                None => {}
            },
        }
        let refused = |message: String| {
            Err(PolicyError::new(
                Some(Place::at(file, text, offset)),
                message,
                "split it in several, each flat and short",
            ))
        };
        if depth > BRACKETS_DEEP_MAX {
            return refused(format!("brackets nest more than {BRACKETS_DEEP_MAX} deep"));
        }
        if statement_bytes > STATEMENT_BYTES_MAX {
            return refused(format!("a statement of more than {STATEMENT_BYTES_MAX} bytes"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<String> {
        require_shallow("a.cedar", text, b"()[]{}").err().map(|error| error.to_string())
    }

    #[test]
    fn brackets_count_where_they_are_brackets() {
        let deep = "(".repeat(97);
        assert_eq!(told(&deep), Some("a.cedar:1:97: brackets nest more than 96 deep".into()));
        for harmless in [format!("\"{deep}\""), format!("// {deep}\n"), format!("\"\\\"{deep}\""), "()".repeat(200)] {
            assert_eq!(told(&harmless), None, "{harmless}");
        }
    }

    #[test]
    fn a_statement_ends_with_its_semicolon() {
        let half = "true && ".repeat(600);
        assert_eq!(told(&format!("{half};{half};")), None);
        assert!(told(&format!("{half}\n{half}")).is_some_and(|message| message.starts_with("a.cedar:2:")));
    }
}
