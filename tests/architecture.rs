//! The rules of the house that a compiler does not know: which module imports from which, where each outside crate is at
//! home, how long a file is, and that each says what it is for. `docs/architecture.md` has the reasons.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that can't go on fails")]

use std::path::Path;
use std::path::PathBuf;

/// Who may import from whom. `config::spec` is the settings alone, not how they are read.
const IMPORTS: [(&str, &[&str]); 13] = [
    ("base", &[]),
    ("diag", &["base"]),
    ("policy", &["base"]),
    ("shape", &["base"]),
    ("config", &["base", "diag", "policy", "shape"]),
    ("plan", &["base", "policy", "shape", "config::spec"]),
    ("live", &["base", "policy", "plan", "outbound", "record"]),
    ("outbound", &["base", "policy", "config::spec"]),
    ("record", &["base", "policy", "config::spec"]),
    ("request", &["base", "policy", "shape", "plan", "live", "outbound", "record", "config::spec"]),
    ("inbound", &["base", "live", "plan", "record", "request", "config::spec"]),
    ("reload", &["base", "diag", "config", "plan", "live", "outbound", "record", "request"]),
    (
        "app",
        &[
            "base", "diag", "policy", "shape", "config", "plan", "live", "outbound", "record", "request", "inbound",
            "reload",
        ],
    ),
];

/// What may import from everything: the commands, and the two files that declare.
const FREE: [&str; 3] = ["cli", "lib", "main"];

/// Outside crates that have one home.
const HOMES: [(&str, &str); 7] = [
    ("axum", "inbound/"),
    ("sqlx", "record/store/"),
    ("notify", "reload/watch.rs"),
    ("clap", "cli/"),
    ("clap_complete", "cli/"),
    ("arc_swap", "live/"),
    ("reqwest", "outbound/"),
];

const MAX_LINES: usize = 500;

/// A file of `src` or `tests`: its path from there, and its lines.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// `request` of `request/mod.rs`, `app` of `app.rs`.
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// The lines that are no comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(number, line)| (number + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// The paths after `start` wherever it begins a path, with their lines.
    fn paths_after<'a>(&'a self, start: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        self.code().flat_map(move |(number, line)| {
            line.match_indices(start).filter_map(move |(at, _)| {
                let begins = !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '$'));
                let path = &line[at + start.len()..];
                let end = path.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':')).unwrap_or(path.len());
                begins.then_some((number, &path[..end]))
            })
        })
    }
}

fn sources(folder: &str) -> Vec<Source> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(folder: &Path, root: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, root, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push(Source { path: path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), text });
        }
    }
}

/// Fails with all that was found wrong.
#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} found:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_walk_sees_the_whole_house() {
    let sources = sources("src");
    assert!(sources.len() > 50, "{} files: the walk proved nothing", sources.len());
    for (module, _) in IMPORTS {
        assert!(sources.iter().any(|source| source.module() == module), "there is no module `{module}`");
    }
}

#[test]
fn a_module_imports_from_those_of_its_row_alone() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for source in sources("src") {
        let module = source.module();
        if FREE.contains(&module) {
            continue;
        }
        let row = IMPORTS.iter().find(|(name, _)| *name == module);
        let Some((_, allowed)) = row else {
            wrong.push(format!("{}: `{module}` has no row in the table", source.path));
            continue;
        };
        for (line, path) in source.paths_after("crate::") {
            seen += 1;
            let is = |allowed: &str| {
                path.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            };
            if !is(module) && !allowed.iter().any(|allowed| is(allowed)) {
                wrong.push(format!("src/{}:{line}: `{module}` may not import `{path}`", source.path));
            }
        }
    }
    assert!(seen > 500, "{seen} paths: the reading proved nothing");
    none(&wrong);
}

#[test]
fn each_outside_crate_has_one_home() {
    let mut wrong = Vec::new();
    for (name, home) in HOMES {
        let mut at_home = 0;
        for source in sources("src") {
            let uses = source.paths_after(&format!("{name}::")).map(|(line, _)| line).collect::<Vec<_>>();
            if source.path.starts_with(home) {
                at_home += uses.len();
            } else {
                wrong.extend(uses.iter().map(|line| format!("src/{}:{line}: {name} belongs in {home}", source.path)));
            }
        }
        assert!(at_home > 0, "{name} is not used in {home}: the table is out of date");
    }
    none(&wrong);
}

#[test]
fn every_file_says_what_it_is_for_and_is_short() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests"] {
        for source in sources(folder) {
            if !source.text.starts_with("//! ") {
                wrong.push(format!("{folder}/{} does not begin with `//! `", source.path));
            }
            let lines = source.text.lines().count();
            if lines > MAX_LINES {
                wrong.push(format!("{folder}/{} has {lines} lines, more than {MAX_LINES}", source.path));
            }
        }
    }
    none(&wrong);
}

#[test]
fn imports_are_written_one_to_a_line_and_from_the_root() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests"] {
        for source in sources(folder).iter().filter(|source| source.path != "architecture.rs") {
            for (line, text) in source.code() {
                for banned in ["use crate::{", "super::super"] {
                    if text.contains(banned) {
                        wrong.push(format!("{folder}/{}:{line}: `{banned}`", source.path));
                    }
                }
            }
        }
    }
    none(&wrong);
}
