"""Embeddings of frames, and an evenly spaced sample of them in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from firstsight.errors import SettingsError
from firstsight.footage.frames import Frame, View
from firstsight.footage.queues import read_batches
from firstsight.footage.source import Source, Spec, open_source
from firstsight.progress import Progress, Report, silent

if TYPE_CHECKING:
    from firstsight.encoder.encoder import Encoder

# Enough to fill the processor's units; the pictures of two batches are all that is held.
_BATCH_SIZE = 64


@dataclass(frozen=True, eq=False)
class Embeddings:
    """N frames of one source or several, those of a source together and in order of time."""

    vectors: NDArray[np.float32]  # (N, dim), each of unit length
    seconds: NDArray[np.float64]  # (N,), presentation time in its video
    frame_indices: NDArray[np.int64]  # (N,), position in its video, from 0, counting frames that were not used
    source_indices: NDArray[np.int64]  # (N,), position in `sources`
    sources: tuple[str, ...]  # names of the files, for people

    def __post_init__(self) -> None:
        lengths = {len(self.vectors), len(self.seconds), len(self.frame_indices), len(self.source_indices)}
        if self.vectors.ndim != 2 or len(lengths) != 1:
            raise SettingsError(f"{self}: valid are vectors (N, dim), and N seconds, frame and source indices")

    def __len__(self) -> int:
        return len(self.vectors)

    def __repr__(self) -> str:
        return f"Embeddings({self.vectors.shape} of {len(self.sources)} sources)"

    def __getitem__(self, chosen: slice | NDArray[np.intp] | NDArray[np.bool_]) -> "Embeddings":
        """Some of the frames; `sources` stays the same."""
        return replace(
            self,
            vectors=self.vectors[chosen],
            seconds=self.seconds[chosen],
            frame_indices=self.frame_indices[chosen],
            source_indices=self.source_indices[chosen],
        )

    def source_of(self, row: int) -> str:
        """The name of a frame's file."""
        return self.sources[int(self.source_indices[row])]


def embed(encoder: "Encoder", source: Spec, *, progress: Report = silent) -> Embeddings:
    """Every frame of the source, embedded. Memory: 4 dim bytes a frame.

    Raises:
        SourceError: no footage can be read.
    """
    frames: list[tuple[float, int, str]] = []
    vectors = [np.empty((0, encoder.dim), np.float32)]
    opened = open_source(source)
    total = opened.num_frames()
    for batch, some in embedded(encoder, opened):
        vectors.append(some)
        frames += [(frame.seconds, frame.index, frame.source) for frame in batch]
        progress(Progress("embedding", len(frames), total))
    names = tuple(dict.fromkeys(name for _, _, name in frames))
    numbers = {name: number for number, name in enumerate(names)}
    return Embeddings(
        np.concatenate(vectors),
        np.array([seconds for seconds, _, _ in frames], np.float64),
        np.array([index for _, index, _ in frames], np.int64),
        np.array([numbers[name] for _, _, name in frames], np.int64),
        names,
    )


def embedded(
    encoder: "Encoder", source: Source, *, views: tuple[View, ...] = (), batch_size: int = _BATCH_SIZE
) -> Iterator[tuple[Sequence[Frame], NDArray[np.float32]]]:
    """Batches of frames with their embeddings (B, dim) of unit length; decoded in one thread while another computes.

    Args:
        encoder: of the frames.
        source: read once, to its end.
        views: further ones, in `Frame.pictures[1:]`; the first is the encoder's.
        batch_size: frames embedded at once.
    """
    for batch in read_batches(source, encoder.view, *views, size=batch_size):
        yield batch, encoder.encode(np.stack([frame.pixels for frame in batch]))


class Sample:
    """Keeps every n-th of the added frames, and doubles n so that there are never more than a maximum.

    Args:
        max_frames: to keep, from 1; of more frames at least half as many are kept.
    """

    def __init__(self, max_frames: int) -> None:
        if max_frames < 1:
            raise SettingsError(f"a sample of {max_frames} frames; valid is at least 1")
        self._max_frames = max_frames
        self._num_added = 0
        self._step = 1  # of all frames added, those at its multiples are kept
        self._kept: list[Embeddings] = []

    def add(self, frames: Embeddings) -> None:
        """Adds frames."""
        self._kept.append(frames[-self._num_added % self._step :: self._step])
        self._num_added += len(frames)
        while len(self) > self._max_frames:
            self._kept = [_chained(self._kept)[::2]]
            self._step *= 2

    def __len__(self) -> int:
        """How many are kept."""
        return sum(map(len, self._kept))

    def embeddings(self) -> Embeddings:
        """The kept frames, by source and in order of time."""
        return joined(self._kept)


def joined(batches: Sequence[Embeddings]) -> Embeddings:
    """Batches of one library, at least one, joined by source and in order of time."""
    together = _chained(batches)
    order: NDArray[np.intp] = np.lexsort((together.frame_indices, together.source_indices))
    return together[order]


def _chained(batches: Sequence[Embeddings]) -> Embeddings:
    return Embeddings(
        np.concatenate([batch.vectors for batch in batches]),
        np.concatenate([batch.seconds for batch in batches]),
        np.concatenate([batch.frame_indices for batch in batches]),
        np.concatenate([batch.source_indices for batch in batches]),
        batches[0].sources,
    )
