//! Puts a recipe in force: its model is loaded, verified and warmed up before any part sees it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use models::bundle::{Bundle, BundleError, Manifest, Signer, Trust};
use models::fallback::WithFallback;
use models::prediction::Model;
use models::predictor::Predictor;
use models::runtime::{Provider, RuntimeError, SessionOptions};
use stages::recipe::{Decoding, Recipe, RecipeInForce};
use stages::regions;

use super::shipped::shipped_bundle;
use crate::learning::Registry;

/// Predictions by which the processor's time is told.
const TRIALS: u32 = 5;
/// What a provider is given to answer; a card that takes longer is lost to a line, whatever comes of it.
const PATIENCE: Duration = Duration::from_secs(1);

/// A recipe ready for the line.
#[derive(Clone)]
pub struct Prepared {
    /// For the line.
    pub in_force: Arc<RecipeInForce>,
    /// SHA-256 of the graph of the recipe's own model. Another one is in force where one was promoted.
    pub base: Arc<str>,
    /// Providers that were wished for and do not work here, with the reason.
    fallbacks: Arc<[(Provider, String)]>,
}

impl Prepared {
    /// What is known of the model.
    pub fn manifest(&self) -> &Manifest {
        self.in_force.model.manifest()
    }

    /// Providers that do not work here, and one that was lost since, each with the reason.
    pub fn fallbacks(&self) -> Vec<(Provider, String)> {
        self.fallbacks.iter().cloned().chain(self.in_force.model.lost()).collect()
    }
}

/// Reads and verifies a bundle's file.
///
/// # Errors
/// The file, what is wrong with it, the way out.
pub fn open_bundle(path: &Path) -> anyhow::Result<Bundle> {
    open_trusted(path, &Trust::default()).map(|(bundle, _)| bundle)
}

/// The same with its signature: who signed it, where somebody whom `trust` names did.
///
/// # Errors
/// As [`open_bundle`]; a signature that is missing, unknown or does not fit.
pub fn open_trusted(path: &Path, trust: &Trust) -> anyhow::Result<(Bundle, Option<Signer>)> {
    trust.open(path).map_err(|error| in_words(path, &error))
}

/// The same with the bytes of its file, whoever signed it.
///
/// # Errors
/// As [`open_bundle`].
pub fn read_bundle(path: &Path) -> anyhow::Result<(Vec<u8>, Bundle)> {
    let read = || {
        let bytes = models::bundle::read_file(path)?;
        let bundle = Bundle::from_bytes(&bytes)?;
        Ok((bytes, bundle))
    };
    read().map_err(|error| in_words(path, &error))
}

fn in_words(path: &Path, error: &BundleError) -> anyhow::Error {
    match error {
        // It names its file itself.
        BundleError::Io { .. } => anyhow!("the model's {error}; check the path"),
        other => anyhow!("model `{}`: {other}", path.display()),
    }
}

/// A model, and the providers that do not work for it, with the reason.
type Loaded = (Arc<dyn Model>, Arc<[(Provider, String)]>);

/// The first with the processor behind it, where that is quick enough: half the deadline for all that models do with one part.
///
/// # Errors
/// The processor does not compute it.
fn stand_in(first: Arc<dyn Model>, processor: Arc<dyn Model>, recipe: &Recipe) -> Result<Arc<dyn Model>, RuntimeError> {
    let provider = first.provider();
    let Some(looks) = regions::looks(recipe) else {
        tracing::warn!(
            "should {provider} be lost, the line goes into safe hold: how many tiles a picture has, and whether the processor would be quick \
             enough for them, is not known without `quality.size`"
        );
        return Ok(first);
    };
    let tensor = vec![0.0; processor.tensor_len()];
    let began = Instant::now();
    for _ in 0..TRIALS {
        processor.predict(&tensor)?;
    }
    let takes = (began.elapsed() / TRIALS).saturating_mul(u32::try_from(looks).unwrap_or(u32::MAX));
    let room = Duration::from_millis(u64::from(recipe.deadline_ms)) / 2;
    if takes > room {
        tracing::warn!(
            "should {provider} be lost, the line goes into safe hold: the processor takes {takes:.1?} for a part, and half of the deadline is {room:.1?}"
        );
        return Ok(first);
    }
    Ok(Arc::new(WithFallback::new(first, processor, PATIENCE)))
}

