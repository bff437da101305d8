//! `aggd completions`: a script for the shell.

use clap::CommandFactory as _;

use crate::cli::Exit;
use crate::cli::args::Args;
use crate::cli::args::Completions;
use crate::cli::console;

/// Prints the script.
pub(crate) fn run(ask: &Completions) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(ask.shell, &mut Args::command(), "aggd", &mut script);
    console::bytes(&script);
    Exit::Fine
}
