"""How similar is every frame to an anchor? The article's demonstration, as a stream of numbers.

Source: Ozmermer, "Multi-Perspective Neural Networks", 2020, section on the comparison of embeddings.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firstsight.comparison.running_statistics import RunningStatistics, largest
from firstsight.encoder.encoder import Encoder, check_encoder
from firstsight.errors import SettingsError, SourceError, brief, check_count, check_number, check_seconds
from firstsight.footage.frame_at import frame_at
from firstsight.footage.frames import Frame, PixelByPixel, View
from firstsight.footage.queues import prefetch
from firstsight.footage.reference import parse_reference
from firstsight.footage.source import Source, Spec, open_source
from firstsight.pixels import crop_and_resize, single_picture
from firstsight.searching.query import Picture, frame_of
from firstsight.searching.regions import Box, BoxSpec, match_region


@dataclass(frozen=True)
class EveryNFrames:
    """A new anchor after every so many compared frames: the article's rule, with 300.

    The frame that becomes the anchor is neither compared nor counted in the statistics.
    """

    num_frames: int = 300

    def __post_init__(self) -> None:
        check_count("a new anchor every {} frames", self.num_frames)


@dataclass(frozen=True)
class BelowSimilarity:
    """A new anchor after a frame less similar than this: the published repository's later rule, with 0.40.

    The frame that becomes the anchor is neither compared nor counted in the statistics.
    """

    similarity: float = 0.40

    def __post_init__(self) -> None:
        check_number("a new anchor below similarity {}", self.similarity, "-1 to 1", lambda cosine: -1 <= cosine <= 1)


@dataclass(frozen=True)
class AtSeconds:
    """The frame nearest to that time; every frame is compared with it, itself and earlier ones included."""

    seconds: float

    def __post_init__(self) -> None:
        check_seconds("an anchor at {} s", self.seconds)


@dataclass(frozen=True, eq=False)
class FromPicture:
    """A picture that need not be in the footage: uint8 (H, W, 3) or (H, W)."""

    pixels: NDArray[np.uint8]
    name: str = "picture"

    def __post_init__(self) -> None:
        single_picture(self.pixels)  # raises if it is not a picture


Anchor = EveryNFrames | BelowSimilarity | AtSeconds | FromPicture


# Every standard deviation of a single embedding is zero: until there are two, all dimensions count.
_WARM_UP = 2


@dataclass(frozen=True)
class CompareSettings:
    """How frames are compared. The defaults are the article's."""

    anchor: Anchor = field(default_factory=EveryNFrames)
    level: int | None = None  # from 1, flattened; None is the encoder's embedding: for the article's the last level
    # Those of largest standard deviation; 0 is all; None is 64 for the article's encoder, else all.
    num_dimensions: int | None = None
    over_last: int | None = None  # embeddings that the standard deviation is taken over; None is all so far
    centred: bool = False  # remove the mean over the same embeddings before the cosine
    batch_size: int = 16  # frames embedded at once; 1 for the least delay
    box: Box | None = None  # of a fixed anchor's picture: compare its content with every window of its size

    def __post_init__(self) -> None:
        if not isinstance(self.anchor, Anchor):
            raise SettingsError(
                f"anchor {brief(self.anchor)}; valid are a picture, its path, a moment, a time and a rule"
            )
        check_count("batch {}", self.batch_size)
        if self.num_dimensions is not None:
            check_count("{} dimensions, of which 0 is all", self.num_dimensions, at_least=0)
        if self.over_last is not None:
            check_count("over the last {} embeddings", self.over_last, at_least=_WARM_UP)
        if self.box is not None:
            self._check_box()

    def _check_box(self) -> None:
        if not isinstance(self.anchor, AtSeconds | FromPicture):
            raise SettingsError(f"box {self.box} of an anchor that changes; valid is one at a time, or a picture")
        if self.num_dimensions is not None or self.over_last is not None or self.centred:
            raise SettingsError(
                f"box {self.box} with dimensions, a memory or a mean; a region is compared by all of its maps: "
                "leave those out"
            )

    def dimensions_for(self, encoder: Encoder) -> int | None:
        """Number of dimensions to choose; None is all."""
        wanted = encoder.model.compared_dims if self.num_dimensions is None else self.num_dimensions
        return wanted if wanted and wanted < encoder.num_compared(self.level) else None

    def check_for(self, encoder: Encoder) -> None:
        """Raises a SettingsError if the encoder has no such level, or the memory changes nothing by it."""
        num = encoder.num_compared(self.level)
        if self.over_last is not None and not self.centred and self.dimensions_for(encoder) is None:
            raise SettingsError(
                f"over the last {self.over_last} embeddings nothing is chosen, as all {num} dimensions are compared; "
                "ask for fewer (--dimensions), or remove the mean (--centred)"
            )


