"""Footage as it passes by: newest frame, real time, lost and back, from files, pipes, HTTP and a real RTSP server."""

import contextlib
import http.server
import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from make import number_in, numbers, write_video
from PIL import Image
from rtsp import Server, require_server
from views import Whole
from waiting import WATCHDOG_SECONDS, wait_for
from web import served

from firstsight.backoff import Backoff
from firstsight.errors import SettingsError, SourceError
from firstsight.footage.frames import Frame
from firstsight.footage.live import ADDRESS, CAMERA, PIPE, RECORDING, Endpoint, endpoint_of, public_name
from firstsight.footage.queues import EndedError, Newest
from firstsight.footage.source import open_source
from firstsight.footage.stream import Back, Lost, Stream, first_frames

_BACKOFF = Backoff(first_seconds=0.05, max_seconds=0.2)
PATIENT = {"timeout_seconds": WATCHDOG_SECONDS, "backoff": _BACKOFF}


def take(stream, count):
    return [arrival for arrival, _ in zip(stream, range(count), strict=False)]


def until(arrivals, kind):
    """Reads on to the first arrival of that kind."""
    return next(arrival for arrival in arrivals if isinstance(arrival, kind))


def held():
    """How many threads and descriptors this process has."""
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def no_leak():
    """Fails if threads or descriptors are left over."""
    threads, descriptors = held()
    yield
    wait_for(lambda: held()[0] <= threads and held()[1] <= descriptors)


class TestTheBox:
    def test_keeps_the_newest_frame_and_all_news(self):
        box = Newest()
        for item in ("a", "b", "LOST", "c", "d"):
            box.put(item, droppable=item.islower())
        assert [box.take(0), box.take(0), box.take(0), box.take(0)] == ["b", "LOST", "d", None]
        assert box.num_dropped == 2

    def test_gives_what_waits_before_the_error_that_ended_it(self):
        box = Newest()
        box.put("a", droppable=True)
        box.end(SourceError("gone"))
        assert box.take(0) == "a"
        with pytest.raises(SourceError, match="gone"):
            box.take(0)
        with pytest.raises(EndedError):
            box.take(0)

    def test_that_is_stopped_holds_nobody_up(self):
        box = Newest()
        box.put("a", droppable=False)
        waiting = threading.Thread(target=box.wait_until_empty)
        waiting.start()
        box.stop()
        waiting.join(WATCHDOG_SECONDS)
        assert not waiting.is_alive()


def test_a_time_out_of_no_time_is_refused(bikes):
    with pytest.raises(SettingsError, match="valid is a number of seconds above 0"):
        Stream(bikes, views=(Whole(),), timeout_seconds=0)


class TestAddresses:
    @pytest.mark.parametrize("address", ["rtsp://h/1", "RTSP://h:554/a?b=c", "https://h/x.m3u8", "udp://@:1234"])
    def test_are_live_places(self, address):
        assert endpoint_of(address).address == address

    @pytest.mark.parametrize("text", ["clip.mp4", "walks/*.mp4", "rtsp:/h", "ftp://h/a.mp4", "C://x"])
    def test_other_names_are_not(self, text):
        assert endpoint_of(text) is None

    def test_keep_their_secrets(self):
        assert public_name("rtsp://user:p@ss@10.0.0.7/live?token=1") == "rtsp://10.0.0.7/live"
        with pytest.raises(SourceError, match=r"^rtsp://127.0.0.1:1/x cannot be read: Connection refused; check that"):
            open_source("rtsp://user:secret@127.0.0.1:1/x?key=2")


