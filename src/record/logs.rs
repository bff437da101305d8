//! Logs: to standard error, as text or as JSON lines; format and level change with the configuration.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::spec::LogFormat;
use crate::config::spec::TelemetrySpec;

type Writer = Box<dyn Layer<Registry> + Send + Sync>;

/// The process's log, once it is installed.
pub(crate) struct Logs {
    writer: reload::Handle<Writer, Registry>,
}

impl Logs {
    /// Installs the log of the process. A second one in the same process changes nothing.
    pub(crate) fn install(spec: &TelemetrySpec) -> Self {
        let (layer, writer) = reload::Layer::new(writer(spec));
        // Fails where a log is installed already: in tests that run several gateways in one process.
        drop(tracing_subscriber::registry().with(layer).try_init());
        Self { writer }
    }

    /// Goes on with other settings.
    pub(crate) fn apply(&self, spec: &TelemetrySpec) {
        // Fails only when the log is gone, at the end of the process.
        drop(self.writer.reload(writer(spec)));
    }
}

fn writer(spec: &TelemetrySpec) -> Writer {
    let filter = EnvFilter::try_new(&spec.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match spec.logs {
        LogFormat::Text => layer.with_ansi(false).with_filter(filter).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    }
}
