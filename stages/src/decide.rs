//! The `decide` stage.
