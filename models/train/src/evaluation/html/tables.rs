//! The tables of the page.

use maud::{Markup, html};
use models::bundle::{Disposition, Manifest};

use super::super::intervals::Interval;
use super::super::latency::{Latency, Percentiles};
use super::super::{AreaRecall, Report, Verdicts};
use super::plots::percent;
use super::thumbs::{Kind, Thumb};

/// More columns than this are written upright.
const WIDE: usize = 6;

fn between([low, high]: Interval) -> String {
    format!("{} to {}", percent(low), percent(high))
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "\u{2013}".into(), percent)
}

fn word(verdict: Disposition) -> &'static str {
    match verdict {
        Disposition::Pass => "pass",
        Disposition::Review => "review",
        Disposition::Fail => "fail",
    }
}

/// The figures at the top.
pub(super) fn figures(report: &Report, latency: &Latency) -> Markup {
    let figure = |name: &str, value: String, range: String| {
        html! { div { dt { (name) } dd class="value" { (value) } dd class="range" { (range) } } }
    };
    let rate = |name: &str, rate: Option<f64>, interval: Option<Interval>| {
        html! { @if let Some(rate) = rate { (figure(name, percent(rate), interval.map(between).unwrap_or_default())) } }
    };
    let milliseconds = |p50: f64| format!("{p50:.1} ms");
    html! {
        dl class="figures" {
            (rate("Escapes", report.escape_rate, report.escape_ci))
            (rate("Overkill", report.overkill_rate, report.overkill_ci))
            @if let Some(review) = report.review_rate { (figure("Review", percent(review), "of all parts".into())) }
            @if let Some(auroc) = report.auroc {
                @let range = report.auroc_ci.map(|[low, high]| format!("{low:.4} to {high:.4}"));
                (figure("AUROC", format!("{auroc:.4}"), range.unwrap_or_else(|| "mean over the labels".into())))
            }
            (figure("Accuracy", percent(report.accuracy), between(report.accuracy_ci)))
            (figure("Balanced accuracy", percent(report.balanced_accuracy), format!("{} images", report.n)))
            (figure("Verdict", milliseconds(latency.verdict.p50), format!("99 of 100 within {}", milliseconds(latency.verdict.p99))))
        }
    }
}

/// What became of good and bad parts.
pub(super) fn verdicts(report: &Report) -> Markup {
    let Some(Verdicts { good, overkill, good_reviewed, bad, escapes, bad_reviewed }) = report.verdicts else {
        return html! {};
    };
    let row = |name: &str, n: usize, counts: [usize; 3], wrong: usize| {
        html! {
            tr {
                th scope="row" { (name) }
                @for (at, count) in counts.into_iter().enumerate() {
                    td { @if at == wrong && count > 0 { span class="kind bad" { (count) } } @else { (count) } }
                }
                td { (n) }
            }
        }
    };
    html! {
        div class="scroll" {
            table {
                thead { tr { th scope="col" { "" } th scope="col" { "pass" } th scope="col" { "review" } th scope="col" { "fail" } th scope="col" { "all" } } }
                tbody {
                    (row("bad parts", bad, [escapes, bad_reviewed, bad - escapes - bad_reviewed], 0))
                    (row("good parts", good, [good - overkill - good_reviewed, good_reviewed, overkill], 2))
                }
            }
        }
    }
}

/// From which score each label counts.
pub(super) fn thresholds(report: &Report) -> Markup {
    html! {
        div class="scroll" {
            table {
                thead { tr { th scope="col" { "label" } th scope="col" { "means" } th scope="col" { "threshold" } } }
                tbody {
                    @for label in &report.labels {
                        tr { th scope="row" { (label.name) } td { (word(label.verdict)) } td { (threshold(label.threshold)) } }
                    }
                }
            }
        }
    }
}

/// As many digits as tell it from 0 and 1.
fn threshold(value: f32) -> String {
    let room = value.min(1.0 - value);
    let digits = if room > 0.0 && room < 0.1 { (1.0 - room.log10()).ceil().min(7.0) as usize } else { 2 };
    format!("{value:.digits$}")
}

/// The area under the ROC curve in words.
pub(super) fn auroc_words(report: &Report) -> String {
    let Some(auroc) = report.auroc else { return String::new() };
    let range = report.auroc_ci.map(|[low, high]| format!(" ({low:.4} to {high:.4})")).unwrap_or_default();
    format!("Area {auroc:.4}{range}: so often a bad part looks worse than a good one. Dashed: chance.")
}

/// Each class's figures.
pub(super) fn classes(report: &Report) -> Markup {
    html! {
        div class="scroll" {
            table {
                thead {
                    tr {
                        th scope="col" { "class" } th scope="col" { "images" } th scope="col" { "recall" } th scope="col" { "interval" }
                        th scope="col" { "precision" } th scope="col" { "average precision" }
                    }
                }
                tbody {
                    @for class in &report.classes {
                        tr {
                            th scope="row" { (class.name) } td { (class.images) } td { (share(class.recall)) }
                            td class="soft" { (class.recall_ci.map(between).unwrap_or_default()) }
                            td { (share(class.precision)) }
                            td { @if let Some(ap) = class.ap { (format!("{ap:.4}")) } @else { "\u{2013}" } }
                        }
                    }
                }
            }
        }
    }
}

