//! `aggd check`: every mistake, each with what to write instead.

use std::path::Path;

use crate::cli::Exit;
use crate::cli::args::Check;
use crate::cli::args::Format;
use crate::cli::console;
use crate::cli::load;
use crate::config;
use crate::config::Environment;
use crate::diag::Report;

/// Prints the findings. Warnings alone are fine.
pub(crate) fn run(config: Option<&Path>, ask: &Check) -> Exit {
    let environment = Environment::from_process();
    let (report, summary) = match load::read(config, &environment) {
        Err(report) => (report, String::new()),
        Ok((_, files)) => {
            let loaded = config::load(&files, &environment);
            let (sources, routes) = (loaded.spec.sources.len(), loaded.spec.routes.len());
            let tests = match loaded.spec.tests.len() {
                0 => String::new(),
                tests => format!(", {}", count(tests, "test")),
            };
            (loaded.report, format!("ok: {}, {}{tests}", count(sources, "source"), count(routes, "route")))
        }
    };
    print(&report, ask.format);
    if report.has_errors() {
        return Exit::Failed;
    }
    if ask.format == Format::Text {
        console::result(&summary);
    }
    Exit::Fine
}

fn print(report: &Report, format: Format) {
    match format {
        Format::Json => console::result(&report.render_json()),
        Format::Github if !report.is_empty() => console::result(&report.render_github()),
        Format::Text if !report.is_empty() => console::result(&report.render_text(console::colour_out())),
        Format::Github | Format::Text => {}
    }
}

fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