class TestRecordings:
    def test_are_read_whole_as_fast_as_they_are_used(self, tmp_path, no_leak):
        path = write_video(tmp_path / "a.mp4", numbers(60))
        with Stream(path, views=(Whole(),), speed=0) as stream:
            frames = list(stream)
        assert [number_in(frame.pixels) for frame in frames] == list(range(60))
        assert [frame.seconds for frame in frames] == pytest.approx([index / 25 for index in range(60)])
        assert stream.num_dropped == 0

    def test_take_their_time(self, tmp_path, no_leak):
        path = write_video(tmp_path / "a.mp4", numbers(50))
        begun = time.monotonic()
        with Stream(path, views=(Whole(),), frames_per_second=5, speed=2) as stream:
            assert len(list(stream)) + stream.num_dropped == 10
        assert time.monotonic() - begun >= 0.9  # 1.8 s of footage at twice its speed

    def test_of_a_slow_user_give_the_newest_frame(self, tmp_path, no_leak):
        path = write_video(tmp_path / "a.mp4", numbers(50))
        with Stream(path, views=(Whole(),), speed=4) as stream:
            seen = []
            for frame in stream:
                seen.append(frame.index)
                if len(seen) == 2:
                    wait_for(lambda: stream.num_dropped > 10)
        assert seen == sorted(seen)
        assert seen[-1] == 49
        assert len(seen) + stream.num_dropped == 50
        assert stream.num_dropped > 10

    def test_count_what_cannot_be_decoded(self, tmp_path):
        path = write_video(tmp_path / "a.mkv", numbers(60))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with Stream(path, views=(Whole(),), speed=0) as stream:
            num_read = len(list(stream))
        assert num_read + stream.num_skipped == 60

    def test_count_it_while_they_are_read(self, tmp_path):
        def restamp(packet):
            if packet.pts == 10:
                packet.pts = 125_000

        path = write_video(tmp_path / "a.mkv", numbers(60), options={"bf": "0"}, restamp=restamp)
        with Stream(path, views=(Whole(),), speed=0) as stream:
            counts = {frame.index: stream.num_skipped for frame in stream}
        assert counts[5] == 0
        assert counts[30] == 1

    def test_may_be_arrays(self):
        with Stream(np.zeros((3, 8, 8), np.uint8), views=(Whole(),), speed=0) as stream:
            assert [frame.index for frame in stream] == [0, 1, 2]

    def test_can_be_left_in_the_middle(self, tmp_path, no_leak):
        path = write_video(tmp_path / "a.mp4", numbers(60))
        for speed in (0, 1):
            with Stream(path, views=(Whole(),), speed=speed) as stream:
                assert len(take(stream, 3)) == 3

    @pytest.mark.parametrize("speed", [-1, float("inf"), float("nan")])
    def test_have_a_speed_from_nought(self, tmp_path, speed):
        with pytest.raises(SettingsError, match="valid is 0, as fast as possible"):
            Stream(write_video(tmp_path / "a.mp4", numbers(3)), views=(), speed=speed)

    def test_that_do_not_exist(self):
        with pytest.raises(SourceError, match="there is no file"):
            Stream("nowhere.mp4", views=())


class TestStandardInput:
    @pytest.mark.parametrize("name", ["clip.mkv", "clip.ts"])
    def test_is_a_recording_if_it_states_its_length(self, tmp_path, name):
        path = write_video(tmp_path / name, numbers(40))
        program = (
            "from firstsight.footage.stream import Stream; from views import Whole\n"
            "with Stream('-', views=(Whole(),), speed=0) as s: print([f.index for f in s], s.num_dropped)"
        )
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        with path.open("rb") as file:
            ran = subprocess.run(
                [sys.executable, "-c", program], stdin=file, capture_output=True, text=True, check=True, env=environment
            )
        assert ran.stdout == f"{list(range(40))} 0\n"

    def test_waits_for_its_reader_and_drops_nothing(self, tmp_path, monkeypatch):
        path = tmp_path / "live.mkv"
        with path.open("wb") as file:  # a muxer that cannot go back states no length
            write_video(_Forward(file), numbers(60), container_format="matroska")
        with path.open("rb") as piped:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(piped))
            with Stream("-", views=(Whole(),)) as stream:
                first = next(stream)
                stream._thread.join(0.3)  # it could read all meanwhile
                frames = [first, *stream]
                assert [number_in(frame.pixels) for frame in frames] == list(range(60))
                assert [frame.seconds for frame in frames] == pytest.approx([n / 25 for n in range(60)], abs=1e-3)
                assert stream.num_dropped == 0


@pytest.fixture
def web(tmp_path):
    """A web server for the folder, which counts what it refused."""

    class Folder(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path))

        def send_error(self, *arguments):
            server.num_refused += 1
            super().send_error(*arguments)

    with served(Folder) as server:
        server.num_refused = 0
        yield server


class _Forward:
    """A file that can only be written to."""

    def __init__(self, file):
        self.write = file.write


@pytest.mark.parametrize(
    ("kind", "regime"),
    [
        (RECORDING, (True, True, False, True)),
        (CAMERA, (False, True, True, False)),
        (PIPE, (False, False, False, True)),
        (ADDRESS, (False, True, True, False)),
    ],
)
def test_the_kinds_of_stream(kind, regime):
    assert (kind.is_paced, kind.may_drop, kind.reconnects, kind.has_own_clock) == regime


