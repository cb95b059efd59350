//! `/api/v1/inspections/found`: parts by words, and by likeness to a part on record or to a picture.

use std::sync::{Mutex, TryLockError};

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use models::image;
use models::prediction::Model;
use models::predictor::Predictor;
use models::retrieval::{Glossary, MOST_LETTERS, Question, Retriever, Vector};
use models::runtime::{Provider, SessionOptions};
use models::sketch::Sketch;
use serde::Serialize;
use stages::decide::decide;
use stages::sample::Sample;
use stages::stage::Decision;
use utoipa::ToSchema;

use super::Api;
use super::inspections::{Wanted, blocking};
use super::problem::Problem;
use super::view::InspectionView;
use crate::retrieval::vector_of_decision;
use crate::store::{Alike, Filter, Store};

/// A picture is looked at by one thread at a time: the line has the processors.
static LOOKING: Mutex<()> = Mutex::new(());

/// A part with how well it fits.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FoundPart)]
pub(super) struct FoundView {
    /// The cosine between what was asked for and the part: above 0, at most 1. It orders parts of one question; it is no probability.
    #[schema(minimum = 0, maximum = 1)]
    likeness: f32,
    part: InspectionView,
}

/// What a word was understood as, in the languages that are understood.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Understood)]
pub(super) struct UnderstoodView {
    /// The concept, as `edge_chip`, `left`; null: a word of a label's name.
    #[schema(required = true)]
    concept: Option<&'static str>,
    en: String,
    de: String,
    zh: String,
}

/// Parts, the most alike first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FoundParts)]
pub(super) struct FoundPage {
    items: Vec<FoundView>,
    /// What the words were understood as; empty where a part or a picture was asked for.
    understood: Vec<UnderstoodView>,
    /// Words that stand for nothing known here, and count for nothing.
    unknown: Vec<String>,
    /// The index is being built: older inspections may be missing.
    rebuilding: bool,
}

/// Parts on record that fit some words, or look like another: the most alike first, `limit` of them. All conditions hold as in the list.
#[utoipa::path(get, path = "/api/v1/inspections/found", operation_id = "find_inspections", params(Wanted), responses(
    (status = 200, body = FoundPage),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "There is no such part, or nothing here finds parts by words"),
))]
pub(super) async fn find(
    State(api): State<Api>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<FoundPage>, Problem> {
    let Query(mut wanted) = wanted.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    let (words, like) = (wanted.words.take(), wanted.like.take());
    let filter = wanted.filter()?;
    let store = api.board.store.clone();
    blocking(move || {
        let retriever = retriever(&store)?;
        match (words, like) {
            (Some(words), None) => by_words(&store, retriever, &words, &filter),
            (None, Some(id)) => {
                let part = store.get(id)?.ok_or_else(|| Problem::not_found(format!("no part {id} is on record")))?;
                let vector = store.vector_of(&part.inspection).ok_or_else(|| {
                    Problem::not_found(format!("nothing was decided of part {id}, so nothing is known to be like it"))
                })?;
                // The part itself is the most like itself, and nobody asks for it.
                let more = Filter { limit: filter.limit.saturating_add(1).min(Filter::MAX_LIMIT), ..filter.clone() };
                let mut alike = store.alike(&vector, &more);
                alike.items.retain(|(stored, _)| stored.inspection.id != id);
                alike.items.truncate(filter.limit);
                Ok(Json(page(alike, &store, Vec::new(), Vec::new())))
            }
            _ => Err(Problem::bad_request("give either `words`, or `like`: a part's id (a picture is sent by POST)")),
        }
    })
    .await
}

/// The same for a picture, which the model in force looks at. It is not kept.
#[utoipa::path(post, path = "/api/v1/inspections/found", operation_id = "find_inspections_like_picture", params(Wanted),
    request_body(content = Vec<u8>, content_type = "image/*", description = "A picture as the line's camera takes it, 4 MiB at most"), responses(
    (status = 200, body = FoundPage),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 404, body = Problem, content_type = "application/problem+json", description = "Nothing here finds parts by likeness"),
    (status = 422, body = Problem, content_type = "application/problem+json", description = "The picture cannot be read, or not be looked at"),
    (status = 503, body = Problem, content_type = "application/problem+json", description = "Another picture is looked at"),
))]
pub(super) async fn find_like_picture(
    State(api): State<Api>,
    wanted: Result<Query<Wanted>, QueryRejection>,
    picture: Bytes,
) -> Result<Json<FoundPage>, Problem> {
    let Query(wanted) = wanted.map_err(|refused| Problem::bad_request(refused.body_text()))?;
    if wanted.words.is_some() || wanted.like.is_some() {
        return Err(Problem::bad_request("a picture is asked for alone: leave out `words` and `like`"));
    }
    let filter = wanted.filter()?;
    blocking(move || {
        let store = &api.board.store;
        let vector = look(&api, retriever(store)?, &picture)?;
        Ok(Json(page(store.alike(&vector, &filter), store, Vec::new(), Vec::new())))
    })
    .await
}

