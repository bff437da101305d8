//! Reads JSON text and holds it to RFC 8259, all of it: what is skipped is checked as strictly as what is kept.
//!
//! Nothing is converted here. Numbers and strings stay slices of the text, so `1.10` and `"\ud800"` leave as they came.

/// How deep a document may nest: `[[1]]` is 2 deep. What goes deeper is refused before any stack is in danger.
pub(super) const MAX_DEPTH: usize = 128;

/// Why a text is not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// Byte offset into the text.
    pub(super) at: usize,
    /// Never quotes the text.
    pub(super) what: &'static str,
}

/// A string as written, without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written<'a> {
    /// What stands between the quotes.
    pub(super) raw: &'a str,
    /// Whether there is a backslash in it.
    pub(super) escaped: bool,
}

/// A place in a JSON text. Every method moves it past what it read.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// How many more levels may be opened.
    room: usize,
}

impl<'a> Reader<'a> {
    /// At the start of a document that may nest `room` deep.
    pub(super) fn new(text: &'a str, room: usize) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0, room }
    }

    /// The place, as a byte offset.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The text from `from` to here.
    pub(super) fn since(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    /// The byte here. The end reads as NUL, which stands nowhere in JSON.
    pub(super) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    /// Moves on if `wanted` is the byte here.
    pub(super) fn take(&mut self, wanted: u8) -> bool {
        let here = self.peek() == wanted;
        self.at += usize::from(here);
        here
    }

    /// Skips whitespace.
    pub(super) fn blank(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// Opens the array or object whose bracket is here.
    pub(super) fn enter(&mut self) -> Result<(), Fault> {
        self.room = self.room.checked_sub(1).ok_or_else(|| self.too_deep())?;
        self.at += 1;
        Ok(())
    }

    /// Closes the array or object whose bracket is here.
    pub(super) fn leave(&mut self) {
        self.room += 1;
        self.at += 1;
    }

    /// After a member or element: whether another one follows; `close` is the bracket that ends it.
    pub(super) fn more(&mut self, close: u8) -> Result<bool, Fault> {
        self.blank();
        match self.peek() {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            other if other == close => Ok(false),
            _ => Err(self.unclosed(close)),
        }
    }

    /// A member's name and its colon.
    pub(super) fn key(&mut self) -> Result<Written<'a>, Fault> {
        self.blank();
        if self.peek() != b'"' {
            return Err(self.fault("expected a name in double quotes"));
        }
        let key = self.string()?;
        self.blank();
        if self.take(b':') { Ok(key) } else { Err(self.fault("expected `:` after a name")) }
    }

    /// The string whose opening quote is here.
    pub(super) fn string(&mut self) -> Result<Written<'a>, Fault> {
        self.at += 1;
        let from = self.at;
        let mut escaped = false;
        loop {
            self.at += plain(self.bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                b'"' => {
                    let raw = self.since(from);
                    self.at += 1;
                    return Ok(Written { raw, escaped });
                }
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                _ if self.at >= self.bytes.len() => return Err(self.fault("a string does not end")),
                _ => return Err(self.fault("a control character in a string must be escaped")),
            }
        }
    }

