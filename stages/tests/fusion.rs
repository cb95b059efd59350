//! Several views of a part decided together: the right pixels under each name, views that did not come, recipes that do not fit; and the
//! lights of the simulated line, of which each hides what the other shows.

mod line_support;

use std::sync::Arc;
use std::time::Duration;

use line_support::FakeModel;
use models::bundle::{FusionSpec, Manifest};
use models::image::{Image, PixelFormat, encode_png};
use models::prediction::{HeatMap, Model, Prediction};
use models::preprocess::Preprocess;
use models::runtime::{Provider, RuntimeError};
use stages::capture::synthetic::{LABELS, Lamp, TrainingSet};
use stages::capture::{Event, SourceConfig};
use stages::frame::{Content, Frame, FramePool, View};
use stages::line::{Limits, standard};
use stages::part::Part;
use stages::recipe::{Recipe, RecipeInForce};
use stages::recycle::Buffers;
use stages::regions::{Area, Region, misfits};
use stages::stage::{Decision, run_chain};
use stages::verdict::{Cause, Verdict};

/// Sees `bright` and `dark` together. A view weighs as much as it is bright; from a mean grey level of 150 on in `dark` the part is
/// scratched.
struct Both {
    manifest: Manifest,
    digest: Arc<str>,
}

impl Both {
    fn new() -> Arc<Both> {
        let mut manifest = FakeModel::new(Preprocess::imagenet(32)).manifest().clone();
        let views = vec!["bright".into(), "dark".into()];
        manifest.heads.fusion = Some(FusionSpec { views, present: "present".into(), weights: "views".into() });
        Arc::new(Both { manifest, digest: "both".into() })
    }
}

impl Model for Both {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }
    fn digest(&self) -> &Arc<str> {
        &self.digest
    }
    fn provider(&self) -> Provider {
        Provider::Cpu
    }
    fn predict(&self, tensor: &[f32]) -> Result<Prediction, RuntimeError> {
        assert_eq!(tensor.len(), self.tensor_len());
        let length = 3 * 32 * 32;
        let level = |view: usize| {
            let red = &tensor[view * length..][..length / 3];
            255.0 * (red.iter().sum::<f32>() / red.len() as f32 * 0.229 + 0.485)
        };
        let parts = [0, 1].map(|view| level(view) * tensor[2 * length + view]);
        let scratched = tensor[2 * length + 1] == 1.0 && level(1) > 150.0;
        Ok(Prediction {
            scores: if scratched { vec![0.1, 0.9] } else { vec![0.9, 0.1] },
            heat: HeatMap { labels: 2, height: 1, width: 1, logits: vec![0.0, 3.0] },
            embedding: None,
            views: Some(parts.iter().map(|part| part / (parts[0] + parts[1])).collect()),
            anomaly: None,
            prototypes: None,
            provider: Provider::Cpu,
            model_digest: self.digest.clone(),
        })
    }
}

/// Views of 40 x 40 pixels and a grey level each, side by side.
fn frame(views: &[(&str, u8)]) -> Frame {
    let width = 40 * views.len();
    let mut bytes = vec![0; width * 40];
    for (at, byte) in bytes.iter_mut().enumerate() {
        // Not blank, so that the quality gate lets it pass.
        *byte = views[at % width / 40].1 + 3 * (at % 7) as u8;
    }
    let place = |(at, (name, _)): (usize, &(&str, u8))| View {
        name: (*name).into(),
        area: Area { x: 40 * at as u32, y: 0, width: 40, height: 40 },
    };
    let places: Vec<View> = views.iter().enumerate().map(place).collect();
    let pool = FramePool::new(1, bytes.len());
    let mut buffer = pool.try_take().expect("a buffer");
    buffer.extend_from_slice(&bytes);
    let content = Content::Pixels { width: width as u32, height: 40, format: PixelFormat::Mono8 };
    buffer.into_views(content, 0, None, places.as_slice().into())
}

