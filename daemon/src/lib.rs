//! The inspection daemon of a factory-line PC. The program `inspectd` is a thin shell around this library.

pub mod api;
pub mod cli;
pub mod config;
pub mod health;
pub mod logs;
pub mod store;
pub mod supervise;
pub mod words;
pub mod worker;
