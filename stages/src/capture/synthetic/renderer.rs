//! Draws parts: a pure function of (stream, seed, index, what is asked, size).

use std::sync::Arc;

use models::scatter::scatter;

use super::LABELS;
use super::bad_frame::BadFrame;
use super::bands::Bands;
use super::contrast::{Gauge, Scale};
use super::defects::{Defect, Site, edge_chip};
use super::edge::{Edge, Side};
use super::lamp::Lamp;
use super::light;
use super::random::{Dice, Purpose, Stream};
use super::scene::{Ask, Mix, Plan, Scene};
use super::sensor::{Exposure, MAX_WIDTH, RowScratch, Sensor, Strip};
use super::stamp::{IN_MASK, Stamp};
use super::surface::{STEPS, Surface, Tile};
use crate::inspection::{TrueDefect, Truth};

/// No stronger than this, grey levels: beyond, everything is clipped and the shape is lost.
const STRONGEST: f32 = 160.0;

/// The same for smooth shades: a hollow or a film darkens a part, it does not blacken it.
const STRONGEST_SHADE: f32 = 80.0;

/// The same for hues, whose channels move up to 1.7 levels per unit: oxide films are not neon signs.
const STRONGEST_HUE: f32 = 45.0;

/// Share by which the ratio reached may miss the one asked for.
const CLOSE_ENOUGH: f32 = 0.02;

/// Attempts to find a free place for a defect.
const PLACES: usize = 24;

/// Smallest mask of a defect, pixels. A drawing that the part's outline cuts to less is drawn anew elsewhere.
const MIN_AREA: usize = 60;

/// Pixels of the largest box around a defect and its ring: the sizes in `bands.toml` stay below (a test watches it).
const LARGEST_BOX: usize = 288 * 288;

/// What was drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendering {
    /// Pixels across.
    pub width: u32,
    /// Pixels down; less than asked for when the transfer broke off.
    pub height: u32,
    /// What the part really is. Each ratio is measured on the finished pixels, clipping included.
    pub truth: Truth,
    /// How the frame was spoilt, if it was.
    pub bad: Option<BadFrame>,
    /// What the part is made of.
    pub surface: Surface,
}

/// Draws parts of one stream and seed. Clones share tiles; each thread takes its own.
#[derive(Clone)]
pub struct Renderer {
    world: Arc<World>,
    mix: Mix,
    /// Which shot of each part: the first is 0.
    shot: u64,
    lamp: Lamp,
    scratch: Scratch,
}

/// What is drawn once for all parts.
struct World {
    stream: Stream,
    seed: u64,
    variants: usize,
    /// `variants` tiles for each surface, in the order of `Surface::ALL`.
    tiles: Vec<Tile>,
    sensor: Sensor,
}

/// Buffers that live from frame to frame: after the first frame of a size nothing large is allocated.
#[derive(Default, Clone)]
struct Scratch {
    luma: Vec<f32>,
    spare: Vec<f32>,
    nodes: Vec<f32>,
    light: Vec<f32>,
    steps: Vec<i8>,
    texture: Vec<f32>,
    ripple: Vec<f32>,
    mask: Vec<u8>,
    stamp: Stamp,
    gauge: Gauge,
    row: RowScratch,
}

impl Scratch {
    /// Takes all memory at the first frame of a size, whatever defects come later.
    fn reserve(&mut self, [width, height]: [usize; 2]) {
        let largest = LARGEST_BOX.min(width * height);
        self.spare.reserve((width * height).saturating_sub(self.spare.len()));
        self.mask.reserve((width * height).saturating_sub(self.mask.len()));
        self.stamp.reserve(largest);
        self.gauge.reserve(largest);
    }
}

impl Renderer {
    /// Draws the surfaces (about a quarter of a second for each variant). `variants` tiles of each surface: two make a line,
    /// training wants more of them, so that a model learns the surface and not the tile.
    pub fn new(stream: Stream, seed: u64, variants: usize, mix: Mix) -> Self {
        let variants = variants.max(1);
        let tiles = std::thread::scope(|scope| {
            let draw = |surface| move || (0..variants).map(|v| Tile::new(surface, stream, seed, v)).collect::<Vec<_>>();
            let drawing = Surface::ALL.map(|surface| scope.spawn(draw(surface)));
            drawing.into_iter().flat_map(|d| d.join().expect("drawing a tile is arithmetic on fixed sizes")).collect()
        });
        let world = World { stream, seed, variants, tiles, sensor: Sensor::new(stream, seed) };
        Renderer { world: Arc::new(world), mix, shot: 0, lamp: Lamp::default(), scratch: Scratch::default() }
    }

