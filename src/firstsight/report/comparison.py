"""A comparison as a folder: the timeline, its plot, a film and a page that explains them."""

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from firstsight.comparison.compare import (
    Anchor,
    AtSeconds,
    BelowSimilarity,
    CompareSettings,
    Comparison,
    Comparisons,
    EveryNFrames,
)
from firstsight.encoder.encoder import Encoder
from firstsight.encoder.run_config import is_run
from firstsight.errors import SettingsError
from firstsight.files import make_folder, only_writer, write_atomically
from firstsight.footage.frames import Frame
from firstsight.footage.source import Source, files_of, moment_namer
from firstsight.pixels import with_channels
from firstsight.progress import Progress, Report, silent
from firstsight.quality.health import findings
from firstsight.report.drawing import (
    Picture,
    Whole,
    agreement_picture,
    agreement_scale,
    draw_box,
    file_uri,
    jpeg_uri,
    load_template,
    moment_uri,
    png_uri,
    with_crop_drawn,
)
from firstsight.report.film import Film
from firstsight.report.levels import initial_model, level_stories
from firstsight.report.timeline import TimelineWriter, plot_timeline
from firstsight.searching.regions import Box

_MAX_PARTS = 32


@dataclass
class Mean:
    """Of the numbers so far."""

    num: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        """Counts one more."""
        self.num, self.total = self.num + 1, self.total + value

    @property
    def value(self) -> float | None:
        """None of no number."""
        return self.total / self.num if self.num else None


@dataclass(frozen=True, eq=False)
class _Moment:
    """A comparison that has a similarity."""

    comparison: Comparison
    similarity: float


@dataclass
class Anchored:
    """An anchor and what was compared with it."""

    anchor: Frame
    num_compared: int = 0
    mean: Mean = field(default_factory=Mean)  # of the similarities of those that have one


@dataclass
class Highlights:
    """Collects, in memory that does not grow with the footage.

    The footage is cut into parts, each of which remembers its most and its least similar frame; when there are too
    many, neighbours are joined. So the moments listed lie apart. A comparison without a similarity is counted,
    but not listed.
    """

    max_anchors: int = 24
    anchors: list[Anchored] = field(default_factory=list)  # the first ones
    num_anchors: int = 0
    num_compared: int = 0
    mean: Mean = field(default_factory=Mean)  # of the similarities, where there are any
    _parts: list[tuple[_Moment, _Moment]] = field(default_factory=list)  # least, most similar
    _part_length: int = 1  # frames
    _current: Anchored | None = None

    def add(self, comparison: Comparison) -> None:
        """Counts one more comparison."""
        if self._current is None or self._current.anchor is not comparison.anchor:
            self._current = Anchored(comparison.anchor)
            self.num_anchors += 1
            if len(self.anchors) < self.max_anchors:
                self.anchors.append(self._current)
        self._current.num_compared += 1
        self.num_compared += 1
        if comparison.similarity is not None:
            self.mean.add(comparison.similarity)
            self._current.mean.add(comparison.similarity)
            self._remember(_Moment(comparison, comparison.similarity))

    def most_similar(self, num: int) -> list[Comparison]:
        """The most similar frames, one a part, the most similar first."""
        mosts = sorted((most for _, most in self._parts), key=lambda one: -one.similarity)
        return [one.comparison for one in mosts[:num]]

    def least_similar(self, num: int) -> list[Comparison]:
        """The least similar frames, one a part, the least similar first."""
        leasts = sorted((least for least, _ in self._parts), key=lambda one: one.similarity)
        return [one.comparison for one in leasts[:num]]

    def _remember(self, moment: _Moment) -> None:
        if (self.mean.num - 1) % self._part_length == 0:
            if len(self._parts) == _MAX_PARTS:
                pairs = zip(self._parts[::2], self._parts[1::2], strict=True)
                self._parts = [_joined(*pair) for pair in pairs]
                self._part_length *= 2
            self._parts.append((moment, moment))
        else:
            self._parts[-1] = _joined(self._parts[-1], (moment, moment))


def _joined(first: tuple[_Moment, _Moment], second: tuple[_Moment, _Moment]) -> tuple[_Moment, _Moment]:
    least = min(first[0], second[0], key=lambda one: one.similarity)
    return least, max(first[1], second[1], key=lambda one: one.similarity)


_TEMPLATE = "page.html"
_NUM_MOMENTS = 6
_MOST_SHOWN = 344  # pixels of the longer side of a frame with its agreement


