"""The frames of a video file: decoded once, deinterlaced, sampled, and rendered through views."""

import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from av.video.frame import VideoFrame

from firstsight.files import FileIdentity, file_identity
from firstsight.footage.container import (
    USUAL_FRAMES_PER_SECOND,
    Landing,
    OpenVideo,
    SeekMissedError,
    Undecodable,
    open_video,
)
from firstsight.footage.frames import Events, Frame, Skipped, View
from firstsight.footage.orientation import Viewer, build_graph, layout
from firstsight.footage.sampling import Sampler, Sampling
from firstsight.footage.timestamps import TimeLine

# So much earlier than a keyframe is later than any frame before it.
JUST_BEFORE = 1e-6


@dataclass(frozen=True)
class Decoded:
    """A decoded frame of a video file."""

    frame: VideoFrame
    seconds: float  # presentation time
    index: int  # position in order of presentation
    duration_seconds: float | None = None  # until the next frame; None if that is not known yet


def deinterlaced(events: Iterable[Decoded | Skipped]) -> Iterator[Decoded | Skipped]:
    """The same frames, deinterlaced from the first that is flagged so; from then on, each waits for the next."""
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
    """Returns each frame once it has the next one, deinterlaced if it is flagged as interlaced."""

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
            while self._waiting:  # one frame comes out for each that went in, in the same order
                done.append(replace(self._waiting[0], frame=self._graph.vpull()))
                self._waiting.pop(0)
        except (BlockingIOError, EOFError):  # it needs the next frame
            pass
        return done


def decode(
    path: Path, *, name: str, views: tuple[View, ...], sampling: Sampling, multithreaded: bool = False
) -> Events:
    """The frames of a video file that sampling keeps, in order of presentation, and what had to be skipped.

    Frames are upright, have square pixels, and are deinterlaced where they are flagged as interlaced. Skipped are
    frames that the decoder refuses or marks as damaged, and frames that the container states but a cut-off file lacks.

    Args:
        path: the file.
        name: of the file, in frames and errors.
        views: of every frame.
        sampling: which frames to use.
        multithreaded: decode on all processors, where nothing else needs them.

    Raises:
        SourceError: the file is not a video.
        PixelsError: its frames are too small for a view.
    """
    start = sampling.start_seconds
    # If the first frame is a keyframe, from the keyframe before: to deinterlace it, the frame before is needed.
    landing = landing_of(path, name=name, seconds=start - JUST_BEFORE) if start else Landing()
    try:
        yield from _decode_from(landing, path, name, views, sampling, multithreaded=multithreaded)
    except SeekMissedError:
        yield from _decode_from(Landing(), path, name, views, sampling, multithreaded=multithreaded)


def decode_keyframes(
    path: Path, *, name: str, views: tuple[View, ...], sampling: Sampling, multithreaded: bool = False
) -> Events:
    """As `decode`, of the keyframes alone: the first of each step of the sampling. No other frame is decoded.

    Where a file states no times, or they start again, all its frames are decoded, and the sampling is of all.
    """
    with open_video(path, name=name) as video:
        times = video.packet_times()
    if times is None:
        yield from decode(path, name=name, views=views, sampling=sampling, multithreaded=multithreaded)
        return
    chosen = _chosen_keyframes(times, Sampler(sampling))
    with open_video(path, name=name) as video:
        viewer = Viewer(views, video.pixel_aspect)
        for number, frame in video.decode_alone(chosen):
            if isinstance(frame, VideoFrame) and not frame.is_corrupt:
                for alone in deinterlaced([Decoded(frame, *chosen[number])]):
                    assert isinstance(alone, Decoded)
                    yield shown(alone, viewer, name=name)
            else:
                yield Skipped(num_frames=1)


def _chosen_keyframes(times: list[tuple[float, bool]], sampler: Sampler) -> dict[int, tuple[float, int, float | None]]:
    """By number of their packet the keyframes that are used: time, index and, but of the last frame, duration."""
    order = sorted(range(len(times)), key=lambda number: times[number][0])
    chosen = {}
    for index, number in enumerate(order):
        seconds, is_keyframe = times[number]
        if is_keyframe and sampler.keeps(index, seconds):
            following = times[order[index + 1]][0] - seconds if index + 1 < len(order) else None
            chosen[number] = seconds, index, following
    return chosen


def landing_of(path: Path, *, name: str, seconds: float) -> Landing:
    """Where to start decoding for the frames from that time on."""
    return _landing(path, name, seconds, file_identity(path))


@lru_cache(maxsize=1024)  # held-out footage is read repeatedly, and finding its start takes time
def _landing(path: Path, name: str, seconds: float, _identity: FileIdentity | None) -> Landing:
    with open_video(path, name=name) as video:
        if not video.may_begin_broken:
            return video.landing_before(seconds)
        first = video.first_frame()
        stamp = None if first is None else video.stamp(first)
        first_seconds = -math.inf if stamp is None else stamp
    with open_video(path, name=name) as video:
        return video.landing_before(seconds, first_seconds=first_seconds)


def _decode_from(
    landing: Landing, path: Path, name: str, views: tuple[View, ...], sampling: Sampling, *, multithreaded: bool
) -> Events:
    with open_video(path, name=name, multithreaded=multithreaded) as video:
        video.seek(landing)
        yield from decode_on(video, name=name, views=views, sampling=sampling, landing=landing)


