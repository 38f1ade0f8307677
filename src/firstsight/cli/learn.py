"""`firstsight learn`: footage in, a run folder out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from firstsight.article.settings import Form, Method, Optimiser, Schedule, Similarity
from firstsight.cli import options as footage
from firstsight.cli.info import level_table, outcome_lines
from firstsight.cli.options import check_run, check_sources
from firstsight.cli.output import Display, notes, print_json
from firstsight.errors import SettingsError
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.encoder.encoder import Encoder


_ARTICLE = "The article's method (giving one of these chooses it, but for --held-out)"


def _article(*names: str, text: str) -> Any:  # noqa: ANN401  # typer's own type
    return typer.Option(*names, help=text, rich_help_panel=_ARTICLE)


def command(
    ctx: typer.Context,
    sources: Annotated[list[str] | None, footage.SOURCES] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; by default runs/ and the source's name.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a run that is there already.")] = False,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Go on with an interrupted run of the article's method.", callback=check_run),
    ] = None,
    extend: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Learn a run of the default method anew from its own footage and this too.",
            callback=check_run,
        ),
    ] = None,
    method: Annotated[Method | None, typer.Option(help="How to learn; random is the default's floor.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    start: footage.Start = None,
    end: footage.End = None,
    every: footage.Every = None,
    frames_per_second: footage.FramesPerSecond = None,
    live: footage.For = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, typer.Option(help="Of the arithmetic; by default what suits the method.")
    ] = None,
    as_json: footage.Json = False,
    held_out: Annotated[
        float | None,
        _article("--held-out", text="Share of each video's end to measure on instead of learning (0.1)."),
    ] = None,
    form: Annotated[
        Form | None, _article("--form", text="Whose defaults: predecessor and earliest are for still images of 28x28.")
    ] = None,
    schedule: Annotated[
        Schedule | None,
        _article("--schedule", text="article: 0.30, no cap. repository: 0.30, last level 0.20, 7000 frames a level."),
    ] = None,
    threshold: Annotated[
        list[float] | None,
        _article("--threshold", text="Instead of the schedule's; once for all levels, or once for each."),
    ] = None,
    frames_per_level: Annotated[
        int | None, _article("--frames-per-level", text="A level ends at the first check after so many frames.")
    ] = None,
    check_every: Annotated[
        int | None, _article("--check-every", text="Frames between two looks at the threshold (20).")
    ] = None,
    similarity: Annotated[Similarity | None, _article("--similarity", text="Of two maps (cosine).")] = None,
    batch_size: Annotated[int | None, _article("--batch", text="Frames per step (1).")] = None,
    optimiser: Annotated[Optimiser | None, _article("--optimiser", text="Which (sgd).")] = None,
    learning_rate: Annotated[float | None, _article("--lr", text="Of the optimiser (0.02).")] = None,
    freeze_earlier_levels: Annotated[
        bool | None, _article("--freeze/--no-freeze", text="Learn one level alone at a time (no).")
    ] = None,
    num_levels: Annotated[int | None, _article("--levels", text="How many (4).")] = None,
    maps: Annotated[
        list[int] | None, _article("--maps", text="Maps of a level (16); once for all levels, or once for each.")
    ] = None,
    hidden_maps: Annotated[
        int | None, _article("--hidden-maps", text="Before the 1x1 convolution (64); 0 leaves both out.")
    ] = None,
    kernel_size: Annotated[int | None, _article("--kernel", text="Pixels (5).")] = None,
    pool: Annotated[bool | None, _article("--pool/--no-pool", text="Average pool 2x2 in each level (yes).")] = None,
    padding: Annotated[
        Literal["none", "reflect"] | None, _article("--padding", text="At the border of each level's input (none).")
    ] = None,
    crop_size: Annotated[int | None, _article("--crop", text="Side of the square used, in pixels (360).")] = None,
    input_size: Annotated[int | None, _article("--input-size", text="Side it is resized to, in pixels (224).")] = None,
    channels: Annotated[int | None, _article("--channels", text="3 for colour, 1 for grey (3).")] = None,
) -> None:
    """Learn an encoder from footage, without labels.

    Writes RUN/config.json, RUN/model.safetensors and RUN/metrics.jsonl.

    Example: `firstsight learn bikes.mp4 --out runs/bikes`
    """
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
        settings["hidden_maps"] = None  # on a command line 0 stands for none, and nothing for "not given"
    sampling = {"start_seconds": start, "end_seconds": end, "every": every, "frames_per_second": frames_per_second}
    if live is not None and (resume or extend):
        raise SettingsError("--for is for learning from what is live; leave it out with --resume and --extend")
    if resume is not None:
        _check_alone(ctx, "resume", {"device", "as_json"}, "goes on with its own footage and settings")
        _learn_shown("resume", resume, resume, {"device": device}, sources=None, as_json=as_json)
        return
    if not sources:
        raise SettingsError("no footage given; name a video, a folder or pictures: firstsight learn SOURCE --out RUN")
    check_sources(sources)
    if extend is not None:
        _check_alone(ctx, "extend", {"sources", "out", "force", "as_json", *_SAMPLING}, "keeps the run's own settings")
        more: dict[str, Any] = {**sampling, "out": out, "force": force}
        _learn_shown("extend", extend, out or extend, more, sources=sources, as_json=as_json)
        return
    folder = out or Path("runs") / (Path(sources[0]).stem or "run")
    sampling["live_seconds"] = None if live is None else footage.duration_seconds(live)
    options: dict[str, Any] = {"method": method, "seed": seed, "force": force, "held_out": held_out, "device": device}
    _learn_shown("learn", folder, folder, {**options, **sampling, **settings}, sources=sources, as_json=as_json)


# What chooses frames, by the names of the command's parameters.
_SAMPLING = ("start", "end", "every", "frames_per_second")


def _check_alone(ctx: typer.Context, name: str, allowed: set[str], why: str) -> None:
    """Raises a SettingsError if something was given that the option `--name` would ignore."""
    given = [
        one
        for one in ctx.command.params
        if (source := ctx.get_parameter_source(one.name or "")) and source.name == _SAID
    ]
    ignored = [one for one in given if one.name not in {name, *allowed}]
    if ignored:
        what = ctx.params[ignored[0].name][0] if ignored[0].name == "sources" else ignored[0].opts[0]
        raise SettingsError(f"--{name} {ctx.params[name]} {why}; leave out {what}")


_SAID = "COMMANDLINE"


def _learn_shown(
    verb: Literal["learn", "resume", "extend"],
    run: Path,
    folder: Path,
    options: dict[str, Any],
    *,
    sources: list[str] | None,
    as_json: bool,
) -> None:
    """Learns, goes on or learns more, with a live display."""
    from firstsight.learning import learn as learner

    with Display(notes()) as display:
        spec = sources[0] if sources and len(sources) == 1 else sources or []
        try:
            if verb == "resume":
                encoder = learner.resume(run, progress=display.progress, **options)
            elif verb == "extend":
                encoder = learner.extend(run, spec, progress=display.progress, **options)
            else:
                encoder = learner.learn(spec, out=folder, progress=display.progress, **options)
        except KeyboardInterrupt:
            display.say(_how_to_go_on(folder))
            raise typer.Exit(130) from None
    _print_result(encoder, folder, as_json=as_json)


def _how_to_go_on(folder: Path) -> str:
    """After Ctrl-C."""
    from firstsight.article.run_folder import can_be_resumed

    if can_be_resumed(folder):
        return f"interrupted; go on with: firstsight learn --resume {printable(folder)}"
    return "interrupted; nothing is kept, as nothing was finished"


def _print_result(encoder: "Encoder", folder: Path, *, as_json: bool) -> None:
    outcome = encoder.provenance["outcome"]
    if as_json:
        print_json({"run": str(folder), **outcome})
        return
    typer.echo(level_table(encoder))
    for line in (*outcome_lines(outcome), *_lost_lines(outcome)):
        typer.echo(line)
    lost, passed = outcome["frames_skipped"], outcome["frames_in_a_pass"]
    typer.echo(
        f"learned from {outcome['frames_learned_from']} frames ({passed} in a pass"
        f"{f', {lost} lost: they could not be decoded' if lost else ''}) in {outcome['seconds']:.0f} s"
    )
    typer.echo(f"saved {printable(folder)}; next: firstsight compare {printable(folder)} SOURCE --out DIR")


def _lost_lines(outcome: dict[str, Any]) -> list[str]:
    """Of which files frames are lost."""
    return [f"{printable(name)}: {num} frames lost" for name, num in outcome.get("skipped_by_file", {}).items()]
