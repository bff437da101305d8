//! Settings shown and hashed: the configuration in force with secrets as `***`, the digest of it, a source's revision.

use std::fmt::Write as _;

use sha2::Digest as _;
use sha2::Sha256;

use crate::config::load::Item;
use crate::config::load::Read;
use crate::config::node::Entry;
use crate::config::node::Node;
use crate::config::node::Scalar;
use crate::config::node::Value;
use crate::config::readers::OF_A_CALL;
use crate::config::readers::text_json;
use crate::config::scalar;
use crate::config::scalar::Typed;
use crate::config::spec::Pem;
use crate::config::spec::ServerSpec;
use crate::config::vocabulary::Block;
use crate::config::vocabulary::Key;
use crate::config::vocabulary::Kind;
use crate::config::vocabulary::ROUTE;
use crate::config::vocabulary::SERVER;
use crate::config::vocabulary::SOURCE;
use crate::policy::admission::share;

/// What changes the meaning of a source's answers: what is asked, and what is made of what comes back.
const OF_THE_ANSWER: [&str; 18] = [
    "url",
    "endpoints",
    "static",
    "method",
    "query",
    "headers",
    "body",
    "content_type",
    "params",
    "forward_headers",
    "auth",
    "redirects",
    "max_response_bytes",
    "format",
    "success_when",
    "project",
    "omit",
    "classify",
];

/// A hash of what changes the meaning of a source's answers.
pub(crate) fn revision(source: &Node) -> u64 {
    let mut text = String::new();
    for name in OF_THE_ANSWER {
        if let Some(entry) = source.entry(name) {
            text.push_str(name);
            text.push('=');
            effective(&entry.value, &mut text);
            text.push('\n');
        }
    }
    rapidhash::v3::rapidhash_v3(text.as_bytes())
}

/// SHA-256 over all effective values, in hexadecimal.
pub(crate) fn digest(server: &Node, reads: &[Read<'_>], ca: Option<&Pem>) -> String {
    let mut text = String::new();
    effective(server, &mut text);
    for read in reads {
        text.push_str("\n---\n");
        effective(&read.document.node, &mut text);
    }
    let mut hash = Sha256::new();
    hash.update(text.as_bytes());
    if let Some(ca) = ca {
        hash.update(b"\nca\n");
        hash.update(&ca.content);
    }
    hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A tree as JSON, with all that came from outside.
fn effective(node: &Node, out: &mut String) {
    tree(node, out, &mut |scalar, _| typed(scalar));
}

/// A tree as JSON; `show` writes a scalar, told the nearest key above it.
fn tree(node: &Node, out: &mut String, show: &mut dyn FnMut(&Scalar, &str) -> String) {
    fn walk(node: &Node, key: &str, out: &mut String, show: &mut dyn FnMut(&Scalar, &str) -> String) {
        match &node.value {
            Value::Scalar(scalar) => out.push_str(&show(scalar, key)),
            Value::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    walk(item, key, out, show);
                }
                out.push(']');
            }
            Value::Map(entries) => {
                out.push('{');
                for (index, Entry { key, value, .. }) in entries.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(&text_json(key));
                    out.push(':');
                    walk(value, key, out, show);
                }
                out.push('}');
            }
        }
    }
    walk(node, "", out, show);
}

fn typed(scalar: &Scalar) -> String {
    match &scalar.typed {
        Typed::Null | Typed::Broken => "null".to_owned(),
        Typed::Bool(value) => value.to_string(),
        Typed::Number(json) => json.clone(),
        Typed::NotFinite | Typed::Text => text_json(&scalar.text),
    }
}

const MASK: &str = "\"***\"";

fn masked(scalar: &Scalar, key: &str) -> String {
    if scalar.is_secret() || is_sensitive(key) { MASK.to_owned() } else { typed(scalar) }
}

/// Whether a value under such a key, a header or a query pair, is mostly a secret, even where it was written out.
fn is_sensitive(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let key: String = key.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
    let parts =
        ["token", "secret", "password", "passwd", "apikey", "authorization", "cookie", "credential", "signature"];
    parts.iter().any(|part| key.contains(part))
        || matches!(key.as_str(), "key" | "appid" | "auth" | "pwd" | "accesskey")
}

