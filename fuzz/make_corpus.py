#!/usr/bin/env python3
"""The files of `corpus/`: small ones that readers have stumbled over, here or elsewhere, or might.

    python fuzz/make_corpus.py

Standard library only. What `golden/` has (images of every kind, DICOM, weight files of PyTorch) is not repeated; the tests and
the commands in docs/results/trust.md take those folders, too. Files of `found/` are not made here: the fuzzers left them.
"""

import base64
import gzip
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def write(target, name, content):
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def tables():
    plain = "Path,Patient,Age,Sex,View,Effusion\na.png,p1,061Y,M,AP,1.0\nb.png,p2,45,Female,Lateral,-1\nc.png,p3,,,,\n"
    for name, content in {
        "plain": plain,
        "crlf": plain.replace("\n", "\r\n"),
        "cr": plain.replace("\n", "\r"),
        "mixed-ends": plain.replace("\n", "\r\n", 1).replace("\n", "\r", 1),
        "semicolons": plain.replace(",", ";"),
        "tabs": plain.replace(",", "\t"),
        "sep-line": "sep=;\n" + plain.replace(",", ";"),
        "utf16": plain.encode("utf-16"),
        "utf16-without-mark": plain.encode("utf-16-be"),
        "utf16-odd": plain.encode("utf-16") + b"x",
        "utf16-lone-surrogate": b"\xff\xfea\x00,\x00b\x00\n\x00\x00\xd8,\x00c\x00",
        "utf8-mark": b"\xef\xbb\xbf" + plain.encode(),
        "utf8-mark-then-latin1": b"\xef\xbb\xbfa,b\n\xf6,1\n",
        "latin1": "Größe,b\nä,1\n".encode("latin-1"),
        "gzip": gzip.compress(plain.encode(), mtime=0),
        "gzip-twice": gzip.compress(gzip.compress(plain.encode(), mtime=0), mtime=0),
        "gzip-cut": gzip.compress(plain.encode(), mtime=0)[:-9],
        "gzip-many-rows": gzip.compress(b"a,b\n" + b"1,2\n" * 20_000, mtime=0),
        "gzip-of-nothing": gzip.compress(b"", mtime=0),
        "quote-open": 'a,b\n"1,2\n3,4\n',
        "quote-inside": 'a,b\n1"2,3\n"4""5",6\n',
        "lines-in-cells": 'a,b\n"1\n2\r\n3",4\n5,6\n',
        "same-columns": "a,b,a\n1,2,3\n",
        "unnamed-columns": ",,\n1,2,3\n",
        "more-cells": "a,b\n1,2,,,\n1,2,3\n",
        "fewer-cells": "a,b\n1\n",
        "header-only": "a,b\n",
        "blank-lines": "\n\n\na,b\n\n1,2\n\n\n",
        "nothing": "",
        "one-newline": "\n",
        "separators-only": ",,,\n,,,\n",
        "nul": b"a,b\n1,\x00\n",
        "zip": b"PK\x03\x04" + bytes(40),
        "old-excel": b"\xd0\xcf\x11\xe0" + bytes(40),
        "many-columns": ",".join(f"c{at}" for at in range(3_000)) + "\n" + ",".join("1" for _ in range(3_000)) + "\n",
        "numbers": "a\n" + "\n".join(["1e999", "-0", "NaN", "inf", "0x10", "1_000", "١", "9" * 40, "-1.0", "1,0", "+1"]) + "\n",
        "ages": "Age\n" + "\n".join(["9" * 30 + "Y", "-5", "005M", "061Y", "1e3", "Y", "0D", ">89", "60-70", "２０"]) + "\n",
        "escapes": "a\x1b[2J,b\n\x1b]0;x\x07,2\n",
    }.items():
        write("tables", name, content)


