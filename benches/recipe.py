"""The recipe of preset `small` in PyTorch, with the probe of `moco-cxr linear`, for comparison and for trying a change.

    python benches/recipe.py SET [SET ...] [key=value ...] [--seeds 0 1 2] [--out results.jsonl]

SET is a folder in the layout of CheXpert, or an .npz made from one by `--pack`. Prints one JSON line a pretraining seed:
AUROC of the pretrained and of the random network at each share of the labels, means over the tasks and over label draws.
Keys are the fields of `Recipe`. Needs torch, torchvision, numpy, pillow.
"""

import argparse
import csv
import dataclasses
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image
from torchvision.models.resnet import BasicBlock, ResNet

MEAN, STD = 0.502, 0.085585  # of grey values in [0, 1], as in every preset


@dataclasses.dataclass
class Recipe:
    size: int = 64
    width: int = 64  # of the first layer; ResNet18 has 64
    images: int = 13200  # seen in all: epochs x images of the set
    batch: int = 32
    symmetric: bool = False
    # method
    momentum: float = 0.99
    momentum_end: float = -1.0  # cosine to this value; below 0: constant
    queue: int = 512
    batch_negatives: bool = True
    head_norm: bool = True
    temperature: float = 0.2
    groups: int = 1
    # optimiser
    rule: str = "adam"
    lr: float = 1e-3
    decay: float = 1e-4
    warmup: float = 0.1  # share of the steps
    # views: [probability, strength] as in ViewConfig
    area: float = 0.5
    aspect: float = 4 / 3
    flip: float = 0.0
    rotation: float = 10.0
    brightness: float = 0.3
    contrast: float = 0.3
    intensity_p: float = 0.8
    gamma: float = 0.4
    gamma_p: float = 0.5
    blur: float = 1.0
    blur_p: float = 0.0
    noise: float = 0.03
    noise_p: float = 0.0
    erasing: float = 0.15
    erasing_p: float = 0.0


# ---- data


