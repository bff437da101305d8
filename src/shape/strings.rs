//! What JSON strings mean, and how they are written.
//!
//! A decoded string is bytes, not `str`: JSON may write half of a surrogate pair (`"\ud800"`), which UTF-8 cannot hold.
//! Such a half is encoded as if it could. Comparing the bytes is then still comparing code points, and two strings are
//! equal exactly when they mean the same.

use std::borrow::Cow;

use crate::shape::reader::Written;

/// The bytes a string means.
pub(super) fn decode(string: Written<'_>) -> Cow<'_, [u8]> {
    if !string.escaped {
        return Cow::Borrowed(string.raw.as_bytes());
    }
    let mut out = Vec::with_capacity(string.raw.len());
    let mut rest = string.raw;
    while let Some((plain, after)) = rest.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        rest = escape(after, &mut out);
    }
    out.extend_from_slice(rest.as_bytes());
    Cow::Owned(out)
}

impl Written<'_> {
    /// Whether it means `text`.
    pub(super) fn means(self, text: &str) -> bool {
        if self.escaped { decode(self).as_ref() == text.as_bytes() } else { self.raw == text }
    }
}

/// The bytes of a string value with its quotes.
pub(super) fn decode_quoted(raw: &str) -> Cow<'_, [u8]> {
    let inner = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
    decode(Written { raw: inner, escaped: inner.contains('\\') })
}

/// Appends one escape, of which `text` begins after the backslash, and gives what follows it.
fn escape<'a>(text: &'a str, out: &mut Vec<u8>) -> &'a str {
    let mut chars = text.chars();
    match chars.next() {
        Some('b') => out.push(0x08),
        Some('f') => out.push(0x0c),
        Some('n') => out.push(b'\n'),
        Some('r') => out.push(b'\r'),
        Some('t') => out.push(b'\t'),
        Some('u') => return unicode(chars.as_str(), out),
        Some(other) => push(u32::from(other), out),
        None => {}
    }
    chars.as_str()
}

/// Appends `\uXXXX`, of which `text` begins at the digits, together with the second half of a pair.
fn unicode<'a>(text: &'a str, out: &mut Vec<u8>) -> &'a str {
    let Some((code, rest)) = four_digits(text) else { return text };
    if let (0xD800..=0xDBFF, Some(after)) = (code, rest.strip_prefix("\\u"))
        && let Some((low @ 0xDC00..=0xDFFF, rest)) = four_digits(after)
    {
        push(0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00), out);
        return rest;
    }
    push(code, out);
    rest
}

fn four_digits(text: &str) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(4)?;
    Some((u32::from_str_radix(digits, 16).ok()?, rest))
}

/// Appends a code point, or half a surrogate pair in the three bytes it would have.
fn push(code: u32, out: &mut Vec<u8>) {
    if let Some(c) = char::from_u32(code) {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        let six_bits = |bits: u32| 0x80 | u8::try_from(bits & 0x3F).unwrap_or(0);
        out.extend_from_slice(&[0xED, six_bits(code >> 6), six_bits(code)]);
    }
}

/// How many characters decoded bytes hold.
pub(super) fn characters(decoded: &[u8]) -> usize {
    // Every character has one byte that does not continue another.
    decoded.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}

/// Appends a text as a JSON string.
pub(super) fn quote(text: &str, out: &mut Vec<u8>) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                out.extend_from_slice(if byte < 0x10 { b"\\u000" } else { b"\\u001" });
                out.extend(HEX.get(usize::from(byte & 0x0F)));
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_mean_what_json_says() {
        let cases: [(&str, &[u8]); 12] = [
            (r#""""#, b""),
            (r#""plain""#, b"plain"),
            (r#""\"\\\/\b\f\n\r\t""#, b"\"\\/\x08\x0c\n\r\t"),
            (r#""\u0041\u00e9\u00E9é""#, "Aééé".as_bytes()),
            (r#""\uD834\uDD1E""#, "𝄞".as_bytes()),
            (r#""a\ud834\udd1eb""#, "a𝄞b".as_bytes()),
            (r#""\ud800""#, b"\xED\xA0\x80"),
            (r#""\udfff\ud800""#, b"\xED\xBF\xBF\xED\xA0\x80"),
            (r#""\ud800\ud834\udd1e""#, b"\xED\xA0\x80\xF0\x9D\x84\x9E"),
            (r#""\ud800\u0041""#, b"\xED\xA0\x80A"),
            (r#""\\u0041""#, b"\\u0041"),
            (r#""\u0000""#, b"\0"),
        ];
        for (raw, expected) in cases {
            assert_eq!(decode_quoted(raw).as_ref(), expected, "{raw}");
        }
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        for (raw, count) in [(r#""""#, 0), ("\"aé𝄞\"", 3), (r#""\uD834\uDD1E""#, 1), (r#""\ud800x""#, 2)] {
            assert_eq!(characters(&decode_quoted(raw)), count, "{raw}");
        }
    }

    #[test]
    fn quoting_is_undone_by_any_json_parser() {
        let text: String = (0..0x250).filter_map(char::from_u32).chain("\u{2028}𝄞\"\\".chars()).collect();
        let mut out = Vec::new();
        quote(&text, &mut out);
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        assert_eq!(decode_quoted(std::str::from_utf8(&out).unwrap()).as_ref(), text.as_bytes());
    }
}
