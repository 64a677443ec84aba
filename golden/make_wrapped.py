"""Checkpoints as PyTorch saves them when the network is wrapped, and beside what.

The network is the tiny one of `make_weights`; `expected.json` says where it lies in each file, and its numbers.
"""

import argparse
import collections
import json
import pathlib

import numpy as np
import torch

from make_weights import numbers, tensor, tiny


def main(out: pathlib.Path) -> None:
    expected = {}
    for name, (content, prefix, network) in wrapped().items():
        torch.save(content, out / name)
        expected[name] = {"prefix": prefix, "values": {k: numbers(v) for k, v in network.items() if "num_b" not in k}}
    torch.save(network_of_tiny(), out / "whole_model.pt")
    torch.save({"epoch": 3, "model": network_of_tiny()}, out / "whole_model_in_checkpoint.pt")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), out / "torchscript.pt")

    text = {"versions": {"torch": torch.__version__}, "files": expected}
    (out / "expected.json").write_text(json.dumps(text, separators=(",", ":"), sort_keys=True) + "\n")


class Tiny(torch.nn.Module):
    """The tiny network, as a module."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 2, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(2)
        block = torch.nn.Module()
        block.conv1 = torch.nn.Conv2d(2, 2, 3, bias=False)
        self.layer1 = torch.nn.Sequential(block)
        self.fc = torch.nn.Linear(2, 5)


def network_of_tiny(add: float = 0.0) -> Tiny:
    network = Tiny()
    state = {k: v + add if v.is_floating_point() else v for k, v in tiny("torchvision").items()}
    network.load_state_dict(state)
    return network


class Marked(torch.Tensor):
    """A subclass of the tensor, as fastai has one."""


def wrapped() -> dict[str, tuple[dict, str, dict]]:
    """What PyTorch itself saves of wrapped networks: content, prefix of the network in it, and its tensors."""
    network = network_of_tiny()
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("fc")}
    compiled, parallel = torch.compile(network), torch.nn.DataParallel(network)
    average = torch.optim.swa_utils.AveragedModel(network_of_tiny(1.0))
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for i, p in enumerate(network.parameters()):
        p.grad = tensor(f"gradient{i}", tuple(p.shape))
    optimizer.step()
    network.load_state_dict(network_of_tiny().state_dict())
    lightning = {
        "epoch": 4,
        "global_step": 500,
        "pytorch-lightning_version": "2.2.1",
        "state_dict": {f"net.{k}": v for k, v in network.state_dict().items()} | {"head.weight": tensor("head", (2, 5))},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 5}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'val_loss'}": {"best_model_score": torch.tensor(0.3)}},
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [{"T_max": 10, "last_epoch": 5}],
        "hyper_parameters": argparse.Namespace(img_size=96, names={"a", "b"}, device=torch.device("cpu")),
    }
    averaged = {"model": network.state_dict(), "model_ema": average.state_dict(), "optimizer": optimizer.state_dict()}
    marked = {k: v.clone().as_subclass(Marked) if v.is_floating_point() else v for k, v in network.state_dict().items()}
    beside = {
        "complex": torch.ones(2, dtype=torch.complex64),
        "quantized": torch.quantize_per_tensor(torch.ones(2), 0.5, 0, torch.qint8),
        "sparse": torch.eye(2).to_sparse(),
        "float8": torch.ones(2).to(torch.float8_e4m3fn),
        "object": Holder(torch.ones(3)),
        "counts": collections.defaultdict(int, a=1),
    }
    return {
        "compiled.pth": (compiled.state_dict(), "_orig_mod.", state),
        "parallel_compiled.pth": ({"model": torch.nn.DataParallel(compiled).state_dict()}, "model.module._orig_mod.", state),
        "lightning.ckpt": (lightning, "state_dict.net.", state),
        "averaged.pth": (averaged, "model.", state),
        "parallel.pth": ({"state_dict": parallel.state_dict(), "numpy": np.float64(0.5)}, "state_dict.module.", state),
        "subclass.pth": (marked, "", state),
        "beside_objects.pth": ({"state_dict": network.state_dict(), **beside}, "state_dict.", state),
    }


class Holder:
    """An object with a tensor, of a class that no reader has."""

    def __init__(self, tensor: torch.Tensor):
        self.tensor = tensor
