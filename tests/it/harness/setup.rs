//! A configuration folder, and what a gateway is started with.

use std::path::Path;
use std::path::PathBuf;

use crate::harness::gateway::Gateway;
use crate::harness::script::Script;
use crate::harness::upstream::Upstream;

/// A configuration in a temporary folder.
#[must_use]
pub(crate) struct Setup {
    pub(super) folder: tempfile::TempDir,
    pub(super) environment: Vec<(String, String)>,
    pub(super) arguments: Vec<String>,
    pub(super) log_inside: bool,
    server: String,
}

impl Setup {
    /// An `aggd.yaml` that listens on a port of the kernel's choice and keeps no audit log, and an empty `sources.d`.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("aggd").tempdir().expect("no temporary folder");
        std::fs::create_dir(folder.path().join("sources.d")).unwrap();
        Self { folder, environment: Vec::new(), arguments: Vec::new(), log_inside: false, server: String::new() }
    }

    /// More of `aggd.yaml`; its `listen` and `database` replace the ones that are there otherwise.
    pub(crate) fn server(mut self, yaml: &str) -> Self {
        self.server.push_str(yaml);
        self.server.push('\n');
        self
    }

    /// The documents of `sources.d/main.yaml`.
    pub(crate) fn sources(self, documents: &[String]) -> Self {
        self.file("sources.d/main.yaml", &documents.join("---\n"))
    }

    /// Any file.
    pub(crate) fn file(self, path: &str, content: &str) -> Self {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// A variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// One more argument.
    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// The log is a file beside `aggd.yaml`, as with `aggd 2> log`.
    pub(crate) fn log_inside(mut self) -> Self {
        self.log_inside = true;
        self
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes `aggd.yaml`, and says where.
    pub(crate) fn write(&self) -> PathBuf {
        let has = |key: &str| self.server.lines().any(|line| line.starts_with(key));
        let mut yaml = String::new();
        for (key, value) in [("listen:", "127.0.0.1:0"), ("database:", "off")] {
            if !has(key) {
                yaml.push_str(&format!("{key} {value}\n"));
            }
        }
        yaml.push_str(&self.server);
        let path = self.folder.path().join("aggd.yaml");
        std::fs::write(&path, yaml).unwrap();
        path
    }

    /// Starts the gateway.
    #[track_caller]
    pub(crate) fn start(self) -> Gateway {
        self.write();
        Gateway::start(self)
    }
}

/// A source document: name, URL, and more lines of YAML.
pub(crate) fn source(name: &str, url: &str, more: &str) -> String {
    let end = if more.is_empty() || more.ends_with('\n') { "" } else { "\n" };
    format!("source: {name}\nurl: {url}\n{more}{end}")
}

/// The sources `a`, `b` and `c` at `/a`, `/b` and `/c`, which answer `{"n": NAME}`; each with these lines of YAML.
pub(crate) fn abc(upstream: &Upstream, more: &str) -> Vec<String> {
    let one = |name: &str| {
        let path = format!("/{name}");
        upstream.on(&path, Script::json(&serde_json::json!({ "n": name })));
        source(name, &upstream.url(&path), more)
    };
    ["a", "b", "c"].map(one).to_vec()
}
