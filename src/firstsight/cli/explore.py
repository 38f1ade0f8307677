"""`firstsight clusters`, `keyframes`, `map` and `export`: what there is in a library."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, check_out_folder, notes, print_json, say_written
from firstsight.text import counted, printable

if TYPE_CHECKING:
    from firstsight.exploration.clusters import Clusters
if TYPE_CHECKING:
    from firstsight.api import Library
    from firstsight.exploration.keyframes import Keyframes


_SOURCES_SHOWN = 3


def clusters_command(
    folder: footage.Library,
    num: Annotated[
        int | None,
        typer.Option("-k", metavar="K", help="How many groups; by default as separate best."),
    ] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures, one file.")
    ] = None,
    as_json: footage.Json = False,
) -> None:
    """Group the similar frames of a library.

    Shows how much of the library each group is, and when.

    Example: `firstsight clusters walks.library --html clusters.html`
    """
    from firstsight.api import Library

    check_out(html_file)
    library = Library.open(folder)
    with Display(notes()) as display:
        found = library.clusters(num, progress=display.progress)
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo(_clusters_table(found, pictures=_pictures(library)))
    if html_file:
        from firstsight.files import write_atomically
        from firstsight.report.exploration import render_clusters_page

        write_atomically(html_file, render_clusters_page(found, library.store).encode())
    if not as_json:
        say_written(html_file)


def _clusters_table(found: "Clusters", *, pictures: Collection[str]) -> str:
    lines = ["share   frames  apart  for example                     sources"]
    for one in found.clusters:
        time = "" if one.exemplar_source in pictures else f"@{one.exemplar_seconds:.2f}"
        example = printable(one.exemplar_source) + time
        names = [f"{printable(name)} ({count})" for name, count in one.sources[:_SOURCES_SHOWN]]
        more = len(one.sources) - len(names)
        listed = ", ".join(names) + (f" and {more} more" if more else "")
        listed += " (mixed)" if one.is_mixed else ""
        apart = "" if one.silhouette is None else f"{one.silhouette:.2f}"
        lines.append(f"{100 * one.share:>4.1f} %  {one.num_frames:>6}  {apart:>5}  {example:<30}  {listed}")
    mean = "" if found.silhouette is None else f", mean silhouette {found.silhouette:.2f}"
    lines.append(f"{counted(len(found.clusters), 'group')} of {found.num_frames} frames{mean}")
    if any(one.is_mixed for one in found.clusters):
        lines.append("mixed: its frames are hardly more like each other than like the next group's (apart: silhouette)")
    return "\n".join(lines)


def keyframes_command(
    folder: footage.Library,
    num: Annotated[int, typer.Argument(metavar="N", help="How many.")],
    sources: footage.OnlySources = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the frames as pictures.")] = None,
    as_json: footage.Json = False,
) -> None:
    """Choose the N most different moments of a library.

    The first is the most usual one, each further one the least similar to those before it; a smaller N gives the first
    of them. Beside each stands for how many frames of the library, of any source, it is the nearest. With --out, the
    frames of a file that has changed since it was indexed are the library's thumbnails.

    Example: `firstsight keyframes walks.library 12 --out keyframes`
    """
    from firstsight.api import Library

    if out:
        check_out_folder(out)
    library = Library.open(folder)
    with Display(notes()) as display:
        found = library.keyframes(num, sources=sources, progress=display.progress)
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo(_keyframes_table(found, pictures=_pictures(library)))
    if out:
        with Display(notes()) as display:
            written = _write(library, found, out, display)
        if not as_json:
            others = len([path for path in out.glob("*.jpg") if path not in written])
            beside = f"; {others} of the pictures there are not of these" if others else ""
            typer.echo(f"wrote {counted(len(written), 'picture')} to {printable(out)}{beside}")


def _pictures(library: "Library") -> set[str]:
    """Names of the sources that are stills, which have no time."""
    return {record.name for record in library.store.sources if record.is_picture}


def _write(library: "Library", found: "Keyframes", out: Path, display: Display) -> tuple[Path, ...]:
    try:
        return library.write_pictures(found, out, progress=display.progress)
    except KeyboardInterrupt:
        display.say(f"interrupted; the pictures that were finished are kept in {out}")
        raise typer.Exit(130) from None


def _keyframes_table(found: "Keyframes", *, pictures: Collection[str]) -> str:
    width = max(len("source"), *(len(printable(one.source)) for one in found))
    heading = "frames nearest to it"  # of all sources
    lines = [f"{'source':<{width}}  seconds  similarity  {heading}"]
    for one in found:
        seconds = "" if one.source in pictures else f"{one.seconds:.2f}"
        similarity = "" if one.similarity is None else f"{one.similarity:.3f}"
        lines.append(
            f"{printable(one.source):<{width}}  {seconds:>7}  {similarity:>10}  {one.num_frames:>{len(heading)}}"
        )
    return "\n".join(lines)


def frame_map_command(
    folder: footage.Library,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for map.csv, map.png and map.html.")],
    sources: footage.OnlySources = None,
    between: footage.Between = None,
    as_json: footage.Json = False,
) -> None:
    """Draw a map of a library: similar frames near each other. Of many frames 2,000, spread evenly, are shown.

    Example: `firstsight map walks.library --out map`
    """
    from firstsight.api import Library
    from firstsight.export.tables import write_table
    from firstsight.files import write_atomically
    from firstsight.progress import Progress
    from firstsight.report.exploration import map_picture, render_map_page

    check_out_folder(out)
    library = Library.open(folder)
    with Display(notes()) as display:
        found = library.map(sources=sources, between=footage.seconds_between(between), progress=display.progress)
        write_table(found.to_arrow(), out / "map.csv")
        display.rest()
        if as_json:
            print_json({"out": str(out), **found.to_json()})
        else:
            typer.echo(found.summary())
        display.progress(Progress("drawing", 0, None))
        write_atomically(out / "map.png", map_picture(found, library.store))
        write_atomically(out / "map.html", render_map_page(found, library.store).encode())
    if not as_json:
        say_written(out / "map.html", verb="open")


def export_command(
    folder: Annotated[Path, typer.Argument(metavar="LIBRARY", help="Made by index; with --to a run, made by learn.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Ends in .npz, .csv or .parquet, or is samples.json.")],
    sources: footage.OnlySources = None,
    between: footage.Between = None,
    runtime: Annotated[
        str | None, typer.Option("--to", metavar="RUNTIME", help="Write the encoder itself: onnx or openvino.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="With --to: the size of frames, as 1280x720; by default the encoder's input."),
    ] = None,
    as_json: footage.Json = False,
) -> None:
    """Write a library's vectors, or an encoder, for other programs.

    Each vector has its source, frame and time. A samples.json gets the thumbnails beside it, in the layout that
    FiftyOne imports as FiftyOneDataset. With --to an encoder is written: it takes frames, uint8 (N, H, W, 3), and gives
    vectors, with resizing inside.

    Example: `firstsight export walks.library --out walks.parquet`
    """
    if runtime is not None or size is not None:
        footage.check_run(folder)
        if sources or between:
            from firstsight.errors import SettingsError

            raise SettingsError("--source and --between choose frames of a library; leave them out with --to")
        _export_encoder(folder, out, runtime, size, as_json=as_json)
        return
    footage.check_library(folder)
    from firstsight.api import Library
    from firstsight.export.tables import check_export

    check_export(out)
    check_out(out)
    with Library.open(folder) as library, Display(notes()) as display:
        found = library.export(
            out, sources=sources, between=footage.seconds_between(between), progress=display.progress
        )
    if as_json:
        print_json(found.to_json())
        return
    typer.echo(f"wrote {found.num_frames} frames to {printable(out)}")


def _export_encoder(run: Path, out: Path, runtime: str | None, size: str | None, *, as_json: bool) -> None:
    from firstsight.encoder.encoder import Encoder
    from firstsight.errors import SettingsError
    from firstsight.export.network import export_encoder

    if runtime is None:
        raise SettingsError("--size is of an encoder that is written: give --to onnx or --to openvino, too")
    sides = None
    if size is not None:
        width, _, height = size.partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise SettingsError(f"size {size!r}; valid are width and height in pixels, as 1280x720")
        sides = int(width), int(height)
    check_out(out)
    found = export_encoder(Encoder.load(run), out, to=runtime, size=sides)  # type: ignore[arg-type]  # checked there
    if as_json:
        print_json(found.to_json())
        return
    frames = f"(N, {found.height}, {found.width}, {found.channels})"
    typer.echo(f"wrote {printable(out)}: frames, uint8 {frames}, to vectors, float32 (N, {found.dim})")
