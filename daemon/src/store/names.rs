//! Names as small numbers: labels, recipes, models, cameras, regions and lots come again and again in records. Numbers of a kind begin at 1
//! and are never given twice; 0 is no name.

use std::collections::HashMap;
use std::sync::Arc;

/// What is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Label,
    Recipe,
    Model,
    Camera,
    Region,
    Lot,
}

/// How many kinds there are.
pub(crate) const KINDS: usize = 6;

/// All names that the index knows.
#[derive(Debug, Default)]
pub(crate) struct Names {
    kinds: [Numbered; KINDS],
    /// Not yet in the tree.
    unsaved: Vec<([u8; 5], Arc<str>)>,
}

#[derive(Debug, Default)]
struct Numbered {
    codes: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// The number of a name, which may be new; 0 for the empty one.
    pub(crate) fn code(&mut self, kind: Kind, name: &Arc<str>) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let numbered = &mut self.kinds[kind as usize];
        if let Some(code) = numbered.codes.get(name) {
            return *code;
        }
        let code = numbered.add(name.clone());
        self.unsaved.push((key(kind, code), name.clone()));
        code
    }

    /// The name of a number; none for 0.
    pub(crate) fn name(&self, kind: Kind, code: u32) -> Option<&Arc<str>> {
        self.kinds[kind as usize].names.get(code.checked_sub(1)? as usize)
    }

    /// The number of a name that is known.
    pub(crate) fn find(&self, kind: Kind, name: &str) -> Option<u32> {
        self.kinds[kind as usize].codes.get(name).copied()
    }

    /// Numbers of the names that a condition takes.
    pub(crate) fn matching(&self, kind: Kind, takes: impl Fn(&str) -> bool) -> Vec<u32> {
        let names = self.kinds[kind as usize].names.iter().enumerate();
        names.filter(|(_, name)| takes(name)).map(|(at, _)| at as u32 + 1).collect()
    }

    /// Every name of a kind, the oldest first.
    pub(crate) fn all(&self, kind: Kind) -> &[Arc<str>] {
        &self.kinds[kind as usize].names
    }

    /// What is to be written down; it counts as written from now on.
    pub(crate) fn take_unsaved(&mut self) -> Vec<([u8; 5], Arc<str>)> {
        std::mem::take(&mut self.unsaved)
    }

    /// Takes back what was written down, in the order of the keys. False: it is not as it was written.
    pub(crate) fn restore(&mut self, stored: &[u8], name: &[u8]) -> bool {
        let Ok(name) = std::str::from_utf8(name) else { return false };
        let numbered = stored.first().and_then(|kind| self.kinds.get_mut(usize::from(*kind)));
        let Some(numbered) = numbered else { return false };
        let code = numbered.add(name.into());
        stored[1..] == code.to_be_bytes()
    }
}

impl Numbered {
    fn add(&mut self, name: Arc<str>) -> u32 {
        self.names.push(name.clone());
        let code = self.names.len() as u32;
        self.codes.insert(name, code);
        code
    }
}

fn key(kind: Kind, code: u32) -> [u8; 5] {
    let mut key = [kind as u8; 5];
    key[1..].copy_from_slice(&code.to_be_bytes());
    key
}
