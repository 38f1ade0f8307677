"""A picture of what is new over time, beside what was marked by eye, with the frame of each event."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from PIL import Image

import firstsight
from firstsight.footage.frames import PixelByPixel
from firstsight.footage.source import open_source
from firstsight.footage.stream import Stream
from firstsight.monitoring.novelty import NEW_FROM, score_novelty
from firstsight.monitoring.watch import Watcher, watch

_RATE = 2.0


def draw(encoder: firstsight.Encoder, clip: Path, spans: Sequence[tuple[float, float]]) -> bytes:
    """The curve, the threshold, what was marked (grey), and above it the frame at which each event was told: PNG."""
    scored = list(score_novelty(encoder, open_source(clip, frames_per_second=_RATE)))
    figure = Figure(figsize=(10, 3.8), dpi=130, layout="constrained")
    axes = figure.subplots()
    for begin, until in spans:
        axes.axvspan(begin, until, color="#e4e4e0", linewidth=0)
    seconds = [one.seconds for one in scored]
    scores = [np.nan if one.score is None else one.score for one in scored]
    axes.plot(seconds, scores, color="#1f5f8b", linewidth=1.2)
    axes.axhline(NEW_FROM, color="#d08a2e", linewidth=0.8, linestyle="--")
    top = float(np.nanmax(scores))
    with Stream(clip, views=(encoder.view, PixelByPixel()), frames_per_second=_RATE, speed=0) as stream:
        for told in watch(Watcher(encoder, stream.name, novel=True), stream):
            if told.event.kind == "novel begins" and told.frame:
                small = Image.fromarray(told.frame.pictures[1])
                small.thumbnail((150, 150))
                place = (told.event.seconds, top * 1.35)
                box = OffsetImage(np.asarray(small), zoom=0.52)
                axes.add_artist(AnnotationBbox(box, place, frameon=False, box_alignment=(0.25, 0.5)))
                axes.axvline(told.event.seconds, ymax=0.62, color="#b03a2e", linewidth=0.8)
    axes.set(xlabel="seconds", ylabel="deviation from the usual", ylim=(0, top * 1.6), xlim=(0, seconds[-1]))
    axes.spines[["top", "right"]].set_visible(False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
