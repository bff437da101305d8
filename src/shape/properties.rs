//! What must hold for any document and any path: properties over random ones.

use jsonpath_rust::JsonPath;
use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::shape::document::Node;
use crate::shape::path::Path;
use crate::shape::path::Work;
use crate::shape::reader::MAX_DEPTH;
use crate::shape::reader::Reader;
use crate::shape::scan::Found;
use crate::shape::scan::Trie;

/// A JSON text: few names, so that paths match, some of them twice in an object, some written with escapes.
fn document() -> impl Strategy<Value = String> {
    let scalar = prop::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "1.10",
        "2e1",
        "12345678901234567890",
        "\"\"",
        "\"a\"",
        "\"\\u0061\"",
        "\"\\ud800\"",
        "\"é\"",
    ]);
    scalar.prop_map(str::to_owned).prop_recursive(5, 48, 5, |inner| {
        let name = prop::sample::select(vec!["a", "b", "c", "\\u0061", "é", "", "a b"]);
        let gap = prop::sample::select(vec!["", " ", "\n\t"]);
        let array = prop::collection::vec(inner.clone(), 0..5).prop_flat_map(move |items| {
            gap.clone().prop_map(move |gap| format!("[{gap}{}{gap}]", items.join(&format!("{gap},{gap}"))))
        });
        let object = prop::collection::vec((name, inner), 0..5).prop_map(|members| {
            let members: Vec<_> = members.iter().map(|(name, value)| format!("\"{name}\" : {value}")).collect();
            format!("{{{}}}", members.join(","))
        });
        prop_oneof![array, object]
    })
}

/// A document without the things about which `serde_json::Value` and we differ: a name that stands twice, half a
/// surrogate pair, and `-0`, which equals `0`.
fn plain_document() -> impl Strategy<Value = String> {
    let plain =
        |text: String| serde_json::from_str(&text.replace("-0", "0")).ok().map(|value: Value| value.to_string());
    document().prop_filter_map("not a value", plain)
}

fn segment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        ".a",
        ".b",
        "['c']",
        "[\"\\u0061\"]",
        ".é",
        "['']",
        "['a b']",
        "[0]",
        "[1]",
        "[2]",
        ".*",
        "[*]",
        "[-1]",
        "[1:]",
        "[::2]",
        "[::-1]",
        "[-2:5:1]",
        "..a",
        "..*",
        "..[0]",
        "[?@.a]",
        "[?!@.b]",
        "[?@ == 1]",
        "[?@.a == 'a']",
        "[?@.a < 2 || @ >= 'a']",
        "[?length(@) == 2]",
        "[?count(@.*) > 1]",
        "[?match(@, '.')]",
        "[?@.a == $.a]",
    ])
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(segment(), 0..4).prop_map(|segments| format!("${}", segments.concat()))
}

fn paths() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(path(), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_000) })]

    #[test]
    fn one_pass_finds_what_the_tree_finds(document in document(), paths in paths()) {
        let paths: Vec<Path> = paths.iter().map(|text| Path::compile(text).unwrap()).collect();
        let mut trie = Trie::new();
        let wanted: Vec<_> = paths.iter().map(|path| trie.want(path)).collect();
        let (pass, tree) = (trie.read(&document).unwrap(), Found::whole(&document).unwrap());
        let work = Work::new();
        for wanted in wanted {
            let by_pass = pass.matches(wanted, &work).unwrap();
            let by_tree = tree.matches(wanted, &work).unwrap();
            prop_assert_eq!(by_pass, by_tree, "{}", wanted.path.text());
        }
    }

    #[test]
    fn the_reference_finds_the_same(document in plain_document(), path in path()) {
        let compiled = Path::compile(&path).unwrap();
        let root = Node::parse(&document, MAX_DEPTH).unwrap();
        let work = Work::new();
        let ours = compiled.select(&root, &work).unwrap().into_iter().map(|node| serde_json::from_str(node.raw).unwrap());
        let ours: Vec<Value> = ours.collect();
        let document: Value = serde_json::from_str(&document).unwrap();
        let theirs: Vec<Value> = document.query(&path).unwrap().into_iter().cloned().collect();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn a_damaged_document_is_refused_as_serde_json_refuses_it(
        document in document(),
        at in any::<prop::sample::Index>(),
        damage in prop::sample::select(vec!["", "[", "]", "{", "}", ",", ":", "\"", "\\", "0", "-", ".", "e", "\n", "\u{1}", "n", " "]),
        replaces in any::<bool>(),
    ) {
        let mut places: Vec<usize> = document.char_indices().map(|(at, _)| at).collect();
        places.push(document.len());
        let place = places[at.index(places.len())];
        let after = if replaces { document[place..].chars().next().map_or(0, char::len_utf8) } else { 0 };
        let damaged = format!("{}{damage}{}", &document[..place], &document[place + after..]);
        let mut reader = Reader::new(&damaged, MAX_DEPTH);
        let skipped = reader.skip().and_then(|()| reader.end());
        let reference: Result<&RawValue, _> = serde_json::from_str(&damaged);
        prop_assert_eq!(skipped.is_ok(), reference.is_ok(), "{}", damaged);
        prop_assert_eq!(Node::parse(&damaged, MAX_DEPTH).err(), skipped.err(), "{}", damaged);
    }

    #[test]
    fn any_text_compiles_or_is_refused_within_its_length(text in "\\$[\\[\\].?@*a'\"\\\\:,0-9 ()&|=<!-é]{0,24}") {
        if let Err(err) = Path::compile(&text) {
            prop_assert!(err.at <= text.len() && !err.message.is_empty());
        }
    }
}
