"""What is not a library, or not one that can be read, is named in one line."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import filelock
import pytest
from library_made import small_encoder

from firstsight.errors import LibraryError, SettingsError
from firstsight.files import unfinished
from firstsight.library.folder import CONFIG_FILE, remove_library, writing
from firstsight.library.maintenance import compact
from firstsight.library.store import Store


def nothing(folder: Path) -> None:
    folder.rmdir()


def something_else(folder: Path) -> None:
    (folder / "holiday.jpg").touch()


def a_file(folder: Path) -> None:
    folder.rmdir()
    folder.touch()


def half_a_description(folder: Path) -> None:
    (folder / CONFIG_FILE).write_text('{"format": "firstsight-lib')


def a_list(folder: Path) -> None:
    (folder / CONFIG_FILE).write_text("[]")


def another_format(folder: Path) -> None:
    (folder / CONFIG_FILE).write_text('{"format": "firstsight", "format_version": 1}')


def another_version(folder: Path) -> None:
    (folder / CONFIG_FILE).write_text('{"format": "firstsight-library", "format_version": 9}')


def no_settings(folder: Path) -> None:
    (folder / CONFIG_FILE).write_text('{"format": "firstsight-library", "format_version": 1, "library": {"colour": 1}}')


def no_tables(folder: Path) -> None:
    settings = {"fingerprint": "0" * 16, "dim": 4}
    content = {"format": "firstsight-library", "format_version": 1, "library": settings}
    (folder / CONFIG_FILE).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nothing, "there is no library at .*firstsight index"),
        (something_else, "is not a library: it has no library.json"),
        (a_file, "is a file, and a library is a folder"),
        (half_a_description, "library.json is damaged .*index the footage again"),
        (a_list, "does not describe a library"),
        (another_format, "does not describe a library"),
        (another_version, "format version 9; this program reads versions 1 to 4"),
        (no_settings, "is damaged .*colour"),
        (no_tables, "the tables in .* are missing"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, make: object, words: str) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    make(folder)
    with pytest.raises(LibraryError, match=words) as caught:
        Store.open(folder)
    assert "\n" not in str(caught.value)
    assert not list(folder.glob("tables-*"))


def test_opened_while_another_process_re_embeds_it_it_is_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.create(tmp_path / "library", small_encoder()) as made:
        config = made.config
    replies = [replace(config, fingerprint="0" * 16), config, config]  # read before, and after
    monkeypatch.setattr("firstsight.library.store.read_config", lambda _: replies.pop(0))
    with Store.open(tmp_path / "library") as opened:
        assert opened.fingerprint == config.fingerprint
    assert len(list((tmp_path / "library").glob("tables-*"))) == 1


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(lambda content: content[:-1], id="cut"),
        pytest.param(lambda content: content[:9], id="a stump"),
        pytest.param(lambda content: content[:-16] + b"\xff" * 8 + content[-8:], id="begins behind its end"),
        pytest.param(lambda content: content[:-16] + bytes(16), id="zeros at its end"),
    ],
)
def test_a_damaged_list_of_files_is_one_line_and_no_panic(
    tmp_path: Path, damaged: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    Store.create(tmp_path / "library", small_encoder()).close()
    for manifest in tmp_path.glob("library/tables-*/sources.lance/_versions/*.manifest"):
        manifest.write_bytes(damaged(manifest.read_bytes()))
    with pytest.raises(LibraryError, match=r"sources.lance/_versions/\d+.manifest is cut or overwritten"):
        Store.open(tmp_path / "library")
    assert "panicked" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("make", "words"), [(something_else, "holds something else"), (a_file, "is a file; give the name of a folder")]
)
def test_where_none_can_be_made(tmp_path: Path, make: object, words: str) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    make(folder)
    with pytest.raises(LibraryError, match=words):
        Store.create(folder, small_encoder())


def test_none_is_made_over_another(tmp_path: Path) -> None:
    Store.create(tmp_path / "library", small_encoder())
    with pytest.raises(LibraryError, match="is a library already"):
        Store.create(tmp_path / "library", small_encoder())


def test_one_is_made_where_an_attempt_was_killed(tmp_path: Path) -> None:
    Store.create(tmp_path / "library", small_encoder(seed=1))
    (tmp_path / "library" / CONFIG_FILE).rename(unfinished(tmp_path / "library" / CONFIG_FILE))
    library = Store.create(tmp_path / "library", small_encoder(), every=3)
    assert Store.open(library.path).encoder.fingerprint == small_encoder().fingerprint
    assert (library.config.frames_per_second, library.config.every) == (None, 3)


@pytest.mark.parametrize("rates", [{"frames_per_second": 0}, {"every": 0}, {"frames_per_second": 1, "every": 2}])
def test_rates_that_make_no_sense(tmp_path: Path, rates: dict) -> None:
    with pytest.raises(SettingsError):
        Store.create(tmp_path / "library", small_encoder(), **rates)
    assert not (tmp_path / "library").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    library = Store.create(tmp_path / "library", small_encoder())
    library.path.chmod(0)
    with pytest.raises((LibraryError, PermissionError)):
        Store.open(library.path)
    library.path.chmod(0o755)


def test_two_cannot_write_at_once(tmp_path: Path) -> None:
    library = Store.create(tmp_path / "library", small_encoder())
    with (
        writing(library.path),
        pytest.raises(LibraryError, match="written to by another process"),
        writing(library.path),
    ):
        pass
    with writing(library.path):
        pass


@pytest.mark.parametrize("name", ["model", "model-2025", "tables-2025"])
def test_folders_of_the_user_are_never_taken_for_its_own(name: str, tmp_path: Path) -> None:
    kept = tmp_path / "mine" / name / "weights.pt"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with pytest.raises(LibraryError, match="holds something else"):
        Store.create(tmp_path / "mine", small_encoder())
    assert kept.exists()


def test_compacting_and_removing_leave_what_is_not_its_own(tmp_path: Path) -> None:
    with Store.create(tmp_path / "library", small_encoder()) as library:
        for name in ("model-2025", "tables-2025"):
            (library.path / name).mkdir()
        compact(library)
    unfinished(library.path / CONFIG_FILE).touch()
    remove_library(library.path)
    assert sorted(path.name for path in library.path.iterdir()) == ["model-2025", "tables-2025"]


def test_a_disk_that_takes_no_lock_is_said_and_what_the_writer_raises_is_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Store.create(tmp_path / "library", small_encoder())

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with pytest.raises(PermissionError, match="of the caller"), writing(library.path):
        raise PermissionError("of the caller")
    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(LibraryError, match=r"cannot be written to \(Read-only file system\)"), writing(library.path):
        pass