def loaders():
    layouts = {
        0: "path,patient,Effusion,split\na.png,p1,1,train\nb.png,p2,0,test\n",
        1: "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema\n"
        "images/patient00001_study1.png,Male,51,Frontal,AP,1.0,-1.0\n",
        2: "path_to_image,deid_patient_id,split,age,sex,frontal_lateral\na.png,p1,train,51,Male,Frontal\n",
        3: "subject_id,study_id,Edema\n1,2,1.0\n",
        4: "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"
        "a.png,Effusion|Mass,0,1,058Y,M,PA\nb.png,No Finding,1,1,59,F,AP\n",
        5: "ImageID,PatientID,StudyID,Projection,Labels,PatientSex_DICOM,PatientBirth,StudyDate_DICOM\n"
        "a.png,1,1,PA,\"['pleural effusion', '']\",M,1950,20100101\n",
        6: "image_id,rad_id,Pleural effusion,No finding\na,R1,1,0\na,R2,1,0\na,R3,0,1\n",
        7: "patientId,x,y,width,height,Target\na,,,,,0\nb,1,2,3,4,1\n",
        8: "uid,filename,projection\n1,a.png,Frontal\n2,b.png,Lateral\n",
        9: "PatientID,PngPath,PatientSex,PatientAge,ViewPosition,No Finding,Edema\n1,a.png,M,50,PA,1,\n",
        10: "fname,image_height,image_width,source,bbox,target,tb_type,image_type\na.png,512,512,train,none,no_tb,none,healthy\n",
        11: "patientid,offset,sex,age,finding,view,modality,folder,filename\n1,0,M,50,Pneumonia/Viral/COVID-19,PA,X-ray,images,a.png\n",
    }
    for layout, table in layouts.items():
        write("loaders", f"layout-{layout}", bytes([layout]) + table.encode())
        write("loaders", f"layout-{layout}-missing", bytes([layout | 0x80]) + table.replace("a.png", "gone.png").encode())
        header, rows = table.split("\n", 1)
        write("loaders", f"layout-{layout}-odd", bytes([layout]) + f"{header}\n{rows.replace('1', '-99999999999999999999')}".encode())
    paths = ["../../../etc/passwd", "/etc/passwd", "a.png/b.png", "", ".", "images", "a.png\x1b[2J", "x" * 5000, "ü.png", "C:\\a.png"]
    write("loaders", "paths", b"\x80path,patient\n" + "".join(f'"{path}",p\n' for path in paths).encode())
    write("loaders", "labels-open", bytes([5]) + b"ImageID,PatientID,StudyID,Projection,Labels\na.png,1,1,PA,\"['a', [\"\n")


def chunk(kind, content, right=True):
    sum_of = zlib.crc32(kind + content) if right else 0
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", sum_of)


