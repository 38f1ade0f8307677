"""Footage cut down before it is decoded: which frames of it are left."""

from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame
from make import number_in, numbers, write_video
from PIL import Image
from views import Whole

from firstsight.closed_form.learn import spread
from firstsight.footage.container import open_video
from firstsight.footage.sampling import Sampling
from firstsight.footage.source import Source, open_source
from firstsight.footage.videos import VideoFile, VideoFiles

WANTED = 90  # three stretches of 60 frames, every third frame of which is used
USED = 60


def read(source: Source) -> tuple[list[int], list[int], int]:
    """The numbers written in the frames, the positions that they state, and how many were skipped."""
    with source.read(Whole()) as reading:
        frames = list(reading)
    return [number_in(frame.pixels) for frame in frames], [frame.index for frame in frames], reading.num_skipped


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


@pytest.fixture(scope="module", params=["long.mp4", "long.mkv", "long.ts"])
def long(request: pytest.FixtureRequest, folder: Path) -> Path:
    return write_video(folder / request.param, numbers(900), options={"g": "12", "preset": "ultrafast"})


def test_of_a_long_video_stretches_from_keyframes_on_are_read(long: Path) -> None:
    [part] = spread([open_source(long)], WANTED)
    found, stated, num_skipped = read(part)
    starts = found[::20]
    assert part.num_frames() == len(found) == USED
    assert [start % 12 for start in starts] == [0, 0, 0]
    np.testing.assert_allclose(starts, [150, 450, 750], atol=12)
    assert found == [start + 3 * step for start in starts for step in range(20)]
    assert stated == found
    assert num_skipped == 0


def test_it_keeps_to_start_and_end(long: Path) -> None:
    source = open_source(long, start_seconds=10, end_seconds=30)  # 500 frames
    found, _, _ = read(spread([source], WANTED // 3)[0])
    assert len(found) == USED // 3
    assert 250 <= found[0] <= found[-1] < 750


def test_the_last_stretch_keeps_to_the_end_too(long: Path) -> None:
    sampling = Sampling(start_seconds=10, end_seconds=14)
    found, _, _ = read(VideoFiles("long", (VideoFile(long, "long", sampling, num_segments=2),)))
    assert 264 <= found[0] <= 288
    assert 312 < found[-1] < 350  # of the second, which begins at 336 at the latest


def test_a_video_with_one_keyframe_is_decoded_whole(folder: Path) -> None:
    path = write_video(folder / "one.mp4", numbers(900), options={"g": "1000", "preset": "ultrafast"})
    found, _, _ = read(spread([open_source(path)], 300)[0])  # ten stretches
    assert found == list(range(0, 900, 3))


def test_where_keyframes_are_far_apart_stretches_are_fewer_and_longer(folder: Path) -> None:
    path = write_video(folder / "two.mp4", numbers(900), options={"g": "450", "preset": "ultrafast"})
    found, _, _ = read(spread([open_source(path)], WANTED)[0])
    assert found == [start + step for start in (0, 450) for step in range(0, 90, 3)]


def test_nothing_is_decoded_before_the_keyframe_that_a_stretch_begins_with(long: Path) -> None:
    with open_video(long, name="long") as video:
        landings = [video.landing_near(seconds) for seconds in (10.0, 20.0)]
        for landing in landings:
            video.seek(landing)
            first = next(frame for frame in video.frames() if isinstance(frame, VideoFrame))
            assert video.stamp(first) == landing.seconds


@pytest.mark.parametrize(("num", "expected"), [(50, range(50)), (179, range(179)), (180, range(0, 180, 2))])
def test_a_short_video_is_decoded_whole_and_thinned(num: int, expected: range, folder: Path) -> None:
    path = write_video(folder / f"{num}.mp4", numbers(num), options={"preset": "ultrafast"})
    [part] = spread([open_source(path)], WANTED)
    found, stated, _ = read(part)
    assert found == stated == list(expected)
    assert part.num_frames() == len(expected)


def test_frames_that_were_chosen_by_a_rate_are_thinned(long: Path) -> None:
    [part] = spread([open_source(long, every=2)], WANTED)
    found, _, _ = read(part)
    assert found == list(range(0, 900, 2 * (450 // WANTED)))
    assert part.num_frames() == len(found)


def test_of_many_short_videos_some_are_read_whole(folder: Path) -> None:
    paths = [
        write_video(folder / f"short {number}.mp4", numbers(40), options={"preset": "ultrafast"})
        for number in range(20)
    ]
    [part] = spread([open_source(paths)], WANTED)
    found, _, _ = read(part)
    assert found == 3 * list(range(0, 40, 3))


def test_a_short_video_beside_a_long_one_gets_a_stretch_at_most(long: Path, folder: Path) -> None:
    """As where a clip is added to many hours."""
    short = write_video(folder / "beside.mp4", numbers(200), options={"g": "12", "preset": "ultrafast"})
    for alone, num in ((open_source(short), 20), (open_source(short, end_seconds=1.6), 14)):
        _, part = spread([open_source([long] * 20), alone], WANTED)
        found, _, _ = read(part)
        assert len(found) == num


def test_pictures_are_thinned_and_an_array_is_left_as_it_is(folder: Path) -> None:
    pictures = np.stack(list(numbers(150)))
    (folder / "pictures").mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / "pictures" / f"{number}.png")
    files, array = spread([open_source(folder / "pictures"), open_source(pictures)], 100)
    assert read(files)[0] == list(range(0, 150, 3))
    assert read(array)[0] == list(range(150))


def test_a_file_that_is_not_a_video_is_still_counted_as_skipped(long: Path, folder: Path) -> None:
    (folder / "broken.mp4").write_bytes(b"nothing")
    [part] = spread([open_source([folder / "broken.mp4", long])], WANTED)
    with part.read(Whole()) as reading:
        assert len(list(reading)) == USED
    assert len(reading.skipped_sources) == 1
