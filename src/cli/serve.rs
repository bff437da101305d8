//! `aggd serve`: the gateway itself.

use std::path::Path;

use crate::app;
use crate::app::App;
use crate::app::Loading;
use crate::app::StartError;
use crate::cli::Exit;
use crate::cli::console;
use crate::cli::load;
use crate::config;
use crate::record::Logs;

/// Runs the gateway until it is asked to end.
pub(crate) fn run(config: Option<&Path>, listen: Option<&str>) -> Exit {
    match load::load(config) {
        Ok(loading) => serve(loading, listen, app::announce),
        Err(exit) => exit,
    }
}

/// Runs a gateway of this configuration; `ready` is told where it listens.
pub(crate) fn serve(mut loading: Loading, listen: Option<&str>, ready: impl FnOnce(&app::Addresses)) -> Exit {
    if let Some(text) = listen {
        match config::parse_listen(text) {
            Ok(listen) => loading.loaded.spec.server.listen = listen,
            Err(why) => {
                console::error(&format!("--listen: {why}"));
                return Exit::Failed;
            }
        }
    }
    let logs = Logs::install(&loading.loaded.spec.server.telemetry);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            console::error(&format!("no runtime: {error}"));
            return Exit::Failed;
        }
    };
    let end = runtime.block_on(async {
        let asked = app::asked_to_end()?;
        App::build(loading, logs)?.serve(ready, asked).await
    });
    // Threads that still block (a file, a name look-up) are not waited for.
    runtime.shutdown_background();
    match end {
        Ok(()) => Exit::Fine,
        Err(error) => failed(&error),
    }
}

/// A runtime for as many processors as there are: on one, without threads to wake.
pub(crate) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match processors {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build()
}

fn failed(error: &StartError) -> Exit {
    console::error(&error.to_string());
    match error {
        StartError::Client(_) => Exit::Refused,
        StartError::Database(error) if error.is_configuration() => Exit::Refused,
        StartError::Database(_) | StartError::Listen(_) | StartError::Signals(_) => Exit::Failed,
    }
}
