//! Logs: to standard error, as text or as JSON lines; format and level change with the configuration.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Layered;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::spec::LogFormat;
use crate::config::spec::TelemetrySpec;

/// What is below the writer: the level, which is asked first.
type Filtered = Layered<reload::Layer<EnvFilter, Registry>, Registry>;
type Writer = Box<dyn Layer<Filtered> + Send + Sync>;

/// The process's log, once it is installed.
pub(crate) struct Logs {
    filter: reload::Handle<EnvFilter, Registry>,
    writer: reload::Handle<Writer, Filtered>,
}

impl Logs {
    /// Installs the log of the process. A second one in the same process changes nothing.
    pub(crate) fn install(spec: &TelemetrySpec) -> Self {
        let (level, filter) = reload::Layer::new(level(spec));
        let (layer, writer) = reload::Layer::new(layer(spec));
        // Fails where a log is installed already: in tests that run several gateways in one process.
        drop(tracing_subscriber::registry().with(level).with(layer).try_init());
        Self { filter, writer }
    }

    /// Goes on with other settings.
    pub(crate) fn apply(&self, spec: &TelemetrySpec) {
        // These fail only when the log is gone, at the end of the process.
        drop(self.filter.reload(level(spec)));
        drop(self.writer.reload(layer(spec)));
    }
}

fn level(spec: &TelemetrySpec) -> EnvFilter {
    // A watcher that logs each event would log its own logging, where the log lies in a watched folder.
    let quiet = "notify=info,mio=info";
    EnvFilter::try_new(format!("{quiet},{}", spec.level)).unwrap_or_else(|_| EnvFilter::new("info"))
}

fn layer(spec: &TelemetrySpec) -> Writer {
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match spec.logs {
        LogFormat::Text => layer.with_ansi(false).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}
