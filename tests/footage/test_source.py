import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from make import number_in, numbers, write_video
from PIL import Image
from views import Square, Whole

from firstsight.encoder.model import CentralSquare
from firstsight.errors import PixelsError, SettingsError, SourceError
from firstsight.footage import videos
from firstsight.footage.container import open_video
from firstsight.footage.frames import Frame
from firstsight.footage.queues import prefetch
from firstsight.footage.source import Place, Source, from_place, open_source

FILE_DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Twenty frames, numbered, 96x64."""
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", numbers(20))


@pytest.fixture
def walks(tmp_path, clip):
    """A folder of five videos and other things."""
    for name in ["take 10.mp4", "take 2.MP4", "b/same.mp4", "a/same.mp4", "it's 100% ü:1.mp4"]:
        path = tmp_path / "walks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(clip.read_bytes())
    for name in [".hidden.mp4", ".cache/thumb.mp4", "photo.jpg", "notes.txt"]:
        path = tmp_path / "walks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    return tmp_path / "walks"


@pytest.fixture
def photos(tmp_path):
    """A folder of 300 pictures of one grey each: its number modulo 256."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(300):
        Image.new("L", (30, 20), number % 256).save(folder / f"p{number}.png")
    return folder


def read(source, *views):
    with source.read(*(views or (Whole(),))) as reading:
        return list(reading), reading


class TestFiles:
    def test_a_single_video(self, clip):
        source = open_source(str(clip))
        frames, reading = read(source)
        assert isinstance(source, Source)
        assert (source.name, source.size(), source.num_frames()) == ("clip.mp4", (96, 64), 20)
        assert [number_in(frame.pixels) for frame in frames] == list(range(20))
        assert (reading.num_frames, reading.num_skipped, reading.skipped_sources) == (20, 0, [])

    @pytest.mark.parametrize(
        "name",
        ["a b.mp4", 'it\'s "quoted".mp4', "ünï 影片.mp4", "-y.mp4", "100%03d.mp4", "a:b.mp4", "[x]*?.mp4", "no suffix"],
    )
    def test_any_name(self, tmp_path, clip, name, monkeypatch):
        (tmp_path / name).write_bytes(clip.read_bytes())
        monkeypatch.chdir(tmp_path)
        for spec in (name, tmp_path / name, [name]):
            frames, _ = read(open_source(spec, every=10))
            assert [frame.source for frame in frames] == [name] * 2

    def test_a_folder_in_natural_order_without_what_is_hidden(self, walks):
        source = open_source(walks)
        frames, reading = read(source)
        assert source.name == "5 videos in walks/"
        order = ["a/same.mp4", "b/same.mp4", "it's 100% ü:1.mp4", "take 2.MP4", "take 10.mp4"]
        assert list(dict.fromkeys(frame.source for frame in frames)) == order
        assert source.num_frames() == reading.num_frames == len(frames) == 100
        assert [frame.index for frame in frames] == [*range(20)] * 5

    def test_a_list_of_files_and_folders(self, walks, clip):
        source = open_source([walks / "a", str(clip), walks / "b" / "same.mp4"])
        assert source.name == "3 videos"
        frames, _ = read(source)
        names = list(dict.fromkeys(frame.source for frame in frames))
        assert [name.rsplit("/", 2)[-2:] for name in names][::2] == [["a", "same.mp4"], ["b", "same.mp4"]]
        assert len(names) == 3

    def test_a_pattern(self, walks, monkeypatch):
        monkeypatch.chdir(walks.parent)
        source = open_source("walks/take*")
        assert (source.name, source.num_frames()) == ("2 videos matching walks/take*", 40)
        assert {frame.source for frame in read(source)[0]} == {"take 2.MP4", "take 10.mp4"}
        assert open_source("walks/**/same.mp4").num_frames() == 40

    def test_pictures_if_a_folder_has_no_video(self, photos):
        source = open_source(photos)
        frames, _ = read(source, Square(20, channels=1))
        assert (source.name, source.size(), source.num_frames()) == ("300 images in photos/", (30, 20), 300)
        assert [int(frame.pixels[0, 0, 0]) for frame in frames] == [number % 256 for number in range(300)]
        assert [(frame.index, frame.seconds) for frame in frames] == [(number, number) for number in range(300)]
        assert (frames[7].source, frames[7].size) == ("p7.png", (30, 20))

    def test_a_single_picture(self, photos):
        frames, _ = read(open_source(photos / "p5.png"))
        assert [(frame.source, frame.pixels.shape) for frame in frames] == [("p5.png", (20, 30, 3))]

    @pytest.mark.parametrize("rate", [0.5, 1, 5])
    def test_pictures_count_as_one_a_second(self, photos, rate):
        source = open_source(photos, start_seconds=10, end_seconds=20, frames_per_second=rate)
        assert [frame.index for frame in read(source)[0]] == list(range(10, 20, 2 if rate < 1 else 1))


