//! The difference of two JSON values: where it begins, and as lines.

use crate::config::selftest::Tree;
use crate::config::selftest::TreeValue;

/// Equal lines shown around a difference.
const AROUND: usize = 3;
/// Above so many pairs of lines they are not compared one with another: what differs is shown as a whole.
const MOST_PAIRS: usize = 4_000_000;

/// One line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Same(String),
    Expected(String),
    Came(String),
    /// Equal lines that are left out.
    Cut,
}

/// The deepest expected value that is not what came; `None`: they are the same.
pub(crate) fn first<'a>(expected: &'a Tree, came: &Tree) -> Option<&'a Tree> {
    match (&expected.value, &came.value) {
        (TreeValue::Leaf(one), TreeValue::Leaf(two)) => (!one.is(two)).then_some(expected),
        (TreeValue::List(one), TreeValue::List(two)) => {
            let within = one.iter().zip(two).find_map(|(one, two)| first(one, two));
            within.or_else(|| (one.len() != two.len()).then_some(expected))
        }
        (TreeValue::Map(one), TreeValue::Map(two)) => {
            let within = one.iter().find_map(|(name, value)| match came.get(name) {
                Some(other) => first(value, other),
                None => Some(value),
            });
            let more = || two.iter().any(|(name, _)| expected.get(name).is_none());
            within.or_else(|| more().then_some(expected))
        }
        (TreeValue::Leaf(_) | TreeValue::List(_) | TreeValue::Map(_), _) => Some(expected),
    }
}

/// Both as lines; what is the same, whatever way it is written, is no difference.
pub(crate) fn lines(expected: &Tree, came: &Tree) -> Vec<Line> {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    write(&aligned(expected, came), "", "", 0, &mut one);
    write(came, "", "", 0, &mut two);
    cut(compare(&one, &two))
}

/// What is expected, in the order and the writing of what came.
fn aligned(expected: &Tree, came: &Tree) -> Tree {
    let value = match (&expected.value, &came.value) {
        (TreeValue::Leaf(one), TreeValue::Leaf(two)) if one.is(two) => {
            TreeValue::Leaf(if one.hidden { one.clone() } else { two.clone() })
        }
        (TreeValue::List(one), TreeValue::List(two)) => {
            let both = one.iter().zip(two).map(|(one, two)| aligned(one, two));
            TreeValue::List(both.chain(one.iter().skip(two.len()).cloned()).collect())
        }
        (TreeValue::Map(one), TreeValue::Map(two)) => {
            let both = two.iter().filter_map(|(name, two)| Some((name.clone(), aligned(expected.get(name)?, two))));
            let missing = one.iter().filter(|(name, _)| came.get(name).is_none()).cloned();
            TreeValue::Map(both.chain(missing).collect())
        }
        (value, _) => value.clone(),
    };
    Tree { value, span: None }
}

/// One value per line, two spaces a level.
fn write(tree: &Tree, name: &str, comma: &str, depth: usize, out: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let name = if name.is_empty() { String::new() } else { format!("{name}: ") };
    let separator = |index: usize, count: usize| if index + 1 < count { "," } else { "" };
    match &tree.value {
        TreeValue::Leaf(leaf) => out.push(format!("{indent}{name}{}{comma}", leaf.shown())),
        TreeValue::List(items) if items.is_empty() => out.push(format!("{indent}{name}[]{comma}")),
        TreeValue::Map(members) if members.is_empty() => out.push(format!("{indent}{name}{{}}{comma}")),
        TreeValue::List(items) => {
            out.push(format!("{indent}{name}["));
            for (index, item) in items.iter().enumerate() {
                write(item, "", separator(index, items.len()), depth + 1, out);
            }
            out.push(format!("{indent}]{comma}"));
        }
        TreeValue::Map(members) => {
            out.push(format!("{indent}{name}{{"));
            for (index, (name, value)) in members.iter().enumerate() {
                let name = serde_json::Value::from(name.as_str()).to_string();
                write(value, &name, separator(index, members.len()), depth + 1, out);
            }
            out.push(format!("{indent}}}{comma}"));
        }
    }
}

/// Lines of one and the other, by their longest common subsequence. A comma more or less is no difference.
fn compare(one: &[String], two: &[String]) -> Vec<Line> {
    let same = |a: &str, b: &str| a.trim_end_matches(',') == b.trim_end_matches(',');
    let before = one.iter().zip(two).take_while(|(a, b)| same(a, b)).count();
    let (one_rest, two_rest) = (one.get(before..).unwrap_or_default(), two.get(before..).unwrap_or_default());
    let after = one_rest.iter().rev().zip(two_rest.iter().rev()).take_while(|(a, b)| same(a, b)).count();
    let one_middle = one_rest.get(..one_rest.len() - after).unwrap_or_default();
    let two_middle = two_rest.get(..two_rest.len() - after).unwrap_or_default();
    let mut lines: Vec<Line> = two.iter().take(before).cloned().map(Line::Same).collect();
    lines.extend(middle(one_middle, two_middle, same));
    lines.extend(two.iter().skip(two.len() - after).cloned().map(Line::Same));
    lines
}

