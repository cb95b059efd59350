//! A log of what happened with all of it in memory, so that it can be written anew after an error of the disk.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::linelog::{Log, LogError, Opened};
use crate::store::RealDisk;

/// Lines that are kept; beyond, the oldest half goes.
const MOST: usize = 50_000;

/// See the module.
pub(crate) struct Kept<E> {
    log: Log<E>,
    events: Vec<E>,
}

impl<E: Serialize + DeserializeOwned + Clone> Kept<E> {
    /// Opens or makes a file in a directory of its own.
    pub(crate) fn open(dir: &Path, name: &str) -> Result<Kept<E>, LogError> {
        let Opened { log, entries, damaged } = Log::open(dir, name, Arc::new(RealDisk))?;
        if damaged > 0 {
            tracing::error!("{}: {damaged} lines are damaged and left out", dir.join(name).display());
        }
        Ok(Kept { log, events: entries })
    }

    /// All of it, oldest first.
    pub(crate) fn events(&self) -> &[E] {
        &self.events
    }

    /// Writes down what happened, synced.
    pub(crate) fn append(&mut self, events: Vec<E>) -> Result<(), LogError> {
        let before = &self.events;
        self.log.append(&events, true, || before.clone())?;
        self.events.extend(events);
        if self.events.len() > MOST {
            self.events.drain(..MOST / 2);
        }
        Ok(())
    }
}
