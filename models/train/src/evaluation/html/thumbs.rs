//! Pictures of the worst mistakes, with the heat map that the line would show.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use models::bundle::Disposition;
use models::image::{Image, PixelFormat, encode_jpeg};
use models::prediction::{HeatMap, Model, Prediction};
use models::preprocess::Preprocess;

use super::super::report::{Mistake, Report};
use crate::error::TrainError;
use crate::samples::Samples;

/// Longest side of a picture in the page, pixels.
const SIDE: u32 = 224;
/// Pictures of each kind.
const EACH: usize = 12;
/// JPEG quality.
const QUALITY: u8 = 82;
/// What heat is painted in: seen on grey, on steel and by those who tell few colours apart.
const HEAT: [f32; 3] = [255.0, 96.0, 0.0];
/// How much of a pixel the hottest cell covers.
const COVER: f32 = 0.65;

/// Which mistake it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A bad part passed.
    Escape,
    /// A good part failed.
    Overkill,
    /// Another label.
    Label,
}

/// A mistake with its pictures.
#[derive(Debug, Clone)]
pub struct Thumb {
    pub(super) kind: Kind,
    pub(super) mistake: Mistake,
    /// Label of the heat map.
    pub(super) heat_of: String,
    /// `data:` addresses: the picture, and the same under its heat map.
    pub(super) pictures: [String; 2],
}

/// The worst mistakes of a report: escapes, overkill, then other wrong labels (the surest first), some of each, each image once.
///
/// # Errors
/// When an image cannot be loaded or encoded, or the model does not run.
pub fn worst(report: &Report, model: &dyn Model, samples: &dyn Samples) -> Result<Vec<Thumb>, TrainError> {
    let mut labels: Vec<&Mistake> = report.errors.iter().collect();
    labels.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut seen = std::collections::BTreeSet::new();
    let mut thumbs = Vec::new();
    for (kind, list) in [
        (Kind::Escape, report.escapes.iter().collect()),
        (Kind::Overkill, report.overkills.iter().collect()),
        (Kind::Label, labels),
    ] {
        let fresh: Vec<&Mistake> = list.into_iter().filter(|mistake| seen.insert(mistake.index)).take(EACH).collect();
        for mistake in fresh {
            thumbs.push(thumb(kind, mistake, model, samples)?);
        }
    }
    Ok(thumbs)
}

fn thumb(kind: Kind, mistake: &Mistake, model: &dyn Model, samples: &dyn Samples) -> Result<Thumb, TrainError> {
    let image = samples.load(mistake.index)?.image;
    let mut tensor = vec![0.0; model.tensor_len()];
    model.manifest().fill(image.view(), &mut tensor);
    let prediction = model.predict(&tensor)?;
    let label = shown(&prediction, model);
    let small = shrink(&image);
    let pictures = [address(&small, mistake)?, address(&heated(&small, &prediction.heat, label), mistake)?];
    Ok(Thumb { kind, mistake: mistake.clone(), heat_of: model.manifest().labels[label].name.clone(), pictures })
}

/// The label whose map is shown: the strongest that does not pass the part, as on the line's screen.
fn shown(prediction: &Prediction, model: &dyn Model) -> usize {
    let labels = &model.manifest().labels;
    let strongest = |among: &dyn Fn(usize) -> bool| {
        let score = |at: &usize| prediction.scores[*at];
        (0..labels.len()).filter(|at| among(*at)).max_by(|a, b| score(a).total_cmp(&score(b)))
    };
    strongest(&|at| labels[at].verdict != Disposition::Pass).or(strongest(&|_| true)).unwrap_or(0)
}

/// In colour, the longest side [`SIDE`] at most.
fn shrink(image: &Image) -> Image {
    let longest = image.width.max(image.height).max(1);
    let fit = |side: u32| (u64::from(side) * u64::from(SIDE.min(longest)) / u64::from(longest)).max(1) as u32;
    let small = resized(image, fit(image.width), fit(image.height));
    match small.format {
        PixelFormat::Rgb8 => small,
        PixelFormat::Mono8 => {
            let data = small.data.iter().flat_map(|&grey| [grey; 3]).collect();
            Image { format: PixelFormat::Rgb8, data, ..small }
        }
    }
}

fn resized(image: &Image, width: u32, height: u32) -> Image {
    let mut out = Image::empty();
    Preprocess { width, height, ..Preprocess::imagenet(1) }.fill_image(image.view(), &mut out);
    out
}

/// The picture with a label's heat map painted over it.
fn heated(picture: &Image, heat: &HeatMap, label: usize) -> Image {
    let (width, height) = (heat.width as u32, heat.height as u32);
    let cells = Image { width, height, format: PixelFormat::Mono8, data: heat.probability_u8(label) };
    let cells = resized(&cells, picture.width, picture.height);
    let mut painted = picture.clone();
    for (pixel, heat) in painted.data.as_chunks_mut::<3>().0.iter_mut().zip(&cells.data) {
        let cover = COVER * f32::from(*heat) / 255.0;
        for (value, paint) in pixel.iter_mut().zip(HEAT) {
            *value = (f32::from(*value) * (1.0 - cover) + paint * cover).round() as u8;
        }
    }
    painted
}

fn address(image: &Image, mistake: &Mistake) -> Result<String, TrainError> {
    let jpeg = encode_jpeg(image.view(), QUALITY)
        .map_err(|source| TrainError::Image { path: mistake.path.clone().into(), source })?;
    Ok(format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_is_painted_where_it_is() {
        let picture = Image { width: 8, height: 4, format: PixelFormat::Rgb8, data: vec![100; 96] };
        // Two labels on 1 x 2 cells: the second is sure of the right cell.
        let heat = HeatMap { labels: 2, height: 1, width: 2, logits: vec![0.0, 0.0, -30.0, 30.0] };
        let painted = heated(&picture, &heat, 1);
        let pixel = |x: usize| &painted.data[3 * x..3 * x + 3];
        assert_eq!(pixel(0), [100; 3], "cold cells stay as they are");
        assert!(pixel(7)[0] > 180 && pixel(7)[2] < 50, "{:?}", pixel(7));
    }

    #[test]
    fn pictures_shrink_and_never_grow() {
        let image = |width, height| Image {
            width,
            height,
            format: PixelFormat::Mono8,
            data: vec![7; (width * height) as usize],
        };
        let small = shrink(&image(1000, 500));
        assert_eq!((small.width, small.height, small.format), (224, 112, PixelFormat::Rgb8));
        assert_eq!(shrink(&image(60, 40)).width, 60);
    }
}
