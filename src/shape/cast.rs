//! `as:`: a value as another type, where nothing is lost by it. `null` stays `null`.
//!
//! | from | `string` | `integer` | `number` | `boolean` |
//! |---|---|---|---|---|
//! | string | as it is | if it spells one | if it spells one | `"true"`, `"false"`, `"1"`, `"0"` |
//! | number | its text | if it has no fraction | as it is | `1` and `0` |
//! | boolean | its text | `1` and `0` | `1` and `0` | as it is |
//! | array, object | refused | refused | refused | refused |

use std::borrow::Cow;

use crate::shape::projection::Cast;
use crate::shape::reader::MAX_DEPTH;
use crate::shape::reader::Reader;
use crate::shape::strings::decode_quoted;

/// The most digits that `as: integer` writes where a number has an exponent.
const MAX_DIGITS: usize = 40;

/// A value, given as written, as another type. The error says what it is, never its content.
pub(super) fn convert(raw: &str, to: Cast) -> Result<Cow<'_, str>, &'static str> {
    match raw.as_bytes().first() {
        Some(b'n') => Ok(Cow::Borrowed(raw)),
        Some(b'[') => Err("is an array"),
        Some(b'{') => Err("is an object"),
        Some(b'"') => text(raw, to),
        Some(b't' | b'f') => Ok(boolean(raw, to)),
        Some(_) | None => number(raw, to),
    }
}

fn text(raw: &str, to: Cast) -> Result<Cow<'_, str>, &'static str> {
    let wrong = match to {
        Cast::String => return Ok(Cow::Borrowed(raw)),
        Cast::Integer => "is a string that spells no integer",
        Cast::Number => "is a string that spells no number",
        Cast::Boolean => "is a string that spells no boolean",
    };
    let decoded = decode_quoted(raw);
    let spelled = std::str::from_utf8(&decoded).map_err(|_| wrong)?;
    let result = match spelled {
        "true" | "false" if to == Cast::Boolean => return Ok(Cow::Owned(spelled.to_owned())),
        _ if is_number(spelled) => number(spelled, to),
        _ => Err(wrong),
    };
    result.map(|converted| Cow::Owned(converted.into_owned()))
}

fn boolean(raw: &str, to: Cast) -> Cow<'_, str> {
    match to {
        Cast::String => Cow::Owned(format!("\"{raw}\"")),
        Cast::Integer | Cast::Number => Cow::Borrowed(if raw == "true" { "1" } else { "0" }),
        Cast::Boolean => Cow::Borrowed(raw),
    }
}

fn number(raw: &str, to: Cast) -> Result<Cow<'_, str>, &'static str> {
    match (to, raw) {
        (Cast::String, _) => Ok(Cow::Owned(format!("\"{raw}\""))),
        (Cast::Number, _) => Ok(Cow::Borrowed(raw)),
        (Cast::Integer, _) => integer(raw),
        (Cast::Boolean, "1") => Ok(Cow::Borrowed("true")),
        (Cast::Boolean, "0") => Ok(Cow::Borrowed("false")),
        (Cast::Boolean, _) => Err("is a number other than 0 and 1"),
    }
}

fn integer(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    const FRACTION: &str = "is a number with a fraction";
    const LONG: &str = "is a number with too large an exponent to write as an integer";
    if !raw.contains(['.', 'e', 'E']) {
        return Ok(Cow::Borrowed(raw));
    }
    let (sign, unsigned) = raw.strip_prefix('-').map_or(("", raw), |unsigned| ("-", unsigned));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Ok(Cow::Borrowed("0"));
    }
    // Zeros to add to the significant digits; negative: they reach behind the point.
    let dropped = i64::try_from(digits.len() - significant.len()).unwrap_or(i64::MAX);
    let behind = i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    let exponent: i64 = exponent.parse().map_err(|_| if exponent.starts_with('-') { FRACTION } else { LONG })?;
    let zeros = usize::try_from(exponent.saturating_sub(behind).saturating_add(dropped)).map_err(|_| FRACTION)?;
    if zeros.saturating_add(significant.len()) > MAX_DIGITS.max(raw.len()) {
        return Err(LONG);
    }
    Ok(Cow::Owned(format!("{sign}{significant}{}", "0".repeat(zeros))))
}

fn is_number(text: &str) -> bool {
    let mut reader = Reader::new(text, MAX_DEPTH);
    let begins = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    begins && text.ends_with(|c: char| c.is_ascii_digit()) && reader.scalar().is_ok() && reader.end().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_in_a_conversion() {
        let cases = [
            (r#""a\u00e9""#, Cast::String, Some(r#""a\u00e9""#)),
            ("1.10", Cast::String, Some(r#""1.10""#)),
            ("12345678901234567890", Cast::String, Some(r#""12345678901234567890""#)),
            ("true", Cast::String, Some(r#""true""#)),
            ("null", Cast::String, Some("null")),
            ("[1]", Cast::String, None),
            ("{}", Cast::Number, None),
            ("12345678901234567890", Cast::Integer, Some("12345678901234567890")),
            ("-0", Cast::Integer, Some("-0")),
            ("1.0", Cast::Integer, Some("1")),
            ("-1.50e1", Cast::Integer, Some("-15")),
            ("1.5", Cast::Integer, None),
            ("1e3", Cast::Integer, Some("1000")),
            ("100e-2", Cast::Integer, Some("1")),
            ("100E-3", Cast::Integer, None),
            ("0.0e999999999999999999999", Cast::Integer, Some("0")),
            ("0.00", Cast::Integer, Some("0")),
            ("1e400", Cast::Integer, None),
            ("1e99999999999999999999", Cast::Integer, None),
            ("1e-99999999999999999999", Cast::Integer, None),
            ("0.05e2", Cast::Integer, Some("5")),
            (r#""42""#, Cast::Integer, Some("42")),
            (r#""\u0034\u0032""#, Cast::Integer, Some("42")),
            (r#""42.5""#, Cast::Integer, None),
            (r#""42.50""#, Cast::Number, Some("42.50")),
            (r#""042""#, Cast::Number, None),
            (r#""+1""#, Cast::Number, None),
            (r#"" 1""#, Cast::Number, None),
            (r#""1 ""#, Cast::Number, None),
            (r#""""#, Cast::Number, None),
            (r#""true""#, Cast::Number, None),
            (r#""NaN""#, Cast::Number, None),
            (r#""\ud800""#, Cast::Number, None),
            ("true", Cast::Integer, Some("1")),
            ("false", Cast::Number, Some("0")),
            ("null", Cast::Integer, Some("null")),
            ("false", Cast::Boolean, Some("false")),
            (r#""true""#, Cast::Boolean, Some("true")),
            (r#""yes""#, Cast::Boolean, None),
            (r#""0""#, Cast::Boolean, Some("false")),
            ("1", Cast::Boolean, Some("true")),
            ("2", Cast::Boolean, None),
            ("null", Cast::Boolean, Some("null")),
        ];
        for (raw, to, expected) in cases {
            assert_eq!(convert(raw, to).ok().as_deref(), expected, "{raw} as {to:?}");
        }
    }

    #[test]
    fn a_refusal_quotes_nothing() {
        let why = convert(r#""secret 1""#, Cast::Integer).unwrap_err();
        assert_eq!(why, "is a string that spells no integer");
    }
}