fn warn(in_force: &RecipeInForce) {
    if let Some(words) = in_force.unlike_learned() {
        tracing::warn!("{words}");
    }
    let recipe = &in_force.recipe;
    if recipe.quality.decode == Decoding::Reduced && recipe.asks_for_all_pixels() {
        tracing::warn!(
            "`quality.decode` is `reduced`, but pictures are decoded whole: something in the recipe looks at every pixel (sharpness, a golden picture, \
             codes, calibration, alignment, masks, regions, tiles)"
        );
    }
}

/// How models are made ready here.
#[derive(Clone, Default)]
pub struct Kitchen {
    /// Sessions made and warmed up before the first part.
    pub workers: usize,
    /// Where TensorRT keeps its engines.
    pub cache_dir: Option<PathBuf>,
    /// Whose models are accepted. The model inside the program is.
    pub trust: Trust,
    /// Where models that were promoted on this machine stand; none: the recipe's own decides.
    pub registry: Option<Arc<Registry>>,
}

impl Kitchen {
    /// Loads the recipe's model, or the one that was promoted in its place, and joins the two. A model that `before` has already
    /// loaded is used again.
    ///
    /// # Errors
    /// ONNX Runtime is missing, the bundle is refused, or recipe and model do not fit.
    pub fn prepare(&self, recipe: Recipe, before: Option<&Prepared>) -> anyhow::Result<Prepared> {
        let own = self.own(&recipe)?;
        let base: Arc<str> = own.manifest.graph_sha256.as_str().into();
        let Some((registry, champion)) =
            self.registry.as_ref().and_then(|registry| Some((registry, registry.champion(&base)?)))
        else {
            return self.join(recipe, &own, base, before);
        };
        let promoted = self
            .open(&registry.path_of(&champion))
            .and_then(|bundle| self.join(recipe.clone(), &bundle, base.clone(), before));
        promoted.or_else(|error| {
            // A line that stands still helps nobody: the recipe's own model is what it was set up with.
            tracing::error!("the promoted model {champion} cannot be used, so the recipe's own decides: {error:#}");
            self.join(recipe, &own, base, before)
        })
    }