def png(width, height, depth=8, colour=0, rows=None, extra=b"", interlace=0):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    data = zlib.compress(rows if rows is not None else b"".join(b"\0" + bytes(range(width)) for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def images():
    good = png(8, 8)
    tiff = lambda entries, more=0: b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", *entry) for entry in entries) + struct.pack("<I", more) + bytes(range(64))
    size = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1), (278, 3, 1, 8)]
    bmp = lambda width, height, bits, compression=0, size=40: b"BM" + struct.pack(
        "<IIIIiiHHIIiiII", 54 + 64, 0, 54, size, width, height, 1, bits, compression, 64, 0, 0, 0, 0) + bytes(64)
    text = chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(10_000_000), 9))
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(10_000_000), 9))
    exif = chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\xff\0\0\0\0\0\0")
    for name, content in {
        "good.png": good,
        "deep.png": png(8, 8, 16, 0, b"".join(b"\0" + bytes(16) for _ in range(8))),
        "palette-without-palette.png": png(8, 8, 8, 3),
        "palette-short.png": png(8, 8, 8, 3, extra=chunk(b"PLTE", bytes(3))),
        "one-bit.png": png(8, 8, 1, 0, b"\0\xaa" * 8),
        "interlaced.png": png(8, 8, interlace=1),
        "largest-numbers.png": png(2**31 - 1, 2**31 - 1, rows=b""),
        "nothing-wide.png": png(0, 8, rows=b""),
        "long.png": png(16_384, 8, rows=b""),
        "as-large-as-allowed.png": png(10_000, 10_000, rows=bytes(100)),
        "text-bomb.png": png(8, 8, extra=text),
        "profile-bomb.png": png(8, 8, extra=profile),
        "orientation-255.png": png(8, 8, extra=exif),
        "wrong-sum.png": good[:33] + chunk(b"tEXt", b"a\0b", right=False) + good[33:],
        "without-data.png": b"\x89PNG\r\n\x1a\n" + good[8:33] + chunk(b"IEND", b""),
        "animated.png": png(8, 8, extra=chunk(b"acTL", struct.pack(">II", 0xFFFFFFFF, 0))),
        "magic-only.png": good[:8],
        "sizes.jpg": b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\xff\xd9",
        "markers-only.jpg": b"\xff\xd8\xff\xd9",
        "tables-without-end.jpg": b"\xff\xd8\xff\xc4\xff\xff\0" + bytes(range(256)) + b"\xff\xd9",
        "restarts.jpg": b"\xff\xd8\xff\xdd\0\x04\0\0" + b"\xff\xd0" * 100 + b"\xff\xd9",
        "good.tif": tiff([*size, (273, 4, 1, 8 + 2 + 8 * 12 + 4), (279, 4, 1, 64)][:9]),
        "directory-in-itself.tif": tiff(size, 8),
        "strips-outside.tif": tiff([*size, (273, 4, 1, 0xFFFFFFF0), (279, 4, 1, 0xFFFFFFFF)]),
        "counts.tif": tiff([(256, 4, 0xFFFFFFFF, 8), (257, 4, 0xFFFFFFFF, 8)]),
        "large.tif": tiff([(256, 4, 1, 0xFFFFFFFF), (257, 4, 1, 0xFFFFFFFF), *size[2:]]),
        "float.tif": tiff([*size[:2], (258, 3, 1, 32), *size[3:], (273, 4, 1, 130), (279, 4, 1, 64), (339, 3, 1, 3)]),
        "good.bmp": bmp(8, 8, 8),
        "upside-down.bmp": bmp(8, -8, 8),
        "least-height.bmp": bmp(8, -(2**31), 24),
        "negative-width.bmp": bmp(-8, 8, 24),
        "runs.bmp": bmp(8, 8, 8, 1),
        "bits-0.bmp": bmp(8, 8, 0),
        "bits-1.bmp": bmp(16_384, 6_000, 1),
        "fields.bmp": bmp(8, 8, 32, 3),
        "header-64.bmp": bmp(8, 8, 8, 0, 64),
        "canvas.webp": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\xff\xff\xff\xff\xff\xff",
        "lossless-cut.webp": b"RIFF\x12\0\0\0WEBPVP8L\x05\0\0\0\x2f\xff\xff\xff\xff\0",
        "lossy-cut.webp": b"RIFF\x16\0\0\0WEBPVP8 \x0a\0\0\0\x30\x01\0\x9d\x01\x2a\x08\0\x08\0",
    }.items():
        write("images", name, content)


def element(group, number, kind, content):
    if kind in ("OB", "OW", "SQ", "UN"):
        return struct.pack("<HH", group, number) + kind.encode() + bytes(2) + struct.pack("<I", len(content)) + content
    content += b" " * (len(content) % 2) if kind != "UI" else b"\0" * (len(content) % 2)
    return struct.pack("<HH", group, number) + kind.encode() + struct.pack("<H", len(content)) + content


def dicom(rows=8, columns=8, allocated=8, stored=8, high=7, sign=0, samples=1, frames=None, pixels=bytes(range(64)), more=b"",
          syntax=b"1.2.840.10008.1.2.1", photometric=b"MONOCHROME2"):
    short = lambda value: struct.pack("<H", value)
    meta = element(2, 2, "UI", b"1.2.840.10008.5.1.4.1.1.1.1") + element(2, 3, "UI", b"1.2.3") + element(2, 16, "UI", syntax)
    meta = element(2, 0, "UL", struct.pack("<I", len(meta))) + meta
    body = more + element(0x28, 2, "US", short(samples)) + element(0x28, 4, "CS", photometric)
    if frames:
        body += element(0x28, 8, "IS", frames)
    body += element(0x28, 0x10, "US", short(rows)) + element(0x28, 0x11, "US", short(columns))
    body += element(0x28, 0x100, "US", short(allocated)) + element(0x28, 0x101, "US", short(stored))
    body += element(0x28, 0x102, "US", short(high)) + element(0x28, 0x103, "US", short(sign))
    return bytes(128) + b"DICM" + meta + body + (b"" if pixels is None else element(0x7FE0, 0x10, "OB", pixels))


