"""Tables that hold what they were given, and nothing that a spreadsheet would compute."""

import csv
import os

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstsight.export.tables import text_column, write_csv, write_table
from firstsight.text import safe_cell

NAMES = [
    "a b.mp4",
    "=HYPERLINK(1).mp4",
    "+1.mp4",
    "-x.mp4",
    "@sum.mp4",
    "\tx.mp4",
    "\rx",
    "two\nlines",
    "-0.5",
    "+3",
    "",
]
SHOWN = [
    "a b.mp4",
    "'=HYPERLINK(1).mp4",
    "'+1.mp4",
    "'-x.mp4",
    "'@sum.mp4",
    r"'\tx.mp4",
    r"'\rx",
    r"two\nlines",
    "-0.5",
    "+3",
    "",
]


def test_texts_are_no_formulas_and_numbers_stay_numbers(tmp_path) -> None:
    assert [safe_cell(name) for name in NAMES] == SHOWN
    write_csv(tmp_path / "t.csv", ["name", "number", "=1"], [[name, -0.5, None] for name in NAMES])
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        heading, *rows = csv.reader(file)
    assert rows == [[shown, "-0.5", ""] for shown in SHOWN]
    assert heading == ["name", "number", "'=1"]
    write_table(pa.table({"=name": NAMES, "number": [-0.5] * len(NAMES)}), tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["'=name", "number"], *([shown, "-0.5"] for shown in SHOWN)]


def test_a_name_that_is_not_utf8_is_written_with_escapes(tmp_path) -> None:
    name = os.fsdecode(b"m\xe9.avi")
    write_csv(tmp_path / "t.csv", ["name"], [[name]])
    assert (tmp_path / "t.csv").read_text() == "name\nm\\xe9.avi\n"
    assert text_column([name]).to_pylist() == [r"m\xe9.avi"]


@given(st.text())
def test_no_cell_begins_like_a_formula_unless_it_is_a_number(text: str) -> None:
    cell = safe_cell(text)
    if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        float(cell)


@pytest.mark.parametrize("text", ["1e5", "-1.25", "+2", "-3e-7"])
def test_numbers_are_left_alone(text: str) -> None:
    assert safe_cell(text) == text
