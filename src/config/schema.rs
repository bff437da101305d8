//! The vocabulary as JSON Schemas for editors, and as tables for the documentation.

use std::fmt::Write as _;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::config::scalar;
use crate::config::scalar::Typed;
use crate::config::vocabulary::Block;
use crate::config::vocabulary::Key;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::PROJECTION_EACH;
use crate::config::vocabulary::PROJECTION_PATH;
use crate::config::vocabulary::PROJECTION_VALUE;
use crate::config::vocabulary::ROUTE;
use crate::config::vocabulary::SERVER;
use crate::config::vocabulary::SOURCE;
use crate::config::vocabulary::TEST;

/// The schema of `aggd.yaml`.
pub(crate) fn aggd() -> Value {
    let mut schema = object(&SERVER);
    head(&mut schema, "aggd.yaml", "settings of the server");
    schema
}

/// The schema of the documents in `sources.d`.
pub(crate) fn sources() -> Value {
    let mut schema = json!({
        "if": { "required": ["test"] },
        "then": { "$ref": "#/$defs/test" },
        "else": {
            "if": { "required": ["route"] },
            "then": { "$ref": "#/$defs/route" },
            "else": { "$ref": "#/$defs/source" },
        },
    });
    head(&mut schema, "sources.d/*.yaml", "a source, a route or a test");
    let mut source = object(&SOURCE);
    if let Some(members) = source.as_object_mut() {
        members.insert(
            "oneOf".into(),
            json!([{ "required": ["url"] }, { "required": ["endpoints"] }, { "required": ["static"] }]),
        );
    }
    let own = json!({ "source": source, "route": object(&ROUTE), "test": object(&TEST) });
    if let (Some(defs), Value::Object(own)) = (schema.pointer_mut("/$defs").and_then(Value::as_object_mut), own) {
        defs.extend(own);
    }
    schema
}

fn head(schema: &mut Value, title: &str, about: &str) {
    let Some(members) = schema.as_object_mut() else { return };
    members.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    members.insert("title".into(), json!(title));
    members.insert("description".into(), json!(about));
    members.insert("$defs".into(), json!({
        // What `${…}` makes of it is seen at load.
        "expansion": { "type": "string", "pattern": "\\$\\{" },
        "projection": { "anyOf": [json_path(), { "type": "object", "additionalProperties": { "$ref": "#/$defs/field" } }] },
        "field": { "anyOf": [
            json_path(),
            object(&PROJECTION_PATH),
            object(&PROJECTION_EACH),
            object(&PROJECTION_VALUE),
            {
                "type": "object",
                "not": { "anyOf": [{ "required": ["path"] }, { "required": ["each"] }, { "required": ["value"] }] },
                "additionalProperties": { "$ref": "#/$defs/field" },
            },
        ] },
    }));
}

fn object(block: &'static Block) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in block.all() {
        properties.insert(key.name.to_owned(), property(key));
        if key.required {
            required.push(key.name);
        }
    }
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if let (Some(members), false) = (schema.as_object_mut(), required.is_empty()) {
        members.insert("required".into(), json!(required));
    }
    schema
}

fn property(key: &'static Key) -> Value {
    let mut schema = kind(&key.kind);
    let mut others = Vec::new();
    if key.off {
        others.push(json!({ "const": "off" }));
    }
    // A block without keys is written as nothing.
    if key.nullable || matches!(key.kind, Kind::Block(_) | Kind::Map(_)) {
        others.push(json!({ "type": "null" }));
    }
    if !others.is_empty() && !matches!(key.kind, Kind::Tree) {
        others.insert(0, schema);
        schema = json!({ "anyOf": others });
    }
    if let Some(members) = schema.as_object_mut() {
        members.insert("description".into(), json!(key.about));
        if let Some(default) = default(key) {
            members.insert("default".into(), default);
        }
    }
    schema
}

fn default(key: &Key) -> Option<Value> {
    if key.default.is_empty() || key.default.starts_with('(') || key.default == "{}" {
        return None;
    }
    match scalar::plain(key.default) {
        Typed::Number(_) | Typed::Bool(_) | Typed::Null => serde_json::from_str(key.default).ok(),
        Typed::NotFinite | Typed::Text | Typed::Broken => {
            Some(serde_json::from_str(key.default).unwrap_or_else(|_| json!(key.default)))
        }
    }
}

