"""A library's frames in other programs: what is read back is what the library holds."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

from firstsight.errors import LibraryError, SettingsError
from firstsight.export.tables import export_library
from firstsight.library.selection import Where
from firstsight.progress import Progress

sys.path.insert(0, str(Path(__file__).parents[1] / "retrieval"))
from library_made import Filled, filled


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    return filled(tmp_path_factory.mktemp("made") / "walks", {"a.mp4": 5, "b.mp4": 4})


def test_npz(made: Filled, tmp_path: Path) -> None:
    assert export_library(made.library, tmp_path / "all.npz").num_frames == 9
    with np.load(tmp_path / "all.npz") as kept:
        assert kept["vectors"] == pytest.approx(made.vectors, abs=1e-3)
        assert kept["sources"][kept["source_indices"]].tolist() == made.names.tolist()
        assert kept["seconds"].tolist() == made.seconds.tolist()


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_tables(made: Filled, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"some{ending}"
    assert export_library(made.library, path, where=Where(("b*",), start_seconds=0.5)).num_frames == 3
    table = pyarrow.csv.read_csv(path) if ending == ".csv" else pyarrow.parquet.read_table(path)
    assert table.column("source").to_pylist() == ["b.mp4"] * 3
    assert table.column("seconds").to_pylist() == [0.5, 1.0, 1.5]
    assert table.column("path").to_pylist() == ["/nowhere/b.mp4"] * 3
    if ending == ".csv":
        vectors = np.stack([table.column(f"v{number}").to_numpy() for number in range(made.library.dim)], axis=1)
    else:
        vectors = np.array(table.column("vector").to_pylist())
    assert vectors == pytest.approx(made.vectors[6:], abs=1e-3)


def test_fiftyone_finds_every_picture_and_field(made: Filled, tmp_path: Path) -> None:
    export_library(made.library, tmp_path / "out" / "samples.json")
    assert "version" not in json.loads((tmp_path / "out" / "metadata.json").read_text())  # else it is read another way
    samples = json.loads((tmp_path / "out" / "samples.json").read_text())["samples"]
    assert len(samples) == 9
    assert all((tmp_path / "out" / one["filepath"]).read_bytes() == b"jpeg" for one in samples)
    assert [one["source"] for one in samples] == made.names.tolist()
    assert samples[3]["embedding"] == pytest.approx(made.vectors[3].tolist(), abs=1e-3)


def test_an_export_that_is_interrupted_leaves_the_one_before(made: Filled, tmp_path: Path) -> None:
    path = tmp_path / "out" / "samples.json"
    export_library(made.library, path)
    before = {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}

    def press(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_library(made.library, path, where=Where(("b*",)), progress=press)
    assert {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()} == before
    export_library(made.library, path, where=Where(("b*",)))
    assert len(list((path.parent / "data").iterdir())) == 4


@pytest.mark.parametrize(
    ("name", "where", "error", "words"),
    [
        ("all.txt", None, SettingsError, r"valid are \.npz, \.csv, \.parquet, \.json"),
        ("all.json", None, SettingsError, "give .*all/samples.json"),
        ("all.csv", Where(start_seconds=99), LibraryError, "no frame to export"),
        ("all.csv", Where(("c*",)), LibraryError, "no source"),
    ],
)
def test_what_cannot_be_exported(
    made: Filled, tmp_path: Path, name: str, where: Where, error: type, words: str
) -> None:
    with pytest.raises(error, match=words):
        export_library(made.library, tmp_path / name, where=where)
    assert list(tmp_path.iterdir()) == []
