//! All findings of one load, each once, in the order of the files.

use std::collections::HashSet;

use crate::diag::Finding;
use crate::diag::Place;
use crate::diag::Severity;

/// The findings of one load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    findings: Vec<Finding>,
    /// What is there already: one mistake inherited by ten sources is one finding.
    seen: HashSet<(&'static str, Place)>,
}

impl Report {
    /// A report of one finding.
    pub(crate) fn of(finding: Finding) -> Self {
        let mut report = Self::default();
        report.add(finding);
        report
    }

    /// How many findings there are.
    pub(crate) fn len(&self) -> usize {
        self.findings.len()
    }

    /// Adds a finding, unless one of its code stands at its place.
    pub(crate) fn add(&mut self, finding: Finding) {
        if self.seen.insert((finding.code, finding.place.clone())) {
            self.findings.push(finding);
        }
    }

    /// Adds all findings of another report.
    pub(crate) fn absorb(&mut self, other: Self) {
        for finding in other.findings {
            self.add(finding);
        }
    }

    /// Whether the configuration is refused.
    pub(crate) fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Whether there is nothing to say.
    pub(crate) fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// How many findings of this severity there are.
    pub(crate) fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The findings in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter()
    }

    /// The findings in the order of files, lines and columns.
    pub(crate) fn findings(&self) -> Vec<&Finding> {
        let mut sorted: Vec<_> = self.findings.iter().collect();
        sorted.sort_by(|a, b| a.place.cmp(&b.place).then(a.code.cmp(b.code)));
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(code: &'static str, order: usize, line: usize) -> Finding {
        let place = Place { order, line, column: 1, end_column: 4, file: format!("f{order}").into() };
        let (path, line_text, message) = (String::new(), "abc".into(), "wrong".into());
        Finding { code, severity: Severity::Error, place, path, line_text, message, help: None }
    }

    #[test]
    fn one_code_at_one_place_is_one_finding() {
        let mut report = Report::default();
        report.add(finding("AG-010", 0, 3));
        report.add(finding("AG-010", 0, 3));
        report.add(finding("AG-011", 0, 3));
        assert_eq!(report.findings().len(), 2);
    }

    #[test]
    fn findings_come_in_the_order_of_files_and_lines() {
        let mut report = Report::default();
        for (order, line) in [(1, 1), (0, 9), (0, 2)] {
            report.add(finding("AG-010", order, line));
        }
        let places: Vec<_> = report.findings().iter().map(|f| (f.place.order, f.place.line)).collect();
        assert_eq!(places, [(0, 2), (0, 9), (1, 1)]);
    }

    #[test]
    fn warnings_refuse_nothing() {
        let mut report = Report::default();
        report.add(Finding { severity: Severity::Warning, ..finding("AG-010", 0, 3) });
        assert!(!report.has_errors());
        assert_eq!(report.count(Severity::Warning), 1);
    }
}
