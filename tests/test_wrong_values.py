"""What is given in Python and cannot be used is refused in one line, by an error of firstsight."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_made import small_encoder, write_video

import firstsight
from firstsight import Encoder, Library
from firstsight.encoder.run_folder import RunFolder
from firstsight.errors import (
    FirstsightError,
    LibraryError,
    PixelsError,
    RunError,
    SettingsError,
    SourceError,
    brief,
    check_count,
    check_number,
)
from firstsight.files import check_path, listed
from firstsight.footage.sampling import Sampling
from firstsight.learning.learn import settings_of
from firstsight.library.selection import Where

LONG = "n" * 5_000


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clips") / "gate.mp4", seed=0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Library:
    folder = tmp_path_factory.mktemp("libraries") / "made"
    return Library.create(folder, clip, encoder=small_encoder(), frames_per_second=np.float32(5))


@pytest.fixture
def picture(clip: Path) -> np.ndarray:
    return firstsight.frame_at(clip, np.float32(2)).pixels


class TestChecks:
    @pytest.mark.parametrize("value", [1, np.int64(1), np.uint8(1)])
    def test_a_count_becomes_an_int_of_python(self, value: object) -> None:
        assert type(check_count("{} frames", value)) is int

    @pytest.mark.parametrize("value", [0, 1.0, "1", None, True, np.bool_(1), b"1", [1]])
    def test_what_is_no_count_is_shown(self, value: object) -> None:
        with pytest.raises(SettingsError, match=r"^.+ frames; valid is an integer from 1$"):
            check_count("{} frames", value)

    @pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int64(1)])
    def test_a_number_becomes_a_float_of_python(self, value: object) -> None:
        assert type(check_number("speed {}", value, "above 0", lambda speed: speed > 0)) is float

    @pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), 10**400, "1", None, True, (1,), np.ones(1)])
    def test_what_is_no_number_is_shown(self, value: object) -> None:
        with pytest.raises(SettingsError, match=r"^speed .+; valid is above 0$"):
            check_number("speed {}", value, "above 0", lambda speed: speed > 0)

    def test_a_value_is_shown_in_a_short_line(self) -> None:
        assert brief(np.float64(2.5)) == "2.5"
        assert brief(np.zeros((240, 320, 3))) == "an array (240, 320, 3)"
        assert len(brief(LONG)) < 300
        assert "\n" not in brief([np.zeros((30, 3))] * 9)

    @pytest.mark.parametrize("path", [LONG, f"{LONG}/x", "a\0b", "", 5, None, b"x", ["x"]])
    def test_a_path_that_no_file_can_have_is_refused(self, path: object) -> None:
        with pytest.raises(RunError, match=r"^run "):
            check_path(path, name="run", error=RunError)

    @pytest.mark.parametrize("given", [5, None, b"x", [b"x"], ["x", 5], np.zeros((2, 4, 4, 3), np.uint8)])
    def test_one_path_or_several(self, given: object) -> None:
        assert listed("x", name="footage") == listed(["x"], name="footage") == listed({"x"}, name="footage") == ["x"]
        assert listed(Path("x"), name="footage") == [Path("x")]
        with pytest.raises(SettingsError, match=r"^footage .+; valid are names, paths and patterns"):
            listed(given, name="footage")


class TestWhere:
    @pytest.mark.parametrize("between", ["1-2", b"12", (1, 2, 3), (1,), (), {}, ("1", "2"), 5, (True, 2)])
    def test_between_is_two_times(self, between: Any) -> None:
        with pytest.raises(SettingsError, match=r"valid are (two times|seconds from 0)"):
            Where.of(None, between)

    @pytest.mark.parametrize("between", [(1, 2), [1, 2], np.array([1, 2]), (np.float32(1), np.int64(2))])
    def test_times_become_numbers_of_python(self, between: Any) -> None:
        where = Where.of("gate.mp4", between)
        assert repr((where.start_seconds, where.end_seconds)) == "(1.0, 2.0)"

    @pytest.mark.parametrize("sources", [Path("gate.mp4"), [Path("gate.mp4")], {"gate.mp4"}, "gate.mp4"])
    def test_sources_may_be_paths(self, made: Library, picture: np.ndarray, sources: Any) -> None:
        assert Where.of(sources, None).sources == ("gate.mp4",)
        assert {one.source for one in made.nearest(picture, sources=sources, k=3).frames} == {"gate.mp4"}

    @pytest.mark.parametrize("sources", [b"gate.mp4", 5, [5], [["gate.mp4"]]])
    def test_other_sources_are_refused(self, sources: Any) -> None:
        with pytest.raises(SettingsError, match=r"^source "):
            Where.of(sources, None)


def _first(stream: Any) -> object:
    return next(iter(stream))


REFUSED: dict[str, Callable[[Library, Path, np.ndarray], object]] = {
    "search k": lambda library, _, picture: library.search(picture, k=2.5),
    "search rate": lambda library, _, picture: library.search(picture, false_match_rate=None),
    "search gap": lambda library, _, picture: library.search(picture, gap_seconds="0.1"),
    "nearest k": lambda library, _, picture: library.nearest(picture, k="3"),
    "keyframes": lambda library, _, __: library.keyframes(2.5),
    "clusters": lambda library, _, __: library.clusters(True),
    "clusters float": lambda library, _, __: library.clusters(2.5),
    "map": lambda library, _, __: library.map(seed="a"),
    "add array": lambda library, _, picture: library.add(picture),
    "add number": lambda library, _, __: library.add(5),
    "remove number": lambda library, _, __: library.remove(5),
    "remove nothing": lambda library, _, __: library.remove(),
    "reindex": lambda library, _, __: library.reindex("run"),
    "create array": lambda library, _, picture: Library.create(f"{library.path}-2", picture[None]),
    "create encoder": lambda library, clip, _: Library.create(f"{library.path}-2", clip, encoder="run"),
    "create empty": lambda library, _, __: Library.create(f"{library.path}-2", encoder="run"),
    "frame_at": lambda _, clip, __: firstsight.frame_at(clip, "3"),
    "open_source": lambda _, clip, __: firstsight.open_source(clip, frames_per_second="2"),
    "compare level": lambda library, clip, _: firstsight.compare(library.encoder, clip, level=1.5),
    "compare anchor": lambda library, clip, _: firstsight.compare(library.encoder, clip, anchor=5),
    "compare batch": lambda library, clip, _: firstsight.compare(library.encoder, clip, batch_size=2.5),
    "compare encoder": lambda _, clip, __: firstsight.compare("run", clip),
    "align": lambda _, clip, __: firstsight.align(clip, clip, encoder="run"),
    "align library": lambda library, _, __: firstsight.align(library.path, library.path, encoder="run"),
    "scenes": lambda _, clip, __: firstsight.detect_scenes(clip, encoder="run"),
    "evaluate": lambda library, clip, _: firstsight.evaluate(library.encoder, clip, second_pass_seconds="a"),
    "evaluate frames": lambda library, clip, _: firstsight.evaluate(library.encoder, clip, max_frames="a"),
    "evaluate encoder": lambda _, clip, __: firstsight.evaluate("run", clip),
    "learn device": lambda _, clip, __: firstsight.learn(clip, device=None),
    "learn seed": lambda _, clip, __: firstsight.learn(clip, seed="a"),
    "learn frames": lambda _, clip, __: firstsight.learn(clip, max_frames="a"),
    "learn maps": lambda _, clip, __: firstsight.learn(clip, maps="a"),
    "learn held out": lambda _, clip, __: firstsight.learn(clip, held_out="a"),
    "watch": lambda library, clip, _: firstsight.watch(library.encoder, clip, anchors=5),
    "watch match": lambda library, clip, picture: firstsight.watch(
        library.encoder, clip, anchors=picture, match_from="a"
    ),
    "watch novel": lambda library, clip, _: firstsight.watch(library.encoder, clip, novel=True, novel_from="a"),
    "watch speed": lambda library, clip, _: _first(firstsight.watch(library.encoder, clip, novel=True, speed="a")),
    "watch encoder": lambda _, clip, __: firstsight.watch("run", clip, novel=True),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_of_the_wrong_kind_is_refused(name: str, made: Library, clip: Path, picture: np.ndarray) -> None:
    with pytest.raises(SettingsError, match=r"valid|give") as error:
        REFUSED[name](made, clip, picture)
    assert "\n" not in str(error.value)
    assert made.num_frames == 20
    assert not Path(f"{made.path}-2").exists()


@pytest.mark.parametrize("query", [5, None, b"gate.mp4", LONG, "a\0b"])
def test_what_can_be_no_picture_is_refused(made: Library, clip: Path, query: Any) -> None:
    asked = (
        lambda: made.search(query),
        lambda: made.nearest(query),
        lambda: made.similarities([query]),
        lambda: firstsight.watch(made.encoder, clip, anchors=[query]),
    )
    for ask in asked:
        with pytest.raises(SourceError, match="valid are"):
            ask()


@pytest.mark.parametrize("name", [LONG, "a\0b", 5, None])
def test_a_name_that_no_file_can_have_is_refused(made: Library, clip: Path, picture: np.ndarray, name: Any) -> None:
    asked: list[tuple[Callable[[], object], type[FirstsightError]]] = [
        (lambda: Library.open(name), LibraryError),
        (lambda: Library.create(name, clip, encoder=made.encoder), LibraryError),
        (lambda: Library.create(name, encoder=made.encoder), LibraryError),
        (lambda: made.export(name), RunError),
        (lambda: made.cut(made.search(picture), name), RunError),
        (lambda: made.write_pictures(made.keyframes(1), name), RunError),
        (lambda: made.encoder.save(name), RunError),
        (lambda: Encoder.load(name), RunError),
        (lambda: RunFolder.create(name, force=False), RunError),
        (lambda: firstsight.align(name, clip, encoder=made.encoder), FirstsightError),
    ]
    for ask, error in asked:
        with pytest.raises(error):
            ask()


def test_numbers_of_numpy_are_written_as_numbers(made: Library, clip: Path, tmp_path: Path) -> None:
    encoder = firstsight.learn(
        clip,
        out=tmp_path / "run",
        every=np.int64(5),
        end_seconds=np.float32(1),
        seed=np.int64(3),
        max_frames=np.int64(50),
    )
    assert Encoder.load(tmp_path / "run").fingerprint == encoder.fingerprint
    with Library.open(made.path) as again:
        assert repr(again.store.config.frames_per_second) == "5.0"
    assert len(made.keyframes(np.int64(2))) == len(made.clusters(np.int32(2)).clusters) == 2
    assert repr(Sampling(every=np.int64(2), start_seconds=np.float32(1))) == repr(Sampling(1.0, None, 2))
    assert repr(settings_of("article", {"maps": [np.int64(2)] * 4}).maps) == "(2, 2, 2, 2)"


TAKES_FRAMES: dict[str, Callable[[Encoder, np.ndarray], object]] = {
    "encode": lambda encoder, picture: encoder.encode(picture),
    "features": lambda encoder, picture: encoder.features(picture),
    "compared": lambda encoder, picture: encoder.compared(picture, level=1),
    "align": lambda encoder, picture: firstsight.align(picture, picture, encoder=encoder),
    "detect_scenes": lambda encoder, picture: firstsight.detect_scenes(picture, encoder=encoder),
    "compare": firstsight.compare,
    "evaluate": firstsight.evaluate,
    "watch": lambda encoder, picture: _first(firstsight.watch(encoder, picture, novel=True)),
    "learn": lambda _, picture: firstsight.learn(picture),
    "frame_at": lambda _, picture: firstsight.frame_at(picture, 0),
}


class TestOnePicture:
    """One alone is one anchor; where frames are expected it is none, and no 48 grey pictures 3 pixels wide."""

    @pytest.mark.parametrize("name", TAKES_FRAMES)
    def test_is_refused_where_frames_are_expected(self, made: Library, picture: np.ndarray, name: str) -> None:
        for one in (picture, picture[..., :1]):
            with pytest.raises(PixelsError, match=r"one picture; give picture\[None\]"):
                TAKES_FRAMES[name](made.encoder, one)

    def test_grey_frames_are_frames(self, made: Library, picture: np.ndarray) -> None:
        assert made.encoder.encode(picture[..., 0][None]).shape == (1, 100)

    def test_is_one_anchor(self, made: Library, clip: Path, picture: np.ndarray) -> None:
        def anchors(given: Any) -> list[str]:
            return made.similarities(given).to_arrow().column_names[3:]

        assert anchors(picture) == anchors(picture[..., 0]) == anchors(picture[..., :1]) == ["picture"]
        assert anchors(np.stack([picture] * 2)) == ["picture 1", "picture 2"]
        assert anchors(f"{clip}@3") == ["gate.mp4@3"]
        events = firstsight.watch(made.encoder, clip, anchors=f"{clip}@3", speed=0)
        assert {event.anchor for event in events} <= {"gate.mp4@3"}

    def test_that_is_narrow_is_a_picture(self, made: Library) -> None:
        with pytest.raises(PixelsError, match="too small"):
            made.search(np.zeros((48, 3), np.uint8))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [(48, 64), (48, 48), (32, 32)])
def test_pictures_that_cannot_be_written_to_are_read(made: Library, size: tuple[int, int]) -> None:
    frames = np.broadcast_to(np.arange(size[1] * 3, dtype=np.uint8).reshape(size[1], 3), (2, *size, 3))
    np.testing.assert_array_equal(made.encoder.encode(frames), made.encoder.encode(frames.copy()))
    made.nearest(frames[0])