# 16 x 16 pixels by OpenJPEG, and 8 x 8 by libjpeg (through Pillow).
JPEG_2000 = base64.b64decode(
    "/0//UQApAAAAAAAQAAAAEAAAAAAAAAAAAAAAEAAAABAAAAAAAAAAAAABBwEB/1IADAAAAAEAAQQEAAH/XAAHQEBISFD/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5K"
    "UEVHIHZlcnNpb24gMi41LjT/kAAKAAAAAABVAAH/k9+BmBIrZtPMH1xrwIAWfrLiTr7Fzo0Asb2rveKzjbcir+q43IV85cMnyHxRhc1WHen0UNYHK8D5A0B8"
    "IgA2oZmuY589pi7X/9k="
)
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQc1tdhbWGkJ6jq62rZ4C8ybqmx5moq6T/"
    "wAALCAAIAAgBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEI"
    "I0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ip"
    "qrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/AMq2h6cV/9k="
)


def encapsulated(side, syntax, fragment):
    """Compressed pixels: an empty table of offsets and one fragment."""
    item = lambda content: b"\xfe\xff\0\xe0" + struct.pack("<I", len(content)) + content
    fragment += b"\0" * (len(fragment) % 2)
    pixels = struct.pack("<HH", 0x7FE0, 0x10) + b"OB\0\0\xff\xff\xff\xff" + item(b"") + item(fragment) + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return dicom(side, side, pixels=None, syntax=syntax) + pixels


LENGTH_ODD = (
    "eNpjYKAxMFLQYBBgCA3WZuBg0GAQBLKYkKVdPJ19QQKhPiwMAUCaCQhDPWUYDPWM9CxMDPQMDQwMLPRM9Qz1TIAYDIEqmIFq2BhAYsZAHtB4Tz"
    "E0HSCeiZ6pgQbIPKCVjEDLWRicg3kYfP39/J09gvx9XbE5DcRiYISyFjIwwpgMTGAWO4rf/v1neACh74JpAPt1IYs="
)


