//! Where ONNX Runtime's shared library may lie.

use std::path::{Path, PathBuf};

/// The variable that names the library file; ONNX Runtime's bindings know it by this name, too.
pub(super) const VARIABLE: &str = "ORT_DYLIB_PATH";

/// Folder of the Debian package.
const PACKAGE_DIR: &str = "/usr/lib/inspectd";

/// Folder that set-up fills, below the project's root.
const SETUP_DIR: &str = ".setup/onnxruntime";

/// Finds the library. A file that somebody *named* (argument or variable) is taken as it is and nothing else: another
/// library in its place would be a surprise. Otherwise the known folders are searched.
///
/// # Errors
/// Every place looked at, in order.
pub(super) fn find(named: Option<&Path>, variable: Option<&Path>, program: &Path) -> Result<PathBuf, Vec<PathBuf>> {
    if let Some(path) = named.or(variable) {
        return if path.is_file() { Ok(path.to_owned()) } else { Err(vec![path.to_owned()]) };
    }
    let folder = program.parent().unwrap_or(program);
    let mut looked = vec![folder.join("lib"), PathBuf::from(PACKAGE_DIR)];
    for above in folder.ancestors() {
        looked.push(above.join(SETUP_DIR).join("lib"));
    }
    match looked.iter().find_map(|folder| library_in(folder)) {
        Some(path) => Ok(path),
        None => Err(looked),
    }
}

/// The newest `libonnxruntime.so*` of a folder; the provider libraries beside it have other names.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?;
    let is_library = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libonnxruntime.so") && path.is_file()
    };
    files.flatten().map(|entry| entry.path()).filter(is_library).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) -> PathBuf {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"").unwrap();
        path.to_owned()
    }

    #[test]
    fn a_named_file_is_taken_or_refused_but_never_replaced() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("bin/inspectd");
        touch(&root.path().join("bin/lib/libonnxruntime.so.1.31.1"));
        let named = touch(&root.path().join("mine/libonnxruntime.so"));
        let missing = root.path().join("typo.so");
        assert_eq!(find(Some(&named), Some(&missing), &program), Ok(named.clone()));
        assert_eq!(find(None, Some(&named), &program), Ok(named));
        assert_eq!(find(Some(&missing), None, &program), Err(vec![missing.clone()]));
        assert_eq!(find(None, Some(&missing), &program), Err(vec![missing]));
    }

    #[test]
    fn folders_are_searched_from_the_program_up() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("target/debug/deps/inspectd-123");
        let looked = find(None, None, &program).unwrap_err();
        assert_eq!(looked[0], root.path().join("target/debug/deps/lib"));
        assert_eq!(looked[1], Path::new("/usr/lib/inspectd"));
        assert!(looked.contains(&root.path().join(".setup/onnxruntime/lib")), "{looked:?}");

        let lib = root.path().join(".setup/onnxruntime/lib");
        touch(&lib.join("libonnxruntime_providers_shared.so"));
        assert!(find(None, None, &program).is_err(), "a provider library is not the library");
        let set_up = touch(&lib.join("libonnxruntime.so.1.31.1"));
        assert_eq!(find(None, None, &program), Ok(set_up));
        let beside = touch(&root.path().join("target/debug/deps/lib/libonnxruntime.so"));
        assert_eq!(find(None, None, &program), Ok(beside));
    }
}