class TestArrays:
    def test_are_sources(self):
        pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 50, 3), np.uint8)
        source = open_source(pixels, every=4)
        frames, reading = read(source)
        assert (source.name, source.size(), source.num_frames()) == ("array of 8 frames", (50, 40), 8)
        assert [frame.index for frame in frames] == [frame.seconds for frame in frames] == list(range(0, 30, 4))
        np.testing.assert_array_equal(frames[1].pixels, pixels[4])
        assert (reading.num_frames, repr(source)[:30]) == (8, "ArraySource(positions=(0, 4, 8")

    def test_grey_ones_show_in_colour_and_the_other_way_round(self):
        grey = np.full((2, 8, 8), 7, np.uint8)
        frames, _ = read(open_source(grey), Whole(3), Whole(1), Square(4))
        assert [picture.shape for picture in frames[0].pictures] == [(8, 8, 3), (8, 8, 1), (4, 4, 3)]

    @pytest.mark.parametrize("pixels", [np.zeros((2, 8, 8), np.float32), np.zeros((8, 8), np.uint8), 7])
    def test_of_another_kind_are_refused(self, pixels):
        with pytest.raises(PixelsError, match="valid"):
            open_source(pixels)


class TestSplit:
    def test_holds_out_the_end_of_a_video(self, bikes):
        learned, held_out = open_source(bikes).split(0.1)
        assert [frame.index for frame in read(learned, Square(8))[0]] == list(range(225))
        assert [frame.index for frame in read(held_out, Square(8))[0]] == list(range(225, 250))
        assert (learned.num_frames(), held_out.num_frames()) == (225, 25)

    def test_stays_within_the_stretch(self, bikes):
        learned, held_out = open_source(bikes, start_seconds=1, end_seconds=9).split(0.25)
        assert [read(part, Square(8))[0][0].index for part in (learned, held_out)] == [25, 175]
        assert [read(part, Square(8))[0][-1].index for part in (learned, held_out)] == [174, 224]

    def test_holds_out_a_minute_at_most(self, tmp_path):
        path = write_video(tmp_path / "long.mp4", numbers(400), rate=1)
        learned, held_out = open_source(path).split(0.5)
        assert (learned.num_frames(), held_out.num_frames()) == (340, 60)

    def test_holds_out_the_end_of_each_video(self, tmp_path, bikes):
        for name in "ab":
            shutil.copy(bikes, tmp_path / f"{name}.mp4")
        (tmp_path / "c.mp4").write_text("no video")
        _, held_out = open_source(tmp_path).split(0.1)
        frames, _ = read(held_out, Square(8))
        assert [(frame.source, frame.index) for frame in frames][::25] == [("a.mp4", 225), ("b.mp4", 225)]

    def test_holds_nothing_out_of_little_or_of_what_has_no_known_end(self, clip, tmp_path):
        source = open_source(clip)
        assert source.split(0.5) == (source, None)
        endless = open_source(write_video(tmp_path / "raw.h264", numbers(250), container_format="h264"))
        assert endless.split(0.1) == (endless, None)

    @pytest.mark.parametrize("share", [0.05, 0.1, 0.3, 0.5])
    def test_holds_out_pictures_evenly(self, share):
        learned, held_out = open_source(np.zeros((400, 8, 8), np.uint8)).split(share)
        indices = [frame.index for frame in read(held_out)[0]]
        assert set(np.diff(indices)) == {round(1 / share)}
        assert sorted(indices + [frame.index for frame in read(learned)[0]]) == list(range(400))
        few = open_source(np.zeros((199, 8, 8), np.uint8))
        assert few.split(share)[1] is None

    def test_holds_out_image_files(self, photos):
        learned, held_out = open_source(photos).split(0.1)
        assert (learned.num_frames(), held_out.num_frames()) == (270, 30)


