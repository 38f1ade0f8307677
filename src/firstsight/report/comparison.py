"""`firstsight compare`: a folder with the timeline, its plot, a film and a page that explains them."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firstsight.files import make_folder, write_whole
from firstsight.model.encoder import Encoder
from firstsight.report.drawing import Whole
from firstsight.report.film import Film
from firstsight.report.highlights import Highlights
from firstsight.report.page import render_page
from firstsight.report.timeline import TimelineWriter, plot_timeline
from firstsight.retrieval.comparing.compare import CompareSettings, Comparison, compare
from firstsight.video.source import Source

TIMELINE_FILE = "timeline.csv"
PLOT_FILE = "timeline.png"
FILM_FILE = "comparison.mp4"
PAGE_FILE = "report.html"


@dataclass(frozen=True)
class Summary:
    """What a comparison came to."""

    num_compared: int
    num_anchors: int
    num_skipped: int  # frames that could not be decoded
    mean_similarity: float  # NaN if none is defined
    most_similar: Comparison
    least_similar: Comparison


def write_comparison(
    encoder: Encoder,
    source: Source,
    settings: CompareSettings,
    folder: Path,
    *,
    progress: Callable[[Comparison], None] | None = None,
    watch: Callable[[Comparison], bool] | None = None,
) -> Summary:
    """Compares the whole source and writes `timeline.csv`, `timeline.png`, `comparison.mp4` and `report.html`.

    Each comparison is told to `progress` and to `watch`; when that returns False, what was compared until then is all.
    On Ctrl-C the timeline and the film hold what was compared until then.

    Raises:
        SourceError: nothing to compare.
        RunError: the folder cannot be written.
    """
    make_folder(folder)
    level = encoder.compared_level(settings.level)
    highlights = Highlights()
    similarities = _Mean()
    with ExitStack() as files:
        timeline = files.enter_context(TimelineWriter(folder / TIMELINE_FILE, boxes=settings.box is not None))
        film = files.enter_context(Film(folder / FILM_FILE, encoder, level=level))
        comparisons = compare(encoder, source, settings, views=(Whole(),))
        for comparison in comparisons:
            timeline.write(comparison)
            film.write(comparison)
            highlights.add(comparison)
            similarities.add(comparison.similarity)
            if progress:
                progress(comparison)
            if watch and not watch(comparison):
                break
    plot = plot_timeline(folder / TIMELINE_FILE, title=source.name)
    write_whole(folder / PLOT_FILE, plot)
    page = render_page(encoder, source.name, settings, highlights, plot)
    write_whole(folder / PAGE_FILE, page.encode())
    return Summary(
        num_compared=highlights.num_compared,
        num_anchors=highlights.num_anchors,
        num_skipped=comparisons.num_skipped,
        mean_similarity=similarities.mean,
        most_similar=highlights.most_similar(1)[0],
        least_similar=highlights.least_similar(1)[0],
    )


class _Mean:
    """Of the numbers that are numbers."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, value: float) -> None:
        if not np.isnan(value):
            self._sum, self._count = self._sum + value, self._count + 1

    @property
    def mean(self) -> float:
        return self._sum / self._count if self._count else float("nan")
