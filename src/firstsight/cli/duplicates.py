"""`firstsight duplicates`: which clips and frames of a library are there twice, and what to keep."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from firstsight.cli import footage_options as footage
from firstsight.cli.display import Display, notes

if TYPE_CHECKING:
    from firstsight.retrieval.copies.duplicates import Duplicates


def command(
    folder: footage.Library,
    as_json: footage.Json = False,
) -> None:
    """Find clips that are copies of each other, say which to keep and why, and find frames that repeat others.

    Copies are found if they were saved anew, shrunk, cropped, recoloured, mirrored, cut, or given a logo or bars. Two
    takes before one camera are no copies. Nothing is deleted.

    Example: `firstsight duplicates films.library`
    """
    from firstsight.retrieval.copies.duplicates import find_duplicates
    from firstsight.retrieval.store.library import Library

    library = Library.open(folder)
    with Display(notes()) as display:
        try:
            found = find_duplicates(
                library, progress=lambda what, done, total: display.show(what, done=done, total=total, state="")
            )
        except KeyboardInterrupt:
            display.say(f"interrupted; {folder} is as it was")
            raise typer.Exit(130) from None
    typer.echo(json.dumps({"library": str(folder), **asdict(found)}) if as_json else _text(found))


def _text(found: "Duplicates") -> str:
    lines = []
    for group in found.groups:
        lines.append(f"keep {group.keep}: {group.why}")
        lines += [f"     {copy.source}: {', '.join(copy.differs)}" for copy in group.copies]
    num_copies = sum(len(group.copies) for group in found.groups)
    lines.append(f"{num_copies} of {found.num_sources} sources are copies of others")
    lines.append(
        f"{len(found.repeated_frames)} of {found.num_frames} frames repeat another: no place in them differs by more "
        f"than {found.noise:.0f} grey levels"
    )
    copies = [{group.keep, *(copy.source for copy in group.copies)} for group in found.groups]
    for one in found.shared:
        if one.stretches and not any({one.first, one.second} <= group for group in copies):
            at = one.stretches[0]
            lines.append(
                f"part: {one.first} from {at.first_start:.1f} s to {at.first_end:.1f} s is in {one.second} "
                f"from {at.second_start:.1f} s"
            )
    for names, why in ((found.too_short, "too short to tell"), (found.still, "nothing moves, which cannot be told")):
        if names:
            lines.append(f"{why}: {', '.join(names)}")
    return "\n".join(lines)
