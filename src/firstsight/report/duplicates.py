"""Copies as a page, their frames side by side: one file, nothing fetched from anywhere."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from firstsight.copies.duplicates import Duplicates, RepeatedFrame
from firstsight.copies.shared_footage import Shared
from firstsight.library.store import Store
from firstsight.report.drawing import file_uri, load_template, recorded_uri
from firstsight.text import printable

# Repeated frames belong to one run if they repeat frames of one source and lie no further apart.
_MAX_GAP_SECONDS = 2.5


class Judged(Protocol):
    """A finding with a certainty."""

    @property
    def similarity(self) -> float: ...  # noqa: D102
    @property
    def detail_similarity(self) -> float: ...  # noqa: D102
    @property
    def expected_by_chance(self) -> float: ...  # noqa: D102
    @property
    def is_upper_bound(self) -> bool: ...  # noqa: D102


def certainty(one: Judged) -> str:
    """Such as "similarity 1.00, in detail 0.98, by chance in 1 of 5000 libraries like this or fewer"."""
    alike = f"similarity {one.similarity:.2f}, in detail {one.detail_similarity:.2f}"
    return f"{alike}, {chance(one.expected_by_chance, is_upper_bound=one.is_upper_bound)}"


# What the two similarities of a finding are.
LEGEND = "similarity is of coarse light and dark, which look-alikes share; how well details agree decides"


def copies_line(found: Duplicates) -> str:
    """How many sources are superfluous."""
    num = sum(len(group.copies) for group in found.groups)
    return f"{num} of {found.num_sources} sources {'is a copy of another' if num == 1 else 'are copies of others'}"


def repeated_line(found: Duplicates) -> str:
    """How many frames show what another shows."""
    num = len(found.repeated_frames)
    return f"{num or 'none'} of {found.num_frames} frames {'repeat' if num > 1 else 'repeats'} another"


def surest_first(found: Iterable[Shared]) -> list[Shared]:
    """By the number of such findings that chance brings; of equal ones the more similar in detail first."""
    return sorted(found, key=lambda one: (one.expected_by_chance, -one.detail_similarity))


def chance(expected: float, *, is_upper_bound: bool = False) -> str:
    """How many such findings there are by chance; of an upper bound, that there are fewer."""
    if expected >= 1:
        return f"{expected:.0f} such by chance in a library like this"
    fewer = " or fewer" if is_upper_bound else ""
    return f"by chance in 1 of {_two_digits(1 / expected)} libraries like this{fewer}"


def _two_digits(number: float) -> str:
    """A number from 1 on, cut off to two digits; in full below a million, such as 5300."""
    exponent = math.floor(math.log10(number))
    cut = int(number / 10.0 ** max(0, exponent - 1)) * 10 ** max(0, exponent - 1)
    return str(cut) if cut < 10**6 else f"10^{exponent}"


def repeated_runs(frames: Sequence[RepeatedFrame]) -> list[list[RepeatedFrame]]:
    """Repeated frames that follow each other in one source and repeat another, the longest run first."""
    runs: list[list[RepeatedFrame]] = []
    for one in sorted(frames, key=lambda one: (one.source, one.of_source, one.frame_index)):
        last = runs[-1][-1] if runs else None
        is_next = (
            last is not None
            and (one.source, one.of_source) == (last.source, last.of_source)
            and one.seconds - last.seconds <= _MAX_GAP_SECONDS
        )
        if is_next:
            runs[-1].append(one)
        else:
            runs.append([one])
    return sorted(runs, key=lambda run: -len(run))


_TEMPLATE = "duplicates_page.html"
_FRAMES_SHOWN = 4  # of a pair, spread over what it shares
_MAX_PAIRS = 300  # of each kind, and groups: a page of some 20 MB
_COPIES_SHOWN = 11  # of a group, with a picture
_RUNS_SHOWN = 20


def render_duplicates_page(found: Duplicates, library: Store) -> str:
    """The page as HTML, with thumbnails from the library."""
    pictures = _Pictures(library)
    shared, runs = surest_first(found.shared), repeated_runs(found.repeated_frames)
    sure = [one for one in shared if one.is_copy and _is_of_a_kept_source(one, found)]
    kinds = (
        ("Copies", sure),
        ("Parts of one in another", [one for one in shared if one.finding == "part"]),
        ("Perhaps: they are similar", [one for one in shared if one.finding == "perhaps"]),
    )
    return load_template(_TEMPLATE).render(
        library=library.path.name,
        copies=copies_line(found),
        repeated=repeated_line(found),
        groups=_groups(found, pictures),
        num_more_groups=max(0, len(found.groups) - _MAX_PAIRS),
        legend=LEGEND,
        kinds=[
            {
                "title": title,
                "pairs": [_pair(one, pictures) for one in pairs[:_MAX_PAIRS]],
                "num_more": max(0, len(pairs) - _MAX_PAIRS),
            }
            for title, pairs in kinds
            if pairs
        ],
        runs=[{"first": run[0], "last": run[-1], "num": len(run)} for run in runs[:_RUNS_SHOWN]],
        num_more_runs=max(0, len(runs) - _RUNS_SHOWN),
        not_compared=not_compared(found),
    )


def not_compared(found: Duplicates) -> list[str]:
    """What was left out, and why; names as they are printed."""
    lines = [
        f"{why}: {', '.join(map(printable, names))}"
        for names, why in (
            (
                found.other_names,
                "links to, or other names of, files that were compared: no copies, as each is one file",
            ),
            (found.blank, "blank, nothing to compare"),
            (found.too_short, "too short, or with frames too far apart, to compare but as files"),
            (found.still, "nothing moves, so another take would show the same; compared as files only"),
        )
        if names
    ]
    if found.too_few_pictures:
        were = "1 picture was" if found.too_few_pictures == 1 else f"{found.too_few_pictures} pictures were"
        lines.append(f"{were} compared as files only: at least 20 are needed to measure chance")
    if found.num_apart:
        pairs = "1 pair is" if found.num_apart == 1 else f"{found.num_apart} pairs are"
        lines.append(f"{pairs} left out, as you set them apart")
    return [*lines, "not searched for: copies at another speed (firstsight align FIRST SECOND finds them)"]


class _Pictures:
    """Thumbnails by source and time."""

    def __init__(self, library: Store) -> None:
        self._library = library
        self._records = {record.name: record for record in library.sources}

    def at(self, source: str, seconds: list[float]) -> list[dict[str, Any]]:
        """The frame nearest to each time."""
        record = self._records[source]
        indices, times = self._library.tables.times_of([record.id])[record.id]
        rows = [int(np.abs(times - one).argmin()) for one in seconds]
        jpegs = self._library.thumbnails([(source, int(indices[row])) for row in rows])
        return [
            {
                "uri": file_uri(jpeg, "jpeg"),
                "seconds": float(times[row]),
                "opens": recorded_uri(record, float(times[row])),
            }
            for jpeg, row in zip(jpegs, rows, strict=True)
        ]


def _groups(found: Duplicates, pictures: _Pictures) -> list[dict[str, Any]]:
    """Which to keep and its copies, the first of them with pictures: of the same moment, where they share one."""
    middles = dict[tuple[str, str], tuple[float, float]]()
    for one in found.shared:
        first, second = (times[len(times) // 2] for times in _times(one))
        middles[one.first, one.second], middles[one.second, one.first] = (first, second), (second, first)
    shown = []
    for group in found.groups[:_MAX_PAIRS]:
        times = [middles.get((group.keep, copy.source), (0.0, 0.0)) for copy in group.copies]
        kept = [{"source": group.keep, "words": group.why, "picture": pictures.at(group.keep, [times[0][0]])[0]}]
        copies = [
            {
                "source": copy.source,
                "words": ", ".join(copy.differs),
                "picture": pictures.at(copy.source, [second])[0] if number < _COPIES_SHOWN else None,
            }
            for number, (copy, (_, second)) in enumerate(zip(group.copies, times, strict=True))
        ]
        shown.append({"sources": kept + copies})
    return shown


def _around_powers(text: str) -> list[str]:
    """The text cut at each "10^9": what is before it, the exponent, what is after it, and so on."""
    return re.split(r"10\^(\d+)", text)


def _is_of_a_kept_source(one: Shared, found: Duplicates) -> bool:
    """Whether the pair has a source that is kept: of a group of ten, 9 pairs of 45."""
    return any(group.keep in (one.first, one.second) for group in found.groups)


def _pair(one: Shared, pictures: _Pictures) -> dict[str, Any]:
    first, second = _times(one)
    return {
        "finding": one.finding,
        "certainty": [] if one.finding == "identical files" else _around_powers(certainty(one)),
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
