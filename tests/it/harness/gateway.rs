//! The real binary, serving.

use std::io::BufRead as _;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use http::Method;
use serde_json::Value;

use crate::harness::client::Ask;
use crate::harness::client::Http;
use crate::harness::client::Reply;
use crate::harness::client::client;
use crate::harness::command::binary;
use crate::harness::setup::Setup;

/// How much of the end of its log is shown when a test fails.
const SHOWN: usize = 20_000;
/// It says where it listens within this.
const START: Duration = Duration::from_secs(20);

/// A running gateway, killed with the value. A panic in its log fails the test.
pub(crate) struct Gateway {
    child: Child,
    folder: tempfile::TempDir,
    /// Where its standard error goes; the folder of it goes with the value.
    log: PathBuf,
    _beside: tempfile::TempDir,
    /// `127.0.0.1:4711` or `unix:/path`.
    pub(crate) address: String,
    /// The address of the control plane where it has its own.
    pub(crate) admin: Option<String>,
    /// The line that it printed when it was ready.
    pub(crate) announced: String,
    /// All that it printed so far.
    printed: Arc<Mutex<String>>,
    client: Http,
}

impl Gateway {
    /// Starts one with these sources and a default `aggd.yaml`.
    #[track_caller]
    pub(crate) fn of(documents: &[String]) -> Self {
        Setup::new().sources(documents).start()
    }

    #[track_caller]
    pub(super) fn start(setup: Setup) -> Self {
        let Setup { folder, environment, arguments, log_inside, .. } = setup;
        let beside = tempfile::Builder::new().prefix("log").tempdir().unwrap();
        let log_path = if log_inside { folder.path() } else { beside.path() }.join("log");
        let log = std::fs::File::create(&log_path).unwrap();
        let mut command = binary();
        command.current_dir(folder.path()).args(&arguments).envs(environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the binary does not start");
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = mpsc::channel();
        let printed = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&printed);
        std::thread::spawn(move || {
            let mut line = String::new();
            while out.read_line(&mut line).is_ok_and(|length| length > 0) {
                kept.lock().unwrap().push_str(&line);
                // Only the first one is waited for.
                drop(tell.send(std::mem::take(&mut line)));
            }
        });
        let line = told.recv_timeout(START).unwrap_or_default();
        let Some(rest) = line.trim_end().split_once(" listening on ").map(|(_, rest)| rest) else {
            drop(child.kill());
            let status = child.wait();
            let log = std::fs::read_to_string(&log_path).unwrap_or_default();
            panic!("the gateway did not start ({status:?}): {line}\n{log}");
        };
        let (main, admin) = match rest.split_once(", admin on ") {
            Some((main, admin)) => (main, Some(admin)),
            None => (rest, None),
        };
        let bare = |url: &str| url.trim_start_matches("http://").to_owned();
        let (address, admin) = (bare(main), admin.map(bare));
        Self {
            child,
            folder,
            log: log_path,
            _beside: beside,
            address,
            admin,
            announced: line.clone(),
            printed,
            client: client(false),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask {
        Ask::new(&self.client, method, &self.url(path))
    }

    /// The same of any URL.
    pub(crate) fn ask_url(&self, method: Method, url: &str) -> Ask {
        Ask::new(&self.client, method, url)
    }

    /// The same with HTTP/2 and prior knowledge.
    pub(crate) fn ask_h2(&self, method: Method, path: &str) -> Ask {
        Ask::new(&client(true), method, &self.url(path))
    }

    /// The same of the control plane's own address.
    pub(crate) fn ask_admin(&self, method: Method, path: &str) -> Ask {
        let admin = self.admin.as_deref().expect("no `admin.listen`");
        Ask::new(&self.client, method, &format!("http://{admin}{path}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path).send().await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        self.ask(Method::POST, path).header("content-type", "application/json").body(body.to_owned()).send().await
    }

    /// So many at once.
    pub(crate) async fn get_many(&self, path: &str, count: usize) -> Vec<Reply> {
        futures_util::future::join_all((0..count).map(|_| self.get(path))).await
    }

    /// The body of `/health`.
    pub(crate) async fn health(&self) -> Value {
        self.get("/health").await.expect(200).json()
    }

    /// What `/health` says of one source.
    pub(crate) async fn upstream(&self, source: &str) -> Value {
        self.health().await["upstreams"][source].take()
    }

    pub(crate) async fn circuit(&self, source: &str) -> String {
        self.upstream(source).await["circuit_state"].as_str().unwrap_or_default().to_owned()
    }

    /// The sum of a metric's series that have all these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let page = self.get("/metrics").await.expect(200).text();
        let has = |line: &&str| labels.iter().all(|(key, value)| line.contains(&format!("{key}=\"{value}\"")));
        let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let lines = page.lines().filter(of_name).filter(has);
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the configuration in place.
    pub(crate) fn save(&self, path: &str, content: &str) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Writes a file beside and renames it, as editors do.
    pub(crate) fn replace(&self, path: &str, content: &str) {
        let path: PathBuf = self.folder.path().join(path);
        let beside = path.with_extension("new~");
        std::fs::write(&beside, content).unwrap();
        std::fs::rename(beside, path).unwrap();
    }

    /// Orders a reload and waits for its end.
    pub(crate) async fn reload(&self) -> Reply {
        self.post("/admin/reload", "").await
    }

    /// What it printed on standard output so far.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its resident memory, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "no signal sent");
    }

    /// Waits for its end; gives the exit status.
    pub(crate) async fn ended(&mut self, limit: Duration) -> i32 {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < end, "still running after {limit:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks it to end, and waits until it has: then everything is flushed.
    pub(crate) async fn stop(&mut self) {
        self.signal("TERM");
        assert_eq!(self.ended(Duration::from_secs(15)).await, 0, "{}", self.log());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        let log = self.log();
        if std::thread::panicking() {
            let end = log.len().saturating_sub(SHOWN);
            let end = log.ceil_char_boundary(end);
            eprintln!("the gateway's log:\n{}", &log[end..]);
        } else {
            assert!(!log.contains("panicked at"), "the gateway panicked:\n{log}");
        }
    }
}