def dicoms():
    # A header of 64 bytes with where the runs begin, then 63 + 1 equal bytes.
    runs = struct.pack("<II", 1, 64) + bytes(56) + b"\xc1\x07\0\x07"
    other_size = JPEG_2000[:8] + struct.pack(">II", 60_000, 60_000) + JPEG_2000[16:]
    open_sequence = struct.pack("<HH", 8, 0x1140) + b"SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    lut = lambda entries, first, bits: element(0x28, 0x3010, "SQ", b"\xfe\xff\0\xe0" + struct.pack("<I", 22) + element(
        0x28, 0x3002, "US", struct.pack("<HHH", entries, first, bits)) + element(0x28, 0x3006, "US", b"")[:8])
    window = element(0x28, 0x1050, "DS", b"1e400") + element(0x28, 0x1051, "DS", b"0")
    for name, content in {
        "good": dicom(),
        "largest": dicom(65_535, 65_535),
        "allowed-without-pixels": dicom(10_000, 10_000),
        "no-rows": dicom(rows=0),
        "bits-0": dicom(allocated=0, stored=0, high=0),
        "bits-1": dicom(allocated=1, stored=1, high=0, pixels=bytes(8)),
        "bits-64": dicom(allocated=64, stored=64, high=63),
        "stored-above-allocated": dicom(allocated=8, stored=16, high=15),
        "high-65535": dicom(high=65_535),
        "samples-65535": dicom(samples=65_535),
        "samples-0": dicom(samples=0),
        "frames-many": dicom(frames=b"4294967295"),
        "frames-negative": dicom(frames=b"-1"),
        "pixels-none": dicom(pixels=None),
        "pixels-empty": dicom(pixels=b""),
        "pixels-few": dicom(pixels=bytes(10)),
        "window-of-nothing": dicom(more=window),
        "slope-nan": dicom(more=element(0x28, 0x1052, "DS", b"nan") + element(0x28, 0x1053, "DS", b"inf")),
        "table-empty": dicom(more=lut(0, 0, 16)),
        "table-of-0-bits": dicom(more=lut(65_535, 65_535, 0)),
        "nested-1000": dicom(more=open_sequence * 1_000, pixels=None),
        "syntax-unknown": dicom(syntax=b"1.2.3.4"),
        "syntax-runs": dicom(syntax=b"1.2.840.10008.1.2.5", pixels=bytes(64)),
        "syntax-jpeg-2000": dicom(syntax=b"1.2.840.10008.1.2.4.90", pixels=bytes(64)),
        "jpeg-2000": encapsulated(16, b"1.2.840.10008.1.2.4.90", JPEG_2000),
        "jpeg-2000-cut": encapsulated(16, b"1.2.840.10008.1.2.4.90", JPEG_2000[:100]),
        "jpeg-2000-of-another-size": encapsulated(16, b"1.2.840.10008.1.2.4.90", other_size),
        "jpeg": encapsulated(8, b"1.2.840.10008.1.2.4.50", JPEG),
        "jpeg-of-another-size": encapsulated(16, b"1.2.840.10008.1.2.4.50", JPEG),
        "runs": encapsulated(8, b"1.2.840.10008.1.2.5", runs),
        "fragments-none": encapsulated(8, b"1.2.840.10008.1.2.4.50", b""),
        "syntax-deflated": dicom(syntax=b"1.2.840.10008.1.2.1.99"),
        "photometric-odd": dicom(photometric=b"PALETTE COLOR"),
        "magic-only": bytes(128) + b"DICM",
        "meta-long": bytes(128) + b"DICM" + element(2, 0, "UL", b"\xff\xff\xff\xff"),
        # Longer than it is, with an element of another group and then one of 4 GB.
        "meta-beyond": bytes(128) + b"DICM" + element(2, 0, "UL", b"\xff\xff\xff\xff") + element(8, 0x16, "UI", b"1.2")
        + struct.pack("<HH", 2, 3) + b"OB\0\0\xfe\xff\xff\xff",
        # Found by the fuzzer: a number of 43 bytes, behind whose 21 values the next element, read a byte early, has 4 GB.
        "length-odd": zlib.decompress(base64.b64decode(LENGTH_ODD)),
        "runs-many": encapsulated(8, b"1.2.840.10008.1.2.5", b"\xff\xff\xff\xff" + runs[4:]),
        "runs-short": encapsulated(8, b"1.2.840.10008.1.2.5", runs[:64] + b"\xc1\x07\0\0\0\0"),
        "samples-0-jpeg-2000": encapsulated(16, b"1.2.840.10008.1.2.4.90", JPEG_2000).replace(
            element(0x28, 2, "US", b"\1\0"), element(0x28, 2, "US", b"\0\0")),
        "length-long": dicom(pixels=None) + struct.pack("<HH", 0x7FE0, 0x10) + b"OW\0\0\xfe\xff\xff\xff",
    }.items():
        write("dicom", name, content)


