"""`firstsight compare`: how similar is every moment to an anchor."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out_folder, notes, print_json
from firstsight.errors import SettingsError
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.comparison.compare import Anchor
    from firstsight.report.comparison import Summary


def command(
    run: footage.Run,
    sources: footage.Sources,
    out: Annotated[Path, typer.Option(help="Folder for timeline, plot, film and report.")] = Path("comparison"),
    anchor_every: Annotated[
        int | None, typer.Option(metavar="N", help="A new anchor after N compared frames (the default, with 300).")
    ] = None,
    anchor_below: Annotated[
        float | None, typer.Option(metavar="S", help="A new anchor after a similarity below S.")
    ] = None,
    anchor_at: Annotated[float | None, typer.Option(metavar="SECONDS", help="The frame at this time.")] = None,
    anchor_image: Annotated[Path | None, typer.Option(metavar="FILE", help="A picture.")] = None,
    box: footage.BoxOption = None,
    level: Annotated[int | None, typer.Option(help="Which level to compare, from 1; by default the last.")] = None,
    dimensions: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Compare the K dimensions of largest standard deviation; 0 is all. By default 64 of the article's "
            "encoder, all of others.",
        ),
    ] = None,
    over_last: Annotated[
        int | None, typer.Option(metavar="M", help="Deviation over the last M frames; by default over all so far.")
    ] = None,
    centred: Annotated[bool, typer.Option("--centred", help="Remove the mean before the cosine.")] = False,
    start: footage.Start = None,
    end: footage.End = None,
    every: footage.Every = None,
    frames_per_second: footage.FramesPerSecond = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show anchor and current frame in a window meanwhile; q or Esc quits.")
    ] = False,
    as_json: footage.Json = False,
) -> None:
    """Compare every frame of footage with an anchor.

    Writes DIR/timeline.csv, DIR/timeline.png, DIR/comparison.mp4 and DIR/report.html.

    With a box, what is in it is compared with every window of its size, and the best of each frame counts.

    Example: `firstsight compare runs/bikes bikes.mp4 --anchor-at 3.2 --out comparison`
    """
    from firstsight.comparison.compare import CompareSettings
    from firstsight.encoder.encoder import Encoder
    from firstsight.report.comparison import write_comparison
    from firstsight.report.film import NoScreenError, open_window
    from firstsight.searching.regions import Box

    check_out_folder(out)
    encoder = Encoder.load(run)
    source = footage.open_footage(sources, start, end, every, frames_per_second)
    settings = CompareSettings(
        anchor=_anchor(anchor_every, anchor_below, anchor_at, anchor_image),
        level=level,
        num_dimensions=dimensions,
        over_last=over_last,
        centred=centred,
        box=Box.parse(box) if box is not None else None,
        batch_size=1 if show else 16,  # so that what is shown is not late
    )
    with Display(notes()) as display, ExitStack() as opened:
        window = None
        if show:
            try:
                window = opened.enter_context(open_window(encoder, printable(source.name), level=level))
            except NoScreenError as error:
                display.say(f"nothing is shown, as there is no screen ({error}); the files are written all the same")
        try:
            write_comparison(
                encoder,
                source,
                settings,
                out,
                progress=display.progress,
                show=window,
                finished=lambda summary: print_json(summary.to_json()) if as_json else _print_summary(summary),
            )
        except KeyboardInterrupt:
            display.say(f"interrupted; timeline and film in {out} hold what was compared until then")
            raise typer.Exit(130) from None
    if not as_json:
        typer.echo(f"open {printable(out / 'report.html')}")


def _anchor(every: int | None, below: float | None, at: float | None, image: Path | None) -> "Anchor":
    from firstsight.comparison.compare import AtSeconds, BelowSimilarity, EveryNFrames, FromPicture
    from firstsight.footage.images import read_image

    given = [value for value in (every, below, at, image) if value is not None]
    if len(given) > 1:
        raise SettingsError(
            f"{len(given)} anchors asked for; give one of --anchor-every, --anchor-below, --anchor-at, --anchor-image"
        )
    if below is not None:
        return BelowSimilarity(below)
    if at is not None:
        return AtSeconds(at)
    if image is not None:
        return FromPicture(read_image(image, name=str(image)), name=image.name)
    return EveryNFrames(300 if every is None else every)


def _print_summary(summary: "Summary") -> None:
    most, least = summary.most_similar, summary.least_similar
    lost = f", {summary.num_skipped} lost: they could not be decoded" if summary.num_skipped else ""
    anchors = "1 anchor" if summary.num_anchors == 1 else f"{summary.num_anchors} anchors"
    typer.echo(f"compared {summary.num_compared} frames with {anchors}{lost}")
    if most is None or least is None:
        typer.echo("similarity: none, as there is no mean to remove before two frames are compared")
        return
    typer.echo(
        f"similarity: mean {summary.mean_similarity:.3f}, most {most.similarity:.3f} at {most.frame.seconds:.2f} s, "
        f"least {least.similarity:.3f} at {least.frame.seconds:.2f} s"
    )
