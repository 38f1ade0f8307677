"""Footage as people have it: kinds of files that docs/footage.md speaks of and the other tests do not cover."""

import os
import subprocess
import sys

import numpy as np
import pytest
from make import number_in, numbered, numbers, write_video
from PIL import Image, features
from views import Square, Whole

from firstsight.errors import SourceError
from firstsight.footage.source import open_source


def frames_of(path, view=None, **options):
    with open_source(path, **options).read(view or Whole()) as reading:
        return list(reading)


def gradient(width=96, height=64):
    """Smooth, asymmetric and colourful."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([200 * x + 20, 200 * y + 20, 120 - 100 * x * y], axis=-1).astype(np.uint8)


def difference(first, second):
    return np.abs(first.astype(int) - second).mean()


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_high_dynamic_range_keeps_its_colours_but_is_not_tone_mapped(tmp_path, transfer):
    tags = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:log-level=none"
    options = {"x265-params": tags, "crf": "1"}
    path = write_video(
        tmp_path / "hdr.mkv", [gradient()] * 3, codec="libx265", pix_fmt="yuv420p10le", colorspace=9, options=options
    )
    for frame in frames_of(path):
        assert difference(frame.pixels, gradient()) < 1.5  # by the BT.2020 matrix, the curve left as it is


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("twelve.mkv", "libx265", "yuv420p12le"), ("master.mov", "prores_ks", "yuv422p10le")],
)
def test_deep_colour_is_brought_to_eight_bits(tmp_path, name, codec, pix_fmt):
    options = {"x265-params": "log-level=none", "crf": "1"} if codec == "libx265" else {}
    path = write_video(tmp_path / name, [gradient()] * 3, codec=codec, pix_fmt=pix_fmt, options=options)
    assert max(difference(frame.pixels, gradient()) for frame in frames_of(path)) < 1.5


def test_an_animated_gif_is_a_video(tmp_path):
    path = write_video(tmp_path / "loop.gif", numbers(10), codec="gif", pix_fmt="rgb8", rate=10)
    frames = frames_of(path)
    assert [number_in(frame.pixels) for frame in frames] == list(range(10))
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(10) / 10, atol=0.001)


@pytest.mark.parametrize("name", ["moving.png", "moving.webp"])
def test_of_a_moving_picture_the_first_is_read(tmp_path, name):
    first, *more = (Image.fromarray(numbered(number)) for number in range(5))
    first.save(tmp_path / name, save_all=True, append_images=more, lossless=True)
    assert [number_in(frame.pixels) for frame in frames_of(tmp_path / name)] == [0]


def test_the_transparency_of_vp9_is_not_seen(tmp_path):
    picture = np.full((64, 96, 4), 255, np.uint8)
    picture[:, 48:, 3] = 0
    path = write_video(
        tmp_path / "a.webm", [picture] * 3, codec="libvpx-vp9", pix_fmt="yuva420p", options={"auto-alt-ref": "0"}
    )
    assert frames_of(path)[0].pixels.min() > 250  # FFmpeg's own decoder leaves the second picture, the alpha, alone


_ENCODED = "import sys; from make import numbers, write_video; write_video(sys.argv[1], numbers(10), codec='libsvtav1')"


def test_av1(tmp_path):
    """The encoder has a process of its own: for root it makes the thread that calls it a real-time one."""
    path, environment = tmp_path / "new.mp4", {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", _ENCODED, path], check=True, capture_output=True, env=environment)
    assert [number_in(frame.pixels) for frame in frames_of(path)] == list(range(10))


class TestFragments:
    """MP4 as browsers record it and streams are cut: every fragment has an index of its own."""

    @pytest.fixture
    def path(self, tmp_path):
        muxing = {"movflags": "frag_keyframe+empty_moov"}
        options = {"g": "12", "bf": "0"}
        return write_video(tmp_path / "live.mp4", numbers(50), options=options, container_options=muxing)

    def test_give_every_frame(self, path):
        frames = frames_of(path)
        assert [number_in(frame.pixels) for frame in frames] == [frame.index for frame in frames] == list(range(50))
        assert frames[0].seconds == 0
        later = frames_of(path, start_seconds=1.0)
        assert [number_in(frame.pixels) for frame in later] == [frame.index for frame in later] == list(range(25, 50))

    def test_cut_off_in_an_index_can_still_be_piped(self, path, monkeypatch):
        content = path.read_bytes()
        path.write_bytes(content[: content.rfind(b"moof") + 100])
        with pytest.raises(SourceError, match=r"live\.mp4 is not a video"):
            open_source(path)
        reader, writer = os.pipe()
        with os.fdopen(writer, "wb") as end:
            end.write(path.read_bytes())
        with os.fdopen(reader) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            assert [number_in(frame.pixels) for frame in frames_of("-")] == list(range(48))


def test_the_resolution_may_change(tmp_path):
    small = write_video(tmp_path / "a.h264", numbers(20), container_format="h264")
    large = write_video(
        tmp_path / "b.h264", (numbered(20 + n, width=128, height=96) for n in range(20)), container_format="h264"
    )
    path = tmp_path / "both.h264"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    frames = frames_of(path, Square(64))
    assert [frame.size for frame in frames] == [(96, 64)] * 20 + [(128, 96)] * 20
    assert {frame.pixels.shape for frame in frames} == {(64, 64, 3)}


@pytest.mark.parametrize("name", ["photo.avif", "photo.jp2", "photo.tga"])
def test_a_picture_of_a_rarer_kind_is_read_when_named_but_not_looked_for_in_folders(tmp_path, name):
    if name.endswith("avif") and not features.check("avif"):
        pytest.skip("this Pillow cannot write AVIF")
    Image.fromarray(gradient()).save(tmp_path / name)
    frames = frames_of(tmp_path / name)
    assert [frame.size for frame in frames] == [(96, 64)]
    assert difference(frames[0].pixels, gradient()) < 1.5
    with pytest.raises(SourceError, match="there is no video or picture"):
        open_source(tmp_path)
