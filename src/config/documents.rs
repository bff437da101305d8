//! Files → documents: parsed, expanded, and told apart by their first key.

use std::path::PathBuf;

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
use crate::config::node::Value;
use crate::config::parse;
use crate::config::parse::Parsed;
use crate::config::similar;
use crate::config::torn::Declares;
use crate::config::torn::Torn;
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
    /// A test of one of those, for `aggd test`.
    Test,
    /// Something that does not exist, or not yet.
    Unknown,
}

/// One YAML document.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) kind: DocumentKind,
    /// The name of a source; method and path of a route; what a test says.
    pub(crate) name: String,
    /// What findings call it: `source weather`, as written.
    pub(crate) title: String,
    pub(crate) node: Node,
    /// The folder of its file.
    pub(crate) folder: PathBuf,
    /// The lines that are its own: findings there are findings about it.
    first_line: usize,
    last_line: usize,
    /// Whether it could not be parsed: it is known by its name alone.
    torn: bool,
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

    /// Whether it could not be parsed: nothing but its name is known.
    pub(crate) fn is_torn(&self) -> bool {
        self.torn
    }

    /// Whether one of the findings is an error in it.
    pub(crate) fn is_broken(&self, report: &Report) -> bool {
        self.torn
            || report.iter().any(|finding| {
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
    /// Files of which not everything could be read.
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
            // What follows a document that is torn is no second `aggd.yaml`.
            let whole = if nodes.torn.is_empty() { nodes.documents } else { Vec::new() };
            documents.server = server(whole, order, values, findings);
        } else {
            declared(nodes, order, values, &mut documents.all, findings);
        }
    }
    documents
}

