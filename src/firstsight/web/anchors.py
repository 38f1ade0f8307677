"""Anchors: pinned pictures, or boxes of them, kept with the library by name."""

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from firstsight.errors import FirstsightError, LibraryError, SettingsError
from firstsight.files import locked, read_regular, write_atomically
from firstsight.searching.regions import Box
from firstsight.text import printable
from firstsight.web.pictures import Picture, as_png, read_upload

FOLDER = "anchors"  # in the library
_FILE = "anchors.json"
_ID = re.compile(r"[0-9a-f]{12}")
_MAX_NAME = 80
MAX_ANCHORS = 64
NUM_COLOURS = 8


class RemovedError(LibraryError):
    """The anchor was there, and was removed."""


@dataclass(frozen=True)
class Anchor:
    """A picture that others are compared with."""

    id: str  # 12 hexadecimal digits
    name: str
    colour: int  # 0 to 7, of the page's palette
    size: tuple[int, int]  # of its picture, width and height
    box: tuple[int, int, int, int] | None = None  # x, y, width, height in the pixels of its picture
    source: str = ""  # of a frame of the library: its source, or in old ones its row
    seconds: float = 0.0  # and its time there
    content: str = ""  # and the hash of the file, which keeps it when it is renamed; of old ones not known

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id) or not 0 <= self.colour < NUM_COLOURS:
            raise SettingsError(f"anchor {self.id!r} of colour {self.colour!r} is damaged")

    @property
    def region(self) -> Box | None:
        """Its box, if it has one."""
        return None if self.box is None else Box(*self.box)


class Anchors:
    """The anchors in the folder of a library, which others may open, too. All methods may be called from any thread.

    Args:
        library: its folder.
    """

    def __init__(self, library: Path) -> None:
        self._folder = library / FOLDER
        self._file = self._folder / _FILE
        self._removed: set[str] = set()

    def all(self) -> list[Anchor]:
        """In the order in which they were made."""
        return _read(self._file)

    @property
    def version(self) -> str:
        """Letters that change when they do, whoever changes them; none without anchors."""
        try:
            state = self._file.stat()
        except (OSError, FirstsightError):
            return ""
        return f"{state.st_mtime_ns:x} {state.st_ino:x}"

    def get(self, number: str) -> Anchor:
        """The anchor of that id. Raises a LibraryError if there is none, a RemovedError if it was removed here."""
        return self._at({one.id: one for one in self.all()}, number)

    def add(
        self,
        picture: Picture,
        *,
        name: str,
        box: Box | None = None,
        source: str = "",
        seconds: float = 0.0,
        content: str = "",
    ) -> Anchor:
        """A new one, of a picture (H, W, 3); of a frame with its source, its time there, and the hash of the file.

        Raises:
            SettingsError: there are 64 already, or the box is not in the picture.
        """
        if box is not None:
            box.check_inside((picture.shape[1], picture.shape[0]))
        with self._changed() as anchors:
            if len(anchors) >= MAX_ANCHORS:
                raise SettingsError(f"there are {MAX_ANCHORS} anchors already; remove one")
            used = [anchor.colour for anchor in anchors.values()]
            colour = min(range(NUM_COLOURS), key=lambda one: (used.count(one), one))
            corners = None if box is None else astuple(box)
            size = picture.shape[1], picture.shape[0]
            anchor = Anchor(secrets.token_hex(6), _name(name), colour, size, corners, source, seconds, content)
            write_atomically(self._folder / f"{anchor.id}.png", as_png(picture))
            anchors[anchor.id] = anchor
        return anchor

    def rename(self, number: str, name: str) -> Anchor:
        """The same anchor under another name."""
        with self._changed() as anchors:
            anchor = anchors[number] = replace(self._at(anchors, number), name=_name(name))
        return anchor

    def remove(self, number: str) -> None:
        """Removes one, and its picture."""
        with self._changed() as anchors:
            del anchors[self._at(anchors, number).id]
            self._removed.add(number)  # before it is gone, so that nobody finds neither
        (self._folder / f"{number}.png").unlink(missing_ok=True)

    def picture(self, number: str) -> Picture:
        """Of an anchor (H, W, 3). Raises a FirstsightError if it is gone or damaged."""
        anchor = self.get(number)
        try:
            return read_upload(read_regular(self._folder / f"{anchor.id}.png"))
        except OSError as error:
            self.get(number)  # it may have been removed meanwhile
            raise LibraryError(f"the picture of the anchor {anchor.name} is gone; remove it") from error

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Anchor]]:
        """Those of the file, by id, which are written as they are at the end of the block."""
        with locked(self._file):
            anchors = {one.id: one for one in self.all()}
            yield anchors
            content = json.dumps([asdict(anchor) for anchor in anchors.values()], indent=1)
            write_atomically(self._file, content.encode())

    def _at(self, anchors: dict[str, Anchor], number: str) -> Anchor:
        if number not in anchors:
            kind = RemovedError if number in self._removed else LibraryError
            raise kind("there is no such anchor, or not any more")
        return anchors[number]


def _name(given: str) -> str:
    name = printable(" ".join(given.split()))[:_MAX_NAME].strip()
    return name or "anchor"


def _read(file: Path) -> list[Anchor]:
    """Those that were saved. Raises a LibraryError if the file cannot be read: it may hold some, so it stays."""
    try:
        content: list[dict[str, Any]] = json.loads(read_regular(file).decode())
        return [_anchor(one) for one in content]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LibraryError(f"{file} cannot be read: {error.strerror}; allow it, or remove it") from error
    except (ValueError, TypeError, KeyError, AttributeError, FirstsightError) as error:
        raise LibraryError(f"{file} is damaged, or of another version ({error}); mend or remove it") from error


def _anchor(content: dict[str, Any]) -> Anchor:
    box, (width, height) = content.pop("box", None), content.pop("size")
    anchor = Anchor(**content, size=(int(width), int(height)))
    if box is None:
        return anchor
    x, y, across, down = map(int, box)
    return replace(anchor, box=(x, y, across, down))


def box_of_shares(shares: tuple[float, float, float, float], picture: Picture) -> Box:
    """The box in pixels of a box in shares of a picture's width and height: x, y, width, height, 0 to 1.

    Raises:
        SettingsError: it is empty, or not in the picture.
    """
    height, width = picture.shape[:2]
    x, y, across, down = shares
    if not all(map(np.isfinite, shares)) or across <= 0 or down <= 0:
        raise SettingsError("the box is empty; draw it again")
    right, bottom = min(x + across, 1.0), min(y + down, 1.0)
    x, y = max(x, 0.0), max(y, 0.0)
    if x >= right or y >= bottom:
        raise SettingsError("the box is beside the picture; draw it again")
    left, top = (int(np.clip(round(one), 0, side - 1)) for one, side in ((x * width, width), (y * height, height)))
    return Box(left, top, max(1, round(right * width) - left), max(1, round(bottom * height) - top))
