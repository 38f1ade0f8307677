"""Each half of a clip, judged by a memory of what is normal in the other one, beside what needs no learning."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from watch_baselines import names, scores

import firstsight
from firstsight.footage.source import open_source
from firstsight.footage.videos import VideoFiles
from firstsight.monitoring.novelty import NoveltyScores, detect_novelty
from firstsight.normality.learning import learn_memory
from firstsight.normality.memory import Memory

Span = tuple[float, float]
# As `watch` and `novelty` by default, with a memory.
FRAMES_PER_SECOND = 12.5
_MARGIN_SECONDS = 1.0


@dataclass(frozen=True)
class Row:
    """What a score finds in both halves of a clip."""

    clip: str
    score: str
    num_things: int
    above_quiet: int  # things in which it exceeds all that it reaches where nothing is
    found: int | None = None  # by the events of the default settings
    false: int | None = None  # events where nothing is
    normal_seconds: float | None = None  # of normal footage that the memories were learned from


def rows_of(clip: Path, things: Sequence[Span]) -> list[Row]:
    """The rows of a clip in which those things come."""
    cut = (things[len(things) // 2 - 1][1] + things[len(things) // 2][0]) / 2
    halves = [(0.0, cut), (cut, _duration(clip))]
    above: dict[str, int] = {}
    found = false = 0
    normal_seconds = 0.0
    for half, other in (halves, halves[::-1]):
        encoder, memory, normal = learned(clip, other, things)
        inside = [span for span in things if half[0] <= span[0] < half[1]]
        judged = detect_novelty(encoder, _part(clip, [half], FRAMES_PER_SECOND), memory=memory)
        events = [(one.start_seconds, one.end_seconds) for one in judged.episodes]
        found += sum(any(_overlap(event, span) for event in events) for span in inside)
        false += sum(not any(_overlap(event, span) for span in things) for event in events)
        normal_seconds += sum(end - start for start, end in normal)
        for name, (seconds, values) in _scores(clip, half, normal, judged).items():
            above[name] = above.get(name, 0) + stand_out(seconds, values, inside, things)
    rows = [Row(clip.stem, name, len(things), num) for name, num in above.items()]
    return [replace(rows[0], found=found, false=false, normal_seconds=round(normal_seconds, 1)), *rows[1:]]


def learned(clip: Path, part: Span, things: Sequence[Span]) -> tuple[firstsight.Encoder, Memory | None, list[Span]]:
    """An encoder of that part of a clip, a memory of where nothing is in it, and where that is."""
    encoder = firstsight.learn(clip, start_seconds=part[0], end_seconds=part[1])
    normal = quiet(part, things)
    return encoder, learn_memory(_part(clip, normal), encoder=encoder), normal


def quiet(part: Span, things: Sequence[Span]) -> list[Span]:
    """Where nothing is in a part, give or take a margin."""
    edges = [part[0], *(edge for span in things for edge in _widened(span) if part[0] < edge < part[1]), part[1]]
    spans = pairwise(edges)
    return [one for one in spans if one[1] > one[0] and not any(_inside(sum(one) / 2, span) for span in things)]


def stand_out(seconds: NDArray[np.float64], values: NDArray[np.float64], inside: list[Span], things: list[Span]) -> int:
    """How many things reach a score that is never reached where nothing is."""
    is_quiet = ~np.array([any(_inside(at, span) for span in things) for at in seconds])
    most = values[is_quiet].max(initial=0.0)
    return sum(bool((values[(seconds >= start) & (seconds <= end)] > most).any()) for start, end in inside)


def _scores(
    clip: Path, half: Span, normal: list[Span], judged: NoveltyScores
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    at = np.array([one.seconds for one in judged.frames])
    found = {
        "memory: motion and appearance": (at, np.array([one.score or 0.0 for one in judged.frames])),
        "deviation": (at, np.array([one.deviation or 0.0 for one in judged.frames])),
    }
    seconds, values = scores(
        _part(clip, [half], FRAMES_PER_SECOND), before=[_part(clip, [span], FRAMES_PER_SECOND) for span in normal]
    )
    return found | {name: (seconds, column) for name, column in zip(names(), values.T, strict=True)}


def _part(clip: Path, spans: Sequence[Span], rate: float | None = None) -> VideoFiles:
    source = open_source(clip, frames_per_second=rate)
    assert isinstance(source, VideoFiles)
    (file,) = source.files
    parts = [replace(file.sampling, start_seconds=start or None, end_seconds=end) for start, end in spans]
    return replace(source, files=tuple(replace(file, sampling=sampling) for sampling in parts))


def _duration(clip: Path) -> float:
    with open_source(clip, frames_per_second=1.0).read() as reading:
        return max(frame.seconds for frame in reading) + 1.0


def _widened(span: Span) -> Span:
    return span[0] - _MARGIN_SECONDS, span[1] + _MARGIN_SECONDS


def _inside(at: float, span: Span) -> bool:
    start, end = _widened(span)
    return start <= at <= end


def _overlap(one: Span, other: Span) -> bool:
    start, end = _widened(other)
    return one[0] <= end and one[1] >= start


def table(rows: Sequence[Row]) -> str:
    """For docs/watch.md."""
    lines = ["| clip | score | events find | false | exceeds all that is quiet |", "|" + "---|" * 5]
    for one in rows:
        found = "-" if one.found is None else f"{one.found} of {one.num_things}"
        false = "-" if one.false is None else one.false
        lines.append(f"| {one.clip} | {one.score} | {found} | {false} | {one.above_quiet} of {one.num_things} |")
    return "\n".join(lines)
