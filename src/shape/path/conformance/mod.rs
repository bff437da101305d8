//! RFC 9535, case by case: what a path selects, and what is no path.
//!
//! Every valid case is evaluated over a tree and by the pass over the text, and is put to `jsonpath-rust` as well: that
//! crate is the second opinion, not the engine.

mod filters;
mod functions;
mod invalid;
mod selectors;

use jsonpath_rust::JsonPath;
use serde_json::Value;

use crate::shape::document::Node;
use crate::shape::path::Path;
use crate::shape::path::Work;
use crate::shape::reader::MAX_DEPTH;
use crate::shape::scan::Trie;

/// Selector, document, nodelist.
type Case = (&'static str, &'static str, &'static str);

fn valid() -> impl Iterator<Item = &'static Case> {
    selectors::CASES.iter().chain(filters::CASES).chain(functions::CASES)
}

fn values(raws: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<Value> {
    raws.into_iter().map(|raw| serde_json::from_str(raw.as_ref()).unwrap()).collect()
}

#[test]
fn every_valid_path_selects_its_nodelist() {
    let mut cases = 0;
    let mut wrong = Vec::new();
    for (selector, document, expected) in valid() {
        cases += 1;
        let expected: Vec<Value> = serde_json::from_str(expected).unwrap();
        let path = match Path::compile(selector) {
            Ok(path) => path,
            Err(err) => {
                wrong.push(format!("{selector} is refused at {}: {err}", err.at));
                continue;
            }
        };
        let work = Work::new();
        let root = Node::parse(document, MAX_DEPTH).unwrap();
        let by_tree = values(path.select(&root, &work).unwrap().into_iter().map(|node| node.raw));
        if by_tree != expected {
            wrong.push(format!("{selector} on {document}: {by_tree:?}, not {expected:?}"));
        }
        let mut trie = Trie::new();
        let wanted = trie.want(&path);
        let found = trie.read(document).unwrap();
        let by_pass = values(found.matches(wanted, &work).unwrap().iter());
        if by_pass != expected {
            wrong.push(format!("{selector} on {document}, in one pass: {by_pass:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases > 250, "only {cases} cases: the tables have gone");
}

#[test]
fn what_is_no_path_is_refused() {
    let mut wrong = Vec::new();
    for selector in invalid::CASES {
        match Path::compile(selector) {
            Ok(_) => wrong.push(format!("{selector:?} was compiled")),
            Err(err) if err.at > selector.len() => wrong.push(format!("{selector:?}: {} is past its end", err.at)),
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(invalid::CASES.len() > 150, "the table has gone");
}

/// Cases which `jsonpath-rust` 1.0.12 answers differently, each of which the RFC decides for us.
const REFERENCE_IS_WRONG: &[&str] = &[
    // All values are visited for one selector, then all for the next.
    "$..['a','d']",
    "$..['d','a']",
    "$..[1,0]",
    "$..[*,0]",
    // A filter in a filter selects nothing.
    "$[?@[?@>1]]",
    "$[?@[?@[?@==1]]]",
    "$.a[?@[?@==$.k]]",
    "$[?count(@[?@>1])==2]",
    "$[?value(@[?@>1])==2]",
    // No match has no count.
    "$[?count(@.a)==0]",
    // `1` and `1.0` differ inside arrays.
    "$[?@.a==@.b]",
    // Of a name that stands twice, serde_json keeps the first place.
    "$.*",
];

#[test]
fn the_reference_agrees_but_for_its_known_faults() {
    let mut wrong = Vec::new();
    for (selector, document, expected) in valid() {
        let expected: Vec<Value> = serde_json::from_str(expected).unwrap();
        let document: Value = serde_json::from_str(document).unwrap();
        let agrees = document.query(selector).is_ok_and(|found| found.into_iter().eq(&expected));
        if !agrees && !REFERENCE_IS_WRONG.contains(selector) {
            wrong.push(format!("{selector:?} on {document}: {:?}, not {expected:?}", document.query(selector)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_error_says_where_and_what_to_write() {
    let cases = [
        ("", 0, "a path is empty: `$` is the whole document"),
        ("name", 0, "a path begins with `$`, as in `$.name`"),
        ("$name", 1, "expected `.` or `[` before `n`"),
        ("$.a-b", 3, "a name with `-` in it is written in brackets: `['a-b']`"),
        ("$.1st", 2, "a name that begins with a digit is written in brackets: `['1st']`, an index without quotes"),
        ("$[name]", 2, "a name in brackets is quoted: `['name']`"),
        ("$[?@.a=1]", 6, "write `==` to compare; regular expressions are `match(…)` and `search(…)`"),
        ("$[?@.a&@.b]", 6, "write `&&`"),
        ("$[(@.a)]", 2, "a filter begins with `?`: `[?(…)]`"),
        ("$[0", 3, "expected `,` or `]`, but the path ends here"),
        ("$.", 2, "expected a name or `*` after `.`, but the path ends here"),
        ("$.é.", 5, "expected a name or `*` after `.`, but the path ends here"),
        ("$['a", 2, "this string has no closing `'`"),
        ("$[-0]", 2, "`-0` is not an index: write `0`, or `-1` for the last"),
        (
            "$[?@.*==1]",
            3,
            "this can match many values: use names and indexes alone here, or `count(…)` or `value(…)` of it",
        ),
        ("$[?length(@.a)]", 3, "`length(…)` is no test: compare it, as in `… == 1`"),
        ("$[?len(@.a)>1]", 3, "there is no function `len`: there are length, count, match, search and value"),
        ("$[?match(@.a)]", 12, "expected `,` and a regular expression, not `)`"),
        ("$.a ", 3, "nothing may stand after a path, not even whitespace"),
    ];
    for (selector, at, message) in cases {
        let err = Path::compile(selector).unwrap_err();
        assert_eq!((err.at, err.message.as_str()), (at, message), "{selector}");
    }
}

#[test]
fn nesting_in_a_path_is_bounded() {
    let parens = |n: usize| format!("$[?{}@.a{}]", "(".repeat(n), ")".repeat(n));
    assert!(Path::compile(&parens(50)).is_ok());
    assert!(Path::compile(&parens(100_000)).is_err());
    assert!(Path::compile(&"$[?@".repeat(100_000)).is_err());
    assert!(Path::compile(&format!("$[?{}", "length(".repeat(100_000))).is_err());
    assert!(Path::compile(&format!("$[?{}", "!(".repeat(100_000))).is_err());
}
