//! A report as one page to hand on: no script, nothing fetched, light and dark, fit to print.

mod plots;
mod tables;
mod thumbs;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use models::bundle::{Manifest, OperatingPoint};

use super::intervals::{clean_needed, upper};
use super::latency::Latency;
use super::operating_point::Aim;
use super::{Detail, Report, Verdicts};
use plots::{Mark, percent};

pub use thumbs::{Kind, Thumb, worst};

const STYLE: &str = include_str!("style.css");
/// What the page may do: show itself. File names and labels come from anywhere.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// What a page is made of.
pub struct Page<'a> {
    /// The model.
    pub manifest: &'a Manifest,
    /// The figures.
    pub report: &'a Report,
    /// The curves.
    pub detail: &'a Detail,
    /// Time of a verdict.
    pub latency: &'a Latency,
    /// What the thresholds were chosen by, where they were.
    pub operating_point: Option<&'a OperatingPoint>,
    /// The worst mistakes.
    pub thumbs: &'a [Thumb],
    /// What was measured, where, when: name and value.
    pub facts: &'a [(String, String)],
}

impl Page<'_> {
    /// The page.
    pub fn render(&self) -> String {
        let name = &self.manifest.name;
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    title { "Evaluation of " (name) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        header {
                            p class="kicker" { "Evaluation report" }
                            h1 { (name) }
                        }
                        section class="summary" aria-label="Summary" {
                            @for sentence in summary(self.report) { p { (sentence) } }
                            @if let Some(note) = sample_note(self.report) { p class="note" { (note) } }
                        }
                        (tables::figures(self.report, self.latency))
                        (self.operating_point())
                        (self.ranking())
                        (self.classes())
                        (self.calibration())
                        (self.areas())
                        (tables::latency(self.latency))
                        (tables::mistakes(self.report, self.thumbs))
                        (tables::provenance(self.manifest, self.facts))
                        footer {
                            "Intervals are exact (Clopper-Pearson), that of the AUROC DeLong's, at " (percent(self.report.confidence))
                            " confidence. They say what so many images can prove; they know nothing of parts unlike those that were measured."
                        }
                    }
                }
            }
        };
        page.into_string()
    }

    fn mark(&self) -> Option<Mark> {
        let Verdicts { good, overkill, good_reviewed, bad, escapes, .. } = self.report.verdicts?;
        let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
        Some(Mark { held_good: share(overkill + good_reviewed, good), escapes: share(escapes, bad) })
    }

    fn operating_point(&self) -> Markup {
        let Some(ranking) = self.detail.ranking.as_ref().filter(|ranking| ranking.has_both()) else {
            return html! {};
        };
        let point = self.operating_point;
        html! {
            h2 { "Operating point" }
            @if let Some(point) = point {
                @let aim = Aim { escapes_at_most: point.escapes_at_most, confidence: point.confidence };
                p { "Chosen for: " (aim.to_string()) ", then as few good parts held back as possible; on " (point.bad) " bad and " (point.good)
                    " good parts, of which " (point.escapes) " escaped and " (point.held_good) " were held back." }
            } @else {
                p class="soft" { "The thresholds of the bundle. Others can be asked for: " code { "--escapes-at-most 0.5% --confidence 95%" } "." }
            }
            div class="pair" {
                figure {
                    h3 { "Escapes against overkill" }
                    (plots::trade_off(ranking, self.mark(), point.map(|point| point.escapes_at_most)))
                    figcaption { "Every threshold there is, by decades. The ring is the operating point. Held back: failed, or sent to a person." }
                }
                figure {
                    h3 { "How bad parts look" }
                    (plots::histogram(self.detail, point.map(|point| point.threshold)))
                    figcaption { "One minus the best passing score. Good parts upwards, bad parts downwards; heights by the square root." }
                }
            }
            div class="tables" { (tables::verdicts(self.report)) (tables::thresholds(self.report)) }
        }
    }

    fn ranking(&self) -> Markup {
        let Some(ranking) = self.detail.ranking.as_ref().filter(|ranking| ranking.has_both()) else {
            return html! {};
        };
        html! {
            h2 { "Telling bad from good" }
            div class="pair" {
                figure {
                    h3 { "ROC" }
                    (plots::roc(ranking, self.mark()))
                    figcaption { (tables::auroc_words(self.report)) }
                }
                figure {
                    h3 { "Precision and recall" }
                    (plots::precision_recall(ranking))
                    figcaption {
                        "Average precision " @if let Some(ap) = self.report.ap { (format!("{ap:.4}")) }
                        ". Dashed: what chance gives with this share of bad parts."
                    }
                }
            }
        }
    }

    fn classes(&self) -> Markup {
        html! {
            h2 { "Labels" }
            (tables::classes(self.report))
            (tables::confusion(self.report))
        }
    }

    fn calibration(&self) -> Markup {
        let Report { ece, ece_raw, ece_classwise, temperature, .. } = self.report;
        html! {
            h2 { "Whether scores mean what they say" }
            div class="pair" {
                figure {
                    h3 { "Reliability" }
                    (plots::reliability(&self.detail.reliability))
                    figcaption { "Bars: right answers by the highest score, darker where there are more images. On the dashed line a score is its \
                        own share of right answers; the thick strokes are what is missing." }
                }
                div {
                    p { "Expected calibration error " b { (percent(*ece)) } ", 15 bins: so far is a score from the share of right answers, \
                        on average." }
                    @if let Some(classwise) = ece_classwise { p { "For each label by itself " (percent(*classwise)) ", averaged." } }
                    @if *temperature == 1.0 {
                        p class="soft" { "Scores are the network's own: no temperature was fitted." }
                    } @else {
                        p { "The bundle divides its logits by " (format!("{temperature:.2}")) " before the softmax, fitted on the selection \
                            set of the training. Without it the error is " (percent(*ece_raw)) ". It changes no order." }
                    }
                }
            }
        }
    }

    fn areas(&self) -> Markup {
        html! {
            @if !self.detail.area.is_empty() {
                h2 { "Recall by the size of the defect" }
                (tables::areas(&self.detail.area))
            }
        }
    }
}

