//! `aggd test`: plays the `test:` documents, offline and in virtual time. The engine is the real one; only network and
//! clock are replaced.
//!
//! | file | holds |
//! |---|---|
//! | `life` | one test: a gateway of its own, from its first step to its last |
//! | `wire` | the network, as `given` tells it |
//! | `idle` | when there is nothing left to do at a moment |
//! | `ask` | one request and its answer |
//! | `judge` | what is expected held against what is |
//! | `diff` | the difference of two JSON values, as lines |
//! | `print` | how it is told |

mod ask;
mod diff;
mod idle;
mod judge;
mod life;
mod print;
mod wire;

use std::path::Path;

use crate::base::Clock;
use crate::cli::Exit;
use crate::cli::args::Test;
use crate::cli::console;
use crate::cli::load;
use crate::cli::test::life::Ground;
use crate::cli::test::print::Tally;
use crate::config;
use crate::config::Environment;
use crate::config::selftest::TestSpec;

/// Plays the tests whose sentence holds one of the names; all, where none is given.
pub(crate) fn run(config: Option<&Path>, ask: &Test) -> Exit {
    let clock = Clock::start();
    let environment = Environment::from_process();
    let (location, files) = match load::read(config, &environment) {
        Ok(read) => read,
        Err(report) => return refused(&report),
    };
    let mut loaded = config::load(&files, &environment);
    if loaded.report.has_errors() {
        return refused(&loaded.report);
    }
    if !loaded.report.is_empty() {
        console::aside(&loaded.report.render_text(console::colour_err()));
    }
    let tests = std::mem::take(&mut loaded.spec.tests);
    let chosen: Vec<&TestSpec> = tests.iter().filter(|test| is_wanted(test, &ask.names)).collect();
    if chosen.is_empty() {
        return none(&tests, &ask.names);
    }
    let ground = Ground { location, environment, files, spec: &loaded.spec, explain: ask.explain };
    let mut tally = Tally::new(ask.format, ask.explain);
    for test in chosen {
        let verdict = life::play(test, &ground);
        tally.add(test, &verdict);
    }
    let took = clock.now().since(crate::base::Moment::ZERO);
    if tally.end(took) { Exit::Fine } else { Exit::Failed }
}

fn is_wanted(test: &TestSpec, names: &[String]) -> bool {
    names.is_empty() || names.iter().any(|name| test.title.contains(name.as_str()))
}

fn refused(report: &crate::diag::Report) -> Exit {
    console::aside(&report.render_text(console::colour_err()));
    console::error("no test was run; `aggd check` prints the same");
    Exit::Failed
}

/// Nothing to play proves nothing.
fn none(tests: &[TestSpec], names: &[String]) -> Exit {
    if tests.is_empty() {
        console::error("there are no `test:` documents beside the sources");
    } else {
        let wanted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        console::error(&format!("no test is called {}; there are", wanted.join(" or ")));
        for test in tests {
            console::aside(&format!("  {}", test.title));
        }
    }
    Exit::Usage
}
