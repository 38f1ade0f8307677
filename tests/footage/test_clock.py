"""Times: repaired where stamps are damaged, left out, or begin anew; a fault costs one frame and not the rest."""

import os
from dataclasses import replace

import numpy as np
import pytest
from make import CLOCK, number_in, numbered, numbers, write_video
from views import Whole

from firstsight.footage.container import open_video
from firstsight.footage.source import open_source
from firstsight.footage.timestamps import OutputOrder, TimeLine, WrappingClock

STEP = 0.04


def times(stamps, **options):
    """What a time line makes of stamps; None where a frame has no time."""
    line = TimeLine(frame_seconds=STEP, **options)
    timed = [one for number, stamp in enumerate(stamps) for one in line.put(number, stamp)]
    timed += line.finish()
    assert [one.item for one in timed] == list(range(len(stamps)))
    return [None if one.seconds is None else round(one.seconds, 6) for one in timed]


def regular(count, start=0.0, step=STEP):
    return [round(start + number * step, 6) for number in range(count)]


def changed(stamps, changes):
    return [changes.get(number, stamp) for number, stamp in enumerate(stamps)]


def read(path, **options):
    with open_source(path, **options).read(Whole()) as reading:
        frames = list(reading)
    assert [number_in(frame.pixels) for frame in frames] == [frame.index for frame in frames]
    return frames, reading.num_skipped


class TestTimeLine:
    @pytest.mark.parametrize("stamps", [regular(50), regular(30, step=10), [0, 0.04, 0.5, 0.5, 7, 7.1, 3600, 3600.1]])
    def test_leaves_what_runs_forward(self, stamps):
        assert times(stamps) == stamps

    @pytest.mark.parametrize("wild", [[0], [20], [20, 21], [5, 20, 35], [0, 1, 2], [47]])
    @pytest.mark.parametrize("ahead", [2.0, 30.0, 5000.0, 1e9])
    def test_stamps_far_ahead_cost_their_own_frames(self, wild, ahead):
        stamps = changed(regular(50), {number: ahead + number for number in wild})
        assert times(stamps) == changed(regular(50), dict.fromkeys(wild))

    def test_a_last_stamp_beyond_the_end_is_wild(self):
        stamps = [*regular(49), 5000.0]
        assert times(stamps, end_seconds=2.0) == [*regular(49), None]
        assert times(stamps) == stamps  # who knows

    @pytest.mark.parametrize("behind", [[20], [20, 21, 22], [49]])
    def test_stamps_that_fall_back_count_as_the_frame_before(self, behind):
        stamps = changed(regular(50), dict.fromkeys(behind, 0.0))
        stamps = [stamp + 10 for stamp in stamps]
        stamps = changed(stamps, dict.fromkeys(behind, 0.0))
        expected = changed([stamp + 10 for stamp in regular(50)], dict.fromkeys(behind, 10 + (behind[0] - 1) * STEP))
        assert times(stamps, start_seconds=10) == [round(one, 6) for one in expected]

    def test_a_clock_that_begins_anew_goes_on(self):
        assert times([*regular(50, start=10), *regular(50)], start_seconds=10) == regular(100, start=10)

    def test_what_runs_ahead_for_good_is_a_pause_unless_it_cannot_be(self):
        stamps = [*regular(50), *regular(50, start=40_000)]
        assert times(stamps) == stamps
        assert times(stamps, max_gap_seconds=3600) == times(stamps, end_seconds=60) == regular(100)

    def test_without_stamps_goes_by_the_rate(self):
        assert times([None] * 5) == regular(5)
        assert times([1.0, None, 1.1, None, 5000.0, None, 1.3]) == [1.0, 1.04, 1.1, 1.14, None, 1.18, 1.3]


class TestWildStamps:
    @pytest.mark.parametrize("name", ["wild.mkv", "wild.ts", "wild.mp4"])
    @pytest.mark.parametrize("sampling", [{}, {"frames_per_second": 5}, {"start_seconds": 1.0}])
    def test_lose_one_frame_which_is_counted(self, tmp_path, name, sampling):
        def restamp(packet):
            if packet.pts == 50:
                packet.pts = 125_000

        path = write_video(tmp_path / name, numbers(100), options={"g": "10", "bf": "0"}, restamp=restamp)
        frames, num_skipped = read(path, **sampling)
        step, start = (5, 0) if "frames_per_second" in sampling else (1, 25 if "start_seconds" in sampling else 0)
        expected = [number for number in range(start, 100, step) if number != 50]
        expected = [51 if step == 5 and number == 50 else number for number in expected]
        found = [frame.index for frame in frames]
        assert found == expected or found == sorted({*expected, 51})
        np.testing.assert_allclose([frame.seconds for frame in frames], [index * STEP for index in found], atol=0.001)
        assert num_skipped == 1

    @pytest.mark.parametrize(("at", "stamp"), [(50, 5000.0), (50, 0.0), (50, 90_000.0), (3, 5000.0), (97, 5000.0)])
    @pytest.mark.parametrize("count", [1, 2, 3])
    def test_of_decoding_too(self, tmp_path, at, stamp, count):
        path = write_video(tmp_path / "a.ts", numbers(100), options={"g": "10", "bf": "0"})
        with open_video(path, name="a") as video:
            stamps = [packet.pts for packet in video.packets()]
        content = path.read_bytes()
        for number in range(at, at + count):
            assert content.count(in_mpeg(stamps[number])) == 1
            content = content.replace(in_mpeg(stamps[number]), in_mpeg(round(stamp / CLOCK) + number))
        path.write_bytes(content)
        frames, num_skipped = read(path)
        assert len(frames) + num_skipped == 100
        assert len(frames) >= 100 - count
        right = [frame for frame in frames if not at <= frame.index < at + count]
        if at + count < 100:
            np.testing.assert_allclose([f.seconds for f in right], [f.index * STEP for f in right], atol=0.001)
        assert np.all(np.diff([frame.seconds for frame in frames]) >= 0)


