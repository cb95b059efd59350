//! A GigE Vision camera that this process plays on the loopback: Aravis' own, with pictures that can be frozen.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use aravis::GvFakeCamera;

use super::ffi;

/// How many pictures were drawn; the next one is moved by so many pixels.
static DRAWN: AtomicU32 = AtomicU32::new(0);
static FROZEN: AtomicBool = AtomicBool::new(false);

/// A camera that answers until this is dropped. One a process.
pub struct Played {
    _camera: GvFakeCamera,
}

impl Played {
    /// Answers on 127.0.0.1. `lost`: share of packets that are lost on the way, 0 to 1.
    ///
    /// # Errors
    /// In words: somebody has its port.
    pub fn start(serial: &str, lost: f64) -> Result<Played, String> {
        let camera = GvFakeCamera::new(Some("127.0.0.1"), Some(serial));
        if !camera.is_running() {
            return Err("UDP port 3956 of 127.0.0.1 cannot be had: does another camera run here?".to_owned());
        }
        // Aravis counts them per thousand.
        camera.set_gvsp_lost_ratio(lost * 1000.0);
        if let Some(inner) = camera.fake_camera() {
            ffi::draw_by(&inner, draw);
        }
        Ok(Played { _camera: camera })
    }

    /// From now on every picture is bit for bit the one before, or no more.
    pub fn freeze(frozen: bool) {
        FROZEN.store(frozen, Ordering::Relaxed);
    }
}

/// Slanted stripes that move with each picture.
fn draw(bytes: &mut [u8], row: usize) {
    let moved = match FROZEN.load(Ordering::Relaxed) {
        true => DRAWN.load(Ordering::Relaxed),
        false => DRAWN.fetch_add(1, Ordering::Relaxed).wrapping_add(1),
    } as usize;
    for (y, row) in bytes.chunks_mut(row.max(1)).enumerate() {
        for (x, byte) in row.iter_mut().enumerate() {
            *byte = ((x + y + moved) % 255) as u8;
        }
    }
}
