"""`firstsight.Library`: all that a library can do, from Python."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from library_made import small_encoder, write_video
from PIL import Image

import firstsight
from firstsight import Library
from firstsight.errors import FirstsightError, LibraryError, PixelsError, SettingsError, SourceError
from firstsight.footage.encoding import VideoWriter
from firstsight.progress import Cancelled, Progress
from firstsight.searching.regions import Box
from firstsight.text import json_line


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos of 4 s, one of them with a name that a page has to escape."""
    folder = tmp_path_factory.mktemp("clips")
    write_video(folder / "gate.mp4", seed=0)
    write_video(folder / "<b>yard.mp4", seed=1)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, clips: Path) -> Library:
    """Both videos, by an encoder that has learned nothing."""
    folder = tmp_path_factory.mktemp("libraries") / "made"
    return Library.create(folder, clips, encoder=small_encoder(), frames_per_second=5)


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory, moving_square: np.ndarray) -> Library:
    """A video by an encoder that finds boxes."""
    folder = tmp_path_factory.mktemp("boxes")
    clip = write_video(folder / "walk.mp4", seed=0)
    encoder = firstsight.learn(moving_square[::20], method="random")
    return Library.create(folder / "library", clip, encoder=encoder, frames_per_second=5)


@pytest.fixture
def picture(clips: Path) -> np.ndarray:
    return firstsight.frame_at(clips / "gate.mp4", 2.0).pixels


def test_the_product_in_one_block(tmp_path: Path, bikes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clips").mkdir()
    with VideoWriter(Path("clips/bikes.mp4"), size=(640, 272)) as writer:  # all of it, at two frames a second
        for index, frame in enumerate(firstsight.open_source(bikes, frames_per_second=2)):
            writer.write(frame.pixels, seconds=index / 2)
    write_video(Path("clips/bottle-detection.mp4"), seed=1, num_frames=25)
    write_video(Path("more/walk.mp4"), seed=2)
    with firstsight.Library.create("clips.library", "clips/", seed=0) as library:
        assert library.indexed.added == ["bikes.mp4", "bottle-detection.mp4"]
        (best,) = library.search("clips/bikes.mp4@3.0", k=3, nearest=False).matches[:1]
        assert (best.source, best.seconds, best.is_query, best.box) == ("bikes.mp4", 3.0, True, None)
        assert best.start_seconds <= best.seconds < best.end_seconds
        assert best.false_match_probability < 0.01 < best.similarity
        picture = firstsight.frame_at("clips/bikes.mp4", 3.0).pixels
        assert library.search(picture, box=(200, 60, 200, 150)).matches[0].box == Box(200, 60, 200, 150)
        assert library.nearest(picture, k=3).frames[0].seconds == 3.0
        assert library.add("more/").added == ["walk.mp4"]
        (removed,) = library.remove("bottle-detection.mp4")
        assert removed.num_frames == 2
        assert [source.name for source in library.sources] == ["bikes.mp4", "walk.mp4"]
        results = (
            library.duplicates(),
            library.keyframes(12),
            library.clusters(),
            library.map(),
            library.similarities([picture]),
            library.export("out.parquet"),
        )
        for result in results:
            json.loads(json_line(result.to_json()))
        assert [len(result.to_arrow()) for result in results[1:2]] == [12]
        assert Path("out.parquet").is_file()
        assert library.num_frames == 28


class TestCreate:
    def test_opens_again_with_the_same_frames(self, made: Library) -> None:
        with Library.open(made.path) as again:
            assert (again.num_frames, again.encoder.fingerprint) == (40, made.encoder.fingerprint)
            assert repr(again) == f"Library({str(made.path)!r}, 40 frames of 2 sources, 100 numbers each)"
            assert again.check().is_whole
            assert again.info().num_sources == 2

    def test_of_an_encoder_alone_is_empty(self, tmp_path: Path, picture: np.ndarray) -> None:
        with Library.create(tmp_path / "library", encoder=small_encoder()) as library:
            assert (library.num_frames, len(library.sources), library.sources.to_arrow().num_rows) == (0, 0, 0)
            for ask in (library.search, library.nearest):
                with pytest.raises(LibraryError, match="no frame"):
                    ask(picture)
            for answer in (library.duplicates, library.clusters, lambda: library.keyframes(3)):
                with pytest.raises(LibraryError, match="frame"):
                    answer()

    @pytest.mark.parametrize("num", [1, 2])
    def test_of_a_picture_or_two(self, tmp_path: Path, picture: np.ndarray, num: int) -> None:
        for number in range(num):
            (tmp_path / "pictures").mkdir(exist_ok=True)
            Image.fromarray(np.roll(picture, 20 * number, axis=1)).save(tmp_path / "pictures" / f"{number}.png")
        with pytest.raises(SourceError, match=f"{num} frames to learn from; give at least 3"):
            Library.create(tmp_path / "library", tmp_path / "pictures")
        with Library.create(tmp_path / "library", tmp_path / "pictures", encoder=small_encoder()) as library:
            assert library.num_frames == num
            result = library.search(tmp_path / "pictures" / "0.png", k=5)
            assert (result.nearest.source, result.nearest.seconds, result.nearest.is_query) == ("0.png", 0.0, True)
            assert not result.background.is_measured
            assert len(library.nearest(picture).frames) == num
            assert len(library.keyframes(5)) == num
            assert library.duplicates().num_sources == num
            assert len(library.similarities([picture]).to_arrow()) == num
            for too_much in (library.clusters, library.map):
                with pytest.raises(FirstsightError, match=f"{num} frames"):
                    too_much()

    def test_without_anything_to_learn_from_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="no footage given"):
            Library.create(tmp_path / "library")
        with pytest.raises(SourceError, match="nothing"):
            Library.create(tmp_path / "library", tmp_path / "nothing.mp4")
        assert not (tmp_path / "library").exists()

    def test_in_a_place_that_is_taken_is_refused_before_it_learns(self, made: Library, clips: Path) -> None:
        with pytest.raises(LibraryError, match="is a library already"):
            Library.create(made.path, clips, progress=cancel_at("learning"))


