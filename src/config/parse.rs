//! YAML text → trees with places. One parser: what it says is what every later stage sees.
//!
//! A syntax error ends its document; the others of the file are still read, so that their mistakes are told too.

use std::collections::HashMap;

use saphyr_parser::Event;
use saphyr_parser::Parser;
use saphyr_parser::ScalarStyle;
use saphyr_parser::Tag;

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Entry;
use crate::config::node::Node;
use crate::config::node::Scalar;
use crate::config::node::Span;
use crate::config::node::Value;
use crate::config::scalar;
use crate::config::scalar::Typed;
use crate::config::syntax;
use crate::config::torn;
use crate::config::torn::Torn;

/// Deeper than any real file.
const MAX_DEPTH: usize = 64;
/// More values than any real file, aliases counted each time they are used.
const MAX_VALUES: usize = 200_000;

/// A file, parsed.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The documents that are not empty.
    pub(crate) documents: Vec<Node>,
    /// Those that could not be parsed.
    pub(crate) torn: Vec<Torn>,
    /// Whether the file was read to its end, every document of it.
    pub(crate) complete: bool,
}

/// Parses one file.
pub(crate) fn parse(text: &str, file: usize, findings: &mut Findings) -> Parsed {
    let mut builder = Builder {
        file,
        findings,
        above: 0,
        stack: Vec::new(),
        anchors: HashMap::new(),
        values: 0,
        done: Vec::new(),
        full: false,
    };
    let mut torn = Vec::new();
    for chunk in torn::chunks(text) {
        builder.above = chunk.first_line - 1;
        let before = builder.done.len();
        if !builder.run(chunk.text) {
            // What ended where it should not have is not all there was of it.
            builder.done.truncate(before);
            torn.push(Torn::of(chunk));
        }
        if builder.full {
            break;
        }
    }
    Parsed { documents: builder.done, complete: torn.is_empty(), torn }
}

struct Builder<'a> {
    file: usize,
    findings: &'a mut Findings,
    /// How many lines of the file stand above what is parsed now.
    above: usize,
    stack: Vec<Frame>,
    /// What `&name` stands for, with how many values that is.
    anchors: HashMap<usize, (Node, usize)>,
    values: usize,
    done: Vec<Node>,
    /// Whether there are too many values in the file: the rest is not read.
    full: bool,
}

/// A list or map that is not finished.
struct Frame {
    node: Node,
    anchor: usize,
    /// How many values there were before it.
    before: usize,
    /// In a map: the key that waits for its value.
    key: Option<Key>,
}

/// A key of a map; `None`: one that was refused, whose value is dropped.
type Key = Option<(String, Span)>;

