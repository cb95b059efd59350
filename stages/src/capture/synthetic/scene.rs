//! What one part is: its surface, its light, its defects. Planned from (stream, seed, index) before anything is drawn.

use std::f32::consts::{FRAC_PI_2, PI, TAU};

use super::bad_frame::BadFrame;
use super::bands::Bands;
use super::defects::Defect;
use super::edge::Edge;
use super::light::Light;
use super::random::{Dice, Purpose, Stream};
use super::surface::{Surface, Window};

/// How often what comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// Share of parts with a defect, 0 to 1.
    pub defect_rate: f32,
    /// Share of the defective parts with a second defect of another class, 0 to 1.
    pub second_rate: f32,
    /// Share of frames that are spoilt, 0 to 1.
    pub bad_frame_rate: f32,
    /// Surfaces, all as often; empty: all there are.
    pub surfaces: Vec<Surface>,
}

impl Default for Mix {
    fn default() -> Self {
        Mix { defect_rate: 0.08, second_rate: 0.05, bad_frame_rate: 0.005, surfaces: Surface::ALL.to_vec() }
    }
}

/// What a part shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Whatever comes down the line.
    AsItComes,
    /// Without a defect.
    Good,
    /// With this defect (and now and then a second one).
    With(Defect),
}

/// A defect to be drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) defect: Defect,
    /// Contrast-to-noise ratio to aim at.
    pub(super) cnr: f32,
}

/// Marks that a machine leaves and that are no defect: a faint ripple across the whole part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ripple {
    pub(super) across_rows: bool,
    strength: f32,
    period: f32,
    phase: f32,
}

impl Ripple {
    pub(super) fn at(&self, place: usize) -> f32 {
        self.strength * (TAU * place as f32 / self.period + self.phase).sin()
    }
}

/// One part, ready to be drawn.
pub(super) struct Scene {
    pub(super) surface: Surface,
    pub(super) variant: usize,
    pub(super) window: Window,
    /// Mean grey level under light 1.
    pub(super) tone: f32,
    /// Deviation of the texture, grey levels.
    pub(super) contrast: f32,
    pub(super) tint: [f32; 3],
    /// Direction of the surface's lines, where it has any.
    pub(super) grain: Option<f32>,
    pub(super) light: Light,
    pub(super) edge: Option<Edge>,
    pub(super) ripple: Ripple,
    pub(super) plans: [Option<Plan>; 2],
    pub(super) bad: Option<BadFrame>,
    /// Makes the frame's noise its own.
    pub(super) salt: u64,
}

impl Scene {
    /// Plans a part. A part on a spoilt frame has no defect: nothing could be said of it.
    pub(super) fn plan(
        (stream, seed, index): (Stream, u64, u64),
        ask: Ask,
        mix: &Mix,
        variants: usize,
        [width, height]: [usize; 2],
    ) -> Self {
        let mut chance = Dice::new(stream, seed, Purpose::Mix, index);
        let bad = (chance.chance(mix.bad_frame_rate) && ask == Ask::AsItComes).then(|| BadFrame::draw(&mut chance));
        let comes_defective = chance.chance(mix.defect_rate) && bad.is_none();
        let some_defect = Defect::ALL[chance.below(Defect::ALL.len())];
        let first = match ask {
            Ask::Good => None,
            Ask::With(defect) => Some(defect),
            Ask::AsItComes => comes_defective.then_some(some_defect),
        };
        let plans = plan_defects(first, mix, &mut chance);

        let mut dice = Dice::new(stream, seed, Purpose::Scene, index);
        let surfaces = if mix.surfaces.is_empty() { &Surface::ALL[..] } else { &mix.surfaces[..] };
        let surface = surfaces[dice.below(surfaces.len())];
        let window = Window::draw(&mut dice);
        let grain = surface.has_streaks().then(|| grain_of(&window));
        let edge_shows = dice.chance(0.4) || plans.iter().flatten().any(|plan| plan.defect == Defect::EdgeChip);
        let edge = Edge::draw(&mut dice, width, height);
        Scene {
            surface,
            variant: dice.below(variants),
            tone: dice.within(surface.tone()),
            contrast: dice.within(surface.contrast()),
            tint: tint(surface.tint(), &mut dice),
            grain,
            light: Light::draw(&mut dice, width, height, grain.map(|g| [-g.sin(), g.cos()])),
            edge: edge_shows.then_some(edge),
            ripple: Ripple {
                across_rows: dice.chance(0.5),
                strength: (dice.range(-1.5, 2.2)).max(0.0),
                period: dice.range(24.0, 100.0),
                phase: dice.angle(),
            },
            window,
            plans,
            bad,
            salt: dice.bits(),
        }
    }
}

fn plan_defects(first: Option<Defect>, mix: &Mix, dice: &mut Dice) -> [Option<Plan>; 2] {
    let Some(first) = first else { return [None; 2] };
    let bands = Bands::get();
    let cnr = bands.draw(dice);
    let second = dice.chance(mix.second_rate).then(|| {
        // Another class: any step round the list but a whole turn.
        let step = 1 + dice.below(Defect::ALL.len() - 1);
        Plan { defect: Defect::ALL[(first as usize + step) % Defect::ALL.len()], cnr: bands.draw(dice) }
    });
    [Some(Plan { defect: first, cnr }), second]
}

/// Lines of a tile run along its rows; turned, mirrored and sheared with the window.
fn grain_of(window: &Window) -> f32 {
    if !window.turned {
        return 0.0;
    }
    let lean = if window.mirrored { window.shear } else { -window.shear };
    FRAC_PI_2 - lean.atan().clamp(-PI, PI)
}

/// Red, green and blue around 1, with luma 1: a tint does not change how bright a part is.
fn tint(reach: f32, dice: &mut Dice) -> [f32; 3] {
    let (warmth, green) = (reach * dice.range(-1.0, 1.0), 0.6 * reach * dice.range(-1.0, 1.0));
    let raw = [1.0 + warmth, 1.0 + green, 1.0 - warmth];
    let luma = 0.299 * raw[0] + 0.587 * raw[1] + 0.114 * raw[2];
    raw.map(|c| c / luma)
}
