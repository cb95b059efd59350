//! What a measurement says: figures with their intervals, confusion matrix, and every error by name.

use models::bundle::{Disposition, Heads, Label, Manifest};
use models::ruling;
use serde::Serialize;

use super::curve::{Curve, badness};
use super::intervals::{Interval, two_sided, upper};
use super::truth::TrueClass;
use super::{Scored, calibration};

/// What a report is made by, beside the scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The model's labels, with the thresholds that decide.
    pub labels: Vec<Label>,
    /// What stands beside the classifier, with the rules by which it joins the verdict.
    pub heads: Heads,
    /// Confidence of every interval, 0 to 1.
    pub confidence: f64,
    /// The temperature of the scores; 1 for those of the network as it is.
    pub temperature: f64,
}

impl Settings {
    /// A model's own thresholds and temperature, and 95 % confidence.
    pub fn of(manifest: &Manifest) -> Settings {
        let temperature = manifest.provenance.calibration.map_or(1.0, |calibration| calibration.temperature);
        let Manifest { labels, heads, .. } = manifest.clone();
        Settings { labels, heads, confidence: 0.95, temperature }
    }

    /// What the line does with a part of these scores.
    pub fn verdict(&self, image: &Scored) -> Disposition {
        ruling::decide(&image.scores, image.beside(), &self.labels, &self.heads).verdict
    }

    /// How bad a part looks to the whole model, 0 to 1: by its scores (see [`badness`]), and 1 where another head holds it back
    /// whatever they are. `None` for a model without a passing label.
    fn badness(&self, image: &Scored) -> Option<f64> {
        let by_scores = badness(&image.scores, &self.labels)?;
        Some(if ruling::held_back(image.beside(), &self.heads) { 1.0 } else { by_scores })
    }

    /// The scores as the network gives them, before the temperature.
    pub(super) fn raw(&self, scores: &[f32]) -> Vec<f32> {
        calibration::at_temperature(scores, 1.0 / self.temperature)
    }
}

/// A model measured on labelled images. A figure that the data cannot give is `None`: without a label that passes a part there are
/// no escapes and no overkill.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Images.
    pub n: usize,
    /// Share of images whose highest score is one of their labels.
    pub accuracy: f64,
    /// Its interval.
    pub accuracy_ci: Interval,
    /// Mean of the classes' recalls, so that a rare one counts as much as a common one.
    pub balanced_accuracy: f64,
    /// Area under the ROC curve of bad parts against good ones. Without a passing label: the mean over the labels, each against
    /// the rest.
    pub auroc: Option<f64>,
    /// Its interval (DeLong); `None` for a mean over labels.
    pub auroc_ci: Option<Interval>,
    /// Average precision, bad parts being what is looked for.
    pub ap: Option<f64>,
    /// Share of the bad parts that pass.
    pub escape_rate: Option<f64>,
    /// Its interval.
    pub escape_ci: Option<Interval>,
    /// The share of escapes that the truth exceeds with no more than `1 - confidence` probability.
    pub escape_bound: Option<f64>,
    /// Share of the good parts that fail.
    pub overkill_rate: Option<f64>,
    /// Its interval.
    pub overkill_ci: Option<Interval>,
    /// Share of all parts that a person is asked about.
    pub review_rate: Option<f64>,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// Expected calibration error of the highest score, 15 bins.
    pub ece: f64,
    /// The same without the temperature.
    pub ece_raw: f64,
    /// As `ece`, for each label by itself, averaged.
    pub ece_classwise: Option<f64>,
    /// The temperature of the scores.
    pub temperature: f64,
    /// What the thresholds make of the images; `None` for a model without a passing label.
    pub verdicts: Option<Verdicts>,
    /// The labels with the thresholds that decided.
    pub labels: Vec<Label>,
    /// Each class's figures.
    pub classes: Vec<ClassReport>,
    /// What was said of what.
    pub confusion: Confusion,
    /// Every image whose highest score is none of its labels.
    pub errors: Vec<Mistake>,
    /// Every bad part that passed, the most harmless-looking first.
    pub escapes: Vec<Mistake>,
    /// Every good part that failed, the worst-looking first.
    pub overkills: Vec<Mistake>,
}

