"""An event of a stream: what it is, since when, and in words."""

from dataclasses import dataclass, field, fields
from typing import Any, Literal

from firstsight.footage.frames import Frame
from firstsight.library.thumbnails import as_jpeg, gallery
from firstsight.monitoring.view_watch import ViewKind
from firstsight.normality.rarity import once_in
from firstsight.text import printable

_NOTEBOOK_WIDTH = 320  # pixels, about, of the picture of an event

Kind = Literal["match begins", "match ends", "novel begins", "novel ends", "lost", "back"] | ViewKind


@dataclass(frozen=True)
class Event:
    """Something begins or ends. Fields that do not apply are None."""

    kind: Kind
    seconds: float  # when it is reported, by the time of the stream
    time: str  # the same moment by the clock of this machine, ISO 8601 in UTC
    source: str  # for people
    anchor: str | None = None  # of a match: name of the anchor
    start_seconds: float | None = None  # of a match or something new: since when
    end_seconds: float | None = None  # and until when
    value: float | None = None  # the largest so far: closeness of a match, deviation of something new
    peak_seconds: float | None = None  # when it was the largest
    box: tuple[int, int, int, int] | None = None  # where it is: x, y, width, height in pixels
    part: str | None = None  # of something new, by a memory "motion" or "appearance": a rarity; beside it "deviation"
    reason: str | None = None  # why the stream counts as lost
    away_seconds: float | None = None  # how long it was lost
    shift: tuple[float, float] | None = None  # of a moved view: right and down, as shares of width and height
    snapshot: str | None = None  # file with the frame
    frame: Frame | None = field(default=None, repr=False, compare=False)  # at which it is reported, as `watch` views it

    def to_json(self) -> dict[str, Any]:
        """The fields that apply, without the frame, as plain values."""
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "frame"}
        return plain(values)

    def words(self) -> str:
        """A line for people."""
        return f"{self.seconds:>9.2f} s  {self._what()}"

    def _repr_html_(self) -> str:
        """For a notebook: the words, and the frame."""
        if self.frame is None:
            return gallery(self.words(), ())
        step = max(1, self.frame.whole.shape[1] // _NOTEBOOK_WIDTH)
        return gallery(self.words(), [(as_jpeg(self.frame.whole[::step, ::step]), self.source)])

    def _how_new(self) -> str:
        if self.part in ("motion", "appearance"):
            return f"{self.part}, normally {once_in(self.value or 0)}"
        return f"{self.value:.1f} times" + (" the usual deviation" if self.end_seconds is None else "")

    def _what(self) -> str:
        anchor = printable(self.anchor or "")
        lasted = (self.end_seconds or 0) - (self.start_seconds or 0)
        match self.kind:
            case "match begins":
                return f"match begins: {anchor}, closeness {self.value:.2f}"
            case "match ends":
                return f"match ends: {anchor}, after {lasted:.1f} s, closeness at most {self.value:.2f}"
            case "novel begins":
                return f"something new: {self._how_new()}"
            case "novel ends":
                return f"nothing new any more, after {lasted:.1f} s, at most {self._how_new()}"
            case "lost" | "back":
                is_back = self.kind == "back"
                return f"back after {self.away_seconds:.1f} s" if is_back else f"lost: {printable(self.reason or '')}"
            case _:
                return self._of_view()

    def _of_view(self) -> str:
        """What happened to the view, in words."""
        if self.kind == "moved":
            by = f", by {self.shift[0]:+.0%} across and {self.shift[1]:+.0%} down" if self.shift else ""
            return f"the camera was moved{by}"
        if self.kind in ("left", "taken"):
            return f"something was {self.kind}, box {','.join(map(str, self.box or ()))}"
        since = f"since {self.start_seconds:.1f} s"
        lasted = f"after {(self.end_seconds or 0) - (self.start_seconds or 0):.1f} s"
        return f"{_VIEW_WORDS[self.kind]}, {since if self.end_seconds is None else lasted}"


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Those that apply, as they come back from JSON."""
    given = ((name, value) for name, value in values.items() if value is not None)
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given}


_VIEW_WORDS: dict[str, str] = {
    "covered begins": "the camera is covered",
    "covered ends": "not covered any more",
    "dark begins": "the view is dark",
    "dark ends": "not dark any more",
    "frozen begins": "the stream is frozen: one picture, again and again",
    "frozen ends": "not frozen any more",
}
