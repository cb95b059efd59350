//! Where pixels come from.

use models::image::Image;

/// A projective map from a result's pixel to the source's: around the centre turned, zoomed and mirrored, tilted, then shifted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Map {
    pub(super) centre: [f32; 2],
    pub(super) rows: [[f32; 2]; 2],
    /// How much nearer the part comes per pixel from the centre.
    pub(super) tilt: [f32; 2],
    pub(super) shift: [f32; 2],
}

impl Map {
    pub(super) fn is_identity(&self) -> bool {
        self.rows == [[1.0, 0.0], [0.0, 1.0]] && self.tilt == [0.0; 2] && self.shift == [0.0; 2]
    }

    fn at(&self, x: usize, y: usize) -> [f32; 2] {
        let (dx, dy) = (x as f32 - self.centre[0], y as f32 - self.centre[1]);
        // The tilt of one edge is at most 0.8 / 2, so that nothing comes near to dividing by zero.
        let depth = match self.tilt {
            [0.0, 0.0] => 1.0,
            [tx, ty] => 1.0 / (1.0 + tx * dx + ty * dy),
        };
        [0, 1].map(|i| self.centre[i] + self.shift[i] + depth * (self.rows[i][0] * dx + self.rows[i][1] * dy))
    }

    pub(super) fn bilinear(&self, image: &Image) -> Vec<u8> {
        match image.format.channels() {
            1 => self.bilinear_of::<1>(image),
            _ => self.bilinear_of::<3>(image),
        }
    }

    fn bilinear_of<const CHANNELS: usize>(&self, image: &Image) -> Vec<u8> {
        let (width, height) = (image.width as usize, image.height as usize);
        let pixels = image.data.as_chunks::<CHANNELS>().0;
        let mut out = Vec::with_capacity(image.data.len());
        for y in 0..height {
            for x in 0..width {
                let [sx, sy] = self.at(x, y);
                let (fx, fy) = (sx - sx.floor(), sy - sy.floor());
                let (x0, y0) = (sx.floor() as isize, sy.floor() as isize);
                let (left, right) = (mirrored(x0, width), mirrored(x0 + 1, width));
                let (top, bottom) = (mirrored(y0, height) * width, mirrored(y0 + 1, height) * width);
                let corners = [pixels[top + left], pixels[top + right], pixels[bottom + left], pixels[bottom + right]];
                let shares = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
                let pixel: [u8; CHANNELS] = std::array::from_fn(|channel| {
                    let sum: f32 = (0..4).map(|i| f32::from(corners[i][channel]) * shares[i]).sum();
                    (sum + 0.5) as u8
                });
                out.extend_from_slice(&pixel);
            }
        }
        out
    }

    pub(super) fn nearest(&self, mask: &[u8], width: usize, height: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(mask.len());
        for y in 0..height {
            for x in 0..width {
                let [sx, sy] = self.at(x, y);
                let (x, y) = (mirrored(sx.round() as isize, width), mirrored(sy.round() as isize, height));
                out.push(mask[y * width + x]);
            }
        }
        out
    }
}

/// A position beyond the border, mirrored back inside.
pub(super) fn mirrored(at: isize, size: usize) -> usize {
    // Most positions are inside, and a remainder is the slowest thing here.
    if (0..size as isize).contains(&at) {
        return at as usize;
    }
    let last = size as isize - 1;
    if last == 0 {
        return 0;
    }
    let folded = at.rem_euclid(2 * last);
    folded.min(2 * last - folded) as usize
}
