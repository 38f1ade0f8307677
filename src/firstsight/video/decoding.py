"""The frames of a video file: decoded once, deinterlaced, sampled, and shown through views."""

from collections.abc import Callable, Generator, Iterator
from functools import lru_cache
from pathlib import Path

from av.video.frame import VideoFrame

from firstsight.errors import SourceError
from firstsight.video.clock import Clock
from firstsight.video.container import Landing, OpenVideo, SeekMissedError, open_video
from firstsight.video.deinterlacing import Decoded, deinterlaced
from firstsight.video.filtering import Viewer, upright_size
from firstsight.video.frames import Frame, View
from firstsight.video.reading import Events, Skipped
from firstsight.video.sampling import Sampler, Sampling

# Taken for files that state neither times nor a rate.
_USUAL_FRAMES_PER_SECOND = 25


def first_size(path: Path, *, name: str) -> tuple[int, int]:
    """Width and height of the first frame, upright and with square pixels.

    Raises:
        SourceError: the file is not a video, or no frame of it can be decoded.
    """
    with open_video(path, name=name) as video:
        if frame := video.first_frame():
            return upright_size(frame, video.pixel_aspect)
    raise SourceError(f"{name} has no frame that can be decoded: it is empty or damaged")


def decode(path: Path, *, name: str, views: tuple[View, ...], sampling: Sampling, hurried: bool = False) -> Events:
    """The frames of a video file that sampling keeps, in order of presentation, and what had to be skipped.

    Frames are upright, have square pixels, and are deinterlaced where they are flagged as interlaced. Those that the
    decoder refuses or marks as damaged are skipped, and so are those that the container states but that a file lacks
    because it was cut off.

    Args:
        path: the file.
        name: what to call it in frames and errors.
        views: how to show every frame.
        sampling: which frames to use.
        hurried: decode on all processors; for when there is nothing else to do meanwhile.

    Raises:
        SourceError: the file is not a video.
        PixelsError: its frames are too small for a view.
    """
    landing = _landing(path, name, sampling.start_seconds) if sampling.start_seconds else Landing()
    try:
        yield from _decode_from(landing, path, name, views, sampling, hurried=hurried)
    except SeekMissedError:
        yield from _decode_from(Landing(), path, name, views, sampling, hurried=hurried)


@lru_cache(maxsize=1024)  # held-out footage is read again and again, and to find where it starts takes time
def _landing(path: Path, name: str, start_seconds: float) -> Landing:
    with open_video(path, name=name) as video:
        return video.landing_before(start_seconds)


def _decode_from(
    landing: Landing, path: Path, name: str, views: tuple[View, ...], sampling: Sampling, *, hurried: bool
) -> Events:
    with open_video(path, name=name, hurried=hurried) as video:
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
    """As `decode`, of a video that is open, from where it is: at a landing, or at its beginning.

    With `now` the time of a frame is when it arrives, asked for once a frame: cameras state times that cannot be
    trusted, or none.
    """
    sampler, viewer = Sampler(sampling), Viewer(views, video.pixel_aspect)
    for event in deinterlaced(_decoded(video, landing or Landing(), sampling, now)):
        if isinstance(event, Skipped):
            yield event
        elif sampling.is_over(event.seconds):
            return
        elif sampler.keeps(event.index, event.seconds):
            pictures = viewer.pictures(event.frame)
            yield Frame(pictures, seconds=event.seconds, index=event.index, source=name, size=viewer.size)


def _decoded(
    video: OpenVideo, landing: Landing, sampling: Sampling, now: Callable[[], float] | None
) -> Iterator[Decoded | Skipped]:
    """The frames from the start of the sampling on, with their times and positions, and how many were missing."""
    num_read = yield from located(video, landing, sampling, now)
    if num_lost := video.num_lost(num_read):
        yield Skipped(num_lost)


def located(
    video: OpenVideo, landing: Landing, sampling: Sampling, now: Callable[[], float] | None = None
) -> Generator[Decoded | Skipped, None, int]:
    """The frames from the start of the sampling on, with times and positions; returns the position after the last.

    Raises:
        SeekMissedError: the first frame is not that of the landing.
    """
    clock = Clock(frame_seconds=1 / (video.frames_per_second or _USUAL_FRAMES_PER_SECOND))
    index, seconds = landing.index, landing.seconds
    has_landed = landing.ticks is None
    for frame in video.frames():
        if isinstance(frame, VideoFrame):
            seconds = now() if now else clock.seconds(video.stamp(frame))
            if seconds < landing.seconds:
                continue  # it leads up to the keyframe, and is not whole
            if not has_landed and seconds > landing.seconds:
                raise SeekMissedError
            has_landed = True
        elif not has_landed:
            continue
        if sampling.is_before(seconds):
            pass
        elif not isinstance(frame, VideoFrame) or frame.is_corrupt:
            yield Skipped(num_frames=1)
        else:
            yield Decoded(frame, seconds, index)
        index += 1
    return index
