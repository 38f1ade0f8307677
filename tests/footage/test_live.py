"""What passes by once: a video piped into standard input, and cameras."""

import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from make import number_in, numbers, write_video
from views import Square, Whole

from firstsight import compare
from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.article.settings import article_levels
from firstsight.comparison.compare import AtSeconds
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.model import CentralSquare
from firstsight.errors import SourceError
from firstsight.footage.live import Endpoint, LiveSource, camera
from firstsight.footage.sampling import Sampling
from firstsight.footage.source import Source, open_source
from firstsight.learning.learn import learn

PIPEABLE = [
    ("clip.mkv", {}),
    ("clip.ts", {}),
    ("clip.mp4", {"movflags": "faststart"}),
    ("fragments.mp4", {"movflags": "frag_keyframe+empty_moov"}),
    ("clip.avi", {}),
]


@pytest.fixture
def piped(monkeypatch):
    """Makes standard input a pipe that holds those bytes, and then ends."""
    opened = []

    def pipe(content):
        reader, writer = os.pipe()
        thread = threading.Thread(target=_feed, args=(writer, content))
        thread.start()
        stdin = io.TextIOWrapper(os.fdopen(reader, "rb"))
        monkeypatch.setattr(sys, "stdin", stdin)
        opened.append((stdin, thread))

    yield pipe
    for stdin, thread in opened:
        stdin.close()
        thread.join()


def _feed(writer, content):
    try:
        with os.fdopen(writer, "wb") as file:
            file.write(content)
    except BrokenPipeError:  # nobody reads on
        pass


def tiny_encoder():
    return Encoder(
        ArticleModel(CentralSquare(48, 32), Network(article_levels(num_levels=2, maps=4), input_size=32, seed=0))
    )


