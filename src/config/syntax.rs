//! What to say about a text that is not YAML: where it is, and what is mostly behind it.

use saphyr_parser::ScanError;

use crate::config::codes;
use crate::config::findings::Problem;
use crate::config::findings::problem;

/// A syntax error as people are told it.
pub(crate) struct SyntaxError {
    /// From 1, within the text.
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) problem: Problem,
}

/// Describes a parser's error in `text`, which begins at line `first_line` of its file.
pub(crate) fn described(error: &ScanError, text: &str, first_line: usize) -> SyntaxError {
    let lines: Vec<&str> = text.lines().collect();
    // Past the end the parser points behind the last line.
    let mut line = error.marker().line().clamp(1, lines.len().max(1));
    let mut column = error.marker().col() + 1;
    let said = error.info();
    let at = |line: usize| lines.get(line.wrapping_sub(1)).copied().unwrap_or_default();
    // The parser points at where it began to read; the tab is further on.
    if said.contains("tab")
        && let Some((found, tab)) = (line..=lines.len()).find_map(|n| indent_tab(at(n)).map(|tab| (n, tab)))
    {
        (line, column) = (found, tab);
    }
    let past_end = error.marker().line() > lines.len();
    let help = help(at(line), at(line.wrapping_sub(1)), said).unwrap_or_else(|| {
        let opener = unclosed(lines.get(..line).unwrap_or(&lines)).filter(|_| said.contains("flow") || past_end);
        let Some(Opener { line: opened, column: at_column, bracket }) = opener else {
            return fallback_help(at(line), at(line.wrapping_sub(1))).to_owned();
        };
        if past_end {
            (line, column) = (opened, at_column);
            return format!("close this `{bracket}`");
        }
        format!("close the `{bracket}` of line {}", opened + first_line - 1)
    });
    column = column.min(at(line).chars().count().max(1));
    SyntaxError { line, column, problem: problem(codes::SYNTAX, format!("not valid YAML: {said}")).help(help) }
}

/// The column of a tab in the indentation, from 1.
fn indent_tab(line: &str) -> Option<usize> {
    let blank = line.len() - line.trim_start_matches([' ', '\t']).len();
    line.get(..blank)?.find('\t').map(|at| at + 1)
}

/// What is certain, or nearly so.
fn help(line: &str, before: &str, said: &str) -> Option<String> {
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    let value = line.split_once(": ").map(|(_, value)| value.trim_start()).unwrap_or_default();
    let help = if said.contains("byte order mark") {
        "remove the invisible character U+FEFF at the beginning of this line; joined files have one"
    } else if said.contains("unknown anchor") {
        let name = value.trim_start_matches('*').split([' ', ',', '}', ']']).next().unwrap_or_default();
        return Some(format!("write `&{name}` before the value that it stands for, further up in this document"));
    } else if indent.contains('\t') || said.contains("tab") {
        "indent with spaces; YAML allows no tabs there"
    } else if value.starts_with(['@', '`', '%']) {
        "quote a text that begins with `@`, `` ` `` or `%`"
    } else if line.contains("${") && line.contains(['{', '[']) && !opens(before) {
        "between braces or brackets, quote what holds `${…}`: \"${NAME}\""
    } else if value.starts_with(['{', '[']) && !opens(line) && !opens(before) {
        "quote a text with braces or brackets: \"{name}\""
    } else {
        return None;
    };
    Some(help.to_owned())
}

/// What may be.
fn fallback_help(line: &str, before: &str) -> &'static str {
    let value = line.split_once(": ").map(|(_, value)| value.trim_start()).unwrap_or_default();
    if opens(before) || opens(line) {
        "close every `[` and `{`"
    } else if value.contains(": ") {
        "quote a text that holds `: `"
    } else if line.contains('"') || line.contains('\'') {
        "see whether every quote is closed"
    } else {
        "see how this line and the one before are indented: keys of one map stand in one column"
    }
}

fn opens(text: &str) -> bool {
    let count = |braces: [char; 2]| text.chars().filter(|c| braces.contains(c)).count();
    count(['[', '{']) > count([']', '}'])
}

/// A bracket that is never closed; line and column from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Opener {
    line: usize,
    column: usize,
    bracket: char,
}

/// The last bracket that these lines open and do not close.
fn unclosed(lines: &[&str]) -> Option<Opener> {
    let mut open: Vec<Opener> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let mut quote: Option<char> = None;
        let mut last = ' ';
        for (at, c) in line.chars().enumerate() {
            match (quote, c) {
                (Some(with), c) if c == with => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') if !last.is_alphanumeric() => quote = Some(c),
                (None, '#') if last.is_whitespace() => break,
                (None, '[' | '{') => open.push(Opener { line: index + 1, column: at + 1, bracket: c }),
                (None, ']' | '}') => drop(open.pop()),
                (None, _) => {}
            }
            last = c;
        }
    }
    open.last().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bracket_that_is_never_closed_is_found() {
        let found = |lines: &[&str]| unclosed(lines).map(|Opener { line, column, bracket }| (line, column, bracket));
        assert_eq!(found(&["a: {b: 1}", "c: [1, \"]\", # ]", "d: {}"]), Some((2, 4, '[')));
        assert_eq!(found(&["a: it's {", "}"]), None);
        assert_eq!(found(&["a: [{", "}"]), Some((1, 4, '[')));
    }

    #[test]
    fn a_tab_is_found_in_the_indentation_alone() {
        assert_eq!(indent_tab("  \tx"), Some(3));
        assert_eq!(indent_tab("x:\ty"), None);
    }
}
