"""A plain Python loop that inspects parts: the peer of inspectd's pipeline.

Workers take pictures from memory, decode, resize, run the model (one thread each), decide by the bundle's thresholds, commit each
part to SQLite (WAL, synchronous=FULL) and keep the pictures of what did not pass as JPEG files. It has no queue, deadline, camera, page or alarm.
Prints one JSON line; README.md says what its figures mean.
"""

import argparse
import csv
import json
import math
import sys
import tempfile
from collections import Counter
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from bundle import Bundle, Refused
from crew import POOLS, Crew, Tally
from inspector import keep_freed_memory


def report(args: argparse.Namespace, crew: Crew, tallies: list[Tally], ready_s: float, memory: int) -> dict:
    """The figures, for the JSON line."""
    parts = sum(len(tally.parts) for tally in tallies)
    if not parts:
        raise Refused("no part was inspected: give more --seconds")
    seconds = max(tally.ended for tally in tallies) - min(tally.started for tally in tallies)
    decided = np.concatenate([tally.decided_ms for tally in tallies])
    recorded = np.concatenate([tally.recorded_ms for tally in tallies])
    pictures = sum(picture.nbytes for picture in crew.pictures)
    return {
        "decode": args.decode,
        "pool": args.pool,
        "workers": args.workers,
        "parts": parts,
        "parts_per_s": round(parts / seconds, 2),
        "cpu_ms_per_part": round(sum(tally.cpu_s for tally in tallies) * 1000 / parts, 2),
        "p50_ms": round(float(np.percentile(decided, 50)), 2),
        "p99_ms": round(float(np.percentile(decided, 99)), 2),
        "recorded_p50_ms": round(float(np.percentile(recorded, 50)), 2),
        "recorded_p99_ms": round(float(np.percentile(recorded, 99)), 2),
        "kept": sum(tally.kept for tally in tallies),
        "rss_mib": round((memory - pictures) / 2**20),
        "pictures_mib": round(pictures / 2**20),
        "startup_s": round(ready_s, 2),
        "verdicts": dict(sorted(Counter(part[2] for tally in tallies for part in tally.parts).items())),
    }


def write_verdicts(path: Path, tallies: list[Tally]) -> None:
    """One row a part, in their order: the score is that of the label on which the verdict rests."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "score", "verdict", "label", "picture"])
        for part, score, verdict, label, picture in sorted(part for tally in tallies for part in tally.parts):
            table.writerow([part, f"{score:.6f}", verdict, label, picture])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="*.jpg, or *.npy frames with --decode raw")
    parser.add_argument("--bundle", type=Path, required=True, metavar="FILE")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pool", choices=POOLS, default=POOLS[0], help="what the workers are")
    parser.add_argument("--decode", choices=["opencv", "turbojpeg", "raw", "anomalib"], default="opencv")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--parts", type=int, help="so many parts in all")
    length.add_argument("--seconds", type=float, help="for so long")
    parser.add_argument("--verdicts", type=Path, metavar="FILE", help="write each part's verdict as CSV")
    args = parser.parse_args()
    for name in ("workers", "parts", "seconds"):
        value = getattr(args, name)
        if value is not None and not value > 0:
            parser.error(f"--{name} {value}: give more than 0")
    args.parts, args.seconds = args.parts or math.inf, args.seconds or math.inf
    return args


def main() -> None:
    args = arguments()
    keep_freed_memory()
    bundle = Bundle.open(args.bundle)
    with tempfile.TemporaryDirectory(prefix="inspectd-peer-") as folder:
        crew = Crew(args, bundle, Path(folder))
        tallies, ready_s, memory = crew.run()
    figures = report(args, crew, tallies, ready_s, memory)
    if args.verdicts:
        write_verdicts(args.verdicts, tallies)
    print(json.dumps(figures))


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(f"error: {refused}")
    except BrokenProcessPool:
        sys.exit("error: a worker process was killed; is there too little memory for these pictures? Give fewer")
