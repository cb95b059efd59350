"""Opens a model bundle of inspectd: the graph, what a picture must become before it, and what its scores mean.

A bundle is a zip file whose manifest carries the SHA-256 of every other file (`models/src/bundle/`). Only what the peers need is read and
only what concerns them is checked; `inspectd` itself checks more.
"""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FORMAT = 1
MANIFEST, GRAPH = "manifest.json", "graph.onnx"
MAX_BYTES = 256 << 20
DISPOSITIONS = {"pass": "Pass", "review": "Review", "fail": "Fail"}


class Refused(Exception):
    """What is wrong, and the way out: for people."""


@dataclass(frozen=True)
class Bundle:
    """A model, and how it is used."""

    graph: bytes
    input: str
    scores: str
    heat: str
    width: int
    height: int
    mean: np.ndarray
    """Subtracted from red, green and blue after they are scaled to 0..1."""
    std: np.ndarray
    """Divides them then."""
    labels: list[str]
    thresholds: np.ndarray
    verdicts: list[str]
    """What each label means for the part: `Pass`, `Review` or `Fail`."""

    @staticmethod
    def open(path: Path) -> "Bundle":
        """Reads a bundle. Raises `Refused` where it is none, is damaged, or decides by more than its scores."""
        try:
            if path.stat().st_size > MAX_BYTES:
                raise Refused(f"`{path}` is larger than any bundle ({MAX_BYTES >> 20} MiB)")
            files = read_zip(path.read_bytes())
        except OSError as error:
            raise Refused(f"`{path}` cannot be read: {error.strerror}")
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise Refused(f"`{path}` is no bundle of inspectd, or a damaged one ({error}): name a `*.bundle` that inspectd wrote")
        try:
            manifest = json.loads(files[MANIFEST])
            check_digests(path, files, manifest)
            refuse_deciding_heads(path, manifest.get("heads", {}))
            return from_manifest(manifest, files[GRAPH])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Refused(f"`{path}` is no bundle of inspectd: its manifest lacks or garbles something ({error})")

    def verdict(self, scores: np.ndarray) -> tuple[str, str]:
        """What the scores mean for the part, and the label that this rests on (`models/src/ruling.rs`)."""
        ranked = sorted(range(len(self.labels)), key=lambda k: -scores[k])
        reached = [k for k in ranked if scores[k] >= self.thresholds[k]]
        for verdict in ("Fail", "Review"):
            for k in reached:
                if self.verdicts[k] == verdict:
                    return verdict, self.labels[k]
        passing = [k for k in ranked if self.verdicts[k] == "Pass"]
        if passing and passing[0] in reached:
            return "Pass", self.labels[passing[0]]
        others = [k for k in ranked if self.verdicts[k] != "Pass"]
        return "Review", self.labels[(others or passing)[0]]


def read_zip(content: bytes) -> dict[str, bytes]:
    """The files of an archive, by name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        stored = [entry for entry in archive.infolist() if entry.compress_type == zipfile.ZIP_STORED]
        if len(stored) != len(archive.infolist()):
            raise zipfile.BadZipFile("a file in it is compressed, so another program packed it")
        files = {entry.filename: archive.read(entry) for entry in stored}
    for name in (MANIFEST, GRAPH):
        if name not in files:
            raise zipfile.BadZipFile(f"it has no `{name}`")
    return files


def check_digests(path: Path, files: dict[str, bytes], manifest: dict) -> None:
    """Refuses a bundle of another format, or one with a file that is not what the manifest says."""
    if manifest["format"] != FORMAT:
        raise Refused(f"`{path}` has format {manifest['format']}, known is {FORMAT}: take the peers of the inspectd that wrote it")
    expected = {GRAPH: manifest["graph_sha256"], **manifest["files_sha256"]}
    for name in sorted(expected.keys() | files.keys() - {MANIFEST}):
        if name not in files or hashlib.sha256(files[name]).hexdigest() != expected.get(name):
            raise Refused(f"`{path}` is damaged: `{name}` is not the file that its manifest names; take a sound copy")


def refuse_deciding_heads(path: Path, heads: dict) -> None:
    """The peers decide by scores and thresholds; where a head beside the classifier has a say, they would do another thing."""
    prototypes = heads.get("prototypes") or {}
    registered = any(kind.get("registered", True) for kind in prototypes.get("kinds", []))
    if heads.get("rules") or registered or prototypes.get("unknown", "keep") != "keep":
        raise Refused(f"`{path}` decides by more than its scores (good-only memory, registered kinds): take one that does not")


def from_manifest(manifest: dict, graph: bytes) -> Bundle:
    """What the manifest says, in the peers' words."""
    preprocess, labels = manifest["preprocess"], manifest["labels"]
    return Bundle(
        graph=graph,
        input=manifest["input"],
        scores=manifest["scores"],
        heat=manifest["heat"],
        width=int(preprocess["width"]),
        height=int(preprocess["height"]),
        mean=np.array(preprocess["mean"], np.float32).reshape(3),
        std=np.array(preprocess["std"], np.float32).reshape(3),
        labels=[label["name"] for label in labels],
        thresholds=np.array([label["threshold"] for label in labels], np.float32),
        verdicts=[DISPOSITIONS[label["verdict"]] for label in labels],
    )
