//! I-Regexp (RFC 9485), the regular expressions of `match` and `search`, in terms of the `regex` crate.
//!
//! `.` is neither line feed nor carriage return. What stands in a class is taken literally, where `regex` knows nested
//! classes and set operations. `^` and `$` anchor, and classes such as `\d` work, though I-Regexp has neither: people
//! write them. What is no regular expression matches nothing, as RFC 9535 has it.

use regex::Regex;
use regex::RegexBuilder;

/// How much memory a compiled expression may take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// It stands in the configuration.
    Written = 10 << 20,
    /// It was found in a document.
    Found = 1 << 20,
}

/// The longest expression, in bytes.
const MAX_LENGTH: usize = 1 << 12;

/// Compiles a pattern that must fit the `whole` text, or else a part of it. `None`: it is no regular expression.
pub(super) fn compile(pattern: &str, whole: bool, bound: Bound) -> Option<Regex> {
    if pattern.len() > MAX_LENGTH {
        return None;
    }
    let inner = translate(pattern);
    // Alone first: `a)|(b` must not become right by being wrapped.
    let sound = build(&inner, bound)?;
    if whole { build(&format!(r"\A(?:{inner})\z"), bound) } else { Some(sound) }
}

fn build(pattern: &str, bound: Bound) -> Option<Regex> {
    let bytes = bound as usize;
    RegexBuilder::new(pattern).size_limit(bytes).dfa_size_limit(bytes).build().ok()
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                out.push(c);
                out.extend(chars.next());
            }
            '.' => out.push_str(r"[^\n\r]"),
            '[' => class(&mut chars, &mut out),
            _ => out.push(c),
        }
    }
    out
}

/// A class, after its opening bracket.
fn class(chars: &mut std::str::Chars<'_>, out: &mut String) {
    out.push('[');
    if let Some(rest) = chars.as_str().strip_prefix('^') {
        out.push('^');
        *chars = rest.chars();
    }
    if let Some(rest) = chars.as_str().strip_prefix('-') {
        out.push_str(r"\-");
        *chars = rest.chars();
    }
    while let Some(c) = chars.next() {
        match c {
            ']' => {
                out.push(']');
                return;
            }
            '\\' => {
                out.push(c);
                out.extend(chars.next());
            }
            '[' | '&' | '~' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_i_regexp_says() {
        let cases = [
            ("a.c", "abc", true, true),
            ("a.c", "a\nc", true, false),
            ("a.c", "a\rc", true, false),
            ("a.c", "a\u{2028}c", true, true),
            ("a.c", "a𝄞c", true, true),
            (r"a\.c", "abc", true, false),
            (r"a\\.c", r"a\xc", true, true),
            ("a[.]c", "a.c", true, true),
            ("a[.]c", "abc", true, false),
            ("a|bc", "bc", true, true),
            ("a|bc", "abc", true, false),
            ("a|bc", "xbcx", false, true),
            ("b", "abc", true, false),
            ("b", "abc", false, true),
            ("", "", true, true),
            ("", "a", true, false),
            ("", "a", false, true),
            ("[a&&b]", "&", true, true),
            ("[a&&b]", "a", true, true),
            ("[-a]+", "a-a", true, true),
            ("[a-]+", "a-a", true, true),
            ("[^-a]", "-", true, false),
            ("[a~~b]", "~", true, true),
            ("[[]", "[", true, true),
            (r"[\]x]", "]", true, true),
            (r"\p{Lu}", "Ä", true, true),
            (r"\P{Lu}", "Ä", true, false),
            (r"[\p{Lu}0]+", "Ä0", true, true),
            ("a{2,3}", "aaa", true, true),
            ("a{2,3}", "aaaa", true, false),
            ("(ab)+", "abab", true, true),
            ("^ab.*", "abc", true, true),
            (".*bc$", "abc", true, true),
            ("^b", "ab", false, false),
            (r"\d+", "42", true, true),
        ];
        for (pattern, text, whole, expected) in cases {
            let regex = compile(pattern, whole, Bound::Found).unwrap_or_else(|| panic!("{pattern} does not compile"));
            assert_eq!(regex.is_match(text), expected, "{pattern} on {text:?}, whole: {whole}");
        }
    }

    #[test]
    fn what_is_no_regular_expression_is_none() {
        for pattern in ["(", ")", "a)|(b", "[", "[]", "*", "a{3,2}", r"\", "[b-a]", &"a".repeat(MAX_LENGTH + 1)] {
            assert!(compile(pattern, true, Bound::Written).is_none(), "{pattern}");
            assert!(compile(pattern, false, Bound::Written).is_none(), "{pattern}");
        }
        assert!(compile(r"\p{L}{1000}{1000}", false, Bound::Written).is_none(), "memory is bounded");
        assert!(compile(r"\p{L}{50}", false, Bound::Written).is_some());
        assert!(compile(r"\p{L}{50}", false, Bound::Found).is_none(), "more so where a document holds it");
    }
}
