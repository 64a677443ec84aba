"""Loads exported networks into torchvision, strictly, and compares features: `check_interop.py FOLDER...`.

Each folder is what `cargo run --release -p moco-cxr-backbones --example export -- ARCH FOLDER` wrote.
"""

import json
import pathlib
import sys

import numpy as np
import safetensors.torch
import torch
import torchvision


def main() -> None:
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}")
    for folder in map(pathlib.Path, sys.argv[1:]):
        arch = json.loads((folder / "config.json").read_text())["model_type"]
        net = getattr(torchvision.models, arch)(weights=None).eval()
        setattr(net, "classifier" if arch.startswith("densenet") else "fc", torch.nn.Identity())
        state = safetensors.torch.load_file(folder / "model.safetensors")
        net.load_state_dict(state, strict=True)
        images = np.fromfile(folder / "images.f32", np.float32).reshape(2, 3, 64, 96)
        ours = np.fromfile(folder / "features.f32", np.float32).reshape(2, -1)
        with torch.no_grad():
            theirs = net(torch.from_numpy(images)).numpy()
        error = np.abs(ours - theirs).max() / np.abs(theirs).max()
        print(f"{arch}: {len(state)} tensors loaded strictly, largest difference of features {error:.1e} of the largest")
        assert error < 1e-5


if __name__ == "__main__":
    main()
