"""Reads the TensorBoard files of a run with the `tensorboard` package and prints what is in them.

    python golden/check_tensorboard.py runs/first

Every scalar is compared with metrics.jsonl; a difference beyond the rounding to 32 bits ends with status 1.
"""

import importlib.metadata
import io
import json
import pathlib
import struct
import sys

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main(run: pathlib.Path) -> int:
    everything = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}
    events = EventAccumulator(str(run / "tb"), size_guidance=everything)
    events.Reload()
    tags = events.Tags()
    print("tensorboard", importlib.metadata.version("tensorboard"))

    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = {split: {line["step"]: line for line in lines if line["split"] == split} for split in ("train", "epoch")}
    names = {"learning_rate": "lr", "similarity_positive": "positive", "similarity_negative": "negative",
             "embedding_deviation": "feature_std"}
    faults = 0
    print(f"{'scalar':32} {'events':>6} {'first step':>10} {'last step':>9} {'last value':>12}  as in metrics.jsonl")
    for tag in sorted(tags["scalars"]):
        values = events.Scalars(tag)
        group, name = tag.split("/")
        name = names.get(name, name)
        steps = [value.step for value in values]
        same = "-"
        if group in logged and name in next(iter(logged[group].values())):
            f32 = lambda x: struct.unpack("f", struct.pack("f", x))[0]
            wrong = [v.step for v in values if v.value != f32(logged[group][v.step][name])]
            missing = [s for s, line in logged[group].items() if s not in steps and line.get("gradient_norm") is not None]
            faults += len(wrong) + len(missing) + (len(steps) != len(set(steps)))
            same = "all equal" if not wrong and not missing else f"wrong at {wrong}, missing at {missing}"
        print(f"{tag:32} {len(values):6} {steps[0]:10} {steps[-1]:9} {values[-1].value:12.5g}  {same}")

    for tag in tags["images"]:
        for image in events.Images(tag):
            picture = Image.open(io.BytesIO(image.encoded_image_string))
            picture.load()
            faults += picture.size != (image.width, image.height)
            print(f"image {tag}: step {image.step}, {image.width} x {image.height}, {picture.format} {picture.mode}, "
                  f"grey values {picture.getextrema()}")
    for tag in tags["histograms"]:
        for histogram in events.Histograms(tag):
            value = histogram.histogram_value
            counted = logged["epoch"][histogram.step]["coordinates"]
            faults += sum(value.bucket) != sum(counted) or value.num != sum(counted)
            deviation = (value.sum_squares / value.num - (value.sum / value.num) ** 2) ** 0.5
            print(f"histogram {tag}: step {histogram.step}, {value.num:.0f} values in {len(value.bucket)} buckets, "
                  f"{value.min:.3f} to {value.max:.3f}, deviation {deviation:.3f}")
    complete = all(tags[kind] for kind in ("scalars", "images", "histograms"))
    print("faults:", faults if complete else "a kind of event is missing")
    return int(faults > 0 or not complete)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
