"""The article's two windows, anchor and current frame: as a film, or live while the comparison runs."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from firstsight.comparison.compare import Comparison
from firstsight.encoder.encoder import Encoder
from firstsight.footage.encoding import VideoWriter
from firstsight.footage.frames import Frame
from firstsight.report.drawing import Picture, cell_centres_in_frame, draw_box, with_support
from firstsight.text import printable, shortened

_BAND = 40  # pixels below the pictures, for the text
_NAME_LETTERS = 40  # of a file and its time
_RADIUS = 3  # pixels, for each map chosen in a cell
_BACKGROUND, _ANCHOR_COLOUR, _TEXT_COLOUR, _CIRCLE_COLOUR = (
    (20, 22, 26),
    (208, 160, 90),
    (235, 235, 235),
    (80, 220, 120),
)
# The longest that one picture is shown; where time does not rise (the next file begins), 25 frames a second.
_LONGEST_SECONDS, _USUAL_SECONDS = 1.0, 1 / 25


def _when(frame: Frame) -> str:
    """Such as `at 33.60 s`; empty of a picture."""
    return "" if np.isnan(frame.seconds) else f"at {frame.seconds:.2f} s"


class Windows:
    """Draws anchor and current frame side by side, with similarity, times and the cells compared.

    Args:
        encoder: the one that compared.
        level: the level that was compared; None for a read-out of all levels, which has no cells.
        panel: width and height of each of the two pictures, even.
        agreement: whether the current frame is coloured where it agrees with the anchor, rather than circled.
        moment: what names a frame.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        level: int | None,
        panel: tuple[int, int],
        agreement: bool = False,
        moment: Callable[[Frame], str] = _when,
    ) -> None:
        self.encoder, self.moment = encoder, moment
        self.level = level
        self.agreement = agreement
        self.panel = panel
        self.size = (2 * panel[0], panel[1] + _BAND)
        self._font = ImageFont.load_default(size=18)

    def draw(self, comparison: Comparison) -> Picture:
        """The two pictures, uint8 (H, W, 3), from frames that carry a view of the entire frame."""
        width, height = self.panel
        canvas = Image.new("RGB", self.size, _BACKGROUND)
        anchor, current = (self._fit(one.whole) for one in (comparison.anchor, comparison.frame))
        agreed = ""
        if self.agreement:
            found = self.encoder.agreement(comparison.anchor.pixels, comparison.frame.pixels)
            current = with_support(np.asarray(current), found.second, found.second_shows)
            agreed = f", {found.in_words}"
        elif comparison.box and comparison.anchor_box:
            draw_box(anchor, comparison.anchor_box, comparison.anchor.size)
            draw_box(current, comparison.box, comparison.frame.size)
        else:
            self._draw_circles(ImageDraw.Draw(current), comparison)
        canvas.paste(anchor, (0, 0))
        canvas.paste(current, (width, 0))
        draw = ImageDraw.Draw(canvas)
        draw.text((10, height + 9), f"anchor {self._named(comparison.anchor)}", fill=_ANCHOR_COLOUR, font=self._font)
        value = "not known yet" if comparison.similarity is None else f"{comparison.similarity:.2f}"
        text = f"similarity {value} {self._named(comparison.frame)}{agreed}"
        draw.text((width + 10, height + 9), text, fill=_TEXT_COLOUR, font=self._font)
        return np.asarray(canvas)

    def _named(self, frame: Frame) -> str:
        return shortened(printable(self.moment(frame)), _NAME_LETTERS)

    def _fit(self, picture: Picture) -> Image.Image:
        image = Image.fromarray(picture)
        return image if image.size == self.panel else image.resize(self.panel)

    def _draw_circles(self, draw: ImageDraw.ImageDraw, comparison: Comparison) -> None:
        """A circle at each cell compared, its radius 3 pixels for each map chosen there; none for a read-out."""
        if self.level is None:
            return
        size = comparison.frame.size
        centres, counts = cell_centres_in_frame(
            comparison.dimensions,
            self.encoder.model.cell_centres(self.level),
            self.encoder.view.crop(*size),
        )
        scale = np.array(self.panel) / np.array(size)
        for (x, y), count in zip((centres + 0.5) * scale - 0.5, counts, strict=True):
            radius = _RADIUS * int(count)
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_CIRCLE_COLOUR)


class Film:
    """Writes the two windows as an H.264 file, in the footage's own time."""

    def __init__(
        self,
        path: Path,
        encoder: Encoder,
        *,
        level: int | None,
        agreement: bool = False,
        moment: Callable[[Frame], str] = _when,
    ) -> None:
        self._path, self._moment = path, moment
        self._encoder = encoder
        self._agreement = agreement
        self._level = level
        self._windows: Windows | None = None
        self._writer: VideoWriter | None = None
        self._seconds = 0.0  # of the film
        self._last: float | None = None  # of the footage

    def write(self, comparison: Comparison) -> None:
        """Adds a picture; the first one gives the film its size."""
        if self._windows is None or self._writer is None:
            height, width = comparison.frame.whole.shape[:2]
            self._windows = Windows(
                self._encoder, level=self._level, panel=(width, height), agreement=self._agreement, moment=self._moment
            )
            self._writer = VideoWriter(self._path, size=self._windows.size)
        self._writer.write(self._windows.draw(comparison), seconds=self._time(comparison.frame.seconds))

    def _time(self, seconds: float) -> float:
        if self._last is not None:
            passed = seconds - self._last
            self._seconds += min(passed, _LONGEST_SECONDS) if passed > 0 else _USUAL_SECONDS
        self._last = seconds
        return self._seconds

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()


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
        level: as for `Windows`.
    """

    def __init__(self, encoder: Encoder, screen: Screen, *, level: int | None) -> None:
        self._encoder = encoder
        self._screen = screen
        self._level = level
        self._windows: Windows | None = None

    def __call__(self, comparison: Comparison) -> bool:
        """Shows one more; False once the person in front of the screen wants no more."""
        if self._windows is None:
            height, width = comparison.frame.whole.shape[:2]
            self._windows = Windows(self._encoder, level=self._level, panel=(width, height))
        return self._screen.show(self._windows.draw(comparison))


@contextmanager
def open_window(encoder: Encoder, title: str, *, level: int | None) -> Iterator[Show]:
    """What shows comparisons in a window of the desktop, which closes at the end.

    Args:
        encoder: the one that compares.
        title: of the window.
        level: from 1, as it is asked of `compare`; None is its default.

    Raises:
        NoScreenError: there is no desktop.
        SettingsError: no such level.
    """
    with closing(TkScreen(title)) as screen:
        yield Show(encoder, screen, level=encoder.compared_level(level))


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
