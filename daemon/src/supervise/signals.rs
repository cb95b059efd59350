//! Signals of the operating system: the first SIGTERM or SIGINT ends the line in order, the second at once; SIGHUP reloads
//! the recipe.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context;
use crossbeam_channel::{Receiver, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Raw;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Finish what is in flight, then end.
    Stop,
    /// Read the recipe anew.
    Reload,
}

/// Where they arrive.
pub struct Signals(Receiver<Signal>);

impl Signals {
    /// Listens from now on, once per process.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn listen() -> anyhow::Result<Signals> {
        let words = "signals cannot be received";
        let armed = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // The order matters: the first signal finds it unarmed and arms it, the second ends the process.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, armed.clone()).context(words)?;
            signal_hook::flag::register(signal, armed.clone()).context(words)?;
        }
        let mut raw = Raw::new([SIGTERM, SIGINT, SIGHUP]).context(words)?;
        let (send, received) = bounded(4);
        let listen = move || {
            for signal in raw.forever() {
                let signal = if signal == SIGHUP { Signal::Reload } else { Signal::Stop };
                // Full: four are waiting already, one more would say nothing new.
                let _ = send.try_send(signal);
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(listen).context(words)?;
        Ok(Signals(received))
    }

    /// The next one, if it comes in time.
    pub fn wait(&self, timeout: Duration) -> Option<Signal> {
        match self.0.recv_timeout(timeout) {
            Ok(signal) => Some(signal),
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => None,
            Err(crossbeam_channel::RecvTimeoutError::Disconnected) => {
                std::thread::sleep(timeout);
                None
            }
        }
    }
}
