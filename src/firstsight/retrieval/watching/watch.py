"""Watches a stream: tells when an anchor is to be seen, when something is new, and when nothing comes any more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.model.encoder import Encoder
from firstsight.retrieval.searching.query import Query
from firstsight.retrieval.watching import episodes
from firstsight.retrieval.watching.closeness import close_from, closeness
from firstsight.retrieval.watching.episodes import Begun, Ended, Episode, Trigger, TriggerState
from firstsight.retrieval.watching.events import Event, Kind, wall_clock
from firstsight.retrieval.watching.novelty import Novelty, Usual, new_from
from firstsight.video.frames import Frame
from firstsight.video.stream import Arrival, Back, Lost, Stream


@dataclass(frozen=True, eq=False)
class Told:
    """An event, and the frame at which it was told; None if nothing was to be seen."""

    event: Event
    frame: Frame | None


class Watcher:
    """What is known between two arrivals of one stream.

    Args:
        encoder: what sees.
        name: of the stream, for people.
        anchors: made by `read_query` with the same encoder.
        novel: whether to tell of what is new.
        match_from: closeness, between 0 and 1; None is the default.
        novel_from: deviation; None is the default.

    Attributes:
        num_frames: seen so far.

    Raises:
        SettingsError: neither an anchor nor what is new is asked for, or a threshold is out of its range.
    """

    def __init__(
        self,
        encoder: Encoder,
        name: str,
        *,
        anchors: Sequence[Query] = (),
        novel: bool = False,
        match_from: float | None = None,
        novel_from: float | None = None,
    ) -> None:
        if not anchors and not novel:
            raise SettingsError("nothing to watch for; give anchors, or ask for what is new, or both")
        self.num_frames = 0
        self._encoder = encoder
        self._name = name
        self._anchors = np.array([anchor.vector for anchor in anchors], np.float32)
        self._match, self._new = close_from(match_from), new_from(novel_from)
        self._novelty = Novelty(encoder) if novel else None
        self._usual: Usual | None = None
        names = [anchor.place.name for anchor in anchors]
        self._watched: list[str | None] = [*names, *([None] if novel else [])]  # None is what is new
        self._states = [TriggerState()] * len(self._watched)
        self._last: Frame | None = None

    def update(self, arrival: Arrival) -> list[Told]:
        """What there is to tell of one more arrival."""
        if isinstance(arrival, Lost):  # what was under way ends with what was seen last
            lost = Event("lost", arrival.seconds, wall_clock(), self._name, reason=arrival.reason)
            return [*self.finish(), Told(lost, None)]
        if isinstance(arrival, Back):
            back = Event("back", arrival.seconds, wall_clock(), self._name, away_seconds=arrival.away_seconds)
            return [Told(back, None)]
        self.num_frames += 1
        self._last = arrival
        told = []
        for number, value in enumerate(self._values(arrival)):
            trigger = self._trigger(number)
            self._states[number], news = episodes.update(trigger, self._states[number], value, arrival.seconds)
            if news:
                told.append(self._told(number, news, arrival))
        return told

    def finish(self) -> list[Told]:
        """What ends because no frame will follow."""
        ended = [(number, episodes.finish(state)) for number, state in enumerate(self._states)]
        self._states = [TriggerState()] * len(self._states)
        return [self._told(number, news, self._last) for number, news in ended if news and self._last]

    def _trigger(self, number: int) -> Trigger:
        return self._new if self._watched[number] is None else self._match

    def _values(self, frame: Frame) -> list[float | None]:
        """Closeness to each anchor, and the deviation if what is new is asked for."""
        pictures: NDArray[np.uint8] = frame.pixels[None]
        values: list[float | None] = []
        if len(self._anchors):
            similarities = self._anchors @ self._encoder.encode(pictures)[0]
            self._usual, values = closeness(self._usual, similarities, frame.seconds)
        if self._novelty:
            values += self._novelty.update(pictures, [frame.seconds])
        return values

    def _told(self, number: int, news: Begun | Ended, frame: Frame) -> Told:
        episode: Episode = news.episode
        anchor, begins = self._watched[number], isinstance(news, Begun)
        kind: Kind
        if anchor is None:
            kind = "novel begins" if begins else "novel ends"
        else:
            kind = "match begins" if begins else "match ends"
        event = Event(
            kind,
            frame.seconds,
            wall_clock(),
            frame.source,
            anchor=anchor,
            start_seconds=episode.start_seconds,
            end_seconds=None if begins else episode.last_seconds,
            value=round(episode.peak, 4),
            peak_seconds=episode.peak_seconds,
        )
        return Told(event, frame)


def watch(watcher: Watcher, stream: Stream) -> Iterator[Told]:
    """What there is to tell of a stream, as it comes, until it ends.

    Example:
        >>> with Stream("rtsp://hall", views=(encoder.preprocessing,), frames_per_second=2) as stream:  # doctest: +SKIP
        ...     for told in watch(Watcher(encoder, stream.name, novel=True), stream):
        ...         print(told.event.words())
    """
    for arrival in stream:
        yield from watcher.update(arrival)
    yield from watcher.finish()
