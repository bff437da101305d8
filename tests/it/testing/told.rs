//! How tests are told: what failed, where, and what happened.

use crate::harness::aggd;
use crate::testing::setup;

const MIXED: &str = r#"
source: a
url: https://nowhere.invalid/a
---
route: /page
sources: [a]
respond: merge
---
test: the good one
source: a
given: { json: { v: 1.10 } }
expect: { data: { v: 1.1 } }
---
test: the bad one
route: /page
given: { a: { json: { v: 1, w: [1, 2] } } }
steps:
  - expect: { status: 200 }
  - repeat: 3
    expect:
      json:
        a:
          w: [1, 3]
          v: 1
      breaker: { a: closed }
  - expect: { status: 500 }
"#;

#[test]
fn a_failure_shows_what_differs_where_it_is_written_and_what_happened() {
    let setup = setup(MIXED);
    let output = aggd(setup.path(), &["test"]).expect(1);
    let expected = "\
ok    the good one
FAIL  the bad one (step 2 of 3, request 1 of 3)
      `steps[1].expect.json` is not so
       --> sources.d/main.yaml:23:18
          …
              \"v\": 1,
              \"w\": [
                1,
        -       3
        +       2
              ]
            }
          }
      what happened:
             0ms  asks /page
             0ms  answered 200 after 0ms
             0ms  asks /page
             0ms    gateway: load shedding: 1 of 870 for normal in flight, pressure normal
             0ms    a: cache: hit, 0ms old
             0ms  answered 200 after 0ms
";
    assert!(output.out.starts_with(expected), "{}", output.out);
    assert!(output.out.contains("\n1 passed, 1 failed in "), "{}", output.out);
    assert!(!output.out.contains('\u{1b}'), "no colours where there is no terminal");
    assert_eq!(output.err, "");
}

#[test]
fn tests_are_chosen_by_a_piece_of_their_sentence() {
    let setup = setup(MIXED);
    let output = aggd(setup.path(), &["test", "good"]).expect(0);
    assert!(output.out.starts_with("ok    the good one\n1 passed in "), "{}", output.out);
    let output = aggd(setup.path(), &["test", "good", "bad"]).expect(1);
    assert!(output.out.contains("1 passed, 1 failed"), "{}", output.out);
    let output = aggd(setup.path(), &["test", "ugly"]).expect(2);
    assert_eq!(output.out, "");
    for piece in ["no test is called `ugly`", "the good one", "the bad one"] {
        assert!(output.err.contains(piece), "no {piece} in\n{}", output.err);
    }
}

#[test]
fn nothing_to_play_proves_nothing() {
    let setup = setup("source: a\nurl: https://nowhere.invalid/a\n");
    let output = aggd(setup.path(), &["test"]).expect(2);
    assert!(output.err.contains("no `test:` documents"), "{}", output.err);
}

#[test]
fn a_configuration_with_mistakes_is_told_and_no_test_is_run() {
    let setup = setup(
        "source: a\nurl: https://nowhere.invalid/a\ntimout: 5s\n---\ntest: x\nsource: a\nexpect: { status: ok }\n",
    );
    let output = aggd(setup.path(), &["test"]).expect(1);
    assert!(output.err.contains("did you mean `timeout`") && output.out.is_empty(), "{}{}", output.err, output.out);
}

#[test]
fn programs_and_github_are_told_too() {
    let setup = setup(MIXED);
    let all = aggd(setup.path(), &["test", "--format", "json"]).expect(1).json();
    let all = all.as_array().unwrap();
    assert_eq!((all.len(), all[0]["passed"].as_bool(), all[1]["passed"].as_bool()), (2, Some(true), Some(false)));
    assert_eq!(all[1]["within"], "step 2 of 3, request 1 of 3");
    let failure = &all[1]["failures"][0];
    assert_eq!((failure["file"].as_str(), failure["line"].as_u64()), (Some("sources.d/main.yaml"), Some(23)));
    assert!(failure["diff"].as_str().unwrap().contains("-       3\n+       2"), "{failure}");
    let output = aggd(setup.path(), &["test", "--format", "github"]).expect(1);
    let first = output.out.lines().next().unwrap();
    assert!(first.starts_with("::error file=sources.d/main.yaml,line=23,col=18,title=the bad one::"), "{first}");
    assert_eq!(output.out.lines().count(), 2, "{}", output.out);
}

