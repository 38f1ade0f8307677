"""`firstsight article`: footage in, a run folder out, by the article's method to the letter."""

from collections.abc import Sequence, Set
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from firstsight.article.settings import Form, Optimiser, Schedule, Similarity
from firstsight.cli import options as footage
from firstsight.cli.learn import check_alone, default_folder, learn_and_print
from firstsight.cli.options import check_run, check_sources
from firstsight.errors import SettingsError

_STOPPING, _STEPS, _NETWORK = "When a level ends", "How it learns", "The network"


def _option(panel: str, *names: str, text: str) -> Any:  # noqa: ANN401  # typer's own type
    return typer.Option(*names, help=text, rich_help_panel=panel)


def command(
    ctx: typer.Context,
    sources: Annotated[list[str] | None, footage.SOURCES] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; by default runs/ and the source's name.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a run that is there already.")] = False,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Continue an interrupted run.", callback=check_run)
    ] = None,
    method: Annotated[
        Literal["article"] | None, typer.Option(hidden=True, help="As in `learn --method article`.")
    ] = None,
    seed: Annotated[int, footage.seed_option("Of the initial weights,")] = 0,
    start: footage.Start = None,
    end: footage.End = None,
    every: footage.Every = None,
    frames_per_second: footage.FramesPerSecond = None,
    held_out: Annotated[
        float | None, typer.Option(help="Share of each video's end to measure on instead of learning (0.1).")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, typer.Option(help="Of the convolutions (float32).")
    ] = None,
    as_json: footage.Json = False,
    schedule: Annotated[
        Schedule | None,
        _option(
            _STOPPING,
            "--schedule",
            text="article: 0.30, no cap. repository: 0.30, last level 0.20, 7000 frames a level.",
        ),
    ] = None,
    threshold: Annotated[
        list[float] | None,
        _option(_STOPPING, "--threshold", text="Instead of the schedule's; once for all levels, or once for each."),
    ] = None,
    frames_per_level: Annotated[
        int | None,
        _option(_STOPPING, "--frames-per-level", text="A level ends at the first check after so many frames."),
    ] = None,
    check_every: Annotated[
        int | None, _option(_STOPPING, "--check-every", text="Frames between two checks of the threshold (20).")
    ] = None,
    similarity: Annotated[Similarity | None, _option(_STEPS, "--similarity", text="Of two maps (cosine).")] = None,
    batch_size: Annotated[int | None, _option(_STEPS, "--batch", text="Frames per step (1).")] = None,
    optimiser: Annotated[Optimiser | None, _option(_STEPS, "--optimiser", text="Which (sgd).")] = None,
    learning_rate: Annotated[float | None, _option(_STEPS, "--lr", text="Of the optimiser (0.02).")] = None,
    freeze_earlier_levels: Annotated[
        bool | None, _option(_STEPS, "--freeze/--no-freeze", text="Learn one level alone at a time (no).")
    ] = None,
    form: Annotated[
        Form | None,
        _option(_NETWORK, "--form", text="Whose defaults: predecessor and earliest are for still images of 28x28."),
    ] = None,
    num_levels: Annotated[int | None, _option(_NETWORK, "--levels", text="How many (4).")] = None,
    maps: Annotated[
        list[int] | None,
        _option(_NETWORK, "--maps", text="Maps of a level (16); once for all levels, or once for each."),
    ] = None,
    hidden_maps: Annotated[
        int | None, _option(_NETWORK, "--hidden-maps", text="Before the 1x1 convolution (64); 0 leaves both out.")
    ] = None,
    kernel_size: Annotated[int | None, _option(_NETWORK, "--kernel", text="Pixels (5).")] = None,
    pool: Annotated[
        bool | None, _option(_NETWORK, "--pool/--no-pool", text="Average pool 2x2 in each level (yes).")
    ] = None,
    padding: Annotated[
        Literal["none", "reflect"] | None,
        _option(_NETWORK, "--padding", text="At the border of each level's input (none)."),
    ] = None,
    crop_size: Annotated[
        int | None, _option(_NETWORK, "--crop", text="Side of the square used, in pixels (360).")
    ] = None,
    input_size: Annotated[
        int | None, _option(_NETWORK, "--input-size", text="Side it is resized to, in pixels (224).")
    ] = None,
    channels: Annotated[int | None, _option(_NETWORK, "--channels", text="3 for colour, 1 for grey (3).")] = None,
) -> None:
    """Learn by the article's method: Multi-Perspective Neural Networks.

    It learns level by level, by gradient. `firstsight learn` is faster and finds more; this is for research, and for
    the forms before the article.

    Example: `firstsight article bikes.mp4 --out runs/mpnn --schedule repository`
    """
    if resume is not None:
        check_alone(ctx, "resume", {"device", "as_json"}, "continues with its own footage and settings")
        learn_and_print("resume", resume, resume, {"device": device}, sources=None, as_json=as_json)
        return
    if not sources:
        raise SettingsError("no footage given; name a video, a folder or pictures: firstsight article SOURCE --out RUN")
    check_sources(sources)
    given = {
        "precision": precision,
        "form": form,
        "schedule": schedule,
        "thresholds": tuple(threshold) if threshold else None,
        "frames_per_level": frames_per_level,
        "check_every": check_every,
        "similarity": similarity,
        "batch_size": batch_size,
        "optimiser": optimiser,
        "learning_rate": learning_rate,
        "freeze_earlier_levels": freeze_earlier_levels,
        "num_levels": num_levels,
        "maps": tuple(maps) if maps and len(maps) > 1 else maps[0] if maps else None,
        "hidden_maps": hidden_maps,
        "kernel_size": kernel_size,
        "pool": pool,
        "padding": padding,
        "crop_size": crop_size,
        "input_size": input_size,
        "channels": channels,
    }
    settings: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if hidden_maps == 0:
        settings["hidden_maps"] = None  # 0 is none, and an absent option "not given"
    sampling = {"start_seconds": start, "end_seconds": end, "every": every, "frames_per_second": frames_per_second}
    options = {"method": method or "article", "seed": seed, "force": force, "held_out": held_out, "device": device}
    folder = out or default_folder(sources)
    learn_and_print("learn", folder, folder, {**options, **sampling, **settings}, sources=sources, as_json=as_json)


def is_asked_for(arguments: Sequence[str], *, only_here: Set[str]) -> bool:
    """Whether these arguments of `learn` are for this command: `--method article`, or an option that only it has."""
    given = {name for one in arguments for name in (one, one.partition("=")[0])}
    chosen = "--method=article" in given or ("--method", "article") in pairwise(arguments)
    return chosen or not given.isdisjoint(only_here)