def in_mpeg(ticks):
    """A presentation time as a packet of MPEG holds it that has no other."""
    return bytes(
        [
            0x21 | ticks >> 29 & 0x0E,
            ticks >> 22 & 0xFF,
            ticks >> 14 & 0xFE | 1,
            ticks >> 7 & 0xFF,
            ticks << 1 & 0xFE | 1,
        ]
    )


class TestDecodingTimesAlone:
    @pytest.mark.parametrize("suffix", ["avi", "asf"])
    @pytest.mark.parametrize(
        ("codec", "options"),
        [
            ("libx264", {"bf": "0"}),
            ("libx264", {"bf": "2"}),
            ("libx264", {"bf": "3", "x264-params": "b-pyramid=normal:b-adapt=0"}),
            ("mpeg4", {"bf": "0"}),
            ("mpeg4", {"bf": "2"}),
            ("mjpeg", {}),
        ],
    )
    def test_give_times_in_order_of_output(self, tmp_path, suffix, codec, options):
        path = write_video(
            tmp_path / f"a.{suffix}",
            numbers(60),
            codec=codec,
            options={"g": "12", **options},
            pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p",
        )
        frames, num_skipped = read(path)
        first = frames[0].seconds
        assert (len(frames), num_skipped) == (60, 0)
        np.testing.assert_allclose([frame.seconds - first for frame in frames], regular(60), atol=0.002)
        assert suffix == "asf" or first == 0
        source = open_source(path)
        multithreaded = replace(source, files=tuple(replace(file, multithreaded=True) for file in source.files))
        with multithreaded.read(Whole()) as reading:
            assert [frame.seconds for frame in reading] == [frame.seconds for frame in frames]
        later, _ = read(path, start_seconds=1.0)
        whole = [(frame.index, frame.seconds) for frame in frames if frame.seconds >= 1]
        assert [(frame.index, frame.seconds) for frame in later] == whole

    def test_empty_slots_are_no_lost_frames(self, tmp_path):
        def restamp(packet):
            packet.pts, packet.dts = packet.pts * 6, packet.dts * 6

        path = write_video(tmp_path / "slots.avi", numbers(40), codec="mpeg4", restamp=restamp)
        source = open_source(path)
        frames, num_skipped = read(path)
        assert (len(frames), num_skipped, source.num_frames()) == (40, 0, 40)
        np.testing.assert_allclose([frame.seconds for frame in frames], regular(40, step=0.24))


class TestTransportStreams:
    @pytest.mark.parametrize(("first", "second"), [(100, 0), (100, 99), (5000, 100), (0, 40_000), (95_000, 1)])
    def test_appended_recordings_follow_each_other(self, tmp_path, first, second):
        parts = []
        for number, begin in enumerate((first, second)):
            seconds = [begin + index / 25 for index in range(50)]
            frames = (numbered(50 * number + index) for index in range(50))
            part = write_video(tmp_path / f"{number}.ts", frames, seconds=seconds, options={"g": "10"})
            parts.append(part.read_bytes())
        path = tmp_path / "both.ts"
        path.write_bytes(b"".join(parts))
        frames, num_skipped = read(path)
        assert (len(frames), num_skipped) == (100, 0)
        np.testing.assert_allclose([frame.seconds for frame in frames], regular(100), atol=0.001)
        later, _ = read(path, start_seconds=3.0)
        assert [frame.index for frame in later] == [frame.index for frame in frames if frame.seconds >= 3]

    @pytest.mark.parametrize("bf", ["0", "2"])
    def test_the_clock_of_33_bits_runs_on(self, tmp_path, bf):
        period = 2**33 * float(CLOCK)
        seconds = [period - 2 + index / 25 for index in range(100)]
        path = write_video(tmp_path / "wrap.ts", numbers(100), seconds=seconds, options={"g": "10", "bf": bf})
        frames, num_skipped = read(path)
        assert (len(frames), num_skipped) == (100, 0)
        np.testing.assert_allclose([frame.seconds for frame in frames], regular(100), atol=0.001)
        later, _ = read(path, start_seconds=3.0)
        assert [(frame.index, frame.seconds) for frame in later] == [(f.index, f.seconds) for f in frames[75:]]

    def test_a_wrap_is_told_from_a_new_recording(self):
        clock = WrappingClock()
        assert [clock.dts(ticks) for ticks in (2**33 - 3000, 600)] == [2**33 - 3000, 2**33 + 600]
        assert clock.pts(4200, 2**33 + 600) == 2**33 + 4200
        clock = WrappingClock()
        assert [clock.dts(ticks) for ticks in (9_000_000, 0)] == [9_000_000, 0]


