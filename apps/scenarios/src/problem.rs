//! What is wrong with a file of scenarios, where, and what to do about it.

use std::fmt;
use std::path::{Path, PathBuf};

/// Something wrong with a scenario, its venue or its controls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1, where there is one.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl ScenarioError {
    /// About a file as a whole.
    pub(crate) fn new(path: &Path, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { path: path.to_path_buf(), line: None, message: message.into(), hint: hint.into() }
    }

    /// About a line.
    pub(crate) fn at(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }

    /// What TOML says, with its line.
    pub(crate) fn of_toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let problem = Self::new(path, error.message(), "spec/scenarios/README.md describes every field");
        match error.span() {
            Some(span) => problem.at(line_of(text, span.start)),
            None => problem,
        }
    }
}

/// The line of a place in a text, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

impl std::error::Error for ScenarioError {}
