//! Text → query: segments and selectors. Filters are read by `filter`.

use crate::shape::path::PathError;
use crate::shape::path::ast::Query;
use crate::shape::path::ast::Segment;
use crate::shape::path::ast::Selector;
use crate::shape::path::ast::Slice;
use crate::shape::path::cursor::Cursor;
use crate::shape::path::filter;
use crate::shape::path::literal;

/// A whole path: nothing may stand before or after it.
pub(super) fn whole(cursor: &mut Cursor<'_>) -> Result<Query, PathError> {
    if !cursor.take("$") {
        return Err(match cursor.peek() {
            None => cursor.fail("a path is empty: `$` is the whole document"),
            Some('@') => cursor.fail("a path begins with `$`; `@` has a meaning in a filter only"),
            Some(c) if c.is_whitespace() => cursor.fail("nothing may stand before `$`, not even whitespace"),
            Some(_) => cursor.fail("a path begins with `$`, as in `$.name`"),
        });
    }
    let segments = segments(cursor)?;
    match cursor.peek() {
        None => Ok(Query::new(true, segments)),
        Some(c) if c.is_whitespace() && cursor.rest().trim().is_empty() => {
            Err(cursor.fail("nothing may stand after a path, not even whitespace"))
        }
        Some(c) if literal::begins_name(c) => Err(cursor.fail(format!("expected `.` or `[` before `{c}`"))),
        Some('-') => Err(cursor.fail("a name with `-` in it is written in brackets: `['a-b']`")),
        Some(_) => Err(cursor.unexpected("expected `.name`, `..name` or `[…]`")),
    }
}

/// All the segments here.
pub(super) fn segments(cursor: &mut Cursor<'_>) -> Result<Vec<Segment>, PathError> {
    let mut segments = Vec::new();
    loop {
        let before = cursor.at();
        cursor.blank();
        if cursor.take("..") {
            segments.push(Segment::Descendant(if cursor.take("[") {
                bracketed(cursor)?
            } else {
                short(cursor, "..")?
            }));
        } else if cursor.take(".") {
            segments.push(Segment::Child(short(cursor, ".")?));
        } else if cursor.take("[") {
            segments.push(Segment::Child(bracketed(cursor)?));
        } else {
            // Whitespace belongs to the segments only where another one follows.
            cursor.rewind(before);
            return Ok(segments);
        }
    }
}

/// What follows a dot: `*` or a name.
fn short(cursor: &mut Cursor<'_>, dots: &str) -> Result<Vec<Selector>, PathError> {
    if cursor.take("*") {
        return Ok(vec![Selector::Every]);
    }
    match cursor.peek() {
        Some(c) if literal::begins_name(c) => {
            Ok(vec![Selector::Name(cursor.take_while(literal::continues_name).into())])
        }
        Some('[') => Err(cursor.fail("no dot stands before `[`")),
        Some(c) if c.is_ascii_digit() => {
            let name = cursor.rest().split(|c| !literal::continues_name(c)).next().unwrap_or_default();
            let brackets = if dots == ".." { "..[" } else { "[" };
            Err(cursor.fail(format!(
                "a name that begins with a digit is written in brackets: `{brackets}'{name}']`, an index without quotes"
            )))
        }
        _ => Err(cursor.unexpected(&format!("expected a name or `*` after `{dots}`"))),
    }
}

/// What follows `[`, up to and with `]`.
fn bracketed(cursor: &mut Cursor<'_>) -> Result<Vec<Selector>, PathError> {
    let mut selectors = Vec::new();
    loop {
        cursor.blank();
        selectors.push(selector(cursor)?);
        cursor.blank();
        if cursor.take("]") {
            return Ok(selectors);
        }
        if !cursor.take(",") {
            return Err(cursor.unexpected("expected `,` or `]`"));
        }
    }
}

fn selector(cursor: &mut Cursor<'_>) -> Result<Selector, PathError> {
    match cursor.peek() {
        Some('\'' | '"') => literal::string(cursor).map(|name| Selector::Name(name.into())),
        Some('*') => {
            cursor.next();
            Ok(Selector::Every)
        }
        Some('?') => {
            cursor.next();
            cursor.blank();
            cursor.nested(filter::test).map(Selector::Filter)
        }
        Some('0'..='9' | '-' | ':') => index_or_slice(cursor),
        Some(c) if literal::begins_name(c) => {
            let name = cursor.rest().split(|c| !literal::continues_name(c)).next().unwrap_or_default();
            Err(cursor.fail(format!("a name in brackets is quoted: `['{name}']`")))
        }
        Some('(') => Err(cursor.fail("a filter begins with `?`: `[?(…)]`")),
        Some('@' | '$' | '!') => Err(cursor.fail("a filter begins with `?`: `[?…]`")),
        _ => Err(cursor.unexpected("expected a quoted name, an index, a slice, `*` or a filter `?…`")),
    }
}

fn index_or_slice(cursor: &mut Cursor<'_>) -> Result<Selector, PathError> {
    let start = literal::integer(cursor)?;
    let after = cursor.at();
    cursor.blank();
    if !cursor.take(":") {
        cursor.rewind(after);
        return match start {
            Some(index) => Ok(Selector::Index(index)),
            None => Err(cursor.unexpected("expected an index or a slice")),
        };
    }
    cursor.blank();
    let end = literal::integer(cursor)?;
    cursor.blank();
    let mut step = None;
    if cursor.take(":") {
        cursor.blank();
        step = literal::integer(cursor)?;
    }
    Ok(Selector::Slice(Slice { start, end, step: step.unwrap_or(1) }))
}
