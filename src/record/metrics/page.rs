//! Families → the text of `GET /metrics`.
//!
//! The encoder writes OpenMetrics, where a counter's `HELP` and `TYPE` name it without `_total`. The page is the
//! older Prometheus text format, which everything that scrapes (and `promtool check metrics`) reads, so those lines
//! are put into its form.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::record::metrics::family::Family;
use crate::record::metrics::family::Labels;
use crate::record::metrics::family::Samples;

/// The content type of the page.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page that shows these families.
pub(super) fn render(families: Vec<Family>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(families)));
    let mut text = String::new();
    // Writing into a `String` cannot fail; a family that could not be written would only be cut short.
    let written = encode_registry(&mut text, &registry);
    debug_assert!(written.is_ok(), "a family refused to be written");
    classic(&text)
}

#[derive(Debug)]
struct Page(Vec<Family>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.0.iter().filter(|family| !family.is_empty()) {
            match &family.samples {
                Samples::Counter(series) => {
                    let values = series.iter().map(|(labels, count)| (labels, ConstCounter::new(*count)));
                    write(family, MetricType::Counter, values, &mut encoder)?;
                }
                Samples::Gauge(series) => {
                    let values = series.iter().map(|(labels, value)| (labels, ConstGauge::new(*value)));
                    write(family, MetricType::Gauge, values, &mut encoder)?;
                }
                Samples::Histogram(series) => {
                    let values = series.iter().map(|(labels, timing)| (labels, timing.clone()));
                    write(family, MetricType::Histogram, values, &mut encoder)?;
                }
            }
        }
        Ok(())
    }
}

fn write<'a, M: EncodeMetric>(
    family: &Family,
    kind: MetricType,
    series: impl Iterator<Item = (&'a Labels, M)>,
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
    for (labels, value) in series {
        if labels.is_empty() {
            value.encode(metric)?;
            return Ok(());
        }
        value.encode(metric.encode_family(labels)?)?;
    }
    Ok(())
}

/// OpenMetrics text as Prometheus text: a counter is described under the name its series have.
fn classic(text: &str) -> String {
    let mut page = String::with_capacity(text.len() + text.len() / 64);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let counter = match line.strip_prefix("# HELP ") {
            Some(help) => lines.peek().and_then(|next| counter_name(next)).map(|name| (name, help)),
            None => None,
        };
        match counter {
            Some((name, help)) => {
                let told = help.strip_prefix(name).unwrap_or_default();
                page.extend(["# HELP ", name, "_total", told, "\n# TYPE ", name, "_total counter\n"]);
                lines.next();
            }
            None => page.extend([line, "\n"]),
        }
    }
    page
}

/// The counter that a `TYPE` line declares.
fn counter_name(line: &str) -> Option<&str> {
    line.strip_prefix("# TYPE ")?.strip_suffix(" counter")
}
