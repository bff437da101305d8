//! The command line: what each command prints, and how it ends.

use serde_json::json;

use crate::harness::Script;
use crate::harness::Setup;
use crate::harness::Upstream;
use crate::harness::aggd;
use crate::harness::source;

fn broken() -> Setup {
    let setup = Setup::new().server("limitss: {}").sources(&[
        "source: a\nurl: http://h/\ntimout: 5\ncache: { ttl: 60 }\nproject: { x: \"$.[\" }\n".to_owned(),
        "source: a\nurl: http://h/\n".to_owned(),
        "route: /r\nsources: [nobody]\n".to_owned(),
    ]);
    setup.write();
    setup
}

fn served(upstream: &Upstream) -> Setup {
    upstream.on("/a", Script::text("application/json", "{ \"v\": 1.10, \"w\": [1, 2] }"));
    upstream.on("/bad", Script::status(503));
    let params = "query: { n: \"{n}\" }\nparams: { n: { type: integer, default: 1, max: 5 } }";
    let setup = Setup::new().sources(&[
        source("a", &upstream.url("/a"), &format!("project: {{ v: $.v, all: \"$.w[*]\" }}\n{params}")),
        source("bad", &upstream.url("/bad"), ""),
        "route: /page/{id}\nrespond: merge\nsources: { part: { source: a, params: { n: \"{path.id}\" } } }\n"
            .to_owned(),
    ]);
    setup.write();
    setup
}

#[test]
fn check_prints_every_finding_with_its_line_and_a_caret() {
    let setup = broken();
    let output = aggd(setup.path(), &["check"]).expect(1);
    for piece in [
        "error[AG-010]: ",
        "`limitss`",
        "did you mean `limits`",
        "`timout`",
        "`timeout`",
        "error[AG-017]",
        "60s",
        "error[AG-032]",
        "error[AG-060]",
        "error[AG-061]",
        "sources.d/main.yaml:3:1",
        "timout: 5",
        "^^^^^^",
        "aggd.yaml:3:1",
    ] {
        assert!(output.out.contains(piece), "no {piece} in\n{}", output.out);
    }
    assert!(!output.out.contains('\u{1b}'), "no colours where there is no terminal");
}

#[test]
fn check_speaks_json_and_github() {
    let setup = broken();
    let findings = aggd(setup.path(), &["check", "--format", "json"]).expect(1).json();
    let findings = findings.as_array().unwrap();
    assert!(findings.len() >= 5, "{findings:?}");
    for finding in findings {
        for member in ["code", "severity", "file", "line", "column", "path", "message", "help"] {
            assert!(finding.get(member).is_some(), "{member}: {finding}");
        }
    }
    let output = aggd(setup.path(), &["check", "--format", "github"]).expect(1);
    assert_eq!(
        output.out.lines().filter(|line| line.starts_with("::error file=")).count(),
        findings.len(),
        "{}",
        output.out
    );
}

#[test]
fn check_of_what_is_fine_says_so() {
    let upstream = Upstream::start();
    let setup = served(&upstream);
    let output = aggd(setup.path(), &["check"]).expect(0);
    assert_eq!(output.out.trim_end().lines().last(), Some("ok: 2 sources, 1 route"));
    assert_eq!(aggd(setup.path(), &["check", "--format", "json"]).expect(0).json(), json!([]));
    assert_eq!(aggd(setup.path(), &["check", "--format", "github"]).expect(0).out, "");
    assert_eq!(upstream.total(), 0);
}

#[test]
fn get_prints_the_data_of_a_source_or_a_route() {
    let upstream = Upstream::start();
    let setup = served(&upstream);
    let output = aggd(setup.path(), &["get", "a"]).expect(0);
    assert_eq!((output.out.as_str(), output.err.as_str()), ("{\"v\":1.10,\"all\":[1,2]}\n", ""));
    aggd(setup.path(), &["get", "a", "n=4"]).expect(0);
    assert_eq!(upstream.last("/a").target, "/a?n=4");
    let output = aggd(setup.path(), &["get", "/page/3"]).expect(0);
    assert_eq!(output.json(), json!({"part": {"v": 1.10, "all": [1, 2]}}));
    assert_eq!(upstream.last("/a").target, "/a?n=3");
    let output = aggd(setup.path(), &["get", "a", "--raw"]).expect(0);
    assert_eq!(output.out, "{ \"v\": 1.10, \"w\": [1, 2] }");
    let output = aggd(setup.path(), &["get", "/aggregate", "sources=a"]).expect(0);
    assert_eq!(output.json()["sources_succeeded"], json!(["a"]));
    assert!(!setup.path().join("aggd.db").exists(), "nothing is recorded");
}

#[test]
fn get_explains_on_standard_error() {
    let upstream = Upstream::start();
    let setup = served(&upstream);
    let output = aggd(setup.path(), &["get", "a", "--explain"]).expect(0);
    assert_eq!(output.out, "{\"v\":1.10,\"all\":[1,2]}\n", "the data alone, for pipes");
    for piece in ["circuit", "attempt", "projection", "$.w[*]", "2 match"] {
        assert!(output.err.contains(piece), "no {piece} in\n{}", output.err);
    }
    let output = aggd(setup.path(), &["get", "bad", "--explain"]).expect(1);
    assert!(output.err.contains("server_error") && output.err.contains("503"), "{}", output.err);
}