/// What was said of what.
pub(super) fn confusion(report: &Report) -> Markup {
    let confusion = &report.confusion;
    let right = |row: usize, column: usize| confusion.truth[row] == confusion.said[column];
    html! {
        div class=(if confusion.said.len() > WIDE { "scroll tall" } else { "scroll" }) {
            table class="confusion" {
                thead {
                    tr {
                        th scope="col" { "is \u{2193}   said to be \u{2192}" }
                        @for said in &confusion.said { th scope="col" { (said) } }
                    }
                }
                tbody {
                    @for (row, counts) in confusion.counts.iter().enumerate() {
                        @let all = counts.iter().sum::<usize>().max(1) as f64;
                        tr {
                            th scope="row" { (confusion.truth[row]) }
                            @for (column, &count) in counts.iter().enumerate() {
                                @let kind = match (count, right(row, column)) { (0, _) => "zero", (_, true) => "", (_, false) => "off" };
                                td class=(kind) style=(format!("--share:{:.3}", (count as f64 / all).sqrt())) { (count) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Recall by the defect's area.
pub(super) fn areas(areas: &[AreaRecall]) -> Markup {
    html! {
        div class="scroll" {
            table {
                thead {
                    tr {
                        th scope="col" { "defect covers, of the image" } th scope="col" { "bad parts" } th scope="col" { "held back" }
                        th scope="col" { "interval" }
                    }
                }
                tbody {
                    @for area in areas {
                        tr {
                            th scope="row" { (percent(area.from)) " to " (percent(area.to)) } td { (area.n) }
                            td { (percent(area.recall)) } td class="soft" { (between(area.recall_ci)) }
                        }
                    }
                }
            }
        }
        p class="soft" { "One cell of the network is 32 x 32 pixels of its input: 0.4 % of 512 x 512." }
    }
}

/// Time of a verdict.
pub(super) fn latency(latency: &Latency) -> Markup {
    let row = |name: &str, Percentiles { p50, p95, p99, max }: Percentiles| {
        html! { tr { th scope="row" { (name) } @for ms in [p50, p95, p99, max] { td { (format!("{ms:.1} ms")) } } } }
    };
    html! {
        h2 { "Time" }
        div class="scroll" {
            table {
                thead { tr { th scope="col" { "" } th scope="col" { "half within" } th scope="col" { "95 of 100" } th scope="col" { "99 of 100" } th scope="col" { "longest" } } }
                tbody { (row("verdict: resize, network, thresholds", latency.verdict)) (row("reading and decoding the file", latency.decode)) }
            }
        }
        p class="soft" { (latency.images) " images, one after the other, on the machine that made this report." }
    }
}

/// The worst mistakes in pictures.
pub(super) fn mistakes(report: &Report, thumbs: &[Thumb]) -> Markup {
    let kind = |kind: Kind| match kind {
        Kind::Escape => html! { span class="kind bad" { "\u{25B2} Escape" } },
        Kind::Overkill => html! { span class="kind warn" { "\u{25A0} Overkill" } },
        Kind::Label => html! { span class="kind" { "\u{25CF} Other label" } },
    };
    let of = |kind: Kind| thumbs.iter().filter(|thumb| thumb.kind == kind).count();
    html! {
        h2 { "Worst mistakes" }
        @if thumbs.is_empty() {
            p { "None: every image got a label of its own and the verdict that it should." }
        } @else {
            p class="soft" {
                "Escapes: " (of(Kind::Escape)) " of " (report.escapes.len()) " shown; overkill: " (of(Kind::Overkill)) " of "
                (report.overkills.len()) "; wrong labels: " (report.errors.len()) " in all. Left the picture, right the heat map of the \
                strongest label that does not pass the part."
            }
            ul class="thumbs" {
                @for Thumb { kind: what, mistake, heat_of, pictures: [picture, heat] } in thumbs {
                    li {
                        div class="views" {
                            img src=(picture) alt=(format!("{}, a {}", mistake.path, mistake.label));
                            img src=(heat) alt=(format!("heat map of {heat_of}"));
                        }
                        div class="words" {
                            (kind(*what)) ": " (mistake.label) ", said " (mistake.said) " " (format!("{:.3}", mistake.score))
                            @if mistake.raw_score != mistake.score { span class="soft" { " (raw " (format!("{:.3}", mistake.raw_score)) ")" } }
                            br;
                            code { (mistake.path) } br;
                            span class="soft" { "verdict " (word(mistake.verdict)) ", heat of " (heat_of) }
                        }
                    }
                }
            }
        }
    }
}

/// Where model and figures come from.
pub(super) fn provenance(manifest: &Manifest, facts: &[(String, String)]) -> Markup {
    let from = &manifest.provenance;
    let size = format!("{} x {} pixels", manifest.preprocess.width, manifest.preprocess.height);
    let model = [
        ("Model", manifest.name.clone()),
        ("Input", size),
        ("Made by", from.command.clone()),
        ("inspectd", from.version.clone()),
        ("Learned from (SHA-256)", from.data_digest.clone()),
        ("Trunk", from.trunk.clone()),
        ("Graph (SHA-256)", manifest.graph_sha256.clone()),
    ];
    let facts = facts.iter().map(|(name, value)| (name.as_str(), value.clone()));
    html! {
        h2 { "Where this comes from" }
        div class="scroll" {
            table class="facts" {
                tbody {
                    @for (name, value) in facts.chain(model).filter(|(_, value)| !value.is_empty()) {
                        tr { th scope="row" { (name) } td { code { (value) } } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_keep_the_digits_that_matter() {
        assert_eq!([0.5, 0.02, 0.0004, 0.9996, 0.0].map(threshold), ["0.50", "0.020", "0.00040", "0.99960", "0.00"]);
    }
}