    /// The same surfaces with another mix of parts.
    pub fn with_mix(mut self, mix: Mix) -> Self {
        self.mix = mix;
        self
    }

    /// The same parts shot another time: only the sensor's noise differs.
    pub fn with_shot(mut self, shot: u64) -> Self {
        self.shot = shot;
        self
    }

    /// The same parts under another light: shapes and places of everything are the same, what shows of it is not.
    pub fn with_lamp(mut self, lamp: Lamp) -> Self {
        self.lamp = lamp;
        self
    }

    /// Draws part `index` into `out` as RGB, `size` pixels across and down (64 to 4096). The buffer is resized to fit.
    pub fn render(&mut self, index: u64, ask: Ask, size: [u32; 2], out: &mut Vec<u8>) -> Rendering {
        let frame = size.map(|side| (side as usize).clamp(64, MAX_WIDTH));
        self.scratch.reserve(frame);
        let world = self.world.clone();
        let scene = Scene::plan((world.stream, world.seed, index), ask, &self.mix, world.variants, frame);
        self.draw_clean(&world, &scene, frame);
        let exposure = Exposure {
            salt: scatter(scene.salt.wrapping_add(self.shot).wrapping_add(self.lamp.salt())),
            tint: scene.tint,
        };
        let mut rows = frame[1];
        if let Some(bad) = scene.bad {
            bad.spoil(&mut self.scratch.luma, frame[0], &mut self.scratch.spare);
            rows = bad.rows(rows, &mut Dice::new(world.stream, world.seed, Purpose::Spoil, index));
        }
        out.resize(3 * frame[0] * rows, 0);
        for y in 0..rows {
            let luma = &self.scratch.luma[y * frame[0]..][..frame[0]];
            let rgb = &mut out[3 * y * frame[0]..][..3 * frame[0]];
            let strip = Strip { at: [0, y], luma, added: None };
            world.sensor.expose(exposure, strip, &mut self.scratch.row, rgb);
        }
        self.scratch.mask.clear();
        self.scratch.mask.resize(frame[0] * rows, 0);
        let mut dice = Dice::new(world.stream, world.seed, Purpose::Defects, index);
        let mut defects = Vec::new();
        for plan in scene.plans.iter().flatten() {
            if let Some(place) = self.place(&scene, *plan, frame, &defects, &mut dice) {
                defects.push(self.lay(&world.sensor, exposure, (&scene, place), frame, out));
            }
        }
        let label = defects.first().map_or_else(|| LABELS[0].into(), |d| d.label.clone());
        let truth = Truth { label, defects, bad_frame: scene.bad.is_some() };
        Rendering { width: frame[0] as u32, height: rows as u32, truth, bad: scene.bad, surface: scene.surface }
    }

    /// The mask of the frame drawn last: for each pixel the index of its defect's label, 0 where the part is good.
    pub fn mask(&self) -> &[u8] {
        &self.scratch.mask
    }

    /// Light on the sensor, without defects and without noise.
    fn draw_clean(&mut self, world: &World, scene: &Scene, [width, height]: [usize; 2]) {
        let Scratch { luma, nodes, light, steps, texture, ripple, .. } = &mut self.scratch;
        let tile = &world.tiles[scene.surface as usize * world.variants + scene.variant];
        scene.light.nodes(width, height, nodes);
        let [bright, rough] = self.lamp.surface();
        let contrast = rough * scene.contrast;
        luma.resize(width * height, 0.0);
        light.resize(width, 0.0);
        steps.resize(width, 0);
        texture.resize(width, 0.0);
        ripple.clear();
        ripple.extend((0..width).map(|x| if scene.ripple.across_rows { 0.0 } else { scene.ripple.at(x) }));
        for (y, row) in luma.chunks_exact_mut(width).enumerate() {
            tile.row(&scene.window, y, steps);
            light::row(nodes, width, y, light);
            texture.iter_mut().zip(&*steps).for_each(|(t, &s)| *t = f32::from(s) / STEPS);
            light.iter_mut().for_each(|value| *value *= bright);
            let tone = scene.tone + if scene.ripple.across_rows { scene.ripple.at(y) } else { 0.0 };
            for x in 0..width {
                row[x] = light[x] * (tone + ripple[x] + contrast * texture[x]);
            }
            if let Some(edge) = &scene.edge {
                edge.apply(y, light, texture, row);
            }
        }
    }

