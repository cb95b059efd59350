//! Decides parts anew from the scores on record: no picture is needed, and the answer is exact where the scores alone decide.
//!
//! A memory of good parts and registered kinds have a say too, and what they said is not on record. So the part is decided under
//! everything that they can have said and that fits the recorded verdict: where that gives one verdict, it is the answer, else the part
//! is reported as one that cannot be told from its scores.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use models::bundle::Heads;
use models::heads::prototypes::Likeness;
use models::prediction::{Anomaly, HeatMap, Model, Prediction};
use models::runtime::Provider;
use stages::decide::decide;
use stages::inspection::Inspection;
use stages::recipe::{Recipe, RecipeInForce};
use stages::stage::Decision;
use stages::verdict::Verdict;

use super::manifests::Paper;
use super::recipes::{Recipes, fitted};
use super::report::{Fate, Said, top};

/// A recipe and a model, as on record.
type Key = (Arc<str>, Arc<str>);

/// Decides from scores.
pub(super) struct ByScores<'a> {
    pub(super) recipes: &'a Recipes,
    pub(super) papers: BTreeMap<Arc<str>, Arc<Paper>>,
    /// Given on the command line.
    pub(super) thresholds: &'a BTreeMap<String, f32>,
    /// A recipe to be tried on all parts; none: each part's own.
    pub(super) tried: Option<Recipe>,
    /// By recipe and model on record.
    terms: HashMap<Key, Result<Arc<Terms>, String>>,
}

/// What counted for a part, and what is tried.
struct Terms {
    then: RecipeInForce,
    now: RecipeInForce,
    /// Whether `then` is what was in force.
    known: bool,
    /// What the heads beside the classifier can have said.
    beside: Vec<Beside>,
}

/// What the heads beside the classifier may have said of a part.
type Beside = (Option<Anomaly>, Option<Likeness>);

impl<'a> ByScores<'a> {
    pub(super) fn new(
        recipes: &'a Recipes,
        papers: BTreeMap<Arc<str>, Arc<Paper>>,
        thresholds: &'a BTreeMap<String, f32>,
        tried: Option<Recipe>,
    ) -> ByScores<'a> {
        ByScores { recipes, papers, thresholds, tried, terms: HashMap::new() }
    }

    pub(super) fn fate(&mut self, part: &Inspection) -> Fate {
        if part.scores.is_empty() {
            return Fate::WithoutScores;
        }
        if !part.regions.is_empty() {
            let words = "they were looked at in several places, and only the worst one's scores are on record: replay their pictures with a model (`--bundle`)";
            return Fate::Undecidable(words.into());
        }
        match self.terms(part) {
            Ok(terms) => decided(part, &terms),
            Err(reason) => Fate::Undecidable(reason),
        }
    }

    fn terms(&mut self, part: &Inspection) -> Result<Arc<Terms>, String> {
        let key = (part.recipe.clone(), part.model.clone());
        if let Some(terms) = self.terms.get(&key) {
            return terms.clone();
        }
        let terms = self.make(&part.recipe, &part.model).map(Arc::new);
        self.terms.insert(key, terms.clone());
        terms
    }

    fn make(&self, tag: &str, model: &Arc<str>) -> Result<Terms, String> {
        let short: String = model.chars().take(12).collect();
        let paper = self.papers.get(model).ok_or_else(|| {
            format!(
                "model {short} decided them and is not here: replay their pictures with a model (`--bundle`), or in a \
                 terminal name a recipe with its bundle (`--recipe`)"
            )
        })?;
        let (recipe, source) = self.recipes.of(tag);
        let labels = &paper.manifest().labels;
        let tried = self.tried.as_ref().unwrap_or(&recipe);
        let none = BTreeMap::new();
        let (then, now) = (fitted(&recipe, &none, labels), fitted(tried, self.thresholds, labels));
        let joined = |recipe| RecipeInForce::new(recipe, paper.clone()).map_err(|error| error.to_string());
        let beside = beside(&paper.manifest().heads);
        Ok(Terms { then: joined(then)?, now: joined(now)?, known: source.is_known(), beside })
    }
}

