//! When to load: the operating system tells of a change, the files are found changed when they are read every so often
//! (network file systems tell nothing), `SIGHUP`, or a call asks for it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use notify::EventKind;
use notify::RecommendedWatcher;
use notify::RecursiveMode;
use notify::Watcher;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::config::spec::ReloadSpec;
use crate::live::LoadStatus;
use crate::reload::apply::Reloader;

/// A stream of changes is loaded in the middle after so many times `debounce`: it may never end.
const DEBOUNCE_ROUNDS: u32 = 8;
/// How often files are looked at where the operating system can't watch them and `poll` is off.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// Reloads whenever there is cause to, until `stop` says true.
pub(crate) async fn run(
    mut reloader: Reloader,
    mut calls: mpsc::Receiver<oneshot::Sender<LoadStatus>>,
    mut stop: watch::Receiver<bool>,
) {
    let (told, mut changes) = mpsc::channel(1);
    let mut hangups = match signal(SignalKind::hangup()) {
        Ok(hangups) => hangups,
        Err(error) => {
            tracing::error!(%error, "no reload on SIGHUP");
            return;
        }
    };
    let mut watched = Watched::new(told);
    loop {
        let set = reloader.shared.live.load().plan.server.reload;
        watched.follow(set, &reloader);
        let cause = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            Some(call) = calls.recv() => Cause::Call(call),
            _ = hangups.recv() => Cause::Hangup,
            Some(()) = changes.recv() => Cause::Change,
            () = tokio::time::sleep(set.poll.unwrap_or(NEVER)) => Cause::Poll,
        };
        match cause {
            Cause::Call(told) => {
                let (back, status) = load(reloader).await;
                reloader = back;
                watched.refresh();
                // Whoever asked may have left.
                drop(told.send(status));
            }
            Cause::Hangup => {
                tracing::info!("SIGHUP: reloading");
                reloader = load(reloader).await.0;
                watched.refresh();
            }
            Cause::Change | Cause::Poll => {
                let (back, differs) = looked_at(reloader).await;
                reloader = back;
                if differs {
                    quiet(&mut changes, set.debounce).await;
                    reloader = load(reloader).await.0;
                    watched.refresh();
                }
            }
        }
    }
}

enum Cause {
    Call(oneshot::Sender<LoadStatus>),
    Hangup,
    Change,
    Poll,
}

/// Waits until nothing changes for `debounce`, but not for ever.
async fn quiet(changes: &mut mpsc::Receiver<()>, debounce: Duration) {
    for _ in 0..DEBOUNCE_ROUNDS {
        if tokio::time::timeout(debounce, changes.recv()).await.is_err() {
            return;
        }
    }
}

/// Reading files blocks: it is done where that harms nobody.
async fn load(mut reloader: Reloader) -> (Reloader, LoadStatus) {
    blocking(move || {
        let status = reloader.load();
        (reloader, status)
    })
    .await
}

async fn looked_at(reloader: Reloader) -> (Reloader, bool) {
    blocking(move || {
        let differs = reloader.differs();
        (reloader, differs)
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // A load that panicked is a defect that must show, in tests and in logs; the gateway goes on without reloads.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

/// The folders that the operating system watches for us.
struct Watched {
    told: mpsc::Sender<()>,
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
}

impl Watched {
    fn new(told: mpsc::Sender<()>) -> Self {
        Self { told, watcher: None, folders: BTreeSet::new() }
    }

    /// Watches the folders of the configuration as it is now. Folders, not files: a file's watch dies with the first
    /// editor that saves by renaming.
    fn follow(&mut self, set: ReloadSpec, reloader: &Reloader) {
        if !set.watch {
            self.watcher = None;
            self.folders.clear();
            return;
        }
        let folders = reloader.folders();
        if self.watcher.is_some() && folders == self.folders {
            return;
        }
        let told = self.told.clone();
        let concerns = reloader.concerns();
        let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading a file is an event too, and would have us reload for ever.
            let is_change = event.map_or(true, |event| {
                let is_ours = event.paths.is_empty() || event.paths.iter().any(|path| concerns.include(path));
                is_ours && !matches!(event.kind, EventKind::Access(_))
            });
            if is_change {
                // Full: a wish to look is waiting already.
                let _waiting_already: Result<(), _> = told.try_send(());
            }
        });
        match made {
            Ok(mut watcher) => {
                for folder in &folders {
                    if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                        tracing::warn!(folder = %folder.display(), %error, "can't watch; `reload.poll` sees changes");
                    }
                }
                self.watcher = Some(watcher);
                self.folders = folders;
                // What changed since the files were read, and before they were watched, nobody would tell of.
                let _waiting_already: Result<(), _> = self.told.try_send(());
            }
            Err(error) => tracing::warn!(%error, "can't watch files; `reload.poll` sees changes"),
        }
    }

    /// After a load: what is read may be other files, and a folder that was replaced by another of its name has lost
    /// its watch silently. The next turn makes all anew.
    fn refresh(&mut self) {
        self.watcher = None;
    }
}
