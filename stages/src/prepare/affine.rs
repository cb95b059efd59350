//! Maps of the plane: `x' = m0 x + m1 y + m2`, `y' = m3 x + m4 y + m5`.

use opencv::core::Mat;

/// An affine map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine(pub [f64; 6]);

impl Affine {
    /// Changes nothing.
    pub const IDENTITY: Affine = Affine([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);

    /// Turns by `angle` (radians, from x towards y: clockwise on a screen) and takes `from` to `to`.
    pub fn rigid(angle: f64, from: [f64; 2], to: [f64; 2]) -> Affine {
        let (sin, cos) = angle.sin_cos();
        let [x, y] = from;
        Affine([cos, -sin, to[0] - cos * x + sin * y, sin, cos, to[1] - sin * x - cos * y])
    }

    /// Where a point goes.
    pub fn apply(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let m = &self.0;
        [m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]]
    }

    /// First `first`, then this one.
    pub fn after(&self, first: &Affine) -> Affine {
        let (m, n) = (&self.0, &first.0);
        let [c, f] = self.apply([n[2], n[5]]);
        Affine([
            m[0] * n[0] + m[1] * n[3],
            m[0] * n[1] + m[1] * n[4],
            c,
            m[3] * n[0] + m[4] * n[3],
            m[3] * n[1] + m[4] * n[4],
            f,
        ])
    }

    /// The same map for coordinates that are larger by `by` on both sides: OpenCV counts from the centre of the first pixel, people
    /// and records from its corner, half a pixel away.
    pub fn moved_origin(&self, by: f64) -> Affine {
        let m = &self.0;
        Affine([m[0], m[1], m[2] + by * (1.0 - m[0] - m[1]), m[3], m[4], m[5] + by * (1.0 - m[3] - m[4])])
    }

    /// The angle that x is turned by, radians.
    pub fn angle(&self) -> f64 {
        self.0[3].atan2(self.0[0])
    }

    /// For OpenCV.
    pub(super) fn to_mat(self) -> opencv::Result<Mat> {
        let m = self.0;
        Mat::from_slice_2d(&[[m[0], m[1], m[2]], [m[3], m[4], m[5]]])
    }

    /// The map that takes `from` to `to` with the least squared error; `None` where the points lie on a line.
    pub(super) fn fit(pairs: &[([f64; 2], [f64; 2])]) -> Option<Affine> {
        type Pair = ([f64; 2], [f64; 2]);
        let n = pairs.len() as f64;
        let mean = |of: &dyn Fn(&Pair) -> f64| pairs.iter().map(of).sum::<f64>() / n;
        let (mx, my) = (mean(&|p| p.0[0]), mean(&|p| p.0[1]));
        let (ux, uy) = (mean(&|p| p.1[0]), mean(&|p| p.1[1]));
        let (xx, xy, yy) = (
            mean(&|p| (p.0[0] - mx).powi(2)),
            mean(&|p| (p.0[0] - mx) * (p.0[1] - my)),
            mean(&|p| (p.0[1] - my).powi(2)),
        );
        let det = xx * yy - xy * xy;
        if det.is_nan() || det <= 0.0 {
            return None;
        }
        let row = |axis: usize, centre: f64| {
            let vx = mean(&|p| (p.0[0] - mx) * (p.1[axis] - centre));
            let vy = mean(&|p| (p.0[1] - my) * (p.1[axis] - centre));
            let (a, b) = ((vx * yy - vy * xy) / det, (vy * xx - vx * xy) / det);
            [a, b, centre - a * mx - b * my]
        };
        let ([a, b, c], [d, e, f]) = (row(0, ux), row(1, uy));
        Some(Affine([a, b, c, d, e, f]))
    }
}

/// An angle between -pi and pi.
pub(super) fn wrapped(angle: f64) -> f64 {
    use std::f64::consts::{PI, TAU};
    (angle + PI).rem_euclid(TAU) - PI
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: [f64; 2], b: [f64; 2]) -> bool {
        (a[0] - b[0]).hypot(a[1] - b[1]) < 1e-9
    }

    #[test]
    fn maps_are_joined_moved_and_fitted() {
        let turn = Affine::rigid(0.7, [10.0, 20.0], [30.0, 5.0]);
        assert!(near(turn.apply([10.0, 20.0]), [30.0, 5.0]));
        assert!((turn.angle() - 0.7).abs() < 1e-12);
        let other = Affine([1.1, 0.2, 3.0, -0.1, 0.9, -4.0]);
        let point = [7.0, -2.0];
        assert!(near(turn.after(&other).apply(point), turn.apply(other.apply(point))));
        let [x, y] = other.apply([point[0] - 0.5, point[1] - 0.5]);
        assert!(near(other.moved_origin(0.5).apply(point), [x + 0.5, y + 0.5]));
        let points = [[0.0, 0.0], [5.0, 1.0], [2.0, 9.0], [7.0, 7.0]];
        let fitted = Affine::fit(&points.map(|p| (p, other.apply(p)))).expect("no line");
        assert!(points.iter().all(|&p| near(fitted.apply(p), other.apply(p))));
        assert!(Affine::fit(&[([0.0, 0.0], point), ([1.0, 1.0], point), ([2.0, 2.0], point)]).is_none());
    }
}