/// A class of the data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassReport {
    /// Its name.
    pub name: String,
    /// Whether nothing is wrong with such a part.
    pub good: bool,
    /// Images of it.
    pub images: usize,
    /// Share of its images that are recognised; `None` without images.
    pub recall: Option<f64>,
    /// Its interval.
    pub recall_ci: Option<Interval>,
    /// Share of the images said to be of it that are; `None` where none is said to be, or the model has no such label.
    pub precision: Option<f64>,
    /// Average precision of the label's score; `None` as above.
    pub ap: Option<f64>,
}

/// What was said of what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusion {
    /// Names of the rows: the classes of the data.
    pub truth: Vec<String>,
    /// Names of the columns: the labels of the model.
    pub said: Vec<String>,
    /// Images by true class (the one that was recognised, else the first) and label with the highest score.
    pub counts: Vec<Vec<usize>>,
}

/// An image that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mistake {
    /// Its place among the images.
    #[serde(skip)]
    pub index: usize,
    /// The image.
    pub path: String,
    /// What it is.
    pub label: String,
    /// What the model said.
    pub said: String,
    /// The score of what it said.
    pub score: f32,
    /// The same before the temperature.
    pub raw_score: f32,
    /// What the thresholds made of it.
    pub verdict: Disposition,
}

/// Verdicts by the thresholds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// Good parts (all true labels pass).
    pub good: usize,
    /// Of these: failed.
    pub overkill: usize,
    /// Of these: sent to review.
    pub good_reviewed: usize,
    /// Bad parts.
    pub bad: usize,
    /// Of these: passed.
    pub escapes: usize,
    /// Of these: sent to review.
    pub bad_reviewed: usize,
}

/// An image with what follows from its scores.
pub(super) struct Judged<'a> {
    pub(super) scored: &'a Scored,
    /// The label with the highest score.
    pub(super) said: usize,
    /// Whether that is one of its labels.
    pub(super) right: bool,
    /// The true class that it counts under.
    pub(super) class: usize,
    /// Whether nothing is wrong with the part.
    pub(super) good: bool,
    /// What the thresholds make of it.
    pub(super) verdict: Disposition,
    /// See [`Settings::badness`].
    pub(super) badness: Option<f64>,
}

/// Judges every image.
pub(super) fn judge<'a>(scored: &'a [Scored], classes: &[TrueClass], settings: &Settings) -> Vec<Judged<'a>> {
    let labels = &settings.labels;
    let one = |image: &'a Scored| {
        let best = |a: &usize, b: &usize| image.scores[*a].total_cmp(&image.scores[*b]);
        let said = (0..labels.len()).max_by(best).unwrap_or_default();
        // A part with two defects counts under the one that was recognised.
        let recognised = image.labels.iter().copied().find(|&class| classes[class].accepts(said, labels));
        Judged {
            scored: image,
            said,
            right: recognised.is_some(),
            class: recognised.unwrap_or(image.labels[0]),
            good: image.labels.iter().all(|&class| classes[class].good),
            verdict: settings.verdict(image),
            badness: settings.badness(image),
        }
    };
    scored.iter().map(one).collect()
}

