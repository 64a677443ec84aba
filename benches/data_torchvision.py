"""Two 320 x 320 views per image: this project beside Pillow and torchvision, same files, same core, same run.

    cargo bench -p cxr-data --bench views --no-run    # so that nothing is compiled while Python's half is timed
    taskset -c 1 python benches/data_torchvision.py [FOLDER]

Makes the files in FOLDER (default target/bench-data) out of MOCO_CXR_TEST_DATA (default ../shared/data), times Python
on one thread, then runs `cargo bench -p cxr-data --bench views` on the same core, and prints both, the bars that must be
met and where the time goes; FOLDER/data.json keeps the seconds an image. Python does the paper's views with the
calls of torchvision 0.5, twice an image: as the paper's code does (RGB, to a normalised float tensor), and `grey`, the
leanest form of the same work (one channel, no tensor), which is what this project's u8 views compare with.
"""

import importlib.metadata
import json
import math
import os
import pathlib
import platform
import random
import subprocess
import sys
import time

import numpy as np
import torch
from PIL import Image
from torchvision import transforms as tv

# What must be met: name of the work, and how many times as fast as Python.
BARS = {
    "a": ("jpeg_file_to_two_views", 3.0),
    "b": ("png_file_to_two_views", 1.5),
    "c": ("jpeg_cached_to_two_views", 10.0),
}
# Inflate is a part of decode; two views of a cached image are geometry alone and one copy out of the cache.
PARTS = {
    "jpeg": ["jpeg_decode", "jpeg_cached_to_two_views"],
    "png": ["png_decode", "png_inflate", "png_resize", "png_cached_to_two_views"],
}

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = pathlib.Path(os.environ.get("MOCO_CXR_TEST_DATA", ROOT / "../shared/data"))


def make_files(folder: pathlib.Path) -> None:
    """64 JPEGs of 320 x 320 and 4 PNGs of 1024 x 1024 with the noise of a real detector."""
    for kind in ("jpeg", "png"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    sources = sorted(DATA.glob("chexpert-layout/CheXpert-v1.0-small/train/*/*/*.jpg"))[:64]
    if len(sources) < 64:
        sys.exit(f"{DATA}: expected the folder chexpert-layout with at least 64 images (MOCO_CXR_TEST_DATA names it)")
    for i, source in enumerate(sources):
        (folder / f"jpeg/{i:02}.jpg").write_bytes(source.read_bytes())
    film = np.load(DATA / "dicom/rsna_mono2_8bit.npy")
    for i, view in enumerate([film, film[:, ::-1], film[::-1], film[::-1, ::-1]]):
        Image.fromarray(np.ascontiguousarray(view)).save(folder / f"png/{i}.png")


def seconds_per_item(work, items, budget: float = 4.0) -> float:
    """The median over rounds of the mean over items; one round of warm-up."""
    rounds = []
    end = math.inf
    while not rounds or time.perf_counter() < end:
        start = time.perf_counter()
        for item in items:
            work(item)
        rounds.append((time.perf_counter() - start) / len(items))
        if end == math.inf:
            rounds.clear()
            end = time.perf_counter() + budget
            rounds.append(math.nan)
    return float(np.nanmedian(rounds))


def main() -> None:
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/bench-data").resolve()
    make_files(folder)
    torch.set_num_threads(1)
    random.seed(0)
    # torchvision 0.5's rotation takes its angle from `random`, samples the nearest pixel and fills with black.
    geometry = [tv.Resize(320), tv.RandomHorizontalFlip(), tv.RandomRotation(10), tv.RandomCrop(320)]
    paper = tv.Compose([*geometry, tv.ToTensor(), tv.Normalize([0.5020] * 3, [0.085585] * 3)])
    grey = tv.Compose(geometry)

    def twice(views, image):
        return [views(image), views(image)]

    python = {}
    for kind in ("jpeg", "png"):
        paths = sorted((folder / kind).iterdir())
        python[f"{kind}_file_to_two_views"] = {
            "paper": seconds_per_item(lambda path: twice(paper, Image.open(path).convert("RGB")), paths),
            "grey": seconds_per_item(lambda path: twice(grey, Image.open(path).convert("L")), paths),
        }
        arrays = [np.asarray(tv.Resize(320)(Image.open(path).convert("L"))) for path in paths]
        rgb = [np.stack([array] * 3, -1) for array in arrays]
        python[f"{kind}_cached_to_two_views"] = {
            "paper": seconds_per_item(lambda array: twice(paper, Image.fromarray(array)), rgb),
            "grey": seconds_per_item(lambda array: twice(grey, Image.fromarray(array)), arrays),
        }
        python[f"{kind}_decode"] = {"grey": seconds_per_item(lambda path: Image.open(path).convert("L").load(), paths)}

    environment = os.environ | {"MOCO_CXR_BENCH_DATA": str(folder)}
    command = "cargo bench -p cxr-data --bench views -- --warm-up-time 0.5 --measurement-time 2".split()
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    criterion = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "criterion"
    rust = {}
    for estimates in sorted(criterion.glob("*/new/estimates.json")):
        name = estimates.parent.parent.name
        if name.startswith(("jpeg_", "png_")):
            rust[name] = json.loads(estimates.read_text())["median"]["point_estimate"] * 1e-9

    versions = {name: importlib.metadata.version(name) for name in ("pillow", "torchvision", "torch", "numpy")}
    print(f"\n{platform.machine()}, one core; {versions}; Python {platform.python_version()}\n")
    print("| work on one image | here, ms | images/s | torchvision as in the paper, ms | ratio | grey, no tensor, ms | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name, ours in rust.items():
        cells = [name, f"{ours * 1e3:.3f}", f"{1 / ours:.0f}"]
        for form in ("paper", "grey"):
            theirs = python.get(name, {}).get(form)
            cells += [f"{theirs * 1e3:.3f}", f"{theirs / ours:.1f}"] if theirs else ["", ""]
        print("| " + " | ".join(cells) + " |")

    print()
    for bar, (name, factor) in BARS.items():
        for form in ("paper", "grey"):
            ratio = python[name][form] / rust[name]
            print(f"({bar}) {name}, against {form}: {ratio:.1f} times; the bar is {factor}: {'met' if ratio >= factor else 'MISSED'}")
    print()
    for kind, parts in PARTS.items():
        whole = rust[f"{kind}_file_to_two_views"]
        shares = [f"{part.removeprefix(kind + '_')} {rust[part] / whole:.0%}" for part in parts]
        print(f"{kind}, share of file_to_two_views: {', '.join(shares)}")
    (folder / "data.json").write_text(json.dumps({"versions": versions, "rust": rust, "python": python}, indent=1) + "\n")


if __name__ == "__main__":
    main()
