"""The frame at a time is the nearest of all frames, whatever it takes to find it."""

import numpy as np
import pytest
from make import number_in, numbered, numbers, write_video
from PIL import Image
from views import Whole

from firstsight.errors import SettingsError, SourceError
from firstsight.footage import container
from firstsight.footage.frame_at import frame_at
from firstsight.footage.source import open_source

VIEWS = (Whole(),)


def appended(folder, **options):
    parts = [write_video(folder / f"{n}.ts", (numbered(30 * n + i) for i in range(30)), **options) for n in range(2)]
    (folder / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    return folder / "both.ts"


def cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5])
    return path


def damaged(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) * 2 // 3] = bytes(len(content) * 2 // 3 - len(content) // 2)
    path.write_bytes(content)
    return path


def interlaced(every):
    return {"x264-params": f"interlaced=1:tff=1:keyint={every}"}


GROUPS = {"g": "12"}
OPEN_GROUPS = {"x264-params": "open-gop=1:keyint=12:bframes=3"}
UNEVEN = np.cumsum(np.arange(20) % 5 * 0.3).tolist()

CLIPS = {
    "far keyframes": lambda to: write_video(to / "a.mp4", numbers(60), options={"g": "250"}),
    "keyframes only": lambda to: write_video(to / "a.mkv", numbers(60), codec="ffv1"),
    "open groups": lambda to: write_video(to / "a.mkv", numbers(60), options=OPEN_GROUPS),
    "slow": lambda to: write_video(to / "a.mp4", numbers(12), seconds=[10.0 * n for n in range(12)]),
    "uneven": lambda to: write_video(to / "a.mkv", numbers(20), seconds=UNEVEN),
    "rotated": lambda to: write_video(to / "a.mp4", numbers(60), rotation=90, options=GROUPS),
    "interlaced": lambda to: write_video(to / "a.mp4", numbers(40), options=interlaced(12)),
    "interlaced keyframes": lambda to: write_video(to / "a.mp4", numbers(20), options=interlaced(1)),
    "avi": lambda to: write_video(to / "a.avi", numbers(60), options={**GROUPS, "bf": "2"}),
    "plain avi": lambda to: write_video(to / "a.avi", numbers(60), codec="mpeg4", options=GROUPS),
    "no stamps": lambda to: write_video(to / "a.h264", numbers(60), container_format="h264", options=GROUPS),
    "late clock": lambda to: write_video(
        to / "a.ts", numbers(60), seconds=[90_000 + n / 25 for n in range(60)], options=GROUPS
    ),
    "appended": lambda to: appended(to, options={"g": "10"}),
    "late start": lambda to: write_video(to / "a.mp4", numbers(30), seconds=[2 + n / 25 for n in range(30)]),
    "cut off": lambda to: cut_off(write_video(to / "a.mkv", numbers(100), options=GROUPS)),
    "damaged": lambda to: damaged(write_video(to / "a.mkv", numbers(60), codec="ffv1", options={"slicecrc": "1"})),
}


@pytest.mark.parametrize("name", CLIPS)
def test_is_the_nearest_of_a_full_decode(tmp_path, name):
    path = CLIPS[name](tmp_path)
    with open_source(path).read(*VIEWS) as reading:
        frames = list(reading)
    times = np.array([frame.seconds for frame in frames])
    last = times[-1]
    between = (times[1:] + times[:-1]) / 2
    asked = [0.0, *np.linspace(0, last, 9), *times[::7], *between[::5] - 1e-4, *between[::9] + 1e-4, last + 0.01]
    for seconds in asked:
        nearest = frames[int(np.argmin(np.abs(times - seconds)))]  # of equals the first
        found = frame_at(path, float(seconds), views=VIEWS)
        assert (found.index, found.seconds) == (nearest.index, nearest.seconds), seconds
        np.testing.assert_array_equal(found.pixels, nearest.pixels)
        assert (found.size, found.source) == (nearest.size, nearest.source)


