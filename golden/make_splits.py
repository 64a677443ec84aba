"""Python's random module, out of which the label-fraction draws of the paper came.

mt19937.json: the first and the 1000th value of random.random() for a few seeds.
paper_draws.json: the draws of CheXpert's 223,414 training rows by the loop of MoCo-CXR's reorganize_files.py (mode
chexpert_random), each as size, first four and last row, and a polynomial hash of all rows.
"""

import json
import pathlib
import platform
import random

SEEDS = [0, 1, 42, 2**32 - 1, 2**32, 2**63 + 5]
PLAN = [(0.001, 5), (0.01, 5), (0.1, 5), (0.5, 5), (1.0, 1)]
ROWS = 223_414


def values(seed: int) -> dict:
    random.seed(seed)
    drawn = [random.random() for _ in range(1000)]
    # As text: JSON readers may round the last bit.
    return {"seed": seed, "first": [repr(value) for value in drawn[:5]], "thousandth": repr(drawn[999])}


def digest(rows: list[int]) -> str:
    total = 0
    for row in rows:
        total = (total * 6364136223846793005 + row + 1) % 2**64
    return f"{total:016x}"


def draws() -> list[dict]:
    random.seed(0)
    rows = {(fraction, draw): [] for fraction, count in PLAN for draw in range(count)}
    for row in range(ROWS):
        for (fraction, draw), taken in rows.items():
            if random.random() < fraction:
                taken.append(row)
    return [
        {"fraction": f, "draw": d, "size": len(r), "first": r[:4], "last": r[-1], "digest": digest(r)}
        for (f, d), r in rows.items()
    ]


def main(out_dir: pathlib.Path) -> None:
    version = {"python": platform.python_version()}
    write = lambda name, content: (out_dir / name).write_text(json.dumps(content, indent=1) + "\n")
    write("mt19937.json", {"versions": version, "seeds": [values(seed) for seed in SEEDS]})
    write("paper_draws.json", {"versions": version, "rows": ROWS, "draws": draws()})