/// The configuration in force: defaults put in, secrets as `***`.
pub(crate) fn rendered(server: &Node, reads: &[Read<'_>], spec: &ServerSpec) -> String {
    let mut shown = server.clone();
    let client = shown.get("client").cloned().unwrap_or_else(|| Node::empty(server.span));
    let client = with(client, "user_agent", &spec.client.user_agent);
    shown = with_node(shown, "client", client);
    let connect_timeout = spec.client.connect_timeout;
    let (mut sources, mut routes) = (Vec::new(), Vec::new());
    for read in reads {
        match &read.item {
            Item::Source(source) => {
                let mut node = with(read.merged.clone(), "connect_timeout", &format!("{connect_timeout:?}"));
                node = with_bulkhead(node, spec.limits.concurrency);
                if !source.aggregate {
                    node = with(node, "aggregate", "false");
                }
                let skipped = if node.entry("static").is_some() { &OF_A_CALL[..] } else { &[] };
                sources.push(block_without(skipped, Some(&node), &SOURCE));
            }
            Item::Route(route) => {
                let node = with(read.merged.clone(), "cache_key", &route.path);
                routes.push(block(Some(&node), &ROUTE));
            }
            Item::Nothing => {}
        }
    }
    let server = block(Some(&shown), &SERVER);
    format!("{{\"server\":{server},\"sources\":[{}],\"routes\":[{}]}}", sources.join(","), routes.join(","))
}

/// What a bulkhead is when it does not say: a share of the global semaphore.
fn with_bulkhead(source: Node, concurrency: u32) -> Node {
    let bulkhead = source.get("bulkhead").cloned().unwrap_or_else(|| Node::empty(source.span));
    let finds_itself = source.get("adaptive_concurrency").is_some_and(|adaptive| !adaptive.is_off());
    if !bulkhead.is_map() || finds_itself {
        return source;
    }
    let bulkhead = with(bulkhead, "max_concurrent", &share(concurrency).to_string());
    with_node(source, "bulkhead", bulkhead)
}

/// The map with a scalar under a key that it does not have.
fn with(node: Node, key: &str, text: &str) -> Node {
    if node.get(key).is_some() {
        return node;
    }
    let span = node.span;
    let scalar = Scalar { text: text.to_owned(), typed: scalar::plain(text), written: None, lead: 0 };
    with_node(node, key, Node { value: Value::Scalar(scalar), span })
}

fn with_node(mut node: Node, key: &str, value: Node) -> Node {
    let at = node.span;
    if let Value::Map(entries) = &mut node.value {
        entries.retain(|entry| entry.key != key);
        entries.push(Entry { key: key.to_owned(), at, value });
    }
    node
}

/// A block with the defaults of all keys that it does not have. Keys without a default are left out.
fn block(node: Option<&Node>, block: &'static Block) -> String {
    block_without(&[], node, block)
}

fn block_without(skipped: &[&str], node: Option<&Node>, block: &'static Block) -> String {
    let mut pairs = Vec::new();
    for key in block.all().filter(|key| !skipped.contains(&key.name)) {
        // A null in a tree is a value; elsewhere it is an absence.
        let own = match (key.kind, node.and_then(|node| node.entry(key.name))) {
            (Kind::Tree, Some(entry)) => Some(&entry.value),
            _ => node.and_then(|node| node.get(key.name)),
        };
        if let Some(json) = own.map(|own| value(own, key)).or_else(|| default(key)) {
            pairs.push(format!("{}:{json}", text_json(key.name)));
        }
    }
    format!("{{{}}}", pairs.join(","))
}

fn default(key: &'static Key) -> Option<String> {
    match (key.default, key.kind) {
        ("", _) => None,
        (text, _) if text.starts_with('(') => None,
        ("{}", Kind::Block(inner)) => Some(block(None, inner)),
        (text, _) if text.starts_with(['[', '{']) => Some(text.to_owned()),
        (text, _) => {
            let plain = Scalar { text: text.to_owned(), typed: scalar::plain(text), written: None, lead: 0 };
            Some(typed(&plain))
        }
    }
}

fn value(node: &Node, key: &'static Key) -> String {
    if key.secret {
        return MASK.to_owned();
    }
    let sensitive = matches!(key.kind, Kind::Database) && node.text().is_some_and(|text| text.starts_with("postgres"));
    if sensitive {
        return MASK.to_owned();
    }
    of_kind(node, &key.kind, key.name)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other kinds are scalars or trees")]
fn of_kind(node: &Node, kind: &'static Kind, name: &str) -> String {
    let list = |inner: &'static Kind| {
        let items: Vec<_> = node.items().iter().map(|item| of_kind(item, inner, name)).collect();
        format!("[{}]", items.join(","))
    };
    let map = |inner: &'static Kind| {
        let pair = |entry: &Entry| format!("{}:{}", text_json(&entry.key), of_kind(&entry.value, inner, &entry.key));
        let pairs: Vec<_> = node.entries().iter().map(pair).collect();
        format!("{{{}}}", pairs.join(","))
    };
    match kind {
        Kind::WordOr(_, inner) if node.is_map() => block(Some(node), inner),
        Kind::Block(inner) if node.is_map() || node.is_null() => block(Some(node), inner),
        Kind::Map(inner) => map(inner),
        Kind::List(inner) => list(inner),
        Kind::ListOrMap(inner, _) if !node.is_map() => list(inner),
        Kind::ListOrMap(_, inner) => map(inner),
        Kind::OneOrMany(inner) if !node.items().is_empty() => list(inner),
        // Words of ours, under a key that mostly holds a secret.
        Kind::LimitKey | Kind::OneOrMany(Kind::LimitKey) => {
            node.scalar().map_or_else(String::new, |scalar| masked(scalar, ""))
        }
        // Data that is served and shapes of data hold no secrets but those that came from outside.
        Kind::Tree | Kind::Projection if name != "body" => {
            let mut out = String::new();
            tree(node, &mut out, &mut |scalar, _| masked(scalar, ""));
            out
        }
        _ => {
            let mut out = String::new();
            tree(node, &mut out, &mut |scalar, key| masked(scalar, if key.is_empty() { name } else { key }));
            out
        }
    }
}