class TestStandardInput:
    @pytest.mark.parametrize(("name", "muxing"), PIPEABLE)
    def test_gives_every_frame(self, tmp_path, piped, name, muxing):
        codec = "mpeg4" if name.endswith("avi") else "libx264"
        path = write_video(tmp_path / name, numbers(40), codec=codec, container_options=muxing)
        with open_source(path).read(Whole()) as reading:
            expected = [(frame.index, frame.seconds) for frame in reading]
        piped(path.read_bytes())
        source = open_source("-")
        assert isinstance(source, Source)
        assert (source.name, source.size(), source.num_frames(), source.replayable) == (
            "standard input",
            (96, 64),
            None,
            False,
        )
        assert source.split(0.1) == (source, None)
        with source.read(Whole()) as reading:
            frames = list(reading)
        assert [number_in(frame.pixels) for frame in frames] == list(range(40))
        assert [(frame.index, frame.seconds) for frame in frames] == expected

    def test_is_sampled_like_a_file(self, tmp_path, piped):
        piped(write_video(tmp_path / "a.mkv", numbers(40)).read_bytes())
        with open_source("-", start_seconds=0.4, end_seconds=1.2, every=5).read(Whole()) as reading:
            assert [number_in(frame.pixels) for frame in reading] == [10, 15, 20, 25]

    def test_can_be_read_once(self, tmp_path, piped):
        piped(write_video(tmp_path / "a.mkv", numbers(12)).read_bytes())
        source = open_source("-")
        with source.read(Square(16)) as reading:
            assert len(list(reading)) == 12
        with pytest.raises(SourceError, match="standard input gave 12 frames and can be read once: save it to a file"):
            source.read(Square(16))

    def test_of_the_articles_learner_ends_in_one_line(self, tmp_path, piped):
        piped(write_video(tmp_path / "a.mkv", numbers(30)).read_bytes())
        with pytest.raises(SourceError, match="standard input gave 30 frames and can be read once: save it"):
            learn("-", method="article", num_levels=1, maps=4, hidden_maps=8, crop_size=48, input_size=32)

    def test_teaches_the_default_method_in_its_single_pass(self, bikes, piped, tmp_path):
        piped(write_video(tmp_path / "a.mkv", _some_frames(bikes, 60)).read_bytes())
        assert learn("-", max_frames=12).provenance["outcome"]["frames_in_a_pass"] == 60

    def test_is_compared(self, tmp_path, piped):
        piped(write_video(tmp_path / "a.mkv", numbers(20)).read_bytes())
        assert len(list(compare(tiny_encoder(), open_source("-")))) == 19

    def test_has_no_second_look_for_an_anchor(self, tmp_path, piped):
        piped(write_video(tmp_path / "a.mkv", numbers(20)).read_bytes())
        with pytest.raises(SourceError, match="can be read once"):
            list(compare(tiny_encoder(), open_source("-"), anchor=AtSeconds(0.2)))

    @pytest.mark.parametrize("content", [b"", b"no video\n" * 99, np.random.default_rng(0).bytes(5000)])
    def test_that_is_no_video(self, piped, content):
        piped(content)
        with pytest.raises(SourceError, match=r"^standard input is not a video: [^\n]+ give it by its name$"):
            open_source("-")

    def test_a_playlist_opens_no_other_file(self, tmp_path, piped, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write_video(tmp_path / "a.mp4", numbers(5))
        piped(b"ffconcat version 1.0\nfile a.mp4\n")
        with pytest.raises(SourceError, match="is not a video"):
            open_source("-")

    def test_an_mp4_with_its_index_at_the_end(self, bikes, piped):
        piped(bikes.read_bytes())
        with pytest.raises(SourceError, match=r"no frame that can be decoded; an MP4 file with its index at the end"):
            open_source("-")

    def test_a_start_after_the_end(self, tmp_path, piped):
        piped(write_video(tmp_path / "a.mkv", numbers(20)).read_bytes())
        with pytest.raises(SourceError, match="standard input ended before 9 s"):
            list(open_source("-", start_seconds=9).read(Whole()))

    def test_a_terminal(self, monkeypatch):
        controller, terminal = os.openpty()
        with os.fdopen(terminal) as stdin, os.fdopen(controller, "rb"):
            monkeypatch.setattr(sys, "stdin", stdin)
            with pytest.raises(SourceError, match="standard input is a terminal or closed: pipe a video into it"):
                open_source("-")

    def test_on_the_command_line(self, tmp_path):
        path = write_video(tmp_path / "a.mkv", numbers(20))
        tiny_encoder().save(tmp_path / "run")
        program = "from firstsight.cli.main import main; main()"
        arguments = ["compare", str(tmp_path / "run"), "-", "--out", str(tmp_path / "out"), "--json"]
        with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
            command = [sys.executable, "-c", program, *arguments]
            ran = subprocess.run(command, stdin=cat.stdout, capture_output=True, text=True, check=True)
        assert '"num_compared": 19' in ran.stdout
        assert (tmp_path / "out" / "report.html").exists()


class TestCameras:
    @pytest.mark.parametrize("spec", ["97", "/dev/video97", "/dev/v4l/by-id/usb-none"])
    def test_that_are_missing_are_one_line(self, spec):
        with pytest.raises(
            SourceError, match=rf"^camera {spec} (cannot be read|is not a video)[^\n]*; check that it is"
        ):
            open_source(spec)

    def test_a_file_of_that_name_is_no_camera(self, tmp_path, monkeypatch):
        write_video(tmp_path / "0", numbers(3), container_format="matroska")
        monkeypatch.chdir(tmp_path)
        assert open_source("0").name == "0"

    @pytest.mark.parametrize(
        ("system", "spec", "address", "container_format"),
        [
            ("linux", "0", "/dev/video0", "v4l2"),
            ("linux", "/dev/video2", "/dev/video2", "v4l2"),
            ("darwin", "1", "1", "avfoundation"),
            ("win32", "video=Integrated Camera", "video=Integrated Camera", "dshow"),
        ],
    )
    def test_go_by_the_names_of_their_system(self, system, spec, address, container_format):
        place = camera(spec, system=system)
        assert (place.address, place.container_format) == (address, container_format)

    def test_have_names_on_windows(self):
        with pytest.raises(SourceError, match="give video=NAME"):
            camera("0", system="win32")

    def test_are_opened_when_they_are_looked_at_and_can_be_closed(self):
        source = LiveSource(Endpoint("camera 0", "testsrc=size=96x64:rate=25", "lavfi"), Sampling())
        assert source._opened is None
        assert source.size() == (96, 64)
        reading = source.read(Whole())
        next(reading)
        source.close()
        missing = LiveSource(Endpoint("camera 97", "/dev/video97", "v4l2", cure="plug it in"), Sampling())
        missing.close()
        with pytest.raises(SourceError, match=r"camera 97 .*; plug it in"):
            missing.size()

    def test_are_closed_with_a_reading_that_has_not_begun(self):
        source = LiveSource(Endpoint("camera 0", "testsrc=size=96x64:rate=25", "lavfi"), Sampling())
        source.size()
        closed = []
        source._opened.closing.callback(lambda: closed.append(True))
        with source.read(Whole()):
            pass
        assert closed == [True]

    def test_a_file_called_as_one_of_windows_is_no_camera(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write_video(tmp_path / "video=hall.mp4", numbers(5))
        assert len(list(open_source("video=hall.mp4"))) == 5

    def test_give_frames_as_a_device_of_ffmpeg_does(self):
        generated = Endpoint("camera 0", "testsrc=size=96x64:rate=25:duration=1", "lavfi")
        source = LiveSource(generated, Sampling(every=2))
        with source.read(Whole()) as reading:
            frames = list(reading)
        assert (source.size(), len(frames), frames[0].pixels.shape) == ((96, 64), 13, (64, 96, 3))
        assert [frame.index for frame in frames] == list(range(0, 25, 2))

    def test_have_the_time_of_their_arrival_and_not_what_they_state(self):
        slow = Endpoint("camera 0", "testsrc=size=96x64:rate=1/600:duration=6000", "lavfi")
        with LiveSource(slow, Sampling()).read(Whole()) as reading:
            seconds = [frame.seconds for frame in reading]
        assert len(seconds) == 10
        assert seconds == sorted(seconds)
        assert seconds[-1] < 600


def _some_frames(path, count):
    with open_source(path).read(Square(96)) as reading:
        return [frame.pixels for frame, _ in zip(reading, range(count), strict=False)]
