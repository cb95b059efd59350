//! A closed outline that wobbles: the sum of a few harmonics of a circle.

use std::f32::consts::TAU;

use crate::capture::synthetic::random::Dice;

const ANGLES: usize = 96;

/// An outline around a centre, as radii by angle.
pub(super) struct Blob {
    radii: [f32; ANGLES],
    largest: f32,
}

impl Blob {
    /// `harmonics`: lowest and highest number of lobes; `roughness`: how far they reach, as a share of the radius. High
    /// harmonics reach less far (as 1 / n), as in natural outlines: equal shares would make stars.
    pub(super) fn draw(dice: &mut Dice, radius: f32, harmonics: [usize; 2], roughness: f32) -> Self {
        let mut radii = [1.0; ANGLES];
        for harmonic in harmonics[0]..=harmonics[1] {
            let (strength, phase) = (roughness * dice.normal() * harmonics[0] as f32 / harmonic as f32, dice.angle());
            for (k, r) in radii.iter_mut().enumerate() {
                *r += strength * (harmonic as f32 * k as f32 * TAU / ANGLES as f32 + phase).cos();
            }
        }
        let radii = radii.map(|r| radius * r.clamp(0.5, 1.3));
        Blob { radii, largest: radii.iter().fold(0.0, |top: f32, &r| top.max(r)) }
    }

    /// Distance from the centre as a share of the outline's radius in that direction: 1 on the outline.
    pub(super) fn share(&self, dx: f32, dy: f32) -> f32 {
        let distance = dx.hypot(dy);
        if distance > 2.0 * self.largest {
            return 2.0;
        }
        let turn = (dy.atan2(dx) / TAU).rem_euclid(1.0) * ANGLES as f32;
        let (k, part) = (turn as usize % ANGLES, turn.fract());
        let radius = self.radii[k] + part * (self.radii[(k + 1) % ANGLES] - self.radii[k]);
        distance / radius
    }

    /// The largest radius.
    pub(super) fn reach(&self) -> f32 {
        self.largest
    }
}
