"""From a picture to scores, as a careful Python programmer would write it: what all the peers share.

Buffers are made once and reused, every library works on the calling thread only, and nothing is converted twice: pictures are
decoded to red, green, blue at once, and normalising writes into the very tensor that ONNX Runtime reads.
"""

import ctypes
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from bundle import Bundle, Refused

cv2.setNumThreads(1)

Picture = np.ndarray
"""Height x width x 3 bytes: red, green, blue."""

EIGHTHS = range(1, 9)
"""libjpeg-turbo decodes to n/8 of a picture's sides."""


def keep_freed_memory() -> None:
    """Lets glibc reuse the memory of a decoded picture instead of giving it back and faulting it in anew each time."""
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of <malloc.h>
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(trim_threshold, 1 << 30)
        libc.mallopt(mmap_threshold, 1 << 30)


def decode_opencv(jpeg: np.ndarray) -> Picture:
    """The whole picture, by OpenCV."""
    picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None:
        raise Refused("OpenCV cannot decode a picture; are these JPEG files whole?")
    return picture


def smallest_scale(width: int, height: int, bundle: Bundle) -> tuple[int, int]:
    """The smallest n/8 at which no side falls below the model's input; 8/8 where the picture is that small already."""
    fits = (n for n in EIGHTHS if -(-width * n // 8) >= bundle.width and -(-height * n // 8) >= bundle.height)
    return next(fits, 8), 8


def turbojpeg_decoder(bundle: Bundle, scaled: bool = True) -> Callable[[np.ndarray], Picture]:
    """libjpeg-turbo by its own interface, for one thread: to the smallest scale that the model's input allows, or whole."""
    try:
        import turbojpeg

        turbo = turbojpeg.TurboJPEG()
    except (ImportError, RuntimeError, OSError) as error:
        raise Refused(f"turbojpeg cannot be used ({error}); install PyTurboJPEG and libturbojpeg (Debian: libturbojpeg0)")
    buffer: Picture | None = None

    def decode(jpeg: np.ndarray) -> Picture:
        nonlocal buffer
        try:
            width, height, _, _ = turbo.decode_header(jpeg)
            scale = smallest_scale(width, height, bundle) if scaled else (8, 8)
            buffer = turbo.decode(jpeg, turbojpeg.TJPF_RGB, scaling_factor=reduced(scale), dst=buffer)
        except OSError as error:
            raise Refused(f"libjpeg-turbo cannot decode a picture ({error}); are these JPEG files whole?") from error
        return buffer

    return decode


def reduced(scale: tuple[int, int]) -> tuple[int, int] | None:
    """PyTurboJPEG knows its scales in lowest terms, and the whole as none."""
    n, d = scale
    divisor = int(np.gcd(n, d))
    return None if n == d else (n // divisor, d // divisor)


def decoder(name: str, bundle: Bundle) -> Callable[[np.ndarray], Picture]:
    """A decoder by its name on the command line, for one thread."""
    if name == "turbojpeg":
        return turbojpeg_decoder(bundle)
    return decode_opencv if name == "opencv" else lambda frame: frame


def load(folder: Path, raw: bool) -> tuple[list[str], list[np.ndarray]]:
    """Names and contents of the pictures of a folder: files' bytes, or raw frames (`*.npy`)."""
    paths = sorted(path for path in folder.glob("*") if path.suffix in ([".npy"] if raw else [".jpg", ".jpeg"]))
    if not paths:
        raise Refused(f"`{folder}` has no {'*.npy' if raw else '*.jpg'} (see pictures.py)")
    contents = [np.load(path) if raw else np.frombuffer(path.read_bytes(), np.uint8) for path in paths]
    for path, frame in zip(paths, contents):
        if raw and not (frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3):
            raise Refused(f"`{path}` is no frame: {frame.dtype} {frame.shape}, needed is uint8 height x width x 3")
    return [path.name for path in paths], contents


class Inspector:
    """A session and its buffers, for one thread."""

    def __init__(self, bundle: Bundle) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.bundle = bundle
        self.session = onnxruntime.InferenceSession(bundle.graph, options, providers=["CPUExecutionProvider"])
        self.tensor = np.empty((1, 3, bundle.height, bundle.width), np.float32)
        self.small = np.empty((bundle.height, bundle.width, 3), np.uint8)
        self.halves: dict[tuple[int, int], Picture] = {}
        self.scale = 1 / (255 * bundle.std)
        self.shift = -bundle.mean / bundle.std

    def prepare(self, picture: Picture) -> np.ndarray:
        """Anti-aliased resize and normalising, into the session's tensor."""
        planes = cv2.split(self.resize(picture))
        for channel, plane in enumerate(planes):
            scale, shift = float(self.scale[channel]), float(self.shift[channel])
            cv2.addWeighted(plane, scale, plane, 0, shift, dst=self.tensor[0, channel], dtype=cv2.CV_32F)
        return self.tensor

    def resize(self, picture: Picture) -> Picture:
        """Area averaging. Halving first, while it goes evenly, has fast code of its own: a third of the time of one step."""
        width, height = self.bundle.width, self.bundle.height
        while picture.shape[0] >= 2 * height and picture.shape[1] >= 2 * width and not any(n % 2 for n in picture.shape[:2]):
            half = (picture.shape[0] // 2, picture.shape[1] // 2)
            if half not in self.halves:
                self.halves[half] = np.empty((*half, 3), np.uint8)
            picture = cv2.resize(picture, half[::-1], dst=self.halves[half], interpolation=cv2.INTER_AREA)
        if picture.shape[:2] == (height, width):
            return picture
        return cv2.resize(picture, (width, height), dst=self.small, interpolation=cv2.INTER_AREA)

    def scores(self, picture: Picture) -> np.ndarray:
        """One probability per label. The heat map is asked for as well: a person who looks at the part would want it."""
        feed = {self.bundle.input: self.prepare(picture)}
        scores, _heat = self.session.run([self.bundle.scores, self.bundle.heat], feed)
        return scores[0]
