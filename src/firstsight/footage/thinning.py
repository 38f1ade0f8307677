"""Footage of any length, cut down to about as many frames as are wanted before any of it is decoded."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from firstsight.errors import SourceError
from firstsight.footage.image_folders import ImageFiles
from firstsight.footage.source import Source
from firstsight.footage.videos import ONE_IN, STRETCH_FRAMES, VideoFile, VideoFiles

Thing = TypeVar("Thing")

_LOOKED_AT = 40  # files at most whose size is asked for
_DECODED = 2  # frames for each that is wanted, at most


def spread(sources: Sequence[Source], max_frames: int) -> list[Source]:
    """The same sources, read in a hurry; of much more footage than wanted, a part that is spread evenly over all of it.

    Of up to twice as many frames as wanted all are decoded. Of more footage only short stretches are, as many frames
    in all, of which every third is used: about two thirds of `max_frames`, and ten hours take no longer than ten
    minutes. Where frames were chosen by a rate all are decoded and thinned to `max_frames` to twice as many. Where it
    is not known how many there are, nothing is changed.
    """
    total = count(sources)
    if total is None:
        return list(sources)
    plan = _Plan(total, max_frames)
    return [plan.applied(source) for source in sources]


def count(sources: Sequence[Source]) -> int | None:
    """How many frames reading them will yield, as far as the containers state it."""
    counts = [source.num_frames() for source in sources]
    return None if None in counts else sum(one or 0 for one in counts)


def sizes_of(source: Source) -> list[tuple[int, int]]:
    """The different sizes (width, height) of its pictures, by area; of very many files those of 40, spread evenly.

    Raises:
        SourceError: none can be read.
    """
    parts: list[Source] = [source]
    if isinstance(source, VideoFiles):
        parts = [replace(source, files=(file,)) for file in _some(source.files)]
    elif isinstance(source, ImageFiles):
        parts = [replace(source, positions=(position,)) for position in _some(source.positions)]
    sizes = set()
    for part in parts:
        with suppress(SourceError):  # reading tells why
            sizes.add(part.size())
    return sorted(sizes, key=lambda size: size[0] * size[1]) or [source.size()]


def _some(things: Sequence[Thing]) -> list[Thing]:
    step = max(1, -(-len(things) // _LOOKED_AT))
    return list(things[::step])


class _Plan:
    """How to come from so many frames to about as many as are wanted."""

    def __init__(self, total: int, max_frames: int) -> None:
        self._one_in = max(1, total // max_frames)
        num_decoded = _DECODED * max_frames
        self._stretches_a_frame = num_decoded / STRETCH_FRAMES / total if total > num_decoded else 0.0
        self._owed = 0.0  # of a stretch, by files too short for one of their own

    def applied(self, source: Source) -> Source:
        if isinstance(source, VideoFiles):
            return replace(source, files=tuple(self._files(source)))
        if isinstance(source, ImageFiles):
            return replace(source, positions=source.positions[:: self._one_in])
        return source

    def _files(self, source: VideoFiles) -> Iterator[VideoFile]:
        """At least one."""
        files = [changed for file in source.files if (changed := self._file(file))]
        yield from files or source.files[:1]

    def _file(self, file: VideoFile) -> VideoFile | None:
        """What to read of the file; None is nothing."""
        thinned = replace(file, sampling=replace(file.sampling, one_in=self._one_in), hurried=True)
        try:
            num_frames = file.num_frames() or 0
        except SourceError:
            return file  # reading tells why
        if not self._stretches_a_frame or file.sampling.every or file.sampling.frames_per_second:
            return thinned
        self._owed += num_frames * self._stretches_a_frame
        num_stretches = int(self._owed)
        self._owed -= num_stretches
        if not num_stretches:
            return None
        if num_stretches * STRETCH_FRAMES >= num_frames:
            return replace(thinned, sampling=replace(file.sampling, one_in=ONE_IN))
        return replace(thinned, num_stretches=num_stretches)
