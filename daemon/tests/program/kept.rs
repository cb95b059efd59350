//! The register of models when files make room: on disk, through restarts, and back again.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use inspectd::learning::{MANIFEST, Model, Origin, Registry};
use inspectd::supervise::open_bundle;
use jiff::Timestamp;
use models::bundle::Manifest;

use crate::support::tiny_bundle;

fn model(digest: &str, parent: Option<&str>) -> Model {
    Model {
        digest: digest.into(),
        name: "tiny".into(),
        labels: vec!["good".into()],
        parent: parent.map(Arc::from),
        origin: Origin::FewShot { label: "burr".into(), shots: 1 },
        at: Timestamp::now(),
        by: "eve".into(),
        gate: None,
        removed_at: None,
    }
}

fn open(dir: &Path) -> Registry {
    Registry::open(dir).expect("a register")
}

#[test]
fn a_file_that_made_room_is_on_record_and_can_come_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut bundle = open_bundle(&tiny_bundle(dir.path())).expect("a bundle");
    let models = dir.path().join("models");
    let (first, second): (Arc<str>, Arc<str>) = ("a".repeat(64).into(), "b".repeat(64).into());
    let registry = open(&models);
    registry.add(&mut bundle, model(&first, None)).expect("kept");
    registry.add(&mut bundle, model(&second, Some(&first))).expect("kept");
    registry.remove_file(&first).expect("gone");
    registry.remove_file(&first).expect("gone is gone");
    assert!(registry.remove_file(&"c".repeat(64).into()).is_err(), "nobody knows it");
    assert!(!registry.path_of(&first).exists() && registry.path_of(&second).exists());
    let manifest = fs::read(registry.path_of(&first).with_extension(MANIFEST)).expect("what stays");
    assert_eq!(serde_json::from_slice::<Manifest>(&manifest).expect("a manifest"), bundle.manifest);
    drop(registry);

    let registry = open(&models);
    assert!(registry.find(&first).expect("on record").removed_at.is_some());
    assert!(registry.find(&second).expect("on record").removed_at.is_none());
    // The same kind from the same pictures, made of the model that was made of it: lines of descent still end.
    registry.add(&mut bundle, model(&first, Some(&second))).expect("kept");
    assert!(registry.path_of(&first).exists());
    assert_eq!(*registry.trunk_of(&second), *first);
    drop(registry);
    let registry = open(&models);
    assert!(registry.find(&first).expect("on record").removed_at.is_none());
    assert_eq!(registry.models().len(), 2);
    assert_eq!(*registry.trunk_of(&second), *first);
    assert_eq!(
        fs::read_dir(&models)
            .expect("a folder")
            .flatten()
            .filter(|it| it.path().extension().is_some_and(|it| it == "bundle"))
            .count(),
        2
    );
}
