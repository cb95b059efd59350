//! The families of the zoo: what they count, and what their pixels become.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests, where a panic is the failure")]

mod books;
mod checkpoints;
mod frozen;
mod keras;
mod parity;
mod published;
mod recipes;
mod timm;