fn decided(part: &Inspection, terms: &Terms) -> Fate {
    let names = &terms.then.label_names;
    let fit = part.scores.iter().map(|it| &it.label).eq(names) && part.scores.iter().all(|it| it.score.is_finite());
    if !fit {
        return Fate::Undecidable("their scores are not those of the labels of the model on record".into());
    }
    let scores: Vec<f32> = part.scores.iter().map(|it| it.score).collect();
    let prediction = |(anomaly, prototypes): &Beside| Prediction {
        heat: HeatMap { labels: scores.len(), height: 0, width: 0, logits: Vec::new() },
        scores: scores.clone(),
        embedding: None,
        views: None,
        prototypes: prototypes.clone(),
        anomaly: anomaly.clone(),
        provider: Provider::Cpu,
        model_digest: part.model.clone(),
    };
    let as_recorded = |beside: &&Beside| {
        let Decision { verdict, label, .. } = decide(&prediction(beside), &terms.then);
        verdict == part.verdict && label == part.label
    };
    let fitting: Vec<&Beside> = terms.beside.iter().filter(as_recorded).collect();
    // A verdict that does not follow from the thresholds taken for those of its time says nothing of the heads.
    let possible = if terms.known && !fitting.is_empty() { fitting.clone() } else { terms.beside.iter().collect() };
    let mut outcomes = possible.iter().map(|beside| decide(&prediction(beside), &terms.now));
    let Some(first) = outcomes.next() else { return Fate::Undecidable("nothing is known of their model".into()) };
    let (mut one_verdict, mut one_label) = (true, true);
    for outcome in outcomes {
        one_verdict &= outcome.verdict == first.verdict;
        one_label &= outcome.label == first.label;
    }
    if !one_verdict {
        let way_out = match terms.known {
            true => "only their pictures can tell: replay those with a model (`--bundle`)",
            false => {
                "replay their pictures with a model (`--bundle`), or in a terminal give the recipe of that time (`--recipe`)"
            }
        };
        return Fate::Undecidable(format!(
            "the verdict may rest on the memory of good parts or on a registered kind, whose word is not on record; {way_out}"
        ));
    }
    Fate::Decided {
        after: Said::new(first.verdict, first.label.as_deref().filter(|_| one_label)),
        top: top(&first.scores),
        reproduced: (!matches!(part.verdict, Verdict::NoDecision(_))).then_some(!fitting.is_empty()),
    }
}

/// Everything that a model's heads can say of a part, as far as it may change a verdict.
fn beside(heads: &Heads) -> Vec<Beside> {
    let speaks = heads.memory.is_some() && !heads.rules.is_empty();
    let anomaly = |share| Some(Anomaly { share, height: 0, width: 0, cells: Vec::new() });
    let anomalies = if speaks { vec![anomaly(0.0), anomaly(2.0)] } else { vec![None] };
    let likenesses: Vec<Option<Likeness>> = match &heads.prototypes {
        None => vec![None],
        Some(spec) => {
            let kinds = spec.kinds.len();
            // Below every bound of `sure`: nothing counts.
            let unsure = vec![-1.0; kinds];
            let likeness = |nearest, probabilities, unknown| Likeness {
                distances: vec![0.0; kinds],
                probabilities,
                nearest,
                unknown,
            };
            let like = |kind: usize| {
                let mut probabilities = unsure.clone();
                probabilities[kind] = 1.0;
                Some(likeness(kind, probabilities, false))
            };
            let nothing = [Some(likeness(0, unsure.clone(), false)), Some(likeness(0, unsure.clone(), true))];
            nothing.into_iter().chain(spec.registered().map(|(kind, _)| like(kind))).collect()
        }
    };
    anomalies.iter().flat_map(|anomaly| likenesses.iter().map(|it| (anomaly.clone(), it.clone()))).collect()
}
