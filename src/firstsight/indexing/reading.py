"""Footage as a library wants it: embedded, each frame with its thumbnail, and what could not be read counted.

A video whose indexing was interrupted is read on from where it stopped, and taken frame for frame as if it had not.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from firstsight.encoder.encoder import Encoder
from firstsight.footage.container import open_video
from firstsight.footage.frames import Frame
from firstsight.footage.queues import prefetch
from firstsight.footage.sampling import Sampling
from firstsight.footage.source import Source
from firstsight.library.records import FrameRows, SourceRecord, Stored
from firstsight.library.thumbnails import Thumbnail, as_jpeg

# Frames embedded at once. A source is written in multiples of it: the last digits of an embedding can depend on what is
# computed beside it, and an interrupted source is to end with the same rows as any other.
BATCH_SIZE = 64

# Times after a seek can differ from those before in their last digits.
_SAME_SECONDS = 1e-6

Choice = Callable[[Iterator[Frame]], Iterator[Frame]]


@dataclass(frozen=True, eq=False)
class EmbeddedBatch:
    """Some frames of a source; the last of all has none."""

    rows: FrameRows
    num_skipped: int  # frames that could not be decoded, so far


def embed_source(
    encoder: Encoder, source: Source, *, thumbnail_size: int, choose: Choice = iter
) -> Iterator[EmbeddedBatch]:
    """The whole source, decoded in one thread while another embeds.

    Args:
        encoder: what sees.
        source: read once.
        thumbnail_size: pixels of the longer side.
        choose: the frames to take of those that are read; all by default.

    Raises:
        SourceError: none of it can be read.
        PixelsError: its frames are too small for the encoder.
    """
    views = (encoder.view, Thumbnail(thumbnail_size))
    with closing(source.read(*views)) as reading, prefetch(reading, depth=2 * BATCH_SIZE) as frames:
        chosen = choose(frames)
        while batch := list(islice(chosen, BATCH_SIZE)):
            yield EmbeddedBatch(_rows(encoder, batch), reading.num_skipped)
        nothing = FrameRows(np.empty((0, encoder.dim), np.float32), (), (), ())
        yield EmbeddedBatch(nothing, reading.num_skipped)


def stated_end(path: Path, *, name: str) -> float:
    """When a video ends, in seconds, as far as its container says; else 0.

    Raises:
        SourceError: it is not a video.
    """
    with open_video(path, name=name) as video:
        return video.end_seconds or 0.0


def _rows(encoder: Encoder, batch: list[Frame]) -> FrameRows:
    return FrameRows(
        encoder.encode(np.stack([frame.pixels for frame in batch])),
        [frame.index for frame in batch],
        [frame.seconds for frame in batch],
        [as_jpeg(frame.whole) for frame in batch],
    )


class ResumePointMissingError(Exception):
    """Reading on did not meet the frame that was the last: the video is to be read from its beginning."""


class ResumedSampling(Sampling):
    """The frames that a sampling from the beginning takes, of a video read from a later time.

    Its start is where reading begins; the steps are still counted from the beginning.
    """

    def step(self, nth: int, seconds: float) -> int:
        """As without a start."""
        return Sampling(every=self.every, frames_per_second=self.frames_per_second).step(nth, seconds)


def resumed_sampling(sampling: Sampling, stored: Stored) -> Sampling:
    """The sampling that begins at the last stored frame, or where frames are taken by time a tick before it."""
    margin = 1 / sampling.frames_per_second if sampling.frames_per_second else _SAME_SECONDS
    start = max(0.0, stored.seconds - margin)
    return ResumedSampling(start_seconds=start, every=sampling.every, frames_per_second=sampling.frames_per_second)


def can_resume(partial: SourceRecord, content: str, sampling: Sampling) -> bool:
    """Whether what is stored is the beginning of what is wanted. With damaged frames it is easier to begin again."""
    return partial.content == content and partial.sampling == sampling and partial.num_skipped == 0


def frames_after(frames: Iterator[Frame], stored: Stored) -> Iterator[Frame]:
    """The frames that follow the last stored one.

    Raises:
        ResumePointMissingError: that one does not come.
    """
    for frame in frames:
        if frame.index == stored.frame_index and abs(frame.seconds - stored.seconds) < _SAME_SECONDS:
            yield from frames
            return
        if frame.index >= stored.frame_index:
            break
    raise ResumePointMissingError