impl Builder<'_> {
    /// Reads one document, or several that `...` tells apart; `false`: not to its end.
    fn run(&mut self, text: &str) -> bool {
        self.stack.clear();
        let mut parser = Parser::new_from_str(text);
        while let Some(next) = parser.next_event() {
            let (event, at) = match next {
                Ok(next) => next,
                Err(error) => {
                    self.syntax(&syntax::described(&error, text, self.above + 1));
                    return false;
                }
            };
            if !self.event(event, self.span(&at)) {
                return false;
            }
        }
        true
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                true
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = self.scalar(&text, style, tag.as_deref(), span);
                self.complete(node, anchor, self.values, span)
            }
            Event::SequenceStart(anchor, tag) => self.open(Value::List(Vec::new()), anchor, tag.as_deref(), span),
            Event::MappingStart(anchor, tag) => self.open(Value::Map(Vec::new()), anchor, tag.as_deref(), span),
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => true,
        }
    }

    fn span(&self, at: &saphyr_parser::Span) -> Span {
        Span {
            file: self.file,
            line: self.above + at.start.line(),
            column: at.start.col() + 1,
            end_line: self.above + at.end.line(),
            end_column: at.end.col() + 1,
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Node {
        let string_tag = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
        if !string_tag {
            self.refuse_tag(tag, span);
        }
        let (typed, lead) = match style {
            ScalarStyle::Plain if string_tag => (Typed::Text, 0),
            ScalarStyle::Plain => (scalar::plain(text), 0),
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => (Typed::Text, 1),
            ScalarStyle::Literal | ScalarStyle::Folded => (Typed::Text, 0),
        };
        Node { value: Value::Scalar(Scalar { text: text.to_owned(), typed, written: None, lead }), span }
    }

    fn open(&mut self, value: Value, anchor: usize, tag: Option<&Tag>, span: Span) -> bool {
        self.refuse_tag(tag, span);
        if self.stack.len() >= MAX_DEPTH {
            self.refuse(codes::TOO_LARGE, format!("more than {MAX_DEPTH} levels deep"), None, span);
            return false;
        }
        self.stack.push(Frame { node: Node { value, span }, anchor, before: self.values, key: None });
        true
    }

    fn close(&mut self, end: Span) -> bool {
        let Some(mut frame) = self.stack.pop() else { return true };
        frame.node.span.end_line = end.end_line;
        frame.node.span.end_column = end.end_column;
        self.complete(frame.node, frame.anchor, frame.before, end)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> bool {
        let Some((node, values)) = self.anchors.get(&anchor) else {
            self.refuse(codes::YAML_FEATURE, "an alias inside its own anchor".into(), None, span);
            return false;
        };
        // Counted before it is copied: a bomb must not go off here.
        if self.values.saturating_add(*values) > MAX_VALUES {
            self.refuse(codes::TOO_LARGE, format!("more than {MAX_VALUES} values, aliases included"), None, span);
            self.full = true;
            return false;
        }
        let (node, before) = (node.clone(), self.values);
        self.values += values;
        self.complete(node, 0, before, span)
    }

    /// Puts a finished value where it belongs.
    fn complete(&mut self, node: Node, anchor: usize, before: usize, span: Span) -> bool {
        self.values += 1;
        if self.values > MAX_VALUES {
            self.refuse(codes::TOO_LARGE, format!("more than {MAX_VALUES} values"), None, span);
            self.full = true;
            return false;
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.values - before));
        }
        let Some(frame) = self.stack.last_mut() else {
            if !node.is_null() {
                self.done.push(node);
            }
            return true;
        };
        match (&mut frame.node.value, frame.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some(Some((key, at)))) => entries.push(Entry { key, at, value: node }),
            (Value::Map(_), Some(None)) | (Value::Scalar(_), _) => {}
            (Value::Map(_), None) => {
                let key = self.key(&node);
                if let Some(frame) = self.stack.last_mut() {
                    frame.key = Some(key);
                }
            }
        }
        true
    }

    /// A key, checked against those before it.
    fn key(&mut self, node: &Node) -> Key {
        let Value::Scalar(scalar) = &node.value else {
            let help = "quote a value that begins with `{` or `[`";
            self.refuse(codes::YAML_FEATURE, "a key must be a text".into(), Some(help), node.span);
            return None;
        };
        if scalar.text == "<<" && scalar.lead == 0 {
            let help = "write the keys out; what all sources share belongs in `defaults` of aggd.yaml";
            self.refuse(codes::YAML_FEATURE, "merge keys (`<<`) are not supported".into(), Some(help), node.span);
            return None;
        }
        let entries = self.stack.last().map(|frame| frame.node.entries()).unwrap_or_default();
        if let Some(first) = entries.iter().find(|entry| entry.key == scalar.text) {
            let message = format!("duplicate key `{}`: it stands at line {} already", scalar.text, first.at.line);
            self.refuse(codes::DUPLICATE_KEY, message, Some("remove one of the two"), node.span);
            return None;
        }
        Some((scalar.text.clone(), node.span))
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, span: Span) {
        if let Some(tag) = tag {
            let core = tag.is_yaml_core_schema();
            let written = if core { format!("!!{}", tag.suffix) } else { tag.to_string() };
            let message = format!("tags (`{written}`) are not supported");
            self.refuse(codes::YAML_FEATURE, message, Some("remove the tag"), span);
        }
    }

    fn refuse(&mut self, code: &'static str, message: String, help: Option<&str>, span: Span) {
        let mut problem = problem(code, message);
        problem.help = help.map(str::to_owned);
        self.findings.error(&At::document(""), span, problem);
    }

    fn syntax(&mut self, error: &syntax::SyntaxError) {
        let line = self.above + error.line;
        let span = Span { file: self.file, line, column: error.column, end_line: line, end_column: error.column + 1 };
        self.findings.error(&At::document(""), span, error.problem.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::findings::Text;

    fn parsed(text: &str) -> (Parsed, String) {
        let mut findings = Findings::over(vec![Text { name: "t.yaml".into(), text: text.into() }]);
        let parsed = parse(text, 0, &mut findings);
        let lines: Vec<_> = findings.report.findings().iter().map(|f| f.to_string()).collect();
        (parsed, lines.join("\n"))
    }

    #[test]
    fn places_are_those_of_the_text() {
        let (parsed, said) = parsed("a: 1\nb:\n  c: \"xy\"\n---\n---\nd: ü z\n");
        assert_eq!(said, "");
        assert_eq!(parsed.documents.len(), 2, "the empty document is ignored");
        let c = parsed.documents[0].entry("b").unwrap().value.entry("c").unwrap();
        assert_eq!((c.at.line, c.at.column, c.at.end_column), (3, 3, 4));
        assert_eq!((c.value.span.column, c.value.span.end_column), (6, 10));
        let d = parsed.documents[1].entry("d").unwrap();
        assert_eq!((d.value.span.line, d.value.span.column, d.value.span.end_column), (6, 4, 7));
    }

    #[test]
    fn duplicate_keys_merge_keys_and_tags_are_told() {
        let (_, said) = parsed("a: 1\na: 2\nb:\n  <<: {x: 1}\nc: !thing 3\n? [x]\n: 4\n");
        assert!(said.contains("t.yaml:2:1: duplicate key `a`: it stands at line 1 already"), "{said}");
        assert!(said.contains("t.yaml:4:3: merge keys"), "{said}");
        assert!(said.contains("tags (`!thing`) are not supported"), "{said}");
        assert!(said.contains("a key must be a text"), "{said}");
    }

    #[test]
    fn an_anchor_is_copied_and_a_bomb_is_not() {
        let (parsed_ok, said) = parsed("a: &x {b: 1}\nc: *x\n");
        assert_eq!(said, "");
        assert!(parsed_ok.documents[0].get("c").unwrap().get("b").is_some());
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let inner = vec![format!("*a{}", n - 1); 10].join(", ");
            bomb.push_str(&format!("a{n}: &a{n} [{inner}]\n"));
        }
        let (bombed, said) = parsed(&bomb);
        assert!(said.contains("aliases included"), "{said}");
        assert!(!bombed.complete);
        let (_, said) = parsed(&"[".repeat(100));
        assert!(said.contains("64 levels deep"), "{said}");
    }

    #[test]
    fn a_syntax_error_ends_its_document_alone() {
        let (parsed, said) = parsed("a: 1\n---\nb: [1, 2\n---\nsource: c\nd: \"x\n---\ne: &x 1\nf: *x\n");
        assert!(!parsed.complete);
        assert_eq!(parsed.documents.len(), 2);
        assert_eq!(parsed.documents[1].entry("e").unwrap().at.line, 8);
        assert_eq!(parsed.torn.iter().map(|torn| torn.first_line).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(said.matches("not valid YAML").count(), 2, "{said}");
        let (_, said) = super::tests::parsed("a:\n\tb: 1\n");
        assert!(said.contains("indent with spaces"), "{said}");
    }
}
