//! Surfaces: what a good part looks like under even light.
//!
//! A surface is a tile that repeats, drawn once: a part takes a window of it at a random place, turned and mirrored.

use serde::{Deserialize, Serialize};

use super::field::Field;
use super::random::{Dice, Purpose, Stream};

/// Pixels along a tile.
pub(super) const TILE: usize = 1024;

/// Steps per standard deviation in a tile.
pub(super) const STEPS: f32 = 16.0;

/// What a part is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// Fine parallel lines with bands, as a brush or a belt leaves them.
    BrushedMetal,
    /// The grainy skin of sand-cast metal.
    Cast,
    /// Paint with the soft bumps of an orange's skin and fine flakes.
    OrangePeel,
    /// A plain weave: warp over weft, weft over warp.
    Woven,
}

impl Surface {
    /// All of them.
    pub const ALL: [Surface; 4] = [Surface::BrushedMetal, Surface::Cast, Surface::OrangePeel, Surface::Woven];

    /// Range of the texture's standard deviation on the sensor, grey levels.
    pub(super) fn contrast(self) -> [f32; 2] {
        match self {
            Surface::BrushedMetal => [3.5, 6.5],
            Surface::Cast => [4.0, 7.5],
            Surface::OrangePeel => [3.0, 5.0],
            Surface::Woven => [5.0, 8.5],
        }
    }

    /// Range of the mean grey level.
    pub(super) fn tone(self) -> [f32; 2] {
        match self {
            Surface::BrushedMetal => [105.0, 170.0],
            Surface::Cast => [75.0, 130.0],
            Surface::OrangePeel => [70.0, 165.0],
            Surface::Woven => [80.0, 155.0],
        }
    }

    /// How far the colour may be from grey, as a share of the tone.
    pub(super) fn tint(self) -> f32 {
        match self {
            Surface::BrushedMetal => 0.05,
            Surface::Cast => 0.06,
            Surface::OrangePeel => 0.22,
            Surface::Woven => 0.16,
        }
    }

    /// Whether light glides along its lines in streaks.
    pub(super) fn has_streaks(self) -> bool {
        self == Surface::BrushedMetal
    }

    fn draw(self, dice: &mut Dice) -> Field {
        match self {
            Surface::BrushedMetal => brushed(dice),
            Surface::Cast => cast(dice),
            Surface::OrangePeel => orange_peel(dice),
            Surface::Woven => woven(dice),
        }
    }
}

/// One drawn surface, in both directions so that a turned window is read along rows too.
pub(super) struct Tile {
    upright: Vec<i8>,
    turned: Vec<i8>,
}

impl Tile {
    /// Draws a tile; `variant` tells several of one surface apart.
    pub(super) fn new(surface: Surface, stream: Stream, seed: u64, variant: usize) -> Self {
        let index = (surface as u64) << 32 | variant as u64;
        let field = surface.draw(&mut Dice::new(stream, seed, Purpose::Tile, index)).normalised();
        let upright: Vec<i8> = field.values.iter().map(|v| (v * STEPS).round().clamp(-127.0, 127.0) as i8).collect();
        let mut turned = vec![0; upright.len()];
        for (y, row) in upright.chunks_exact(TILE).enumerate() {
            for (x, &v) in row.iter().enumerate() {
                turned[x * TILE + y] = v;
            }
        }
        Tile { upright, turned }
    }

    /// Reads one row of a window into `row`, in steps of `1 / STEPS` deviations.
    pub(super) fn row(&self, window: &Window, y: usize, row: &mut [i8]) {
        let data = if window.turned { &self.turned } else { &self.upright };
        let y_in_tile = if window.upside_down { window.y + TILE - y % TILE } else { window.y + y } % TILE;
        let line = &data[y_in_tile * TILE..][..TILE];
        // A shear of a few degrees: enough that grain is never quite in line with the frame.
        let slide = (y as f32 * window.shear).round() as i32;
        let mut at = (window.x as i32 + slide).rem_euclid(TILE as i32) as usize;
        for chunk in row.chunks_mut(TILE) {
            let head = chunk.len().min(TILE - at);
            chunk[..head].copy_from_slice(&line[at..at + head]);
            let tail = chunk.len() - head;
            chunk[head..].copy_from_slice(&line[..tail]);
            at = (at + chunk.len()) % TILE;
        }
        if window.mirrored {
            row.reverse();
        }
    }
}