@dataclass(frozen=True)
class Comparison:
    """One frame and the anchor it was compared with."""

    frame: Frame
    anchor: Frame
    similarity: float | None  # cosine, -1 to 1; None while there is no mean to remove
    dimensions: NDArray[np.intp]  # compared ones, ascending, of the flattened level (maps, rows, columns)
    box: Box | None = None  # the window of the frame that is most like the anchor's box, if it has one
    anchor_box: Box | None = None

    def to_json(self) -> dict[str, Any]:
        """Where, when, and how similar."""
        return {"source": self.frame.source, "seconds": self.frame.seconds, "similarity": self.similarity}


def compare(
    encoder: Encoder,
    source: Spec,
    *,
    anchor: Anchor | Picture | None = None,
    level: int | None = None,
    num_dimensions: int | None = None,
    over_last: int | None = None,
    centred: bool = False,
    box: BoxSpec | None = None,
    batch_size: int = 16,
    views: tuple[View, ...] = (),
) -> "Comparisons":
    """Every frame of the source against its anchor, as a stream: memory does not grow with the footage.

    The dimensions compared are those of largest standard deviation over all compared frames so far, the current one
    included. Embeddings are not brought to unit length: for the article's encoder they are the plain flattened maps.

    Args:
        encoder: embeds the frames.
        source: a path, several, an array, or an opened source.
        anchor: a picture's path, a moment as "hall.mp4@12.5", pixels, a time as `AtSeconds`, or a rule for when a new
            frame becomes the anchor, `EveryNFrames` or `BelowSimilarity`. By default every 300 frames, as in the
            article.
        level: see `CompareSettings`, also for the four that follow.
        num_dimensions: as there.
        over_last: as there.
        centred: as there.
        box: x, y, width, height in a fixed anchor: every window of its size is compared with it.
        batch_size: frames embedded at once; 1 for the least delay.
        views: further pictures of each frame, the last of them as `Frame.whole`.

    Raises:
        SettingsError: no such level, or options that contradict each other.
        SourceError: fewer than two frames, or no frame at the time of the anchor.
        PixelsError: pixels of another shape or dtype.

    Example:
        >>> for comparison in compare(encoder, "bikes.mp4"):  # doctest: +SKIP
        ...     print(comparison.frame.seconds, comparison.similarity)
    """
    check_encoder(encoder)
    settings = CompareSettings(
        anchor=_anchor_of(anchor),
        level=level,
        num_dimensions=num_dimensions,
        over_last=over_last,
        centred=centred,
        batch_size=batch_size,
        box=None if box is None else Box.of(box),
    )
    return Comparisons(encoder, open_source(source), settings, views)


def _anchor_of(given: Anchor | Picture | None) -> Anchor:
    if isinstance(given, np.ndarray):
        return FromPicture(given)
    if isinstance(given, str | PathLike):
        reference = parse_reference(str(given))
        return FromPicture(frame_of(reference, (PixelByPixel(),)).pixels, name=reference.name)
    return EveryNFrames() if given is None else given  # the settings check what it is


