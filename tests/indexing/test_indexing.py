"""What is in a library already is not read again; what was interrupted goes on; what changed is read anew."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from library_made import small_encoder, write_video, write_videos
from PIL import Image

from firstsight.encoder.encoder import Encoder
from firstsight.errors import LibraryError, SourceError, UnreachableError
from firstsight.footage.sampling import Sampling
from firstsight.footage.source import Source
from firstsight.indexing import run as indexing_run
from firstsight.indexing import writer as indexing_writer
from firstsight.indexing.estimate import Indexed
from firstsight.indexing.index_files import add, check_same_encoder, remove, remove_missing
from firstsight.indexing.reindex import reindex
from firstsight.indexing.run import IndexingRun
from firstsight.indexing.writer import EmbeddedBatch, footage_to_embed
from firstsight.library import tables as library_tables
from firstsight.library.embeddings import Embeddings
from firstsight.library.maintenance import compact, info
from firstsight.library.store import Store
from firstsight.progress import Cancelled, Progress, Report
from firstsight.searching.nearest import find_nearest

KINDS = ("added", "changed", "copied", "moved", "unchanged", "failures")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three different videos of 4 s."""
    return write_videos(tmp_path_factory.mktemp("clips"), 3)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 20 s."""
    return write_video(tmp_path_factory.mktemp("long") / "long.mp4", seed=3, num_frames=500)


@pytest.fixture
def videos(tmp_path: Path, clips: Path) -> Path:
    return Path(shutil.copytree(clips, tmp_path / "videos"))


@pytest.fixture
def library(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "library", small_encoder())


def ramp(index: int) -> np.ndarray:
    """A picture that gets brighter to the right."""
    return np.tile(np.linspace(index, 200, 64, dtype=np.uint8)[:, None], (48, 1, 3))


def spied(plain: Callable[..., str], answers: list[str]) -> Callable[..., str]:
    """The same function; what it returns is added to the answers."""

    def ask(*given: object) -> str:
        answers.append(plain(*given))
        return answers[-1]

    return ask


def did(outcome: Indexed) -> dict[str, list[str]]:
    """What is not empty."""
    return {kind: getattr(outcome, kind) for kind in KINDS if getattr(outcome, kind)}


def same_rows(found: Embeddings, expected: Embeddings) -> bool:
    """To the last bit."""
    columns = ("vectors", "seconds", "frame_indices", "source_indices")
    return found.sources == expected.sources and all(
        np.array_equal(getattr(found, column), getattr(expected, column)) for column in columns
    )


class TestAgain:
    def test_nothing_is_read_twice(self, library: Store, videos: Path) -> None:
        first = add(library, [videos])
        assert did(first) == {"added": ["0.mp4", "1.mp4", "2.mp4"]}
        assert (first.num_frames, library.num_frames) == (24, 24)
        second = add(library, [videos, videos / "1.mp4"])
        assert did(second) == {"unchanged": ["0.mp4", "1.mp4", "2.mp4"]}
        assert second.num_frames == 0

    def test_only_what_is_new_is_embedded(self, library: Store, videos: Path) -> None:
        add(library, [videos / "0.mp4", videos / "2.mp4"])
        before = library.embeddings()
        outcome = add(library, [videos])
        assert (outcome.added, outcome.num_frames) == (["1.mp4"], 8)
        after = library.embeddings()
        assert np.array_equal(after.vectors[np.isin(after.source_indices, (0, 2))], before.vectors)

    def test_a_file_that_was_only_touched_is_not_read(self, library: Store, videos: Path) -> None:
        add(library, [videos])
        os.utime(videos / "1.mp4", ns=(1, 1))
        outcome = add(library, [videos])
        assert (len(outcome.unchanged), outcome.num_frames) == (3, 0)
        assert library.sources[1].modified_ns == 1

    def test_a_file_that_was_renamed_keeps_its_rows_under_the_new_name(self, library: Store, videos: Path) -> None:
        add(library, [videos])
        rows = library.embeddings()
        (videos / "1.mp4").rename(videos / "9.mp4")
        outcome = add(library, [videos])
        assert did(outcome) == {"moved": ["9.mp4"], "unchanged": ["0.mp4", "2.mp4"]}
        assert outcome.num_frames == 0
        assert [record.name for record in library.sources] == ["0.mp4", "2.mp4", "9.mp4"]
        assert library.sources[2].path == videos / "9.mp4"
        np.testing.assert_array_equal(library.embeddings().vectors[16:], rows.vectors[8:16])

    def test_a_second_file_of_the_same_content_is_found_by_its_own_name(self, library: Store, videos: Path) -> None:
        shutil.copy(videos / "1.mp4", videos / "twin.mp4")
        outcome = add(library, [videos])
        assert outcome.copied == ["twin.mp4"]
        assert outcome.num_frames == 24
        rows = library.embeddings()
        first, twin = (rows[rows.source_indices == rows.sources.index(name)] for name in ("1.mp4", "twin.mp4"))
        np.testing.assert_array_equal(first.vectors, twin.vectors)
        np.testing.assert_array_equal(first.seconds, twin.seconds)
        assert {one.source for one in find_nearest(library, first.vectors[3], k=2).frames} == {"1.mp4", "twin.mp4"}
        assert library.thumbnails([("1.mp4", 0)]) == library.thumbnails([("twin.mp4", 0)])
        (videos / "1.mp4").unlink()
        assert did(add(library, [videos]))["unchanged"] == ["0.mp4", "2.mp4", "twin.mp4"]

    @pytest.mark.parametrize("name", ["1.mp4", "twin.mp4"])
    def test_of_two_copies_the_one_that_was_renamed_leaves_no_name_behind(
        self, library: Store, videos: Path, name: str
    ) -> None:
        shutil.copy(videos / "1.mp4", videos / "twin.mp4")
        add(library, [videos])
        (videos / name).rename(videos / "9.mp4")
        outcome = did(add(library, [videos]))
        assert (outcome["moved"], outcome.get("copied")) == (["9.mp4"], None)
        left = {"1.mp4", "twin.mp4"} - {name}
        assert {record.name for record in library.sources} == {"0.mp4", "2.mp4", "9.mp4"} | left

    def test_a_folder_that_was_renamed_keeps_its_rows(self, library: Store, videos: Path) -> None:
        add(library, [videos])
        outcome = did(add(library, [videos.rename(videos.with_name("footage"))]))
        assert outcome == {"moved": ["footage/0.mp4", "footage/1.mp4", "footage/2.mp4"]}
        assert {record.path.parent.name for record in library.sources} == {"footage"}

    def test_a_copy_of_what_lies_on_a_share_that_is_not_mounted_does_not_take_its_place(
        self, library: Store, videos: Path
    ) -> None:
        share = videos.with_name("share")
        shutil.copytree(videos, share / "day")
        add(library, [share])
        shutil.rmtree(share / "day")  # the empty folder in which it is mounted is left
        outcome = did(add(library, [videos]))
        assert outcome == {"copied": ["0.mp4", "1.mp4", "2.mp4"]}
        assert len(library.sources) == 6

    def test_what_lay_in_a_folder_that_is_empty_now_counts_as_missing_only_when_the_user_is_sure(
        self, library: Store, videos: Path
    ) -> None:
        share = videos.with_name("share")
        shutil.copytree(videos, share)
        add(library, [share])
        shutil.rmtree(share)
        share.mkdir()  # as the empty folder in which it is mounted
        assert did(add(library, [videos / "1.mp4"])) == {"copied": ["videos/1.mp4"]}
        assert len(library.sources) == 4
        assert remove_missing(library).doubtful == ("0.mp4", "1.mp4", "2.mp4")
        assert len(remove_missing(library, is_sure=True).removed) == 3
        assert [record.path for record in library.sources] == [videos / "1.mp4"]

    def test_what_can_be_read_again_is_no_failure_any_more(self, library: Store, videos: Path) -> None:
        add(library, [videos])
        path, aside = videos / "1.mp4", videos.with_name("aside")
        path.rename(aside)
        path.write_text("no video")
        assert len(add(library, [videos]).failures) == 1
        aside.replace(path)  # with its time of change
        assert did(add(library, [videos])) == {"unchanged": ["0.mp4", "1.mp4", "2.mp4"]}
        assert info(library).failed == ()

    def test_a_file_whose_content_changed_is_embedded_anew(self, library: Store, videos: Path) -> None:
        add(library, [videos])
        shutil.copy(write_video(videos.parent / "other.mp4", seed=7, num_frames=150), videos / "1.mp4")
        assert info(library).changed == ("1.mp4",)
        outcome = add(library, [videos])
        assert did(outcome) == {"changed": ["1.mp4"], "unchanged": ["0.mp4", "2.mp4"]}
        assert [record.num_frames for record in library.sources] == [8, 12, 8]
        assert len(library.embeddings()) == library.tables.frames.count_rows() == 28
        assert info(library).changed == ()

    def test_the_same_file_at_another_rate_is_embedded_anew(self, library: Store, videos: Path) -> None:
        add(library, [videos])
        outcome = add(library, [videos / "1.mp4"], every=10)
        assert (outcome.changed, outcome.num_frames) == (["1.mp4"], 10)
        assert [record.every for record in library.sources] == [None, 10, None]
        assert add(library, [videos / "0.mp4"]).unchanged == ["0.mp4"]

    def test_a_failure_at_another_rate_leaves_it_unchanged(
        self, library: Store, videos: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(library, [videos / "0.mp4"])
        with monkeypatch.context() as patch:
            patch.setattr(indexing_run, "footage_to_embed", lambda *_: {}["of a decoder"])
            with pytest.raises(SourceError, match=r"0\.mp4 cannot be read: KeyError"):
                add(library, [videos / "0.mp4"], frames_per_second=10)
        assert did(add(library, [videos / "0.mp4"])) == {"unchanged": ["0.mp4"]}
        assert library.failed_sources == ()

    def test_two_files_of_one_name_are_told_apart_by_their_folders(self, library: Store, videos: Path) -> None:
        add(library, [videos / "0.mp4"])
        (videos / "deep").mkdir()
        (videos / "1.mp4").rename(videos / "deep" / "0.mp4")
        assert add(library, [videos / "deep" / "0.mp4"]).added == ["deep/0.mp4"]


class TestWhatCannotBeRead:
    def test_it_is_named_and_the_others_are_read(self, library: Store, videos: Path) -> None:
        (videos / "notes.mp4").write_text("not a video\n" * 50)
        lines: list[str] = []
        outcome = add(library, [videos, "nowhere.mp4", "0"], progress=lambda one: lines.extend(one.news))
        assert len(outcome.added) == 3
        assert lines[0].startswith("4 of 4 sources are new or changed: about 24 frames")
        assert lines[1:] == outcome.failures
        assert [any(name in line for line in lines) for name in ("notes.mp4", "nowhere.mp4", "record it")] == [True] * 3
        assert info(library).partial == ()

    def test_one_whose_times_are_absurd_leaves_a_library_that_opens(
        self, library: Store, videos: Path, tmp_path: Path
    ) -> None:
        """Milliseconds since 1970 that are read as seconds, such as those of some recorders."""
        path = tmp_path / "late.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
            packets = [
                packet
                for index in range(20)
                for packet in stream.encode(av.VideoFrame.from_ndarray(ramp(index), format="rgb24"))
            ]
            for packet in packets:
                packet.pts = packet.dts = packet.pts + 5 * 10**11
                container.mux(packet)
        outcome = add(library, [path, videos / "0.mp4"])
        assert outcome.failures == ["late.mkv has a frame at 2e+10 s: valid is up to 1e+10 s"]
        with Store.open(library.path) as again:
            assert [record.name for record in again.sources] == ["0.mp4"]

    @pytest.mark.parametrize("sources", [["nowhere.mp4"], ["nowhere.mp4", "neither.mp4"]])
    def test_it_is_an_error_if_it_is_all_there_is(self, library: Store, sources: list[str]) -> None:
        with pytest.raises(SourceError, match="nowhere"):
            add(library, sources)

    def test_a_file_that_is_gone_is_reported_and_can_be_dropped(self, library: Store, videos: Path) -> None:
        add(library, [videos])
        (videos / "1.mp4").unlink()
        assert info(library).missing == ("1.mp4",)
        assert [record.num_frames for record in remove_missing(library).removed] == [8]
        assert [record.name for record in library.sources] == ["0.mp4", "2.mp4"]
        assert library.tables.frames.count_rows() == library.tables.thumbnails.count_rows() == 16
        with pytest.raises(LibraryError, match=r"'1\.mp4'"):
            remove(library, ["0.mp4", "1.mp4"])
        assert len(library.sources) == 2

    def test_a_damaged_replacement_leaves_the_old_rows(self, library: Store, videos: Path) -> None:
        add(library, [videos])
        (videos / "1.mp4").write_text("no longer a video")
        outcome = add(library, [videos])
        assert len(outcome.failures) == 1
        assert len(outcome.unchanged) == 2
        assert library.num_frames == len(library.embeddings()) == 24


class TestPictures:
    @pytest.fixture
    def pictures(self, tmp_path: Path) -> Path:
        folder = tmp_path / "pictures"
        folder.mkdir()
        random = np.random.default_rng(0)
        for index in range(7):
            Image.fromarray(random.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(folder / f"{index}.png")
        (folder / "3.png").write_bytes(b"broken")
        shutil.copy(folder / "5.png", folder / "6.png")
        return folder

    def test_are_a_source_each(self, library: Store, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(indexing_run, "_PICTURES_AT_ONCE", 3)
        outcome = add(library, [pictures], every=2)
        assert outcome.added == ["0.png", "1.png", "2.png", "4.png", "5.png"]
        assert outcome.copied == ["6.png"]
        assert len(outcome.failures) == 1
        assert "3.png" in outcome.failures[0]
        assert {(record.num_frames, record.every) for record in library.sources} == {(1, None)}
        rows = library.embeddings()
        assert set(rows.seconds) == {0.0}
        seen = np.stack([np.asarray(Image.open(pictures / name)) for name in rows.sources])
        np.testing.assert_allclose(rows.vectors, library.encoder.encode(seen), atol=2e-3)
        assert add(library, [pictures]).num_frames == 0

    def test_what_an_interrupted_write_left_of_them_is_dropped(
        self, library: Store, pictures: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexing_writer, "_ROWS_AT_ONCE", 2)
        finish, finished = IndexingRun._finish, []

        def finish_some(self: IndexingRun, *given: object, **named: object) -> None:
            if len(finished) == 1:
                raise KeyboardInterrupt
            finished.append(given)
            finish(self, *given, **named)

        monkeypatch.setattr(IndexingRun, "_finish", finish_some)
        with pytest.raises(KeyboardInterrupt):
            add(library, [pictures])
        assert len(library.partial_sources) == 1
        monkeypatch.setattr(IndexingRun, "_finish", finish)
        add(library, [pictures])
        assert library.partial_sources == ()
        assert len(library.sources) == len(library.embeddings()) == 6

    def test_one_that_changed_is_embedded_anew(self, library: Store, pictures: Path) -> None:
        add(library, [pictures])
        Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save(pictures / "0.png")
        assert add(library, [pictures]).changed == ["0.png"]
        assert len(library.embeddings()) == 6


class TestInterrupted:
    @pytest.fixture(autouse=True)
    def _small_writes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(indexing_writer, "_ROWS_AT_ONCE", 64)

    @pytest.mark.parametrize("sampling", [{"every": 1}, {"every": 2}, {"frames_per_second": 12.0}])
    @pytest.mark.parametrize(("at", "error"), [(1, KeyboardInterrupt), (130, KeyboardInterrupt), (130, Cancelled)])
    def test_it_goes_on_with_the_very_rows_of_a_run_that_was_not(
        self, tmp_path: Path, clips: Path, long: Path, sampling: dict, at: int, error: type[BaseException]
    ) -> None:
        sources = [clips / "0.mp4", long]
        whole, broken = (Store.create(tmp_path / name, small_encoder(), **sampling) for name in ("whole", "broken"))
        expected = add(whole, sources)
        with pytest.raises(error):
            add(broken, sources, progress=interrupt(at + whole.sources[0].num_frames, error))
        assert len(broken.sources) <= 1
        held = broken.tables.frames.count_rows()
        assert broken.num_frames == len(broken.embeddings())
        assert info(broken).partial == (("long.mp4",) if held > broken.num_frames else ())
        outcome = add(broken, sources)
        assert outcome.num_frames == expected.num_frames - held
        assert same_rows(broken.embeddings(), whole.embeddings())
        comparable = [[replace(one, id=0) for one in library.sources] for library in (broken, whole)]
        assert comparable[0] == comparable[1]
        assert broken.tables.thumbnails.count_rows() == whole.num_frames

    def test_what_is_left_of_a_video_that_changed_meanwhile_is_not_used(
        self, library: Store, tmp_path: Path, long: Path
    ) -> None:
        video = Path(shutil.copy(long, tmp_path / "long.mp4"))
        with pytest.raises(KeyboardInterrupt):
            add(library, [video], every=1, progress=interrupt(130))
        shutil.copy(write_video(tmp_path / "other.mp4", seed=9, num_frames=200), video)
        outcome = add(library, [video], every=1)
        assert outcome.num_frames == library.tables.frames.count_rows() == library.num_frames == 200

    def test_where_reading_on_misses_the_place_it_begins_anew(
        self, library: Store, long: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(KeyboardInterrupt):
            add(library, [long], every=1, progress=interrupt(130))
        monkeypatch.setattr(
            indexing_run,
            "resumed_sampling",
            lambda sampling, stored: replace(sampling, start_seconds=stored.seconds + 1),
        )
        assert add(library, [long], every=1).num_frames == 500
        assert library.tables.frames.count_rows() == library.num_frames == 500
        np.testing.assert_array_equal(library.embeddings().frame_indices, np.arange(500))

    def test_a_file_moved_to_where_another_was_interrupted_leaves_nothing_of_that(
        self, library: Store, videos: Path, long: Path
    ) -> None:
        add(library, [videos])
        other = Path(shutil.copy(long, videos / "other.mp4"))
        with pytest.raises(KeyboardInterrupt):
            add(library, [other], every=1, progress=interrupt(130))
        assert info(library).partial == ("other.mp4",)
        (videos / "1.mp4").replace(other)
        assert did(add(library, [videos]))["moved"] == ["other.mp4"]
        assert info(library).partial == ()

    def test_old_rows_are_shown_until_the_new_ones_are_whole(self, library: Store, long: Path) -> None:
        add(library, [long])
        before = library.embeddings()
        with pytest.raises(KeyboardInterrupt):
            add(library, [long], every=1, progress=interrupt(130))
        assert info(library).partial == ("long.mp4",)
        assert same_rows(library.embeddings(), before)
        assert add(library, [long]).unchanged == ["long.mp4"]  # the attempt at every frame is given up
        assert info(library).partial == ()
        assert library.tables.frames.count_rows() == len(before)


def interrupt(at: int, error: type[BaseException] = KeyboardInterrupt) -> Report:
    """Ctrl-C as soon as so many frames are embedded."""

    def report(progress: Progress) -> None:
        if progress.done >= at:
            raise error

    return report


class TestAnotherEncoder:
    @pytest.fixture
    def other(self) -> Encoder:
        return small_encoder(seed=1)

    def test_is_refused_with_both_fingerprints(self, library: Store, other: Encoder) -> None:
        check_same_encoder(library, small_encoder())
        with pytest.raises(LibraryError, match=f"{library.fingerprint}.*{other.fingerprint}.*--reindex"):
            check_same_encoder(library, other)

    def test_embeds_everything_anew_as_it_was_sampled(
        self, library: Store, videos: Path, other: Encoder, tmp_path: Path
    ) -> None:
        add(library, [videos / "0.mp4"])
        add(library, [videos / "1.mp4"], every=10)
        add(library, [videos / "2.mp4"])
        (videos / "2.mp4").unlink()
        new, outcome = reindex(library, other)
        assert (outcome.num_frames, len(outcome.failures)) == (18, 1)
        assert "2.mp4" in outcome.failures[0]
        assert new.fingerprint == new.encoder.fingerprint == other.fingerprint
        expected = Store.create(tmp_path / "expected", other)
        add(expected, [videos / "0.mp4"])
        add(expected, [videos / "1.mp4"], every=10)
        assert same_rows(new.embeddings(), expected.embeddings())
        there = {path.name for path in library.path.iterdir() if not path.name.startswith(".")}
        assert there == {"library.json", "model", f"tables-{other.fingerprint}"}

    def test_an_interrupted_attempt_leaves_the_library_and_goes_on(
        self, library: Store, videos: Path, other: Encoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexing_writer, "_ROWS_AT_ONCE", 8)
        add(library, [videos])
        before = library.embeddings()
        with pytest.raises(KeyboardInterrupt):
            reindex(library, other, progress=interrupt(16))
        again = Store.open(library.path)
        assert again.encoder.fingerprint == library.fingerprint
        assert same_rows(again.embeddings(), before)
        new, outcome = reindex(again, other)
        assert outcome.num_frames <= 16
        assert (new.num_frames, new.fingerprint) == (24, other.fingerprint)

    def test_nothing_is_exchanged_if_nothing_can_be_read(self, library: Store, videos: Path, other: Encoder) -> None:
        add(library, [videos])
        for path in videos.iterdir():
            path.write_text("no video")
        before = sorted(path.name for path in library.path.iterdir())
        with pytest.raises(SourceError, match="none of 3 sources"):
            reindex(library, other)
        assert sorted(path.name for path in library.path.iterdir()) == before
        assert Store.open(library.path).encoder.fingerprint == library.fingerprint
        assert Store.open(library.path).num_frames == 24

    def test_nothing_is_lost_because_a_folder_is_empty(
        self, library: Store, videos: Path, other: Encoder, tmp_path: Path
    ) -> None:
        add(library, [videos, write_video(tmp_path / "elsewhere.mp4", seed=7)])
        for path in videos.iterdir():
            path.unlink()
        with pytest.raises(SourceError, match="3 sources are gone with all others of their folder, which may not be"):
            reindex(library, other)
        assert len(Store.open(library.path).sources) == 4

    def test_what_could_not_be_read_and_can_be_now_comes_too(
        self, library: Store, videos: Path, other: Encoder
    ) -> None:
        good = (videos / "1.mp4").read_bytes()
        (videos / "1.mp4").write_text("no video")
        add(library, [videos])
        (videos / "1.mp4").write_bytes(good)
        new, _ = reindex(library, other)
        assert [record.name for record in new.sources] == ["0.mp4", "1.mp4", "2.mp4"]
        assert new.failed_sources == ()

    def test_nothing_is_lost_because_a_folder_is_away(self, library: Store, videos: Path, other: Encoder) -> None:
        add(library, [videos / "0.mp4"])
        videos.rename(videos.with_name("away"))
        with pytest.raises(SourceError, match=r"1 sources cannot be reached.*0\.mp4"):
            reindex(library, other)
        assert Store.open(library.path).num_frames == 8

    def test_nothing_is_lost_because_a_folder_goes_away_meanwhile(
        self, library: Store, videos: Path, other: Encoder, tmp_path: Path
    ) -> None:
        add(library, [videos, write_video(tmp_path / "elsewhere" / "3.mp4", seed=7)])

        def unmount(report: Progress) -> None:
            if report.done and videos.exists():
                videos.rename(videos.with_name("away"))

        with pytest.raises(SourceError, match="sources cannot be reached"):
            reindex(library, other, progress=unmount)
        again = Store.open(library.path)
        assert (len(again.sources), again.fingerprint) == (4, library.fingerprint)
        videos.with_name("away").rename(videos)
        new, _ = reindex(again, other)
        assert (len(new.sources), new.num_frames, new.failed_sources) == (4, 32, ())

    def test_nothing_is_lost_because_a_folder_was_away_for_a_while(
        self, library: Store, videos: Path, other: Encoder, tmp_path: Path
    ) -> None:
        add(library, [write_video(tmp_path / "elsewhere" / "3.mp4", seed=7), videos])
        away = videos.with_name("away")

        def unmount(report: Progress) -> None:
            if videos.exists() and "source 2 of 4" in report.state:
                videos.rename(away)
            elif away.exists() and "source 4 of 4" in report.state:
                away.rename(videos)

        with pytest.raises(SourceError, match=r"sources could not be reached for a while.*Run it again"):
            reindex(library, other, progress=unmount)
        again = Store.open(library.path)
        assert (len(again.sources), again.fingerprint) == (4, library.fingerprint)
        new, _ = reindex(again, other)
        assert (len(new.sources), new.num_frames) == (4, 32)

    def test_nothing_is_lost_because_a_disk_is_in_trouble_meanwhile(
        self, library: Store, videos: Path, other: Encoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(library, [videos])
        embed = indexing_run.embed_source

        def in_trouble(encoder: Encoder, source: Source, **options: Any) -> Iterator[EmbeddedBatch]:
            if "1.mp4" in source.name:
                raise UnreachableError("1.mp4 cannot be read: Stale file handle")
            return embed(encoder, source, **options)

        monkeypatch.setattr(indexing_run, "embed_source", in_trouble)
        with pytest.raises(SourceError, match=r"1 sources could not be reached.*1\.mp4"):
            reindex(library, other)
        monkeypatch.undo()
        new, _ = reindex(Store.open(library.path), other)
        assert (len(new.sources), new.num_frames, new.failed_sources) == (3, 24, ())

    def test_an_empty_library_is_that_of_another_encoder_afterwards(self, library: Store, other: Encoder) -> None:
        new, outcome = reindex(library, other)
        assert (new.encoder.fingerprint, did(outcome), len(new.embeddings())) == (other.fingerprint, {}, 0)
        assert not list(new.path.glob("model-*"))
        assert len(list(new.path.glob("tables-*"))) == 1

    def test_what_was_removed_meanwhile_does_not_come_back(
        self, library: Store, videos: Path, other: Encoder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(indexing_writer, "_ROWS_AT_ONCE", 8)
        add(library, [videos])
        with pytest.raises(KeyboardInterrupt):
            reindex(library, other, progress=interrupt(16))
        remove(library, ["0.mp4"])
        new, _ = reindex(library, other)
        assert [record.name for record in new.sources] == ["1.mp4", "2.mp4"]
        assert len(new.embeddings()) == new.tables.frames.count_rows() == 16


def test_many_sources_are_removed_in_parts(library: Store, videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred thousand pictures one statement would be megabytes."""
    add(library, [videos])
    monkeypatch.setattr(library_tables, "_KEYS_AT_ONCE", 2)
    asked: list[str] = []
    monkeypatch.setattr(library_tables, "_among", spied(library_tables._among, asked))
    assert len(remove(library, "*")) == 3
    assert (library.sources, library.num_frames) == ((), 0)
    assert max(one.count(",") for one in asked) == 1


