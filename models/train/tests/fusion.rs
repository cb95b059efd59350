//! Learning to decide by two views of a part, of which each hides what the other shows.
#![allow(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

use std::path::Path;

use models::bundle::{Bundle, Provenance};
use models::image::{Image, PixelFormat};
use models::predictor::Predictor;
use models::preprocess::Preprocess;
use models::runtime::SessionOptions;
use models::views::Lacking;
use models::weights::load_trunk;
use models_train::export::{self, Ingredients};
use models_train::fusion::{self, Parts};
use models_train::samples::{Class, Sample, Samples};
use models_train::{Settings, TrainError, evaluate};

/// A trunk that has learned to see.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../weights/default.bundle");
/// Pixels of a picture's sides.
const SIDE: usize = 64;

/// Parts of three labels. A scratch shows in view 0 alone, a stain (a dark square) in view 1 alone; both are faint noise elsewhere.
struct View {
    view: usize,
    len: usize,
    seed: usize,
}

const CLASSES: [&str; 3] = ["good", "scratch", "stain"];

impl Samples for View {
    fn len(&self) -> usize {
        self.len
    }

    fn label(&self, index: usize) -> usize {
        index % CLASSES.len()
    }

    fn load(&self, index: usize) -> Result<Sample, TrainError> {
        let random = |at: usize| models::scatter::scatter((at + 1000 * (index + 1000 * self.seed)) as u64);
        let label = self.label(index);
        let (x, y) = (12 + random(1) as usize % (SIDE - 24), 12 + random(2) as usize % (SIDE - 24));
        let pixel = |at: usize| {
            let (column, row) = (at % SIDE, at / SIDE);
            let noise = random(10 + at + 7919 * self.view) % 16;
            let shows = label == self.view + 1;
            let scratch = label == 1 && column.abs_diff(x) < 2;
            let stain = label == 2 && column.abs_diff(x) < 9 && row.abs_diff(y) < 9;
            match shows && (scratch || stain) {
                true if scratch => 200,
                true => 20,
                false => 100 + noise as u8,
            }
        };
        let data = (0..SIDE * SIDE).map(pixel).collect();
        let image = Image { width: SIDE as u32, height: SIDE as u32, format: PixelFormat::Mono8, data };
        Ok(Sample { image, labels: vec![label], weight: 1.0, mask: None })
    }

    fn name(&self, index: usize) -> String {
        format!("part {index}")
    }
}

fn parts(len: usize, seed: usize) -> Parts<'static> {
    let view = |view| Box::new(View { view, len, seed }) as Box<dyn Samples>;
    Parts::new(vec![view(0), view(1)], &Preprocess::imagenet(SIDE as u32)).unwrap()
}

fn settings(threads: usize) -> Settings {
    let mut settings = Settings::new(CLASSES.len(), Preprocess::imagenet(SIDE as u32));
    settings.threads = Some(threads);
    settings.loss.cell_weight = 0.0;
    settings
}

#[test]
fn fusion_decides_what_no_view_shows_alone() {
    let trunk = load_trunk(Path::new(SHIPPED)).expect("the shipped bundle is in the tree");
    let (learn, select) = (parts(90, 1), parts(45, 2));
    let trained = fusion::train(&settings(2), &trunk, (&learn, &select), &mut |_| true).unwrap();
    let again = fusion::train(&settings(1), &trunk, (&learn, &select), &mut |_| true).unwrap();
    assert_eq!(trained.weights, again.weights, "the same seed, whatever the number of threads");

    let views = ["bright".to_owned(), "dark".to_owned()];
    let ingredients = Ingredients {
        name: "views".into(),
        classes: &CLASSES.map(Class::named),
        frozen: None,
        views: &views,
        preprocess: &Preprocess::imagenet(SIDE as u32),
        provenance: Provenance::default(),
        select: &select,
        aim: None,
        story: "A test.".into(),
    };
    let (mut bundle, selection) = export::bundle(&trained.weights, ingredients).unwrap();
    // The graph is the network that learned.
    let of = trained.stage_one.accuracy();
    assert!(
        (selection.accuracy - f64::from(of)).abs() < 1e-6,
        "{} in the graph, {of} while learning",
        selection.accuracy
    );
    assert!(bundle.model_card.as_ref().is_some_and(|card| card.contains("Sees together: bright, dark.")));
    let bundle = Bundle::from_bytes(&bundle.to_bytes().unwrap()).unwrap();
    let model = Predictor::load(bundle, &SessionOptions::default()).unwrap();
    let measured = |without: &[String]| {
        evaluate(&Lacking::new(&model, without).unwrap(), &parts(90, 3), Some(2)).unwrap().balanced_accuracy
    };
    let (all, no_bright, no_dark) = (measured(&[]), measured(&views[..1]), measured(&views[1..]));
    // Of one view two labels of three are alike: a model of it is right of 2/3 at best. Chance is 1/3.
    assert!(all >= 0.9, "both views: {all}");
    for (lacking, what) in [(no_bright, "without bright"), (no_dark, "without dark")] {
        assert!((0.5..0.75).contains(&lacking), "{what}: {lacking}");
    }
}

#[test]
fn fusion_refuses_views_of_other_parts() {
    let view = |len| Box::new(View { view: 0, len, seed: 1 }) as Box<dyn Samples>;
    let said = Parts::new(vec![view(9), view(8)], &Preprocess::imagenet(SIDE as u32)).map(|_| ()).unwrap_err();
    assert!(said.to_string().contains("same parts"), "{said}");
    let one = Parts::new(vec![view(9)], &Preprocess::imagenet(SIDE as u32)).unwrap();
    let trunk = load_trunk(Path::new(SHIPPED)).expect("the shipped bundle is in the tree");
    let said = fusion::train(&settings(1), &trunk, (&one, &one), &mut |_| true).unwrap_err();
    assert!(said.to_string().contains("two or more"), "{said}");
}
