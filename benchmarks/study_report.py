"""From the numbers of the study to `docs/study.md` and its pictures. Nothing is measured here."""

import math
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Run = dict[str, Any]

LEVELS = (1, 2, 3, 4)
COLOURS = ("#1f5f8b", "#d08a2e", "#3f8f5f", "#a23b52")
GREY = "#8a8f98"
PUBLISHED, FROZEN = ", as published", ", earlier levels frozen"
THRESHOLDS = (0.30, 0.30, 0.30, 0.20)  # what the repository's schedule asks for


def write(found: Run, docs: Path) -> None:
    """`study.md`, and `pictures/study-*.png` beside it."""
    figures = {"levels": levels_figure, "forgetting": forgetting_figure, "similarity": similarity_figure}
    for name, draw in figures.items():
        if name == "similarity" and "curves" not in found:
            continue  # the study was broken off
        draw(found).savefig(docs / "pictures" / f"study-{name}.png", metadata={"Software": None})
    (docs / "study.md").write_text(document(found))


def document(found: Run) -> str:
    """The text, in Markdown."""
    blocks = "\n\n".join(sections(found)).split("\n\n")
    return "\n\n".join(map(wrapped, blocks)) + "\n"


def wrapped(block: str) -> str:
    """A paragraph or list in lines of one length; tables, headings and pictures as they are."""
    if block.startswith(("|", "#", "!")):
        return block
    items = [f"- {item}" for item in block.removeprefix("- ").split("\n- ")] if block.startswith("- ") else [block]
    indent = "  " if block.startswith("- ") else ""
    items = [" ".join(item.split()) for item in items]
    return "\n".join(textwrap.fill(item, 120, subsequent_indent=indent, break_on_hyphens=False) for item in items)


def sections(found: Run) -> Iterator[str]:
    """The document, a section after the other."""
    yield introduction(found)
    yield reaching(found)
    yield undoing(found)
    yield freezing(found)
    yield rates(found)
    yield counts(found["counted"])
    if "curves" in found:
        yield over_time(found)
    if "others" in found:
        yield authors(found)


def introduction(found: Run) -> str:
    """What was measured, where, and what it cannot tell."""
    machine, minutes = found["machine"], sum(run["seconds"] for run in found["runs"].values()) / 60
    clips = ", ".join(f"{name} ({count})" for name, count in found["clips"].items())
    return f"""# A study of the article's method

*Written by `python benchmarks/study.py`, which measures what it needs, keeps the numbers in
`benchmarks/results/study.json`, and renders this page from them. Machine: {machine["platform"]}, one thread,
PyTorch {machine["torch"]}, commit {machine["commit"]}; {minutes:.0f} minutes of learning.*

The article's network and method (`learn --method article`), seed 0, on clips with so many frames: {clips}. Each clip
starts again at its end. **A level may take {found["cap"]:,} frames**, not the 7,000 of the published schedule or the
unlimited number of the article: where a level ends by its cap, nothing is said about what more frames would give. One
seed, so differences of a few hundredths mean nothing. "Similarity of a level" is the mean over frames of the largest
|cosine| between two of its 16 maps: the value that the stopping rule watches; 1 is two maps alike, 0 is all maps unlike
each other. It is measured on frames of the clip that was learned from, the weights at rest."""


def reaching(found: Run) -> str:
    """How each level ended."""
    rows = [
        (name.removesuffix(PUBLISHED), *(ended(run, level) for level in LEVELS), f"{run['seconds']:.0f}")
        for name, run in found["runs"].items()
        if name.endswith(PUBLISHED)
    ]
    asked = " / ".join(f"{threshold:.2f}" for threshold in THRESHOLDS)
    published = published_runs(found)
    total = len(LEVELS) * len(published)
    reached = [
        (check[0], run["health"][check[0]][check[0] - 1])
        for run in published.values()
        for check in run["checks"]
        if check[3] == "threshold"
    ]
    held = sum(similarity < THRESHOLDS[level - 1] for level, similarity in reached)
    return f"""## Does each level reach its threshold, and in how many frames?

{len(reached)} of {total} levels reached their threshold (asked: {asked}) within {found["cap"]:,} frames. Batch 1, SGD,
rate 0.02, all as published. In a cell: what ended the level, after how many frames, the mean of its last check, and in
brackets the lowest mean of any of its checks.

A threshold reached is reached on the 20 frames just seen, while the weights follow them. Measured at that moment over
the whole clip, {held} of those {len(reached)} levels were below their threshold; the figure of the next section has the
values.

{table(("clip", *(f"level {level}" for level in LEVELS), "seconds"), rows)}

![the checks of each level](pictures/study-levels.png)

*Every check of the stopping rule (the mean over 20 frames), level after level; the dotted line is the threshold.*"""


