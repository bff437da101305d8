//! A file cut where its documents begin, so that a syntax error ends one document and not the file.
//!
//! A line that is `---` begins a document wherever it stands: YAML lets no text hold one, not even a block scalar. What
//! is between two of them is parsed alone. Of a document that cannot be parsed, the lines that most likely name it are
//! kept: what refers to it is not wrong on top of it.

use crate::base::Name;

/// The text of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk<'t> {
    pub(crate) text: &'t str,
    /// The line of the file that it begins at, from 1.
    pub(crate) first_line: usize,
}

/// A document that cannot be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Torn {
    pub(crate) first_line: usize,
    /// What it seems to declare; more than one where a `---` is missing.
    pub(crate) declares: Vec<Declares>,
}

/// A document by the line that names it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Declares {
    Source(String),
    Route { method: String, path: String },
}

/// The documents of a file.
pub(crate) fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let mut chunks = Vec::new();
    let (mut begin, mut first_line) = (0, 1);
    // Where the directives before a `---` begin: they are of the document that follows.
    let mut directives: Option<(usize, usize)> = None;
    let mut bare = true;
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let content = line.trim_end();
        if is_start(line) {
            let (cut, cut_line) = directives.take().unwrap_or((at, index + 1));
            if cut > begin {
                chunks.push(Chunk { text: text.get(begin..cut).unwrap_or_default(), first_line });
            }
            (begin, first_line) = (cut, cut_line);
            bare = false;
        } else if content == "..." {
            bare = true;
        } else if bare && content.starts_with('%') {
            directives.get_or_insert((at, index + 1));
        } else if !content.is_empty() && !content.starts_with('#') {
            bare = false;
        }
        at += line.len();
    }
    chunks.push(Chunk { text: text.get(begin..).unwrap_or_default(), first_line });
    chunks
}

fn is_start(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

impl Torn {
    /// What is known of a document that cannot be parsed.
    pub(crate) fn of(chunk: Chunk<'_>) -> Self {
        let mut lines = chunk.text.lines().filter(|line| !is_start(line) && !line.trim_start().starts_with('#'));
        // The first key may be indented: that may be what is wrong.
        let first = lines.by_ref().find(|line| !line.trim().is_empty()).map(str::trim_start);
        let lines: Vec<&str> = first.into_iter().chain(lines).collect();
        let method = lines.iter().find_map(|line| value_of(line, "method")).unwrap_or("GET");
        let declares = |line: &&str| {
            let source = value_of(line, "source").and_then(Name::parse);
            let source = source.map(|name| Declares::Source(name.to_string()));
            source.or_else(|| {
                let path = value_of(line, "route").filter(|path| path.starts_with('/'))?;
                Some(Declares::Route { method: method.to_owned(), path: path.to_owned() })
            })
        };
        // What a test names is declared elsewhere.
        let is_test = lines.iter().any(|line| value_of(line, "test").is_some());
        let declares = if is_test { Vec::new() } else { lines.iter().filter_map(declares).collect() };
        Self { first_line: chunk.first_line, declares }
    }
}

/// The text behind `key: `, without quotes and comment.
fn value_of<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let rest = line.strip_prefix(key)?.strip_prefix(':')?;
    if !rest.starts_with([' ', '\t']) {
        return None;
    }
    let value = rest.split_once(" #").map_or(rest, |(value, _)| value);
    Some(value.trim().trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(usize, &str)> {
        chunks(text).into_iter().map(|chunk| (chunk.first_line, chunk.text)).collect()
    }

    #[test]
    fn a_file_is_cut_at_its_document_starts_alone() {
        assert_eq!(cut(""), [(1, "")]);
        assert_eq!(cut("a: 1\n"), [(1, "a: 1\n")]);
        assert_eq!(cut("a: 1\n---\nb: 1\n--- # c\nc: 1"), [(1, "a: 1\n"), (2, "---\nb: 1\n"), (4, "--- # c\nc: 1")]);
        assert_eq!(cut("---\r\na: 1\r\n---\r\n"), [(1, "---\r\na: 1\r\n"), (3, "---\r\n")]);
        let within = "a: |\n  ---\n  text\n----\n--- x: no\n";
        assert_eq!(cut(within), [(1, "a: |\n  ---\n  text\n----\n"), (5, "--- x: no\n")]);
    }

    #[test]
    fn directives_stay_with_the_document_that_follows() {
        assert_eq!(cut("%YAML 1.2\n---\na: 1\n"), [(1, "%YAML 1.2\n---\na: 1\n")]);
        let second = "a: 1\n...\n%YAML 1.2\n---\nb: 1\n";
        assert_eq!(cut(second), [(1, "a: 1\n...\n"), (3, "%YAML 1.2\n---\nb: 1\n")]);
    }

    #[test]
    fn a_torn_document_is_known_by_the_line_that_names_it() {
        let known = |text: &str| Torn::of(Chunk { text, first_line: 1 }).declares;
        assert_eq!(known("---\n# c\nsource: a # c\nx: [\n"), [Declares::Source("a".into())]);
        assert_eq!(known("test: c\nsource: a\nx: [\n"), []);
        assert_eq!(known(" source: 'a'\nurl: x\n"), [Declares::Source("a".into())]);
        let post = Declares::Route { method: "POST".into(), path: "/x/{y}".into() };
        assert_eq!(known("route: \"/x/{y}\"\nmethod: POST\nsources: [\n"), [post]);
        assert_eq!(known("source: a\n--\nsource: b\nx: [\n").len(), 2, "a `---` is missing");
        for nameless in ["source:\nx: [", "x: [\n  source: a\n", "source: ${X}\nx: [", "sources: a\n[", "{source: a, x"]
        {
            assert!(known(nameless).is_empty(), "{nameless}");
        }
    }
}
