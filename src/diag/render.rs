//! The formats of a report: for people, for programs, for GitHub.

use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::AnnotationKind;
use annotate_snippets::Level;
use annotate_snippets::Renderer;
use annotate_snippets::Snippet;

use crate::diag::Finding;
use crate::diag::Report;
use crate::diag::Severity;

impl Report {
    /// For people: each finding with its line and a caret, then the count.
    pub(crate) fn render_text(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for finding in self.findings() {
            text.push_str(&one(&renderer, finding));
            text.push_str("\n\n");
        }
        if !self.is_empty() {
            text.push_str(&self.summary());
            text.push('\n');
        }
        text
    }

    /// `3 errors, 1 warning`.
    pub(crate) fn summary(&self) -> String {
        let count = |severity: Severity| match self.count(severity) {
            0 => None,
            1 => Some(format!("1 {}", severity.as_str())),
            n => Some(format!("{n} {}s", severity.as_str())),
        };
        let counts: Vec<_> = [Severity::Error, Severity::Warning].into_iter().filter_map(count).collect();
        if counts.is_empty() { "no findings".to_owned() } else { counts.join(", ") }
    }

    /// For programs: a JSON array of objects.
    pub(crate) fn render_json(&self) -> String {
        let objects = self.findings().into_iter().map(|finding| {
            serde_json::json!({
                "code": finding.code,
                "severity": finding.severity.as_str(),
                "file": &*finding.place.file,
                "line": finding.place.line,
                "column": finding.place.column,
                "end_column": finding.place.end_column,
                "path": finding.path,
                "message": finding.message,
                "help": finding.help,
            })
        });
        serde_json::Value::Array(objects.collect()).to_string()
    }

    /// For GitHub: one workflow command per finding.
    pub(crate) fn render_github(&self) -> String {
        let mut text = String::new();
        for finding in self.findings() {
            let place = &finding.place;
            let mut message = finding.message.clone();
            if let Some(help) = &finding.help {
                message = format!("{message}\n{help}");
            }
            // Writing to a String cannot fail.
            _ = writeln!(
                text,
                "::{} file={},line={},col={},endColumn={},title={}::{}",
                finding.severity.as_str(),
                property(&place.file),
                place.line.max(1),
                place.column.max(1),
                place.end_column.max(1),
                property(finding.code),
                escape(&message),
            );
        }
        text
    }
}

fn one(renderer: &Renderer, finding: &Finding) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    // A tab would make the caret stand elsewhere than the text.
    let line = finding.line_text.replace('\t', " ");
    let title = level.primary_title(finding.message.as_str()).id(finding.code);
    let mut group = if finding.place.line == 0 {
        title.element(annotate_snippets::Origin::path(&*finding.place.file))
    } else {
        let mark = AnnotationKind::Primary.span(span(finding, &line));
        title.element(
            Snippet::source(line.as_str()).line_start(finding.place.line).path(&*finding.place.file).annotation(mark),
        )
    };
    if !finding.path.is_empty() {
        group = group.element(Level::NOTE.with_name("in").message(finding.path.as_str()));
    }
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

/// The finding's columns as bytes of its line.
fn span(finding: &Finding, line: &str) -> Range<usize> {
    let byte = |column: usize| {
        let before = column.saturating_sub(1);
        line.char_indices().nth(before).map_or(line.len(), |(at, _)| at)
    };
    let start = byte(finding.place.column);
    start..byte(finding.place.end_column).max(start)
}

fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    escape(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Place;

    fn report() -> Report {
        let mut report = Report::default();
        report.add(Finding {
            code: "AG-010",
            severity: Severity::Error,
            place: Place { order: 0, line: 3, column: 1, end_column: 7, file: "sources.d/a,b.yaml".into() },
            path: "source weather: timout".into(),
            line_text: "timout: 5s".into(),
            message: "unknown key `timout`".into(),
            help: Some("write `timeout`".into()),
        });
        report
    }

    #[test]
    fn text_shows_the_line_with_a_caret_and_what_to_write() {
        let expected = "\
error[AG-010]: unknown key `timout`
 --> sources.d/a,b.yaml:3:1
  |
3 | timout: 5s
  | ^^^^^^
  |
  = in: source weather: timout
  = help: write `timeout`

1 error
";
        assert_eq!(report().render_text(false), expected);
        assert!(report().render_text(true).contains('\u{1b}'));
    }

    #[test]
    fn json_has_every_member() {
        let json: serde_json::Value = serde_json::from_str(&report().render_json()).unwrap();
        assert_eq!(json[0]["line"], 3);
        assert_eq!(json[0]["end_column"], 7);
        assert_eq!(json[0]["help"], "write `timeout`");
        assert_eq!(json[0].as_object().unwrap().len(), 9);
    }

    #[test]
    fn github_commands_escape_what_would_end_them() {
        let line = report().render_github();
        assert!(
            line.starts_with("::error file=sources.d/a%2Cb.yaml,line=3,col=1,endColumn=7,title=AG-010::"),
            "{line}"
        );
        assert!(line.ends_with("unknown key `timout`%0Awrite `timeout`\n"), "{line}");
    }
}
