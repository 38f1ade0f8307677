"""The article's two windows, live: drawn as the film draws them, while the comparison runs."""

from typing import Protocol

from PIL import Image

from firstsight.model.encoder import Encoder
from firstsight.report.drawing import Picture
from firstsight.report.film import Windows
from firstsight.retrieval.comparing.compare import Comparison

_QUIT_KEYS = ("q", "Q", "Escape")


class NoScreenError(Exception):
    """There is nowhere to show a window; the message says why, in a few words."""


class Screen(Protocol):
    """Where pictures are shown, each in place of the one before."""

    def show(self, picture: Picture) -> bool:
        """Shows it, uint8 (H, W, 3); False once the person in front of it wants no more."""


class Show:
    """Shows comparisons on a screen, as anchor and current frame side by side with their similarity.

    Args:
        encoder: the one that compares.
        screen: where to show.
        level: the level that is compared; None for a read-out of all levels.
    """

    def __init__(self, encoder: Encoder, screen: Screen, *, level: int | None) -> None:
        self._encoder = encoder
        self._screen = screen
        self._level = level
        self._windows: Windows | None = None

    def watch(self, comparison: Comparison) -> bool:
        """Shows one more; False once the person in front of the screen wants no more."""
        if self._windows is None:
            height, width = comparison.frame.pictures[1].shape[:2]
            self._windows = Windows(self._encoder, level=self._level, panel=(width, height))
        return self._screen.show(self._windows.draw(comparison))


class TkScreen:
    """A window of the desktop. The keys q and Esc quit, and so does closing it. To be used by one thread.

    Raises:
        NoScreenError: there is no desktop.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter as tk

            from PIL import ImageTk
        except ImportError as error:
            raise NoScreenError("this Python comes without Tk") from error
        try:
            self._window = tk.Tk()
        except tk.TclError as error:
            raise NoScreenError(str(error)) from error
        self._as_image = ImageTk.PhotoImage
        self._wanted = True
        self._window.title(title)
        self._window.resizable(width=False, height=False)
        self._window.protocol("WM_DELETE_WINDOW", self._quit)
        for key in _QUIT_KEYS:
            self._window.bind(f"<Key-{key}>", lambda _: self._quit())
        self._label = tk.Label(self._window, borderwidth=0)
        self._label.pack()

    def show(self, picture: Picture) -> bool:
        """Shows it, uint8 (H, W, 3); False once the person in front of it wants no more."""
        if self._wanted:
            self._image = self._as_image(Image.fromarray(picture))  # kept: Tk itself does not hold on to it
            self._label.configure(image=self._image)
            self._window.update()
        return self._wanted

    def close(self) -> None:
        """Takes the window away."""
        self._window.destroy()

    def _quit(self) -> None:
        self._wanted = False
