//! Files → documents: parsed, expanded, and told apart by their first key.

use crate::config::codes;
use crate::config::environment::Environment;
use crate::config::files::File;
use crate::config::files::Files;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::interpolate;
use crate::config::interpolate::Values;
use crate::config::node::Node;
use crate::config::node::Span;
use crate::config::parse;
use crate::config::similar;
use crate::config::vocabulary::SERVER;
use crate::diag::Report;
use crate::diag::Severity;

/// What a document declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DocumentKind {
    /// `aggd.yaml`.
    Server,
    Source,
    Route,
    /// Something that does not exist, or not yet.
    Unknown,
}

/// One YAML document.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) kind: DocumentKind,
    /// The name of a source; method and path of a route.
    pub(crate) name: String,
    /// What findings call it: `source weather`, as written.
    pub(crate) title: String,
    pub(crate) node: Node,
    /// The lines that are its own: findings there are findings about it.
    first_line: usize,
    last_line: usize,
}

impl Document {
    /// Which file it stands in, in reading order.
    pub(crate) fn file(&self) -> usize {
        self.node.span.file
    }

    /// Where it begins.
    pub(crate) fn first_line(&self) -> usize {
        self.first_line
    }

    /// Whether one of the findings is an error in it.
    pub(crate) fn is_broken(&self, report: &Report) -> bool {
        report.iter().any(|finding| {
            let own = (self.first_line..=self.last_line).contains(&finding.place.line) || finding.place.line == 0;
            finding.severity == Severity::Error && finding.place.order == self.file() && own
        })
    }

    /// Whether it declares the same as another one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name
    }
}

/// All documents of a configuration.
#[derive(Debug)]
pub(crate) struct Documents {
    pub(crate) server: Option<Document>,
    pub(crate) all: Vec<Document>,
    /// Files that could not be read to their end.
    pub(crate) incomplete: Vec<usize>,
}

/// Parses all files; their texts stand in `findings` from `first` on.
pub(crate) fn documents(files: &Files, environment: &Environment, first: usize, findings: &mut Findings) -> Documents {
    let mut documents = Documents { server: None, all: Vec::new(), incomplete: Vec::new() };
    let servers = usize::from(files.server.is_some());
    for (index, file) in files.all().enumerate() {
        let order = first + index;
        let Some(nodes) = nodes(file, order, findings) else {
            documents.incomplete.push(order);
            if index < servers {
                documents.server = Some(server_document(Node::empty(Span::of_file(order))));
            }
            continue;
        };
        if !nodes.complete {
            documents.incomplete.push(order);
        }
        let folder = file.path.parent().unwrap_or(&files.base);
        let values = Values { environment, included: &files.included, folder };
        if index < servers {
            documents.server = server(nodes.documents, order, values, findings);
        } else {
            declared(nodes.documents, values, &mut documents.all, findings);
        }
    }
    documents
}

fn nodes(file: &File, order: usize, findings: &mut Findings) -> Option<parse::Parsed> {
    match &file.text {
        Ok(text) => Some(parse::parse(text, order, findings)),
        Err(unreadable) => {
            let wrong = problem(unreadable.code, format!("this file cannot be read: {}", unreadable.message));
            findings.error(
                &At::document(""),
                Span::of_file(order),
                wrong.help("save it as UTF-8 text that aggd may read"),
            );
            None
        }
    }
}

fn server(nodes: Vec<Node>, order: usize, values: Values<'_>, findings: &mut Findings) -> Option<Document> {
    let at = At::document("");
    let mut nodes = nodes.into_iter();
    let mut node = nodes.next().unwrap_or_else(|| Node::empty(Span::of_file(order)));
    if let Some(second) = nodes.next() {
        let more = problem(codes::DOCUMENT_KIND, "aggd.yaml holds one document");
        findings.error(&at, second.span, more.help("put sources and routes into files of their own, in `sources.d`"));
    }
    if !node.is_map() {
        let wrong = problem(codes::WRONG_TYPE, "aggd.yaml is a map of keys").help("write `listen: 127.0.0.1:8080`");
        findings.error(&at, node.span, wrong);
        node = Node::empty(node.span);
    }
    interpolate::expand(&mut node, values, &at, findings);
    Some(server_document(node))
}

fn server_document(node: Node) -> Document {
    let (name, title) = (String::new(), String::new());
    Document { kind: DocumentKind::Server, name, title, node, first_line: 0, last_line: usize::MAX }
}

fn declared(nodes: Vec<Node>, values: Values<'_>, all: &mut Vec<Document>, findings: &mut Findings) {
    let begins: Vec<usize> = nodes.iter().map(|node| node.span.line).collect();
    for (index, mut node) in nodes.into_iter().enumerate() {
        let last_line = begins.get(index + 1).map_or(usize::MAX, |next| next - 1);
        let kind = kind(&node, findings);
        let title = title(kind, &node);
        interpolate::expand(&mut node, values, &At::document(&title), findings);
        let name = identity(kind, &node);
        all.push(Document { kind, name, title, first_line: node.span.line, last_line, node });
    }
}

/// How findings call a document.
fn title(kind: DocumentKind, node: &Node) -> String {
    match kind {
        DocumentKind::Source => format!("source {}", node.word_of("source")),
        DocumentKind::Route => format!("route {}", node.word_of("route")),
        DocumentKind::Server | DocumentKind::Unknown => String::new(),
    }
}

/// What makes two documents the same one.
fn identity(kind: DocumentKind, node: &Node) -> String {
    match kind {
        DocumentKind::Source => node.word_of("source").to_owned(),
        DocumentKind::Route => {
            let method = node.get("method").and_then(Node::text).unwrap_or("GET");
            format!("{method} {}", node.word_of("route"))
        }
        DocumentKind::Server | DocumentKind::Unknown => String::new(),
    }
}

impl Node {
    fn word_of(&self, key: &str) -> &str {
        self.get(key).and_then(Self::text).unwrap_or("?")
    }
}

/// What a document declares, by its first key.
fn kind(node: &Node, findings: &mut Findings) -> DocumentKind {
    let Some(first) = node.entries().first() else {
        let wrong = problem(codes::DOCUMENT_KIND, "a document is a map that begins with `source:` or `route:`");
        findings.error(&At::document(""), node.span, wrong.help("write `source: NAME` or `route: /path` first"));
        return DocumentKind::Unknown;
    };
    let key = first.key.as_str();
    let later = node.entries().iter().find(|entry| matches!(entry.key.as_str(), "source" | "route"));
    let wrong = match (key, later) {
        ("source", _) => return DocumentKind::Source,
        ("route", _) => return DocumentKind::Route,
        ("test", _) => problem(codes::NOT_AVAILABLE, "`test:` documents are not available in this version")
            .help("remove the document"),
        (_, Some(later)) => {
            problem(codes::DOCUMENT_KIND, format!("a document begins with what it is, not with `{key}`"))
                .help(format!("move `{}: …` to the top", later.key))
        }
        (_, None) => {
            let wrong = problem(
                codes::DOCUMENT_KIND,
                format!("a document begins with `source:` or `route:`, not with `{key}`"),
            );
            match similar::closest(key, ["source", "route"]) {
                Some(meant) => wrong.help(format!("write `{meant}: …`")),
                None if SERVER.find(key).is_some() => wrong.help(format!("move `{key}` to aggd.yaml")),
                None => wrong.help("write `source: NAME` or `route: /path` first"),
            }
        }
    };
    findings.error(&At::document("").key(key), first.at, wrong);
    DocumentKind::Unknown
}
