"""Small weight files of every form that PyTorch has written, and what is in them.

The tensors are those of a tiny network with real names; numbers come from a formula. `expected.json` lists what each file
holds as `torch.load` and safetensors see it.
"""

import collections
import io
import json
import os
import pathlib
import pickle
import struct
import tarfile

import numpy as np
import safetensors
import safetensors.torch
import torch

from make_backbones import formula

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8)


def main(out: pathlib.Path) -> None:
    expected = {}

    def put(name: str, tensors: dict[str, torch.Tensor]) -> None:
        expected[name] = {
            key: {"shape": list(t.shape), "dtype": str(t.dtype).removeprefix("torch."), "values": numbers(t)}
            for key, t in tensors.items()
        }

    checkpoint = moco_checkpoint()
    torch.save(checkpoint, out / "moco_zip.pth.tar")
    torch.save(checkpoint, out / "moco_legacy.pth.tar", _use_new_zipfile_serialization=False)
    for name in ("moco_zip.pth.tar", "moco_legacy.pth.tar"):
        put(name, flat(torch.load(out / name)))

    write_tar(tiny("torchvision"), out / "torchvision_2017.pth")
    put("torchvision_2017.pth", torch.load(out / "torchvision_2017.pth", weights_only=False))

    torch.save(tiny("old_densenet"), out / "densenet_old_names.pth", _use_new_zipfile_serialization=False)
    put("densenet_old_names.pth", torch.load(out / "densenet_old_names.pth"))

    strange = layouts()
    for name, new in (("layouts_zip.pt", True), ("layouts_legacy.pt", False)):
        torch.save(strange, out / name, _use_new_zipfile_serialization=new)
        put(name, torch.load(out / name))

    dtypes = {str(d).removeprefix("torch."): tensor("dtypes", (2, 3)).mul(100).to(d) for d in DTYPES}
    dtypes |= {"bool": torch.tensor([True, False]), "uint8": torch.tensor([0, 255], dtype=torch.uint8)}
    torch.save(dtypes, out / "dtypes.pt")
    safetensors.torch.save_file(dtypes, out / "dtypes.safetensors", metadata={"format": "pt"})
    put("dtypes.pt", dtypes)
    put("dtypes.safetensors", dtypes)

    data = pathlib.Path(os.environ.get("MOCO_CXR_TEST_DATA", pathlib.Path(__file__).parents[1] / "../shared/data"))
    published = torch.load(data / "weights/resnet20-12fca82f.th", map_location="cpu", weights_only=False)
    sums = {key: [list(t.shape), t.double().sum().item()] for key, t in flat(published).items()}

    torch.save({"state_dict": {"conv1.weight": Hostile()}}, out / "hostile.pth")

    versions = {"torch": torch.__version__, "safetensors": safetensors.__version__, "numpy": np.__version__}
    text = {"versions": versions, "files": expected, "resnet20": sums}
    (out / "expected.json").write_text(json.dumps(text, separators=(",", ":"), sort_keys=True) + "\n")


class Hostile:
    """Unpickled, it would call a function; nothing that reads weights may."""

    def __reduce__(self):
        return print, ("this must never be printed",)


def tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.tensor(formula(name, int(np.prod(shape))).reshape(shape), dtype=torch.float32)


def numbers(t: torch.Tensor) -> list[float]:
    return t.to(torch.int64 if not t.is_floating_point() else torch.float64).flatten().tolist()


def norm(name: str, channels: int) -> dict[str, torch.Tensor]:
    tensors = {f"{name}.{k}": tensor(f"{name}.{k}", (channels,)) for k in ("weight", "bias", "running_mean", "running_var")}
    return tensors | {f"{name}.num_batches_tracked": torch.tensor(7)}


