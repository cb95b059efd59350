//! The store, through its public face: what it promises when all goes well, and when it does not.

mod alike;
mod basic;
mod crash;
mod damage;
mod faults;
mod filters;
mod index;
mod kill;
mod oldest;
mod pictures;
mod support;
mod timings;
