//! The store, through its public face: what it promises when all goes well, and when it does not.

mod basic;
mod support;
