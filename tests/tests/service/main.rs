//! The service on a line PC: its units as systemd reads and scores them, and a life under a real manager.

#![allow(clippy::print_stderr)] // a test says on the terminal that it was skipped

mod life;
mod manager;
mod units;
