//! Regions and tiles through the stages of a line: what a whole picture hides is found in a tile, each region by its own model, and the
//! worst one speaks for the part.

mod line_support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use line_support::FakeModel;
use models::bundle::Manifest;
use models::image::PixelFormat;
use models::prediction::{HeatMap, Model, Prediction};
use models::preprocess::Preprocess;
use models::runtime::{Provider, RuntimeError};
use stages::frame::{Content, Frame, FramePool, View};
use stages::line::{Limits, standard};
use stages::part::Part;
use stages::recipe::{Recipe, RecipeInForce};
use stages::recycle::Buffers;
use stages::regions::{Area, Region, Tiles};
use stages::stage::{Decision, run_chain};
use stages::verdict::{Cause, Verdict};

/// A model that sees bright things: `scratch` is twenty times their share of its input, as far as that goes.
struct Bright {
    like: FakeModel,
    digest: Arc<str>,
}

impl Bright {
    fn new(name: &str) -> Arc<Bright> {
        Arc::new(Bright { like: FakeModel::new(Preprocess::imagenet(64)), digest: name.into() })
    }
}

impl Model for Bright {
    fn manifest(&self) -> &Manifest {
        self.like.manifest()
    }
    fn digest(&self) -> &Arc<str> {
        &self.digest
    }
    fn provider(&self) -> Provider {
        Provider::Cpu
    }
    fn predict(&self, tensor: &[f32]) -> Result<Prediction, RuntimeError> {
        if tensor.iter().all(|&value| value < -1.8) {
            return Err(RuntimeError::Input { expected: 1, got: 0 });
        }
        let cells = 64 * 64;
        // Of the picture a cell is bright from 200 on.
        let bright: Vec<bool> = tensor[..cells].iter().map(|&value| value * 0.229 + 0.485 > 200.0 / 255.0).collect();
        let share = bright.iter().filter(|&&bright| bright).count() as f32 / cells as f32;
        let scratch = (share * 20.0).clamp(0.02, 0.98);
        let logits = |on: f32, off: f32| bright.iter().map(move |&bright| if bright { on } else { off });
        Ok(Prediction {
            scores: vec![1.0 - scratch, scratch],
            heat: HeatMap {
                labels: 2,
                height: 64,
                width: 64,
                logits: logits(0.0, 8.0).chain(logits(8.0, 0.0)).collect(),
            },
            embedding: None,
            views: None,
            anomaly: None,
            prototypes: None,
            provider: Provider::Cpu,
            model_digest: self.digest.clone(),
        })
    }
}

/// A grey picture with bright squares: left, top, side.
fn picture(width: u32, height: u32, squares: &[[u32; 3]]) -> Frame {
    let mut data: Vec<u8> = (0..width * height).map(|at| 90 + (at % 13) as u8).collect();
    for &[x, y, side] in squares {
        for row in y..y + side {
            let at = (row * width + x) as usize;
            data[at..at + side as usize].fill(250);
        }
    }
    Frame::from_vec(Content::Pixels { width, height, format: PixelFormat::Mono8 }, data, 0, None)
}

fn base() -> Recipe {
    line_support::recipe(1000).recipe.clone()
}

fn decided(recipe: Recipe, frame: Frame) -> Decision {
    let others: BTreeMap<PathBuf, Arc<dyn Model>> = BTreeMap::from([("other.zip".into(), Bright::new("other") as _)]);
    let in_force = RecipeInForce::with_others(recipe, Bright::new("own"), &others).expect("sound");
    let mut chain: Vec<_> =
        standard(&Limits { workers: 2, ..Limits::default() }).iter().map(|stage| stage.build()).collect();
    run_chain(&mut chain, Part::new(1, frame, Arc::new(in_force), Buffers::new(4))).1
}

fn region(text: &str) -> Region {
    toml::from_str(text).expect("a region")
}

