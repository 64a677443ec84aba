"""Reference values for the statistics of crates/eval: scikit-learn, NumPy transcriptions, DeLong two ways.

The inputs are not stored. Both sides make them from SplitMix64 (Steele et al. 2014, constants below), by the formulas in
`case`, `model_draws` and `resamples`; the Rust side is crates/eval/tests/golden/inputs.rs.

DeLong's variance is computed from its definition, all pairs of a positive and a negative row (DeLong et al. 1988), and by
the Python implementation of Sun and Xu's fast algorithm in the package `confidenceinterval` (its delong.py comes from
https://github.com/yandexdataschool/roc_comparison), run in double precision; the two must agree to 1e-14 before anything is
written, and both are.
    pip install numpy scipy scikit-learn confidenceinterval==1.0.5
"""

import importlib.metadata
import inspect
import json
import math
import pathlib
import platform
import types

import numpy as np
import scipy.stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve

GAMMA = np.uint64(0x9E3779B97F4A7C15)


def mix(z):
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def words(case, stream, n):
    """n 64-bit words of a stream of a case."""
    counter = np.arange(n, dtype=np.uint64) + np.uint64((stream << 40) + 1)
    return mix(mix(np.uint64(case + 1) * np.ones(n, np.uint64)) + counter * GAMMA)


