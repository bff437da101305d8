//! Where the configuration lives.

use std::path::Path;
use std::path::PathBuf;

use crate::config::codes;
use crate::diag::Finding;
use crate::diag::Place;
use crate::diag::Severity;

/// The name of the file with the settings of the server.
const SERVER_FILE: &str = "aggd.yaml";
/// Where sources are, unless `sources` says otherwise.
const SOURCES_FOLDER: &str = "sources.d";

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// `aggd.yaml`; `None`: there is none, everything has its default.
    pub(crate) server: Option<PathBuf>,
    /// The folder of sources, unless `sources` of `aggd.yaml` names another one.
    pub(crate) sources: PathBuf,
    /// What relative paths of settings are relative to.
    pub(crate) base: PathBuf,
    /// What is left away where a file is named to people.
    pub(crate) shown_from: PathBuf,
}

/// Finds the files: what `--config` names, else `./aggd.yaml`, else `./sources.d`.
#[expect(clippy::result_large_err, reason = "made once, at start")]
pub(crate) fn locate(config: Option<&Path>, cwd: &Path) -> Result<Location, Finding> {
    match config {
        Some(path) => named(path, cwd),
        None => default(cwd),
    }
}

#[expect(clippy::result_large_err, reason = "made once, at start")]
fn named(path: &Path, cwd: &Path) -> Result<Location, Finding> {
    let full = cwd.join(path);
    if full.is_file() {
        return Ok(with_server(full, cwd));
    }
    if full.is_dir() {
        let server = full.join(SERVER_FILE);
        if server.is_file() {
            return Ok(with_server(server, cwd));
        }
        // The folder around the sources is as good an answer as theirs, if nothing in it is a source.
        let inner = full.join(SOURCES_FOLDER);
        return Ok(without_server(if inner.is_dir() && !holds_documents(&full) { inner } else { full }, cwd));
    }
    let help = format!("give an {SERVER_FILE}, or a folder with one, or a folder of sources");
    Err(missing(path, "there is no such file or folder".into(), help))
}

#[expect(clippy::result_large_err, reason = "made once, at start")]
fn default(cwd: &Path) -> Result<Location, Finding> {
    let server = cwd.join(SERVER_FILE);
    if server.is_file() {
        return Ok(with_server(server, cwd));
    }
    let sources = cwd.join(SOURCES_FOLDER);
    if sources.is_dir() {
        return Ok(without_server(sources, cwd));
    }
    let help = format!(
        "to start, write a file {SOURCES_FOLDER}/hello.yaml that says\n  source: hello\n  url: https://api.example.org/hello\n\
         or name your configuration: aggd --config PATH"
    );
    Err(missing(cwd, format!("no configuration here: neither {SERVER_FILE} nor {SOURCES_FOLDER}"), help))
}

fn holds_documents(folder: &Path) -> bool {
    let is_yaml = |path: &Path| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    std::fs::read_dir(folder).is_ok_and(|all| all.flatten().any(|entry| is_yaml(&entry.path())))
}

fn with_server(server: PathBuf, cwd: &Path) -> Location {
    let base = server.parent().unwrap_or(cwd).to_path_buf();
    let sources = base.join(SOURCES_FOLDER);
    Location { server: Some(server), sources, base, shown_from: cwd.to_path_buf() }
}

fn without_server(sources: PathBuf, cwd: &Path) -> Location {
    Location { server: None, sources, base: cwd.to_path_buf(), shown_from: cwd.to_path_buf() }
}

fn missing(path: &Path, message: String, help: String) -> Finding {
    Finding {
        code: codes::NOT_FOUND,
        severity: Severity::Error,
        place: Place::of_file(&path.display().to_string()),
        path: String::new(),
        line_text: String::new(),
        message,
        help: Some(help),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_wins_over_the_folder_and_nothing_says_how_to_start() {
        let dir = tempfile::tempdir().unwrap();
        let cwd = dir.path();
        let finding = locate(None, cwd).unwrap_err();
        assert!(finding.help.unwrap().contains("source: hello"));
        std::fs::create_dir(cwd.join("sources.d")).unwrap();
        assert_eq!(locate(None, cwd).unwrap().server, None);
        std::fs::write(cwd.join("aggd.yaml"), "").unwrap();
        let found = locate(None, cwd).unwrap();
        assert_eq!(found.server, Some(cwd.join("aggd.yaml")));
        assert_eq!(found.sources, cwd.join("sources.d"));
    }

    #[test]
    fn a_named_folder_is_the_home_of_a_server_file_or_the_sources_themselves() {
        let dir = tempfile::tempdir().unwrap();
        let cwd = dir.path();
        std::fs::create_dir(cwd.join("mine")).unwrap();
        assert_eq!(locate(Some(Path::new("mine")), cwd).unwrap().sources, cwd.join("mine"));
        std::fs::write(cwd.join("mine/aggd.yaml"), "").unwrap();
        assert_eq!(locate(Some(Path::new("mine")), cwd).unwrap().sources, cwd.join("mine/sources.d"));
        assert_eq!(locate(Some(Path::new("mine/aggd.yaml")), cwd).unwrap().base, cwd.join("mine"));
        assert!(locate(Some(Path::new("none")), cwd).is_err());
    }
}
