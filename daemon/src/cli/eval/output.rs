//! What `eval` leaves behind: a line of JSON or text, a page, a table of scores, a bundle with other thresholds.

use std::path::Path;

use anyhow::Context;
use models::bundle::{Bundle, Compared};
use models::prediction::Model;
use models::weights::Weights;
use models_train::certify::certify;
use models_train::evaluation::html::{self, Page};
use models_train::evaluation::latency::Latency;
use models_train::evaluation::operating_point;
use models_train::evaluation::{Scored, Settings};
use serde_json::{Value, json};

use super::super::out;
use super::{Args, Measured, Source};

/// One line an image: path, true classes, verdict, then the score of each label.
fn write_scores(path: &Path, scored: &[Scored], source: &Source<'_>, settings: &Settings) -> anyhow::Result<()> {
    let Source { classes, samples, .. } = source;
    let mut csv = csv::Writer::from_path(path)?;
    let head = ["path", "label", "verdict"].map(String::from);
    csv.write_record(head.into_iter().chain(settings.labels.iter().map(|label| format!("score of {}", label.name))))?;
    for (index, image) in scored.iter().enumerate() {
        let names: Vec<&str> = image.labels.iter().map(|&class| classes[class].name.as_str()).collect();
        let verdict = serde_json::to_value(settings.verdict(image))?;
        let verdict = verdict.as_str().unwrap_or_default().to_owned();
        let scores = image.scores.iter().map(f32::to_string);
        csv.write_record([samples.name(index), names.join("+"), verdict].into_iter().chain(scores))?;
    }
    Ok(csv.flush()?)
}

/// A certificate counts the verdicts that flip, and other thresholds make other verdicts: the graph is compared again with the network
/// as it was trained, whose weights it holds, on the pictures that the thresholds were chosen on. What a converted graph was compared
/// with is not at hand.
fn certify_anew(bundle: &mut Bundle, source: &Source<'_>) -> anyhow::Result<()> {
    let Some(certificate) = bundle.certificate.take() else { return Ok(()) };
    if certificate.compared_with != Compared::TrainedNetwork {
        tracing::warn!(
            "the certificate of the former thresholds is left out: this model was converted from another, which is not here to be \
             compared with. Choose the thresholds of the original, and export that again"
        );
        return Ok(());
    }
    let weights = Weights::from_graph(&bundle.graph)?;
    let anew = certify(&weights, bundle, source.samples.as_ref());
    bundle.certificate = Some(anew.context("the model with these thresholds cannot be certified, and is not written")?);
    Ok(())
}

impl Measured {
    /// Writes the files that were asked for.
    pub(super) fn write(
        &self,
        args: &Args,
        model: &dyn Model,
        source: &Source<'_>,
        scored: &[Scored],
    ) -> anyhow::Result<()> {
        if let (Some(path), Some(point)) = (&args.write_bundle, &self.operating_point) {
            let mut bundle = Bundle::open(&args.bundle)?;
            operating_point::put(&mut bundle, point);
            certify_anew(&mut bundle, source)?;
            bundle.save(path)?;
        }
        if let Some(path) = &args.html {
            let page = self.page(args, model, source)?;
            std::fs::write(path, page).with_context(|| format!("the page `{}` cannot be written", path.display()))?;
        }
        if let Some(path) = &args.scores {
            write_scores(path, scored, source, &self.settings)
                .with_context(|| format!("the scores `{}` cannot be written", path.display()))?;
        }
        Ok(())
    }

    /// The report as a page.
    fn page(&self, args: &Args, model: &dyn Model, source: &Source<'_>) -> anyhow::Result<String> {
        let thumbs = html::worst(&self.report, model, source.samples.as_ref())?;
        let name = |path: &Path| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let fact = |name: &str, value: String| (name.to_owned(), value);
        let facts = [
            fact("Measured", jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %Z").to_string()),
            fact("Bundle", name(&args.bundle)),
            fact("Images", format!("{} of {}", self.report.n, source.words)),
            fact("Good parts", args.good_label.clone().unwrap_or_default()),
            fact("Data (SHA-256)", self.digest.clone()),
            fact("Run by", format!("{} (inspectd {})", model.provider(), env!("CARGO_PKG_VERSION"))),
        ];
        let page = Page {
            manifest: model.manifest(),
            report: &self.report,
            detail: &self.detail,
            latency: &self.latency,
            operating_point: self.operating_point.as_ref().or(model.manifest().provenance.operating_point.as_ref()),
            thumbs: &thumbs,
            facts: &facts,
        };
        Ok(page.render())
    }

    pub(super) fn json(&self, args: &Args, model: &dyn Model) -> anyhow::Result<Value> {
        let mut line = json!({
            "bundle": args.bundle,
            "provider": model.provider(),
            "graph_sha256": model.digest(),
            "data_digest": self.digest,
        });
        let rest = json!({ "latency_ms": self.latency, "operating_point": self.operating_point });
        let parts = [serde_json::to_value(&self.report)?, serde_json::to_value(&self.detail)?, rest];
        for part in parts {
            if let (Some(line), Value::Object(part)) = (line.as_object_mut(), part) {
                line.extend(part);
            }
        }
        Ok(line)
    }

    pub(super) fn tell(&self, args: &Args, model: &dyn Model) -> anyhow::Result<()> {
        out::line(&self.report)?;
        if let Some(point) = &self.operating_point {
            out::line(operating_point::words(point))?;
            for label in &self.report.labels {
                out::line(format_args!("  threshold of `{}`: {:.6}", label.name, label.threshold))?;
            }
        }
        let Latency { images, verdict, decode } = &self.latency;
        out::line(format_args!(
            "on {}: verdict {:.1} ms (95 % {:.1}, 99 % {:.1}, longest {:.1}), decoding before it {:.1} ms; {images} images one by one",
            model.provider(),
            verdict.p50,
            verdict.p95,
            verdict.p99,
            verdict.max,
            decode.p50
        ))?;
        if let Some(path) = &args.write_bundle {
            out::line(format_args!("wrote {}", path.display()))?;
        }
        Ok(())
    }
}