class TestHttp:
    def test_a_file_is_a_recording(self, tmp_path, web):
        write_video(tmp_path / "a.mp4", numbers(30))
        with Stream(f"{web.address}/a.mp4", views=(Whole(),), speed=0) as stream:
            assert [number_in(frame.pixels) for frame in stream] == list(range(30))

    def test_is_a_source_for_every_command(self, tmp_path, web):
        write_video(tmp_path / "a.mp4", numbers(30))
        with open_source(f"{web.address}/a.mp4", every=10).read(Whole()) as reading:
            assert [frame.index for frame in reading] == [0, 10, 20]

    def test_what_is_not_there_is_one_line(self, web):
        with (
            Stream(f"{web.address}/b.mp4", views=(Whole(),)) as stream,
            pytest.raises(SourceError, match=r"b.mp4 (cannot be read|is not a video)[^\n]*; check that"),
        ):
            list(stream)


@pytest.fixture
def web_camera():
    """A web camera that sends a JPEG ten times a second while its switch is on; its address and the switch."""
    switch, picture = threading.Event(), io.BytesIO()
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(picture, "JPEG")
    part = b"--x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture.getvalue())

    class Camera(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if switch.is_set() else 503)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=x")
            self.end_headers()
            with contextlib.suppress(OSError):
                while switch.is_set():
                    self.wfile.write(part + picture.getvalue() + b"\r\n")
                    time.sleep(0.1)

    switch.set()
    with served(Camera) as server:
        yield f"{server.address}/video", switch
        switch.clear()


class TestLive:
    def test_a_web_camera_is_lost_and_back(self, web_camera, no_leak):
        address, switch = web_camera
        with Stream(address, views=(Whole(),), **PATIENT) as stream:
            assert until(stream, Frame).pixels.shape == (48, 64, 3)
            switch.clear()
            until(stream, Lost)
            switch.set()
            assert until(stream, Back).away_seconds > 0

    def test_is_told_by_when_it_arrives(self, no_leak):
        generated = Endpoint("camera 0", "testsrc=size=96x64:rate=25:duration=1", "lavfi")
        with Stream(generated, views=(Whole(),), **PATIENT) as stream:
            first = until(stream, Frame)
            lost = until(stream, Lost)
            back = until(stream, Back)
            again = until(stream, Frame)
        assert lost.reason == "camera 0 ended"
        assert first.seconds <= lost.last_seconds <= lost.seconds
        assert 0 <= first.seconds <= lost.seconds <= back.seconds <= again.seconds
        assert back.away_seconds == pytest.approx(back.seconds - lost.seconds)

    def test_of_a_slow_user_is_lost_when_it_was_lost_and_not_when_that_was_read(self, no_leak):
        generated = Endpoint("camera 0", "testsrc=size=96x64:rate=25:duration=0.2", "lavfi")
        with Stream(generated, views=(Whole(),), **PATIENT) as stream:
            until(stream, Frame)
            wait_for(lambda: stream.num_dropped > 8)  # it was lost and back, more than once
            lost = until(stream, Lost)
            back = until(stream, Back)
        assert 0 <= lost.seconds <= back.seconds
        assert back.away_seconds == pytest.approx(back.seconds - lost.seconds)

    def test_hundreds_of_failed_connections_leave_nothing_behind(self, tmp_path, web, no_leak):
        path = write_video(tmp_path / "a.ts", numbers(10))
        camera = Endpoint("camera", f"{web.address}/a.ts", kind=CAMERA, timeout_seconds=WATCHDOG_SECONDS)
        with Stream(
            camera, views=(Whole(),), timeout_seconds=WATCHDOG_SECONDS, backoff=Backoff(0.001, 0.002)
        ) as stream:
            until(stream, Frame)
            path.unlink()
            assert "ended" in until(stream, Lost).reason
            threads, descriptors = held()
            wait_for(lambda: web.num_refused > 200)
            # A connection that is under way has a thread of the server, and descriptors at both ends.
            wait_for(lambda: held()[0] <= threads + 1 and held()[1] <= descriptors + 4)
            write_video(path, numbers(10))
            until(stream, Back)

    def test_that_was_opened_before_is_connected_again_too(self, no_leak):
        generated = Endpoint("camera 0", "testsrc=size=96x64:rate=25:duration=1", "lavfi")
        source = open_source(generated, every=2)
        with Stream(source, views=(Whole(),), **PATIENT) as stream:
            first = until(stream, Frame)
            until(stream, Lost)
            until(stream, Back)
            again = until(stream, Frame)
        assert first.index % 2 == again.index % 2 == 0
        assert first.seconds <= again.seconds

    def test_that_was_opened_before_is_not_connected_anew(self, no_leak, monkeypatch):
        source = open_source(Endpoint("camera 0", "testsrc=size=96x64:rate=25:duration=1", "lavfi"))
        assert source.size() == (96, 64)
        monkeypatch.setattr(Endpoint, "open", None)  # as of a camera that takes one connection
        with Stream(source, views=(Whole(),), **PATIENT) as stream:
            until(stream, Frame)
        with pytest.raises(SourceError, match="camera 0 was read and can be read once"):
            list(source)

    def test_a_recording_that_ends_before_its_start_says_so(self, web, tmp_path):
        write_video(tmp_path / "a.mp4", numbers(10))
        source = open_source(f"{web.address}/a.mp4", start_seconds=100)
        with (
            Stream(source, views=(Whole(),), **PATIENT) as stream,
            pytest.raises(SourceError, match="ended before 100 s"),
        ):
            list(stream)

    def test_of_a_given_end_is_not_connected_again(self, no_leak):
        endless = Endpoint("camera 0", "testsrc=size=96x64:rate=25", "lavfi")
        with Stream(open_source(endless, end_seconds=1), views=(Whole(),), **PATIENT) as stream:
            assert {type(arrival) for arrival in stream} == {Frame}


