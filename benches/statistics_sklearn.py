"""The bootstrap as the reference code writes it, with scikit-learn, timed. Called by crates/eval/benches/statistics.rs.

Prints one JSON object: versions, CPU seconds of each workload (one thread; wall time would also count other programs), and the first AUROC of each as a check that the data are the same.
"""

import importlib.metadata
import json
import pathlib
import platform
import sys
import time

import numpy as np
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "golden"))
from make_stats import uniform  # the same SplitMix64 inputs as crates/eval/tests/golden/inputs.rs


def model(case, labels, stream, strength):
    return np.floor((uniform(case, stream, len(labels)) + strength * labels) * 4096.0) / 4096.0


def paired(replicates=500, draws=5, n=500):
    """MoCo-CXR confidence_interval_diff.py: one resample for both models and all draws."""
    labels = uniform(7000, 1, n) < 0.3
    first = [model(7000, labels, 10 + d, 0.5) for d in range(draws)]
    second = [model(7000, labels, 30 + d, 0.3) for d in range(draws)]
    start = time.process_time()
    differences = []
    for _ in range(replicates):
        rows = np.random.choice(n, n, replace=True)
        differences.append(
            np.mean([roc_auc_score(labels[rows], a[rows]) - roc_auc_score(labels[rows], b[rows]) for a, b in zip(first, second)])
        )
    ordered = np.sort(differences)
    _ = ordered[11], ordered[486], ordered.mean()
    return time.process_time() - start, roc_auc_score(labels, first[0])


def many_tasks(replicates=100, tasks=14, n=25_000):
    truth = [uniform(7100 + t, 1, n) < 0.1 + 0.02 * t for t in range(tasks)]
    scores = [model(7100 + t, truth[t], 10, 0.4) for t in range(tasks)]
    start = time.process_time()
    replicate_values = []
    for _ in range(replicates):
        rows = np.random.choice(n, n, replace=True)
        replicate_values.append([roc_auc_score(y[rows], s[rows]) for y, s in zip(truth, scores)])
    _ = np.quantile(replicate_values, [0.025, 0.975], axis=0)
    return time.process_time() - start, roc_auc_score(truth[0], scores[0])


seconds, checks = zip(paired(), many_tasks())
versions = {name: importlib.metadata.version(name) for name in ("scikit-learn", "numpy")}
print(json.dumps({"versions": {"python": platform.python_version(), **versions}, "seconds": seconds, "first_auroc": checks}))
