"""Reference values of momentum contrast, its optimisers and its schedules, computed with PyTorch.

Weights, images and the queue come from formulas that the Rust tests compute too (`value`, `pixel`), so that only results
are stored. The method is written out here after the papers (MoCo, arXiv:1911.05722, Algorithm 1; MoCo v2,
arXiv:2003.04297), with PyTorch's layers, autograd, batch norm and optimisers.
"""

import json
import math
import pathlib
import platform

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

N, S, D, K, T, M, STEPS = 4, 12, 6, 20, 0.2, 0.9, 10
CHECKPOINT = 6  # steps before the checkpoint of `save`; the queue has wrapped around


def value(p: int, i: int) -> float:
    """Number i of tensor p, in [-1, 1]."""
    return math.sin(1.3 * i + 0.7 * p + 0.05 * p * i)


def pixel(i: int) -> int:
    """Pseudo-random grey value 0..255 (integer hash)."""
    h = (i * 2654435761) % 2**32
    h ^= h >> 15
    h = (h * 2246822519) % 2**32
    h ^= h >> 13
    return h >> 24


def images(step: int, view: int, dtype: torch.dtype) -> torch.Tensor:
    start = (step * 2 + view) * N * S * S
    grey = [pixel(start + i) for i in range(N * S * S)]
    return torch.tensor(grey, dtype=dtype).reshape(N, 1, S, S) / 255


class Encoder(nn.Module):
    """Two convolutions with batch norm, global average, and the head of MoCo v2, or with batch norm as in MoCo v3."""

    def __init__(self, head_norm: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 8, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        if head_norm:
            hidden = [nn.Linear(8, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU()]
            self.fc = nn.Sequential(*hidden, nn.Linear(8, D, bias=False), nn.BatchNorm1d(D, affine=False))
        else:
            self.fc = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, D))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.normalize(self.fc(x.mean((2, 3))), dim=1)


def fill(encoder: Encoder, first: int) -> None:
    """Tensor number p in the order of names; scales of batch norm around 1, all else around 0."""
    with torch.no_grad():
        for p, (name, tensor) in enumerate(sorted(encoder.named_parameters())):
            flat = torch.tensor([0.5 * value(first + p, i) for i in range(tensor.numel())], dtype=torch.float64)
            scale = name.startswith("bn") and name.endswith("weight") or name == "fc.1.weight"
            flat = 1 + 0.2 * flat if scale else flat
            tensor.copy_(flat.reshape(tensor.shape))


def first_queue(dtype: torch.dtype) -> torch.Tensor:
    rows = torch.tensor([value(100, i) for i in range(K * D)], dtype=torch.float64).reshape(K, D)
    return F.normalize(rows, dim=1).to(dtype)


def make_optimizer(name: str, params) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(params, lr=0.05, momentum=0.9, weight_decay=1e-4)
    return torch.optim.Adam(params, lr=1e-3, weight_decay=1e-4)


PATIENTS = [0, 1, 0, 2]  # of the variant in which the batch is masked, too


