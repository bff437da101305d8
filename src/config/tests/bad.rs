//! `tests/bad/`: a folder per mistake, with the exact text that it is told in.

use std::path::Path;

use crate::config::load;
use crate::config::tests::SECRET;
use crate::config::tests::environment;
use crate::config::tests::files_in;

#[test]
fn every_mistake_is_told_as_written_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad");
    let mut cases: Vec<_> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let actual = load(&files_in(case), &environment()).report.render_text(false);
        assert!(!actual.is_empty(), "{name}: nothing was found");
        assert!(!actual.contains(SECRET), "{name}: shows a secret");
        let expected = std::fs::read_to_string(case.join("expected.txt")).unwrap_or_default();
        if actual != expected {
            println!("<<<<<<<< {name}\n{actual}>>>>>>>>");
            wrong.push(name);
        }
    }
    assert!(cases.len() >= 45, "the walk found {} cases; it proved too little", cases.len());
    assert!(wrong.is_empty(), "not as written down: {wrong:?}");
}

#[test]
fn ten_mistakes_in_one_file_are_ten_findings_each_with_its_help() {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad/ten_at_once");
    let report = load(&files_in(&case), &environment()).report;
    let findings = report.findings();
    assert_eq!(findings.len(), 10);
    let lines: std::collections::BTreeSet<_> = findings.iter().map(|finding| finding.place.line).collect();
    assert_eq!(lines.len(), 10, "each at a line of its own");
    assert!(findings.iter().all(|finding| finding.help.is_some()));
}
