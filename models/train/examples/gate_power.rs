//! How many parts the gate takes: the tables of docs/GATE.md.
//!
//!     cargo run -p models-train --example gate_power
//!
//! Computed, not drawn; about half a minute.

#![allow(clippy::print_stdout)] // a report for the person who runs it

use models_train::gate::paired::{NonInferiority, Order};
use models_train::gate::power::{needed, power};

const ALPHA: f64 = 0.05;
const MARGINS: [f64; 4] = [0.005, 0.01, 0.02, 0.05];
const DIFFERING: [f64; 5] = [0.0, 0.0025, 0.005, 0.01, 0.02];

fn main() {
    for wanted in [0.8, 0.95] {
        println!(
            "parts for an equal candidate to pass one test with probability {wanted}, by share of parts that differ"
        );
        println!("margin   {}", DIFFERING.map(|share| format!("{:>8} %", 100.0 * share)).join(""));
        for margin in MARGINS {
            let cells = DIFFERING.map(|share| match needed(margin, share, ALPHA, wanted) {
                Some(n) => format!("{n:10}"),
                None => "         -".to_owned(),
            });
            println!("{:>5} %  {}", 100.0 * margin, cells.join(""));
        }
    }
    println!("\nprobability to pass: equal by score, equal by difference, worse by the margin (score)");
    for (n, margin, differing) in [(600, 0.01, 0.005), (800, 0.01, 0.01), (1500, 0.01, 0.02), (300, 0.05, 0.05)] {
        let (score, difference) = (NonInferiority::new(n, margin), NonInferiority::by(Order::Difference, n, margin));
        let equal = [differing / 2.0; 2];
        let worse = [differing / 2.0 + margin, differing / 2.0];
        println!(
            "n {n:5}, margin {margin}, differing {differing}: {:.3} {:.3} {:.4}",
            power(&score, equal, ALPHA),
            power(&difference, equal, ALPHA),
            power(&score, worse, ALPHA)
        );
    }
}
