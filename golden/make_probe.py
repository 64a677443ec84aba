"""Reference values for the probes of crates/eval: scikit-learn's logistic regression, PyTorch's masked loss and training.

Numbers that go in are multiples of 1/256 (features, logits) or bytes (images), so that f32 and f64 hold them exactly.

`train` transcribes the steps of MoCo-CXR's supervised pipeline (chexpert-model/train.py, eval/loss.py): batch
normalisation in train mode whatever is trained, `BCEWithLogitsLoss(reduction="none")` masked and divided by the number of
labelled cells, Adam(3e-5, betas (0.9, 0.999), no decay). Linear mode sets `requires_grad = False` on all but the last layer.
    pip install numpy scikit-learn torch
"""

import json
import pathlib
import platform

import numpy as np
import sklearn
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler


def grid(values):
    return np.round(np.asarray(values) * 256) / 256


def logistic_case(rng, n, d, l2, mixing, prevalence):
    x = rng.normal(size=(n, d)) @ (np.eye(d) + mixing * rng.normal(size=(d, d))) + 3.0 * rng.normal(size=d)
    x = grid(x)
    w = rng.normal(size=d)
    score = (x - x.mean(0)) @ w + np.sqrt(d) * rng.logistic(size=n)
    y = (score > np.quantile(score, 1 - prevalence)).astype(int)
    fit = LogisticRegression(C=1.0 / l2, solver="newton-cholesky", tol=1e-14, max_iter=1000).fit(x, y)
    scaler = StandardScaler().fit(x)
    scaled = LogisticRegression(C=1.0 / l2, solver="newton-cholesky", tol=1e-14, max_iter=1000).fit(scaler.transform(x), y)
    z = scaler.transform(x)
    residual = 1 / (1 + np.exp(-(z @ scaled.coef_[0] + scaled.intercept_[0]))) - y
    gradient = np.append(z.T @ residual + l2 * scaled.coef_[0], residual.sum())
    assert np.abs(gradient).max() / n < 1e-12, np.abs(gradient).max() / n
    return {
        "n": n, "d": d, "l2": l2, "features": x.ravel().tolist(), "labels": y.tolist(),
        "weights": fit.coef_[0].tolist(), "intercept": float(fit.intercept_[0]),
        "mean": scaler.mean_.tolist(), "deviation": scaler.scale_.tolist(),
        "standardized_weights": scaled.coef_[0].tolist(), "standardized_intercept": float(scaled.intercept_[0]),
    }


def logistic(out):
    rng = np.random.default_rng(1)
    cases = [
        logistic_case(rng, 40, 5, 1.0, 0.0, 0.5),
        logistic_case(rng, 24, 40, 0.5, 0.2, 0.4),  # fewer rows than features
        logistic_case(rng, 24, 40, 1e-3, 0.0, 0.4),  # separable, and a penalty that hardly holds
        logistic_case(rng, 200, 8, 100.0, 1.0, 0.1),
        logistic_case(rng, 200, 8, 1e-4, 3.0, 0.1),  # strongly correlated features
    ]
    write(out / "logistic.json", cases)


def loss(out):
    rng = np.random.default_rng(2)
    cases = []
    for rows, tasks, masked in [(6, 1, 0.0), (5, 14, 0.4), (3, 2, 0.8)]:
        z = grid(3 * rng.normal(size=(rows, tasks)))
        z.flat[0] = 0.0  # where |z| has no slope
        z.flat[-1] = 40.0  # where exp(-|z|) vanishes
        t = (rng.random((rows, tasks)) < 0.3).astype(float)
        mask = rng.random((rows, tasks)) >= masked
        mask.flat[0] = mask.flat[-1] = True
        logits = torch.tensor(z, dtype=torch.float64, requires_grad=True)
        m = torch.tensor(mask, dtype=torch.float64)
        each = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(t), reduction="none")
        value = (each * m).sum() / m.sum()
        value.backward()
        targets = [None if not keep else v for v, keep in zip(t.ravel().tolist(), mask.ravel())]
        cases.append({"rows": rows, "tasks": tasks, "logits": z.ravel().tolist(), "targets": targets,
                      "loss": value.item(), "gradient": logits.grad.ravel().tolist()})
    write(out / "loss.json", cases)


class Tiny(torch.nn.Module):
    def __init__(self, tasks):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 4, 3, stride=2, padding=1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(4)
        self.conv2 = torch.nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(6)
        self.fc = torch.nn.Linear(6, tasks)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return self.fc(x.mean((2, 3)))


