//! A library that is not there, or is not one, is named in the error, and the process can try again. One test, because the
//! library is loaded once per process.

use std::path::Path;

use models::runtime::{RuntimeError, init, loaded_library};

#[test]
fn a_missing_or_broken_library_is_named_and_another_try_is_allowed() {
    let missing = Path::new("/no/such/place/libonnxruntime.so");
    let error = init(Some(missing)).unwrap_err();
    assert_eq!(error, RuntimeError::LibraryMissing { looked: vec![missing.to_owned()] });
    let text = error.to_string();
    for part in ["`/no/such/place/libonnxruntime.so`", "make setup", "ORT_DYLIB_PATH"] {
        assert!(text.contains(part), "{part} is missing in: {text}");
    }

    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("libonnxruntime.so");
    std::fs::write(&broken, "not a library").unwrap();
    let error = init(Some(&broken)).unwrap_err();
    assert!(matches!(&error, RuntimeError::LibraryBroken { path, .. } if *path == broken), "{error}");
    assert_eq!(loaded_library(), None);

    init(None).unwrap();
    let loaded = loaded_library().unwrap().to_owned();
    init(Some(missing)).unwrap();
    assert_eq!(loaded_library(), Some(loaded.as_path()), "a later call changes nothing");
}