    /// Makes a model ready in the place of the one that the recipe has.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn with_model(&self, before: &Prepared, bundle: &Bundle) -> anyhow::Result<Prepared> {
        self.join(before.in_force.recipe.clone(), bundle, before.base.clone(), Some(before))
    }

    /// The bundle that the recipe itself names.
    ///
    /// # Errors
    /// It is refused.
    pub fn own(&self, recipe: &Recipe) -> anyhow::Result<Bundle> {
        match &recipe.bundle {
            Some(path) => self.open(path),
            None => shipped_bundle(),
        }
    }

    fn join(
        &self,
        recipe: Recipe,
        bundle: &Bundle,
        base: Arc<str>,
        before: Option<&Prepared>,
    ) -> anyhow::Result<Prepared> {
        let same = |before: &&Prepared| {
            let demanded = recipe.require_provider;
            // A provider that was lost is tried again.
            let lost = before.in_force.model.lost().is_some();
            !lost
                && *before.manifest() == bundle.manifest
                && demanded.is_none_or(|it| it == before.in_force.model.provider())
        };
        let others = self.others(&recipe, before)?;
        if let Some(before) = before.filter(same) {
            let in_force = RecipeInForce::with_others(recipe, before.in_force.model.clone(), &others)?;
            warn(&in_force);
            return Ok(Prepared { in_force: Arc::new(in_force), base, fallbacks: before.fallbacks.clone() });
        }
        let (model, fallbacks) = self.load(bundle, &recipe)?;
        let in_force = RecipeInForce::with_others(recipe, model, &others)?;
        warn(&in_force);
        Ok(Prepared { in_force: Arc::new(in_force), base, fallbacks })
    }

    /// The model, and the providers that do not work for it.
    fn load(&self, bundle: &Bundle, recipe: &Recipe) -> anyhow::Result<Loaded> {
        models::runtime::init(None)?;
        let options = SessionOptions {
            require: recipe.require_provider,
            threads: 1,
            cache_dir: self.cache_dir.clone(),
            ..SessionOptions::default()
        };
        let name = bundle.manifest.name.clone();
        let load = |options: &SessionOptions| -> anyhow::Result<Predictor> {
            let predictor = Predictor::load(bundle.clone(), options).with_context(|| format!("model `{name}`"))?;
            predictor.warm_up(self.workers)?;
            Ok(predictor)
        };
        let first = load(&options)?;
        let fallbacks = first.fallbacks().into();
        if recipe.require_provider.is_some() || first.provider() == Provider::Cpu {
            return Ok((Arc::new(first), fallbacks));
        }
        let processor = load(&SessionOptions { require: Some(Provider::Cpu), ..options })?;
        Ok((stand_in(Arc::new(first), Arc::new(processor), recipe)?, fallbacks))
    }

    /// The models of regions that have their own, by the path in the recipe.
    fn others(&self, recipe: &Recipe, before: Option<&Prepared>) -> anyhow::Result<BTreeMap<PathBuf, Arc<dyn Model>>> {
        let loaded: Vec<_> =
            before.into_iter().flat_map(|it| &it.in_force.regions).map(|region| &region.terms.model).collect();
        let one = |path: &Path| -> anyhow::Result<Arc<dyn Model>> {
            let bundle = self.open(path)?;
            let demanded = recipe.require_provider;
            let same = loaded
                .iter()
                .find(|model| *model.manifest() == bundle.manifest && demanded.is_none_or(|it| it == model.provider()));
            match same {
                Some(&model) => Ok(model.clone()),
                None => Ok(self.load(&bundle, recipe)?.0),
            }
        };
        regions::bundles(recipe).into_iter().map(|path| Ok((path.to_owned(), one(path)?))).collect()
    }

    /// Reads a bundle of somebody whom this machine trusts.
    ///
    /// # Errors
    /// It is refused.
    pub fn open(&self, path: &Path) -> anyhow::Result<Bundle> {
        let (bundle, signer) = open_trusted(path, &self.trust)?;
        if let Some(Signer { key, comment }) = signer {
            tracing::info!(model = %bundle.manifest.name, "signed by the trusted key {key}: {comment}");
        }
        Ok(bundle)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use models::prediction::{HeatMap, Prediction};
    use stages::recipe::Quality;
    use stages::regions::Tiles;

    use super::*;

    /// A model that takes its time, on a provider of its choice.
    struct Slow {
        manifest: Manifest,
        provider: Provider,
        takes: Duration,
    }

    impl Model for Slow {
        fn manifest(&self) -> &Manifest {
            &self.manifest
        }
        fn digest(&self) -> &Arc<str> {
            unreachable!("nobody asks")
        }
        fn provider(&self) -> Provider {
            self.provider
        }
        fn predict(&self, _: &[f32]) -> Result<Prediction, RuntimeError> {
            thread::sleep(self.takes);
            if self.provider != Provider::Cpu {
                return Err(RuntimeError::Run { provider: self.provider, reason: "device removed".into() });
            }
            Ok(Prediction {
                scores: vec![1.0],
                heat: HeatMap { labels: 1, height: 1, width: 1, logits: vec![0.0] },
                embedding: None,
                views: None,
                anomaly: None,
                prototypes: None,
                provider: self.provider,
                model_digest: "".into(),
            })
        }
    }

    /// Whether a processor that takes so long for one picture stands behind a card that is lost.
    fn takes_over(takes: Duration, change: impl FnOnce(&mut Recipe)) -> bool {
        let manifest = shipped_bundle().expect("it is inside").manifest;
        let slow = |provider, takes| Arc::new(Slow { manifest: manifest.clone(), provider, takes });
        let path = Path::new("the demo's recipe");
        let mut recipe = crate::config::parse_recipe(path, crate::supervise::DEMO_RECIPE).expect("sound");
        recipe.deadline_ms = 1000;
        change(&mut recipe);
        let (card, processor) = (slow(Provider::Cuda, Duration::ZERO), slow(Provider::Cpu, takes));
        let model = stand_in(card, processor, &recipe).expect("it computes");
        model.predict(&[]).is_ok()
    }

    #[test]
    fn the_processor_stands_in_only_where_half_the_deadline_is_enough_for_a_whole_part() {
        let quick = Duration::from_millis(5);
        assert!(takes_over(quick, |_| ()));
        assert!(!takes_over(Duration::from_millis(550), |_| ()), "the part would be late");
        let tiled = |size| {
            move |recipe: &mut Recipe| {
                recipe.tiles = Some(Tiles { size: 64, overlap: Some(0) });
                recipe.quality = Quality { size, ..Quality::default() };
            }
        };
        assert!(takes_over(quick, tiled(Some([128, 128]))), "four tiles");
        assert!(!takes_over(quick, tiled(Some([1280, 1280]))), "four hundred tiles");
        assert!(!takes_over(quick, tiled(None)), "nobody knows how many tiles");
    }
}
