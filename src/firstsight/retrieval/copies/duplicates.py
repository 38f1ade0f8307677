"""Which clips of a library are copies of each other, which frames repeat others, and what to keep?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from firstsight.errors import LibraryError
from firstsight.retrieval.copies.alignments import Alignment, find_alignments
from firstsight.retrieval.copies.choose_best import CopyGroup, copy_groups
from firstsight.retrieval.copies.passages import (
    MAX_PROBABILITY,
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
from firstsight.retrieval.copies.pictures import MIN_PICTURES, picture_copies
from firstsight.retrieval.copies.repeated_frames import RepeatedFrame, RepeatedFrames, noise_of
from firstsight.retrieval.copies.shared_footage import Shared, identical_files, shared_footage
from firstsight.retrieval.copies.signature import read_tracks, recompressed, signatures
from firstsight.retrieval.copies.verification import Verifier
from firstsight.retrieval.store.library import Library


@dataclass(frozen=True)
class Duplicates:
    """What was found in a library."""

    groups: tuple[CopyGroup, ...]  # of what is certain
    shared: tuple[Shared, ...]  # all pairs that have footage in common, also those that may be two
    too_short: tuple[str, ...]  # names of clips too short to tell, or with frames too far apart
    still: tuple[str, ...]  # and of those in which nothing moves: another take would look the same
    blank: tuple[str, ...]  # and of sources that show nothing at all, such as black
    too_few_pictures: int  # pictures that were compared as files alone, as fewer than 20 do not tell what chance brings
    repeated_frames: tuple[RepeatedFrame, ...]  # that show nothing that another frame does not show as well
    num_blank_frames: int  # that show nothing, and are not called repeated
    noise: float  # grey levels by which no cell of repeated frames differs
    num_sources: int
    num_frames: int


def find_duplicates(library: Library, *, progress: Callable[[str, float, float], None] = lambda *_: None) -> Duplicates:
    """Copies of clips in a library, however they were re-encoded, shrunk, cropped, recoloured, mirrored or cut.

    Copies are told by what changes in them, so two takes before one camera are none; and by details that agree better
    than those of look-alikes in the same library, so two floors of one architecture are none. Frames are the same if no
    place in them differs by more than re-encoding makes of it. Not looked for are copies played at another speed.
    Memory: a quarter of a kilobyte for each frame, a kilobyte for each that repeats no other, and the matches.

    Args:
        library: which one; its thumbnails are read, and files that are copies are opened for their frames' size.
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
    frames = RepeatedFrames(noise_of(before, after))
    tracks = list(read_tracks(library, looking=frames.add, progress=lambda done: progress("looking", done, total)))
    step = tick_seconds(tracks)
    ticks = [at_ticks(track, index, step) for index, track in enumerate(tracks)]
    measures = measure(ticks, signatures(before), signatures(after))
    moving = [moving_ticks(one, measures) for one in ticks]
    blank = {name for name, num in frames.num_blank_of.items() if num == frames.num_of[name]}
    pictures = [track for track in tracks if track.record.duration_seconds <= 0 and track.record.name not in blank]
    found, below = _aligned(ticks, measures, progress=lambda done: progress("comparing", done, 1))
    verified = Verifier(library.tables, tracks, ticks, step).verify(
        found, measures, below=below, progress=lambda done: progress("verifying", done, 1)
    )
    identical = identical_files(library.sources)
    same = {frozenset((one.first, one.second)) for one in identical}
    others = shared_footage(verified, tracks, ticks, moving, step) + picture_copies(pictures, library.tables)
    shared = identical + tuple(one for one in others if frozenset((one.first, one.second)) not in same)
    videos = [index for index, track in enumerate(tracks) if track.record.duration_seconds > 0]
    names = [track.record.name for track in tracks]
    return Duplicates(
        groups=copy_groups(shared, dict(zip(names, tracks, strict=True))),
        shared=shared,
        too_short=tuple(
            names[index] for index in videos if not ticks[index].num_passages and names[index] not in blank
        ),
        still=tuple(
            names[index]
            for index in videos
            if ticks[index].num_passages and not len(moving[index]) and names[index] not in blank
        ),
        blank=tuple(name for name in names if name in blank),
        too_few_pictures=len(pictures) if len(pictures) < MIN_PICTURES else 0,
        repeated_frames=tuple(frames.found),
        num_blank_frames=sum(frames.num_blank_of.values()),
        noise=frames.noise,
        num_sources=len(tracks),
        num_frames=total,
    )


def _aligned(
    ticks: Sequence[Ticks], measures: Measures, *, progress: Callable[[float], None]
) -> tuple[list[Alignment], float]:
    """What changes alike, and how alike passages have to be for that."""
    num_passages = num_moving(ticks, measures)
    background = measure_decoys(ticks, measures, num_moving=num_passages)
    if background is None:
        return [], 1.0
    matches = find_matches(ticks, measures, background, progress=progress)
    repetition = [measure_repetition(one, measures) for one in ticks]
    num_ticks = np.array([len(one.signatures) for one in ticks])
    found = find_alignments(matches, background, repetition, num_passages=num_passages, num_ticks=num_ticks)
    return found, background.threshold(MAX_PROBABILITY)
