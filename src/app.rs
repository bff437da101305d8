//! The composition root: builds everything, starts it in order, stops it in order, and owns the tasks.

use std::future::Future;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::watch;

use crate::base::Clock;
use crate::base::Tasks;
use crate::config::Environment;
use crate::config::Files;
use crate::config::Loaded;
use crate::config::Location;
use crate::config::spec::Database;
use crate::config::spec::ServerSpec;
use crate::inbound;
use crate::inbound::ListenError;
use crate::inbound::Listener;
use crate::inbound::Plane;
use crate::inbound::ReloadCall;
use crate::inbound::Server;
use crate::live::Live;
use crate::live::Status;
use crate::live::Watch;
use crate::outbound::ClientError;
use crate::outbound::Network;
use crate::record::AuditQueue;
use crate::record::AuditWriter;
use crate::record::BackgroundGauges;
use crate::record::Events;
use crate::record::Logs;
use crate::record::Metrics;
use crate::record::Store;
use crate::record::StoreError;
use crate::reload;
use crate::reload::Reloader;
use crate::request::Refreshes;
use crate::request::Shared;

/// How long requests under way may take once the process is asked to end.
const GRACE: Duration = Duration::from_secs(30);
/// How long audit records may take to be written after that.
const FLUSH: Duration = Duration::from_secs(10);
/// How long the start waits for the audit log's tables.
const PREPARE: Duration = Duration::from_secs(2);
/// How often what no reader can want any more is taken out of the cache, and how much of it at a time.
const SWEEP: (Duration, usize) = (Duration::from_secs(2), 1_000);

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("`client`: {0}")]
    Client(#[from] ClientError),
    #[error("`database`: {0}")]
    Database(#[from] StoreError),
    #[error("signals can't be received: {0}")]
    Signals(#[from] std::io::Error),
}

/// A configuration that was loaded, and where from.
pub(crate) struct Loading {
    pub(crate) location: Location,
    pub(crate) environment: Environment,
    pub(crate) files: Files,
    pub(crate) loaded: Loaded,
    /// Whether broken documents were left out.
    pub(crate) quarantined: bool,
}

/// What a gateway stands on.
pub(crate) struct Ground {
    pub(crate) clock: Clock,
    /// In place of the real network.
    pub(crate) network: Option<Arc<dyn Network>>,
    /// Whether answers bring their audit records, database or not.
    pub(crate) audited: bool,
}

/// A gateway, built and not yet serving.
pub(crate) struct App {
    pub(crate) shared: Arc<Shared>,
    server: Arc<Server>,
    store: Option<Arc<Store>>,
    reloader: Reloader,
    reload_calls: mpsc::Receiver<ReloadCall>,
}

/// What a started gateway listens on.
pub(crate) struct Addresses {
    pub(crate) main: String,
    pub(crate) admin: Option<String>,
}

impl App {
    /// Builds a gateway. Needs a tokio runtime; opens no listener.
    pub(crate) fn build(loading: Loading, logs: Logs) -> Result<Self, StartError> {
        Self::build_upon(loading, logs, Ground { clock: Clock::start(), network: None, audited: false })
    }

    /// The same upon another ground than the real one.
    pub(crate) fn build_upon(loading: Loading, logs: Logs, ground: Ground) -> Result<Self, StartError> {
        let Loading { location, environment, files, loaded, quarantined } = loading;
        let Ground { clock, network, audited } = ground;
        let started = loaded.spec.server.clone();
        let metrics = Arc::new(Metrics::new());
        let events = Events::new(clock);
        let status = Arc::new(Status::new(reload::first_status(&loaded.report, &clock, quarantined)));
        let watched = loaded.watched.clone();
        let (snapshot, clients) = reload::first(loaded, &clock, &metrics, &events, network)?;
        let store = open(&started.database)?.map(Arc::new);
        let shared = Arc::new(Shared {
            clock,
            live: Live::new(Arc::new(snapshot)),
            metrics,
            audit: (audited || store.is_some())
                .then(|| AuditQueue::new(started.background.audit, Some(events.clone()))),
            events,
            tasks: Tasks::default(),
            refreshes: Refreshes::default(),
        });
        let (reload, reload_calls) = mpsc::channel(1);
        let server = server(&shared, store.clone(), Arc::clone(&status), reload, &started);
        let reloader = Reloader {
            location,
            environment,
            shared: Arc::clone(&shared),
            status,
            logs,
            clients,
            started,
            seen: Some(files.fingerprint()),
            watched,
            good: (!quarantined).then_some(files),
        };
        Ok(Self { shared, server, store, reloader, reload_calls })
    }

    /// Serves until `until` resolves; `ready` is told the addresses once they are open. Everything is flushed and
    /// closed when it returns.
    pub(crate) async fn serve(
        self,
        ready: impl FnOnce(&Addresses),
        until: impl Future<Output = ()>,
    ) -> Result<(), StartError> {
        let Self { shared, server, store, reloader, reload_calls } = self;
        let main = Listener::open(&reloader.started.listen)?;
        let admin = reloader.started.admin_listen.as_ref().map(Listener::open).transpose()?;
        let addresses = Addresses { main: main.address(), admin: admin.as_ref().map(Listener::address) };
        let (stop, stopping) = watch::channel(false);
        let tasks = Tasks::default();
        let serve = |listener, plane| {
            tasks.spawn(inbound::serve(Arc::clone(&server), listener, plane, stopping.clone(), GRACE))
        };
        let listening: Vec<_> =
            std::iter::once(serve(main, Plane::Main)).chain(admin.map(|admin| serve(admin, Plane::Admin))).collect();
        let reloading = tasks.spawn(reload::run(reloader, reload_calls, stopping.clone()));
        let sweeping = tasks.spawn(sweep(Arc::clone(&shared), stopping.clone()));
        let (watched, filled) = (Arc::clone(&shared), Arc::clone(&shared));
        let fullest = move || filled.background().iter().map(BackgroundGauges::fill).fold(0.0, f64::max);
        let (clock, events) = (shared.clock, shared.events.clone());
        let watch = Watch { clock, events, snapshot: move || watched.live.load(), fullest };
        let watching = tasks.spawn(watch.run(stopping.clone()));
        let (flush, flushing) = watch::channel(false);
        let writing = writer(&shared, store.as_ref(), flushing).map(|work| tasks.spawn(work));
        if let Some(store) = &store {
            // Ready means that the audit log is; but a database that is away keeps nobody from being served.
            drop(tokio::time::timeout(PREPARE, store.prepare()).await);
        }
        tracing::info!(
            listen = addresses.main,
            admin = addresses.admin,
            version = env!("CARGO_PKG_VERSION"),
            "serving"
        );
        ready(&addresses);
        until.await;
        tracing::info!("stopping: no new connections, requests under way may finish");
        server.stop();
        shared.events.close();
        stop.send_replace(true);
        for task in listening {
            // A listener that panicked has said so already.
            drop(task.await);
        }
        // Upstream calls that nobody waits for any more are cut off after this.
        drop(tokio::time::timeout(Duration::from_secs(1), shared.tasks.idle()).await);
        flush.send_replace(true);
        for task in [Some(reloading), Some(sweeping), Some(watching), writing].into_iter().flatten() {
            // The writer keeps its own time; none of them may keep the process from ending.
            if tokio::time::timeout(FLUSH + Duration::from_secs(1), task).await.is_err() {
                tracing::warn!("a task did not end in time and is cut off");
            }
        }
        if let Some(store) = store {
            store.close().await;
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Resolves when the process is asked to end, by `SIGTERM` or `SIGINT`.
pub(crate) fn asked_to_end() -> Result<impl Future<Output = ()>, StartError> {
    use tokio::signal::unix::SignalKind;
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Says on standard output where the gateway listens: what a script that started it waits for.
pub(crate) fn announce(addresses: &Addresses) {
    let scheme =
        |address: &str| if address.starts_with("unix:") { address.to_owned() } else { format!("http://{address}") };
    let mut out = std::io::stdout().lock();
    let admin = addresses.admin.as_deref().map(|admin| format!(", admin on {}", scheme(admin))).unwrap_or_default();
    // A closed standard output is no reason not to serve.
    drop(writeln!(out, "aggd {} listening on {}{admin}", env!("CARGO_PKG_VERSION"), scheme(&addresses.main)));
    drop(out.flush());
}

/// Opens the audit log. A database that does not answer yet is no error; one that never can is.
pub(crate) fn open(database: &Database) -> Result<Option<Store>, StoreError> {
    match database {
        Database::Off => Ok(None),
        Database::Sqlite(path) => Store::sqlite(path).map(Some),
        Database::Postgres(url) => Store::postgres(url).map(Some),
    }
}

fn server(
    shared: &Arc<Shared>,
    store: Option<Arc<Store>>,
    status: Arc<Status>,
    reload: mpsc::Sender<ReloadCall>,
    started: &ServerSpec,
) -> Arc<Server> {
    Arc::new(Server {
        shared: Arc::clone(shared),
        store,
        status,
        reload,
        started: shared.clock.now(),
        admin_apart: started.admin_listen.is_some(),
        max_connections: usize::try_from(started.limits.max_connections).unwrap_or(usize::MAX),
        connections: Arc::new(AtomicUsize::new(0)),
        stopping: AtomicBool::new(false),
    })
}

fn writer(
    shared: &Arc<Shared>,
    store: Option<&Arc<Store>>,
    mut flushing: watch::Receiver<bool>,
) -> Option<impl Future<Output = ()> + use<>> {
    let (queue, store) = (shared.audit.clone()?, store?);
    let writer = AuditWriter::new(queue, Arc::clone(store));
    Some(writer.run(
        async move {
            // The sender lives until everything is flushed.
            drop(flushing.wait_for(|flush| *flush).await);
        },
        FLUSH,
    ))
}

async fn sweep(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let (every, at_most) = SWEEP;
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(every) => {}
        }
        shared.live.load().cache.sweep(shared.clock.now(), at_most);
    }
}
