//! Text → what a filter asks. Functions are held to their types here, so that evaluation needs no checks.

use crate::shape::path::PathError;
use crate::shape::path::ast::Comparison;
use crate::shape::path::ast::Literal;
use crate::shape::path::ast::Matches;
use crate::shape::path::ast::Operand;
use crate::shape::path::ast::Order;
use crate::shape::path::ast::Pattern;
use crate::shape::path::ast::Query;
use crate::shape::path::ast::Test;
use crate::shape::path::cursor::Cursor;
use crate::shape::path::literal;
use crate::shape::path::parse;
use crate::shape::path::regexp;
use crate::shape::path::regexp::Bound;

/// What stands between operators, before it is known what it is for.
enum Term {
    Query(Query),
    /// A literal, or a function that gives a value, of this name.
    Value(Operand, &'static str),
    /// A function that says yes or no.
    Answer(Test),
}

/// `… && … || …`
pub(super) fn test(cursor: &mut Cursor<'_>) -> Result<Test, PathError> {
    let mut any = vec![all(cursor)?];
    while operator(cursor, "||")? {
        any.push(all(cursor)?);
    }
    Ok(one_or(any, Test::Any))
}

fn all(cursor: &mut Cursor<'_>) -> Result<Test, PathError> {
    let mut all = vec![basic(cursor)?];
    while operator(cursor, "&&")? {
        all.push(basic(cursor)?);
    }
    Ok(one_or(all, Test::All))
}

fn one_or(mut tests: Vec<Test>, many: fn(Vec<Test>) -> Test) -> Test {
    match (tests.pop(), tests.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            tests.push(last);
            many(tests)
        }
        (None, _) => many(tests),
    }
}

/// Whether `&&` or `||` stands here, after whitespace; then what follows it comes next.
fn operator(cursor: &mut Cursor<'_>, wanted: &str) -> Result<bool, PathError> {
    cursor.blank();
    if cursor.take(wanted) {
        cursor.blank();
        return Ok(true);
    }
    match cursor.peek() {
        Some('&') if !cursor.rest().starts_with("&&") => Err(cursor.fail("write `&&`")),
        Some('|') if !cursor.rest().starts_with("||") => Err(cursor.fail("write `||`")),
        _ => Ok(false),
    }
}

/// A parenthesis, a test or a comparison, the first two perhaps negated.
fn basic(cursor: &mut Cursor<'_>) -> Result<Test, PathError> {
    let negated = cursor.take("!");
    if negated {
        cursor.blank();
    }
    let tested = if cursor.take("(") { parenthesis(cursor)? } else { test_or_comparison(cursor, negated)? };
    Ok(if negated { Test::Not(Box::new(tested)) } else { tested })
}

fn parenthesis(cursor: &mut Cursor<'_>) -> Result<Test, PathError> {
    cursor.blank();
    let inner = cursor.nested(test)?;
    cursor.blank();
    cursor.expect(")", "here")?;
    let after = cursor.at();
    cursor.blank();
    if order(cursor)?.is_some() {
        cursor.rewind(after);
        return Err(cursor.fail("a parenthesis gives true or false, which cannot be compared"));
    }
    Ok(inner)
}

fn test_or_comparison(cursor: &mut Cursor<'_>, negated: bool) -> Result<Test, PathError> {
    let at = cursor.at();
    let wrong = |message: String| PathError { at, message };
    let left = term(cursor)?;
    cursor.blank();
    let operator_at = cursor.at();
    let Some(order) = order(cursor)? else {
        return match left {
            Term::Query(query) => Ok(Test::Exists(query)),
            Term::Answer(test) => Ok(test),
            Term::Value(_, what) => Err(wrong(format!("{what} is no test: compare it, as in `… == 1`"))),
        };
    };
    if negated {
        let message = "`!` negates a test or a parenthesis: write `!(… == …)`, or turn the comparison round";
        return Err(PathError { at: operator_at, message: message.to_owned() });
    }
    let left = operand(left, at)?;
    cursor.blank();
    let right_at = cursor.at();
    let right = operand(term(cursor)?, right_at)?;
    Ok(Test::Compare(Box::new(Comparison { left, order, right })))
}

/// The comparison operator here, if there is one.
fn order(cursor: &mut Cursor<'_>) -> Result<Option<Order>, PathError> {
    const ORDERS: [(&str, Order); 6] = [
        ("==", Order::Equal),
        ("!=", Order::NotEqual),
        ("<=", Order::LessOrEqual),
        (">=", Order::GreaterOrEqual),
        ("<", Order::Less),
        (">", Order::Greater),
    ];
    let at = cursor.at();
    for (text, order) in ORDERS {
        if cursor.take(text) {
            if matches!(cursor.peek(), Some('=' | '<' | '>')) {
                return Err(PathError {
                    at,
                    message: "the operators are `==`, `!=`, `<`, `<=`, `>` and `>=`".to_owned(),
                });
            }
            return Ok(Some(order));
        }
    }
    match cursor.peek() {
        Some('=') => Err(cursor.fail("write `==` to compare; regular expressions are `match(…)` and `search(…)`")),
        _ => Ok(None),
    }
}

