//! The head as part of a bundle's graph, and back.
//!
//! The shots themselves stand in the graph: centres and directions are products of them with small matrices, which the runtime
//! computes once. So a bundle holds everything that the next registration needs.

use std::collections::BTreeMap;

use crate::bundle::Bundle;
use crate::graph::{GraphBuilder, ModelProto};
use crate::heads::appearance;
use crate::precision::Precision;
use crate::runtime::{Provider, RuntimeError, Session, SessionOptions};
use crate::weights::Tensor;

use super::distance::Distance;
use super::{Background, Group, PrototypeError, Prototypes};

/// Name of the output of squared distances; everything else of the head begins with it.
pub(super) const OUTPUT: &str = "prototypes";
const BACKGROUND: &str = "prototypes.background";
const SHOTS: &str = "prototypes.shots";
/// The shots of registered kinds in one view; a bundle from before they were kept has none.
const PLAIN: &str = "prototypes.plain";

/// Puts the head into a bundle, in place of the one that is there, and takes it out where it has no kinds. The calibration
/// images' expected distances are computed anew; all other expected values stay, so that [`crate::predictor::Predictor::load`]
/// proves that the rest of the graph still says what it said.
///
/// # Errors
/// When the graph does not hold the trunk or does not run.
pub fn write(bundle: &mut Bundle, prototypes: &Prototypes) -> Result<(), PrototypeError> {
    let mut graph = GraphBuilder::from_model(model(bundle)?);
    graph.remove(OUTPUT);
    bundle.manifest.heads.prototypes = None;
    if !prototypes.groups.is_empty() {
        let fitted = prototypes.fit();
        let appearance = appearance::build(&mut graph).map_err(PrototypeError::Unfit)?;
        build(&mut graph, &appearance, prototypes, &fitted.distance);
        bundle.manifest.heads.prototypes = Some(fitted.spec);
    }
    bundle.graph = graph.finish();
    renew(bundle)
}

/// Computes the expected values of every further output anew, on the processor; scores and heat maps stay as they are.
///
/// # Errors
/// When the graph does not run.
fn renew(bundle: &mut Bundle) -> Result<(), PrototypeError> {
    let mut session = Session::new(bundle, Provider::Cpu, &SessionOptions::default())?;
    let preprocess = bundle.manifest.preprocess.clone();
    let mut tensor = vec![0.0; preprocess.tensor_len()];
    for expectation in &mut bundle.expectations {
        preprocess.fill(expectation.image.view(), &mut tensor);
        let named = session.run(&tensor)?.named.into_iter();
        let named: BTreeMap<String, Vec<f32>> = named.map(|(name, output)| (name, output.data)).collect();
        let kept = std::mem::take(&mut expectation.named);
        // What was expected before still is; only what is new is taken over.
        expectation.named = named.into_iter().filter(|(name, _)| name == OUTPUT || !kept.contains_key(name)).collect();
        expectation.named.extend(kept.into_iter().filter(|(name, _)| name != OUTPUT));
    }
    Ok(())
}

/// The head of a bundle; `None` where it has none.
///
/// # Errors
/// When the graph does not hold what the manifest says.
pub fn read(bundle: &Bundle) -> Result<Option<Prototypes>, PrototypeError> {
    let Some(spec) = &bundle.manifest.heads.prototypes else { return Ok(None) };
    let model = model(bundle)?;
    let constant = |name: &str| model.graph().initializer.iter().find(|tensor| tensor.name == name);
    let rows = |name: &str| -> Result<Vec<Vec<f32>>, PrototypeError> {
        let unfit = || PrototypeError::Unfit(format!("the graph holds no `{name}` that fits its manifest"));
        let constant = constant(name).ok_or_else(unfit)?;
        let tensor = constant.to_tensor().map_err(|_| unfit())?;
        match tensor.shape.as_slice() {
            [_, columns] if *columns == appearance::len() => {
                Ok(tensor.data.chunks_exact(*columns).map(<[f32]>::to_vec).collect())
            }
            _ => Err(unfit()),
        }
    };
    let background = Background { directions: rows(BACKGROUND)?, spread: spec.spread, images: spec.background_images };
    let mut shots = rows(SHOTS)?.into_iter();
    let mut plain = constant(PLAIN).map(|_| rows(PLAIN)).transpose()?.map(Vec::into_iter);
    let mut groups = Vec::new();
    for kind in &spec.kinds {
        let count = if kind.registered { kind.shots } else { 1 };
        let rows: Vec<Vec<f32>> = shots.by_ref().take(count).collect();
        let plain = match &mut plain {
            _ if !kind.registered => Vec::new(),
            Some(plain) => plain.by_ref().take(count).collect(),
            None => rows.clone(),
        };
        groups.push(Group { kind: kind.clone(), rows, plain });
    }
    let uneven =
        |group: &Group| group.rows.is_empty() || (group.kind.registered && group.plain.len() != group.rows.len());
    if shots.next().is_some() || plain.is_some_and(|mut plain| plain.next().is_some()) || groups.iter().any(uneven) {
        return Err(PrototypeError::Unfit("the graph holds another number of shots than its manifest says".into()));
    }
    Ok(Some(Prototypes::restore(spec, background, groups)))
}

