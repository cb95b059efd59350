"""Compares the benchmark programs of two builds: the line in turns, and instructions of the kernels. Called by `bench-compare`."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile

CASES = ["raw-512", "raw-5mp", "jpeg-5mp-reduced"]
KERNELS = ["preprocess-5mp-to-tensor", "preprocess-512-to-tensor", "decode-jpeg-5mp"]
# Processor time a part beyond which the line counts as slower, when the whole interval lies above it; instructions vary less.
SLOWER = 1.03
MORE_INSTRUCTIONS = 1.02


def list_programs() -> None:
    """From what cargo says of a build: names and paths of its benchmark programs."""
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("executable") and "bench" in message["target"]["kind"]:
            print(message["target"]["name"], message["executable"])


def programs(path: str) -> dict[str, str]:
    """The programs by name, as the build has listed them."""
    return dict(line.split(maxsplit=1) for line in open(path, encoding="utf-8").read().splitlines())


def processor_ms(program: str, case: str) -> float:
    """Processor time a part of one run of the line."""
    words = [program, "--line-only", "--parts", "200", case]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)["cpu_ms_per_part"]


def instructions(program: str, kernel: str) -> int:
    """Instructions of one call: what two calls take beyond one."""
    counts = []
    for calls in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            words = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", program]
            run = subprocess.run([*words, "--instructions", kernel, str(calls)], check=True, capture_output=True, text=True)
        counts.append(int(run.stderr.split("Collected :")[1].split()[0]))
    return counts[1] - counts[0]


def main() -> int:
    """Prints a line for each figure; 1 where something became slower."""
    base, here = programs(sys.argv[1]), programs(sys.argv[2])
    pairs, slower = int(sys.argv[3]), []
    for case in CASES:
        ratios = []
        for pair in range(pairs):
            order = [base, here] if pair % 2 else [here, base]
            took = {id(build): processor_ms(build["pipeline"], case) for build in order}
            ratios.append(took[id(here)] / took[id(base)])
        ratios.sort()
        # The second and the second last of seven and more hold the median with 87 % and more; the ends do with fewer.
        cut = 1 if pairs >= 7 else 0
        low, high = ratios[cut], ratios[-1 - cut]
        print(f"{case}: processor time now / then {statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})", flush=True)
        if low > SLOWER:
            slower.append(case)
    if shutil.which("valgrind"):
        for kernel in KERNELS:
            then, now = instructions(base["kernels"], kernel), instructions(here["kernels"], kernel)
            print(f"{kernel}: {now:,} instructions, {then:,} then, ratio {now / then:.3f}", flush=True)
            if now > then * MORE_INSTRUCTIONS:
                slower.append(kernel)
    else:
        print("instructions: SKIPPED, valgrind is not installed")
    print(f"slower: {', '.join(slower)}" if slower else "nothing became slower")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(list_programs() if sys.argv[1:] == ["--programs"] else main())
