//! One mistake: its code, its place, what is wrong and what to write instead.

use std::fmt;
use std::sync::Arc;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Severity {
    /// The configuration is refused.
    Error,
    /// It works, but hardly as meant.
    Warning,
}

impl Severity {
    /// As every format writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Where in the files. Ordered as the files are read, then by line and column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// Which file in reading order, `aggd.yaml` first.
    pub(crate) order: usize,
    /// 1-based; 0 where the finding is about the file as a whole.
    pub(crate) line: usize,
    /// 1-based, in characters.
    pub(crate) column: usize,
    /// The column after the last character.
    pub(crate) end_column: usize,
    /// The file, as people write it.
    pub(crate) file: Arc<str>,
}

impl Place {
    /// A file as a whole.
    pub(crate) fn of_file(file: &str) -> Self {
        Self { order: 0, line: 0, column: 0, end_column: 0, file: file.into() }
    }
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Stable, one per kind of mistake: `AG-020`.
    pub(crate) code: &'static str,
    pub(crate) severity: Severity,
    pub(crate) place: Place,
    /// The path of the key: `source weather: cache.ttl`; empty where there is none.
    pub(crate) path: String,
    /// The line as written; never an expanded `${…}`.
    pub(crate) line_text: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) help: Option<String>,
}

/// On one line, for logs.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}] {}", self.severity.as_str(), self.code, self.place.file)?;
        if self.place.line > 0 {
            write!(f, ":{}:{}", self.place.line, self.place.column)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({})", help.replace('\n', " ")),
            None => Ok(()),
        }
    }
}
