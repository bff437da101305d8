//! `body:` of a source: a tree, sent as JSON, or a text, sent as it is.

use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::node::Value;
use crate::config::readers::json;
use crate::config::readers::request::Placeholders;
use crate::config::readers::text_json;
use crate::config::scalar::Typed;
use crate::config::spec::BodySpec;
use crate::config::spec::BodyTree;
use crate::config::spec::Piece;
use crate::config::template;
use crate::config::values;

/// Of a text, when the file is silent.
const CONTENT_TYPE: &str = "text/plain; charset=utf-8";

/// Reads `body:` and `content_type:`.
pub(crate) fn body(
    node: &Node,
    names: &mut Placeholders<'_>,
    at: &At<'_>,
    findings: &mut Findings,
) -> Option<BodySpec> {
    let body = node.get("body");
    let text = body.and_then(Node::scalar).is_some_and(|scalar| scalar.typed == Typed::Text);
    if let Some(scalar) = node.get("content_type").and_then(Node::scalar) {
        let at = at.key("content_type");
        if !text {
            let unused = problem(
                codes::NO_EFFECT,
                "`content_type` is for a `body` that is a text; a tree is sent as `application/json`",
            );
            let help = "remove it, or write `headers: { Content-Type: … }`";
            findings.error(&at, node.entry("content_type").map_or(node.span, |entry| entry.at), unused.help(help));
        } else if let Err(problem) = values::header_value(scalar) {
            findings.error(&at, node.spot_of("content_type"), problem);
        }
    }
    let body = body?;
    let at = at.key("body");
    if text {
        let content_type = node.word("content_type").unwrap_or(CONTENT_TYPE).to_owned();
        return Some(BodySpec::Text { text: names.template(body, &at, findings)?, content_type });
    }
    Some(BodySpec::Json(tree(body, names, &at, findings)))
}

fn tree(node: &Node, names: &mut Placeholders<'_>, at: &At<'_>, findings: &mut Findings) -> BodyTree {
    match &node.value {
        Value::List(items) => BodyTree::List(
            items.iter().enumerate().map(|(index, item)| tree(item, names, &at.item(index), findings)).collect(),
        ),
        Value::Map(entries) => {
            let mut pairs = Vec::new();
            for entry in entries {
                pairs.push((entry.key.clone(), tree(&entry.value, names, &at.key(&entry.key), findings)));
            }
            BodyTree::Map(pairs)
        }
        Value::Scalar(scalar) if scalar.typed == Typed::Text => {
            let parts = names.parts(scalar, node.span, at, findings).unwrap_or_default();
            match parts.as_slice() {
                [] => BodyTree::Json(text_json("")),
                [only] => match &only.piece {
                    Piece::Literal(text) => BodyTree::Json(text_json(text)),
                    Piece::Placeholder(name) => BodyTree::Param(name.clone()),
                },
                _ => BodyTree::Text(template::template(parts)),
            }
        }
        Value::Scalar(_) => BodyTree::Json(json(node, at, findings)),
    }
}