fn middle(one: &[String], two: &[String], same: impl Fn(&str, &str) -> bool) -> Vec<Line> {
    let width = two.len() + 1;
    // longest[i * width + j]: of what is left from i and j on.
    let mut longest = vec![0_usize; if one.len() * two.len() > MOST_PAIRS { 0 } else { (one.len() + 1) * width }];
    let at = |longest: &[usize], i: usize, j: usize| longest.get(i * width + j).copied().unwrap_or_default();
    if !longest.is_empty() {
        for (i, a) in one.iter().enumerate().rev() {
            for (j, b) in two.iter().enumerate().rev() {
                let best = if same(a, b) {
                    at(&longest, i + 1, j + 1) + 1
                } else {
                    at(&longest, i + 1, j).max(at(&longest, i, j + 1))
                };
                if let Some(slot) = longest.get_mut(i * width + j) {
                    *slot = best;
                }
            }
        }
    }
    let (mut lines, mut i, mut j) = (Vec::new(), 0, 0);
    loop {
        match (one.get(i), two.get(j)) {
            (None, None) => return lines,
            (Some(a), Some(b)) if same(a, b) && !longest.is_empty() => {
                lines.push(Line::Same(b.clone()));
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), other) if other.is_none() || at(&longest, i + 1, j) >= at(&longest, i, j + 1) => {
                lines.push(Line::Expected(a.clone()));
                i += 1;
            }
            (_, Some(b)) => {
                lines.push(Line::Came(b.clone()));
                j += 1;
            }
            (Some(_), None) => return lines,
        }
    }
}

/// Leaves out what is far from any difference.
fn cut(lines: Vec<Line>) -> Vec<Line> {
    let differs: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| !matches!(line, Line::Same(_))).map(|(index, _)| index).collect();
    let is_near = |index: usize| {
        let next = differs.partition_point(|other| *other < index);
        let near = |other: Option<&usize>| other.is_some_and(|other| other.abs_diff(index) <= AROUND);
        near(differs.get(next)) || near(next.checked_sub(1).and_then(|before| differs.get(before)))
    };
    let (count, mut kept) = (lines.len(), Vec::new());
    for (index, line) in lines.into_iter().enumerate() {
        // Leaving out one line alone saves none.
        let is_alone = (index == 0 || is_near(index - 1)) && (index + 1 == count || is_near(index + 1));
        if is_near(index) || is_alone {
            kept.push(line);
        } else if kept.last() != Some(&Line::Cut) {
            kept.push(Line::Cut);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(expected: &str, came: &str) -> String {
        let (expected, came) = (Tree::parse(expected).unwrap(), Tree::parse(came).unwrap());
        let lines = lines(&expected, &came);
        let lines = lines.iter().map(|line| match line {
            Line::Same(text) => format!("  {text}"),
            Line::Expected(text) => format!("- {text}"),
            Line::Came(text) => format!("+ {text}"),
            Line::Cut => "  …".to_owned(),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn differs(expected: &str, came: &str) -> bool {
        first(&Tree::parse(expected).unwrap(), &Tree::parse(came).unwrap()).is_some()
    }

    #[test]
    fn order_of_members_and_writing_of_numbers_are_no_difference() {
        assert!(!differs(r#"{"a": 1.10, "b": [1, 2]}"#, r#"{"b": [1, 2], "a": 1.1}"#));
        for (one, two) in [
            ("[1, 2]", "[2, 1]"),
            ("[1]", "[1, 2]"),
            ("{}", "[]"),
            (r#"{"a": null}"#, "{}"),
            ("{}", r#"{"a": 1}"#),
            ("1", "\"1\""),
        ] {
            assert!(differs(one, two), "{one} {two}");
        }
    }

    #[test]
    fn what_differs_stands_between_what_is_the_same() {
        let text = shown(r#"{"c": 3.0, "a": 1, "b": [1, 2]}"#, r#"{"a": 1, "b": [1, 7, 2], "c": 3, "d": {"x": null}}"#);
        let expected = "  {\n    \"a\": 1,\n    \"b\": [\n      1,\n+     7,\n      2\n    ],\n    \"c\": 3,\n+   \"d\": {\n+     \"x\": null\n+   }\n  }";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_far_from_a_difference_is_left_out() {
        let list = |last: u32| format!("{:?}", (0..50).chain([last]).collect::<Vec<u32>>());
        let text = shown(&list(50), &list(51));
        assert_eq!(text, "  …\n    47,\n    48,\n    49,\n-   50\n+   51\n  ]");
    }
}
