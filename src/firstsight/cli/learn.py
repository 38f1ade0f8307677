"""`firstsight learn`: footage in, a run folder out."""

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from firstsight.cli import options as footage
from firstsight.cli.info import level_table, normal_facts, outcome_lines
from firstsight.cli.options import check_run, check_sources
from firstsight.cli.output import Display, notes, print_json
from firstsight.errors import SettingsError
from firstsight.files import is_like_a_file, safe_name
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.encoder.encoder import Encoder


def command(
    ctx: typer.Context,
    sources: Annotated[list[str] | None, footage.SOURCES] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run; by default runs/ and the source's name.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a run that is there already.")] = False,
    extend: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Learn this run again, from its own footage and this.", callback=check_run),
    ] = None,
    method: Annotated[
        Literal["default", "random"] | None,
        typer.Option(help="random: the default with random filters, as a baseline."),
    ] = None,
    seed: Annotated[int, footage.seed_option("Of the random numbers,")] = 0,
    start: footage.Start = None,
    end: footage.End = None,
    every: footage.Every = None,
    frames_per_second: footage.FramesPerSecond = None,
    live: footage.For = None,
    device: Annotated[str, typer.Option(help="auto or cpu.")] = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"] | None, typer.Option(help="Of the arithmetic; by default the faster one.")
    ] = None,
    held_out: Annotated[float | None, typer.Option("--held-out", hidden=True, help="See `firstsight article`.")] = None,
    as_json: footage.Json = False,
) -> None:
    """Learn an encoder from footage, without labels.

    Writes RUN/config.json, RUN/model.safetensors and RUN/metrics.jsonl. `firstsight article` learns by the published
    method instead.

    Example: `firstsight learn bikes.mp4 --out runs/bikes`
    """
    if not sources:
        raise SettingsError("no footage given; name a video, a folder or pictures: firstsight learn SOURCE --out RUN")
    check_sources(sources)
    sampling = {"start_seconds": start, "end_seconds": end, "every": every, "frames_per_second": frames_per_second}
    if extend is not None:
        if live is not None:
            raise SettingsError("--for is for learning from what is live; leave it out with --extend")
        allowed = {"sources", "out", "force", "as_json", *SAMPLING}
        check_alone(ctx, "extend", allowed, "keeps the run's own settings")
        more = {**sampling, "out": out, "force": force}
        learn_and_print("extend", extend, out or extend, more, sources=sources, as_json=as_json)
        return
    folder = out or default_folder(sources)
    options = {"method": method, "seed": seed, "force": force, "held_out": held_out, "device": device, **sampling}
    if live is not None:
        options["live_seconds"] = footage.duration_seconds(live)
    if precision is not None:
        options["precision"] = precision
    learn_and_print("learn", folder, folder, options, sources=sources, as_json=as_json)


def default_folder(sources: list[str]) -> Path:
    """Where a run goes unless a folder is given."""
    stem = Path(os.path.abspath(sources[0])).stem  # noqa: PTH100  # of "..", the name of that folder
    folder = Path("runs") / (safe_name(stem).strip("_") or "run")
    return folder.with_name(folder.name.replace(".", "_")) if is_like_a_file(folder) else folder


# What chooses frames, by the names of the command's parameters.
SAMPLING = ("start", "end", "every", "frames_per_second")


def check_alone(ctx: typer.Context, name: str, allowed: set[str], why: str) -> None:
    """Raises a SettingsError if an option was given that `--name` would ignore."""
    given = [
        parameter
        for parameter in ctx.command.params
        if (source := ctx.get_parameter_source(parameter.name or "")) and source.name == _GIVEN
    ]
    ignored = [parameter for parameter in given if parameter.name not in {name, *allowed}]
    if ignored:
        what = ctx.params[ignored[0].name][0] if ignored[0].name == "sources" else ignored[0].opts[0]
        raise SettingsError(f"--{name} {ctx.params[name]} {why}; leave out {what}")


_GIVEN = "COMMANDLINE"


