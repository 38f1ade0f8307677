"""The picture of the house is that of the code, and the house stays small."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "src" / "firstsight").rglob("*.py"))


def test_the_picture_shows_the_code_as_it_is() -> None:
    draw = runpy.run_path(str(ROOT / "docs" / "draw_house.py"))["draw"]
    assert (ROOT / "docs" / "house.svg").read_text() == draw(), "run: python docs/draw_house.py"


def test_files_are_few_and_none_is_long() -> None:
    assert len(FILES) <= 200
    assert [path.name for path in FILES if len(path.read_text().splitlines()) > 400] == []