def decode_on(
    video: OpenVideo,
    *,
    name: str,
    views: tuple[View, ...],
    sampling: Sampling,
    landing: Landing | None = None,
    now: Callable[[], float] | None = None,
) -> Events:
    """As `decode`, of an open video from its current position: a landing, or its beginning.

    With `now`, called once a frame, the time of a frame is that of its arrival: cameras state times that cannot be
    trusted, or none.
    """
    sampler, viewer = Sampler(sampling), Viewer(views, video.pixel_aspect)
    start_seconds = -math.inf if sampling.start_seconds is None else sampling.start_seconds
    end_seconds = math.inf if sampling.end_seconds is None else sampling.end_seconds
    for event in deinterlaced(_decoded(video, landing or Landing(), start_seconds, now)):
        if isinstance(event, Skipped):
            yield event
        elif event.seconds >= end_seconds:
            return
        elif event.seconds >= start_seconds and sampler.keeps(event.index, event.seconds):
            yield shown(event, viewer, name=name)


def shown(decoded: Decoded, viewer: Viewer, *, name: str) -> Frame:
    """A decoded frame, with a picture a view."""
    return Frame(
        viewer.pictures(decoded.frame),
        seconds=decoded.seconds,
        index=decoded.index,
        source=name,
        size=viewer.size,
        duration_seconds=decoded.duration_seconds,
    )


def _decoded(
    video: OpenVideo, landing: Landing, start_seconds: float, now: Callable[[], float] | None
) -> Iterator[Decoded | Skipped]:
    """As `located`, and how many frames were missing."""
    num_read = yield from located(video, landing, start_seconds=start_seconds, now=now)
    if num_lost := video.num_lost(num_read):
        yield Skipped(num_lost)


def located(
    video: OpenVideo,
    landing: Landing,
    *,
    start_seconds: float = -math.inf,
    now: Callable[[], float] | None = None,
) -> Generator[Decoded | Skipped, None, int]:
    """The frames from a time on, with times, durations and indices; of interlaced ones also the one before.

    Returns:
        The index after the last.

    Raises:
        SeekMissedError: the first frame is not that of the landing.
    """
    index, seconds = landing.index, landing.seconds
    has_landed = landing.ticks is None
    lasting = _Durations(video)
    before: Decoded | None = None
    for frame, timed_seconds in _on_arrival(video, now) if now else _timed(video, landing):
        if timed_seconds is not None:
            seconds = timed_seconds
            if seconds < landing.seconds:
                continue  # it precedes the keyframe, and is not complete
            if not has_landed and seconds > landing.seconds:
                raise SeekMissedError
            has_landed = True
        elif not has_landed:
            continue
        is_intact = isinstance(frame, VideoFrame) and not frame.is_corrupt and timed_seconds is not None
        event = Decoded(frame, seconds, index) if is_intact else Skipped(num_frames=1)  # type: ignore[arg-type]
        if seconds >= start_seconds:
            for one in (before, event) if before else (event,):
                yield from [one] if now else lasting.put(one)
            before = None
        else:
            before = event if isinstance(event, Decoded) and event.frame.interlaced_frame else None
        index += 1
    if not has_landed:
        raise SeekMissedError
    yield from lasting.finish()
    return index


_TimedFrame = tuple[VideoFrame | Undecodable, float | None]  # with its time, if it has one


def _on_arrival(video: OpenVideo, now: Callable[[], float]) -> Iterator[_TimedFrame]:
    for frame in video.frames():
        yield frame, now() if isinstance(frame, VideoFrame) else None


def _timed(video: OpenVideo, landing: Landing) -> Iterator[_TimedFrame]:
    """The frames with times from their stamps."""
    line: TimeLine[VideoFrame | Undecodable] = TimeLine(
        frame_seconds=_frame_seconds(video),
        start_seconds=video.start_seconds if landing.ticks is None else landing.seconds,
        end_seconds=video.end_seconds,
        max_gap_seconds=video.max_gap_seconds,
    )
    for frame in video.frames():
        for timed in (
            line.put(frame, video.stamp(frame)) if isinstance(frame, VideoFrame) else line.put_without_picture(frame)
        ):
            yield timed.item, timed.seconds
    yield from ((timed.item, timed.seconds) for timed in line.finish())


class _Durations:
    """Holds each frame back until the next one gives its duration."""

    def __init__(self, video: OpenVideo) -> None:
        self._video = video
        self._waiting: list[Decoded | Skipped] = []  # a frame, and what was skipped after it
        self._last_step: float | None = None

    def put(self, event: Decoded | Skipped) -> list[Decoded | Skipped]:
        if isinstance(event, Skipped) and not self._waiting:
            return [event]
        if isinstance(event, Skipped):
            self._waiting.append(event)
            return []
        done = self._lasting_until(event.seconds)
        self._waiting = [event]
        return done

    def finish(self) -> list[Decoded | Skipped]:
        """The last frame, with the stated duration, or that of the one before."""
        if not self._waiting:
            return []
        first = self._waiting[0]
        assert isinstance(first, Decoded)
        stated = self._video.duration_of(first.frame)
        end = self._video.end_seconds
        is_possible = stated is not None and (
            end is None or first.seconds + stated <= end + _frame_seconds(self._video)
        )
        return self._lasting_until(first.seconds + (stated if stated and is_possible else self._usual_step_seconds()))

    def _usual_step_seconds(self) -> float:
        return _frame_seconds(self._video) if self._last_step is None else self._last_step

    def _lasting_until(self, seconds: float) -> list[Decoded | Skipped]:
        if not self._waiting:
            return []
        (first, *others), self._waiting = self._waiting, []
        assert isinstance(first, Decoded)
        self._last_step = seconds - first.seconds
        return [replace(first, duration_seconds=self._last_step), *others]


def _frame_seconds(video: OpenVideo) -> float:
    return 1 / (video.frames_per_second or USUAL_FRAMES_PER_SECOND)
