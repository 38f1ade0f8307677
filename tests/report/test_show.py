"""The two windows, live: the loop with a screen that remembers, the window itself in a virtual display."""

import csv
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import ImageGrab

from firstsight import Encoder, compare, open_source
from firstsight.article.model import ArticleModel
from firstsight.article.network import Network
from firstsight.article.settings import article_levels
from firstsight.comparison.compare import CompareSettings
from firstsight.encoder.model import CentralSquare
from firstsight.errors import RunError
from firstsight.progress import Cancelled
from firstsight.report.comparison import write_comparison
from firstsight.report.drawing import Whole
from firstsight.report.film import NoScreenError, Show, TkScreen, Windows


class Album:
    """A screen that keeps what it was shown, and wants no more after so many."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.pictures = []

    def show(self, picture):
        self.pictures.append(picture)
        return len(self.pictures) < self.wanted


@pytest.fixture(scope="module")
def encoder():
    levels = article_levels(num_levels=2, maps=4, hidden_maps=8)
    return Encoder(ArticleModel(CentralSquare(48, 32), Network(levels, input_size=32, seed=0)))


@pytest.fixture(scope="module")
def display():
    """A display of its own."""
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb")
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    with (
        os.fdopen(reader) as ready,
        subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL) as server,
    ):
        os.close(writer)
        yield f":{ready.readline().strip()}"
        server.terminate()


@pytest.fixture
def screen(display, monkeypatch):
    monkeypatch.setenv("DISPLAY", display)
    screen = TkScreen("two windows")
    yield screen
    screen.close()


PICTURE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


def test_shows_what_the_film_draws(encoder, moving_square):
    album = Album(wanted=100)
    show = Show(encoder, album, level=2)
    windows = Windows(encoder, level=2, panel=(64, 48))
    for comparison in compare(encoder, moving_square[:10], batch_size=1, views=(Whole(),)):
        assert show(comparison)
        np.testing.assert_array_equal(album.pictures[-1], windows.draw(comparison))
    assert len(album.pictures) == 9


def test_quitting_leaves_whole_files_and_a_report(encoder, moving_square, tmp_path):
    album = Album(wanted=7)
    show = Show(encoder, album, level=2)
    source = open_source(moving_square)
    summary = write_comparison(encoder, source, CompareSettings(batch_size=1), tmp_path, show=show)
    assert summary.num_compared == len(album.pictures) == 7
    with (tmp_path / "timeline.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 7
    with open_source(tmp_path / "comparison.mp4").read(Whole()) as film:
        assert len(list(film)) == 7
    assert (tmp_path / "report.html").exists()


def test_nobody_else_writes_into_the_same_folder(encoder, moving_square, tmp_path):
    def compare(**options):
        return write_comparison(encoder, open_source(moving_square), CompareSettings(batch_size=1), tmp_path, **options)

    def compare_too(_):
        with pytest.raises(RunError, match="is being written into already"):
            compare()
        return False

    assert compare(show=compare_too).num_compared == 1
    assert compare().num_compared > 1


def test_cancelled_it_leaves_whole_files(encoder, moving_square, tmp_path):
    def cancel(progress):
        if progress.done == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        write_comparison(encoder, open_source(moving_square), CompareSettings(), tmp_path, progress=cancel)
    with (tmp_path / "timeline.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 5
    with open_source(tmp_path / "comparison.mp4").read(Whole()) as film:
        assert len(list(film)) == 5
    assert not (tmp_path / "report.html").exists()


def test_without_a_screen_it_says_why(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(NoScreenError, match="display"):
        TkScreen("nowhere")


def test_without_tk_it_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "tkinter", None)
    with pytest.raises(NoScreenError, match="this Python comes without Tk"):
        TkScreen("nowhere")


def test_the_window_holds_the_picture(screen, display):
    for picture in (PICTURE[::-1], PICTURE):
        assert screen.show(picture)
    window = screen._window
    left, top = window.winfo_rootx(), window.winfo_rooty()
    seen = np.asarray(ImageGrab.grab(xdisplay=display).convert("RGB"))
    np.testing.assert_array_equal(seen[top : top + 60, left : left + 80], PICTURE)


@pytest.mark.parametrize("key", ["q", "Escape"])
def test_keys_quit(screen, key):
    assert screen.show(PICTURE)
    screen._window.focus_force()
    screen._window.update()
    screen._window.event_generate(f"<Key-{key}>")
    assert not screen.show(PICTURE)
    assert not screen.show(PICTURE)


def test_closing_the_window_quits(screen):
    assert screen.show(PICTURE)
    screen._window.tk.call(*screen._window.protocol("WM_DELETE_WINDOW").split())
    assert not screen.show(PICTURE)
