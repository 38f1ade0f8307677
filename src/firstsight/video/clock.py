"""Presentation times, from the time stamps a file states or leaves out."""

# Stamps that run backwards by more belong to another recording, appended to the first; by less they are noise.
_NEW_RECORDING_SECONDS = 1.0


class Clock:
    """Turns the stamps of frames in order of presentation into times that never run backwards."""

    def __init__(self, *, frame_seconds: float) -> None:
        self._frame_seconds = frame_seconds  # how long a frame without a stamp is taken to last
        self._shift = 0.0  # added to stamps since the last jump
        self._last: float | None = None
        self.jumped = False  # the file holds several recordings one after the other

    def seconds(self, stamp: float | None) -> float:
        """The time of the next frame; one without a stamp follows the previous frame at the usual distance."""
        if self._last is None:
            self._last = stamp or 0.0
            return self._last
        following = self._last + self._frame_seconds
        seconds = following if stamp is None else stamp + self._shift
        if seconds < self._last - _NEW_RECORDING_SECONDS:
            self._shift += following - seconds
            self.jumped = True
            seconds = following
        self._last = max(self._last, seconds)
        return self._last
