//! The envelope, written. Parts are bytes already: they stand in it as they are, nothing is parsed, long ones are not
//! even copied.

use std::time::Duration;

use bytes::Bytes;

use crate::base::Rope;
use crate::plan::PartPlan;
use crate::plan::json_string;
use crate::policy::outcome::Kind;
use crate::request::part::Part;
use crate::request::part::Verdict;
use crate::request::summary::Summary;

/// A part with its plan.
pub(crate) type Placed<'a> = (&'a PartPlan, &'a Part);

/// JSON as it is written.
#[derive(Default)]
pub(crate) struct Writer {
    rope: Rope,
}

impl Writer {
    /// With room for this much that is not shared.
    pub(crate) fn with_capacity(text: usize) -> Self {
        Self { rope: Rope::with_capacity(text) }
    }

    /// JSON text as it is.
    pub(crate) fn text(&mut self, text: &str) {
        self.rope.push(text.as_bytes());
    }

    /// JSON bytes as they are.
    pub(crate) fn json(&mut self, json: &[u8]) {
        self.rope.push(json);
    }

    /// JSON that others hold too.
    pub(crate) fn shared(&mut self, json: &Bytes) {
        self.rope.push_shared(json);
    }

    /// A text as a JSON string.
    pub(crate) fn string(&mut self, text: &str) {
        self.text(&json_string(text));
    }

    pub(crate) fn number(&mut self, number: impl itoa::Integer) {
        self.text(itoa::Buffer::new().format(number));
    }

    /// What was written, in pieces.
    pub(crate) fn into_rope(self) -> Rope {
        self.rope
    }

    /// What was written, in one piece.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.rope.into_vec()
    }
}

/// The whole envelope.
pub(crate) fn whole(placed: &[Placed<'_>], summary: &Summary) -> Rope {
    let room = placed.iter().map(|(plan, part)| {
        let data = part.data.as_ref().map_or(0, |data| Rope::room(data.len()));
        plan.head.len() + data + if part.failure.is_some() { 300 } else { 80 }
    });
    let mut out = Writer::with_capacity(room.sum::<usize>() + 256);
    out.text("{");
    members(&mut out, placed, summary);
    out.text("}");
    out.into_rope()
}

/// The members of the envelope, without the braces around them.
pub(crate) fn members(out: &mut Writer, placed: &[Placed<'_>], summary: &Summary) {
    out.text("\"results\":[");
    for (at, (plan, part)) in placed.iter().enumerate() {
        if at > 0 {
            out.text(",");
        }
        result(out, plan, part);
    }
    out.text("],");
    after_results(out, placed, summary);
}

/// The members of the envelope after `results`.
pub(crate) fn after_results(out: &mut Writer, placed: &[Placed<'_>], summary: &Summary) {
    for (member, verdict) in [
        ("\"sources_succeeded\":[", Verdict::Succeeded),
        ("\"sources_failed\":[", Verdict::Failed),
        ("\"sources_skipped\":[", Verdict::Skipped),
    ] {
        out.text(member);
        let mut first = true;
        for (plan, _) in placed.iter().filter(|(_, part)| part.verdict() == verdict) {
            if !first {
                out.text(",");
            }
            first = false;
            out.text(&plan.quoted);
        }
        out.text("],");
    }
    out.text("\"mode\":\"");
    out.text(summary.mode);
    out.text(if summary.degraded() { "\",\"degraded\":true" } else { "\",\"degraded\":false" });
    out.text(if summary.cached { ",\"cached\":true" } else { ",\"cached\":false" });
    out.text(",\"cache_age_seconds\":");
    match summary.age {
        Some(age) => seconds(out, age),
        None => out.text("null"),
    }
}

/// Whole milliseconds, in the width that is quick to write.
pub(crate) fn whole_millis(length: Duration) -> u64 {
    length.as_secs().saturating_mul(1000) + u64::from(length.subsec_millis())
}

/// Seconds with three decimals.
fn seconds(out: &mut Writer, length: Duration) {
    out.number(length.as_secs());
    let millis = length.subsec_millis();
    out.text(match millis {
        0..10 => ".00",
        10..100 => ".0",
        _ => ".",
    });
    out.number(millis);
}

/// One object of `results`.
pub(crate) fn result(out: &mut Writer, plan: &PartPlan, part: &Part) {
    open_result(out, plan, part);
    out.text("}");
}

/// One object of `results`, still without its closing brace.
pub(crate) fn open_result(out: &mut Writer, plan: &PartPlan, part: &Part) {
    out.text(&plan.head);
    out.text("\"");
    out.text(part.status.as_str());
    out.text("\",\"data\":");
    match &part.data {
        Some(data) => out.shared(data),
        None => out.text("null"),
    }
    match &part.failure {
        None => out.text(",\"error\":null"),
        Some(failure) => {
            out.text(",\"error\":");
            out.string(&failure.message);
            out.text(",\"kind\":\"");
            out.text(failure.kind.as_str());
            out.text("\"");
            if failure.attempts > 1 {
                out.text(",\"attempts\":");
                out.number(failure.attempts);
            }
            if let Some(endpoint) = &failure.endpoint {
                out.text(",\"endpoint\":");
                out.string(endpoint);
            }
        }
    }
    out.text(",\"duration_ms\":");
    out.number(whole_millis(part.took));
    if let Some(failure) = part.failure.as_ref().filter(|_| part.is_degraded()) {
        stand_in(out, part, failure.kind);
    }
}

/// What stands in for a part that failed.
fn stand_in(out: &mut Writer, part: &Part, reason: Kind) {
    out.text(",\"degraded\":true,\"fallback\":{\"via\":\"");
    out.text(part.fallback.as_ref().map_or("stale", |note| note.via));
    out.text("\",\"reason\":\"");
    out.text(reason.as_str());
    out.text("\",\"age_ms\":");
    match part.age() {
        Some(age) => out.number(whole_millis(age)),
        None => out.text("null"),
    }
    out.text(",\"tried\":[");
    for (at, step) in part.tried.iter().enumerate() {
        if at > 0 {
            out.text(",");
        }
        out.string(step);
    }
    out.text("]}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_three_decimals() {
        for (millis, text) in [(0, "0.000"), (7, "0.007"), (42, "0.042"), (5318, "5.318"), (60_000, "60.000")] {
            let mut out = Writer::default();
            seconds(&mut out, Duration::from_millis(millis));
            assert_eq!(out.into_bytes(), text.as_bytes());
        }
    }
}