/// The report in a few plain sentences.
pub fn summary(report: &Report) -> Vec<String> {
    let sure = percent(report.confidence);
    let Some(Verdicts { good, overkill, bad, escapes, .. }) = report.verdicts else {
        let [low, high] = report.accuracy_ci;
        return vec![
            format!(
                "The model names {} of {} images right: {}, between {} and {} with {sure} confidence.",
                report.n - report.errors.len(),
                report.n,
                percent(report.accuracy),
                percent(low),
                percent(high)
            ),
            "It has no label that passes a part, so there are no escapes and no overkill to speak of.".into(),
        ];
    };
    let mut sentences = Vec::new();
    if let Some(bound) = report.escape_bound {
        // Rounded up: a promise may be kept too well.
        let most = (1000.0 * bound - 1e-9).ceil();
        sentences.push(format!(
            "Of 1,000 bad parts at most {most} would pass, with {sure} confidence. Here {escapes} of {bad} did."
        ));
    }
    if let (Some(rate), Some([low, high])) = (report.overkill_rate, report.overkill_ci) {
        sentences.push(format!(
            "Of 1,000 good parts about {:.0} would be rejected (between {:.0} and {:.0}). Here {overkill} of {good} were.",
            1000.0 * rate,
            (1000.0 * low).floor(),
            (1000.0 * high).ceil()
        ));
    }
    if let Some(review) = report.review_rate {
        sentences.push(format!("A person would be asked about {} of the parts measured here.", percent(review)));
    }
    sentences
}

/// What more bad parts would prove.
fn sample_note(report: &Report) -> Option<String> {
    let Verdicts { bad, .. } = report.verdicts?;
    let needed = clean_needed(0.005, report.confidence);
    (bad < needed).then(|| {
        let sure = percent(report.confidence);
        match bad {
            0 => format!("There is no bad part here: nothing is known of escapes. {needed} bad parts without an escape would prove at \
                          most 0.5 % with {sure} confidence."),
            _ => format!(
                "So few bad parts prove little: {bad} without a single escape would still leave up to {}. For at most 0.5 % with {sure} \
                 confidence it takes {needed} without an escape, {} more.",
                percent(upper(0, bad, report.confidence)),
                needed - bad
            ),
        }
    })
}

#[cfg(test)]
mod tests;
