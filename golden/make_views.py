"""Reference values for decoding and views: Pillow, called as torchvision 0.5 calls it, and OpenCV.

decode/   small files of every kind, each with what Pillow reads from it
views/    one image per operation, with its parameters in views.json
"""

import importlib.metadata
import io
import json
import math
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image


def main(out: pathlib.Path) -> None:
    decode(out / "decode")
    views(out / "ops")
    versions = {name: importlib.metadata.version(name) for name in ("pillow", "numpy", "torch", "torchvision", "opencv-python-headless")}
    (out / "versions.json").write_text(json.dumps(versions, indent=1, sort_keys=True) + "\n")


def phantom(width: int, height: int, seed: int) -> np.ndarray:
    """Something smooth with edges, texture and full range, float in 0..1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    u, v = x / width - 0.5, y / height - 0.5
    image = 0.55 + 0.35 * np.cos(3 * u) * np.cos(2 * v)
    for side in (-1, 1):  # two dark fields with sharp borders
        image[((u - 0.22 * side) / 0.16) ** 2 + (v / 0.33) ** 2 < 1] -= 0.4
    image += 0.12 * np.sin(40 * v + 9 * u * u) * (np.abs(u) < 0.4)  # ribs
    image += rng.normal(0, 0.02, image.shape)
    image[: height // 10, : width // 6] = 1.0  # a marker
    return np.clip(image, 0, 1)


def phantom8(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.round(phantom(width, height, seed) * 255).astype(np.uint8)


def png(width: int, height: int, depth: int, colour_type: int, rows: list[bytes], extra: bytes = b"") -> bytes:
    """A PNG by hand, for the depths that Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def packed(values: np.ndarray, bits: int) -> list[bytes]:
    """Rows of 1, 2 or 4 bit values, most significant first."""
    rows = []
    for row in values:
        spread = (row[:, None] >> np.arange(bits - 1, -1, -1)) & 1
        rows.append(np.packbits(spread.reshape(-1)).tobytes())
    return rows


def decode(out: pathlib.Path) -> None:
    out.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    width, height = 37, 29  # odd, so that padding and the last byte of packed rows count
    grey = phantom8(width, height)
    colour = np.stack([grey, np.roll(grey, 3, 1), 255 - grey], -1)
    alpha = rng.integers(0, 256, grey.shape, dtype=np.uint8)

    def put(name: str, data: bytes, expected: np.ndarray | None = None) -> None:
        (out / name).write_bytes(data)
        if expected is None:
            expected = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
        np.save(out / (name.rsplit(".", 1)[0] + ".npy"), expected)

    def saved(image: Image.Image, kind: str, **options) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    for bits in (1, 2, 4):
        put(f"grey{bits}.png", png(width, height, bits, 0, packed(grey >> (8 - bits), bits)))
    put("grey8.png", saved(Image.fromarray(grey), "PNG"))
    put("grey_alpha8.png", saved(Image.fromarray(np.stack([grey, alpha], -1), "LA"), "PNG"))
    put("rgb8.png", saved(Image.fromarray(colour), "PNG"))
    put("rgba8.png", saved(Image.fromarray(np.concatenate([colour, alpha[..., None]], -1)), "PNG"))
    palette = Image.fromarray(colour).quantize(16)
    put("palette.png", saved(palette, "PNG"))
    put("palette_alpha.png", saved(palette, "PNG", transparency=bytes(range(0, 160, 10))))

    wide = np.round(phantom(width, height, 2) * 65535).astype(np.uint16)
    put("grey16.png", saved(Image.fromarray(wide), "PNG"), wide)
    # Pillow reads 16 bit colour as 8 bits; the expected values are its luma formula on the 16 bits.
    rgb = np.stack([wide, np.roll(wide, 5, 1), 65535 - wide], -1)
    luma = (rgb.astype(np.uint64) @ np.array([19595, 38470, 7471], np.uint64) + 0x8000) >> 16
    rows = [row.astype(">u2").tobytes() for row in rgb]
    put("rgb16.png", png(width, height, 16, 2, rows), luma.astype(np.uint16))

    width, height = 75, 61  # no multiple of 8 or 16
    grey = phantom8(width, height, 3)
    put("grey_q90.jpg", saved(Image.fromarray(grey), "JPEG", quality=90))
    put("grey_progressive.jpg", saved(Image.fromarray(grey), "JPEG", quality=90, progressive=True))
    # Faint colours: all stay inside RGB, where luma of RGB and the luma plane agree but for rounding.
    inside = np.clip(grey.astype(int), 40, 215)
    faint = np.stack([inside + 20, inside, inside - 20], -1).astype(np.uint8)
    put("colour_444.jpg", saved(Image.fromarray(faint), "JPEG", quality=92, subsampling=0))
    put("colour_420.jpg", saved(Image.fromarray(faint), "JPEG", quality=92, subsampling=2))


# The paper's pipeline with the calls that torchvision 0.5 makes of Pillow (functional.py of that version). Each takes
# the random numbers as arguments.


def tv_resize(image: Image.Image, size: int) -> Image.Image:
    width, height = image.size
    if (width <= height and width == size) or (height <= width and height == size):
        return image
    if width < height:
        return image.resize((size, int(size * height / width)), Image.BILINEAR)
    return image.resize((int(size * width / height), size), Image.BILINEAR)


def tv_rotate(image: Image.Image, angle: float) -> Image.Image:
    return image.rotate(angle, Image.NEAREST, False, None, fillcolor=(0, 0, 0))


