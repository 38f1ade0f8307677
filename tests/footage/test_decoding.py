"""Files of every kind: the right frames at the right times in the right order, upright and in the right colours."""

import gc
from fractions import Fraction

import av
import numpy as np
import pytest
from av.stream import Disposition
from make import number_in, numbered, numbers, write_silence, write_video
from memory import megabytes, needs_proc
from views import Square, Whole, Window

from firstsight.encoder.model import CentralSquare
from firstsight.errors import PixelsError, SourceError
from firstsight.footage.source import open_source
from firstsight.pixels import Crop, crop_and_resize, with_channels


def frames_of(path, view=None, **options):
    with open_source(path, **options).read(view or Whole()) as reading:
        return list(reading)


def numbers_in(frames):
    return [number_in(frame.pixels) for frame in frames]


def gradient(width=96, height=64):
    """Smooth, asymmetric and colourful."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([200 * x + 20, 200 * y + 20, 120 - 100 * x * y], axis=-1).astype(np.uint8)


CONTAINERS = [
    ("clip.mp4", "libx264"),
    ("clip.mkv", "libx264"),
    ("clip.ts", "libx264"),
    ("clip.flv", "libx264"),
    ("clip.avi", "mpeg4"),
    ("clip.mpg", "mpeg2video"),
    ("clip.webm", "libvpx-vp9"),
    ("clip.mov", "libx265"),
]


class TestEveryFrame:
    @pytest.mark.parametrize(("name", "codec"), CONTAINERS)
    def test_whatever_the_container(self, tmp_path, name, codec):
        path = write_video(tmp_path / name, numbers(60), codec=codec, options={"g": "12", "b": "2000000"})
        frames = frames_of(path)
        assert numbers_in(frames) == [frame.index for frame in frames] == list(range(60))
        # FLV has no way to take the delay of its B-frames back.
        first = 0.08 if name.endswith("flv") else 0.0
        np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(60) / 25 + first, atol=0.001)
        assert {frame.source for frame in frames} == {name}

    @pytest.mark.parametrize(("name", "codec"), CONTAINERS)
    @pytest.mark.parametrize("start", [0.01, 0.48, 1.03, 2.3])
    def test_from_a_start_with_positions_of_the_whole_file(self, tmp_path, name, codec, start):
        path = write_video(tmp_path / name, numbers(60), codec=codec, options={"g": "12", "b": "2000000"})
        whole = [(frame.index, frame.seconds) for frame in frames_of(path) if frame.seconds >= start]
        frames = frames_of(path, start_seconds=start)
        assert [(frame.index, frame.seconds) for frame in frames] == whole
        assert numbers_in(frames) == [index for index, _ in whole]

    def test_without_any_stamps(self, tmp_path):
        path = write_video(tmp_path / "raw.h264", numbers(40), container_format="h264", options={"g": "12"})
        frames = frames_of(path, start_seconds=0.5)
        assert numbers_in(frames) == [frame.index for frame in frames] == list(range(13, 40))
        assert frames[0].seconds == pytest.approx(0.52)

    def test_with_open_groups_of_pictures(self, tmp_path):
        options = {"x264-params": "open-gop=1:keyint=12:bframes=3"}
        path = write_video(tmp_path / "open.mkv", numbers(60), options=options)
        frames = frames_of(path, start_seconds=1.0)
        assert numbers_in(frames) == [frame.index for frame in frames] == list(range(25, 60))

    def test_sampled_as_a_slow_reading_would(self, tmp_path):
        path = write_video(tmp_path / "clip.mp4", numbers(100), options={"g": "12"})
        assert numbers_in(frames_of(path, every=7)) == list(range(0, 100, 7))
        assert numbers_in(frames_of(path, frames_per_second=5)) == list(range(0, 100, 5))
        assert numbers_in(frames_of(path, start_seconds=1.2, end_seconds=1.6, every=4)) == [30, 34, 38]

    def test_at_its_own_times_when_the_rate_varies(self, tmp_path):
        times = np.cumsum([0, 0.04, 0.5, 0.02, 0.02, 1.3, 0.04, 0.2]).tolist()
        path = write_video(tmp_path / "variable.mp4", numbers(8), seconds=times)
        np.testing.assert_allclose([frame.seconds for frame in frames_of(path)], times, atol=1e-4)
        assert numbers_in(frames_of(path, frames_per_second=2)) == [0, 2, 5, 7]

    def test_after_a_delayed_start(self, tmp_path):
        path = write_video(tmp_path / "late.mp4", numbers(10), seconds=[2 + index / 25 for index in range(10)])
        assert frames_of(path)[0].seconds == 2.0

    def test_without_what_an_edit_list_cuts_off(self, tmp_path):
        muxing = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
        times = [index / 25 - 1 for index in range(50)]
        path = write_video(tmp_path / "cut.mp4", numbers(50), seconds=times, container_options=muxing)
        source = open_source(path)
        frames = frames_of(path)
        assert numbers_in(frames) == list(range(25, 50))
        assert (frames[0].index, frames[0].seconds, source.num_frames()) == (0, 0.0, 25)
        assert numbers_in(frames_of(path, start_seconds=0.4)) == list(range(35, 50))
        with source.read(Whole()) as reading:
            assert sum(1 for _ in reading) == 25
            assert reading.num_skipped == 0

    @pytest.mark.parametrize(("name", "audio"), [("sound.mp4", "aac"), ("sound.mkv", "pcm_s16le"), ("sound.ts", "aac")])
    def test_next_to_sound_that_comes_first(self, tmp_path, name, audio):
        path = write_video(tmp_path / name, numbers(8), audio=audio)
        assert numbers_in(frames_of(path)) == list(range(8))
        with open_source(path).read(Whole()) as reading:
            assert (len(list(reading)), reading.num_skipped) == (8, 0)  # the sound is longer

    def test_of_several_recordings_in_one_transport_stream(self, tmp_path):
        first = write_video(tmp_path / "a.ts", numbers(60))
        second = write_video(tmp_path / "b.ts", (numbered(60 + n, width=128, height=96) for n in range(60)))
        path = tmp_path / "both.ts"
        path.write_bytes(first.read_bytes() + second.read_bytes())
        frames = frames_of(path, Square(64))
        times = [frame.seconds for frame in frames]
        assert [frame.index for frame in frames] == list(range(120))
        assert [frame.size for frame in frames] == [(96, 64)] * 60 + [(128, 96)] * 60
        np.testing.assert_allclose(np.diff(times), 0.04, atol=0.001)
        later = frames_of(path, Square(64), start_seconds=3.0)
        assert (later[0].index, later[-1].index) == (75, 119)


class TestPixels:
    @pytest.mark.parametrize("channels", [3, 1])
    @pytest.mark.parametrize(
        "crop",
        [
            Crop(184, 0, 272, 272, 224, 224),
            Crop(183, 1, 271, 271, 64, 48),
            Crop(10, 11, 50, 50, 90, 90),
            Crop(0, 0, 640, 272, 32, 32),
            Crop(7, 5, 100, 80, 100, 80),
        ],
    )
    def test_agree_with_the_array_path(self, bikes, crop, channels):
        with open_source(bikes, every=60).read(Whole(), Window(crop, channels)) as reading:
            for frame in reading:
                whole, seen = frame.pictures
                expected = crop_and_resize(whole[None], crop, channels)[0]
                difference = seen.astype(int) - expected
                assert np.abs(difference).mean() < 1
                assert abs(difference.mean()) < 0.2

    @pytest.mark.parametrize(("pix_fmt", "tolerance"), [("yuv420p", 1.5), ("yuv444p", 1.5), ("yuv420p10le", 1.5)])
    def test_have_the_colours_that_went_in(self, tmp_path, pix_fmt, tolerance):
        path = write_video(tmp_path / "clip.mkv", [gradient()] * 3, pix_fmt=pix_fmt, options={"crf": "1"})
        for frame in frames_of(path):
            assert np.abs(frame.pixels.astype(int) - gradient()).mean() < tolerance

    @pytest.mark.parametrize(
        ("codec", "pix_fmt"),
        [
            ("ffv1", "gray"),
            ("ffv1", "gray10le"),
            ("ffv1", "gray16le"),
            ("ffv1", "yuv422p12le"),
            ("ffv1", "yuva420p"),
            ("ffv1", "bgr0"),
            ("png", "rgba"),
            ("png", "rgb48be"),
            ("png", "monob"),
            ("mjpeg", "yuvj420p"),
            ("libx264rgb", "rgb24"),
        ],
    )
    def test_of_any_format(self, tmp_path, codec, pix_fmt):
        grey = np.repeat(gradient()[..., :1], 3, axis=-1)
        if pix_fmt == "monob":
            grey = (grey > 100).astype(np.uint8) * 255
        suffix = "mov" if codec == "png" else "mkv"
        path = write_video(tmp_path / f"clip.{suffix}", [grey] * 2, codec=codec, pix_fmt=pix_fmt)
        for frame in frames_of(path):
            assert np.abs(frame.pixels.astype(int) - grey).mean() < 1.5

    @pytest.mark.parametrize("colorspace", [1, 5])
    def test_follow_the_colour_matrix_of_the_file(self, tmp_path, colorspace):
        colours = np.zeros((64, 96, 3), np.uint8) + np.array([200, 60, 40], np.uint8)
        path = write_video(tmp_path / "clip.mp4", [colours] * 2, colorspace=colorspace, options={"crf": "1"})
        np.testing.assert_allclose(frames_of(path)[0].pixels.mean((0, 1)), [200, 60, 40], atol=2)
        grey = frames_of(path, Whole(channels=1))[0].pixels
        np.testing.assert_allclose(grey.mean(), with_channels(colours[None], 1).mean(), atol=2)

    def test_grey_is_the_full_range(self, tmp_path):
        frames = [np.full((32, 32, 3), value, np.uint8) for value in (0, 255)]
        path = write_video(tmp_path / "clip.mp4", frames, options={"crf": "1"})
        black, white = frames_of(path, Whole(channels=1))
        assert black.pixels.shape == (32, 32, 1)
        assert (black.pixels.max(), white.pixels.min()) == (0, 255)

    @pytest.mark.parametrize(("codec", "pix_fmt"), [("png", "rgba"), ("qtrle", "argb"), ("ffv1", "yuva444p")])
    def test_transparency_is_laid_over_black(self, tmp_path, codec, pix_fmt):
        alpha = np.full((64, 96), 255, np.uint8)
        alpha[:, 48:], alpha[:, 72:] = 128, 0
        suffix = "mkv" if codec == "ffv1" else "mov"
        white = np.full((64, 96, 3), 255, np.uint8)
        path = write_video(tmp_path / f"a.{suffix}", [np.dstack([white, alpha])] * 2, codec=codec, pix_fmt=pix_fmt)
        row = frames_of(path)[0].pixels[32].mean(-1)
        np.testing.assert_allclose([row[10], row[60], row[90]], [255, 128, 0], atol=2)

    @pytest.mark.parametrize(("width", "height"), [(97, 65), (33, 64), (64, 31)])
    def test_of_odd_sizes(self, tmp_path, width, height):
        picture = gradient(width, height)
        path = write_video(tmp_path / "clip.mkv", [picture] * 2, codec="ffv1", pix_fmt="yuv444p")
        frame = frames_of(path)[1]
        assert frame.size == (width, height)
        assert np.abs(frame.pixels.astype(int) - picture).mean() < 1.5
        path = write_video(tmp_path / "half.mkv", [picture] * 2, codec="ffv1", pix_fmt="yuv420p")
        assert frames_of(path, Square(7))[0].pixels.shape == (7, 7, 3)

    @pytest.mark.parametrize("mirrored", [False, True])
    @pytest.mark.parametrize("rotation", [0, 90, 180, -90])
    def test_are_upright(self, tmp_path, rotation, mirrored):
        path = write_video(
            tmp_path / "clip.mp4", [gradient()] * 2, rotation=rotation, mirrored=mirrored, options={"crf": "1"}
        )
        turned = np.rot90(gradient(), rotation // 90)
        upright = turned[:, ::-1] if mirrored else turned
        crop = Crop(4, 6, 40, 30, 20, 15)
        with open_source(path).read(Whole(), Window(crop)) as reading:
            frame = next(reading)
        assert frame.size == upright.shape[1::-1] == open_source(path).size()
        assert np.abs(frame.pixels.astype(int) - upright).mean() < 1.5
        expected = crop_and_resize(np.ascontiguousarray(upright)[None], crop, 3)[0]
        assert np.abs(frame.whole.astype(int) - expected).mean() < 1.5

    @pytest.mark.parametrize(("rotation", "size"), [(0, (128, 64)), (90, (64, 128))])
    def test_are_square(self, tmp_path, rotation, size):
        path = write_video(tmp_path / "clip.mp4", [gradient()] * 2, sar=Fraction(4, 3), rotation=rotation)
        frame = frames_of(path)[0]
        assert (frame.size, frame.pixels.shape) == (size, (size[1], size[0], 3))
        assert open_source(path).size() == size

    def test_are_deinterlaced_only_where_flagged(self, tmp_path):
        def comb(index):
            picture = np.full((64, 96, 3), 40, np.uint8)
            for field in (0, 1):  # a bar that moves 8 pixels a field
                left = (2 * index + field) * 8 % 80
                picture[field::2, left : left + 16] = 220
            return picture

        def combing(frame):
            rows = frame.pixels[..., 0].astype(int)
            return np.abs(rows[2:-2] - (rows[1:-3] + rows[3:-1]) / 2).mean()

        pictures = [comb(index) for index in range(12)]
        options = {"crf": "1", "x264-params": "interlaced=1:tff=1"}
        interlaced = frames_of(write_video(tmp_path / "tv.mp4", pictures, options=options))
        progressive = frames_of(write_video(tmp_path / "web.mp4", pictures, options={"crf": "1"}))
        assert [frame.index for frame in interlaced] == list(range(12))
        assert np.mean([combing(frame) for frame in interlaced]) < 0.25 * np.mean([combing(f) for f in progressive])
        single = write_video(tmp_path / "one.mp4", pictures[:1], options=options)
        assert len(frames_of(single)) == 1

    def test_through_several_views_come_from_one_decoding(self, tmp_path):
        path = write_video(tmp_path / "clip.mp4", numbers(5))
        with open_source(path).read(Square(32), Whole(channels=1), CentralSquare(50, 20)) as reading:
            shapes = [picture.shape for picture in next(reading).pictures]
        assert shapes == [(32, 32, 3), (64, 96, 1), (20, 20, 3)]

    def test_belong_to_the_caller(self, tmp_path):
        path = write_video(tmp_path / "clip.mp4", numbers(5))
        for frame in frames_of(path):
            assert frame.pixels.flags.c_contiguous
            frame.pixels[:] = 0


class TestDamage:
    @pytest.mark.parametrize("name", ["cut.mp4", "cut.mkv"])
    def test_a_file_cut_off_states_what_is_lost(self, tmp_path, name):
        muxing = {"movflags": "faststart"}
        options = muxing if name.endswith("mp4") else {}
        path = write_video(tmp_path / name, numbers(100), options={"g": "10"}, container_options=options)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) * 2 // 3])
        frames = self._is_whole_in_sum(path, 100)
        assert numbers_in(frames)[:40] == list(range(40))

    def test_goes_on_after_a_damaged_stretch(self, tmp_path):
        muxing = {"movflags": "faststart"}
        path = write_video(tmp_path / "a.mp4", numbers(100), options={"g": "10"}, container_options=muxing)
        content = bytearray(path.read_bytes())
        start = content.find(b"mdat")
        stretch = slice(start + (len(content) - start) // 3, start + (len(content) - start) // 2)
        content[stretch] = np.random.default_rng(0).bytes(stretch.stop - stretch.start)
        path.write_bytes(content)
        frames = self._is_whole_in_sum(path, 100)
        assert numbers_in(frames[-20:]) == list(range(80, 100))
        assert np.all(np.diff([frame.seconds for frame in frames]) >= 0)

    def test_noise_in_a_transport_stream_is_no_error(self, tmp_path):
        content = bytearray(write_video(tmp_path / "a.ts", numbers(100), options={"g": "10"}).read_bytes())
        content[len(content) // 3 : len(content) // 2] = np.random.default_rng(0).bytes(
            len(content) // 2 - len(content) // 3
        )
        path = tmp_path / "noise.ts"
        path.write_bytes(content)
        assert numbers_in(frames_of(path)[-20:]) == list(range(80, 100))

    def test_is_counted_for_each_file(self, tmp_path):
        write_video(tmp_path / "a.mkv", numbers(20))
        cut = write_video(tmp_path / "b.mkv", numbers(60), options={"g": "10"})
        cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
        with open_source(tmp_path).read(Whole()) as reading:
            num_read = len(list(reading))
        assert reading.skipped_by_source == {"b.mkv": reading.num_skipped} == {"b.mkv": 80 - num_read}

    def test_a_whole_file_has_lost_nothing(self, bikes):
        assert len(self._is_whole_in_sum(bikes, 250)) == 250

    def test_leaving_early_loses_nothing(self, tmp_path):
        path = write_video(tmp_path / "clip.mp4", numbers(50))
        with open_source(path, end_seconds=1).read(Whole()) as reading:
            assert (len(list(reading)), reading.num_skipped) == (25, 0)

    @staticmethod
    def _is_whole_in_sum(path, count):
        with open_source(path).read(Whole()) as reading:
            frames = list(reading)
            assert len(frames) == reading.num_frames
            assert reading.num_frames + reading.num_skipped == count
        return frames

    def test_says_nothing_on_standard_error(self, tmp_path, capfd):
        self.test_goes_on_after_a_damaged_stretch(tmp_path)
        assert capfd.readouterr() == ("", "")


class TestErrors:
    @pytest.mark.parametrize("content", [b"", b"just text\n" * 99, bytes(5000), np.random.default_rng(0).bytes(5000)])
    def test_a_file_that_is_no_video(self, tmp_path, content):
        path = tmp_path / "not.mp4"
        path.write_bytes(content)
        with pytest.raises(SourceError, match=r"^not\.mp4 is not a video: [^\n]+$"):
            open_source(path)

    def test_text_that_ffmpeg_would_draw(self, tmp_path):
        (tmp_path / "notes.txt").write_text("hello\n" * 500)
        with pytest.raises(SourceError, match=r"notes\.txt is not a video: it is text"):
            open_source(tmp_path / "notes.txt")

    def test_sound_alone_even_with_a_cover(self, tmp_path):
        path = tmp_path / "song.m4a"
        with av.open(str(path), "w", format="mp4") as container:
            sound = container.add_stream("aac", rate=48_000)
            cover = container.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 96, 64, "yuvj420p"
            cover.disposition = Disposition.attached_pic
            write_silence(container, sound)
            picture = av.VideoFrame.from_ndarray(gradient(), format="rgb24")
            picture.pts = 0
            container.mux(cover.encode(picture))
            container.mux(cover.encode(None))
        with pytest.raises(SourceError, match="it has sound or other data, but no pictures"):
            open_source(path)

    def test_a_video_without_frames(self, tmp_path):
        path = tmp_path / "empty.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            container.start_encoding()
        with pytest.raises(SourceError, match=r"^empty\.mkv "):
            open_source(path)

    def test_a_stretch_without_frames(self, tmp_path):
        path = write_video(tmp_path / "clip.mp4", numbers(25))
        source = open_source(path, start_seconds=5, end_seconds=6)
        message = r"clip\.mp4 has no frame from 5 s to 6 s; it states that it lasts until 1 s"
        with pytest.raises(SourceError, match=message), source.read(Whole()) as reading:
            next(reading)

    def test_frames_too_small_for_a_view(self, tmp_path):
        path = write_video(tmp_path / "clip.mp4", numbers(5, width=20, height=10))
        with pytest.raises(PixelsError, match="too small"), open_source(path).read(CentralSquare()) as reading:
            next(reading)


@needs_proc
def test_memory_does_not_grow_with_the_video(tmp_path):
    frames = numbers(300, width=960, height=540)
    path = write_video(tmp_path / "long.mp4", frames, options={"preset": "ultrafast"})
    gc.disable()  # what only the garbage collector frees counts as grown
    try:
        with open_source(path).read(Square(224)) as reading:
            for _ in range(60):
                next(reading)
            before = megabytes()
            grown = max(megabytes() - before for _ in reading)
    finally:
        gc.enable()
    assert grown < 20  # the decoded frames would be 190 MB, their pictures 36 MB
