"""Small videos and pictures of many kinds, and ways to spoil their bytes."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from firstsight.footage.encoding import x264_options

Pixels = NDArray[np.uint8]
RATE = 12
# name, encoder, pixel format, options of the encoder
_VIDEOS = (
    ("h264.mp4", "libx264", "yuv420p", {"g": "8"}),
    ("index-first.mov", "libx264", "yuv420p", {"g": "8"}),
    ("mpeg4.avi", "mpeg4", "yuv420p", {}),
    ("b-frames.avi", "mpeg4", "yuv420p", {"bf": "2"}),
    ("h264.mkv", "libx264", "yuv420p", {"g": "8"}),
    ("ffv1.mkv", "ffv1", "yuv420p", {}),
    ("h264.ts", "libx264", "yuv420p", {"g": "8"}),
    ("mpeg2.mpg", "mpeg2video", "yuv420p", {}),
    ("vp8.webm", "libvpx", "yuv420p", {"deadline": "realtime"}),
    ("flash.flv", "flv", "yuv420p", {}),
    ("moving.gif", "gif", "rgb8", {}),
    ("still-by-still.mjpeg", "mjpeg", "yuvj420p", {}),
    ("plain.y4m", "rawvideo", "yuv420p", {}),
    ("windows.wmv", "wmv2", "yuv420p", {}),
)


def scene(seed: int, *, width: int = 64, height: int = 48) -> Pixels:
    """A picture with something in it, uint8 (height, width, 3)."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(40, 160, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width].copy()


