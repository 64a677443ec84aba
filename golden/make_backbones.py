"""Reference values for the networks: torchvision, forward, backward and two training steps, in f64 and f32.

Weights, images and the loss come from `formula`, which the Rust tests compute too, so that the files hold results only.
A tensor of any size is kept as six numbers, see `digest`.
"""

import json
import pathlib

import numpy as np
import torch
import torchvision
from safetensors.numpy import save_file

ARCHS = ("resnet18", "resnet34", "resnet50", "densenet121", "resnet18-narrow")
# What a model card prints for the network that torchvision does not have.
NARROW = pathlib.Path(__file__).parent.parent / "crates/backbones/src/weights/resnet18_narrow.py"
CASES = {"square": (4, 3, 64, 64), "wide": (4, 3, 48, 80)}
# A rectifier whose input lies within rounding of 0 opens in one program and stays shut in the other: its output is the same
# to rounding, its gradient is not, and a training step carries that on, in proportion to the rate. At 2**-3 the running
# statistics of PyTorch's own f32 kernels (channels last, or without oneDNN) are 500 to 2000 times as far from f64 as its
# usual ones; at this rate what a rectifier does is below rounding, and a step still moves them by many times that.
LEARNING_RATE = 2**-15


def main(out: pathlib.Path) -> None:
    torch.manual_seed(0)
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "numpy": np.__version__}
    for arch in ARCHS:
        runs = {dtype: run(arch, dtype) for dtype in (torch.float64, torch.float32)}
        exact, single = runs[torch.float64], runs[torch.float32]
        tensors = {}
        for group, entries in exact.items():
            rows = [digest(f"{group}.{name}", value, single[group][name]) for name, value in sorted(entries.items())]
            tensors[group] = np.array(rows)
            if group.endswith(".stages"):  # one small full tensor per stage: a plane of the first image
                planes = [value[0, 1].ravel() for name, value in sorted(entries.items()) if value.ndim == 4]
                tensors[group.replace(".stages", ".planes")] = np.concatenate(planes)
        save_file(tensors, out / f"{arch}.safetensors", metadata=versions)
    (out / "versions.json").write_text(json.dumps(versions, indent=1, sort_keys=True) + "\n")


def formula(name: str, count: int) -> np.ndarray:
    """Numbers in [-1, 1), multiples of 2^-15: SplitMix64 of the position, started from FNV-1a of the name."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = ((state ^ byte) * 0x100000001B3) % 2**64
    z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(48)).astype(np.float64) / 2**15 - 1


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights by name; all are exact in f32."""
    u = formula(name, int(np.prod(shape))).reshape(shape)
    if len(shape) > 1:
        fan, exponent = int(np.prod(shape[1:])), 0
        while 6 * 4**exponent < fan:
            exponent += 1
        return u / 2**exponent
    return {"running_var": 1 + u / 2, "running_mean": u / 8, "weight": 1 + u / 4, "bias": u / 8}[name.split(".")[-1]]


def images(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    return torch.tensor(2 * formula(name, int(np.prod(shape))).reshape(shape), dtype=dtype)


def digest(name: str, value: np.ndarray, single: np.ndarray) -> list[float]:
    """Sum under random signs, norm, one sampled value, largest value; norm and largest value of the f32 run's error."""
    value, error = value.ravel(), (single.astype(np.float64) - value).ravel()
    signs = np.where(formula(name, value.size) < 0, -1.0, 1.0)
    sample = int((formula(name + ".sample", 1)[0] + 1) / 2 * value.size)
    largest = lambda v: np.abs(v).max()
    return [signs @ value, np.linalg.norm(value), value[sample], largest(value), np.linalg.norm(error), largest(error)]


def network(arch: str, classes: int = 1000) -> torch.nn.Module:
    if arch != "resnet18-narrow":
        return getattr(torchvision.models, arch)(weights=None, num_classes=classes)
    names = {"torchvision": torchvision}
    exec(NARROW.read_text(), names)
    return names["resnet18_narrow"](classes)


def build(arch: str, dtype: torch.dtype) -> torch.nn.Module:
    net = network(arch).to(dtype)
    state = net.state_dict()
    for name, tensor in state.items():
        if not name.endswith("num_batches_tracked"):
            tensor.copy_(torch.tensor(weight(name, tuple(tensor.shape)), dtype=dtype))
    return net


def forward(net: torch.nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Maps after the stem and the stages, and the features."""
    stages = {}
    if hasattr(net, "layer1"):
        x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        stages["0"] = x
        for i in range(1, 5):
            x = getattr(net, f"layer{i}")(x)
            stages[str(i)] = x
    else:
        f = net.features
        x = f.pool0(f.relu0(f.norm0(f.conv0(x))))
        stages["0"] = x
        for i in range(1, 4):
            stages[str(i)] = getattr(f, f"denseblock{i}")(x)
            x = getattr(f, f"transition{i}")(stages[str(i)])
        stages["4"] = torch.relu(f.norm5(f.denseblock4(x)))
    stages["features"] = stages["4"].mean((2, 3))
    return stages


def run(arch: str, dtype: torch.dtype) -> dict[str, dict[str, np.ndarray]]:
    groups = {}
    numpy = lambda tensors: {name: t.detach().numpy().copy() for name, t in tensors.items()}
    for case, shape in CASES.items():
        for mode in ("train", "eval"):
            net = build(arch, dtype).train(mode == "train")
            stages = forward(net, images(case, shape, dtype))
            groups[f"{case}.{mode}.stages"] = numpy(stages)
            if (case, mode) == ("wide", "train"):
                loss(stages["features"]).backward()
                grads = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
                groups["wide.train.gradients"] = numpy(grads)

    net = build(arch, dtype).train()
    for step in range(2):
        net.zero_grad(set_to_none=True)
        loss(forward(net, images(f"step{step}", CASES["wide"], dtype))["features"]).backward()
        with torch.no_grad():
            for p in net.parameters():
                if p.grad is not None:
                    p -= LEARNING_RATE * p.grad / (1 + p.grad.norm())
    groups["wide.steps.running"] = numpy({n: t for n, t in net.named_buffers() if "running" in n})
    return groups


def loss(features: torch.Tensor) -> torch.Tensor:
    factors = formula("loss", features.numel()).reshape(features.shape)
    return (features * torch.tensor(factors, dtype=features.dtype)).sum()
