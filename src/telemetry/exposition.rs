//! One scrape: adds up the cells of all workers and writes them in the OpenMetrics text format.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::telemetry::histogram::HistogramSum;
use crate::telemetry::metrics::{CONTROL, ControlMetrics, Declared, Read, WORKER, WorkerMetrics};
use crate::telemetry::process;

/// Writes more metrics at each scrape. It must not block: it runs on the scrape's thread.
pub type Source = Box<dyn Fn(&mut Sink<'_>) -> fmt::Result + Send + Sync>;

/// The content type of a scrape.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One sample: label keys and values, and the number. Values are configured names or enum names.
pub type Sample<'a, N> = (&'a [(&'a str, &'a str)], N);

/// Where a [`Source`] writes.
#[derive(Debug)]
pub struct Sink<'a>(DescriptorEncoder<'a>);

impl Sink<'_> {
    /// Writes a gauge with all its samples. Call it once for each `name` in a scrape.
    pub fn gauges(&mut self, name: &str, help: &str, samples: &[Sample<'_, f64>]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, number) in samples {
            match *labels {
                // Without labels there are no braces either.
                [] => metric.encode_gauge(number)?,
                labels => metric.encode_family(&labels)?.encode_gauge(number)?,
            }
        }
        Ok(())
    }

    /// Writes a counter with all its samples; `name` without `_total`. Call it once for each `name`.
    pub fn counters(&mut self, name: &str, help: &str, samples: &[Sample<'_, u64>]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, number) in samples {
            match *labels {
                [] => metric.encode_counter::<NoLabelSet, _, f64>(number, None)?,
                labels => {
                    metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(number, None)?;
                }
            }
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, sum: &HistogramSum) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        metric.encode_histogram::<NoLabelSet>(sum.seconds(), sum.count(), &sum.shown(), None)
    }

    fn declared<M>(&mut self, declared: &Declared<M>, sources: &[&M]) -> fmt::Result {
        let Declared { name, help, read } = declared;
        let sum = |number: &dyn Fn(&M) -> u64| sources.iter().map(|m| number(m)).sum::<u64>();
        match read {
            Read::Counter(number) => self.counters(name, help, &[(&[], sum(number))]),
            Read::Counters { key, names, cells } => {
                let labels: Vec<[(&str, &str); 1]> = names.iter().map(|value| [(*key, *value)]).collect();
                let numbers = (0..names.len()).map(|index| sum(&|m| cells(m)[index].get()));
                let samples: Vec<Sample<'_, u64>> =
                    labels.iter().map(<[_; 1]>::as_slice).zip(numbers).collect();
                self.counters(name, help, &samples)
            }
            Read::Histogram(histogram) => {
                let mut total = HistogramSum::default();
                sources.iter().for_each(|m| histogram(m).add_to(&mut total));
                self.histogram(name, help, &total)
            }
            Read::Difference(more, less) => {
                // The cells are read one after the other while workers write: never below zero.
                let less = sum(less);
                self.gauges(name, help, &[(&[], sum(more).saturating_sub(less) as f64)])
            }
        }
    }
}

/// What the server registered. Written a few times at start, read at each scrape.
#[derive(Default)]
pub(super) struct Sources(RwLock<Vec<Source>>);

impl Sources {
    pub(super) fn push(&self, source: Source) {
        self.0.write().push(source);
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sources").field(&self.0.read().len()).finish()
    }
}

/// Everything that a scrape reads.
#[derive(Debug)]
pub(super) struct Exposition {
    pub(super) workers: Arc<[Arc<WorkerMetrics>]>,
    pub(super) control: Arc<ControlMetrics>,
    pub(super) sources: Arc<Sources>,
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut sink = Sink(encoder);
        let workers: Vec<&WorkerMetrics> = self.workers.iter().map(Arc::as_ref).collect();
        for declared in WORKER {
            sink.declared(declared, &workers)?;
        }
        for declared in CONTROL {
            sink.declared(declared, &[&*self.control])?;
        }
        for source in self.sources.0.read().iter() {
            source(&mut sink)?;
        }
        process::write(&mut sink)
    }
}

/// The registry that holds `exposition`.
pub(super) fn registry(exposition: Exposition) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(exposition));
    registry
}

/// The text of one scrape.
pub(super) fn render(registry: &Registry) -> String {
    let mut text = String::with_capacity(16 << 10);
    prometheus_client::encoding::text::encode(&mut text, registry)
        .expect("writing to a String does not fail, and no source reports an error of its own");
    text
}
