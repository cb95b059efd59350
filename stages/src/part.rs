//! One trigger on its way through the line.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use models::image::{Image, ImageView};
use models::prediction::Prediction;
use models::runtime::Provider;

use crate::frame::{Content, Frame};
use crate::inspection::{Identity, ImageHealth, Truth};
use crate::prepare::Pose;
use crate::recipe::RecipeInForce;
use crate::recycle::{Buffers, Recycled};
use crate::regions::Finding;

/// A part moves from stage to stage; its pixels do not.
pub struct Part {
    /// Grows with every trigger, never used twice.
    pub id: u64,
    /// Serial number, where one is known.
    pub serial: Option<Arc<str>>,
    /// How it came by it.
    pub identity: Option<Identity>,
    /// When the trigger came.
    pub triggered: Instant,
    /// The same on the wall clock.
    pub triggered_at: Timestamp,
    /// The picture as captured.
    pub frame: Frame,
    /// Decoded pixels, if the frame came encoded. From `buffers`.
    pub decoded: Option<Recycled<Image>>,
    /// Pixels made ready for the model, filled by `align` where the recipe asks for it. From `buffers`.
    pub prepared: Option<Recycled<Image>>,
    /// How those lie in the picture as captured.
    pub pose: Option<Pose>,
    /// The network's input, filled by `preprocess`. From `buffers`.
    pub tensor: Option<Recycled<Vec<f32>>>,
    /// How the picture was taken, filled by `quality`.
    pub image: Option<ImageHealth>,
    /// Filled by `infer`, where the model sees the whole picture at once.
    pub prediction: Option<Prediction>,
    /// Filled by `infer`, where the recipe has regions.
    pub findings: Vec<Finding>,
    /// What this part is inspected with; a reload between parts does not change it.
    pub recipe: Arc<RecipeInForce>,
    /// What the part really is, when simulated.
    pub truth: Option<Truth>,
    /// Where stages take large scratch values from, so that a warm line does not allocate.
    pub buffers: Buffers,
    /// It got its verdict while a stage worked on it: the later stages finish it for its late result.
    pub(crate) outlived: bool,
}

impl Part {
    /// A part triggered now, outside any line: a single file, a test.
    pub fn new(id: u64, frame: Frame, recipe: Arc<RecipeInForce>, buffers: Buffers) -> Part {
        Part {
            id,
            serial: None,
            identity: None,
            triggered: Instant::now(),
            triggered_at: Timestamp::now(),
            frame,
            decoded: None,
            prepared: None,
            pose: None,
            tensor: None,
            image: None,
            prediction: None,
            findings: Vec::new(),
            recipe,
            truth: None,
            buffers,
            outlived: false,
        }
    }

    /// The provider that computed what is known of it.
    pub(crate) fn provider(&self) -> Option<Provider> {
        let found = self.findings.first().map(|finding| &finding.prediction);
        self.prediction.as_ref().or(found).map(|prediction| prediction.provider)
    }

    /// The pixels as the model is to see them, wherever they are; none while an encoded frame is not decoded yet.
    pub fn view(&self) -> Option<ImageView<'_>> {
        self.prepared.as_ref().map(|image| image.view()).or_else(|| self.captured())
    }

    /// The pixels as captured.
    pub fn captured(&self) -> Option<ImageView<'_>> {
        match (&self.decoded, self.frame.content()) {
            (Some(image), _) => Some(image.view()),
            (None, Content::Pixels { width, height, format }) => {
                Some(ImageView { width, height, format, data: self.frame.bytes() })
            }
            (None, Content::Encoded) => None,
        }
    }
}
