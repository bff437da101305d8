//! Bytes → the text of a JSON document, by what the upstream says it sent.

use std::borrow::Cow;

use crate::shape::reader::Fault;
use crate::shape::strings::quote;

/// `format:`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Not written: `text/plain` is text, HTML is refused, anything else is JSON.
    ByContentType,
    /// JSON, whatever the upstream calls it.
    Json,
    /// The body becomes one JSON string.
    Text,
}

/// The document's text, which is UTF-8 but not yet checked to be JSON. The error is for people and quotes nothing.
pub(super) fn decode<'a>(format: Format, body: &'a [u8], content_type: Option<&str>) -> Result<Cow<'a, str>, String> {
    let media_type = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    let as_text = match format {
        Format::Text => true,
        Format::Json => false,
        Format::ByContentType if media_type.eq_ignore_ascii_case("text/html") => {
            return Err(
                "upstream answered text/html where JSON was expected; set `format: text` to take it as a string"
                    .to_owned(),
            );
        }
        Format::ByContentType => media_type.eq_ignore_ascii_case("text/plain"),
    };
    if body.is_empty() {
        return Err("the body is empty".to_owned());
    }
    let text = std::str::from_utf8(body).map_err(|err| format!("invalid UTF-8 at byte {}", err.valid_up_to()))?;
    if as_text {
        let mut out = Vec::with_capacity(text.len() + text.len() / 8 + 2);
        quote(text, &mut out);
        return String::from_utf8(out).map(Cow::Owned).map_err(|_| "not a text".to_owned());
    }
    if text.starts_with('\u{feff}') {
        return Err("not JSON: it begins with a byte order mark".to_owned());
    }
    Ok(Cow::Borrowed(text))
}

/// A fault for people: what, and where.
pub(super) fn explain(fault: Fault, text: &str) -> String {
    let before = text.as_bytes().get(..fault.at).unwrap_or_default();
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|&&byte| byte != b'\n').count() + 1;
    format!("not JSON at line {line}, column {column} (byte {}): {}", fault.at, fault.what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_decides_where_the_configuration_does_not() {
        let cases = [
            (Format::ByContentType, None, "[1]"),
            (Format::ByContentType, Some("application/json"), "[1]"),
            (Format::ByContentType, Some("application/problem+json; charset=utf-8"), "[1]"),
            (Format::ByContentType, Some("text/javascript"), "[1]"),
            (Format::ByContentType, Some("Text/Plain;charset=utf-8"), r#""[1]""#),
            (Format::Json, Some("text/html"), "[1]"),
            (Format::Json, Some("text/plain"), "[1]"),
            (Format::Text, Some("text/html"), r#""[1]""#),
            (Format::Text, Some("application/json"), r#""[1]""#),
        ];
        for (format, content_type, expected) in cases {
            assert_eq!(decode(format, b"[1]", content_type).as_deref(), Ok(expected), "{format:?} {content_type:?}");
        }
    }

    #[test]
    fn html_is_refused_by_name() {
        for content_type in ["text/html", "TEXT/HTML; charset=utf-8", " text/html ;x=y"] {
            let why = decode(Format::ByContentType, b"[1]", Some(content_type)).unwrap_err();
            assert!(why.starts_with("upstream answered text/html where JSON was expected"), "{why}");
        }
    }

    #[test]
    fn what_is_not_utf_8_is_refused_with_its_place() {
        for format in [Format::Json, Format::Text] {
            assert_eq!(decode(format, b"\"a\xff\"", None).unwrap_err(), "invalid UTF-8 at byte 2");
            // Surrogates and overlong forms are no UTF-8 either.
            assert!(decode(format, b"\"\xed\xa0\x80\"", None).is_err());
            assert!(decode(format, b"\"\xc0\xaf\"", None).is_err());
            assert_eq!(decode(format, b"", None).unwrap_err(), "the body is empty");
        }
        assert!(decode(Format::Json, b"\xef\xbb\xbf{}", None).is_err());
        assert_eq!(decode(Format::Text, "\u{feff}x".as_bytes(), None).as_deref(), Ok("\"\u{feff}x\""));
    }

    #[test]
    fn a_fault_is_placed_by_line_and_column() {
        let fault = Fault { at: 6, what: "expected a value" };
        assert_eq!(explain(fault, "[1,\n2,x]"), "not JSON at line 2, column 3 (byte 6): expected a value");
    }
}
