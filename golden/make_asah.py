"""Mid-ranks of three markers of the data set aSAH of the R package pROC, for the comparison with its published results.

DeLong's statistics depend on the ranks of the scores alone, so that only these are stored, beside the outcome: 113 patients
with aneurysmal subarachnoid haemorrhage (Turck et al. 2010, <https://doi.org/10.1007/s00134-009-1641-y>), 41 of them with a
poor outcome. The results themselves stand in pROC's own tests and are written out in crates/eval/tests/golden/delong.rs.
    pip install pyreadr pandas scipy
    ASAH_RDATA=pROC/data/aSAH.RData python golden/generate.py asah      (the file of https://github.com/xrobin/pROC)
Without ASAH_RDATA the file stays as it is.
"""

import os
import pathlib

MARKERS = ["wfns", "ndka", "s100b"]


def main(out_dir: pathlib.Path) -> None:
    source = os.environ.get("ASAH_RDATA")
    if source is None:
        print("asah: ASAH_RDATA does not name pROC's aSAH.RData; left as it is")
        return
    import pyreadr
    from scipy.stats import rankdata

    data = pyreadr.read_r(source)["aSAH"]
    ranks = [rankdata(data[marker].astype(float)) for marker in MARKERS]
    lines = ["poor," + ",".join(MARKERS)]
    for row, outcome in enumerate(data["outcome"]):
        lines.append(",".join([str(int(outcome == "Poor")), *(f"{rank[row]:g}" for rank in ranks)]))
    (out_dir / "ranks.csv").write_text("\n".join(lines) + "\n")
