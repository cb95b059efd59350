"""Makes the pictures that the peers are measured on: parts of inspectd's synthetic line, at the size of a real camera.

`inspectd run --once` draws and keeps the parts (every second one defective, on average); each is scaled to the size asked for and
gets the fine grain of a sensor, which the resize to the model's input averages away again, but which a JPEG decoder has to work
through: at 2448 x 2048 and quality 90 (4:2:0) a file has some 500 kB. The same seed gives the same pictures.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

from bundle import Refused

REPOSITORY = Path(__file__).resolve().parents[2]
JPEG = [
    *(cv2.IMWRITE_JPEG_QUALITY, 90),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420),
]

# Every picture is kept, without loss. The limits are those of a machine that has other work: nobody waits for these parts.
CONFIGURATION = """format = 1
[line]
name = "pictures"
recipe = "recipe.toml"
[line.limits]
workers = 1
pinned_frames = 64
hang_ms = 60000
[source]
kind = "synthetic"
seed = {seed}
parts = {count}
rate = 20.0
defect_rate = 0.5
bad_frame_rate = 0.0
[store]
dir = "state"
[store.evidence]
raw = "png"
queue = 64
[api]
listen = "127.0.0.1:0"
"""
RECIPE = """name = "pictures"
version = 1
deadline_ms = 60000
[evidence]
pass_fraction = 1.0
"""


def draw(program: Path, folder: Path, count: int, seed: int) -> list[Path]:
    """Lets the synthetic line make `count` parts; their pictures in the order of the parts."""
    (folder / "line.toml").write_text(CONFIGURATION.format(seed=seed, count=count))
    (folder / "recipe.toml").write_text(RECIPE)
    command = [program, "--log-level", "error", "run", "--once", "--config", folder / "line.toml"]
    try:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError as error:
        raise Refused(f"`{program}` cannot be run ({error.strerror}); build it (`make build`) or name it with --program")
    if run.returncode != 0:
        raise Refused(f"`{program} run` ended with {run.returncode}: {run.stderr.strip()}")
    drawn = sorted((folder / "state" / "evidence").rglob("*.png"), key=lambda path: int(path.stem))
    if len(drawn) != count:
        raise Refused(f"the line kept {len(drawn)} of {count} pictures; is the machine too busy or the disk full? Run it again")
    return drawn


def as_photographed(picture: np.ndarray, size: tuple[int, int], grain: float, seed: int) -> np.ndarray:
    """The picture at `size` (width, height), with noise of a standard deviation of `grain` steps of 255."""
    large = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
    random = np.random.default_rng(seed)
    noise = random.standard_normal(large.shape, dtype=np.float32) * np.float32(grain)
    return np.clip(np.rint(large + noise), 0, 255).astype(np.uint8)


def write(picture: np.ndarray, path: Path) -> int:
    """Writes a picture (blue, green, red) as its name says, a `.npy` as red, green, blue; its bytes."""
    if path.suffix == ".npy":
        np.save(path, np.ascontiguousarray(picture[..., ::-1]))
    elif not cv2.imwrite(str(path), picture, JPEG):
        raise Refused(f"`{path}` cannot be written")
    return path.stat().st_size


def size(text: str) -> tuple[int, int]:
    """`2448x2048` as width and height."""
    sides = text.split("x")
    if len(sides) != 2 or not all(side.isdigit() and 64 <= int(side) <= 8192 for side in sides):
        raise argparse.ArgumentTypeError(f"`{text}` is no size; give WIDTHxHEIGHT, each 64 to 8192")
    return int(sides[0]), int(sides[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder, made where there is none")
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--size", type=size, default=(2448, 2048), metavar="WxH")
    parser.add_argument("--as", choices=["jpeg", "npy"], default="jpeg", dest="form")
    parser.add_argument("--seed", type=int, default=4711)
    parser.add_argument("--grain", type=float, default=1.5, metavar="STEPS")
    parser.add_argument("--program", type=Path, default=REPOSITORY / "target" / "debug" / "inspectd", metavar="FILE")
    args = parser.parse_args()
    if args.count < 1:
        raise Refused(f"--count {args.count}: give at least one")
    args.out.mkdir(parents=True, exist_ok=True)
    ending = "jpg" if args.form == "jpeg" else "npy"
    total = 0
    with tempfile.TemporaryDirectory(prefix="inspectd-pictures-") as folder:
        for index, drawn in enumerate(draw(args.program.resolve(), Path(folder), args.count, args.seed)):
            picture = as_photographed(cv2.imread(str(drawn)), args.size, args.grain, args.seed + index)
            total += write(picture, args.out / f"part-{index:05}.{ending}")
    print(json.dumps({"pictures": args.count, "size": list(args.size), "mean_bytes": round(total / args.count)}))


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(f"error: {refused}")
