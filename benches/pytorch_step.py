"""The step that `moco-cxr bench step` measures, in PyTorch: upload of two u8 views, two encoders, queue, loss, backward, SGD.

Written from the method's description (He et al., arXiv:1911.05722, Algorithm 1; v2: arXiv:2003.04297). Prints one JSON object; with
--turns it makes steps on request, as `moco-cxr bench step --turns` does, for benches/step.py.
"""

import argparse
import json
import os
import resource
import sys
import time

import torch
import torchvision
from torch import nn
from torch.nn import functional as F


def encoder(arch, dim):
    network = torchvision.models.get_model(arch, weights=None)
    name = "fc" if hasattr(network, "fc") else "classifier"
    width = getattr(network, name).in_features
    setattr(network, name, nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dim)))
    return network


class Step:
    def __init__(self, options, device):
        self.options, self.device, self.momentum, self.temperature = options, device, 0.999, 0.2
        torch.manual_seed(0)
        layout = dict(device=device, memory_format=torch.channels_last)
        self.query = encoder(options.arch, 128).to(**layout).train()
        self.key = encoder(options.arch, 128).to(**layout).train()
        self.key.load_state_dict(self.query.state_dict())
        for parameter in self.key.parameters():
            parameter.requires_grad_(False)
        self.queue = F.normalize(torch.randn(options.moco_k, 128, device=device), dim=1)
        self.pointer = 0
        self.optimizer = torch.optim.SGD(self.query.parameters(), lr=1e-5, momentum=0.9, weight_decay=1e-4, fused=device.type == "cpu" or None)
        shape = (2, options.batch_size, 1, options.image_size, options.image_size)
        self.host = torch.randint(0, 256, shape, dtype=torch.uint8)
        if device.type == "cuda":
            self.host = self.host.pin_memory()
        self.encode_query, self.encode_key = self.query, self.key
        if options.compile:
            self.encode_query, self.encode_key = torch.compile(self.query), torch.compile(self.key)

    def images(self, view):
        grey = self.host[view].to(self.device, non_blocking=True).float().div(255).sub(0.5020).div(0.085585)
        return grey.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)

    def __call__(self):
        query, key = self.images(0), self.images(1)
        half = self.options.precision == "bf16"
        with torch.no_grad():
            pairs = list(zip(self.key.parameters(), self.query.parameters()))
            torch._foreach_lerp_([k for k, _ in pairs], [q.detach() for _, q in pairs], 1 - self.momentum)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            q = self.encode_query(query)
            with torch.no_grad():
                k = self.encode_key(key)
        q, k = F.normalize(q.float(), dim=1), F.normalize(k.float(), dim=1)
        positive = (q * k).sum(1, keepdim=True)
        logits = torch.cat([positive, q @ self.queue.T], 1) / self.temperature
        loss = F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long, device=self.device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        rows = torch.arange(self.pointer, self.pointer + len(k), device=self.device) % len(self.queue)
        self.queue[rows] = k
        self.pointer = (self.pointer + len(k)) % len(self.queue)
        return loss.item()


def turn(step, steps, wait):
    """Some steps, and what the system counted meanwhile; on Linux `ru_maxrss` is in KiB."""
    before, begin, step_ms = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter(), []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        wait()
        step_ms.append(1e3 * (time.perf_counter() - start))
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return dict(
        step_ms=step_ms,
        threads=torch.get_num_threads(),
        busy_cores=processor / wall,
        minor_faults=(after.ru_minflt - before.ru_minflt) / steps,
        peak_bytes=1024 * after.ru_maxrss,
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--moco-k", type=int, default=24_576)
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--turns", action="store_true")
    options = parser.parse_args()
    device = torch.device(options.device)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    torch.set_num_threads(options.threads)
    step = Step(options, device)
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    begin = time.perf_counter()
    step()
    wait()
    first = time.perf_counter() - begin
    for _ in range(options.warmup - 1):
        step()
    wait()
    if options.turns:
        print(json.dumps(dict(torch=torch.__version__)), flush=True)
        for line in sys.stdin:
            print(json.dumps(turn(step, int(line), wait)), flush=True)
        return
    begin = time.perf_counter()
    for _ in range(options.steps):
        step()
    wait()
    seconds = (time.perf_counter() - begin) / options.steps
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    peak = torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None
    report = dict(torch=torch.__version__, adapter=name, images_per_s=options.batch_size / seconds, step_ms=seconds * 1e3)
    print(json.dumps(vars(options) | report | dict(device_bytes=peak, first_step_s=first)))


if __name__ == "__main__":
    main()
