//! What a command says when it fails: what happened, and what to do about it.

use std::fmt;
use std::path::Path;

use casemate_node::development_keys::KeyFileError;
use casemate_node::{Fault, NodeError};

/// Why a command failed.
#[derive(Debug)]
pub struct CliError {
    message: String,
    hint: String,
}

impl CliError {
    /// What happened, and what the user can do about it.
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }

    /// Something that cannot happen did.
    pub fn defect(message: impl Into<String>) -> Self {
        Self::new(message, "this is a defect of casemate: keep the data folder and report it")
    }

    /// The operating system refused something on a file; `doing` is a verb, such as `write`.
    pub fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(
            format!("cannot {doing} `{}`: {error}", path.display()),
            "check that the folder exists, that it may be written, and that the disk has room",
        )
    }

    /// What to do about it.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl From<NodeError> for CliError {
    fn from(error: NodeError) -> Self {
        Self::new(error.to_string(), error.hint())
    }
}

impl From<Fault> for CliError {
    fn from(fault: Fault) -> Self {
        Self::new(fault.to_string(), fault.hint())
    }
}

impl From<KeyFileError> for CliError {
    fn from(error: KeyFileError) -> Self {
        Self::new(error.to_string(), error.hint())
    }
}
