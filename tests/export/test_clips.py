"""Clips, read back: the very frames of the video, in its own time."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from make import write_video

from firstsight.errors import RunError, SourceError
from firstsight.export.clips import Stretch, cut, write_clips
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.frames import Frame, PixelByPixel
from firstsight.footage.source import open_source
from firstsight.library.records import SourceRecord
from firstsight.library.source_files import content_hash


def frames_of(path: Path, **sampling: float) -> list[Frame]:
    return list(open_source(path, **sampling).read(PixelByPixel()))


# A shot begins with frame 30, at 1.2 s, and the next with frame 76: a frame too early or too late would show.
@pytest.mark.parametrize(
    ("start", "end", "first", "num"),
    [
        (1.2, 3.04, 30, 46),
        (0.0, 0.2, 0, 5),
        (1.19, 1.3, 30, 3),
        (9.91, 99.0, 248, 2),
        (3.04, 3.04, 76, 1),  # shorter than a frame: one all the same
    ],
)
def test_a_clip_holds_the_frames_of_its_stretch(
    bikes: Path, tmp_path: Path, start: float, end: float, first: int, num: int
) -> None:
    cut(Stretch(bikes, start, end), tmp_path / "clip.mp4")
    clip = frames_of(tmp_path / "clip.mp4")
    assert len(clip) == num
    assert clip[0].seconds == 0
    assert [one.seconds for one in clip] == pytest.approx([index / 25 for index in range(num)], abs=1e-3)
    original = [one for one in frames_of(bikes, start_seconds=start) if first <= one.index < first + num]
    for found, expected in zip(clip[:: max(1, num - 1)], original[:: max(1, num - 1)], strict=True):
        difference = np.abs(found.pixels.astype(int) - expected.pixels)
        assert found.pixels.shape == expected.pixels.shape
        assert difference.mean() < 4  # grey levels, of an encoding that loses some; frames of two shots differ by 40


def test_names_and_progress(bikes: Path, tmp_path: Path) -> None:
    shutil.copy(bikes, tmp_path / "a b's: *.mp4")
    told: list[int] = []
    stretches = [Stretch(tmp_path / "a b's: *.mp4", 3.04, 3.2), Stretch(bikes, 0.0, 0.1)]
    written = write_clips(stretches, tmp_path / "new" / "clips", progress=lambda one: told.append(one.done))
    assert [path.name for path in written] == ["001-a_b_s_-3.04s.mp4", "002-bikes-0.00s.mp4"]
    assert told == [1, 2]
    assert {path.name for path in (tmp_path / "new" / "clips").iterdir()} == {path.name for path in written}


def test_names_of_a_hundred_are_in_the_order_of_their_ranks(bikes: Path, tmp_path: Path) -> None:
    gone = Stretch(tmp_path / "gone.mp4", 0.0, 0.1)
    stretches = [*[gone] * 8, Stretch(bikes, 0.0, 0.1), *[gone] * 90, Stretch(bikes, 1.0, 1.1)]
    written = [path.name for path in write_clips(stretches, tmp_path / "clips")]
    assert written == sorted(written) == ["009-bikes-0.00s.mp4", "100-bikes-1.00s.mp4"]


def record_of(path: Path) -> SourceRecord:
    state, content = path.stat(), content_hash(path, name=path.name)
    return SourceRecord(1, path.name, path, content, state.st_size, state.st_mtime_ns, 2.0, None, 20, 10.0)


def test_one_that_cannot_be_cut_is_told_and_the_others_are_cut(bikes: Path, tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.mp4" for name in ("same", "touched", "replaced", "gone", "broken")}
    for path in paths.values():
        shutil.copy(bikes, path)
    records = {name: record_of(path) for name, path in paths.items()}
    os.utime(paths["touched"], (1, 1))
    paths["replaced"].write_bytes(bikes.read_bytes()[::-1])  # as large
    paths["gone"].unlink()
    paths["broken"].write_bytes(b"no video")
    records["broken"] = record_of(paths["broken"])
    left_out: list[str] = []
    stretches = [Stretch(path, 0.0, 0.1, records[name]) for name, path in paths.items()]
    written = write_clips(stretches, tmp_path / "clips", progress=lambda one: left_out.extend(one.news))
    assert [path.name for path in written] == ["001-same-0.00s.mp4", "002-touched-0.00s.mp4"]
    assert {path.name for path in (tmp_path / "clips").iterdir()} == {path.name for path in written}
    assert [line.split(" ")[0] for line in left_out] == ["replaced.mp4", "gone.mp4", "broken.mp4"]
    assert "has changed since it was indexed" in left_out[0]


def test_odd_sizes_lose_a_row_or_a_column(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "odd.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10, width=65, height=49, pix_fmt="bgr0")
        for value in range(5):
            picture = np.full((49, 65, 3), 40 * value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    cut(Stretch(tmp_path / "odd.mkv", 0.2, 0.4), tmp_path / "clip.mp4")
    clip = frames_of(tmp_path / "clip.mp4")
    assert [one.pixels.shape for one in clip] == [(48, 64, 3)] * 2
    assert [float(one.pixels.mean()) for one in clip] == pytest.approx([80, 120], abs=3)


def test_what_cannot_be_cut_leaves_nothing_behind(bikes: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is gone"):
        cut(Stretch(tmp_path / "nothing.mp4", 0, 1), tmp_path / "clip.mp4")
    with pytest.raises(SourceError, match="is over before 99 s"):
        cut(Stretch(bikes, 99, 100), tmp_path / "clip.mp4")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="another folder"):
        write_clips([Stretch(bikes, 0, 1)], tmp_path / "file")
    with pytest.raises(RunError, match=r"missing/clip\.mp4 cannot be written"):
        cut(Stretch(bikes, 0, 1), tmp_path / "missing" / "clip.mp4")
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


def test_clips_of_long_names_are_cut_with_the_others(bikes: Path, tmp_path: Path) -> None:
    long = Path(shutil.copy(bikes, tmp_path / ("x" * 250 + ".mp4")))
    written = write_clips([Stretch(path, 0, 0.2) for path in (bikes, long, bikes)], tmp_path / "clips")
    assert len(written) == len(list((tmp_path / "clips").iterdir())) == 3


def test_pictures_that_the_encoder_refuses_are_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match="17408x64 pixels are not encoded"),
        VideoWriter(tmp_path / "wide.mp4", size=(17_408, 64)) as writer,
    ):
        writer.write(np.zeros((64, 17_408, 3), np.uint8), seconds=0.0)


def test_the_clip_that_was_asked_for_is_named_where_its_pictures_are_refused(tmp_path: Path) -> None:
    wide = write_video(tmp_path / "wide.mkv", [np.zeros((64, 17_408, 3), np.uint8)], codec="ffv1", pix_fmt="bgr0")
    with pytest.raises(RunError) as error:
        cut(Stretch(wide, 0, 1), tmp_path / "clip.mp4")
    assert str(error.value) == f"{tmp_path / 'clip.mp4'} cannot be written: 17408x64 pixels are not encoded"
    assert list(tmp_path.iterdir()) == [wide]
