"""Names in pages and pictures: as they are where they can be shown, else with escapes."""

import os
import warnings
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from firstsight.report import drawing as template
from firstsight.report.drawing import figure_png, figure_text, moment_uri


def test_a_page_shows_names_in_one_line_and_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.html").write_text("<p>\n{{ name }}|{{ number }}|{{ picture | safe }}</p>")
    monkeypatch.setattr(template.resources, "files", lambda _package: tmp_path)
    name = "<b>two\nlines\x1b[2J\u202egpj" + os.fsdecode(b"\xe9")
    page = template.load_template("page.html").render(name=name, number=0.5, picture="<img>")
    assert page == "<p>\n&lt;b&gt;two\\nlines\\x1b[2J\\u202egpj\\xe9|0.5|<img></p>"
    page.encode()


def test_a_moment_opens_its_file_there_whatever_its_name(tmp_path: Path) -> None:
    name = '"a" #1 <b>' + os.fsdecode(b"\xe9") + ".mp4"
    assert moment_uri(tmp_path / name, 8.5) == f"{tmp_path.as_uri()}/%22a%22%20%231%20%3Cb%3E%E9.mp4#t=8.50"
    assert moment_uri(tmp_path / "a.jpg", 8.5, is_picture=True) == f"{tmp_path.as_uri()}/a.jpg"


@pytest.mark.parametrize("name", ["a$b^c$.mp4", "$x.mp4", "影片\U0001f600.mp4", os.fsdecode(b"m\xe9$.avi")])
def test_a_figure_shows_any_name(name: str) -> None:
    figure = Figure(figsize=(2, 2), layout="constrained")
    figure.subplots().set_title(figure_text(name))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figure_png(figure).startswith(b"\x89PNG")
