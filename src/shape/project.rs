//! Carries out a projection: reads a document once for all its fields, and writes what they name.

use crate::shape::apply::ShapeError;
use crate::shape::cast::convert;
use crate::shape::format::explain;
use crate::shape::path::Path;
use crate::shape::path::TooMuch;
use crate::shape::path::Work;
use crate::shape::projection::Cast;
use crate::shape::projection::Field;
use crate::shape::projection::Missing;
use crate::shape::projection::Projection;
use crate::shape::projection::Take;
use crate::shape::reader::Fault;
use crate::shape::scan::Found;
use crate::shape::scan::Trie;
use crate::shape::scan::Wanted;
use crate::shape::strings::quote;

/// A projection made ready to read documents.
#[derive(Debug)]
pub(super) struct Plan<'s> {
    trie: Trie<'s>,
    pub(super) job: Job<'s>,
}

/// What is to be written. Mirrors `Projection` and `Field`.
#[derive(Debug)]
pub(super) enum Job<'s> {
    /// The document as it is.
    Whole,
    Take(Taking<'s>),
    Each {
        wanted: Wanted<'s>,
        limit: usize,
        plan: Box<Plan<'s>>,
    },
    Value(&'s str),
    Object(Vec<(&'s str, Job<'s>)>),
}

/// What is made of the matches of a path.
#[derive(Debug)]
pub(super) struct Taking<'s> {
    pub(super) wanted: Wanted<'s>,
    missing: &'s Missing,
    cast: Option<Cast>,
    take: Take,
}

/// What is written to, and within which bounds.
#[derive(Debug)]
pub(super) struct Output<'w> {
    pub(super) bytes: Vec<u8>,
    limit: usize,
    work: &'w Work,
}

/// Matches of what is already copied can be copied again: `$..*` of a deep document is many times its size.
const LEAST_LIMIT: usize = 16 << 20;

/// Likewise, for every byte of the document.
const LIMIT_PER_BYTE: usize = 16;

impl<'s> Plan<'s> {
    /// For a projection.
    pub(super) fn new(projection: &'s Projection) -> Self {
        let mut trie = Trie::new();
        let job = match projection {
            Projection::Whole => Job::Whole,
            Projection::Path(path) => {
                Job::Take(Taking { wanted: trie.want(path), missing: &Missing::Null, cast: None, take: Take::ByPath })
            }
            Projection::Fields(fields) => object(fields, &mut trie),
        };
        Self { trie, job }
    }

    /// Has the document searched for another path too.
    pub(super) fn want(&mut self, path: &'s Path) -> Wanted<'s> {
        self.trie.want(path)
    }

    /// Reads and checks a whole document.
    pub(super) fn read<'a>(&self, text: &'a str) -> Result<Found<'a>, Fault> {
        self.trie.read(text)
    }
}

fn object<'s>(fields: &'s [(String, Field)], trie: &mut Trie<'s>) -> Job<'s> {
    Job::Object(fields.iter().map(|(name, field)| (name.as_str(), job(field, trie))).collect())
}

fn job<'s>(field: &'s Field, trie: &mut Trie<'s>) -> Job<'s> {
    match field {
        Field::Path { path, missing, cast, take } => {
            Job::Take(Taking { wanted: trie.want(path), missing, cast: *cast, take: *take })
        }
        Field::Each { path, limit, project } => Job::Each {
            wanted: trie.want(path),
            limit: limit.unwrap_or(usize::MAX),
            plan: Box::new(Plan::new(project)),
        },
        Field::Value(json) => Job::Value(json),
        Field::Object(fields) => object(fields, trie),
    }
}

impl<'w> Output<'w> {
    /// Empty, for what is made of a document of this size.
    pub(super) fn new(document: usize, work: &'w Work) -> Self {
        let limit = LEAST_LIMIT.saturating_add(document.saturating_mul(LIMIT_PER_BYTE));
        Self { bytes: Vec::with_capacity(document.min(512)), limit, work }
    }

    fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Writes a list, each item by `write`, which is told its place.
    fn list<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Result<(), ShapeError>,
    ) -> Result<(), ShapeError> {
        for (place, item) in items.enumerate() {
            if place > 0 {
                self.bytes.push(b',');
            }
            write(self, item).map_err(|err| err.within(&format!("[{place}]")))?;
        }
        Ok(())
    }

    /// Writes what a job makes of a document.
    pub(super) fn write(&mut self, job: &Job<'_>, document: &str, found: &Found<'_>) -> Result<(), ShapeError> {
        match job {
            Job::Whole => self.push(document.trim_ascii()),
            Job::Value(json) => self.push(json),
            Job::Take(taking) => self.take(taking, found)?,
            Job::Each { wanted, limit, plan } => {
                let matches = found.matches(*wanted, self.work).map_err(|err| too_much(wanted.path, err))?;
                self.bytes.push(b'[');
                self.list(matches.iter().take(*limit), |out, raw| {
                    let inner = plan.read(raw).map_err(|fault| ShapeError::Decode(explain(fault, raw)))?;
                    out.write(&plan.job, raw, &inner)?;
                    out.within_limit(wanted.path)
                })?;
                self.bytes.push(b']');
            }
            Job::Object(fields) => {
                self.bytes.push(b'{');
                for (place, (name, job)) in fields.iter().enumerate() {
                    if place > 0 {
                        self.bytes.push(b',');
                    }
                    quote(name, &mut self.bytes);
                    self.bytes.push(b':');
                    self.write(job, document, found).map_err(|err| err.within(name))?;
                }
                self.bytes.push(b'}');
            }
        }
        Ok(())
    }

    fn take(&mut self, taking: &Taking<'_>, found: &Found<'_>) -> Result<(), ShapeError> {
        let path = taking.wanted.path;
        let matches = found.matches(taking.wanted, self.work).map_err(|err| too_much(path, err))?;
        if matches.is_empty() {
            match taking.missing {
                Missing::Required => return Err(failure(path, "matches nothing, and is required".to_owned())),
                Missing::Default(json) => {
                    self.push(json);
                    return Ok(());
                }
                Missing::Null => {}
            }
        }
        let one = match taking.take {
            Take::First => matches.first(),
            Take::Last => matches.last(),
            Take::ByPath if path.is_singular() => matches.first(),
            Take::Count => return self.value(&matches.len().to_string(), taking),
            Take::ByPath | Take::All => {
                self.bytes.push(b'[');
                self.list(matches.iter(), |out, raw| out.value(raw, taking))?;
                self.bytes.push(b']');
                return Ok(());
            }
        };
        match one {
            Some(raw) => self.value(raw, taking),
            None => {
                self.push("null");
                Ok(())
            }
        }
    }

    fn value(&mut self, raw: &str, taking: &Taking<'_>) -> Result<(), ShapeError> {
        let path = taking.wanted.path;
        match taking.cast {
            None => self.push(raw),
            Some(to) => {
                let converted = convert(raw, to).map_err(|why| failure(path, format!("{why}, not {}", article(to))))?;
                self.push(&converted);
            }
        }
        self.within_limit(path)
    }

    fn within_limit(&self, path: &Path) -> Result<(), ShapeError> {
        if self.bytes.len() <= self.limit {
            return Ok(());
        }
        Err(failure(path, format!("gives more than {} bytes", self.limit)))
    }
}

fn article(cast: Cast) -> &'static str {
    match cast {
        Cast::String => "a string",
        Cast::Integer => "an integer",
        Cast::Number => "a number",
        Cast::Boolean => "a boolean",
    }
}

/// A field that fails; the names around it are added on the way out.
fn failure(path: &Path, why: String) -> ShapeError {
    ShapeError::Projection { field: String::new(), path: path.text().to_owned(), why }
}

pub(super) fn too_much(path: &Path, err: TooMuch) -> ShapeError {
    failure(path, err.to_string())
}
