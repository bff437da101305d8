//! `project`, `omit` and single JSONPaths, compiled; a bad path is told with its column.

use crate::config::check::Check;
use crate::config::check::described;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::node::Value;
use crate::config::readers::json;
use crate::config::scalar::Typed;
use crate::config::vocabulary::Block;
use crate::config::vocabulary::PROJECTION_EACH;
use crate::config::vocabulary::PROJECTION_PATH;
use crate::config::vocabulary::PROJECTION_VALUE;
use crate::shape::Cast;
use crate::shape::Field;
use crate::shape::Missing;
use crate::shape::Path;
use crate::shape::Projection;
use crate::shape::Take;

/// Reads `project:`.
pub(crate) fn projection(node: Option<&Node>, at: &At<'_>, findings: &mut Findings) -> Projection {
    let Some(node) = node else { return Projection::Whole };
    match &node.value {
        Value::Scalar(_) => path(node, at, findings).map_or(Projection::Whole, Projection::Path),
        Value::Map(_) => Projection::Fields(fields(node, at, findings)),
        Value::List(_) => {
            let wrong = problem(codes::WRONG_TYPE, "`project` takes a JSONPath or a map of fields, not a list");
            findings.error(at, node.span, wrong.help("write `name: $.path` for each field"));
            Projection::Whole
        }
    }
}

/// Reads `omit:`.
pub(crate) fn omit(node: Option<&Node>, at: &At<'_>, findings: &mut Findings) -> Vec<Path> {
    let items = node.map(Node::items).unwrap_or_default();
    items.iter().enumerate().filter_map(|(index, item)| path(item, &at.item(index), findings)).collect()
}

/// A JSONPath.
pub(crate) fn path(node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<Path> {
    compiled(node, false, at, findings)
}

/// `is_field`: a constant may have been meant.
fn compiled(node: &Node, is_field: bool, at: &At<'_>, findings: &mut Findings) -> Option<Path> {
    let scalar = node.scalar()?;
    match Path::compile(&scalar.text) {
        Ok(path) => Some(path),
        Err(error) => {
            let mut wrong = if scalar.is_secret() {
                problem(codes::BAD_JSONPATH, format!("{} is not a JSONPath", scalar.shown()))
            } else {
                let offset = scalar.text.get(..error.at).map_or(0, |before| before.chars().count());
                problem(codes::BAD_JSONPATH, format!("not a JSONPath: {}", error.message)).at(offset + scalar.lead)
            };
            wrong = if scalar.text.starts_with('$') || scalar.is_secret() {
                wrong.help("paths look like `$.name`, `$.items[0].id`, `$.items[*].id`, `$.items[?@.price > 5].id`")
            } else {
                let text = scalar.text.trim_start_matches('.');
                let is_name = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
                let constant =
                    if is_field { format!(", or for a constant `{{ value: {text} }}`") } else { String::new() };
                let path = if is_name { format!("$.{text}") } else { "$.name".to_owned() };
                wrong.help(format!("write `{path}`{constant}"))
            };
            findings.error(at, node.span, wrong);
            None
        }
    }
}

fn fields(node: &Node, at: &At<'_>, findings: &mut Findings) -> Vec<(String, Field)> {
    let read = |entry: &crate::config::node::Entry, findings: &mut Findings| {
        field(&entry.value, &at.key(&entry.key), findings).map(|field| (entry.key.clone(), field))
    };
    node.entries().iter().filter_map(|entry| read(entry, findings)).collect()
}

fn field(node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<Field> {
    match &node.value {
        Value::Scalar(scalar) if scalar.typed == Typed::Text => {
            let path = compiled(node, true, at, findings)?;
            Some(Field::Path { path, missing: Missing::Null, cast: None, take: Take::ByPath })
        }
        Value::Scalar(scalar) if scalar.typed == Typed::Broken => None,
        Value::Scalar(_) | Value::List(_) => {
            let message = format!("a field takes a JSONPath or a map, not {}", described(node));
            let help = match node.text().filter(|_| !node.scalar().is_some_and(|scalar| scalar.is_secret())) {
                Some(text) if !text.is_empty() => format!("write `{{ value: {text} }}` for a constant"),
                Some(_) | None => "write `$.path`, or `{ value: … }` for a constant".to_owned(),
            };
            findings.error(at, node.span, problem(codes::BAD_PROJECTION, message).help(help));
            None
        }
        Value::Map(_) if node.entry("path").is_some() => by_path(node, at, findings),
        Value::Map(_) if node.entry("each").is_some() => each(node, at, findings),
        Value::Map(_) if node.entry("value").is_some() => {
            check(node, &PROJECTION_VALUE, at, findings);
            let value = node.entry("value").map(|entry| json(&entry.value, &at.key("value"), findings));
            value.map(Field::Value)
        }
        Value::Map(_) => Some(Field::Object(fields(node, at, findings))),
    }
}

fn check(node: &Node, block: &'static Block, at: &At<'_>, findings: &mut Findings) {
    Check { root: block, findings }.block(node, block, at);
}

fn by_path(node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<Field> {
    check(node, &PROJECTION_PATH, at, findings);
    let required = node.switch("required").unwrap_or(false);
    let default = node.entry("default").map(|entry| json(&entry.value, &at.key("default"), findings));
    if let (true, Some(entry)) = (required, node.entry("default")) {
        let wrong = problem(codes::BAD_PROJECTION, "a required field never takes its default");
        findings.error(&at.key("default"), entry.at, wrong.help("remove `default`, or `required: true`"));
    }
    let cast = match node.word("as") {
        Some("string") => Some(Cast::String),
        Some("integer") => Some(Cast::Integer),
        Some("number") => Some(Cast::Number),
        Some("boolean") => Some(Cast::Boolean),
        Some(_) | None => None,
    };
    let take = match node.word("take") {
        Some("first") => Take::First,
        Some("last") => Take::Last,
        Some("count") => Take::Count,
        Some("all") => Take::All,
        Some(_) | None => Take::ByPath,
    };
    let missing = match default {
        _ if required => Missing::Required,
        Some(json) => Missing::Default(json),
        None => Missing::Null,
    };
    let path = path(node.get("path")?, &at.key("path"), findings)?;
    Some(Field::Path { path, missing, cast, take })
}

fn each(node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<Field> {
    check(node, &PROJECTION_EACH, at, findings);
    let project = projection(node.get("project"), &at.key("project"), findings);
    let path = path(node.get("each")?, &at.key("each"), findings)?;
    let limit = node.whole("limit").and_then(|limit| usize::try_from(limit).ok());
    Some(Field::Each { path, limit, project: Box::new(project) })
}
