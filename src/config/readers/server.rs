//! `aggd.yaml` → settings of the server.

use std::path::Path;
use std::time::Duration;

use http::HeaderName;

use crate::base::ByteSize;
use crate::base::Secret;
use crate::config::codes;
use crate::config::files::Included;
use crate::config::findings::At;
use crate::config::findings::Findings;
use crate::config::findings::problem;
use crate::config::node::Node;
use crate::config::node::Scalar;
use crate::config::readers::access;
use crate::config::readers::events;
use crate::config::readers::limits;
use crate::config::readers::shedding;
use crate::config::spec::ClientSpec;
use crate::config::spec::Database;
use crate::config::spec::DeadlineSpec;
use crate::config::spec::Limits;
use crate::config::spec::Listen;
use crate::config::spec::LogFormat;
use crate::config::spec::Network;
use crate::config::spec::OnInvalid;
use crate::config::spec::Pem;
use crate::config::spec::ReloadSpec;
use crate::config::spec::ServerSpec;
use crate::config::spec::StoreLimits;
use crate::config::spec::TelemetrySpec;
use crate::config::values;

/// Where the API listens when the file is silent.
const LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);
const LIMITS: Limits =
    Limits { concurrency: 100, max_waiting: 10_000, max_request_bytes: ByteSize::mib(1), max_connections: 10_000 };
const DEADLINE: DeadlineSpec = DeadlineSpec {
    header: Some(HeaderName::from_static("x-request-timeout")),
    max: Duration::from_secs(60),
    low_timeout_threshold: Duration::from_millis(5),
    response_reserve: Duration::from_millis(5),
};
const PRIORITY_HEADER: HeaderName = HeaderName::from_static("x-request-priority");
const STORE: StoreLimits = StoreLimits { max_bytes: ByteSize::mib(256), max_entries: 100_000 };
const RELOAD: ReloadSpec = ReloadSpec {
    watch: true,
    poll: Some(Duration::from_secs(5)),
    debounce: Duration::from_millis(250),
    on_invalid: OnInvalid::Reject,
};

/// Reads the server's settings; `base` is what relative paths are relative to.
pub(crate) fn server(node: &Node, base: &Path, included: &Included, findings: &mut Findings) -> ServerSpec {
    let at = At::document("");
    let listen = scalar(node, "listen").and_then(|scalar| values::listen(scalar).ok());
    let admin = node.get("admin");
    let admin_listen = admin.and_then(|admin| scalar(admin, "listen")).and_then(|scalar| values::listen(scalar).ok());
    let database = scalar(node, "database").and_then(|scalar| values::database(scalar, base).ok());
    let empty = Node::empty(node.span);
    let block = |key: &str| node.get(key).unwrap_or(&empty);
    let spec = ServerSpec {
        listen: listen.unwrap_or_else(|| Listen::Tcp(LISTEN.into())),
        admin_listen,
        admin_token: admin.and_then(|admin| admin.word("token")).map(Secret::new),
        database: database.unwrap_or_else(|| Database::Sqlite(base.join("aggd.db"))),
        limits: server_limits(block("limits")),
        deadline: deadline(block("deadline")),
        priority_header: header(node, "priority_header", Some(PRIORITY_HEADER)),
        auth: access::access(node, findings),
        trusted_proxies: networks(node.get("trusted_proxies")),
        rate_limits: limits::limits(node, findings),
        load_shedding: shedding::load_shedding(node, findings),
        background: shedding::background(node, findings),
        cache: store(block("cache")),
        client: client(block("client"), base, included, findings),
        reload: reload(block("reload")),
        events: events::events(block("events")),
        telemetry: telemetry(block("telemetry")),
    };
    // Port 0 is another one each time.
    let is_fixed = !matches!(spec.listen, Listen::Tcp(address) if address.port() == 0);
    if is_fixed && spec.admin_listen.as_ref() == Some(&spec.listen) {
        let message = "`admin.listen` is the address of the API itself";
        let help = "write another port, or remove it: then everything is served at `listen`";
        let admin_at = at.key("admin");
        findings.error(
            &admin_at.key("listen"),
            block("admin").spot_of("listen"),
            problem(codes::BAD_LISTEN, message).help(help),
        );
    }
    spec
}

fn scalar<'a>(node: &'a Node, key: &str) -> Option<&'a Scalar> {
    node.get(key).and_then(Node::scalar)
}

