//! Standard output of commands that print and end.
//!
//! The macros of the standard library panic where it cannot be written. A reader that has seen enough, such as `head`, is
//! no failure: the command ends quietly. Anything else, such as a full disk, is told with a hint. Commands that keep a
//! node write through [`crate::node::Output`] instead, because they have something to close first.

use std::fmt;
use std::io::{ErrorKind, Write as _};
use std::process::exit;

use crate::error::CliError;

/// Writes to standard output, as `print!` does.
macro_rules! out {
    ($($argument:tt)*) => { $crate::output::write(format_args!($($argument)*)) };
}

/// Writes a line to standard output, as `println!` does.
macro_rules! outln {
    ($($argument:tt)*) => { $crate::output::write(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Writes at once. Ends the process if that is impossible: there is nobody left to tell the rest.
pub fn write(text: fmt::Arguments<'_>) {
    let mut stdout = std::io::stdout().lock();
    let Err(error) = stdout.write_fmt(text).and_then(|()| stdout.flush()) else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        exit(0);
    }
    crate::report(&CliError::new(
        format!("cannot write to standard output: {error}"),
        "if it goes to a file, check that the disk has room; what the command did otherwise is done",
    ));
    exit(1);
}
