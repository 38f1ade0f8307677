"""`firstsight neighbours`: which pictures of a folder are most like an anchor."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from firstsight.cli import options as footage
from firstsight.cli.output import Display, check_out, notes, print_json, say_written
from firstsight.text import printable

if TYPE_CHECKING:
    from firstsight.comparison.neighbours import Neighbour
    from firstsight.encoder.encoder import Encoder


def command(
    run: footage.Run,
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Pictures; the names of subfolders are labels.")],
    anchor: Annotated[list[Path], typer.Option(metavar="IMAGE", help="A picture to compare with; may be repeated.")],
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

    check_out(out)
    encoder = Encoder.load(run)
    with Display(notes()) as display:
        rows = nearest_pictures(
            encoder,
            folder,
            anchor,
            k=k,
            measure=measure,
            progress=lambda done, total: display.show("looking", done=done, total=total, state=""),
        )
    found: list[dict[str, Any]] = [
        {"anchor": str(path), "label": _label(path, folder), "neighbours": _records(row)}
        for path, row in zip(anchor, rows, strict=True)
    ]
    if as_json:
        print_json({"run": str(run), "folder": folder, "anchors": found})
    else:
        for one in found:
            typer.echo(_table(one["anchor"], one["neighbours"]))
    if out:
        _write_picture(encoder, [(path, _label(path, folder)) for path in anchor], rows, out)
    if not as_json:
        say_written(out)


def _label(anchor: Path, folder: str) -> str:
    """The name of the anchor's folder, if it lies in a subfolder of the one that is searched."""
    path, root = anchor.resolve(), Path(folder).resolve()
    return path.parent.name if root in path.parents and root != path.parent else ""


def _records(row: "list[Neighbour]") -> list[dict[str, Any]]:
    return [
        {"rank": rank, "similarity": one.similarity, "label": one.label, "file": one.frame.source}
        for rank, one in enumerate(row, start=1)
    ]


def _table(anchor: str, neighbours: list[dict[str, Any]]) -> str:
    labels = [printable(one["label"]) for one in neighbours]
    width = max(len(label) for label in ("label", *labels))
    lines = [f"{printable(anchor)}:", f"rank  similarity  {'label':<{width}}  file"]
    lines += [
        f"{one['rank']:>4}  {one['similarity']:>10.3f}  {label:<{width}}  {printable(one['file'])}"
        for one, label in zip(neighbours, labels, strict=True)
    ]
    return "\n".join(lines)


def _write_picture(
    encoder: "Encoder", anchors: list[tuple[Path, str]], rows: "list[list[Neighbour]]", out: Path
) -> None:
    from firstsight.files import write_whole
    from firstsight.footage.images import read_image
    from firstsight.report.neighbours import neighbours_picture

    seen = [encoder.view.apply(read_image(path, name=str(path))[None])[0] for path, _ in anchors]
    labelled = [(pixels, label) for pixels, (_, label) in zip(seen, anchors, strict=True)]
    write_whole(out, neighbours_picture(labelled, rows))
