"""A training step on the CPU, of this project and of PyTorch, by turns; prints Markdown for docs/results/cpu.md.

    cargo build --release
    python benches/step.py --tool target/release/moco-cxr          (a Python with torch and torchvision)

For each row both programs start, make their first steps and then wait; in each pair one makes some steps while the other sleeps, then
the other. All figures are medians over the pairs, with the smallest and largest in brackets. Linux only. Nothing else should run: the last
column has the cores that other programs kept busy during the turns.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

ROWS = ["resnet18/32/16", "resnet18/64/32", "resnet18/128/32", "resnet18/224/8", "resnet18/320/16", "densenet121/224/8"]
UPDATE = {"gradient_norm", "optimizer", "average"}
# Parts of `moco-cxr bench step --by-operation`, in its order.
PARTS = {
    "conv_forward": "convolution, forward",
    "conv_input_grad": "convolution, dX",
    "conv_weight_grad": "convolution, dW",
    "norm": "normalisation",
    "pooling": "pooling",
    "concatenation": "concatenation",
    "gradient_norm": "gradient norm",
    "optimizer": "optimiser",
    "average": "average",
    "loss": "queue and loss",
}
# Cores that other programs may keep busy. PyTorch's threads wait for each other and lose far more than these.
OTHERS = 0.2
# The row whose convolutions are listed.
CONVOLUTIONS = "resnet18/224/8"


class Program:
    """A warm benchmark that makes steps on request."""

    def __init__(self, command, environment=None):
        pipe = subprocess.PIPE
        environment = os.environ | (environment or {})
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.start = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self.process.args)}: ended with status {self.process.wait()}")
        return json.loads(line)

    def turn(self, steps):
        """What the program measured, and how many cores other programs kept busy meanwhile."""
        before, begin = busy_seconds(), time.monotonic()
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        turn = self.answer()
        used = (busy_seconds() - before) / (time.monotonic() - begin)
        return turn | dict(other_cores=max(0, used - turn["busy_cores"]))

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def busy_seconds():
    """Processor seconds of all programs since the machine started: user, nice, system, interrupts."""
    user, nice, system, _, _, irq, softirq, *_ = map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def measure(options, row):
    """The turns of both programs in one row: two lists of the same length."""
    arch, size, batch = row.split("/")
    same = ["--arch", arch, "--image-size", size, "--batch-size", batch, "--moco-k", str(options.moco_k), "--device", "cpu"]
    same += ["--warmup", str(options.warmup), "--turns"]
    threads = str(options.threads)
    ours = Program([options.tool, "bench", "step", *same, "--by-operation"], {"RAYON_NUM_THREADS": threads})
    script = pathlib.Path(__file__).with_name("pytorch_step.py")
    compiled = ["--compile"] if options.compile else []
    theirs = Program([sys.executable, str(script), *same, "--threads", threads, *compiled])
    # The first turn is not counted; it says how many steps fill a turn.
    slower = max(program.turn(1)["step_ms"][0] for program in (ours, theirs))
    steps = max(1, min(20, round(1e3 * options.turn_seconds / slower)))
    pairs = []
    for pair in range(options.pairs):
        order = (ours, theirs) if pair % 2 == 0 else (theirs, ours)
        turns = {program: program.turn(steps) for program in order}
        pairs.append((turns[ours], turns[theirs]))
        print(f"{row}: pair {pair + 1} of {options.pairs}, {steps} steps each", file=sys.stderr)
    ours.end()
    theirs.end()
    return [[pair[side] for pair in pairs] for side in (0, 1)]


def rate(turn, batch):
    return 1e3 * batch * len(turn["step_ms"]) / sum(turn["step_ms"])


def spread(values, digits):
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


def part_ms(turn, wanted):
    return sum(part["ms"] for part in turn["operations"]["parts"] if part["part"] in wanted)


def step_ms(turn):
    return statistics.median(turn["step_ms"])


def table(head, lines):
    return "\n".join(["| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines]])


def summary(results):
    head = ["step", "ours, images/s", "PyTorch, images/s", "ours / PyTorch", "cores busy, ours / PyTorch", "peak memory, MB, ours / PyTorch", "page faults a step, ours / PyTorch", "update, %", "other programs, cores"]
    lines = []
    for row, (ours, theirs) in results.items():
        arch, size, batch = row.split("/")
        rates = [[rate(turn, int(batch)) for turn in side] for side in (ours, theirs)]
        both = lambda key, scale, digits: " / ".join(
            f"{statistics.median(turn[key] for turn in side) * scale:,.{digits}f}" for side in (ours, theirs)
        )
        update = statistics.median(100 * part_ms(turn, UPDATE) / step_ms(turn) for turn in ours)
        lines.append([
            f"{arch}, {size} px, batch {batch}",
            *(spread(side, 1) for side in rates),
            spread([a / b for a, b in zip(*rates)], 2),
            both("busy_cores", 1, 2),
            both("peak_bytes", 1e-6, 0),
            both("minor_faults", 1, 0),
            f"{update:.1f}",
            spread([turn["other_cores"] for side in (ours, theirs) for turn in side], 1),
        ])
    return table(head, lines)


def operations(results):
    """Milliseconds a step of each part of ours, and percent of the step."""
    head = ["operation", *(" ".join(row.split("/")[:2]) for row in results)]
    middle = lambda f, turns: statistics.median(map(f, turns))
    cell = lambda ms, step: f"{ms:.1f} ({100 * ms / step:.0f})" if ms else "-"
    steps = [middle(step_ms, ours) for ours, _ in results.values()]
    lines = []
    for part, name in PARTS.items():
        times = [middle(lambda turn: part_ms(turn, {part}), ours) for ours, _ in results.values()]
        lines.append([name, *map(cell, times, steps)])
    rest = [middle(lambda turn: turn["operations"]["rest_ms"], ours) for ours, _ in results.values()]
    lines.append(["rest", *map(cell, rest, steps)])
    lines.append(["whole step", *(f"{step:.1f}" for step in steps)])
    return "Ours by operation, ms a step and its share in percent:\n\n" + table(head, lines)


def convolutions(turns):
    """Rates of each convolution in the turn whose step is the median one."""
    turn = sorted(turns, key=step_ms)[len(turns) // 2]
    peak, copy = turn["operations"]["peak_gflops"], turn["operations"]["copy_gbs"]
    listed, shapes = turn["operations"]["convolutions"], {}
    batch = max(conv["shape"]["batch"] for conv in listed)
    # Not the stem's convolution of one empty image, which finds what the border adds.
    for conv in (conv for conv in listed if conv["shape"]["batch"] == batch):
        shapes.setdefault(json.dumps(conv["shape"]), {})[conv["part"]] = conv
    lines = []
    for shape, passes in shapes.items():
        shape = json.loads(shape)
        (kh, kw), (h, _), stride = shape["kernel"], shape["side"], shape["stride"]
        name = f"{kh}x{kw}{f', stride {stride}' if stride > 1 else ''}, {shape['input']} to {shape['output']}, {h} px"
        cells = [passes.get(part) for part in ("conv_forward", "conv_input_grad", "conv_weight_grad")]
        cells = [f"{c['gflops']:.0f} ({c['percent_of_peak']:.0f}), {c['ms']:.1f} ms" if c else "-" for c in cells]
        lines.append((h, [name, str(passes["conv_forward"]["calls"] // 2), *cells]))
    lines = [line for _, line in sorted(lines, key=lambda line: -line[0])]
    head = ["layer, side of its input", "layers", "forward", "dX", "dW"]
    limits = "Convolutions: GFLOP/s, in brackets the percentage of a product of two 2,048 x 2,048 matrices in the same program "
    limits += f"({peak:.0f} GFLOP/s), and ms a step; forward is of both encoders. "
    limits += f"A copy of 67 MB: {copy:.0f} GB/s, read and written.\n\n"
    return limits + table(head, lines)


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", default="target/release/moco-cxr", help="the moco-cxr binary")
    parser.add_argument("--rows", nargs="+", default=ROWS, metavar="ARCH/PX/BATCH", help=f"default: {' '.join(ROWS)}")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--turn-seconds", type=float, default=2.5, help="length of a turn, at least one step and at most 20")
    parser.add_argument("--warmup", type=int, default=2, help="steps before the first turn, which is not counted either")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--moco-k", type=int, default=24_576)
    parser.add_argument("--compile", action="store_true", help="torch.compile for both encoders of PyTorch")
    parser.add_argument("--json", type=pathlib.Path, help="also write everything that was measured to this file")
    options = parser.parse_args()
    results = {}
    for row in options.rows:
        results[row] = measure(options, row)
        if options.json:
            options.json.write_text(json.dumps(results))
    import torch

    about = f"PyTorch {torch.__version__}{', compiled' if options.compile else ''}, {options.threads} threads, {processor()}"
    print(f"{datetime.date.today()}, {about}; {options.pairs} pairs.\n")
    print(summary(results), operations(results), sep="\n\n")
    others = [turn["other_cores"] for sides in results.values() for side in sides for turn in side]
    if max(others) > OTHERS:
        print(f"\n**Disturbed**: other programs kept up to {max(others):.1f} cores busy, so these figures are not comparable.")
    if CONVOLUTIONS in results:
        print("\n" + convolutions(results[CONVOLUTIONS][0]))


if __name__ == "__main__":
    main()
