//! Quarantine: what stands in for a broken document.

use crate::config::Loaded;
use crate::config::documents::DocumentKind;
use crate::config::load_quarantined;
use crate::config::tests::environment;
use crate::config::tests::files;

fn kept(now: &[(&str, &str)], before: Option<&[(&str, &str)]>) -> Loaded {
    let (_now, current) = files(now);
    let before = before.map(files);
    load_quarantined(&current, &environment(), before.as_ref().map(|(_dir, files)| files))
}

fn sources(loaded: &Loaded) -> Vec<String> {
    let summary = |source: &crate::config::spec::SourceSpec| format!("{}={:?}", source.name, source.policies.timeout);
    loaded.spec.sources.iter().map(summary).collect()
}

const GOOD: &str =
    "source: a\nstatic: 1\ntimeout: 1s\n---\nsource: b\nstatic: 1\ntimeout: 1s\n---\nroute: /x\nsources: [a, b]\n";

#[test]
fn a_broken_document_keeps_its_last_good_version_and_the_rest_is_applied() {
    let now = GOOD
        .replace("source: a\nstatic: 1\ntimeout: 1s", "source: a\nstatic: 1\ntimeout: 5")
        .replace("b\nstatic: 1\ntimeout: 1s", "b\nstatic: 1\ntimeout: 2s");
    let loaded = kept(&[("sources.d/s.yaml", &now)], Some(&[("sources.d/s.yaml", GOOD)]));
    assert!(loaded.usable && loaded.report.has_errors());
    assert_eq!(sources(&loaded), ["a=1s", "b=2s"]);
    assert_eq!(loaded.spec.routes.len(), 1);
    assert_eq!(loaded.broken.len(), 1);
    assert_eq!((loaded.broken[0].kind, loaded.broken[0].name.as_str()), (DocumentKind::Source, "a"));
}

#[test]
fn without_a_last_good_version_it_is_left_out_with_what_refers_to_it() {
    let now = format!(
        "{}---\nroute: /y\nsources: [b]\n---\nsource: c\nstatic: 1\nfallback: [{{ source: a }}]\n---\nroute: /z\nsources: [c]\n",
        GOOD.replacen("1s", "5", 1)
    );
    let loaded = kept(&[("sources.d/s.yaml", &now)], None);
    assert!(loaded.usable);
    assert_eq!(sources(&loaded), ["b=1s"]);
    let paths: Vec<_> = loaded.spec.routes.iter().map(|route| route.path.as_str()).collect();
    assert_eq!(paths, ["/y"]);
    let text = loaded.report.render_text(false);
    assert!(text.contains("the source `a` is left out, because of its own mistakes"), "{text}");
    assert!(text.contains("the source `c` is left out"), "{text}");
    assert_eq!(loaded.broken.len(), 4);
}

#[test]
fn a_torn_file_keeps_all_its_documents_and_others_are_read() {
    let now: &[(&str, &str)] =
        &[("sources.d/s.yaml", "source: a\nstatic: {x: [\n"), ("sources.d/t.yaml", "source: n\nstatic: 1\n")];
    let loaded = kept(now, Some(&[("sources.d/s.yaml", GOOD), ("sources.d/t.yaml", "")]));
    assert!(loaded.usable);
    assert_eq!(sources(&loaded), ["a=1s", "b=1s", "n=5s"]);
    assert_eq!(loaded.spec.routes.len(), 1);
}

#[test]
fn a_syntax_error_breaks_its_document_alone() {
    let torn = GOOD
        .replacen("static: 1\ntimeout: 1s", "static: [\ntimeout: 1s", 1)
        .replace("source: b\nstatic: 1\ntimeout: 1s", "source: b\nstatic: 1\ntimeout: 2s");
    let loaded = kept(&[("sources.d/s.yaml", &torn)], Some(&[("sources.d/s.yaml", GOOD)]));
    assert!(loaded.usable && loaded.report.has_errors());
    assert_eq!(sources(&loaded), ["a=1s", "b=2s"], "the last good `a`, the new `b`");
    assert_eq!(loaded.spec.routes.len(), 1);
    assert_eq!(loaded.broken.iter().map(|document| document.name.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(loaded.report.len(), 1, "{}", loaded.report.render_text(false));
    // Without a last good version it is left out, with the route that needs it.
    let loaded = kept(&[("sources.d/s.yaml", &torn)], None);
    assert_eq!((loaded.usable, sources(&loaded), loaded.spec.routes.len()), (true, vec!["b=2s".to_owned()], 0));
}

#[test]
fn bytes_that_are_not_utf_8_break_their_document_alone() {
    let (dir, _) = files(&[]);
    let bytes = b"source: a\nstatic: \"M\xfcnchen\"\n---\nsource: b\nstatic: 1\n";
    std::fs::write(dir.path().join("sources.d/s.yaml"), bytes).unwrap();
    let loaded = load_quarantined(&crate::config::tests::files_in(dir.path()), &environment(), None);
    assert_eq!((loaded.usable, sources(&loaded)), (true, vec!["b=5s".to_owned()]));
}

#[test]
fn a_broken_server_file_is_replaced_as_a_whole_or_nothing_can_be_used() {
    let now: &[(&str, &str)] = &[
        ("aggd.yaml", "limits: { concurrency: x }\ndefaults: { timeout: 9s }\n"),
        ("sources.d/s.yaml", "source: a\nstatic: 1\n"),
    ];
    let loaded = kept(now, Some(&[("aggd.yaml", "defaults: { timeout: 3s }\n")]));
    assert!(loaded.usable);
    assert_eq!(sources(&loaded), ["a=3s"]);
    assert!(!kept(now, None).usable);
    let torn: &[(&str, &str)] = &[("aggd.yaml", "limits: [\n"), ("sources.d/s.yaml", "source: a\nstatic: 1\n")];
    assert_eq!(sources(&kept(torn, Some(&[("aggd.yaml", "defaults: { timeout: 3s }\n")]))), ["a=3s"]);
    assert!(!kept(torn, None).usable);
}

#[test]
fn a_source_declared_twice_is_there_once() {
    let twice = "source: a\nstatic: 1\ntimeout: 2s\n";
    let now: &[(&str, &str)] = &[("sources.d/s.yaml", twice), ("sources.d/t.yaml", twice)];
    let loaded = kept(now, Some(&[("sources.d/s.yaml", twice)]));
    assert_eq!(sources(&loaded), ["a=2s"]);
    assert!(loaded.usable);
}

#[test]
fn a_document_taken_away_is_gone() {
    let loaded = kept(&[("sources.d/s.yaml", "source: b\nstatic: 1\n")], Some(&[("sources.d/s.yaml", GOOD)]));
    assert!(loaded.usable && !loaded.report.has_errors());
    assert_eq!(sources(&loaded), ["b=5s"]);
}

#[test]
fn an_unreadable_server_file_is_broken_and_an_absent_one_is_not() {
    let (dir, _) = files(&[("sources.d/s.yaml", "source: a\nstatic: 1\n")]);
    std::fs::write(dir.path().join("aggd.yaml"), b"\xff\xfe").unwrap();
    let now = crate::config::tests::files_in(dir.path());
    assert!(!load_quarantined(&now, &environment(), None).usable);
    let torn: &[(&str, &str)] = &[("sources.d/s.yaml", "source: a\nstatic: 1\n"), ("sources.d/t.yaml", "[")];
    let loaded = kept(torn, Some(&[("aggd.yaml", "defaults: { timeout: 3s }\n")]));
    assert_eq!((loaded.usable, sources(&loaded)), (true, vec!["a=5s".to_owned()]), "aggd.yaml was taken away");
}
