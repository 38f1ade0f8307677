"""Interlaced footage: each half of its lines is of another time, and is replaced where things move."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from av.video.frame import VideoFrame

from firstsight.video.filtering import build_graph, layout
from firstsight.video.reading import Skipped


@dataclass(frozen=True)
class Decoded:
    """A decoded frame of a video file."""

    frame: VideoFrame
    seconds: float  # presentation time
    index: int  # position in order of presentation
    duration_seconds: float | None = None  # until the next frame; None if that is not known yet


def deinterlaced(events: Iterable[Decoded | Skipped]) -> Iterator[Decoded | Skipped]:
    """The same frames. Nothing changes until one is flagged as interlaced; from then on, each waits for the next."""
    deinterlacer: _Deinterlacer | None = None
    for event in events:
        if isinstance(event, Skipped):
            yield event
            continue
        if deinterlacer and deinterlacer.layout != layout(event.frame):
            yield from deinterlacer.finish()
            deinterlacer = None
        if deinterlacer is None and event.frame.interlaced_frame:
            deinterlacer = _Deinterlacer(event.frame)
        yield from deinterlacer.push(event) if deinterlacer else [event]
    if deinterlacer:
        yield from deinterlacer.finish()


class _Deinterlacer:
    """Gives back each frame when it has seen the next one, deinterlaced if it is flagged as interlaced."""

    def __init__(self, frame: VideoFrame) -> None:
        self.layout = layout(frame)
        self._graph = build_graph(frame, [("yadif", "mode=send_frame:deint=interlaced:threads=1")])
        self._waiting: list[Decoded] = []

    def push(self, decoded: Decoded) -> list[Decoded]:
        self._waiting.append(decoded)
        self._graph.vpush(decoded.frame)
        return self._pull()

    def finish(self) -> list[Decoded]:
        self._graph.vpush(None)
        return self._pull()

    def _pull(self) -> list[Decoded]:
        done = []
        try:
            while self._waiting:  # one frame comes out for each that went in, so the order says which is which
                done.append(replace(self._waiting[0], frame=self._graph.vpull()))
                self._waiting.pop(0)
        except (BlockingIOError, EOFError):  # it needs the next frame
            pass
        return done
