//! The page about policies: every policy has an example, and what it says of metrics, events and `--explain` is so.

use regex::Regex;

use crate::docs::page;

const PAGE: &str = "docs/policies.md";

/// The chapters that are no policy.
const OTHERS: [&str; 3] = ["Which one do I need", "The order", "What others get wrong"];

/// What the table that ends each chapter tells.
const ROWS: [&str; 6] = ["outside", "metrics", "events", "explain", "reload", "not for"];

/// The chapters by their titles.
fn chapters(text: &str) -> Vec<(&str, &str)> {
    let chapters = text.split("\n## ").skip(1).filter_map(|chapter| chapter.split_once('\n'));
    chapters.filter(|(title, _)| !OTHERS.contains(title)).collect()
}

/// A row of the table, without its name.
fn row<'a>(chapter: &'a str, name: &str) -> Option<&'a str> {
    chapter.lines().find_map(|line| line.strip_prefix(&format!("| {name} | ")))
}

/// What stands in backquotes, which may be double ones.
fn quoted(text: &str) -> Vec<String> {
    let pattern = Regex::new("``(.+?)``|`([^`]+)`").unwrap();
    let found = pattern.captures_iter(text).filter_map(|found| found.get(1).or(found.get(2)));
    found.map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn every_policy_is_told_in_the_same_way_and_has_an_example() {
    let text = page(PAGE);
    let chapters = chapters(&text);
    assert!(chapters.len() >= 15, "only {} policies", chapters.len());
    for (title, chapter) in chapters {
        for name in ROWS {
            assert!(row(chapter, name).is_some(), "{title}: no row `{name}`");
        }
        assert!(
            chapter.contains("| key | write |") || title == "Brown-out" || title == "Priority",
            "{title}: no numbers"
        );
        assert!(chapter.contains("```console group="), "{title}: nothing of it is run");
        assert!(chapter.contains("\ntest: ") || title == "Brown-out", "{title}: no test");
    }
}

#[test]
fn the_metrics_and_events_of_policies_are_those_there_are() {
    let (text, metrics, events) = (page(PAGE), page("docs/operations.md"), page("docs/http-api.md"));
    let mut seen = 0;
    for (title, chapter) in chapters(&text) {
        for name in quoted(row(chapter, "metrics").unwrap()).iter().filter(|name| name.starts_with("aggd_")) {
            let name = name.split('{').next().unwrap();
            assert!(metrics.contains(&format!("| `{name}` |")), "{title}: no metric `{name}`");
            seen += 1;
        }
        for name in quoted(row(chapter, "events").unwrap()).iter().filter(|name| name.contains('.')) {
            assert!(events.contains(&format!("`{name}`")), "{title}: no event `{name}`");
            seen += 1;
        }
    }
    assert!(seen > 70, "only {seen} names");
}

#[test]
fn the_lines_of_explain_are_in_what_is_run() {
    let text = page(PAGE);
    let consoles: String = text.split("```console ").skip(1).filter_map(|block| block.split("\n```").next()).collect();
    let mut seen = 0;
    for (title, chapter) in chapters(&text) {
        let lines = quoted(row(chapter, "explain").unwrap_or_default());
        for line in lines.iter().filter(|line| line.contains(": ")) {
            let piece = line.trim_end_matches('…').trim_end();
            assert!(consoles.contains(piece), "{title}: `{line}` is printed nowhere");
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} lines");
}