fn server_limits(node: &Node) -> Limits {
    Limits {
        concurrency: node.count("concurrency").unwrap_or(LIMITS.concurrency),
        max_waiting: node.count("max_waiting").unwrap_or(LIMITS.max_waiting),
        max_request_bytes: node.size("max_request_bytes").unwrap_or(LIMITS.max_request_bytes),
        max_connections: node.count("max_connections").unwrap_or(LIMITS.max_connections),
    }
}

fn deadline(node: &Node) -> DeadlineSpec {
    DeadlineSpec {
        header: header(node, "header", DEADLINE.header),
        max: node.duration("max").unwrap_or(DEADLINE.max),
        low_timeout_threshold: node.duration("low_timeout_threshold").unwrap_or(DEADLINE.low_timeout_threshold),
        response_reserve: node.duration("response_reserve").unwrap_or(DEADLINE.response_reserve),
    }
}

/// A header's name, or the default; `None`: `off`.
fn header(node: &Node, key: &str, default: Option<HeaderName>) -> Option<HeaderName> {
    match scalar(node, key).map(values::header_name) {
        _ if node.is_switched_off(key) => None,
        Some(Ok(name)) => Some(name),
        Some(Err(_)) | None => default,
    }
}

fn store(node: &Node) -> StoreLimits {
    StoreLimits {
        max_bytes: node.size("max_bytes").unwrap_or(STORE.max_bytes),
        max_entries: node.whole("max_entries").unwrap_or(STORE.max_entries),
    }
}

fn client(node: &Node, base: &Path, included: &Included, findings: &mut Findings) -> ClientSpec {
    let root = At::document("");
    let at = root.key("client");
    if let Some(agent) = scalar(node, "user_agent")
        && let Err(problem) = values::header_value(agent)
    {
        findings.error(&at.key("user_agent"), node.spot_of("user_agent"), problem);
    }
    ClientSpec {
        user_agent: node
            .word("user_agent")
            .map_or_else(|| concat!("aggd/", env!("CARGO_PKG_VERSION")).to_owned(), str::to_owned),
        connect_timeout: node.duration("connect_timeout").unwrap_or(Duration::from_secs(2)),
        pool_idle_timeout: node.duration("pool_idle_timeout").unwrap_or(Duration::from_secs(30)),
        pool_max_idle_per_host: node.count("pool_max_idle_per_host").unwrap_or(64),
        proxy: scalar(node, "proxy").and_then(|scalar| values::proxy(scalar).ok()),
        ca: pem(node, base, included, findings),
        allow_private_networks: node.switch("allow_private_networks").unwrap_or(true),
        deny_networks: networks(node.get("deny_networks")),
    }
}

fn networks(list: Option<&Node>) -> Vec<Network> {
    let items = list.map(Node::items).unwrap_or_default();
    items.iter().filter_map(|network| values::network(network.scalar()?).ok()).collect()
}

fn pem(node: &Node, base: &Path, included: &Included, findings: &mut Findings) -> Option<Pem> {
    let name = scalar(node, "ca")?;
    let path = base.join(&name.text);
    let problem = match included.content(&path) {
        Ok(content) if content.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") => {
            return Some(Pem { content: content.to_vec(), path });
        }
        Ok(_) => problem(codes::BAD_PEM, format!("there is no certificate in {}", name.shown()))
            .help("name a PEM file that holds `-----BEGIN CERTIFICATE-----`"),
        Err(reason) => problem(codes::BAD_PEM, format!("{} cannot be read: {reason}", name.shown()))
            .help("name a PEM file; a relative path is relative to the folder of aggd.yaml"),
    };
    let root = At::document("");
    findings.error(&root.key("client").key("ca"), node.spot_of("ca"), problem);
    None
}

fn reload(node: &Node) -> ReloadSpec {
    let poll = if node.is_switched_off("poll") { None } else { node.duration("poll").or(RELOAD.poll) };
    ReloadSpec {
        watch: node.switch("watch").unwrap_or(RELOAD.watch),
        poll,
        debounce: node.duration("debounce").unwrap_or(RELOAD.debounce),
        on_invalid: if node.word("on_invalid") == Some("quarantine") {
            OnInvalid::Quarantine
        } else {
            OnInvalid::Reject
        },
    }
}

fn telemetry(node: &Node) -> TelemetrySpec {
    let level = scalar(node, "level").and_then(|scalar| values::level(scalar).ok());
    TelemetrySpec {
        logs: if node.word("logs") == Some("json") { LogFormat::Json } else { LogFormat::Text },
        level: level.unwrap_or_else(|| "info".to_owned()),
    }
}
