//! How tests are told: for people, for programs, for GitHub.

use std::time::Duration;

use serde_json::json;

use crate::base::Moment;
use crate::base::Pretty;
use crate::cli::args::Format;
use crate::cli::console;
use crate::cli::test::diff::Line;
use crate::cli::test::judge::Failure;
use crate::cli::test::life::Line as Happened;
use crate::cli::test::life::Verdict;
use crate::config::selftest::TestSpec;

/// So much of what happened is shown: the end of it.
const MOST_HISTORY: usize = 60;

/// Counts and prints.
pub(crate) struct Tally {
    format: Format,
    /// Whether it is told what happened even where all went well.
    explain: bool,
    colour: bool,
    passed: usize,
    failed: usize,
    /// For programs: all of them, printed at the end.
    told: Vec<serde_json::Value>,
}

impl Tally {
    pub(crate) fn new(format: Format, explain: bool) -> Self {
        Self { format, explain, colour: console::colour_out(), passed: 0, failed: 0, told: Vec::new() }
    }

    /// Tells of one test.
    pub(crate) fn add(&mut self, test: &TestSpec, verdict: &Verdict) {
        let passed = verdict.failures.is_empty();
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        match self.format {
            Format::Text if passed => {
                let happened = if self.explain { lines(&verdict.history) } else { String::new() };
                console::result(&format!("{}  {}{happened}", self.paint(GREEN, "ok  "), test.title));
            }
            Format::Text => console::result(&self.failed_text(test, verdict)),
            Format::Json => self.told.push(object(test, verdict)),
            Format::Github => {
                for failure in &verdict.failures {
                    console::result(&annotation(test, failure));
                }
            }
        }
    }

    /// Tells how all of it ended; whether all passed.
    pub(crate) fn end(&self, took: Duration) -> bool {
        let millis = took.as_millis();
        match self.format {
            Format::Json => console::result(&serde_json::Value::Array(self.told.clone()).to_string()),
            Format::Text | Format::Github => {
                let failed = if self.failed == 0 { String::new() } else { format!(", {} failed", self.failed) };
                console::result(&format!("{} passed{failed} in {millis} ms", self.passed));
            }
        }
        self.failed == 0
    }

    fn failed_text(&self, test: &TestSpec, verdict: &Verdict) -> String {
        let mut text = format!("{}  {}", self.paint(RED, "FAIL"), test.title);
        if !verdict.within.is_empty() {
            text.push_str(&format!(" ({})", verdict.within));
        }
        for failure in &verdict.failures {
            text.push_str(&format!("\n      {}\n       --> {}", failure.message, spot(failure)));
            for line in &failure.lines {
                text.push_str(&format!("\n        {}", self.line(line)));
            }
        }
        if !verdict.history.is_empty() {
            text.push_str("\n      what happened:");
            let most = if self.explain { usize::MAX } else { MOST_HISTORY };
            let skipped = verdict.history.len().saturating_sub(most);
            if skipped > 0 {
                text.push_str(&format!("\n        … {skipped} lines before this"));
            }
            text.push_str(&lines(verdict.history.get(skipped..).unwrap_or_default()));
        }
        text
    }

    fn line(&self, line: &Line) -> String {
        match line {
            Line::Same(text) => format!("  {text}"),
            Line::Expected(text) => self.paint(RED, &format!("- {text}")),
            Line::Came(text) => self.paint(GREEN, &format!("+ {text}")),
            Line::Cut => "  …".to_owned(),
        }
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// What happened, a line each.
fn lines(history: &[Happened]) -> String {
    let mut text = String::new();
    for line in history {
        let at = Pretty(line.at.since(Moment::ZERO)).to_string();
        text.push_str(&format!("\n      {at:>10}  {}", line.text));
    }
    text
}

const RED: &str = "31";
const GREEN: &str = "32";

fn spot(failure: &Failure) -> String {
    let place = &failure.place;
    format!("{}:{}:{}", place.file, place.line, place.column)
}

fn object(test: &TestSpec, verdict: &Verdict) -> serde_json::Value {
    let failures: Vec<_> = verdict
        .failures
        .iter()
        .map(|failure| {
            json!({
                "message": failure.message,
                "file": &*failure.place.file,
                "line": failure.place.line,
                "column": failure.place.column,
                "diff": plain(failure),
            })
        })
        .collect();
    json!({
        "test": test.title,
        "file": &*test.place.file,
        "line": test.place.line,
        "passed": verdict.failures.is_empty(),
        "within": verdict.within,
        "failures": failures,
    })
}

/// The difference without colours; empty where there is none to show.
fn plain(failure: &Failure) -> String {
    let lines = failure.lines.iter().map(|line| match line {
        Line::Same(text) => format!("  {text}"),
        Line::Expected(text) => format!("- {text}"),
        Line::Came(text) => format!("+ {text}"),
        Line::Cut => "  …".to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn annotation(test: &TestSpec, failure: &Failure) -> String {
    let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| escape(text).replace(':', "%3A").replace(',', "%2C");
    let place = &failure.place;
    let message = format!("{}\n{}", failure.message, plain(failure));
    format!(
        "::error file={},line={},col={},title={}::{}",
        property(&place.file),
        place.line.max(1),
        place.column.max(1),
        property(&test.title),
        escape(message.trim_end())
    )
}
