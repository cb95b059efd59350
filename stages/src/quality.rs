//! The `quality` stage.
