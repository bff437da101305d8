//! `test:` documents → tests.

use std::collections::BTreeSet;

use crate::config::check::Check;
use crate::config::codes;
use crate::config::documents::Document;
use crate::config::documents::DocumentKind;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::load::Read;
use crate::config::node::Node;
use crate::config::relations::Names;
use crate::config::selftest::Given;
use crate::config::selftest::RequestSpec;
use crate::config::selftest::Step;
use crate::config::selftest::TestSpec;
use crate::config::selftest::expect;
use crate::config::selftest::given;
use crate::config::selftest::names::Tested;
use crate::config::selftest::names::World;
use crate::config::selftest::request;
use crate::config::vocabulary::TEST;

/// Checks and reads the tests among the documents, beside everything else that was read.
pub(crate) fn tests(
    documents: &[&Document],
    reads: &[Read<'_>],
    left_out: &BTreeSet<String>,
    findings: &mut Findings,
) -> Vec<TestSpec> {
    let tests = documents.iter().filter(|document| document.kind == DocumentKind::Test);
    let world = World { reads, names: Names::of(reads, left_out) };
    tests.filter_map(|document| test(document, &world, findings)).collect()
}

fn test(document: &Document, world: &World<'_>, findings: &mut Findings) -> Option<TestSpec> {
    let node = &document.node;
    let at = At::document(&document.title);
    Check { root: &TEST, findings }.block(node, &TEST, &at);
    let tested = world.tested(node, &at, findings)?;
    let reader = Reader { document, world, tested: &tested };
    let given = reader.given(node, &at, findings);
    let default = reader.request(node, &at, findings);
    let steps = match node.entry("steps") {
        Some(entry) => {
            if let Some(expect) = node.entry("expect") {
                let both = problem(codes::EXCLUSIVE_KEYS, "with `steps`, each step says what it expects");
                findings.error(&at.key("expect"), expect.at, both.help("move `expect` into a step"));
            }
            let at = at.key("steps");
            let steps = entry.value.items().iter().enumerate();
            steps.map(|(index, step)| reader.step(step, default.as_ref(), &at.item(index), findings)).collect()
        }
        None => vec![reader.only_step(node, default.unwrap_or_else(|| reader.plain_request()), &at, findings)],
    };
    if steps.iter().all(|step| step.expect.is_empty()) && !is_doubtful(node) {
        let span = node.entry("steps").map_or(node.span, |entry| entry.at);
        let none = problem(codes::MISSING_KEY, "a test that expects nothing holds whatever happens");
        findings.error(&at, span, none.help("add `expect`, with what must come of it"));
    }
    let place = findings.place(node.get("test").map_or(node.span, |title| title.span));
    let title = document.name.clone();
    let Tested { subject, .. } = tested;
    Some(TestSpec { title, place, subject, given, steps })
}

/// Whether something is expected, in vain because of its own mistakes.
fn is_doubtful(node: &Node) -> bool {
    let steps = node.get("steps").map(Node::items).unwrap_or_default();
    steps.iter().chain([node]).any(|step| step.get("expect").is_some_and(|expect| !expect.entries().is_empty()))
}

/// Reads the steps of one test.
struct Reader<'a> {
    document: &'a Document,
    world: &'a World<'a>,
    tested: &'a Tested<'a>,
}

impl Reader<'_> {
    /// A test without `steps` asks once.
    fn only_step(&self, node: &Node, request: RequestSpec, at: &At<'_>, findings: &mut Findings) -> Step {
        let expect = self.expect(node, at, findings);
        request::path_is_whole(self.tested, &request, node, &at.key("request"), findings);
        let place = findings.place(node.span);
        Step { place, given: Vec::new(), advance: None, asks: 1, at_once: false, request, expect }
    }

    /// A step asks where it says what, or how often, or expects something of an answer.
    fn step(&self, node: &Node, default: Option<&RequestSpec>, at: &At<'_>, findings: &mut Findings) -> Step {
        let own = self.request(node, at, findings);
        let expect = self.expect(node, at, findings);
        let of_answer = expect.iter().any(|one| one.what.is_of_answer());
        let asks = own.is_some() || node.entry("request").is_some() || node.entry("repeat").is_some() || of_answer;
        let request = own.or_else(|| default.cloned()).unwrap_or_else(|| self.plain_request());
        if let Some(at_once) = node.entry("at_once").filter(|_| node.count("repeat").unwrap_or(1) < 2) {
            let none = problem(codes::NO_EFFECT, "`at_once` beside no `repeat`: one request is alone");
            findings.error(&at.key("at_once"), at_once.at, none.help("write how many: `repeat: 20`"));
        }
        if asks {
            request::path_is_whole(self.tested, &request, node, &at.key("request"), findings);
        }
        Step {
            place: findings.place(node.span),
            given: self.given(node, at, findings),
            advance: node.duration("advance"),
            at_once: node.switch("at_once").unwrap_or(false),
            asks: if asks { node.count("repeat").unwrap_or(1) } else { 0 },
            request,
            expect,
        }
    }

    fn given(&self, node: &Node, at: &At<'_>, findings: &mut Findings) -> Vec<Given> {
        let folder = &self.document.folder;
        node.get("given")
            .map(|given| given::given(given, self.world, self.tested, folder, &at.key("given"), findings))
            .unwrap_or_default()
    }

    /// What is asked where nothing is said.
    fn plain_request(&self) -> RequestSpec {
        let method = request::method(self.world, self.tested, None);
        RequestSpec { method, ..RequestSpec::default() }
    }

    fn request(&self, node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<RequestSpec> {
        let request = node.get("request")?;
        Some(request::request(request, self.world, self.tested, &at.key("request"), findings))
    }

    fn expect(&self, node: &Node, at: &At<'_>, findings: &mut Findings) -> Vec<crate::config::selftest::Expectation> {
        let expect = node.get("expect");
        expect
            .map(|expect| expect::expect(expect, self.world, self.tested, &at.key("expect"), findings))
            .unwrap_or_default()
    }
}