def uniform(case, stream, n):
    return (words(case, stream, n) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def case(k):
    """Labels, scores and weights (or None) of random case k; n from 2 to 10,000, from hardly any ties to two scores."""
    head = [int(word) for word in words(k, 0, 5)]
    most = [2, 3, 5, 9, 30, 100, 300, 1000, 3000, 10000][k % 10]
    n = 10000 if k == 999 else 2 + head[0] % (most - 1)
    levels = [2.0, 3.0, 10.0, 100.0, 10000.0, 2.0**53][head[1] % 6]
    prevalence = [0.5, 0.2, 0.05, 0.9][head[2] % 4]
    signal = [0.0, 0.3, 0.6, -0.3][head[3] % 4]
    u = uniform(k, 2, n)
    labels = uniform(k, 1, n) < prevalence + signal * (u - 0.5)
    scores = np.floor(u * levels) / levels
    labels[0], labels[1] = True, False
    weights = None
    if head[4] % 3 == 1:
        weights = (words(k, 3, n) % np.uint64(4)).astype(np.float64)
    elif head[4] % 3 == 2:
        weights = np.where(words(k, 3, n) % np.uint64(4) == 0, 0.0, uniform(k, 4, n))
    if weights is not None:
        weights[:2] = 1.0
    return labels, scores, weights


def model_draws(k, n, draws, strength):
    """Labels [n] at prevalence 0.3, patients [n] of one to three rows, scores [draws][n] in steps of 1/64."""
    labels = uniform(k, 1, n) < 0.3
    labels[0], labels[1] = True, False
    patients, row = np.zeros(n, np.int64), 0
    for patient, word in enumerate(words(k, 5, n)):
        if row >= n:
            break
        rows = 1 + int(word % np.uint64(3))
        patients[row : row + rows] = patient
        row += rows
    scores = [np.floor((uniform(k, 10 + d, n) + strength * labels) * 64.0) / 64.0 for d in range(draws)]
    return labels, patients, scores


def resamples(k, replicates, units):
    return (words(k, 9, replicates * units) % np.uint64(units)).astype(np.int64).reshape(replicates, units)


def exact_auc(labels, scores):
    """AUROC from the integer 2U, so that both sides round the same quotient once."""
    ranks = scipy.stats.rankdata(scores)
    positives = int(labels.sum())
    negatives = len(labels) - positives
    twice_u = int(2 * ranks[labels].sum()) - positives * (positives + 1)
    return twice_u / (2 * positives * negatives)


def mean(values):
    """Plain left-to-right mean. (np.mean adds pairwise from 8 values on; the last bit may differ.)"""
    return float(np.cumsum(values)[-1] / len(values))


def paper_interval(replicates):
    """The rule of MoCo-CXR's confidence_interval.py: order statistics, centre = mean of the distribution."""
    ordered = np.sort(replicates)
    n, c = len(ordered), 1 - 0.95
    return [mean(ordered), ordered[int(c / 2 * n) - 1], ordered[int((1 - c / 2) * n) - 1]]


def bca_interval(replicates, observed, jackknife, level=0.95):
    below, ties = np.sum(replicates < observed), np.sum(replicates == observed)
    z0 = scipy.stats.norm.ppf((below + ties / 2) / len(replicates))
    deviations = np.mean(jackknife) - jackknife
    a = np.sum(deviations**3) / (6 * np.sum(deviations**2) ** 1.5)
    ends = []
    for tail in ((1 - level) / 2, 1 - (1 - level) / 2):
        z = z0 + scipy.stats.norm.ppf(tail)
        ends.append(np.quantile(replicates, scipy.stats.norm.cdf(z0 + z / (1 - a * z))))
    return [observed, *ends]


def bootstrap_case(k, draws, replicates=500, n=120):
    labels, patients, first = model_draws(k, n, draws, 0.5)
    second = [np.floor((uniform(k, 30 + d, n) + 0.3 * labels) * 64.0) / 64.0 for d in range(draws)]

    def single(rows):
        return mean([exact_auc(labels[rows], scores[rows]) for scores in first])

    def paired(rows):
        return mean([exact_auc(labels[rows], a[rows]) - exact_auc(labels[rows], b[rows]) for a, b in zip(first, second)])

    by_row = resamples(k, replicates, n)
    # The same with scikit-learn's AUROC, as the reference calls it; it may differ in the last bits.
    sklearn = [mean([roc_auc_score(labels[rows], scores[rows]) for scores in first]) for rows in by_row]
    units = int(patients.max()) + 1
    members = [np.flatnonzero(patients == patient) for patient in range(units)]
    by_patient = [np.concatenate([members[p] for p in drawn]) for drawn in resamples(k + 1000, replicates, units)]
    clustered = np.array([single(rows) for rows in by_patient])
    everyone = np.arange(n)
    jackknife = np.array([single(everyone[patients != p]) for p in range(units)])
    return {
        "case": k, "draws": draws, "replicates": replicates, "n": n, "patients": units,
        "paper": paper_interval([single(rows) for rows in by_row]),
        "paper_sklearn": paper_interval(sklearn),
        "paper_paired": paper_interval([paired(rows) for rows in by_row]),
        "percentile": [single(everyone), *np.quantile(clustered, [0.025, 0.975])],
        "bca": bca_interval(clustered, single(everyone), jackknife),
    }  # fmt: skip


def pairs(labels, scores):
    """psi [positives, negatives]: 1 if the positive is above, 1/2 if they tie."""
    a, b = scores[labels][:, None], scores[~labels][None, :]
    return (a > b) + 0.5 * (a == b)


def published_delong():
    """The published implementation, which keeps its mid-ranks in float32, with float64 in its place."""
    from confidenceinterval import delong

    source = inspect.getsource(delong)
    assert "np.float32" in source
    module = types.ModuleType("delong_in_double_precision")
    exec(source.replace("np.float32", "np.float64"), module.__dict__)
    return module


def delong_case(k, n):
    reference = published_delong()
    labels, patients, (first, second) = model_draws(k, n, 2, 0.4)
    m, l = int(labels.sum()), int((~labels).sum())
    psi = [pairs(labels, scores) for scores in (first, second)]
    auc = np.array([p.mean() for p in psi])
    v10, v01 = np.array([p.mean(axis=1) for p in psi]), np.array([p.mean(axis=0) for p in psi])
    covariance = np.cov(v10) / m + np.cov(v01) / l

    order = np.argsort(~labels, kind="stable")
    fast_auc, fast_covariance = reference.fastDeLong(np.vstack([first, second])[:, order], m, None)
    assert np.allclose(fast_auc, auc, rtol=0, atol=1e-14)
    assert np.allclose(fast_covariance, covariance, rtol=0, atol=1e-14)
    fast_p = 10.0 ** float(reference.calc_pvalue(fast_auc, fast_covariance)[0, 0])

    difference, variance = auc[0] - auc[1], covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    z = difference / math.sqrt(variance)
    return {
        "case": k, "n": n, "auc": auc, "variance": np.diag(covariance), "difference_variance": variance,
        "z": z, "p": 2 * scipy.stats.norm.sf(abs(z)),
        "published": {"auc": fast_auc, "covariance": fast_covariance, "p": fast_p},
        "clustered_variance": obuchowski(labels, patients, psi[0]),
    }  # fmt: skip


def obuchowski(labels, patients, psi):
    """Obuchowski 1997, equations 4 to 8, written as sums over patients."""
    m, l, theta = psi.shape[0], psi.shape[1], psi.mean()
    x, y = psi.mean(axis=1), psi.mean(axis=0)
    of_positive, of_negative = patients[labels], patients[~labels]
    everyone = np.unique(patients)
    s10 = s01 = s11 = 0.0
    for patient in everyone:
        a = sum(value - theta for value, p in zip(x, of_positive) if p == patient)
        b = sum(value - theta for value, p in zip(y, of_negative) if p == patient)
        s10, s01, s11 = s10 + a * a, s01 + b * b, s11 + a * b
    i10, i01, i = len(np.unique(of_positive)), len(np.unique(of_negative)), len(everyone)
    s10, s01, s11 = s10 * i10 / ((i10 - 1) * m), s01 * i01 / ((i01 - 1) * l), s11 * i / (i - 1)
    return s10 / m + s01 / l + 2 * s11 / (m * l)


def point_case(k, n):
    """Operating point, Brier score and calibration of probabilities."""
    labels, scores = uniform(k, 1, n) < 0.4, uniform(k, 2, n)
    scores = 0.6 * scores + 0.4 * labels * uniform(k, 3, n)
    true, predicted = calibration_curve(labels, scores, n_bins=15, strategy="uniform")
    rows = np.histogram(scores, bins=np.linspace(0, 1, 16))[0]
    rows = rows[rows > 0]
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    return {
        "case": k, "n": n, "brier": brier_score_loss(labels, scores), "bin_rows": rows,
        "bin_positive_share": true, "bin_mean_score": predicted, "ece": np.sum(rows / n * np.abs(true - predicted)),
        "sensitivity_at_0.8": max(t for f, t in zip(fpr, tpr) if 1 - f >= 0.8 - 1e-12),
        "roc_x_sum": fpr.sum(), "roc_y_sum": tpr.sum(), "roc_points": len(fpr),
    }  # fmt: skip


def main(out_dir: pathlib.Path) -> None:
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "scikit-learn", "confidenceinterval")}
    versions["python"] = platform.python_version()
    note = "# " + ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [note, "auroc,auprc"]
    for k in range(1000):
        labels, scores, weights = case(k)
        auroc = roc_auc_score(labels, scores, sample_weight=weights)
        auprc = average_precision_score(labels, scores, sample_weight=weights)
        lines.append(f"{float(auroc)!r},{float(auprc)!r}")
    (out_dir / "auroc_auprc.csv").write_text("\n".join(lines) + "\n")

    values = {
        "versions": versions,
        "bootstrap": [bootstrap_case(2000, 1), bootstrap_case(2001, 5), bootstrap_case(2002, 8)],
        "bootstrap_40": bootstrap_case(2003, 5, replicates=40),
        "delong": [delong_case(3000 + i, n) for i, n in enumerate((20, 40, 113, 500))],
        "points": [point_case(4000, 200), point_case(4001, 1000)],
    }
    as_list = {np.ndarray: np.ndarray.tolist, np.float64: float, np.int64: int}
    text = json.dumps(values, indent=1, default=lambda value: as_list[type(value)](value))
    (out_dir / "stats.json").write_text(text + "\n")
