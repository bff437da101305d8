//! An event as listeners get it: numbered, dated, and rendered once for all of them.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::SystemTime;

use serde_json::Map;
use serde_json::Value;

use crate::base::Name;
use crate::policy::events::EventType;
use crate::record::events::id::EventId;

/// One event.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) id: EventId,
    pub(crate) kind: EventType,
    pub(crate) at: SystemTime,
    /// Rises over all events of the instance, and so for each source and endpoint.
    pub(crate) seq: u64,
    pub(crate) source: Option<Name>,
    pub(crate) endpoint: Option<Arc<str>>,
    /// Of what it tells of: the circuit, the cache, the configuration.
    pub(crate) generation: Option<u64>,
    /// How many of its type and source were left out since the last one that was told.
    pub(crate) left_out: u64,
    /// What is particular to its type.
    pub(crate) details: Map<String, Value>,
    pub(super) json: OnceLock<String>,
}

impl Told {
    /// It as JSON, on one line.
    pub(crate) fn json(&self) -> &str {
        self.json.get_or_init(|| self.render())
    }

    fn render(&self) -> String {
        let mut members = Map::new();
        let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
        put("id", self.id.to_string().into());
        put("type", self.kind.as_str().into());
        let at = jiff::Timestamp::try_from(self.at).map_or_else(|_| String::new(), |at| format!("{at:.3}"));
        put("time", at.into());
        put("instance", format!("{:08x}", self.id.instance).into());
        put("seq", self.seq.into());
        if let Some(source) = &self.source {
            put("source", source.as_str().into());
        }
        if let Some(endpoint) = &self.endpoint {
            put("endpoint", (&**endpoint).into());
        }
        if let Some(generation) = self.generation {
            put("generation", generation.into());
        }
        if self.left_out > 0 {
            put("left_out", self.left_out.into());
        }
        put("data", self.details.clone().into());
        Value::Object(members).to_string()
    }
}
