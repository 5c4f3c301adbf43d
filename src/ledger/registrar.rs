//! Registers metrics, and keeps what each of them is for whoever compares it with dashboards and documentation.

use super::families::Family;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricType;
use prometheus::{
    Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};
use std::cell::RefCell;

/// Prefix of every metric but those of the process, whose names are Prometheus' own.
const NAMESPACE: &str = "sealpost";

/// What a metric is, whether it has a value yet or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// With its prefix.
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    pub help: String,
    pub labels: Vec<String>,
}

/// The registry while it is filled.
#[derive(Debug, Default)]
pub(super) struct Registrar {
    registry: Registry,
    described: RefCell<Vec<Described>>,
}

impl Registrar {
    /// The registry, and all that is in it in the order in which it was registered.
    pub(super) fn finish(self) -> (Registry, Vec<Described>) {
        (self.registry, self.described.into_inner())
    }

    pub(super) fn counters(&self, family: Family) -> IntCounterVec {
        self.register(IntCounterVec::new(family.opts(), family.labels))
    }

    pub(super) fn counter(&self, family: Family) -> IntCounter {
        self.register(IntCounter::with_opts(family.opts()))
    }

    pub(super) fn gauges(&self, family: Family) -> IntGaugeVec {
        self.register(IntGaugeVec::new(family.opts(), family.labels))
    }

    pub(super) fn gauge(&self, family: Family) -> IntGauge {
        self.register(IntGauge::with_opts(family.opts()))
    }

    /// For times and other fractions.
    pub(super) fn real_gauge(&self, family: Family) -> Gauge {
        self.register(Gauge::with_opts(family.opts()))
    }

    pub(super) fn histogram(&self, family: Family, buckets: &[f64]) -> Histogram {
        let opts = HistogramOpts::from(family.opts()).buckets(buckets.to_vec());
        self.register(Histogram::with_opts(opts))
    }

    pub(super) fn register<C: Collector + Clone + 'static>(
        &self,
        metric: prometheus::Result<C>,
    ) -> C {
        // Names, labels and buckets are constants: a bad one fails every test of the ledger.
        let metric = metric.expect("the metric is well-formed");
        let kinds = metric
            .collect()
            .into_iter()
            .map(|f| kind(f.get_field_type()));
        let described = metric.desc().into_iter().zip(kinds).map(describe);
        self.described.borrow_mut().extend(described);
        // A name given twice likewise.
        let registered = self.registry.register(Box::new(metric.clone()));
        registered.expect("the metric is registered once");
        metric
    }
}

impl Family {
    pub(super) fn opts(&self) -> Opts {
        Opts::new(self.name, self.help).namespace(NAMESPACE)
    }
}

fn describe((desc, kind): (&Desc, &'static str)) -> Described {
    Described {
        name: desc.fq_name.clone(),
        kind,
        help: desc.help.clone(),
        labels: desc.variable_labels.clone(),
    }
}

fn kind(of: MetricType) -> &'static str {
    match of {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped",
    }
}