def learn_and_print(
    verb: Literal["learn", "resume", "extend"],
    run: Path,
    folder: Path,
    options: dict[str, Any],
    *,
    sources: list[str] | None,
    as_json: bool,
) -> None:
    """Learns, resumes or extends, with a live display."""
    from firstsight.encoder.run_config import CONFIG_FILE
    from firstsight.files import file_identity
    from firstsight.learning import learn as learner

    before = file_identity(folder / CONFIG_FILE)
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
            is_as_before = before is not None and before == file_identity(folder / CONFIG_FILE)
            if is_as_before and verb != "resume":
                display.say(f"interrupted; the run in {printable(folder)} is as it was")
            else:
                display.say(_how_to_resume(folder))
            raise typer.Exit(130) from None
    _print_result(encoder, folder, as_json=as_json)


def _how_to_resume(folder: Path) -> str:
    """After Ctrl-C."""
    from firstsight.encoder.run_folder import can_be_resumed

    if can_be_resumed(folder):
        return f"interrupted; go on with: firstsight learn --resume {printable(shlex.quote(str(folder)))}"
    return _what_is_kept(folder)


def _what_is_kept(folder: Path) -> str:
    """After Ctrl-C while the encoder was learned, or while what is normal was."""
    from firstsight.encoder.run_config import is_run

    if is_run(folder):
        return f"interrupted; the encoder in {printable(folder)} is kept, what is normal before its camera is not"
    return "interrupted; nothing is kept"


def learn_first(run: Path, source: str, seconds: float) -> float | None:
    """Learns what is normal from the first seconds of what is to be watched, and an encoder if there is no run yet.

    Returns:
        Where in a file to go on; None is all of it, because the run remembers already, or what is live.

    Raises:
        SettingsError: what can be read once, or a run that is a file.
        typer.Exit: Ctrl-C before anything was read, or for the second time.
    """
    from firstsight.encoder.run_config import is_run
    from firstsight.footage.finding import STANDARD_INPUT, is_live
    from firstsight.learning import learn as learner
    from firstsight.normality.memory import Memory

    if source == STANDARD_INPUT:
        raise SettingsError(
            "--learn: a pipe is over once it was learned from; do that first: "
            f"firstsight learn - --for TIME --out {run}"
        )
    if run.is_file():
        raise SettingsError(f"--learn: {run} is a file, and keeps no memory; give a folder made by learn, or a new one")
    with Display(notes()) as display:
        if is_run(run) and Memory.load(run):
            display.say(f"{run} remembers what is normal: nothing is learned first")
            return None
        try:
            if is_run(run):
                _remember(run, source, seconds, display)
            else:
                live, until = (seconds, None) if is_live(source) else (None, seconds)
                learner.learn(source, out=run, live_seconds=live, end_seconds=until, progress=display.progress)
        except KeyboardInterrupt:
            display.say(_what_is_kept(run))
            raise typer.Exit(130) from None
    return None if is_live(source) else seconds


def _remember(run: Path, source: str, seconds: float, display: Display) -> None:
    from firstsight.encoder.encoder import Encoder
    from firstsight.footage.finding import is_live
    from firstsight.footage.source import open_source
    from firstsight.normality.learning import keep_memory, learn_memory

    live = is_live(source)
    footage = open_source(source, end_seconds=None if live else seconds)
    memory = learn_memory(
        footage, encoder=Encoder.load(run), live_seconds=seconds if live else None, progress=display.progress
    )
    keep_memory(memory, run, progress=display.progress)


def _print_result(encoder: "Encoder", folder: Path, *, as_json: bool) -> None:
    outcome = encoder.provenance["outcome"]
    if as_json:
        print_json({"run": str(folder), **outcome, "normal": normal_facts(folder)})
        return
    typer.echo(level_table(encoder))
    for line in (*outcome_lines(outcome), *_lost_lines(outcome)):
        typer.echo(line)
    lost, passed = outcome["frames_skipped"], outcome["frames_in_a_pass"]
    more = [] if passed is None else [f"{passed} in a pass"]
    more += [f"{lost} lost: they could not be decoded"] if lost else []
    of_which = f" ({', '.join(more)})" if more else ""
    typer.echo(f"learned from {outcome['frames_learned_from']} frames{of_which} in {outcome['seconds']:.0f} s")
    name = printable(shlex.quote(str(folder)))
    typer.echo(f"saved {printable(folder)}; next: firstsight compare {name} SOURCE --out DIR")


def _lost_lines(outcome: dict[str, Any]) -> list[str]:
    """The files that frames were lost of."""
    return [f"{printable(name)}: {num} frames lost" for name, num in outcome.get("skipped_by_file", {}).items()]