def moco(name: str, dtype: torch.dtype, checkpoint: pathlib.Path | None = None, **options) -> dict:
    """Ten steps; all state after the last. Options: head_norm, batch_negatives, symmetric, mask_patients (in the batch; the
    first queue has none), momentum_end."""
    torch.manual_seed(0)
    norm = options.get("head_norm", False)
    encoder_q, encoder_k = Encoder(norm).to(dtype), Encoder(norm).to(dtype)
    fill(encoder_q, 1)
    fill(encoder_k, 31)
    queue, ptr, losses, norms = first_queue(dtype), 0, [], []
    optimizer = make_optimizer(name, encoder_q.parameters())
    for step in range(STEPS):
        if checkpoint and step == CHECKPOINT:
            save(checkpoint, encoder_q, encoder_k, queue, ptr, optimizer)
        end = options.get("momentum_end", M)
        m = end - (end - M) * (1 + math.cos(math.pi * step / STEPS)) / 2
        with torch.no_grad():
            for pk, pq in zip(encoder_k.parameters(), encoder_q.parameters()):
                pk.copy_(m * pk + (1 - m) * pq)
        loss, keys = 0, []
        ways = [(0, 1), (1, 0)] if options.get("symmetric") else [(0, 1)]
        for query_view, key_view in ways:
            q = encoder_q(images(step, query_view, dtype))  # [N, D]
            with torch.no_grad():
                k = encoder_k(images(step, key_view, dtype))  # [N, D]
            logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.clone().T], 1)  # [N, 1+K]
            if options.get("batch_negatives"):
                patients = torch.tensor(PATIENTS if options.get("mask_patients") else list(range(N)))
                same = patients[:, None] == patients[None, :]
                logits = torch.cat([logits, (q @ k.T).masked_fill(same, -math.inf)], 1)  # [N, 1+K+N]
            loss = loss + F.cross_entropy(logits / T, torch.zeros(N, dtype=torch.long)) / len(ways)
            keys.append(k)
        optimizer.zero_grad()
        loss.backward()
        norms.append(math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in encoder_q.parameters())))
        optimizer.step()
        for k in keys:
            queue[[(ptr + i) % K for i in range(N)]] = k
            ptr = (ptr + N) % K
        losses.append(loss.item())
    state = {"loss": torch.tensor(losses, dtype=torch.float64), "gradient_norm": torch.tensor(norms, dtype=torch.float64)}
    for side, encoder in (("encoder_q", encoder_q), ("encoder_k", encoder_k)):
        tensors = encoder.state_dict()
        state |= {f"{side}.{n}": t for n, t in tensors.items() if not n.endswith("num_batches_tracked")}
    return state | {"queue": queue}


def save(path: pathlib.Path, encoder_q: Encoder, encoder_k: Encoder, queue, ptr: int, optimizer) -> None:
    """As MoCo's `main_moco.py` saves a run. The SGD one looks like PyTorch 1.4: legacy form, state keyed by addresses."""
    state = {f"module.encoder_q.{n}": t for n, t in encoder_q.state_dict().items()}
    state |= {f"module.encoder_k.{n}": t for n, t in encoder_k.state_dict().items()}
    state |= {"module.queue": queue.T, "module.queue_ptr": torch.tensor([ptr])}
    record = optimizer.state_dict()
    group = record["param_groups"][0]
    group["params"] = list(range(2 * len(group["params"])))  # those of the key encoder, too, which have no state
    old = isinstance(optimizer, torch.optim.SGD)
    if old:
        address = lambda number: 140_000_000_000_000 + 72 * (97 * number % 101)
        group["params"] = [address(number) for number in group["params"]]
        record["state"] = {address(number): value for number, value in record["state"].items()}
    content = {"epoch": 1, "arch": "narrow", "state_dict": state, "optimizer": record}
    torch.save(content, path, _use_new_zipfile_serialization=not old)


def gap_of(name: str) -> str:
    """Quantities that share one measured f32-to-f64 gap."""
    if name.startswith("encoder"):
        side = name.split(".")[0]
        return f"{side}.{'statistics' if 'running' in name else 'parameters'}"
    return name


def steps(out_dir: pathlib.Path) -> dict:
    out = {}
    for name in ("sgd", "adam"):
        checkpoint = out_dir / f"checkpoint_{name}.pth.tar"
        exact, single = moco(name, torch.float64, checkpoint), moco(name, torch.float32)
        gaps: dict[str, float] = {}
        for key, tensor in exact.items():
            gap = (tensor.double() - single[key].double()).abs().max().item()
            gaps[gap_of(key)] = max(gap, gaps.get(gap_of(key), 0.0))
        out[name] = {
            "values": {key: numbers(tensor) for key, tensor in exact.items()},
            "f32_gap": gaps,
        }
    return out