def train(model, images, targets, batches, frozen):
    if frozen:
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith("fc.")
    model.train()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=3e-5)
    losses = []
    for rows in batches:
        logits = model(images[rows])
        t = targets[rows]
        m = (~t.isnan()).to(t.dtype)
        each = torch.nn.functional.binary_cross_entropy_with_logits(logits, t.nan_to_num(), reduction="none")
        value = (each * m).sum() / m.sum()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def state(model):
    tensors = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    return {k: {"shape": list(v.shape), "values": v.ravel().tolist()} for k, v in tensors.items()}


def training(out):
    torch.manual_seed(3)
    torch.set_default_dtype(torch.float64)
    rng = np.random.default_rng(3)
    count, side, tasks, batch, steps = 24, 8, 3, 8, 20
    pixels = rng.integers(0, 256, (count, side, side))
    images = torch.tensor(pixels / 255.0).unsqueeze(1)
    targets = (rng.random((count, tasks)) < 0.4).astype(float)
    targets[rng.random((count, tasks)) < 0.3] = np.nan
    batches = [rng.permutation(count)[:batch].tolist() for _ in range(steps)]
    model = Tiny(tasks)
    start = state(model)
    results = {}
    for name, frozen in [("frozen", True), ("all", False)]:
        model = Tiny(tasks)
        model.load_state_dict({k: torch.tensor(v["values"]).reshape(v["shape"]) for k, v in start.items()}, strict=False)
        losses = train(model, images, torch.tensor(targets), batches, frozen)
        end = state(model)
        model.eval()
        with torch.no_grad():
            results[name] = {"losses": losses, "state": end, "scores": model(images).ravel().tolist()}
    # Averages over the batches with equal weight: batch normalisation with momentum=None.
    model = Tiny(tasks)
    model.load_state_dict({k: torch.tensor(v["values"]).reshape(v["shape"]) for k, v in start.items()}, strict=False)
    for layer in (model.bn1, model.bn2):
        layer.reset_running_stats()
        layer.momentum = None
    model.train()
    with torch.no_grad():
        for first in range(0, count, batch):
            model(images[first : first + batch])
    results["running"] = {k: v for k, v in state(model).items() if "running" in k}
    torch.set_default_dtype(torch.float32)
    nulls = [None if np.isnan(t) else t for t in targets.ravel()]
    write(out / "training.json", {"count": count, "side": side, "tasks": tasks, "pixels": pixels.ravel().tolist(),
                                  "targets": nulls, "batches": batches, "start": start, **results})


def grad_cam(out):
    """Selvaraju et al., equations 1 and 2, by hand on the last maps: the gradient of one task's logit, averaged over
    positions, weighs the maps."""
    torch.manual_seed(9)
    torch.set_default_dtype(torch.float64)
    rng = np.random.default_rng(4)
    count, side, tasks = 3, 16, 2
    pixels = rng.integers(0, 256, (count, side, side))
    model = Tiny(tasks)
    for layer in (model.bn1, model.bn2):  # statistics and scales that are not the identity
        c = layer.num_features
        layer.running_mean.copy_(torch.tensor(grid(rng.normal(size=c) / 8)))
        layer.running_var.copy_(torch.tensor(grid(0.5 + rng.random(c))))
        layer.weight.data.copy_(torch.tensor(grid(rng.normal(size=c))))
        layer.bias.data.copy_(torch.tensor(grid(rng.normal(size=c) / 2)))
    model.eval()
    maps, logits = [], []
    for task in range(tasks):
        x = torch.tensor(pixels / 255.0).unsqueeze(1)
        x = torch.relu(model.bn1(model.conv1(x)))
        a = torch.relu(model.bn2(model.conv2(x)))
        z = model.fc(a.mean((2, 3)))[:, task]
        (gradient,) = torch.autograd.grad(z.sum(), a)
        alpha = gradient.mean((2, 3), keepdim=True)
        maps.append(torch.relu((alpha * a).sum(1)).detach().ravel().tolist())
        logits.append(z.detach().tolist())
    torch.set_default_dtype(torch.float32)
    assert all(min(m) == 0 < max(m) for m in maps), "the rectification must matter"
    write(out / "grad_cam.json", {"count": count, "side": side, "tasks": tasks, "pixels": pixels.ravel().tolist(),
                                  "state": state(model), "maps": maps, "logits": logits})


def write(path, value):
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


def main(out: pathlib.Path) -> None:
    versions = {"python": platform.python_version(), "numpy": np.__version__, "scikit-learn": sklearn.__version__,
                "torch": torch.__version__}
    (out / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")
    logistic(out)
    loss(out)
    training(out)
    grad_cam(out)
