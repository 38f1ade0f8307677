"""What a watched stream tells: something begins or ends, the stream is lost or back."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["match begins", "match ends", "novel begins", "novel ends", "lost", "back"]


@dataclass(frozen=True)
class Event:
    """One line of what is told. What does not apply is None."""

    kind: Kind
    seconds: float  # when it is told, on the clock of the stream
    time: str  # the same by the clock of this machine, ISO 8601 in UTC
    source: str  # for people
    anchor: str | None = None  # of a match: what is looked for
    start_seconds: float | None = None  # of a match or something new: since when
    end_seconds: float | None = None  # and until when
    value: float | None = None  # the largest so far: closeness of a match, deviation of something new
    peak_seconds: float | None = None  # when it was the largest
    reason: str | None = None  # why the stream counts as lost
    away_seconds: float | None = None  # how long it was
    snapshot: str | None = None  # file with the frame at which it is told

    def record(self) -> dict[str, Any]:
        """What applies, as plain JSON values."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def words(self) -> str:
        """A line for people."""
        return f"{self.seconds:>9.2f} s  {self._what()}"

    def _what(self) -> str:
        lasted = (self.end_seconds or 0) - (self.start_seconds or 0)
        match self.kind:
            case "match begins":
                return f"match begins: {self.anchor}, closeness {self.value:.2f}"
            case "match ends":
                return f"match ends: {self.anchor}, after {lasted:.1f} s, closeness at most {self.value:.2f}"
            case "novel begins":
                return f"something new: {self.value:.1f} times the usual deviation"
            case "novel ends":
                return f"nothing new any more, after {lasted:.1f} s, at most {self.value:.1f} times"
            case "lost":
                return f"lost: {self.reason}"
            case "back":
                return f"back after {self.away_seconds:.1f} s"


def wall_clock() -> str:
    """Now, ISO 8601 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
