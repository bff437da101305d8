//! A PostgreSQL server for one test, on a Unix socket in a temporary folder, gone when the test is.
//!
//! Mounted by the integration tests and, by path, by the unit tests of the store.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

/// PostgreSQL refuses to run as root; this is the user that its packages make.
const USER: &str = "postgres";

/// Runs the server until it ends or standard input closes, whichever comes first. The latter happens also when the
/// test is killed, so no server is ever left behind. Durability is off: the data does not outlive the test.
const WATCH: &str = r#"
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c full_page_writes=off \
    -c shared_buffers=16MB -c max_connections=30 >>"$2/log" 2>&1 </dev/null &
server=$!
read -r _
kill -QUIT "$server" 2>/dev/null
wait "$server"
"#;

/// A server with an empty database. Dropping it ends it and removes its files.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: tempfile::TempDir,
    running: Option<Child>,
}

impl Postgres {
    /// Makes a database and starts its server.
    pub(crate) fn start() -> Self {
        let mut server = Self::stopped();
        server.start_again();
        server
    }

    /// Makes a database whose server does not run yet.
    pub(crate) fn stopped() -> Self {
        let programs = programs().expect("PostgreSQL is needed for this test. install it: apt-get install postgresql");
        let folder = tempfile::Builder::new().prefix("pg").tempdir().expect("no temporary folder");
        if is_root() {
            run(Command::new("chown").arg(USER).arg(folder.path()));
        }
        let data = folder.path().join("data");
        let initdb = programs.join("initdb");
        let options = ["--no-sync", "--auth=trust", "--encoding=UTF8", "--no-locale", "--username", USER, "-D"];
        run(as_user(initdb.as_os_str(), folder.path()).args(options).arg(data));
        Self { programs, folder, running: None }
    }

    /// Starts the server, and waits until it answers.
    pub(crate) fn start_again(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        let mut command = as_user(OsStr::new("sh"), self.folder.path());
        command.args(["-c", WATCH, "watch"]).arg(&self.programs).arg(self.folder.path());
        self.running = Some(command.stdin(Stdio::piped()).spawn().expect("no shell"));
        for _ in 0..600 {
            let mut ready = Command::new(self.programs.join("pg_isready"));
            let ready = ready.args(["-q", "-d", "postgres", "-h"]).arg(self.folder.path()).status();
            if ready.expect("no pg_isready").success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("PostgreSQL did not start:\n{log}");
    }

    /// Ends the server at once, as a crash does; its data stays.
    pub(crate) fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.stdin.take());
            running.wait().expect("the server was not ours");
        }
    }

    /// What to write as `database`.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}@localhost/postgres?host={}", self.folder.path().display())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A command that runs as a user whom PostgreSQL accepts, in a folder that this user may enter.
fn as_user(program: &OsStr, folder: &Path) -> Command {
    let mut command = if is_root() {
        let mut runuser = Command::new("runuser");
        runuser.args(["-u", USER, "--"]).arg(program);
        runuser
    } else {
        Command::new(program)
    };
    command.current_dir(folder);
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The folder of PostgreSQL's programs: on the path, or where Debian keeps them; there, the newest.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| has_programs(folder));
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let installed = versions.map(|version| version.path().join("bin")).filter(|folder| has_programs(folder));
    on_path.or_else(|| installed.max_by_key(|folder| version(folder)))
}

fn has_programs(folder: &Path) -> bool {
    ["initdb", "postgres", "pg_isready"].iter().all(|program| folder.join(program).exists())
}

/// The number in `/usr/lib/postgresql/15/bin`.
fn version(programs: &Path) -> Option<u32> {
    programs.parent()?.file_name()?.to_str()?.parse().ok()
}
