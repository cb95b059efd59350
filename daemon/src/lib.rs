//! The inspection daemon of a factory-line PC. The program `inspectd` is a thin shell around this library.

pub mod access;
pub mod alerts;
pub mod api;
pub mod audit;
mod background;
pub mod cli;
pub mod config;
pub mod drawn;
pub mod exports;
pub mod health;
mod inspector;
pub mod io;
pub mod learning;
mod linelog;
pub mod logs;
pub mod outbox;
pub mod quality;
pub mod replay;
pub mod serials;
pub mod store;
pub mod supervise;
pub mod words;
pub mod worker;
