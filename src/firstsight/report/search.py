"""What a search found, as a page: one file, nothing fetched from anywhere."""

import io
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from firstsight.library.store import Store
from firstsight.library.thumbnails import as_picture
from firstsight.report.drawing import draw_box, file_uri, jpeg_uri, load_template, recorded_uri
from firstsight.searching.calibration import Background
from firstsight.searching.search import Match, SearchResult
from firstsight.searching.verdict import false_match_text, interval_text, unrelated_text, verdict

_TEMPLATE = "search_page.html"
_QUERY_SIDE = 480  # pixels of its longer side


def render_search_page(result: SearchResult, library: Store) -> str:
    """The page as HTML, with thumbnails from the library."""
    background = result.background
    return load_template(_TEMPLATE).render(
        query_name=result.query.reference.name,
        query_picture=jpeg_uri(_query_picture(result)),
        verdict=verdict(result),
        library=library.path.name,
        num_frames=result.num_frames,
        num_sources=result.num_sources,
        num_pairs=len(background.pairs),
        matches=[_shown(match, background, library) for match in result.matches],
        num_matches=result.num_matches,
        below=[
            _shown(match, background, library) for match in (result.below or (result.nearest,) * (not result.is_match))
        ],
        is_measured=background.is_measured,
        false_match_rate=result.false_match_rate,
        threshold=result.threshold,
        plot=file_uri(_plot(result), "png"),
        facts={
            "Threshold": f"similarity {result.threshold:.3f}",
            **_measured_by(result),
        },
    )


def _measured_by(result: SearchResult) -> dict[str, str]:
    if not result.background.is_measured:
        return {"Measured with": "nothing: there is too little footage, and the threshold is assumed"}
    decoys = "of the size of the box" if result.box else "upside down, on their side, or mirrored"
    return {
        "False matches": f"{100 * result.false_match_rate:g} % of searches for absent things",
        "Measured with": f"{len(result.background.decoys)} decoys: parts of its own frames, {decoys}",
    }


def _shown(match: Match, background: Background, library: Store) -> dict[str, Any]:
    moment = match.moment
    return {
        "source": moment.source,
        "is_query": match.is_query,
        "stretch": interval_text(moment),
        "unrelated": unrelated_text(match, background),
        "false_match": false_match_text(match),
        "similarity": moment.score,
        "pictures": _pictures(match, library),
        "bar": _bar(match, library),
    }


def _pictures(match: Match, library: Store) -> list[dict[str, Any]]:
    """The first, the best and the last frame of the moment, each once."""
    moment = match.moment
    record = next(record for record in library.sources if record.name == moment.source)
    frames = {
        moment.first_frame_index: (moment.start_seconds, f"from {moment.start_seconds:.2f} s"),
        moment.last_frame_index: (moment.end_seconds, f"to {moment.end_seconds:.2f} s"),
        moment.best_frame_index: (
            moment.best_seconds,
            "picture" if moment.is_picture else f"{moment.best_seconds:.2f} s",
        ),
    }
    indices, best = sorted(frames), moment.best_frame_index
    jpegs = library.thumbnails([(moment.source, index) for index in indices])
    return [
        {
            "uri": _best_uri(jpeg, match) if index == best else file_uri(jpeg, "jpeg"),
            "is_best": index == best,
            "caption": frames[index][1],
            "opens": recorded_uri(record, frames[index][0]),
        }
        for index, jpeg in zip(indices, jpegs, strict=True)
    ]


def _best_uri(jpeg: bytes, match: Match) -> str:
    """The picture, with the box drawn that a region was found in."""
    if match.box is None or match.picture_size is None:
        return file_uri(jpeg, "jpeg")
    image = Image.fromarray(as_picture(jpeg))
    draw_box(image, match.box, match.picture_size)
    return jpeg_uri(np.asarray(image))


def _bar(match: Match, library: Store) -> dict[str, float] | None:
    """Where in its source the moment lies, in percent of the source's length; None for a picture."""
    moment = match.moment
    lasts = next(record.duration_seconds for record in library.sources if record.name == moment.source)
    if lasts <= 0:
        return None
    left = 100 * min(1.0, moment.start_seconds / lasts)
    return {"left": left, "width": min(100 - left, 100 * (moment.end_seconds - moment.start_seconds) / lasts)}


def _query_picture(result: SearchResult) -> np.ndarray:
    """Small, with its box drawn if it has one."""
    image = Image.fromarray(result.query.frame.whole)
    image.thumbnail((_QUERY_SIDE, _QUERY_SIDE))
    if result.box:
        draw_box(image, result.box, result.query.frame.size)
    return np.asarray(image)


def _plot(result: SearchResult) -> bytes:
    """Similarities of unrelated frames, of the best of them, and of the matches, as PNG."""
    background = result.background
    figure = Figure(figsize=(10, 2.6), dpi=130, layout="constrained")
    axes = figure.subplots()
    edges = np.linspace(min(-0.2, *background.pairs[:1].tolist(), 0.0), 1.0, 161)
    unrelated, _ = np.histogram(background.pairs, edges)
    axes.fill_between(edges[:-1], unrelated / max(unrelated.max(), 1), step="post", color="#b9bec5", linewidth=0)
    best, _ = np.histogram(background.decoys, edges)
    axes.step(edges[:-1], best / max(best.max(), 1), where="post", color="#1f5f8b", linewidth=1.2)
    axes.axvline(result.threshold, color="#1f5f8b", linestyle="--", linewidth=1)
    shown = result.matches or (result.nearest,)
    axes.vlines([match.moment.score for match in shown], 0, 0.5, color="#d08a2e", linewidth=1.6)
    axes.set(xlabel="similarity", yticks=[], ylim=(0, 1.05), xlim=(edges[0], 1.005))
    axes.spines[["top", "right", "left"]].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
