//! What is wrong with a set of policies: where, what, and what to do about it.

use std::fmt;

/// A place in a file, lines and columns from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name.
    pub file: String,
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl Place {
    /// The place of a byte in a file's text.
    pub(crate) fn at(file: &str, text: &str, offset: usize) -> Self {
        let before = text.get(..offset.min(text.len())).unwrap_or(text);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { file: file.to_owned(), line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a set of policies is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// Where, if it is in one place.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl PolicyError {
    pub(crate) fn new(place: Option<Place>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place, message: message.into(), hint: hint.into() }
    }

    /// What Cedar reports about a file's text, at its first label.
    pub(crate) fn of_diagnostic(file: &str, text: &str, report: &dyn miette::Diagnostic, hint: &str) -> Self {
        let label = report.labels().and_then(|mut labels| labels.next());
        let offset = label.as_ref().map(miette::LabeledSpan::offset);
        let mut message = report.to_string();
        if let Some(said) = label.as_ref().and_then(|label| label.label()) {
            message = format!("{message}: {said}");
        }
        let hint = report.help().map_or_else(|| hint.to_owned(), |help| help.to_string());
        Self::new(Some(Place::at(file, text, offset.unwrap_or(0))), message, hint)
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(formatter, "{place}: {}", self.message),
            None => formatter.write_str(&self.message),
        }
    }
}

impl std::error::Error for PolicyError {}
