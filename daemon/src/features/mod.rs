//! What parts look like, as a map: parts that look alike to the model lie together. docs/LEARNING.md.
//!
//! - [`map`]: the map itself, over the sketches on record; in a worker process or for the command line.
//! - [`maps`]: the map that somebody asked for over HTTP: one is drawn at a time, the newest is kept.

pub(crate) mod map;
mod maps;

pub(crate) use maps::{Map, MapError, MapState, Maps};
