//! Ctrl-C and SIGTERM, passed on to the worker.

use std::thread::JoinHandle;

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals as Caught};

use crate::worker::Stopper;

/// While it lives, the first signal asks the worker to end in order and a second one ends it on the spot.
pub(in crate::cli) struct Signals {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Signals {
    pub(in crate::cli) fn pass_on(stopper: Stopper) -> anyhow::Result<Signals> {
        let mut caught = Caught::new([SIGINT, SIGTERM]).context("signals")?;
        let handle = caught.handle();
        let listen = move || {
            for (count, _) in caught.forever().enumerate() {
                match count {
                    0 => {
                        tracing::info!("stopping after this step; once more ends it at once");
                        stopper.ask();
                    }
                    _ => stopper.kill(),
                }
            }
        };
        let thread = std::thread::Builder::new().name("signals".into()).spawn(listen).context("signals")?;
        Ok(Signals { handle, thread: Some(thread) })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        // It ends with its handle, and holds nothing that could be lost.
        drop(self.thread.take().map(JoinHandle::join));
    }
}