class TestEditLists:
    def test_that_leave_out_everything_are_not_followed(self, tmp_path):
        muxing = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
        seconds = [index / 25 - 5 for index in range(40)]
        path = write_video(tmp_path / "neg.mp4", numbers(40), seconds=seconds, container_options=muxing)
        source = open_source(path)
        frames, num_skipped = read(path)
        assert (source.size(), source.num_frames(), len(frames), num_skipped) == ((96, 64), 40, 40, 0)
        np.testing.assert_allclose([frame.seconds for frame in frames], regular(40), atol=0.001)


class TestDurations:
    @pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
    def test_last_until_the_next_frame(self, tmp_path, name):
        codec = "mpeg4" if name.endswith("avi") else "libx264"
        path = write_video(tmp_path / name, numbers(30), codec=codec)
        frames, _ = read(path)
        np.testing.assert_allclose([frame.duration_seconds for frame in frames], STEP, atol=0.001)

    def test_of_a_varying_rate_and_of_what_is_used(self, tmp_path):
        seconds = np.cumsum([0, 0.04, 0.5, 0.02, 0.02, 1.3, 0.04, 0.2]).tolist()
        path = write_video(tmp_path / "variable.mp4", numbers(8), seconds=seconds)
        frames, _ = read(path)
        np.testing.assert_allclose([frame.duration_seconds for frame in frames[:-1]], np.diff(seconds), atol=0.001)
        assert frames[-1].duration_seconds > 0
        some, _ = read(path, every=3, end_seconds=0.58)
        assert [frame.duration_seconds for frame in some] == [frames[0].duration_seconds, frames[3].duration_seconds]

    def test_a_single_frame_lasts_as_stated(self, tmp_path):
        frames, _ = read(write_video(tmp_path / "one.mp4", numbers(1), rate=2))
        assert frames[0].duration_seconds == pytest.approx(0.5)


class TestWhatIsStated:
    def test_more_frames_than_a_file_can_hold_are_unknown(self, tmp_path):
        path = write_video(tmp_path / "lie.avi", numbers(20), codec="mpeg4")
        content = bytearray(path.read_bytes())
        count = (20).to_bytes(4, "little")
        for header, offset in ((b"avih", 24), (b"strh", 40)):
            place = content.find(header) + offset
            assert content[place : place + 4] == count
            content[place : place + 4] = (2**31 - 1).to_bytes(4, "little")
        for path_made, made in ((path, content), (tmp_path / "no_index.avi", content[: content.find(b"idx1")])):
            path_made.write_bytes(made)
            with open_video(path_made, name="lie") as video:
                assert video.num_frames() in (None, 20)
                assert video.end_seconds is None or video.end_seconds < 10
            frames, num_skipped = read(path_made)
            assert (len(frames), num_skipped) == (20, 0)

    def test_an_absurd_rate_is_unknown(self, tmp_path):
        path = write_video(tmp_path / "fast.nut", numbers(40), rate=1_000_000)
        with open_video(path, name="fast") as video:
            assert video.frames_per_second is None


def test_a_file_that_is_replaced_is_looked_at_anew(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, numbers(100), options={"g": "10"})
    assert read(path, start_seconds=2.0)[0][0].index == 50
    assert open_source(path).num_frames() == 100
    stat = path.stat()
    write_video(tmp_path / "b.mp4", numbers(60), rate=10, options={"g": "25"})
    (tmp_path / "b.mp4").replace(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert read(path, start_seconds=2.0)[0][0].index == 20
    assert open_source(path).num_frames() == 60


class TestOutputOrder:
    def test_gives_the_earliest_free_stamp_and_forgets_those_of_dropped_frames(self):
        order = OutputOrder()
        for dts in (0, 1, 2):
            order.decoded(dts)
        assert order.next(num_held=2, has_more=True) == 0
        for dts in (3, 4, 5):  # the decoder has dropped the frames of 1 and 2
            order.decoded(dts)
        assert order.next(num_held=2, has_more=True) == 3
        assert [order.next(num_held=2, has_more=False) for _ in range(3)] == [4, 5, None]
