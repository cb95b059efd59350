//! The real program, from outside: command line, signals, HTTP.

mod access;
mod alerts;
mod aligned;
mod api;
mod audit;
mod cameras;
mod command_line;
mod demo;
mod drift;
mod events;
mod hygiene;
mod identity;
mod inspect;
mod kept;
mod learning;
mod models;
mod plc;
mod regions;
mod replay;
mod replays;
mod run;
mod support;
mod training;
mod unit;