fn recipe(regions: &[&str]) -> Recipe {
    let region = |text: &&str| -> Region { toml::from_str(text).expect("a region") };
    Recipe { regions: regions.iter().map(region).collect(), ..line_support::recipe(1000).recipe.clone() }
}

const PART: &str = "name = 'part'\nviews = ['dark', 'bright']";

fn decided(frame: Frame) -> Decision {
    let in_force = RecipeInForce::new(recipe(&[PART]), Both::new()).expect("sound");
    let limits = Limits { workers: 2, ..Limits::default() };
    let mut chain: Vec<_> = standard(&limits).iter().map(|stage| stage.build()).collect();
    run_chain(&mut chain, Part::new(1, frame, Arc::new(in_force), Buffers::new(4))).1
}

#[test]
fn fusion_takes_each_view_by_its_name_and_says_what_it_weighed() {
    let weights = |decision: &Decision| -> Vec<(String, Option<i32>)> {
        let of = &decision.regions[0].weights;
        of.iter().map(|it| (it.view.to_string(), it.weight.map(|weight| (100.0 * weight).round() as i32))).collect()
    };
    // In whatever order the cameras stand.
    for (views, tile) in
        [([("dark", 180), ("bright", 60)], [0, 0, 40, 40]), ([("bright", 60), ("dark", 180)], [40, 0, 40, 40])]
    {
        let said = decided(frame(&views));
        assert_eq!((said.verdict, said.label.as_deref()), (Verdict::Fail, Some("scratch")));
        assert_eq!(weights(&said), [("dark".into(), Some(73)), ("bright".into(), Some(27))]);
        assert_eq!((said.regions[0].tile, said.detail.as_deref()), (tile, None), "the view that decided");
    }
    assert_eq!(decided(frame(&[("dark", 20), ("bright", 200)])).verdict, Verdict::Pass);

    let lacking = decided(frame(&[("bright", 180)]));
    assert_eq!(lacking.verdict, Verdict::Pass, "nobody saw the scratch");
    assert_eq!(weights(&lacking), [("bright".into(), Some(100)), ("dark".into(), None)]);
    assert!(
        lacking.detail.as_deref().is_some_and(|words| words.contains("without view `dark`")),
        "{:?}",
        lacking.detail
    );
    let blind = decided(frame(&[("side", 180)]));
    assert_eq!(blind.verdict, Verdict::NoDecision(Cause::NoFrame), "{:?}", blind.detail);
}

#[test]
fn fusion_recipes_that_do_not_fit_are_refused_in_words() {
    let refused = |region: &str, model: Arc<dyn Model>| {
        RecipeInForce::new(recipe(&[region]), model).map(|_| ()).expect_err("must be refused").to_string()
    };
    let fake = || Arc::new(FakeModel::new(Preprocess::imagenet(32)));
    for (region, model, words) in [
        (
            "name = 'a'\nview = 'dark'",
            Both::new() as Arc<dyn Model>,
            "give the region `views = [\"bright\", \"dark\"]`",
        ),
        ("name = 'a'\nviews = ['dark', 'side']", Both::new(), "sees views together"),
        (PART, fake(), "sees one picture"),
        ("name = 'a'\nviews = ['dark', 'bright']\nview = 'dark'", Both::new(), "leave out `view`"),
        ("name = 'a'\nviews = ['dark', 'bright']\ntiles = { size = 64 }", Both::new(), "leave out `view`"),
    ] {
        let said = refused(region, model);
        assert!(said.contains(words), "{region}: {said}");
    }
    assert_eq!(misfits(&recipe(&[PART]), &["bright", "dark"]), Vec::<String>::new());
    assert!(misfits(&recipe(&[PART]), &["bright", "side"]).join(";").contains("has `dark`; there are"));
    assert!(misfits(&recipe(&[PART]), &["bright", "dark", "side"]).join(";").contains("no region lies in view `side`"));
    assert!(misfits(&recipe(&[PART]), &[]).join(";").contains("one camera alone"));
}