def tiny(style: str) -> collections.OrderedDict:
    if style == "old_densenet":
        names = {"features.conv0.weight": (2, 3, 3, 3), "features.denseblock1.denselayer1.conv.1.weight": (2, 2, 1, 1)}
        state = norm("features.denseblock1.denselayer1.norm.1", 2) | {n: tensor(n, s) for n, s in names.items()}
        state |= {"classifier.weight": tensor("classifier.weight", (5, 2)), "classifier.bias": tensor("classifier.bias", (5,))}
        state = {k: v.abs() + 0.5 if "running_var" in k else v for k, v in state.items()}  # a variance
        return collections.OrderedDict((k, v) for k, v in state.items() if "num_batches" not in k)
    state = {"conv1.weight": tensor("conv1.weight", (2, 3, 3, 3))} | norm("bn1", 2)
    state["layer1.0.conv1.weight"] = tensor("layer1.0.conv1.weight", (2, 2, 3, 3))
    if style == "torchvision":
        state |= {"fc.weight": tensor("fc.weight", (5, 2)), "fc.bias": tensor("fc.bias", (5,))}
    if style == "moco":
        for i, shape in (("0", (2, 2)), ("2", (4, 2))):
            state |= {f"fc.{i}.weight": tensor(f"fc.{i}.weight", shape), f"fc.{i}.bias": tensor(f"fc.{i}.bias", shape[:1])}
    return collections.OrderedDict(state)


def moco_checkpoint() -> dict:
    """As MoCo-CXR's `main_moco.py` saves it."""
    state = collections.OrderedDict()
    for encoder in ("encoder_q", "encoder_k"):
        for name, value in tiny("moco").items():
            state[f"module.{encoder}.{name}"] = value if encoder == "encoder_q" else value.clone().add(1)
    state["module.queue"] = tensor("queue", (4, 6))
    state["module.queue_ptr"] = torch.tensor([2])
    parameters = [torch.nn.Parameter(v.clone()) for k, v in tiny("moco").items() if "running" not in k and "num_b" not in k]
    optimizer = torch.optim.Adam(parameters, 1e-4, weight_decay=1e-4)
    for i, p in enumerate(parameters):
        p.grad = tensor(f"gradient{i}", tuple(p.shape))
    optimizer.step()
    return {"epoch": 3, "arch": "resnet18", "state_dict": state, "optimizer": optimizer.state_dict()}


def layouts() -> dict[str, torch.Tensor]:
    """Tensors that are not contiguous, share their numbers, are empty, or have no dimension."""
    base = tensor("base", (4, 6))
    return {
        "transposed": base.t(),
        "part": base[1:3, 2:5],
        "every_second": base[:, ::2],
        "channels_last": tensor("image", (2, 3, 2, 2)).contiguous(memory_format=torch.channels_last),
        "shared": base,
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(tensor("parameter", (3,))),
    }


def flat(value, name: str = "") -> dict[str, torch.Tensor]:
    """Tensors below nested containers, by their keys joined with dots."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    found = {}
    for key, item in items:
        found |= flat(item, f"{name}.{key}" if name else str(key))
    return found


def write_tar(state: dict[str, torch.Tensor], path: pathlib.Path) -> None:
    """The form of 2017, from PyTorch's reader of it (`legacy_load` in `torch/serialization.py`)."""
    classes = {torch.float32: torch.FloatStorage, torch.int64: torch.LongStorage}
    storages, tensors = io.BytesIO(), io.BytesIO()
    pickle.dump(len(state), storages, protocol=2)
    pickle.dump(len(state), tensors, protocol=2)
    keys = {}
    for key, (name, t) in enumerate(state.items(), 100):
        keys[name] = key
        pickle.dump((key, "cpu", classes[t.dtype]), storages, protocol=2)
        storages.write(struct.pack("<q", t.numel()) + t.numpy().tobytes())
        pickle.dump((1000 + key, key, torch.FloatTensor), tensors, protocol=2)
        tensors.write(struct.pack("<ii", t.dim(), 0))
        tensors.write(struct.pack(f"<{2 * t.dim() + 1}q", *t.shape, *t.stride(), 0))
    pickle.dump([], storages, protocol=2)  # views

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return str(1000 + keys[value]) if isinstance(value, Named) else None

    class Named(str):
        pass

    body = io.BytesIO()
    Pickler(body, protocol=2).dump(collections.OrderedDict((name, Named(name)) for name in state))
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as tar:
        for name, content in (("sys_info", pickle.dumps({})), ("pickle", body.getvalue()), ("tensors", tensors.getvalue()), ("storages", storages.getvalue())):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
