//! `aggd demo`: the shipped example, run against upstreams that are built in and misbehave on request.
//!
//! The very files of the example are written into a private folder, loaded from there with an environment of the demo's
//! own, and watched, so that editing them shows hot reload. Nothing leaves the machine; the folder goes when it ends.

mod behaviour;
mod documents;
mod folder;
mod shipped;
mod tour;
mod upstreams;

use std::io;
use std::net::TcpListener;

use crate::app;
use crate::app::Loading;
use crate::cli::Exit;
use crate::cli::console;
use crate::cli::demo::folder::Folder;
use crate::cli::demo::tour::Tour;
use crate::cli::demo::upstreams::Upstreams;
use crate::cli::load;
use crate::cli::serve;
use crate::config::Environment;

/// Where the gateway listens unless `--listen` says otherwise or somebody else does already.
const LISTEN: &str = "127.0.0.1:8080";
const FREE_PORT: &str = "127.0.0.1:0";

/// The times of the demo: short enough to see a circuit open and close within a minute.
const CACHE_TTL_SECONDS: &str = "5";
const TIMEOUT_SECONDS: &str = "2";
const FAILURE_THRESHOLD: &str = "3";
const RECOVERY_SECONDS: &str = "10";

/// Runs the demo until it is asked to end.
pub(crate) fn run(listen: Option<&str>) -> Exit {
    let (upstreams, folder) = match prepare() {
        Ok(prepared) => prepared,
        Err(error) => {
            console::error(&format!("the demo can't be set up: {error}"));
            return Exit::Failed;
        }
    };
    let loading = match loading(&folder, &upstreams) {
        Ok(loading) => loading,
        Err(exit) => return exit,
    };
    let (listen, moved) = match listen {
        Some(listen) => (listen, false),
        None if TcpListener::bind(LISTEN).is_ok() => (LISTEN, false),
        None => (FREE_PORT, true),
    };
    serve::serve(loading, Some(listen), |addresses| {
        app::announce(addresses);
        if moved {
            console::result(&format!("{LISTEN} is taken by another process, so this is a free port"));
        }
        let (gateway, upstreams, folder) = (addresses.main.as_str(), upstreams.url(), folder.path());
        console::result(&Tour { gateway, upstreams: &upstreams, folder }.to_string());
    })
}

fn prepare() -> io::Result<(Upstreams, Folder)> {
    let folder = Folder::create()?;
    for (name, text) in shipped::FILES {
        folder.write(name, text)?;
    }
    Ok((Upstreams::start()?, folder))
}

/// Loads the example with the demo's environment and nothing of the process's.
fn loading(folder: &Folder, upstreams: &Upstreams) -> Result<Loading, Exit> {
    let base = upstreams.url();
    let url = |name: &str| format!("{base}/{name}");
    let database = format!("sqlite://{}", folder.path().join("aggd.db").display());
    let environment = Environment::from_pairs([
        ("WEATHER_URL", url("weather").as_str()),
        ("NEWS_URL", url("news").as_str()),
        ("MARKETS_URL", url("markets").as_str()),
        ("WEATHER_TIMEOUT", TIMEOUT_SECONDS),
        ("NEWS_TIMEOUT", TIMEOUT_SECONDS),
        ("MARKETS_TIMEOUT", TIMEOUT_SECONDS),
        ("CACHE_TTL_SECONDS", CACHE_TTL_SECONDS),
        ("CIRCUIT_FAILURE_THRESHOLD", FAILURE_THRESHOLD),
        ("CIRCUIT_RECOVERY_TIMEOUT", RECOVERY_SECONDS),
        ("DATABASE_URL", database.as_str()),
    ]);
    match load::read(Some(folder.path()), &environment) {
        Ok((location, files)) => load::from_files(location, files, environment),
        Err(report) => {
            console::aside(&report.render_text(console::colour_err()));
            Err(Exit::Failed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_document_of_an_upstream_fills_every_field_of_its_projection() {
        let folder = Folder::create().unwrap();
        for (name, text) in shipped::FILES {
            folder.write(name, text).unwrap();
        }
        let upstreams = Upstreams::start().unwrap();
        let loading = loading(&folder, &upstreams).unwrap();
        let sources = &loading.loaded.spec.sources;
        assert_eq!(
            sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>(),
            ["markets", "news", "weather"]
        );
        for source in sources {
            let (_, document) = documents::of(source.name.as_str()).unwrap()("");
            let bytes = bytes::Bytes::from(document.to_string());
            let shaped = source.shape.apply(&bytes, None).unwrap();
            let shaped: serde_json::Value = serde_json::from_slice(&shaped).unwrap();
            for (field, value) in shaped.as_object().unwrap() {
                let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
                assert!(!empty, "{}.{field} is {value}", source.name);
            }
        }
    }
}