def caches():
    entry = dict(source=dict(len="LEN", mtime="TIME"), width=8, height=8, bits=8, offset=0, crc=0)
    def index(name, version=2, **changes):
        text = json.dumps(dict(version=version, entries={"IMAGES/a.png": {**entry, **changes}}))
        write("cache", name, text.replace('"LEN"', "LEN").replace('"TIME"', "TIME"))
    index("damaged")
    for bits in [0, 1, 7, 9, 24, 255]:
        index(f"bits-{bits}", bits=bits)
    index("nothing-wide", width=0)
    index("wide", width=2**63, height=2)
    index("beyond", offset=2**64 - 1)
    index("other-version", version=1)
    index("odd-hash", pixels="zz")
    index("no-crc", crc=0, width=0, height=0)
    # CRC-32 of nothing is 0: an image of no pixels whose checksum is right.
    index("nothing-of-24-bits", bits=0, crc=0)
    write("cache", "no-object", "[]")
    write("cache", "nested", "[" * 400)
    seen = {"print": {"pixels": "0" * 32, "size": [8, 8, 8], "hash": 0, "thumbnail": "00" * 1024},
            "looks": {"constant": False, "low": 0, "high": 1, "corners": 0, "strip": 0, "bars": 0, "ratio": 1}, "done": [], "format": "png"}
    def line(name, **changes):
        what = json.loads(json.dumps(seen))
        for key, value in changes.items():
            part, field = key.split("_")
            what[part][field] = value
        text = json.dumps(["IMAGES/a.png", dict(len="LEN", mtime="TIME"), what])
        write("scans", name, text.replace('"LEN"', "LEN").replace('"TIME"', "TIME") + "\n")
    line("known")
    line("size-0", print_size=[0, 0, 0])
    line("size-large", print_size=[2**63, 2**63, 255])
    line("looks-odd", looks_low=1e38, looks_high=-1e38, looks_ratio=-1e38)
    line("thumbnail-short", print_thumbnail="00")
    line("thumbnail-letters", print_thumbnail="é" * 1024)
    line("hash-short", print_pixels="0")
    write("scans", "nothing", "")
    write("scans", "blank-lines", "\n\n\n")


def scores():
    header = "path,patient,label_a,score_a,label_b,score_b\n"
    rows = "".join(f"i{at}.png,p{at // 2},{at % 2},{at / 8},{int(at > 3)},{-at}\n" for at in range(8))
    for name, content in {
        "plain": header + rows,
        "one-class": header + rows.replace(",1,", ",0,"),
        "masked": header + rows.replace(",1,", ",,"),
        "uncertain": header + rows.replace(",1,", ",-1,"),
        "not-finite": header + rows.replace("0.125", "nan").replace("0.25", "inf"),
        "equal-scores": "path,label_a,score_a\na,0,1\nb,1,1\nc,0,1\nd,1,1\n",
        "large-scores": "path,label_a,score_a\na,0,1e308\nb,1,-1e308\nc,0,1e-308\nd,1,0\n",
        "one-row": "path,label_a,score_a\na,0,1\n",
        "scores-only": "score_a\n1\n2\n",
        "no-name": "label_,score_\n0,1\n1,2\n",
        "same-ids": "path,label_a,score_a\na,0,1\na,1,2\n",
        "same-task-twice": "path,score_a,score_A,label_a\nx,1,2,0\n",
        "not-a-boundary": "path,scoré_a,score_a\nx,1,2\n",
        "joined": "Path,a\nx,1\ny,0\nz,-1\n====\nPath,a\nz,0.5\ny,0.25\nx,0.125\n",
        "joined-others": "Path,a\nx,1\n====\nPath,a\ny,0.25\n",
        "studies": "Path,Study,a\nx/view1,s,1\nx/view2,s,1\n====\nPath,Study,score_a\nx/view1,s,1\nx/view2,s,2\n",
        "many-tasks": "path," + ",".join(f"score_{at},label_{at}" for at in range(100)) + "\n" + "".join(
            f"r{row}," + ",".join(f"{(row * at) % 7},{(row + at) % 2}" for at in range(100)) + "\n" for row in range(4)),
    }.items():
        write("scores", name, content)
    interval = dict(estimate=0.5, lower=0.4, upper=0.6, level=0.95, method="percentile", unit="patient", observed=0.5,
                    standard_error=0.1, replicates=10, redrawn=0)
    row = dict(task="a", group=None, metric="auroc", n=8, positives=4, patients=4, interval=interval, undefined=None, draws=None)
    write("results", "row.json", json.dumps(dict(stamp={}, bootstrap={}, patient_source="column", rows=[row], calibration=[])))
    write("results", "large-numbers.json", '{"rows": [{"n": 1e400}], "stamp": {}}')
    write("results", "nested.json", "[" * 400)
    write("results", "not-utf8.json", b'{"stamp": "\xff"}')
    write("results", "nothing.json", "")


