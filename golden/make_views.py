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
    versions = {name: importlib.metadata.version(name) for name in ("pillow", "numpy")}
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
