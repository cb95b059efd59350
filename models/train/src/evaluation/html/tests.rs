//! What the page says, and that nothing in it can run.

use models::bundle::{Disposition, FORMAT, Label, Manifest, Pooling, Provenance, Tolerance};
use models::preprocess::Preprocess;

use super::super::latency::Percentiles;
use super::super::truth::same_labels;
use super::super::{Scored, Settings};
use super::*;

fn manifest(labels: Vec<Label>) -> Manifest {
    Manifest {
        format: FORMAT,
        name: "<script>alert(1)</script> & co".into(),
        labels,
        preprocess: Preprocess::imagenet(64),
        pooling: Pooling::Mean,
        input: "image".into(),
        scores: "scores".into(),
        heat: "heat".into(),
        heads: Default::default(),
        precision: Default::default(),
        graph_sha256: "abc".into(),
        files_sha256: Default::default(),
        tolerance: Tolerance { fp32: 1e-3, fp16: 2e-2 },
        provenance: Provenance::default(),
    }
}

fn page(labels: &[Label], scored: &[Scored]) -> String {
    let manifest = manifest(labels.to_vec());
    let settings = Settings::of(&manifest);
    let classes = same_labels(labels);
    let report = Report::new(scored, &classes, &settings, |index| format!("\"><img src=x>{index}.png"));
    let times = Percentiles { p50: 8.1, p95: 9.0, p99: 9.9, max: 12.0 };
    let mistake = |kind, mistake: &super::super::Mistake| Thumb {
        kind,
        mistake: mistake.clone(),
        heat_of: "pit".into(),
        pictures: ["data:image/jpeg;base64,AA==".into(), "data:image/jpeg;base64,AA==".into()],
    };
    let thumbs: Vec<Thumb> = report.escapes.iter().map(|escape| mistake(Kind::Escape, escape)).collect();
    Page {
        manifest: &manifest,
        report: &report,
        detail: &Detail::new(scored, &classes, &settings),
        latency: &Latency { images: 4, verdict: times, decode: times },
        operating_point: None,
        thumbs: &thumbs,
        facts: &[("Data".into(), "folder <b>".into())],
    }
    .render()
}

fn label(name: &str, verdict: Disposition) -> Label {
    Label { name: name.into(), verdict, threshold: 0.5 }
}

fn scored(good: f32, label: usize) -> Scored {
    let area = Some(label as f64 * 0.002);
    Scored { scores: vec![good, 1.0 - good], labels: vec![label], weight: 1.0, area, anomalous: None, likeness: None }
}

#[test]
fn the_page_shows_itself_and_fetches_nothing() {
    let labels = vec![label("good", Disposition::Pass), label("pit", Disposition::Fail)];
    let images: Vec<Scored> =
        (0..60).map(|i| if i % 2 == 0 { scored(0.9, 0) } else { scored(if i == 59 { 0.8 } else { 0.1 }, 1) }).collect();
    let page = page(&labels, &images);
    for wanted in
        ["Of 1,000 bad parts at most 149 would pass, with 95 % confidence. Here 1 of 30 did.", "568 more", "<svg"]
    {
        assert!(page.contains(wanted), "{wanted}\n{}", &page[..6000]);
    }
    // Nothing from outside, and nothing that a name could smuggle in.
    for (at, _) in page.match_indices("src=\"") {
        assert!(page[at + 5..].starts_with("data:image/"), "{}", &page[at..at + 60]);
    }
    for banned in ["http://", "https://", "<script", "<link", "url(", "@import", "<img src=x", "<b>\n", "folder <b>"] {
        assert!(!page.contains(banned), "{banned}");
    }
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; co"));
    assert!(!page.contains("NaN") && !page.contains("inf"), "a plot has a place for every number");
}

#[test]
fn a_model_without_a_passing_label_gets_a_page_too() {
    let labels = vec![label("scratch", Disposition::Fail), label("pit", Disposition::Fail)];
    let page = page(&labels, &[scored(0.9, 0), scored(0.2, 1), scored(0.7, 1)]);
    assert!(page.contains("The model names 2 of 3 images right"));
    assert!(page.contains("no label that passes a part") && !page.contains("Operating point"));
}
