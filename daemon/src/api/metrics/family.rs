//! Figures as families of metrics: a name with its unit, a help text, samples with labels.

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};
use stages::line::{EDGES_US, LatencySummary};

/// All of them, each with the label `line`.
pub(super) struct Families {
    line: String,
    all: Vec<MetricFamily>,
}

impl Families {
    pub(super) fn new(line: &str) -> Families {
        Families { line: line.to_owned(), all: Vec::new() }
    }

    /// Something that only grows. Its name ends in `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        let metric = self.counted(None, value);
        self.add(name, help, MetricType::COUNTER, vec![metric]);
    }

    /// The same by a label.
    pub(super) fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        let metrics = values.into_iter().map(|(of, value)| self.counted(Some((label, of)), value)).collect();
        self.add(name, help, MetricType::COUNTER, metrics);
    }

    /// Something that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        let metric = self.gauged(&[], value);
        self.add(name, help, MetricType::GAUGE, vec![metric]);
    }

    /// The same, where it is known.
    pub(super) fn maybe(&mut self, name: &str, help: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.gauge(name, help, value);
        }
    }

    /// The same by a label.
    pub(super) fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        let metrics = values.into_iter().map(|(of, value)| self.gauged(&[(label, of)], value)).collect();
        self.add(name, help, MetricType::GAUGE, metrics);
    }

    /// Facts that are text: labels of a gauge that is always 1.
    pub(super) fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        let metric = self.gauged(labels, 1.0);
        self.add(name, help, MetricType::GAUGE, vec![metric]);
    }

    /// A distribution of times.
    pub(super) fn times(&mut self, name: &str, help: &str, times: &LatencySummary) {
        let metric = self.timed(None, times);
        self.add(name, help, MetricType::HISTOGRAM, vec![metric]);
    }

    /// The same by a label.
    pub(super) fn times_of(&mut self, name: &str, help: &str, label: &str, times: &[(&'static str, LatencySummary)]) {
        let metrics = times.iter().map(|(of, times)| self.timed(Some((label, of)), times)).collect();
        self.add(name, help, MetricType::HISTOGRAM, metrics);
    }

    /// As Prometheus reads it.
    pub(super) fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.all, &mut text)?;
        Ok(text)
    }

    fn add(&mut self, name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) {
        // The encoder takes a family without samples for a fault.
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(format!("inspectd_{name}"));
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.all.push(family);
    }

    fn counted(&self, label: Option<(&str, &str)>, value: u64) -> Metric {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        let mut metric = Metric::from_label(self.labels(label.as_slice()));
        metric.set_counter(counter);
        metric
    }

    fn gauged(&self, labels: &[(&str, &str)], value: f64) -> Metric {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::from_label(self.labels(labels));
        metric.set_gauge(gauge);
        metric
    }

    fn timed(&self, label: Option<(&str, &str)>, times: &LatencySummary) -> Metric {
        let mut so_far = 0;
        let buckets = EDGES_US.iter().zip(times.within).map(|(&edge, within)| {
            so_far += within;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(edge as f64 / 1e6);
            bucket.set_cumulative_count(so_far);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(times.within.iter().sum());
        histogram.set_sample_sum(times.sum_us as f64 / 1e6);
        let mut metric = Metric::from_label(self.labels(label.as_slice()));
        metric.set_histogram(histogram);
        metric
    }

    fn labels(&self, more: &[(&str, &str)]) -> Vec<LabelPair> {
        let pair = |(name, value): (&str, &str)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value.to_owned());
            pair
        };
        [("line", self.line.as_str())].into_iter().chain(more.iter().copied()).map(pair).collect()
    }
}
