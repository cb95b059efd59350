//! From pictures to what a bundle's graph takes: one picture, or one of each view with a word on which of them there are.
//!
//! The tensor of a bundle of several views is its views' tensors one after the other, then 1 or 0 for each view. A view that is not
//! there is all zeros, and the graph gives it no weight.

use std::sync::Arc;

use crate::bundle::{Manifest, Reference};
use crate::image::{Image, ImageView, PixelFormat};
use crate::prediction::{Model, Prediction};
use crate::runtime::{Provider, RuntimeError};

impl Manifest {
    /// Names of the views that the graph sees together; none where it sees one picture.
    pub fn views(&self) -> &[String] {
        self.heads.fusion.as_ref().map_or(&[], |fusion| &fusion.views)
    }

    /// Names and sizes of the graph's inputs.
    pub fn inputs(&self) -> Vec<(String, Vec<usize>)> {
        let picture = vec![1, 3, self.preprocess.height as usize, self.preprocess.width as usize];
        match &self.heads.fusion {
            None => vec![(self.input.clone(), picture)],
            Some(fusion) => {
                let pictures = fusion.inputs(&self.input).map(|name| (name, picture.clone()));
                pictures.chain([(fusion.present.clone(), vec![1, fusion.views.len()])]).collect()
            }
        }
    }

    /// Number of values of one input tensor of the graph, all its inputs together.
    pub fn tensor_len(&self) -> usize {
        match self.views().len() {
            0 => self.preprocess.tensor_len(),
            views => views * (self.preprocess.tensor_len() + 1),
        }
    }

    /// Fills `tensor` ([`tensor_len`](Self::tensor_len) values) from one picture. Of several views it is their pictures side by side, each
    /// an equal share of its width, all of them there.
    ///
    /// # Panics
    /// As [`crate::preprocess::Preprocess::fill`].
    pub fn fill(&self, image: ImageView<'_>, tensor: &mut [f32]) {
        let views = self.views().len();
        if views == 0 {
            return self.preprocess.fill(image, tensor);
        }
        let mut strip = Image::empty();
        for view in 0..views {
            cut_strip(image, view, views, &mut strip);
            self.fill_view(view, Some(strip.view()), tensor);
        }
    }

    /// Fills the part of `tensor` that is one view's; `None`: its picture did not come.
    ///
    /// # Panics
    /// As [`fill`](Self::fill), and when the bundle has no such view.
    pub fn fill_view(&self, view: usize, image: Option<ImageView<'_>>, tensor: &mut [f32]) {
        assert_eq!(tensor.len(), self.tensor_len(), "a tensor of another size than the manifest's");
        let (length, views) = (self.preprocess.tensor_len(), self.views().len());
        assert!(view < views, "view {view} of {views}");
        let own = &mut tensor[view * length..][..length];
        match image {
            Some(image) => self.preprocess.fill(image, own),
            None => own.fill(0.0),
        }
        tensor[views * length + view] = f32::from(u8::from(image.is_some()));
    }
}

/// A model of several views whose pictures of some never come: what it is worth without them.
pub struct Lacking<'a> {
    of: &'a dyn Model,
    views: Vec<usize>,
}

impl<'a> Lacking<'a> {
    /// `names`: the views that never come; of none, the model as it is.
    ///
    /// # Errors
    /// In words: the model has no such view, or none is left.
    pub fn new(of: &'a dyn Model, names: &[String]) -> Result<Lacking<'a>, String> {
        let known = of.manifest().views();
        let place = |name: &String| known.iter().position(|view| view == name).ok_or_else(|| name.clone());
        let views: Vec<usize> = names.iter().map(place).collect::<Result<_, _>>().map_err(|name| match known {
            [] => format!("there is no view `{name}`: the model sees one picture"),
            known => format!("there is no view `{name}`: the model sees {}", known.join(", ")),
        })?;
        if !known.is_empty() && (0..known.len()).all(|view| views.contains(&view)) {
            return Err("no view is left to decide by".into());
        }
        Ok(Lacking { of, views })
    }
}

impl Model for Lacking<'_> {
    fn manifest(&self) -> &Manifest {
        self.of.manifest()
    }

    fn digest(&self) -> &Arc<str> {
        self.of.digest()
    }

    fn provider(&self) -> Provider {
        self.of.provider()
    }

    fn lost(&self) -> Option<(Provider, String)> {
        self.of.lost()
    }

    fn reference(&self) -> Option<&Reference> {
        self.of.reference()
    }

    fn predict(&self, tensor: &[f32]) -> Result<Prediction, RuntimeError> {
        if self.views.is_empty() || tensor.len() != self.tensor_len() {
            return self.of.predict(tensor);
        }
        let mut tensor = tensor.to_vec();
        self.views.iter().for_each(|&view| self.manifest().fill_view(view, None, &mut tensor));
        self.of.predict(&tensor)
    }
}

/// Copies one of several equal shares of a picture's width, counted from the left, into `out`, whose buffer is used again.
pub fn cut_strip(image: ImageView<'_>, strip: usize, strips: usize, out: &mut Image) {
    let width = image.width as usize;
    let left = (strip * width / strips).min(width.saturating_sub(1));
    let right = ((strip + 1) * width / strips).max(left + 1).min(width);
    let channels = image.format.channels();
    (out.width, out.height, out.format) = ((right - left) as u32, image.height, image.format);
    out.data.clear();
    for row in image.data.chunks_exact((width * channels).max(1)) {
        out.data.extend_from_slice(&row[left * channels..right * channels]);
    }
}

/// Pictures of one height side by side. Where one has colours, all get them.
///
/// # Panics
/// When they are of different heights: a defect in the caller.
pub fn side_by_side(images: &[Image]) -> Image {
    let Some(first) = images.first() else { return Image::empty() };
    assert!(images.iter().all(|image| image.height == first.height), "pictures of one height go side by side");
    let colour = images.iter().any(|image| image.format == PixelFormat::Rgb8);
    let format = if colour { PixelFormat::Rgb8 } else { PixelFormat::Mono8 };
    let width: u32 = images.iter().map(|image| image.width).sum();
    let mut data = Vec::with_capacity(width as usize * first.height as usize * format.channels());
    for y in 0..first.height as usize {
        for image in images {
            let row = image.width as usize * image.format.channels();
            let line = &image.data[y * row..][..row];
            match image.format == format {
                true => data.extend_from_slice(line),
                false => data.extend(line.iter().flat_map(|&grey| [grey; 3])),
            }
        }
    }
    Image { width, height: first.height, format, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fusion_strips_of_joined_pictures_are_the_pictures() {
        let grey = Image { width: 3, height: 2, format: PixelFormat::Mono8, data: (0..6).collect() };
        let colour = Image { width: 3, height: 2, format: PixelFormat::Rgb8, data: (100..118).collect() };
        let joined = side_by_side(&[grey.clone(), colour.clone()]);
        assert!(joined.view().is_consistent());
        let mut strip = Image::empty();
        cut_strip(joined.view(), 1, 2, &mut strip);
        assert_eq!(strip, colour);
        cut_strip(joined.view(), 0, 2, &mut strip);
        assert_eq!(strip.data, grey.data.iter().flat_map(|&value| [value; 3]).collect::<Vec<u8>>());
        // More strips than pixels: each is a pixel of the picture, none is empty.
        for at in 0..8 {
            cut_strip(grey.view(), at, 8, &mut strip);
            assert!(strip.view().is_consistent() && strip.width >= 1, "{at}");
        }
    }
}