class Comparisons:
    """The comparisons of one source, one after another; made by `compare`.

    Attributes:
        num_compared: so far.
        num_skipped: frames so far that could not be decoded.

    Args:
        keep_cells: whether the encoder keeps the cells of the latest frames, so that `Encoder.agreement` of them is
            quick; for an encoder that has a second stage.
    """

    def __init__(
        self,
        encoder: Encoder,
        source: Source,
        settings: CompareSettings,
        views: tuple[View, ...],
        *,
        keep_cells: bool = False,
    ) -> None:
        self.num_compared = 0
        self.num_skipped = 0
        self._encoder = encoder
        self._source = source
        self._settings = settings
        self._keep_cells = keep_cells
        settings.check_for(encoder)
        self._views = (encoder.view, *views)

    def __iter__(self) -> Iterator[Comparison]:
        box = self._settings.box
        for comparison in self._embeddings() if box is None else self._regions(box):
            self.num_compared += 1
            yield comparison
        if self.num_compared == 0:
            raise SourceError(
                f"{self._source.name} has no frame to compare with an anchor; give a video, or several pictures"
            )

    def _embeddings(self) -> Iterator[Comparison]:
        num_dimensions = self._settings.dimensions_for(self._encoder)
        anchor = self._fixed_anchor()
        fixed = (anchor, self._flat(anchor.pixels[None])[0]) if anchor else None
        comparer = _Comparer(self._settings, num_dimensions, fixed)
        for batch in self._batches():
            for frame, embedding in zip(batch, self._flat(np.stack([frame.pixels for frame in batch])), strict=True):
                comparison = comparer.update(frame, embedding)
                if comparison is not None:
                    yield comparison

    def _regions(self, box: Box) -> Iterator[Comparison]:
        anchor = self._fixed_anchor()
        assert anchor is not None  # the settings have checked it
        matcher = match_region(self._encoder, box, anchor.size, level=self._settings.level)
        region = matcher.described(anchor.pixels[None])
        for batch in self._batches():
            similarities, windows = matcher.best(np.stack([frame.pixels for frame in batch]), region)
            for frame, similarity, window in zip(batch, similarities[:, 0], windows[:, 0], strict=True):
                found = matcher.placement.box_of(int(window), frame.size)
                yield Comparison(frame, anchor, float(similarity), np.empty(0, np.intp), found, box)

    def _batches(self) -> Iterator[list[Frame]]:
        """The frames, decoded in one thread while another computes."""
        size = self._settings.batch_size
        with closing(self._source.read(*self._views)) as reading, prefetch(reading, depth=2 * size) as frames:
            while batch := list(islice(frames, size)):
                yield batch
                self.num_skipped = reading.num_skipped
            self.num_skipped = reading.num_skipped

    def _flat(self, inputs: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._keep_cells and self._settings.level is None:
            return self._encoder.compared_and_known(inputs)
        return self._encoder.compared(inputs, level=self._settings.level)

    def _fixed_anchor(self) -> Frame | None:
        """The anchor of all frames, if the settings have one."""
        match self._settings.anchor:
            case FromPicture() as picture:
                return _as_frame(picture, self._views)
            case AtSeconds(seconds):
                return frame_at(self._source, seconds, views=self._views)
            case _:
                return None


class _Comparer:
    """The anchor, and the statistics of the embeddings."""

    def __init__(
        self,
        settings: CompareSettings,
        num_dimensions: int | None,
        fixed: tuple[Frame, NDArray[np.float32]] | None,
    ) -> None:
        self.settings = settings
        self.num_dimensions = num_dimensions
        self.statistics = RunningStatistics(window=settings.over_last)
        self.anchor = fixed
        self.num_compared = 0  # with this anchor

    def update(self, frame: Frame, embedding: NDArray[np.float32]) -> Comparison | None:
        """The comparison; None if the frame became the anchor."""
        if self.anchor is None:
            self.anchor, self.num_compared = (frame, embedding), 0
            return None
        anchor_frame, anchor_embedding = self.anchor
        self.statistics.add(embedding)
        is_warm = self.statistics.num_embeddings >= _WARM_UP
        chosen = largest(self.statistics.standard_deviation(), self.num_dimensions if is_warm else None)
        similarity = self._similarity(anchor_embedding, embedding, chosen)
        self.num_compared += 1
        match self.settings.anchor:
            case EveryNFrames(num_frames) if self.num_compared >= num_frames:
                self.anchor = None
            case BelowSimilarity(limit) if similarity is not None and similarity < limit:
                self.anchor = None
        return Comparison(frame, anchor_frame, similarity, chosen)

    def _similarity(
        self, anchor: NDArray[np.float32], embedding: NDArray[np.float32], chosen: NDArray[np.intp]
    ) -> float | None:
        first, second = anchor[chosen].astype(np.float64), embedding[chosen].astype(np.float64)
        if self.settings.centred:
            if self.statistics.num_embeddings < _WARM_UP:
                return None
            mean = self.statistics.mean()[chosen]
            first, second = first - mean, second - mean
        return cosine(first, second)


def cosine(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """<a, b> / (|a| |b|), between -1 and 1; 0 if either is zero."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.clip(first @ second / lengths, -1, 1)) if lengths else 0.0


def _as_frame(anchor: FromPicture, views: tuple[View, ...]) -> Frame:
    picture = single_picture(anchor.pixels)
    height, width = picture.shape[1:3]
    pictures = tuple(crop_and_resize(picture, view.crop(width, height), view.channels)[0] for view in views)
    return Frame(pictures, seconds=float("nan"), index=-1, source=anchor.name, size=(width, height))