def test_of_frames_ten_seconds_apart(tmp_path):
    path = CLIPS["slow"](tmp_path)
    assert [number_in(frame_at(path, t, views=VIEWS).pixels) for t in (13, 15, 15.1, 17, 20)] == [1, 1, 2, 2, 2]


def test_does_not_decode_what_is_before(tmp_path, monkeypatch):
    path = write_video(tmp_path / "a.mp4", numbers(300), options={"g": "10"})
    decoded = []
    plain = container.OpenVideo.frames
    monkeypatch.setattr(
        container.OpenVideo, "frames", lambda self: (decoded.append(frame) or frame for frame in plain(self))
    )
    assert frame_at(path, 11.0, views=VIEWS).index == 275
    assert len(decoded) < 30


@pytest.mark.parametrize("way", ["fails", "lands late"])
def test_goes_by_the_beginning_where_the_file_cannot_be_positioned(tmp_path, monkeypatch, way):
    path = write_video(tmp_path / "a.mkv", numbers(60), options={"g": "10"})

    def seek(self, landing):
        if landing.ticks is not None:
            if way == "fails":
                raise container.SeekMissedError
            self._go_to(landing.ticks + 800)

    monkeypatch.setattr(container.OpenVideo, "seek", seek)
    assert [frame_at(path, t, views=VIEWS).index for t in (0.41, 1.0, 1.3)] == [10, 25, 32]


def test_beyond_the_end(tmp_path):
    path = write_video(tmp_path / "a.mp4", numbers(50))
    assert frame_at(path, 2.03, views=VIEWS).index == 49
    for seconds in (2.1, 300.0):
        with pytest.raises(SourceError, match=rf"a.mp4 is over before {seconds:g} s: it lasts 2 s; give an earlier"):
            frame_at(path, seconds, views=VIEWS)
    cut = CLIPS["cut off"](tmp_path)
    with pytest.raises(SourceError, match="is over before 300 s"):
        frame_at(cut, 300.0, views=VIEWS)


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_what_is_no_time(tmp_path, seconds):
    with pytest.raises(SettingsError, match="valid is a number of seconds from 0"):
        frame_at(write_video(tmp_path / "a.mp4", numbers(5)), seconds, views=VIEWS)


def test_of_pictures_which_count_as_one_a_second(tmp_path):
    for number in range(5):
        Image.new("L", (30, 20), 10 * number).save(tmp_path / f"{number}.png")
    assert [frame_at(tmp_path, t, views=VIEWS).index for t in (0, 1.4, 1.5, 1.6, 4, 5.5)] == [0, 1, 1, 2, 4, 4]
    assert frame_at(tmp_path / "3.png", 0, views=VIEWS).pixels[0, 0, 0] == 30
    array = np.arange(6, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2).repeat(3, 3)
    assert frame_at(array, 3.2, views=VIEWS).pixels[0, 0, 0] == 3
    with pytest.raises(SourceError, match="is over before 9 s"):
        frame_at(array, 9, views=VIEWS)


def test_of_several_videos_the_first_that_lasts_so_long(tmp_path):
    write_video(tmp_path / "a.mp4", numbers(25))
    write_video(tmp_path / "b.mp4", numbers(75))
    found = [frame_at(tmp_path, t, views=VIEWS) for t in (0.5, 2.0)]
    assert [(frame.source, frame.index) for frame in found] == [("a.mp4", 12), ("b.mp4", 50)]
    with pytest.raises(SourceError, match=r"a\.mp4 is over before 9 s"):
        frame_at(tmp_path, 9, views=VIEWS)


def test_pictures_count_whatever_the_sampling(tmp_path):
    for number in range(20):
        Image.new("L", (30, 20), 10 * number).save(tmp_path / f"{number:02d}.png")
    array = np.arange(20, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    for source in (open_source(tmp_path, every=10), open_source(array, every=10)):
        assert [frame_at(source, t, views=VIEWS).index for t in (0, 3, 12.5, 19)] == [0, 3, 12, 19]
