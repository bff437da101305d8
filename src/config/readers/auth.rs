//! `auth:` of a source.

use crate::base::Secret;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::spec::AuthSpec;
use crate::config::values;

/// Reads `auth:`; exactly one way of it.
pub(crate) fn auth(node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<AuthSpec> {
    let at = at.key("auth");
    let node = node.get("auth")?;
    let ways: Vec<_> =
        node.entries().iter().filter(|entry| matches!(entry.key.as_str(), "bearer" | "basic" | "header")).collect();
    let help = "write one of `bearer: TOKEN`, `basic: { user: …, password: … }`, `header: NAME` with `value: …`";
    match ways.as_slice() {
        [] if node.is_map() => {
            let none = problem(codes::EXCLUSIVE_KEYS, "`auth` says no way to authenticate");
            findings.error(&at, node.span, none.help(help));
            None
        }
        [] => None,
        [way] => one(&way.key, node, &at, findings),
        [_, second, ..] => {
            findings.error(
                &at,
                second.at,
                problem(codes::EXCLUSIVE_KEYS, "`auth` takes one way to authenticate").help(help),
            );
            None
        }
    }
}

fn one(way: &str, node: &Node, at: &At<'_>, findings: &mut Findings) -> Option<AuthSpec> {
    let value = node.entry("value");
    if let (Some(value), true) = (value, way != "header") {
        let unused = problem(codes::NO_EFFECT, format!("`value` does nothing beside `{way}`"));
        findings.error(&at.key("value"), value.at, unused.help("remove it"));
    }
    match way {
        "bearer" => {
            visible(node.get("bearer")?, &at.key("bearer"), findings);
            Some(AuthSpec::Bearer(Secret::new(node.word("bearer")?)))
        }
        "basic" => {
            let basic = node.get("basic")?;
            let user = basic.word("user")?.to_owned();
            if user.contains(':') {
                let colon =
                    problem(codes::BAD_HEADER, "the user of `basic` holds a `:`").help("a user name has no `:`");
                findings.error(&at.key("basic").key("user"), basic.spot_of("user"), colon);
            }
            Some(AuthSpec::Basic { user, password: Secret::new(basic.word("password")?) })
        }
        _ => {
            if value.is_none() {
                let missing = problem(codes::MISSING_KEY, "`header` needs a `value` beside it");
                findings.error(&at.key("value"), node.spot_of("header"), missing.help("add `value: …`"));
            }
            let name = values::header_name(node.get("header")?.scalar()?).ok()?;
            visible(node.get("value")?, &at.key("value"), findings);
            Some(AuthSpec::Header { name, value: Secret::new(node.word("value")?) })
        }
    }
}

/// Whether it can be a header's value; the value itself is in no message.
fn visible(node: &Node, at: &At<'_>, findings: &mut Findings) {
    if node.scalar().is_some_and(|scalar| values::header_value(scalar).is_err()) {
        let wrong = problem(codes::BAD_HEADER, "this cannot be sent in a header");
        findings.error(at, node.span, wrong.help("a value is one line of visible ASCII"));
    }
}
