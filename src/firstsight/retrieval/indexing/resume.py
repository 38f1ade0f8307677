"""A video whose indexing was interrupted: read on from where it stopped, and taken frame for frame as if it had not."""

from collections.abc import Iterator

from firstsight.retrieval.store.records import SourceRecord, Stored
from firstsight.video.frames import Frame
from firstsight.video.sampling import Sampling

# Times after a seek can differ from those before in their last digits.
_SAME_SECONDS = 1e-6


class NotThereError(Exception):
    """Reading on did not meet the frame that was the last: the video is to be read from its beginning."""


class ReadingOn(Sampling):
    """The frames that a sampling from the beginning takes, of a video read from a later time.

    Its start is where reading begins; the steps are still counted from the beginning.
    """

    def step(self, nth: int, seconds: float) -> int:
        """As without a start."""
        return Sampling(every=self.every, frames_per_second=self.frames_per_second).step(nth, seconds)


def reading_on(sampling: Sampling, stored: Stored) -> Sampling:
    """The sampling that begins at the last stored frame, or where frames are taken by time a tick before it."""
    margin = 1 / sampling.frames_per_second if sampling.frames_per_second else _SAME_SECONDS
    start = max(0.0, stored.seconds - margin)
    return ReadingOn(start_seconds=start, every=sampling.every, frames_per_second=sampling.frames_per_second)


def can_go_on(partial: SourceRecord, content: str, sampling: Sampling) -> bool:
    """Whether what is stored is the beginning of what is wanted. With damaged frames it is easier to begin anew."""
    return partial.content == content and partial.sampling == sampling and partial.num_skipped == 0


def after(frames: Iterator[Frame], stored: Stored) -> Iterator[Frame]:
    """The frames that follow the last stored one.

    Raises:
        NotThereError: that one does not come.
    """
    for frame in frames:
        if frame.index == stored.frame_index and abs(frame.seconds - stored.seconds) < _SAME_SECONDS:
            yield from frames
            return
        if frame.index >= stored.frame_index:
            break
    raise NotThereError