fn nodes(file: &File, order: usize, findings: &mut Findings) -> Option<Parsed> {
    match &file.text {
        Ok(text) => {
            for (line, column) in &file.garbled {
                let wrong = problem(codes::UNREADABLE, "this is not UTF-8").help("save the file as UTF-8");
                let (line, column) = (*line, *column);
                let span = Span { file: order, line, column, end_line: line, end_column: column + 1 };
                findings.error(&At::document(""), span, wrong);
            }
            Some(parse::parse(text, order, findings))
        }
        Err(unreadable) => {
            let wrong = problem(unreadable.code, format!("this file cannot be read: {}", unreadable.message));
            findings.error(
                &At::document(""),
                Span::of_file(order),
                wrong.help("make it a UTF-8 text that aggd may read"),
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
    let folder = PathBuf::new();
    Document {
        kind: DocumentKind::Server,
        name,
        title,
        node,
        folder,
        first_line: 0,
        last_line: usize::MAX,
        torn: false,
    }
}

fn declared(parsed: Parsed, order: usize, values: Values<'_>, all: &mut Vec<Document>, findings: &mut Findings) {
    let begins = parsed.documents.iter().map(|node| node.span.line);
    let mut begins: Vec<usize> = begins.chain(parsed.torn.iter().map(|torn| torn.first_line)).collect();
    begins.sort_unstable();
    let last_line = |first: usize| begins.iter().find(|begin| **begin > first).map_or(usize::MAX, |next| next - 1);
    let from = all.len();
    for mut node in parsed.documents {
        let kind = kind(&mut node, findings);
        let title = title(kind, &node);
        interpolate::expand(&mut node, values, &At::document(&title), findings);
        let name = identity(kind, &node);
        let (first_line, last_line) = (node.span.line, last_line(node.span.line));
        let folder = values.folder.to_owned();
        all.push(Document { kind, name, title, folder, first_line, last_line, node, torn: false });
    }
    for torn in &parsed.torn {
        all.extend(torn_documents(torn, order, last_line(torn.first_line)));
    }
    if let Some(own) = all.get_mut(from..) {
        own.sort_by_key(|document| document.first_line);
    }
}

/// What stands for a document that could not be parsed: its names, as far as they can be told.
fn torn_documents(torn: &Torn, order: usize, last_line: usize) -> Vec<Document> {
    let document = |kind: DocumentKind, name: String, title: String| {
        let node = Node::empty(Span { line: torn.first_line, ..Span::of_file(order) });
        Document { kind, name, title, node, folder: PathBuf::new(), first_line: torn.first_line, last_line, torn: true }
    };
    if torn.declares.is_empty() {
        return vec![document(DocumentKind::Unknown, String::new(), String::new())];
    }
    let named = torn.declares.iter().map(|declares| match declares {
        Declares::Source(name) => document(DocumentKind::Source, name.clone(), format!("source {name}")),
        Declares::Route { method, path } => {
            document(DocumentKind::Route, format!("{method} {path}"), format!("route {path}"))
        }
    });
    named.collect()
}

/// How findings call a document.
fn title(kind: DocumentKind, node: &Node) -> String {
    match kind {
        DocumentKind::Source => format!("source {}", node.word_of("source")),
        DocumentKind::Route => format!("route {}", node.word_of("route")),
        DocumentKind::Test => format!("test {}", node.word_of("test")),
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
        DocumentKind::Test => node.word_of("test").to_owned(),
        DocumentKind::Server | DocumentKind::Unknown => String::new(),
    }
}

impl Node {
    fn word_of(&self, key: &str) -> &str {
        self.get(key).and_then(Self::text).unwrap_or("?")
    }
}

/// What a document declares, by its first key. What can be told all the same is read on: its other mistakes show too.
fn kind(node: &mut Node, findings: &mut Findings) -> DocumentKind {
    let Value::Map(entries) = &mut node.value else {
        return unlike(node.span, findings);
    };
    let keys = || entries.iter().map(|entry| entry.key.as_str());
    // A test names a source or a route, too.
    let later = keys().find(|key| *key == "test").or_else(|| keys().find(|key| declared_by(key).is_some()));
    let later = later.and_then(declared_by);
    let Some(first) = entries.first_mut() else {
        return unlike(node.span, findings);
    };
    let key = first.key.as_str();
    let (kind, wrong) = match (declared_by(key), later) {
        (Some((_, kind)), _) => return kind,
        (None, Some((later, kind))) => {
            let wrong = problem(codes::DOCUMENT_KIND, format!("a document begins with what it is, not with `{key}`"));
            (kind, wrong.help(format!("move `{later}: …` to the top")))
        }
        (None, None) => {
            let wrong = problem(
                codes::DOCUMENT_KIND,
                format!("a document begins with `source:`, `route:` or `test:`, not with `{key}`"),
            );
            match similar::closest(key, ["source", "route", "test"]).and_then(declared_by) {
                Some((meant, kind)) => (kind, wrong.help(format!("write `{meant}: …`"))),
                None if SERVER.find(key).is_some() => {
                    (DocumentKind::Unknown, wrong.help(format!("move `{key}` to aggd.yaml")))
                }
                None => (DocumentKind::Unknown, wrong.help("write `source: NAME` or `route: /path` first")),
            }
        }
    };
    findings.error(&At::document("").key(key), first.at, wrong);
    if let (DocumentKind::Source | DocumentKind::Route | DocumentKind::Test, None) = (kind, later) {
        first.key = match kind {
            DocumentKind::Source => "source",
            DocumentKind::Route => "route",
            DocumentKind::Test | DocumentKind::Server | DocumentKind::Unknown => "test",
        }
        .to_owned();
    }
    kind
}

/// What a key makes of its document.
fn declared_by(key: &str) -> Option<(&'static str, DocumentKind)> {
    match key {
        "source" => Some(("source", DocumentKind::Source)),
        "route" => Some(("route", DocumentKind::Route)),
        "test" => Some(("test", DocumentKind::Test)),
        _ => None,
    }
}

fn unlike(span: Span, findings: &mut Findings) -> DocumentKind {
    let wrong = problem(codes::DOCUMENT_KIND, "a document is a map that begins with `source:`, `route:` or `test:`");
    findings.error(&At::document(""), span, wrong.help("write `source: NAME` or `route: /path` first"));
    DocumentKind::Unknown
}