def render_page(
    encoder: Encoder, source: Source, settings: CompareSettings, highlights: Highlights, plot: bytes
) -> str:
    """The page as HTML. The highlights' frames carry a view of the entire frame."""
    anchor = highlights.anchors[0].anchor
    width, height = anchor.size
    crop = encoder.view.crop(width, height)
    outcome, mean = encoder.provenance.get("outcome", {}), highlights.mean.value
    files = files_of(source)
    of_anchors = files if isinstance(settings.anchor, EveryNFrames | BelowSimilarity | AtSeconds) else {}
    filters = {"shown": lambda anchor: _shown(anchor, settings.box, of_anchors), "moment": moment_namer(source)}
    return load_template(_TEMPLATE, filters).render(
        source=source.name,
        facts=_facts(encoder, settings, highlights),
        plot=file_uri(plot, "png"),
        anchors=highlights.anchors,
        num_more_anchors=highlights.num_anchors - len(highlights.anchors),
        most=[_moment(encoder, one, files) for one in _outstanding(highlights.most_similar(_NUM_MOMENTS), mean)],
        least=[_moment(encoder, one, files) for one in _outstanding(highlights.least_similar(_NUM_MOMENTS), mean)],
        scale=png_uri(agreement_scale()),
        crop_picture=jpeg_uri(with_crop_drawn(anchor.whole, anchor.size, encoder.view)),
        input_picture=png_uri(with_channels(anchor.pixels[None], 3)[0]),
        input_width=crop.out_width,
        input_height=crop.out_height,
        view=encoder.view.describe((width, height)),
        width=width,
        height=height,
        share=crop.share_of(width, height),
        levels=level_stories(encoder, anchor.pixels),
        before_name=initial_model(encoder)[1],
        outcome=outcome,
        findings=findings(outcome),
    )


def _facts(encoder: Encoder, settings: CompareSettings, highlights: Highlights) -> dict[str, Any]:
    provenance = encoder.provenance
    num_dimensions = settings.dimensions_for(encoder)
    over = "all compared frames" if settings.over_last is None else f"the last {settings.over_last}"
    dimensions = f"the {num_dimensions} of largest standard deviation over {over}" if num_dimensions else "all"
    if settings.box is not None:
        dimensions = "all; in each frame the window of the box's size that is most similar"
    return {
        "Learned from": provenance.get("source", provenance.get("weights_file", "nothing")),
        "By": f"{provenance.get('method', 'no method')}, seed {provenance.get('seed', 'not known')}",
        "Compared": f"{highlights.num_compared} frames, number of anchors: {highlights.num_anchors}",
        "Anchor": _describe(settings.anchor) + (f", box {settings.box}" if settings.box else ""),
        "Compared on": _describe_level(encoder, settings),
        "Dimensions": dimensions,
        "Similarity": "cosine, mean removed" if settings.centred else "cosine",
    }


def _describe_level(encoder: Encoder, settings: CompareSettings) -> str:
    number = encoder.compared_level(settings.level)
    if settings.box is not None:
        maps = "all levels" if number is None else f"level {number} of {len(encoder.shapes)}"
        return f"the second moments of the maps of {maps}, in the box"
    if number is None:
        return f"the read-out of all levels, {encoder.dim} numbers"
    return f"level {number} of {len(encoder.shapes)}"


def _describe(anchor: Anchor) -> str:
    match anchor:
        case EveryNFrames():
            return f"a new one after every {anchor.num_frames} compared frames"
        case BelowSimilarity():
            return f"a new one after a similarity below {anchor.similarity:.2f}"
        case AtSeconds():
            return f"the frame at {anchor.seconds:g} s"
        case _:
            return anchor.name


def _outstanding(moments: list[Comparison], mean: float | None) -> list[Comparison]:
    """Those nearer to the first one, the most or the least similar, than to the mean: others are neither."""
    similarities = [one.similarity for one in moments if one.similarity is not None]
    if mean is None or not similarities:
        return moments
    reach = abs(similarities[0] - mean) / 2
    return [one for one, value in zip(moments, similarities, strict=True) if abs(value - similarities[0]) <= reach]


def _moment(encoder: Encoder, comparison: Comparison, files: Mapping[str, Path]) -> dict[str, Any]:
    return {
        "frame": comparison.frame,
        "similarity": comparison.similarity,
        "anchor": comparison.anchor,
        **_shown(comparison.frame, comparison.box, files),
        **_agreement(encoder, comparison),
    }


def _agreement(encoder: Encoder, comparison: Comparison) -> dict[str, Any]:
    """Where frame and anchor agree, None where the encoder or the comparison is of something else."""
    if encoder.model.second_stage is None or comparison.box is not None:
        return {"agreement": None, "where": None}
    anchor, frame = comparison.anchor, comparison.frame
    found = encoder.agreement(anchor.pixels, frame.pixels)
    first, second = (_reduced(one.whole) for one in (anchor, frame))
    return {"agreement": found, "where": jpeg_uri(agreement_picture(first, second, found))}


def _reduced(picture: Picture) -> Picture:
    """At most as large as it is shown on a fine screen, so that lines stay visible."""
    image = Image.fromarray(picture)
    image.thumbnail((_MOST_SHOWN, _MOST_SHOWN))
    return np.asarray(image)