/// Good parts against bad ones; `None` for a model without a passing label.
pub(super) fn curve(images: &[Judged<'_>]) -> Option<Curve> {
    let parts: Option<Vec<(f64, bool)>> = images.iter().map(|image| image.badness.map(|q| (q, !image.good))).collect();
    parts.filter(|parts| !parts.is_empty()).map(Curve::new)
}

impl Report {
    /// Counts scored images, whose labels count `classes`. `name` gives the name of an image by its index.
    pub fn new(
        scored: &[Scored],
        classes: &[TrueClass],
        settings: &Settings,
        name: impl Fn(usize) -> String,
    ) -> Report {
        let Settings { labels, confidence, .. } = settings;
        let images = judge(scored, classes, settings);
        let confusion = Confusion::count(&images, classes, labels);
        let classes_report = class_reports(&images, classes, &confusion, *confidence);
        let right = images.iter().filter(|image| image.right).count();
        let recalls: Vec<f64> = classes_report.iter().filter_map(|class| class.recall).collect();
        let curve = curve(&images);
        let rests: Vec<f64> = one_against_rest(&images, classes).filter_map(|curve| curve.auroc()).collect();
        let mean_of_labels = || (!rests.is_empty()).then(|| rests.iter().sum::<f64>() / rests.len() as f64);
        let verdicts = curve.is_some().then(|| Verdicts::count(&images));
        let rate = |seen: usize, n: usize| share(seen, n);
        let escapes = verdicts.map(|v| (v.escapes, v.bad)).filter(|(_, bad)| *bad > 0);
        let overkill = verdicts.map(|v| (v.overkill, v.good)).filter(|(_, good)| *good > 0);
        let raw = |image: &Judged<'_>| settings.raw(&image.scored.scores)[image.said];
        let answers = |score: &dyn Fn(&Judged<'_>) -> f32| -> Vec<(f64, bool)> {
            images.iter().map(|image| (f64::from(score(image)), image.right)).collect()
        };
        let mistakes = Mistakes { images: &images, classes, settings, name: &name };
        Report {
            n: images.len(),
            accuracy: rate(right, images.len()).unwrap_or(0.0),
            accuracy_ci: two_sided(right, images.len(), *confidence),
            balanced_accuracy: recalls.iter().sum::<f64>() / recalls.len().max(1) as f64,
            auroc: curve.as_ref().map_or_else(mean_of_labels, Curve::auroc),
            auroc_ci: curve.as_ref().and_then(|curve| curve.auroc_interval(*confidence)),
            ap: curve.as_ref().and_then(Curve::average_precision),
            escape_rate: escapes.and_then(|(seen, n)| rate(seen, n)),
            escape_ci: escapes.map(|(seen, n)| two_sided(seen, n, *confidence)),
            escape_bound: escapes.map(|(seen, n)| upper(seen, n, *confidence)),
            overkill_rate: overkill.and_then(|(seen, n)| rate(seen, n)),
            overkill_ci: overkill.map(|(seen, n)| two_sided(seen, n, *confidence)),
            review_rate: verdicts.and_then(|v| rate(v.good_reviewed + v.bad_reviewed, v.good + v.bad)),
            confidence: *confidence,
            ece: calibration::error(&calibration::bins(answers(&|image| image.scored.scores[image.said]))),
            ece_raw: calibration::error(&calibration::bins(answers(&|image| raw(image)))),
            ece_classwise: calibration::classwise_error(scored, classes, labels),
            temperature: settings.temperature,
            verdicts,
            labels: labels.clone(),
            classes: classes_report,
            confusion,
            errors: mistakes.list(|image| !image.right, |_| 0.0),
            escapes: mistakes.list(|image| curve.is_some() && image.is_escape(), |image| image.badness.unwrap_or(0.0)),
            overkills: mistakes
                .list(|image| curve.is_some() && image.is_overkill(), |image| -image.badness.unwrap_or(0.0)),
        }
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Judged<'_> {
    fn is_escape(&self) -> bool {
        !self.good && self.verdict == Disposition::Pass
    }

    fn is_overkill(&self) -> bool {
        self.good && self.verdict == Disposition::Fail
    }

    /// Whether the image is of the class.
    fn is_of(&self, class: usize) -> bool {
        self.scored.labels.contains(&class)
    }
}

/// For each class that the model has a label for: that label's score, the class against all others.
pub(super) fn one_against_rest<'a>(
    images: &'a [Judged<'a>],
    classes: &'a [TrueClass],
) -> impl Iterator<Item = Curve> + 'a {
    let known = classes.iter().enumerate().filter_map(|(at, class)| class.label.map(|label| (at, label)));
    known.map(|(at, label)| {
        Curve::new(images.iter().map(move |image| (f64::from(image.scored.scores[label]), image.is_of(at))))
    })
}

