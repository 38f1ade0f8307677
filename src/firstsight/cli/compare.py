"""`firstsight compare`, `align`, `similarities` and `neighbours`: frames against each other."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, check_out_folder, notes, print_json, say_written
from firstsight.errors import SettingsError
from firstsight.text import counted, printable

if TYPE_CHECKING:
    from firstsight.comparison.compare import Anchor
    from firstsight.report.comparison import Summary
if TYPE_CHECKING:
    from firstsight.comparison.align import Alignment
if TYPE_CHECKING:
    from firstsight.comparison.neighbours import Neighbourhood


def compare_command(
    run: footage.Run,
    sources: footage.Sources,
    out: Annotated[Path, typer.Option(help="Folder for timeline, plot, film and report.")] = Path("comparison"),
    anchor_every: Annotated[
        int | None, typer.Option(metavar="N", help="A new anchor after N compared frames (300).")
    ] = None,
    anchor_below: Annotated[
        float | None, typer.Option(metavar="S", help="A new anchor after a similarity below S.")
    ] = None,
    anchor_at: Annotated[float | None, typer.Option(metavar="SECONDS", help="Anchor: the frame at this time.")] = None,
    anchor_image: Annotated[Path | None, typer.Option(metavar="FILE", help="Anchor: a picture.")] = None,
    box: footage.BoxOption = None,
    level: Annotated[
        int | None,
        typer.Option(
            help="Which level to compare, from 1; by default the embedding: of all levels, the article's of the last."
        ),
    ] = None,
    dimensions: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            help="Compare the K dimensions of largest standard deviation; 0 is all. By default 64 of the article's "
            "encoder, all of others.",
        ),
    ] = None,
    over_last: Annotated[
        int | None,
        typer.Option(metavar="M", help="Deviation and mean over the last M frames; by default over all so far."),
    ] = None,
    centred: Annotated[bool, typer.Option("--centred", help="Remove the mean before the cosine.")] = False,
    agreement: Annotated[
        bool, typer.Option("--agreement", help="Colour each frame of the film where it agrees with its anchor.")
    ] = False,
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

    The page shows where frames and anchor agree; with --agreement the film does too.

    With --box, its content is compared with every window of that size, and the best of each frame counts.

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
        batch_size=1 if show else 16,  # so that the window is not late
    )
    with Display(notes()) as display, ExitStack() as opened:
        window = None
        if show:
            try:
                window = opened.enter_context(open_window(encoder, printable(source.name), level=level))
            except NoScreenError as error:
                display.say(f"no window, as there is no screen ({error}); the files are written as usual")
        try:
            write_comparison(
                encoder,
                source,
                settings,
                out,
                agreement=agreement,
                progress=display.progress,
                show=window,
                finished=partial(_print_finished, display, as_json=as_json),
            )
        except KeyboardInterrupt:
            display.say(f"interrupted; timeline and film in {out} hold the frames compared until then")
            raise typer.Exit(130) from None
    if not as_json:
        typer.echo(f"open {printable(out / 'report.html')}")


def _print_finished(display: Display, summary: "Summary", *, as_json: bool) -> None:
    display.rest()
    if as_json:
        print_json(summary.to_json())
    else:
        _print_summary(summary)


def _anchor(every: int | None, below: float | None, at: float | None, image: Path | None) -> "Anchor":
    from firstsight.comparison.compare import AtSeconds, BelowSimilarity, EveryNFrames, FromPicture
    from firstsight.footage.images import read_image
    from firstsight.object_store import to_path

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
        return FromPicture(read_image(to_path(image), name=str(to_path(image))), name=image.name)
    return EveryNFrames(300 if every is None else every)


def _print_summary(summary: "Summary") -> None:
    most, least = summary.most_similar, summary.least_similar
    lost = f", {summary.num_skipped} lost: they could not be decoded" if summary.num_skipped else ""
    anchors = counted(summary.num_anchors, "anchor")
    typer.echo(f"compared {counted(summary.num_compared, 'frame')} with {anchors}{lost}")
    if most is None or least is None:
        typer.echo("similarity: none, as removing the mean needs two compared frames")
        return
    typer.echo(
        f"similarity: mean {summary.mean_similarity:.3f}, "
        f"most {most.similarity:.3f} {printable(summary.moment(most.frame))}, "
        f"least {least.similarity:.3f} {printable(summary.moment(least.frame))}"
    )


_LINES = 12  # of the table on the screen


_USUAL_RATE = 2.0


def _rate(given: float | None, *targets: str) -> float:
    """Frames a second of footage. Raises a SettingsError if one is given and there are libraries alone."""
    from firstsight.library.folder import is_library

    if given is not None and all(is_library(Path(target)) for target in targets):
        raise SettingsError("--fps is for footage; a library has the frames that it was made with, so leave it out")
    return _USUAL_RATE if given is None else given


def align_command(
    first: Annotated[str, footage.checked(footage.check_target, metavar="A", text="A video, or a library of one.")],
    second: Annotated[str, footage.checked(footage.check_target, metavar="B", text="Another.")],
    model: footage.Model = None,
    out: Annotated[Path | None, typer.Option(metavar="PNG", help="Draw the similarities and the path.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the pairs of moments.")] = None,
    frames_per_second: footage.FramesPerSecond = None,
    as_json: footage.Json = False,
) -> None:
    """Find the part that two videos share, moment by moment.

    The second may go at another pace. The score adds up how much more similar than usual the frames are, some 0.75
    for each that is the same. Chance is what the second video reaches backwards: below 1 %, the part is certain.

    Example: `firstsight align monday.mp4 tuesday.mp4 --model runs/walks --out aligned.png --csv aligned.csv`
    """
    from firstsight.comparison.align import align
    from firstsight.encoder.encoder import Encoder
    from firstsight.export.tables import check_ending, write_table

    if csv_file:
        check_ending(csv_file, (".csv", ".parquet"))
    check_out(out, csv_file)
    if out:
        check_ending(out, (".png",))
    rate = _rate(frames_per_second, first, second)
    encoder = Encoder.load(model) if model else None
    with Display(notes()) as display:
        found = align(first, second, encoder=encoder, frames_per_second=rate, progress=display.progress)
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo(_text(found))
    if csv_file:
        write_table(found.to_arrow(), csv_file)
    if out:
        from firstsight.files import write_atomically
        from firstsight.report.timeline import alignment_picture

        write_atomically(out, alignment_picture(found))
    if not as_json:
        say_written(out, csv_file)


def _text(found: "Alignment") -> str:
    from firstsight.searching.verdict import percent_text

    names = [printable(one.name) for one in (found.first, found.second)]
    pairs = found.to_arrow().to_pylist()
    if not pairs:
        return f"{names[0]} and {names[1]} share nothing: no pair of frames is more similar than usual"
    ends = [(pairs[0][key], pairs[-1][key]) for key in ("first_seconds", "second_seconds")]
    parts = (" corresponds to " if found.is_certain else " and ").join(
        f"{name} from {start:.2f} s to {end:.2f} s" for name, (start, end) in zip(names, ends, strict=True)
    )
    doubt = "" if found.is_certain else "nothing certain in common; perhaps, the most similar: "
    reached = percent_text(found.false_match_probability)
    chance = f"score {found.path.score:.1f}; chance reaches that in {reached} of pairs"
    shown = pairs[:: max(1, -(-len(pairs) // _LINES))]
    lines = [
        f"{one['first_seconds']:>9.2f} s {one['second_seconds']:>9.2f} s {one['similarity']:>11.3f}" for one in shown
    ]
    heading = f"{'first':>11} {'second':>11} {'similarity':>11}"
    return "\n".join([f"{doubt}{parts}; {chance}", heading, *lines])


def similarities_command(
    target: Annotated[
        str, footage.checked(footage.check_target, metavar="TARGET", text="A library, a video, or a folder of them.")
    ],
    anchors: Annotated[
        list[str],
        footage.checked(
            footage.check_anchors,
            "--for",
            metavar="ANCHOR",
            text="A picture, a folder of pictures, or walk.mp4@83.2; may be repeated.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Ends in .csv or .parquet.")],
    model: footage.Model = None,
    frames_per_second: footage.FramesPerSecond = None,
    as_json: footage.Json = False,
) -> None:
    """Write how similar every frame is to each anchor.

    The table has a row for each frame and a column for each anchor.

    Example: `firstsight similarities walks.library --for anchors/ --for gate.mp4@83.2 --out similarities.parquet`
    """
    from firstsight.comparison.similarities import measure_similarities
    from firstsight.encoder.encoder import Encoder
    from firstsight.export.tables import check_ending, write_table

    check_ending(out, (".csv", ".parquet"))
    check_out(out)
    rate = _rate(frames_per_second, target)
    encoder = Encoder.load(model) if model else None
    with Display(notes()) as display:
        found = measure_similarities(
            target, anchors, encoder=encoder, frames_per_second=rate, progress=display.progress
        )
    content = found.to_json()
    if as_json:
        print_json({**content, "out": str(out)})
    else:
        pictures = set(map(printable, found.pictures))
        for one in content["anchors"]:
            when = "" if one["source"] in pictures else f" at {one['seconds']:.2f} s"
            typer.echo(
                f"{printable(one['anchor'])}: mean {one['mean']:.3f}, most {one['most']:.3f} in "
                f"{printable(one['source'])}{when}"
            )
    write_table(found.to_arrow(), out)
    if not as_json:
        say_written(out, verb=f"wrote {len(found.table)} frames to")


def neighbours_command(
    run: footage.Run,
    folder: Annotated[
        str,
        footage.checked(footage.check_source, metavar="FOLDER", text="Pictures; the names of subfolders are labels."),
    ],
    anchor: Annotated[
        list[Path],
        footage.checked(
            footage.check_pictures, "--anchor", metavar="IMAGE", text="A picture to compare with; may be repeated."
        ),
    ],
    k: Annotated[int, typer.Option("-k", metavar="K", help="How many neighbours.")] = 10,
    measure: Annotated[
        Literal["pearson", "cosine"] | None,
        typer.Option("--similarity", help="By default pearson for the predecessor's runs, cosine for others."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="PNG", help="Write a picture of anchors and neighbours.")] = None,
    as_json: footage.Json = False,
) -> None:
    """List the pictures of a folder that are most like an anchor.

    Example: `firstsight neighbours runs/digits digits/ --anchor digits/5/17.png -k 10 --out nearest.png`
    """
    from firstsight.comparison.neighbours import nearest_pictures
    from firstsight.encoder.encoder import Encoder
    from firstsight.export.tables import check_ending

    check_out(out)
    if out:
        check_ending(out, (".png",))
    encoder = Encoder.load(run)
    with Display(notes()) as display:
        found = nearest_pictures(encoder, folder, anchor, k=k, measure=measure, progress=display.progress)
    if as_json:
        print_json({"run": str(run), "folder": folder, "anchors": [one.to_json() for one in found]})
    else:
        for one in found:
            typer.echo(_table(one))
    if out:
        from firstsight.files import write_atomically
        from firstsight.report.drawing import neighbours_picture

        write_atomically(out, neighbours_picture(found))
    if not as_json:
        say_written(out)


def _table(found: "Neighbourhood") -> str:
    labels = [printable(one.label) for one in found.neighbours]
    width = max(len(label) for label in ("label", *labels))
    lines = [f"{printable(found.anchor)}:", f"rank  similarity  {'label':<{width}}  file"]
    lines += [
        f"{rank:>4}  {one.similarity:>10.3f}  {label:<{width}}  {printable(one.name)}"
        for rank, (one, label) in enumerate(zip(found.neighbours, labels, strict=True), start=1)
    ]
    return "\n".join(lines)
