"""Reference values for a grey plane in a three-channel stem: PyTorch on three normalised copies of it, in f64.

`maps` is the bare convolution; a loss on it gives `gradient` of the [64, 3, 7, 7] weight, and `adam0`, `adam1`, the weight
after one and two steps of Adam. `stage` is what the stems of torchvision's ResNet and DenseNet make of the same plane in
training mode (normalisation, ReLU, pooling), with `stage_gradient`. Weights, planes and losses come from `formula`, which
the Rust tests compute too. Of the 64 output channels two are kept.
"""

import json
import pathlib

import numpy as np
import torch
import torchvision
from safetensors.numpy import save_file

from make_backbones import formula, weight

SIZES = {"square": (32, 32), "wide": (33, 47)}
NORMALIZATIONS = {
    "grey": ([0.5020] * 3, [0.085585] * 3),
    "imagenet": ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    "uneven": ([0.1, 0.5, 0.8], [0.9, 0.25, 0.07]),
}
STEMS = {"resnet18": ("conv1", "bn1", "relu", "maxpool"), "densenet121": ("conv0", "norm0", "relu0", "pool0")}
KEPT = slice(5, None, 32)


def main(out: pathlib.Path) -> None:
    tensors = {}
    for size, (h, w) in SIZES.items():
        for name, (mean, std) in NORMALIZATIONS.items():
            plane = torch.tensor((formula("plane", 2 * h * w).reshape(2, 1, h, w) + 1) / 2)  # [2, 1, h, w] in [0, 1)
            channels = lambda values: torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1)
            copies = (plane.repeat(1, 3, 1, 1) - channels(mean)) / channels(std)  # [2, 3, h, w]
            resnet, densenet = (stage(arch, copies) for arch in STEMS)
            assert all(torch.equal(resnet[key], densenet[key]) for key in resnet)  # the two stems are built alike
            for key, value in (bare(copies) | resnet).items():
                tensors[f"{size}.{name}.{key}"] = np.ascontiguousarray(value.detach().numpy())
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "numpy": np.__version__}
    save_file(tensors, out / "stem.safetensors", metadata=versions)
    (out / "versions.json").write_text(json.dumps(versions, indent=1, sort_keys=True) + "\n")


def stem_of(arch: str) -> list[torch.nn.Module]:
    net = getattr(torchvision.models, arch)(weights=None).double().train()
    net = net.features if arch.startswith("densenet") else net
    parts = [getattr(net, part) for part in STEMS[arch]]
    with torch.no_grad():
        parts[0].weight.copy_(torch.tensor(weight("stem", (64, 3, 7, 7))))
    return parts


def bare(copies: torch.Tensor) -> dict[str, torch.Tensor]:
    conv = stem_of("resnet18")[0]
    optimizer = torch.optim.Adam([conv.weight], lr=1e-3, weight_decay=1e-4)
    values = {}
    for step in range(2):
        maps = conv(copies)
        optimizer.zero_grad()
        loss(f"maps{step}", maps).backward()
        if step == 0:
            values |= {"maps": maps[:, KEPT], "gradient": conv.weight.grad[KEPT].clone()}
        optimizer.step()
        values[f"adam{step}"] = conv.weight.detach()[KEPT].clone()
    return values


def stage(arch: str, copies: torch.Tensor) -> dict[str, torch.Tensor]:
    conv, norm, relu, pool = stem_of(arch)
    maps = pool(relu(norm(conv(copies))))
    loss("stage", maps).backward()
    return {"stage": maps[:, KEPT], "stage_gradient": conv.weight.grad[KEPT]}


def loss(name: str, maps: torch.Tensor) -> torch.Tensor:
    return (maps * torch.tensor(formula(name, maps.numel()).reshape(tuple(maps.shape)))).sum()
