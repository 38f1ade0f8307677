"""Odd files and names, each beside which good files lie that must be read all the same."""

import os
import shutil
import socket
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from attack_media import frames, scene, write_video
from PIL import Image


@dataclass(frozen=True)
class Odd:
    """A kind of odd file."""

    name: str
    make: Callable[[Path], Path]  # into a folder; gives what it made
    readable: bool = True  # can be named to a command by itself without waiting for ever on purpose


def _text(suffix: str, content: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"odd{suffix}"
        path.write_text(content.replace("FOLDER", str(folder)))
        return path

    return make


def _bytes(suffix: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"odd{suffix}"
        path.write_bytes(content)
        return path

    return make


def _fifo(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        os.mkfifo(folder / f"odd{suffix}")
        return folder / f"odd{suffix}"

    return make


def _link(suffix: str, target: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / f"odd{suffix}").symlink_to(target.replace("FOLDER", str(folder)))
        return folder / f"odd{suffix}"

    return make


def _socket(folder: Path) -> Path:
    here = Path.cwd()
    os.chdir(folder)  # the path of a socket has room for 107 bytes
    try:
        socket.socket(socket.AF_UNIX).bind("odd.mp4")
    finally:
        os.chdir(here)
    return folder / "odd.mp4"


def _directory(suffix: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / f"odd{suffix}").mkdir()
        return folder / f"odd{suffix}"

    return make


def _closed(folder: Path) -> Path:
    path = write_video(folder / "odd.mp4", frames(4))
    path.chmod(0)
    return path


def _named(name: bytes) -> Callable[[Path], Path]:
    """A good file of an awkward name, a video unless the name ends as a picture's."""

    def make(folder: Path) -> Path:
        path = folder / os.fsdecode(name)
        if name.endswith((b".png", b".jpg")):
            Image.fromarray(scene(5)).save(folder / "plain.png")
            (folder / "plain.png").rename(path)
        else:
            write_video(folder / "plain.mp4", frames(5)).rename(path)
        return path

    return make


def _picture(name: str, shape: tuple[int, ...], dtype: str = "uint8") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        values = np.arange(np.prod(shape), dtype=np.uint32).astype(dtype).reshape(shape)
        Image.fromarray(values).save(folder / name)
        return folder / name

    return make


def _stated_png(width: int, height: int, bits: int, kind: int) -> Callable[[Path], Path]:
    """A PNG that states a size and holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + zlib.crc32(name + data).to_bytes(4, "big")

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    return _bytes(".png", b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b""))


def _floats(name: str, fill: float) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        values = np.full((48, 64), fill, np.float32)
        values[:4] = 0.5
        Image.fromarray(values).save(folder / name)
        return folder / name

    return make


def _timed(name: str, seconds: Callable[[int], float], *, num: int = 24, clock: int = 90_000) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return write_video(
            folder / name, frames(6, num), options={"bf": "0"}, seconds=seconds, clock=Fraction(1, clock)
        )

    return make


def _sized(name: str, width: int, height: int, *, num: int = 4, codec: str = "ffv1") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        pix_fmt = "yuv444p" if codec == "ffv1" else "yuv420p"
        return write_video(folder / name, frames(6, num, width=width, height=height), codec=codec, pix_fmt=pix_fmt)

    return make


def _many_frames_stated(folder: Path) -> Path:
    path = write_video(folder / "odd.avi", frames(7), codec="mpeg4")
    data = bytearray(path.read_bytes())
    header, stream = data.find(b"avih") + 8, data.find(b"strh") + 8
    data[header + 16 : header + 20] = data[stream + 32 : stream + 36] = struct.pack("<I", 2**31 - 1)
    path.write_bytes(data)
    return path


def _hours_stated(folder: Path) -> Path:
    path = write_video(folder / "odd.mp4", frames(7))
    data = bytearray(path.read_bytes())
    for token, place in ((b"mvhd", 16), (b"mdhd", 16)):
        begin = data.find(token) + 4 + place
        data[begin : begin + 4] = struct.pack(">I", 2**32 - 2)
    path.write_bytes(data)
    return path


def _joined_ts(folder: Path) -> Path:
    later = write_video(folder / "later.ts", frames(7), options={"bf": "0"}, seconds=lambda index: 900 + index / 12)
    sooner = write_video(folder / "odd.ts", frames(8), options={"bf": "0"}, seconds=lambda index: index / 12)
    sooner.write_bytes(later.read_bytes() + sooner.read_bytes())
    later.unlink()
    return sooner


def _wrong_suffix(kind: str, name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        if kind == "video":
            write_video(folder / "plain.mp4", frames(9)).rename(folder / name)
        else:
            Image.fromarray(scene(9)).save(folder / "plain.png")
            (folder / "plain.png").rename(folder / name)
        return folder / name

    return make


def _deep(folder: Path) -> Path:
    path = folder.joinpath(*["d" * 100] * 20)
    path.mkdir(parents=True)
    shutil.move(write_video(folder / "plain.mp4", frames(9)), path / "odd.mp4")
    return path / "odd.mp4"


_EPS = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n{ } loop\nshowpage\n"
_M3U8 = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nTARGET\n#EXT-X-ENDLIST\n"
_CONCAT = "ffconcat version 1.0\nfile 'TARGET'\n"
_SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
)
_TARGETS = ("FOLDER/good-1.mp4", "/etc/passwd", "/dev/zero", "FOLDER/fifo", "http://127.0.0.1:9/x.mp4", "odd.mp4")
_NAMES = (
    *(b"m\xe9.mp4", b"\xff\xfe.png", b"a\nerror: forged.mp4", b"\x1b[31mred\x1b[0m.mp4", b"\x1b]0;title\x07.png"),
    *(b"-rf.mp4", b"--help.mp4", b"=1+1.mp4", b"@sum.mp4", b"a@1.5.mp4", b"x" * 251 + b".mp4", b"*.mp4", b"[a].mp4"),
    *(b"'; DROP TABLE sources; --.mp4", b'"quoted".mp4', b"100%s{}.mp4", b"%d.mp4", b"<b>bold<b>.mp4", b"a b  c.mp4"),
    *("\u202egnp.mp4".encode(), "\u200b.mp4".encode(), "e\u0301.mp4".encode(), "日本語.png".encode(), b"\r.mp4"),
    *(
        b"file:x.mp4",
        b"http:x.mp4",
        b"concat:a|b.mp4",
        b"C:\\x.mp4",
        b"~.mp4",
        b"$HOME.mp4",
        b"a,b;c.mp4",
        b"\x9b31m.mp4",
    ),
)

ODD: tuple[Odd, ...] = (
    *(Odd(f"a FIFO named {suffix}", _fifo(suffix), readable=False) for suffix in (".mp4", ".png", ".jpg")),
    *(Odd(f"a link to /dev/zero named {suffix}", _link(suffix, "/dev/zero")) for suffix in (".mp4", ".png", ".mjpeg")),
    *(Odd(f"a link to /dev/full named {suffix}", _link(suffix, "/dev/full")) for suffix in (".mp4", ".png")),
    Odd("a link to itself", _link(".mp4", "odd.mp4")),
    Odd("a link to nothing", _link(".png", "nothing.png")),
    Odd("a link to the folder it lies in", _link("", ".")),
    Odd("a link to the folder it lies in, named .mp4", _link(".mp4", ".")),
    Odd("a link to /proc/self/mem", _link(".mp4", "/proc/self/mem")),
    Odd("a link to /dev/random", _link(".jpg", "/dev/random")),
    Odd("a socket", _socket),
    *(Odd(f"a folder named {suffix}", _directory(suffix)) for suffix in (".mp4", ".png")),
    Odd("a file that may not be read", _closed),
    *(Odd(f"an empty {suffix}", _bytes(suffix, b"")) for suffix in (".mp4", ".png", ".avi", ".ts", ".tif", ".gif")),
    *(Odd(f"one byte in a {suffix}", _bytes(suffix, b"\0")) for suffix in (".mp4", ".png", ".mjpeg", ".webp")),
    *(Odd(f"zeros in a {suffix}", _bytes(suffix, bytes(200_000))) for suffix in (".mp4", ".ts", ".mjpeg", ".bmp")),
    *(Odd(f"0xff in a {suffix}", _bytes(suffix, b"\xff" * 200_000)) for suffix in (".mpg", ".mjpeg", ".jpg")),
    *(Odd(f"words in a {suffix}", _text(suffix, "not footage\n" * 999)) for suffix in (".mp4", ".png", ".y4m", ".ts")),
    *(Odd(f"EPS in a {suffix}", _text(suffix, _EPS)) for suffix in (".png", ".jpg", ".mp4")),
    Odd("SVG in a .png", _text(".png", '<svg xmlns="http://www.w3.org/2000/svg"/>')),
    Odd("SDP in a .mp4", _text(".mp4", _SDP)),
    *(Odd(f"a playlist to {to} in a .mp4", _text(".mp4", _M3U8.replace("TARGET", to))) for to in _TARGETS),
    *(Odd(f"ffconcat to {to} in a .mp4", _text(".mp4", _CONCAT.replace("TARGET", to))) for to in _TARGETS),
    *(Odd(f"a good file named {name!r:.40}", _named(name)) for name in _NAMES),
    Odd("a path of 2,000 characters", _deep),
    *(
        Odd(f"a picture of {width}x{height} in a {suffix}", _picture(f"odd{suffix}", (height, width, channels)))
        for width, height, channels, suffix in (
            *((12_000, 8_000, 3, ".jpg"), (12_000, 8_000, 4, ".png"), (1, 1, 3, ".png"), (1, 10_000, 3, ".png")),
            *((10_000, 1, 3, ".jpg"), (65_000, 2, 3, ".jpg"), (2, 60_000, 3, ".png"), (7, 5, 4, ".png")),
        )
    ),
    Odd("a 16 bit picture of 9400x9400", _picture("odd.png", (9_400, 9_400), "uint16")),
    *(
        Odd(f"a PNG that states {width}x{height}, {bits} bit, kind {kind}", _stated_png(width, height, bits, kind))
        for width, height, bits, kind in (
            *(
                (60_000, 60_000, 8, 2),
                (2**31 - 1, 2**31 - 1, 8, 0),
                (0, 5, 8, 2),
                (12_000, 12_000, 16, 6),
                (5, 5, 3, 9),
            ),
        )
    ),
    *(Odd(f"a float TIFF of {value}", _floats("odd.tif", value)) for value in (np.nan, np.inf, 1e38, -1e38, 1e-40)),
    Odd("frames a microsecond apart", _timed("odd.mkv", lambda index: index / 1_000, num=40, clock=1_000)),
    Odd("frames a microsecond apart, MP4", _timed("odd.mp4", lambda index: index / 1_000_000, num=40, clock=1_000_000)),
    Odd("negative time stamps, MP4", _timed("odd.mp4", lambda index: index / 12 - 100)),
    Odd("negative time stamps, MKV", _timed("odd.mkv", lambda index: index / 12 - 100, clock=1_000)),
    Odd("a gap of a day", _timed("odd.mkv", lambda index: index / 12 + 86_400 * (index > 12), clock=1_000)),
    Odd("a gap of a year", _timed("odd.mkv", lambda index: index / 12 + 3e7 * (index > 12), clock=1_000)),
    Odd("one wild stamp", _timed("odd.mkv", lambda index: 5_000.0 if index == 23 else index / 12, clock=1_000)),
    Odd("frames an hour apart", _timed("odd.mp4", lambda index: 3_600.0 * index)),
    Odd("one frame", _timed("odd.mp4", lambda index: index / 12, num=1)),
    Odd("two frames", _timed("odd.mp4", lambda index: index / 12, num=2)),
    Odd("2^31 frames stated", _many_frames_stated),
    Odd("thousands of hours stated", _hours_stated),
    Odd("a transport stream whose clock falls back", _joined_ts),
    *(
        Odd(f"a video of {width}x{height}", _sized("odd.mkv", width, height))
        for width, height in ((1, 1), (2, 2), (16, 4_000), (4_000, 16), (20, 20), (33, 31), (7_680, 4_320))
    ),
    *(
        Odd(f"a video named {name}", _wrong_suffix("video", name))
        for name in ("odd.png", "odd.avi", "odd.gif", "odd.ts")
    ),
    *(Odd(f"a picture named {name}", _wrong_suffix("picture", name)) for name in ("odd.mp4", "odd.tif", "odd.gif")),
)
