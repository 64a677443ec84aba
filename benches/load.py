#!/usr/bin/env python3
"""Load: 250,000 images, 20,000 steps, 250,000 scored rows. Seconds, peak memory, open files.

    python benches/load.py --bin target/release/moco-cxr --work /tmp/load [set audit pretrain linear steps evaluate]

Needs nothing but Python; Linux, since numbers come from /proc. The set is 250,000 small files with the pixels of some 500
drawn images, in the layout of CheXpert: what grows with the rows shows, and pixels cost little. It takes about 1.5 GB of disk.
Printed are one JSON object a measurement.
"""

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROWS = 250_000
STEPS = 20_000


def proc(pid):
    """Resident and peak memory in MB, and the number of open files, of a process; None once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        mb = lambda name: int(fields[name].split()[0]) // 1024
        return mb("VmRSS"), mb("VmHWM"), len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, KeyError, ProcessLookupError, PermissionError):
        return None


def measured(what, command, until=None, samples=None, env=None, may_end=(0,)):
    """Runs a command; with `until`, only until that says so. `samples` takes (seconds, resident, open files)."""
    start = time.time()
    with open(WORK / f"{what.replace(' ', '-')}.log", "wb") as log:
        child = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, env={**os.environ, **(env or {})})
        peak, reached = 0, False
        while child.poll() is None:
            now = proc(child.pid)
            if now:
                peak = max(peak, now[1])
                if samples is not None:
                    samples.append((round(time.time() - start, 1), now[0], now[2]))
            if until and until():
                reached = True
                break
            time.sleep(0.05 if samples is None else 1.0)
        seconds = time.time() - start
        if reached:
            child.terminate()
        child.wait()
    result = {"what": what, "seconds": round(seconds, 1), "peak_mb": peak, "status": "stopped" if reached else child.returncode}
    print(json.dumps(result), flush=True)
    if not reached and child.returncode not in may_end:
        sys.exit(f"{what} failed; see its log in {WORK}")
    return result


def make_set(rows):
    """`rows` training files of the drawn images, each with a patient and a study of its own."""
    base, data = WORK / "base", WORK / "set" / "CheXpert-v1.0-small"
    if not base.exists():
        sizes = ["--size", 48, "--seed", 1, "--train-patients", 265, "--valid-patients", 30, "--test-patients", 60]
        measured("synth", [BIN, "synth", "--out", base, *sizes])
    drawn = base / "CheXpert-v1.0-small"
    if data.exists():
        return
    partial = WORK / "set.partial"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(drawn, partial / "CheXpert-v1.0-small")
    shutil.rmtree(partial / "CheXpert-v1.0-small" / "train")
    with open(drawn / "train.csv", newline="") as file:
        header, *lines = list(csv.reader(file))
    pixels = [(base / line[0]).read_bytes() for line in lines]
    with open(partial / "CheXpert-v1.0-small" / "train.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(header)
        for row in range(rows):
            which = row % len(lines)
            path = f"CheXpert-v1.0-small/train/patient{100_000 + row}/study1/view1_frontal.jpg"
            target = partial / path
            target.parent.mkdir(parents=True)
            target.write_bytes(pixels[which])
            table.writerow([path, *lines[which][1:]])
    partial.rename(WORK / "set")
    print(json.dumps({"what": "set", "rows": rows, "distinct images": len(lines)}), flush=True)


def audit():
    shutil.rmtree(WORK / "cache", ignore_errors=True)
    env = {"MOCO_CXR_CACHE": str(WORK / "cache")}
    for time_of in ["first", "second"]:
        measured(f"audit {time_of}", [BIN, "audit", "--data", SET, "--json"], env=env, may_end=(0, 1))  # 1: equal images


def pretrain():
    env = {"MOCO_CXR_CACHE": str(WORK / "cache")}
    for time_of in ["known images", "no store"]:
        out = WORK / "run"
        shutil.rmtree(out, ignore_errors=True)
        log = out / "metrics.jsonl"
        small = ["--image-size", 32, "--batch-size", 8, "--moco-k", 64, "--epochs", 1]
        command = [BIN, "pretrain", "--data", SET, *small, "--out", out]
        if time_of == "no store":
            env = {"MOCO_CXR_CACHE": str(WORK / "no-cache")}
            shutil.rmtree(WORK / "no-cache", ignore_errors=True)
        measured(f"pretrain to first step, {time_of}", command, until=lambda: log.exists() and log.stat().st_size > 0, env=env)


def linear():
    out = WORK / "linear"
    shutil.rmtree(out, ignore_errors=True)
    env = {"MOCO_CXR_CACHE": str(WORK / "cache")}
    small = ["--weights", "random", "--arch", "resnet18", "--image-size", 32, "--fraction", "0.01", "--draws", 1]
    task = ["--task", "Pleural Effusion"]
    measured("linear at 1 %", [BIN, "linear", "--data", SET, *small, *task, "--out", out], env=env)


def steps():
    """Memory and open files of a long run, which must not grow."""
    out = WORK / "long"
    shutil.rmtree(out, ignore_errors=True)
    data = WORK / "base" / "CheXpert-v1.0-small"
    with open(data / "train.csv") as file:
        images = sum(1 for _ in file) - 1
    batch = 4
    epochs = -(-STEPS // (images // batch))
    small = ["--arch", "resnet18", "--image-size", 16, "--batch-size", batch, "--moco-k", 64, "--epochs", epochs, "--workers", 1]
    samples = []
    measured(f"{STEPS} steps", [BIN, "pretrain", "--data", data, *small, "--out", out], samples=samples, may_end=(0, 130))  # 130: stopped from outside
    with open(out / "metrics.jsonl") as file:
        done = sum(json.loads(line)["split"] == "train" for line in file)
    # Without the first tenth, in which memory is filled for the first time.
    settled = samples[len(samples) // 10 :]
    third = len(settled) // 3
    mean = lambda part, at: round(sum(sample[at] for sample in part) / len(part), 1)
    parts = [settled[:third], settled[third : 2 * third], settled[2 * third :]]
    print(json.dumps({
        "what": "long run", "steps": done, "samples": len(samples),
        "resident_mb_by_third": [mean(part, 1) for part in parts],
        "resident_mb_range": [min(s[1] for s in settled), max(s[1] for s in settled)],
        "open_files_range": [min(s[2] for s in settled), max(s[2] for s in settled)],
    }), flush=True)


def evaluate():
    random.seed(0)
    path, tasks = WORK / "scores.csv", [f"task {at}" for at in range(14)]
    with open(path, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "patient", *[f"label_{t}" for t in tasks], *[f"score_{t}" for t in tasks]])
        for row in range(ROWS):
            labels = [int(random.random() < 0.1) for _ in tasks]
            scores = [f"{random.gauss(label, 1):.6f}" for label in labels]
            table.writerow([f"image{row}.png", f"patient{row // 4}", *labels, *scores])
    out = WORK / "evaluated"
    shutil.rmtree(out, ignore_errors=True)
    measured("evaluate", [BIN, "evaluate", path, "--out", out])


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--bin", required=True, type=Path)
parser.add_argument("--work", required=True, type=Path)
parser.add_argument("--rows", type=int, default=ROWS)
parser.add_argument("--steps", type=int, default=STEPS)
parser.add_argument("parts", nargs="*", default=["audit", "pretrain", "linear", "steps", "evaluate"])
arguments = parser.parse_args()
BIN, WORK, ROWS, STEPS = arguments.bin.resolve(), arguments.work.resolve(), arguments.rows, arguments.steps
SET = WORK / "set" / "CheXpert-v1.0-small"
WORK.mkdir(parents=True, exist_ok=True)
make_set(ROWS)
for part in arguments.parts:
    {"audit": audit, "pretrain": pretrain, "linear": linear, "steps": steps, "evaluate": evaluate}[part]()
