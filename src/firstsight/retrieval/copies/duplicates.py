"""Which clips of a library are copies of each other, which frames repeat others, and what to keep?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from firstsight.errors import LibraryError
from firstsight.retrieval.copies.alignments import Alignment, find_alignments
from firstsight.retrieval.copies.groups import CopyGroup, copy_groups
from firstsight.retrieval.copies.passages import (
    Measures,
    Ticks,
    at_ticks,
    find_matches,
    measure,
    measure_decoys,
    measure_repetition,
    moving_ticks,
    num_moving,
    tick_seconds,
)
from firstsight.retrieval.copies.pictures import picture_copies
from firstsight.retrieval.copies.repeated_frames import RepeatedFrame, RepeatedFrames, noise_of
from firstsight.retrieval.copies.shared_footage import Shared, shared_footage
from firstsight.retrieval.copies.signature import read_tracks, recompressed, signatures
from firstsight.retrieval.store.library import Library


@dataclass(frozen=True)
class Duplicates:
    """What was found in a library."""

    groups: tuple[CopyGroup, ...]
    shared: tuple[Shared, ...]  # all pairs that have footage in common, also those that are no copies
    too_short: tuple[str, ...]  # names of clips that are too short to tell
    still: tuple[str, ...]  # and of those in which nothing moves: another take would look the same
    repeated_frames: tuple[RepeatedFrame, ...]  # that show nothing that another frame does not show as well
    noise: float  # grey levels by which no cell of them differs
    num_sources: int
    num_frames: int


def find_duplicates(library: Library, *, progress: Callable[[str, float, float], None] = lambda *_: None) -> Duplicates:
    """Copies of clips in a library, however they were re-encoded, shrunk, cropped, recoloured, mirrored or cut.

    Copies are told by what changes in them, so two takes before one camera are none. Frames are the same if no place in
    them differs by more than re-encoding them makes of it. Memory: a quarter of a kilobyte for each frame, a kilobyte
    for each that repeats no other, and the matches.

    Args:
        library: which one; only its thumbnails are read.
        progress: is told what is being done, how much is done, and of how much.

    Raises:
        LibraryError: the library is empty.

    Example:
        >>> with Library.open("films.library") as library:  # doctest: +SKIP
        ...     for group in find_duplicates(library).groups:
        ...         print(group.keep, [copy.source for copy in group.copies])
    """
    if not library.num_frames:
        raise LibraryError(f"{library.path} holds no frame; put footage into it with `firstsight index`")
    total = library.num_frames
    before, after = recompressed(library)
    noise = noise_of(before, after)
    frames = RepeatedFrames(noise)
    tracks = list(read_tracks(library, looking=frames.add, progress=lambda done: progress("looking", done, total)))
    step = tick_seconds(tracks)
    ticks = [at_ticks(track, index, step) for index, track in enumerate(tracks)]
    measures = measure(ticks, signatures(before), signatures(after))
    moving = [moving_ticks(one, measures) for one in ticks]
    found = _aligned(ticks, measures, progress=lambda done: progress("comparing", done, 1))
    names = [track.record.name for track in tracks]
    pictures = [track for track in tracks if track.record.duration_seconds <= 0]
    videos = [index for index, track in enumerate(tracks) if track.record.duration_seconds > 0]
    shared = shared_footage(found, names, ticks, moving, step) + picture_copies(pictures)
    return Duplicates(
        groups=copy_groups(shared, dict(zip(names, tracks, strict=True))),
        shared=shared,
        too_short=tuple(names[index] for index in videos if not ticks[index].num_passages),
        still=tuple(names[index] for index in videos if ticks[index].num_passages and not len(moving[index])),
        repeated_frames=tuple(frames.found),
        noise=noise,
        num_sources=len(tracks),
        num_frames=total,
    )


def _aligned(ticks: Sequence[Ticks], measures: Measures, *, progress: Callable[[float], None]) -> list[Alignment]:
    num_passages = num_moving(ticks, measures)
    background = measure_decoys(ticks, measures, num_moving=num_passages)
    if background is None:
        return []
    matches = find_matches(ticks, measures, background, progress=progress)
    repetition = [measure_repetition(one, measures) for one in ticks]
    num_ticks = np.array([len(one.signatures) for one in ticks])
    return find_alignments(matches, background, repetition, num_passages=num_passages, num_ticks=num_ticks)
