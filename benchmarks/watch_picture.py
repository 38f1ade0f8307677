"""A picture of what is new over time, beside what was marked by eye, with the frame of each event."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image

import firstsight
from firstsight.footage.source import open_source
from firstsight.monitoring.deviation import NEW_FROM
from firstsight.monitoring.novelty import detect_novelty
from firstsight.report.drawing import figure_png

_RATE = 2.0


def draw(encoder: firstsight.Encoder, clip: Path, spans: Sequence[tuple[float, float]]) -> bytes:
    """The curve, the threshold, what was marked (grey), and above it the frame of each event: PNG."""
    scored = detect_novelty(encoder, open_source(clip, frames_per_second=_RATE)).frames
    figure = Figure(figsize=(10, 3.8), dpi=130, layout="constrained")
    axes = figure.subplots()
    for begin, until in spans:
        axes.axvspan(begin, until, color="#e4e4e0", linewidth=0)
    seconds = [one.seconds for one in scored]
    scores = [np.nan if one.score is None else one.score for one in scored]
    axes.plot(seconds, scores, color="#1f5f8b", linewidth=1.2)
    axes.axhline(NEW_FROM, color="#d08a2e", linewidth=0.8, linestyle="--")
    top = float(np.nanmax(scores))
    for event in firstsight.watch(encoder, clip, novel=True, frames_per_second=_RATE, speed=0):
        if event.kind == "novel begins" and event.frame:
            small = Image.fromarray(event.frame.whole)
            small.thumbnail((150, 150))
            box = OffsetImage(np.asarray(small), zoom=0.52)
            place = (event.seconds, top * 1.35)
            axes.add_artist(AnnotationBbox(box, place, frameon=False, box_alignment=(0.25, 0.5)))
            axes.axvline(event.seconds, ymax=0.62, color="#b03a2e", linewidth=0.8)
    axes.set(xlabel="seconds", ylabel="deviation from the usual", ylim=(0, top * 1.6), xlim=(0, seconds[-1]))
    axes.spines[["top", "right"]].set_visible(False)
    return figure_png(figure)
