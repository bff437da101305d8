//! A place in the text of a path.

use crate::shape::path::PathError;

/// How deep parentheses, filters and function calls may nest in one path.
const MAX_NESTING: usize = 64;

/// A place in the text of a path. Methods that read move it past what they read.
#[derive(Debug)]
pub(super) struct Cursor<'t> {
    text: &'t str,
    at: usize,
    nesting: usize,
}

impl<'t> Cursor<'t> {
    /// At the start.
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, nesting: 0 }
    }

    /// The place, as a byte offset.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Goes back to a place.
    pub(super) fn rewind(&mut self, at: usize) {
        self.at = at;
    }

    /// What is left.
    pub(super) fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The text from `from` to here.
    pub(super) fn since(&self, from: usize) -> &'t str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    /// The character here.
    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The character here, and on.
    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Moves past `wanted` if it stands here.
    pub(super) fn take(&mut self, wanted: &str) -> bool {
        let here = self.rest().starts_with(wanted);
        if here {
            self.at += wanted.len();
        }
        here
    }

    /// Moves past `wanted`, which must stand here.
    pub(super) fn expect(&mut self, wanted: &str, why: &str) -> Result<(), PathError> {
        if self.take(wanted) { Ok(()) } else { Err(self.unexpected(&format!("expected `{wanted}` {why}"))) }
    }

    /// Skips the whitespace that RFC 9535 allows.
    pub(super) fn blank(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    /// Moves past all the characters that `fits`.
    pub(super) fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let taken = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        let from = self.at;
        self.at += taken;
        self.since(from)
    }

    /// Reads something that may nest.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, PathError>) -> Result<T, PathError> {
        if self.nesting == MAX_NESTING {
            return Err(self.fail(format!("nested more than {MAX_NESTING} deep")));
        }
        self.nesting += 1;
        let result = read(self);
        self.nesting -= 1;
        result
    }

    /// An error here.
    pub(super) fn fail(&self, message: impl Into<String>) -> PathError {
        PathError { at: self.at, message: message.into() }
    }

    /// An error here which says what stands here instead.
    pub(super) fn unexpected(&self, wanted: &str) -> PathError {
        match self.peek() {
            None => self.fail(format!("{wanted}, but the path ends here")),
            Some(c) if c.is_whitespace() => self.fail(format!("{wanted}, not whitespace")),
            Some(c) => self.fail(format!("{wanted}, not `{c}`")),
        }
    }
}
