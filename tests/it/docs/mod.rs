//! The documentation: its examples are run, its links lead somewhere, its lists are those of the code.
//!
//! How an example is written is told in `example`.

mod alike;
mod example;
mod facts;
mod policies;

use std::path::Path;
use std::path::PathBuf;

use crate::docs::example::Group;
use crate::docs::example::groups;

/// The pages, from the root of the repository.
const PAGES: [&str; 8] = [
    "README.md",
    "docs/configuration.md",
    "docs/policies.md",
    "docs/testing.md",
    "docs/http-api.md",
    "docs/operations.md",
    "docs/architecture.md",
    "docs/dependencies.md",
];

/// What a path in a page may begin with: then it must exist.
const FOLDERS: [&str; 9] =
    ["docs/", "src/", "tests/", "benches/", "examples/", "schemas/", ".ci/", "./benches/", "./test"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The groups of a page; fails when it has fewer than it should.
fn groups_of(name: &str, least: usize) -> Vec<Group> {
    let found = groups(name, &page(name));
    assert!(found.len() >= least, "{name} has {} groups of examples; the test proved too little", found.len());
    found
}

#[test]
fn every_example_is_a_configuration_without_findings() {
    let mut checked = 0;
    for name in PAGES {
        for group in groups_of(name, 0).iter().filter(|group| !group.is_bad()) {
            group.check();
            checked += 1;
        }
    }
    assert!(checked >= 12, "only {checked} examples were found");
}

#[tokio::test]
async fn what_the_readme_shows_is_what_happens() {
    play("README.md", 1).await;
}

#[tokio::test]
async fn what_the_reference_of_the_configuration_shows_is_what_happens() {
    play("docs/configuration.md", 10).await;
}

#[tokio::test]
async fn what_the_reference_of_the_http_surface_shows_is_what_happens() {
    play("docs/http-api.md", 1).await;
}

#[tokio::test]
async fn what_the_page_about_tests_shows_is_what_happens() {
    play("docs/testing.md", 3).await;
}

#[tokio::test]
async fn what_the_page_about_policies_shows_is_what_happens() {
    play("docs/policies.md", 14).await;
}

#[tokio::test]
async fn what_the_operations_page_shows_is_what_happens() {
    play("docs/operations.md", 1).await;
}

async fn play(name: &str, least: usize) {
    let mut commands = 0;
    for group in groups_of(name, least) {
        commands += group.play().await;
    }
    assert!(commands >= least, "{name}: only {commands} commands were run");
}

#[test]
fn every_link_leads_somewhere() {
    let mut followed = 0;
    for name in PAGES {
        let text = page(name);
        for target in links(&text) {
            followed += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if path.is_empty() { root().join(name) } else { beside(name, path) };
            assert!(file.exists(), "{name}: `{target}` leads nowhere");
            if !anchor.is_empty() {
                let there = std::fs::read_to_string(&file).unwrap();
                assert!(anchors(&there).any(|known| known == anchor), "{name}: no heading `#{anchor}` in `{path}`");
            }
        }
    }
    assert!(followed > 20, "only {followed} links were found");
}

#[test]
fn every_file_that_is_named_exists() {
    let mut named = 0;
    for name in PAGES {
        let text = page(name);
        for word in text.split(|c: char| c.is_whitespace() || "`()[],;:\"'|*".contains(c)) {
            let word = word.trim_end_matches('.');
            // `src/config/*.rs` and `examples/NAME` stand for many.
            let is_one = !word.contains(['<', '{', '…', '*']) && !word.contains("NAME");
            if is_one && FOLDERS.iter().any(|folder| word.starts_with(folder)) {
                named += 1;
                let path = word.trim_start_matches("./").split('#').next().unwrap_or_default();
                assert!(root().join(path).exists() || beside(name, path).exists(), "{name} names `{word}`");
            }
        }
    }
    assert!(named > 20, "only {named} files are named");
}

#[test]
fn the_readme_can_be_read_in_one_go() {
    assert!(page("README.md").lines().count() <= 250);
}

/// A path as a page means it.
fn beside(name: &str, path: &str) -> PathBuf {
    root().join(name).parent().unwrap().join(path)
}

/// The targets of the links that lead to files or headings of ours.
fn links(text: &str) -> Vec<String> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    ends.map(|(target, _)| target.to_owned()).filter(|target| !target.contains("://")).collect()
}

/// The anchors of the headings, as GitHub makes them.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>().replace(' ', "-")
    })
}
