//! The real program, from outside: command line, signals, HTTP.

mod api;
mod command_line;
mod demo;
mod events;
mod inspect;
mod models;
mod run;
mod support;
mod unit;
