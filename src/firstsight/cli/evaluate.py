"""`firstsight evaluate`: how good an encoder is on footage, beside baselines that need no learning."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, notes, print_json
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.evaluation.evaluate import Evaluation
    from firstsight.evaluation.metrics import Scores


def command(
    run: footage.Run,
    sources: footage.Sources,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="CSV|folders",
            help="Score with labels: a CSV file with the columns file, label and, if wanted, frame or seconds; or the "
            "names of the folders that the files lie in.",
        ),
    ] = None,
    second_pass: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Where the same route begins again: is the first pass found?"),
    ] = None,
    max_frames: Annotated[
        int, typer.Option(metavar="N", help="Frames to use, spread over all of the footage.")
    ] = 1_000,
    seed: Annotated[int, footage.seed_option("Of the random numbers,")] = 0,
    start: footage.Start = None,
    end: footage.End = None,
    every: footage.Every = None,
    frames_per_second: footage.FramesPerSecond = None,
    as_json: footage.Json = False,
) -> None:
    """Judge an encoder on footage, beside simple baselines, with a verdict for each use.

    Baselines are random filters, a thumbnail, a perceptual hash, a colour histogram, HOG and CoHOG. Without labels, the
    question is whether a frame is found again after a change of view or light, or with noise. Uses are: find a moment
    again, the same place, what is new before a camera that stands still.

    Example: `firstsight evaluate runs/bikes bikes.mp4`
    """
    from firstsight.encoder.encoder import Encoder
    from firstsight.evaluation.evaluate import evaluate

    encoder = Encoder.load(run)
    source = footage.open_footage(sources, start, end, every, frames_per_second)
    with Display(notes()) as display:
        try:
            evaluation = evaluate(
                encoder,
                source,
                labels=labels,
                second_pass_seconds=second_pass,
                max_frames=max_frames,
                seed=seed,
                progress=display.progress,
            )
        except KeyboardInterrupt:
            display.say("interrupted; nothing is kept")
            raise typer.Exit(130) from None
    if as_json:
        print_json({"run": str(run), **evaluation.to_json()})
    else:
        _print(evaluation)


def _print(evaluation: "Evaluation") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    columns = evaluation.question.columns
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for name, scores in evaluation.scores.items():
        table.add_row(name, *_cells(scores, columns))
    typer.echo(evaluation.question.asks)
    Console(highlight=False).print(table)
    typer.echo("figures in percent (--json: shares, 0 to 1)")
    width = max(map(len, columns)) + 2
    for name, meaning in columns.items():
        typer.echo(f"{name:<{width}}{meaning}")
    typer.echo(f"{'±':<{width}}standard error, neighbouring frames taken together")
    for note in evaluation.notes:
        typer.echo(f"note: {printable(note)}")
    for verdict in evaluation.verdicts:
        typer.echo(printable(verdict))


def _cells(scores: "Scores", columns: Mapping[str, str]) -> list[str]:
    """The figures in percent, the first with its standard error."""
    cells = ["-" if (value := scores.figures[name]) is None else f"{100 * value:.1f}" for name in columns]
    error = scores.standard_error
    return cells if error == float("inf") else [f"{cells[0]} ± {100 * error:.1f}", *cells[1:]]
