//! Texts with placeholders: `{name}`, `{{` and `}}` for literal braces.

use crate::config::codes;
use crate::config::findings::Problem;
use crate::config::findings::problem;
use crate::config::node::Scalar;
use crate::config::spec::Piece;
use crate::config::spec::Template;

/// A piece with where it begins, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) piece: Piece,
    pub(crate) at: usize,
}

/// The pieces of a scalar's text. Adjacent literals are one.
pub(crate) fn parts(scalar: &Scalar) -> Result<Vec<Part>, Problem> {
    parse(&scalar.text).map_err(|(at, what)| {
        let help = "write `{name}` for a placeholder, `{{` and `}}` for literal braces";
        if scalar.is_secret() {
            return problem(
                codes::BAD_PLACEHOLDER,
                format!("{} has a brace that makes no placeholder", scalar.shown()),
            )
            .help(help);
        }
        problem(codes::BAD_PLACEHOLDER, what).help(help).at(at + scalar.lead)
    })
}

/// The template of these pieces.
pub(crate) fn template(parts: Vec<Part>) -> Template {
    Template { pieces: parts.into_iter().map(|part| part.piece).collect() }
}

fn parse(text: &str) -> Result<Vec<Part>, (usize, String)> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut begun = 0;
    let mut chars = text.chars().enumerate().peekable();
    while let Some((at, c)) = chars.next() {
        let doubled = chars.peek().is_some_and(|(_, next)| *next == c);
        if literal.is_empty() {
            begun = at;
        }
        match c {
            '{' | '}' if doubled => {
                literal.push(c);
                chars.next();
            }
            '}' => return Err((at, "`}` closes nothing".to_owned())),
            '{' => {
                let mut name = String::new();
                let mut closed = false;
                for (_, c) in chars.by_ref() {
                    closed = c == '}';
                    if closed {
                        break;
                    }
                    name.push(c);
                }
                if !closed {
                    return Err((at, "`{` is not closed".to_owned()));
                }
                if !is_name(&name) {
                    return Err((at, format!("`{{{name}}}` is not a placeholder")));
                }
                if !literal.is_empty() {
                    parts.push(Part { piece: Piece::Literal(std::mem::take(&mut literal)), at: begun });
                }
                parts.push(Part { piece: Piece::Placeholder(name), at });
            }
            c => literal.push(c),
        }
    }
    if !literal.is_empty() {
        parts.push(Part { piece: Piece::Literal(literal), at: begun });
    }
    Ok(parts)
}

/// Whether a placeholder may have this name; dots are for those of routes.
fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && name.chars().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<Piece> {
        parse(text).unwrap().into_iter().map(|part| part.piece).collect()
    }

    #[test]
    fn placeholders_and_literal_braces_are_told_apart() {
        let literal = |text: &str| Piece::Literal(text.to_owned());
        let placeholder = |name: &str| Piece::Placeholder(name.to_owned());
        assert_eq!(pieces("a{b}c{d}"), [literal("a"), placeholder("b"), literal("c"), placeholder("d")]);
        assert_eq!(pieces("{{a}} {b}"), [literal("{a} "), placeholder("b")]);
        assert_eq!(pieces("{path.x}"), [placeholder("path.x")]);
        assert_eq!(pieces(""), []);
    }

    #[test]
    fn places_are_those_of_the_text() {
        let at: Vec<_> = parse("ü{{x{b}y").unwrap().iter().map(|part| part.at).collect();
        assert_eq!(at, [0, 4, 7]);
    }

    #[test]
    fn stray_braces_are_refused_with_their_place() {
        for (text, at) in [("a{b", 1), ("a}b", 1), ("{}", 0), ("{a b}", 0), ("{\"q\": 1}", 0), ("{9}", 0), ("x{", 1)] {
            assert_eq!(parse(text).unwrap_err().0, at, "{text}");
        }
    }
}
