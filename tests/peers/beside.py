"""Runs the line and the plain loops in turns and prints what each took, and how many times the line's processor time each loop takes."""

import argparse
import json
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

LOOP = Path(__file__).with_name("loop.py")
PARTS = "200"
# Case of the line, then the loop beside it: its pictures and how it decodes.
PAIRS = [
    ("jpeg-5mp-reduced", "jpeg", "opencv", 2.0),
    ("jpeg-5mp-reduced", "jpeg", "turbojpeg", 1.25),
    ("jpeg-5mp", "jpeg", "opencv", None),
    ("raw-5mp", "raw", "raw", 2.0),
    ("jpeg-5mp", "jpeg", "anomalib", None),
]


def figures(words: list) -> dict:
    """The JSON that a program prints last."""
    run = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)
    return json.loads(run.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--program", "--pictures", "--bundle"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    for case, folder, decode, wanted in PAIRS:
        if decode == "anomalib" and not find_spec("anomalib"):
            print(f"{case} beside anomalib: SKIPPED, this Python has none (README.md)")
            continue
        line = [args.program, "--line-only", "--parts", PARTS, case]
        loop = [sys.executable, LOOP, "--images", args.pictures / folder, "--bundle", args.bundle, "--decode", decode, "--parts", PARTS]
        rounds = []
        for number in range(args.rounds):
            took = {name: figures(words) for name, words in ((("line", line), ("loop", loop)) if number % 2 else (("loop", loop), ("line", line)))}
            rounds.append((took["line"], took["loop"]))
        ratios = sorted(loop["cpu_ms_per_part"] / line["cpu_ms_per_part"] for line, loop in rounds)
        aim = f" (wanted: >= {wanted})" if wanted else ""
        print(f"{case} beside Python's {decode}: loop / line in processor time {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}){aim}")
        for at, name in enumerate(("line", "loop")):
            of = {key: statistics.median(pair[at][key] for pair in rounds) for key in ("parts_per_s", "cpu_ms_per_part", "p99_ms", "rss_mib", "startup_s", "kept")}
            print(f"  {name}: " + ", ".join(f"{key} {value:.1f}" for key, value in of.items()), flush=True)


if __name__ == "__main__":
    main()
