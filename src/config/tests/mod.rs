//! The whole way from files to settings.

mod bad;
mod good;
mod kept;

use std::path::Path;

use crate::config::Environment;
use crate::config::Files;
use crate::config::Loaded;
use crate::config::load;
use crate::config::locate;
use crate::config::read;

/// A value that no output may show.
const SECRET: &str = "hunter2-s3cret";

fn environment() -> Environment {
    Environment::from_pairs([("SECRET", SECRET), ("TEN", "10"), ("EMPTY", ""), ("TOKEN", SECRET)])
}

/// The files of a folder.
fn files_in(folder: &Path) -> Files {
    let location = locate(None, folder).unwrap();
    read(&location, &environment()).map_err(|report| report.render_text(false)).unwrap()
}

/// Files written to a folder of their own: name and text.
fn files(texts: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("sources.d")).unwrap();
    for (name, text) in texts {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let files = files_in(dir.path());
    (dir, files)
}

/// Loaded, with its findings as text.
fn loaded(texts: &[(&str, &str)]) -> (Loaded, String) {
    let (_dir, files) = files(texts);
    let loaded = load(&files, &environment());
    let text = loaded.report.render_text(false);
    (loaded, text)
}

/// One file of sources, without any finding.
fn clean(text: &str) -> Loaded {
    let (loaded, said) = loaded(&[("sources.d/a.yaml", text)]);
    assert_eq!(said, "");
    loaded
}
