//! The folder in which TensorRT keeps what it built for one graph on one machine.
//!
//! An engine is only valid for the GPU, the driver and the TensorRT version it was built with, so all of them and the
//! graph's digest name its folder: after an update a new engine is built, and the old one is never loaded by mistake.
//!
//! Never run on a GPU by this project's tests: they read made-up `/proc` files.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What an engine depends on, as text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Models of the GPUs, in the driver's order.
    pub(super) gpu: String,
    /// The kernel driver's version line.
    pub(super) driver: String,
    /// Name and size of the mapped `libnvinfer`.
    pub(super) tensorrt: String,
    /// SHA-256 of the graph, hexadecimal.
    pub(super) graph: String,
}

impl Key {
    /// Reads the machine's part from `proc` (`/proc`). TensorRT's library must be loaded already: its version is only in
    /// the name of the file that is mapped.
    pub(super) fn read(proc: &Path, graph_sha256: &str) -> Key {
        Key {
            gpu: gpus(proc).unwrap_or_else(unknown),
            driver: driver(proc).unwrap_or_else(unknown),
            tensorrt: tensorrt(proc).unwrap_or_else(unknown),
            graph: graph_sha256.to_owned(),
        }
    }

    /// The folder below `cache`: `tensorrt/<graph>-<machine>`.
    pub(super) fn folder(&self, cache: &Path) -> PathBuf {
        let machine = Sha256::digest(format!("{}\n{}\n{}", self.gpu, self.driver, self.tensorrt));
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let graph = self.graph.get(..16).unwrap_or(&self.graph);
        cache.join("tensorrt").join(format!("{graph}-{}", hex(&machine[..8])))
    }

    /// Makes the folder and leaves a note in it that says what it belongs to.
    pub(super) fn create(&self, cache: &Path) -> std::io::Result<PathBuf> {
        let folder = self.folder(cache);
        std::fs::create_dir_all(&folder)?;
        let note = format!(
            "gpu: {}\ndriver: {}\ntensorrt: {}\ngraph sha256: {}\n",
            self.gpu, self.driver, self.tensorrt, self.graph
        );
        std::fs::write(folder.join("belongs-to.txt"), note)?;
        Ok(folder)
    }
}

fn unknown() -> String {
    "unknown".to_owned()
}

fn gpus(proc: &Path) -> Option<String> {
    let mut folders: Vec<_> = std::fs::read_dir(proc.join("driver/nvidia/gpus")).ok()?.flatten().collect();
    folders.sort_by_key(std::fs::DirEntry::file_name);
    let model = |folder: &std::fs::DirEntry| {
        let text = std::fs::read_to_string(folder.path().join("information")).ok()?;
        text.lines().find_map(|line| Some(line.strip_prefix("Model:")?.trim().to_owned()))
    };
    let models: Vec<String> = folders.iter().filter_map(model).collect();
    (!models.is_empty()).then(|| models.join(", "))
}

fn driver(proc: &Path) -> Option<String> {
    let text = std::fs::read_to_string(proc.join("driver/nvidia/version")).ok()?;
    Some(text.lines().next()?.trim().to_owned())
}

/// The mapped file's name carries the full version where it comes from NVIDIA's packages; its size tells apart those that
/// carry the major version only.
fn tensorrt(proc: &Path) -> Option<String> {
    let maps = std::fs::read_to_string(proc.join("self/maps")).ok()?;
    let path = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..])).find(|path| {
        Path::new(path).file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("libnvinfer.so"))
    })?;
    let name = Path::new(path).file_name()?.to_str()?;
    let bytes = std::fs::metadata(path).map_or(0, |data| data.len());
    Some(format!("{name} ({bytes} bytes)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up `/proc` with one GPU and a mapped TensorRT.
    fn proc(gpu: &str, driver: &str, nvinfer: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: String| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("driver/nvidia/gpus/0000:01:00.0/information", format!("Model: \t\t {gpu}\nIRQ:   \t\t 94\n"));
        write("driver/nvidia/version", format!("NVRM version: {driver}\nGCC version: 12\n"));
        let library = "7f00-7f01 r-xp 00000000 08:01 42                         ";
        write(
            "self/maps",
            format!(
                "7eff-7f00 rw-p 00000000 00:00 0 [heap]\n{library}/usr/lib/libc.so.6\n{library}/usr/lib/{nvinfer}\n"
            ),
        );
        root
    }

    #[test]
    fn everything_an_engine_depends_on_changes_its_folder() {
        let folder = |gpu, driver, nvinfer, graph: &str| {
            Key::read(proc(gpu, driver, nvinfer).path(), graph).folder(Path::new("/state"))
        };
        let (first, second) = ("a".repeat(64), "b".repeat(64));
        let base = folder("NVIDIA L4", "580.1", "libnvinfer.so.10.3.0", &first);
        assert!(base.starts_with("/state/tensorrt"));
        assert_eq!(base, folder("NVIDIA L4", "580.1", "libnvinfer.so.10.3.0", &first));
        for other in [
            folder("NVIDIA A2", "580.1", "libnvinfer.so.10.3.0", &first),
            folder("NVIDIA L4", "580.2", "libnvinfer.so.10.3.0", &first),
            folder("NVIDIA L4", "580.1", "libnvinfer.so.10.4.0", &first),
            folder("NVIDIA L4", "580.1", "libnvinfer.so.10.3.0", &second),
        ] {
            assert_ne!(other, base);
        }
    }

    #[test]
    fn the_note_names_the_machine() {
        let (proc, state) = (proc("NVIDIA L4", "580.1", "libnvinfer.so.10.3.0"), tempfile::tempdir().unwrap());
        let folder = Key::read(proc.path(), &"c".repeat(64)).create(state.path()).unwrap();
        let note = std::fs::read_to_string(folder.join("belongs-to.txt")).unwrap();
        for part in ["gpu: NVIDIA L4", "NVRM version: 580.1", "libnvinfer.so.10.3.0", "cccc"] {
            assert!(note.contains(part), "{part} is missing in {note}");
        }
    }

    #[test]
    fn a_machine_without_a_gpu_is_unknown_and_not_an_error() {
        let empty = tempfile::tempdir().unwrap();
        let key = Key::read(empty.path(), "abc");
        assert_eq!((key.gpu.as_str(), key.driver.as_str(), key.tensorrt.as_str()), ("unknown", "unknown", "unknown"));
    }
}
