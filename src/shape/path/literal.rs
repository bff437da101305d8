//! Names, strings and numbers as a path writes them.

use crate::shape::number::Number;
use crate::shape::path::PathError;
use crate::shape::path::cursor::Cursor;

/// Indexes and slice bounds lie between this and its negative: what every JSON number can hold exactly.
const MAX_INDEX: i64 = (1 << 53) - 1;

/// The quoted string here.
pub(super) fn string(cursor: &mut Cursor<'_>) -> Result<String, PathError> {
    let opened = cursor.at();
    let quote = cursor.next().unwrap_or('\'');
    let mut out = String::new();
    loop {
        let at = cursor.at();
        match cursor.next() {
            None => return Err(PathError { at: opened, message: format!("this string has no closing `{quote}`") }),
            Some(c) if c == quote => return Ok(out),
            Some('\\') => out.push(escape(cursor, quote, at)?),
            Some(c) if c < ' ' => {
                let message = format!("a control character in a string must be escaped: `\\u{:04x}`", u32::from(c));
                return Err(PathError { at, message });
            }
            Some(c) => out.push(c),
        }
    }
}

/// What follows a backslash that stands at `at`.
fn escape(cursor: &mut Cursor<'_>, quote: char, at: usize) -> Result<char, PathError> {
    let c = match cursor.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some(c @ ('/' | '\\')) => c,
        Some(c) if c == quote => c,
        Some('u') => return unicode(cursor, at),
        Some(c) => return Err(PathError { at, message: format!("there is no escape `\\{c}` in this string") }),
        None => return Err(PathError { at, message: "the path ends in an escape".to_owned() }),
    };
    Ok(c)
}

fn unicode(cursor: &mut Cursor<'_>, at: usize) -> Result<char, PathError> {
    let wrong = |message: &str| PathError { at, message: message.to_owned() };
    let needs_digits = || wrong("`\\u` needs four hexadecimal digits");
    let code = four_digits(cursor).ok_or_else(needs_digits)?;
    if !(0xD800..=0xDBFF).contains(&code) {
        return char::from_u32(code).ok_or_else(|| wrong("the second half of a surrogate pair stands alone"));
    }
    let alone = || wrong("the first half of a surrogate pair needs its second: `\\uD834\\uDD1E`");
    if !cursor.take("\\u") {
        return Err(alone());
    }
    let low = four_digits(cursor).ok_or_else(needs_digits)?;
    if !(0xDC00..=0xDFFF).contains(&low) {
        return Err(alone());
    }
    char::from_u32(0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00)).ok_or_else(alone)
}

fn four_digits(cursor: &mut Cursor<'_>) -> Option<u32> {
    let digits = cursor.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    cursor.take(digits);
    u32::from_str_radix(digits, 16).ok()
}

/// The integer here, if one begins here: an index or a bound of a slice.
pub(super) fn integer(cursor: &mut Cursor<'_>) -> Result<Option<i64>, PathError> {
    let at = cursor.at();
    let negative = cursor.take("-");
    let digits = cursor.take_while(|c| c.is_ascii_digit());
    let wrong = |message: String| PathError { at, message };
    match digits.as_bytes() {
        [] if negative => return Err(wrong("expected digits after `-`".to_owned())),
        [] => return Ok(None),
        [b'0'] if negative => return Err(wrong("`-0` is not an index: write `0`, or `-1` for the last".to_owned())),
        [b'0', _, ..] => return Err(wrong("an index has no leading zeros".to_owned())),
        _ => {}
    }
    let value = digits.parse().ok().filter(|value: &i64| *value <= MAX_INDEX);
    let value = value.ok_or_else(|| wrong(format!("an index lies between -{MAX_INDEX} and {MAX_INDEX}")))?;
    Ok(Some(if negative { -value } else { value }))
}

/// The number here, in a comparison.
pub(super) fn number(cursor: &mut Cursor<'_>) -> Result<Number, PathError> {
    let from = cursor.at();
    cursor.take("-");
    if !cursor.take("0") {
        digits(cursor)?;
    }
    if cursor.take(".") {
        digits(cursor)?;
    }
    if cursor.take("e") || cursor.take("E") {
        if !cursor.take("+") {
            cursor.take("-");
        }
        digits(cursor)?;
    }
    if cursor.peek().is_some_and(|c| c.is_ascii_digit()) {
        return Err(PathError { at: from, message: "a number has no leading zeros".to_owned() });
    }
    Number::parse(cursor.since(from)).ok_or_else(|| cursor.fail("expected a number"))
}

fn digits(cursor: &mut Cursor<'_>) -> Result<(), PathError> {
    if cursor.take_while(|c| c.is_ascii_digit()).is_empty() {
        return Err(cursor.unexpected("expected a digit"));
    }
    Ok(())
}

/// Whether a name that is not quoted may begin with this.
pub(super) fn begins_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c >= '\u{80}'
}

/// Whether it may go on with this.
pub(super) fn continues_name(c: char) -> bool {
    begins_name(c) || c.is_ascii_digit()
}
