"""`firstsight compare`: a folder with the timeline, its plot, a film and a page that explains them."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from firstsight.files import make_folder, write_whole
from firstsight.model.encoder import Encoder
from firstsight.report.drawing import Whole
from firstsight.report.film import Film
from firstsight.report.highlights import Highlights
from firstsight.report.page import render_page
from firstsight.report.timeline import TimelineWriter, plot_timeline
from firstsight.retrieval.comparing.compare import CompareSettings, Comparison, Comparisons, compare
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
    left_out: tuple[str, ...]  # a line for each file that could not be read
    mean_similarity: float | None  # None if no comparison has a similarity, as of one frame without its mean
    most_similar: Comparison | None
    least_similar: Comparison | None


def write_comparison(
    encoder: Encoder,
    source: Source,
    settings: CompareSettings,
    folder: Path,
    *,
    progress: Callable[[Comparison], None] | None = None,
    watch: Callable[[Comparison], bool] | None = None,
    finished: Callable[[Summary], None] | None = None,
) -> Summary:
    """Compares the whole source and writes `timeline.csv`, `timeline.png`, `comparison.mp4` and `report.html`.

    Each comparison is told to `progress` and to `watch`; when that returns False, what was compared until then is all.
    What it came to is told to `finished` once all is compared, before plot and page are drawn.
    On Ctrl-C the timeline and the film hold what was compared until then.

    Raises:
        SourceError: nothing to compare.
        RunError: the folder cannot be written.
    """
    make_folder(folder)
    level = encoder.compared_level(settings.level)
    highlights = Highlights()
    with ExitStack() as files:
        timeline = files.enter_context(TimelineWriter(folder / TIMELINE_FILE, boxes=settings.box is not None))
        film = files.enter_context(Film(folder / FILM_FILE, encoder, level=level))
        comparisons = compare(encoder, source, settings, views=(Whole(),))
        for comparison in comparisons:
            timeline.write(comparison)
            film.write(comparison)
            highlights.add(comparison)
            if progress:
                progress(comparison)
            if watch and not watch(comparison):
                break
    summary = _summary(highlights, comparisons)
    if finished:
        finished(summary)
    plot = plot_timeline(folder / TIMELINE_FILE, title=source.name)
    write_whole(folder / PLOT_FILE, plot)
    page = render_page(encoder, source.name, settings, highlights, plot)
    write_whole(folder / PAGE_FILE, page.encode())
    return summary


def _summary(highlights: Highlights, comparisons: Comparisons) -> Summary:
    most, least = highlights.most_similar(1), highlights.least_similar(1)
    return Summary(
        num_compared=highlights.num_compared,
        num_anchors=highlights.num_anchors,
        num_skipped=comparisons.num_skipped,
        left_out=tuple(comparisons.left_out),
        mean_similarity=highlights.mean.value,
        most_similar=most[0] if most else None,
        least_similar=least[0] if least else None,
    )
