//! `aggd test`: the shipped examples, what stands in for the network, time that is none, and how failures are told.

mod engine;
mod told;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::Setup;

/// A configuration with these documents, written.
fn setup(documents: &str) -> Setup {
    let setup = Setup::new().file("sources.d/main.yaml", documents);
    setup.write();
    setup
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Plays the tests of a shipped folder in the environment that its `env.example` writes down, with nothing else in it.
fn play(folder: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aggd"));
    command.env_clear().args(["test", "--config"]).arg(folder);
    let sets = std::fs::read_to_string(folder.join("env.example")).unwrap_or_default();
    let pairs = sets.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let output = command.envs(pairs).output().unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    (output.status.success(), printed)
}

#[test]
fn the_shipped_example_and_every_folder_of_examples_pass_their_own_tests() {
    let mut folders: Vec<_> =
        std::fs::read_dir(root().join("examples")).unwrap().flatten().map(|entry| entry.path()).collect();
    folders.retain(|path| path.is_dir());
    folders.push(root());
    assert!(folders.len() >= 5, "the walk found {folders:?}");
    for folder in folders {
        let (passed, printed) = play(&folder);
        assert!(passed, "{folder:?}:\n{printed}");
        let count = printed.lines().filter(|line| line.starts_with("ok    ")).count();
        assert!(count >= 3, "{folder:?} has too few tests:\n{printed}");
        let last = printed.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("{count} passed in ")), "{folder:?}:\n{printed}");
    }
}
