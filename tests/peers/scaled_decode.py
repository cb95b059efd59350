"""What DCT-scaled decoding does to scores and verdicts, beside decoding the whole picture: same files, same library, same model.

A scaled decoder leaves out the high frequencies of each 8 x 8 block instead of averaging pixels, so the model sees a slightly
other picture. Prints one JSON line.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from bundle import Bundle, Refused
from inspector import Inspector, load, smallest_scale, turbojpeg_decoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="*.jpg")
    parser.add_argument("--bundle", type=Path, required=True, metavar="FILE")
    args = parser.parse_args()
    bundle = Bundle.open(args.bundle)
    names, files = load(args.images, raw=False)
    inspector = Inspector(bundle)
    whole, scaled = turbojpeg_decoder(bundle, scaled=False), turbojpeg_decoder(bundle)
    differences, changed, scales = [], [], set()
    for name, file in zip(names, files):
        picture = whole(file)
        scales.add("{}/{}".format(*smallest_scale(picture.shape[1], picture.shape[0], bundle)))
        before = inspector.scores(picture)
        after = inspector.scores(scaled(file))
        differences.append(np.abs(after - before))
        verdicts = [bundle.verdict(scores)[0] for scores in (before, after)]
        if verdicts[0] != verdicts[1]:
            changed.append({"picture": name, "whole": verdicts[0], "scaled": verdicts[1]})
    answer = {
        "pictures": len(names),
        "scales": sorted(scales),
        "largest_difference": round(float(np.max(differences)), 4),
        "mean_largest_difference": round(float(np.mean(np.max(differences, axis=1))), 4),
        "mean_difference": round(float(np.mean(differences)), 5),
        "changed_verdicts": len(changed),
        "changed": changed,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    try:
        main()
    except Refused as refused:
        sys.exit(f"error: {refused}")