fn retriever(store: &Store) -> Result<&Retriever, Problem> {
    store.retriever().ok_or_else(|| {
        Problem::not_found("no part is found by words here: `[retrieval]` is off, or the program has no retriever")
    })
}

fn by_words(store: &Store, retriever: &Retriever, words: &str, filter: &Filter) -> Result<Json<FoundPage>, Problem> {
    if words.chars().count() > MOST_LETTERS {
        return Err(Problem::bad_request(format!("`words` has more than {MOST_LETTERS} letters: ask shorter")));
    }
    let labels = store.known().labels;
    let Question { understood, unknown, vector } = retriever.ask(words, labels.iter().map(|label| &**label));
    let Some(vector) = vector else {
        let said = if unknown.is_empty() {
            "says nothing".to_owned()
        } else {
            format!("says nothing that is known here ({})", unknown.join(", "))
        };
        return Err(Problem::bad_request(format!(
            "`words` {said}: name what is wrong, and where, as `scratch top left`"
        )));
    };
    let glossary = Glossary::get();
    let concepts = understood.concepts.into_iter().map(|concept| {
        let first = |language: usize| glossary.terms(concept).get(language).and_then(|terms| terms.first()).copied();
        let [en, de, zh] = [0, 1, 2].map(|language| first(language).unwrap_or("").to_owned());
        UnderstoodView { concept: Some(glossary.name(concept)), en, de, zh }
    });
    let names = understood.others.into_iter();
    let names = names.map(|name| UnderstoodView { concept: None, en: name.clone(), de: name.clone(), zh: name });
    let understood = concepts.chain(names).collect();
    Ok(Json(page(store.alike(&vector, filter), store, understood, unknown)))
}

fn page(alike: Alike, store: &Store, understood: Vec<UnderstoodView>, unknown: Vec<String>) -> FoundPage {
    let view = |(stored, likeness)| FoundView { likeness, part: InspectionView::of(stored, store) };
    FoundPage {
        items: alike.items.into_iter().map(view).collect(),
        understood,
        unknown,
        rebuilding: alike.rebuilding.is_some(),
    }
}

/// Where a picture lies, by the model in force. On the processor, in a session of its own: the line never waits for it.
fn look(api: &Api, retriever: &Retriever, bytes: &[u8]) -> Result<Vector, Problem> {
    let unreadable =
        |error: &dyn std::fmt::Display| Problem::unprocessable(format!("the picture cannot be read: {error}"));
    let prepared = api.board.recipe.load_full();
    let recipe = &prepared.in_force;
    if !recipe.regions.is_empty() {
        return Err(Problem::unprocessable(
            "the recipe looks at regions, and not at whole pictures: ask for parts like one on record (`like`)",
        ));
    }
    let picture = image::decode(bytes).map_err(|error| unreadable(&error))?;
    let picture = recipe.seen_by_model(picture).map_err(|error| unreadable(&error))?;
    let _one = match LOOKING.try_lock() {
        Ok(one) => one,
        // Whoever panicked there left nothing half done.
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => {
            return Err(Problem::later("another picture is being looked at: try again in a second"));
        }
    };
    let failed = |error: &dyn std::fmt::Display| Problem::internal(format!("the model could not be run: {error}"));
    let learning = &api.board.learning;
    let model = learning.registry.find(recipe.model.digest()).map_err(|error| failed(&error))?;
    let bundle = learning.bundle_of(&prepared, &model).map_err(|error| failed(&error))?;
    let options = SessionOptions { require: Some(Provider::Cpu), threads: 1, ..SessionOptions::default() };
    let eye = Predictor::load(bundle, &options).map_err(|error| failed(&error))?;
    let mut tensor = vec![0.0; eye.tensor_len()];
    eye.manifest().fill(picture.view(), &mut tensor);
    let prediction = eye.predict(&tensor).map_err(|error| failed(&error))?;
    let sketch = prediction.embedding.as_deref().and_then(Sketch::of);
    let decision = Decision { sample: Sample { sketch, ..Sample::default() }, ..decide(&prediction, recipe) };
    vector_of_decision(retriever, &decision, recipe.model.digest())
        .ok_or_else(|| Problem::unprocessable("the model says nothing of this picture"))
}