def weights():
    start = (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
             b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s.")
    legacy = lambda pickle: start + pickle + b"\x80\x02]."
    def archive(pickle, members=(), compression=zipfile.ZIP_STORED):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", compression) as file:
            for name, content in [("archive/data.pkl", pickle), ("archive/version", b"3\n"), *members]:
                file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, compression)
        return out.getvalue()
    def tensors(header, data=b""):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data
    one = lambda shape, offsets, dtype="F32": {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}
    storage = b"((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x01tQK\0"
    rebuild = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + storage
    for name, content in {
        "system.pt": legacy(b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R."),
        "list-in-itself.pt": legacy(b"\x80\x02]q\0h\0a."),
        "nested.pt": legacy(b"\x80\x02" + b"]" * 5_000 + b"a" * 4_999 + b"."),
        "tuples.pt": legacy(b"\x80\x02N" + b"\x85" * 20_000 + b"."),
        "marks.pt": legacy(b"\x80\x02" + b"(" * 20_000 + b"."),
        "memo.pt": legacy(b"\x80\x02Nr\xff\xff\xff\xffj\xff\xff\xff\xff."),
        "memo-text.pt": legacy(b"\x80\x02Np99999999999999999999\n."),
        "long-number.pt": legacy(b"\x80\x02\x8b\xff\xff\xff\x7f."),
        "text-long.pt": legacy(b"\x80\x02X\xff\xff\xff\xff."),
        "frame.pt": legacy(b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffN."),
        "strides-0.pt": legacy(rebuild + b"\x8a\x06\0\0\0\0\0\x01\x85K\0\x85\x89NtR."),
        "offset.pt": legacy(rebuild.replace(b"tQK\0", b"tQ\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f") + b"K\x01\x85K\x01\x85\x89NtR."),
        "shape-negative.pt": legacy(rebuild + b"J\xff\xff\xff\xff\x85K\x01\x85\x89NtR."),
        "empty-pickle.pt": legacy(b"\x80\x02."),
        "nothing-after.pt": start,
        "empty.zip": archive(b"\x80\x02}."),
        "deflated.zip": archive(b"\x80\x02}.", compression=zipfile.ZIP_DEFLATED),
        "script.zip": archive(b"\x80\x02}.", [("archive/code/a.py", b""), ("archive/constants.pkl", b"\x80\x02).")]),
        "two-pickles.zip": archive(b"\x80\x02}.", [("other/data.pkl", b"\x80\x02}.")]),
        "no-directory.zip": archive(b"\x80\x02}.")[:60],
        "directory-far.zip": archive(b"\x80\x02}.")[:-6] + b"\xff\xff\xff\x7f\0\0",
        "pickle-missing.zip": archive(b""),
        "header-long.safetensors": b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
        "header-short.safetensors": b"\x02\0\0\0\0\0\0\0{}",
        "outside.safetensors": tensors(one([4], [0, 16])),
        "overflow.safetensors": tensors(one([2**63, 2**63], [0, 0])),
        "overlap.safetensors": tensors({**one([1], [0, 4]), "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
        "backwards.safetensors": tensors(one([1], [4, 0]), bytes(4)),
        "none.safetensors": tensors(one([0], [0, 0])),
        "small-kind.safetensors": tensors(one([8], [0, 4], "F4"), bytes(4)),
        "nested.safetensors": tensors(b"{" + b'"a":{' * 400),
        "metadata.safetensors": tensors({"__metadata__": {"sha256": "0", "format": "pt"}, **one([1], [0, 4])}, bytes(4)),
        "name.safetensors": tensors({"\x1b[2J": one([1], [0, 4])["a"]}, bytes(4)),
        "page.html": b"<!DOCTYPE html>",
        "pointer": b"version https://git-lfs.github.com/spec/v1\n",
    }.items():
        write("weights", name, content)


def checkpoints():
    old = CORPUS.parent.parent / "crates" / "moco-core" / "tests" / "old_checkpoint" / "step-00000007"
    names = ["position.json", "weights.safetensors", "optimizer.safetensors", "queue.safetensors", "complete.json"]
    for which, name in enumerate(names):
        write("checkpoints", f"whole-{name}", bytes([which]) + (old / name).read_bytes())
        write("checkpoints", f"nothing-{name}", bytes([which]))
    position = json.loads((old / "position.json").read_text())
    def changed(name, change):
        other = json.loads(json.dumps(position))
        change(other)
        write("checkpoints", name, b"\0" + json.dumps(other).encode())
    changed("step-large", lambda p: p["position"].update(step=2**64 - 1, epoch=2**64 - 1))
    changed("queue-none", lambda p: p["config"]["moco"].update(queue_size=0, dim=0))
    changed("queue-large", lambda p: p["config"]["moco"].update(queue_size=2**63, dim=2**63))
    changed("batch-0", lambda p: p["config"].update(batch_size=0))
    changed("unknown", lambda p: p.update(unknown=1))
    write("checkpoints", "names-up", b"\x04" + json.dumps({"../position.json": "0"}).encode())
    write("checkpoints", "names-itself", b"\x04" + json.dumps({"complete.json": "0"}).encode())
    write("checkpoints", "tensor-outside", b"\x01" + struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}     ')


def configs():
    old = CORPUS.parent.parent / "tests" / "old_run"
    text = (old / "config.toml").read_text()
    write("configs", "whole.toml", text)
    for name, content in {
        "nothing.toml": "",
        "one.toml": "train.batch_size = 64\n",
        "large.toml": "train.batch_size = 9223372036854775807\ntrain.epochs = 9223372036854775807\nviews.size = 9223372036854775807\n",
        "negative.toml": "train.batch_size = -1\n",
        "not-finite.toml": "train.moco.temperature = nan\ntrain.moco.momentum = inf\n",
        "too-large.toml": "train.batch_size = 99999999999999999999999\n",
        "unknown.toml": "train.moco.temprature = 0.2\n",
        "unknown-table.toml": "[trian]\nepochs = 1\n",
        "wrong-type.toml": 'train = "all"\n',
        "twice.toml": "workers = 1\nworkers = 2\n",
        "nested-arrays.toml": "a = " + "[" * 2_000 + "]" * 2_000 + "\n",
        "nested-keys.toml": ".".join("a" for _ in range(5_000)) + " = 1\n",
        "nested-tables.toml": "a = " + "{b=" * 1_000 + "1" + "}" * 1_000 + "\n",
        "open-text.toml": 'init = """\nrandom\n',
        "cut.toml": text[: len(text) // 2],
        "not-utf8.toml": b'init = "\xff"\n',
        "nul.toml": b"init = \"\0\"\n",
        "ticks.toml": "`a` = 1\n",
    }.items():
        write("configs", name, content)


def runs():
    old = CORPUS.parent.parent / "tests" / "old_run"
    write("runs", "run.json", b"\0" + (old / "run.json").read_bytes())
    for name, content in {
        "run-nothing": b"\0", "run-list": b"\0[]", "run-nested": b"\0" + b"[" * 400, "run-number": b"\0" + b"1e400",
        "run-wrong": b'\0{"trained_on": {"seen": [{"dir": 1}], "complete": 3}}',
        "run-markup": b'\0{"command": "<script>alert(1)</script>", "device": "\\u001b[2J", "data": {"images": -1}}',
        "log-nothing": b"\1", "log-text": b"\1not json\n", "log-not-utf8": b'\1{"split": "train", "step": \xff}\n',
        "log-numbers": b'\1{"split":"train","step":18446744073709551615,"loss":1e308}\n{"split":"train","step":-1,"loss":null}\n',
        "log-epochs": b'\1{"split":"epoch","epoch":0,"loss":1,"similarities":{"counts":[]}}\n{"split":"epoch","epoch":1e300}\n',
        "audit-nothing": b"\2", "audit-object": b"\2{}", "config-nothing": b"\3", "config-markup": b'\3init = "<b>"\n',
    }.items():
        write("runs", name, content)


for make in [tables, loaders, images, dicoms, caches, scores, weights, checkpoints, configs, runs]:
    make()