/// A side of a comparison, or an argument: one value or none.
fn operand(term: Term, at: usize) -> Result<Operand, PathError> {
    let wrong = |message: &str| Err(PathError { at, message: message.to_owned() });
    match term {
        Term::Value(operand, _) => Ok(operand),
        Term::Query(query) if query.singular => Ok(Operand::Singular(query)),
        Term::Query(_) => {
            wrong("this can match many values: use names and indexes alone here, or `count(…)` or `value(…)` of it")
        }
        Term::Answer(_) => wrong("this gives true or false by itself and cannot be compared"),
    }
}

fn term(cursor: &mut Cursor<'_>) -> Result<Term, PathError> {
    match cursor.peek() {
        Some('@' | '$') => query(cursor).map(Term::Query),
        Some('\'' | '"') => Ok(literal_term(Literal::String(literal::string(cursor)?))),
        Some('0'..='9' | '-') => Ok(literal_term(Literal::Number(literal::number(cursor)?))),
        Some('a'..='z') => word(cursor),
        _ => Err(cursor.unexpected("expected `@…`, `$…`, a value or a function")),
    }
}

fn query(cursor: &mut Cursor<'_>) -> Result<Query, PathError> {
    let absolute = cursor.next() == Some('$');
    Ok(Query::new(absolute, parse::segments(cursor)?))
}

fn literal_term(literal: Literal) -> Term {
    Term::Value(Operand::Literal(literal), "a value alone")
}

/// `true`, `false`, `null` or a function.
fn word(cursor: &mut Cursor<'_>) -> Result<Term, PathError> {
    let at = cursor.at();
    let word = cursor.take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if cursor.take("(") {
        return cursor.nested(|cursor| call(cursor, word, at));
    }
    match word {
        "true" => Ok(literal_term(Literal::Bool(true))),
        "false" => Ok(literal_term(Literal::Bool(false))),
        "null" => Ok(literal_term(Literal::Null)),
        "length" | "count" | "match" | "search" | "value" => Err(cursor.unexpected("expected `(` after a function")),
        _ => Err(PathError {
            at,
            message: format!("`{word}` is no value here: a text is quoted, a name begins with `@.`"),
        }),
    }
}

/// A function, after its opening parenthesis.
fn call(cursor: &mut Cursor<'_>, name: &str, at: usize) -> Result<Term, PathError> {
    cursor.blank();
    let term = match name {
        "length" => Term::Value(Operand::Length(Box::new(argument(cursor)?)), "`length(…)`"),
        "count" => Term::Value(Operand::Count(nodes(cursor)?), "`count(…)`"),
        "value" => Term::Value(Operand::Only(nodes(cursor)?), "`value(…)`"),
        "match" | "search" => Term::Answer(matches(cursor, name == "match")?),
        _ => {
            let message = format!("there is no function `{name}`: there are length, count, match, search and value");
            return Err(PathError { at, message });
        }
    };
    cursor.blank();
    cursor.expect(")", &format!("after the arguments of `{name}`"))?;
    Ok(term)
}

fn argument(cursor: &mut Cursor<'_>) -> Result<Operand, PathError> {
    let at = cursor.at();
    operand(term(cursor)?, at)
}

fn nodes(cursor: &mut Cursor<'_>) -> Result<Query, PathError> {
    match cursor.peek() {
        Some('@' | '$') => query(cursor),
        _ => Err(cursor.unexpected("expected a query, `@…` or `$…`")),
    }
}

fn matches(cursor: &mut Cursor<'_>, whole: bool) -> Result<Test, PathError> {
    let subject = argument(cursor)?;
    cursor.blank();
    cursor.expect(",", "and a regular expression")?;
    cursor.blank();
    let pattern = match argument(cursor)? {
        Operand::Literal(Literal::String(pattern)) => Pattern::Fixed(regexp::compile(&pattern, whole, Bound::Written)),
        Operand::Literal(Literal::Null | Literal::Bool(_) | Literal::Number(_)) => Pattern::Fixed(None),
        found @ (Operand::Singular(_) | Operand::Length(_) | Operand::Count(_) | Operand::Only(_)) => {
            Pattern::Found(found)
        }
    };
    Ok(Test::Matches(Box::new(Matches { subject, pattern, whole })))
}
