//! `[align]` of a recipe: how a part is brought into one pose.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Longest side of a prepared picture, in pixels.
const MOST_SIDE: u32 = 8192;

/// How a part is found and laid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Align {
    /// By what the part is found.
    pub method: Method,
    /// `template`, `ecc`: a picture of a part that lies as wanted, beside the recipe. The prepared picture has its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<PathBuf>,
    /// `template`, `ecc`: the place of the reference that is compared: left, top, width, height; default: all but a rim as wide as a
    /// part may move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<[u32; 4]>,
    /// `outline`: width and height of the prepared picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
    /// `outline`: where the part's centre of area shall lie in it; default: its middle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub centre: Option<[f64; 2]>,
    /// `outline`: where the part's long axis shall point: 0 to the right, 90 down.
    #[serde(default)]
    pub axis_deg: f64,
    /// `outline`: which end of the axis that is.
    #[serde(default)]
    pub direction: Direction,
    /// `outline`: whether the part is brighter or darker than what it lies on.
    #[serde(default)]
    pub part: Tone,
    /// `outline`: what belongs to the part.
    #[serde(default)]
    pub take: Take,
    /// `outline`: share of the picture's area that a part has at least.
    #[serde(default = "min_area")]
    pub min_area: f64,
    /// A part that lies further away is not aligned: `outline`: from the picture's middle; default: anywhere. `template`, `ecc`: from
    /// where it lies in the reference; default: a tenth of the longer side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_shift_px: Option<f64>,
    /// A part that is turned further is not aligned. Default: `outline` 180, `template` and `ecc` 15.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_angle_deg: Option<f64>,
    /// A part that is found less clearly is not aligned. `outline`: its contrast in standard deviations of the background, default 5.
    /// `template`, `ecc`: the correlation with the reference, default 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_score: Option<f64>,
}

/// By what a part is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Its outline on a background that is seen all around it: centre of area and long axis.
    Outline,
    /// Normalised correlation with a reference, tried at several angles.
    Template,
    /// The same start, then all grey levels at once: the finest (Evangelidis and Psarakis, 2008).
    Ecc,
}

/// Which end of a part's long axis is its front.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The thicker one.
    #[default]
    ThickerEnd,
    /// Both are the same: the part is turned by 90 degrees at most.
    Either,
    /// The part is not turned at all: it is round, or always lies the same way.
    None,
}

/// A part against its background.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// Whatever differs.
    #[default]
    Auto,
    /// Brighter.
    Bright,
    /// Darker.
    Dark,
}

/// What belongs to a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// The largest connected area. Another of at least half its size is taken for a second part, and none is aligned.
    #[default]
    Largest,
    /// Every area that is large enough: a part in several pieces.
    All,
}

fn min_area() -> f64 {
    0.005
}

impl Align {
    /// `outline` into a picture of this size, with the defaults.
    pub fn outline(size: [u32; 2]) -> Align {
        Align { size: Some(size), ..Align::by(Method::Outline) }
    }

    /// By a reference, with the defaults.
    pub fn onto(method: Method, reference: PathBuf) -> Align {
        Align { reference: Some(reference), ..Align::by(method) }
    }

    fn by(method: Method) -> Align {
        Align {
            method,
            reference: None,
            region: None,
            size: None,
            centre: None,
            axis_deg: 0.0,
            direction: Direction::default(),
            part: Tone::default(),
            take: Take::default(),
            min_area: min_area(),
            max_shift_px: None,
            max_angle_deg: None,
            least_score: None,
        }
    }

    /// How far a part may be turned, radians.
    pub(super) fn max_angle(&self) -> f64 {
        let usual = if self.method == Method::Outline { 180.0 } else { 15.0 };
        self.max_angle_deg.unwrap_or(usual).to_radians()
    }

    /// How clearly a part must be found.
    pub(super) fn least_score(&self) -> f64 {
        self.least_score.unwrap_or(if self.method == Method::Outline { 5.0 } else { 0.5 })
    }

    /// What decides the prepared pixels, without what only refuses parts: a limit may change and the pictures stay what they are.
    pub(super) fn without_limits(&self) -> Align {
        Align { reference: None, max_shift_px: None, max_angle_deg: None, least_score: None, ..self.clone() }
    }

    /// Everything wrong with it, without touching a file.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut refuse = |wrong: bool, words: String| {
            if wrong {
                problems.push(words);
            }
        };
        let by_outline = self.method == Method::Outline;
        let name = match self.method {
            Method::Outline => "outline",
            Method::Template => "template",
            Method::Ecc => "ecc",
        };
        refuse(
            by_outline && self.size.is_none(),
            "`align.size` is missing: `outline` needs width and height of the prepared picture, as [640, 256]".into(),
        );
        refuse(
            !by_outline && self.reference.is_none(),
            format!("`align.reference` is missing: `{name}` needs a picture of a part that lies as wanted"),
        );
        let only_outline = [("size", self.size.is_some()), ("centre", self.centre.is_some())];
        let only_reference = [("reference", self.reference.is_some()), ("region", self.region.is_some())];
        let foreign = if by_outline { only_reference } else { only_outline };
        for (key, given) in foreign {
            refuse(given, format!("`align.{key}` means nothing to `{name}`: leave it out"));
        }
        refuse(
            self.size.is_some_and(|size| size.iter().any(|side| !(8..=MOST_SIDE).contains(side))),
            format!("`align.size` has a side that is not between 8 and {MOST_SIDE} pixels"),
        );
        refuse(
            self.region.is_some_and(|[_, _, width, height]| width < 16 || height < 16),
            "`align.region` is smaller than 16 x 16 pixels: it is left, top, width, height".into(),
        );
        if let (Some([x, y]), Some([width, height])) = (self.centre, self.size) {
            let within = (0.0..=f64::from(width)).contains(&x) && (0.0..=f64::from(height)).contains(&y);
            refuse(!within, "`align.centre` lies outside of `align.size`".into());
        }
        refuse(!self.axis_deg.is_finite(), "`align.axis_deg` is no number".into());
        refuse(
            !(self.min_area > 0.0 && self.min_area < 1.0),
            format!("`align.min_area` is {}: it is a share of the picture, between 0 and 1", self.min_area),
        );
        refuse(
            self.max_shift_px.is_some_and(|shift| !(shift.is_finite() && shift > 0.0)),
            "`align.max_shift_px` must be more than 0".into(),
        );
        refuse(
            self.max_angle_deg.is_some_and(|angle| !(angle > 0.0 && angle <= 180.0)),
            "`align.max_angle_deg` must lie between 0 and 180".into(),
        );
        let most = if by_outline { f64::MAX } else { 1.0 };
        refuse(
            self.least_score.is_some_and(|score| !(0.0..=most).contains(&score)),
            match by_outline {
                true => "`align.least_score` is the part's contrast in deviations of the background: 0 or more".into(),
                false => "`align.least_score` is a correlation: it must lie between 0 and 1".into(),
            },
        );
        problems
    }
}
