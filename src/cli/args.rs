//! The command line, declared.

use std::path::PathBuf;

use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

/// A configuration-driven aggregation gateway: YAML in, one resilient answer out.
#[derive(Debug, Parser)]
#[command(name = "aggd", version, about, disable_help_subcommand = true)]
#[command(after_help = "Exit status: 0 fine, 1 it failed, 2 usage, 78 configuration refused at start.")]
pub(crate) struct Args {
    /// The `aggd.yaml`, or a folder that holds one, or a `sources.d` itself [default: ./aggd.yaml, else ./sources.d]
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// Listen here, whatever the configuration says: `127.0.0.1:8080` or `unix:/path`
    #[arg(long, global = true, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway (what happens without a subcommand)
    Serve,
    /// Print every mistake in the configuration, each with what to write instead
    Check(Check),
    /// Run one source or route, and print its data
    Get(Get),
    /// Play the `test:` documents: offline, in virtual time
    Test(Test),
    /// List what is served, by whom, with which limits
    Routes,
    /// Print the JSON Schemas of the configuration, for editors
    Schema(Schema),
    /// Print the audit log
    History(History),
    /// Run the shipped example against built-in upstreams that misbehave on request; needs no network
    Demo,
    /// Print a completion script
    Completions(Completions),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// One JSON array
    Json,
    /// GitHub workflow annotations
    Github,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// A source's name, or a route's path with its values filled in, such as `/cities/Berlin`
    #[arg(value_name = "SOURCE|/ROUTE")]
    pub(crate) target: String,
    /// Parameters
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) values: Vec<String>,
    /// Print a source's answer as the upstream sent it
    #[arg(long)]
    pub(crate) raw: bool,
    /// Print on standard error what was decided on the way: attempts, timings, policies, projection matches
    #[arg(long)]
    pub(crate) explain: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Only tests whose sentence holds one of these; all without any
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Print what happened in each test, and what every policy decided
    #[arg(long)]
    pub(crate) explain: bool,
    /// How results are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Schema {
    /// Write `aggd.schema.json` and `sources.schema.json` into this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) write: Option<PathBuf>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = SchemaForm::Json, conflicts_with = "write")]
    pub(crate) format: SchemaForm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaForm {
    /// Both JSON Schemas, by file name
    Json,
    /// Tables of every key, as docs/configuration.md has them
    Markdown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct History {
    /// Only what is younger: a duration (`1h`) or a time (`2026-01-01T00:00:00Z`)
    #[arg(long)]
    pub(crate) since: Option<String>,
    /// Only requests that had this source
    #[arg(long)]
    pub(crate) source: Option<String>,
    /// Only requests of this route
    #[arg(long)]
    pub(crate) route: Option<String>,
    /// Only requests in which a source failed or was skipped
    #[arg(long)]
    pub(crate) failed: bool,
    /// At most so many, 1 to 1000
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
    /// Go on after a page: its `next_cursor`
    #[arg(long)]
    pub(crate) cursor: Option<String>,
    /// How records are printed
    #[arg(long, value_enum, default_value_t = Table::Text)]
    pub(crate) format: Table,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Table {
    /// A table for people
    Text,
    /// One JSON object, as `GET /history` answers
    Json,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// For which shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}