#[test]
fn a_defect_of_twenty_pixels_in_a_frame_of_four_thousand_is_found_by_tiles_and_lost_without() {
    let frame = || picture(4000, 3000, &[[2711, 1432, 20]]);
    let whole = decided(base(), frame());
    assert_eq!((whole.verdict, whole.regions.len()), (Verdict::Pass, 0), "the baseline");
    let tiled = decided(Recipe { tiles: Some(Tiles { size: 128, overlap: Some(24) }), ..base() }, frame());
    assert_eq!(tiled.verdict, Verdict::NoDecision(Cause::WrongSize), "39 x 29 tiles are too many: {:?}", tiled.detail);
    let tiled = decided(Recipe { tiles: Some(Tiles { size: 256, overlap: Some(24) }), ..base() }, frame());
    assert_eq!(
        (tiled.verdict, tiled.label.as_deref()),
        (Verdict::Pass, Some("good")),
        "0.6 % of a tile is too little for this model"
    );
    let tiled = decided(
        Recipe {
            tiles: Some(Tiles { size: 192, overlap: Some(24) }),
            thresholds: [("scratch".into(), 0.15)].into(),
            ..base()
        },
        frame(),
    );
    assert_eq!((tiled.verdict, tiled.label.as_deref()), (Verdict::Fail, Some("scratch")));
    let [x, y, width, height] = tiled.regions[0].tile;
    assert!(x <= 2711 && 2731 <= x + width && y <= 1432 && 1452 <= y + height, "{:?}", tiled.regions);
    // The map is over the whole picture, and hot where the defect is.
    let heat = tiled.heat.expect("a map");
    assert_eq!((heat.width, heat.height), (64, 48));
    assert!(heat.cells[1432 * 48 / 3000 * 64 + 2711 * 64 / 4000] > 200);
    // It may lie on a border of cells.
    assert!((1..=4).contains(&heat.cells.iter().filter(|&&value| value > 200).count()));
}

#[test]
fn each_region_has_its_own_model_and_the_worst_one_speaks() {
    let regions = vec![
        region("name = 'left'\narea = { x = 0, y = 0, width = 200, height = 200 }"),
        region(
            "name = 'right'\nbundle = 'other.zip'\narea = { x = 200, y = 0, width = 200, height = 200 }\nthresholds = { scratch = 0.9 }",
        ),
    ];
    let of = |squares: &[[u32; 3]]| decided(Recipe { regions: regions.clone(), ..base() }, picture(400, 240, squares));
    let good = of(&[]);
    assert_eq!(good.verdict, Verdict::Pass);
    let said = |decision: &Decision| -> Vec<(String, Verdict, String)> {
        let says = decision.regions.iter();
        says.map(|region| (region.region.to_string(), region.verdict, region.model.to_string())).collect()
    };
    // 40 x 40 of 200 x 200 is 4 %: score 0.8, over the own threshold of 0.5, under the region's of 0.9.
    let left = of(&[[50, 50, 40]]);
    assert_eq!((left.verdict, left.label.as_deref()), (Verdict::Fail, Some("scratch")));
    assert_eq!(
        said(&left),
        [("left".into(), Verdict::Fail, "own".into()), ("right".into(), Verdict::Pass, "other".into())]
    );
    let right = of(&[[250, 50, 40]]);
    assert_eq!(
        (right.verdict, said(&right)[0].clone()),
        (Verdict::Review, ("right".into(), Verdict::Review, "other".into()))
    );
    assert!(right.detail.as_deref().is_some_and(|words| words.starts_with("region `right`: no label is sure")));
    // Outside of all regions nobody looks.
    assert_eq!(of(&[[50, 201, 39], [300, 201, 39]]).verdict, Verdict::Pass);
}

#[test]
fn what_cannot_be_looked_at_is_no_decision_and_never_a_pass() {
    let far = vec![region("name = 'far'\narea = { x = 300, y = 0, width = 200, height = 100 }")];
    let decision = decided(Recipe { regions: far, ..base() }, picture(400, 240, &[]));
    assert_eq!(decision.verdict, Verdict::NoDecision(Cause::WrongSize));
    let words = decision.detail.expect("words");
    assert_eq!(words, "region `far`: 200 x 100 pixels at 300, 0 reach out of the picture of 400 x 240");

    // A model that fails on one tile of many: the corner is black.
    let mut data: Vec<u8> = (0..400_u32 * 400).map(|at| 90 + (at % 13) as u8).collect();
    for row in 0..64 {
        data[row * 400..row * 400 + 64].fill(0);
    }
    let frame = Frame::from_vec(Content::Pixels { width: 400, height: 400, format: PixelFormat::Mono8 }, data, 0, None);
    let decision = decided(Recipe { tiles: Some(Tiles { size: 64, overlap: Some(0) }), ..base() }, frame);
    assert_eq!(decision.verdict, Verdict::NoDecision(Cause::StageFailed));
    assert!(decision.detail.is_some_and(|words| words.starts_with("infer: region `picture`: ")));
}

