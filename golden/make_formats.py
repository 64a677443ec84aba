"""Reference values for image files of other kinds than grey JPEG and PNG: what Pillow reads from them, turned as their EXIF
orientation says (ImageOps.exif_transpose), as grey (mode L, or I;16 for 16 bits).

NAME          the file
NAME.txt      width, height, bits, then the values
"""

import importlib.metadata
import json
import pathlib

import numpy as np
from PIL import Image, ImageOps

WIDTH, HEIGHT = 24, 17


def main(out: pathlib.Path) -> None:
    grey = field(0)
    colour = Image.merge("RGB", [Image.fromarray(field(seed)) for seed in (1, 2, 3)])
    deep = Image.fromarray((field(4).astype(np.uint16) * 257 + 3).astype(np.uint16))
    grey = Image.fromarray(grey)
    save(out, grey, "grey.bmp")
    save(out, colour, "colour.bmp")
    save(out, grey.quantize(16), "palette.bmp")
    save(out, colour, "lossless.webp", lossless=True)
    save(out, grey, "grey.tif")
    save(out, grey, "packbits.tif", compression="packbits")
    save(out, grey, "lzw.tif", compression="tiff_lzw")
    save(out, grey, "deflate.tif", compression="tiff_deflate")
    save(out, colour, "colour.tiff")
    save(out, deep, "deep.tif")
    white_is_zero(out / "white-is-zero.tif", field(5))
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(out, grey, f"turned-{orientation}.png", exif=exif)
    exif = Image.Exif()
    exif[0x0112] = 6
    grey.save(out / "turned-6.tif", exif=exif)  # Pillow turns a TIFF by itself, and exif_transpose then turns it again
    save(out, grey, "turned-6.jpg", exif=exif, quality=95)
    save(out, colour.convert("CMYK"), "cmyk.jpg", quality=95)
    save(out, colour, "plain.jfif", format="JPEG", quality=95)
    versions = {name: importlib.metadata.version(name) for name in ("pillow", "numpy")}
    (out / "versions.json").write_text(json.dumps(versions, indent=1, sort_keys=True) + "\n")


def field(seed: int) -> np.ndarray:
    """Smooth and of the full range, different to the right and below, uint8 [HEIGHT, WIDTH]."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    values = np.cos(0.2 * x + seed) + np.sin(0.3 * y + 0.05 * x * (seed + 1)) + 0.1 * x / WIDTH
    low, high = values.min(), values.max()
    return np.round(255 * (values - low) / (high - low)).astype(np.uint8)


def save(out: pathlib.Path, image: Image.Image, name: str, **options) -> None:
    image.save(out / name, **options)
    expect(out / name)


def expect(path: pathlib.Path) -> None:
    image = ImageOps.exif_transpose(Image.open(path))
    deep = image.mode.startswith("I;16")
    values = np.array(image if deep else image.convert("L"))
    head = f"{values.shape[1]} {values.shape[0]} {16 if deep else 8}\n"
    path.with_name(path.name + ".txt").write_text(head + " ".join(map(str, values.ravel())) + "\n")


def white_is_zero(path: pathlib.Path, values: np.ndarray) -> None:
    """A TIFF whose 0 is white (PhotometricInterpretation 0), which Pillow writes of no grey image."""
    import struct

    tags = [(256, 3, WIDTH), (257, 3, HEIGHT), (258, 3, 8), (259, 3, 1), (262, 3, 0), (273, 4, 8), (277, 3, 1), (278, 3, HEIGHT),
            (279, 4, values.size)]
    data = (255 - values).tobytes()
    offset = 8 + len(data) + len(data) % 2
    body = b"II*\0" + struct.pack("<I", offset) + data + b"\0" * (len(data) % 2) + struct.pack("<H", len(tags))
    for tag, kind, value in tags:
        body += struct.pack("<HHI", tag, kind, 1) + (struct.pack("<HH", value, 0) if kind == 3 else struct.pack("<I", value))
    path.write_bytes(body + b"\0\0\0\0")
    expect(path)