def undoing(found: Run) -> str:
    """What learning a level does to those before."""
    rows = []
    pairs = [
        (run["health"][end][level - 1], run["health"][4][level - 1])
        for run in published_runs(found).values()
        if len(run["health"]) == 5
        for level, end in ((1, 1), (2, 2), (3, 3))
    ]
    worse = sum(after > before + 0.02 for before, after in pairs)
    better = sum(after < before - 0.02 for before, after in pairs)
    for name, run in published_runs(found).items():
        if len(run["health"]) == 5:
            rows.append(
                (name, *(f"{run['health'][k][k - 1]:.2f} -> {run['health'][4][k - 1]:.2f}" for k in LEVELS[:3]))
            )
    return f"""## What does learning a level do to the levels before it?

The gradients of level k run through levels 1 to k, so they can undo what those had reached. Of {len(pairs)} earlier
levels, {worse} were more alike by more than 0.02 when learning had ended than when they themselves had ended, {better}
less alike by more than 0.02, {len(pairs) - worse - better} about the same. In a cell: the similarity of the level when
it had ended -> when the last level had ended.

{table(("clip", "level 1", "level 2", "level 3"), rows)}

![similarity of every level after each level's end](pictures/study-forgetting.png)

*Similarity of every level, before learning and after each level's end, on the clip learned from; dashed: earlier levels
frozen. A dot marks the moment when the level itself had ended.*"""


def freezing(found: Run) -> str:
    """Frozen beside not frozen."""
    rows, pairs = [], []
    for name, run in found["runs"].items():
        if name.endswith(FROZEN):
            clip = name.removesuffix(FROZEN)
            free = found["runs"][clip + PUBLISHED]
            rows += [(f"{clip}, all levels learn", *final(free)), (f"{clip}, earlier levels frozen", *final(run))]
            pairs.append((free["health"][-1], run["health"][-1]))
    last = sum(free[-1] < frozen[-1] - 0.02 for free, frozen in pairs)
    earlier = sum(one[1] < one[0] - 0.02 for free, frozen in pairs for one in zip(free[:3], frozen[:3], strict=True))
    return f"""## Does it help to freeze the earlier levels?

The author says that freezing did not help. Similarity of each level when learning had ended. Without freezing the last
level, which is the embedding, ended less alike by more than 0.02 on {last} of {len(pairs)} clips; with freezing
{earlier} of the {3 * len(pairs)} earlier levels did. Within the cap, that is: a frozen level gives the next one inputs
that are still alike.

{table(("clip", *(f"level {level}" for level in LEVELS)), rows)}"""


def rates(found: Run) -> str:
    """Batch and learning rate on one clip."""
    grid = {name: run for name, run in found["runs"].items() if ", batch " in name}
    clip = "bikes.mp4"
    rows = [("batch 1, rate 0.02 (published)", *final(found["runs"][clip + PUBLISHED]))]
    rows += [(name.removeprefix(f"{clip}, "), *final(run)) for name, run in grid.items()]
    return f"""## Batch and learning rate

On {clip}. The same number of frames for all, so a batch of 16 takes a sixteenth of the steps. Similarity of each level
when learning had ended; where learning diverged (a map became zero or not a number), the program says so and stops.

{table(("", *(f"level {level}" for level in LEVELS)), rows)}"""


