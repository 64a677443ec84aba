"""Weights in and out of other tools, on full-size networks: `check_interop.py TOOL [FOLDER...]`.

TOOL is the `moco-cxr` binary. For each architecture PyTorch writes a MoCo-CXR checkpoint in the zip and the legacy form,
and the plain network in the tar form of 2017; the tool imports them, with an ONNX model beside. Checked: the tensors are
the same bits, `load_state_dict(strict=True)` takes them, ONNX's own checker takes the model, and ONNX Runtime gives
torchvision's features and scores. Each FOLDER is what `cargo run --release -p moco-cxr-backbones --example export -- ARCH
FOLDER` wrote, with features computed by this project.
"""

import collections
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
import safetensors.torch
import torch
import torchvision

from make_backbones import ARCHS, network
from make_weights import write_tar

LABELS = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")


def main() -> None:
    tool, *folders = sys.argv[1:]
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, ", end="")
    print(f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}")
    for arch in ARCHS:
        with tempfile.TemporaryDirectory() as folder:
            foreign(tool, arch, pathlib.Path(folder))
    for folder in map(pathlib.Path, folders):
        exported(folder)


def foreign(tool: str, arch: str, folder: pathlib.Path) -> None:
    torch.manual_seed(ARCHS.index(arch))
    head = "classifier" if arch.startswith("densenet") else "fc"
    net = lived_in(network(arch, len(LABELS)))
    full = net.state_dict()
    backbone = {name: t for name, t in full.items() if not name.startswith(f"{head}.")}
    images = {size: torch.rand(size) * 4 - 2 for size in ((2, 3, 64, 96), (1, 3, 224, 224))}
    scores = {size: forward(net, x) for size, x in images.items()}
    setattr(net, head, torch.nn.Identity())
    features = {size: forward(net, x) for size, x in images.items()}

    checkpoint = moco_cxr(backbone, head)
    files = {"zip": folder / "zip.pth.tar", "legacy": folder / "legacy.pth.tar", "tar": folder / "tar.pth"}
    torch.save(checkpoint, files["zip"])
    torch.save(checkpoint, files["legacy"], _use_new_zipfile_serialization=False)
    write_tar(collections.OrderedDict((n, t) for n, t in full.items() if t.dtype == torch.float32), files["tar"])
    reread = torch.load(files["tar"], weights_only=False)  # PyTorch itself takes the tar form
    assert all(torch.equal(reread[name], full[name]) for name in reread) and len(reread) > len(backbone) // 2
    for form, path in files.items():
        out = folder / form
        report = run(tool, "import", path, "--arch", arch, "--out", out, "--quiet", "--onnx")
        state = safetensors.torch.load_file(out / "model.safetensors")
        net.load_state_dict(state, strict=True)
        counters = [name for name in state if name.endswith("num_batches_tracked")]
        same = [name for name in state if name not in counters and torch.equal(state[name], backbone[name])]
        assert len(same) + len(counters) == len(state) == len(backbone)
        summary = report.splitlines()[0].split(": ", 1)[1]
        print(f"{arch}, {form}: {len(same)} tensors equal bit for bit, loaded strictly ({summary})")
    error = worst(folder / "legacy/model.onnx", images, {"features": features})
    print(f"{arch}, ONNX: features within {error:.1e} of the largest")
    run(tool, "import", files["tar"], "--arch", arch, "--out", folder / "head", "--quiet", "--onnx", *(a for l in LABELS for a in ("--label", l)))
    error = worst(folder / "head/model.onnx", images, {"features": features, "logits": scores})
    print(f"{arch}, ONNX with classifier: features and scores within {error:.1e} of the largest")


def lived_in(net: torch.nn.Module) -> torch.nn.Module:
    """Running statistics and scales that are not those of a new network."""
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for tensor, low, high in ((module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5), (module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 2.0)):
                    tensor.uniform_(low, high)
    return net.eval()


def forward(net: torch.nn.Module, x: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return net(x).numpy()


def moco_cxr(backbone: dict[str, torch.Tensor], head: str) -> dict:
    """As `main_moco.py` saves it."""
    last = "layer4.1.bn3" if "layer4.1.bn3.weight" in backbone else "layer4.1.bn2" if head == "fc" else "features.norm5"
    width = len(backbone[f"{last}.weight"])
    layers = {f"{head}.0": torch.nn.Linear(width, width), f"{head}.2": torch.nn.Linear(width, 128)}
    layers = {f"{name}.{k}": t.detach() for name, layer in layers.items() for k, t in layer.state_dict().items()}
    encoder = backbone | layers
    state = {f"module.encoder_q.{name}": t for name, t in encoder.items()}
    state |= {f"module.encoder_k.{name}": t + 1 for name, t in encoder.items()}
    state |= {"module.queue": torch.randn(128, 24576), "module.queue_ptr": torch.tensor([48])}
    return {"epoch": 20, "arch": "any", "state_dict": collections.OrderedDict(state), "optimizer": {"state": {}, "param_groups": []}}


def run(*arguments: object) -> str:
    return subprocess.run(list(map(str, arguments)), check=True, capture_output=True, text=True).stdout


def worst(path: pathlib.Path, images: dict, expected: dict) -> float:
    """Largest difference of ONNX Runtime's outputs from `expected`, relative to the largest value."""
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert names == list(expected), names
    error = 0.0
    for size, x in images.items():
        for name, found in zip(names, session.run(None, {"pixel_values": x.numpy()})):
            wanted = expected[name][size]
            assert found.shape == wanted.shape
            error = max(error, float(np.abs(found - wanted).max() / np.abs(wanted).max()))
    assert error < 1e-4, error
    return error


def exported(folder: pathlib.Path) -> None:
    arch = json.loads((folder / "config.json").read_text())["model_type"]
    net = network(arch).eval()
    setattr(net, "classifier" if arch.startswith("densenet") else "fc", torch.nn.Identity())
    state = safetensors.torch.load_file(folder / "model.safetensors")
    net.load_state_dict(state, strict=True)
    images = np.fromfile(folder / "images.f32", np.float32).reshape(2, 3, 64, 96)
    ours = np.fromfile(folder / "features.f32", np.float32).reshape(2, -1)
    single = forward(net, torch.from_numpy(images))
    exact = forward(net.double(), torch.from_numpy(images).double())
    error, own = (np.abs(features - exact).max() / np.abs(exact).max() for features in (ours, single))
    print(f"{arch}, exported: {len(state)} tensors loaded strictly, features within {error:.1e} of the largest", end="")
    print(f" of PyTorch in f64 (PyTorch in f32: {own:.1e})", end="")
    assert error < 1e-5, error
    error = worst(folder / "model.onnx", {0: torch.from_numpy(images)}, {"features": {0: ours}})
    print(f"; ONNX Runtime's within {error:.1e}")


if __name__ == "__main__":
    main()