def _shown(frame: Frame, box: Box | None, files: Mapping[str, Path]) -> dict[str, str]:
    """The frame, and what opens its file there, "" if it is in none of the files."""
    image = Image.fromarray(frame.whole)
    if box:
        draw_box(image, box, frame.size)
    path, is_picture = files.get(frame.source), math.isnan(frame.seconds)
    opens = moment_uri(path, frame.seconds, is_picture=is_picture) if path else ""
    return {"uri": jpeg_uri(np.asarray(image)), "opens": opens}


TIMELINE_FILE = "timeline.csv"
PLOT_FILE = "timeline.png"
FILM_FILE = "comparison.mp4"
PAGE_FILE = "report.html"


@dataclass(frozen=True)
class Summary:
    """The result of a comparison."""

    folder: Path  # with timeline, plot, film and page
    num_compared: int
    num_anchors: int
    num_skipped: int  # frames that could not be decoded
    mean_similarity: float | None  # None if no comparison has a similarity, as of one frame without its mean
    most_similar: Comparison | None
    least_similar: Comparison | None
    moment: Callable[[Frame], str]  # what names a frame of the footage

    def to_json(self) -> dict[str, Any]:
        """The figures, and the two moments."""
        return {
            "out": str(self.folder),
            "num_compared": self.num_compared,
            "num_anchors": self.num_anchors,
            "num_skipped": self.num_skipped,
            "mean_similarity": self.mean_similarity,
            "most_similar": self.most_similar and self.most_similar.to_json(),
            "least_similar": self.least_similar and self.least_similar.to_json(),
        }


def check_agreement(encoder: Encoder, settings: CompareSettings) -> None:
    """Raises a SettingsError if the encoder has no second stage, or a box is compared instead of the frame."""
    encoder.check_second_stage()
    if settings.box is not None:
        raise SettingsError(f"agreement with box {settings.box}; valid is one of them: agreement is of entire frames")


def write_comparison(
    encoder: Encoder,
    source: Source,
    settings: CompareSettings,
    folder: Path,
    *,
    agreement: bool = False,
    progress: Report = silent,
    show: Callable[[Comparison], bool] | None = None,
    finished: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Compares all of the source and writes `timeline.csv`, `timeline.png`, `comparison.mp4` and `report.html`.

    On Ctrl-C, or if `progress` raises `Cancelled`, the timeline and the film hold the frames compared until then.

    Args:
        encoder: of the frames.
        source: read once.
        settings: of the comparison.
        folder: made if it is not there.
        agreement: colour each frame of the film where it agrees with its anchor, at some 1.4 times the time.
        progress: called after each comparison, with its similarity as the state.
        show: called with each comparison; when it returns False, the comparison ends.
        finished: called with the result before plot and page are drawn.

    Raises:
        SourceError: nothing to compare.
        SettingsError: agreement by an encoder without a second stage, or with a box.
        RunError: the folder cannot be written, or somebody else writes into it.
    """
    if agreement:
        check_agreement(encoder, settings)
    make_folder(folder)
    level = encoder.compared_level(settings.level)
    highlights, total, moment = Highlights(), source.num_frames(), moment_namer(source)
    with nullcontext() if is_run(folder) else only_writer(folder):  # a run's folder is held by who learns it
        with ExitStack() as files:
            timeline = files.enter_context(TimelineWriter(folder / TIMELINE_FILE, boxes=settings.box is not None))
            film = files.enter_context(
                Film(folder / FILM_FILE, encoder, level=level, agreement=agreement, moment=moment)
            )
            comparisons = Comparisons(encoder, source, settings, (Whole(),), keep_cells=agreement)
            for comparison in comparisons:
                timeline.write(comparison)
                film.write(comparison)
                highlights.add(comparison)
                progress(Progress("comparing", highlights.num_compared, total, _two_digits(comparison.similarity)))
                if show and not show(comparison):
                    break
        summary = _summary(folder, highlights, comparisons, moment)
        finished(summary)
        progress(Progress("drawing", 0, None))
        plot = plot_timeline(folder / TIMELINE_FILE, title=source.name)
        write_atomically(folder / PLOT_FILE, plot)
        page = render_page(encoder, source, settings, highlights, plot)
        write_atomically(folder / PAGE_FILE, page.encode())
        return summary


def _two_digits(similarity: float | None) -> str:
    return "" if similarity is None else f"{similarity:.2f}"


def _summary(folder: Path, highlights: Highlights, comparisons: Comparisons, moment: Callable[[Frame], str]) -> Summary:
    most, least = highlights.most_similar(1), highlights.least_similar(1)
    return Summary(
        folder=folder,
        num_compared=highlights.num_compared,
        num_anchors=highlights.num_anchors,
        num_skipped=comparisons.num_skipped,
        mean_similarity=highlights.mean.value,
        most_similar=most[0] if most else None,
        least_similar=least[0] if least else None,
        moment=moment,
    )