def counts(counted: Run) -> str:
    """What follows from the stopping rule alone."""
    below = counted["value just below the threshold"]
    return f"""## 21 or 20, and 7,021

Counted with the stopping rule alone and values that stay the same; nothing was learned for this.

- The first check of a level sums {counted["values in the first check"]} values and divides by 20, the second
  {counted["values in the second check"]}: frames count from 0, and frame 0 is no check.
- So a level whose every frame reads {below:.2f}, below the threshold of 0.30, does not pass its first check
  (21 x {below:.2f} / 20 = {21 * below / 20:.4f}), and ends after
  {counted["frames of each level just below the threshold"][0]} frames, not 21.
- The sum is not cleared when a level ends: it holds the mean that ended it. After a level that gave up at 1.00, a level
  at 0.25 reads {counted["first check of the level after a cap"]:.4f} at its first check, and needs
  {counted["frames of a level at 0.25 after a cap"]} frames.
- The repository's schedule gives up at the first check after frame 7,000: frame 7,020, which is
  {counted["frames of each level at the cap"][0]:,} frames, at every level."""


def over_time(found: Run) -> str:
    """Similarity by both rules for the anchor."""
    clip, curves = next(iter(found["curves"].items()))
    rows = [
        (f"{rule}: {name}", str(len(one["anchors"])), *spread(one["similarity"]))
        for rule, of_rule in curves.items()
        for name, one in of_rule.items()
    ]
    same = curves["new anchor every 300 frames"]
    untrained = same["untrained"]["similarity"]
    agreement = " and ".join(
        f"{np.corrcoef(one['similarity'], untrained)[0, 1]:.2f} ({name})"
        for name, one in same.items()
        if name != "untrained"
    )
    return f"""## Similarity over time

{clip}, compared as the article does it: 64 dimensions of largest standard deviation so far, plain cosine.

{table(("", "anchors", "mean", "least", "5 %", "95 %"), rows)}

The untrained network's similarities lie between {min(untrained):.4f} and {max(untrained):.4f}: no threshold such as
0.40 could use them, because without centring the cosine is that of what all frames have in common. Stretched to the
height of the panel, as the grey curve is, they can be laid beside the others: with a new anchor every 300 frames their
correlation is {agreement}. To that degree random weights see the same changes, on a smaller scale.

![similarity over time](pictures/study-similarity.png)

*Vertical lines: a new anchor (of what was learned from this clip). Grey: untrained, stretched. Nobody has labelled what
happens in the clip, so this says how much the curves move, not that they are right.*"""


def authors(found: Run) -> str:
    """The author's weights, and untrained ones, beside ours."""
    names = ("untrained", "author's weights")
    rows = []
    for clip, of_clip in found["others"].items():
        rows += [(f"{clip}, {name}", *(f"{value:.2f}" for value in of_clip[name])) for name in names if name in of_clip]
        if run := found["runs"].get(clip + PUBLISHED):
            rows += [(f"{clip}, learned from it", *final(run))]
    return f"""## The author's weights beside ours

Similarity of each level on each clip. The author's file (`model_videoplayback_1.pth`) was learned from another video,
so these clips are foreign to it; ours are measured on what they were learned from, the easier case.

{table(("", *(f"level {level}" for level in LEVELS)), rows)}"""


def published_runs(found: Run) -> dict[str, Run]:
    """The runs by the published settings, by clip."""
    return {name.removesuffix(PUBLISHED): run for name, run in found["runs"].items() if name.endswith(PUBLISHED)}


def ended(run: Run, level: int) -> str:
    """What ended a level, and what it had reached."""
    checks = [check for check in run["checks"] if check[0] == level]
    if not checks or checks[-1][3] == "go on":
        return "diverged" if run["diverged"] else "not reached"
    _, frame, mean, outcome = checks[-1]
    return f"{outcome}, {frame + 1}, {mean:.2f} ({min(check[2] for check in checks[1:] or checks):.2f})"


def final(run: Run) -> Iterator[str]:
    """The similarity of every level when learning had ended."""
    if run["diverged"]:
        return iter([f"diverged at level {len(run['health'])}", *[""] * (len(LEVELS) - 1)])
    return (f"{value:.2f}" for value in run["health"][-1])


