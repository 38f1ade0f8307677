"""`firstsight keyframes`: the most different moments of a library."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out_folder, notes, print_json
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.api import Library
    from firstsight.exploration.keyframes import Keyframes


def command(
    folder: footage.Library,
    num: Annotated[int, typer.Argument(metavar="N", help="How many.")],
    sources: footage.OnlySources = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the frames as pictures.")] = None,
    as_json: footage.Json = False,
) -> None:
    """Choose the N most different moments of a library, each as unlike those before it as any frame is.

    The first is the most usual one. Asking for fewer gives the first of more. With --out, the frames of a file that has
    changed since it was indexed are the library's thumbnails, and it is named.

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
        typer.echo(_table(found))
    if out:
        with Display(notes()) as display:
            written = _write(library, found, out, display)
        if not as_json:
            typer.echo(f"wrote {len(written)} pictures to {printable(out)}")


def _write(library: "Library", found: "Keyframes", out: Path, display: Display) -> tuple[Path, ...]:
    try:
        return library.write_pictures(found, out, progress=display.progress)
    except KeyboardInterrupt:
        display.say(f"interrupted; the pictures that were finished are kept in {out}")
        raise typer.Exit(130) from None


def _table(found: "Keyframes") -> str:
    width = max(len("source"), *(len(printable(one.source)) for one in found))
    lines = [f"{'source':<{width}}  seconds  similarity  frames like it"]
    for one in found:
        similarity = "" if one.similarity is None else f"{one.similarity:.3f}"
        lines.append(f"{printable(one.source):<{width}}  {one.seconds:>7.2f}  {similarity:>10}  {one.num_frames:>14}")
    return "\n".join(lines)
