//! What people type. One file per subcommand; each says what it did by its exit status.

mod args;
mod check;
mod completions;
mod console;
mod demo;
mod get;
mod history;
mod load;
mod routes;
mod schema;
mod serve;
mod test;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::Args;
use crate::cli::args::Command;
use crate::outbound;

/// 0 fine, 1 it failed, 2 usage (clap's, or a test of that name is not there), 78 the configuration was refused at start: no supervisor should try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Fine,
    Failed,
    Usage,
    Refused,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Fine => Self::SUCCESS,
            Exit::Failed => Self::FAILURE,
            Exit::Usage => Self::from(2),
            Exit::Refused => Self::from(78),
        }
    }
}

/// Does what the arguments say. The exit status is the process's.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => {
            // `--help` and `--version` are no errors; clap knows which goes where.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    outbound::install_crypto();
    let Args { config, listen, command } = args;
    let config = config.as_deref();
    let exit = match command.unwrap_or(Command::Serve) {
        Command::Serve => serve::run(config, listen.as_deref()),
        Command::Check(ask) => check::run(config, &ask),
        Command::Get(ask) => get::run(config, &ask),
        Command::Test(ask) => test::run(config, &ask),
        Command::Routes => routes::run(config),
        Command::Schema(ask) => schema::run(&ask),
        Command::History(ask) => history::run(config, &ask),
        Command::Demo => demo::run(listen.as_deref()),
        Command::Completions(ask) => completions::run(&ask),
    };
    exit.into()
}
