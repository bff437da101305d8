//! Documents → settings: the whole of it, never stopping at the first mistake.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::check::Check;
use crate::config::documents::Document;
use crate::config::documents::DocumentKind;
use crate::config::documents::documents;
use crate::config::entrance;
use crate::config::environment::Environment;
use crate::config::exempt;
use crate::config::files::Files;
use crate::config::files::Included;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::node::Node;
use crate::config::node::Span;
use crate::config::readers;
use crate::config::relations;
use crate::config::render;
use crate::config::selftest;
use crate::config::spec::RouteSpec;
use crate::config::spec::ServerSpec;
use crate::config::spec::SourceSpec;
use crate::config::spec::Spec;
use crate::config::vocabulary::ROUTE;
use crate::config::vocabulary::SERVER;
use crate::config::vocabulary::SOURCE;
use crate::diag::Report;

/// What came of loading.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The settings; where something is wrong, what could be read of them.
    pub(crate) spec: Spec,
    pub(crate) report: Report,
    /// Whether `spec` may be applied: without errors, or with every broken document replaced or left out.
    pub(crate) usable: bool,
    /// Every path whose change changes the configuration.
    pub(crate) watched: Vec<PathBuf>,
    /// The documents with an error in them.
    pub(crate) broken: Vec<DocumentId>,
}

/// Which document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DocumentId {
    pub(crate) file: Arc<str>,
    pub(crate) kind: DocumentKind,
    /// The name of a source; method and path of a route; what a test says; empty for `aggd.yaml`.
    pub(crate) name: String,
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, kind, name } = self;
        match kind {
            DocumentKind::Source => write!(f, "source `{name}` in {file}"),
            DocumentKind::Route => write!(f, "route `{name}` in {file}"),
            DocumentKind::Test => write!(f, "test `{name}` in {file}"),
            DocumentKind::Server | DocumentKind::Unknown => write!(f, "{file}"),
        }
    }
}

/// Loads a configuration; all its mistakes are in the report.
pub(crate) fn load(files: &Files, environment: &Environment) -> Loaded {
    let mut findings = Findings::over(files.texts());
    let documents = documents(files, environment, 0, &mut findings);
    let chosen = Chosen {
        server: documents.server.as_ref(),
        documents: documents.all.iter().collect(),
        base: &files.base,
        included: &files.included,
    };
    let spec = evaluate(&chosen, &BTreeSet::new(), &mut findings);
    let report = findings.take();
    let all = documents.server.iter().chain(&documents.all);
    let broken = all.filter(|document| document.is_broken(&report)).map(|document| id(document, &findings)).collect();
    Loaded { usable: !report.has_errors(), spec, report, watched: files.watched(), broken }
}

/// How a document is called outside.
pub(crate) fn id(document: &Document, findings: &Findings) -> DocumentId {
    DocumentId { file: findings.name(document.file()), kind: document.kind, name: document.name.clone() }
}

/// The documents that make up a configuration.
pub(crate) struct Chosen<'a> {
    pub(crate) server: Option<&'a Document>,
    pub(crate) documents: Vec<&'a Document>,
    /// What relative paths in `aggd.yaml` are relative to.
    pub(crate) base: &'a Path,
    pub(crate) included: &'a Included,
}

/// A document and what was read of it.
pub(crate) struct Read<'a> {
    pub(crate) document: &'a Document,
    /// The document with `defaults` merged in.
    pub(crate) merged: Node,
    pub(crate) item: Item,
}

/// What a document became.
pub(crate) enum Item {
    Source(Box<SourceSpec>),
    Route(Box<RouteSpec>),
    /// Too little of it was right.
    Nothing,
}

/// Checks and reads the documents, then what they say of each other. `left_out` names sources that are left out.
pub(crate) fn evaluate(chosen: &Chosen<'_>, left_out: &BTreeSet<String>, findings: &mut Findings) -> Spec {
    let nowhere = Node::empty(Span::of_file(0));
    let node = chosen.server.map_or(&nowhere, |document| &document.node);
    Check { root: &SERVER, findings }.block(node, &SERVER, &At::document(""));
    let server = readers::server(node, chosen.base, chosen.included, findings);
    let none = Node::empty(node.span);
    let defaults = node.get("defaults").filter(|defaults| defaults.is_map()).unwrap_or(&none);
    // Read alone first, so that its mistakes are told as its own and not as those of the first source.
    let root = At::document("");
    readers::policies(defaults, &server, &root.key("defaults"), findings);
    let mut reads: Vec<_> =
        chosen.documents.iter().filter_map(|document| read(document, defaults, &server, findings)).collect();
    relations::check(&mut reads, left_out, findings);
    entrance::check(node, &server, &reads, findings);
    let tests = selftest::tests(&chosen.documents, &reads, left_out, findings);
    exempt::check(node, &reads, findings);
    let digest = render::digest(node, &reads, server.client.ca.as_ref());
    let rendered = Arc::from(render::rendered(node, &reads, &server));
    let (mut sources, mut routes) = (Vec::new(), Vec::new());
    for read in reads {
        match read.item {
            Item::Source(source) => sources.push(*source),
            Item::Route(route) => routes.push(*route),
            Item::Nothing => {}
        }
    }
    Spec { server, sources, routes, tests, digest, rendered }
}

fn read<'a>(document: &'a Document, defaults: &Node, server: &ServerSpec, findings: &mut Findings) -> Option<Read<'a>> {
    let node = &document.node;
    match document.kind {
        DocumentKind::Source | DocumentKind::Route if document.is_torn() => {
            Some(Read { document, merged: Node::empty(node.span), item: Item::Nothing })
        }
        DocumentKind::Source => {
            let at = At::document(&document.title);
            Check { root: &SOURCE, findings }.block(node, &SOURCE, &at);
            let item = readers::source(node, defaults, server, &at, findings);
            let item = item.map_or(Item::Nothing, |source| Item::Source(Box::new(source)));
            Some(Read { document, merged: defaults.merged(node, &SOURCE), item })
        }
        DocumentKind::Route => {
            let at = At::document(&document.title);
            Check { root: &ROUTE, findings }.block(node, &ROUTE, &at);
            let item = readers::route(node, &at, findings).map_or(Item::Nothing, |route| Item::Route(Box::new(route)));
            Some(Read { document, merged: node.clone(), item })
        }
        DocumentKind::Server | DocumentKind::Test | DocumentKind::Unknown => None,
    }
}