class TestSeveral:
    def test_skip_what_cannot_be_read(self, walks, clip):
        (walks / "bad.mp4").write_text("no video")
        (walks / "empty.mp4").write_bytes(b"")
        source = open_source(walks)
        frames, reading = read(source)
        assert len(frames) == source.num_frames() == 100
        assert [reason.split(" is")[0] for reason in reading.skipped_sources] == ["bad.mp4", "empty.mp4"]
        assert source.size() == (96, 64)

    def test_skip_what_is_too_small_for_a_view(self, tmp_path, clip):
        (tmp_path / "a.mp4").write_bytes(clip.read_bytes())
        write_video(tmp_path / "b.mp4", numbers(3, width=20, height=10))
        frames, reading = read(open_source(tmp_path), CentralSquare())
        assert (len(frames), len(reading.skipped_sources)) == (20, 1)

    def test_skip_broken_pictures_and_count_them(self, photos):
        (photos / "p1.png").write_bytes((photos / "p1.png").read_bytes()[:50])
        frames, reading = read(open_source(photos))
        assert (len(frames), reading.num_skipped) == (299, 1)
        assert reading.skipped_sources[0].startswith("p1.png cannot be read as a picture")

    @pytest.mark.parametrize("suffix", [".mp4", ".png"])
    def test_are_an_error_if_none_can_be_read(self, tmp_path, suffix):
        for name in "ab":
            (tmp_path / f"{name}{suffix}").write_text("nothing")
        source = open_source(tmp_path)
        with pytest.raises(SourceError, match=rf"none of 2 (videos|images) in .*/ can be read; the first: a\{suffix}"):
            read(source)
        with pytest.raises(SourceError, match="none of 2"):
            source.size()