#[test]
fn fusion_sources_go_on_without_a_view_only_where_they_are_told_to() {
    let dir = tempfile::tempdir().expect("a folder");
    for (view, names) in [("bright", &["a1", "a2"][..]), ("dark", &["a1"])] {
        std::fs::create_dir(dir.path().join(view)).expect("made");
        for name in names {
            let image = Image { width: 4, height: 4, format: PixelFormat::Mono8, data: vec![9; 16] };
            let file = encode_png(image.view()).expect("a file");
            std::fs::write(dir.path().join(view).join(format!("{name}.png")), file).expect("written");
        }
    }
    std::fs::write(dir.path().join("dark/a2.png"), b"no picture").expect("written");
    let seen = |missing: &str| {
        let text = format!(
            "kind = 'views'\n{missing}\n[[views]]\nname = 'bright'\nsource = {{ kind = 'folder', path = 'bright' }}\n\
             [[views]]\nname = 'dark'\nsource = {{ kind = 'folder', path = 'dark' }}"
        );
        let mut source: SourceConfig = toml::from_str(&text).expect("readable");
        source.relative_to(dir.path());
        let mut views = source.open().expect("open");
        let mut seen = Vec::new();
        loop {
            match views.next(Duration::from_millis(50)).expect("no trouble") {
                Event::Trigger(part) => {
                    let names =
                        |frame: Frame| frame.views().iter().map(|view| view.name.to_string()).collect::<Vec<_>>();
                    seen.push(part.frame.map(names).map_err(|fault| fault.cause));
                }
                Event::Idle => {}
                Event::End => return seen,
            }
        }
    };
    let both = || Ok(vec!["bright".to_owned(), "dark".to_owned()]);
    assert_eq!(seen(""), [both(), Err(Cause::Unreadable)]);
    assert_eq!(seen("missing = 'mask'"), [both(), Err(Cause::Unreadable)], "a damaged file is no missing view");
    std::fs::remove_file(dir.path().join("dark/a2.png")).expect("removed");
    assert_eq!(seen(""), [both(), Err(Cause::NoFrame)]);
    assert_eq!(seen("missing = 'mask'"), [both(), Ok(vec!["bright".to_owned()])]);
}

#[test]
fn fusion_lights_hide_what_the_other_shows() {
    let diffuse = TrainingSet::to_measure_on(3, 128);
    let [bright, dark] = [Lamp::BrightField, Lamp::DarkField].map(|lamp| diffuse.under(lamp));
    let difference = |a: &Image, b: &Image| {
        let sum: u64 = a.data.iter().zip(&b.data).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum as f64 / a.data.len() as f64
    };
    for index in 0..20 {
        let (as_ever, under_bright, under_dark) = (diffuse.sample(index), bright.sample(index), dark.sample(index));
        let label = LABELS[as_ever.labels[0]];
        assert_eq!(
            (&as_ever.labels, &as_ever.labels),
            (&under_bright.labels, &under_dark.labels),
            "{label}: the same part"
        );
        assert_eq!((&as_ever.mask, &as_ever.mask), (&under_bright.mask, &under_dark.mask), "{label}: the same places");
        let seen = |cnr: &[f32]| cnr.first().is_none_or(|&cnr| cnr > 0.5);
        assert_eq!(seen(&under_bright.cnr), !["scratch", "pit", "dent"].contains(&label), "{label} in bright field");
        assert_eq!(seen(&under_dark.cnr), !["stain", "discolouration"].contains(&label), "{label} in dark field");
        let mean =
            |image: &Image| image.data.iter().map(|&byte| f64::from(byte)).sum::<f64>() / image.data.len() as f64;
        assert!(mean(&under_dark.image) < 0.5 * mean(&under_bright.image), "{label}: dark field is dark");
        assert!(difference(&as_ever.image, &under_bright.image) > 0.1, "each camera has noise of its own");
        assert_eq!(as_ever, diffuse.sample(index), "and the light of one changes nothing for the other");
    }
}
