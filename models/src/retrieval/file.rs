//! A retriever as a file: safetensors, with what it must fit in its metadata.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::glossary::Glossary;
use super::towers::{Tower, shapes};
use super::{PART, RetrievalError, Retriever, WORDS, part};
use crate::weights::{Tensor, Weights, WeightsError};

/// Changes when numbers of a tower's input change their meaning.
const FORMAT: &str = "1";
/// Larger files are refused unread: ours has some 250 kB.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// What a file says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Digests of the models (SHA-256 of the graph) whose sketches it learned with.
    pub models: Vec<String>,
    /// What it learned from, in words.
    pub story: String,
}

impl Retriever {
    /// Reads a file of [`Retriever::to_bytes`].
    ///
    /// # Errors
    /// It cannot be read, is none of ours, or was made for other words.
    pub fn open(path: &Path) -> Result<Retriever, RetrievalError> {
        let io = |source| RetrievalError::Io { path: path.into(), source };
        let bytes = std::fs::metadata(path).map(|meta| meta.len()).map_err(io)?;
        if bytes > MAX_FILE_BYTES {
            return Err(RetrievalError::Other(format!("{bytes} bytes are too many (limit {MAX_FILE_BYTES})")));
        }
        Retriever::from_bytes(&std::fs::read(path).map_err(io)?)
    }

    /// The same from a file's bytes.
    ///
    /// # Errors
    /// As [`Retriever::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Retriever, RetrievalError> {
        let of_another = |error: safetensors::SafeTensorError| RetrievalError::Other(error.to_string());
        let (_, header) = safetensors::SafeTensors::read_metadata(bytes).map_err(of_another)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let says = |key: &str| metadata.get(key).map_or("", String::as_str);
        match says("format") {
            FORMAT => {}
            "" => return Err(RetrievalError::Other("it does not say that it is a retriever".into())),
            other => {
                return Err(RetrievalError::Other(format!("it is of format {other}, this program reads {FORMAT}")));
            }
        }
        if says("glossary") != glossary_digest() {
            return Err(RetrievalError::Glossary);
        }
        let file = safetensors::SafeTensors::deserialize(bytes).map_err(of_another)?;
        let mut weights = Weights::default();
        let wanted = [shapes(PART, part::inputs()), shapes(WORDS, part::named())].into_iter().flatten();
        for (name, shape) in wanted {
            let tensor = crate::weights::safetensor(&file, &name, &shape)?;
            weights.insert(name, tensor);
        }
        let models = says("models").split(',').filter(|digest| !digest.is_empty()).map(str::to_owned).collect();
        Retriever::new(&weights, About { models, story: says("story").to_owned() })
    }

    /// Towers with these weights ([`Retriever::layers`]).
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or holds what is no number.
    pub fn new(weights: &Weights, about: About) -> Result<Retriever, RetrievalError> {
        let mut hash = Sha256::new();
        for (name, Tensor { data, .. }) in &weights.0 {
            hash.update(name.as_bytes());
            data.iter().for_each(|value| hash.update(value.to_le_bytes()));
        }
        hash.update(FORMAT);
        about.models.iter().for_each(|digest| hash.update(digest.as_bytes()));
        Ok(Retriever {
            part: Tower::load(PART, part::inputs(), weights)?,
            words: Tower::load(WORDS, part::named(), weights)?,
            reader: Default::default(),
            names: Arc::default(),
            digest: Arc::from(format!("{:x}", hash.finalize())),
            about,
        })
    }

    /// Names and shapes of all tensors.
    pub fn layers() -> Vec<(String, Vec<usize>)> {
        [shapes(PART, part::inputs()), shapes(WORDS, part::named())].into_iter().flatten().collect()
    }

    /// A file of these weights.
    ///
    /// # Errors
    /// A tensor is missing or of another shape.
    pub fn to_bytes(weights: &Weights, about: &About) -> Result<Vec<u8>, RetrievalError> {
        let mut tensors = Vec::new();
        for (name, shape) in Retriever::layers() {
            let data =
                weights.expect(&name, &shape)?.data.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
            tensors.push((name, shape, data));
        }
        let views = tensors.iter().map(|(name, shape, data)| {
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), data);
            view.map(|view| (name.as_str(), view))
        });
        let wrong = |error: safetensors::SafeTensorError| WeightsError::Safetensors(error.to_string());
        let views = views.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        let metadata = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("glossary".to_owned(), glossary_digest()),
            ("models".to_owned(), about.models.join(",")),
            ("story".to_owned(), about.story.clone()),
        ]);
        Ok(safetensors::serialize(views, Some(metadata)).map_err(wrong)?)
    }
}

/// Of the concepts' names in their order: the towers' inputs. Words may come and go.
fn glossary_digest() -> String {
    let glossary = Glossary::get();
    let names: Vec<&str> = (0..glossary.len()).map(|concept| glossary.name(concept)).collect();
    format!("{:x}", Sha256::digest(names.join("\n")))
}
