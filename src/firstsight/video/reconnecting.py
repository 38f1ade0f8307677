"""One live stream out of many connections: opened again and again, with longer and longer waits in between."""

import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from random import Random

from firstsight.errors import SettingsError, SourceError
from firstsight.video.addresses import TIMEOUT_SECONDS
from firstsight.video.decoding import decode_on
from firstsight.video.frames import Frame, View
from firstsight.video.live import Place, StreamKind
from firstsight.video.reading import Skipped
from firstsight.video.sampling import Sampling


@dataclass(frozen=True)
class Patience:
    """How long to wait for what does not come. Times are in seconds."""

    timeout_seconds: float = TIMEOUT_SECONDS  # without a picture, before a stream counts as lost
    first_wait_seconds: float = 1.0  # before the first new try
    longest_wait_seconds: float = 60.0  # before any: a camera that was off for a night is seen within a minute

    def __post_init__(self) -> None:
        if not 0 < self.first_wait_seconds <= self.longest_wait_seconds or not self.timeout_seconds > 0:
            raise SettingsError(f"{self}: valid are times above 0, the longest wait not below the first")

    def wait_seconds(self, attempt: int, chance: float) -> float:
        """How long to wait before an attempt, the first of which is 0.

        The wait doubles up to the longest. A chance from 0 to 1 takes away up to half of it, so that many watchers of
        one server do not all come back at once.

        Source: exponential back-off with jitter, Brooker, "Exponential backoff and jitter", 2015.
        """
        doublings = min(attempt, 32)  # beyond that any wait is at its longest
        return min(self.longest_wait_seconds, self.first_wait_seconds * 2.0**doublings) * (1 - chance / 2)


@dataclass(frozen=True)
class Broken:
    """A connection has ended, or could not be made."""

    reason: str  # in one line


@dataclass(frozen=True)
class Connected:
    """A connection was made."""

    kind: StreamKind  # of what was found there


Clock = Callable[[], float]
Arrivals = Generator[Frame | Skipped | Connected | Broken, None, None]


def arrivals(
    place: Place,
    views: tuple[View, ...],
    sampling: Sampling,
    *,
    patience: Patience,
    now: Clock,
    stopped: threading.Event,
) -> Arrivals:
    """The frames of all connections, and word of each that is made or breaks; until it is stopped.

    What does not reconnect by its kind ends with its first connection.

    Raises:
        SourceError: what does not reconnect holds no video, or breaks off.

    Args:
        place: what to connect to.
        views: how to show every frame.
        sampling: which frames to use.
        patience: how long to wait between connections.
        now: tells the time of a frame when it arrives; asked for once a frame, used or not. What has a clock of its
            own does not ask.
        stopped: once set, no connection is made any more.
    """
    chance, attempt = Random(), 0  # noqa: S311, nothing is kept secret by it
    while not stopped.is_set():
        begun, kind = time.monotonic(), place.kind
        try:
            with place.open() as video:
                kind = place.kind_of(video)
                yield Connected(kind)
                clock = None if kind.has_own_clock else now
                yield from decode_on(video, name=place.name, views=views, sampling=sampling, now=clock)
            reason = f"{place.name} ended"
        except SourceError as error:
            if not kind.reconnects:
                raise SourceError(f"{error}; {place.cure}") from error
            reason = str(error)
        if not kind.reconnects:
            return
        yield Broken(reason)
        # A connection that lasted shows that the place is well, and the next try may come soon.
        attempt = 0 if time.monotonic() - begun > patience.longest_wait_seconds else attempt
        stopped.wait(patience.wait_seconds(attempt, chance.random()))
        attempt += 1