def frames(seed: int, num: int = 24, *, width: int = 64, height: int = 48) -> Iterator[Pixels]:
    """A bright square that wanders over a ground; half way the ground is another."""
    for index in range(num):
        picture = scene(seed + (index >= num // 2), width=width, height=height)
        x, y = int((width - 16) * abs(np.sin(index / 9))), int((height - 16) * abs(np.cos(index / 7)))
        picture[y : y + 10, x : x + 10] = (250, 200, 40 + index % 200)
        yield picture


def write_video(
    path: Path,
    pictures: Iterator[Pixels],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    seconds: Callable[[int], float] | None = None,
    clock: Fraction = Fraction(1, 90_000),
    muxing: dict[str, str] | None = None,
) -> Path:
    """A video; `seconds` gives the time of each frame, 12 a second by default."""
    with av.open(f"file:{path}", "w", options=muxing or {}) as container:
        given = options or {}
        stream = container.add_stream(codec, rate=RATE, options=x264_options(given) if codec == "libx264" else given)
        for index, picture in enumerate(pictures):
            if not index:
                stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], pix_fmt
                if seconds:
                    stream.codec_context.time_base = clock
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.time_base = clock if seconds else Fraction(1, RATE)
            frame.pts = round(Fraction(seconds(index)) / clock) if seconds else index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_bases(folder: Path) -> None:
    """A small video and a small picture of each kind: `videos/`, `pictures/`."""
    (folder / "videos").mkdir(parents=True)
    (folder / "pictures").mkdir()
    for seed, (name, codec, pix_fmt, options) in enumerate(_VIDEOS):
        muxing = {"movflags": "faststart"} if name.endswith(".mov") else {}
        path = folder / "videos" / name
        write_video(path, frames(10 * seed), codec=codec, pix_fmt=pix_fmt, options=options, muxing=muxing)
    write_video(
        folder / "videos" / "two-rates.mp4", frames(3), options={"g": "4"}, seconds=lambda index: index**1.3 / 20
    )
    _write_pictures(folder / "pictures")


def _write_pictures(folder: Path) -> None:
    eight = Image.fromarray(scene(1))
    sixteen = scene(2)[..., 0].astype(np.uint16) * 200
    odd = np.linspace(-1, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    odd[3:9, 5:30], odd[20, 20] = np.nan, np.inf
    exif = Image.Exif()
    exif[0x0112] = 6
    eight.save(folder / "turned.jpg", exif=exif)
    eight.save(folder / "progressive.jpeg", progressive=True)
    eight.convert("CMYK").save(folder / "cmyk.jpg")
    eight.save(folder / "eight.png")
    eight.convert("P").save(folder / "palette.png", transparency=3)
    eight.convert("1").save(folder / "bits.png")
    eight.convert("RGBA").save(folder / "see-through.png")
    Image.fromarray(sixteen).save(folder / "sixteen.png")
    Image.fromarray(sixteen).save(folder / "sixteen.tiff")
    Image.fromarray(odd).save(folder / "float.tif")
    pages = [Image.fromarray(scene(seed)) for seed in range(5)]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    eight.save(folder / "lossy.webp")
    eight.save(folder / "lossless.webp", lossless=True)
    eight.save(folder / "eight.bmp")


def spoiled(data: bytes, others: list[bytes], rng: random.Random) -> tuple[bytes, str]:
    """The bytes with one to three things wrong, and the names of these."""
    names = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        name, spoil = rng.choice(_SPOILING)
        data = spoil(data, others, rng) or b"\0"
        names.append(name)
    return data, "+".join(names)


def _block(data: bytes, rng: random.Random) -> slice:
    begin = rng.randrange(len(data))
    return slice(begin, min(len(data), begin + rng.choice((4, 64, 1_000, 8_000))))


def _flip(data: bytes, _: list[bytes], rng: random.Random) -> bytes:
    changed = bytearray(data)
    within = rng.choice((len(data), min(len(data), 400)))
    for _ in range(rng.choice((1, 2, 8, 64, 400))):
        changed[rng.randrange(within)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(data: bytes, _: list[bytes], rng: random.Random) -> bytes:
    kept = rng.randrange(len(data))
    return rng.choice((data[:kept], data[kept:]))


def _fill(data: bytes, _: list[bytes], rng: random.Random) -> bytes:
    where = _block(data, rng)
    return data[: where.start] + rng.choice((b"\0", b"\xff")) * (where.stop - where.start) + data[where.stop :]


def _swap(data: bytes, _: list[bytes], rng: random.Random) -> bytes:
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(4))
    a, b, c, d = cuts
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _repeat(data: bytes, _: list[bytes], rng: random.Random) -> bytes:
    where = _block(data, rng)
    return data[: where.stop] + data[where] * rng.choice((1, 5, 50)) + data[where.stop :]


def _join(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    other = rng.choice([data, *others])
    return rng.choice((data + other, data[: len(data) // 2] + other, other[: len(other) // 3] + data))


_HUGE = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0xFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
# Behind these stand counts, sizes, rates, durations, time scales and offsets.
_TOKENS = (
    *(b"mvhd", b"tkhd", b"mdhd", b"stts", b"stsz", b"stsc", b"stco", b"ctts", b"elst", b"stsd", b"avc1", b"trun"),
    *(b"avih", b"strh", b"strf", b"idx1", b"LIST", b"RIFF", b"VP8 ", b"VP8L", b"GIF89a", b"IHDR", b"IDAT", b"BM"),
    *(b"\x2a\xd7\xb1", b"\x44\x89", b"\x23\xe3\x83", b"\xb0\x81", b"\xba\x81", b"\xe7\x81", b"\x1f\x43\xb6\x75"),
    *(b"\x21\xf9\x04", b"\xff\xc0", b"\xff\xc2", b"\xff\xda", b"\xff\xdb", b"II*\0", b"\0\0\x01\xb3", b"\0\0\x01\xba"),
    *(b"YUV4MPEG2", b"\x47\x40", b"FLV", b"onMetaData", b"duration", b"\x30\x26\xb2\x75"),
)


def _lie(data: bytes, _: list[bytes], rng: random.Random) -> bytes:
    """A number of a header that says something else."""
    places = [place for token in _TOKENS if (place := data.find(token)) >= 0]
    begin = rng.choice(places) if places else 0
    width, order = rng.choice(((1, "B"), (2, "H"), (4, "I"), (4, "I"))), rng.choice("<>")
    place = begin + rng.choice((3, 4, 4, 8)) + rng.randrange(0, 60, rng.choice((1, 2, 4)))
    value = rng.choice((*_HUGE, rng.getrandbits(32))) & ((1 << 8 * width[0]) - 1)
    changed = data[:place] + struct.pack(order + width[1], value) + data[place + width[0] :]
    return _with_right_sums(changed) if changed.startswith(b"\x89PNG") and rng.random() < 0.8 else changed


def _with_right_sums(png: bytes) -> bytes:
    """The chunks of a PNG with checksums that fit, so that the lie is believed."""
    parts, place = [png[:8]], 8
    while place + 12 <= len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        chunk = png[place + 4 : place + 8 + length]
        parts.append(png[place : place + 8 + length] + zlib.crc32(chunk).to_bytes(4, "big"))
        place += 12 + length
    return b"".join([*parts, png[place:]])


Spoil = Callable[[bytes, list[bytes], random.Random], bytes]
_SPOILING: tuple[tuple[str, Spoil], ...] = (
    ("flip", _flip),
    ("cut", _cut),
    ("fill", _fill),
    ("swap", _swap),
    ("repeat", _repeat),
    ("join", _join),
    ("lie", _lie),
    ("lie", _lie),
    ("lie", _lie),
)