#[test]
fn what_is_wrong_with_regions_is_said_before_a_part_comes() {
    for (recipe, words) in [
        ("[tiles]\nsize = 8", "`tiles.size` is 8"),
        ("[tiles]\nsize = 100\noverlap = 90", "`tiles.overlap` is 90: 50 (half a tile) is the most"),
        ("[tiles]\nsize = 100\n[[regions]]\nname = 'a'", "with `regions` give each its own `tiles`"),
        ("[[regions]]\nname = ''", "`regions[0].name` is \"\""),
        ("[[regions]]\nname = 'a'\n[[regions]]\nname = 'a'", "`regions[1].name` is `a`, which another region has"),
        ("[[regions]]\nname = 'a'\narea = { x = 0, y = 0, width = 0, height = 4 }", "`regions[0].area` is empty"),
        ("[[regions]]\nname = 'a'\nthresholds = { scratch = 2.0 }", "`regions[0].thresholds.scratch` is 2"),
        (
            "[quality]\nsize = [100, 100]\n[[regions]]\nname = 'a'\narea = { x = 50, y = 0, width = 51, height = 4 }",
            "`regions[0].area` reaches out of `quality.size`, 100 x 100 pixels",
        ),
    ] {
        let recipe: Recipe =
            toml::from_str(&format!("name = 'x'\nversion = 1\ndeadline_ms = 100\n{recipe}")).expect("readable");
        let problems = recipe.problems().join("\n");
        assert!(problems.contains(words), "{problems}");
    }
    let lacks = RecipeInForce::new(
        Recipe {
            regions: vec![region("name = 'a'\nbundle = 'b.zip'"), region("name = 'c'\nthresholds = { burr = 0.2 }")],
            ..base()
        },
        Bright::new("own"),
    );
    let Err(error) = lacks else { panic!("must be refused") };
    let words = error.to_string();
    assert!(words.contains("region `a`: its model b.zip is not loaded"), "{words}");
    assert!(words.contains("region `c`: `thresholds.burr`: model `fake` has no such label"), "{words}");
}

#[test]
fn a_region_lies_in_the_view_that_it_names() {
    let content = Content::Pixels { width: 300, height: 100, format: PixelFormat::Mono8 };
    let Content::Pixels { width, height, .. } = content else { unreachable!() };
    let view =
        |name: &str, x: u32, width: u32, height: u32| View { name: name.into(), area: Area { x, y: 0, width, height } };
    let views = [view("top", 0, 200, 100), view("side", 200, 100, 60)];
    let joined = |squares: &[[u32; 3]]| {
        let whole = picture(width, height, squares);
        let pool = FramePool::new(1, 30_000);
        let mut buffer = pool.try_take().expect("a buffer");
        buffer.extend_from_slice(whole.bytes());
        buffer.into_views(content, 0, None, Arc::from(views.clone()))
    };
    let of = |text: &str, squares: &[[u32; 3]]| {
        let regions = toml::from_str::<Recipe>(&format!("name = 'x'\nversion = 1\ndeadline_ms = 9\n{text}"))
            .expect("sound")
            .regions;
        decided(Recipe { regions, ..base() }, joined(squares))
    };
    let both = "[[regions]]\nname = 'a'\nview = 'top'\narea = { x = 0, y = 0, width = 100, height = 100 }\n[[regions]]\nname = 'b'\nview = 'side'";
    assert_eq!(of(both, &[]).verdict, Verdict::Pass);
    let side = of(both, &[[230, 20, 25]]);
    assert_eq!((side.verdict, &*side.regions[0].region, side.regions[0].tile), (Verdict::Fail, "b", [200, 0, 100, 60]));
    assert_eq!(of(both, &[[110, 20, 25]]).verdict, Verdict::Pass, "outside of its region");
    for (text, words) in [
        ("", "several cameras see the part (`top`, ...), but the recipe does not say where the model looks"),
        ("[[regions]]\nname = 'a'", "region `a`: several cameras see the part, so it needs a `view`: `top`, `side`"),
        (
            "[[regions]]\nname = 'a'\nview = 'under'",
            "region `a`: its view is `under`, but the part is seen by `top`, `side`",
        ),
        (
            "[[regions]]\nname = 'a'\nview = 'side'\narea = { x = 50, y = 0, width = 60, height = 10 }",
            "region `a`: 60 x 10 pixels at 50, 0 reach out of the picture of 100 x 60",
        ),
    ] {
        let decision = of(text, &[]);
        assert_eq!(decision.verdict, Verdict::NoDecision(Cause::WrongSize));
        assert!(decision.detail.as_deref().is_some_and(|detail| detail.starts_with(words)), "{:?}", decision.detail);
    }
    // A camera with its cap on is refused, although the others see well.
    let dark: Vec<u8> = (0..100_u32 * 300).map(|at| if at % 300 < 200 { 90 + (at % 13) as u8 } else { 7 }).collect();
    let pool = FramePool::new(1, 30_000);
    let mut buffer = pool.try_take().expect("a buffer");
    buffer.extend_from_slice(&dark);
    let regions =
        toml::from_str::<Recipe>(&format!("name = 'x'\nversion = 1\ndeadline_ms = 9\n{both}")).expect("sound").regions;
    let capped = decided(Recipe { regions, ..base() }, buffer.into_views(content, 0, None, Arc::from(views.clone())));
    assert_eq!(capped.verdict, Verdict::NoDecision(Cause::Blank));
    assert!(capped.detail.is_some_and(|words| words.starts_with("view `side`: picture is blank")));
}
