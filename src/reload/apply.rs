//! One load, from files to a snapshot in force.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::base::Clock;
use crate::config;
use crate::config::Environment;
use crate::config::Files;
use crate::config::Loaded;
use crate::config::Location;
use crate::config::spec::OnInvalid;
use crate::config::spec::ServerSpec;
use crate::diag::Finding;
use crate::diag::Place;
use crate::diag::Report;
use crate::diag::Severity;
use crate::live::Carry;
use crate::live::LoadStatus;
use crate::live::Snapshot;
use crate::live::Status;
use crate::outbound::Clients;
use crate::outbound::Network;
use crate::plan::compile;
use crate::record::Event;
use crate::record::Events;
use crate::record::Logs;
use crate::record::Metrics;
use crate::record::ReloadResult;
use crate::reload::changes;
use crate::request::Shared;

/// What a reload needs to know from one time to the next.
pub(crate) struct Reloader {
    pub(crate) location: Location,
    pub(crate) environment: Environment,
    pub(crate) shared: Arc<Shared>,
    pub(crate) status: Arc<Status>,
    pub(crate) logs: Logs,
    pub(crate) clients: Arc<Clients>,
    /// The settings that the process was started with: some of them stay in force until its end.
    pub(crate) started: ServerSpec,
    /// The last files that were applied whole, for `on_invalid: quarantine`.
    pub(crate) good: Option<Files>,
    /// Every path whose change changes the configuration.
    pub(crate) watched: Vec<PathBuf>,
    /// What was last looked at, applied or not: the same again is not reported again.
    pub(crate) seen: Option<[u8; 32]>,
}

/// Which paths matter to the configuration.
pub(crate) struct Concerns {
    paths: BTreeSet<PathBuf>,
}

impl Concerns {
    /// Whether a change there may be one of the configuration.
    pub(crate) fn include(&self, path: &Path) -> bool {
        let is_link = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".."));
        is_link || self.paths.contains(path) || path.parent().is_some_and(|parent| self.paths.contains(parent))
    }
}

/// Builds the first snapshot, over a network in place of the real one where there is one.
///
/// # Errors
///
/// The HTTP client can't be built from `client:`.
pub(crate) fn first(
    loaded: Loaded,
    clock: &Clock,
    metrics: &Metrics,
    events: &Events,
    network: Option<Arc<dyn Network>>,
) -> Result<(Snapshot, Arc<Clients>), crate::outbound::ClientError> {
    let clients = Arc::new(Clients::new(&loaded.spec.server.client, network)?);
    let carry = Carry { previous: None, clients: &clients, metrics, events, clock, wall: clock.wall() };
    Ok((carry.snapshot(compile(loaded.spec)), clients))
}

/// What the first load says of itself.
pub(crate) fn first_status(report: &Report, clock: &Clock, quarantined: bool) -> LoadStatus {
    LoadStatus {
        result: if quarantined { "quarantined" } else { "applied" },
        at: clock.wall(),
        findings: report.len(),
        findings_json: report.render_json().into(),
        changes: Vec::new(),
    }
}

impl Reloader {
    /// Whether the files differ from those last looked at. Reads all of them.
    pub(crate) fn differs(&self) -> bool {
        match config::read(&self.location, &self.environment) {
            Ok(files) => self.seen != Some(files.fingerprint()),
            // What can't be read is worth a load, which reports it, once.
            Err(report) => self.seen != Some(fingerprint_of(&report)),
        }
    }

    /// The folders in which a change may concern us: those of the configuration, their parents, and those of files
    /// that it reads.
    pub(crate) fn folders(&self) -> BTreeSet<PathBuf> {
        let mut folders = BTreeSet::from([self.location.base.clone()]);
        for path in &self.watched {
            folders.extend(path.parent().map(Path::to_owned));
            folders.insert(path.clone());
        }
        folders.into_iter().filter(|folder| folder.is_dir()).collect()
    }

    /// What in those folders is ours: the configuration's paths, everything in its folders of documents, and the links
    /// by which a ConfigMap is swapped. The database beside them changes all the time.
    pub(crate) fn concerns(&self) -> Concerns {
        Concerns { paths: self.watched.iter().cloned().collect() }
    }

    /// Loads the files and puts them in force, or leaves everything as it was; says which.
    pub(crate) fn load(&mut self) -> LoadStatus {
        let status = match config::read(&self.location, &self.environment) {
            Ok(files) => self.load_files(files),
            Err(report) => {
                let again = self.seen.replace(fingerprint_of(&report)) == Some(fingerprint_of(&report));
                self.refuse(&report, again)
            }
        };
        let result = match status.result {
            "applied" => ReloadResult::Applied,
            "unchanged" => ReloadResult::Unchanged,
            "quarantined" => ReloadResult::Quarantined,
            _ => ReloadResult::Rejected,
        };
        self.shared.metrics.server.reloaded(result);
        if status.result == "unchanged" && self.status.last().is_refused() {
            tracing::info!("configuration as it is in force: nothing to change any more");
        }
        // What is found unchanged has been applied.
        let lasting = if status.result == "unchanged" { "applied" } else { status.result };
        self.status.set(LoadStatus { result: lasting, ..status.clone() });
        status
    }

