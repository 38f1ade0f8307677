"""Videos cut without being coded again, by an edit list or out of a broadcast; broadcasts that change on the way."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from make import number_in, numbers, write_video
from views import Whole

from firstsight.footage.container import open_video
from firstsight.footage.frame_at import frame_at
from firstsight.footage.source import open_source


def edited(path: Path, edits: list[tuple[float, float]]) -> Path:
    """An MP4 whose index comes last, with another edit list: durations and beginnings in seconds, -1 of none."""
    content = bytearray(path.read_bytes())
    ticks = [struct.unpack_from(">I", content, content.find(name) + 16)[0] for name in (b"mvhd", b"mdhd")]
    rows = [
        (round(duration * ticks[0]), round(begin * ticks[1]) if begin >= 0 else -1, 1 << 16)
        for duration, begin in edits
    ]
    box = b"elst" + struct.pack(">II", 0, len(rows)) + b"".join(struct.pack(">IiI", *row) for row in rows)
    at = content.find(b"elst") - 4
    (old,) = struct.unpack_from(">I", content, at)
    content[at : at + old] = struct.pack(">I", len(box) + 4) + box
    for name in (b"edts", b"trak", b"moov"):
        begins = content.find(name) - 4
        struct.pack_into(">I", content, begins, struct.unpack_from(">I", content, begins)[0] + 4 + len(box) - old)
    path.write_bytes(content)
    return path


def read(path: Path, **options: float) -> tuple[list[tuple[int, int, float]], int]:
    """Index, number and time of each frame, and how many were skipped."""
    with open_source(path, **options).read(Whole()) as reading:
        return [(one.index, number_in(one.pixels), round(one.seconds, 3)) for one in reading], reading.num_skipped


VARIABLE = [number / 50 for number in range(100)] + [2 + number / 10 for number in range(20)]


@pytest.mark.parametrize(
    ("seconds", "edits", "shown"),
    [
        (None, [(2, 1.08)], range(25, 75)),
        (None, [(1, 0.08), (1, 2.08)], [*range(25), *range(50, 75)]),
        (None, [(1, 2.08), (1, 0.08)], [*range(50, 75), *range(25)]),
        (None, [(0.5, -1), (1, 2.08)], range(50, 75)),
        (None, [(0.5, -1), (4, 0.08)], range(100)),
        (VARIABLE, [(2, 2)], range(100, 120)),
        (VARIABLE, [(2, 0)], range(100)),
    ],
)
def test_an_edit_list_decides_what_is_shown_when_and_nothing_is_lost(
    tmp_path: Path, seconds: list[float] | None, edits: list, shown: list
) -> None:
    options = {"g": "20", "bf": "0" if seconds else "2"}
    made = write_video(tmp_path / "a.mp4", numbers(120 if seconds else 100), seconds=seconds, options=options)
    path = edited(made, edits)
    found, num_skipped = read(path)
    assert [number for _, number, _ in found] == list(shown)
    assert num_skipped == 0
    times = np.array([time for *_, time in found])
    with av.open(str(path)) as container:  # as FFmpeg shows it
        expected = [frame.time for frame in container.decode(video=0)]
    np.testing.assert_allclose(times, np.maximum.accumulate(expected), atol=1e-3)
    with open_video(path, name="a") as video:
        assert video.num_frames() == len(found)
        assert video.end_seconds == pytest.approx(times[-1] + (0.04 if seconds is None else 0.1), abs=0.09)


def test_every_cut_of_a_video_of_one_rate_is_whole(tmp_path: Path) -> None:
    for first in (0.96, 1.0, 1.02, 1.1):
        path = edited(write_video(tmp_path / "a.mp4", numbers(100), options={"g": "20", "bf": "2"}), [(2.5, first)])
        with open_video(path, name="a") as video:
            stated = video.num_frames()
        found, num_skipped = read(path)
        assert (stated, num_skipped) == (len(found), 0)


def test_frames_of_a_broadcast_that_was_cut_anywhere_have_the_same_index_wherever_reading_begins(
    tmp_path: Path,
) -> None:
    options = {"bf": "2", "g": "12", "b": "2000000"}
    path = write_video(tmp_path / "a.ts", numbers(150), codec="mpeg2video", options=options)
    content = path.read_bytes()
    path.write_bytes(content[len(content) // 15 // 188 * 188 :])
    whole, _ = read(path)
    assert whole[0][1] > 2  # it begins in the middle of a group
    for start in (1.0, 2.0, 3.0):
        expected = next(one for one in whole if one[2] >= start)
        assert read(path, start_seconds=start)[0][0] == expected
        near = frame_at(path, expected[2])
        assert (near.index, number_in(near.pixels)) == expected[:2]


@pytest.mark.parametrize("codec", ["mpeg2video", "libx264"])
@pytest.mark.parametrize("aspects", [(1, Fraction(4, 3)), (Fraction(4, 3), 1)])
def test_pixels_are_squared_as_each_part_states(tmp_path: Path, codec: str, aspects: tuple) -> None:
    parts = [
        write_video(tmp_path / f"{number}.ts", numbers(30), codec=codec, sar=Fraction(aspect), options={"g": "10"})
        for number, aspect in enumerate(aspects)
    ]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    alone = [next(iter(open_source(part))).size[0] for part in parts]
    assert alone[0] != alone[1]
    assert [one.size[0] for one in open_source(both)] == [width for width in alone for _ in range(30)]


@pytest.mark.parametrize("num_between", [0, 2])
def test_an_interlaced_frame_is_the_same_wherever_reading_begins(tmp_path: Path, num_between: int) -> None:
    """Also at a keyframe, and where frames that are coded later are shown before it."""
    options = {"flags": "+ildct+ilme", "top": "1", "g": "12", "b": "2000000", "bf": str(num_between)}
    path = write_video(tmp_path / "a.ts", numbers(60), codec="mpeg2video", options=options)
    whole = list(open_source(path))
    for expected in whole[9:50]:
        first = next(iter(open_source(path, start_seconds=expected.seconds)))
        assert first.index == expected.index
        np.testing.assert_array_equal(first.pixels, expected.pixels)