class TestSearch:
    def test_takes_a_moment_a_path_and_an_array(self, made: Library, clips: Path, tmp_path: Path) -> None:
        frame = firstsight.frame_at(clips / "gate.mp4", 2.0).pixels
        Image.fromarray(frame).save(tmp_path / "frame.png")
        asked = (f"{clips / 'gate.mp4'}@2.0", tmp_path / "frame.png", str(tmp_path / "frame.png"), frame)
        found = [made.search(one, false_match_rate=0.5).nearest for one in asked]
        assert {(one.source, one.seconds) for one in found} == {("gate.mp4", 2.0)}
        assert [one.is_query for one in found] == [True, False, False, False]
        assert min(one.similarity for one in found) > 0.999

    def test_an_array_is_not_taken_for_a_file_of_its_name(
        self, made: Library, picture: np.ndarray, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        shutil.copy(clips / "gate.mp4", "picture")
        assert not made.search(picture, false_match_rate=0.5).nearest.is_query
        assert made.search(picture, not_itself=True).nearest.source == "gate.mp4"

    def test_none_of_the_sources_is_not_all_of_them(self, made: Library, picture: np.ndarray, tmp_path: Path) -> None:
        asked = (
            lambda: made.search(picture, sources=[]),
            lambda: made.keyframes(2, sources=[]),
            lambda: made.export(tmp_path / "all.parquet", sources=()),
        )
        for ask in asked:
            with pytest.raises(SettingsError, match="no sources: give the names of some, or leave them out for all"):
                ask()

    def test_grey_is_a_picture_too(self, made: Library, picture: np.ndarray) -> None:
        assert made.nearest(picture[..., 0], k=1).frames[0].similarity > 0.5

    @pytest.mark.parametrize(
        ("query", "error", "words"),
        [
            (np.zeros((5,), np.uint8), PixelsError, r"shape \(5,\); valid is a uint8 array \(H, W, 3\) or"),
            (np.zeros((2, 48, 64, 3), np.uint8), PixelsError, r"shape \(2, 48, 64, 3\)"),
            (np.zeros((48, 64, 4), np.uint8), PixelsError, r"shape \(48, 64, 4\)"),
            (np.zeros((48, 64, 3)), PixelsError, "float64"),
            (np.zeros((0, 64, 3), np.uint8), PixelsError, "no pixel|valid"),
            (np.zeros((2, 2, 3), np.uint8), PixelsError, "too small"),
            ("nothing.png", SourceError, "no file 'nothing.png'"),
        ],
    )
    def test_says_what_is_no_query(
        self, made: Library, query: np.ndarray | str, error: type[Exception], words: str
    ) -> None:
        for ask in (made.search, made.nearest):
            with pytest.raises(error, match=words):
                ask(query)
        with pytest.raises(error, match=words):
            made.similarities([query])

    def test_finds_a_box_where_it_is(self, boxes: Library) -> None:
        frame = firstsight.frame_at(boxes.sources[0].path, 2.0).pixels
        result = boxes.search(frame, box=(30, 10, 20, 20), false_match_rate=0.9)
        assert (result.nearest.box, result.nearest.picture_size) == (Box(30, 10, 20, 20), (64, 48))
        assert result.to_json()["box"] == "30,10,20,20"
        assert boxes.search(frame, box="30,10,20,20", k=1, false_match_rate=0.9).nearest == result.nearest

    @pytest.mark.parametrize(
        ("box", "words"),
        [
            ((50, 2, 30, 5), "picture, which is 64x48"),
            ((1, 2, 3), "x,y,width,height"),
            ((0, 0, 0, 5), "from 1"),
            ((0, 0, 1.5, 5), "x,y,width,height"),
            (5, "x,y,width,height"),
        ],
    )
    def test_says_what_is_no_box(self, boxes: Library, box: object, words: str) -> None:
        frame = firstsight.frame_at(boxes.sources[0].path, 2.0).pixels
        with pytest.raises(SettingsError, match=words):
            boxes.search(frame, box=box)

    def test_goes_by_sources_and_times(self, made: Library, picture: np.ndarray) -> None:
        result = made.search(picture, sources="*yard*", between=(1, None), k=99, nearest=True)
        shown = (*result.matches, *result.below)
        assert {one.source for one in shown} == {"<b>yard.mp4"}
        assert all(one.start_seconds >= 1 for one in shown)
        near = made.nearest(picture, sources=["*yard*", "gate.mp4"], between=(None, 1), k=99)
        assert len(near.frames) == 10
        similarities = [one.similarity for one in near.frames]
        assert similarities == sorted(similarities, reverse=True)
        with pytest.raises(LibraryError, match="dawn"):
            made.search(picture, sources="dawn*")

    def test_the_nearest_are_those_of_comparing_all(self, made: Library, picture: np.ndarray) -> None:
        rows = made.store.embeddings()
        expected = np.sort(rows.vectors @ made.encoder.encode(picture[None])[0])[::-1][:7]
        found = made.nearest(picture, k=7)
        assert found.is_exact
        np.testing.assert_allclose([one.similarity for one in found.frames], expected, atol=1e-5)
        assert found.to_arrow().column("similarity").to_pylist() == [one.similarity for one in found.frames]


class TestResults:
    def results(self, library: Library, picture: np.ndarray) -> list[object]:
        return [
            library.search(picture, k=3, nearest=True),
            library.nearest(picture),
            library.duplicates(),
            library.keyframes(4),
            library.clusters(2),
            library.map(),
            library.similarities([picture, picture]),
            library.info(),
            library.sources,
            library.indexed,
            library.check(),
        ]

    def test_are_plain_values(self, made: Library, picture: np.ndarray) -> None:
        for result in self.results(made, picture):
            assert json.loads(json_line(result.to_json()))

    @pytest.mark.parametrize(
        ("command", "ask"),
        [
            (("keyframes", 4), lambda library: library.keyframes(4)),
            (("clusters", "-k", 2), lambda library: library.clusters(2)),
            (("duplicates",), lambda library: library.duplicates()),
            (("library", "info"), lambda library: library.info()),
            (("library", "sources"), lambda library: library.sources),
            (("library", "check"), lambda library: library.check()),
        ],
    )
    def test_are_what_the_commands_print(
        self, made: Library, firstsight_command: Callable, command: tuple, ask: Callable
    ) -> None:
        verbs = 2 if command[0] == "library" else 1
        ran = firstsight_command(*command[:verbs], made.path, *command[verbs:], "--json")
        assert json.loads(ran) == json.loads(json_line(ask(made).to_json()))

    def test_tables_have_a_row_a_finding(self, made: Library, picture: np.ndarray) -> None:
        assert made.keyframes(4).to_arrow().column("source").to_pylist() == [one.source for one in made.keyframes(4)]
        assert made.map().to_arrow().num_rows == 40
        assert made.sources.to_arrow().column("state").to_pylist() == ["there", "there"]
        assert made.similarities([picture]).to_arrow().num_rows == 40
        clusters = made.clusters(2)
        assert sum(clusters.to_arrow().column("num_frames").to_pylist()) == clusters.num_frames

    def test_are_shown_in_a_notebook_with_names_escaped(self, made: Library, picture: np.ndarray) -> None:
        search = made.search(picture, k=50, nearest=True)
        for result in (search, made.nearest(picture, k=40), made.keyframes(12), made.clusters(2)):
            page = result._repr_html_()
            assert page.count("data:image/jpeg;base64,") == page.count("<figcaption>") >= 2
            assert "&lt;b&gt;yard.mp4" in page
            assert "<b>" not in page
            assert len(repr(result)) < 20_000

    def test_of_pictures_are_shown_without_a_time_and_from_another_working_folder(
        self, tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "elsewhere").mkdir()
        for number in range(4):
            Image.fromarray(np.roll(picture, 20 * number, axis=1)).save(f"{number}.png")
        with Library.create("library", sorted(tmp_path.glob("*.png")), encoder=small_encoder()) as library:
            results = (
                library.search(picture, k=4, nearest=True),
                library.nearest(picture, k=4),
                library.keyframes(3),
                library.clusters(2),
            )
        monkeypatch.chdir("elsewhere")
        for result in results:
            page = result._repr_html_()
            assert page.count("data:image/jpeg;base64,") == page.count("<figcaption>") >= 2
            assert all(re.search(r"\d[.]png(?! at )", one) for one in re.findall("<figcaption>(.*?)</", page))

    def test_of_a_library_that_is_gone_are_shown_without_pictures(self, made: Library, picture: np.ndarray) -> None:
        result = made.search(picture, nearest=True)
        page = replace(result, folder=f"{made.path}-gone")._repr_html_()
        assert page.count("<figcaption>") >= 2
        assert "<img" not in page

    def test_say_themselves_in_a_line(self, made: Library, picture: np.ndarray) -> None:
        assert re.match(r"SearchResult\('picture', from \d\.\d{3} on: ", repr(made.search(picture)))
        assert repr(made.sources) == "Sources(<b>yard.mp4, gate.mp4)"

    def test_moments_are_cut_and_keyframes_written(self, made: Library, picture: np.ndarray, tmp_path: Path) -> None:
        result = made.search(picture, false_match_rate=0.9, k=2)
        assert len(made.cut(result, tmp_path / "clips")) == len(result.matches) > 0
        assert len(made.write_pictures(made.keyframes(3), tmp_path / "pictures")) == 3


@pytest.fixture
def firstsight_command(capsys: pytest.CaptureFixture[str]) -> Callable:
    """Runs a command in this process; gives what it printed."""
    from firstsight.cli.main import app

    def run(*arguments: object) -> str:
        app([str(one) for one in arguments], standalone_mode=False)
        return capsys.readouterr().out

    return run


def cancel_at(what: str, done: float = 0) -> Callable[[Progress], None]:
    def report(progress: Progress) -> None:
        if progress.what == what and progress.done >= done:
            raise Cancelled

    return report


class TestCancelled:
    def test_indexing_keeps_what_is_complete_and_goes_on(self, tmp_path: Path, clips: Path) -> None:
        with Library.create(tmp_path / "library", encoder=small_encoder()) as library:
            with pytest.raises(Cancelled):
                library.add(clips, every=1, progress=cancel_at("embedding", 150))
            assert [(one.name, one.status) for one in library.sources] == [
                ("<b>yard.mp4", "whole"),
                ("gate.mp4", "partial"),
            ]
            assert library.num_frames == 100
            outcome = library.add(clips, every=1)
            assert (outcome.unchanged, outcome.added) == (["<b>yard.mp4"], ["gate.mp4"])
            assert outcome.num_frames < 100
            assert (library.num_frames, library.check().is_whole) == (200, True)

    def test_learning_leaves_no_library(self, tmp_path: Path, clips: Path) -> None:
        with pytest.raises(Cancelled):
            Library.create(tmp_path / "library", clips, progress=cancel_at("learning"))
        assert not (tmp_path / "library").exists()

    def test_reindexing_leaves_the_library_as_it_was(self, tmp_path: Path, clips: Path) -> None:
        with Library.create(tmp_path / "library", clips, encoder=small_encoder()) as library:
            before = library.encoder.fingerprint
            with pytest.raises(Cancelled):
                library.reindex(small_encoder(seed=1), progress=cancel_at("embedding", 1))
            assert Library.open(library.path).encoder.fingerprint == library.encoder.fingerprint == before
            assert library.num_frames == 16
            library.reindex(small_encoder(seed=1))
            assert library.encoder.fingerprint != before
            assert library.num_frames == 16

    @pytest.mark.parametrize(
        ("what", "ask"),
        [
            ("choosing", lambda library, report: library.keyframes(5, progress=report)),
            ("grouping", lambda library, report: library.clusters(progress=report)),
            ("reading", lambda library, report: library.duplicates(progress=report)),
            ("laying out", lambda library, report: library.map(progress=report)),
            ("writing", lambda library, report: library.export("/nowhere/out.npz", progress=report)),
        ],
    )
    def test_every_answer_can_be(self, made: Library, what: str, ask: Callable) -> None:
        with pytest.raises(Cancelled):
            ask(made, cancel_at(what))

    def test_a_search_for_a_box_can_be(self, boxes: Library) -> None:
        frame = firstsight.frame_at(boxes.sources[0].path, 2.0).pixels
        with pytest.raises(Cancelled):
            boxes.search(frame, box=(30, 10, 20, 20), progress=cancel_at("searching"))


class TestTwoHandles:
    def test_the_second_shows_what_the_first_adds_after_a_refresh(self, tmp_path: Path, clips: Path) -> None:
        first = Library.create(tmp_path / "library", clips / "gate.mp4", encoder=small_encoder())
        with first, Library.open(first.path) as second:
            first.add(clips)
            assert (first.num_frames, second.num_frames) == (16, 8)
            second.refresh()
            assert second.num_frames == 16
            second.remove("gate.mp4")
            first.refresh()
            assert [one.name for one in first.sources] == ["<b>yard.mp4"]

    def test_a_handle_of_before_a_reindex_says_so_until_it_is_refreshed(self, tmp_path: Path, clips: Path) -> None:
        first = Library.create(tmp_path / "library", clips / "gate.mp4", encoder=small_encoder())
        with first, Library.open(first.path) as second:
            first.reindex(small_encoder(seed=1), clips)
            assert first.num_frames == 16
            for ask in (lambda: second.search(clips / "gate.mp4@1"), lambda: second.add(clips), lambda: second.encoder):
                with pytest.raises(LibraryError, match=r"was re-embedded by encoder .* open it again"):
                    ask()
            second.refresh()
            assert (second.num_frames, second.encoder.fingerprint) == (16, first.encoder.fingerprint)
            assert second.search(clips / "gate.mp4@1").library == str(first.path)

    def test_what_is_missing_is_taken_out_when_it_is_sure(self, tmp_path: Path, clips: Path) -> None:
        videos = Path(shutil.copytree(clips, tmp_path / "videos"))
        with Library.create(tmp_path / "library", videos, encoder=small_encoder()) as library:
            (videos / "gate.mp4").unlink()
            assert library.sources.states == ("there", "gone")
            assert [one.name for one in library.remove_missing().removed] == ["gate.mp4"]
            (videos / "<b>yard.mp4").unlink()
            assert library.remove_missing().doubtful == ("<b>yard.mp4",)
            assert [one.name for one in library.remove_missing(is_sure=True).removed] == ["<b>yard.mp4"]
