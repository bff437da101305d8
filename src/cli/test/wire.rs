//! The network of a test: each source's upstream answers what is given for it, and every call is remembered.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::base::Clock;
use crate::base::Name;
use crate::base::Pretty;
use crate::config::selftest::Answer;
use crate::config::selftest::Body;
use crate::config::selftest::Fault;
use crate::config::selftest::Given;
use crate::outbound::Call;
use crate::outbound::Comes;
use crate::outbound::Ending;
use crate::outbound::Network;
use crate::outbound::Scripted;
use crate::request::Trail;

/// The upstreams of one test.
pub(crate) struct Wire {
    clock: Clock,
    sources: Mutex<BTreeMap<Name, Upstream>>,
    /// Where calls are noted, among the decisions of the engine.
    trail: Trail,
}

/// One source's upstream.
#[derive(Default)]
struct Upstream {
    /// `None`: nothing is given for it.
    script: Option<Script>,
    calls: u64,
    last: Option<Call>,
    /// Calls that nothing was given for.
    unexpected: u64,
}

/// Answers to come: one after the other, the last from then on.
struct Script {
    answers: Vec<Scripted>,
    next: usize,
}

impl Wire {
    /// Upstreams that nothing is given for.
    pub(crate) fn new(clock: Clock, trail: Trail) -> Self {
        Self { clock, sources: Mutex::default(), trail }
    }

    /// From here on the upstream of a source answers this.
    pub(crate) fn give(&self, source: &Name, answers: Vec<Scripted>) {
        self.sources().entry(source.clone()).or_default().script = Some(Script { answers, next: 0 });
    }

    /// How many calls there were to a source's upstream.
    pub(crate) fn calls(&self, source: &Name) -> u64 {
        self.sources().get(source).map_or(0, |upstream| upstream.calls)
    }

    /// The last of them.
    pub(crate) fn last(&self, source: &Name) -> Option<Call> {
        self.sources().get(source).and_then(|upstream| upstream.last.clone())
    }

    /// The sources that were called though nothing is given for them.
    pub(crate) fn unexpected(&self) -> Vec<Name> {
        let sources = self.sources();
        sources.iter().filter(|(_, upstream)| upstream.unexpected > 0).map(|(name, _)| name.clone()).collect()
    }

    fn sources(&self) -> MutexGuard<'_, BTreeMap<Name, Upstream>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Network for Wire {
    fn answer(&self, source: &Name, call: &Call) -> Scripted {
        let scripted = self.sources().entry(source.clone()).or_default().called(call);
        // Without the URL: what is in it may be secret.
        self.trail.note(&self.clock, source, || format!("call: {} is sent, {}", call.method, told(scripted.as_ref())));
        scripted.unwrap_or(Scripted { delay: Duration::ZERO, comes: Comes::Refused })
    }
}

impl Upstream {
    fn called(&mut self, call: &Call) -> Option<Scripted> {
        self.calls += 1;
        self.last = Some(call.clone());
        let answer = self.script.as_mut().and_then(Script::next);
        if answer.is_none() {
            self.unexpected += 1;
        }
        answer
    }
}

impl Script {
    fn next(&mut self) -> Option<Scripted> {
        let answer = self.answers.get(self.next).or_else(|| self.answers.last()).cloned();
        self.next += 1;
        answer
    }
}

/// The answers as they will come; what a `file` holds is read here.
///
/// # Errors
///
/// The answer whose file can't be read, and why.
pub(crate) fn script(given: &Given) -> Result<Vec<Scripted>, (&Answer, String)> {
    given.answers.iter().map(|answer| scripted(answer).map_err(|why| (answer, why))).collect()
}

fn scripted(answer: &Answer) -> Result<Scripted, String> {
    let whole = |ending| -> Result<Comes, String> {
        let body = match &answer.body {
            Body::Text(text) => Bytes::copy_from_slice(text.as_bytes()),
            Body::File(path) => {
                let read = std::fs::read(path);
                read.map_err(|error| format!("{} can't be read: {error}", path.display()))?.into()
            }
        };
        let status = StatusCode::from_u16(answer.status).unwrap_or_default();
        Ok(Comes::Answer { status, headers: answer.headers.clone(), body, ending })
    };
    let comes = match answer.fault {
        None => whole(Ending::Whole)?,
        Some(Fault::Body) => whole(Ending::CutShort)?,
        Some(Fault::BodyTimeout) => whole(Ending::Hangs)?,
        Some(Fault::Timeout) => Comes::Nothing,
        Some(Fault::Connect) => Comes::Refused,
        Some(Fault::ConnectTimeout) => Comes::NoConnection,
        Some(Fault::Reset) => Comes::Reset,
        Some(Fault::Config) => Comes::BadCertificate,
    };
    Ok(Scripted { delay: answer.delay, comes })
}

fn told(scripted: Option<&Scripted>) -> String {
    let Some(Scripted { delay, comes }) = scripted else { return "and nothing is given".to_owned() };
    let what = match comes {
        Comes::Answer { status, body, ending: Ending::Whole, .. } => {
            format!("{} with {} bytes comes", status.as_u16(), body.len())
        }
        Comes::Answer { status, ending: Ending::CutShort, .. } => format!("{} with half a body comes", status.as_u16()),
        Comes::Answer { status, ending: Ending::Hangs, .. } => format!("{} comes, and no body", status.as_u16()),
        Comes::Nothing => "nothing comes".to_owned(),
        Comes::Refused => "refused".to_owned(),
        Comes::NoConnection => "no connection".to_owned(),
        Comes::Reset => "closed".to_owned(),
        Comes::BadCertificate => "the certificate is bad".to_owned(),
    };
    if delay.is_zero() { what } else { format!("{what} after {}", Pretty(*delay)) }
}
