//! `auth:` of the server, and what a route says of keys and priorities.

use std::sync::Arc;

use crate::base::Name;
use crate::config::codes;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::policy::keys::AccessSettings;
use crate::policy::keys::ApiKey;
use crate::policy::keys::KeyRing;
use crate::policy::keys::Wanted;
use crate::policy::priority::Priority;

/// A shorter key can be guessed.
const SHORTEST: usize = 16;

/// Reads `auth:`.
pub(crate) fn access(node: &Node, findings: &mut Findings) -> Option<AccessSettings> {
    let node = node.get("auth")?;
    let root = At::document("");
    let at = root.key("auth");
    let list_at = at.key("api_keys");
    let mut keys = KeyRing::default();
    let mut names: Vec<Name> = Vec::new();
    let list = node.get("api_keys");
    for (index, item) in list.map(Node::items).unwrap_or_default().iter().enumerate() {
        one(item, &mut keys, &mut names, &list_at.item(index), findings);
    }
    let required = node.switch("required").unwrap_or(true);
    if let Some(list) = list.filter(|list| list.items().is_empty() && !list.is_map() && list.scalar().is_none()) {
        let none = problem(codes::NO_VALUE, "`auth` without a key: nobody has one to show");
        findings.error(&list_at, list.span, none.help("write `- { name: …, key: … }`, or remove `auth`"));
    }
    Some(AccessSettings { keys, required })
}

fn one(item: &Node, keys: &mut KeyRing, names: &mut Vec<Name>, at: &At<'_>, findings: &mut Findings) {
    let (Some(name), Some(key)) = (item.word("name").and_then(Name::parse), item.word("key")) else { return };
    if names.contains(&name) {
        let twice = problem(codes::DECLARED_TWICE, format!("a key `{name}` is there already"));
        findings.error(&at.key("name"), item.spot_of("name"), twice.help("give one of them another name"));
        return;
    }
    names.push(name.clone());
    let key_at = at.key("key");
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let wrong = problem(codes::BAD_HEADER, "this key cannot be sent in a header");
        let help = "a key is visible ASCII without blanks: write the output of `openssl rand -hex 24`";
        findings.error(&key_at, item.spot_of("key"), wrong.help(help));
        return;
    }
    if key.len() < SHORTEST {
        let weak =
            problem(codes::WEAK_KEY, format!("this key has fewer than {SHORTEST} characters: it can be guessed"));
        findings.warn(&key_at, item.spot_of("key"), weak.help("write the output of `openssl rand -hex 24`"));
    }
    let tenant: Arc<str> = item.word("tenant").unwrap_or(name.as_str()).into();
    let max_priority = item.word("max_priority").and_then(|word| word.parse::<Priority>().ok());
    if let Err(other) = keys.add(key, ApiKey { name, tenant, max_priority }) {
        let twice = problem(codes::KEY_TWICE, format!("this is the key of `{other}` too"));
        findings.error(&key_at, item.spot_of("key"), twice.help("give each its own: nobody could tell who asks"));
    }
}

/// What a route says of keys.
pub(crate) fn wanted(node: &Node) -> Option<Wanted> {
    match node.word("auth")? {
        "off" => Some(Wanted::Nothing),
        "optional" => Some(Wanted::Optional),
        "required" => Some(Wanted::Required),
        _ => None,
    }
}