    /// Finds a place for a defect and draws its shape there. The first defect always finds one, if need be the middle of
    /// the part or of its outline; a second one may find the part full.
    fn place(
        &mut self,
        scene: &Scene,
        plan: Plan,
        frame: [usize; 2],
        others: &[TrueDefect],
        dice: &mut Dice,
    ) -> Option<Plan> {
        let sizes = Bands::get().sizes(plan.defect);
        let stamp = &mut self.scratch.stamp;
        for attempt in 0..=PLACES {
            let last = attempt == PLACES;
            let extent = dice.within(sizes.extent).min(0.8 * frame[0].min(frame[1]) as f32);
            let Some(centre) = choose_centre(scene, plan.defect, extent, frame, last, dice) else { continue };
            let site = Site {
                centre,
                extent,
                frame,
                tint: scene.tint,
                light_from: scene.light.from,
                grain: scene.grain,
                edge: scene.edge.as_ref(),
                luma: &self.scratch.luma,
            };
            plan.defect.draw(&site, sizes, dice, stamp);
            if let Some(edge) = &scene.edge {
                // A bite takes the outline's half-covered pixels along; nothing else reaches past it.
                let outermost = if plan.defect == Defect::EdgeChip { -1.5 } else { 0.5 };
                stamp.retain(|x, y| edge.distance(x, y) > outermost);
            }
            let clear = others.iter().all(|other| apart(other.bbox, stamp));
            if clear && stamp.area() >= if last { 1 } else { MIN_AREA } {
                return Some(plan);
            }
        }
        None
    }

    /// Lays the drawn shape on the finished frame, as strong as planned.
    fn lay(
        &mut self,
        sensor: &Sensor,
        exposure: Exposure,
        (scene, plan): (&Scene, Plan),
        frame: [usize; 2],
        rgb: &mut [u8],
    ) -> TrueDefect {
        let Scratch { luma, mask, stamp, gauge, row, .. } = &mut self.scratch;
        if self.lamp == Lamp::DarkField {
            // Light from the side: whatever turns the surface sends some of it up.
            stamp.delta.iter_mut().for_each(|delta| *delta = delta.map(f32::abs));
        }
        let on_part = |x: usize, y: usize| {
            let edge = scene.edge.as_ref();
            mask[y * frame[0] + x] == 0 && edge.is_none_or(|edge| edge.distance(x as f32, y as f32) > 1.0)
        };
        gauge.take(stamp, rgb, frame, on_part);
        let scale = if plan.defect == Defect::Discolouration { Scale::StrongestChannel } else { Scale::Luma };
        let limit = match plan.defect {
            Defect::EdgeChip => edge_chip::GONE,
            Defect::Discolouration => STRONGEST_HUE,
            Defect::Dent | Defect::Stain => STRONGEST_SHADE,
            _ => STRONGEST,
        };
        let label = plan.defect.label().into();
        if !self.lamp.shows(plan.defect) {
            let bbox = mark(mask, stamp, frame[0], plan.defect.label_index() as u8);
            return TrueDefect { label, cnr: 0.0, bbox };
        }
        let mut strength = (plan.cnr / gauge.expected(stamp, scale).max(1e-6)).min(limit);
        let mut cnr = 0.0;
        for _ in 0..4 {
            for k in 0..stamp.height {
                let (x, y) = (stamp.left, stamp.top + k);
                let at = y * frame[0] + x;
                let delta = &stamp.delta[k * stamp.width..][..stamp.width];
                let target = &mut rgb[3 * at..][..3 * stamp.width];
                let luma = &luma[at..at + stamp.width];
                sensor.expose(exposure, Strip { at: [x, y], luma, added: Some((delta, strength)) }, row, target);
            }
            cnr = gauge.measured(stamp, rgb, frame, scale);
            let next = (strength * plan.cnr / cnr.max(1e-6)).min(limit);
            if (cnr / plan.cnr - 1.0).abs() < CLOSE_ENOUGH || next == strength {
                break;
            }
            strength = next;
        }
        let bbox = mark(mask, stamp, frame[0], plan.defect.label_index() as u8);
        TrueDefect { label, cnr, bbox }
    }
}

