"""Small DICOM files and what pydicom shows of them, for `crates/cxr-data/tests/dicom.rs`.

Every file is 16 x 16 pixels that run through the whole range of stored values. Expected: pydicom's `apply_modality_lut`,
then `apply_voi_lut`, scaled from its output range to 0..=65535 (0..=255 where at most 8 bits are stored), inverted last
for MONOCHROME1, in f64. `expected.json` holds them with the name of each file.
"""

import importlib.metadata
import json
import pathlib
import warnings

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian

SIDE = 16


def film(stored=12, allocated=16, signed=False, monochrome1=False, overlay=False, **attributes):
    """A data set with pixels from the lowest to the highest stored value."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = pydicom.uid.ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.Modality = "CR"
    ds.Rows = ds.Columns = SIDE
    ds.SamplesPerPixel = 1
    ds.BitsAllocated, ds.BitsStored = allocated, stored
    ds.HighBit = stored - 1
    ds.PixelRepresentation = int(signed)
    ds.PhotometricInterpretation = "MONOCHROME1" if monochrome1 else "MONOCHROME2"
    lowest = -(1 << (stored - 1)) if signed else 0
    values = np.linspace(lowest, lowest + (1 << stored) - 1, SIDE * SIDE).round().astype(np.int64)
    raw = values & ((1 << stored) - 1)
    if overlay:  # a bit of an embedded overlay above the stored ones, in every other pixel
        raw |= (np.arange(raw.size) % 2) << stored
    ds.PixelData = raw.astype("<u2" if allocated == 16 else "u1").tobytes()
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds, values.reshape(SIDE, SIDE)


def table(first, values, bits):
    item = Dataset()
    item.LUTDescriptor = [len(values), first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTData = [int(value) for value in values]
    item["LUTData"].VR = "US"
    item.ModalityLUTType = "US"
    return pydicom.Sequence([item])


def shown(ds, values, top):
    """What pydicom shows, in levels of 0..=top. The stored values are given: pydicom leaves overlay bits to the caller."""
    modality = apply_modality_lut(values, ds)
    stored, signed = ds.BitsStored, ds.PixelRepresentation == 1
    if "VOILUTSequence" in ds:
        low, high = 0, (1 << ds.VOILUTSequence[0].LUTDescriptor[2]) - 1
    elif "ModalityLUTSequence" in ds and "WindowCenter" in ds:
        low, high = 0, (1 << ds.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    else:
        ends = np.array([-(1 << (stored - 1)), (1 << (stored - 1)) - 1] if signed else [0, (1 << stored) - 1])
        low, high = apply_modality_lut(ends, ds).astype(float)
        # pydicom's window runs from the image of the lowest stored value to that of the highest, a falling slope or not.
        if "WindowCenter" not in ds:
            low, high = sorted((low, high))
    unit = (apply_voi_lut(modality, ds).astype(np.float64) - low) / (high - low)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        unit = 1 - unit
    return unit.clip(0, 1) * top


def main(out_dir: pathlib.Path) -> None:
    # A rescaled image is floating point by the time its VOI table is looked up.
    warnings.filterwarnings("ignore", message="Applying a VOI LUT on a float input")
    window = {"WindowCenter": "1500", "WindowWidth": "2000"}
    rise = np.linspace(100, 60_000, 4096).astype(int)
    curve = (np.linspace(0, 1, 3000) ** 2 * 65_535).astype(int)
    short = (np.linspace(0, 1, 256) ** 0.5 * 4095).astype(int)
    cases = {
        "plain_8": film(8, 8),
        "plain_12": film(),
        "plain_12_monochrome1": film(monochrome1=True),
        "overlay_bits_10": film(10, overlay=True),
        "signed_12": film(signed=True),
        "rescale_window": film(RescaleSlope="2.5", RescaleIntercept="-1024", WindowCenter="3000", WindowWidth="5000"),
        "negative_slope": film(RescaleSlope="-1", RescaleIntercept="4095", **window),
        "window_monochrome1": film(monochrome1=True, **window),
        "window_exact": film(VOILUTFunction="LINEAR_EXACT", **window),
        "window_sigmoid": film(VOILUTFunction="SIGMOID", **window),
        "two_windows": film(WindowCenter=["1500", "300"], WindowWidth=["2000", "50"]),
        "overlay_bits": film(overlay=True, **window),
        "signed_rescale_window": film(signed=True, RescaleSlope="0.5", RescaleIntercept="10", WindowCenter="0", WindowWidth="900"),
        "modality_lut_window": film(ModalityLUTSequence=table(0, rise, 16), WindowCenter="30000", WindowWidth="40000"),
        "voi_lut": film(VOILUTSequence=table(500, curve, 16)),
        "rescale_voi_lut_monochrome1": film(monochrome1=True, RescaleSlope="1", RescaleIntercept="-2000", VOILUTSequence=table(-1500, curve, 16)),
        "voi_lut_before_window": film(8, 8, VOILUTSequence=table(0, short, 12), WindowCenter="100", WindowWidth="50"),
    }
    expected = {}
    for name, (ds, values) in cases.items():
        ds.save_as(out_dir / f"{name}.dcm", enforce_file_format=True)
        top = 255 if ds.BitsStored <= 8 else 65_535
        expected[name] = {"bits": 8 if top == 255 else 16, "levels": [round(float(v), 3) for v in shown(ds, values, top).ravel()]}
    versions = {name: importlib.metadata.version(name) for name in ("pydicom", "numpy")}
    text = json.dumps({"versions": versions, "side": SIDE, "cases": expected}).replace('}, "', '},\n"')
    (out_dir / "expected.json").write_text(text + "\n")