class Polled:
    """A stream of which only the times matter; waiting takes a second each time."""

    def __init__(self, monkeypatch, *arrivals):
        self.num_polls, self._arrivals = 0, iter(arrivals)
        clock = SimpleNamespace(monotonic=lambda: float(self.num_polls))
        monkeypatch.setattr("firstsight.footage.stream.time", clock)

    def poll(self):
        self.num_polls += 1
        return next(self._arrivals)


def at(seconds):
    return Frame((), seconds, 0, "hall", (64, 48))


LOST = Lost(6.0, "hall", "hall ended")


class TestTheFirstSeconds:
    def test_are_those_by_the_times_of_the_frames(self, monkeypatch):
        frames = [at(7 + number) for number in range(100)]
        assert list(first_frames(Polled(monkeypatch, *frames), seconds=20)) == frames[:20]
        assert list(first_frames(Polled(monkeypatch, *frames), seconds=None)) == frames

    def test_go_on_when_a_camera_is_back(self, monkeypatch, caplog):
        frames = [at(seconds) for seconds in (5, 8, 14.9, 15)]
        stream = Polled(monkeypatch, frames[0], LOST, None, Back(8.0, "hall", 2.0), *frames[1:])
        assert list(first_frames(stream, seconds=10)) == frames[:3]
        assert caplog.messages == ["hall ended; reading goes on when it is back"]

    def test_without_a_time_end_when_it_is_lost(self, monkeypatch):
        with pytest.raises(SourceError, match=r"^hall ended$"):
            list(first_frames(Polled(monkeypatch, at(5), LOST, at(8)), seconds=None))

    @pytest.mark.parametrize("arrives", [None, at(0)])
    def test_end_though_nothing_comes_and_though_times_stand_still(self, monkeypatch, arrives):
        stream = Polled(monkeypatch, at(0), *[arrives] * 99)
        assert {frame.seconds for frame in first_frames(stream, seconds=5)} == {0}
        assert stream.num_polls == 15


class TestRtsp:
    def test_a_camera_that_hangs_and_restarts_is_lost_and_back(self, no_leak):
        require_server()
        server = Server()
        try:
            with Stream(server.address, views=(Whole(),), frames_per_second=5, **PATIENT) as stream:
                arrivals = iter(stream)
                assert until(arrivals, Frame).pixels.shape == (128, 160, 3)
                stream._timeout_seconds = 2.0  # from now on; its first picture may take longer
                threads, descriptors = held()
                server.send(signal.SIGSTOP)
                assert "gave n" in until(arrivals, Lost).reason
                server.send(signal.SIGCONT)
                assert until(arrivals, Back).away_seconds > 0
                server.end()
                until(arrivals, Lost)
                server.start()
                until(arrivals, Back)
                pictures = [until(arrivals, Frame).pixels for _ in range(3)]
                assert held()[0] <= threads
                assert held()[1] <= descriptors
            assert np.ptp([picture.astype(int) for picture in pictures]) > 100
        finally:
            server.end()

    def test_closing_does_not_wait_for_a_camera_that_hangs(self):
        require_server()
        server = Server()
        try:
            with Stream(server.address, views=(Whole(),), **PATIENT) as stream:
                until(stream, Frame)
                server.send(signal.SIGSTOP)
                time.sleep(0.3)  # so that it most likely waits for the camera when it is closed
                begun = time.monotonic()
            assert time.monotonic() - begun < PATIENT["timeout_seconds"] / 2
        finally:
            server.end()