def variants() -> dict:
    """The method's options, one by one and together; both encoders, queue, loss and gradient norm in double precision."""
    cases = {
        "head_norm": {"head_norm": True},
        "batch_negatives": {"batch_negatives": True},
        "batch_negatives_masked": {"batch_negatives": True, "mask_patients": True},
        "symmetric": {"symmetric": True},
        "momentum_end": {"momentum_end": 1.0},
        "together": {"head_norm": True, "batch_negatives": True, "symmetric": True, "momentum_end": 1.0},
    }
    run = lambda options: moco("sgd", torch.float64, **options)
    return {name: {key: numbers(tensor) for key, tensor in run(options).items()} for name, options in cases.items()}


def numbers(tensor: torch.Tensor) -> list[float]:
    return [float(f"{x:.15g}") for x in tensor.double().flatten().tolist()]


def info_nce() -> dict:
    """Value and gradient of the loss for rows of any length."""
    def rows(p: int, n: int) -> torch.Tensor:
        return torch.tensor([value(p, i) for i in range(n * 5)], dtype=torch.float64).reshape(n, 5)

    q, k, queue = rows(1, 3).requires_grad_(), rows(2, 3), rows(3, 7)
    loss = F.cross_entropy(torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], 1) / T, torch.zeros(3, dtype=torch.long))
    loss.backward()
    return {"loss": loss.item(), "gradient": numbers(q.grad)}


class Lars(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (arXiv:1708.03888), vectors excluded from decay and scaling."""

    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                g = p.grad.clone()
                if p.ndim > 1:
                    g += group["weight_decay"] * p.data
                    g *= group["trust"] * p.data.norm() / g.norm()
                buffer = self.state[p].setdefault("momentum_buffer", torch.zeros_like(p))
                buffer.mul_(0.9).add_(g)
                p.data.add_(buffer, alpha=-group["lr"])


def optimizers() -> dict:
    """30 steps of each on a matrix and a vector whose gradient is 0.5 w + value(step)."""
    makers = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
        "sgd_plain": lambda p: torch.optim.SGD(p, lr=0.1),
        "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
        "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.01),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.01),
        "adam_no_decay_on_vectors": lambda p: torch.optim.Adam(
            [{"params": [p[0]], "weight_decay": 0.01}, {"params": [p[1]], "weight_decay": 0.0}], lr=0.01
        ),
        "lars": lambda p: Lars(p, {"lr": 5.0, "weight_decay": 0.01, "trust": 0.001}),
        "clipped": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    }
    out = {}
    for name, make in makers.items():
        weight = torch.tensor([value(1, i) for i in range(15)], dtype=torch.float64).reshape(5, 3)
        bias = torch.tensor([value(2, i) for i in range(5)], dtype=torch.float64)
        params = [weight, bias]
        optimizer = make(params)
        for step in range(30):
            for p, tensor in enumerate(params):
                push = torch.tensor([value(10 * step + p, i) for i in range(tensor.numel())], dtype=torch.float64)
                tensor.grad = 0.5 * tensor + push.reshape(tensor.shape)
            if name == "clipped":
                torch.nn.utils.clip_grad_norm_(params, 1.0)
            optimizer.step()
        out[name] = {"weight": numbers(weight), "bias": numbers(bias)}
    return out


def schedules() -> dict:
    """The learning rate of every epoch."""
    def run(lr: float, epochs: int, make) -> list[float]:
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=lr)
        scheduler = make(optimizer)
        rates = []
        for _ in range(epochs):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return rates

    lr_scheduler = torch.optim.lr_scheduler
    return {
        "moco_cxr": run(1e-4, 30, lambda o: lr_scheduler.MultiStepLR(o, [12, 18, 24], 0.1)),
        "cosine": run(0.03, 50, lambda o: lr_scheduler.LambdaLR(o, lambda e: 0.5 * (1 + math.cos(math.pi * e / 50)))),
    }


def main(out_dir: pathlib.Path) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    results = {"steps": steps(out_dir), "variants": variants(), "info_nce": info_nce(), "optimizers": optimizers(), "schedules": schedules()}
    for name, content in results.items():
        text = json.dumps({"versions": versions} | {name: content}, separators=(",", ":"))
        (out_dir / f"{name}.json").write_text(text.replace('],"', '],\n"') + "\n")