/// Writes a stamp's mask and returns its box: left, top, width, height.
fn mark(mask: &mut [u8], stamp: &Stamp, width: usize, label: u8) -> [f32; 4] {
    let (mut left, mut top, mut right, mut bottom) = (usize::MAX, usize::MAX, 0, 0);
    for (at, _) in stamp.cover.iter().enumerate().filter(|(_, cover)| **cover >= IN_MASK) {
        let (x, y) = (at % stamp.width + stamp.left, at / stamp.width + stamp.top);
        mask[y * width + x] = label;
        (left, top) = (left.min(x), top.min(y));
        (right, bottom) = (right.max(x + 1), bottom.max(y + 1));
    }
    [left as f32, top as f32, (right - left) as f32, (bottom - top) as f32]
}

/// Where a defect may lie; none if the place that chance offered is not good. The `last` choice always is.
fn choose_centre(
    scene: &Scene,
    defect: Defect,
    extent: f32,
    frame: [usize; 2],
    last: bool,
    dice: &mut Dice,
) -> Option<[f32; 2]> {
    let middle = frame.map(|side| side as f32 / 2.0);
    match &scene.edge {
        Some(edge) if defect == Defect::EdgeChip && last => Some(foot(&edge.side, middle)),
        Some(edge) if defect == Defect::EdgeChip => on_outline(edge, extent, frame, dice),
        _ if last => Some(middle),
        edge => {
            let centre = inside(extent, frame, dice);
            let room = edge.as_ref().map_or(f32::MAX, |edge| edge.distance(centre[0], centre[1]));
            (room >= 0.4 * extent).then_some(centre)
        }
    }
}

/// A place for the whole defect within the frame.
fn inside(extent: f32, frame: [usize; 2], dice: &mut Dice) -> [f32; 2] {
    let reach = extent / 2.0 + 4.0;
    frame.map(|side| dice.range(reach.min(side as f32 / 2.0), (side as f32 - reach).max(side as f32 / 2.0)))
}

/// The point of a side that is nearest to `p`.
fn foot(side: &Side, p: [f32; 2]) -> [f32; 2] {
    let d = side.distance(p[0], p[1]);
    [p[0] - d * side.normal[0], p[1] - d * side.normal[1]]
}

/// A place on the part's outline, away from the frame's border; none if the outline is not in the frame.
fn on_outline(edge: &Edge, extent: f32, frame: [usize; 2], dice: &mut Dice) -> Option<[f32; 2]> {
    let reach = extent / 2.0 + 4.0;
    for _ in 0..PLACES {
        let along_other = edge.other.is_some() && dice.chance(0.4);
        let side = if along_other { edge.other.unwrap_or(edge.side) } else { edge.side };
        let place = foot(&side, inside(extent, frame, dice));
        let within = |c: usize| place[c] > reach.min(20.0) && place[c] < frame[c] as f32 - reach.min(20.0);
        if within(0) && within(1) && edge.distance(place[0], place[1]).abs() < 0.3 * extent {
            return Some(place);
        }
    }
    None
}

/// Whether a stamp keeps clear of another defect and of the ring around it.
fn apart([left, top, width, height]: [f32; 4], stamp: &Stamp) -> bool {
    const GAP: f32 = 14.0;
    let (x, y) = (stamp.left as f32, stamp.top as f32);
    x > left + width + GAP
        || left > x + stamp.width as f32 + GAP
        || y > top + height + GAP
        || top > y + stamp.height as f32 + GAP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_first_frame_no_buffer_grows() {
        let mix = Mix { surfaces: vec![Surface::Cast], bad_frame_rate: 0.2, defect_rate: 0.9, ..Mix::default() };
        let mut renderer = Renderer::new(Stream::Line, 4, 1, mix);
        let mut out = Vec::new();
        let capacities = |renderer: &Renderer, out: &Vec<u8>| {
            let s = &renderer.scratch;
            let floats = [&s.luma, &s.spare, &s.nodes, &s.light, &s.texture, &s.ripple].map(Vec::capacity);
            let stamp = [s.stamp.delta.capacity(), s.stamp.cover.capacity(), s.mask.capacity(), out.capacity()];
            (floats, stamp, s.gauge.capacities())
        };
        renderer.render(0, Ask::Good, [512; 2], &mut out);
        let first = capacities(&renderer, &out);
        for index in 0..400 {
            renderer.render(index, Ask::AsItComes, [512; 2], &mut out);
        }
        for (index, defect) in (0..).zip(Defect::ALL.repeat(30)) {
            renderer.render(index, Ask::With(defect), [512; 2], &mut out);
        }
        assert_eq!(first, capacities(&renderer, &out));
    }
}
