"""Short stretches of a long video, spread evenly: what is between them is not even decoded."""

import math
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path

from firstsight.video.container import Landing, OpenVideo, SeekMissedError, open_video
from firstsight.video.decoding import located, shown
from firstsight.video.deinterlacing import Decoded, deinterlaced
from firstsight.video.filtering import Viewer
from firstsight.video.frames import View
from firstsight.video.reading import Events, Skipped
from firstsight.video.sampling import Sampling

STRETCH_FRAMES = 60  # decoded at each place, from a keyframe on
ONE_IN = 3  # of these, frames that are used
# Where keyframes are far apart stretches are fewer and longer, at most so many times.
_MOST_LENGTHENED = 4


def decode_stretches(
    path: Path, *, name: str, views: tuple[View, ...], sampling: Sampling, num_stretches: int
) -> Events:
    """About so many stretches of 60 frames, of which every third is used, between start and end of the sampling.

    Where keyframes are far apart, fewer and longer ones of as many frames. Nothing at all if that is not possible: the
    file does not say how long it lasts, cannot be positioned, or has hardly a keyframe. Positions of frames are
    estimated from their times. A frame that cannot be decoded is counted as skipped.
    """
    with open_video(path, name=name, hurried=True) as video:
        landings = _landings(video, sampling, num_stretches)
        viewer = Viewer(views, video.pixel_aspect)
        for landing, following in pairwise([*landings, Landing(seconds=math.inf)]):
            num_frames = num_stretches * STRETCH_FRAMES // len(landings)
            for event in _stretch(video, landing, num_frames=num_frames, until_seconds=following.seconds):
                if isinstance(event, Skipped):
                    yield event
                else:
                    yield shown(event, viewer, name=name)


def _landings(video: OpenVideo, sampling: Sampling, num_stretches: int) -> list[Landing]:
    start, end = max(video.start_seconds, sampling.start_seconds or 0), sampling.end_seconds or video.end_seconds
    if end is None:
        return []
    step = (min(end, video.end_seconds or end) - start) / num_stretches
    try:
        found = {video.landing_near(start + (number + 0.5) * step) for number in range(num_stretches)}
    except SeekMissedError:
        return []
    inside = sorted((one for one in found if start <= one.seconds < end), key=lambda one: one.seconds)
    return inside if len(inside) * _MOST_LENGTHENED >= num_stretches else []


def _stretch(
    video: OpenVideo, landing: Landing, *, num_frames: int, until_seconds: float
) -> Iterator[Decoded | Skipped]:
    """Every third of so many frames from the landing on, before that time."""
    num_decoded = 0
    try:
        video.seek(landing)
        for event in deinterlaced(islice(located(video, landing, Sampling()), num_frames)):
            if isinstance(event, Skipped):
                yield event
            elif event.seconds >= until_seconds:
                return
            else:
                if num_decoded % ONE_IN == 0:
                    yield event
                num_decoded += 1
    except SeekMissedError:
        return
