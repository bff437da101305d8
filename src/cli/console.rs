//! Where the commands print: results to standard output, everything else to standard error.

use std::io::IsTerminal as _;
use std::io::Write as _;

/// Prints a result. A reader that has gone (`| head`) is no error.
pub(crate) fn result(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()));
    if !text.ends_with('\n') {
        drop(out.write_all(b"\n"));
    }
    drop(out.flush());
}

/// Prints a result of any bytes, as they are.
pub(crate) fn bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(bytes));
    drop(out.flush());
}

/// Prints what is not a result: errors, explanations.
pub(crate) fn aside(text: &str) {
    let mut err = std::io::stderr().lock();
    drop(writeln!(err, "{}", text.trim_end_matches('\n')));
}

/// Says what went wrong.
pub(crate) fn error(text: &str) {
    aside(&format!("aggd: {text}"));
}

/// Whether standard output takes colours: a terminal, and nobody said `NO_COLOR`.
pub(crate) fn colour_out() -> bool {
    std::io::stdout().is_terminal() && !no_color()
}

/// The same of standard error.
pub(crate) fn colour_err() -> bool {
    std::io::stderr().is_terminal() && !no_color()
}

fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
