"""Presentation times, from the stamps that a file states or leaves out."""


class Clock:
    """Turns the stamps of frames in order of presentation into times that never run backwards."""

    def __init__(self, *, frame_seconds: float) -> None:
        self._frame_seconds = frame_seconds  # how long a frame lasts that is followed by one without a stamp
        self._last: float | None = None

    def seconds(self, stamp: float | None) -> float:
        """The time of the next frame. Damaged files have stamps before the last one: such a frame counts as later."""
        if self._last is None:
            self._last = stamp or 0.0
        elif stamp is None:
            self._last += self._frame_seconds
        else:
            self._last = max(self._last, stamp)
        return self._last
