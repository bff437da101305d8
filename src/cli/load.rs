//! Loading a configuration for a command, or saying why it can't be.

use std::path::Path;

use crate::app::Loading;
use crate::cli::Exit;
use crate::cli::console;
use crate::config;
use crate::config::Environment;
use crate::config::Files;
use crate::config::Location;
use crate::config::spec::OnInvalid;
use crate::diag::Report;

/// Finds and reads the files of a configuration.
pub(crate) fn read(config: Option<&Path>, environment: &Environment) -> Result<(Location, Files), Report> {
    let cwd = std::env::current_dir().unwrap_or_default();
    let location = config::locate(config, &cwd).map_err(Report::of)?;
    let files = config::read(&location, environment)?;
    Ok((location, files))
}

/// Loads a configuration that is to be run. With findings it is refused, unless it says `on_invalid: quarantine`.
pub(crate) fn load(config: Option<&Path>) -> Result<Loading, Exit> {
    let environment = Environment::from_process();
    let (location, files) = read(config, &environment).map_err(|report| refuse(&report))?;
    from_files(location, files, environment)
}

/// The same from files that were read already.
pub(crate) fn from_files(location: Location, files: Files, environment: Environment) -> Result<Loading, Exit> {
    let mut loaded = config::load(&files, &environment);
    let mut quarantined = false;
    if loaded.report.has_errors() {
        if loaded.spec.server.reload.on_invalid != OnInvalid::Quarantine {
            return Err(refuse(&loaded.report));
        }
        loaded = config::load_quarantined(&files, &environment, None);
        if !loaded.usable {
            return Err(refuse(&loaded.report));
        }
        quarantined = true;
    }
    if !loaded.report.is_empty() {
        console::aside(&loaded.report.render_text(console::colour_err()));
    }
    Ok(Loading { location, environment, files, loaded, quarantined })
}

fn refuse(report: &Report) -> Exit {
    console::aside(&report.render_text(console::colour_err()));
    console::error("configuration refused; `aggd check` prints the same");
    Exit::Refused
}
