//! A test, read: every name in it is declared, every value is one.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderMap;
use http::HeaderName;
use http::Method;

use crate::base::Name;
use crate::config::selftest::Tree;
use crate::diag::Place;

/// A `test:` document.
#[derive(Debug)]
pub(crate) struct TestSpec {
    /// What must hold.
    pub(crate) title: String,
    pub(crate) place: Place,
    pub(crate) subject: Subject,
    /// What upstreams answer before the first step says more.
    pub(crate) given: Vec<Given>,
    /// At least one.
    pub(crate) steps: Vec<Step>,
}

/// What is under test.
#[derive(Debug)]
pub(crate) enum Subject {
    /// A source, asked as a route with it alone would ask it.
    Source(Name),
    /// A route, by its path as declared.
    Route(String),
}

/// One step, in the order in which it is done.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) place: Place,
    pub(crate) given: Vec<Given>,
    pub(crate) advance: Option<Duration>,
    /// How often it asks; 0: it does not.
    pub(crate) asks: u32,
    /// All of them at the same time.
    pub(crate) at_once: bool,
    pub(crate) request: RequestSpec,
    pub(crate) expect: Vec<Expectation>,
}

/// What a source's upstream answers from here on: one after the other, the last from then on.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) source: Name,
    /// At least one.
    pub(crate) answers: Vec<Answer>,
}

/// One answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) place: Place,
    /// How long until it comes.
    pub(crate) delay: Duration,
    /// What happens in its place.
    pub(crate) fault: Option<Fault>,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

/// Where a body comes from.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Text(String),
    /// Read when the test is played: what runs the gateway needs no fixtures.
    File(PathBuf),
}

/// What may happen in place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing comes, ever.
    Timeout,
    /// Refused.
    Connect,
    /// No connection within `connect_timeout`.
    ConnectTimeout,
    /// Closed after the request was sent.
    Reset,
    /// The head comes, and the body ends early.
    Body,
    /// The head comes, and of the body nothing, ever.
    BodyTimeout,
    /// The certificate is not believed.
    Config,
}

/// What is asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestSpec {
    /// Of a route.
    pub(crate) method: Option<Method>,
    /// The values of the route's path.
    pub(crate) path: Vec<(String, String)>,
    /// Or the parameters of a source.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
}

/// One thing that must be so.
#[derive(Debug)]
pub(crate) struct Expectation {
    /// Where its value is written.
    pub(crate) place: Place,
    /// As findings call it: `expect.breaker.news`.
    pub(crate) path: String,
    pub(crate) what: Expected,
}

/// What must be so.
#[derive(Debug)]
pub(crate) enum Expected {
    Status(u16),
    /// `None`: it is not there.
    Header(HeaderName, Option<String>),
    Json(Tree),
    Body(String),
    /// Of the part of this name, or of the one source under test.
    Part(Name, OfPart),
    Mode(String),
    Degraded(bool),
    Within(Duration),
    Breaker(Name, String),
    Cache(Name, String),
    Calls(Name, u64),
    Sent(Name, OfSent),
}

/// What must be so of one result.
#[derive(Debug)]
pub(crate) enum OfPart {
    Status(String),
    Data(Tree),
    Kind(Option<String>),
    Via(Option<String>),
}

/// What must be so of a call to an upstream.
#[derive(Debug)]
pub(crate) enum OfSent {
    Method(String),
    Path(String),
    Query(String, Option<String>),
    Header(HeaderName, Option<String>),
    Json(Tree),
    Body(String),
}

impl Expected {
    /// Whether it is about an answer, and not about the state behind it.
    pub(crate) fn is_of_answer(&self) -> bool {
        match self {
            Self::Status(_)
            | Self::Header(..)
            | Self::Json(_)
            | Self::Body(_)
            | Self::Part(..)
            | Self::Mode(_)
            | Self::Degraded(_)
            | Self::Within(_) => true,
            Self::Breaker(..) | Self::Cache(..) | Self::Calls(..) | Self::Sent(..) => false,
        }
    }
}