def tv_crop(image: Image.Image, left: int, top: int, size: int) -> Image.Image:
    return image.crop((left, top, left + size, top + size))


def tv_center_crop(image: Image.Image, size: int) -> Image.Image:
    width, height = image.size
    return tv_crop(image, int(round((width - size) / 2.0)), int(round((height - size) / 2.0)), size)


def paper(image: Image.Image, size: int, flip: bool, angle: float, left: int, top: int) -> Image.Image:
    image = tv_resize(image.convert("RGB"), size)
    if flip:
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    return tv_crop(tv_rotate(image, angle), left, top, size)


def views(out: pathlib.Path) -> None:
    import cv2
    import torch
    import torchvision.transforms.v2.functional as tvf

    out.mkdir(exist_ok=True)
    sources = {"wide": phantom8(151, 117, 5), "tall": phantom8(90, 131, 6)}
    for name, values in sources.items():
        Image.fromarray(values).save(out / f"{name}.png")
    wide16 = np.round(phantom(61, 53, 7) * 65535).astype(np.uint16)
    Image.fromarray(wide16).save(out / "wide16.png")

    def put(name: str, image) -> None:
        values = np.asarray(image)
        np.save(out / f"{name}.npy", values[..., 0] if values.ndim == 3 else values)

    cases = []
    for index, (source, size, flip, angle) in enumerate(
        [
            ("wide", 64, False, 7.25),
            ("wide", 64, True, -3.7),
            ("wide", 117, True, 9.99),
            ("wide", 64, False, 0.0),
            ("tall", 64, True, 0.013),
            ("tall", 96, False, -10.0),
            ("tall", 90, False, 4.4444),
        ]
    ):
        image = Image.fromarray(sources[source])
        width, height = tv_resize(image, size).size
        left, top = (width - size) * 2 // 3, (height - size) * 2 // 3
        put(f"paper{index}", paper(image, size, flip, angle, left, top))
        cases.append(dict(name=f"paper{index}", source=source, size=size, flip=flip, angle=angle, left=left, top=top))

    chains = []
    jpeg = Image.open(out.parent / "decode" / "grey_q90.jpg")
    for size, angle in [(48, 5.5), (61, -8.125)]:
        name = f"jpeg_chain{size}"
        left = (tv_resize(jpeg, size).width - size) // 2
        put(name, paper(jpeg, size, True, angle, left, 0))
        chains.append(dict(name=name, size=size, angle=angle, left=left, top=0))

    evals, resizes, rotations, blurs = [], [], [], []
    for source, size in [("wide", 64), ("tall", 48), ("wide", 117), ("tall", 91)]:
        name = f"eval_{source}{size}"
        put(name, tv_center_crop(tv_resize(Image.fromarray(sources[source]), size), size))
        evals.append(dict(name=name, source=source, size=size))
    for source, size in [("wide", 33), ("wide", 160), ("tall", 89)]:
        name = f"resize_{source}{size}"
        put(name, tv_resize(Image.fromarray(sources[source]), size))
        resizes.append(dict(name=name, source=source, size=size))
    for source, angle in [("wide", 7.25), ("tall", -31.0)]:
        image = Image.fromarray(sources[source])
        size = min(image.size)
        name = f"bilinear_{source}"
        rotated = tv_resize(image, size).rotate(angle, Image.BILINEAR, fillcolor=0)
        put(name, tv_center_crop(rotated, size))
        rotations.append(dict(name=name, source=source, size=size, angle=angle))
    square = torch.from_numpy(sources["wide"][:90, :90].copy()).float()[None, None] / 255
    for sigma in (0.4, 1.0, 2.7):
        kernel = 2 * max(1, math.ceil(3 * sigma)) + 1
        name = f"blur{sigma}"
        put(name, tvf.gaussian_blur(square, [kernel, kernel], [sigma, sigma])[0, 0].mul(255).round().byte().numpy())
        blurs.append(dict(name=name, sigma=sigma))
    jitters = []
    # Factors under which no product of a level lies half-way between two, where only the tie rules would differ.
    for op, factor in [("brightness", 1.3137), ("brightness", 0.6083), ("contrast", 1.4), ("contrast", 0.7), ("gamma", 1.3), ("gamma", 0.75)]:
        name = f"{op}{factor}"
        put(name, getattr(tvf, f"adjust_{op}")(square, factor)[0, 0].mul(255).round().byte().numpy())
        jitters.append(dict(name=name, op=op, factor=factor))
    clahes = []
    for name, values, clip, tiles in [
        ("clahe_divisible", sources["wide"][:96, :96], 2.0, 8),
        ("clahe_odd", sources["wide"], 3.0, 8),
        ("clahe_tall", sources["tall"], 1.0, 4),
        ("clahe_wide16", wide16, 2.0, 4),
    ]:
        values = np.ascontiguousarray(values)
        np.save(out / f"{name}_in.npy", values)
        put(name, cv2.createCLAHE(clip, (tiles, tiles)).apply(values))
        clahes.append(dict(name=name, bits=values.dtype.itemsize * 8, clip_limit=clip, tiles=tiles))
    record = dict(
        paper=cases, jpeg_chain=chains, eval=evals, resize=resizes, bilinear=rotations, blur=blurs, jitter=jitters, clahe=clahes
    )
    (out / "cases.json").write_text(json.dumps(record, indent=1) + "\n")
