"""Copies as a page, their frames side by side: one file, nothing fetched from anywhere."""

from typing import Any

import numpy as np

from firstsight.report.drawing import file_uri
from firstsight.report.duplicates_words import certainty, repeated_runs
from firstsight.report.template import load_template
from firstsight.retrieval.copies.duplicates import Duplicates
from firstsight.retrieval.copies.shared_footage import Shared
from firstsight.retrieval.store.library import Library

_TEMPLATE = "duplicates_page.html"
_FRAMES_SHOWN = 4  # of a pair, spread over what it shares
_MAX_PAIRS = 300  # of each kind: a page of some 20 MB
_RUNS_SHOWN = 20


def render_duplicates_page(found: Duplicates, library: Library) -> str:
    """The page as HTML, with thumbnails from the library."""
    pictures = _Pictures(library)
    sure = [one for one in found.shared if one.is_copy and _is_told(one, found)]
    kinds = (
        ("Copies", sure),
        ("Parts of one in another", [one for one in found.shared if one.finding == "part"]),
        ("Perhaps: they look alike", [one for one in found.shared if one.finding == "perhaps"]),
    )
    return load_template(_TEMPLATE).render(
        library=library.path.name,
        num_sources=found.num_sources,
        num_frames=found.num_frames,
        num_copies=sum(len(group.copies) for group in found.groups),
        groups=found.groups,
        kinds=[
            {
                "title": title,
                "pairs": [_pair(one, pictures) for one in pairs[:_MAX_PAIRS]],
                "num_more": max(0, len(pairs) - _MAX_PAIRS),
            }
            for title, pairs in kinds
            if pairs
        ],
        num_repeated=len(found.repeated_frames),
        runs=[
            {"first": run[0], "last": run[-1], "num": len(run)}
            for run in repeated_runs(found.repeated_frames)[:_RUNS_SHOWN]
        ],
    )


class _Pictures:
    """Thumbnails by source and time."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._ids = {record.name: record.id for record in library.sources}

    def at(self, source: str, seconds: list[float]) -> list[dict[str, Any]]:
        """The frame nearest to each time."""
        indices, times = self._library.tables.times_of([self._ids[source]])[self._ids[source]]
        rows = [int(np.abs(times - one).argmin()) for one in seconds]
        jpegs = self._library.thumbnails([(source, int(indices[row])) for row in rows])
        return [
            {"uri": file_uri(jpeg, "jpeg"), "seconds": float(times[row])} for jpeg, row in zip(jpegs, rows, strict=True)
        ]


def _is_told(one: Shared, found: Duplicates) -> bool:
    """Whether it is a pair with a source that is kept: of a group of ten all 45 pairs say little more than those 9."""
    return any(group.keep in (one.first, one.second) for group in found.groups)


def _pair(one: Shared, pictures: _Pictures) -> dict[str, Any]:
    first, second = _times(one)
    return {
        "finding": one.finding,
        "certainty": "" if one.finding == "identical files" else certainty(one),
        "mirrored": one.mirrored,
        "rows": [
            {"source": name, "pictures": pictures.at(name, seconds)}
            for name, seconds in ((one.first, first), (one.second, second))
        ],
    }


def _times(one: Shared) -> tuple[list[float], list[float]]:
    """Seconds in either, spread over what they share; the beginning of files that are identical, and pictures."""
    if not one.stretches:
        return [0.0], [0.0]
    longest = max(one.stretches, key=lambda each: each.first_end - each.first_start)
    steps = np.linspace(0, longest.first_end - longest.first_start, 2 * _FRAMES_SHOWN + 1)[1::2]
    return (longest.first_start + steps).tolist(), (longest.second_start + steps).tolist()