fn kind(kind: &'static Kind) -> Value {
    let expansion = json!({ "$ref": "#/$defs/expansion" });
    let text = |pattern: &str| json!({ "type": "string", "pattern": format!("{pattern}|\\$\\{{") });
    match kind {
        Kind::Text | Kind::Url | Kind::Pattern => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Listen | Kind::Database | Kind::Proxy | Kind::Network | Kind::Level => json!({ "type": "string" }),
        Kind::Name => text("^[a-z][a-z0-9_-]{0,62}$"),
        Kind::LimitKey => text("^(tenant|api_key|ip|route|header:.+)$"),
        Kind::HeaderName => text("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
        Kind::RoutePath => text("^/"),
        Kind::Duration { .. } => text("^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$"),
        Kind::Size => text("^[0-9]+(\\.[0-9]+)? ?(B|KiB|MiB|GiB|TiB)$"),
        Kind::Ratio => {
            json!({ "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, text("^[0-9]+(\\.[0-9]+)? ?%$")] })
        }
        Kind::RatioOr(word) => {
            json!({ "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, text("^[0-9]+(\\.[0-9]+)? ?%$"), { "const": word }] })
        }
        Kind::DurationOrPercentile => text("^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$|^p[0-9]+(\\.[0-9]+)?$"),
        Kind::WordOr(words, block) => json!({ "anyOf": [{ "enum": words }, expansion, object(block)] }),
        Kind::Rate => text("^[0-9]+ ?/ ?(s|second|m|minute|h|hour|d|day)$"),
        Kind::Whole { min, max } => {
            json!({ "anyOf": [{ "type": "integer", "minimum": min, "maximum": max }, expansion] })
        }
        Kind::Number { min } if min.is_finite() => {
            json!({ "anyOf": [{ "type": "number", "minimum": min }, expansion] })
        }
        Kind::Number { .. } => json!({ "anyOf": [{ "type": "number" }, expansion] }),
        Kind::Switch => json!({ "anyOf": [{ "type": "boolean" }, expansion] }),
        Kind::OneOf(words) => json!({ "anyOf": [{ "enum": words }, expansion] }),
        Kind::JsonPath => json_path(),
        Kind::Selector | Kind::Failure => json!({ "type": ["string", "integer"] }),
        Kind::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Tree => json!({}),
        Kind::Projection => json!({ "$ref": "#/$defs/projection" }),
        Kind::Block(block) => object(block),
        Kind::Map(inner) => json!({ "type": "object", "additionalProperties": or_null(inner) }),
        Kind::List(inner) => json!({ "type": "array", "items": self::kind(inner) }),
        Kind::ListOrMap(item, value) => json!({ "anyOf": [
            { "type": "array", "items": self::kind(item) },
            { "type": "object", "additionalProperties": or_null(value) },
        ] }),
        Kind::OneOrMany(inner) => {
            let one = self::kind(inner);
            json!({ "anyOf": [one, { "type": "array", "items": one }] })
        }
        Kind::Answers(block) => {
            let one = object(block);
            let some = json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] });
            json!({ "anyOf": [some, { "type": "object", "additionalProperties": some }] })
        }
    }
}

/// A block as a value of a map may be left empty.
fn or_null(inner: &'static Kind) -> Value {
    let schema = kind(inner);
    if inner.block().is_some() { json!({ "anyOf": [schema, { "type": "null" }] }) } else { schema }
}

fn json_path() -> Value {
    json!({ "type": "string", "pattern": "^\\$" })
}

/// All keys as Markdown tables: one per kind of document, keys by their path.
pub(crate) fn markdown() -> String {
    let mut text = String::new();
    for (block, title) in [
        (&SERVER, "`aggd.yaml`"),
        (&SOURCE, "`source:` documents"),
        (&ROUTE, "`route:` documents"),
        (&TEST, "`test:` documents"),
    ] {
        // Writing to a String cannot fail.
        _ = write!(text, "### {title}\n\n| key | value | default | meaning |\n|---|---|---|---|\n");
        rows(block, "", &mut text);
        text.push('\n');
    }
    text
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only blocks have rows of their own")]
fn rows(block: &'static Block, path: &str, text: &mut String) {
    for key in block.all() {
        let name = format!("{path}{}", key.name);
        let default = match key.default {
            "" if key.required => "required".to_owned(),
            "" => "–".to_owned(),
            "{}" if key.kind.block().is_some() => String::new(),
            words if words.starts_with('(') => words.trim_matches(['(', ')']).to_owned(),
            value => format!("`{value}`"),
        };
        let off = if key.off { ", or `off`" } else { "" };
        let written = written(&key.kind).replace('|', "\\|");
        _ = writeln!(text, "| `{name}` | {written}{off} | {default} | {} |", key.about.replace('|', "\\|"));
        match key.kind {
            // The policies have rows of their own, under the source; what a step says, the test says too.
            Kind::Block(_) if key.name == "defaults" || path == "steps[]." => {}
            Kind::Answers(inner) if path.is_empty() => rows(inner, &format!("{name}."), text),
            Kind::Block(inner) | Kind::WordOr(_, inner) => rows(inner, &format!("{name}."), text),
            Kind::Map(Kind::Block(inner)) | Kind::ListOrMap(_, Kind::Block(inner)) => {
                rows(inner, &format!("{name}.NAME."), text);
            }
            Kind::List(Kind::Block(inner)) => rows(inner, &format!("{name}[]."), text),
            _ => {}
        }
    }
}

fn written(kind: &Kind) -> String {
    match kind {
        Kind::Text | Kind::Scalar => "text".to_owned(),
        Kind::Name => "name".to_owned(),
        Kind::Duration { zero: true } => "duration, `0s` too".to_owned(),
        Kind::Duration { zero: false } => "duration".to_owned(),
        Kind::Size => "size".to_owned(),
        Kind::Ratio => "ratio".to_owned(),
        Kind::RatioOr(word) => format!("ratio, or `{word}`"),
        Kind::DurationOrPercentile => "duration, or a percentile `p95`".to_owned(),
        Kind::WordOr(words, _) => format!("{}, or a map", written(&Kind::OneOf(words))),
        Kind::Rate => "rate".to_owned(),
        Kind::Whole { min, max } => format!("{min} to {max}"),
        Kind::Number { min } if min.is_finite() => format!("number, at least {min}"),
        Kind::Number { .. } => "number".to_owned(),
        Kind::Switch => "`true` or `false`".to_owned(),
        Kind::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Listen => "address".to_owned(),
        Kind::Database | Kind::Proxy | Kind::Url => "URL".to_owned(),
        Kind::Network => "network".to_owned(),
        Kind::Level => "level".to_owned(),
        Kind::LimitKey => "`tenant`, `api_key`, `ip`, `route`, `header:NAME`".to_owned(),
        Kind::HeaderName => "header name".to_owned(),
        Kind::RoutePath => "path".to_owned(),
        Kind::JsonPath => "JSONPath".to_owned(),
        Kind::Pattern => "regular expression".to_owned(),
        Kind::Selector => "outcome selector".to_owned(),
        Kind::Failure => "`failure` or an outcome selector".to_owned(),
        Kind::Tree => "any YAML".to_owned(),
        Kind::Projection => "JSONPath, or map of fields".to_owned(),
        Kind::Block(_) => "map".to_owned(),
        Kind::Map(inner) => format!("map: NAME → {}", written(inner)),
        Kind::List(inner) => format!("list of: {}", written(inner)),
        Kind::ListOrMap(item, value) => format!("list of: {}; or map: NAME → {}", written(item), written(value)),
        Kind::OneOrMany(inner) => format!("{}, or a list", written(inner)),
        Kind::Answers(_) => "an answer, or a list; or map: NAME → those".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_accept_what_loads_and_refuse_what_does_not() {
        let server = jsonschema::validator_for(&aggd()).unwrap();
        let documents = jsonschema::validator_for(&sources()).unwrap();
        assert!(server.is_valid(
            &json!({ "database": "off", "limits": { "concurrency": "${N:-10}" }, "defaults": { "breaker": "off" } })
        ));
        assert!(!server.is_valid(&json!({ "limits": { "concurency": 1 } })));
        let source = json!({
            "source": "a", "url": "https://example.org", "timeout": "${T:-5}s", "cache": { "ttl": "60s", "refresh_ahead": "50%" },
            "project": { "a": "$.a", "b": { "c": { "path": "$.x", "take": "first" } }, "d": { "value": 1 } },
            "fallback": [{ "stale": { "max_age": "1h" } }, { "value": null }],
        });
        assert!(
            documents.is_valid(&source),
            "{:?}",
            documents.iter_errors(&source).map(|e| e.to_string()).collect::<Vec<_>>()
        );
        assert!(documents.is_valid(&json!({ "route": "/x", "sources": ["a"] })));
        assert!(documents.is_valid(&json!({ "route": "/x", "sources": { "a": null, "b": { "source": "a" } } })));
        for bad in [
            json!({ "source": "a" }),
            json!({ "source": "a", "url": "https://example.org", "timeout": 5 }),
            json!({ "source": "a", "url": "https://example.org", "timout": "5s" }),
            json!({ "source": "a", "url": "https://example.org", "project": { "a": { "path": "$.x", "tke": "first" } } }),
            json!({ "route": "x", "sources": ["a"] }),
            json!({ "route": "/x" }),
        ] {
            assert!(!documents.is_valid(&bad), "{bad}");
        }
    }

    #[test]
    fn tables_name_every_key_by_its_path() {
        let text = markdown();
        for row in [
            "| `limits.concurrency` | 1 to 10000000 | `100` |",
            "| `cache.negative.ttl` |",
            "| `sources.NAME.required` |",
            "| `fallback[].stale.max_age` | duration | required |",
        ] {
            assert!(text.contains(row), "{row}\n{text}");
        }
        assert!(text.lines().filter(|line| line.starts_with("| `")).all(|line| line.matches(" | ").count() == 3));
    }
}