fn model(bundle: &Bundle) -> Result<ModelProto, PrototypeError> {
    if bundle.manifest.precision != Precision::default() {
        let words = "a converted model learns no new kinds: register them with the original, and export that again";
        return Err(PrototypeError::Unfit(words.into()));
    }
    if !bundle.manifest.views().is_empty() {
        let words = "a model that sees several views together learns no new kinds: train it anew with the new label";
        return Err(PrototypeError::Unfit(words.into()));
    }
    ModelProto::read(&bundle.graph).map_err(|error| RuntimeError::GraphRefused(error.to_string()).into())
}

/// Adds the head: `appearance` (`1 x values`) to squared distances (`1 x kinds`). The differences from the centres are made
/// first and squared then: expanding the square would lose their digits.
fn build(graph: &mut GraphBuilder, appearance: &str, prototypes: &Prototypes, distance: &Distance) {
    let Prototypes { background, groups, .. } = prototypes;
    let kinds = groups.len();
    let shots: Vec<&Vec<f32>> = groups.iter().flat_map(|group| &group.rows).collect();
    let (values, count, known) = (appearance::len(), shots.len(), background.directions.len());
    let matrix = |rows: usize, columns: usize, data: Vec<f32>| Tensor { shape: vec![rows, columns], data };
    let joined = |rows: &mut dyn Iterator<Item = &Vec<f32>>| rows.flatten().copied().collect::<Vec<f32>>();

    let directions = joined(&mut background.directions.iter());
    let directions = graph.initializer(BACKGROUND, &matrix(known, values, directions));
    let shot_rows = joined(&mut shots.into_iter());
    let shot_rows = graph.initializer(SHOTS, &matrix(count, values, shot_rows));
    let plain: Vec<&Vec<f32>> = groups.iter().flat_map(|group| &group.plain).collect();
    let average = graph.initializer("prototypes.average", &averages(groups, plain.len()));
    let averaged = match plain.len() {
        0 => shot_rows.clone(),
        // They count nothing in the centres: this is where the graph holds them for the next registration.
        count => {
            let rows = graph.initializer(PLAIN, &matrix(count, values, joined(&mut plain.into_iter())));
            graph.concat(&[&shot_rows, &rows], 0, "prototypes.all")
        }
    };
    let centres = graph.product(&average, &averaged, "prototypes.centres");
    let base = graph.concat(&[&directions, &shot_rows], 0, "prototypes.base");
    let base = graph.transpose(&base, &[1, 0], "prototypes.base.columns");
    // Plain distances have no directions: one of zeros stands for none.
    let rank = distance.whiten.rows.max(1);
    let mut whiten = vec![0.0; (known + count) * rank];
    for (row, column) in (0..distance.whiten.rows).flat_map(|r| (0..distance.whiten.columns).map(move |c| (r, c))) {
        whiten[column * rank + row] = distance.whiten.at(row, column) as f32;
    }
    let whiten = graph.initializer("prototypes.whiten", &matrix(known + count, rank, whiten));
    let axes = graph.product(&base, &whiten, "prototypes.axes");

    // Differences are scaled so that their mean square is about 1, which half precision holds. Sums are means times the number
    // of terms; the factors carry that number.
    let scale = graph.initializer("prototypes.scale", &Tensor::scalar((values as f32 / distance.variance).sqrt()));
    let factors = |share: f32| distance.certainty.iter().map(|certainty| certainty * share).collect();
    let near = graph.initializer("prototypes.near", &matrix(1, kinds, factors(1.0)));
    let within = graph.initializer("prototypes.within", &matrix(1, kinds, factors(rank as f32 / values as f32)));
    let off = graph.node("Sub", &[appearance, &centres], "prototypes.difference", Vec::new());
    let off = graph.mul(&off, &scale, "prototypes.off");
    let square = graph.mul(&off, &off, "prototypes.square");
    let square = graph.mean_along(&square, 1, false, "prototypes.square.mean");
    let along = graph.product(&off, &axes, "prototypes.along");
    let along = graph.mul(&along, &along, "prototypes.along.square");
    let along = graph.mean_along(&along, 1, false, "prototypes.along.mean");
    let square = graph.mul(&square, &near, "prototypes.square.sum");
    let along = graph.mul(&along, &within, "prototypes.along.sum");
    graph.node("Sub", &[&square, &along], OUTPUT, Vec::new());
    graph.output(OUTPUT, &[1, kinds]);
}

/// The matrix that makes centres of shots: kinds x shots, and so many rows that do not count.
fn averages(groups: &[Group], beside: usize) -> Tensor {
    let count = groups.iter().map(|group| group.rows.len()).sum::<usize>() + beside;
    let mut average = Tensor::zeros(&[groups.len(), count]);
    let mut first = 0;
    for (kind, group) in groups.iter().enumerate() {
        average.data[kind * count + first..][..group.rows.len()].fill(1.0 / group.rows.len() as f32);
        first += group.rows.len();
    }
    average
}
