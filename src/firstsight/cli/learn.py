"""`firstsight learn`: footage in, a run folder out."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from firstsight.cli import footage_options as footage
from firstsight.cli.display import Display, notes
from firstsight.cli.outcome import level_table
from firstsight.learning.choices import Method, Optimiser, Schedule

if TYPE_CHECKING:
    from firstsight.learning.learner import Progress
    from firstsight.model.encoder import Encoder
    from firstsight.video.source import Source

_ARTICLE = "The article's method"


def command(
    sources: footage.Sources,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; by default runs/ and the source's name.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a run that is there already.")] = False,
    method: Annotated[Method, typer.Option(help="How to learn.")] = "article",
    seed: Annotated[int, typer.Option(help="Of the initial weights.")] = 0,
    start: footage.Start = None,
    end: footage.End = None,
    every: footage.Every = None,
    frames_per_second: footage.FramesPerSecond = None,
    held_out: Annotated[float, typer.Option(help="Share of each video's end to measure on instead of learning.")] = 0.1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: footage.Json = False,
    schedule: Annotated[
        Schedule,
        typer.Option(
            help="article: 0.30, no cap. repository: 0.30, last level 0.20, 7000 frames a level.",
            rich_help_panel=_ARTICLE,
        ),
    ] = "repository",
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            help="Instead of the schedule's; once for all levels, or once for each.", rich_help_panel=_ARTICLE
        ),
    ] = None,
    frames_per_level: Annotated[
        int | None, typer.Option(help="A level ends at the first check after so many frames.", rich_help_panel=_ARTICLE)
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch", help="Frames per step.", rich_help_panel=_ARTICLE)] = 1,
    optimiser: Annotated[Optimiser, typer.Option(help="Which.", rich_help_panel=_ARTICLE)] = "sgd",
    learning_rate: Annotated[float, typer.Option("--lr", help="Of the optimiser.", rich_help_panel=_ARTICLE)] = 0.02,
    freeze_earlier_levels: Annotated[
        bool, typer.Option("--freeze", help="Learn one level alone at a time.", rich_help_panel=_ARTICLE)
    ] = False,
    num_levels: Annotated[int, typer.Option("--levels", help="How many.", rich_help_panel=_ARTICLE)] = 4,
    maps: Annotated[int, typer.Option(help="Maps of each level.", rich_help_panel=_ARTICLE)] = 16,
    hidden_maps: Annotated[int, typer.Option(help="Before the 1x1 convolution.", rich_help_panel=_ARTICLE)] = 64,
    kernel_size: Annotated[int, typer.Option("--kernel", help="Pixels.", rich_help_panel=_ARTICLE)] = 5,
    crop_size: Annotated[
        int, typer.Option("--crop", help="Side of the square used, in pixels.", rich_help_panel=_ARTICLE)
    ] = 360,
    input_size: Annotated[int, typer.Option(help="Side it is resized to, in pixels.", rich_help_panel=_ARTICLE)] = 224,
    channels: Annotated[int, typer.Option(help="3 for colour, 1 for grey.", rich_help_panel=_ARTICLE)] = 3,
    precision: Annotated[
        Literal["float32", "bfloat16"], typer.Option(help="Of the convolutions.", rich_help_panel=_ARTICLE)
    ] = "float32",
) -> None:
    """Learn an encoder from footage, without labels.

    Writes RUN/config.json, RUN/model.safetensors and RUN/metrics.jsonl.

    Example: `firstsight learn bikes.mp4 --out runs/bikes --frames-per-level 400`
    """
    from firstsight.learning.learner import learn

    console = notes()
    source = footage.open_footage(sources, start, end, every, frames_per_second)
    folder = out or Path("runs") / Path(source.name).stem
    console.print(f"{source.name}: {_seen(source, crop_size, input_size, channels)}", markup=False)
    with Display(console) as display:
        try:
            encoder = learn(
                source,
                method=method,
                seed=seed,
                out=folder,
                force=force,
                held_out=held_out,
                device_name=device,
                progress=lambda progress: _show(display, progress),
                schedule=schedule,
                thresholds=tuple(threshold) if threshold else None,
                frames_per_level=frames_per_level,
                batch_size=batch_size,
                optimiser=optimiser,
                learning_rate=learning_rate,
                freeze_earlier_levels=freeze_earlier_levels,
                num_levels=num_levels,
                maps=maps,
                hidden_maps=hidden_maps,
                kernel_size=kernel_size,
                crop_size=crop_size,
                input_size=input_size,
                channels=channels,
                precision=precision,
            )
        except KeyboardInterrupt:
            display.say(f"interrupted; {folder} holds what was learned so far")
            raise typer.Exit(130) from None
    _print_result(encoder, folder, as_json=as_json)


def _seen(source: "Source", crop_size: int, input_size: int, channels: int) -> str:
    """What part of a picture the network will look at."""
    from firstsight.model.preprocessing import Preprocessing

    width, height = source.size()
    crop = Preprocessing(crop_size=crop_size, input_size=input_size, channels=channels).crop(width, height)
    share = 100 * crop.share_of(width, height)
    return f"the network sees {share:.0f} % of each {width}x{height} picture, {crop.width}x{crop.height} in the middle"


def _show(display: Display, progress: "Progress") -> None:
    step, rule = progress.step, progress.settings.rule
    threshold = rule.thresholds[step.level - 1]
    for check in step.checks:
        if check.outcome != "go on":
            display.say(
                f"level {check.level} ended by {check.outcome} after {check.frame + 1} frames: "
                f"largest similarity {check.mean:.3f}, asked below {threshold:.2f}"
            )
    state = f"largest similarity {progress.mean:.3f}" if progress.mean is not None else ""
    display.show(
        f"level {step.level} of {len(rule.thresholds)}",
        done=step.frame + 1,
        total=rule.cap,
        state=f"{state} (asked {threshold:.2f}), {progress.frames_per_second:.0f} frames/s",
    )


def _print_result(encoder: "Encoder", folder: Path, *, as_json: bool) -> None:
    outcome = encoder.provenance["outcome"]
    if as_json:
        typer.echo(json.dumps({"run": str(folder), **outcome}))
        return
    typer.echo(level_table(encoder))
    lost = outcome["frames_skipped"]
    typer.echo(
        f"learned from {outcome['frames_learned_from']} frames ({outcome['frames_in_a_pass']} in a pass"
        f"{f', {lost} lost: they could not be decoded' if lost else ''}) in {outcome['seconds']:.0f} s"
    )
    typer.echo(f"saved {folder}; next: firstsight compare {folder} SOURCE --out DIR")