    fn load_files(&mut self, files: Files) -> LoadStatus {
        let has_sources = !self.shared.live.load().plan.sources.is_empty();
        if has_sources && !files.folder.is_dir() {
            // Perhaps a volume that is not mounted yet: no reason to forget every source.
            let report = vanished(&files.folder);
            let again = self.seen.replace(files.fingerprint()) == Some(files.fingerprint());
            return self.refuse(&report, again);
        }
        let fingerprint = files.fingerprint();
        let again = self.seen.replace(fingerprint) == Some(fingerprint);
        let loaded = config::load(&files, &self.environment);
        self.watched.clone_from(&loaded.watched);
        if !loaded.report.has_errors() {
            return match self.apply(loaded, "applied") {
                Ok(status) => {
                    self.good = Some(files);
                    status
                }
                Err(report) => self.refuse(&report, again),
            };
        }
        if loaded.spec.server.reload.on_invalid == OnInvalid::Quarantine {
            let partly = config::load_quarantined(&files, &self.environment, self.good.as_ref());
            if !partly.usable {
                return self.refuse(&partly.report, again);
            }
            self.watched.clone_from(&partly.watched);
            return match self.apply(partly, "quarantined") {
                Ok(status) => status,
                Err(report) => self.refuse(&report, again),
            };
        }
        self.refuse(&loaded.report, again)
    }

    /// Everything is built before the one swap.
    fn apply(&mut self, loaded: Loaded, result: &'static str) -> Result<LoadStatus, Report> {
        let Loaded { spec, report, broken, .. } = loaded;
        let current = self.shared.live.load();
        let server = spec.server.clone();
        let is_same = spec.digest == current.plan.digest;
        let mut status = LoadStatus {
            result: if is_same && result == "applied" { "unchanged" } else { result },
            at: self.shared.clock.wall(),
            findings: report.len(),
            findings_json: report.render_json().into(),
            changes: Vec::new(),
        };
        let broken =
            broken.iter().map(|document| format!("{document} is broken: its last good version stays, if there is one"));
        status.changes.extend(broken);
        if is_same {
            self.tell_applied(&status);
            return Ok(status);
        }
        if !self.clients.serves(&server.client) {
            match Clients::new(&server.client, None) {
                Ok(clients) => self.clients = Arc::new(clients),
                Err(error) => return Err(unusable_client(&error.to_string())),
            }
        }
        status.changes.extend(changes::between(&current.plan.rendered, &spec.rendered));
        status.changes.extend(changes::needing_restart(&self.started, &server));
        let Shared { clock, metrics, events, .. } = &*self.shared;
        let wall = clock.wall();
        let carry = Carry { previous: Some(&current), clients: &self.clients, metrics, events, clock, wall };
        let next = carry.snapshot(compile(spec));
        let generation = next.generation;
        self.shared.live.swap(Arc::new(next));
        self.logs.apply(&server.telemetry);
        if let Some(audit) = &self.shared.audit {
            audit.resize(server.background.audit);
        }
        self.forget_removed();
        tracing::info!(generation, result, changes = ?status.changes, "configuration in force");
        self.tell_applied(&status);
        if result == "quarantined" {
            tracing::warn!("\n{}", report.render_text(false));
        }
        Ok(status)
    }

    fn tell_applied(&self, status: &LoadStatus) {
        let snapshot = self.shared.live.load();
        self.shared.events.publish(Event::ConfigReloaded {
            result: status.result,
            generation: snapshot.generation,
            digest: &snapshot.plan.digest,
            changes: &status.changes,
            findings: status.findings,
        });
    }

    /// Series of what is no longer there end with it.
    fn forget_removed(&self) {
        let snapshot = self.shared.live.load();
        let sources: Vec<_> = snapshot.plan.sources.iter().map(|source| source.name.clone()).collect();
        let mut routes: Vec<&str> = snapshot.plan.routes.iter().map(|route| &*route.path).collect();
        routes.push(crate::live::SINGLE);
        self.shared.metrics.retain_sources(&sources);
        self.shared.metrics.retain_routes(&routes);
    }

    fn refuse(&self, report: &Report, again: bool) -> LoadStatus {
        if !again {
            let findings = report.len();
            let report = report.render_text(false);
            tracing::error!(findings, report, "configuration refused, the old one stays in force");
            let generation = self.shared.live.load().generation;
            self.shared.events.publish(Event::ConfigRejected { generation, findings });
        }
        LoadStatus {
            result: "rejected",
            at: self.shared.clock.wall(),
            findings: report.len(),
            findings_json: report.render_json().into(),
            changes: Vec::new(),
        }
    }
}

fn vanished(folder: &Path) -> Report {
    let folder = folder.display().to_string();
    Report::of(Finding {
        code: "AG-091",
        severity: Severity::Error,
        place: Place::of_file(&folder),
        path: String::new(),
        line_text: String::new(),
        message: "the folder of the sources is gone".to_owned(),
        help: Some("put it back; to run without sources, start aggd anew".to_owned()),
    })
}

/// The one mistake that only shows when the client is built.
fn unusable_client(why: &str) -> Report {
    Report::of(Finding {
        code: "AG-090",
        severity: Severity::Error,
        place: Place::of_file("aggd.yaml"),
        path: "client".to_owned(),
        line_text: String::new(),
        message: why.to_owned(),
        help: None,
    })
}

fn fingerprint_of(report: &Report) -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(report.render_json().as_bytes()).into()
}