    /// A string, number, `true`, `false` or `null`.
    pub(super) fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            b'"' => self.string().map(|_| ()),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ if self.at >= self.bytes.len() => Err(self.fault("expected a value, but the text ends here")),
            _ => Err(self.fault("expected a value")),
        }
    }

    /// Any value, checked and passed over without recursion.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        // One bit a level: set for an object. The low bit is the innermost, and the levels are no more than the bits.
        let mut kinds: u128 = 0;
        let mut depth = 0;
        let room = self.room.min(MAX_DEPTH);
        loop {
            self.blank();
            let opened = self.peek();
            if opened == b'{' || opened == b'[' {
                if depth == room {
                    return Err(self.too_deep());
                }
                self.at += 1;
                self.blank();
                let object = opened == b'{';
                if !self.take(closing(object)) {
                    kinds = kinds << 1 | u128::from(object);
                    depth += 1;
                    if object {
                        self.key()?;
                    }
                    continue;
                }
            } else {
                self.scalar()?;
            }
            while depth > 0 {
                let object = kinds & 1 == 1;
                if self.more(closing(object))? {
                    if object {
                        self.key()?;
                    }
                    break;
                }
                self.at += 1;
                kinds >>= 1;
                depth -= 1;
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Nothing but whitespace may be left.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.blank();
        if self.at >= self.bytes.len() { Ok(()) } else { Err(self.fault("the document ended before this")) }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let from = self.at;
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_ascii_hexdigit() {
                        return Err(self.fault("`\\u` needs four hexadecimal digits"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(Fault { at: from, what: "JSON has no such escape" }),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        if !self.peek().is_ascii_digit() {
            return Err(self.fault("expected a digit"));
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn unclosed(&self, close: u8) -> Fault {
        self.fault(if close == b'}' { "expected `,` or `}`" } else { "expected `,` or `]`" })
    }

    fn too_deep(&self) -> Fault {
        self.fault("nested more than 128 deep")
    }

    fn fault(&self, what: &'static str) -> Fault {
        Fault { at: self.at, what }
    }
}

fn closing(object: bool) -> u8 {
    if object { b'}' } else { b']' }
}

/// How many bytes at the start need no attention in a string: neither quote, backslash nor control character.
///
/// Eight at a time. Subtracting may also mark bytes above the first one that counts, never below: the lowest mark is
/// true.
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut passed = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let (quote, backslash) = (word ^ (ONES * 0x22), word ^ (ONES * 0x5c));
        let marks = (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash)
            | (word.wrapping_sub(ONES * 0x20) & !word);
        if marks & TOPS != 0 {
            return passed + ((marks & TOPS).trailing_zeros() >> 3) as usize;
        }
        passed += 8;
    }
    passed + rest.iter().take_while(|&&b| b >= 0x20 && b != b'"' && b != b'\\').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), Fault> {
        let mut reader = Reader::new(text, MAX_DEPTH);
        reader.skip()?;
        reader.end()
    }

    #[test]
    fn what_rfc_8259_allows_is_read() {
        let good = [
            "0",
            "-0",
            "-0.0",
            "1.10",
            "1e5",
            "1E+5",
            "1e-05",
            "12345678901234567890123",
            "1e999",
            "true",
            "false",
            "null",
            "\"\"",
            r#""\ud800""#,
            r#""\udc00\ud800""#,
            r#""\u0000\"\\\/\b\f\n\r\t""#,
            "\"\u{7f}\u{2028}é𝄞\"",
            "[]",
            "{}",
            " \t\r\n[ ] \n",
            r#"{"":0}"#,
            r#"{"a":1,"a":2}"#,
            r#"[1 , {"a" : [ ] } ,""]"#,
            "[[],[[]],{}]",
            "\"1234567\"",
            "\"12345678\"",
            "\"1234567\\n\"",
            "[-1,2.5e3]",
            "{\"k\":\n{\"l\":null}}",
        ];
        for text in good {
            assert_eq!(check(text), Ok(()), "{text}");
            // The reference agrees, but for lone surrogates, which it reads only where it keeps them raw.
            let raw: Result<&serde_json::value::RawValue, _> = serde_json::from_str(text);
            assert!(raw.is_ok(), "{text}");
        }
    }

    fn refused(cases: &[&str]) {
        for text in cases {
            assert!(check(text).is_err(), "{text:?} was read");
            let reference: Result<serde_json::Value, _> = serde_json::from_str(text);
            assert!(reference.is_err(), "the case itself is wrong: {text:?}");
        }
    }

    #[test]
    fn scalars_that_rfc_8259_forbids_are_refused() {
        refused(&[
            "01",
            "-",
            "-01",
            "+1",
            ".5",
            "1.",
            "1.e1",
            "1e",
            "1e+",
            "0x1",
            "NaN",
            "Infinity",
            "-Infinity",
            "1 2",
        ]);
        refused(&["tru", "True", "nul", "truefalse", "'a'", "undefined", "-true", "1\u{0}", "\u{0}", "\u{feff}1"]);
        refused(&["\"", "\"\\", "\"\\\"", "\"\\x41\"", "\"\\u12\"", "\"\\u12G4\"", "\"\\U0041\"", "\"\\'\"", "\"a"]);
        refused(&["\"\t\"", "\"\n\"", "\"1234567\u{0}\"", "\"\u{1f}\"", "\"12345678\r\""]);
    }

    #[test]
    fn structure_that_rfc_8259_forbids_is_refused() {
        refused(&[
            "",
            " ",
            "[",
            "]",
            "{",
            "}",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "[1,,2]",
            "[\"a\",\n4\n,1,",
        ]);
        refused(&[
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "{a:1}",
            "{\"a\":1]",
            "{1:1}",
            "{,}",
            "{\"a\"::1}",
        ]);
        refused(&["[] []", "{}x", "[1];", "// c\n1", "[1]/**/", "\u{a0}1", "\u{c}1", "[1\u{b}]", "{\"a\":1 \"b\":2}"]);
    }

    #[test]
    fn a_document_nests_128_deep_and_no_deeper() {
        let nest = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(check(&nest(128)), Ok(()));
        assert_eq!(check(&nest(129)), Err(Fault { at: 128, what: "nested more than 128 deep" }));
        assert!(check(&"[".repeat(100_000)).is_err());
        assert!(check(&"{\"a\":".repeat(100_000)).is_err());
        let mixed = format!("{}1{}", "[{\"a\":".repeat(64), "}]".repeat(64));
        assert_eq!(check(&mixed), Ok(()));
        assert!(check(&format!("[{mixed}]")).is_err());
    }

    #[test]
    fn the_eight_byte_step_agrees_with_one_byte_at_a_time() {
        for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for place in 0..20 {
                for filler in [b'a', 0x20, 0x21, 0x23, 0x7f, 0x80, 0xff, 0x5b, 0x5d] {
                    let mut bytes = vec![filler; 24];
                    bytes[place] = special;
                    assert_eq!(plain(&bytes), place, "{special:#x} after {filler:#x}");
                }
            }
        }
    }

    #[test]
    fn a_fault_says_where() {
        assert_eq!(check("[1,x]"), Err(Fault { at: 3, what: "expected a value" }));
        assert_eq!(check("[1"), Err(Fault { at: 2, what: "expected `,` or `]`" }));
        assert_eq!(check("{\"a\":1 \"b\"}"), Err(Fault { at: 7, what: "expected `,` or `}`" }));
    }
}