class TestErrors:
    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("nothing.mp4", "there is no file or folder 'nothing.mp4': valid are"),
            ("nothing*.mp4", r"nothing matches the pattern 'nothing\*.mp4': valid are"),
            ("", "the path is empty"),
            ([], "the list of files is empty"),
            (["clip.mp4", "nothing.mp4"], "there is no file or folder 'nothing.mp4'"),
            ([np.zeros((8, 8, 3), np.uint8)], "the list holds ndarray: valid are paths, or one array of all pictures"),
            (["clip.mp4", "photo.png"], "the list holds videos and pictures"),
            ("folder", "there is no video or picture in folder/"),
            ("*.txt", r"there is no video or picture matching \*.txt"),
            ("/dev/null", "'/dev/null' is neither a file nor a folder"),
            ("clip.mp4/inside.mp4", "there is no file or folder 'clip.mp4/inside.mp4'"),
            ("x" * 300, "cannot be read"),
            ("nul\0", "cannot be read"),
            ("broken.png", "broken.png cannot be read as a picture"),
            ("notes.txt", "notes.txt is not a video"),
        ],
    )
    def test_say_in_one_line_what_is_valid(self, tmp_path, clip, spec, message, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
        (tmp_path / "folder").mkdir()
        Image.new("L", (4, 4)).save("photo.png")
        (tmp_path / "broken.png").write_bytes(b"png")
        (tmp_path / "notes.txt").write_text("text\n" * 100)
        with pytest.raises(SourceError, match=message) as caught:
            open_source(spec)
        assert "\n" not in str(caught.value)

    @pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
    def test_name_what_must_not_be_read(self, clip, tmp_path):
        path = tmp_path / "locked.mp4"
        path.write_bytes(clip.read_bytes())
        path.chmod(0)
        with pytest.raises(SourceError, match=r"locked\.mp4 cannot be read: Permission denied"):
            open_source(path)

    def test_a_stretch_without_pictures(self):
        with pytest.raises(SourceError, match="its 5 pictures count as one a second"):
            open_source(np.zeros((5, 8, 8), np.uint8), start_seconds=9)

    def test_options_of_a_source_that_is_open_already(self, clip):
        source = open_source(clip)
        assert open_source(source) is source
        with pytest.raises(SettingsError, match=r"clip\.mp4 is open already"):
            open_source(source, every=2)


class TestReading:
    def test_can_be_left_and_begun_again(self, clip):
        source = open_source(clip)
        with source.read(Whole()) as reading:
            assert next(reading).index == 0
        assert list(reading) == []
        assert len(read(source)[0]) == 20

    @pytest.mark.skipif(not FILE_DESCRIPTORS.exists(), reason="needs /proc to know which files are open")
    def test_leaves_no_file_open(self, clip):
        def num_open():
            return sum(link.resolve() == clip for link in FILE_DESCRIPTORS.iterdir())

        reading = open_source(clip).read(Whole())
        next(reading)
        assert num_open() == 1
        reading.close()
        assert num_open() == 0

    def test_ahead_in_a_thread(self, clip):
        with open_source(clip).read(Whole()) as reading, prefetch(reading, depth=4) as frames:
            assert [frame.index for frame in frames] == list(range(20))
            assert reading.num_frames == 20
        with open_source(clip).read(Whole()) as reading, prefetch(reading, depth=4) as frames:
            next(frames)
        assert "prefetch" not in [thread.name for thread in threading.enumerate()]


def test_a_file_is_opened_once_to_ask_how_long_it_is_and_again_when_it_has_changed(clip, tmp_path, monkeypatch):
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clip.read_bytes())
    opened, sources = [], [open_source(copy, every=every) for every in (1, 1, 2)]
    monkeypatch.setattr(
        videos, "open_video", lambda path, **options: opened.append(path) or open_video(path, **options)
    )
    assert [source.num_frames() for source in sources] == [20, 20, 10]
    assert opened == [copy]
    os.utime(copy, ns=(1, 1))
    sources[0].num_frames()
    assert opened == [copy, copy]


class TestPlace:
    @pytest.mark.parametrize("num_same", [1, 2, 3])
    def test_of_frames_of_one_time_those_that_were_read_are_left_out(self, num_same):
        frames = [Frame((), seconds, index, "a", (4, 4)) for index, seconds in enumerate((0.5, 1, 1, 1, 2))]
        frames.append(Frame((), 0.0, 0, "b", (4, 4)))
        place = Place("a", 1.0, num_frames=1 + num_same, num_same=num_same)
        assert list(place.rest_of(frames)) == frames[1 + num_same :]

    def test_a_file_that_is_listed_twice_is_read_from_its_beginning(self, tmp_path):
        path = write_video(tmp_path / "a.mp4", numbers(5))
        place = Place("a.mp4", 0.04, num_frames=2)
        once, twice = (replace(open_source(path), files=open_source(path).files * num) for num in (1, 2))
        assert from_place(once, place) is not None
        assert from_place(twice, place) is None

    @pytest.mark.parametrize("wrong", [{"num_frames": 0}, {"num_skipped": -1}, {"num_same": 0}])
    def test_what_no_reading_gives_is_refused(self, wrong):
        with pytest.raises(SettingsError, match="valid is at least one frame"):
            Place("a", 1.0, **{"num_frames": 1} | wrong)