def read_chexpert(folder, side, tasks, unlabelled):
    """Square grey images [N, side, side], patients, labels [N, tasks] (1, 0, -1 uncertain), part 0 train, 1 test, 2 none."""
    root = Path(folder)
    root = root if (root / "train.csv").exists() else root / "CheXpert-v1.0-small"
    images, patients, labels, parts = [], [], [], []
    for part, table in ((0, "train.csv"), (1, "test.csv"), (1, "valid.csv")):
        if not (root / table).exists() or (part == 1 and 1 in parts):
            continue
        for row in csv.DictReader(open(root / table)):
            path = row["Path"].split("/", 1)[1]
            images.append(square(root / path, side))
            patients.append(f"{path.split('/')[1]}")
            labels.append([float(row[task] or 0) for task in tasks])
            parts.append(part)
    for extra in unlabelled:
        for path in sorted(p for p in Path(extra).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png")):
            images.append(square(path, side))
            patients.append(str(path))
            labels.append([0.0] * len(tasks))
            parts.append(2)
    patients = np.unique(patients, return_inverse=True)[1]
    return dict(images=np.stack(images), patients=patients, labels=np.array(labels), parts=np.array(parts))


def square(path, side):
    """The centre square of a radiograph, scaled to `side` with an antialiasing filter."""
    image = Image.open(path).convert("L")
    short = min(image.size)
    left, top = (image.width - short) // 2, (image.height - short) // 2
    return np.asarray(image.crop((left, top, left + short, top + short)).resize((side, side), Image.Resampling.BILINEAR))


# ---- views


def views(images, r, rng):
    """One view [B, 1, S, S] of each image [B, 1, H, H] in [0, 1]."""
    b = len(images)
    uniform = lambda low, high: low + (high - low) * torch.rand(b, generator=rng)
    chosen = lambda p: torch.rand(b, generator=rng) < p
    area, ratio = uniform(r.area, 1.0), torch.exp(uniform(-math.log(r.aspect), math.log(r.aspect)))
    w, h = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    x, y = uniform(-1, 1) * (1 - w), uniform(-1, 1) * (1 - h)
    angle = uniform(-r.rotation, r.rotation) * math.pi / 180
    mirror = torch.where(chosen(r.flip), -1.0, 1.0)
    # crop of the image rotated about its centre
    cos, sin = angle.cos(), angle.sin()
    theta = torch.stack(
        [
            torch.stack([cos * w * mirror, -sin * h, cos * x - sin * y], 1),
            torch.stack([sin * w * mirror, cos * h, sin * x + cos * y], 1),
        ],
        1,
    )
    grid = F.affine_grid(theta, [b, 1, r.size, r.size], align_corners=False)
    out = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    per = lambda values: values.view(b, 1, 1, 1)
    one = torch.ones(b)
    factor = torch.where(chosen(r.intensity_p), uniform(1 - r.brightness, 1 + r.brightness), one)
    out = (out * per(factor)).clamp(0, 1)
    factor = torch.where(chosen(r.intensity_p), uniform(1 - r.contrast, 1 + r.contrast), one)
    mean = out.mean((2, 3), keepdim=True)
    out = ((out - mean) * per(factor) + mean).clamp(0, 1)
    power = torch.exp(uniform(-math.log(1 + r.gamma), math.log(1 + r.gamma)))
    out = out.clamp(min=1e-6) ** per(torch.where(chosen(r.gamma_p), power, one))
    for i in torch.nonzero(chosen(r.blur_p))[:, 0].tolist():
        sigma = 0.1 + (r.blur - 0.1) * torch.rand(1, generator=rng).item()
        k = torch.exp(-(torch.arange(-4, 5) ** 2) / (2 * sigma**2))
        k = k / k.sum()
        padded = F.pad(out[i : i + 1], (4, 4, 4, 4), mode="reflect")
        out[i : i + 1] = F.conv2d(F.conv2d(padded, k.view(1, 1, 1, -1)), k.view(1, 1, -1, 1))
    level = torch.where(chosen(r.noise_p), uniform(0, r.noise), 0 * one)
    out = (out + per(level) * torch.randn(out.shape, generator=rng)).clamp(0, 1)
    for i in torch.nonzero(chosen(r.erasing_p))[:, 0].tolist():
        part = 0.02 + (r.erasing - 0.02) * torch.rand(1, generator=rng).item()
        shape = math.exp(math.log(3.3) * (2 * torch.rand(1, generator=rng).item() - 1))
        eh, ew = (min(r.size, max(1, round(r.size * math.sqrt(v)))) for v in (part * shape, part / shape))
        top = torch.randint(0, r.size - eh + 1, (1,), generator=rng).item()
        left = torch.randint(0, r.size - ew + 1, (1,), generator=rng).item()
        out[i, :, top : top + eh, left : left + ew] = 0
    return (out - MEAN) / STD


# ---- method


class Encoder(nn.Module):
    def __init__(self, r):
        super().__init__()
        self.trunk = ResNet(BasicBlock, [2, 2, 2, 2])
        if r.width != 64:
            self.trunk = Narrow(r.width)
        self.trunk.conv1 = nn.Conv2d(1, r.width, 7, 2, 3, bias=False)
        nn.init.kaiming_normal_(self.trunk.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.trunk.fc = nn.Identity()
        d = 8 * r.width
        norm = lambda n, affine: [nn.BatchNorm1d(n, affine=affine)] if r.head_norm else []
        self.head = nn.Sequential(
            nn.Linear(d, d), *norm(d, True), nn.ReLU(), nn.Linear(d, 128), *norm(128, False)
        )

    def forward(self, x, groups):
        return torch.cat([F.normalize(self.head(self.trunk(part)), dim=1) for part in x.chunk(groups)])


class Narrow(nn.Module):
    """ResNet18 with fewer channels, for screening."""

    def __init__(self, width):
        super().__init__()
        self.bn1, stages, last = nn.BatchNorm2d(width), [], width
        for stage in range(4):
            planes = width << stage
            for block in range(2):
                stride = 2 if stage and not block else 1
                down = None
                if stride > 1 or last != planes:
                    down = nn.Sequential(nn.Conv2d(last, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))
                stages.append(BasicBlock(last, planes, stride, down))
                last = planes
        self.blocks = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        return self.blocks(x).mean((2, 3))


def pretrain(images, r, seed, say):
    """The trunk after pretraining, and what its training looked like."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    query, key = Encoder(r), Encoder(r)
    key.load_state_dict(query.state_dict())
    parameters = list(query.parameters())
    if r.rule == "sgd":
        optimizer = torch.optim.SGD(parameters, r.lr, 0.9, weight_decay=r.decay)
    else:
        optimizer = torch.optim.Adam(parameters, r.lr, weight_decay=r.decay)
    queue, filled = torch.zeros(r.queue, 128), 0
    n, steps = len(images), r.images // r.batch
    seen, order, log, sums = 0, torch.zeros(0, dtype=torch.long), [], []
    for step in range(steps):
        if len(order) < r.batch:
            order = torch.randperm(n, generator=rng)
        rows, order = order[: r.batch], order[r.batch :]
        batch = images[rows].float()[:, None] / 255
        a, b = views(batch, r, rng), views(batch, r, rng)
        decayed = 0.5 * (1 + math.cos(math.pi * max(0, step / steps - r.warmup) / (1 - r.warmup)))
        rate = min((step + 1) / max(1, r.warmup * steps), decayed)
        m = r.momentum
        if r.momentum_end >= 0:
            m = r.momentum_end - (r.momentum_end - m) * 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = r.lr * rate
        with torch.no_grad():
            for pk, pq in zip(key.parameters(), query.parameters()):
                pk.lerp_(pq, 1 - m)
        pairs = [(a, b), (b, a)] if r.symmetric else [(a, b)]
        loss, keys = 0.0, []
        for x, y in pairs:
            q = query(x, r.groups)  # [B, 128]
            with torch.no_grad():
                shuffle = torch.randperm(r.batch, generator=rng)
                k = torch.empty_like(q)
                k[shuffle] = key(y[shuffle], r.groups)
            keys.append(k)
            logits = [(q * k).sum(1, keepdim=True)]
            if filled:
                logits.append(q @ queue[:filled].T)
            if r.batch_negatives or not filled:
                logits.append((q @ k.T).masked_fill(torch.eye(r.batch, dtype=torch.bool), -10))
            logits = torch.cat(logits, 1)  # [B, 1 + negatives]
            loss = loss + F.cross_entropy(logits / r.temperature, torch.zeros(r.batch, dtype=torch.long)) / len(pairs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        new = torch.cat(keys)
        at = seen % r.queue
        where = (at + torch.arange(len(new))) % r.queue
        queue[where] = new
        seen += len(new)
        filled = min(r.queue, seen)
        with torch.no_grad():
            top1 = (logits.argmax(1) == 0).float().mean().item()
            sums.append([loss.item(), top1, logits[:, 0].mean().item(), logits[:, 1 : 1 + filled].mean().item()])
        if (step + 1) % max(1, steps // 6) == 0:
            mean = np.mean(sums, 0).round(4).tolist()
            mean.append(round(effective_rank(queue[:filled]), 1))
            log.append(mean)
            sums = []
            chance = math.log(logits.shape[1])
            say(f"  step {step + 1} of {steps}: loss, top-1, positive, negative, rank {mean}, chance {chance:.3f}")
    return query.trunk, log


def effective_rank(x):
    s = torch.linalg.svdvals(x - x.mean(0))
    p = s / s.sum()
    return math.exp(-(p * (p + 1e-12).log()).sum().item())


@torch.no_grad()
def features(trunk, images, r, train):
    """Features [N, D] of unaugmented images; running statistics are first estimated on the training images."""
    def batch(part):
        x = part.float()[:, None] / 255
        return (F.interpolate(x, (r.size, r.size), mode="bilinear", antialias=True) - MEAN) / STD
    norms = [m for m in trunk.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the average over batches
    trunk.train()
    for part in images[train].split(64):
        if len(part) == 64:
            trunk(batch(part))
    trunk.eval()
    return torch.cat([trunk(batch(part)) for part in images.split(256)]).double()


# ---- probe


def probe(x, y, penalty):
    """Weights of a logistic regression on standardised features [N, D], mean loss + penalty / 2 * |w|^2, by Newton's
    method in the span of the rows."""
    n = len(x)
    u, s, vt = torch.linalg.svd(x, full_matrices=False)
    z = torch.cat([u * s, torch.ones(n, 1, dtype=x.dtype)], 1)
    ridge = torch.full((z.shape[1],), penalty, dtype=x.dtype)
    ridge[-1] = 1e-9
    w = torch.zeros(z.shape[1], dtype=x.dtype)
    for _ in range(30):
        p = torch.sigmoid(z @ w)
        gradient = z.T @ (p - y) / n + ridge * w
        hessian = (z * (p * (1 - p))[:, None]).T @ z / n + torch.diag(ridge)
        step = torch.linalg.solve(hessian, gradient)
        w = w - step * min(1.0, 5.0 / step.norm().item())
        if step.abs().max() < 1e-6:
            break
    return vt.T @ w[:-1]


def auroc(scores, y):
    order = scores.argsort()
    ranks = torch.empty_like(scores)
    ranks[order] = torch.arange(1, len(y) + 1, dtype=scores.dtype)
    positives = y.sum()
    return ((ranks[y == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(y) - positives))).item()


PENALTY = 0.1


def evaluate(f, data, draws, shares, penalty=PENALTY):
    """AUROC [share][draw][task] on the test rows; a draw is a share of the training patients."""
    patients, parts = data["patients"], data["parts"]
    labels = torch.tensor(data["labels"])
    train = np.flatnonzero(parts == 0)
    test = torch.tensor(np.flatnonzero(parts == 1))
    everyone = np.unique(patients[train])
    found = {}
    for share, count in zip(shares, draws):
        table = []
        for draw in range(count):
            rng = np.random.default_rng([17, int(share * 1000), draw])
            some = rng.permutation(everyone)[: max(1, round(share * len(everyone)))]
            rows = torch.tensor(train[np.isin(patients[train], some)])
            line = []
            for task in range(labels.shape[1]):
                y = labels[rows, task]
                kept, y = rows[y >= 0], y[y >= 0]
                if y.sum() < 1 or (1 - y).sum() < 1:
                    line.append(float("nan"))
                    continue
                x = f[kept]
                mean, std = x.mean(0), x.std(0) + 1e-9
                w = probe((x - mean) / std, y, penalty)
                line.append(auroc(((f[test] - mean) / std) @ w, labels[test, task]))
            table.append(line)
        found[share] = np.array(table)
    return found


def compare(trunk, untrained, data, r, draws, shares):
    """AUROC of both networks, means over tasks and draws, and the gain with its standard error over draws."""
    images = torch.tensor(data["images"])
    own = torch.tensor(np.flatnonzero(data["parts"] == 0))
    arms = [evaluate(features(net, images, r, own), data, draws, shares) for net in (trunk, untrained)]
    line = {}
    for share in shares:
        ours, theirs = arms[0][share], arms[1][share]
        gain = np.nanmean(ours - theirs, 1)
        line[f"{share:g}"] = dict(
            ours=round(float(np.nanmean(ours)), 4),
            random=round(float(np.nanmean(theirs)), 4),
            gain=round(float(gain.mean()), 4),
            se=round(float(gain.std(ddof=1) / math.sqrt(len(gain))), 4) if len(gain) > 1 else None,
            tasks=np.nanmean(ours, 0).round(3).tolist(),
            random_tasks=np.nanmean(theirs, 0).round(3).tolist(),
        )
    return line


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rest", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--name", default="")
    parser.add_argument("--out", default="")
    parser.add_argument("--pack", default="")
    parser.add_argument("--save", default="", help="folder for the pretrained trunks, to be probed by moco-cxr linear")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--also", nargs="*", default=[], help=".npz of other sets to probe, with statistics of their own")
    parser.add_argument("--side", type=int, default=80)
    parser.add_argument("--unlabelled", nargs="*", default=[])
    parser.add_argument("--tasks", default="Cardiomegaly,Lung Lesion,Pneumothorax,Pleural Effusion")
    parser.add_argument("--draws", type=int, nargs="+", default=[20, 10, 1])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1, 1.0])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    r = Recipe()
    types = {field.name: field.type for field in dataclasses.fields(Recipe)}
    for item in [item for item in args.rest if "=" in item]:
        name, value = item.split("=", 1)
        setattr(r, name, value == "True" if types[name] is bool else types[name](value))
    sets = [item for item in args.rest if "=" not in item]
    if args.pack:
        data = read_chexpert(sets[0], args.side, args.tasks.split(","), args.unlabelled)
        return np.savez(args.pack, **data)
    for index, seed in enumerate(args.seeds):
        folder = sets[min(index, len(sets) - 1)]
        if folder.endswith(".npz"):
            data = dict(np.load(folder))
        else:
            data = read_chexpert(folder, args.side, args.tasks.split(","), args.unlabelled)
        images = torch.tensor(data["images"])
        pool = torch.tensor(np.flatnonzero(data["parts"] != 1))
        begin = time.time()
        trunk, log = pretrain(images[pool], r, seed, lambda text: print(text, flush=True))
        seconds = time.time() - begin
        if args.save:
            Path(args.save).mkdir(parents=True, exist_ok=True)
            torch.save(trunk.state_dict(), Path(args.save) / f"seed-{seed}.pth")
        torch.manual_seed(seed)
        untrained = Encoder(r).trunk
        line = dict(name=args.name, set=folder, seed=seed, seconds=round(seconds))
        line |= compare(trunk, untrained, data, r, args.draws, args.shares)
        for also in args.also:
            line[Path(also).stem] = compare(trunk, untrained, dict(np.load(also)), r, args.draws, args.shares)
        line["log"] = log
        line["recipe"] = {k: v for k, v in dataclasses.asdict(r).items() if v != getattr(Recipe(), k)}
        print(json.dumps(line), flush=True)
        if args.out:
            with open(args.out, "a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