fn class_reports(
    images: &[Judged<'_>],
    classes: &[TrueClass],
    confusion: &Confusion,
    confidence: f64,
) -> Vec<ClassReport> {
    let mut curves = one_against_rest(images, classes);
    let mut report = |(at, class): (usize, &TrueClass)| {
        let n = confusion.counts[at].iter().sum();
        let recognised = images.iter().filter(|image| image.class == at && image.right).count();
        let said = class.label.map(|label| confusion.counts.iter().map(|row| row[label]).sum::<usize>());
        ClassReport {
            name: class.name.clone(),
            good: class.good,
            images: n,
            recall: share(recognised, n),
            recall_ci: (n > 0).then(|| two_sided(recognised, n, confidence)),
            precision: class.label.zip(said).and_then(|(label, said)| share(confusion.counts[at][label], said)),
            ap: class.label.and_then(|_| curves.next()?.average_precision()),
        }
    };
    classes.iter().enumerate().map(&mut report).collect()
}

impl Confusion {
    fn count(images: &[Judged<'_>], classes: &[TrueClass], labels: &[Label]) -> Confusion {
        let mut counts = vec![vec![0; labels.len()]; classes.len()];
        images.iter().for_each(|image| counts[image.class][image.said] += 1);
        Confusion {
            truth: classes.iter().map(|class| class.name.clone()).collect(),
            said: labels.iter().map(|label| label.name.clone()).collect(),
            counts,
        }
    }
}

impl Verdicts {
    fn count(images: &[Judged<'_>]) -> Verdicts {
        let mut counts = Verdicts::default();
        for image in images {
            counts.good += usize::from(image.good);
            counts.bad += usize::from(!image.good);
            match (image.good, image.verdict) {
                (true, Disposition::Fail) => counts.overkill += 1,
                (true, Disposition::Review) => counts.good_reviewed += 1,
                (false, Disposition::Pass) => counts.escapes += 1,
                (false, Disposition::Review) => counts.bad_reviewed += 1,
                (true, Disposition::Pass) | (false, Disposition::Fail) => {}
            }
        }
        counts
    }
}

/// Turns judged images into lists.
struct Mistakes<'a> {
    images: &'a [Judged<'a>],
    classes: &'a [TrueClass],
    settings: &'a Settings,
    name: &'a dyn Fn(usize) -> String,
}

impl Mistakes<'_> {
    /// The images that are `wanted`, by rising `order`.
    fn list(&self, wanted: impl Fn(&Judged<'_>) -> bool, order: impl Fn(&Judged<'_>) -> f64) -> Vec<Mistake> {
        let mut found: Vec<usize> = (0..self.images.len()).filter(|&index| wanted(&self.images[index])).collect();
        found.sort_by(|&a, &b| order(&self.images[a]).total_cmp(&order(&self.images[b])));
        let mistake = |index: usize| {
            let image = &self.images[index];
            Mistake {
                index,
                path: (self.name)(index),
                label: self.classes[image.class].name.clone(),
                said: self.settings.labels[image.said].name.clone(),
                score: image.scored.scores[image.said],
                raw_score: self.settings.raw(&image.scored.scores)[image.said],
                verdict: image.verdict,
            }
        };
        found.into_iter().map(mistake).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::truth::{against_good, same_labels};
    use super::*;
    use crate::samples::Class;

    fn settings() -> Settings {
        let label = |name: &str, verdict| Label { name: name.into(), verdict, threshold: 0.5 };
        let labels =
            vec![label("good", Disposition::Pass), label("pit", Disposition::Fail), label("crack", Disposition::Fail)];
        Settings { labels, heads: Heads::default(), confidence: 0.95, temperature: 1.0 }
    }

    fn image(scores: [f32; 3], of: &[usize]) -> Scored {
        Scored { scores: scores.into(), labels: of.into(), weight: 1.0, area: None, anomalous: None, likeness: None }
    }

    #[test]
    fn figures_of_a_hand_counted_example() {
        let settings = settings();
        let scored = [
            image([0.9, 0.1, 0.0], &[0]),
            image([0.3, 0.6, 0.1], &[0]),
            image([0.4, 0.3, 0.3], &[0]),
            image([0.1, 0.8, 0.1], &[1]),
            image([0.0, 0.3, 0.7], &[1, 2]),
            image([0.8, 0.1, 0.1], &[2]),
        ];
        let report = Report::new(&scored, &same_labels(&settings.labels), &settings, |index| format!("{index}.png"));
        assert_eq!(report.confusion.counts, [[2, 1, 0], [0, 1, 0], [1, 0, 1]]);
        assert!((report.accuracy - 4.0 / 6.0).abs() < 1e-9);
        assert!((report.balanced_accuracy - (2.0 / 3.0 + 1.0 + 0.5) / 3.0).abs() < 1e-9);
        let wrong: Vec<(&str, &str, &str)> =
            report.errors.iter().map(|e| (e.path.as_str(), e.label.as_str(), e.said.as_str())).collect();
        assert_eq!(wrong, [("1.png", "good", "pit"), ("5.png", "crack", "good")]);
        let verdicts = Verdicts { good: 3, overkill: 1, good_reviewed: 1, bad: 3, escapes: 1, bad_reviewed: 0 };
        assert_eq!(report.verdicts, Some(verdicts));
        assert_eq!((report.escape_rate, report.overkill_rate), (Some(1.0 / 3.0), Some(1.0 / 3.0)));
        // Bad parts look .9, 1 and .2 bad, good ones .1, .7 and .6: of nine pairs two are in the wrong order.
        assert!((report.auroc.unwrap() - 7.0 / 9.0).abs() < 1e-6);
        assert_eq!(report.escapes.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), ["5.png"]);
        assert_eq!(report.overkills.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(), ["1.png"]);
        assert_eq!(report.classes[1].precision, Some(0.5));
        assert!(report.to_string().contains("escapes 1"));
    }

    #[test]
    fn without_a_passing_label_there_is_no_escape_to_speak_of() {
        let mut settings = settings();
        settings.labels.remove(0);
        let image = |scores: [f32; 2], of| Scored {
            scores: scores.into(),
            labels: vec![of],
            weight: 1.0,
            area: None,
            anomalous: None,
            likeness: None,
        };
        let scored = [image([0.9, 0.1], 0), image([0.2, 0.8], 1), image([0.6, 0.4], 1)];
        let report = Report::new(&scored, &same_labels(&settings.labels), &settings, |index| index.to_string());
        let json = serde_json::to_value(&report).unwrap();
        for key in ["escape_rate", "escape_ci", "overkill_rate", "overkill_ci", "review_rate", "verdicts", "auroc_ci"] {
            assert!(json[key].is_null(), "{key}: {}", json[key]);
        }
        assert_eq!(report.auroc, Some(1.0), "the mean over labels, each against the rest");
        assert_eq!((json["n"].as_u64(), json["errors"].as_array().map(Vec::len)), (Some(3), Some(1)));
    }

    #[test]
    fn parts_of_unknown_kinds_count_as_bad() {
        let settings = settings();
        let data = ["good", "pit", "unheard_of"].map(Class::named);
        let classes = against_good(&data, "good", &settings.labels).unwrap();
        let scored = [
            image([0.9, 0.1, 0.0], &[0]),
            image([0.1, 0.1, 0.8], &[1]),
            image([0.1, 0.1, 0.8], &[2]),
            image([0.8, 0.1, 0.1], &[2]),
        ];
        let report = Report::new(&scored, &classes, &settings, |index| index.to_string());
        assert_eq!(report.confusion.truth, ["good", "pit", "unheard_of"]);
        assert_eq!(report.confusion.counts, [[1, 0, 0], [0, 0, 1], [1, 0, 1]]);
        assert_eq!(report.verdicts.map(|v| (v.good, v.bad, v.escapes)), Some((1, 3, 1)));
        let recalls: Vec<_> = report.classes.iter().map(|class| class.recall).collect();
        assert_eq!(recalls, [Some(1.0), Some(0.0), Some(0.5)], "of an unknown kind any bad label is right");
        assert_eq!(report.classes[2].precision, None);
        assert_eq!(report.auroc, Some(1.0));
    }
}