def test_compacting_gives_space_back_and_changes_no_row(
    library: Store, videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing_writer, "_ROWS_AT_ONCE", 1)
    add(library, [videos], every=1)
    remove(library, ["2.mp4"])
    rows, thumbnail = library.embeddings(), library.thumbnails([("1.mp4", 50)])
    (library.path / "tables-0123456789abcdef").mkdir()
    done = compact(library)
    assert done.bytes_after < done.bytes_before
    assert not done.is_read
    assert info(library).num_bytes == done.bytes_after
    again = Store.open(library.path)
    assert same_rows(again.embeddings(), rows)
    assert again.thumbnails([("1.mp4", 50)]) == thumbnail
    assert not list(library.path.glob("tables-0123456789abcdef"))


@pytest.mark.parametrize(
    ("sampling", "by_all"),
    [
        (Sampling(frames_per_second=2), True),
        (Sampling(every=12), True),
        (Sampling(frames_per_second=25), False),
        (Sampling(every=1), False),
        (Sampling(frames_per_second=2, keyframes=True), False),
    ],
)
def test_all_threads_decode_where_decoding_is_most_of_the_work(clips: Path, sampling: Sampling, by_all: bool) -> None:
    (file,) = footage_to_embed(clips, "clip", sampling).files
    assert file.multithreaded == by_all


def test_the_rows_do_not_depend_on_how_many_threads_decode(long: Path) -> None:
    source = footage_to_embed(long, "long", Sampling(frames_per_second=2))
    alone = replace(source, files=tuple(replace(file, multithreaded=False) for file in source.files))
    encoder = small_encoder()
    by_all, by_one = (
        [some.rows for some in indexing_writer.embed_source(encoder, one, thumbnail_size=64)] for one in (source, alone)
    )
    assert [len(rows) for rows in by_all] == [40, 0]
    for rows, others in zip(by_all, by_one, strict=True):
        assert np.array_equal(rows.vectors, others.vectors)
        assert (rows.frame_indices, rows.seconds, rows.jpegs) == (others.frame_indices, others.seconds, others.jpegs)