/// Where a part lies in its tile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) turned: bool,
    pub(super) mirrored: bool,
    pub(super) upside_down: bool,
    /// Columns of slide per row.
    pub(super) shear: f32,
}

impl Window {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        Window {
            x: dice.below(TILE),
            y: dice.below(TILE),
            turned: dice.chance(0.5),
            mirrored: dice.chance(0.5),
            upside_down: dice.chance(0.5),
            shear: dice.range(-0.07, 0.07),
        }
    }
}

/// Lines of several lengths laid over each other, and bands a few lines wide.
fn brushed(dice: &mut Dice) -> Field {
    let long = dice.range(30.0, 60.0) as usize;
    let lines = Field::white(TILE, dice).smooth(long, 0).normalised();
    let hairs = Field::white(TILE, dice).smooth(7, 0).normalised();
    let bands = Field::white(TILE, dice).smooth(110, 3).normalised();
    let grain = Field::white(TILE, dice);
    lines.plus(0.75, &hairs).plus(0.6, &bands).plus(0.35, &grain)
}

/// Grains of two sizes lit from the side.
fn cast(dice: &mut Dice) -> Field {
    let fine = Field::white(TILE, dice).smooth(1, 1).relief().normalised();
    let coarse_radius = dice.count([3, 5]);
    let coarse = Field::white(TILE, dice).smooth(coarse_radius, coarse_radius).relief().normalised();
    let patches = Field::white(TILE, dice).smooth(16, 16).normalised();
    let grain = Field::white(TILE, dice);
    fine.plus(0.8, &coarse).plus(0.4, &patches).plus(0.35, &grain)
}

/// Bumps of one size (a band of spatial frequencies), rounded off, with flakes that sparkle.
fn orange_peel(dice: &mut Dice) -> Field {
    let radius = dice.count([4, 6]);
    let noise = Field::white(TILE, dice);
    let coarse = Field { side: TILE, values: noise.values.clone() }.smooth(2 * radius, 2 * radius);
    let bumps = noise.smooth(radius, radius).plus(-1.0, &coarse).relief().normalised().map(|v| (0.8 * v).tanh());
    let flakes = Field::white(TILE, dice).map(|v| v + 0.25 * v.max(0.0).powi(3)).normalised();
    bumps.normalised().plus(0.75, &flakes)
}

/// Threads with a round profile that dive under each other, each with its own shade.
fn woven(dice: &mut Dice) -> Field {
    // An even number of threads, so that over and under still alternate across the tile's border.
    let threads = 2 * dice.count([42, 64]);
    let shades: Vec<f32> = (0..2 * threads).map(|_| dice.normal()).collect();
    let sway = Field::white(TILE, dice).smooth(20, 20).normalised();
    let fuzz = Field::white(TILE, dice);
    let pitch = threads as f32 / TILE as f32;
    let weave = Field::from_fn(TILE, |x, y| {
        let drift = 0.12 * sway.values[y * TILE + x];
        let (u, v) = (x as f32 * pitch + drift + 1.0, y as f32 * pitch - drift + 1.0);
        let (column, line) = (u as usize % threads, v as usize % threads);
        let (across, along) = ((u.fract() * std::f32::consts::PI).sin(), (v.fract() * std::f32::consts::PI).sin());
        let warp_on_top = (column + line) % 2 == 0;
        let (profile, bulge, shade) =
            if warp_on_top { (across, along, shades[column]) } else { (along, across, shades[threads + line]) };
        profile.sqrt() * (0.55 + 0.45 * bulge) + 0.07 * shade + if warp_on_top { 0.06 } else { 0.0 }
    });
    weave.normalised().plus(0.4, &fuzz)
}
