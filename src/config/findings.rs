//! Writing findings: what is wrong and where, with the line as it was written.

use std::fmt;
use std::sync::Arc;

use crate::config::node::Span;
use crate::diag::Finding;
use crate::diag::Place;
use crate::diag::Report;
use crate::diag::Severity;

/// What is wrong, before it is known where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) help: Option<String>,
    /// How many characters into the text it is.
    pub(crate) offset: Option<usize>,
    /// How many characters of the text it is, from there on.
    pub(crate) width: usize,
}

/// A mistake of this kind.
pub(crate) fn problem(code: &'static str, message: impl Into<String>) -> Problem {
    Problem { code, message: message.into(), help: None, offset: None, width: 1 }
}

impl Problem {
    /// Says what to write instead.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says where in the text it is.
    pub(crate) fn at(mut self, offset: usize) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Says how much of the text it is.
    pub(crate) fn wide(mut self, width: usize) -> Self {
        self.width = width;
        self
    }
}

/// The path of a key, built while walking down: `source weather: cache.ttl`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    /// A whole document: `source weather`; empty for `aggd.yaml`.
    Document(&'a str),
    Key(&'a str),
    Item(usize),
}

impl<'a> At<'a> {
    /// A document.
    pub(crate) fn document(name: &'a str) -> Self {
        Self { parent: None, step: Step::Document(name) }
    }

    /// A key of a map.
    pub(crate) fn key(&'a self, key: &'a str) -> At<'a> {
        At { parent: Some(self), step: Step::Key(key) }
    }

    /// An item of a list, from 0.
    pub(crate) fn item(&'a self, index: usize) -> At<'a> {
        At { parent: Some(self), step: Step::Item(index) }
    }

    /// The key that it ends in, as messages name it.
    pub(crate) fn subject(&self) -> String {
        match self.step {
            Step::Item(_) => format!("an item of `{}`", self.last()),
            Step::Key(_) | Step::Document(_) => format!("`{}`", self.last()),
        }
    }

    /// The name of the key that it ends in.
    pub(crate) fn last(&self) -> &'a str {
        match (self.step, self.parent) {
            (Step::Key(key), _) => key,
            (Step::Item(_), Some(parent)) => parent.last(),
            (Step::Item(_), None) | (Step::Document(_), _) => "",
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match (self.step, self.parent.map(|parent| parent.step)) {
            (Step::Document(name), _) => f.write_str(name),
            (Step::Item(index), _) => write!(f, "[{index}]"),
            (Step::Key(key), None | Some(Step::Document(""))) => f.write_str(key),
            (Step::Key(key), Some(Step::Document(_))) => write!(f, ": {key}"),
            (Step::Key(key), Some(Step::Key(_) | Step::Item(_))) => write!(f, ".{key}"),
        }
    }
}

/// A file's name and text, as findings show them.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) name: Arc<str>,
    pub(crate) text: Arc<str>,
}

/// Collects findings while a configuration is read.
#[derive(Debug)]
pub(crate) struct Findings {
    texts: Vec<Text>,
    pub(crate) report: Report,
}

impl Findings {
    /// Over these files, in reading order.
    pub(crate) fn over(texts: Vec<Text>) -> Self {
        Self { texts, report: Report::default() }
    }

    /// Records a mistake.
    pub(crate) fn error(&mut self, at: &At<'_>, span: Span, problem: Problem) {
        self.record(Severity::Error, at, span, problem);
    }

    /// Records something that works, but hardly as meant.
    pub(crate) fn warn(&mut self, at: &At<'_>, span: Span, problem: Problem) {
        self.record(Severity::Warning, at, span, problem);
    }

    /// What was found so far; the collection goes on empty.
    pub(crate) fn take(&mut self) -> Report {
        std::mem::take(&mut self.report)
    }

    /// The name of a file.
    pub(crate) fn name(&self, file: usize) -> Arc<str> {
        self.texts.get(file).map_or_else(|| "?".into(), |text| Arc::clone(&text.name))
    }

    /// Where something stands, for what points there later.
    pub(crate) fn place(&self, span: Span) -> Place {
        let Span { file, line, column, end_column, .. } = span;
        Place { order: file, line, column, end_column, file: self.name(file) }
    }

    /// `sources.d/a.yaml:3`, for messages that point elsewhere.
    pub(crate) fn spot(&self, span: Span) -> String {
        format!("{}:{}", self.name(span.file), span.line)
    }

    fn record(&mut self, severity: Severity, at: &At<'_>, span: Span, problem: Problem) {
        let span = problem.offset.map_or(span, |offset| span.inside(offset, problem.width));
        let text = self.texts.get(span.file).map(|text| Arc::clone(&text.text)).unwrap_or_default();
        let line_text = text.lines().nth(span.line.saturating_sub(1)).unwrap_or_default().to_owned();
        if span.line == 0 {
            let place = Place { order: span.file, ..Place::of_file(&self.name(span.file)) };
            let Problem { code, message, help, .. } = problem;
            self.report.add(Finding {
                code,
                severity,
                place,
                path: at.to_string(),
                line_text: String::new(),
                message,
                help,
            });
            return;
        }
        // What goes over several lines is marked to the end of its first one.
        let width = line_text.trim_end().chars().count();
        let end = if span.end_line == span.line { span.end_column } else { width + 1 };
        let place = Place {
            order: span.file,
            line: span.line,
            column: span.column,
            end_column: end.max(span.column + 1),
            file: self.name(span.file),
        };
        let Problem { code, message, help, .. } = problem;
        self.report.add(Finding { code, severity, place, path: at.to_string(), line_text, message, help });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_the_keys() {
        let document = At::document("source weather");
        let cache = document.key("cache");
        assert_eq!(cache.key("ttl").to_string(), "source weather: cache.ttl");
        assert_eq!(document.key("fallback").item(1).key("stale").to_string(), "source weather: fallback[1].stale");
        assert_eq!(At::document("").key("limits").key("concurrency").to_string(), "limits.concurrency");
        assert_eq!(document.key("omit").item(0).last(), "omit");
    }
}