def spread(values: list[float]) -> list[str]:
    """Mean, least, and the 5th and 95th percentile."""
    known = np.array([value for value in values if not math.isnan(value)])
    return [f"{value:.2f}" for value in (known.mean(), known.min(), *np.percentile(known, [5, 95]))]


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """As Markdown."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def levels_figure(found: Run) -> Figure:
    """Every check of every level, a panel a clip."""
    runs = published_runs(found)
    figure, panels = grid(len(runs), height=2.4)
    for axes, (clip, run) in zip(panels, runs.items(), strict=True):
        start = 0
        for level, colour in zip(LEVELS, COLOURS, strict=True):
            checks = [check for check in run["checks"] if check[0] == level]
            frames = [start + check[1] + 1 for check in checks]
            # The first check also holds the mean that ended the level before, and is no mean of this level.
            axes.plot(frames[1:], [check[2] for check in checks][1:], color=colour, linewidth=1, label=f"level {level}")
            end = frames[-1] if frames else start
            axes.hlines(THRESHOLDS[level - 1], start, end, color=colour, linewidth=0.8, linestyle=":")
            start = end
        finish(axes, clip, "frames learned from", "mean over 20 frames")
    panels[0].legend(frameon=False, fontsize=7, ncols=2, loc="lower left")
    return figure


def forgetting_figure(found: Run) -> Figure:
    """Similarity of every level after each level's end, a panel a clip."""
    runs = published_runs(found)
    figure, panels = grid(len(runs), height=2.4)
    for axes, (clip, run) in zip(panels, runs.items(), strict=True):
        draw_health(axes, run, "-")
        if frozen := found["runs"].get(clip + FROZEN):
            draw_health(axes, frozen, "--")
        axes.set_xticks(range(5), ["before", *(f"after {level}" for level in LEVELS)])
        finish(axes, clip, "", "similarity of the level")
    panels[0].legend(frameon=False, fontsize=7, ncols=2, loc="lower left")
    return figure


def draw_health(axes: Axes, run: Run, style: str) -> None:
    """A line a level."""
    for level, colour in zip(LEVELS, COLOURS, strict=True):
        values = [measured[level - 1] for measured in run["health"]]
        axes.plot(values, style, color=colour, linewidth=1.2, label=f"level {level}" if style == "-" else None)
        if len(values) > level:
            axes.plot(level, values[level], "o", color=colour, markersize=4)


def similarity_figure(found: Run) -> Figure:
    """The curves, a panel a rule for the anchor."""
    clip, curves = next(iter(found["curves"].items()))
    figure = Figure(figsize=(10, 2.9 * len(curves)), dpi=130, layout="constrained")
    colours = {"learned from this clip": COLOURS[0], "untrained": GREY, "author's weights": COLOURS[1]}
    for axes, (rule, of_rule) in zip(
        np.atleast_1d(figure.subplots(len(curves), sharex=True)), curves.items(), strict=True
    ):
        for start in of_rule["learned from this clip"]["anchors"]:
            axes.axvline(start, color=COLOURS[0], linewidth=0.6, alpha=0.5)
        low = min(0.0, *(min(one["similarity"]) for one in of_rule.values()))
        for name, one in of_rule.items():
            values = stretched(one["similarity"], low) if name == "untrained" else one["similarity"]
            label = "untrained, stretched" if name == "untrained" else name
            axes.plot(one["seconds"], values, color=colours[name], linewidth=1, label=label)
        finish(axes, f"{clip}: {rule}", "seconds", "similarity")
        axes.set_ylim(low - 0.05, 1.05)
        axes.margins(x=0)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=3, frameon=False, fontsize=8
    )
    return figure


def grid(count: int, *, height: float) -> tuple[Figure, list[Axes]]:
    """So many panels, two in a row."""
    rows = -(-count // 2)
    figure = Figure(figsize=(10, height * rows), dpi=130, layout="constrained")
    panels = list(np.ravel(figure.subplots(rows, 2, squeeze=False)))
    for unused in panels[count:]:
        unused.remove()
    return figure, panels[:count]


def finish(axes: Axes, title: str, x: str, y: str) -> None:
    """What all panels have in common."""
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.set_ylim(0, 1.05)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def stretched(values: list[float], low: float) -> list[float]:
    """The values from their least to their largest, laid over `low` to 1."""
    least, largest = min(values), max(values)
    return [low + (value - least) / max(largest - least, 1e-12) * (1 - low) for value in values]
