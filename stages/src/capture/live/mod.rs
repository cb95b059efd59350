//! What every live source shares: a camera or a stream whose pictures come by themselves, and which may fall silent, hang, freeze, vanish
//! and come back.
//!
//! - `driver`: what is asked of the library behind it. A new kind of camera is an implementation of that, and [`Terms`].
//! - `link`: one connection, on threads that can be given up.
//! - `camera`: looks after links: stalls, frozen pictures, missing numbers, opening anew.
//! - `sequence`, `clock`: the camera's own count and clock.

mod camera;
mod clock;
pub mod driver;
mod link;
mod sequence;
mod terms;

pub use self::camera::Camera;
pub use self::terms::{Pull, Terms};