#[test]
fn each_expectation_fails_by_itself() {
    let cases = [
        ("status: failed", "- failed", "+ ok"),
        ("data: 2", "- 2", "+ 1"),
        ("kind: timeout", "- attempt_timeout", "+ (none)"),
        ("via: value", "- value", "+ (none)"),
        ("mode: cached", "- cached", "+ fresh"),
        ("degraded: true", "- true", "+ false"),
        ("within: 4ms", "- at most 4ms", "+ 5ms"),
        ("breaker: { a: open }", "- open", "+ closed"),
        ("cache: { a: none }", "- none", "+ fresh"),
        ("calls: { a: 2 }", "- 2", "+ 1"),
        ("sent: { a: { method: POST } }", "- POST", "+ GET"),
        ("sent: { a: { path: /b } }", "- /b", "+ /a"),
        ("sent: { a: { query: { q: y } } }", "- y", "+ x"),
        ("sent: { a: { query: { q: null } } }", "- (none)", "+ x"),
        ("sent: { a: { headers: { X-Sent: no } } }", "- no", "+ yes"),
        ("sent: { a: { headers: { Authorization: Bearer y } } }", "- another value", "+ ***"),
        ("sent: { a: { body: x } }", "- x", "+ "),
        ("sent: { a: { json: {} } }", "- {}", "+ (no body)"),
    ];
    for (expect, expected, came) in cases {
        let setup = setup(&format!(
            "source: a\nurl: https://nowhere.invalid/a?q=x\nheaders: {{ X-Sent: 'yes' }}\nauth: {{ bearer: t0ken }}\n---\n\
             test: x\nsource: a\ngiven: {{ json: 1, delay: 5ms }}\nexpect: {{ {expect} }}\n"
        ));
        let output = aggd(setup.path(), &["test"]).expect(1);
        for piece in [expected, came] {
            assert!(output.out.lines().any(|line| line.trim() == piece.trim()), "{expect}: no {piece}\n{}", output.out);
        }
        assert!(!output.out.contains("t0ken"), "{}", output.out);
    }
    let cases = [
        ("status: 404", "- 404", "+ 200"),
        ("json: { a: 2 }", "-   \"a\": 2", "+   \"a\": 1"),
        ("body: x", "- x", "+ {\"a\":1}"),
        ("headers: { X-Mine: b }", "- b", "+ a"),
        ("headers: { X-Mine: null }", "- (none)", "+ a"),
        ("headers: { X-Other: a }", "- a", "+ (none)"),
    ];
    for (expect, expected, came) in cases {
        let setup = setup(&format!(
            "source: a\nurl: https://nowhere.invalid/a\n---\nroute: /r\nsources: [a]\nrespond: merge\nheaders: {{ X-Mine: a }}\n---\n\
             test: x\nroute: /r\ngiven: {{ a: {{ json: 1 }} }}\nexpect: {{ {expect} }}\n"
        ));
        let output = aggd(setup.path(), &["test"]).expect(1);
        for piece in [expected, came] {
            assert!(output.out.lines().any(|line| line.trim() == piece.trim()), "{expect}: no {piece}\n{}", output.out);
        }
    }
}

#[test]
fn a_fixture_that_is_not_there_is_told_where_it_is_named() {
    let setup = setup(
        "source: a\nurl: https://nowhere.invalid/a\n---\ntest: x\nsource: a\ngiven: { file: fixtures/a.json }\nexpect: { data: 1 }\n",
    );
    aggd(setup.path(), &["check"]).expect(0);
    let output = aggd(setup.path(), &["test"]).expect(1);
    assert!(
        output.out.contains("fixtures/a.json can't be read: ") && output.out.contains("main.yaml:6:8"),
        "{}",
        output.out
    );
    std::fs::create_dir(setup.path().join("sources.d/fixtures")).unwrap();
    std::fs::write(setup.path().join("sources.d/fixtures/a.json"), "1").unwrap();
    aggd(setup.path(), &["test"]).expect(0);
}

#[test]
fn what_comes_from_outside_is_not_shown() {
    let setup = setup(
        "source: a\nurl: https://nowhere.invalid/a\n---\ntest: x\nsource: a\ngiven: { json: { v: 1 } }\nexpect: { data: { v: '${HOME_OF_SECRETS:-hunter2-s3cret}' } }\n",
    );
    let output = aggd(setup.path(), &["test"]).expect(1);
    assert!(output.out.contains("-   \"v\": \"***\"") && !output.out.contains("hunter2"), "{}", output.out);
}
