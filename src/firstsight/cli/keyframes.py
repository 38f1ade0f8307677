"""`firstsight keyframes`: the most different moments of a library."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out_folder, notes, print_json
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.exploration.keyframes import Keyframe
    from firstsight.library.store import Store


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
    from firstsight.exploration.keyframes import find_keyframes
    from firstsight.library.store import Store

    if out:
        check_out_folder(out)
    library = Store.open(folder)
    with Display(notes()) as display:
        found = find_keyframes(
            library,
            num,
            where=footage.where(sources, None),
            progress=lambda done: display.show("choosing", done=done, total=num, state=""),
        )
    if as_json:
        print_json({"library": str(folder), "keyframes": [asdict(one) for one in found]})
    else:
        typer.echo(_table(found))
    if out:
        with Display(notes()) as display:
            written = _write(library, found, out, display)
        if not as_json:
            typer.echo(f"wrote {len(written)} pictures to {printable(out)}")


def _write(library: "Store", found: "tuple[Keyframe, ...]", out: Path, display: Display) -> list[Path]:
    from firstsight.export.clips import write_pictures

    frames = [(one.source, one.frame_index, one.seconds) for one in found]
    try:
        return write_pictures(
            library,
            frames,
            out,
            progress=lambda done: display.show("writing", done=done, total=len(frames), state=""),
            noted=display.say,
        )
    except KeyboardInterrupt:
        display.say(f"interrupted; the pictures that were finished are kept in {out}")
        raise typer.Exit(130) from None


def _table(found: "tuple[Keyframe, ...]") -> str:
    width = max(len("source"), *(len(printable(one.source)) for one in found))
    lines = [f"{'source':<{width}}  seconds  similarity  frames like it"]
    for one in found:
        similarity = "" if one.similarity is None else f"{one.similarity:.3f}"
        lines.append(f"{printable(one.source):<{width}}  {one.seconds:>7.2f}  {similarity:>10}  {one.num_frames:>14}")
    return "\n".join(lines)