#[test]
fn get_that_fails_says_why_and_is_1() {
    let upstream = Upstream::start();
    let setup = served(&upstream);
    for (arguments, piece) in [
        (&["get", "bad"][..], "503"),
        (&["get", "aa"], "did you mean"),
        (&["get", "/nowhere"], "aggd routes"),
        (&["get", "a", "n=9"], "parameter `n`"),
        (&["get", "a", "novalue"], "KEY=VALUE"),
    ] {
        let output = aggd(setup.path(), arguments).expect(1);
        assert!(output.err.contains(piece) && output.out.is_empty(), "{arguments:?}: {}{}", output.out, output.err);
    }
}

#[test]
fn routes_lists_what_is_served_by_whom() {
    let upstream = Upstream::start();
    let setup = served(&upstream);
    let output = aggd(setup.path(), &["routes"]).expect(0);
    let origin = upstream.url("");
    for piece in ["/aggregate", "/page/{id}", "part=a", "merge", "10s", "5 failures", &origin] {
        assert!(output.out.contains(piece), "no {piece} in\n{}", output.out);
    }
}

#[test]
fn schema_prints_and_writes_what_editors_read() {
    let setup = Setup::new();
    let all = aggd(setup.path(), &["schema"]).expect(0).json();
    aggd(setup.path(), &["schema", "--write", "out/schemas"]).expect(0);
    for name in ["aggd.schema.json", "sources.schema.json"] {
        let text = std::fs::read_to_string(setup.path().join("out/schemas").join(name)).unwrap();
        let written: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(written, all[name], "{name}");
        assert!(written["$schema"].as_str().unwrap().starts_with("https://json-schema.org/"), "{name}");
        jsonschema::validator_for(&written).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    let setup = Setup::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = aggd(setup.path(), &["completions", shell]).expect(0);
        assert!(output.out.contains("aggd") && output.out.contains("history"), "{shell}");
    }
}

#[test]
fn wrong_usage_is_2() {
    let setup = Setup::new();
    for arguments in [
        &["nonsense"][..],
        &["check", "--format", "xml"],
        &["get"],
        &["--nonsense"],
        &["completions"],
        &["history", "--limit", "x"],
    ] {
        let output = aggd(setup.path(), arguments).expect(2);
        assert!(output.out.is_empty() && output.err.contains("error:"), "{arguments:?}: {}", output.err);
    }
    assert!(aggd(setup.path(), &["--help"]).expect(0).out.contains("Exit status: 0 fine, 1"));
    let version = aggd(setup.path(), &["--version"]).expect(0).out;
    assert_eq!(version.trim_end(), concat!("aggd ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_start_with_a_refused_configuration_is_78_and_prints_the_findings() {
    let setup = broken();
    for arguments in [&[][..], &["serve"], &["--config", "aggd.yaml"]] {
        let output = aggd(setup.path(), arguments).expect(78);
        assert!(output.err.contains("error[AG-010]") && output.err.contains("aggd check"), "{}", output.err);
        assert!(output.out.is_empty(), "{}", output.out);
    }
    let missing = Setup::new().sources(&["source: a\nurl: \"http://h/${NOT_SET_ANYWHERE}\"\n".to_owned()]);
    missing.write();
    let output = aggd(missing.path(), &[]).expect(78);
    assert!(output.err.contains("NOT_SET_ANYWHERE"), "{}", output.err);
}

#[test]
fn a_configuration_that_is_not_there_says_how_to_start() {
    let setup = Setup::new();
    std::fs::remove_dir(setup.path().join("sources.d")).unwrap();
    let output = aggd(setup.path(), &[]).expect(78);
    assert!(output.err.contains("sources.d") && output.err.contains("--config"), "{}", output.err);
    let output = aggd(setup.path(), &["--config", "nowhere.yaml"]).expect(78);
    assert!(output.err.contains("nowhere.yaml") && output.err.contains("no such file or folder"), "{}", output.err);
    aggd(setup.path(), &["check", "--config", "nowhere.yaml"]).expect(1);
}

#[test]
fn an_address_that_cannot_be_had_is_an_error_that_says_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Setup::new();
    setup.write();
    let output = aggd(setup.path(), &["--listen", &address]).expect(1);
    assert!(output.err.contains(&address) && output.err.contains("--listen"), "{}", output.err);
    let output = aggd(setup.path(), &["--listen", "8080"]);
    assert!(output.status != 0 && output.err.contains("127.0.0.1:8080"), "{}", output.err);
}

#[test]
fn a_folder_of_sources_alone_is_a_configuration() {
    let upstream = Upstream::start();
    let setup = served(&upstream);
    let folder = setup.path().join("sources.d");
    let output = aggd(setup.path(), &["check", "--config", folder.to_str().unwrap()]).expect(0);
    assert!(output.out.contains("ok: 2 sources, 1 route"), "{}", output.out);
}

#[test]
fn a_database_that_can_never_be_had_is_refused_at_start() {
    let setup = Setup::new().server("database: sqlite:///no/such/folder/aggd.db");
    setup.write();
    let output = aggd(setup.path(), &[]).expect(78);
    assert!(output.err.contains("/no/such/folder"), "{}", output.err);
}
