"""What was new before a camera, and what happened to its view, as a page: one file, nothing fetched from anywhere."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from firstsight.errors import FirstsightError
from firstsight.footage.frame_at import frame_at
from firstsight.footage.frames import Frame
from firstsight.footage.image_folders import ImageFiles
from firstsight.footage.source import Source, files_of
from firstsight.footage.videos import VideoFiles
from firstsight.monitoring.novelty import NovelEpisode, NoveltyScores, Scored, ViewChange, files_text
from firstsight.monitoring.sentry import Heat
from firstsight.normality.rarity import once_in
from firstsight.report.drawing import (
    Whole,
    draw_box,
    figure_png,
    file_uri,
    jpeg_uri,
    load_template,
    moment_uri,
    with_support,
)
from firstsight.searching.regions import Box

_Events = list[NovelEpisode | ViewChange]

_TEMPLATE = "novelty_page.html"
# Pictures of more events than these would make a page that no browser opens; the largest are shown.
_MAX_SHOWN = 200
_VIEW = Whole(longer_side=420)
_HEAT_ROWS, _HEAT_COLUMNS = 45, 80
# Seconds before a change when the view was surely as before, and after it when it surely is another.
_BEFORE_SECONDS, _AFTER_SECONDS = 4.0, 3.0
_TITLES = {
    "moved": "The camera was moved",
    "covered": "The camera was covered",
    "dark": "The view was dark",
    "frozen": "The stream was frozen",
    "left": "Something was left",
    "taken": "Something was taken",
}


def render_novelty_page(found: NoveltyScores, footage: Source) -> str:
    """The page as HTML.

    Args:
        found: what `detect_novelty` found.
        footage: in which, opened; its frames are read again for the pictures.
    """
    every: _Events = [*found.episodes, *found.view_changes]
    events = sorted(every, key=_size, reverse=True)[:_MAX_SHOWN]
    return load_template(_TEMPLATE).render(
        files=_files(found, footage, events),
        num_frames=len(found.frames),
        num_judged=found.num_judged,
        num_new=len(found.episodes),
        num_changes=len(found.view_changes),
        num_shown=len(events),
    )


def _size(event: NovelEpisode | ViewChange) -> float:
    """Which are shown first: what happened to the view, then what is the newest."""
    return event.novelty if isinstance(event, NovelEpisode) else np.inf


def _files(found: NoveltyScores, footage: Source, events: _Events) -> list[dict[str, Any]]:
    """Of each video; pictures are together."""
    if not isinstance(footage, VideoFiles):
        return [_file(footage.name, found.frames, footage, events)]
    each = []
    for name in dict.fromkeys(frame.source for frame in found.frames):
        own = tuple(file for file in footage.files if file.name == name)[:1]
        frames = [one for one in found.frames if one.source == name]
        within = [one for one in events if one.source == name]
        each.append(_file(name, frames, replace(footage, files=own or footage.files), within))
    return each


def _file(name: str, frames: Sequence[Scored], footage: Source, events: _Events) -> dict[str, Any]:
    events = sorted(events, key=lambda one: one.start_seconds)
    return {
        "name": name,
        "plot": file_uri(_plot(frames, events, "pictures" if isinstance(footage, ImageFiles) else "seconds"), "png"),
        "events": [_event(one, footage) for one in events],
    }


def _title(event: NovelEpisode | ViewChange) -> str:
    return "Something new" if isinstance(event, NovelEpisode) else _TITLES[event.kind]


def _event(event: NovelEpisode | ViewChange, footage: Source) -> dict[str, Any]:
    pictures = _of_new(event, footage) if isinstance(event, NovelEpisode) else _of_change(event, footage)
    return {"title": _title(event), "when": _when(event, footage), "what": _what(event), "pictures": pictures}


def _when(event: NovelEpisode | ViewChange, footage: Source) -> str:
    if isinstance(footage, ImageFiles):  # which have no time
        return files_text(event)
    if event.end_seconds is None:
        return f"{event.start_seconds:.2f} s"
    return f"{event.start_seconds:.2f} s to {event.end_seconds:.2f} s"


def _what(event: NovelEpisode | ViewChange) -> str:
    if isinstance(event, ViewChange):
        if event.shift is None:
            return ""
        return f"by {event.shift[0]:+.0%} of the width across and {event.shift[1]:+.0%} of the height down"
    if event.part in ("motion", "appearance"):
        return f"its {event.part} is normal {once_in(event.novelty)}"
    return f"its appearance deviates by {event.novelty:.1f} times the usual"


def _of_new(event: NovelEpisode, footage: Source) -> list[dict[str, str]]:
    frame = _frame(footage, event.peak_seconds)
    if frame is None:
        return []
    opens = _opens(footage, event.peak_seconds)
    shown = [{"uri": _boxed(frame, event.box), "caption": _named(frame, event.peak_seconds, footage), "opens": opens}]
    if event.heat is not None:
        support = on_frame(event.heat, frame.size)
        hot = with_support(frame.pixels, support, np.ones(support.shape, np.bool_))
        shown.append({"uri": jpeg_uri(np.asarray(hot)), "caption": "where", "opens": opens})
    return shown


def _of_change(event: ViewChange, footage: Source) -> list[dict[str, str]]:
    end = event.start_seconds + _AFTER_SECONDS
    then = end if event.end_seconds is None else (event.start_seconds + event.end_seconds) / 2
    shown = []
    for caption, seconds in (("before", max(0.0, event.start_seconds - _BEFORE_SECONDS)), ("after", then)):
        frame = _frame(footage, seconds)
        if frame is not None:
            uri, opens = _boxed(frame, event.box), _opens(footage, seconds)
            shown.append({"uri": uri, "caption": f"{caption}, {_named(frame, seconds, footage)}", "opens": opens})
    return shown


def _named(frame: Frame, seconds: float, footage: Source) -> str:
    """The moment of a video; of pictures, which have no time, the name."""
    return frame.source if isinstance(footage, ImageFiles) else f"at {seconds:.2f} s"


def _opens(footage: Source, seconds: float) -> str:
    """The address of that moment; none if it is not known to be in one file."""
    files = list(files_of(footage).values())
    return moment_uri(files[0], seconds) if len(files) == 1 else ""


def _frame(footage: Source, seconds: float) -> Frame | None:
    """The frame at that time, small; None if it cannot be read any more."""
    try:
        return frame_at(footage, seconds, views=(_VIEW,))
    except FirstsightError:
        return None


def _boxed(frame: Frame, box: tuple[int, int, int, int] | None) -> str:
    image = Image.fromarray(frame.pixels)
    if box is not None:
        draw_box(image, Box(*box), frame.size)
    return jpeg_uri(np.asarray(image))


def on_frame(heat: Heat, size: tuple[int, int]) -> NDArray[np.float32]:
    """The heat as shares of its largest value over an entire frame of that size: (45, 80); 0 outside its area."""
    left, top, width, height = heat.area
    y = ((np.arange(_HEAT_ROWS) + 0.5) / _HEAT_ROWS * size[1] - top) / height * heat.values.shape[0]
    x = ((np.arange(_HEAT_COLUMNS) + 0.5) / _HEAT_COLUMNS * size[0] - left) / width * heat.values.shape[1]
    rows, columns = (np.floor(one).astype(np.intp) for one in (y, x))
    inside = ((rows >= 0) & (rows < heat.values.shape[0]))[:, None] & (columns >= 0) & (columns < heat.values.shape[1])
    picked = heat.values[rows.clip(0, heat.values.shape[0] - 1)][:, columns.clip(0, heat.values.shape[1] - 1)]
    shares: NDArray[np.float32] = (picked * inside / max(float(heat.values.max()), 1e-9)).astype(np.float32)
    return shares


def _colour(event: NovelEpisode | ViewChange) -> str:
    return "#d08a2e" if isinstance(event, NovelEpisode) else "#1f5f8b"


def _plot(frames: Sequence[Scored], events: _Events, unit: str) -> bytes:
    """The score of each frame over time, and when the events were."""
    by_memory = any(one.part for one in frames)
    figure = Figure(figsize=(10, 1.8), dpi=130, layout="constrained")
    axes = figure.subplots()
    seconds = [one.seconds for one in frames]
    scores = [np.nan if one.score is None else one.score for one in frames]
    axes.plot(seconds, scores, color="#50565e", linewidth=1)
    for event in events:
        end = event.start_seconds if event.end_seconds is None else event.end_seconds
        axes.axvspan(event.start_seconds, end, color=_colour(event), alpha=0.25, linewidth=1.5)
    axes.set(xlim=(seconds[0], max(seconds[-1], seconds[0] + 1e-3)), xlabel=unit, ylim=(0, None))
    axes.set_ylabel("rarity" if by_memory else "deviation")
    axes.spines[["top", "right"]].set_visible(False)
    return figure_png(figure)
